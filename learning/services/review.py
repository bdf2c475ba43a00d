"""Takes in study entries: reviews, and all else that changes when a card is due.

The log is the truth. An entry, the card it moves and the day's counters are written in one
transaction, so that no review is lost or counted twice whatever is sent again, late, or at once
from several devices: the card is always the fold of its log in order of (instant, id).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import date, datetime, timedelta
from typing import Literal, Self

from accounts.services.changes import commit
from config import telemetry
from config.problems import (
    Conflict,
    IdTaken,
    NotFound,
    Problem,
    ServiceUnavailable,
    ValidationFailed,
)
from config.records import dataclass
from config.store.connection import retried
from config.store.items import ConditionFailed, Item, Page, Raw, batch_get
from config.store.transactions import LIMIT, Check, Put, Write
from learning.days import CLOCK_CHANGE, ONE_DAY, day_counts
from learning.models.cards import Card
from learning.models.log import LogEntry
from learning.models.scheduler import Scheduler
from learning.scheduling import (
    Baseline,
    Change,
    Entry,
    Memory,
    Rating,
    Reschedule,
    Reset,
    Review,
    Settings,
    State,
    Void,
    apply,
    leech_level,
    replay,
    standing_changes,
)
from learning.services.progress import DayCounts, add_days, count_study, totals_with
from learning.services.study_context import StudyContext

CLOCK_SKEW = timedelta(minutes=5)
LONGEST_DAY = ONE_DAY + CLOCK_CHANGE
CHUNK = 30  # entries to a transaction, which has room for their cards and days as well
OWED_ROUNDS = 40  # transactions to pay the counts that a card owes its days: some ten years of them
ROOM = LIMIT - 2  # writes of a transaction beside the head and its journal


class ReviewInFuture(ValidationFailed):
    title = "A review's instant is more than five minutes ahead"


class NothingToUndo(Conflict):
    code, title = "NOTHING_TO_UNDO", "The card has nothing to undo"


Kind = Literal["review", "reset", "reschedule", "void"]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """An entry as a client sends it, with its own id (ULID or UUID) and instant (None: now).

    `review` has a rating and a duration, `reschedule` a due instant, `void` the id it undoes.
    """

    id: str
    card_id: str
    at: datetime | None = None
    kind: Kind = "review"
    rating: Rating | None = None
    duration_ms: int = 0
    due_at: datetime | None = None
    target_id: str | None = None

    def entry(self, study: StudyContext, card: Card, at: datetime, studied_on: date) -> Entry:
        """The entry under the settings in force at its instant, whenever it comes in."""
        scheduler = study.settings_at(at)
        match self.kind:
            case "reset":
                return Reset(id=self.id, at=at)
            case "reschedule":
                return Reschedule(id=self.id, at=at, due_at=self.due_at or at)
            case "void":
                return Void(id=self.id, at=at, target_id=self.target_id or "")
            case _:
                return Review(
                    id=self.id,
                    at=at,
                    rating=self.rating or Rating.AGAIN,
                    settings_version=int(scheduler.number),
                    desired_retention=study.scheduler.retention_at(card.deck_id, at),
                    studied_on=studied_on,
                )

    def is_same_as(self, stored: LogEntry) -> bool:
        """Whether a log row was made from this very submission."""
        return self.at in (None, stored.at) and (
            self.card_id, self.kind, self.rating, self.due_at, self.target_id
        ) == (
            stored.card_id, stored.entry, stored.rating, stored.due_at, stored.target_id
        )  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """The outcome of a submission: `applied`, `duplicate`, or `rejected` with a problem.

    A duplicate has no card when that was deleted meanwhile.
    """

    status: Literal["applied", "duplicate", "rejected"]
    card: Card | None = None
    entry: LogEntry | None = None
    problem: Problem | None = None


def submit(*, learner_id: str, submissions: Sequence[Submission], now: datetime) -> list[Outcome]:
    """Takes entries in, each once, and returns their outcomes in the order given.

    One read and one write round trip for every 30; a card whose log is not simply continued adds
    a query of it, a card of a note with several a query of those. Raises ServiceUnavailable when
    the store stays busy: what was written by then stays, and all may be sent again.
    """
    outcomes: list[Outcome] = []
    for start in range(0, len(submissions), CHUNK):
        outcomes += _submit(learner_id, submissions[start : start + CHUNK], now)
    if applied := sum(outcome.status == "applied" for outcome in outcomes):
        telemetry.emit("Reviews", applied)
    return outcomes


def submit_one(*, learner_id: str, submission: Submission, now: datetime) -> Outcome:
    """Takes one entry in. Raises NotFound, IdTaken, ReviewInFuture, ServiceUnavailable."""
    (outcome,) = submit(learner_id=learner_id, submissions=[submission], now=now)
    if outcome.problem:
        raise outcome.problem
    if outcome.card is None:
        raise NotFound
    return outcome


def undo(
    *, learner_id: str, card_id: str, void_id: str, target_id: str | None, now: datetime
) -> Outcome:
    """Undoes an entry of a card, by default the newest that stands. Each call undoes one more.

    A call with the same `void_id` undoes nothing more. An import is not undone.
    Raises NotFound, IdTaken, NothingToUndo, ServiceUnavailable.
    """
    card, log = _read_log(learner_id, card_id)
    void_row = next((row for row in log if row.id == void_id and row.entry == "void"), None)
    if void_row is not None:
        target_id = target_id or void_row.target_id
    else:
        standing: list[str] = []
        for change in standing_changes(row.to_entry() for row in log):
            standing = [] if isinstance(change, Baseline) else [*standing, change.id]
        if not log and card is None:
            raise NotFound
        if not standing or target_id not in (None, *standing):
            raise NothingToUndo
        target_id = target_id or standing[-1]
    void = Submission(id=void_id, card_id=card_id, kind="void", target_id=target_id)
    return submit_one(learner_id=learner_id, submission=void, now=now)


@retried(ConditionFailed)
def _read_log(learner_id: str, card_id: str) -> tuple[Card | None, list[LogEntry]]:
    """A card and the whole of its log."""
    card = Card.of(learner_id, card_id)
    return card, LogEntry.of_card(learner_id, card_id, at_least=card.entries if card else 0)


def refold(*, learner_id: str, card: Card, entries: float, now: datetime) -> None:
    """Gives a card that is made again under its former id the state that its log leads to.

    One query, and one read more where there is a log. `entries`: how many its tombstone knows of.
    Raises TornRead.
    """
    if log := LogEntry.of_card(learner_id, card.id, at_least=entries):
        _ReviewBatch.load(learner_id, [], now).refold(card, log)


def log_of_card(*, learner_id: str, card_id: str, limit: int, start: Raw | None) -> Page[LogEntry]:
    """One page of a card's log, newest first; the whole log is read."""
    _, log = _read_log(learner_id, card_id)
    before = start["order"]["S"] if start else None
    rows = [row for row in reversed(log) if before is None or row.sort_key() < before]
    page = rows[:limit]
    return Page(page, {"order": {"S": page[-1].sort_key()}} if len(rows) > limit else None)


def fold_log(
    *, card: Card, rows: Sequence[LogEntry], settings: Mapping[int, Settings]
) -> tuple[Memory, DayCounts]:
    """Folds a whole log. Returns the memory, and the counts that the days gain."""
    steps = _folded(card, rows, settings)
    memory = steps[-1].after if steps else Memory.new(card.created_at)
    return memory, _counted(steps, rows, settings)


def last_answer(rows: Sequence[LogEntry]) -> Review | None:
    """The last answer that decides whether a card is a leech; None if no answer does."""
    for change in reversed(standing_changes(row.to_entry() for row in rows)):
        if isinstance(change, Review | Baseline):
            return change if isinstance(change, Review) else None
    return None


def has_early_void(rows: Sequence[LogEntry]) -> bool:
    """Whether a log has a void that came in before its target."""
    ids = {row.id for row in rows}
    return any(row.entry == "void" and row.target_id not in ids for row in rows)


def append_entries(
    *, learner_id: str, card_id: str, rows: Sequence[LogEntry], now: datetime
) -> int:
    """Adds rows to a card's log, each once, and its counts to days. Returns how many were new.

    One read and one write for every 30. Does nothing for a card that is gone. Raises
    ServiceUnavailable.
    """
    starts = range(0, max(len(rows), 1), CHUNK)
    return sum(_append_entries(learner_id, card_id, rows[at : at + CHUNK], now) for at in starts)


def _append_entries(learner_id: str, card_id: str, rows: Sequence[LogEntry], now: datetime) -> int:
    added = 0
    for _ in range(OWED_ROUNDS):
        new, owing = _take_some_in(learner_id, card_id, rows, now)
        added += new
        if not owing:
            return added
    raise ServiceUnavailable


@retried(ConditionFailed)
def _take_some_in(
    learner_id: str, card_id: str, rows: Sequence[LogEntry], now: datetime
) -> tuple[int, bool]:
    """Adds some rows. Returns how many were new, and whether the card still owes days counts."""
    key = Card.key(learner_id, card_id)
    stored = batch_get(*StudyContext.keys(learner_id), key, *((row.pk, row.sk) for row in rows))
    card = stored.get(key)
    new = [row for row in rows if (row.pk, row.sk) not in stored]
    if not isinstance(card, Card) or not (new or card.uncounted_days):
        return 0, False
    study = StudyContext.of(learner_id, stored).require_whole()
    intake = _ReviewBatch(learner_id, now, study, stored)
    intake.added = {(card_id, row.id): row for row in new}
    intake.cards = {card.id: card}
    commit(intake.study.head, *intake.build_writes())
    return len(new), intake.has_uncounted_days


def _submit(learner_id: str, submissions: Sequence[Submission], now: datetime) -> list[Outcome]:
    first: list[Outcome] = []
    for _ in range(OWED_ROUNDS):
        outcomes, owing = _submit_once(learner_id, submissions, now)
        first = first or outcomes
        if not owing:
            pairs = zip(outcomes, first, strict=True)
            return _with_text(learner_id, [replace(new, status=old.status) for new, old in pairs])
    raise ServiceUnavailable("Many devices study at once: send the reviews again")


@retried(ConditionFailed)
def _submit_once(
    learner_id: str, submissions: Sequence[Submission], now: datetime
) -> tuple[list[Outcome], bool]:
    """Submits once. Returns the outcomes, and whether a card still owes counts to days."""
    intake = _ReviewBatch.load(learner_id, submissions, now)
    outcomes = [intake.add(submission) for submission in submissions]
    writes = intake.build_writes()
    if len(writes) > ROOM:
        middle = len(submissions) // 2
        parts = submissions[:middle], submissions[middle:]
        return [each for part in parts for each in _submit(learner_id, part, now)], False
    if writes:
        commit(intake.study.head, *writes)
    return outcomes, intake.has_uncounted_days


def _with_text(learner_id: str, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes with the texts of their cards, and without cards deleted meanwhile."""
    bare = [each.card for each in outcomes if each.card and each.card.note is None]
    if not bare:
        return list(outcomes)
    Card.join(learner_id, bare)
    gone = {card.id for card in bare if card.note is None}
    return [replace(o, card=None) if o.card and o.card.id in gone else o for o in outcomes]


@dataclass
class _ReviewBatch:
    """The items that the submissions touch, read at once, and the writes that follow."""

    learner_id: str
    now: datetime
    study: StudyContext
    stored: Mapping[tuple[str, str], Item]
    added: dict[tuple[str, str], LogEntry] = field(default_factory=dict)
    cards: dict[str, Card] = field(default_factory=dict)
    unchanged_siblings: list[Card] = field(default_factory=list)

    @classmethod
    def load(cls, learner_id: str, submissions: Iterable[Submission], now: datetime) -> Self:
        """One consistent round trip, and one for settings of the past. Raises ConditionFailed."""
        submissions = list(submissions)
        keys = StudyContext.keys(learner_id)
        for submission in submissions:
            keys += Card.keys(learner_id, submission.card_id)
            keys.append(LogEntry.key(learner_id, submission.card_id, submission.id))
        stored = batch_get(*keys)
        study = StudyContext.of(learner_id, stored).require_whole()
        earliest = min((sent.at for sent in submissions if sent.at), default=now)
        return cls(learner_id, now, study.reaching(earliest), stored)

    def add(self, submission: Submission) -> Outcome:
        """Accepts, recognises or rejects one submission; nothing is written yet."""
        card = Card.among(self.learner_id, submission.card_id, self.stored)
        key = LogEntry.key(self.learner_id, submission.card_id, submission.id)
        known = self.added.get((submission.card_id, submission.id)) or self.stored.get(key)
        if card is not None:
            self.cards[card.id] = card
        if isinstance(known, LogEntry) and submission.is_same_as(known):
            return Outcome("duplicate", card, known)
        if card is None:
            return Outcome("rejected", problem=NotFound("You have no such flashcard"))
        if known is not None:
            return Outcome("rejected", problem=IdTaken("Another entry has this id"))
        at = submission.at or self.now
        if at > self.now + CLOCK_SKEW:
            problem = ReviewInFuture.of(
                "reviewedAt", "in_future", "This instant is more than five minutes ahead."
            )
            return Outcome("rejected", problem=problem)
        studied_on = self.study.calendar_at(at).day(at)
        row = LogEntry.from_entry(
            self.learner_id,
            card.id,
            card.deck_id,
            submission.entry(self.study, card, at, studied_on),
            studied_on=studied_on,
            duration_ms=submission.duration_ms or None,
        )
        self.added[card.id, row.id] = row
        return Outcome("applied", card, row)

    def build_writes(self) -> list[Write]:
        """The writes of all accepted submissions; the cards take over their new states.

        They are more than a transaction takes only if several submissions can be parted. If a
        single late entry shifts more days than that, its card owes them, and pays with the next
        writes.
        """
        by_card: dict[str, list[LogEntry]] = {}
        for row in sorted(self.added.values(), key=LogEntry.sort_key):
            by_card.setdefault(row.card_id, []).append(row)
        days: DayCounts = {}
        changed: dict[str, Card] = {}
        for card in self.cards.values():
            if rows := by_card.get(card.id):
                add_days(days, self._move(card, rows))
                changed[card.id] = card
            if card.uncounted_days:
                add_days(days, _from_stored_days(card.uncounted_days))
                card.uncounted_days = None
                changed[card.id] = card
        changed |= self._siblings(changed)
        totals = totals_with(*changed.values())
        if not changed:
            return []
        room = ROOM - len(self.added) - len(changed) - len(self.unchanged_siblings)
        if len(self.cards) == 1 and len(days) > room:
            (card,) = self.cards.values()
            card.uncounted_days = _to_stored_days({on: days.pop(on) for on in sorted(days)[room:]})
        return [
            *(Put(row, LogEntry.pk.does_not_exist()) for row in self.added.values()),
            *map(Put, changed.values()),
            *(
                Check(card.pk, card.sk, Card.revision == card.revision)
                for card in self.unchanged_siblings
            ),
            *count_study(self.study.head, days, totals),
        ]

    def refold(self, card: Card, log: Sequence[LogEntry]) -> None:
        """Puts a card where its log leads; the days have counted all of the log already."""
        steps = _folded(card, log, _settings(self._versions_of(log)))
        card.set_memory(steps[-1].after if steps else Memory.new(card.created_at))
        card.last_entry, card.entries = log[-1].sort_key(), len(log)
        card.early_void = has_early_void(log) or None

    @property
    def has_uncounted_days(self) -> bool:
        """Whether some card still owes counts to days."""
        return any(card.uncounted_days for card in self.cards.values())

    def _move(self, card: Card, rows: Sequence[LogEntry]) -> DayCounts:
        """Moves a card on by the new rows of its log. Returns the counts that the days gain."""
        follows = rows[0].sort_key() > card.last_entry and not card.early_void
        if follows and not any(row.entry == "void" for row in rows):
            versions = self._versions_of(rows)
            settings = _settings(versions)
            steps = _continued(card, rows, settings)
            gained = _counted(steps, rows, settings)
        else:
            log = LogEntry.of_card(self.learner_id, card.id, at_least=card.entries)
            card.entries = max(card.entries, len(log))
            whole = [*log, *rows]
            versions = self._versions_of(whole)
            settings = _settings(versions)
            steps = _folded(card, whole, settings)
            gained = _counted(steps, whole, settings)
            add_days(gained, _counted(_folded(card, log, settings), log, settings), times=-1)
            card.early_void = has_early_void(whole) or None
        card.updated_at = self.now
        card.set_memory(steps[-1].after if steps else Memory.new(card.created_at))
        self._mark_leech(card, steps, versions)
        card.last_entry = max(card.last_entry, rows[-1].sort_key())
        card.entries += len(rows)
        return gained

    def _mark_leech(
        self, card: Card, steps: Sequence["_Step"], versions: Mapping[int, Scheduler]
    ) -> None:
        """Makes the card a leech, or no longer, by the settings of its last answer."""
        for step in reversed(steps):
            if isinstance(step.change, Review):
                scheduler = versions[step.change.settings_version]
            elif isinstance(step.change, Baseline):
                scheduler = self._study_at(step.change.at).settings_at(step.change.at)
            else:
                continue
            level = leech_level(int(card.lapses), int(scheduler.leech_threshold))
            card.mark_leech(level, suspend=scheduler.leech_action == "suspend")
            return
        if not card.lapses:
            card.mark_leech(0, suspend=False)

    def _study_at(self, at: datetime) -> StudyContext:
        """The learner's study context at an instant: one more read for settings of the past."""
        self.study = self.study.reaching(at)
        return self.study

    def _siblings(self, moved: Mapping[str, Card]) -> dict[str, Card]:
        """The other cards of the notes that were moved, where today's study hides or frees them.

        A note shows one of its cards a day: its new cards and reviews wait until the next day.
        Cards that stay as they are are checked in the write: another device may move them
        meanwhile.
        """
        scheduler = self.study.scheduler
        if not scheduler.bury_siblings and scheduler.in_force_at(self.now - LONGEST_DAY):
            return {}
        changed: dict[str, Card] = {}
        for note_id in {card.note_id for card in moved.values() if card.has_siblings}:
            cards = [moved.get(c.id, c) for c in Card.of_note(self.learner_id, note_id)]
            changed |= {c.id: c for c in cards if self._hide_or_free(c, cards)}
            self.unchanged_siblings += [
                c for c in cards if c.id not in moved and c.id not in changed
            ]
        return changed

    def _hide_or_free(self, card: Card, note: Sequence[Card]) -> bool:
        """Buries or unburies a card by today's study of its note. Returns whether it did."""
        studied = {
            sibling.id: day for sibling in note if (day := self._studied_today(sibling)) is not None
        }
        ends_at = max((day.ends_at for day in studied.values() if day.buries), default=None)
        waits = card.state in (State.NEW, State.REVIEW) and not card.suspended
        if ends_at and card.id not in studied and waits and card.due_at < ends_at:
            if card.buried_until is not None and card.buried_until >= ends_at:
                return False
            card.bury(ends_at, "sibling")
            return True
        if card.buried_by == "sibling" and card.buried_until and card.buried_until > self.now:
            card.unbury()
            return True
        return False

    def _studied_today(self, card: Card) -> "_StudyDay | None":
        """The day of a card's last answer, as it was then; None where that day is over."""
        at = card.last_review_at
        if at is None or at < self.now - LONGEST_DAY:
            return None
        study = self._study_at(at)
        calendar = study.calendar_at(at)
        ends_at = calendar.end(calendar.day(at))
        return (
            _StudyDay(ends_at, study.settings_at(at).bury_siblings) if ends_at > self.now else None
        )

    def _versions_of(self, rows: Iterable[LogEntry]) -> dict[int, Scheduler]:
        """Every version of the settings that rows name: one more read for those of the past."""
        numbers = {int(row.settings_version) for row in rows if row.settings_version is not None}
        known = {int(each.number): each for each in (*self.study.former, self.study.scheduler)}
        versions = {number: known[number] for number in numbers & known.keys()}
        if 0 in numbers - known.keys():
            versions[0] = Scheduler(*Scheduler.key(self.learner_id))
        keys = [Scheduler.key(self.learner_id, n) for n in sorted(numbers - versions.keys())]
        for start in range(0, len(keys), 100):
            for item in batch_get(*keys[start : start + 100]).values():
                assert isinstance(item, Scheduler)  # noqa: S101  (versions never go)
                versions[int(item.number)] = item
        return versions


@dataclass(frozen=True)
class _StudyDay:
    """A learner's day with an answer: when it ends, and whether it buries siblings."""

    ends_at: datetime
    buries: bool


def _settings(versions: Mapping[int, Scheduler]) -> dict[int, Settings]:
    return {number: version.settings() for number, version in versions.items()}


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


def _counted(
    steps: Iterable[_Step], rows: Iterable[LogEntry], settings: Mapping[int, Settings]
) -> DayCounts:
    """What steps add to the days of their rows."""
    by_id = {row.id: row for row in rows}
    days: DayCounts = {}
    for step in steps:
        if not isinstance(step.change, Review):
            continue
        row = by_id[step.change.id]
        counts = day_counts(
            step.change,
            step.before,
            deck_id=row.deck_id,
            duration_ms=int(row.duration_ms or 0),
            weights=settings[step.change.settings_version].weights,
        )
        add_days(days, {row.day: counts})
    return days


def _to_stored_days(days: DayCounts) -> dict[str, dict[str, int]]:
    return {on.isoformat(): dict(counts) for on, counts in days.items()}


def _from_stored_days(stored: Mapping[str, Mapping[str, int]]) -> DayCounts:
    return {date.fromisoformat(on): Counter(counts) for on, counts in stored.items()}
