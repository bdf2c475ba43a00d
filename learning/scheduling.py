"""When a card comes back: steps, intervals and fuzz over FSRS-6, and the fold of a card's log.

Pure rules: the standard library alone, every instant handed in, the same result on every
machine. `docs/scheduler.md` gives the choices and their sources.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum, StrEnum
from itertools import accumulate
from typing import ClassVar, Self

from config.records import dataclass
from learning.fsrs import (
    DEFAULT_WEIGHTS,
    DIFFICULTY_RANGE,
    STABILITY_RANGE,
    WEIGHT_RANGES,
    Weights,
    days_until,
    first_memory,
    next_memory,
    recall,
)


class SchedulingError(ValueError):
    """A value the rules refuse; `field` names it as Python does (`easy_days[2]`)."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}")
        self.field = field


class SettingsError(SchedulingError):
    """A setting out of its range."""


class MemoryStateError(SchedulingError):
    """A card state that contradicts itself, as a faulty import may bring."""


class InstantError(SchedulingError):
    """An instant without a time zone, or before what it must follow."""


class Rating(IntEnum):
    """How well the learner remembered, as FSRS numbers it."""

    AGAIN = 1
    HARD = 2
    GOOD = 3
    EASY = 4

    @property
    def wire(self) -> str:
        return self.name.lower()

    @classmethod
    def from_wire(cls, name: str) -> Self:
        """The rating named `again`, `hard`, `good` or `easy`."""
        for rating in cls:
            if rating.wire == name:
                return rating
        raise SchedulingError("rating", "is one of again, hard, good, easy")


class State(StrEnum):
    NEW = "new"
    LEARNING = "learning"
    REVIEW = "review"
    RELEARNING = "relearning"


RETENTION_RANGE = (0.70, 0.97)
INTERVAL_RANGE = (1, 36_500)
STEP_RANGE_S = (1, 30 * 86_400)
MAX_STEPS = 10
EVERY_DAY_ALIKE = (1.0,) * 7


@dataclass(frozen=True)
class Settings:
    """One version of a learner's scheduler settings, each in its range or SettingsError.

    `easy_days` is the share of the usual load each weekday takes, Monday first: 1 normal,
    0.5 half, 0 none where another day is near enough. It works through the fuzz.
    """

    weights: Weights = DEFAULT_WEIGHTS
    desired_retention: float = 0.9
    learning_steps_s: tuple[int, ...] = (60, 600)
    relearning_steps_s: tuple[int, ...] = (600,)
    maximum_interval_days: int = INTERVAL_RANGE[1]
    fuzz: bool = True
    easy_days: tuple[float, ...] = EVERY_DAY_ALIKE
    leech_threshold: int = 8

    def __post_init__(self) -> None:
        if len(self.weights) != len(DEFAULT_WEIGHTS):
            raise SettingsError("weights", f"must be {len(DEFAULT_WEIGHTS)} numbers")
        if len(self.easy_days) != len(EVERY_DAY_ALIKE):
            raise SettingsError("easy_days", "must be seven numbers, Monday first")
        for index, bounds in enumerate(WEIGHT_RANGES):
            _require_range(SettingsError, f"weights[{index}]", self.weights[index], bounds)
        for index, share in enumerate(self.easy_days):
            _require_range(SettingsError, f"easy_days[{index}]", share, (0, 1))
        for field in ("learning_steps_s", "relearning_steps_s"):
            steps: tuple[int, ...] = getattr(self, field)
            if len(steps) > MAX_STEPS:
                raise SettingsError(field, f"has at most {MAX_STEPS} steps")
            for index, step_s in enumerate(steps):
                _require_range(SettingsError, f"{field}[{index}]", step_s, STEP_RANGE_S)
        for field, bounds in (
            ("desired_retention", RETENTION_RANGE),
            ("maximum_interval_days", INTERVAL_RANGE),
            ("leech_threshold", (0, 9_999)),
        ):
            _require_range(SettingsError, field, getattr(self, field), bounds)


@dataclass(frozen=True)
class Memory:
    """The whole scheduling state of one card.

    `stability` is in days (recall falls to 90 % after that many), `difficulty` 1-10; a new card
    has neither. `step` counts from 0 and exists while learning or relearning. `introduced_at`
    is the first review counted. Instants are kept in UTC. Raises MemoryStateError, InstantError.
    """

    due_at: datetime
    state: State = State.NEW
    step: int | None = None
    stability: float | None = None
    difficulty: float | None = None
    last_review_at: datetime | None = None
    introduced_at: datetime | None = None
    reps: int = 0
    lapses: int = 0

    @classmethod
    def new(cls, created_at: datetime) -> Memory:
        """A card never reviewed, waiting since `created_at`."""
        return cls(due_at=created_at)

    def __post_init__(self) -> None:
        for field in ("due_at", "last_review_at", "introduced_at"):
            if getattr(self, field) is not None:
                object.__setattr__(self, field, _utc(field, getattr(self, field)))
        for field in ("stability", "difficulty", "last_review_at"):
            if (getattr(self, field) is None) != (self.state is State.NEW):
                raise MemoryStateError(field, "belongs to every card but a new one")
        if (self.step is None) == (self.state in (State.LEARNING, State.RELEARNING)):
            raise MemoryStateError("step", "belongs to a learning or relearning card")
        for counter in ("step", "reps", "lapses"):
            if (getattr(self, counter) or 0) < 0:
                raise MemoryStateError(counter, "counts from 0")
        if self.stability is not None and self.difficulty is not None:
            _require_range(MemoryStateError, "stability", self.stability, STABILITY_RANGE)
            _require_range(MemoryStateError, "difficulty", self.difficulty, DIFFICULTY_RANGE)

    @property
    def interval_days(self) -> int:
        """Whole days from the last review to the due instant; 0 for a new card or a short step."""
        return interval_days(self.due_at, self.last_review_at)


def interval_days(due_at: datetime, last_review_at: datetime | None) -> int:
    """See Memory."""
    return max(0, (due_at - (last_review_at or due_at)).days)


@dataclass(frozen=True, kw_only=True)
class _LogEntry:
    """What every entry of a card's log has: its unique client-made id and its instant."""

    id: str
    at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", _utc("at", self.at))

    @property
    def order(self) -> tuple[datetime, str]:
        """The place in the log: entries apply in this order, however they arrive."""
        return self.at, self.id


@dataclass(frozen=True, kw_only=True)
class Review(_LogEntry):
    """The learner answered. `studied_on` is the day on the learner's own calendar, frozen here
    so that a later change of zone moves nothing; by default the UTC day. `desired_retention` is
    that of the card's deck where it has its own, in place of the settings'."""

    kind: ClassVar = "review"
    rating: Rating
    settings_version: int
    studied_on: date | None = None
    desired_retention: float | None = None


@dataclass(frozen=True, kw_only=True)
class Reset(_LogEntry):
    """Forget everything: the card is new again from this instant, its counters at 0."""

    kind: ClassVar = "reset"


@dataclass(frozen=True, kw_only=True)
class Reschedule(_LogEntry):
    """Show the card at `due_at` instead; what is remembered stays as it was."""

    kind: ClassVar = "reschedule"
    due_at: datetime

    def __post_init__(self) -> None:
        _LogEntry.__post_init__(self)
        object.__setattr__(self, "due_at", _utc("due_at", self.due_at))


@dataclass(frozen=True, kw_only=True)
class Baseline(_LogEntry):
    """The state another program left the card in; it replaces all that came before."""

    kind: ClassVar = "baseline"
    memory: Memory

    def __post_init__(self) -> None:
        _LogEntry.__post_init__(self)
        if self.memory.last_review_at is not None and self.memory.last_review_at > self.at:
            raise InstantError("at", "is before the last review of the imported state")


@dataclass(frozen=True, kw_only=True)
class Void(_LogEntry):
    """Undo the entry `target_id`, be it earlier, later, not yet arrived, or itself a void."""

    kind: ClassVar = "void"
    target_id: str


Change = Review | Reset | Reschedule | Baseline
Entry = Change | Void


def fold(
    entries: Iterable[Entry],
    *,
    created_at: datetime,
    settings: Mapping[int, Settings],
    seed: str,
) -> Memory:
    """The state of a card after its whole log, in whatever order and how often it arrived.

    `settings` holds each version a review names (KeyError without); `seed` is the card's id.
    An id stands for one entry: of unequal entries with one id the earliest counts.
    """
    steps = list(replay(entries, created_at=created_at, settings=settings, seed=seed))
    return steps[-1][2] if steps else Memory.new(created_at)


def replay(
    entries: Iterable[Entry],
    *,
    created_at: datetime,
    settings: Mapping[int, Settings],
    seed: str,
) -> Iterator[tuple[Change, Memory, Memory]]:
    """The steps of the fold: each standing change with the state before and after it."""
    memory = Memory.new(created_at)
    for change in standing_changes(entries):
        before, memory = memory, apply(memory, change, settings=settings, seed=seed)
        yield change, before, memory


def apply(memory: Memory, change: Change, *, settings: Mapping[int, Settings], seed: str) -> Memory:
    """One step of the fold, for a change that follows all others of its card."""
    match change:
        case Review():
            return review(
                memory,
                rating=change.rating,
                at=change.at,
                settings=_in_force(change, settings),
                seed=seed,
                studied_on=change.studied_on,
            )
        case Reset():
            return Memory.new(change.at)
        case Reschedule():
            return replace(memory, due_at=change.due_at)
        case Baseline():
            return change.memory


def _in_force(change: Review, settings: Mapping[int, Settings]) -> Settings:
    chosen = settings[change.settings_version]
    if change.desired_retention is None:
        return chosen
    return replace(chosen, desired_retention=change.desired_retention)


def review(
    memory: Memory,
    *,
    rating: Rating,
    at: datetime,
    settings: Settings,
    seed: str,
    studied_on: date | None = None,
) -> Memory:
    """The state after one answer at `at`, which must not be before the last (InstantError).

    `seed` (the card's id) and the count of reviews choose the fuzz, so that a preview shows the
    very interval the review then gives. `studied_on` as in `Review`.
    """
    at = _utc("at", at)
    if memory.last_review_at is not None and at < memory.last_review_at:
        raise InstantError("at", "is before the card's last review")
    stability, difficulty = _remember(memory, rating, at, settings.weights)
    step = _next_step(memory, rating, settings)
    if step is not None:
        learning = memory.state in (State.NEW, State.LEARNING)
        state = State.LEARNING if learning else State.RELEARNING
        wait = timedelta(seconds=_step_delay_s(step, rating, _steps_s(state, settings)))
    else:
        state = State.REVIEW
        days = _interval_days(stability, settings)
        if settings.fuzz:
            days = _fuzzed(days, settings, studied_on or at.date(), _draw(seed, memory.reps))
        wait = timedelta(days=days)
    return Memory(
        due_at=at + wait,
        state=state,
        step=step,
        stability=stability,
        difficulty=difficulty,
        last_review_at=at,
        introduced_at=memory.introduced_at or at,
        reps=memory.reps + 1,
        lapses=memory.lapses + (memory.state is State.REVIEW and rating is Rating.AGAIN),
    )


def preview(
    memory: Memory,
    *,
    at: datetime,
    settings: Settings,
    seed: str,
    studied_on: date | None = None,
) -> dict[Rating, Memory]:
    """What each of the four answers would lead to, in order.

    A clock behind the card's last review counts as that review's instant.
    """
    at = max(_utc("at", at), memory.last_review_at or _utc("at", at))
    return {
        rating: review(
            memory, rating=rating, at=at, settings=settings, seed=seed, studied_on=studied_on
        )
        for rating in Rating
    }


def retrievability(memory: Memory, at: datetime, weights: Weights) -> float:
    """How likely the card is remembered at `at`, 0-1; 0 for a new card."""
    at = _utc("at", at)
    if memory.last_review_at is None or memory.stability is None:
        return 0.0
    return recall(memory.stability, max(0, (at - memory.last_review_at).days), weights)


def leech_level(lapses: int, threshold: int) -> int:
    """How often lapses have called for action: at the threshold, then at every half of it.

    A threshold of 0 never does.
    """
    if not 0 < threshold <= lapses:
        return 0
    return 1 + (lapses - threshold) // math.ceil(threshold / 2)


def standing_changes(entries: Iterable[Entry]) -> list[Change]:
    """The changes that no standing void undoes, one per id, in order."""
    log: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.order):
        log.setdefault(entry.id, entry)
    voids: dict[str, list[str]] = {}
    for entry in log.values():
        if isinstance(entry, Void):
            voids.setdefault(entry.target_id, []).append(entry.id)
    # From each change outwards to its voids, their voids, and so on; then judged from the far
    # end. Voids that name each other in a circle are never reached, and undo nothing.
    outwards = [entry.id for entry in log.values() if not isinstance(entry, Void)]
    for id_ in outwards:
        outwards.extend(voids.get(id_, ()))
    undone: set[str] = set()
    for id_ in reversed(outwards):
        entry = log[id_]
        if isinstance(entry, Void) and id_ not in undone:
            undone.add(entry.target_id)
    return [e for e in log.values() if not isinstance(e, Void) and e.id not in undone]


def _remember(
    memory: Memory, rating: Rating, at: datetime, weights: Weights
) -> tuple[float, float]:
    """Stability and difficulty after an answer."""
    if memory.stability is None or memory.difficulty is None or memory.last_review_at is None:
        return first_memory(rating, weights)
    return next_memory(
        memory.stability,
        memory.difficulty,
        grade=rating,
        elapsed_days=(at - memory.last_review_at).days,
        w=weights,
    )


def _interval_days(stability: float, settings: Settings) -> int:
    """Whole days until recall falls to the desired retention."""
    days = round(days_until(settings.desired_retention, stability, settings.weights))
    return min(max(days, 1), settings.maximum_interval_days)


def _steps_s(state: State, settings: Settings) -> tuple[int, ...]:
    learning = state in (State.NEW, State.LEARNING)
    return settings.learning_steps_s if learning else settings.relearning_steps_s


def _next_step(memory: Memory, rating: Rating, settings: Settings) -> int | None:
    """The step an answer leads to, or None when the next interval is counted in days."""
    if rating is Rating.EASY or (memory.state is State.REVIEW and rating is not Rating.AGAIN):
        return None
    step = 0 if rating is Rating.AGAIN else (memory.step or 0) + (rating is Rating.GOOD)
    return step if step < len(_steps_s(memory.state, settings)) else None


def _step_delay_s(step: int, rating: Rating, steps_s: tuple[int, ...]) -> float:
    """Hard on the first step waits longer than Again and less than Good."""
    if rating is Rating.HARD and step == 0:
        return steps_s[0] * 1.5 if len(steps_s) == 1 else (steps_s[0] + steps_s[1]) / 2
    return steps_s[step]


def _fuzzed(days: int, settings: Settings, studied_on: date, draw: float) -> int:
    """An interval near `days`: each day of the window as likely as its weekday's share.

    For one draw a longer interval never comes out shorter, so Hard ≤ Good ≤ Easy holds.
    """
    window = fuzz_window(days, settings.maximum_interval_days)
    shares = [settings.easy_days[(studied_on.weekday() + day) % 7] for day in window]
    heaped = list(accumulate(shares if any(shares) else [1.0] * len(window)))
    return window[bisect(heaped, draw * heaped[-1], 0, len(window) - 1)]


def fuzz_window(days: int, maximum_days: int) -> range:
    """The intervals fuzz may choose for `days`; the shortest ones stay as they are."""
    if days < 2.5:
        return range(days, days + 1)
    bands = ((2.5, 7.0, 0.15), (7.0, 20.0, 0.1), (20.0, math.inf, 0.05))
    spread = 1 + sum(part * max(0.0, min(days, end) - start) for start, end, part in bands)
    last = min(round(days + spread), maximum_days)
    return range(min(max(2, round(days - spread)), last), last + 1)


def _draw(seed: str, reps: int) -> float:
    """A number in [0, 1), the same on every machine for the same card and count of reviews."""
    digest = hashlib.sha256(f"{seed}:{reps}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def _require_range(
    error: type[SchedulingError], field: str, value: float, bounds: tuple[float, float]
) -> None:
    if not bounds[0] <= value <= bounds[1]:  # so written, NaN fails too
        raise error(field, f"must be {bounds[0]:g} to {bounds[1]:g}")


def _utc(field: str, instant: datetime) -> datetime:
    """The instant in UTC: in any other zone, adding days would follow the clock on the wall."""
    if instant.utcoffset() is None:
        raise InstantError(field, "has no time zone")
    return instant.astimezone(UTC)
