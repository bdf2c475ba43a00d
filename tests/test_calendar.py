"""/calendar: the feed, its secret address, and its agreement with /events/occurrences."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from django.test import Client
from time_machine import travel

from accounts.models import Account
from config import lambda_handler
from config.store.items import batch_put
from reminders.models import Event, Reminder
from tests.callers import Caller, access_token
from tests.gateway import GATEWAY_HOST, event, path_of
from tests.reminder_helpers import event_of, prefer, reminder_of
from tests.test_calendar_feed import parsed, read_back
from tests.test_events import past_events, shown

STRANGER = Client()


def address_of(caller: Caller) -> str:
    """The path of a new address of the calendar."""
    answer = caller.post("/calendar/rotate")
    assert answer.status_code == 200, answer.content
    return urlsplit(answer.json()["url"]).path


def feed_of(path: str) -> Any:
    answer = STRANGER.get(path)
    assert answer.status_code == 200, answer.content
    return answer


def fill(maria: Caller) -> None:
    """One of each: a rule with exceptions over a change of the clock, another zone, days, once."""
    event_of(
        maria,
        startsAt="2030-03-04T18:00:00Z",
        endsAt="2030-03-04T19:30:00Z",
        rrule="FREQ=WEEKLY;BYDAY=MO,TH;UNTIL=20300601T000000Z",
        skipped=["20300311T180000"],
        moved=[
            {"occurrence": "20300314T180000", "startsAt": "2030-03-15T20:00:00Z"},
            {
                "occurrence": "20300401T180000",
                "startsAt": "2030-03-30T09:00:00Z",
                "endsAt": "2030-03-30T12:00:00Z",
            },
        ],
    )
    event_of(
        maria,
        startsAt="2030-03-09T07:30:00Z",
        endsAt="2030-03-09T08:30:00Z",
        timezone="America/New_York",
        rrule="FREQ=DAILY;COUNT=4",
    )
    event_of(maria, startsAt="2030-04-01T10:00:00Z", endsAt=None, timezone="Australia/Lord_Howe")


def test_another_calendar_expands_to_our_own_occurrences(maria: Caller) -> None:
    fill(maria)
    window = "2030-01-01T00:00:00Z", "2030-12-31T00:00:00Z"
    ours = [
        (datetime.fromisoformat(each["startsAt"]), datetime.fromisoformat(each["endsAt"]))
        for each in shown(maria, *window, limit="20")
    ]
    assert len(ours) == 30
    assert read_back(feed_of(address_of(maria)).content) == sorted(ours)


def test_all_day_events_and_alarms_are_in_the_feed(maria: Caller) -> None:
    event = maria.makes("/events", {"title": "Férias", "startsOn": "2030-08-01"})
    reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[1440])
    [component] = parsed(feed_of(address_of(maria)).content).vevent_list
    assert component.dtstart.value.isoformat() == "2030-08-01"
    assert component.valarm.trigger.value == timedelta(hours=-15)


def test_the_study_plan_and_what_the_learner_noted_are_in_the_feed(maria: Caller) -> None:
    reminder_of(maria, kind="study", weekdays=[0, 2], localTime="07:30")
    reminder_of(maria)
    reminder_of(maria, title="Em pausa", paused=True)
    found = {
        each.summary.value: each for each in parsed(feed_of(address_of(maria)).content).vevent_list
    }
    assert set(found) == {"Study with Parley", "Ligar à Inês"}
    assert found["Study with Parley"].rrule.value == "FREQ=WEEKLY;BYDAY=MO,WE"
    once = found["Ligar à Inês"].dtstart.value.astimezone(UTC)
    assert once == datetime(2030, 6, 3, 17, tzinfo=UTC)


def test_no_number_of_past_events_displaces_one_that_is_not_over(maria: Caller) -> None:
    with travel("2026-11-20T12:00:00Z", tick=False):
        again = Caller(maria.id, access_token(maria.id))
        past_events(again, 120, day="2026-11-02")
        series = event_of(again, title="Todos os dias", rrule="FREQ=DAILY")
        body = feed_of(address_of(again)).content
    assert body.count(b"SUMMARY:Tert") == 100
    assert f"UID:{series['id']}".encode() in body


def test_the_feed_answers_without_what_it_cannot_show(maria: Caller) -> None:
    """Such items stood in tables before they were refused."""
    event_of(maria)
    reminder = Reminder.of(maria.id, reminder_of(maria)["id"])
    assert reminder is not None
    reminder.update_attributes(Reminder.at.set(datetime(9999, 12, 31, 23, 59, tzinfo=UTC)))
    broken = Event.of(maria.id, event_of(maria, title="A")["id"])
    assert broken is not None
    broken.update_attributes(Event.timezone.set("localtime"))
    path = address_of(maria)
    reminder_of(maria, kind="study", weekdays=[0], localTime="07:30")
    for zone, titles in (
        ("Asia/Tokyo", {"Tertúlia", "Study with Parley"}),
        ("localtime", {"Tertúlia", "Study with Parley", "Ligar à Inês"}),
    ):
        prefer(maria, timezone=zone)
        shown_events = parsed(feed_of(path).content).vevent_list
        assert {each.summary.value for each in shown_events} == titles


def test_the_feed_has_a_bound_for_what_it_spells_out(
    maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reminders.services.calendar_feed.MAX_MOVED", 2)
    monkeypatch.setattr("reminders.services.calendar_feed.MAX_DESCRIPTIONS", 3 * 900)
    moved = [
        {"occurrence": f"203006{day:02}T190000", "startsAt": f"2030-06-{day:02}T20:00:00Z"}
        for day in (4, 5, 6)
    ]
    event_of(maria, rrule="FREQ=DAILY", moved=moved, description="x" * 900)
    event_of(maria, description="y" * 900)
    [*components] = parsed(feed_of(address_of(maria)).content).vevent_list
    exceptions = [each for each in components if hasattr(each, "recurrence_id")]
    assert len(exceptions) == 2
    assert sum(hasattr(each, "description") for each in components) in (1, 3)


def test_no_number_of_past_one_offs_displaces_the_study_plan(maria: Caller) -> None:
    stored = Reminder.of(maria.id, reminder_of(maria)["id"])
    assert stored is not None
    stored.next_at, stored.at = None, datetime(2020, 1, 1, tzinfo=UTC)
    stored.schedule_check(None)
    copies = [Reminder.from_raw(stored.serialize()) for _ in range(120)]
    for number, copy in enumerate(copies):
        copy.sk = Reminder.key(maria.id, f"{number:026}")[1]
    batch_put(copies)
    reminder_of(maria, kind="study", weekdays=[0], localTime="07:30")
    body = feed_of(address_of(maria)).content
    assert b"SUMMARY:Study with Parley" in body
    assert body.count(b"BEGIN:VEVENT") == 2


def test_ids_stay_and_the_tag_changes_with_the_data_alone(maria: Caller) -> None:
    event = event_of(maria)
    path = address_of(maria)
    first = feed_of(path)
    assert first["Content-Type"] == "text/calendar; charset=utf-8"
    assert first["Cache-Control"] == "private, no-cache"
    assert feed_of(path).content == first.content
    tag = first["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = STRANGER.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
    maria.patch(f"/events/{event['id']}", {"title": "Outra"})
    changed = STRANGER.get(path, headers={"If-None-Match": tag})
    assert (changed.status_code, changed["ETag"] != tag) == (200, True)
    uids = [
        [each.uid.value for each in parsed(answer.content).vevent_list]
        for answer in (first, changed)
    ]
    assert uids[0] == uids[1] == [f"{event['id']}@parley"]


def test_a_new_address_voids_the_old_one_and_none_is_left_in_the_end(maria: Caller) -> None:
    first, second = address_of(maria), address_of(maria)
    assert STRANGER.get(first).status_code == 404
    assert STRANGER.get(second).status_code == 200
    for _ in range(2):
        assert maria.delete("/calendar").status_code == 204
    assert STRANGER.get(second).status_code == 404


def test_a_learner_learns_whether_there_is_an_address_and_makes_the_first(maria: Caller) -> None:
    assert maria.get("/calendar").json() == {"madeAt": None}
    calendar = maria.post("/calendar")
    assert calendar.status_code == 201, calendar.content
    path = urlsplit(calendar.json()["url"]).path
    assert STRANGER.get(path).status_code == 200
    assert maria.get("/calendar").json()["madeAt"]
    again = maria.post("/calendar")
    assert (again.status_code, again.json()["code"]) == (409, "CALENDAR_LINK_EXISTS")
    assert STRANGER.get(path).status_code == 200


def test_only_the_whole_secret_opens_the_feed(maria: Caller, joao: Caller) -> None:
    path = address_of(maria)
    token = path.removeprefix("/calendar/").removesuffix(".ics")
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert len(raw) - 16 >= 16  # bytes of secret
    swapped = base64.urlsafe_b64encode(UUID(joao.id).bytes + raw[16:]).decode().rstrip("=")
    other = base64.urlsafe_b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode().rstrip("=")
    for wrong in ("x", token[:-2], token + "AA", swapped, other, "%00", "ã", "A" * 3000, "=" * 9):
        answer = STRANGER.get(f"/calendar/{wrong}.ics")
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), wrong


def test_a_disabled_learner_shows_nothing(maria: Caller) -> None:
    path = address_of(maria)
    Account.at(maria.id).update_attributes(Account.disabled.set(True))
    assert STRANGER.get(path).status_code == 404


def test_it_passes_the_gateway_as_it_is(maria: Caller, settings: Any) -> None:
    settings.ALLOWED_HOSTS = [".amazonaws.com", "testserver"]
    event_of(maria, title="Tertúlia 🎉")
    sent = {"Authorization": f"Bearer {maria.token}"}
    made = lambda_handler.lambda_handler(event("POST", "/calendar/rotate", headers=sent), None)
    url = json.loads(made["body"])["url"]
    assert url.startswith(f"https://{GATEWAY_HOST}/dev/calendar/")
    answer = lambda_handler.lambda_handler(event("GET", path_of(url)), None)
    body = answer["body"]
    raw = base64.b64decode(body) if answer["isBase64Encoded"] else body.encode()
    assert answer["statusCode"] == 200
    [component] = parsed(raw).vevent_list
    assert component.summary.value == "Tertúlia 🎉"


def test_a_learner_who_moves_keeps_events_and_takes_the_study_plan_along(maria: Caller) -> None:
    event_of(maria)
    reminder_of(maria, kind="study", weekdays=[0], localTime="07:30")
    path = address_of(maria)
    prefer(maria, timezone="Asia/Tokyo")
    zones = {
        each.summary.value: each.dtstart.value.tzname()
        for each in parsed(feed_of(path).content).vevent_list
    }
    assert zones["Study with Parley"] == "JST"
    assert zones["Tertúlia"] == "WEST"


@pytest.mark.parametrize("text", ["a" * 76, "ã" * 200])
def test_lines_are_folded_at_75_bytes(maria: Caller, text: str) -> None:
    event_of(maria, title=text)
    body = feed_of(address_of(maria)).content
    assert max(map(len, body.split(b"\r\n"))) <= 75


def told(path: str) -> tuple[int, str]:
    """SEQUENCE and LAST-MODIFIED of the only entry."""
    [entry] = parsed(feed_of(path).content).vevent_list
    return int(entry.sequence.value), entry.last_modified.value


def test_whatever_a_calendar_shows_anew_it_is_told_of(maria: Caller) -> None:
    with travel("2030-01-01T12:00:00Z", tick=False) as clock:
        again = Caller(maria.id, access_token(maria.id))
        made, path = event_of(again), address_of(again)
        other = event_of(again, title="Outra")
        again.delete(f"/events/{other['id']}")
        before = told(path)
        body = {"kind": "event", "eventId": made["id"], "offsetMinutes": [10]}
        reminder_path = f"/reminders/{reminder_of(again, **body)['id']}"
        changes: list[Any] = [
            lambda: again.patch(reminder_path, {"offsetMinutes": [20]}),
            lambda: again.patch(reminder_path, {"paused": True}),
            lambda: again.delete(reminder_path),
            lambda: again.patch(f"/events/{made['id']}", {"timezone": "Asia/Tokyo"}),
        ]
        for change in changes:
            clock.shift(1)
            answer = change()
            assert answer.status_code < 300, answer.content
            after = told(path)
            assert after > before
            before = after
        assert again.get(f"/events/{made['id']}").json()["version"] == 2


def test_a_study_plan_in_another_zone_is_told_as_changed(maria: Caller) -> None:
    with travel("2030-01-01T12:00:00Z", tick=False) as clock:
        again = Caller(maria.id, access_token(maria.id))
        path = address_of(again)
        reminder_of(again, kind="study", weekdays=[0], localTime="07:30")
        before = told(path)
        clock.shift(1)
        again.patch("/profile", {"timezone": "Asia/Tokyo"})
        assert told(path) > before


def test_a_feed_can_be_had_without_alarms(maria: Caller) -> None:
    event = event_of(maria)
    reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[10])
    reminder_of(maria)
    path = address_of(maria)
    assert feed_of(path).content.count(b"BEGIN:VALARM") == 2
    assert b"VALARM" not in feed_of(f"{path}?alarms=false").content
    answer = STRANGER.get(f"{path}?alarms=perhaps")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "alarms")
