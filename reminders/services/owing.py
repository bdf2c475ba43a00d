"""What a claimed reminder owes by now, and the records of what became of it."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from config.store.transactions import Put, Write, transact
from config.table import ConditionFailed, fetch
from reminders import plan
from reminders.models import (
    DEAD,
    RETRYING,
    SENDING,
    SETTLED,
    SKIPPED,
    STUDY,
    UNCONFIRMED,
    Delivery,
    Event,
    Reminder,
)
from reminders.services.reader import Reader

log = logging.getLogger("parley.reminders")

AT_ONCE = 90
"""Records in one transaction, which has room for 100 writes."""


@dataclass
class Task:
    """A claimed reminder: what it still owes by now, and where it stands once that is settled.

    `stored` has what an interrupted sweeper has left, by the key of the due; `records` what is to
    be written of dues that get no mail.
    """

    reminder: Reminder
    rule: plan.Reminder
    event: Event | None
    progress: plan.Progress
    left: list[plan.Due]
    stored: dict[str, Delivery] = field(default_factory=dict)
    records: list[Put] = field(default_factory=list)

    def record(self, due: plan.Due, state: str, reason: str, *, now: datetime) -> None:
        """Takes a due off the list without a mail; `write_records` says why."""
        if due in self.left:
            self.left.remove(due)
        stored = self.stored.get(due.key)
        if stored and stored.state in SETTLED:
            return
        if stored and stored.state == SENDING:  # it may well have arrived
            state, reason = UNCONFIRMED, "no_word"
        delivery = Delivery.of(self.reminder, due, state, now=now)
        delivery.follow(stored)
        delivery.conclude(state, reason=reason, now=now)
        self.records.append(delivery.write_over(stored))

    def write_records(self) -> None:
        """Writes what is recorded, provided that our claim holds. Raises ConditionFailed."""
        while self.records:
            transact(*self.records[:AT_ONCE], self.reminder.held())
            del self.records[:AT_ONCE]

    def settle(self) -> None:
        """Puts the reminder where it is due next, and writes its records. Raises ConditionFailed.

        The last records go with the reminder, in one round trip.
        """
        last, self.records = self.records[-AT_ONCE:], self.records[:-AT_ONCE]
        self.write_records()
        transact(*last, self.advanced())

    def advanced(self) -> Write:
        """The write that puts the reminder where it is due next."""
        self.reminder.advance(self.progress, self.rule)
        self.reminder.interrupted = False
        return self.reminder.write()


Owed = tuple[Task, plan.Due]


def task_of(reminder: Reminder, reader: Reader, *, now: datetime) -> Task | None:
    """What a claimed reminder owes; None where its event is no more.

    Raises ConditionFailed while another sweeper may be sending it.
    """
    event = reader.events.get(str(reminder.event_id))
    rule = reminder.rule(zone=reader.profile.timezone, event=event)
    if rule is None:
        return None
    quiet = reader.preferences.quiet
    caught = plan.catch_up(rule, reminder.progress, quiet=quiet, now=now)
    task = Task(reminder, rule, event, caught.progress, list(caught.send))
    if reminder.was_interrupted:
        _look_back(task, [*caught.send, *(each.due for each in caught.dropped)], now)
    for dropped in caught.dropped:
        task.record(dropped.due, SKIPPED, dropped.reason, now=now)
    return task


def _look_back(task: Task, dues: Sequence[plan.Due], now: datetime) -> None:
    """Takes off the list what an earlier sweeper has settled, or may have sent."""
    for first in range(0, len(dues), 100):
        keys = [Delivery.key_of(task.reminder, due.key) for due in dues[first : first + 100]]
        found = fetch(*keys).values()
        task.stored |= {each.key: each for each in found if isinstance(each, Delivery)}
    if any(each.is_being_sent(now) for each in task.stored.values()):
        raise ConditionFailed
    for due in list(task.left):
        delivery = task.stored.get(due.key)
        if delivery is None:
            continue
        if delivery.state in SETTLED:
            task.left.remove(due)
        elif delivery.state == SENDING and (delivery.repeated or task.reminder.about == STUDY):
            task.record(due, UNCONFIRMED, "no_word", now=now)


def cross_off(mail: Iterable[Owed]) -> list[Task]:
    """Takes settled dues off the lists; returns the reminders that owe nothing more."""
    done: dict[str, Task] = {}
    for task, due in mail:
        if due in task.left:
            task.left.remove(due)
        if not task.left:
            done[task.reminder.id] = task
    return list(done.values())


def fail(claimed: Reminder, reason: str, *, now: datetime) -> str:
    """Has a reminder that could not be dealt with tried again, or puts it among the dead.

    Returns which, or `settled` where our claim has come to its end already.
    """
    reminder = Reminder.of(claimed.learner_id, claimed.id)
    if reminder is None or reminder.fence != claimed.claimed_fence:
        return "settled"
    attempt = int(reminder.attempts) + 1
    again_at = plan.retry_at(now, attempt=attempt, key=reminder.id)
    reminder.attempts, reminder.dead = attempt, again_at is None
    reminder.look_at(again_at)
    writes: list[Write] = [reminder.write()]
    if again_at is None:
        due = plan.Due(reminder.next_at or now, f"{now:%Y%m%dT%H%M%SZ}", "", now)
        delivery = Delivery.of(reminder, due, DEAD, now=now)
        delivery.conclude(DEAD, reason=reason, now=now)
        writes.append(delivery.write_over(None))
    try:
        transact(*writes)
    except ConditionFailed:
        log.info("changed meanwhile")
        return "settled"
    return DEAD if again_at is None else RETRYING
