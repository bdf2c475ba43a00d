"""Gives up reminders that cannot be mailed, shows them to staff, and retries them for staff."""

import logging
from datetime import datetime, timedelta

from accounts.models import audit
from accounts.models.audit import StaffMember
from config.problems import Conflict, NotFound
from config.store.connection import retried
from config.store.items import UNREADABLE, ConditionFailed
from config.store.transactions import Put, Write, transact
from reminders import recurrence as recurrences
from reminders import timing
from reminders.models import DEAD, RETRIED, RETRYING, Delivery, Event, Reminder
from reminders.services.events import UNREADABLE_EVENT
from reminders.services.reminders import timetable_of

log = logging.getLogger("parley.reminders")

QUARANTINED, SETTLED_ALREADY = "quarantined", "settled"
SOON = timedelta(seconds=1)


class NotDead(Conflict):
    code, title = "NOT_DEAD", "The delivery has not been given up"


class CannotRetry(Conflict):
    code, title = "CANNOT_RETRY", "The reminder cannot be mailed again now"


def fail(claimed: Reminder, reason: str, *, now: datetime) -> str:
    """Schedules another try for a reminder that raised an error, or gives it up.

    Returns RETRYING, DEAD, QUARANTINED, or SETTLED_ALREADY if our claim is over.
    """
    try:
        reminder = Reminder.of(claimed.learner_id, claimed.id)
        if reminder is None or reminder.fence != claimed.claimed_fence:
            return SETTLED_ALREADY
        attempt = int(reminder.attempts) + 1
        again_at = timing.retry_at(now, attempt=attempt, key=reminder.id)
        reminder.attempts, reminder.dead = attempt, again_at is None
        reminder.schedule_check(again_at)
        writes: list[Write] = [reminder.write()]
        if again_at is None:
            writes.append(_dead_letter(reminder, reason, reminder.next_at or now, now))
        transact(*writes)
    except ConditionFailed:
        log.info("changed meanwhile")
        return SETTLED_ALREADY
    except UNREADABLE:
        return quarantine(claimed.pk, claimed.sk, seen_at=claimed.gsi1sk, now=now)
    return DEAD if again_at is None else RETRYING


def quarantine(pk: str, sk: str, *, seen_at: str, now: datetime) -> str:
    """Takes a stored reminder that cannot be read out of the due index, for staff to mend.

    `seen_at` is its place in the index. Returns QUARANTINED, or SETTLED_ALREADY if somebody else
    has moved it.
    """
    log.error("a reminder cannot be read", extra={"fields": {"pk": pk, "sk": sk}})
    reminder = Reminder(pk, sk, id=sk.removeprefix(Reminder.PREFIX))
    letter = _dead_letter(reminder, "unreadable", now, now)
    try:
        transact(Reminder.quarantine_write(pk, sk, seen_at=seen_at), letter)
    except ConditionFailed:
        return SETTLED_ALREADY
    return QUARANTINED


def _dead_letter(reminder: Reminder, reason: str, due_at: datetime, now: datetime) -> Put:
    """The write of a record of a whole reminder that was given up."""
    due = timing.Due(due_at, f"{now:%Y%m%dT%H%M%SZ}-failed", "", now)
    delivery = Delivery.of(reminder, due, DEAD, now=now)
    delivery.conclude(DEAD, reason=reason, now=now)
    return delivery.replace_write(None)


@retried(ConditionFailed)
def retry(*, delivery_id: str, by: StaffMember, now: datetime) -> Delivery:
    """Makes the next sweep mail the occurrence of a dead delivery, under a new record.

    Raises NotFound (also for a deleted reminder), NotDead and CannotRetry.
    """
    delivery = Delivery.by_id(delivery_id)
    if delivery is None:
        raise NotFound
    if delivery.state != DEAD:
        raise NotDead
    if delivery.reason == UNREADABLE_EVENT:
        return _file(delivery, by, now)
    try:
        reminder = Reminder.of(delivery.learner_id, delivery.reminder_id)
    except UNREADABLE as error:
        raise CannotRetry("The stored reminder cannot be read: mend it first") from error
    if reminder is None:
        raise NotFound("The reminder was deleted")
    if reminder.paused:
        raise CannotRetry("The learner has paused it")
    _revive(reminder, delivery, now)
    return _conclude(delivery, by, now, reminder.write())


def _file(delivery: Delivery, by: StaffMember, now: datetime) -> Delivery:
    """Concludes the letter of an event that can be read again; it never had a mail."""
    try:
        event = Event.of(delivery.learner_id, delivery.reminder_id)
        if event:
            recurrences.validate(event.recurrence)
    except UNREADABLE as error:
        raise CannotRetry("The stored event cannot be read: mend it first") from error
    return _conclude(delivery, by, now)


def _conclude(delivery: Delivery, by: StaffMember, now: datetime, *writes: Write) -> Delivery:
    delivery_id, unchanged = delivery.id, delivery.unchanged_condition()
    deed = audit.staff_action(by, "delivery_retried", f"deliveries/{delivery_id}", now=now)
    delivery.conclude(RETRIED, reason=delivery.reason, now=now)
    transact(Put(delivery, unchanged), *writes, *deed)
    return delivery


def _revive(reminder: Reminder, delivery: Delivery, now: datetime) -> None:
    """Makes a reminder due again for an occurrence; a dead reminder simply goes on."""
    progress = reminder.progress
    if not reminder.dead:
        try:
            progress = timing.snooze(progress, delivery.due, until=now + SOON, now=now)
        except timing.SnoozeInvalidError as error:
            raise CannotRetry(str(error)) from error
    timetable_of(reminder).advance(reminder, progress, now=now)
