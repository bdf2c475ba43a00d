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
- **Cost.** dateutil walks to the year 9999 inside a single `next()` when nothing matches (18 s for
  `FREQ=DAILY;BYMONTHDAY=31;BYMONTH=2,4`). The walk here reports every candidate day it rejects,
  so that its caller counts them and stops.
"""

import heapq
import re
from calendar import isleap, monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MAX_RULE_LENGTH = 512
MAX_COUNT = 3_660
"""Ten years of days."""
MAX_INTERVAL = 1_000
MAX_EXCEPTIONS = 100
MAX_DURATION = timedelta(days=366)
MAX_STEPS = 15_000
"""Candidate days looked at between two occurrences: forty years of them, the longest time between
two 29ths of February on the same weekday."""
MAX_COUNTED_STEPS = 50_000
"""Candidate days in the whole of a rule with COUNT, which is always walked from its start."""
FIRST_YEAR, LAST_YEAR = 1900, 2399

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
DAY = timedelta(days=1)
LAST_DAY = date(LAST_YEAR, 12, 31)
EARLIEST = datetime(FIRST_YEAR - 2, 1, 1, tzinfo=UTC)
LATEST = datetime(LAST_YEAR + 2, 1, 1, tzinfo=UTC)


class RecurrenceError(ValueError):
    """A recurrence we do not accept; its message may be shown to the learner.

    `code` is stable; `field` is the attribute of `Recurrence` at fault.
    """

    code = "recurrence_invalid"
    field = "rule"


class RuleSyntaxError(RecurrenceError):
    """The text is not an RRULE of RFC 5545 §3.3.10."""

    code = "rrule_invalid"


class RuleUnsupportedError(RecurrenceError):
    """A rule of RFC 5545 beyond what we offer: a finer frequency, other parts, larger numbers."""

    code = "rrule_unsupported"


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
    """Not the name of an IANA time zone."""

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
    """A skipped or moved occurrence that the rule does not have, or too many of them."""

    code = "occurrence_unknown"
    field = "skipped"


@dataclass(frozen=True, slots=True)
class Rule:
    """A parsed RRULE. Empty sets are absent parts; `by_day` pairs an ordinal (0: every) and a
    weekday (0: Monday); `until` is an aware UTC instant for timed events, a date for all-day."""

    freq: str
    interval: int = 1
    count: int | None = None
    until: date | datetime | None = None
    by_month: frozenset[int] = frozenset()
    by_month_day: frozenset[int] = frozenset()
    by_year_day: frozenset[int] = frozenset()
    by_week_no: frozenset[int] = frozenset()
    by_day: frozenset[tuple[int, int]] = frozenset()
    by_set_pos: frozenset[int] = frozenset()
    week_start: int = 0

    def matches(self, day: date) -> bool:
        """Whether the day passes every BY part but BYSETPOS."""
        return (
            (not self.by_month or day.month in self.by_month)
            and (not self.by_month_day or _among(*_in_month(day), self.by_month_day))
            and (not self.by_year_day or _among(*_in_year(day), self.by_year_day))
            and (not self.by_week_no or self._in_week(day))
            and (not self.by_day or self._on_weekday(day))
        )

    def _in_week(self, day: date) -> bool:
        # A week belongs to the year that has four or more of its days, so its fourth day decides.
        fourth_day = _week_start(day, self.week_start) + 3 * DAY
        return _among(*_nth_week(*_in_year(fourth_day)), self.by_week_no)

    def _on_weekday(self, day: date) -> bool:
        in_month = self.freq == "MONTHLY" or self.by_month
        nth, total = _nth_week(*(_in_month(day) if in_month else _in_year(day)))
        return any((n, day.weekday()) in self.by_day for n in (0, nth, nth - total - 1))


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
    """

    starts: date | datetime
    zone: str
    duration: timedelta
    rule: str | None = None
    skipped: frozenset[str] = frozenset()
    moved: tuple[Move, ...] = ()

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


def upcoming(recurrence: Recurrence, instant: datetime) -> Iterator[Occurrence]:
    """Every occurrence that starts at the instant or later, by start and key, one at a time."""
    elsewhere = recurrence.skipped | {move.key for move in recurrence.moved}
    zone = zone_named(recurrence.zone)
    instant = min(max(instant, EARLIEST), LATEST)
    # Two days earlier than the instant's date, since a wall time may be moved past a gap.
    first = max(recurrence.first_on, instant.astimezone(zone).date() - 2 * DAY)
    regular = (each for each in _regular(recurrence, first) if each.key not in elsewhere)
    moved = sorted((_moved(recurrence, move) for move in recurrence.moved), key=_order)
    for occurrence in heapq.merge(regular, moved, key=_order):
        if occurrence.starts_at >= instant:
            yield occurrence


def occurrences(
    recurrence: Recurrence, *, after: datetime, before: datetime, limit: int
) -> list[Occurrence]:
    """The first `limit` occurrences that start in [after, before), by start and key."""
    found: list[Occurrence] = []
    for occurrence in upcoming(recurrence, after):
        if occurrence.starts_at >= before or len(found) >= limit:
            break
        found.append(occurrence)
    return found


def overlapping(
    recurrence: Recurrence, *, after: datetime, before: datetime, limit: int
) -> list[Occurrence]:
    """The first `limit` occurrences that take place, in part at least, in [after, before)."""
    durations = [move.duration or recurrence.duration for move in recurrence.moved]
    longest = max([recurrence.duration, *durations])
    # A local day may last longer than 24 hours.
    reach_back = longest + DAY if recurrence.all_day else longest
    under_way = (
        each
        for each in upcoming(recurrence, max(after, EARLIEST) - reach_back)
        if each.starts_at >= after or each.ends_at > after
    )
    found: list[Occurrence] = []
    for occurrence in under_way:
        if occurrence.starts_at >= before or len(found) >= limit:
            break
        found.append(occurrence)
    return found


def next_after(recurrence: Recurrence, instant: datetime) -> Occurrence | None:
    """The first occurrence that starts later than the instant; None when there is no more."""
    later = (each for each in upcoming(recurrence, instant) if each.starts_at > instant)
    return next(later, None)


def occurrence_named(recurrence: Recurrence, key: str) -> Occurrence | None:
    """The occurrence with that key where it takes place now; None if skipped or unknown."""
    if key in recurrence.skipped:
        return None
    move = next((move for move in recurrence.moved if move.key == key), None)
    return _moved(recurrence, move) if move else _by_rule(recurrence, key)


def first_by_rule(recurrence: Recurrence) -> Occurrence | None:
    """The first occurrence of the rule itself, skipped or not: DTSTART of the feed."""
    return next(_regular(recurrence, recurrence.first_on), None)


def known_keys(recurrence: Recurrence, keys: Iterable[str]) -> frozenset[str]:
    """Those of the keys that name an occurrence of the rule, skipped or moved ones included."""
    if recurrence.rule and parse_rule(recurrence.rule).count:
        every = {each.key for each in _regular(recurrence, recurrence.first_on)}
        return frozenset(keys) & every
    return frozenset(key for key in keys if _by_rule(recurrence, key))


def without_orphans(recurrence: Recurrence) -> Recurrence:
    """The recurrence without exceptions to occurrences it does not have, after an edit."""
    known = known_keys(recurrence, {*recurrence.skipped, *(m.key for m in recurrence.moved)})
    moved = tuple(move for move in recurrence.moved if move.key in known)
    return replace(recurrence, skipped=recurrence.skipped & known, moved=moved)


def key_of(wall: date | datetime) -> str:
    """The key of the occurrence with this original start."""
    return wall.strftime("%Y%m%dT%H%M%S" if isinstance(wall, datetime) else "%Y%m%d")


def wall_of(key: str) -> date | datetime:
    """The original start that a key of ours names."""
    return datetime.fromisoformat(key) if "T" in key else date.fromisoformat(key)


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """The UTC instant of a naive wall time: past a gap, or the first of two."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


@lru_cache(maxsize=256)
def zone_named(name: str) -> ZoneInfo:
    """The IANA zone of that name.

    Raises ZoneUnknownError, also for what a system's zone folder holds beside the zones: `right/`
    counts leap seconds, `localtime` is the server's own.
    """
    if not re.fullmatch(r"[A-Z][A-Za-z0-9_+-]*(/[A-Z][A-Za-z0-9_+-]*){0,2}", name):
        raise ZoneUnknownError("This is not the name of an IANA time zone.")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ZoneUnknownError("This is not the name of an IANA time zone.") from error


# --- Validating ---------------------------------------------------------------------------------


def validate(recurrence: Recurrence) -> None:
    """Raises the RecurrenceError that says why the recurrence cannot be accepted.

    Looks at no more than `MAX_STEPS` candidate days (`MAX_COUNTED_STEPS` with COUNT) and at the
    exceptions, so it answers within milliseconds whatever the rule.
    """
    zone_named(recurrence.zone)
    _validate_wall(recurrence.starts)
    _validate_duration(recurrence.duration, all_day=recurrence.all_day)
    rule = parse_rule(recurrence.rule) if recurrence.rule is not None else None
    if rule and rule.until and isinstance(rule.until, datetime) == recurrence.all_day:
        wanted = "a date" if recurrence.all_day else "a date and time in UTC, ending in Z"
        raise RuleSyntaxError(f"UNTIL has to be {wanted}, like the start.")
    _validate_cost(recurrence, rule)
    _validate_exceptions(recurrence)


def _validate_wall(wall: date | datetime) -> None:
    if isinstance(wall, datetime) and (wall.tzinfo or wall.microsecond):
        raise StartInvalidError("The start is a local time of the zone, in whole seconds.")
    if not FIRST_YEAR <= wall.year <= LAST_YEAR:
        raise StartInvalidError(f"The start lies between {FIRST_YEAR} and {LAST_YEAR}.")


def _validate_duration(duration: timedelta, *, all_day: bool) -> None:
    if not timedelta(0) <= duration <= MAX_DURATION:
        raise DurationInvalidError(f"An event lasts at most {MAX_DURATION.days} days.")
    if all_day and (duration < DAY or duration % DAY):
        raise DurationInvalidError("An all-day event lasts one or more whole days.")


def _validate_cost(recurrence: Recurrence, rule: Rule | None) -> None:
    counted = rule is not None and rule.count is not None
    steps, found = 0, False
    for occurrence in _candidates(recurrence, recurrence.first_on):
        steps, found = steps + 1, found or occurrence is not None
        if (found and not counted) or (not found and steps >= MAX_STEPS):
            break
        if steps >= MAX_COUNTED_STEPS:
            raise RuleTooCostlyError("The rule needs centuries to reach its COUNT.")
    if not found:
        raise RuleNeverOccursError("No day matches this rule.", steps=steps)


def _validate_exceptions(recurrence: Recurrence) -> None:
    keys = [*recurrence.skipped, *(move.key for move in recurrence.moved)]
    if len(keys) > MAX_EXCEPTIONS:
        raise ExceptionInvalidError(f"At most {MAX_EXCEPTIONS} occurrences can be changed.")
    if len(keys) != len(set(keys)) or len(known_keys(recurrence, keys)) != len(keys):
        raise ExceptionInvalidError("Only an occurrence of the event can be skipped or moved.")
    for move in recurrence.moved:
        if isinstance(move.starts, datetime) == recurrence.all_day:
            raise ExceptionInvalidError("An occurrence is moved to a date or time like its own.")
        _validate_wall(move.starts)
        if move.duration is not None:
            _validate_duration(move.duration, all_day=recurrence.all_day)


# --- Reading an RRULE ---------------------------------------------------------------------------

FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
LISTS = {
    "BYMONTH": ("by_month", 1, 12),
    "BYMONTHDAY": ("by_month_day", -31, 31),
    "BYYEARDAY": ("by_year_day", -366, 366),
    "BYWEEKNO": ("by_week_no", -53, 53),
    "BYSETPOS": ("by_set_pos", -366, 366),
}
NUMBERS = {"INTERVAL": MAX_INTERVAL, "COUNT": MAX_COUNT}
FINER_PARTS = {"BYHOUR", "BYMINUTE", "BYSECOND"}
FINER_FREQUENCIES = {"HOURLY", "MINUTELY", "SECONDLY"}


@lru_cache(maxsize=1024)
def parse_rule(text: str) -> Rule:
    """Reads an RRULE's value (`FREQ=WEEKLY;BYDAY=MO,WE`), case-insensitively and strictly.

    Raises RuleSyntaxError or RuleUnsupportedError.
    """
    if len(text) > MAX_RULE_LENGTH:
        raise RuleUnsupportedError(f"A rule has at most {MAX_RULE_LENGTH} characters.")
    if not text.isascii():
        raise RuleSyntaxError("A rule is written in ASCII.")
    parts: dict[str, str] = {}
    for part in text.upper().split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise RuleSyntaxError("A rule is a list of NAME=VALUE, separated by semicolons.")
        if name in parts:
            raise RuleSyntaxError(f"{name[:20]} stands twice.")
        parts[name] = value
    rule = Rule(freq=_frequency(parts.pop("FREQ", "")))
    for name, value in parts.items():
        rule = _with_part(rule, name, value)
    _validate_combination(rule)
    return rule


def _frequency(value: str) -> str:
    if value in FINER_FREQUENCIES:
        raise RuleUnsupportedError("Events repeat daily, weekly, monthly or yearly.")
    if value not in FREQUENCIES:
        raise RuleSyntaxError("FREQ is DAILY, WEEKLY, MONTHLY or YEARLY.")
    return value


def _with_part(rule: Rule, name: str, value: str) -> Rule:
    if name in LISTS:
        attribute, low, high = LISTS[name]
        numbers = frozenset(_number(name, n, low, high) for n in value.split(","))
        return _replaced(rule, attribute, numbers)
    if name in NUMBERS:
        return _replaced(rule, name.lower(), _positive(name, value, NUMBERS[name]))
    if name == "UNTIL":
        return replace(rule, until=_until(value))
    if name == "BYDAY":
        return replace(rule, by_day=frozenset(_ordinal_weekday(day) for day in value.split(",")))
    if name == "WKST" and value in WEEKDAYS:
        return replace(rule, week_start=WEEKDAYS.index(value))
    if name in FINER_PARTS:
        raise RuleUnsupportedError(f"{name}: an event has one time of day, that of its start.")
    raise RuleSyntaxError("The rule has a part that RFC 5545 does not know, or a wrong WKST.")


def _replaced(rule: Rule, attribute: str, value: object) -> Rule:
    return replace(rule, **{attribute: value})  # type: ignore[arg-type]


def _number(name: str, text: str, low: int, high: int) -> int:
    pattern = r"[+-]?[0-9]{1,3}" if low < 0 else r"[0-9]{1,3}"
    if not re.fullmatch(pattern, text) or not low <= int(text) <= high or int(text) == 0:
        raise RuleSyntaxError(f"{name} lists numbers from {low} to {high}, without 0.")
    return int(text)


def _positive(name: str, text: str, high: int) -> int:
    if not re.fullmatch(r"[0-9]+", text) or not text.strip("0"):
        raise RuleSyntaxError(f"{name} is a whole number from 1.")
    if len(text.lstrip("0")) > len(str(high)) or int(text) > high:
        raise RuleUnsupportedError(f"{name} is at most {high}.")
    return int(text)


def _until(text: str) -> date | datetime:
    if not re.fullmatch(r"[0-9]{8}(T[0-9]{6}Z)?", text):
        raise RuleSyntaxError("UNTIL is a date, 20270131, or an instant in UTC, 20270131T090000Z.")
    try:
        if len(text) == len("20270131"):
            return date.fromisoformat(text)
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise RuleSyntaxError("UNTIL names a day or time that does not exist.") from error


def _ordinal_weekday(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)", text)
    ordinal = int(match[1] or 0) if match else 0
    if not match or abs(ordinal) > 53 or (match[1] and not ordinal):
        raise RuleSyntaxError("BYDAY lists weekdays, MO to SU, each with an ordinal or none.")
    return ordinal, WEEKDAYS.index(match[2])


def _validate_combination(rule: Rule) -> None:
    """The "MUST NOT"s of §3.3.10."""
    ordinals = any(ordinal for ordinal, _ in rule.by_day)
    by_parts = rule.by_month or rule.by_month_day or rule.by_year_day or rule.by_day
    wrong = {
        "COUNT and UNTIL exclude each other.": rule.count and rule.until,
        "BYWEEKNO goes with FREQ=YEARLY.": rule.by_week_no and rule.freq != "YEARLY",
        "BYYEARDAY goes with FREQ=YEARLY.": rule.by_year_day and rule.freq != "YEARLY",
        "BYMONTHDAY does not go with FREQ=WEEKLY.": rule.by_month_day and rule.freq == "WEEKLY",
        "Ordinals in BYDAY go with FREQ=MONTHLY or YEARLY, without BYWEEKNO.": ordinals
        and (rule.freq in ("DAILY", "WEEKLY") or rule.by_week_no),
        "BYSETPOS needs another BY part.": rule.by_set_pos and not (by_parts or rule.by_week_no),
    }
    for message, is_wrong in wrong.items():
        if is_wrong:
            raise RuleSyntaxError(message)
    if rule.by_week_no and not rule.by_day:
        # Some calendars then take the start's weekday, others all seven days.
        raise RuleUnsupportedError("BYWEEKNO needs BYDAY.")


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
    for occurrence in _regular(recurrence, max(day, recurrence.first_on)):
        if occurrence.key >= key:
            return occurrence if occurrence.key == key else None
    return None


def _regular(recurrence: Recurrence, first: date) -> Iterator[Occurrence]:
    """Occurrences of the rule alone, from the period of `first` on, until a gap of MAX_STEPS."""
    idle = 0
    for occurrence in _candidates(recurrence, first):
        if occurrence:
            idle = 0
            yield occurrence
        elif (idle := idle + 1) >= MAX_STEPS:
            return


def _candidates(recurrence: Recurrence, first: date) -> Iterator[Occurrence | None]:
    """Each candidate day in order: its occurrence, or None if the rule or the zone has none."""
    zone = zone_named(recurrence.zone)
    rule = _completed(recurrence) if recurrence.rule is not None else None
    at = recurrence.starts.time() if isinstance(recurrence.starts, datetime) else None
    days: Iterator[date | None] = iter([recurrence.first_on])
    if rule:
        days = _days(rule, recurrence.first_on, recurrence.first_on if rule.count else first)
    count = 0
    for day in days:
        wall = datetime.combine(day, at) if day and at is not None else day
        if wall is None or is_left_out(wall, zone):
            yield None
            continue
        occurrence = _occurrence(wall, zone, recurrence.duration)
        count += 1
        if rule and (_is_past(rule.until, occurrence) or (rule.count and count > rule.count)):
            return
        yield occurrence


def _completed(recurrence: Recurrence) -> Rule:
    """The rule with what it leaves to the start: the weekday, the day of the month, the month."""
    rule, start = parse_rule(recurrence.rule or ""), recurrence.first_on
    if rule.by_day or rule.by_month_day or rule.by_year_day or rule.freq == "DAILY":
        return rule
    if rule.freq == "WEEKLY":
        return replace(rule, by_day=frozenset({(0, start.weekday())}))
    by_month = rule.by_month or frozenset({start.month} if rule.freq == "YEARLY" else ())
    return replace(rule, by_month=by_month, by_month_day=frozenset({start.day}))


def _days(rule: Rule, start: date, first: date) -> Iterator[date | None]:
    """The rule's candidate days from the period of `first` to LAST_YEAR, None for a rejected one.

    No `next()` looks further than one period, a year at most.
    """
    for period in range(_period_of(rule, start, first), _period_of(rule, start, LAST_DAY) + 1):
        days = [day if rule.matches(day) else None for day in _days_of(rule, start, period)]
        if rule.by_set_pos:
            days = _at_positions(days, rule.by_set_pos)
        for day in days or [None]:
            yield day if day and day >= start else None


def _period_of(rule: Rule, start: date, day: date) -> int:
    """How many intervals lie between the start's day, week, month or year and the day's."""
    if rule.freq == "DAILY":
        distance = (day - start).days
    elif rule.freq == "WEEKLY":
        distance = (day - _week_start(start, rule.week_start)).days // 7
    elif rule.freq == "MONTHLY":
        distance = 12 * (day.year - start.year) + day.month - start.month
    else:
        distance = day.year - start.year
    return distance // rule.interval


def _days_of(rule: Rule, start: date, period: int) -> list[date]:
    distance = period * rule.interval
    if rule.freq == "DAILY":
        return [start + distance * DAY]
    if rule.freq == "WEEKLY":
        monday = _week_start(start, rule.week_start) + 7 * distance * DAY
        return [monday + n * DAY for n in range(7)]
    if rule.freq == "MONTHLY":
        year, month = divmod(12 * start.year + start.month - 1 + distance, 12)
        months = {month + 1} & (rule.by_month or {month + 1})
    else:
        year, months = start.year + distance, set(rule.by_month or range(1, 13))
    return [
        date(year, month, day)
        for month in sorted(months)
        for day in range(1, monthrange(year, month)[1] + 1)
    ]


def _at_positions(days: list[date | None], positions: frozenset[int]) -> list[date | None]:
    matching = [day for day in days if day]
    chosen = {day for n, day in enumerate(matching, start=1) if _among(n, len(matching), positions)}
    return [day if day in chosen else None for day in days]


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


def _week_start(day: date, first_weekday: int) -> date:
    return day - (day.weekday() - first_weekday) % 7 * DAY


def _in_month(day: date) -> tuple[int, int]:
    """The day's number in its month, and the month's length."""
    return day.day, monthrange(day.year, day.month)[1]


def _in_year(day: date) -> tuple[int, int]:
    """The day's number in its year, and the year's length."""
    return day.timetuple().tm_yday, 365 + isleap(day.year)


def _nth_week(number: int, length: int) -> tuple[int, int]:
    """Which one of its weekday the day is in its month or year, and how many there are."""
    nth = (number - 1) // 7 + 1
    return nth, nth + (length - number) // 7


def _among(number: int, length: int, wanted: frozenset[int]) -> bool:
    """Whether the number-th of so many is wanted, counted from either end."""
    return number in wanted or number - length - 1 in wanted
