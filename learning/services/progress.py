"""What the learner's days, streak and totals gain when cards change, as writes.

They go into the transaction that changes the cards, so that they are exact. All are blind
additions, but for the streak: it follows from which days have a review. Where a write turns on a
day having or not having one it says so in a condition, and whatever changes the set of studied
days raises the progress's `revision`, so that no two such changes overlook each other.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from accounts.models import Progress, learner_key
from config.store.items import Update, Write
from learning.days import Streak, streak_until
from learning.models.cards import Card
from learning.models.log import Day

DayCounts = dict[date, Counter[str]]
reviews_counted = Path(["reviews"])


def add_days(days: DayCounts, more: Mapping[date, Counter[str]], times: int = 1) -> None:
    """Adds (or takes away) counters, leaving out what comes to nothing."""
    for on, counts in more.items():
        sums = days.pop(on, Counter())
        sums.update({name: times * count for name, count in counts.items()})
        if sums := Counter({name: count for name, count in sums.items() if count}):
            days[on] = sums


def totals_with(*cards: Card) -> Counter[str]:
    """What the learner's totals gain by cards as they now are; the cards remember it."""
    totals: Counter[str] = Counter()
    for card in cards:
        totals.subtract(card.counted_in_totals.split())
        card.counted_in_totals = card.totals
        totals.update(card.counted_in_totals.split())
    return totals


def totals_without(*cards: Card) -> Counter[str]:
    """What the totals gain (all of it negative) when cards go."""
    totals: Counter[str] = Counter()
    for card in cards:
        totals.subtract(card.counted_in_totals.split())
    return totals


def totals_write(learner_id: str, totals: Mapping[str, int]) -> list[Write]:
    """The write that adds to the totals, if there is anything to add."""
    actions = [Path([name]).add(count) for name, count in sorted(totals.items()) if count]
    if not actions:
        return []
    progress = Progress(learner_key(learner_id), Progress.SK)
    return [Update(progress, [Progress.kind.set(Progress), *actions])]


@dataclass
class _StudiedDays:
    """Which days have reviews before and after a change, and the streak that follows."""

    progress: Progress
    learner_id: str
    gained: Mapping[date, int]

    def __post_init__(self) -> None:
        until = self.progress.studied_on
        self.streak = Streak()
        if until:
            self.streak = Streak(int(self.progress.streak_days), date.fromisoformat(until))
        self.changed = False
        self.before: dict[date, bool] = {}
        self.emptied: dict[date, int] = {}
        if not self._extends_streak():
            self._recount()

    def _extends_streak(self) -> bool:
        """Takes the change in without reading, where it only continues the streak."""
        streak = self.streak
        for on in sorted(self.gained):
            if self.gained[on] < 0:
                return False
            self.before[on] = streak.covers(on)
            if not self.before[on]:
                if streak.until and on < streak.until:
                    return False
                streak, self.changed = streak.extended(on), True
        self.streak = streak
        return True

    def _recount(self) -> None:
        """By the days themselves, for reviews of the past and undone ones: one query."""
        stored = {day.on: day.count_of("reviews") for day in Day.all_of(self.learner_id)}
        self.before = {on: stored.get(on, 0) > 0 for on in self.gained}
        after = {on: stored.get(on, 0) + self.gained.get(on, 0) for on in {*stored, *self.gained}}
        studied = {on for on, reviews in after.items() if reviews > 0}
        self.streak = streak_until(max(studied), studied) if studied else Streak()
        self.changed = any(self.before[on] != (on in studied) for on in self.gained)
        self.emptied = {on: stored.get(on, 0) for on in self.gained if on not in studied}

    def condition(self, on: date) -> Condition | None:
        """What must hold of a day's reviews for this change to be right."""
        if on in self.emptied:
            return reviews_counted == self.emptied[on]
        if self.before.get(on):
            return reviews_counted > max(0, -self.gained[on])
        return None


def progress_writes(
    learner_id: str, progress: Progress, days: DayCounts, totals: Mapping[str, int]
) -> list[Write]:
    """The writes that bring days, streak and totals up to date. `progress` has been read before."""
    gained = {on: counts["reviews"] for on, counts in days.items() if counts["reviews"]}
    studied = _StudiedDays(progress, learner_id, gained)
    sums = Counter(totals)
    sums["cards_learned"] += sum(counts["introduced"] for counts in days.values())
    writes: list[Write] = [
        Day.add_write(learner_id, on, counts, studied.condition(on) if on in gained else None)
        for on, counts in days.items()
    ]
    if not studied.changed:
        return [*totals_write(learner_id, sums), *writes]
    streak = studied.streak
    actions = [
        Progress.kind.set(Progress),
        Progress.streak_days.set(streak.days),
        Progress.studied_on.set(streak.until.isoformat() if streak.until else ""),
        Progress.revision.set(int(progress.revision or 0) + 1),
        *(Path([name]).add(count) for name, count in sorted(sums.items()) if count),
    ]
    seen = (
        Progress.revision.does_not_exist()
        if progress.revision is None
        else Progress.revision == progress.revision
    )
    return [Update(Progress(learner_key(learner_id), Progress.SK), actions, seen), *writes]
