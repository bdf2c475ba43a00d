"""Ten histories by name: a read sees a part of a write, or the items are of different moments.

AWS shows a transaction item by item; a restore, an export and DynamoDB's own deletions take no
transactions at all. Each history ends where the log leads, and every device where the table is.
"""

from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from datetime import timedelta
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import Head, Journal, learner_key
from accounts.models.head import JOURNAL_DAYS
from config.problems import NotFound
from config.store import connection
from config.store.items import batch_get
from learning.models.base import TOMBSTONE_S
from learning.models.log import Day
from learning.services.changes import ChangesGone, changes_since
from learning.services.check import check, repair
from learning.services.due_queue import day_of
from learning.services.review import Submission
from learning.services.study_context import StudyContext
from tests.test_changes_torn import NOTES, Device, Step, act, begin
from tests.test_convergence import (
    NOW,
    START,
    found,
    memory,
    put_cards,
    reviewed,
    voided,
    wanted,
)
from tests.test_torn_store import memory_table, no_patience, sent
from tests.torn_table import TornTable

__all__ = ["memory", "memory_table", "no_patience"]  # fixtures
DAY = timedelta(days=1)
patiently = pytest.mark.usefixtures("patience")
seeded = pytest.mark.parametrize("seed", range(6))
sometimes = pytest.mark.parametrize("seed", range(3))


@pytest.fixture
def patience(no_patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who misses something reads again: here nobody writes in the midst of another one."""
    monkeypatch.setattr(connection, "WITHIN_S", 20.0)


def newest_is_half_there(memory: TornTable, seed: int, *other: Submission) -> None:
    """Another device sends `other` in the midst of the newest review's transaction, and again."""
    learner_id = str(uuid4())
    memory.clear()
    put_cards(learner_id)
    before, newest = [reviewed(0, 0, "a")], [reviewed(0, 3, "c")]
    assert sent(learner_id, before)
    memory.order.seed(seed)
    memory.between = lambda: sent(learner_id, [*other])
    assert sent(learner_id, newest)
    memory.between = lambda: None
    assert sent(learner_id, [*other])
    made = {each.id: each for each in [*before, *newest, *other]}
    assert found(learner_id) == wanted([*made.values()])


@seeded
def test_1_a_late_entry_comes_while_a_row_is_half_visible(memory: TornTable, seed: int) -> None:
    newest_is_half_there(memory, seed, reviewed(0, 1, "b"))


@seeded
def test_1_a_repeat_comes_while_a_row_is_half_visible(memory: TornTable, seed: int) -> None:
    newest_is_half_there(memory, seed, reviewed(0, 3, "c"))


@seeded
@pytest.mark.parametrize("index", [1, 0], ids=["another card", "a day of the past"])
def test_1_the_day_is_counted_while_a_row_is_half_visible(
    memory: TornTable, seed: int, index: int
) -> None:
    newest_is_half_there(memory, seed, reviewed(1, 2 + index, "d"))


@seeded
def test_2_a_void_folds_a_log_that_is_short(memory: TornTable, seed: int) -> None:
    newest_is_half_there(memory, seed, voided(0, 0, "a"))


def polled_after_every_item(memory: TornTable, seed: int, *steps: Step) -> None:
    """A device follows and others begin, each time that an item has been written."""
    learner_id = begin(memory, seed)
    device = Device(learner_id, 5)
    newcomers: list[Device] = []

    def between() -> None:
        device.poll()
        newcomers.append(Device(learner_id, 50))
        newcomers[-1].poll()

    memory.between = between
    for step in steps:
        act(learner_id, step)
    memory.between = lambda: None
    whole = Device(learner_id, 1_000).sync()
    assert device.sync() == whole
    for newcomer in newcomers:
        assert newcomer.sync() == whole
    assert check(learner_id=learner_id, now=NOW) == []


@seeded
def test_3_a_first_call_comes_between_head_and_card(memory: TornTable, seed: int) -> None:
    steps = ("create", 0, 0), ("review", 0, 3), ("edit", 0, 1), ("review", 0, 2)
    polled_after_every_item(memory, seed, *steps)
    undone = [("create", 1, 0), *(("review", 1, n) for n in range(12)), ("undo", 1, 50)]
    polled_after_every_item(memory, seed, *undone)


@seeded
def test_4_what_was_edited_and_deleted_is_made_again(memory: TornTable, seed: int) -> None:
    """The cards' revisions begin again at one: devices must not keep what they know."""
    polled_after_every_item(memory, seed, ("create", 1, 0), ("edit", 1, 1), ("delete", 1, 0))
    steps = [("create", 0, 0), ("review", 0, 3), ("edit", 0, 1), ("edit", 0, 2), ("edit", 0, 3)]
    polled_after_every_item(memory, seed, *steps)


@patiently
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_5_a_device_is_away_longer_than_a_tombstone_lives(memory: TornTable, limit: int) -> None:
    """The head still tells of a deletion; its tombstone is gone, and its id was made again."""
    learner_id = begin(memory)
    for which in (1, 3):
        act(learner_id, ("create", which, 0))
    away = Device(learner_id, limit)
    away.sync()
    act(learner_id, ("edit", 1, 1))
    act(learner_id, ("delete", 1, 0))
    act(learner_id, ("delete", 3, 0))
    stored = memory.items[learner_key(learner_id)]
    assert Head.of(learner_id).first == 1  # there is no journal that could have expired
    for sk in [sk for sk, raw in stored.items() if raw["kind"]["S"] == "tombstone"]:
        del stored[sk]  # DynamoDB removes them, in whatever order
    away.now = NOW + timedelta(seconds=TOMBSTONE_S) + DAY
    act(learner_id, ("create", 3, 1))
    whole = Device(learner_id, 100, now=away.now).sync()
    assert away.sync() == whole
    assert f"NOTE#{NOTES[1]}" not in whole
    assert f"NOTE#{NOTES[3]}" in whole


@patiently
@sometimes
def test_6_journals_are_removed_in_any_order(memory: TornTable, seed: int) -> None:
    """One that has expired counts as gone, and no device is told of changes with a hole."""
    learner_id = begin(memory)
    act(learner_id, ("create", 1, 0))
    devices = [Device(learner_id, 3)]
    for n in range(40):
        act(learner_id, ("review", 1, n))
        if n % 4 == 0:
            devices.append(Device(learner_id, 3))
            devices[-1].sync()
    later = NOW + timedelta(days=JOURNAL_DAYS) + DAY
    act(learner_id, ("edit", 1, 1))
    stored = memory.items[learner_key(learner_id)]
    journals = [sk for sk in stored if sk.startswith(Journal.PREFIX)]
    assert len(journals) >= 3
    Random(seed).shuffle(journals)  # noqa: S311
    whole = Device(learner_id, 100, now=later).sync()
    for device in devices:
        device.now = later
        if journals:
            del stored[journals.pop()]
        if device.cursor and device.cursor.number < Head.of(learner_id).first - 1:
            with pytest.raises(ChangesGone):
                changes_since(cursor=device.cursor, **device.how)
        assert device.sync() == whole


@patiently
@sometimes
def test_7_one_learner_is_restored_under_a_living_cursor(memory: TornTable, seed: int) -> None:
    """The numbers that a device knows come again, and mean something else."""
    learner_id = begin(memory)
    for which in range(4):
        act(learner_id, ("create", which, 0))
    copy = deepcopy(memory.items[learner_key(learner_id)])
    device = Device(learner_id, 4)
    later: Sequence[Step] = [("review", 1, 1), ("edit", 2, 5), ("delete", 3, 0), ("deck", 0, 8)]
    for step in later:
        act(learner_id, step)
    device.sync()
    memory.items[learner_key(learner_id)] = copy
    repair(learner_id=learner_id, now=NOW, new_line=True)
    again = [*later, ("review", 3, 7), ("edit", 0, 3)]
    Random(seed).shuffle(again)  # noqa: S311
    for step in again:
        with suppress(NotFound):
            act(learner_id, step)
    assert device.cursor is not None
    with pytest.raises(ChangesGone):
        changes_since(cursor=device.cursor, **device.how)
    assert device.sync() == Device(learner_id, 100).sync()


@patiently
@sometimes
def test_8_a_restore_is_torn(memory: TornTable, seed: int) -> None:
    """Of each item it has the state before or after a dozen changes, by chance."""
    learner_id = begin(memory)
    for which in range(4):
        act(learner_id, ("create", which, 0))
    for n in range(20):
        act(learner_id, ("review", 1, n))
    device = Device(learner_id, 7)
    device.sync()
    before = deepcopy(memory.items[learner_key(learner_id)])
    steps = [*(("review", 1 + n % 2 * 2, 30 + n) for n in range(20)), ("review", 1, 2)]
    for step in [*steps, ("edit", 0, 1), ("delete", 2, 0), ("undo", 1, 60), ("deck", 0, 3)]:
        act(learner_id, step)
    after = memory.items[learner_key(learner_id)]
    chance = Random(seed)  # noqa: S311
    for sk in {*before, *after}:
        kept = chance.choice((before, after)).get(sk)
        after.pop(sk, None)
        if kept is not None:
            after[sk] = kept
    _, left = repair(learner_id=learner_id, now=NOW, new_line=True)
    assert left == []
    assert check(learner_id=learner_id, now=NOW) == []
    whole = Device(learner_id, 100).sync()
    assert device.sync() == whole
    act(learner_id, ("review", 1, 3))  # a late one, which folds all of the log
    assert device.sync() == Device(learner_id, 100).sync()


def counts(learner_id: str) -> dict[Any, int]:
    return {day.on: day.count_of("reviews") for day in Day.all_of(learner_id)}


def test_9_a_day_row_is_stray(memory: TornTable) -> None:
    """There is a row of the day that the head has: the head's word counts, and ends the row."""
    learner_id = begin(memory)
    act(learner_id, ("create", 1, 0))
    for n in (1, 2, 2, 3):
        act(learner_id, ("review", 1, n))
    today = (START + 3 * DAY).date()
    row = Day.holding(learner_id, today, {"reviews": 44})
    memory.items[row.pk][row.sk] = row.serialize() | {"reviews": {"N": "44"}}
    assert counts(learner_id)[today] == 1
    act(learner_id, ("review", 1, 0))  # a late one counts the days anew, for the streak
    assert Head.of(learner_id).streak(today) == 4
    act(learner_id, ("review", 1, 4))  # the head begins another day, and leaves its own behind
    assert counts(learner_id) == {(START + n * DAY).date(): 1 for n in range(5)}
    assert check(learner_id=learner_id, now=NOW) == []


def test_10_a_day_is_ahead_of_the_clock(memory: TornTable) -> None:
    """The head's day is tomorrow's: a clock is fast, or the learner has flown west."""
    learner_id = begin(memory)
    for which in (1, 3):
        act(learner_id, ("create", which, 0))
    act(learner_id, ("review", 1, 4))
    today = (START + 3 * DAY).date()

    def study() -> StudyContext:
        return StudyContext.of(learner_id, batch_get(*StudyContext.keys(learner_id)))

    assert day_of(study(), today).count_of("reviews") == 0
    act(learner_id, ("review", 3, 3))
    act(learner_id, ("review", 1, 3))
    assert day_of(study(), today).count_of("reviews") == 2
    assert day_of(study(), today + DAY).count_of("reviews") == 1
    assert counts(learner_id) == {today: 2, today + DAY: 1}
    head = Head.of(learner_id)
    assert (head.day, head.streak(today + DAY)) == ((today + DAY).isoformat(), 2)
    assert check(learner_id=learner_id, now=NOW) == []
