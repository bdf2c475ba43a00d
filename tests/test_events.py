"""/events."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ulid import ULID

from config.store.items import batch_put
from reminders.models import Event
from tests.callers import Caller
from tests.reminder_helpers import event_of, reminder_of
from tests.wire import Headers, Send, operation_of, sending

WHOLE = {
    "title": "Tertúlia",
    "description": "Conversa sobre livros",
    "location": "Café Central",
    "startsAt": "2030-06-03T18:00:00Z",
    "endsAt": "2030-06-03T19:30:00Z",
    "startsOn": None,
    "endsOn": None,
    "timezone": "Europe/Lisbon",
    "rrule": "FREQ=WEEKLY;BYDAY=MO;COUNT=5",
    "skipped": ["20300610T190000"],
    "moved": [
        {
            "occurrence": "20300617T190000",
            "startsAt": "2030-06-18T18:00:00Z",
            "endsAt": None,
            "startsOn": None,
            "endsOn": None,
        }
    ],
}

MOVED = {"occurrence": "20300603T190000", "startsAt": "2030-06-04T18:00:00Z"}


def shown(caller: Caller, after: str, before: str, **query: str) -> list[dict[str, Any]]:
    """Everything a window has, through all its pages."""
    parameters = "&".join(f"{name}={value}" for name, value in query.items())
    path = f"/events/occurrences?after={after}&before={before}&{parameters}"
    found: list[dict[str, Any]] = []
    while path:
        answer = caller.get(path)
        assert answer.status_code == 200, answer.content
        found += answer.json()["results"]
        path = answer.json()["next"]
    return found


def test_an_event_is_made_read_replaced_and_deleted(maria: Caller) -> None:
    event = maria.makes("/events", WHOLE)
    assert {name: event[name] for name in WHOLE} == WHOLE
    path = f"/events/{event['id']}"
    assert maria.get(path).json() == event
    put = maria.put(path, event)
    assert put.status_code == 200, put.content
    assert {name: put.json()[name] for name in WHOLE} == WHOLE
    replaced = maria.put(path, {"title": "Férias", "startsOn": "2030-08-01"}).json()
    assert (replaced["rrule"], replaced["skipped"], replaced["endsOn"]) == (None, [], "2030-08-01")
    assert maria.get("/events").json()["results"] == [replaced]
    assert maria.delete(path).status_code == 204
    assert maria.get(path).status_code == 404


def test_an_event_sent_again_with_its_id_is_the_same_event(maria: Caller) -> None:
    body = WHOLE | {"id": str(ULID())}
    first = maria.makes("/events", body)
    assert maria.makes("/events", body) == first
    other = maria.post("/events", body | {"title": "Outra"})
    assert (other.status_code, other.json()["code"]) == (409, "ID_TAKEN")


def test_an_event_keeps_the_clock_of_the_profile_where_it_names_none(maria: Caller) -> None:
    event = maria.makes("/events", {"title": "Ler", "startsAt": "2030-01-01T08:00:00Z"})
    assert (event["timezone"], event["endsAt"]) == ("Europe/Lisbon", "2030-01-01T08:00:00Z")


def test_a_window_shows_events_in_order_and_in_pages(maria: Caller) -> None:
    maria.makes("/events", WHOLE)
    holidays = maria.makes(
        "/events", {"title": "Feriado", "startsOn": "2030-06-10", "endsOn": "2030-06-11"}
    )
    window = "2030-06-01T00:00:00Z", "2030-07-01T00:00:00Z"
    expected = [
        ("Tertúlia", "20300603T190000", "2030-06-03T18:00:00Z"),
        ("Feriado", "20300610", "2030-06-09T23:00:00Z"),
        ("Tertúlia", "20300617T190000", "2030-06-18T18:00:00Z"),
        ("Tertúlia", "20300624T190000", "2030-06-24T18:00:00Z"),
    ]
    for limit in ("1", "2", "100"):
        found = shown(maria, *window, limit=limit)
        assert [(e["title"], e["occurrence"], e["startsAt"]) for e in found] == expected
    assert found[1]["allDay"] is True
    assert (found[1]["startsOn"], found[1]["endsOn"]) == ("2030-06-10", "2030-06-11")
    assert (found[0]["startsOn"], found[0]["endsOn"]) == (None, None)
    assert (found[1]["eventId"], found[1]["endsAt"]) == (holidays["id"], "2030-06-11T23:00:00Z")


def test_a_window_shows_what_is_under_way_and_not_what_is_over(maria: Caller) -> None:
    event_of(maria)
    assert len(shown(maria, "2030-06-03T18:59:59Z", "2030-06-04T00:00:00Z")) == 1
    assert shown(maria, "2030-06-03T19:00:00Z", "2030-06-04T00:00:00Z") == []
    assert shown(maria, "2030-06-01T00:00:00Z", "2030-06-03T18:00:00Z") == []


def test_a_time_that_the_clock_jumps_over_is_moved_past_the_gap(maria: Caller) -> None:
    event_of(
        maria,
        startsAt="2027-03-13T07:30:00Z",
        endsAt=None,
        timezone="America/New_York",
        rrule="FREQ=DAILY",
    )
    found = shown(maria, "2027-03-14T00:00:00Z", "2027-03-16T00:00:00Z")
    assert [(e["occurrence"], e["startsAt"]) for e in found] == [
        ("20270314T023000", "2027-03-14T07:30:00Z"),  # 03:30 in summer time
        ("20270315T023000", "2027-03-15T06:30:00Z"),
    ]


def test_another_start_keeps_the_duration_and_drops_exceptions_without_occurrence(
    maria: Caller,
) -> None:
    event = maria.makes("/events", WHOLE)
    path = f"/events/{event['id']}"
    moved = maria.patch(path, {"startsAt": "2030-06-10T18:00:00Z"}).json()
    assert moved["endsAt"] == "2030-06-10T19:30:00Z"
    assert (moved["skipped"], len(moved["moved"])) == (["20300610T190000"], 1)
    later = maria.patch(path, {"startsAt": "2030-06-10T19:00:00Z"}).json()
    assert (later["skipped"], later["moved"]) == ([], [])


def test_a_lost_update_is_412(maria: Caller) -> None:
    path = f"/events/{event_of(maria)['id']}"
    assert maria.patch(path, {"title": "A"}, If_Match='"1"').json()["version"] == 2
    assert maria.patch(path, {"title": "B"}, If_Match='"1"').status_code == 412
    assert maria.delete(path, If_Match='"1"').status_code == 412


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"rrule": "FREQ=DAILY;BYMONTHDAY=31;BYMONTH=2,4"}, "rrule", "rrule_never_occurs"),
        ({"rrule": "FREQ=HOURLY"}, "rrule", "rrule_unsupported"),
        ({"rrule": "every day"}, "rrule", "rrule_invalid"),
        ({"rrule": "FREQ=DAILY;" + "X" * 502}, "rrule", "max_length"),
        ({"endsAt": "2030-06-03T17:00:00Z"}, "endsAt", "duration_invalid"),
        ({"startsAt": None}, "startsAt", "required"),
        ({"startsOn": "2030-06-03"}, "startsOn", "contradiction"),
        ({"endsOn": "2030-06-03"}, "endsOn", "contradiction"),
        ({"startsAt": None, "startsOn": "2030-06-03"}, "endsAt", "contradiction"),
        ({"timezone": "Europe/Atlantis"}, "timezone", "unknown_zone"),
        ({"skipped": ["20300604T190000"]}, "skipped", "occurrence_unknown"),
        ({"moved": [{"occurrence": "20300603T190000"}]}, "moved.0.startsAt", "required"),
        ({"moved": [MOVED | {"endsOn": "2030-06-18"}]}, "moved.0.endsOn", "contradiction"),
        (
            {"moved": [MOVED | {"endsAt": "2030-06-03T17:00:00Z"}]},
            "moved.0.endsAt",
            "duration_invalid",
        ),
        ({"moved": [MOVED, MOVED]}, "moved.1", "occurrence_unknown"),
        (
            {"moved": [MOVED, MOVED | {"occurrence": "20300604T190000"}]},
            "moved.1",
            "occurrence_unknown",
        ),
        ({"startsAt": "0001-01-01T00:00:00Z", "endsAt": None}, "startsAt", "out_of_range"),
        ({"startsAt": "9999-12-31T23:59:59Z", "endsAt": None}, "startsAt", "out_of_range"),
        ({"endsAt": "2399-12-31T23:59:59Z"}, "endsAt", "duration_invalid"),
        (
            {"moved": [MOVED | {"startsAt": "9999-12-31T23:59:59Z"}]},
            "moved.0.startsAt",
            "out_of_range",
        ),
        (
            {"startsAt": "1900-01-01T00:00:00Z", "endsAt": None, "timezone": "America/Lima"},
            "startsAt",
            "start_invalid",
        ),
        ({"title": "x" * 201}, "title", "max_length"),
        ({"colour": "red"}, "colour", "unknown_field"),
        (
            {"timezone": "America/New_York", "startsAt": "2027-11-07T06:30:00Z", "endsAt": None},
            "startsAt",
            "ambiguous_time",
        ),
    ],
)
def test_what_cannot_take_place_is_400_and_names_the_field(
    maria: Caller, fields: dict[str, Any], field: str, code: str
) -> None:
    body = {
        "title": "Tertúlia",
        "startsAt": "2030-06-03T18:00:00Z",
        "endsAt": "2030-06-03T19:00:00Z",
        "timezone": "Europe/Lisbon",
    }
    answer = maria.post("/events", body | fields)
    assert answer.status_code == 400, answer.content
    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [(field, code)]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("year", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_an_instant_at_the_edge_of_time_is_refused_in_every_zone(
    maria: Caller, zone: str, year: str
) -> None:
    answer = maria.post("/events", {"title": "A", "startsAt": year, "timezone": zone})
    assert answer.status_code == 400, answer.content
    answer = maria.post("/reminders", {"kind": "once", "title": "A", "at": year})
    assert answer.status_code == 400, answer.content
    window = maria.get(f"/events/occurrences?after={year}")
    assert window.status_code in (200, 400), window.content


@pytest.mark.parametrize("zone", ["localtime", "Factory"])
def test_a_zone_that_is_none_is_refused(maria: Caller, zone: str) -> None:
    body = {"title": "A", "startsAt": "2030-06-03T18:00:00Z", "timezone": zone}
    answer = maria.post("/events", body)
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"] == "timezone"


def test_milliseconds_of_a_clients_clock_are_left_out(maria: Caller) -> None:
    event = event_of(maria, startsAt="2030-06-03T18:00:00.123Z", endsAt="2030-06-03T19:00:00.456Z")
    assert (event["startsAt"], event["endsAt"]) == ("2030-06-03T18:00:00Z", "2030-06-03T19:00:00Z")


@pytest.mark.parametrize("until", ["99991231T235959Z", "99991231T000000Z", "24000101T000000Z"])
def test_until_may_say_for_ever(maria: Caller, until: str) -> None:
    event = event_of(maria, rrule=f"FREQ=YEARLY;UNTIL={until}")
    found = shown(maria, "2050-01-01T00:00:00Z", "2051-01-01T00:00:00Z")
    assert [each["eventId"] for each in found] == [event["id"]]


def test_a_patch_says_which_occurrence_it_moves(maria: Caller) -> None:
    event = event_of(maria, rrule="FREQ=DAILY;COUNT=3")
    answer = maria.patch(f"/events/{event['id']}", {"moved": [{"startsAt": MOVED["startsAt"]}]})
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("moved.0.occurrence", "required")


def test_the_first_of_two_equal_times_is_taken(maria: Caller) -> None:
    event = event_of(
        maria, timezone="America/New_York", startsAt="2027-11-07T05:30:00Z", endsAt=None
    )
    assert event["startsAt"] == "2027-11-07T05:30:00Z"


@pytest.mark.parametrize("query", ["before=2020-01-01T00:00:00Z", "after=2030-01-01T00:00:00Z"])
def test_a_window_is_a_year_at_most_and_not_empty(maria: Caller, query: str) -> None:
    path = f"/events/occurrences?{query}&limit=5"
    if "after" in query:
        path += "&before=2031-06-01T00:00:00Z"
    assert maria.get(path).json()["errors"][0]["code"] == "window_invalid"


def test_a_cursor_of_another_window_is_refused(maria: Caller) -> None:
    event_of(maria, rrule="FREQ=DAILY")
    path = "/events/occurrences?after=2030-06-01T00:00:00Z&limit=1"
    cursor = maria.get(path).json()["next"].partition("cursor=")[2]
    other = "/events/occurrences?after=2030-06-02T00:00:00Z&limit=1"
    assert maria.get(f"{other}&cursor={cursor}").status_code == 400


def test_an_event_more_than_may_lie_ahead_is_409(
    maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reminders.services.events.MAX_EVENTS", 2)
    event_of(maria, startsAt="2020-01-01T00:00:00Z", endsAt=None)  # over
    event_of(maria)
    body = {"title": "A", "startsAt": "2030-06-03T18:00:00Z", "id": str(ULID())}
    first = maria.makes("/events", body)
    assert maria.makes("/events", body) == first
    refused = maria.post("/events", body | {"id": str(ULID())})
    assert (refused.status_code, refused.json()["code"]) == (409, "TOO_MANY_EVENTS")


def test_an_event_that_is_over_comes_back_only_where_there_is_room(
    maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reminders.services.events.MAX_EVENTS", 1)
    over = event_of(maria, startsAt="2020-01-01T00:00:00Z", endsAt=None)
    ahead = event_of(maria)
    path, body = f"/events/{over['id']}", {"startsAt": "2030-06-05T18:00:00Z"}
    refused = maria.patch(path, body)
    assert (refused.status_code, refused.json()["code"]) == (409, "TOO_MANY_EVENTS")
    assert maria.patch(path, {"startsAt": "2021-01-01T00:00:00Z"}).status_code == 200
    assert maria.patch(f"/events/{ahead['id']}", body).status_code == 200


def past_events(caller: Caller, number: int, *, day: str) -> None:
    """Single events of a day that is over, an hour each, written past the API."""
    event = event_of(caller, startsAt=f"{day}T08:00:00Z", endsAt=f"{day}T09:00:00Z")
    stored = Event.of(caller.id, event["id"])
    assert stored is not None
    copies = []
    for _ in range(number - 1):
        copy = Event.from_raw(stored.serialize())
        copy.id = str(ULID())
        copy.sk = Event.key(caller.id, copy.id)[1]
        copies.append(copy)
    batch_put(copies)


def test_a_series_stands_beside_however_many_events_are_over(maria: Caller) -> None:
    past_events(maria, 250, day="2026-11-02")
    series = event_of(
        maria, startsAt="2026-11-01T07:00:00Z", endsAt="2026-11-01T07:30:00Z", rrule="FREQ=DAILY"
    )
    found = shown(maria, "2026-11-01T00:00:00Z", "2026-11-05T00:00:00Z", limit="100")
    assert len(found) == 250 + 4
    assert [each["occurrence"][:8] for each in found if each["eventId"] == series["id"]] == [
        "20261101",
        "20261102",
        "20261103",
        "20261104",
    ]
    assert [each["startsAt"] for each in found] == sorted(each["startsAt"] for each in found)


def test_reminders_go_with_their_event(maria: Caller) -> None:
    event = event_of(maria)
    reminder = reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[10])
    path = f"/reminders/{reminder['id']}"
    assert reminder["nextAt"] == "2030-06-03T17:50:00Z"
    maria.patch(f"/events/{event['id']}", {"startsAt": "2030-06-04T18:00:00Z"})
    assert maria.get(path).json()["nextAt"] == "2030-06-04T17:50:00Z"
    maria.delete(f"/events/{event['id']}")
    assert maria.get(path).status_code == 404


@pytest.mark.parametrize("method", ["post", "patch"])
def test_a_moved_occurrence_is_named(maria: Caller, method: str) -> None:
    path = "/events" if method == "post" else f"/events/{maria.makes('/events', WHOLE)['id']}"
    moved = [{"startsAt": "2030-06-18T18:00:00Z"}]
    answer = maria.send(method, path, WHOLE | {"moved": moved})
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("moved.0.occurrence", "required")


def test_a_window_so_long_ago_that_too_many_events_follow_it_is_refused(
    maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reminders.services.events.MAX_READ", 3)
    for day in (1, 2, 3, 4):
        event_of(maria, startsAt=f"2030-06-0{day}T18:00:00Z", endsAt=None)
    path = "/events/occurrences?after=2030-0{}-01T00:00:00Z&before=2030-12-01T00:00:00Z"
    with queries_counted() as queries:
        refused = maria.get(path.format(1))
    [error] = refused.json()["errors"]
    assert (refused.status_code, error["field"]) == (400, "after")
    assert error["code"] == "too_many_events"
    assert queries == [4]
    event_id = maria.get("/events").json()["results"][0]["id"]
    assert maria.delete(f"/events/{event_id}").status_code == 204
    assert len(maria.get(path.format(1)).json()["results"]) == 3


@contextmanager
def queries_counted() -> Iterator[list[int]]:
    """How many items each query asks for, beside the one that tells of a next page."""
    asked: list[int] = []

    def through(send: Send) -> Send:
        def counted(body: bytes, headers: Headers) -> Any:
            if operation_of(headers) == "Query":
                asked.append(json.loads(body)["Limit"] - 1)
            return send(body, headers)

        return counted

    with sending(through):
        yield asked
