"""Reads that see a part of a transaction: nothing wrong is ever written upon them."""

from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.problems import NotFound, ServiceUnavailable
from config.store import connection
from learning.models.cards import Card, Deck
from learning.models.log import LogEntry, TornRead
from learning.scheduling import Rating
from learning.services import notes, review
from learning.services.cards import NoSuchDeck, create_card, create_deck
from learning.services.deck_deletion import DeckNotEmpty, delete_deck
from learning.services.imports import import_notes
from learning.services.review import Submission, submit
from learning.transfer import Note
from reminders.models import EVENT, Event, Reminder
from reminders.services.events import create_event, delete_event
from reminders.services.reminders import NoSuchEvent, create_reminder
from tests.examples import tried
from tests.test_convergence import (
    CARDS,
    NOW,
    START,
    deliveries,
    found,
    memory,
    put_cards,
    reviewed,
    wanted,
)
from tests.torn_table import TornTable

__all__ = ["memory"]  # a fixture


@pytest.fixture(scope="module")
def memory_table() -> TornTable:
    return TornTable("table_name-of-tests")


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who meets another gives up at once: the other one waits for them here."""
    monkeypatch.setattr(connection, "WITHIN_S", 0.0)
    monkeypatch.setattr(connection, "pause", lambda *_: None)


def sent(learner_id: str, batch: list[Submission]) -> bool:
    """Whether a batch came in: a device that is told to wait sends it again."""
    try:
        submit(learner_id=learner_id, submissions=batch, now=NOW)
    except ServiceUnavailable:
        return False
    return True


@tried(500)
@given(delivery=deliveries(), seed=st.integers(0, 10**6))
def test_devices_that_read_in_the_midst_of_anothers_write_converge(
    memory: TornTable,
    delivery: tuple[list[Submission], list[list[Submission]]],
    seed: int,
) -> None:
    made, batches = delivery
    learner_id = str(uuid4())
    memory.clear()
    put_cards(learner_id)
    memory.order.seed(seed)
    waiting, busy = list(batches), [False]

    def another() -> None:
        if waiting and not busy[0]:
            busy[0] = True
            batch = waiting.pop()
            if not sent(learner_id, batch):
                waiting.insert(0, batch)
            busy[0] = False

    memory.between = another
    while waiting:
        batch = waiting.pop()
        if not sent(learner_id, batch):
            waiting.insert(0, batch)
    assert found(learner_id) == wanted(made)


def test_a_log_with_fewer_rows_than_its_card_knows_of_is_not_folded(
    memory: TornTable,
) -> None:
    learner_id = str(uuid4())
    memory.clear()
    put_cards(learner_id)
    assert sent(learner_id, [reviewed(0, 0, "a"), reviewed(0, 3, "b")])
    row = memory.items[f"LEARNER#{learner_id}"].pop(f"LOG#{CARDS[0]}#b")
    with pytest.raises(TornRead):
        LogEntry.of_card(learner_id, CARDS[0], at_least=2)
    late = [Submission(id="c", card_id=CARDS[0], at=START + timedelta(days=1), rating=Rating.GOOD)]
    assert not sent(learner_id, late)
    with pytest.raises(ServiceUnavailable):
        review.undo(learner_id=learner_id, card_id=CARDS[0], void_id="v", target_id=None, now=NOW)
    memory.items[f"LEARNER#{learner_id}"][f"LOG#{CARDS[0]}#b"] = row
    assert sent(learner_id, late)
    made = [reviewed(0, 0, "a"), reviewed(0, 3, "b"), *late]
    assert found(learner_id) == wanted(made)


@pytest.mark.parametrize("seed", range(12))
def test_no_card_outlives_its_note(memory: TornTable, seed: int) -> None:
    """One device deletes a note in the midst of another one's adding a cloze to it."""
    learner_id = str(uuid4())
    memory.clear()
    memory.order.seed(seed)
    deck = create_deck(learner_id=learner_id, fields={"name": "Português"}, now=NOW)
    fields = {"type": "cloze", "deck_id": deck.id, "front": "{{c1::gato}} e cama"}
    note, _ = notes.create_note(learner_id=learner_id, fields=fields, now=NOW)

    def delete() -> None:
        with suppress(ServiceUnavailable, NotFound):
            notes.delete_note(
                learner_id=learner_id, note_id=note.id, expected_version=None, now=NOW
            )

    memory.between = delete
    changes = {"front": "{{c1::gato}} e {{c2::cama}}"}
    notes.update_note(
        learner_id=learner_id, note_id=note.id, changes=changes, expected_version=None, now=NOW
    )
    memory.between = lambda: None
    delete()
    kinds = {sk: raw["kind"]["S"] for sk, raw in memory.items[f"LEARNER#{learner_id}"].items()}
    left = {sk for sk, kind in kinds.items() if kind in ("note", "card")}
    assert left == set()


@pytest.mark.parametrize("seed", range(6))
def test_a_card_made_in_the_midst_is_whole_or_not_there(
    memory: TornTable,
    seed: int,
) -> None:
    learner_id = str(uuid4())
    memory.clear()
    memory.order.seed(seed)
    deck = create_deck(learner_id=learner_id, fields={"name": "Português"}, now=NOW)
    fields = {"id": "01J8Z3M4S5T6V7W8X9Y0Z1A2B3", "deck_id": deck.id, "front": "a", "back": "b"}
    seen = []

    def look() -> None:
        card = Card.with_text(learner_id, fields["id"])
        seen.append(card is None or card.note is not None)

    memory.between = look
    create_card(learner_id=learner_id, fields=fields, now=NOW)
    card = Card.with_text(learner_id, fields["id"])
    assert card is not None
    assert (card.front, card.version) == ("a", 1)
    assert seen
    assert all(seen)


@pytest.mark.parametrize("verb", ["made", "moved", "imported"])
@pytest.mark.parametrize("seed", range(8))
def test_no_card_is_left_in_a_deleted_deck(memory: TornTable, seed: int, verb: str) -> None:
    """One device deletes an empty deck in the midst of another one's putting a card into it."""
    learner_id = str(uuid4())
    memory.clear()
    memory.order.seed(seed)
    how: dict[str, Any] = {"learner_id": learner_id, "now": NOW}
    other, deck = (create_deck(fields={"name": name}, **how) for name in ("Galego", "Português"))
    card = create_card(fields={"deck_id": other.id, "front": "a", "back": "b"}, **how)

    def delete() -> None:
        with suppress(ServiceUnavailable, DeckNotEmpty, NotFound):
            delete_deck(
                deck_id=deck.id, delete_cards=False, move_to=None, expected_version=None, **how
            )

    memory.between = delete
    with suppress(ServiceUnavailable, NoSuchDeck):
        match verb:
            case "made":
                create_card(fields={"deck_id": deck.id, "front": "a", "back": "b"}, **how)
            case "moved":
                changes = {"deck_id": deck.id}
                notes.update_note(
                    note_id=card.note_id, changes=changes, expected_version=None, **how
                )
            case _:
                rows = iter([Note("g1", front="ir", back="to go")])
                import_notes(rows=rows, deck_id=deck.id, dry_run=False, offset=0, **how)
    memory.between = lambda: None
    there = isinstance(Deck.of(learner_id, deck.id), Deck)
    cards = Card.in_deck(learner_id, deck.id, limit=9).items
    assert there or not cards
    if not cards:
        delete()
        assert Deck.of(learner_id, deck.id) is None


@pytest.mark.parametrize("seed", range(8))
def test_no_reminder_is_left_of_a_deleted_event(memory: TornTable, seed: int) -> None:
    """One device deletes an event in the midst of another one's making a reminder of it."""
    learner_id = str(uuid4())
    memory.clear()
    memory.order.seed(seed)
    how: dict[str, Any] = {"learner_id": learner_id, "now": NOW}
    fields = {"title": "Aula", "starts_at": NOW + timedelta(days=9), "timezone": "Europe/Lisbon"}
    event = create_event(fields=fields, **how)

    def delete() -> None:
        with suppress(ServiceUnavailable, NotFound):
            delete_event(event_id=event.id, expected_version=None, **how)

    memory.between = delete
    of_event = {"about": EVENT, "event_id": event.id, "offset_minutes": [5]}
    with suppress(ServiceUnavailable, NoSuchEvent):
        create_reminder(fields=of_event, **how)
    memory.between = lambda: None
    delete()
    assert Event.of(learner_id, event.id) is None
    assert Reminder.all_of(learner_id, limit=9, start=None).items == []
