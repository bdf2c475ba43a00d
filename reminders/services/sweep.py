"""The sweep: finds the reminders that are due, claims them and mails them.

A claim moves a reminder's place in the due index to the end of its lease, provided that the place
is still the one it saw. Of any number of sweepers one succeeds; if that one dies, the reminder
comes up again by itself.

Each mail is handed to SES once, in three steps. Its deliveries are recorded as `sending`, on
condition that none is settled, that our claims hold and that the day has room; SES is called;
the deliveries are recorded as `sent` and the reminders advanced. A process that dies before the
first step has done nothing. One that dies between the first and the last leaves a record of it: the
next sweeper sends again what would otherwise be missed, but never a digest, because another comes
tomorrow.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, islice
from threading import Event

from ulid import ULID

from config import telemetry
from config.aws import Throttled
from config.mail import MessageRejected, in_language_of
from config.problems import ServiceUnavailable
from config.store.items import ConditionFailed, Raw
from config.store.transactions import Write, transact
from reminders import emails, timing
from reminders.models import (
    DEAD,
    REPORT,
    RETRYING,
    SENDING,
    SHARDS,
    SKIPPED,
    STREAK,
    STUDY,
    Delivery,
    MailDay,
    Reminder,
)
from reminders.services.dead_letters import QUARANTINED, fail, quarantine
from reminders.services.recipient import (
    ClaimedReminder,
    OwedDue,
    Reading,
    Recipient,
    claimed_reminder_of,
    read_owners,
    remove_settled,
)

log = logging.getLogger("parley.reminders")

PAGE = 100
AT_ONCE = 25
"""Learners whose reminders one thread claims, and whose items it reads in one round trip."""
LEASE = timedelta(seconds=50)
"""How long a claim lasts. Ten seconds short of a minute: the next minute's sweep finds what a dead
sweeper had claimed."""
SENDING_TAKES = timedelta(seconds=25)
"""No mail is begun later than this before the end of its lease. SES has 6 s, and the transaction
that records its answer three tries of 6 s: once a lease is over, nobody is sending under it."""
PAUSE_S = 0.5, 1.5
"""SES limits mails by the second: a throttled mail is offered again after about one."""


@dataclass(frozen=True)
class TimeBudget:
    """A sweep's clock: nothing more begins after `within_s` seconds, or once SES is `full`.

    It counts from `begun_at` by the steady clock, so that setting the machine's clock changes
    nothing.
    """

    begun_at: datetime
    within_s: float
    full: Event = field(default_factory=Event)
    _started_s: float = field(default_factory=time.monotonic)

    @property
    def passed_s(self) -> float:
        return time.monotonic() - self._started_s

    @property
    def is_over(self) -> bool:
        return self.passed_s > self.within_s

    def now(self) -> datetime:
        return self.begun_at + timedelta(seconds=self.passed_s)


@dataclass
class SweepResult:
    """The outcome of a sweep: `counts` by the state of the deliveries.

    `unfinished` shards have more due reminders. `lag_s` is how long the oldest due reminder had
    waited, in the shards that could be read.
    """

    counts: Counter[str] = field(default_factory=Counter)
    unfinished: set[int] = field(default_factory=set)
    lag_s: float = 0.0
    is_overloaded: bool = False

    @property
    def is_incomplete(self) -> bool:
        """Whether something due was left because SES, the table or the time had no room for it."""
        waits = self.counts["late"] or self.counts["busy"]
        return bool(self.is_overloaded or self.unfinished or waits)

    def record_lag(self, seen: Sequence[Reminder], at: datetime) -> None:
        """Notes the lag of a page of due reminders, the longest waiting first."""
        for first in seen[:1]:
            try:
                self.lag_s = max(self.lag_s, (at - first.due_at).total_seconds())
            except ValueError:
                log.warning("a place in the due index names no instant")


def sweep(
    *,
    now: datetime,
    within_s: float,
    threads: int,
    shards: Iterable[int] = range(SHARDS),
    pages: int | None = None,
    span: tuple[str, str] | None = None,
) -> SweepResult:
    """Mails the due reminders of some shards, at most `pages` of each, or those of a span of one.

    Begins nothing more after `within_s` seconds and reports the shards that are unfinished.
    """
    budget, result = TimeBudget(now, within_s), SweepResult()
    with ThreadPoolExecutor(threads) as pool:
        for shard in shards:
            due_pages = _pages(shard, budget, span, result)
            try:
                finished = _sweep_shard(islice(due_pages, pages), budget, pool, result)
            except ServiceUnavailable:
                log.warning("the table is busy: shard %d waits", shard, exc_info=True)
                result.counts["busy"] += 1
                finished = False
            except Exception:
                log.exception("shard %d waits for the next minute", shard)
                result.counts["busy"] += 1
                finished = True
            if not finished:
                result.unfinished.add(shard)
    result.is_overloaded = budget.full.is_set()
    if given_up := result.counts[DEAD] + result.counts[QUARANTINED]:
        telemetry.emit("RemindersGivenUp", given_up)
    log.info("swept", extra={"fields": {**result.counts, "unfinished": sorted(result.unfinished)}})
    return result


def _pages(
    shard: int, budget: TimeBudget, span: tuple[str, str] | None, result: SweepResult
) -> Iterator[tuple[list[Reminder], bool]]:
    """The pages of a shard's due reminders, each with whether it is the last.

    Each begins where the one before ended, because the index lags behind the table and may still
    show what is done. What cannot be read is set aside.
    """
    start: Raw | None = None
    while not budget.is_over:
        unreadable: list[Raw] = []
        page = Reminder.due(
            shard,
            by=budget.now(),
            limit=PAGE,
            start=start,
            span=span,
            on_unreadable=unreadable.append,
        )
        result.record_lag(page.items, budget.now())
        result.counts += _quarantine(unreadable, budget.now())
        start = page.next_key
        yield page.items, start is None
        if start is None:
            return


def _quarantine(unreadable: Sequence[Raw], now: datetime) -> Counter[str]:
    return Counter(
        quarantine(raw["pk"]["S"], raw["sk"]["S"], seen_at=raw["gsi1sk"]["S"], now=now)
        for raw in unreadable
    )


def _sweep_shard(
    pages: Iterable[tuple[list[Reminder], bool]],
    budget: TimeBudget,
    pool: ThreadPoolExecutor,
    result: SweepResult,
) -> bool:
    """Mails the pages of a shard; returns whether the shard is finished for now.

    Once SES takes no more, the rest waits for the next minute.
    """
    before = result.counts.copy()
    for page, is_last in pages:
        groups = _by_learner(page)
        random.shuffle(groups)  # sweepers that see the same page begin at different ends of it
        mailed = []
        for claimed in pool.map(partial(_claim, budget=budget), _in_hands(groups)):
            result.counts += claimed.counts
            mail = partial(_mail, claimed, budget=budget)
            mailed.append(pool.map(mail, claimed.groups))
        result.counts += sum(chain.from_iterable(mailed), Counter[str]())
        if is_last:
            waiting = result.counts - before
            return budget.full.is_set() or not (waiting["late"] or waiting["busy"])
        if budget.full.is_set():
            break
    return budget.full.is_set()


def _by_learner(reminders: Sequence[Reminder]) -> list[list[Reminder]]:
    groups: dict[str, list[Reminder]] = {}
    for reminder in reminders:
        groups.setdefault(reminder.pk, []).append(reminder)
    return list(groups.values())


def _in_hands(groups: Sequence[list[Reminder]]) -> Iterator[Sequence[list[Reminder]]]:
    for first in range(0, len(groups), AT_ONCE):
        yield groups[first : first + AT_ONCE]


@dataclass
class Claimed:
    """Claimed reminders, learner by learner, with what was read of their owners."""

    until: datetime
    groups: list[list[Reminder]] = field(default_factory=list)
    reading: Reading | None = None
    counts: Counter[str] = field(default_factory=Counter)


def _claim(groups: Sequence[list[Reminder]], *, budget: TimeBudget) -> Claimed:
    """Claims the reminders of some learners one by one, and reads their owners together.

    An error here does not touch other learners: the claims run out.
    """
    claimed = Claimed(budget.now() + LEASE)
    if budget.is_over or budget.full.is_set():
        claimed.counts["late"] = sum(map(len, groups))
        return claimed
    for group in groups:
        try:
            won = [reminder for reminder in group if _is_won(reminder, claimed.until)]
        except ServiceUnavailable:
            log.warning("the table is busy: a learner waits", exc_info=True)
            claimed.counts["busy"] += len(group)
        except Exception:
            log.exception("a learner's reminders wait")
        else:
            claimed.groups += [won] if won else []
    reminders = list(chain.from_iterable(claimed.groups))
    claimed.counts["claimed"] = len(reminders)
    try:
        claimed.reading = read_owners(reminders, now=budget.now()) if reminders else None
    except ServiceUnavailable:
        log.warning("the table is busy: some learners wait", exc_info=True)
        claimed.counts["busy"] += len(reminders)
        claimed.groups = []
    return claimed


def _is_won(reminder: Reminder, until: datetime) -> bool:
    try:
        reminder.claim(until=until)
    except ConditionFailed:
        return False
    return True


def _mail(claimed: Claimed, group: Sequence[Reminder], *, budget: TimeBudget) -> Counter[str]:
    """Mails the dues of one learner's claimed reminders; an error does not touch other learners."""
    if claimed.reading is None or budget.full.is_set():
        return Counter(late=len(group))
    try:
        return mail_dues(group, claimed.reading, until=claimed.until, budget=budget)
    except ServiceUnavailable:
        log.warning("the table is busy: a learner waits", exc_info=True)
        return Counter(busy=len(group))
    except Exception:
        log.exception("a learner's reminders wait")
    return Counter()


# --- One learner's mails -------------------------------------------------------------------------


class Mail:
    """One mail to one learner, about reminders that are claimed until an instant."""

    def __init__(
        self, dues: Sequence[OwedDue], recipient: Recipient, *, until: datetime, budget: TimeBudget
    ) -> None:
        self.id = _mail_id(dues)
        self.dues, self.recipient, self.until, self.budget = dues, recipient, until, budget
        self.claims = list({owed.claim.reminder.id: owed.claim for owed in dues}.values())
        self.deliveries = [self._delivery(owed) for owed in dues]

    def _delivery(self, owed: OwedDue) -> Delivery:
        delivery = Delivery.of(owed.claim.reminder, owed.due, SENDING, now=self.budget.now())
        stored = owed.stored
        delivery.copy_mail_of(stored)
        delivery.mail_id = delivery.mail_id or self.id  # the bounce of an earlier copy finds it
        delivery.set_index_keys()
        delivery.lease_until = self.until
        delivery.repeated |= stored is not None and stored.state == SENDING
        return delivery

    def is_late(self) -> bool:
        """Whether it is too late to begin; the reminders come up again after their lease."""
        is_over = self.budget.is_over or self.budget.full.is_set()
        return is_over or self.budget.now() > self.until - SENDING_TAKES

    def send(self) -> Counter[str]:
        """Sends it and settles its deliveries; returns how they ended.

        Raises ConditionFailed when overtaken.
        """
        if self.is_late():
            return Counter(late=len(self.dues))
        if not self._begin():
            return self._drop("capped")
        if self.is_late():  # the claims may end before SES has answered
            self._give_back("late")
            return Counter(late=len(self.dues))
        try:
            message_id = self._hand_over()
        except Throttled:
            self.budget.full.set()
            self._give_back("throttled")
            return Counter(late=len(self.dues))
        except ServiceUnavailable as error:
            if not emails.certainly_unsent(error):
                log.warning("no answer for a mail: it is read again later", exc_info=True)
                return Counter()
            return self._fail(error.code, for_good=isinstance(error, MessageRejected))
        self._conclude(message_id)
        return Counter(sent=len(self.dues), mails=1)

    def _begin(self) -> bool:
        """Records the deliveries as being sent, unless the day allows no more mails.

        Raises ConditionFailed when overtaken.
        """
        writes: list[Write] = [
            delivery.replace_write(owed.stored)
            for owed, delivery in zip(self.dues, self.deliveries, strict=True)
        ]
        writes += [claim.reminder.claim_check() for claim in self.claims]
        if all(owed.stored and owed.stored.mail_id for owed in self.dues):
            transact(*writes)  # an earlier try has counted this mail
            return True
        now = self.budget.now()
        counted = MailDay.count_write(
            self.recipient.account.learner_id,
            now.astimezone(self.recipient.zone).date(),
            most=self.recipient.preferences.daily_cap,
            now=now,
        )
        try:
            transact(*writes, counted)
        except ConditionFailed as error:
            if error.lost != (counted,):
                raise
            return False
        return True

    def _hand_over(self) -> str:
        """Hands the mail to SES; returns its id. Raises what `emails.send` raises."""
        while True:
            try:
                with in_language_of(self.recipient.language):
                    return emails.send(
                        [owed.item for owed in self.dues],
                        to=self.recipient.account.email,
                        name=self.recipient.profile.first_name,
                        learner_id=self.recipient.account.learner_id,
                        mail_id=self.id,
                        now=self.budget.now(),
                    )
            except Throttled:
                if self.is_late():
                    raise
                time.sleep(random.uniform(*PAUSE_S))  # noqa: S311

    def _conclude(self, message_id: str) -> None:
        """Records SES's answer and advances the reminders that owe nothing more."""
        now = self.budget.now()
        marks = [delivery.sent_write(message_id, now=now) for delivery in self.deliveries]
        try:
            transact(*marks, *(claim.advance_write(now=now) for claim in remove_settled(self.dues)))
        except ConditionFailed:
            for mark in marks:  # a reminder was changed meanwhile, but the mail was sent
                try:
                    transact(mark)
                except ConditionFailed:
                    log.warning("a delivery was taken over while it was being sent")

    def _drop(self, reason: str) -> Counter[str]:
        """Settles the deliveries without a mail. Raises ConditionFailed."""
        now = self.budget.now()
        for owed in self.dues:
            owed.claim.record(owed.due, SKIPPED, reason, now=now)
        for claim in self.claims:
            if claim.left:
                claim.write_records()
            else:
                claim.settle(now=now)
        return Counter({SKIPPED: len(self.dues)})

    def _fail(self, reason: str, *, for_good: bool) -> Counter[str]:
        """Schedules another try for the mail, or gives it up, `for_good` at once.

        Raises ConditionFailed.
        """
        counts: Counter[str] = Counter()
        writes: list[Write] = []
        now, again_at = self.budget.now(), {}
        for claim in self.claims:
            claim.reminder.attempts += 1
            attempt = timing.MAX_ATTEMPTS if for_good else int(claim.reminder.attempts)
            again_at[claim.reminder.id] = timing.retry_at(
                now, attempt=attempt, key=claim.reminder.id
            )
        for owed, delivery in zip(self.dues, self.deliveries, strict=True):
            state = RETRYING if again_at[owed.claim.reminder.id] else DEAD
            writes.append(_concluded(owed, delivery, state, reason, now))
            counts[state] += 1
        for claim in self.claims:
            if at := again_at[claim.reminder.id]:
                claim.reminder.schedule_check(at)
                writes.append(claim.reminder.write())
        given_up = [owed for owed in self.dues if not again_at[owed.claim.reminder.id]]
        transact(*writes, *(claim.advance_write(now=now) for claim in remove_settled(given_up)))
        return counts

    def _give_back(self, reason: str) -> None:
        """Withdraws a mail that was not handed over; this is no attempt. Raises ConditionFailed."""
        now = self.budget.now()
        pairs = zip(self.dues, self.deliveries, strict=True)
        transact(*(_concluded(owed, delivery, RETRYING, reason, now) for owed, delivery in pairs))


def _mail_id(dues: Sequence[OwedDue]) -> str:
    """The id of an earlier try of one of the dues, or a new one."""
    tried = [owed.stored.mail_id for owed in dues if owed.stored and owed.stored.mail_id]
    return str(min(tried, default=ULID()))


def _mail_item(claim: ClaimedReminder, due: timing.Due, recipient: Recipient) -> emails.MailItem:
    """The part of a mail that is about one due, in its reader's language."""
    with in_language_of(recipient.language):
        return _told(claim, due, recipient)


def _told(claim: ClaimedReminder, due: timing.Due, recipient: Recipient) -> emails.MailItem:
    reminder = claim.reminder
    if reminder.about == REPORT:
        return emails.report_item(recipient.week)
    if reminder.about == STREAK:
        return emails.streak_item(recipient.streak_days)
    if reminder.scenario_id:
        return emails.scenario_item(reminder)
    if reminder.about == STUDY:
        return emails.study_item(reminder, recipient.due_cards(reminder.deck_id))
    answer = emails.answer_url(reminder, due.occurrence, now=recipient.read_at)
    if claim.event:
        return emails.event_item(
            reminder, claim.event, due.occurrence, zone=recipient.zone, answer=answer
        )
    return emails.one_off_item(reminder, answer=answer)


def _concluded(owed: OwedDue, begun: Delivery, state: str, reason: str, now: datetime) -> Write:
    """The write that concludes a delivery that we have begun."""
    delivery = Delivery.of(owed.claim.reminder, owed.due, state, now=now)
    delivery.copy_mail_of(begun)
    delivery.conclude(state, reason=reason, now=now)
    return delivery.replace_write(begun)


MAX_DUES_PER_MAIL = 40
"""They are recorded in one transaction, of at most 100 writes."""


def mail_dues(
    claimed: Sequence[Reminder], reading: Reading, *, until: datetime, budget: TimeBudget
) -> Counter[str]:
    """Settles everything that one learner's claimed reminders owe.

    Returns how the deliveries ended. A reminder that raises an error is tried again later, and
    given up in the end; no other one waits for it. Raises ServiceUnavailable if the table is busy.
    """
    counts: Counter[str] = Counter()
    with _isolate_failures(claimed, counts, budget):
        recipient = reading.recipient(claimed[0].learner_id)
        if recipient is None:
            for reminder in claimed:
                _retire(reminder)
            return counts
        owed: list[OwedDue] = []
        for reminder in claimed:
            with _isolate_failures([reminder], counts, budget):
                owed += _owed(reminder, recipient, counts, budget.now())
        for dues in _mails(owed):
            with _isolate_failures([owed.claim.reminder for owed in dues], counts, budget):
                counts += Mail(dues, recipient, until=until, budget=budget).send()
    return counts


@contextmanager
def _isolate_failures(
    claimed: Sequence[Reminder], counts: Counter[str], budget: TimeBudget
) -> Iterator[None]:
    """Keeps an error of some reminders from the others."""
    try:
        yield
    except ServiceUnavailable:
        raise
    except ConditionFailed:
        log.info("overtaken: the rest comes up again after its lease")
    except Exception as error:
        log.exception("a reminder failed")
        for reminder in claimed:
            counts[fail(reminder, type(error).__name__, now=budget.now())] += 1


def _owed(
    reminder: Reminder, recipient: Recipient, counts: Counter[str], now: datetime
) -> list[OwedDue]:
    """The dues that a reminder has to mail now; settles the reminder if there are none."""
    claim = claimed_reminder_of(reminder, recipient, now=now)
    if claim is None:
        _retire(reminder)
        return []
    held_until = timing.release_at(now, recipient.preferences.quiet)
    if claim.left and held_until > now:
        counts["held"] += 1
        reminder.interrupted = bool(claim.stored)
        reminder.schedule_check(held_until)
        transact(reminder.write())
        return []
    if refusal := recipient.refusal(reminder):
        for due in list(claim.left):
            claim.record(due, SKIPPED, refusal, now=now)
    counts[SKIPPED] += len(claim.records)
    if claim.left:
        claim.write_records()
    else:
        claim.settle(now=now)
    return [OwedDue(claim, due, _mail_item(claim, due, recipient)) for due in claim.left]


def _retire(reminder: Reminder) -> None:
    """Takes a reminder out of the due index, because its event or owner was deleted."""
    reminder.next_at = None
    reminder.schedule_check(None)
    transact(reminder.write())


def _mails(owed: Sequence[OwedDue]) -> list[Sequence[OwedDue]]:
    """One learner's mails of a sweep: one, unless its dues need more than one transaction."""
    ordered = sorted(owed, key=lambda each: each.due.order)
    return [
        ordered[first : first + MAX_DUES_PER_MAIL]
        for first in range(0, len(ordered), MAX_DUES_PER_MAIL)
    ]
