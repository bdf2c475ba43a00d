"""Retries deliveries that were given up."""

from datetime import datetime, timedelta

from accounts import audit
from accounts.audit import StaffMember
from config.problems import Conflict, NotFound, ServiceUnavailable
from config.store.items import ConditionFailed, Put, transact
from reminders import timing
from reminders.models import DEAD, RETRIED, Delivery, Reminder
from reminders.services.reminders import rule_of

TRIES = 8
SOON = timedelta(seconds=1)


class NotDead(Conflict):
    code, title = "NOT_DEAD", "The delivery has not been given up"


class CannotRetry(Conflict):
    code, title = "CANNOT_RETRY", "The reminder cannot be mailed again now"


def retry(*, delivery_id: str, by: StaffMember, now: datetime) -> Delivery:
    """Has the next sweep mail the occurrence of a dead delivery, under a new record.

    Raises NotFound (also for a deleted reminder), NotDead and CannotRetry.
    """
    for _ in range(TRIES):
        delivery = Delivery.by_id(delivery_id)
        if delivery is None:
            raise NotFound
        if delivery.state != DEAD:
            raise NotDead
        reminder = Reminder.of(delivery.learner_id, delivery.reminder_id)
        if reminder is None:
            raise NotFound("The reminder was deleted")
        if reminder.paused:
            raise CannotRetry("The learner has paused it")
        _revive(reminder, delivery, now)
        deed = audit.staff_action(by, "delivery_retried", f"deliveries/{delivery_id}", now=now)
        unchanged = delivery.unchanged_condition()
        delivery.conclude(RETRIED, reason=delivery.reason, now=now)
        try:
            transact(Put(delivery, unchanged), reminder.write(), *deed)
        except ConditionFailed:
            continue
        return delivery
    raise ServiceUnavailable


def _revive(reminder: Reminder, delivery: Delivery, now: datetime) -> None:
    """Makes a reminder due again for an occurrence; a dead reminder simply goes on."""
    progress = reminder.progress
    if not reminder.dead:
        try:
            progress = timing.snooze(progress, delivery.due, until=now + SOON, now=now)
        except timing.SnoozeInvalidError as error:
            raise CannotRetry(str(error)) from error
    reminder.advance(progress, rule_of(reminder))
