"""Three devices follow a learner whose changes come in item by item, in any order.

They poll in the midst of transactions, lose answers, ask again, begin anew; in the end each holds
what is stored, and so does a device that begins only then.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accounts.services.changes import commit
from config.problems import Problem, ServiceUnavailable
from config.store import connection
from config.store.items import ConditionFailed
from learning.models.cards import Card
from learning.models.log import LogEntry
from learning.scheduling import Rating
from learning.services import cards, notes, review
from learning.services.changes import ChangesGone as Gone
from learning.services.changes import Cursor, Told, changes_since, first_changes
from learning.services.check import check
from learning.services.review import Submission
from tests.examples import tried
from tests.test_convergence import (
    CARDS,
    CHANGES,
    NOW,
    START,
    change_settings,
    found,
    memory,
    put_cards,
    wanted,
)
from tests.torn_table import TornTable

__all__ = ["memory"]  # a fixture
DECKS = [str(uuid4()) for _ in range(2)]
NOTES = [str(uuid4()) for _ in range(4)]


@pytest.fixture(scope="module")
def memory_table() -> TornTable:
    return TornTable("table_name-of-tests")


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WITHIN_S", 0.0)
    monkeypatch.setattr(connection, "pause", lambda *_: None)


def refuse(raw: Any) -> None:
    """What no test here shall meet."""
    raise AssertionError(raw)


@dataclass
class Device:
    learner_id: str
    limit: int
    cursor: Cursor | None = None
    now: datetime = NOW
    held: dict[str, Any] = field(default_factory=dict)

    @property
    def how(self) -> dict[str, Any]:
        """How it asks."""
        return {
            "learner_id": self.learner_id,
            "limit": self.limit,
            "on_unreadable": refuse,
            "now": self.now,
        }

    def poll(self, *, lost: bool = False) -> bool:
        """Asks once; whether there is more. What gets lost on the way is asked for again."""
        try:
            if self.cursor is None or self.cursor.prefix is not None:
                found = first_changes(cursor=self.cursor, **self.how)
            else:
                found = changes_since(cursor=self.cursor, **self.how)
        except Gone:
            self.cursor, self.held = None, {}
            return True
        except ServiceUnavailable:
            return True
        if lost:
            return True
        for told in found.told:
            self.take(told)
        self.cursor = found.cursor
        return found.more

    def take(self, told: Told) -> None:
        if told.item is None:
            self.held.pop(told.sk, None)
        elif isinstance(told.item, Card):
            self.held[told.sk] = told.item.told_standing()
        elif isinstance(told.item, LogEntry):
            self.held[told.sk] = told.item.told()
        else:
            self.held[told.sk] = told.item.serialize()

    def sync(self) -> dict[str, Any]:
        for _ in range(1_000):
            if not self.poll():
                return self.held
        raise AssertionError("it never ends")


Step = tuple[str, int, int]
STEPS = st.tuples(
    st.sampled_from(
        [*["create", "edit", "review"] * 3, "move", "delete", "undo", "deck", "poll", "lose"]
    ),
    st.integers(0, 3),
    st.integers(0, 400),
)


def begin(memory: TornTable, seed: int = 0) -> str:
    """A learner with decks alone, in a table that commits in an order of its own."""
    learner_id = str(uuid4())
    memory.clear()
    memory.order.seed(seed)
    for deck_id in DECKS:
        fields = {"id": deck_id, "name": "Português"}
        cards.create_deck(learner_id=learner_id, fields=fields, now=NOW)
    return learner_id


def act(learner_id: str, step: Step) -> Any:
    """One change, as its service makes it."""
    verb, which, more = step
    note_id, deck_id = NOTES[which], DECKS[more % 2]
    how: dict[str, Any] = {"learner_id": learner_id, "now": NOW}
    any_version: dict[str, Any] = {"expected_version": None, **how}
    several = {"type": "cloze", "deck_id": deck_id, "front": "{{c1::a}} {{c2::b}}"}
    single = {"type": "basic", "deck_id": deck_id, "front": "casa", "back": "house"}
    card_id = note_id if which % 2 else f"{note_id}.{more % 2}"
    match verb:
        case "create":
            fields = {"id": note_id, **(single if which % 2 else several)}
            return notes.create_note(fields=fields, **how)
        case "edit":
            text = f"{{{{c1::a}}}} {{{{c{2 + more % 2}::b}}}} {more}"
            changes = {"front": text, "back": f"home {more}"}
            return notes.update_note(note_id=note_id, changes=changes, **any_version)
        case "move":
            return notes.update_note(note_id=note_id, changes={"deck_id": deck_id}, **any_version)
        case "delete":
            return notes.delete_note(note_id=note_id, **any_version)
        case "deck":
            changes = {"name": f"deck {more}"}
            return cards.update_deck(deck_id=deck_id, changes=changes, **any_version)
        case "review":
            at = START + timedelta(days=more)
            sent = Submission(id=f"e{more}", card_id=card_id, at=at, rating=Rating.GOOD)
            return review.submit(submissions=[sent], **how)
        case _:
            return review.undo(card_id=card_id, void_id=f"v{more}", target_id=None, **how)


# An edit reads the note after another one and a card before it, and leaves that card as it was.
@example(
    steps=[("create", 2, 0), ("edit", 2, 272), ("edit", 2, 0)],
    meanwhile=[
        ("edit", 2, 272),
        *[("create", 0, 0), ("create", 1, 0), ("create", 1, 0), ("poll", 0, 0)],
        *[("create", 3, 0), ("edit", 0, 0), ("create", 0, 0), ("create", 0, 0)],
    ],
    seed=0,
    limits=(1, 1, 1),
)
@tried(500)
@given(
    steps=st.lists(STEPS, min_size=1, max_size=14),
    meanwhile=st.lists(STEPS, max_size=20),
    seed=st.integers(0, 10**6),
    limits=st.tuples(*[st.integers(1, 12)] * 3),
)
def test_three_devices_end_where_the_table_is(
    memory: TornTable,
    steps: list[Step],
    meanwhile: list[Step],
    seed: int,
    limits: tuple[int, int, int],
) -> None:
    learner_id = begin(memory, seed)
    devices = [Device(learner_id, limit) for limit in limits]
    waiting, busy = list(meanwhile), [False]

    def do(step: Step) -> None:
        if step[0] in ("poll", "lose"):
            devices[step[1] % 3].poll(lost=step[0] == "lose")
            return
        with suppress(Problem):
            act(learner_id, step)

    def between() -> None:
        for device in devices[: memory.order.randint(0, 3)]:
            device.poll()
        if waiting and not busy[0]:
            busy[0] = True
            do(waiting.pop())
            busy[0] = False

    memory.between = between
    for step in steps:
        do(step)
    memory.between = lambda: None
    whole = Device(learner_id, 1_000).sync()
    for device in devices:
        assert device.sync() == whole
    assert check(learner_id=learner_id, now=NOW) == []


@pytest.mark.parametrize("seed", range(10))
def test_a_review_that_saw_half_a_change_of_settings_is_under_those_of_its_instant(
    memory: TornTable, seed: int
) -> None:
    """The device reads in the midst of the change, and writes when it is over."""
    learner_id = str(uuid4())
    memory.clear()
    put_cards(learner_id)
    memory.order.seed(seed)
    change = (START + timedelta(days=5), CHANGES[0])
    sent = [
        Submission(id="late", card_id=CARDS[2], at=START + timedelta(days=4), rating=Rating.EASY),
        Submission(id="soon", card_id=CARDS[2], at=START + timedelta(days=6), rating=Rating.GOOD),
    ]
    intakes: list[review._ReviewBatch] = []

    def between() -> None:
        with suppress(ConditionFailed):
            intakes.append(review._ReviewBatch.load(learner_id, sent, NOW))

    memory.between = between
    change_settings(learner_id, change)
    memory.between = lambda: None
    for intake in intakes:
        for submission in sent:
            intake.add(submission)
        with suppress(ConditionFailed):
            commit(intake.study.head, *intake.build_writes())
    review.submit(learner_id=learner_id, submissions=sent, now=NOW)
    assert found(learner_id) == wanted(sent, [change])
