"""GET, PUT and PATCH /profile."""

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from accounts.models import Head, learner_key
from accounts.services.profile import read_profile
from tests.accounts_helpers import Person, api, problem, sign_up

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_pool")]

WHOLE = {
    "firstName": "Ana",
    "lastName": "Prado",
    "displayName": "Ana P.",
    "avatarUrl": "https://img.example.org:8443/a%20na/(1).png?v=2&w=/?#top",
    "nativeLanguage": "pt-BR",
    "targetLanguage": "de",
    "currentLevel": "A2",
    "targetLevel": "C1",
    "timezone": "America/Sao_Paulo",
    "dailyGoal": 30,
    "notifications": {
        "studyReminders": False,
        "eventReminders": True,
        "quietHours": {"starts": "22:00", "ends": "07:30"},
        "reports": False,
        "streakReminders": True,
        "beforeQuietHours": True,
    },
}


@pytest.fixture(scope="module")
def ana(embedded_pool: Any) -> Person:
    return sign_up("ana")


@pytest.fixture
def bruno(embedded_pool: Any) -> Person:
    """Four days of study in a row, the last on 10 March."""
    person = sign_up("bruno")
    api.patch("/profile", {"timezone": "America/Sao_Paulo"}, token=person.token)
    numbers = {"cards_learned": 12, "streak_days": 4, "studied_on": "2026-03-10"}
    Head(learner_key(person.id), Head.SK, **numbers).put()
    return person


def test_a_profile_is_replaced_whole_and_read_back(ana: Person) -> None:
    written = api.put("/profile", WHOLE, token=ana.token)
    assert written.status_code == 200
    read = api.get("/profile", token=ana.token)
    assert read.json() == written.json()
    assert {name: read.json()[name] for name in WHOLE} == WHOLE
    assert read.headers["ETag"].startswith(f'"{read.json()["version"]}-')
    assert read.headers["Cache-Control"] == "private, no-cache"


def test_put_gives_what_is_left_out_its_default(ana: Person) -> None:
    api.put("/profile", WHOLE, token=ana.token)
    answer = api.put("/profile", {"firstName": "Ana", "lastName": "Prado"}, token=ana.token)
    body = answer.json()
    assert (body["displayName"], body["timezone"], body["dailyGoal"]) == (None, "UTC", 20)
    assert body["notifications"] == {
        "studyReminders": True,
        "eventReminders": True,
        "quietHours": None,
        "reports": True,
        "streakReminders": True,
        "beforeQuietHours": False,
    }


def test_patch_leaves_the_rest_alone(ana: Person) -> None:
    before = api.put("/profile", WHOLE, token=ana.token).json()
    change = {"dailyGoal": 5, "notifications": {"eventReminders": False}}
    after = api.patch("/profile", change, token=ana.token).json()
    expected = before | {"dailyGoal": 5, "version": before["version"] + 1}
    expected["notifications"] = before["notifications"] | {"eventReminders": False}
    assert after == expected


def test_quiet_hours_that_end_as_they_start_are_none(ana: Person) -> None:
    hours = {"notifications": {"quietHours": {"starts": "00:00", "ends": "00:00"}}}
    after = api.patch("/profile", hours, token=ana.token).json()
    assert after["notifications"]["quietHours"] is None


def test_a_lost_race_is_412(ana: Person) -> None:
    seen = api.get("/profile", token=ana.token).headers["ETag"]
    first = api.patch("/profile", {"dailyGoal": 7}, token=ana.token, **{"If-Match": seen})
    second = api.patch("/profile", {"dailyGoal": 8}, token=ana.token, **{"If-Match": seen})
    assert first.status_code == 200
    assert problem(second) == (412, "PRECONDITION_FAILED")
    assert api.get("/profile", token=ana.token).json()["dailyGoal"] == 7


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("firstName", " "),
        ("firstName", "\u200b"),
        ("lastName", "\u202e\u2069"),
        ("displayName", "x" * 51),
        ("avatarUrl", "http://example.org/ana.png"),
        ("avatarUrl", "javascript:alert(1)"),
        ("avatarUrl", "https://example.org/a#b#c"),
        ("avatarUrl", "https://example.org/<script>"),
        ("avatarUrl", "https://example.org/100%"),
        ("avatarUrl", "https://maria@example.org/"),
        ("nativeLanguage", "Portuguese"),
        ("nativeLanguage", "zz"),
        ("targetLanguage", "pt-brazil"),
        ("currentLevel", "D1"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../../etc/passwd"),
        ("dailyGoal", 0),
        ("dailyGoal", 1001),
        ("dailyGoal", "20"),
        ("dailyGoal", True),
        ("email", "else@example.org"),
        ("groups", ["admin"]),
        ("streak", 99),
        ("notifications", None),
        ("notifications.quietHours.starts", {"quietHours": {"starts": "24:00", "ends": "07:00"}}),
        ("notifications.quietHours", {"quietHours": "22:00-07:00"}),
        ("notifications.quietHours.ends", {"quietHours": {"starts": "22:00"}}),
        ("notifications.studyReminders", {"studyReminders": "yes"}),
    ],
)
def test_a_field_out_of_its_bounds_is_named(ana: Person, field: str, value: Any) -> None:
    api.put("/profile", WHOLE, token=ana.token)
    answer = api.patch("/profile", {field.partition(".")[0]: value}, token=ana.token)
    assert problem(answer) == (400, "VALIDATION_ERROR")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_profile_costs_one_round_trip_besides_the_account(
    ana: Person, caplog: pytest.LogCaptureFixture
) -> None:
    api.get("/profile", token=ana.token)  # the account is known from now on
    caplog.clear()
    api.get("/profile", token=ana.token)
    [fields] = [vars(r)["fields"] for r in caplog.records if r.message == "request"]
    assert fields["calls"] == 1


@pytest.mark.parametrize(
    ("hour", "now", "streak"),
    [
        (4, "2026-03-10T23:30:00-03:00", 4),  # the day of study
        (4, "2026-03-11T23:30:00-03:00", 4),  # the day after still holds it
        (4, "2026-03-12T03:59:59-03:00", 4),  # and so does the night that belongs to it
        (4, "2026-03-12T04:00:00-03:00", 0),
        (0, "2026-03-11T23:59:59-03:00", 4),
        (0, "2026-03-12T00:00:00-03:00", 0),
    ],
)
def test_a_streak_ends_with_a_day_without_study_on_the_learners_calendar(
    bruno: Person, hour: int, now: str, streak: int
) -> None:
    answer = api.patch("/scheduler", {"dayStartsAtHour": hour}, token=bruno.token)
    assert answer.status_code == 200
    with time_machine.travel(datetime.fromisoformat(now), tick=False):
        found = read_profile(bruno.id, groups=frozenset(), now=datetime.now(UTC))
    assert found is not None
    assert (found.streak, found.head.cards_learned) == (streak, 12)


def test_a_streak_follows_the_learner_to_another_zone_at_once(bruno: Person) -> None:
    """Two at night at home is seven the evening before at the new place."""
    api.patch("/scheduler", {"dayStartsAtHour": 0}, token=bruno.token)
    at = datetime.fromisoformat("2026-03-12T02:00:00-03:00")
    streaks = []
    for zone in ("America/Sao_Paulo", "Pacific/Honolulu"):
        api.patch("/profile", {"timezone": zone}, token=bruno.token)
        found = read_profile(bruno.id, groups=frozenset(), now=at.astimezone(UTC))
        assert found is not None
        streaks.append(found.streak)
    assert streaks == [0, 4]


def test_no_token_is_401(ana: Person) -> None:
    for answer in (api.get("/profile"), api.put("/profile", WHOLE), api.patch("/profile", {})):
        assert problem(answer) == (401, "NOT_AUTHENTICATED")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
