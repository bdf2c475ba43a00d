"""Study entries come in: reviews, and what else changes when a card is due.

The log is the truth. An entry, the card it moves and the day's counters are written in one
transaction, so that no review is lost or counted twice whatever is sent again, late, or at once
from several devices: the card is always the fold of its log in order of (instant, id).
"""

import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Literal, Self

from config.problems import IdTaken, NotFound, Problem, ServiceUnavailable, ValidationFailed
from config.table import ConditionFailed, Item, Put, Write, fetch, transact
from learning.days import Streak, counters, streak_until
from learning.models.cards import Card
from learning.models.log import Day, LogEntry
from learning.models.scheduler import Scheduler
from learning.scheduling import (
    Change,
    Entry,
    Memory,
    Rating,
    Reschedule,
    Reset,
    Review,
    Settings,
    Void,
    apply,
    replay,
)
from learning.services.settings import Study

CLOCK_SKEW = timedelta(minutes=5)
CHUNK = 30  # entries to a transaction, which has room for their cards and days as well
TRANSACTION_LIMIT = 100  # AWS: TransactWriteItems
TRIES = 12

DayCounts = dict[date, Counter[str]]


class ReviewInFuture(ValidationFailed):
    title = "A review's instant is more than five minutes ahead"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """An entry as a client sends it, with its own id (ULID or UUID) and instant.

    `review` has a rating and a duration, `reschedule` a due instant, `void` the id it undoes.
    """

    id: str
    card_id: str
    at: datetime
    kind: Literal["review", "reset", "reschedule", "void"] = "review"
    rating: Rating | None = None
    duration_ms: int = 0
    due_at: datetime | None = None
    target_id: str | None = None

    def entry(self, study: Study, card: Card) -> Entry:
        """The entry under the settings now in force."""
        match self.kind:
            case "reset":
                return Reset(id=self.id, at=self.at)
            case "reschedule":
                return Reschedule(id=self.id, at=self.at, due_at=self.due_at or self.at)
            case "void":
                return Void(id=self.id, at=self.at, target_id=self.target_id or "")
            case _:
                return Review(
                    id=self.id,
                    at=self.at,
                    rating=self.rating or Rating.AGAIN,
                    settings_version=int(study.scheduler.number),
                    desired_retention=study.deck_option(card.deck_id, "desired_retention"),
                    studied_on=study.calendar.day(self.at),
                )

    def is_that_of(self, stored: Item) -> bool:
        """Whether a log row was made from this very submission."""
        return isinstance(stored, LogEntry) and (
            self.card_id, self.at, self.kind, self.rating, self.due_at, self.target_id
        ) == (
            stored.card_id, stored.at, stored.entry, stored.rating, stored.due_at, stored.target_id
        )  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of a submission: `applied`, `duplicate`, or `rejected` with a problem."""

    status: Literal["applied", "duplicate", "rejected"]
    card: Card | None = None
    entry: LogEntry | None = None
    problem: Problem | None = None


def submit(*, learner_id: str, submissions: Sequence[Submission], now: datetime) -> list[Outcome]:
    """Takes entries in, each once, and answers for each in the order given.

    One read and one write round trip for every 30; a card whose log is not simply continued adds
    a query of it. Raises ServiceUnavailable when the store stays busy: what was written by then
    stays, and sending all again is safe.
    """
    outcomes: list[Outcome] = []
    for start in range(0, len(submissions), CHUNK):
        outcomes += _submit(learner_id, submissions[start : start + CHUNK], now)
    return outcomes


def submit_one(*, learner_id: str, submission: Submission, now: datetime) -> Outcome:
    """Takes one entry in. Raises NotFound, IdTaken, ReviewInFuture, ServiceUnavailable."""
    (outcome,) = submit(learner_id=learner_id, submissions=[submission], now=now)
    if outcome.problem:
        raise outcome.problem
    return outcome


def _submit(learner_id: str, submissions: Sequence[Submission], now: datetime) -> list[Outcome]:
    for attempt in range(TRIES):
        if attempt:  # another device was first: read what it wrote, then try again
            time.sleep(random.uniform(0, 0.02 * 2 ** min(attempt, 5)))  # noqa: S311
        intake = _Intake.load(learner_id, submissions, now)
        outcomes = [intake.take(submission) for submission in submissions]
        writes = intake.writes()
        if len(writes) > TRANSACTION_LIMIT and len(submissions) > 1:
            middle = len(submissions) // 2
            parts = submissions[:middle], submissions[middle:]
            return [outcome for part in parts for outcome in _submit(learner_id, part, now)]
        try:
            for first in range(0, len(writes), TRANSACTION_LIMIT):
                # Only a late entry that shifts the counters of a hundred days comes here twice.
                transact(*writes[first : first + TRANSACTION_LIMIT])
        except ConditionFailed:
            continue
        return outcomes
    raise ServiceUnavailable("Many devices study at once: send the reviews again")


@dataclass
class _Intake:
    """What the submissions touch, read at once, and the writes that follow from it."""

    learner_id: str
    now: datetime
    study: Study
    stored: Mapping[tuple[str, str], Item]
    taken: dict[str, LogEntry] = field(default_factory=dict)

    @classmethod
    def load(cls, learner_id: str, submissions: Iterable[Submission], now: datetime) -> Self:
        """One consistent round trip."""
        keys = Study.keys(learner_id)
        for each in submissions:
            keys += [Card.key(learner_id, each.card_id), LogEntry.key(learner_id, each.id)]
        stored = fetch(*keys)
        return cls(learner_id, now, Study.of(learner_id, stored), stored)

    def take(self, submission: Submission) -> Outcome:
        """Accepts, recognises or rejects one submission; nothing is written yet."""
        card = self.stored.get(Card.key(self.learner_id, submission.card_id))
        if not isinstance(card, Card):
            return Outcome("rejected", problem=NotFound("You have no such flashcard"))
        known = self.taken.get(submission.id) or self.stored.get(
            LogEntry.key(self.learner_id, submission.id)
        )
        if known is not None and submission.is_that_of(known):
            assert isinstance(known, LogEntry)  # noqa: S101  (is_that_of says so)
            return Outcome("duplicate", card, known)
        if known is not None:
            return Outcome("rejected", problem=IdTaken("Another entry has this id"))
        if submission.at > self.now + CLOCK_SKEW:
            problem = ReviewInFuture.of(
                "reviewedAt", "in_future", "This instant is more than five minutes ahead."
            )
            return Outcome("rejected", problem=problem)
        row = LogEntry.from_entry(
            self.learner_id,
            card.id,
            card.deck_id,
            submission.entry(self.study, card),
            studied_on=self.study.calendar.day(submission.at),
            duration_ms=submission.duration_ms or None,
        )
        self.taken[row.id] = row
        return Outcome("applied", card, row)

    def writes(self) -> list[Write]:
        """The writes of all that was taken; the cards take their new states over."""
        by_card: dict[str, list[LogEntry]] = {}
        for row in sorted(self.taken.values(), key=LogEntry.order):
            by_card.setdefault(row.card_id, []).append(row)
        days: DayCounts = {}
        writes: list[Write] = [
            Put(row, LogEntry.pk.does_not_exist()) for row in self.taken.values()
        ]
        for card_id, rows in by_card.items():
            card = self.stored[Card.key(self.learner_id, card_id)]
            assert isinstance(card, Card)  # noqa: S101  (take() rejects all else)
            _add(days, self._move(card, rows))
            writes.append(Put(card))
        if self._advance(days):
            writes.append(Put(self.study.progress))
        return writes + [Day.addition(self.learner_id, on, counts) for on, counts in days.items()]

    def _move(self, card: Card, rows: Sequence[LogEntry]) -> DayCounts:
        """Brings a card to what its log with the new rows folds to; answers what days gain."""
        if rows[0].order() > card.last_entry and not any(row.entry == "void" for row in rows):
            steps = _continued(card, rows, {self._version: self.study.scheduler.settings()})
            gained = _counted(steps, rows)
            memory = steps[-1].after
        else:
            log = LogEntry.of_card(self.learner_id, card.id)
            settings = self._settings_of([*log, *rows])
            steps = _folded(card, [*log, *rows], settings)
            gained = _counted(steps, [*log, *rows])
            _add(gained, _counted(_folded(card, log, settings), log), times=-1)
            memory = steps[-1].after if steps else Memory.new(card.created_at)
        card.remember(memory)
        card.last_entry = max(card.last_entry, rows[-1].order())
        card.updated_at = self.now
        return gained

    @property
    def _version(self) -> int:
        return int(self.study.scheduler.number)

    def _settings_of(self, rows: Iterable[LogEntry]) -> dict[int, Settings]:
        """Every version of the settings that rows name: those of the past are one more read."""
        numbers = {int(row.settings_version) for row in rows if row.settings_version is not None}
        past = numbers - {self._version, 0}
        stored = fetch(*(Scheduler.key(self.learner_id, n) for n in past)) if past else {}
        found = {int(s.number): s.settings() for s in stored.values() if isinstance(s, Scheduler)}
        return {0: Settings(), self._version: self.study.scheduler.settings(), **found}

    def _advance(self, days: DayCounts) -> bool:
        """Brings the learner's progress up to date; answers whether it has changed."""
        progress, streak = self.study.progress, self.study.streak
        learned = sum(counts["introduced"] for counts in days.values())
        for on in sorted(on for on, counts in days.items() if counts["reviews"]):
            if days[on]["reviews"] < 0 or (streak.until and on < streak.until):
                if days[on]["reviews"] < 0 or not streak.covers(on):
                    streak = self._recounted(days)
                    break
            elif on != streak.until:
                streak = streak.extended(on)
        changed = bool(learned) or streak != self.study.streak
        progress.cards_learned += learned
        self.study.keep_streak(streak)
        return changed

    def _recounted(self, days: DayCounts) -> Streak:
        """The streak by the days themselves: for reviews of the past and undone ones."""
        studied = {on for on, counts in days.items() if counts["reviews"] > 0}
        for day in Day.all_of(self.learner_id):
            gained = days.get(day.on, Counter())["reviews"]
            if day.counted("reviews") + gained > 0:
                studied.add(day.on)
        return streak_until(max(studied), studied) if studied else Streak()


@dataclass(frozen=True)
class _Step:
    """One change of a card, with its state before and after."""

    change: Change
    before: Memory
    after: Memory


def _continued(
    card: Card, rows: Iterable[LogEntry], settings: Mapping[int, Settings]
) -> list[_Step]:
    """The steps from the card's present state, for rows that follow all others."""
    steps, memory = [], card.memory
    for row in rows:
        change = row.to_entry()
        assert not isinstance(change, Void)  # noqa: S101  (_move folds those)
        after = apply(memory, change, settings=settings, seed=card.id)
        steps.append(_Step(change, memory, after))
        memory = after
    return steps


def _folded(card: Card, rows: Iterable[LogEntry], settings: Mapping[int, Settings]) -> list[_Step]:
    """The steps of a whole log."""
    entries = [row.to_entry() for row in rows]
    steps = replay(entries, created_at=card.created_at, settings=settings, seed=card.id)
    return [_Step(*step) for step in steps]


def _counted(steps: Iterable[_Step], rows: Iterable[LogEntry]) -> DayCounts:
    """What steps add to the days of their rows."""
    by_id = {row.id: row for row in rows}
    days: DayCounts = {}
    for step in steps:
        row = by_id[step.change.id]
        counts = counters(
            step.change, step.before, deck_id=row.deck_id, duration_ms=int(row.duration_ms or 0)
        )
        _add(days, {row.day: counts})
    return days


def _add(days: DayCounts, more: Mapping[date, Counter[str]], times: int = 1) -> None:
    """Adds (or takes away) counters, leaving out what comes to nothing."""
    for on, counts in more.items():
        sums = days.pop(on, Counter())
        sums.update({name: times * count for name, count in counts.items()})
        if sums := Counter({name: count for name, count in sums.items() if count}):
            days[on] = sums
