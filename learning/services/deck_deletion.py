"""Removing decks: their cards move or go first, by a job where there are many.

The deck is closed to new cards meanwhile, so that none is left behind. This is no change of its
version, and a refusal opens it again.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime

from django.utils.timezone import now

from accounts.models import Head, learner_key
from accounts.services.changes import commit
from config.problems import Conflict, NotFound, ServiceUnavailable, check_version
from config.store import jobs
from config.store.connection import in_turn, pause_between, retried
from config.store.items import ConditionFailed, Item, batch_get
from config.store.jobs import Job, Place
from config.store.transactions import Put
from learning.models.base import Tombstone
from learning.models.cards import Card, Deck, Note
from learning.models.log import require_visible
from learning.services.cards import (
    ROOM,
    NoSuchDeck,
    Whole,
    apply_fields,
    cards_of,
    delete_write,
    groups_of,
    open_deck_check,
    option_keys,
    option_writes,
    own_options,
    require_deck,
)
from learning.services.media_on_cards import shown_by, sweep_later
from learning.services.progress import totals_without

DECK_DELETION = "deck_deletion"
BATCH = 25  # cards looked at at once
AT_ONCE = 100  # cards that a request moves or removes itself, in a second or two


class DeckNotEmpty(Conflict):
    code, title = "DECK_NOT_EMPTY", "The deck has cards: say whether to delete or to move them"


def delete_deck(
    *,
    learner_id: str,
    deck_id: str,
    delete_cards: bool,
    move_to: str | None,
    expected_version: int | None,
    now: datetime,
) -> Job | None:
    """Removes a deck; its cards move to another deck, or go with it where that was asked.

    Beyond 100 cards a job does it, which is returned; asked again, it is the same one. A request
    that dies is sent again and goes on. Raises NotFound, PreconditionFailed, DeckNotEmpty and
    NoSuchDeck.
    """
    keeps_cards = move_to is None and not delete_cards
    seen: list[Deck] = []

    @retried(ConditionFailed)
    def remove() -> Job | None:
        keys = [Deck.key(learner_id, id_) for id_ in (deck_id, move_to) if id_]
        stored = batch_get(*keys)
        deck = stored.get(keys[0])
        if not isinstance(deck, Deck):
            if seen:
                return None  # another request has removed it meanwhile
            raise NotFound
        if deck.closing and (job := find_deletion(learner_id, deck_id)) and not job.has_ended:
            return job
        seen.append(deck)
        check_version(expected_version, int(deck.version))
        try:
            if move_to is not None and not _takes_cards(stored.get(keys[1]), besides=deck):
                raise NoSuchDeck.at("moveTo")
            if keeps_cards and Card.in_deck(learner_id, deck_id, limit=1).items:
                raise DeckNotEmpty
            if not deck.block_new_cards():
                raise ConditionFailed
            for cleared in _clearing(learner_id, deck_id, move_to, now, keeps_cards=keeps_cards):
                if cleared >= AT_ONCE:
                    return _start(learner_id, deck_id, move_to)
        except (DeckNotEmpty, NoSuchDeck):
            deck.allow_new_cards()
            raise
        _bury(learner_id, deck, now)
        return None

    return remove()


def find_deletion(learner_id: str, deck_id: str) -> Job | None:
    """The job that removes a deck, also for two weeks after its end."""
    return Job.of(learner_key(learner_id), DECK_DELETION, deck_id)


def _start(learner_id: str, deck_id: str, move_to: str | None) -> Job | None:
    if not Card.in_deck(learner_id, deck_id, limit=1).items:
        raise ConditionFailed  # that was all: the deck alone is left
    owner, arguments = learner_key(learner_id), {"move_to": move_to}
    return jobs.start(owner, DECK_DELETION, id=deck_id, arguments=arguments, anew=True)


def run_deletion(job: Job) -> Iterator[Place]:
    """Moves or removes the cards of a closed deck, then the deck. Raises NoSuchDeck."""
    learner_id, deck_id, move_to = job.owner_id, job.id, job.arguments["move_to"]
    before = int(job.done)
    total = int(job.total or _count(learner_id, deck_id))
    try:
        for cleared in _clearing(learner_id, deck_id, move_to, now()):
            yield Place("cards", before + cleared, total)
    except NoSuchDeck:
        if deck := Deck.of(learner_id, deck_id):
            deck.allow_new_cards()
        raise
    try:
        _bury_present(learner_id, deck_id)
    except ConditionFailed as error:  # it was changed, or a card has come to light
        raise ServiceUnavailable from error
    yield Place(None, total, total)


def _count(learner_id: str, deck_id: str) -> int:
    """How many cards a deck has: a query of the index for each megabyte."""
    count, start = 0, None
    while True:
        page = Card.in_deck(learner_id, deck_id, limit=10_000, start=start)
        count, start = count + len(page.items), page.next_key
        if start is None:
            return count


def _bury_present(learner_id: str, deck_id: str) -> None:
    if deck := Deck.of(learner_id, deck_id):  # else a run before has come so far
        _bury(learner_id, deck, now())


def _bury(learner_id: str, deck: Deck, now: datetime) -> None:
    """Leaves a tombstone in a closed and cleared deck's place. Raises ConditionFailed.

    A card that was let in before the deck was closed may come to light only now.
    """
    stored = batch_get(*option_keys(learner_id))
    head = Head.among(learner_id, stored)
    require_visible(head, Card)
    if Card.in_deck(learner_id, deck.id, limit=1).items:
        raise ConditionFailed
    unchanged = (Deck.version == deck.version) & Deck.closing.exists()
    options = option_writes(head, stored, deck, own_options(deck))
    commit(head, Put(Tombstone.of(deck, now), unchanged), *options)


def _takes_cards(item: Item | None, *, besides: Deck) -> bool:
    return isinstance(item, Deck) and not item.closing and item.id != besides.id


def _clearing(
    learner_id: str,
    deck_id: str,
    move_to: str | None,
    now: datetime,
    *,
    keeps_cards: bool = False,
) -> Iterator[int]:
    """Moves or removes all cards of a closed deck; tells after each batch how many it were.

    Raises DeckNotEmpty where there are some to keep, and NoSuchDeck.
    """
    cleared = 0
    while batch := Card.in_deck(learner_id, deck_id, limit=BATCH).items:
        if keeps_cards:
            raise DeckNotEmpty
        _clear(learner_id, [card.id for card in batch], move_to, now)
        pause_between()
        cleared += len(batch)
        yield cleared


def _clear(learner_id: str, card_ids: Sequence[str], move_to: str | None, now: datetime) -> None:
    """Moves or removes the notes of some cards; one reviewed meanwhile comes with the next ones."""
    for group in groups_of(whole_notes(learner_id, card_ids), ROOM):
        with suppress(ConditionFailed), in_turn(learner_id):
            _clear_group(learner_id, group, move_to, now)


def _clear_group(
    learner_id: str, group: Sequence["Whole"], move_to: str | None, now: datetime
) -> None:
    keys = [Head.key(learner_id)]
    if move_to is not None:
        keys.append(Deck.key(learner_id, move_to))
    stored = batch_get(*keys)
    head = Head.among(learner_id, stored)
    things: list[Card | Note] = [each for whole in group for each in whole.things]
    cards = [card for whole in group for card in whole.cards]
    if move_to is None:
        head.add(totals_without(*cards))
        commit(head, *(delete_write(each, now) for each in things))
        if any(shown_by(whole.note.own_values()) for whole in group if whole.note):
            sweep_later(learner_id, now=now)
        return
    require_deck(learner_id, move_to, stored, field="moveTo")
    for whole in group:
        if whole.note:
            apply_fields(whole.note, {"deck_id": move_to}, now)
        for card in whole.cards:
            card.deck_id = move_to
            card.set_index_keys()
    commit(head, open_deck_check(learner_id, move_to), *map(Put, things))


def whole_notes(learner_id: str, card_ids: Iterable[str]) -> list[Whole]:
    """The notes of some cards with all their cards, ready to be written.

    One read, and a query for each note with several cards.
    """
    stored = batch_get(*(key for card_id in card_ids for key in Card.keys(learner_id, card_id)))
    notes = {item.id: item for item in stored.values() if isinstance(item, Note)}
    cards: dict[str, list[Card]] = {}
    for item in stored.values():
        if isinstance(item, Card):
            cards.setdefault(item.note_id, []).append(item)
    for note_id, found in cards.items():
        if found[0].has_siblings:
            note = notes.get(note_id)
            cards[note_id] = cards_of(note) if note else Card.of_note(learner_id, note_id)
    return [Whole(notes.get(note_id), of_note) for note_id, of_note in sorted(cards.items())]
