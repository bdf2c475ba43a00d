"""Under backlog one run at a time goes on with a shard, whoever starts or repeats it."""

from typing import Any

import pytest
from time_machine import travel

from config import aws
from reminders import tasks
from reminders.models import shard_of
from reminders.services import sweep
from tests.callers import Caller
from tests.reminder_helpers import Mailbox, reminder_of, verified

AT = "2030-06-03T17:00:30+00:00"


@pytest.fixture
def started(
    maria: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Any]]:
    """The runs that were started, as Lambda calls them; a page has a single reminder."""
    runs: list[dict[str, Any]] = []
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "parley-api-dev")
    monkeypatch.setattr(sweep, "PAGE", 1)
    monkeypatch.setattr(tasks, "THREADS", 1)
    monkeypatch.setattr(aws, "invoke_async", lambda task, **arguments: runs.append(arguments))
    for number in range(4):
        reminder_of(verified(maria), title=f"Coisa {number}")
    return runs


def test_a_backlog_starts_one_chain_a_shard_however_many_minutes_it_lasts(
    maria: Caller, started: list[dict[str, Any]]
) -> None:
    with travel(AT, tick=False):
        for _ in range(3):
            tasks.send_due({}, None)
    assert [run["shard"] for run in started] == [shard_of(maria.id)]


def test_a_run_that_is_called_twice_goes_on_once(
    started: list[dict[str, Any]], mailbox: Mailbox
) -> None:
    with travel(AT, tick=False):
        tasks.send_due({}, None)
        done = [tasks.send_due_of_shard(started[0], None) for _ in range(2)]
    assert [run.get("claimed", 0) for run in done] == [3, 0]
    assert len(started) == 1


def test_a_chain_that_has_ended_or_died_makes_room_for_the_next(
    maria: Caller, started: list[dict[str, Any]]
) -> None:
    for number in range(4):
        reminder_of(maria, title=f"Outra {number}", at="2030-06-03T17:01:00Z")
    with travel(AT, tick=False):
        tasks.send_due({}, None)
        tasks.send_due_of_shard(started[0], None)
    with travel("2030-06-03T17:01:10+00:00", tick=False):
        tasks.send_due({}, None)  # its run never comes
    with travel("2030-06-03T17:02:10+00:00", tick=False):
        tasks.send_due({}, None)
        assert len(started) == 2
    with travel("2030-06-03T17:03:40+00:00", tick=False):
        tasks.send_due({}, None)
        assert len(started) == 3
