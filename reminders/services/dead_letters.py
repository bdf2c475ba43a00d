"""Deliveries that were given up, and another chance for them."""

from datetime import datetime, timedelta

from accounts import audit
from accounts.audit import StaffMember
from config.problems import Conflict, NotFound
from config.store.items import ConditionFailed
from config.store.retrying import retried
from config.store.transactions import Put, transact
from reminders import timing
from reminders.models import DEAD, RETRIED, Delivery, Reminder
from reminders.services.reminders import rule_of

SOON = timedelta(seconds=1)


class NotDead(Conflict):
    code, title = "NOT_DEAD", "The delivery has not been given up"


class CannotRetry(Conflict):
    code, title = "CANNOT_RETRY", "The reminder cannot be mailed again now"


@retried(ConditionFailed)
def retry(*, delivery_id: str, by: StaffMember, now: datetime) -> Delivery:
    """Has a dead delivery's occurrence mailed with the next sweep, under a record of its own.

    Raises NotFound, also where its reminder is no more, NotDead and CannotRetry.
    """
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
    transact(Put(delivery, unchanged), reminder.write(), *deed)
    return delivery


def _revive(reminder: Reminder, delivery: Delivery, now: datetime) -> None:
    """Has a reminder look at an occurrence again; one that was dead itself just goes on."""
    progress = reminder.progress
    if not reminder.dead:
        try:
            progress = timing.snooze(progress, delivery.due, until=now + SOON, now=now)
        except timing.SnoozeInvalidError as error:
            raise CannotRetry(str(error)) from error
    reminder.advance(progress, rule_of(reminder))
