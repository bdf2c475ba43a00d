"""When an event takes place: RFC 5545 recurrence on the learner's own clock.

A `Recurrence` says "02:30 in New York, every day"; this module turns it into instants.

- **Wall clock.** A wall time that the clock jumps over moves forward by the jump (02:30 → 03:30),
  one that the clock shows twice means the first: RFC 5545 §3.3.5 and `fold=0` of PEP 495 agree.
  §3.3.10 would drop the former; calendars move it, since a reminder that does not come is worse.
  A day that a zone leaves out altogether (Apia, 2011-12-30) has no occurrence.
- **Duration.** That of a timed event is exact, as §3.8.5.3 asks of `DTEND`: a two-hour call lasts
  two hours on the night of the change as well. All-day events last whole local days.
- **First occurrence.** A start that does not match its rule is where the search begins, not an
  occurrence: §3.8.5.3 leaves that case undefined, so the feed begins at the first match.
"""

import heapq
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from config import formats
from config.problems import Filled
from reminders.rrule import (
    DAY,
    LAST_DAY,
    LAST_YEAR,
    RecurrenceError,
    Rule,
    RuleSyntaxError,
    candidate_days,
    completed,
    parse_rule,
)

MAX_EXCEPTIONS = 100
MAX_DURATION = timedelta(days=366)
MAX_STEPS = 4_000
"""Candidate days looked at between two occurrences: more than a daily rule has in forty Februaries,
the longest time between two 29ths of February on the same weekday. It takes 12 ms."""
MAX_COUNTED_STEPS = 20_000
"""Candidate days in the whole of a rule with COUNT, which is walked once, when it is measured."""
FIRST_YEAR = 1900

EARLIEST = datetime(FIRST_YEAR - 2, 1, 1, tzinfo=UTC)
LATEST = datetime(LAST_YEAR + 2, 1, 1, tzinfo=UTC)


class RuleNeverOccursError(RecurrenceError):
    """No day matches, or none in forty years; `steps` candidate days were looked at."""

    code = "rrule_never_occurs"

    def __init__(self, message: str, *, steps: int) -> None:
        super().__init__(message)
        self.steps = steps


class RuleTooCostlyError(RecurrenceError):
    """A COUNT so rarely met that the rule could not be expanded in time."""

    code = "rrule_too_costly"


class ZoneUnknownError(RecurrenceError):
    """The text is not the name of an IANA time zone."""

    code = "timezone_unknown"
    field = "zone"


class StartInvalidError(RecurrenceError):
    """The start has an offset, fractions of a second, or a year outside 1900–2399."""

    code = "start_invalid"
    field = "starts"


class DurationInvalidError(RecurrenceError):
    """Negative, over a year, or, for an all-day event, not whole days."""

    code = "duration_invalid"
    field = "duration"


class ExceptionInvalidError(RecurrenceError):
    """A skipped or moved occurrence that the rule does not have, or too many of them.

    `field` is `skipped`, `moved` or, of the third that is moved, `moved.2`.
    """

    code = "occurrence_unknown"

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Move:
    """The occurrence `key` takes place at `starts` instead, for `duration` if that changed too."""

    key: str
    starts: date | datetime
    duration: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Recurrence:
    """When an event takes place.

    `starts` is a naive wall time in `zone`, or a date for an all-day event; `rule` an RRULE's
    value or None for a single event; `skipped` the keys of occurrences that do not take place.
    `begins_on` and, of a rule with COUNT, `ends_on` are the days of its first and last occurrence
    once it is `measured`: nobody needs to count again.
    """

    starts: date | datetime
    zone: str
    duration: timedelta
    rule: str | None = None
    skipped: frozenset[str] = frozenset()
    moved: tuple[Move, ...] = ()
    begins_on: date | None = field(default=None, compare=False)
    ends_on: date | None = field(default=None, compare=False)

    @property
    def all_day(self) -> bool:
        return not isinstance(self.starts, datetime)

    @property
    def first_on(self) -> date:
        """The local date of the start."""
        return self.starts.date() if isinstance(self.starts, datetime) else self.starts


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time that an event takes place.

    `key` is its original wall start, `20270314T023000` or `20270314`: it outlives being moved and
    a change of zone, sorts in order, and is what RECURRENCE-ID and EXDATE name. `starts` is the
    wall time or date it has now; `starts_at` and `ends_at` are UTC instants.
    """

    key: str
    starts: date | datetime
    starts_at: datetime
    ends_at: datetime

    @property
    def order(self) -> tuple[datetime, str]:
        return self.starts_at, self.key


# --- Asking -------------------------------------------------------------------------------------


def upcoming(
    recurrence: Recurrence, instant: datetime, before: datetime = LATEST
) -> Iterator[Occurrence]:
    """Every occurrence that starts at the instant or later, by start and key, one at a time.

    The search ends soon after `before`, so a few that start later may come as well.
    """
    elsewhere = recurrence.skipped | {move.key for move in recurrence.moved}
    zone = zone_named(recurrence.zone)
    instant = min(max(instant, EARLIEST), LATEST)
    # Two days earlier than the instant's date, since a wall time may be moved past a gap.
    first = max(recurrence.first_on, instant.astimezone(zone).date() - 2 * DAY)
    last = min(before, LATEST).astimezone(zone).date() + DAY
    regular = (each for each in _regular(recurrence, first, last) if each.key not in elsewhere)
    moved = sorted((_moved(recurrence, move) for move in recurrence.moved), key=_order)
    for occurrence in heapq.merge(regular, moved, key=_order):
        if occurrence.starts_at >= instant:
            yield occurrence


def overlapping(
    recurrence: Recurrence, *, after: datetime, before: datetime
) -> Iterator[Occurrence]:
    """Every occurrence that takes place, in part at least, in [after, before), in order of start.

    One that lasts no time takes place at the instant it starts.
    """
    durations = [move.duration or recurrence.duration for move in recurrence.moved]
    # A local day may last longer than 24 hours.
    reach_back = max([recurrence.duration, *durations]) + DAY
    for occurrence in upcoming(recurrence, max(after, EARLIEST) - reach_back, before):
        if occurrence.starts_at >= before:
            return
        if occurrence.starts_at >= after or occurrence.ends_at > after:
            yield occurrence


def occurrence_named(recurrence: Recurrence, key: str) -> Occurrence | None:
    """The occurrence with that key where it takes place now; None if skipped or unknown."""
    if key in recurrence.skipped:
        return None
    move = next((move for move in recurrence.moved if move.key == key), None)
    return _moved(recurrence, move) if move else _by_rule(recurrence, key)


def first_by_rule(recurrence: Recurrence) -> Occurrence | None:
    """The first occurrence of the rule itself, skipped or not: DTSTART of the feed."""
    return next(_regular(recurrence, recurrence.begins_on or recurrence.first_on), None)


def known_keys(recurrence: Recurrence, keys: Iterable[str]) -> frozenset[str]:
    """Those of the keys that name an occurrence of the rule, skipped or moved ones included."""
    if recurrence.rule and parse_rule(recurrence.rule).count and not recurrence.ends_on:
        every = {each.key for each in _regular(recurrence, recurrence.first_on)}
        return frozenset(keys) & every
    return frozenset(key for key in keys if _by_rule(recurrence, key))


def without_orphans(recurrence: Recurrence) -> Recurrence:
    """The recurrence after an edit, without exceptions for occurrences that it no longer has."""
    known = known_keys(recurrence, {*recurrence.skipped, *(m.key for m in recurrence.moved)})
    moved = tuple(move for move in recurrence.moved if move.key in known)
    return replace(recurrence, skipped=recurrence.skipped & known, moved=moved)


def split_at(recurrence: Recurrence, key: str) -> tuple[Recurrence, Recurrence] | None:
    """The series up to an occurrence of its rule, and from that on; None if it is not a later one.

    Each has the exceptions of its own occurrences, and COUNT what is left of it. Neither is
    measured.
    """
    occurrence = _by_rule(recurrence, key)
    if occurrence is None or recurrence.rule is None or key <= key_of(recurrence.starts):
        return None
    rule = parse_rule(recurrence.rule)
    earlier = sum(
        1 for each in _regular(recurrence, recurrence.first_on, _day_of(key)) if each.key < key
    )
    if not earlier:
        return None
    original = wall_of(key)
    parts = [p for p in recurrence.rule.split(";") if p.partition("=")[0] != "COUNT"]
    rest = ";".join([*parts, f"COUNT={rule.count - earlier}"] if rule.count else parts)
    if isinstance(original, datetime):
        last = instant_of(original, zone_named(recurrence.zone)) - timedelta(seconds=1)
        until = f"UNTIL={last:%Y%m%dT%H%M%SZ}"
    else:
        until = f"UNTIL={original - DAY:%Y%m%d}"
    begun = ";".join([*(p for p in parts if p.partition("=")[0] != "UNTIL"), until])
    before = replace(
        recurrence,
        rule=begun,
        skipped=frozenset(each for each in recurrence.skipped if each < key),
        moved=tuple(move for move in recurrence.moved if move.key < key),
    )
    after = replace(
        recurrence,
        starts=original,
        rule=rest,
        skipped=recurrence.skipped - before.skipped,
        moved=tuple(move for move in recurrence.moved if move.key >= key),
    )
    return before, after


def _day_of(key: str) -> date:
    return date.fromisoformat(key[:8])


def key_of(wall: date | datetime) -> str:
    """The key of the occurrence with this original start."""
    return wall.strftime("%Y%m%dT%H%M%S" if isinstance(wall, datetime) else "%Y%m%d")


def wall_of(key: str) -> date | datetime:
    """The original start that a key of ours names."""
    return datetime.fromisoformat(key) if "T" in key else date.fromisoformat(key)


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """The UTC instant of a naive wall time: past a gap, or the first of two."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def zone_named(name: str) -> ZoneInfo:
    """The IANA zone of that name. Raises ZoneUnknownError."""
    try:
        return formats.zone_named(name)
    except formats.UnknownZoneError as error:
        raise ZoneUnknownError("This is not the name of an IANA time zone.") from error


# --- Validating ---------------------------------------------------------------------------------


def over_at(recurrence: Recurrence) -> datetime | None:
    """When an event is over for good; None if it never is."""
    rule = parse_rule(recurrence.rule) if recurrence.rule else None
    moves = [replace(recurrence, starts=m.starts, rule=None, moved=()) for m in recurrence.moved]
    ends = [_bound(move, recurrence.moved) for move in moves]
    until = rule.until if rule else None
    on = until.date() if isinstance(until, datetime) else until or recurrence.ends_on
    if on and on.year > LAST_YEAR:  # as exporters write "for ever"
        return None
    if on:
        ends.append(datetime(on.year, on.month, on.day, tzinfo=UTC) + 3 * DAY + recurrence.duration)
    elif rule:
        return None
    else:
        ends.append(_bound(recurrence, ()))
    return max(ends)


def _bound(single: Recurrence, moves: tuple[Move, ...]) -> datetime:
    """An instant by which a single occurrence is over, in any zone."""
    longest = max([single.duration, *(move.duration or single.duration for move in moves)])
    starts = single.starts
    on = starts.date() if isinstance(starts, datetime) else starts
    return datetime(on.year, on.month, on.day, tzinfo=UTC) + 3 * DAY + longest


def check_syntax(recurrence: Recurrence) -> Rule | None:
    """The rule, read. Raises RecurrenceError for one, or for a zone, that cannot be read."""
    zone_named(recurrence.zone)
    return parse_rule(recurrence.rule) if recurrence.rule is not None else None


def validate(recurrence: Recurrence) -> Recurrence:
    """The recurrence, measured. Raises the RecurrenceError that says why it is refused."""
    recurrence = measured(recurrence)
    validate_exceptions(recurrence)
    return recurrence


def measured(recurrence: Recurrence) -> Recurrence:
    """The recurrence with the days of its first and last occurrence.

    Raises the RecurrenceError that says why it is refused, its exceptions aside. Looks at no more
    than `MAX_STEPS` candidate days, `MAX_COUNTED_STEPS` with COUNT.
    """
    rule = check_syntax(recurrence)
    _validate_wall(recurrence.starts)
    _validate_duration(recurrence.duration, all_day=recurrence.all_day)
    if rule and rule.until and isinstance(rule.until, datetime) == recurrence.all_day:
        message = (
            "UNTIL has to be a date, like the start."
            if recurrence.all_day
            else "UNTIL has to be a date and time in UTC, ending in Z, like the start."
        )
        raise RuleSyntaxError(message)
    return _measured(recurrence, rule)


def _validate_wall(wall: date | datetime) -> None:
    if isinstance(wall, datetime) and (wall.tzinfo or wall.microsecond):
        raise StartInvalidError("The start is a local time of the zone, in whole seconds.")
    if not FIRST_YEAR <= wall.year <= LAST_YEAR:
        raise StartInvalidError(
            Filled("The start lies between {first} and {last}.", first=FIRST_YEAR, last=LAST_YEAR)
        )


def _validate_duration(duration: timedelta, *, all_day: bool) -> None:
    if not timedelta(0) <= duration <= MAX_DURATION:
        days = MAX_DURATION.days
        raise DurationInvalidError(
            Filled("The end is not before the start, nor over {days} days after.", days=days)
        )
    if all_day and (duration < DAY or duration % DAY):
        raise DurationInvalidError("An all-day event lasts one or more whole days.")


def _measured(recurrence: Recurrence, rule: Rule | None) -> Recurrence:
    begins_on = ends_on = None
    counted, steps, gap = rule is not None and rule.count is not None, 0, 0
    unmeasured = replace(recurrence, begins_on=None, ends_on=None)
    for day in _days(unmeasured, recurrence.first_on, LAST_DAY):
        steps, gap = steps + 1, 0 if day else gap + 1
        begins_on, ends_on = begins_on or day, day or ends_on
        if (begins_on and not counted) or gap >= MAX_STEPS:
            break
        if steps >= MAX_COUNTED_STEPS:
            raise RuleTooCostlyError("The rule needs centuries to reach its COUNT.")
    first = next(_regular(unmeasured, begins_on, begins_on), None) if begins_on else None
    if first is None:  # UNTIL may lie before it
        raise RuleNeverOccursError("No day matches this rule.", steps=steps)
    return replace(recurrence, begins_on=begins_on, ends_on=ends_on if counted else None)


_NO_OCCURRENCE = "Only an occurrence of the event can be skipped or moved, once."


def validate_exceptions(recurrence: Recurrence) -> None:
    """Raises ExceptionInvalidError for occurrences that a measured recurrence does not have."""
    keys = [*recurrence.skipped, *(move.key for move in recurrence.moved)]
    if len(keys) > MAX_EXCEPTIONS:
        message = Filled("At most {most} occurrences can be changed.", most=MAX_EXCEPTIONS)
        raise ExceptionInvalidError(message, field="moved" if recurrence.moved else "skipped")
    known = known_keys(recurrence, keys)
    if not recurrence.skipped <= known:
        raise ExceptionInvalidError(_NO_OCCURRENCE, field="skipped")
    free = known - recurrence.skipped
    for number, move in enumerate(recurrence.moved):
        field = f"moved.{number}"
        if move.key not in free:
            raise ExceptionInvalidError(_NO_OCCURRENCE, field=field)
        free -= {move.key}
        if isinstance(move.starts, datetime) == recurrence.all_day:
            raise ExceptionInvalidError(
                "An occurrence is moved to a date or time like its own.", field=field
            )
        try:
            _validate_wall(move.starts)
            if move.duration is not None:
                _validate_duration(move.duration, all_day=recurrence.all_day)
        except RecurrenceError as error:
            error.field = f"{field}.{error.field}"
            raise


# --- Walking ------------------------------------------------------------------------------------


def _order(occurrence: Occurrence) -> tuple[datetime, str]:
    return occurrence.order


def _moved(recurrence: Recurrence, move: Move) -> Occurrence:
    duration = recurrence.duration if move.duration is None else move.duration
    return _occurrence(move.starts, zone_named(recurrence.zone), duration, key=move.key)


def _by_rule(recurrence: Recurrence, key: str) -> Occurrence | None:
    pattern = r"[0-9]{8}" if recurrence.all_day else r"[0-9]{8}T[0-9]{6}"
    if not re.fullmatch(pattern, key):
        return None
    try:
        day = date.fromisoformat(key[:8])
    except ValueError:
        return None
    first = max(day, recurrence.first_on)
    for occurrence in _regular(recurrence, first, first):
        if occurrence.key >= key:
            return occurrence if occurrence.key == key else None
    return None


def _regular(recurrence: Recurrence, first: date, last: date = LAST_DAY) -> Iterator[Occurrence]:
    """Occurrences of the rule alone, from the period of `first` to that of `last`.

    It ends with UNTIL, and at a gap of MAX_STEPS.
    """
    zone, idle = zone_named(recurrence.zone), 0
    rule = parse_rule(recurrence.rule) if recurrence.rule is not None else None
    for day in _days(recurrence, first, last):
        if day is None:
            if (idle := idle + 1) >= MAX_STEPS:
                return
            continue
        idle = 0
        occurrence = _occurrence(_wall(recurrence, day), zone, recurrence.duration)
        if rule and _is_past(rule.until, occurrence):
            return
        yield occurrence


def _days(recurrence: Recurrence, first: date, last: date) -> Iterator[date | None]:
    """The days of the rule by its COUNT, None for a candidate that the rule or the zone rejects.

    A rule with COUNT that is not measured is walked from its start.
    """
    zone, start = zone_named(recurrence.zone), recurrence.first_on
    rule = parse_rule(recurrence.rule) if recurrence.rule is not None else None
    days: Iterator[date | None] = iter([start])
    most = None
    if rule:
        last = min(last, recurrence.ends_on or last)
        if rule.count and recurrence.ends_on is None:
            first, last, most = start, LAST_DAY, rule.count
        days = candidate_days(completed(rule, start), start, first, last)
    for day in days:
        if day is None or is_left_out(_wall(recurrence, day), zone):
            yield None
            continue
        if recurrence.ends_on and day > recurrence.ends_on:
            return
        yield day
        if most and (most := most - 1) == 0:
            return


def _wall(recurrence: Recurrence, day: date) -> date | datetime:
    if isinstance(recurrence.starts, datetime):
        return datetime.combine(day, recurrence.starts.time())
    return day


def _occurrence(
    wall: date | datetime, zone: ZoneInfo, duration: timedelta, key: str = ""
) -> Occurrence:
    if isinstance(wall, datetime):
        starts_at = instant_of(wall, zone)
        ends_at = starts_at + duration
    else:
        starts_at = _midnight(wall, zone)
        ends_at = _midnight(wall + duration, zone)
    return Occurrence(key or key_of(wall), wall, starts_at, ends_at)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return instant_of(datetime.combine(day, time()), zone)


def is_left_out(wall: date | datetime, zone: ZoneInfo) -> bool:
    """Whether the zone's calendar jumps over the whole day."""
    naive = wall if isinstance(wall, datetime) else datetime.combine(wall, time())
    # Inside a gap PEP 495 gives the offset before it for fold=0 and the one after it for fold=1.
    before, after = (naive.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return before is not None and after is not None and after - before >= DAY


def _is_past(until: date | datetime | None, occurrence: Occurrence) -> bool:
    if isinstance(until, datetime):
        return occurrence.starts_at > until
    return until is not None and occurrence.starts > until
