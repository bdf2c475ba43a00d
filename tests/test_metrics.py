"""The business's numbers: one line each in CloudWatch's own format, and no secret in any line."""

import json
import logging
from typing import Any

import pytest

from config import metrics
from config.logs import JsonFormatter
from tests.accounts_helpers import PASSWORD
from tests.callers import Caller
from tests.test_flashcards import card_of, deck_of
from tests.test_round_trips import body


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What was logged, as it would be printed."""
    found = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    return [line for line in found if line["logger"].startswith("parley.")]


def test_a_metric_is_a_line_that_cloudwatch_reads(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="parley.metrics"):
        metrics.emit("SweepLag", 2.5, unit="Seconds")
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
