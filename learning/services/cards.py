"""Decks and their cards: made once, changed without losing another device's change, removed."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from config.problems import (
    Conflict,
    FieldError,
    NotFound,
    ServiceUnavailable,
    check_version,
)
from config.store.items import Check, ConditionFailed, Item, Put, Write, batch_get, transact
from learning.models.base import Tombstone
from learning.models.cards import Card, Deck, Note
from learning.services.idempotency import find_existing, split_id
from learning.services.progress import totals_with, totals_without, totals_write
from learning.services.study_context import DECK_OPTIONS, read_scheduler

TRIES = 8
BATCH = 25  # cards moved or removed in one transaction with their deck checked
DELETE_BUDGET = 1_000  # cards in one request: some 5 s, well inside API Gateway's 29 s


class DeckNotEmpty(Conflict):
    code, title = "DECK_NOT_EMPTY", "The deck has cards: say whether to delete or to move them"


class DeletionUnfinished(ServiceUnavailable):
    code, title = "DELETION_UNFINISHED", "The deck has more cards than one request can remove"


class CardOfNote(Conflict):
    code, title = "CARD_OF_NOTE", "The card is one of several of its note: change the note"


class NoSuchDeck(Conflict):
    code, title = "UNKNOWN_DECK", "You have no deck with this id"

    @classmethod
    def at(cls, field: str) -> "NoSuchDeck":
        return cls(errors=[FieldError(field, "unknown_deck", "You have no deck with this id.")])


def create_deck(*, learner_id: str, fields: Mapping[str, Any], now: datetime) -> Deck:
    """Makes a deck; sent again with the same id and fields it is the same deck.

    Raises IdTaken when the id was used for anything else.
    """
    deck_id, rest, request_digest = split_id(fields)
    while True:
        deck = Deck(
            *Deck.key(learner_id, deck_id),
            id=deck_id,
            request_digest=request_digest,
            created_at=now,
            updated_at=now,
            **rest,
        )
        try:
            transact(Put(deck, Deck.pk.does_not_exist()), *_options_write(learner_id, deck, {}))
        except ConditionFailed:
            if existing := find_existing(deck):
                return existing
            continue  # only the scheduler's settings were changed meanwhile
        return deck


def create_card(*, learner_id: str, fields: Mapping[str, Any], now: datetime) -> Card:
    """Makes a basic note with its one card, new and due at once. Idempotent as `create_deck`.

    Raises IdTaken and NoSuchDeck.
    """
    card = new_card(learner_id, fields, now)
    try:
        transact(
            Put(card, Card.pk.does_not_exist()),
            open_deck_check(learner_id, card.deck_id),
            *totals_write(learner_id, totals_with(card)),
        )
    except ConditionFailed as error:
        if existing := find_existing(card):
            return existing
        raise NoSuchDeck.at("deckId") from error
    return card


def new_card(learner_id: str, fields: Mapping[str, Any], now: datetime) -> Card:
    """A basic note's card that is not stored yet."""
    card_id, rest, request_digest = split_id(fields)
    card = Card(
        *Card.key(learner_id, card_id),
        id=card_id,
        note_id=card_id,
        request_digest=request_digest,
        due_at=now,
        created_at=now,
        updated_at=now,
        **rest,
    )
    card.set_index_keys()
    return card


def open_deck_check(learner_id: str, deck_id: str) -> Check:
    """The condition that a deck exists and is not being deleted."""
    condition = (Deck.kind == Deck) & Deck.closing.does_not_exist()
    return Check(*Deck.key(learner_id, deck_id), condition)


def update_deck(
    *,
    learner_id: str,
    deck_id: str,
    changes: Mapping[str, Any],
    expected_version: int | None,
    now: datetime,
) -> Deck:
    """Changes a deck: one read, one write (and the scheduler's where its options change).

    Raises NotFound and PreconditionFailed.
    """
    for _ in range(TRIES):
        deck = Deck.of(learner_id, deck_id)
        if deck is None:
            raise NotFound
        check_version(expected_version, int(deck.version))
        before = _own_options(deck)
        apply_fields(deck, changes, now)
        try:
            transact(Put(deck), *_options_write(learner_id, deck, before))
        except ConditionFailed:
            continue
        return deck
    raise ServiceUnavailable


def update_card(
    *,
    learner_id: str,
    card_id: str,
    changes: Mapping[str, Any],
    expected_version: int | None,
    now: datetime,
) -> Card:
    """Changes what a card says, or moves it to another deck: one read, one write.

    A review that comes in meanwhile is kept: the change is made anew on the card it left.
    Raises NotFound, PreconditionFailed, NoSuchDeck, CardOfNote.
    """
    for _ in range(TRIES):
        card = Card.of(learner_id, card_id)
        if card is None:
            raise NotFound
        if card.has_siblings:
            raise CardOfNote
        check_version(expected_version, int(card.version))
        from_deck = card.deck_id
        apply_fields(card, changes, now)
        card.set_index_keys()
        moved = [open_deck_check(learner_id, card.deck_id)] if card.deck_id != from_deck else []
        try:
            transact(Put(card), *moved)
        except ConditionFailed as lost:
            if any(isinstance(write, Check) for write in lost.lost):
                raise NoSuchDeck.at("deckId") from lost
            continue
        return card
    raise ServiceUnavailable


def delete_card(
    *, learner_id: str, card_id: str, expected_version: int | None, now: datetime
) -> None:
    """Removes a card; its reviews stay in the log.

    Raises NotFound, PreconditionFailed, CardOfNote.
    """
    for _ in range(TRIES):
        card = Card.of(learner_id, card_id)
        if card is None:
            raise NotFound
        if card.has_siblings:
            raise CardOfNote
        check_version(expected_version, int(card.version))
        try:
            transact(delete_write(card, now), *totals_write(learner_id, totals_without(card)))
        except ConditionFailed:
            continue
        return
    raise ServiceUnavailable


def delete_deck(
    *,
    learner_id: str,
    deck_id: str,
    delete_cards: bool,
    move_to: str | None,
    expected_version: int | None,
    now: datetime,
) -> None:
    """Removes a deck; its cards move to another deck, or go with it where that was asked.

    The deck is closed to new cards meanwhile, so that none is left behind: that is no change of
    its version, and a refusal opens it again. A request that ends midway is sent again and goes
    on. Raises NotFound, PreconditionFailed, DeckNotEmpty, NoSuchDeck and, beyond 1,000 cards,
    DeletionUnfinished.
    """
    keys = [Deck.key(learner_id, id_) for id_ in (deck_id, move_to) if id_]
    for attempt in range(TRIES):
        stored = batch_get(*keys)
        deck = stored.get(keys[0])
        if not isinstance(deck, Deck):
            if attempt:
                return  # another request has removed it meanwhile
            raise NotFound
        check_version(expected_version, int(deck.version))
        try:
            if move_to is not None and not _takes_cards(stored.get(keys[1]), besides=deck):
                raise NoSuchDeck.at("moveTo")
            keeps_cards = move_to is None and not delete_cards
            if keeps_cards and Card.in_deck(learner_id, deck_id, limit=1):
                raise DeckNotEmpty
            if not deck.block_new_cards():
                continue
            _clear_all(learner_id, deck_id, move_to, now, keeps_cards=keeps_cards)
        except (DeckNotEmpty, NoSuchDeck):
            deck.allow_new_cards()
            raise
        with suppress(ConditionFailed):
            unchanged = (Deck.version == deck.version) & Deck.closing.exists()
            tombstone = Put(Tombstone.of(deck, now), unchanged)
            transact(tombstone, *_options_write(learner_id, deck, _own_options(deck)))
            return
    raise ServiceUnavailable


def _takes_cards(item: Item | None, *, besides: Deck) -> bool:
    return isinstance(item, Deck) and not item.closing and item.id != besides.id


def _clear_all(
    learner_id: str, deck_id: str, move_to: str | None, now: datetime, *, keeps_cards: bool
) -> None:
    """Moves or removes all cards of a closed deck."""
    for _ in range(DELETE_BUDGET // BATCH):
        batch = Card.in_deck(learner_id, deck_id, limit=BATCH)
        if not batch:
            return
        if keeps_cards:
            raise DeckNotEmpty
        _clear(learner_id, batch, move_to, now)
    raise DeletionUnfinished


def _clear(learner_id: str, batch: Sequence[Card], move_to: str | None, now: datetime) -> None:
    """Moves or removes some cards; one that was reviewed meanwhile comes again with the next."""
    keys = {Note.key(learner_id, card.note_id) for card in batch if card.has_siblings}
    notes = [note for note in batch_get(*keys).values() if isinstance(note, Note)] if keys else []
    things: list[Card | Note] = [*batch, *notes]
    if move_to is None:
        writes: list[Write] = [delete_write(item, now) for item in things]
        writes += totals_write(learner_id, totals_without(*batch))
    else:
        for item in things:
            apply_fields(item, {"deck_id": move_to}, now)
        for card in batch:
            card.set_index_keys()
        writes = [open_deck_check(learner_id, move_to), *map(Put, things)]
    try:
        transact(*writes)
    except ConditionFailed as lost:
        if any(isinstance(write, Check) for write in lost.lost):
            raise NoSuchDeck.at("moveTo") from lost


def apply_fields(item: Card | Deck | Note, changes: Mapping[str, Any], now: datetime) -> None:
    for name, value in changes.items():
        setattr(item, name, value)
    item.updated_at = now


def delete_write(item: Card | Deck | Note, now: datetime) -> Put:
    """The write that leaves a tombstone in an item's place, provided it has not changed."""
    return Put(Tombstone.of(item, now), type(item).version == item.version)


def _own_options(deck: Deck) -> dict[str, Any]:
    """The options that a deck has of its own."""
    return {name: value for name in DECK_OPTIONS if (value := getattr(deck, name)) is not None}


def _options_write(learner_id: str, deck: Deck, before: Mapping[str, Any]) -> list[Write]:
    """The write that brings the scheduler's copy of a deck's options up to date, if need be.

    The copy lets a review find them in the same read as everything else.
    """
    after = {} if deck.closing else _own_options(deck)
    if after == before:
        return []
    scheduler = read_scheduler(learner_id=learner_id)
    others = {key: value for key, value in scheduler.decks.items() if key != deck.id}
    scheduler.decks = others | ({deck.id: after} if after else {})
    return [Put(scheduler)]
