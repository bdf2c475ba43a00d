"""Which days a recurrence rule falls on: RFC 5545 §3.3.10, read strictly and walked within bounds.

Times of day and zones are `reminders.recurrence`'s. dateutil walks to the year 9999 inside a single
`next()` when nothing matches (18 s for `FREQ=DAILY;BYMONTHDAY=31;BYMONTH=2,4`); the walk here
reports every candidate day it rejects, so that its caller counts them and stops.
"""

import re
from calendar import isleap, monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from config.problems import Filled

MAX_RULE_LENGTH = 512
MAX_COUNT = 3_660
"""Ten years of days."""
MAX_INTERVAL = 1_000
LAST_YEAR = 2399
LAST_DAY = date(LAST_YEAR, 12, 31)
LAST_SECOND = datetime(LAST_YEAR, 12, 31, 23, 59, 59, tzinfo=UTC)

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
DAY = timedelta(days=1)


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
        raise RuleUnsupportedError(
            Filled("A rule has at most {most} characters.", most=MAX_RULE_LENGTH)
        )
    if not text.isascii():
        raise RuleSyntaxError("A rule is written in ASCII.")
    parts: dict[str, str] = {}
    for part in text.upper().split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise RuleSyntaxError("A rule is a list of NAME=VALUE, separated by semicolons.")
        if name in parts:
            raise RuleSyntaxError(Filled("{name} stands twice.", name=name[:20]))
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
        raise RuleUnsupportedError(
            Filled("{name}: an event has one time of day, that of its start.", name=name)
        )
    raise RuleSyntaxError("The rule has a part that RFC 5545 does not know, or a wrong WKST.")


def _replaced(rule: Rule, attribute: str, value: object) -> Rule:
    return replace(rule, **{attribute: value})  # type: ignore[arg-type]


def _number(name: str, text: str, low: int, high: int) -> int:
    pattern = r"[+-]?[0-9]{1,3}" if low < 0 else r"[0-9]{1,3}"
    if not re.fullmatch(pattern, text) or not low <= int(text) <= high or int(text) == 0:
        raise RuleSyntaxError(
            Filled(
                "{name} lists numbers from {low} to {high}, without 0.",
                name=name,
                low=low,
                high=high,
            )
        )
    return int(text)


def _positive(name: str, text: str, high: int) -> int:
    if not re.fullmatch(r"[0-9]+", text) or not text.strip("0"):
        raise RuleSyntaxError(Filled("{name} is a whole number from 1.", name=name))
    if len(text.lstrip("0")) > len(str(high)) or int(text) > high:
        raise RuleUnsupportedError(Filled("{name} is at most {high}.", name=name, high=high))
    return int(text)


def _until(text: str) -> date | datetime:
    """The end of a rule, no later than the last day on which anything can take place.

    Exporters write "for ever" as the end of the year 9999.
    """
    if not re.fullmatch(r"[0-9]{8}(T[0-9]{6}Z)?", text):
        raise RuleSyntaxError("UNTIL is a date, 20270131, or an instant in UTC, 20270131T090000Z.")
    try:
        if len(text) == len("20270131"):
            return min(date.fromisoformat(text), LAST_DAY)
        return min(datetime.fromisoformat(text), LAST_SECOND)
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


# --- Walking --------------------------------------------------------------------------------------


def completed(rule: Rule, start: date) -> Rule:
    """The rule with the parts that the start decides: weekday, day of the month, month."""
    if rule.by_day or rule.by_month_day or rule.by_year_day or rule.freq == "DAILY":
        return rule
    if rule.freq == "WEEKLY":
        return replace(rule, by_day=frozenset({(0, start.weekday())}))
    by_month = rule.by_month or frozenset({start.month} if rule.freq == "YEARLY" else ())
    return replace(rule, by_month=by_month, by_month_day=frozenset({start.day}))


def candidate_days(
    rule: Rule, start: date, first: date, last: date = LAST_DAY
) -> Iterator[date | None]:
    """The completed rule's candidate days from the period of `first` to that of `last`.

    None stands for a rejected one, or for a month of them. No `next()` looks further than one
    period, a year at most.
    """
    period, end = _period_of(rule, start, first), _period_of(rule, start, min(last, LAST_DAY))
    while period <= end:
        following = _skip_month(rule, start, period)
        if following > period:
            yield None
            period = following
            continue
        days = [day if rule.matches(day) else None for day in _days_of(rule, start, period)]
        if rule.by_set_pos:
            days = _at_positions(days, rule.by_set_pos)
        for day in days or [None]:
            yield day if day and day >= start else None
        period += 1


def _skip_month(rule: Rule, start: date, period: int) -> int:
    """The first period of a daily rule that is not in this month, if the month is not in it."""
    if rule.freq != "DAILY" or not rule.by_month:
        return period
    day = start + period * rule.interval * DAY
    if day.month in rule.by_month:
        return period
    next_month = (day.replace(day=1) + 31 * DAY).replace(day=1)
    return -(-(next_month - start).days // rule.interval)


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
    """The days of a period, without those that a list of days or weekdays rules out at once."""
    distance = period * rule.interval
    if rule.freq == "DAILY":
        return [start + distance * DAY]
    if rule.freq == "WEEKLY":
        monday = _week_start(start, rule.week_start) + 7 * distance * DAY
        wanted = {(weekday - rule.week_start) % 7 for _, weekday in rule.by_day}
        return [monday + n * DAY for n in sorted(wanted or range(7))]
    if rule.freq == "MONTHLY":
        year, month = divmod(12 * start.year + start.month - 1 + distance, 12)
        months = {month + 1} & (rule.by_month or {month + 1})
    else:
        year, months = start.year + distance, set(rule.by_month or range(1, 13))
    if rule.by_year_day:
        length = 365 + isleap(year)
        numbers = _from_either_end(rule.by_year_day, length)
        return [date(year, 1, 1) + (number - 1) * DAY for number in numbers]
    return [
        date(year, month, day)
        for month in sorted(months)
        for day in _days_of_month(rule, *monthrange(year, month))
    ]


def _days_of_month(rule: Rule, first_weekday: int, length: int) -> Iterable[int]:
    if rule.by_month_day:
        return _from_either_end(rule.by_month_day, length)
    if not rule.by_day:
        return range(1, length + 1)
    wanted = {weekday for _, weekday in rule.by_day}
    return [day for day in range(1, length + 1) if (first_weekday + day - 1) % 7 in wanted]


def _from_either_end(numbers: frozenset[int], length: int) -> list[int]:
    """The days that the numbers mean in a month or year, in order."""
    days = {number if number > 0 else length + 1 + number for number in numbers}
    return sorted(day for day in days if 1 <= day <= length)


def _at_positions(days: list[date | None], positions: frozenset[int]) -> list[date | None]:
    matching = [day for day in days if day]
    chosen = {day for n, day in enumerate(matching, start=1) if _among(n, len(matching), positions)}
    return [day if day in chosen else None for day in days]


def _week_start(day: date, first_weekday: int) -> date:
    return day - (day.weekday() - first_weekday) % 7 * DAY


def _in_month(day: date) -> tuple[int, int]:
    """The day's number in its month, and the month's length."""
    return day.day, monthrange(day.year, day.month)[1]


def _in_year(day: date) -> tuple[int, int]:
    """The day's number in its year, and the year's length."""
    return day.timetuple().tm_yday, 365 + isleap(day.year)


def _nth_week(number: int, length: int) -> tuple[int, int]:
    """The number of the day among its weekdays in its month or year, and how many there are."""
    nth = (number - 1) // 7 + 1
    return nth, nth + (length - number) // 7


def _among(number: int, length: int, wanted: frozenset[int]) -> bool:
    """Whether the number-th of so many is in the list, counted from either end."""
    return number in wanted or number - length - 1 in wanted
