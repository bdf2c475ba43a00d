"""Lists of cards and searches: chooses the index for each, and filters inside its pages."""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pynamodb.expressions.condition import Condition

from accounts.models import learner_key
from config.problems import Filled, ValidationFailed
from config.records import dataclass
from config.store.connection import chunks
from config.store.items import Page, Raw, key_instant
from learning.models.cards import FRONT_KEY_LENGTH, Card, Deck, front_start
from learning.scheduling import State
from learning.search_syntax import Search, SearchError, Term, TextPattern, parse

TEXTS = ("front", "tag")  # fields that are matched against the text, not the schedule
UNTAGGED = "none"
ANY = "*"  # as in Anki, those without a tag as well
READ = 500  # cards looked at for one page of a search, however many there are
JOINED = 100  # cards whose text is read at once
DECKS = 1_000  # decks whose names are looked through
Test = Callable[[Card], bool]
COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


def search_cards(
    *, learner_id: str, text: str, limit: int, start: Raw | None, now: datetime
) -> Page[Card]:
    """One page of the cards a search finds: one query, and one more of the decks with `deck:`.

    At most 500 cards are looked at, so a page may be short, even empty, and have a next one.
    Raises ValidationFailed that names the offending position.
    """
    try:
        search = parse(text)
        decks = _decks(learner_id, search)
    except SearchError as error:
        message = Filled("At character {place}: {why}", place=error.position + 1, why=str(error))
        raise ValidationFailed.of("q", "search_syntax", message) from error
    by_text = [term for term in search.terms if term.field in TEXTS]
    tests = [_test(term, decks, now) for term in search.terms if term.field not in TEXTS]
    front = TextPattern.of(search.front)
    if not front.is_plain or len(front.start) >= FRONT_KEY_LENGTH:
        by_text.append(Term("front", search.front, 0, "start"))
    index, condition = _index(search, decks, now)

    def page(condition: Condition, limit: int, start: Raw | None) -> Page[Card]:
        return page_of_matches(
            learner_id,
            condition,
            index=index,
            stands=lambda card: all(test(card) for test in tests),
            says=(lambda card: all(_says(card, term) for term in by_text)) if by_text else None,
            limit=limit,
            read=READ if search.terms or by_text else limit + 1,
            start=start,
        )

    if not isinstance(condition, _Due):
        return page(condition, limit, start)
    steps, reviews = condition.steps, condition.reviews
    cards: list[Card] = []
    if start is None or start[str(index)]["S"] < condition.first_review:
        first = page(steps, limit, start)
        if first.next_key:
            return first
        cards, start = first.items, None
        if len(cards) == limit:
            at = {"pk": learner_key(learner_id), "sk": "!", str(index): condition.first_review}
            return Page(cards, {name: {"S": value} for name, value in at.items()})
    rest = page(reviews, limit - len(cards), start)
    return Page([*cards, *rest.items], rest.next_key)


@dataclass(frozen=True)
class _Due:
    """The two queues with due cards, with the new cards between them."""

    steps: Condition
    reviews: Condition
    first_review: str


def _decks(learner_id: str, search: Search) -> dict[str, frozenset[str]]:
    """The ids of the decks that each `deck:` names, by id or by name, with the decks below them.

    A deck of exactly that name comes before others that differ only in case or accents. A name with
    wildcards names every deck that it fits, perhaps none.
    """
    wanted = [term for term in search.terms if term.field == "deck"]
    if not wanted:
        return {}
    names = {deck.id: deck.name for deck in Deck.all_of(learner_id, limit=DECKS, start=None).items}
    deck_ids = {}
    for term in wanted:
        ids = frozenset(_named(term.value, names))
        if not ids and TextPattern.of(term.value).is_plain:
            raise SearchError(term.position, "You have no such deck.")
        deck_ids[term.value] = ids
    return deck_ids


def _named(typed: str, names: Mapping[str, str]) -> Iterator[str]:
    pattern = TextPattern.of(typed)
    exact = typed in names or (not pattern.wildcards and typed in names.values())
    for deck_id, name in names.items():
        if exact:
            if typed in (deck_id, name) or name.startswith(f"{names.get(typed, typed)}::"):
                yield deck_id
        elif any(pattern.matches(path) for path in _paths(name)):
            yield deck_id


def _paths(name: str) -> Iterator[str]:
    """A name and those above it: `a::b` and `a`."""
    while name:
        yield name
        name = name.rpartition("::")[0]


def _index(
    search: Search, decks: Mapping[str, frozenset[str]], now: datetime
) -> tuple[str | None, Condition | _Due]:
    """The index that leaves the least to filter."""
    plain = [term for term in search.terms if not term.negated]
    fronts = [search.front, *(term.value for term in plain if term.field == "front")]
    if start := max((TextPattern.of(front).start for front in fronts), key=len):
        return "lsi3", Card.lsi3.startswith(front_start(start))
    states = [term.value for term in plain if term.field == "is"]
    named = (decks[term.value] for term in plain if term.field == "deck")
    deck = next((only for ids in named if len(ids) == 1 for only in ids), None)
    prefix, attribute = (f"{deck}#", Card.lsi2) if deck else ("", Card.lsi1)
    index = "lsi2" if deck else "lsi1"
    if "suspended" in states:
        return index, attribute.startswith(f"{prefix}S#")
    if "due" in states:
        last = key_instant(now)
        return index, _Due(
            attribute.between(f"{prefix}L#", f"{prefix}L#{last}"),
            attribute.between(f"{prefix}R#", f"{prefix}R#{last}"),
            f"{prefix}R#",
        )
    if search.front or any(term.field in TEXTS for term in plain):
        return None, Card.sk.startswith(Card.PREFIX)  # where the notes lie in the same order
    if deck:
        return index, attribute.startswith(prefix)
    if search.terms:
        return index, attribute > "0"
    return None, Card.sk.startswith(Card.PREFIX)


def _says(card: Card, term: Term) -> bool:
    """What a term asks of a card's text."""
    if term.field == "front":
        whole = term.name != "start"
        return TextPattern.of(term.value).matches(card.front, whole=whole) is not term.negated
    return is_tagged(card.tags, term)


def is_tagged(tags: Iterable[str], term: Term) -> bool:
    """Whether a `tag:` term finds one of the tags, or a tag above it."""
    tags = [tag for tag in tags if tag]
    if term.value == UNTAGGED:
        return (not tags) is not term.negated
    if term.value == ANY:
        return not term.negated
    pattern = TextPattern.of(term.value)
    return any(pattern.matches(path) for tag in tags for path in _paths(tag)) is not term.negated


def _test(term: Term, decks: Mapping[str, frozenset[str]], now: datetime) -> Test:
    """The test that a term makes of a card's schedule."""
    match term.field:
        case "deck":
            wanted = decks[term.value]
            return lambda card: (card.deck_id in wanted) is not term.negated
        case "prop":
            compare, number = COMPARE[term.operator], float(term.value)
            return lambda card: _compares(card, term, compare, number)
        case _:
            return lambda card: _is(card, term.value, now) is not term.negated


def _compares(card: Card, term: Term, compare: Callable[[Any, Any], bool], number: float) -> bool:
    """Whether a property compares so. A card without it is not found, as in Anki."""
    value = getattr(card, term.name)
    return value is not None and bool(compare(value, number)) is not term.negated


def _is(card: Card, state: str, now: datetime) -> bool:
    match state:
        case "due":
            free = card.buried_until is None or card.buried_until <= now
            return (
                card.state != State.NEW.value
                and card.due_at <= now
                and free
                and not (card.suspended)
            )
        case "review":  # relearning too, as in Anki
            return card.state in (State.REVIEW.value, State.RELEARNING.value)
        case "learning":
            return card.state in (State.LEARNING.value, State.RELEARNING.value)
        case "suspended":
            return card.suspended
        case "leech":
            return card.leech
        case "buried":
            return card.buried_until is not None and card.buried_until > now
        case _:
            return card.state == state


# --- Lists ----------------------------------------------------------------------------------------


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

    Filters that the chosen index does not serve are applied inside the page. One query, and a read
    of the notes (a query of them where they lie in the same order).
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
    return page_of_matches(
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


def page_of_matches(
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

    `stands` tests the schedule alone, `says` the text, which is read for it.
    """
    pairs, following = Card.candidates(learner_id, condition, index=index, limit=read, start=start)
    pairs = [pair for pair in pairs if stands(pair[0])]
    matches: list[tuple[Card, Raw]] = []
    if says is None:
        matches = pairs[: limit + 1]
        _join(learner_id, [card for card, _ in matches[:limit]], index)
    else:
        for chunk in chunks(pairs, JOINED if index else max(read, 1)):
            _join(learner_id, [card for card, _ in chunk], index)
            matches += [pair for pair in chunk if pair[0].note and says(pair[0])]
            if len(matches) > limit:
                break
    if len(matches) > limit:
        following = matches[limit - 1][1]
    return Page([card for card, _ in matches[:limit] if card.note], following)


def _join(learner_id: str, cards: Sequence[Card], index: str | None) -> None:
    if index is None:
        Card.join_in_order(learner_id, cards)
    else:
        Card.join(learner_id, cards)
