"""The iCalendar feed, read back by another parser that knows the feed's own zones only."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import pytest
import vobject
from dateutil.tz import resolve_imaginary

from reminders.ical import FeedEvent, etag, feed, study_event
from reminders.recurrence import Move, Recurrence, overlapping, validate
from reminders.timing import StudyReminder

wall = datetime.fromisoformat
HOUR = timedelta(hours=1)
NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)
EDITED = datetime(2027, 1, 10, 8, 30, 15, 999, tzinfo=UTC)
FROM, TO = datetime(2026, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)

Times = list[tuple[datetime, datetime]]


def event(recurrence: Recurrence, **rest: Any) -> FeedEvent:
    validate(recurrence)
    return FeedEvent("01JH", "Spanish with Inés", recurrence, EDITED, **rest)


def timed(starts: str, rule: str | None, zone: str, **rest: Any) -> Recurrence:
    rest.setdefault("duration", HOUR)
    return Recurrence(wall(starts), zone, rule=rule, **rest)


def published(*events: FeedEvent) -> bytes:
    return feed(name="Parley", events=events, now=NOW)


def parsed(body: bytes) -> Any:
    """The feed as vobject reads it, its zones taken from its own VTIMEZONEs.

    vobject would rather take a zone it knows by name, so each gets a name it cannot know, and it
    takes a zone that had London's winter from 2000 to 2020 for UTC, so each is registered.
    """
    text, marker = body.decode(), uuid4().hex
    text = text.replace("\r\n ", "").replace("TZID=", f"TZID={marker}-")
    text = text.replace("TZID:", f"TZID:{marker}-")
    for zone in vobject.readOne(text).contents.get("vtimezone", []):
        vobject.icalendar.registerTzid(zone.tzid.value, zone.tzinfo)
    return vobject.readOne(text)


def instant(moment: datetime) -> datetime:
    return resolve_imaginary(moment).astimezone(UTC)


def lasting(component: Any) -> timedelta:
    if not hasattr(component, "dtend"):
        return timedelta(0)
    return instant(component.dtend.value) - instant(component.dtstart.value)


def read_back(body: bytes) -> Times:
    """The occurrences that another calendar program shows between FROM and TO."""
    components = parsed(body).vevent_list
    changed = {
        instant(each.recurrence_id.value) for each in components if hasattr(each, "recurrence_id")
    }
    times: Times = []
    for component in components:
        starts = [component.dtstart.value]
        if hasattr(component, "rrule"):
            rules = component.getrruleset(addRDate=True)
            starts = [at for at in rules.between(FROM, TO) if instant(at) not in changed]
        times += [(instant(at), instant(at) + lasting(component)) for at in starts]
    return sorted(times)


def our_times(*recurrences: Recurrence) -> Times:
    return sorted(
        (found.starts_at, found.ends_at)
        for each in recurrences
        for found in overlapping(each, after=FROM, before=TO)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "recurrence",
    [
        timed("2027-03-13T02:30", "FREQ=DAILY;COUNT=400", "America/New_York"),
        timed("2027-11-01T01:30", "FREQ=DAILY;COUNT=10", "America/New_York"),
        timed("2026-06-01T09:00", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH;WKST=SU", "Europe/Berlin"),
        timed("2026-09-01T02:15", "FREQ=DAILY", "Australia/Lord_Howe"),
        timed("2026-01-01T02:30", "FREQ=DAILY", "Africa/Casablanca"),
        timed("2026-01-01T06:00", "FREQ=MONTHLY;BYDAY=-1FR,2TU", "Asia/Kathmandu"),
        timed("2026-01-31T23:30", "FREQ=MONTHLY;BYMONTHDAY=31", "Pacific/Apia"),
        timed("2026-01-01T09:00", "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1,-1", "America/Sao_Paulo"),
        timed("2026-02-01T09:00", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "Asia/Tokyo"),
        timed("2027-01-01T20:00", "FREQ=DAILY;UNTIL=20270405T000000Z", "America/New_York"),
        timed("2027-01-06T08:00", "freq=weekly;byday=mo", "Europe/London"),
        timed("2026-01-01T12:00", "FREQ=WEEKLY", "UTC"),
        timed("2026-01-01T12:00", "FREQ=WEEKLY", "Etc/UTC"),
        timed("1975-05-05T12:00", "FREQ=YEARLY", "Europe/Paris"),
        timed("2027-05-05T12:00", None, "America/Halifax", duration=timedelta(0)),
        timed("2027-03-14T02:30", None, "America/New_York"),
        timed("2027-11-07T00:45", None, "America/New_York"),
    ],
    ids=lambda recurrence: f"{recurrence.zone} {recurrence.rule}",
)
def test_another_calendar_shows_our_occurrences(recurrence: Recurrence) -> None:
    expected = our_times(recurrence)
    assert expected
    assert read_back(published(event(recurrence))) == expected


def test_skipped_and_moved_occurrences_survive_the_journey() -> None:
    recurrence = timed(
        "2027-03-01T09:00",
        "FREQ=WEEKLY;COUNT=6",
        "Europe/Berlin",
        skipped=frozenset({"20270308T090000", "20270405T090000"}),
        moved=(
            Move("20270315T090000", wall("2027-03-16T18:00"), duration=2 * HOUR),
            Move("20270329T090000", wall("2027-03-27T08:00")),
        ),
    )
    body = published(event(recurrence))
    assert read_back(body) == our_times(recurrence)
    assert len(our_times(recurrence)) == 4
    uids = {component.uid.value for component in parsed(body).vevent_list}
    assert uids == {"01JH@parley"}


def test_a_skipped_single_event_is_left_out_and_a_moved_one_stands_where_it_is() -> None:
    single = timed("2027-03-01T09:00", None, "Europe/Berlin")
    key = "20270301T090000"
    moved = replace(single, moved=(Move(key, wall("2027-03-02T09:00")),))
    assert b"VEVENT" not in published(event(replace(single, skipped=frozenset({key}))))
    assert read_back(published(event(moved))) == our_times(moved)


def test_all_day_events_are_dates_and_end_before_their_last_one() -> None:
    trip = Recurrence(date(2027, 3, 27), "Europe/Berlin", timedelta(days=2), "FREQ=YEARLY;COUNT=2")
    body = published(event(trip))
    (component,) = parsed(body).vevent_list
    assert component.dtstart.value == date(2027, 3, 27)
    assert component.dtend.value == date(2027, 3, 29)
    shown = [at.date() for at in component.getrruleset(addRDate=True)]
    assert shown == [date(2027, 3, 27), date(2028, 3, 27)]
    assert b"VTIMEZONE" not in body


def test_an_all_day_exception_is_a_date_too() -> None:
    trip = Recurrence(
        date(2027, 3, 1),
        "Europe/Berlin",
        timedelta(days=1),
        "FREQ=DAILY;COUNT=3",
        skipped=frozenset({"20270302"}),
        moved=(Move("20270303", date(2027, 3, 9)),),
    )
    body = published(event(trip))
    assert b"EXDATE;VALUE=DATE:20270302\r\n" in body
    assert b"RECURRENCE-ID;VALUE=DATE:20270303\r\n" in body


def test_a_study_plan_stands_in_the_feed() -> None:
    evenings = StudyReminder(frozenset({0, 3}), time(20), "Europe/Berlin")
    plan = study_event(
        evenings,
        id="01JS",
        title="Study",
        starts_on=date(2027, 3, 23),
        updated_at=EDITED,
    )
    times = read_back(published(plan))
    assert [f"{start:%a %m-%d %H:%M}" for start, _ in times[:3]] == [
        "Thu 03-25 19:00",
        "Mon 03-29 18:00",
        "Thu 04-01 18:00",
    ]
    (component,) = parsed(published(plan)).vevent_list
    assert component.transp.value == "TRANSPARENT"
    assert component.valarm.trigger.value == timedelta(0)


def test_each_offset_is_an_alarm() -> None:
    body = published(
        event(timed("2027-03-01T09:00", None, "Europe/Berlin"), offset_minutes=(10, 1440))
    )
    (component,) = parsed(body).vevent_list
    triggers = [alarm.trigger.value for alarm in component.valarm_list]
    assert triggers == [timedelta(days=-1), timedelta(minutes=-10)]


def test_alarms_of_an_all_day_event_count_back_from_nine() -> None:
    holiday = Recurrence(date(2027, 3, 1), "Europe/Berlin", timedelta(days=1))
    (component,) = parsed(published(event(holiday, offset_minutes=(0, 1440)))).vevent_list
    triggers = [alarm.trigger.value for alarm in component.valarm_list]
    assert triggers == [timedelta(hours=-15), timedelta(hours=9)]


def test_text_survives_and_cannot_break_out() -> None:
    title = "Sí; coma, barra \\ y 日本語 🎉\r\nBEGIN:VEVENT\x00\x07" + "ñ" * 90
    described = event(
        timed("2027-03-01T09:00", None, "Europe/Berlin"),
        description="line one\nline two\rline three",
        location="Room 5; upstairs",
    )
    body = published(replace(described, title=title))
    (component,) = parsed(body).vevent_list
    assert component.summary.value == title.replace("\r\n", "\n").rstrip("ñ")[:-2] + "ñ" * 90
    assert component.description.value == "line one\nline two\nline three"
    assert component.location.value == "Room 5; upstairs"
    assert body.count(b"\r\nBEGIN:VEVENT\r\n") == 1
    assert all(len(line) <= 75 for line in body.split(b"\r\n"))
    assert b"\n" not in body.replace(b"\r\n", b"")


def test_every_zone_that_is_named_is_described_once() -> None:
    zones = ["America/New_York", "Asia/Kathmandu", "Europe/Berlin", "Europe/Berlin"]
    body = published(
        *(
            replace(event(timed("2027-03-01T09:00", None, zone)), id=f"01J{n}")
            for n, zone in enumerate(zones)
        )
    )
    described = [
        line.removeprefix("TZID:") for line in body.decode().split("\r\n") if line[:5] == "TZID:"
    ]
    assert described == sorted(set(zones))


def test_the_same_data_give_the_same_bytes_whatever_the_hour_and_order() -> None:
    one = event(timed("2027-03-01T09:00", "FREQ=DAILY", "Europe/Berlin"))
    two = replace(one, id="01JK")
    body = published(one, two)
    later = feed(name="Parley", events=[two, one], now=NOW + timedelta(days=200))
    assert later == body
    assert etag(later) == etag(body)
    edited = replace(two, updated_at=EDITED + HOUR, version=2)
    assert etag(published(one, edited)) != etag(body)


def test_it_says_who_what_and_how_often() -> None:
    body = published(event(timed("2027-03-01T09:00", None, "UTC"), version=4))
    lines = body.decode().split("\r\n")
    for line in (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Parley//Parley//EN",
        "METHOD:PUBLISH",
        "X-WR-CALNAME:Parley",
        "REFRESH-INTERVAL;VALUE=DURATION:PT1H",
        "UID:01JH@parley",
        "DTSTAMP:20270110T083015Z",
        "SEQUENCE:4",
    ):
        assert line in lines


def test_a_feed_without_events_is_a_calendar_all_the_same() -> None:
    assert parsed(published()).name == "VCALENDAR"
