"""Many cards at once: made from a list, or copied with their deck."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid5

from accounts.models import Head
from accounts.services.changes import commit
from config.problems import IdTaken, NotFound, Problem, ServiceUnavailable
from config.records import dataclass
from config.store.connection import chunks, in_turn, pause_between, retried
from config.store.items import ConditionFailed, batch_get
from config.store.transactions import Put, Write
from learning.models.cards import Card, Deck, DeckCopy, Note
from learning.services.cards import (
    ROOM,
    NoSuchDeck,
    Stored,
    Whole,
    create_deck,
    groups_of,
    new_card,
    new_note,
    open_deck_check,
)
from learning.services.media_on_cards import UnknownMedium, hold
from learning.services.progress import totals_with

CHUNK = 30  # notes in one transaction, each with a card and perhaps of another deck
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

    One read and one transaction for every 30. Raises ServiceUnavailable.
    """
    results: list[ItemResult] = []
    for number, chunk in enumerate(chunks(items, CHUNK)):
        if number:
            pause_between()
        # A microsecond apart, they keep their order in the queue.
        instants = [now + timedelta(microseconds=number * CHUNK + n) for n in range(len(chunk))]
        cards = [
            new_note(learner_id, "basic", fields, now, at=at)[1][0]
            for fields, at in zip(chunk, instants, strict=True)
        ]
        with in_turn(learner_id):
            results += _create_group(learner_id, cards)
    return results


@retried(ConditionFailed)
def _create_group(learner_id: str, cards: Sequence[Card]) -> list[ItemResult]:
    decks = {card.deck_id: Deck.key(learner_id, card.deck_id) for card in cards}
    keys = [key for card in cards for key in Card.keys(learner_id, card.id)]
    stored = batch_get(Head.key(learner_id), *decks.values(), *keys)
    taken: dict[str, Card] = {}
    outcomes = [_validate(learner_id, card, stored, decks, taken) for card in cards]
    new = [outcome.card for outcome in outcomes if outcome.status == "created" and outcome.card]
    if new:
        for card in new:
            card.counted_in_totals = ""
        head = Head.among(learner_id, stored)
        head.add(totals_with(*new))
        things = [thing for card in new for thing in (card.note, card) if thing]
        commit(
            head,
            *(Put(each, type(each).pk.does_not_exist()) for each in things),
            *(open_deck_check(learner_id, deck_id) for deck_id in {card.deck_id for card in new}),
        )
    return outcomes


def _validate(
    learner_id: str,
    card: Card,
    stored: Stored,
    decks: Mapping[str, tuple[str, str]],
    taken: dict[str, Card],
) -> ItemResult:
    """The result for one card, given the stored items and the cards taken before it."""
    present = taken.get(card.id) or Card.among(learner_id, card.id, stored)
    if present and present.note and present.request_digest == card.request_digest:
        return ItemResult("duplicate", present)
    if present or any(key in stored for key in Card.keys(learner_id, card.id)):
        return ItemResult("rejected", problem=IdTaken())
    deck = stored.get(decks[card.deck_id])
    if not isinstance(deck, Deck) or deck.closing:
        return ItemResult("rejected", problem=NoSuchDeck.at("deckId"))
    try:
        hold(learner_id, card.note.own_values() if card.note else {}, now=card.updated_at)
    except UnknownMedium as problem:
        return ItemResult("rejected", problem=problem)
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
    fields = {
        **source.own_values(),
        "id": copy_id,
        "name": name or source.name,
        "copied_from": deck_id,
    }
    deck = create_deck(learner_id=learner_id, fields=fields, now=now)
    copy = DeckCopy.of(learner_id, copy_id, now)
    for _ in range(COPY_BUDGET // COPY_CHUNK):
        if copy.done:
            return deck
        page = Card.in_deck(learner_id, deck_id, limit=COPY_CHUNK, start=copy.up_to)
        for group in groups_of(_copies(learner_id, page.items, deck, now), ROOM):
            with in_turn(learner_id):
                _copy(learner_id, group, deck)
            pause_between()
        copy.done, copy.up_to = page.next_key is None, page.next_key
        copy.put()
    if not copy.done:
        raise CopyUnfinished
    return deck


def _copies(learner_id: str, cards: Sequence[Card], deck: Deck, now: datetime) -> list[Whole]:
    """New notes that say what the notes of some cards say, each with new cards in their places."""
    stored = batch_get(*(key for card in cards for key in Card.keys(learner_id, card.id)))
    notes = {item.id: item for item in stored.values() if isinstance(item, Note)}
    whole = (item for item in stored.values() if isinstance(item, Card))
    places = {card.note_id: card.created_at for card in whole}
    copies = []
    for note_id, note in sorted(notes.items()):
        if note_id not in places:
            continue
        with suppress(UnknownMedium):  # it is missing on both
            hold(learner_id, note.own_values(), now=now)
        copied_id = str(uuid5(COPIES, f"{deck.id} {note_id}"))
        copy = Note(
            *Note.key(learner_id, copied_id),
            id=copied_id,
            type=note.type,
            request_digest=deck.request_digest,
            created_at=now,
            updated_at=now,
            **note.own_values() | {"deck_id": deck.id},
        )
        faces = copy.faces()
        new = [new_card(copy, face.ordinal, now, due_at=places[note_id]) for face in faces]
        copies.append(Whole(copy, new))
    return copies


@retried(ConditionFailed)
def _copy(learner_id: str, group: Sequence[Whole], deck: Deck) -> None:
    """Writes those copies that are not there yet."""
    keys = [(whole.note.pk, whole.note.sk) for whole in group if whole.note]
    stored = batch_get(Head.key(learner_id), *keys)
    missing = [w for w in group if w.note and (w.note.pk, w.note.sk) not in stored]
    if not missing:
        return
    cards = [card for whole in missing for card in whole.cards]
    for card in cards:
        card.counted_in_totals = ""
    head = Head.among(learner_id, stored)
    head.add(totals_with(*cards))
    things = [thing for whole in missing for thing in whole.things]
    writes: list[Write] = [Put(item, type(item).pk.does_not_exist()) for item in things]
    commit(head, *writes, open_deck_check(learner_id, deck.id))
