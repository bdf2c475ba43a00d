"""Lists of cards: what an index orders, narrowed in memory, and the text of what is shown."""

from collections.abc import Callable, Sequence

from pynamodb.expressions.condition import Condition

from config.store.connection import chunks
from config.store.items import Page, Raw
from learning.models.cards import Card, front_start
from learning.search_syntax import TextPattern

Test = Callable[[Card], bool]
JOINED = 100  # cards whose text is read at once, to see what they say


def list_cards(
    *,
    learner_id: str,
    deck_id: str | None = None,
    state: str | None = None,
    front: str | None = None,
    tag: str | None = None,
    suspended: bool | None = None,
    leech: bool | None = None,
    limit: int,
    start: Raw | None,
) -> Page[Card]:
    """One page of the learner's cards: by front, by deck and queue, by queue, else by id.

    What the chosen index does not order is narrowed inside the page. One query, and a read of the
    notes (a query of them where they lie in the same order).
    """
    letter = "S" if suspended else {"new": "N", "review": "R"}.get(state or "", "")
    letter = letter or ("L" if state else "")
    equal = {"state": state, "suspended": suspended, "leech": leech, "deck_id": deck_id}
    wanted = {name: value for name, value in equal.items() if value is not None}
    index, condition = None, Card.sk.startswith(Card.PREFIX)
    begins = TextPattern.literal(front or "")
    if front is not None:
        index, condition = "lsi3", Card.lsi3.startswith(front_start(front))
    elif deck_id:
        prefix = f"{deck_id}#{letter}#" if letter else f"{deck_id}#"
        index, condition = "lsi2", Card.lsi2.startswith(prefix)
    elif letter:
        index, condition = "lsi1", Card.lsi1.startswith(f"{letter}#")
    return look(
        learner_id,
        condition,
        index=index,
        stands=lambda card: all(getattr(card, name) == value for name, value in wanted.items()),
        says=None
        if tag is None and begins.is_plain
        else lambda card: tag in (None, *card.tags) and begins.matches(card.front, whole=False),
        limit=limit,
        read=limit + 1,
        start=start,
    )


def look(
    learner_id: str,
    condition: Condition,
    *,
    index: str | None,
    stands: Test,
    says: Test | None,
    limit: int,
    read: int,
    start: Raw | None,
) -> Page[Card]:
    """Up to `limit` cards that pass both tests, of the next `read` of an index.

    `stands` goes by the schedule alone, `says` by the text, which is read for it.
    """
    pairs, following = Card.looked_at(learner_id, condition, index=index, limit=read, start=start)
    pairs = [pair for pair in pairs if stands(pair[0])]
    found: list[tuple[Card, Raw]] = []
    if says is None:
        found = pairs[: limit + 1]
        _join(learner_id, [card for card, _ in found[:limit]], index)
    else:
        for chunk in chunks(pairs, JOINED if index else max(read, 1)):
            _join(learner_id, [card for card, _ in chunk], index)
            found += [pair for pair in chunk if pair[0].note and says(pair[0])]
            if len(found) > limit:
                break
    if len(found) > limit:
        following = found[limit - 1][1]
    return Page([card for card, _ in found[:limit] if card.note], following)


def _join(learner_id: str, cards: Sequence[Card], index: str | None) -> None:
    if index is None:
        Card.join_in_order(learner_id, cards)
    else:
        Card.join(learner_id, cards)
