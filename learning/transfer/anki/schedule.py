"""Anki's scheduling columns to absolute instants, days and FSRS memory states.

What each column means is told by Anki's own source (`rslib/src/scheduler`, `rslib/src/revlog`);
`docs/import-formats.md` has the table.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, NamedTuple

from learning.transfer.model import CUSTOM_DATA_CHARS, MAX_DAYS, CardState, Review

NEW, LEARNING, REVIEW, RELEARNING = 0, 1, 2, 3
SUSPENDED = -1
FILTERED, MANUAL = 3, 4
EPOCH_FROM = 1_000_000_000  # a due number above it is seconds, below it days
STATES: tuple[Literal["new", "learning", "review", "relearning"], ...] = (
    "new", "learning", "review", "relearning",
)  # fmt: skip
PHASES: tuple[Literal["learning", "review", "relearning", "early"], ...] = (
    "learning", "review", "relearning", "early",
)  # fmt: skip

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = 16_725_225_600  # the year 2500
# FSRS-6's default weights 8, 9 and 10
_W8, _W9, _W10 = 1.8722, 0.1666, 0.796
_SM2_RETENTION = 0.9
FSRS6_DECAY = 0.154  # of the default weights
_DEFAULT_EASE = 2.5


@dataclass(frozen=True)
class Days:
    """The day numbers of a collection: day 0 is the date `created_on`.

    Anki counts calendar dates, each by the offset of its own moment (`days_elapsed` in
    `rslib/src/scheduler/timing.rs`), so a change of the clocks moves no card to another date. The
    instants are those of a place that never changes its clocks.
    """

    created_on: date
    rollover_hour: int
    offset: timedelta

    @classmethod
    def of(cls, created_s: int, minutes_west: int | None, rollover_hour: int) -> "Days":
        """By the collection's creation; without its offset, that was at the rollover hour."""
        created, hour = instant(created_s) or _EPOCH, rollover_hour % 24
        if minutes_west is None:
            offset = _offset_at(created, hour)
        else:
            offset = timedelta(minutes=-max(-1440, min(1440, minutes_west)))
        return cls((created + offset).date(), hour, offset)

    def on(self, day: int) -> date | None:
        """The date of a day; None for numbers no schedule has."""
        return self.created_on + timedelta(days=day) if abs(day) <= 2 * MAX_DAYS else None

    def start(self, day: int) -> datetime | None:
        """When the day begins where the collection was made; None for numbers no schedule has."""
        on = self.on(day)
        if on is None:
            return None
        return datetime.combine(on, time(self.rollover_hour), UTC) - self.offset

    def number(self, on: date) -> int:
        """The number of a date."""
        return (on - self.created_on).days

    def day_of(self, at: datetime) -> date:
        """The date of the day that an instant falls in."""
        return (at + self.offset - timedelta(hours=self.rollover_hour)).date()


def _offset_at(created: datetime, rollover_hour: int) -> timedelta:
    """The offset from UTC under which a collection was made at its rollover hour, -11 to +12 h."""
    midnight = created.replace(hour=0, minute=0, second=0, microsecond=0)
    ahead = timedelta(hours=rollover_hour) - (created - midnight)
    return (ahead + timedelta(hours=11)) % timedelta(days=1) - timedelta(hours=11)


class CardRow(NamedTuple):
    """The columns of `cards` that matter here, as whole numbers; `data` is its JSON."""

    type: int
    queue: int
    due: int
    ivl: int
    factor: int
    reps: int
    lapses: int
    odue: int
    odid: int
    flags: int
    data: str


class ReviewRow(NamedTuple):
    """A row of `revlog`."""

    id: int
    ease: int
    ivl: int
    last_ivl: int
    factor: int
    time: int
    type: int


def instant(seconds: float) -> datetime | None:
    """An instant of Unix time, or None outside the years 1970 to 2500."""
    if not 0 <= seconds <= _LAST_SECOND:
        return None
    return _EPOCH + timedelta(milliseconds=round(seconds * 1000))


def card_state(row: CardRow, ordinal: int, days: Days, reviews: Sequence[Review]) -> CardState:
    """The state of a card; `reviews` is its log, oldest first."""
    kind = _type(row)
    due_at = _due(row, days) if kind != NEW else None
    interval_days = min(max(row.ivl, 0), MAX_DAYS)
    ease = row.factor / 1000 if 0 < row.factor <= 100_000 else None
    data = _data(row.data)
    stability, difficulty = _number(data, "s", 0, MAX_DAYS), _number(data, "d", 1, 10)
    estimated = kind != NEW and interval_days > 0 and not (stability and difficulty)
    if estimated:
        stability, difficulty = memory_of_sm2(ease or _DEFAULT_EASE, interval_days)
    position, decay = _number(data, "pos", 0, 2**31), _number(data, "decay", 0, 2)
    known = bool(stability and difficulty) and kind != NEW
    return CardState(
        ordinal=ordinal,
        state=STATES[kind],
        suspended=row.queue == SUSPENDED,
        buried=row.queue < SUSPENDED,
        due_at=due_at,
        due_on=days.on(_place(row)) if kind != NEW and _place(row) <= EPOCH_FROM else None,
        position=min(max(_place(row), 0), 2**31) if kind == NEW else None,
        interval_days=interval_days,
        stability=stability if known else None,
        difficulty=difficulty if known else None,
        estimated=estimated,
        desired_retention=_number(data, "dr", 0, 1) if known else None,
        decay=decay if known else None,
        ease_factor=ease,
        original_position=int(position) if position is not None else None,
        flag=row.flags & 7,
        custom_data=_custom(data),
        reps=min(max(row.reps, 0), 10**6),
        lapses=min(max(row.lapses, 0), 10**6),
        last_review_at=_last_review(kind, data, reviews, due_at, interval_days),
        reviews=tuple(reviews),
    )


def memory_of_sm2(ease_factor: float, interval_days: int) -> tuple[float, float]:
    """Stability and difficulty for a card that only SM-2 has scheduled, as FSRS does it.

    SM-2's interval aims at 90 % retention, which is what stability means. Difficulty is the one
    that would make the next interval grow by the ease factor (fsrs-rs, `memory_state_from_sm2`).
    """
    stability = max(float(interval_days), 0.001)
    growth = math.exp(_W8) * stability**-_W9 * math.expm1((1 - _SM2_RETENTION) * _W10)
    difficulty = 11 - (ease_factor - 1) / growth
    return stability, min(max(difficulty, 1.0), 10.0)


def review(row: ReviewRow, *, old_scheduler: bool = False) -> Review | None:
    """An entry of the log, or None for one whose instant or button cannot be.

    Anki's first scheduler had three buttons on learning steps: again, good and easy.
    """
    at = instant(row.id / 1000)
    if at is None or not 0 <= row.ease <= 4:
        return None
    kind = _kind(row)
    rating = row.ease if kind in ("review", "practice") else None
    if old_scheduler and rating in (2, 3) and row.type in (0, 2):
        rating += 1
    return Review(
        id=str(row.id),
        at=at,
        kind=kind,
        rating=rating,
        duration_ms=min(max(row.time, 0), 86_400_000),
        interval_s=_seconds(row.ivl),
        previous_interval_s=_seconds(row.last_ivl),
        days_in_s=_days_in_s(row.ivl),
        previous_days_in_s=_days_in_s(row.last_ivl),
        phase=PHASES[row.type] if 0 <= row.type < len(PHASES) else "review",
        ease_factor=row.factor / 1000 if 0 < row.factor <= 100_000 else None,
    )


def _kind(row: ReviewRow) -> Literal["review", "practice", "reset", "reschedule"]:
    if row.type == MANUAL and row.factor == 0:
        return "reset"
    if row.ease == 0 or row.type >= MANUAL:
        return "reschedule"
    return "practice" if row.type == FILTERED and row.factor == 0 else "review"


def _seconds(interval: int) -> int:
    """Anki counts intervals in days above zero and in seconds below it."""
    return min(interval * 86_400 if interval > 0 else -interval, MAX_DAYS * 86_400)


def _days_in_s(interval: int) -> bool:
    """Whether whole days are told in seconds, as of a learning step."""
    return interval < 0 and interval % 86_400 == 0


def _type(row: CardRow) -> int:
    if row.type == REVIEW and row.queue in (1, 3) and not row.odid:
        return RELEARNING  # how Anki's first scheduler marked a lapsed card
    return row.type if NEW <= row.type <= RELEARNING else NEW


def _place(row: CardRow) -> int:
    """`due`, or what it was before the card went into a filtered deck."""
    if row.odid and row.odue and row.due <= EPOCH_FROM:
        return row.odue
    return row.due


def _due(row: CardRow, days: Days) -> datetime | None:
    due = _place(row)
    return instant(due) if due > EPOCH_FROM else days.start(due)


def _data(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _number(data: dict[str, Any], key: str, least: float, most: float) -> float | None:
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        return None
    return float(value)


def _custom(data: dict[str, Any]) -> str | None:
    """What scripts of the learner's own keep with a card."""
    text = data.get("cd")
    return text if isinstance(text, str) and 0 < len(text) <= CUSTOM_DATA_CHARS else None


def _last_review(
    kind: int, data: dict[str, Any], reviews: Sequence[Review], due_at: datetime | None, days: int
) -> datetime | None:
    told = _number(data, "lrt", 1, _LAST_SECOND)
    if kind == NEW or told:
        return instant(told) if told and kind != NEW else None
    logged = [entry.at for entry in reviews if entry.kind == "review"]
    if logged:
        return max(logged)
    return due_at - timedelta(days=days) if due_at and days and kind == REVIEW else None
