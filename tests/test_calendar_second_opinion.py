"""Our feed, read by a program that others wrote: random rules, zones and exceptions, by a seed."""

import random
import warnings
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import recurring_ical_events
from icalendar import Calendar

from reminders.ical import FeedEvent, feed
from reminders.recurrence import Move, Recurrence, key_of, overlapping, validate, wall_of
from reminders.rrule import WEEKDAYS, RecurrenceError

DAY = timedelta(days=1)
NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)
FROM, TO = datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
SEEDS, EVENTS = range(4), 10
ZONES = [
    *("Europe/Lisbon", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Tokyo"),
    *("Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Auckland", "Africa/Cairo", "UTC"),
]

Times = list[tuple[datetime, datetime]]


def rule_of(rng: random.Random, all_day: bool) -> str:
    """A rule as people make them, and some that only programs do."""
    days = ",".join(rng.sample(WEEKDAYS, rng.randint(1, 3)))
    nth = rng.choice(["1", "2", "-1"]) + rng.choice(WEEKDAYS)
    parts = rng.choice(
        [
            "FREQ=DAILY",
            f"FREQ=DAILY;BYDAY={days}",
            f"FREQ=WEEKLY;BYDAY={days}",
            f"FREQ=WEEKLY;BYDAY={days};WKST=SU",
            f"FREQ=MONTHLY;BYMONTHDAY={rng.choice([1, 15, 31, -1])}",
            f"FREQ=MONTHLY;BYDAY={nth}",
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            f"FREQ=YEARLY;BYMONTH={rng.randint(1, 12)};BYDAY={nth}",
            f"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY={rng.choice([28, 29])}",
        ]
    )
    if rng.random() < 0.4:
        parts += f";INTERVAL={rng.randint(2, 5)}"
    until = f"2028{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
    end = [f";COUNT={rng.randint(1, 60)}", f";UNTIL={until}{'' if all_day else 'T100000Z'}", ""]
    return parts + rng.choice(end)


def recurrence_of(rng: random.Random) -> Recurrence:
    """A series with exceptions."""
    all_day, zone = rng.random() < 0.25, rng.choice(ZONES)
    day = date(2026, 1, 1) + timedelta(days=rng.randrange(500))
    clock = time(rng.choice([0, 1, 2, 3, 9, 12, 19, 23]), rng.choice([0, 15, 30]))
    series = Recurrence(
        day if all_day else datetime.combine(day, clock),
        zone,
        timedelta(days=rng.randint(1, 3)) if all_day else timedelta(minutes=rng.randrange(0, 300)),
        rule_of(rng, all_day),
    )
    validate(series)
    keys = [found.key for found in overlapping(series, after=FROM, before=TO)]
    changed = rng.sample(keys, min(len(keys), 4))
    moved = tuple(Move(key, wall_of(key) + timedelta(days=1)) for key in changed[2:])
    return Recurrence(
        series.starts,
        zone,
        series.duration,
        series.rule,
        skipped=frozenset(changed[:2]),
        moved=moved,
    )


def instant(moment: date | datetime, zone: str) -> datetime:
    if isinstance(moment, datetime):
        return moment.astimezone(UTC)
    return datetime.combine(moment, time(), ZoneInfo(zone)).astimezone(UTC)


def theirs(body: bytes, recurrence: Recurrence) -> Times:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: list[Any] = recurring_ical_events.of(Calendar.from_ical(body)).between(FROM, TO)
    times: Times = []
    for each in found:
        starts = instant(each["DTSTART"].dt, recurrence.zone)
        ends = instant(each["DTEND"].dt, recurrence.zone) if "DTEND" in each else starts
        times.append((starts, ends))
    return comparable(times, recurrence.zone)


def ours(recurrence: Recurrence) -> Times:
    found = overlapping(recurrence, after=FROM, before=TO)
    return comparable([(each.starts_at, each.ends_at) for each in found], recurrence.zone)


def comparable(times: Times, name: str) -> Times:
    """The times that both programs mean alike.

    Theirs takes the ends of a window for whole days in UTC, and counts the duration on the wall
    where the clock changes; RFC 5545 §3.3.6 and ours count it exactly.
    """
    zone = ZoneInfo(name)

    def clock_changes(starts: datetime, ends: datetime) -> bool:
        around = (starts - timedelta(hours=3), ends + timedelta(hours=3))
        return len({moment.astimezone(zone).utcoffset() for moment in around}) > 1

    inside = [each for each in times if FROM + 9 * DAY < each[0] < TO - 9 * DAY]
    return sorted((s, s if clock_changes(s, e) else e) for s, e in inside)


@pytest.mark.parametrize("seed", SEEDS)
def test_another_program_reads_the_times_that_we_tell(seed: int) -> None:
    rng, compared = random.Random(seed), 0  # noqa: S311
    while compared < EVENTS:
        try:
            recurrence = recurrence_of(rng)
            validate(recurrence)
        except RecurrenceError:
            continue
        event = FeedEvent(key_of(recurrence.starts), "Aula", recurrence, NOW)
        body = feed(name="Parley", events=[event], now=NOW)
        assert theirs(body, recurrence) == ours(recurrence), recurrence
        compared += 1
