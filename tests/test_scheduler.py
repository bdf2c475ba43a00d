"""/scheduler."""

from typing import Any

import pytest

from learning.fsrs import DEFAULT_WEIGHTS
from tests.callers import Caller

CHANGE = {
    "desiredRetention": 0.85,
    "learningSteps": [30, 300],
    "relearningSteps": [],
    "maximumIntervalDays": 365,
    "fuzz": False,
    "easyDays": [1, 1, 1, 1, 1, 0.5, 0],
    "dayStartsAtHour": 6,
    "newCardsPerDay": 7,
    "reviewsPerDay": 70,
}


def test_the_settings_begin_with_the_defaults_of_fsrs_6(maria: Caller) -> None:
    found = maria.get("/scheduler").json()
    assert found == {
        "desiredRetention": 0.9,
        "learningSteps": [60, 600],
        "relearningSteps": [600],
        "maximumIntervalDays": 36500,
        "fuzz": True,
        "easyDays": [1] * 7,
        "dayStartsAtHour": 4,
        "newCardsPerDay": 20,
        "reviewsPerDay": 200,
        "weights": list(DEFAULT_WEIGHTS),
        "version": 0,
    } | {name: found[name] for name in found if name not in CHANGE | {"weights": 0, "version": 0}}


def test_what_is_changed_is_kept_and_the_rest_stays(maria: Caller) -> None:
    changed = maria.patch("/scheduler", {"fuzz": False}).json()
    assert (changed["fuzz"], changed["desiredRetention"], changed["version"]) == (False, 0.9, 1)
    whole = maria.patch("/scheduler", CHANGE).json()
    assert {name: whole[name] for name in CHANGE} == CHANGE
    assert maria.get("/scheduler").json() == whole


def test_weights_are_read_only(maria: Caller) -> None:
    before = maria.get("/scheduler").json()["weights"]
    assert maria.patch("/scheduler", {"weights": [1.0] * 21}).json()["weights"] == before


def test_a_change_on_an_old_version_is_refused(maria: Caller) -> None:
    assert maria.get("/scheduler")["ETag"].startswith('"0-')
    assert maria.patch("/scheduler", {"fuzz": False}, If_Match='"0"')["ETag"] == '"1"'
    answer = maria.patch("/scheduler", {"fuzz": True}, If_Match='"0"')
    assert answer.status_code == 412
    assert maria.get("/scheduler").json()["fuzz"] is False


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("desiredRetention", 0.69),
        ("desiredRetention", 0.971),
        ("desiredRetention", None),
        ("learningSteps", [0]),
        ("learningSteps", [60] * 11),
        ("learningSteps", 60),
        ("learningSteps", ["60"]),
        ("relearningSteps", [2_592_001]),
        ("maximumIntervalDays", 0),
        ("maximumIntervalDays", 36_501),
        ("fuzz", "yes"),
        ("fuzz", 1),
        ("easyDays", [1] * 6),
        ("easyDays", [1, 1, 1, 1, 1, 1, 1.1]),
        ("easyDays", [1, 1, 1, 1, 1, 1, True]),
        ("dayStartsAtHour", 24),
        ("newCardsPerDay", -1),
        ("reviewsPerDay", 10_000),
        ("parameters", []),
    ],
)
def test_a_field_that_is_not_valid_is_named(maria: Caller, field: str, value: Any) -> None:
    answer = maria.patch("/scheduler", {field: value})
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"].partition(".")[0] == field
    assert maria.get("/scheduler").json()["version"] == 0
