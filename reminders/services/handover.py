"""One mail, handed to SES once.

In three steps. Its deliveries are recorded as `sending`, on condition that none is settled, that
our claims hold and that the day has room; SES is called; the deliveries are recorded as `sent` and
the reminders advanced. Who dies before the first step has done nothing. Who dies between it and
the last leaves a record that says so: the next sweeper sends again, once, what would otherwise be
missed, and never a digest, of which there will be another.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from ulid import ULID

from config.aws import Throttled
from config.problems import ServiceUnavailable
from config.store.transactions import Write, transact
from config.table import ConditionFailed
from reminders import emails, plan
from reminders.models import DEAD, RETRYING, SENDING, SKIPPED, STUDY, Delivery, MailDay
from reminders.services.owing import Owed, Task, cross_off
from reminders.services.reader import Reader
from reminders.services.watch import SENDING_TAKES, Watch

log = logging.getLogger("parley.reminders")

PAUSE_S = 0.5, 1.5
"""SES counts by the second: what it has no room for is offered again after about one."""


class Overloaded(Exception):
    """SES takes no more mails at present: what was claimed comes up again after its lease."""


class NoWord(Exception):
    """Whether SES has taken a mail is not known: its record is looked at after the lease."""


class DayFull(Exception):
    """The learner has had as many mails today as one day may bring."""


class TooLate(Exception):
    """The claims may be over before SES has answered."""


class Mail:
    """What goes to one learner in one mail, of reminders that are claimed until an instant."""

    def __init__(
        self, dues: Sequence[Owed], reader: Reader, *, until: datetime, watch: Watch
    ) -> None:
        self.id = str(ULID())
        self.dues, self.reader, self.until, self.watch = dues, reader, until, watch
        self.tasks = list({task.reminder.id: task for task, _ in dues}.values())
        self.entries = [_entry(task, due, reader) for task, due in dues]
        self.deliveries = [self._delivery(task, due) for task, due in dues]

    def _delivery(self, task: Task, due: plan.Due) -> Delivery:
        delivery = Delivery.of(task.reminder, due, SENDING, now=self.watch.now())
        stored = task.stored.get(due.key)
        delivery.follow(stored)
        delivery.mail_id, delivery.lsi4 = self.id, f"MAIL#{self.id}"
        delivery.lease_until = self.until
        delivery.repeated |= stored is not None and stored.state == SENDING
        return delivery

    @property
    def is_late(self) -> bool:
        """Whether it may not be begun any more: it comes up again after its lease."""
        return self.watch.is_over or self.watch.now() > self.until - SENDING_TAKES

    def send(self) -> Counter[str]:
        """Sends it and settles its deliveries; returns how they ended.

        Raises ConditionFailed when overtaken; Overloaded; NoWord.
        """
        if self.is_late:
            return Counter(late=len(self.dues))
        try:
            self._begin()
        except DayFull:
            return self._drop("capped")
        try:
            message_id = self._hand_over()
        except TooLate:
            self._give_back("late")
            return Counter(late=len(self.dues))
        except Throttled as error:
            self._give_back("throttled")
            raise Overloaded from error
        except ServiceUnavailable as error:
            if not emails.certainly_unsent(error):
                raise NoWord from error
            return self._fail(error.code)
        self._conclude(message_id)
        return Counter(sent=len(self.dues), mails=1)

    def _begin(self) -> None:
        """Records the deliveries as being sent. Raises DayFull; ConditionFailed when overtaken."""
        writes: list[Write] = [
            delivery.write_over(task.stored.get(due.key))
            for (task, due), delivery in zip(self.dues, self.deliveries, strict=True)
        ]
        writes += [task.reminder.held() for task in self.tasks]
        if all(due.key in task.stored for task, due in self.dues):
            transact(*writes)  # tried before, so the day has counted it
            return
        now = self.watch.now()
        counted = MailDay.taken(
            self.reader.account.learner_id,
            now.astimezone(self.reader.zone).date(),
            most=self.reader.preferences.daily_cap,
            now=now,
        )
        try:
            transact(*writes, counted)
        except ConditionFailed as error:
            if error.lost == (counted,):
                raise DayFull from error
            raise

    def _hand_over(self) -> str:
        """SES's id of the mail. Raises TooLate, and what `emails.send` raises."""
        if self.is_late:
            raise TooLate
        while True:
            try:
                return emails.send(
                    self.entries,
                    to=self.reader.account.email,
                    name=self.reader.profile.first_name,
                    learner_id=self.reader.account.learner_id,
                    mail_id=self.id,
                    now=self.watch.now(),
                )
            except Throttled:
                if self.is_late:
                    raise
                time.sleep(random.uniform(*PAUSE_S))  # noqa: S311

    def _conclude(self, message_id: str) -> None:
        """Records SES's word, and advances the reminders that owe nothing more."""
        now = self.watch.now()
        marks = [delivery.as_sent(message_id, now=now) for delivery in self.deliveries]
        try:
            transact(*marks, *(task.advanced() for task in cross_off(self.dues)))
        except ConditionFailed:
            for mark in marks:  # a reminder was changed meanwhile; what was sent stays so
                try:
                    transact(mark)
                except ConditionFailed:
                    log.warning("a delivery was taken over while it was being sent")

    def _drop(self, reason: str) -> Counter[str]:
        """Settles the deliveries without a mail. Raises ConditionFailed."""
        for task, due in self.dues:
            task.record(due, SKIPPED, reason, now=self.watch.now())
        for task in self.tasks:
            if task.left:
                task.write_records()
            else:
                task.settle()
        return Counter({SKIPPED: len(self.dues)})

    def _fail(self, reason: str) -> Counter[str]:
        """Has the mail tried again later, or gives it up. Raises ConditionFailed."""
        counts: Counter[str] = Counter()
        writes: list[Write] = []
        now, again_at = self.watch.now(), {}
        for task in self.tasks:
            task.reminder.attempts += 1
            attempt = int(task.reminder.attempts)
            again_at[task.reminder.id] = plan.retry_at(now, attempt=attempt, key=task.reminder.id)
        for (task, due), delivery in zip(self.dues, self.deliveries, strict=True):
            state = RETRYING if again_at[task.reminder.id] else DEAD
            writes.append(_concluded(task, due, delivery, state, reason, now))
            counts[state] += 1
        for task in self.tasks:
            if at := again_at[task.reminder.id]:
                task.reminder.look_at(at)
                writes.append(task.reminder.write())
        given_up = [(task, due) for task, due in self.dues if not again_at[task.reminder.id]]
        transact(*writes, *(task.advanced() for task in cross_off(given_up)))
        return counts

    def _give_back(self, reason: str) -> None:
        """Takes back what was not handed over: it counts as no attempt. Raises ConditionFailed."""
        now = self.watch.now()
        pairs = zip(self.dues, self.deliveries, strict=True)
        transact(*(_concluded(*owed, each, RETRYING, reason, now) for owed, each in pairs))


def _entry(task: Task, due: plan.Due, reader: Reader) -> emails.Entry:
    """What a mail says of one due."""
    if task.reminder.about == STUDY:
        return emails.study_entry(reader.due_cards)
    if task.event:
        return emails.event_entry(task.reminder, task.event, due.occurrence, zone=reader.zone)
    return emails.one_off_entry(task.reminder)


def _concluded(
    task: Task, due: plan.Due, begun: Delivery, state: str, reason: str, now: datetime
) -> Write:
    """The write that brings a delivery we have begun to a state."""
    delivery = Delivery.of(task.reminder, due, state, now=now)
    delivery.follow(begun)
    delivery.conclude(state, reason=reason, now=now)
    return delivery.write_over(begun)
