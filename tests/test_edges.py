"""Instants and zones at the ends of the calendar: refused by the field's name, or answered."""

from typing import Any

import pytest
from ulid import ULID

from tests.callers import Caller

EDGES = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T23:59:59-23:59",
    "1899-12-31T23:59:59Z",
    "2400-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:59.999999+23:59",
]
NO_ZONES = [
    "",
    " ",
    "localtime",
    "Factory",
    "posixrules",
    "posix/Europe/Lisbon",
    "right/UTC",
    "../etc",
    "/etc/localtime",
    "Europe",
    "Europe/Lisbon\n",
    "Europe/\x00Lisbon",
    "Europe/Lissabon",
    "E" * 65,
    "E" * 5000,
]
CLASS = {"title": "Conversação", "startsAt": "2030-06-03T18:00:00Z", "timezone": "Pacific/Apia"}


def refused_fields(answer: Any) -> list[str]:
    """The fields that a 400 names."""
    assert answer.status_code == 400, answer.content
    return [error["field"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("instant", EDGES)
def test_an_event_at_the_ends_of_the_calendar_is_refused(
    maria: Caller, instant: str, zone: str
) -> None:
    event = {**CLASS, "timezone": zone}
    assert refused_fields(maria.post("/events", event | {"startsAt": instant})) == ["startsAt"]
    assert refused_fields(maria.post("/events", event | {"endsAt": instant})) == ["endsAt"]
    path = f"/events/{maria.makes('/events', event)['id']}"
    assert refused_fields(maria.patch(path, {"startsAt": instant})) == ["startsAt"]
    moved = {"moved": [{"occurrence": "20300603T070000", "startsAt": instant}]}
    assert refused_fields(maria.patch(path, moved)) == ["moved.0.startsAt"]


@pytest.mark.parametrize("day", ["0001-01-01", "1899-12-31", "2400-01-01", "9999-12-31"])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_a_day_at_the_ends_of_the_calendar_is_refused(maria: Caller, day: str, zone: str) -> None:
    event = {"title": "Férias", "startsOn": "2030-08-01", "timezone": zone}
    assert refused_fields(maria.post("/events", event | {"startsOn": day})) == ["startsOn"]
    assert refused_fields(maria.post("/events", event | {"endsOn": day})) == ["endsOn"]
    path = f"/events/{maria.makes('/events', event)['id']}"
    assert refused_fields(maria.patch(path, {"startsOn": day})) == ["startsOn"]
    moved = {"moved": [{"occurrence": "20300801", "startsOn": day}]}
    assert refused_fields(maria.patch(path, moved)) == ["moved.0.startsOn"]


@pytest.mark.parametrize("name", ["after", "before"])
@pytest.mark.parametrize("instant", EDGES)
def test_a_window_at_the_ends_of_the_calendar_is_refused(
    maria: Caller, name: str, instant: str
) -> None:
    maria.makes("/events", {**CLASS, "rrule": "FREQ=DAILY"})
    answer = maria.get(f"/events/occurrences?{name}={instant.replace('+', '%2B')}")
    assert refused_fields(answer) == [name]


@pytest.mark.parametrize("instant", EDGES)
def test_a_reminder_at_the_ends_of_the_calendar_is_refused(maria: Caller, instant: str) -> None:
    reminder = {"kind": "once", "title": "Ligar à Inês"}
    assert refused_fields(maria.post("/reminders", reminder | {"at": instant})) == ["at"]
    made = maria.makes("/reminders", reminder | {"at": "2035-06-03T18:00:00Z"})
    path = f"/reminders/{made['id']}"
    assert refused_fields(maria.patch(path, {"at": instant})) == ["at"]
    assert refused_fields(maria.post(f"{path}/snooze", {"until": instant})) == ["until"]


@pytest.mark.parametrize("instant", EDGES)
def test_a_review_at_the_ends_of_the_calendar_is_refused(maria: Caller, instant: str) -> None:
    deck = maria.makes("/decks", {"name": "Português"})
    card = maria.makes("/flashcards", {"deckId": deck["id"], "front": "casa", "back": "house"})
    path = f"/flashcards/{card['id']}"
    review = {"id": str(ULID()), "rating": "good", "reviewedAt": instant}
    assert refused_fields(maria.post(f"{path}/reviews", review)) == ["reviewedAt"]
    reschedule = {"id": str(ULID()), "dueAt": instant}
    assert refused_fields(maria.post(f"{path}/reschedule", reschedule)) == ["dueAt"]


@pytest.mark.parametrize("zone", NO_ZONES)
def test_what_is_no_zone_of_the_tz_database_is_refused(maria: Caller, zone: str) -> None:
    assert refused_fields(maria.patch("/profile", {"timezone": zone})) == ["timezone"]
    event = {**CLASS, "timezone": zone}
    assert refused_fields(maria.post("/events", event)) == ["timezone"]


@pytest.mark.parametrize(
    "until", ["99991231T235959Z", "99991231T000000Z", "24000101T000000Z", "23991231T235959Z"]
)
def test_a_rule_until_the_end_of_the_calendar_goes_on_for_ever(maria: Caller, until: str) -> None:
    maria.makes("/events", {**CLASS, "rrule": f"FREQ=DAILY;UNTIL={until}"})
    window = "after=2390-01-01T00:00:00Z&before=2390-01-04T00:00:00Z"
    assert len(maria.get(f"/events/occurrences?{window}").json()["results"]) == 3
    link = maria.post("/calendar/rotate").json()["url"]
    assert maria.get("/calendar" + link.partition("/calendar")[2]).status_code == 200


@pytest.mark.parametrize("until", ["99991231", "24000101"])
def test_days_until_the_end_of_the_calendar_go_on_for_ever(maria: Caller, until: str) -> None:
    event = {"title": "Feira", "startsOn": "2030-06-03", "timezone": "Pacific/Apia"}
    maria.makes("/events", {**event, "rrule": f"FREQ=WEEKLY;UNTIL={until}"})
    window = "after=2390-01-01T00:00:00Z&before=2390-01-08T00:00:00Z"
    assert len(maria.get(f"/events/occurrences?{window}").json()["results"]) in (1, 2)


@pytest.mark.parametrize("until", ["00010101T000000Z", "18991231T235959Z"])
def test_a_rule_that_ended_before_it_began_is_refused(maria: Caller, until: str) -> None:
    event = {**CLASS, "rrule": f"FREQ=DAILY;UNTIL={until}"}
    assert refused_fields(maria.post("/events", event)) == ["rrule"]


@pytest.mark.parametrize("fraction", [".1", ".12", ".123", ".000", ".123456", ".123456789"])
def test_fractions_of_a_second_are_taken_wherever_an_instant_is(
    maria: Caller, fraction: str
) -> None:
    """`Date.prototype.toISOString()` always writes milliseconds."""
    window = f"after=2030-06-03T18:00:00{fraction}Z&before=2030-06-09T18:00:00{fraction}Z"
    assert maria.get(f"/events/occurrences?{window}").status_code == 200
    once = {"kind": "once", "title": "Ligar à Inês", "at": f"2035-06-03T18:00:00{fraction}Z"}
    reminder = maria.makes("/reminders", once)
    snooze = {"until": f"2035-06-04T18:00:00{fraction}Z"}
    assert maria.post(f"/reminders/{reminder['id']}/snooze", snooze).status_code in (200, 400)


@pytest.mark.parametrize("name", ["startsAt", "endsAt"])
def test_an_event_written_by_a_browser_keeps_its_whole_second(maria: Caller, name: str) -> None:
    event = {**CLASS, "endsAt": "2030-06-03T19:00:00Z"}
    made = maria.makes("/events", event | {name: event[name].replace("Z", ".789Z")})
    assert (made["startsAt"], made["endsAt"]) == (event["startsAt"], event["endsAt"])
