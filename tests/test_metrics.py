"""The business's numbers: one line each in CloudWatch's own format, and no secret in any line."""

import json
import logging
from typing import Any

import pytest
import time_machine

from config import telemetry
from config.problems import ServiceUnavailable
from config.telemetry import JsonFormatter
from reminders import tasks
from reminders.models import Reminder
from tests.accounts_helpers import PASSWORD
from tests.callers import Caller
from tests.reminder_helpers import Mailbox, reminder_of, verified
from tests.test_flashcards import card_of, deck_of
from tests.test_round_trips import body


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The log lines, as they would be printed."""
    found = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    return [line for line in found if line["logger"].startswith("parley.")]


def test_a_metric_is_a_line_that_cloudwatch_reads(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="parley.metrics"):
        telemetry.emit("SweepLag", 2.5, unit="Seconds")
    [line] = lines(caplog)
    [described] = line["_aws"]["CloudWatchMetrics"]
    assert described["Namespace"] == "Parley"
    assert described["Metrics"] == [{"Name": "SweepLag", "Unit": "Seconds"}]
    [dimensions] = described["Dimensions"]
    assert {name: line[name] for name in dimensions} == {"Stage": "local"}
    assert line["SweepLag"] == 2.5
    assert line["_aws"]["Timestamp"] > 1_700_000_000_000


def test_a_review_counts_once_however_often_it_is_sent(
    maria: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    card_id, review = card_of(maria, deck_of(maria)), body()
    with caplog.at_level(logging.INFO, logger="parley"):
        for _ in range(3):
            assert maria.post(f"/flashcards/{card_id}/reviews", review).status_code == 201
    assert [line["Reviews"] for line in lines(caplog) if "Reviews" in line] == [1]


def test_a_requests_line_names_its_learner_to_nobody(
    maria: Caller, joao: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="parley"):
        for caller in (maria, maria, joao):
            caller.get("/profile")
        maria.post("/auth/refresh", {"refreshToken": PASSWORD})
    requests = [line for line in lines(caplog) if line["message"] == "request"]
    first, again, other, anonymous = (line["learner"] for line in requests)
    assert first == again != other
    assert anonymous is None
    said = json.dumps(lines(caplog))
    for secret in (maria.id, maria.token, joao.id, PASSWORD, "example.org"):
        assert secret not in said
    for line in requests:
        assert {"method", "route", "status", "ms", "calls", "units", "coldStart"} <= line.keys()


def test_a_sweep_tells_how_late_it_came(
    maria: Caller, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    def lag(at: str) -> int:
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="parley"), time_machine.travel(at, tick=False):
            tasks.send_due({}, None)
        [said] = [line["SweepLag"] for line in lines(caplog) if "SweepLag" in line]
        return round(said)

    verified(maria)
    reminder_of(maria, at="2030-06-03T17:00:00Z")
    assert lag("2030-06-03T16:59:00+00:00") == 0
    assert lag("2030-06-03T17:02:30+00:00") == 150
    assert lag("2030-06-03T17:04:00+00:00") == 0
    assert len(mailbox.letters) == 1


def test_a_sweep_that_cannot_read_the_table_tells_no_lag(
    maria: Caller, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any, **__: Any) -> Any:
        raise ServiceUnavailable

    monkeypatch.setattr(Reminder, "due", busy)
    with caplog.at_level(logging.INFO, logger="parley"):
        tasks.send_due({}, None)
    assert not [line for line in lines(caplog) if "SweepLag" in line]
