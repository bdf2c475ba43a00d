"""What a claimed reminder owes by now, and the records of what became of it."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from config.store.items import ConditionFailed, batch_get
from config.store.transactions import Put, Write, transact
from reminders import timing
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
from reminders.services.recipient import Recipient

log = logging.getLogger("parley.reminders")

AT_ONCE = 90
"""Records in one transaction, which has room for 100 writes."""


@dataclass
class ClaimedReminder:
    """A claimed reminder: what it still owes by now, and where it stands once that is settled.

    `stored` has what an interrupted sweeper has left, by the key of the due; `records` what is to
    be written of dues that get no mail.
    """

    reminder: Reminder
    rule: timing.Reminder
    event: Event | None
    progress: timing.Progress
    left: list[timing.Due]
    stored: dict[str, Delivery] = field(default_factory=dict)
    records: list[Put] = field(default_factory=list)

    def record(self, due: timing.Due, state: str, reason: str, *, now: datetime) -> None:
        """Takes a due off the list without a mail; `write_records` says why."""
        if due in self.left:
            self.left.remove(due)
        stored = self.stored.get(due.key)
        if stored and stored.state in SETTLED:
            return
        if stored and stored.state == SENDING:  # it may well have arrived
            state, reason = UNCONFIRMED, "no_word"
        delivery = Delivery.of(self.reminder, due, state, now=now)
        delivery.copy_mail_of(stored)
        delivery.conclude(state, reason=reason, now=now)
        self.records.append(delivery.replace_write(stored))

    def write_records(self) -> None:
        """Writes what is recorded, provided that our claim holds. Raises ConditionFailed."""
        while self.records:
            transact(*self.records[:AT_ONCE], self.reminder.claim_check())
            del self.records[:AT_ONCE]

    def settle(self) -> None:
        """Puts the reminder where it is due next, and writes its records. Raises ConditionFailed.

        The last records go with the reminder, in one round trip.
        """
        last, self.records = self.records[-AT_ONCE:], self.records[:-AT_ONCE]
        self.write_records()
        transact(*last, self.advance_write())

    def advance_write(self) -> Write:
        """The write that puts the reminder where it is due next."""
        self.reminder.advance(self.progress, self.rule)
        self.reminder.interrupted = False
        return self.reminder.write()


OwedDue = tuple[ClaimedReminder, timing.Due]


def claimed_reminder_of(
    reminder: Reminder, recipient: Recipient, *, now: datetime
) -> ClaimedReminder | None:
    """What a claimed reminder owes; None where its event is no more.

    Raises ConditionFailed while another sweeper may be sending it.
    """
    event = recipient.events.get(str(reminder.event_id))
    rule = reminder.rule(zone=recipient.profile.timezone, event=event)
    if rule is None:
        return None
    quiet = recipient.preferences.quiet
    caught = timing.catch_up(rule, reminder.progress, quiet=quiet, now=now)
    claim = ClaimedReminder(reminder, rule, event, caught.progress, list(caught.send))
    if reminder.was_interrupted:
        _look_back(claim, [*caught.send, *(dropped_due.due for dropped_due in caught.dropped)], now)
    for dropped in caught.dropped:
        claim.record(dropped.due, SKIPPED, dropped.reason, now=now)
    return claim


def _look_back(claim: ClaimedReminder, dues: Sequence[timing.Due], now: datetime) -> None:
    """Takes off the list what an earlier sweeper has settled, or may have sent."""
    for first in range(0, len(dues), 100):
        keys = [Delivery.key_of(claim.reminder, due.key) for due in dues[first : first + 100]]
        stored = batch_get(*keys).values()
        claim.stored |= {
            delivery.key: delivery for delivery in stored if isinstance(delivery, Delivery)
        }
    if any(delivery.is_being_sent(now) for delivery in claim.stored.values()):
        raise ConditionFailed
    for due in list(claim.left):
        delivery = claim.stored.get(due.key)
        if delivery is None:
            continue
        if delivery.state in SETTLED:
            claim.left.remove(due)
        elif delivery.state == SENDING and (delivery.repeated or claim.reminder.about == STUDY):
            claim.record(due, UNCONFIRMED, "no_word", now=now)


def remove_settled(mail: Iterable[OwedDue]) -> list[ClaimedReminder]:
    """Takes settled dues off the lists; returns the reminders that owe nothing more."""
    done: dict[str, ClaimedReminder] = {}
    for claim, due in mail:
        if due in claim.left:
            claim.left.remove(due)
        if not claim.left:
            done[claim.reminder.id] = claim
    return list(done.values())


def fail(claimed: Reminder, reason: str, *, now: datetime) -> str:
    """Has a reminder that could not be dealt with tried again, or puts it among the dead.

    Returns which, or `settled` where our claim has come to its end already.
    """
    reminder = Reminder.of(claimed.learner_id, claimed.id)
    if reminder is None or reminder.fence != claimed.claimed_fence:
        return "settled"
    attempt = int(reminder.attempts) + 1
    again_at = timing.retry_at(now, attempt=attempt, key=reminder.id)
    reminder.attempts, reminder.dead = attempt, again_at is None
    reminder.schedule_check(again_at)
    writes: list[Write] = [reminder.write()]
    if again_at is None:
        due = timing.Due(reminder.next_at or now, f"{now:%Y%m%dT%H%M%SZ}", "", now)
        delivery = Delivery.of(reminder, due, DEAD, now=now)
        delivery.conclude(DEAD, reason=reason, now=now)
        writes.append(delivery.replace_write(None))
    try:
        transact(*writes)
    except ConditionFailed:
        log.info("changed meanwhile")
        return "settled"
    return DEAD if again_at is None else RETRYING
