"""Decks, and notes that make one card: made, and changed without losing a change.

What rules of several kinds need (`open_deck_check`, `delete_write`, `faces`) stands here as well.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from accounts.models import Head
from accounts.services.changes import commit
from config.formats import is_visible
from config.problems import (
    Conflict,
    FieldError,
    Filled,
    IdTaken,
    NotFound,
    ValidationFailed,
    check_version,
)
from config.store.connection import retried
from config.store.items import ConditionFailed, Item, batch_get
from config.store.transactions import LIMIT, Check, Put, Write
from learning.cloze import ClozeError, Face
from learning.models.base import LearnerItem, Tombstone, same_as, split_id
from learning.models.cards import Card, Deck, Note
from learning.models.log import TornRead
from learning.models.scheduler import Scheduler
from learning.services.media_on_cards import hold
from learning.services.progress import totals_with
from learning.services.study_context import DECK_OPTIONS, put_settings

ROOM = LIMIT - 4  # writes of a transaction beside head, journal, deck and scheduler

Stored = Mapping[tuple[str, str], Item]
Written = tuple[Note, list[Card]]


class CardOfNote(Conflict):
    code, title = "CARD_OF_NOTE", "The card is one of several of its note: change the note"


class NoSuchDeck(Conflict):
    code, title = "UNKNOWN_DECK", "You have no deck with this id"

    @classmethod
    def at(cls, field: str) -> "NoSuchDeck":
        return cls(errors=[FieldError(field, "unknown_deck", "You have no deck with this id.")])


# Decks


def create_deck(*, learner_id: str, fields: Mapping[str, Any], now: datetime) -> Deck:
    """Makes a deck; sent again with the same id and fields it is the same deck.

    One read, one transaction. Raises IdTaken when the id was used for anything else.
    """
    deck_id, rest, request_digest = split_id(fields)
    return _create_deck(learner_id, deck_id, rest, request_digest, now)


@retried(ConditionFailed)
def _create_deck(
    learner_id: str, deck_id: str, fields: Mapping[str, Any], request_digest: str, now: datetime
) -> Deck:
    key = Deck.key(learner_id, deck_id)
    stored = batch_get(key, *option_keys(learner_id))
    present: Deck | None = same_as(stored.get(key), Deck, request_digest)
    if present:
        return present
    deck = Deck(
        *key, id=deck_id, request_digest=request_digest, created_at=now, updated_at=now, **fields
    )
    head = Head.among(learner_id, stored)
    options = option_writes(head, stored, deck, {})
    commit(head, Put(deck, Deck.pk.does_not_exist()), *options)
    return deck


@retried(ConditionFailed)
def update_deck(
    *,
    learner_id: str,
    deck_id: str,
    changes: Mapping[str, Any],
    expected_version: int | None,
    now: datetime,
) -> Deck:
    """Changes a deck: one read, one transaction (with the scheduler where its options change).

    Raises NotFound and PreconditionFailed.
    """
    key = Deck.key(learner_id, deck_id)
    stored = batch_get(key, *option_keys(learner_id))
    deck = stored.get(key)
    if not isinstance(deck, Deck):
        raise NotFound
    check_version(expected_version, int(deck.version))
    before = own_options(deck)
    apply_fields(deck, changes, now)
    head = Head.among(learner_id, stored)
    commit(head, Put(deck), *option_writes(head, stored, deck, before))
    return deck


class Whole:
    """A note with all its cards; one half may be missing where a deletion was torn."""

    def __init__(self, note: Note | None, cards: list[Card]) -> None:
        self.note, self.cards = note, cards

    @property
    def things(self) -> list[Card | Note]:
        return [*self.cards, *([self.note] if self.note else [])]


def groups_of(wholes: Sequence[Whole], room: int) -> Iterable[list[Whole]]:
    """The notes in groups that fit a transaction of so many writes."""
    group: list[Whole] = []
    for whole in wholes:
        if group and sum(len(each.things) for each in [*group, whole]) > room:
            yield group
            group = []
        group.append(whole)
    if group:
        yield group


# Basic notes


def create_card(*, learner_id: str, fields: Mapping[str, Any], now: datetime) -> Card:
    """Makes a basic note with its one card, new and due at once. Idempotent as `create_deck`.

    One read, one transaction. Raises IdTaken and NoSuchDeck.
    """
    _, (card,) = add_note(learner_id=learner_id, type="basic", fields=fields, now=now)
    return card


def new_note(
    learner_id: str, type: str, fields: Mapping[str, Any], now: datetime, *, at: datetime
) -> Written:
    """A note that is not stored yet, with its cards, new and due `at`. Raises ValidationFailed."""
    creation = fields if type == "basic" else {**fields, "type": type}
    note_id, rest, request_digest = split_id(creation)
    note = Note(
        *Note.key(learner_id, note_id),
        id=note_id,
        request_digest=request_digest,
        created_at=now,
        updated_at=now,
        **{"type": type, **rest},
    )
    return note, [new_card(note, face.ordinal, now, due_at=at) for face in faces(note)]


def new_card(note: Note, ordinal: int, now: datetime, *, due_at: datetime) -> Card:
    """A card of a note that is not stored yet."""
    card = Card(
        *Card.key(note.learner_id, note.card_id(ordinal)),
        deck_id=note.deck_id,
        due_at=due_at,
        created_at=due_at,
        updated_at=now,
    )
    card.follow(note)
    return card


def add_note(*, learner_id: str, type: str, fields: Mapping[str, Any], now: datetime) -> Written:
    """Makes a note and its cards, new and due at once. Idempotent by id and fields.

    One read, one transaction. Raises ValidationFailed, IdTaken, NoSuchDeck and UnknownMedium.
    """
    hold(learner_id, fields, now=now)
    return _add_note(*new_note(learner_id, type, fields, now, at=now))


@retried(ConditionFailed)
def _add_note(note: Note, cards: list[Card]) -> Written:
    learner_id = note.learner_id
    keys = [(each.pk, each.sk) for each in (note, *cards)]
    stored = batch_get(*keys, Deck.key(learner_id, note.deck_id), Head.key(learner_id))
    if present := same_as(stored.get(keys[0]), Note, note.request_digest):
        return present, cards_of(present)
    if any(key in stored for key in keys):
        raise IdTaken
    require_deck(learner_id, note.deck_id, stored, field="deckId")
    head = Head.among(learner_id, stored)
    for card in cards:
        card.counted_in_totals = ""
    head.add(totals_with(*cards))
    commit(
        head,
        Put(note, Note.pk.does_not_exist()),
        *(Put(card, Card.pk.does_not_exist()) for card in cards),
        open_deck_check(learner_id, note.deck_id),
    )
    return note, cards


def cards_of(note: Note) -> list[Card]:
    """A stored note's cards in order, with it: one query or read.

    Raises TornRead where these are others than its text makes.
    """
    if note.type != "basic":
        cards = Card.of_note(note.learner_id, note.id)
    else:
        card = Card.of(note.learner_id, note.id)
        cards = [card] if card else []
    if {card.ordinal for card in cards} != {face.ordinal for face in note.faces()}:
        raise TornRead
    for card in cards:
        card.note = note
    return sorted(cards, key=lambda card: card.ordinal)


def faces(note: Note) -> list[Face]:
    """The cards that a note makes. Raises ValidationFailed."""
    if note.type != "cloze" and not is_visible(note.back):
        message = Filled("A {type} note needs a back.", type=note.type)
        raise ValidationFailed.of("back", "blank", message)
    try:
        return note.faces()
    except ClozeError as error:
        raise ValidationFailed.of("front", error.code, str(error)) from error


def require_deck(learner_id: str, deck_id: str, stored: Stored, *, field: str) -> None:
    """Raises NoSuchDeck where a deck is not there, or is being deleted."""
    deck = stored.get(Deck.key(learner_id, deck_id))
    if not isinstance(deck, Deck) or deck.closing:
        raise NoSuchDeck.at(field)


def open_deck_check(learner_id: str, deck_id: str) -> Check:
    """The condition that a deck exists and is not being deleted."""
    condition = (Deck.kind == Deck) & Deck.closing.does_not_exist()
    return Check(*Deck.key(learner_id, deck_id), condition)


def apply_fields(item: LearnerItem, changes: Mapping[str, Any], now: datetime) -> None:
    for name, value in changes.items():
        setattr(item, name, value)
    item.updated_at = now


def delete_write(item: Card | Deck | Note, now: datetime) -> Put:
    """The write that leaves a tombstone in an item's place, provided it has not changed."""
    if isinstance(item, Card):
        return Put(Tombstone.of(item, now), Card.revision == item.revision)
    return Put(Tombstone.of(item, now), type(item).version == item.version)


# What a deck has of its own in place of the learner's settings


def own_options(deck: Deck) -> dict[str, Any]:
    """The options that a deck has of its own."""
    return {name: value for name in DECK_OPTIONS if (value := getattr(deck, name)) is not None}


def option_keys(learner_id: str) -> list[tuple[str, str]]:
    return [Head.key(learner_id), Scheduler.key(learner_id)]


def option_writes(head: Head, stored: Stored, deck: Deck, before: Mapping[str, Any]) -> list[Write]:
    """The write that brings the scheduler's copy of a deck's options up to date, if need be.

    The copy lets a review find them in the same read as everything else.
    """
    after = {} if deck.closing else own_options(deck)
    if after == before:
        return []
    key = Scheduler.key(head.learner_id)
    present = stored.get(key)
    scheduler = present if isinstance(present, Scheduler) else Scheduler(*key)
    if deck.closing:
        scheduler.forget_deck(deck.id)
    else:
        is_new = deck.version is None
        scheduler.set_deck_options(deck.id, after, since=None if is_new else timezone.now())
    return [put_settings(head, scheduler)]
