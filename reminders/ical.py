"""The learner's events and study plan as an iCalendar feed (RFC 5545, RFC 7986).

The feed says what our mails say: each rule begins at its first occurrence, exceptions travel as
EXDATE and RECURRENCE-ID, and each zone with its changes, for readers without the IANA zones.
Equal data give equal bytes (DTSTAMP is the last change), so their digest serves as ETag.
"""

import logging
from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from itertools import pairwise
from zoneinfo import ZoneInfo

from icalendar import Alarm, Calendar, Event, Timezone, TimezoneDaylight, TimezoneStandard, vRecur

from reminders.recurrence import (
    Occurrence,
    Recurrence,
    first_by_rule,
    instant_of,
    key_of,
    occurrence_named,
    wall_of,
    zone_named,
)
from reminders.rrule import WEEKDAYS
from reminders.timing import ALL_DAY_FROM, StudyReminder

log = logging.getLogger("parley.reminders")

# Raised for unknown zones, and for dates and instants outside Python's calendar.
UNSHOWABLE = ValueError, OverflowError
REFRESH = timedelta(hours=1)
STUDY_DURATION = timedelta(minutes=15)
ZONE_YEARS_AHEAD, ZONE_YEARS_BACK = 10, 2
"""How far into the future and the past the feed spells out a zone's changes. What began before has
the offset of then: a century of changes of a hundred zones would take seconds to find."""
PROBE = timedelta(days=7)
"""No zone changes its offset twice within a week."""


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One event of the feed. `id` never changes; `version` grows with each edit."""

    id: str
    title: str
    recurrence: Recurrence
    updated_at: datetime
    version: int = 1
    description: str = ""
    location: str = ""
    offset_minutes: tuple[int, ...] = ()
    is_busy: bool = True


def study_event(
    reminder: StudyReminder,
    *,
    id: str,
    title: str,
    starts_on: date,
    updated_at: datetime,
    version: int = 1,
) -> FeedEvent:
    """A study reminder as an event: a quarter of an hour in which the learner stays free."""
    weekdays = ",".join(WEEKDAYS[day] for day in sorted(reminder.weekdays))
    recurrence = Recurrence(
        datetime.combine(starts_on, reminder.at),
        reminder.zone,
        STUDY_DURATION,
        f"FREQ=WEEKLY;BYDAY={weekdays}",
    )
    return FeedEvent(id, title, recurrence, updated_at, version, offset_minutes=(0,), is_busy=False)


def feed(*, name: str, events: Iterable[FeedEvent], now: datetime) -> bytes:
    """The feed of events; `now` counts only by its year, for the zones' changes ahead.

    An event that cannot be shown is left out: the others still can.
    """
    shown = {}
    for event in sorted(events, key=lambda event: event.id):
        try:
            shown[event] = list(_components(event))
        except UNSHOWABLE:
            log.exception("an event is left out of a feed")
    calendar = Calendar()
    calendar.add("prodid", "-//Parley//Parley//EN")
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("name", _clean(name))
    calendar.add("x-wr-calname", _clean(name))
    calendar.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT1H")
    for zone, since in _zones(shown):
        calendar.add_component(_timezone(zone, since, now.year))
    for components in shown.values():
        for component in components:
            calendar.add_component(component)
    body: bytes = calendar.to_ical()
    return body


def etag(body: bytes) -> str:
    """A strong ETag of the feed."""
    return f'"{sha256(body).hexdigest()[:32]}"'


# --- Events -------------------------------------------------------------------------------------


def _components(event: FeedEvent) -> Iterator[Event]:
    """The event, then one component for each of its moved occurrences."""
    recurrence = event.recurrence
    if recurrence.rule is None:
        only = occurrence_named(recurrence, key_of(recurrence.starts))
        if only:
            yield _component(event, only)
        return
    first = first_by_rule(recurrence)
    if first is None:
        return
    series = _component(event, first)
    series.add("rrule", vRecur.from_ical(recurrence.rule.upper()))
    if recurrence.skipped:
        walls = map(wall_of, sorted(recurrence.skipped))
        series.add("exdate", [_on_clock(recurrence, wall) for wall in walls])
    yield series
    for key in sorted(move.key for move in recurrence.moved):
        occurrence = occurrence_named(recurrence, key)
        if occurrence:
            component = _component(event, occurrence)
            component.add("recurrence-id", _on_clock(recurrence, wall_of(key)))
            yield component


def _component(event: FeedEvent, occurrence: Occurrence) -> Event:
    component = Event()
    component.add("uid", f"{event.id}@parley")
    changed_at = event.updated_at.astimezone(UTC).replace(microsecond=0)
    component.add("dtstamp", changed_at)
    component.add("last-modified", changed_at)
    component.add("sequence", event.version)
    component.add("summary", _clean(event.title))
    for name, text in (("description", event.description), ("location", event.location)):
        if text:
            component.add(name, _clean(text))
    component.add("transp", "OPAQUE" if event.is_busy else "TRANSPARENT")
    component.add("dtstart", _on_clock(event.recurrence, occurrence.starts))
    if occurrence.ends_at > occurrence.starts_at:
        component.add("dtend", _end(event.recurrence, occurrence))
    for minutes in sorted(event.offset_minutes, reverse=True):
        component.add_component(_alarm(event, minutes))
    return component


def _on_clock(recurrence: Recurrence, wall: date | datetime) -> date | datetime:
    if isinstance(wall, datetime):
        return wall.replace(tzinfo=zone_named(recurrence.zone))
    return wall


def _end(recurrence: Recurrence, occurrence: Occurrence) -> date | datetime:
    zone = zone_named(recurrence.zone)
    local = occurrence.ends_at.astimezone(zone)
    if not isinstance(occurrence.starts, datetime):
        return local.date()
    # A local time that comes twice means the first; the second can only be said in UTC.
    is_first = instant_of(local.replace(tzinfo=None), zone) == occurrence.ends_at
    return local if is_first else occurrence.ends_at


def _alarm(event: FeedEvent, minutes: int) -> Alarm:
    trigger = -timedelta(minutes=minutes)
    if event.recurrence.all_day:
        trigger += datetime.combine(date.min, ALL_DAY_FROM) - datetime.combine(date.min, time())
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", _clean(event.title))
    alarm.add("trigger", trigger)
    return alarm


def _clean(text: str) -> str:
    """The text without the control characters that RFC 5545 §3.1 forbids."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in text if c in "\n\t" or (c >= " " and c != "\x7f"))


# --- Zones --------------------------------------------------------------------------------------


def _zones(events: Iterable[FeedEvent]) -> list[tuple[ZoneInfo, datetime]]:
    """The zones that the events name, each with the earliest instant it is needed from."""
    since: dict[str, datetime] = {}
    for event in events:
        recurrence = event.recurrence
        if isinstance(recurrence.starts, datetime):
            walls = [recurrence.starts, *(move.starts for move in recurrence.moved)]
            year = min(wall.year for wall in walls)
            begin = datetime(year - 1, 1, 1, tzinfo=UTC)
            since[recurrence.zone] = min(begin, since.get(recurrence.zone, begin))
    return [(zone_named(name), since[name]) for name in sorted(since)]


def _timezone(zone: ZoneInfo, begin: datetime, year: int) -> Timezone:
    """The zone as VTIMEZONE, by yearly rules where its changes follow one for two years or more.

    Not by RDATE: readers as common as vobject lose all but the first.
    """
    since = max(begin, begin.replace(year=year - ZONE_YEARS_BACK))
    last_year = max(year + ZONE_YEARS_AHEAD, since.year + 2)
    changes = _changes(zone, since, datetime(last_year, 12, 31, tzinfo=UTC))
    onsets: dict[Change, list[datetime]] = {}
    for before, at in pairwise([since, since, *changes]):
        old, new = before.astimezone(zone), at.astimezone(zone)
        change = Change(_offset(old), _offset(new), str(new.tzname()), bool(_summer_time(new)))
        onset = begin if at == since else at
        onsets.setdefault(change, []).append(onset.replace(tzinfo=None) + change.offset_from)
    timezone = Timezone()
    timezone.add("tzid", zone.key)
    for change, walls in onsets.items():
        for run in _runs(walls):
            timezone.add_component(_observance(change, run, last_year))
    return timezone


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the clock at an onset."""

    offset_from: timedelta
    offset_to: timedelta
    name: str
    is_summer_time: bool


@dataclass(frozen=True, slots=True)
class Run:
    """Onsets, on the clock before each, of consecutive years on one weekday of one month."""

    walls: tuple[datetime, ...]
    ordinals: frozenset[int]


def _runs(walls: Iterable[datetime]) -> list[Run]:
    runs: list[Run] = []
    for wall in walls:
        last = runs[-1] if runs else None
        joint = last.ordinals & _ordinals(wall) if last else frozenset()
        if last and joint and _is_a_year_later(last.walls[-1], wall):
            runs[-1] = Run((*last.walls, wall), joint)
        else:
            runs.append(Run((wall,), _ordinals(wall)))
    return runs


def _ordinals(wall: datetime) -> frozenset[int]:
    """Which one of its weekday in the month the day is, counted from either end."""
    length = monthrange(wall.year, wall.month)[1]
    return frozenset({(wall.day - 1) // 7 + 1, -((length - wall.day) // 7 + 1)})


def _is_a_year_later(earlier: datetime, later: datetime) -> bool:
    return (later.year, later.month, later.weekday(), later.time()) == (
        earlier.year + 1,
        earlier.month,
        earlier.weekday(),
        earlier.time(),
    )


def _observance(change: Change, run: Run, last_year: int) -> TimezoneStandard | TimezoneDaylight:
    observance = TimezoneDaylight() if change.is_summer_time else TimezoneStandard()
    first, last = run.walls[0], run.walls[-1]
    observance.add("dtstart", first)
    observance.add("tzoffsetfrom", change.offset_from)
    observance.add("tzoffsetto", change.offset_to)
    observance.add("tzname", change.name)
    if last > first:
        # "The last Sunday" is meant where both fit, as laws say that and not "the fourth".
        day = f"{min(run.ordinals)}{WEEKDAYS[first.weekday()]}"
        rule = {"FREQ": "YEARLY", "BYMONTH": first.month, "BYDAY": day}
        if last.year < last_year:
            rule["UNTIL"] = (last - change.offset_from).replace(tzinfo=UTC)
        observance.add("rrule", vRecur(rule))
    return observance


def _summer_time(at: datetime) -> timedelta:
    """How far summer time is ahead; Casablanca's winter, behind its standard time, is none."""
    return max(at.dst() or timedelta(0), timedelta(0))


def _offset(at: datetime) -> timedelta:
    return at.utcoffset() or timedelta(0)


def _changes(zone: ZoneInfo, since: datetime, until: datetime) -> Iterator[datetime]:
    """The instants at which the zone's offset or its name change, to the second."""
    while since < until:
        following = since + PROBE
        if _state(since, zone) != _state(following, zone):
            low, high = since, following
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
                if _state(middle, zone) == _state(low, zone):
                    low = middle
                else:
                    high = middle
            yield high
        since = following


def _state(at: datetime, zone: ZoneInfo) -> tuple[timedelta, str | None]:
    local = at.astimezone(zone)
    return _offset(local), local.tzname()
