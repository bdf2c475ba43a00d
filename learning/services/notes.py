"""Notes, which make one card or several: written once, their cards follow."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from accounts.models import Head
from accounts.services.changes import commit
from config.problems import NotFound, check_version
from config.store.connection import retried
from config.store.items import ConditionFailed, batch_get
from config.store.transactions import Put, Write
from learning.models.base import Tombstone
from learning.models.cards import Card, Deck, Note
from learning.models.log import TornRead
from learning.services.cards import (
    CardOfNote,
    Stored,
    Written,
    add_note,
    apply_fields,
    cards_of,
    delete_write,
    faces,
    new_card,
    open_deck_check,
    require_deck,
)
from learning.services.media_on_cards import hold, shown_by, sweep_later
from learning.services.progress import totals_with, totals_without
from learning.services.review import refold


def create_note(*, learner_id: str, fields: Mapping[str, Any], now: datetime) -> Written:
    """Makes a note and its cards, new and due at once. Idempotent by id and fields.

    Raises ValidationFailed for a text without a card, IdTaken and NoSuchDeck.
    """
    rest = {name: value for name, value in fields.items() if name != "type"}
    return add_note(learner_id=learner_id, type=fields["type"], fields=rest, now=now)


@retried(ConditionFailed)
def read_note(*, learner_id: str, note_id: str) -> Written:
    """A note of any type with its cards: two reads. Raises NotFound."""
    note = Note.of(learner_id, note_id)
    if note is None:
        raise NotFound
    return note, cards_of(note)


def update_card(
    *,
    learner_id: str,
    card_id: str,
    changes: Mapping[str, Any],
    expected_version: int | None,
    now: datetime,
) -> Card:
    """Changes what a basic note's card says, or moves it to another deck.

    Raises NotFound, PreconditionFailed, NoSuchDeck, CardOfNote.
    """
    _require_basic(learner_id, card_id)
    _, (card,) = update_note(
        learner_id=learner_id,
        note_id=card_id,
        changes=changes,
        expected_version=expected_version,
        now=now,
        basic=True,
    )
    return card


def delete_card(
    *, learner_id: str, card_id: str, expected_version: int | None, now: datetime
) -> None:
    """Removes a basic note with its card; its reviews stay in the log.

    Raises NotFound, PreconditionFailed, CardOfNote.
    """
    _require_basic(learner_id, card_id)
    delete_note(
        learner_id=learner_id,
        note_id=card_id,
        expected_version=expected_version,
        now=now,
        basic=True,
    )


def _require_basic(learner_id: str, card_id: str) -> None:
    if "." in card_id:
        raise CardOfNote if Card.of(learner_id, card_id) else NotFound


@retried(ConditionFailed)
def update_note(
    *,
    learner_id: str,
    note_id: str,
    changes: Mapping[str, Any],
    expected_version: int | None,
    now: datetime,
    basic: bool = False,
) -> Written:
    """Changes a note and with it its cards: one read, one query for several cards, one transaction.

    Only cards that get another front or deck are written. A cloze that is added makes a card, one
    that is gone removes its card; brought back later, the card is where its log left it. `basic`:
    of other notes nothing is found. Raises ValidationFailed, NotFound, PreconditionFailed,
    NoSuchDeck, UnknownMedium.
    """
    keys = [*Card.keys(learner_id, note_id), Head.key(learner_id)]
    if "deck_id" in changes:
        keys.append(Deck.key(learner_id, changes["deck_id"]))
    stored = batch_get(*keys)
    note, cards = _found(learner_id, note_id, stored, basic=basic)
    check_version(expected_version, int(note.version))
    torn = {card.ordinal for card in cards if card.follow(note)}
    from_deck, shown = note.deck_id, shown_by(note.own_values())
    apply_fields(note, changes, now)
    left = shown.keys() - shown_by(note.own_values()).keys()
    hold(learner_id, note.own_values(), now=now, besides=shown)
    head = Head.among(learner_id, stored)
    after, writes = _rewritten(head, note, cards, torn, now)
    if note.deck_id != from_deck:
        require_deck(learner_id, note.deck_id, stored, field="deckId")
        writes.append(open_deck_check(learner_id, note.deck_id))
    commit(head, Put(note), *writes)
    if left:
        sweep_later(learner_id, now=now)
    return note, after


@retried(ConditionFailed)
def delete_note(
    *,
    learner_id: str,
    note_id: str,
    expected_version: int | None,
    now: datetime,
    basic: bool = False,
) -> None:
    """Removes a note and its cards; their reviews stay. Raises NotFound, PreconditionFailed."""
    stored = batch_get(*Card.keys(learner_id, note_id), Head.key(learner_id))
    note, cards = _found(learner_id, note_id, stored, basic=basic)
    check_version(expected_version, int(note.version))
    head = Head.among(learner_id, stored)
    head.add(totals_without(*cards))
    commit(head, delete_write(note, now), *(delete_write(card, now) for card in cards))
    if shown_by(note.own_values()):
        sweep_later(learner_id, now=now)


def _found(learner_id: str, note_id: str, stored: Stored, *, basic: bool) -> Written:
    """The note with its cards of what was fetched. Raises NotFound, TornRead."""
    note = stored.get(Note.key(learner_id, note_id))
    if not isinstance(note, Note) or (basic and note.type != "basic"):
        raise NotFound
    if note.type != "basic":
        return note, cards_of(note)
    card = Card.among(learner_id, note_id, stored)
    if card is None:
        raise TornRead
    return note, [card]


def _rewritten(
    head: Head, note: Note, cards: list[Card], torn: set[int], now: datetime
) -> tuple[list[Card], list[Write]]:
    """A note's cards as its text now makes them, and the writes that lead there.

    `torn`: the ordinals of cards that were read as they were before a change of the note. They are
    written even if they are as they should be: the rest of that change may come after this one.
    """
    present = {card.ordinal: card for card in cards}
    wanted = [face.ordinal for face in faces(note)]
    added = _added(note, [ordinal for ordinal in wanted if ordinal not in present], now)
    writes: list[Write] = []
    for ordinal in wanted:
        if (card := present.get(ordinal)) and (card.follow(note) or ordinal in torn):
            writes.append(Put(card))
    writes += [
        Put(card, Card.pk.does_not_exist() | (Tombstone.kind == Tombstone))
        for card in added.values()
    ]
    removed = [card for ordinal, card in present.items() if ordinal not in wanted]
    writes += [delete_write(card, now) for card in removed]
    head.add(totals_with(*added.values()))
    head.add(totals_without(*removed))
    return [added.get(ordinal) or present[ordinal] for ordinal in wanted], writes


def _added(note: Note, ordinals: list[int], now: datetime) -> dict[int, Card]:
    """Cards that a text makes anew, each where an earlier card of its id was left."""
    cards = {ordinal: new_card(note, ordinal, now, due_at=now) for ordinal in ordinals}
    left = batch_get(*((card.pk, card.sk) for card in cards.values())) if cards else {}
    for card in cards.values():
        tombstone = left.get((card.pk, card.sk))
        entries = tombstone.entries if isinstance(tombstone, Tombstone) else 0
        refold(learner_id=note.learner_id, card=card, entries=entries or 0, now=now)
    return cards
