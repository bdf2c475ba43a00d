"""Notes that make several cards: written once, their cards follow."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from config.formats import is_visible
from config.problems import NotFound, ServiceUnavailable, ValidationFailed, check_version
from config.store.items import Check, ConditionFailed, Put, Write, transact
from learning.cloze import ClozeError, Face, cloze_faces, reversed_faces
from learning.models.base import Tombstone
from learning.models.cards import Card, Note
from learning.services import cards as basic
from learning.services.cards import NoSuchDeck, apply_fields, delete_write, open_deck_check
from learning.services.idempotency import find_existing, split_id
from learning.services.progress import totals_with, totals_without, totals_write
from learning.services.review import refold

TRIES = 8
# What the cards have as their note has it.
SHARED = (
    *("deck_id", "phonetic", "example", "notes", "tags"),
    *("audio_url", "image_url", "source_session_id", "source_turn"),
)

Written = tuple[Note | Card, list[Card]]


def create_note(*, learner_id: str, fields: Mapping[str, Any], now: datetime) -> Written:
    """Makes a note and its cards, new and due at once. Idempotent by id and fields.

    Raises ValidationFailed for a text without a card, IdTaken and NoSuchDeck.
    """
    if fields["type"] == "basic":
        rest = {name: value for name, value in fields.items() if name != "type"}
        _need_back(rest)
        card = basic.create_card(learner_id=learner_id, fields=rest, now=now)
        return card, [card]
    note_id, rest, request_digest = split_id(fields)
    note = Note(
        *Note.key(learner_id, note_id),
        id=note_id,
        request_digest=request_digest,
        created_at=now,
        updated_at=now,
        **rest,
    )
    cards = [_card(note, learner_id, face, now) for face in faces(note)]
    try:
        transact(
            Put(note, Note.pk.does_not_exist()),
            *(Put(card, Card.pk.does_not_exist()) for card in cards),
            open_deck_check(learner_id, note.deck_id),
            *totals_write(learner_id, totals_with(*cards)),
        )
    except ConditionFailed as error:
        if existing := find_existing(note):
            return existing, Card.of_note(learner_id, note_id)
        raise NoSuchDeck.at("deckId") from error
    return note, cards


def read_note(*, learner_id: str, note_id: str) -> Written:
    """A note of any type with its cards: two reads. Raises NotFound."""
    if note := Note.of(learner_id, note_id):
        return note, Card.of_note(learner_id, note_id)
    if card := Card.of(learner_id, note_id):
        return card, [card]
    raise NotFound


def update_note(
    *,
    learner_id: str,
    note_id: str,
    changes: Mapping[str, Any],
    expected_version: int | None,
    now: datetime,
) -> Written:
    """Changes a note and with it all its cards: two reads, one transaction.

    A cloze that is added makes a card, one that is gone removes its card; brought back later, the
    card is where its log left it. Raises ValidationFailed, NotFound, PreconditionFailed,
    NoSuchDeck.
    """
    for _ in range(TRIES):
        note, cards = read_note(learner_id=learner_id, note_id=note_id)
        if isinstance(note, Card):
            _need_back(changes)
            card = basic.update_card(
                learner_id=learner_id,
                card_id=note_id,
                changes=changes,
                expected_version=expected_version,
                now=now,
            )
            return card, [card]
        check_version(expected_version, int(note.version))
        from_deck = note.deck_id
        apply_fields(note, changes, now)
        after, writes = _rewritten(learner_id, note, cards, now)
        if note.deck_id != from_deck:
            writes.append(open_deck_check(learner_id, note.deck_id))
        try:
            transact(Put(note), *writes)
        except ConditionFailed as lost:
            if any(isinstance(write, Check) for write in lost.lost):
                raise NoSuchDeck.at("deckId") from lost
            continue
        return note, after
    raise ServiceUnavailable


def delete_note(
    *, learner_id: str, note_id: str, expected_version: int | None, now: datetime
) -> None:
    """Removes a note and its cards; their reviews stay. Raises NotFound, PreconditionFailed."""
    for _ in range(TRIES):
        note, cards = read_note(learner_id=learner_id, note_id=note_id)
        check_version(expected_version, int(note.version))
        things: list[Note | Card] = [note, *cards] if isinstance(note, Note) else [*cards]
        try:
            transact(
                *(delete_write(item, now) for item in things),
                *totals_write(learner_id, totals_without(*cards)),
            )
        except ConditionFailed:
            continue
        return
    raise ServiceUnavailable


def _need_back(fields: Mapping[str, Any]) -> None:
    if not is_visible(fields.get("back", "given")):
        raise ValidationFailed.of("back", "blank", "A basic note needs a back.")


def faces(note: Note) -> list[Face]:
    """The cards that a note makes. Raises ValidationFailed."""
    if note.type == "reversed":
        if not is_visible(note.back):
            raise ValidationFailed.of("back", "blank", "A reversed note needs a back.")
        return reversed_faces(note.front, note.back)
    try:
        return cloze_faces(note.front, note.back)
    except ClozeError as error:
        raise ValidationFailed.of("front", error.code, str(error)) from error


def _card(note: Note, learner_id: str, face: Face, now: datetime) -> Card:
    card_id = f"{note.id}.{face.ordinal}"
    card = Card(
        *Card.key(learner_id, card_id),
        id=card_id,
        note_id=note.id,
        ordinal=face.ordinal,
        request_digest=note.request_digest,
        due_at=now,
        created_at=now,
        updated_at=now,
    )
    _write_on(card, note, face)
    return card


def _write_on(card: Card, note: Note, face: Face) -> None:
    """Puts what a note says on one of its cards."""
    card.front, card.back = face.front, face.back
    for name in SHARED:
        setattr(card, name, getattr(note, name))
    card.set_index_keys()


def _rewritten(
    learner_id: str, note: Note, cards: Sequence[Card], now: datetime
) -> tuple[list[Card], list[Write]]:
    """A note's cards as its text now makes them, and the writes that lead there."""
    present = {int(card.ordinal): card for card in cards}
    after, writes, added = [], list[Write](), []
    for face in faces(note):
        if card := present.pop(face.ordinal, None):
            card.updated_at = now
            _write_on(card, note, face)
            writes.append(Put(card))
        else:
            card = _card(note, learner_id, face, now)
            refold(learner_id=learner_id, card=card, now=now)
            added.append(card)
            free = Card.pk.does_not_exist() | (Tombstone.kind == Tombstone)
            writes.append(Put(card, free))
        after.append(card)
    removed = present.values()
    writes += [delete_write(card, now) for card in removed]
    totals = totals_with(*added)
    totals.update(totals_without(*removed))
    return after, [*writes, *totals_write(learner_id, totals)]
