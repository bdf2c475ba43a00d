"""Many cards at once: made from a list, or copied with their deck."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid5

from config.problems import IdTaken, NotFound, Problem, ServiceUnavailable
from config.store.items import ConditionFailed, Item, Put, Write, batch_get, transact
from learning.models.cards import Card, Deck, DeckCopy, Note
from learning.services.cards import NoSuchDeck, create_deck, new_card, open_deck_check
from learning.services.notes import SHARED
from learning.services.progress import totals_with, totals_write

TRIES = 8
CHUNK = 45  # cards in one transaction, each perhaps of another deck, and one read of both
COPY_CHUNK = 25
COPIES = UUID("9e6d8b52-5f4e-4d35-9f0a-c0a4b6f9d1c7")  # ours; only has to stay the same
COPY_BUDGET = 1_000  # cards in one request, well inside API Gateway's 29 s


class CopyUnfinished(ServiceUnavailable):
    code, title = "COPY_UNFINISHED", "The deck has more cards than one request can copy"


@dataclass(frozen=True)
class ItemResult:
    """What became of one card of a list."""

    status: Literal["created", "duplicate", "rejected"]
    card: Card | None = None
    problem: Problem | None = None

    def shown(self) -> dict[str, Any]:
        """As the answer shows it."""
        problem = self.problem.body() if self.problem else None
        return {"status": self.status, "card": self.card, "problem": problem}


def create_cards(
    *, learner_id: str, items: Sequence[Mapping[str, Any]], now: datetime
) -> list[ItemResult]:
    """Makes basic notes with their cards, each or none; new ones come up in the order given.

    One read and one transaction for every 45. Raises ServiceUnavailable.
    """
    results: list[ItemResult] = []
    for start in range(0, len(items), CHUNK):
        # A microsecond apart, they keep their order in the queue.
        cards = [
            new_card(learner_id, fields, now + timedelta(microseconds=start + n))
            for n, fields in enumerate(items[start : start + CHUNK])
        ]
        results += _create_group(learner_id, cards)
    return results


def _create_group(learner_id: str, cards: Sequence[Card]) -> list[ItemResult]:
    decks = {card.deck_id: Deck.key(learner_id, card.deck_id) for card in cards}
    for _ in range(TRIES):
        stored = batch_get(*((card.pk, card.sk) for card in cards), *decks.values())
        taken: dict[str, Card] = {}
        outcomes = [_validate(card, stored, decks, taken) for card in cards]
        new = [outcome.card for outcome in outcomes if outcome.status == "created" and outcome.card]
        if not new:
            return outcomes
        try:
            transact(
                *(Put(card, Card.pk.does_not_exist()) for card in new),
                *(
                    open_deck_check(learner_id, deck_id)
                    for deck_id in {card.deck_id for card in new}
                ),
                *totals_write(learner_id, totals_with(*new)),
            )
        except ConditionFailed:
            for card in new:
                card.counted_in_totals = ""
            continue
        return outcomes
    raise ServiceUnavailable


def _validate(
    card: Card,
    stored: Mapping[tuple[str, str], Item],
    decks: Mapping[str, tuple[str, str]],
    taken: dict[str, Card],
) -> ItemResult:
    """What is to become of one card, given what is stored and taken before it."""
    present = taken.get(card.id) or stored.get((card.pk, card.sk))
    if isinstance(present, Card) and present.request_digest == card.request_digest:
        return ItemResult("duplicate", present)
    if present is not None:
        return ItemResult("rejected", problem=IdTaken())
    deck = stored.get(decks[card.deck_id])
    if not isinstance(deck, Deck) or deck.closing:
        return ItemResult("rejected", problem=NoSuchDeck.at("deckId"))
    taken[card.id] = card
    return ItemResult("created", card)


def duplicate_deck(
    *, learner_id: str, deck_id: str, copy_id: str, name: str | None, now: datetime
) -> Deck:
    """Copies a deck with its notes and cards, all new. Sent again it goes on where it ended.

    The copies' ids follow from the copy's, so that none is made twice. Raises NotFound, IdTaken
    and, beyond 1,000 cards, CopyUnfinished.
    """
    source = Deck.of(learner_id, deck_id)
    if source is None:
        raise NotFound
    copied = (
        *("description", "native_language", "target_language"),
        *("new_cards_per_day", "reviews_per_day", "desired_retention"),
    )
    fields = {name_: getattr(source, name_) for name_ in copied}
    deck = create_deck(
        learner_id=learner_id,
        fields={"id": copy_id, "name": name or source.name, "copied_from": deck_id, **fields},
        now=now,
    )
    copy = DeckCopy.of(learner_id, copy_id, now)
    for _ in range(COPY_BUDGET // COPY_CHUNK):
        if copy.done:
            return deck
        page = Card.page_of_deck(learner_id, deck_id, limit=COPY_CHUNK, start=copy.up_to)
        _copy(learner_id, page.items, deck, now)
        copy.done, copy.up_to = page.next_key is None, page.next_key
        copy.put()
    if not copy.done:
        raise CopyUnfinished
    return deck


def _copy(learner_id: str, cards: Sequence[Card], deck: Deck, now: datetime) -> None:
    """Makes those copies of some cards, and of their notes, that are not there yet."""
    note_ids = {card.note_id for card in cards if card.has_siblings}
    for _ in range(TRIES):
        wanted = [_copied_card(learner_id, card, deck, now) for card in cards]
        keys = [Note.key(learner_id, note_id) for note_id in note_ids]
        sources = batch_get(*keys) if keys else {}
        notes = [
            _copied_note(learner_id, note, deck, now)
            for note in sources.values()
            if isinstance(note, Note)
        ]
        things: list[Card | Note] = [*wanted, *notes]
        present = batch_get(*((item.pk, item.sk) for item in things)) if things else {}
        missing = [item for item in things if (item.pk, item.sk) not in present]
        if not missing:
            return
        new = [item for item in missing if isinstance(item, Card)]
        writes: list[Write] = [Put(item, type(item).pk.does_not_exist()) for item in missing]
        try:
            transact(
                *writes,
                open_deck_check(learner_id, deck.id),
                *totals_write(learner_id, totals_with(*new)),
            )
        except ConditionFailed:
            continue
        return
    raise ServiceUnavailable


def _copied_card(learner_id: str, card: Card, deck: Deck, now: datetime) -> Card:
    """A new card that says what a card says, in its place among the others."""
    note_id = _copied_id(deck, card.note_id)
    card_id = f"{note_id}.{card.ordinal:.0f}" if card.has_siblings else note_id
    copy = Card(
        *Card.key(learner_id, card_id),
        id=card_id,
        note_id=note_id,
        ordinal=card.ordinal,
        request_digest=deck.request_digest,
        due_at=card.created_at,
        created_at=now,
        updated_at=now,
        **_text(card, deck),
    )
    copy.set_index_keys()
    return copy


def _copied_note(learner_id: str, note: Note, deck: Deck, now: datetime) -> Note:
    note_id = _copied_id(deck, note.id)
    return Note(
        *Note.key(learner_id, note_id),
        id=note_id,
        type=note.type,
        request_digest=deck.request_digest,
        created_at=now,
        updated_at=now,
        **_text(note, deck),
    )


def _copied_id(deck: Deck, source_id: str) -> str:
    return str(uuid5(COPIES, f"{deck.id} {source_id}"))


def _text(source: Card | Note, deck: Deck) -> dict[str, Any]:
    same = {name: getattr(source, name) for name in ("front", "back", *SHARED)}
    return same | {"deck_id": deck.id}
