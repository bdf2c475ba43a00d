"""A backlog is shared out by pages, each shard once at a time, whoever starts or repeats it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from time_machine import travel

from config.work import TRIES
from reminders import tasks
from reminders.models import ShardLease, shard_of
from reminders.services import sweep
from tests.callers import Caller
from tests.crashes import Crash
from tests.memory_table import MemoryTable
from tests.queues import MemoryQueues
from tests.reminder_helpers import Mailbox, reminder_of, verified

AT = "2030-06-03T17:00:30+00:00"


@pytest.fixture
def backlog(
    maria: Caller, mailbox: Mailbox, queues: MemoryQueues, monkeypatch: pytest.MonkeyPatch
) -> MemoryQueues:
    """Ten reminders of one shard in a deployed function; a page has a single one."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "parley-api-dev")
    for module in (sweep, tasks):
        monkeypatch.setattr(module, "PAGE", 1)
    monkeypatch.setattr(tasks, "THREADS", 1)
    for number in range(10):
        reminder_of(verified(maria), title=f"Coisa {number}")
    return queues


def kinds(queues: MemoryQueues) -> list[str]:
    return [message.content["kind"] for message in queues.messages]


def titles(mailbox: Mailbox) -> list[str]:
    return sorted(letter.subject for letter in mailbox.letters)


def test_a_backlog_is_mailed_by_a_run_for_each_page(
    maria: Caller, backlog: MemoryQueues, mailbox: Mailbox
) -> None:
    with travel(AT, tick=False):
        assert tasks.send_due({}, None)["claimed"] == 1
        assert kinds(backlog) == ["due_shard"]
        backlog.deliver(backlog.messages[0])
        assert kinds(backlog) == ["due_page"] * 9 + ["due_end"]
        backlog.run()
    assert titles(mailbox) == [f"Coisa {number}" for number in range(10)]


def test_it_is_shared_out_once_however_many_minutes_it_lasts(
    maria: Caller, backlog: MemoryQueues
) -> None:
    for minute in range(3):
        with travel(f"2030-06-03T17:0{minute}:30+00:00", tick=False):
            tasks.send_due({}, None)
    assert kinds(backlog) == ["due_shard"]
    assert backlog.messages[0].content["payload"]["shard"] == shard_of(maria.id)


def test_all_that_comes_twice_is_done_once(backlog: MemoryQueues, mailbox: Mailbox) -> None:
    with travel(AT, tick=False):
        tasks.send_due({}, None)
        first = backlog.messages[0]
        for _ in range(2):
            backlog.deliver(first)
        assert kinds(backlog).count("due_page") == 9
        for message in list(backlog.messages):
            backlog.deliver(message)
            backlog.deliver(message)
    assert len(mailbox.letters) == 10


def test_a_long_backlog_goes_on_where_the_run_before_ended(
    backlog: MemoryQueues, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reminders.models.reminders.AHEAD", 2)

    class Short:
        """What is left of a run that has no time for a second query."""

        def get_remaining_time_in_millis(self) -> int:
            return 25_000

    with travel(AT, tick=False):
        tasks.send_due({}, None)
        backlog.deliver(backlog.messages[0], Short())
        assert kinds(backlog) == ["due_page"] * 2 + ["due_shard"]
        backlog.run()
    assert len(mailbox.letters) == 10


def test_the_next_minute_shares_out_again_once_the_pages_are_done(
    maria: Caller, backlog: MemoryQueues
) -> None:
    with travel(AT, tick=False):
        tasks.send_due({}, None)
        backlog.run()
    for number in range(3):
        reminder_of(maria, title=f"Outra {number}", at="2030-06-03T17:01:00Z")
    with travel("2030-06-03T17:01:30+00:00", tick=False):
        tasks.send_due({}, None)
        assert kinds(backlog) == ["due_shard"]


def test_a_run_that_never_comes_leaves_the_shard_to_a_later_minute(
    maria: Caller, backlog: MemoryQueues
) -> None:
    with travel(AT, tick=False):
        tasks.send_due({}, None)
        backlog.clear()
    with travel("2030-06-03T17:20:29+00:00", tick=False):
        tasks.send_due({}, None)
        assert kinds(backlog) == []
    with travel("2030-06-03T17:20:31+00:00", tick=False):
        tasks.send_due({}, None)
        assert kinds(backlog) == ["due_shard"]


def test_a_page_that_ses_has_no_room_for_comes_up_again_a_little_later(
    backlog: MemoryQueues, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reminders.services.sweep.PAUSE_S", (0, 0))
    with travel(AT, tick=False):
        tasks.send_due({}, None)
        backlog.deliver(backlog.messages[0])
        mailbox.refuse = "TooManyRequestsException"
        tired: Any = type("Tired", (), {"get_remaining_time_in_millis": lambda _: 25_000})()
        backlog.deliver(backlog.messages[0], tired)
    [*_, last] = [message for message in backlog.messages if "again" in message.body]
    assert 20 <= (last.visible_at - last.sent_at).total_seconds() <= 60
    mailbox.refuse = ""
    with travel("2030-06-03T17:02:00+00:00", tick=False):
        backlog.run()
    assert len(mailbox.letters) == 10


def test_without_the_queue_the_shard_is_free_for_the_next_minute(
    maria: Caller, backlog: MemoryQueues
) -> None:
    backlog.fault = lambda operation: "ServiceUnavailable"
    with travel(AT, tick=False):
        tasks.send_due({}, None)
    assert ShardLease.get_or_none(f"SHARD#{shard_of(maria.id)}", ShardLease.SK) is None


STEPS = ["PutItem", "Query", "SendMessageBatch", "PutItem", "SendMessageBatch"]


@contextmanager
def fault_at(
    nth: int, memory_table: MemoryTable, queues: MemoryQueues, *, is_end: bool = False
) -> Iterator[list[str]]:
    """Refuses the nth call to the table and the queues, or ends the process; yields the calls."""
    calls: list[str] = []

    def fault(operation: str) -> str | None:
        calls.append(operation)
        if len(calls) == nth and is_end:
            raise Crash
        return "ThrottlingException" if len(calls) == nth else None

    healthy = memory_table.fault, queues.fault
    memory_table.fault = queues.fault = fault
    try:
        yield calls
    finally:
        memory_table.fault, queues.fault = healthy


def test_a_shard_is_shared_out_in_five_steps(
    backlog: MemoryQueues, memory_table: MemoryTable
) -> None:
    with travel(AT, tick=False):
        tasks.send_due({}, None)
        with fault_at(0, memory_table, backlog) as calls:
            backlog.deliver(backlog.messages[0])
    assert calls == STEPS


@pytest.mark.parametrize("nth", range(1, len(STEPS) + 1))
def test_a_shard_that_could_not_be_shared_out_is_a_minute_later(
    backlog: MemoryQueues, mailbox: Mailbox, memory_table: MemoryTable, nth: int
) -> None:
    with travel(AT, tick=False):
        tasks.send_due({}, None)
        with fault_at(nth, memory_table, backlog) as calls:
            backlog.deliver(backlog.messages[0])
        assert calls[:nth] == STEPS[:nth]
    with travel("2030-06-03T17:01:30+00:00", tick=False):
        tasks.send_due({}, None)
        backlog.run()
    assert titles(mailbox) == [f"Coisa {number}" for number in range(10)]
    assert backlog.messages == []


@pytest.mark.parametrize("nth", range(1, len(STEPS) + 1))
def test_a_shard_whose_run_died_is_shared_out_again_two_minutes_later(
    backlog: MemoryQueues, mailbox: Mailbox, memory_table: MemoryTable, nth: int
) -> None:
    with travel(AT, tick=False):
        tasks.send_due({}, None)
        with fault_at(nth, memory_table, backlog, is_end=True), pytest.raises(Crash):
            backlog.deliver(backlog.messages[0])
    with travel("2030-06-03T17:02:30+00:00", tick=False):
        backlog.run()
        tasks.send_due({}, None)
        backlog.run()
    assert titles(mailbox) == [f"Coisa {number}" for number in range(10)]


def test_a_shard_that_never_could_be_shared_out_is_free(
    maria: Caller, backlog: MemoryQueues, memory_table: MemoryTable
) -> None:
    with travel(AT, tick=False):
        tasks.send_due({}, None)
        [message] = backlog.messages
        message.receives = TRIES
        backlog.deliver(message)
    assert ShardLease.get_or_none(f"SHARD#{shard_of(maria.id)}", ShardLease.SK) is None


def test_pages_do_nothing_once_their_lease_is_over(backlog: MemoryQueues, mailbox: Mailbox) -> None:
    with travel(AT, tick=False):
        tasks.send_due({}, None)
        backlog.deliver(backlog.messages[0])
    with travel("2030-06-03T17:20:31+00:00", tick=False):
        backlog.run()
        assert len(mailbox.letters) == 1
        tasks.send_due({}, None)
        backlog.run()
    assert len(mailbox.letters) == 10


def test_a_quiet_minute_asks_for_no_run(maria: Caller, queues: MemoryQueues) -> None:
    with travel(AT, tick=False):
        tasks.send_due({}, None)
    assert queues.messages == []
