"""The learner's own days: which there may be, what was studied in one, how many follow one another.

Pure rules: instants, zones and counts come in, nothing is read.
"""

from collections import Counter
from collections.abc import Container
from datetime import UTC, date, datetime, timedelta

from accounts.study_day import StudyCalendar
from config.records import dataclass
from learning.fsrs import Weights
from learning.scheduling import Change, Memory, Rating, Review, State, retrievability

ONE_DAY = timedelta(days=1)
CLOCK_CHANGE = timedelta(hours=2)  # as much as clocks are ever changed
MATURE_DAYS = 21  # Anki: a card is mature from an interval of three weeks on


def candidate_days(at: datetime) -> list[date]:
    """Every day that some learner's calendar may call `at`: zones span UTC-12 to +14 hours."""
    today = at.astimezone(UTC).date()
    return [today + timedelta(days=n) for n in (-2, -1, 0, 1)]


def due_on(memory: Memory, calendar: StudyCalendar) -> date:
    """The learner's day on which a card is due.

    A review that waits for whole days is due so many days of the learner's after the last one.
    Counted in hours it would come up a day early or late where the clocks change in between: the
    due instant is the same for all devices, the day is the learner's own.
    """
    last = memory.last_review_at
    if memory.state is State.REVIEW and last is not None:
        days, rest = divmod(memory.due_at - last, ONE_DAY)
        if not rest:
            return calendar.day(last) + days * ONE_DAY
    return calendar.day(memory.due_at)


def day_counts(
    change: Change, before: Memory, *, deck_id: str, duration_ms: int, weights: Weights
) -> Counter[str]:
    """What a change adds to the counters of its day, given the card's state before it.

    `expected_permille` is how likely the card was remembered, 0-1000, by the weights then in force.
    """
    counts: Counter[str] = Counter()
    if not isinstance(change, Review):
        return counts
    counts.update({"reviews": 1, change.rating.wire: 1, "duration_ms": duration_ms})
    if before.state is State.NEW:
        counts.update({"introduced": 1, f"introduced:{deck_id}": 1})
    if before.state is State.REVIEW:
        counts.update({"reviewed": 1, f"reviewed:{deck_id}": 1})
        counts["expected_permille"] = round(1000 * retrievability(before, change.at, weights))
        lapsed = change.rating is Rating.AGAIN
        counts["lapsed"] += lapsed
        if before.interval_days >= MATURE_DAYS:
            counts.update({"mature_reviewed": 1, "mature_lapsed": lapsed})
    return counts


@dataclass(frozen=True)
class Streak:
    """`days` in a row with a review, the last of them `until`."""

    days: int = 0
    until: date | None = None

    def covers(self, on: date) -> bool:
        """Whether a day is already one of the streak's."""
        return self.until is not None and self.until - self.days * ONE_DAY < on <= self.until

    def extended(self, on: date) -> "Streak":
        """The streak after a review on a day that is later than all others."""
        follows = self.until is not None and on == self.until + ONE_DAY
        return Streak(self.days + 1 if follows else 1, on)

    def standing(self, today: date) -> int:
        """What there is to show on a day: a streak lives until a whole day has passed."""
        return self.days if self.until is not None and self.until >= today - ONE_DAY else 0


def streak_until(until: date, studied: Container[date]) -> Streak:
    """The streak that ends on a studied day."""
    days = 0
    while until - days * ONE_DAY in studied:
        days += 1
    return Streak(days, until)
