"""Reads calendars of others (iCalendar, RFC 5545) as events of ours.

Parts that our events cannot say are told of (`remarks`); where the times would come out wrong, the
event is left out, with the reason (`refused`). Nothing is fetched from an address in the text.

Our series have no RDATE, and begin with what their rule yields: each further date, and a start
beside the rule, becomes an event of its own.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, Any

from config.problems import Filled
from reminders.recurrence import (
    FIRST_YEAR,
    MAX_EXCEPTIONS,
    Recurrence,
    ZoneUnknownError,
    first_by_rule,
    instant_of,
    key_of,
    known_keys,
    wall_of,
    zone_named,
)
from reminders.rrule import DAY, LAST_YEAR, RecurrenceError, parse_rule
from reminders.timing import ALL_DAY_FROM, MAX_OFFSET_MINUTES, MAX_OFFSETS

if TYPE_CHECKING:
    from icalendar import Component

MAX_COMPONENTS = 3_000
MAX_DATES = 50
"""Further dates of one event that become events of their own."""
TEXTS = {"title": "SUMMARY", "description": "DESCRIPTION", "location": "LOCATION"}
LONGEST = {"title": 200, "description": 2000, "location": 200}
# Parts of events that people fill in and ours do not have; the rest is technical.
NOT_KEPT = ("ATTENDEE", "ATTACH", "URL", "CONFERENCE", "CATEGORIES", "GEO", "CONTACT", "COMMENT")
Wall = date | datetime


class CalendarInvalidError(ValueError):
    """The text is no calendar, or one with too many entries; its message may be shown."""


@dataclass(frozen=True)
class Remark:
    """Something that was not taken over; `code` is stable."""

    code: str
    message: str


@dataclass(frozen=True)
class ReadEvent:
    """An event of the text. `part` tells the events of one UID apart: empty for the series.

    `fields` are those of a new event; `offset_minutes` those of a reminder, if it has alarms.
    """

    uid: str
    part: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    offset_minutes: tuple[int, ...] = ()
    remarks: tuple[Remark, ...] = ()
    refused: Remark | None = None


@dataclass(frozen=True)
class ReadCalendar:
    """The events of a text, read one by one, and how many components of other kinds it has."""

    events: Iterator[ReadEvent]
    others: dict[str, int]


class _Refused(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.remark = Remark(code, message)


def read_calendar_text(text: str, *, zone: str, now: datetime) -> ReadCalendar:
    """Reads a text; times without a zone are on the clock of `zone`, if the text names none.

    Raises CalendarInvalidError.
    """
    from icalendar import Calendar  # only imports wait until it is loaded

    try:
        with warnings.catch_warnings(action="ignore"):  # that it guesses a zone, as we do
            calendars = Calendar.from_ical(text, multiple=True)
    except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
        raise CalendarInvalidError("This is not a calendar (iCalendar, RFC 5545).") from error
    calendars = [each for each in calendars if each.name == "VCALENDAR"]
    if not calendars:
        raise CalendarInvalidError("This is not a calendar: it has no VCALENDAR.")
    readers: list[Iterator[ReadEvent]] = []
    others: Counter[str] = Counter()
    for calendar in calendars:
        components = [each for each in calendar.subcomponents if each.name]
        kinds = Counter(str(each.name) for each in components)
        if kinds["VEVENT"] > MAX_COMPONENTS:
            raise CalendarInvalidError(
                Filled("A calendar has at most {most} entries.", most=MAX_COMPONENTS)
            )
        others += Counter({n: c for n, c in kinds.items() if n not in ("VEVENT", "VTIMEZONE")})
        reader = _Reader(_zone_of(calendar) or zone, _aliases(components), now)
        readers.append(reader.events([each for each in components if each.name == "VEVENT"]))
    return ReadCalendar(chain.from_iterable(readers), dict(others))


def _zone_of(calendar: Component) -> str:
    named = str(calendar.get("X-WR-TIMEZONE") or "")
    return _known_zone(named) or ""


def _aliases(components: Iterable[Component]) -> dict[str, str]:
    """The zones of ours that the text's own zones are, as far as they say so."""
    named_zones = [
        (str(each.get("TZID")), _known_zone(str(each.get("X-LIC-LOCATION", ""))))
        for each in components
        if each.name == "VTIMEZONE"
    ]
    known: dict[str, str] = {}
    for name, zone in named_zones:
        if zone:
            known[name] = zone
    return known


def _known_zone(name: str) -> str | None:
    """The IANA zone that a name means: its own, Windows's, or the end of a path."""
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

    parts = name.strip().strip("/").split("/")
    paths = ["/".join(parts[n:]) for n in range(len(parts))]
    for candidate in (name.strip(), WINDOWS_TO_OLSON.get(name.strip(), ""), *paths):
        try:
            return zone_named(candidate).key
        except ZoneUnknownError:
            continue
    return None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _id_of(component: Component) -> str:
    uid = str(component.get("UID") or "").strip()
    return uid or sha256(component.to_ical()).hexdigest()


@dataclass(frozen=True)
class _Reader:
    zone: str
    aliases: dict[str, str]
    now: datetime

    def events(self, components: Sequence[Component]) -> Iterator[ReadEvent]:
        by_uid: dict[str, list[Component]] = {}
        for component in components:
            by_uid.setdefault(_id_of(component), []).append(component)
        for uid, parts in by_uid.items():
            masters = [each for each in parts if "RECURRENCE-ID" not in each]
            overrides = [each for each in parts if "RECURRENCE-ID" in each]
            if masters:
                yield from self._series(uid, max(masters, key=_sequence), overrides)
            else:
                yield from (self._single(uid, each, part=_part(each)) for each in overrides)

    def _series(
        self, uid: str, master: Component, overrides: Sequence[Component]
    ) -> Iterator[ReadEvent]:
        try:
            yield from _Series(self, uid, master, overrides).events()
        except _Refused as refused:
            yield self._refused(uid, master, refused)

    def _single(self, uid: str, component: Component, *, part: str) -> ReadEvent:
        """A component that stands for one time alone."""
        try:
            _check_status(component)
            fields, remarks = _texts(component)
            start, zone = self.wall(component, "DTSTART", recurring=False)
            fields |= _when(start, zone, self.duration(component, start, zone))
            offsets, more = _offsets(component, start, zone)
        except _Refused as refused:
            return self._refused(uid, component, refused, part=part)
        return ReadEvent(uid, part, fields, offsets, (*remarks, *more))

    def _refused(
        self, uid: str, component: Component, refused: _Refused, *, part: str = ""
    ) -> ReadEvent:
        return ReadEvent(uid, part, _texts(component)[0], refused=refused.remark)

    def wall(self, component: Component, name: str, *, recurring: bool) -> tuple[Wall, str]:
        """A time on the wall, or a date, and its zone. Raises _Refused."""
        prop = component.get(name)
        try:
            moment = prop.dt
            params = prop.params
        except (AttributeError, ValueError, TypeError) as error:
            raise _Refused(
                "no_start", Filled("It has no {name} that can be read.", name=name)
            ) from error
        return self.on_wall(moment, str(params.get("TZID", "")), recurring=recurring)

    def on_wall(self, moment: Any, zone_id: str, *, recurring: bool) -> tuple[Wall, str]:
        if not isinstance(moment, date):
            raise _Refused("no_start", "A start is a date, or a date and a time.")
        if not FIRST_YEAR <= moment.year <= LAST_YEAR:
            message = Filled(
                "Times lie between {first} and {last}.", first=FIRST_YEAR, last=LAST_YEAR
            )
            raise _Refused("start_invalid", message)
        if not isinstance(moment, datetime):
            return moment, self.zone
        moment = moment.replace(microsecond=0)
        named = self.aliases.get(zone_id) or _known_zone(zone_id) if zone_id else None
        if named:
            return moment.replace(tzinfo=None), named
        if moment.tzinfo is None:
            if zone_id:
                raise _Refused(
                    "timezone_unknown",
                    Filled("Its time zone is not known: {zone}", zone=zone_id[:80]),
                )
            return moment, self.zone
        if moment.utcoffset() == timedelta(0) and not zone_id:
            if recurring:
                return moment.replace(tzinfo=None), "UTC"
        elif recurring:
            raise _Refused(
                "timezone_unknown", Filled("Its time zone is not known: {zone}", zone=zone_id[:80])
            )
        return moment.astimezone(zone_named(self.zone)).replace(tzinfo=None), self.zone

    def duration(self, component: Component, start: Wall, zone: str) -> timedelta:
        """How long it lasts, by DTEND or DURATION. Raises _Refused."""
        least = timedelta(0) if isinstance(start, datetime) else DAY
        if "DTEND" in component:
            end, end_zone = self.wall(component, "DTEND", recurring=False)
            if isinstance(end, datetime) != isinstance(start, datetime):
                raise _Refused("end_invalid", "It ends at a time and begins on a date, or reverse.")
            return max(_at(end, end_zone) - _at(start, zone), least)
        try:
            lasting = component.get("DURATION")
            duration = timedelta(0) if lasting is None else lasting.dt
            return max(duration, least)
        except (AttributeError, ValueError, TypeError) as error:
            raise _Refused("end_invalid", "It has a DURATION that cannot be read.") from error


def _at(wall: Wall, zone: str) -> datetime:
    """The instant of a wall time; of a date one that can be counted in whole days."""
    if isinstance(wall, datetime):
        return instant_of(wall, zone_named(zone))
    return datetime.combine(wall, time(), UTC)


def _when(start: Wall, zone: str, duration: timedelta) -> dict[str, Any]:
    if isinstance(start, datetime):
        starts_at = _at(start, zone)
        return {"starts_at": starts_at, "ends_at": starts_at + duration, "timezone": zone}
    return {"starts_on": start, "ends_on": start + duration - DAY, "timezone": zone}


def _sequence(component: Component) -> int:
    try:
        return int(component.get("SEQUENCE", 0))
    except (TypeError, ValueError):
        return 0


def _part(component: Component) -> str:
    named: Any = _listed(component["RECURRENCE-ID"])[0]
    return str(named.to_ical().decode())


def _check_status(component: Component) -> None:
    if str(component.get("STATUS", "")).upper() == "CANCELLED":
        raise _Refused("cancelled", "It was cancelled.")


def _texts(component: Component) -> tuple[dict[str, Any], list[Remark]]:
    """Title, description and location, as far as there is room for them."""
    remarks = []
    fields: dict[str, Any] = {}
    for name, wire in TEXTS.items():
        text = str(_listed(component.get(wire) or "")[0])
        text = "".join(c for c in text if c in "\n\t" or (c >= " " and c != "\x7f")).strip()
        if len(text) > LONGEST[name]:
            text = text[: LONGEST[name] - 1] + "…"
            remarks.append(Remark("text_shortened", Filled("{field} was too long.", field=wire)))
        fields[name] = text
    fields["title"] = " ".join(fields["title"].split()) or "(no title)"
    if ignored := [name for name in NOT_KEPT if name in component]:
        remarks.append(
            Remark("not_kept", Filled("Events here have no {names}.", names=", ".join(ignored)))
        )
    return fields, remarks


# --- Alarms -------------------------------------------------------------------------------------


def _offsets(component: Component, start: Wall, zone: str) -> tuple[tuple[int, ...], list[Remark]]:
    """Minutes before the start (of an all-day event before 09:00) at which alarms ring."""
    offsets: set[int] = set()
    remarks: list[Remark] = []
    for alarm in component.walk("VALARM"):
        minutes = _minutes_before(alarm, component, start, zone)
        if minutes is None or not 0 <= minutes <= MAX_OFFSET_MINUTES:
            message = "An alarm is not within the four weeks before its event."
            remarks.append(Remark("alarm_not_kept", message))
        elif len(offsets | {minutes}) > MAX_OFFSETS:
            remarks.append(
                Remark(
                    "alarm_not_kept",
                    Filled("An event has at most {most} alarms.", most=MAX_OFFSETS),
                )
            )
        else:
            offsets.add(minutes)
    return tuple(sorted(offsets)), list(dict.fromkeys(remarks))


def _minutes_before(alarm: Component, component: Component, start: Wall, zone: str) -> int | None:
    try:
        trigger = alarm.get("TRIGGER")
        moment, related = trigger.dt, str(trigger.params.get("RELATED", "START")).upper()
    except (AttributeError, ValueError, TypeError):
        return None
    all_day = not isinstance(start, datetime)
    announced = start if isinstance(start, datetime) else datetime.combine(start, ALL_DAY_FROM)
    if isinstance(moment, datetime):
        if moment.tzinfo is None or "RRULE" in component:
            return None
        before = instant_of(announced, zone_named(zone)) - moment
    elif isinstance(moment, timedelta) and related == "START":
        before = -moment + (timedelta(hours=ALL_DAY_FROM.hour) if all_day else timedelta(0))
    else:
        return None
    return round(before / timedelta(minutes=1))


# --- A series with its exceptions ---------------------------------------------------------------


class _Series:
    """The events that one UID becomes: the series, then what stands beside its rule."""

    def __init__(
        self, reader: _Reader, uid: str, master: Component, overrides: Sequence[Component]
    ) -> None:
        _check_status(master)
        self.reader, self.uid, self.master = reader, uid, master
        self.overrides: dict[str, Component] = {}
        recurring = any(name in master for name in ("RRULE", "RDATE"))
        self.start, self.zone = reader.wall(master, "DTSTART", recurring=recurring)
        self.duration = reader.duration(master, self.start, self.zone)
        self.fields, self.remarks = _texts(master)
        self.offsets, more = _offsets(master, self.start, self.zone)
        self.remarks += more
        if "EXRULE" in master:
            raise _Refused("rrule_unsupported", "EXRULE is not supported.")
        for override in overrides:
            self._add_override(override)

    def _add_override(self, override: Component) -> None:
        named: Any = override["RECURRENCE-ID"]
        try:
            if str(named.params.get("RANGE", "")).upper() == "THISANDFUTURE":
                message = "RANGE=THISANDFUTURE is not supported."
                self.remarks.append(Remark("range_not_kept", message))
                return
            key = self._key(named.dt, str(named.params.get("TZID", "")))
        except (AttributeError, ValueError, TypeError) as error:
            raise _Refused("no_start", "It has a RECURRENCE-ID that cannot be read.") from error
        self.overrides[key] = override

    def _key(self, moment: Any, zone_id: str) -> str:
        """The key of the occurrence that an exception names, however it names it."""
        if isinstance(moment, datetime) and moment.tzinfo is not None and not zone_id:
            moment = moment.astimezone(zone_named(self.zone)).replace(tzinfo=None)
        wall, zone = self.reader.on_wall(moment, zone_id, recurring=False)
        if not isinstance(self.start, datetime):
            return key_of(wall.date() if isinstance(wall, datetime) else wall)
        if not isinstance(wall, datetime):
            return key_of(datetime.combine(wall, self.start.time()))
        if zone != self.zone and zone_id:
            wall = _at(wall, zone).astimezone(zone_named(self.zone)).replace(tzinfo=None)
        return key_of(wall)

    def _keys(self, name: str) -> Iterator[tuple[str, timedelta | None]]:
        """The keys of a list of dates, with the duration of those that are periods."""
        for listed in _listed(self.master.get(name)):
            try:
                zone_id, moments = str(listed.params.get("TZID", "")), listed.dts
            except (AttributeError, ValueError, TypeError) as error:
                raise _Refused(
                    "dates_invalid", Filled("Its {name} cannot be read.", name=name)
                ) from error
            for each in moments:
                moment, lasting = each.dt, None
                if isinstance(moment, tuple):
                    moment, end = moment
                    lasting = end if isinstance(end, timedelta) else end - moment
                yield self._key(moment, zone_id), lasting

    def events(self) -> Iterator[ReadEvent]:
        skipped = {key for key, _ in self._keys("EXDATE")}
        recurrence = Recurrence(self.start, self.zone, self.duration, self._rule())
        further = dict(self._keys("RDATE"))
        own_key = key_of(self.start)
        try:
            first = first_by_rule(recurrence) if recurrence.rule else None
            if recurrence.rule and (first is None or first.key != own_key):
                recurrence = replace(recurrence, rule=_one_less(recurrence.rule))
                further.setdefault(own_key, None)
            ours = known_keys(recurrence, {*skipped, *self.overrides, *further})
        except RecurrenceError as error:
            raise _Refused(error.code, str(error)) from error
        singles = {key: each for key, each in further.items() if key not in ours | skipped}
        if first or recurrence.rule is None:
            yield self._series_event(recurrence, skipped & ours, ours)
        for key in sorted(singles)[:MAX_DATES]:
            yield self._single_event(key, singles[key])
        for key, override in self.overrides.items():
            if key not in ours and key not in singles and key not in skipped:
                yield self.reader._single(self.uid, override, part=key)
        if len(singles) > MAX_DATES:
            remark = Remark(
                "dates_not_kept",
                Filled("Of an event {most} further dates are kept.", most=MAX_DATES),
            )
            yield ReadEvent(self.uid, "dates", dict(self.fields), refused=remark)

    def _rule(self) -> str | None:
        rules = _listed(self.master.get("RRULE"))
        if len(rules) > 1:
            raise _Refused("rrule_unsupported", "It has several rules.")
        if not rules:
            return None
        try:
            rule = rules[0].to_ical().decode().upper()
        except (AttributeError, ValueError, TypeError) as error:
            raise _Refused("rrule_invalid", "Its RRULE cannot be read.") from error
        return self._with_our_until(rule)

    def _with_our_until(self, rule: str) -> str:
        """The rule with UNTIL in the form of its start, UTC or a date: others write either."""
        parts = rule.split(";")
        for number, part in enumerate(parts):
            name, _, value = part.partition("=")
            if name != "UNTIL":
                continue
            try:
                until = datetime.fromisoformat(value)
            except ValueError:
                return rule
            if not isinstance(self.start, datetime):
                parts[number] = f"UNTIL={until:%Y%m%d}"
            elif until.tzinfo is None:
                wall = until if "T" in value else datetime.combine(until, time(23, 59, 59))
                parts[number] = f"UNTIL={_at(wall, self.zone):%Y%m%dT%H%M%SZ}"
        return ";".join(parts)

    def _series_event(
        self, recurrence: Recurrence, skipped: set[str], ours: frozenset[str]
    ) -> ReadEvent:
        fields = self.fields | _when(self.start, self.zone, self.duration)
        remarks, moved, skip = list(self.remarks), [], set(skipped)
        for key, override in self.overrides.items():
            if key not in ours or key in skipped:
                continue
            try:
                _check_status(override)
            except _Refused:
                skip.add(key)
                continue
            move, more = self._move(key, override)
            moved += [move] if move else []
            remarks += more
        if recurrence.rule is None:
            if skip:
                raise _Refused("cancelled", "Its only occurrence was cancelled.")
            for move in moved:
                fields |= {name: at for name, at in move.items() if name != "occurrence"}
            moved = []
        kept, more = self._fitting(skip, moved)
        fields |= {"rrule": recurrence.rule, "skipped": sorted(skip & kept)}
        fields["moved"] = [move for move in moved if move["occurrence"] in kept]
        return ReadEvent(
            self.uid, "", fields, self.offsets, tuple(dict.fromkeys([*remarks, *more]))
        )

    def _fitting(
        self, skipped: set[str], moved: Sequence[dict[str, Any]]
    ) -> tuple[set[str], list[Remark]]:
        """The exceptions that an event has room for: those nearest to now."""
        keys = skipped | {move["occurrence"] for move in moved}
        today = self.reader.now.date()

        def days_away(key: str) -> int:
            return abs((date.fromisoformat(key[:8]) - today).days)

        if len(keys) <= MAX_EXCEPTIONS:
            return keys, []
        message = Filled(
            "Of an event {most} exceptions are kept, those nearest to today.", most=MAX_EXCEPTIONS
        )
        nearest = sorted(keys, key=days_away)[:MAX_EXCEPTIONS]
        return set(nearest), [Remark("exceptions_not_kept", message)]

    def _move(self, key: str, override: Component) -> tuple[dict[str, Any] | None, list[Remark]]:
        """The occurrence as it takes place elsewhere; None if only its texts differ."""
        try:
            start, zone = self.reader.wall(override, "DTSTART", recurring=False)
            duration = self.reader.duration(override, start, zone)
        except _Refused as refused:
            return None, [refused.remark]
        remarks = []
        if _texts(override)[0] != self.fields:
            message = "An occurrence has texts of its own, which are not kept."
            remarks.append(Remark("occurrence_text_not_kept", message))
        if isinstance(start, datetime) != isinstance(self.start, datetime):
            message = "An occurrence takes whole days, or a time, unlike the others."
            return None, [*remarks, Remark("occurrence_not_kept", message)]
        same_start = _at(start, zone) == _at(wall_of(key), self.zone)
        if same_start and duration == self.duration:
            return None, remarks
        when = _when(start, zone, duration)
        del when["timezone"]
        return {"occurrence": key, **when}, remarks

    def _single_event(self, key: str, lasting: timedelta | None) -> ReadEvent:
        if override := self.overrides.get(key):
            return self.reader._single(self.uid, override, part=key)
        when = _when(wall_of(key), self.zone, lasting or self.duration)
        return ReadEvent(self.uid, key, self.fields | when, self.offsets)


def _one_less(rule: str) -> str | None:
    """The rule with COUNT one less, for a start that counts and is no occurrence of the rule."""
    count = parse_rule(rule).count
    if count is None:
        return rule
    if count == 1:
        return None
    parts = [part for part in rule.split(";") if not part.startswith("COUNT=")]
    return ";".join([*parts, f"COUNT={count - 1}"])
