"""What the learner's days, streak and totals gain when cards change.

All of it is the head's, under whose number everything is written, so that it is exact; only days
before the newest have items of their own. The streak follows from which days have a review.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from accounts.models import Head
from config.records import dataclass
from config.store.transactions import Write
from learning.days import Streak, streak_until
from learning.models.cards import Card
from learning.models.log import Day, TornRead

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


@dataclass
class _StudiedDays:
    """Which days have reviews before and after a change, and the streak that follows."""

    head: Head
    gained: Mapping[date, int]

    def __post_init__(self) -> None:
        until = self.head.studied_on
        self.streak = Streak()
        if until:
            self.streak = Streak(int(self.head.streak_days), date.fromisoformat(until))
        self.count = int(self.head.days_studied)
        self.before: dict[date, bool] = {}
        self.emptied: dict[date, int] = {}
        if not self._extends_streak():
            self._recount()

    def _extends_streak(self) -> bool:
        """Takes the change in without reading, where it only continues the streak."""
        streak, count = self.streak, self.count
        for on in sorted(self.gained):
            if self.gained[on] < 0:
                return False
            self.before[on] = streak.covers(on)
            if not self.before[on]:
                if streak.until and on < streak.until:
                    return False
                streak, count = streak.extended(on), count + 1
        self.streak, self.count = streak, count
        return True

    def _recount(self) -> None:
        """By the days themselves, for reviews of the past and undone ones: one query.

        Raises TornRead where these are other days than the head knows of.
        """
        stored = {
            day.on: day.count_of("reviews") for day in Day.all_of(self.head.learner_id, self.head)
        }
        if sum(reviews > 0 for reviews in stored.values()) != self.head.days_studied:
            raise TornRead
        self.before = {on: stored.get(on, 0) > 0 for on in self.gained}
        after = {on: stored.get(on, 0) + self.gained.get(on, 0) for on in {*stored, *self.gained}}
        studied = {on for on, reviews in after.items() if reviews > 0}
        self.streak = streak_until(max(studied), studied) if studied else Streak()
        self.count = len(studied)
        self.emptied = {on: stored.get(on, 0) for on in self.gained if on not in studied}

    def condition(self, on: date) -> Condition | None:
        """What must hold of a past day's reviews for this change to be right."""
        if on in self.emptied:
            return reviews_counted == self.emptied[on]
        if self.before.get(on):
            return reviews_counted > max(0, -self.gained[on])
        return None


def count_study(head: Head, days: DayCounts, totals: Mapping[str, int]) -> list[Write]:
    """Brings the head's days, streak and totals up to date; answers the writes of past days.

    Raises TornRead.
    """
    gained = {on: counts["reviews"] for on, counts in days.items() if counts["reviews"]}
    studied = _StudiedDays(head, gained)
    head.add(totals)
    head.cards_learned += sum(counts["introduced"] for counts in days.values())
    head.streak_days, head.days_studied = studied.streak.days, studied.count
    head.studied_on = studied.streak.until.isoformat() if studied.streak.until else ""
    writes: list[Write] = []
    for on in sorted(days):
        if on.isoformat() < head.day:
            condition = studied.condition(on) if on in gained else None
            writes.append(Day.add_write(head.learner_id, on, days[on], condition))
        else:
            writes += _count_newest(head, on, days[on])
    return writes


def _count_newest(head: Head, on: date, counts: Mapping[str, int]) -> list[Write]:
    """Counts an entry of the head's day, or of a later one, which then is the head's."""
    past: list[Write] = []
    if on.isoformat() > head.day:
        before = Day.of_head(head)
        if before is not None and before.raw:
            past.append(before.as_past())
        head.day, head.counts = on.isoformat(), {}
    sums = Counter(head.counts)
    sums.update(counts)
    head.counts = {name: count for name, count in sums.items() if count}
    return past
