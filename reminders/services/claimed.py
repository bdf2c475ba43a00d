"""A claimed reminder: the mails that it owes now, and their records."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from config.store.items import ConditionFailed, batch_get
from config.store.transactions import Put, Write, transact
from reminders import timing
from reminders.emails import MailItem
from reminders.models import (
    DEAD,
    SENDING,
    SKIPPED,
    STUDY,
    UNCONFIRMED,
    Delivery,
    Event,
    Reminder,
)
from reminders.services.recipient import Recipient

AT_ONCE = 90
"""Records in one transaction, which has room for 100 writes."""


@dataclass
class ClaimedReminder:
    """A claimed reminder: `left` is owed now, `progress` its state once that is settled.

    `stored` has earlier records by the promise of the due; `records` are the
    pending writes for dues that get no mail.
    """

    reminder: Reminder
    rule: timing.Reminder
    event: Event | None
    quiet: timing.QuietHours | None
    progress: timing.Progress
    left: list[timing.Due]
    stored: dict[str, Delivery] = field(default_factory=dict)
    records: list[Put] = field(default_factory=list)

    def record(self, due: timing.Due, state: str, reason: str, *, now: datetime) -> None:
        """Takes a due off the list without a mail; `write_records` stores the reason."""
        if due in self.left:
            self.left.remove(due)
        stored = self.stored.get(due.promise)
        if stored and stored.is_settled:
            return
        if stored and stored.state == SENDING:  # it may well have arrived
            state, reason = UNCONFIRMED, "no_word"
        delivery = Delivery.of(self.reminder, due, state, now=now)
        delivery.copy_mail_of(stored)
        delivery.conclude(state, reason=reason, now=now)
        self.records.append(delivery.replace_write(stored))

    def write_records(self) -> None:
        """Writes the pending records, provided that our claim holds. Raises ConditionFailed."""
        while self.records:
            transact(*self.records[:AT_ONCE], self.reminder.claim_check())
            del self.records[:AT_ONCE]

    def settle(self, *, now: datetime) -> None:
        """Writes the records and moves the reminder to its next due. Raises ConditionFailed.

        The last records share a round trip with the reminder.
        """
        last, self.records = self.records[-AT_ONCE:], self.records[:-AT_ONCE]
        self.write_records()
        transact(*last, self.advance_write(now=now))

    def advance_write(self, *, now: datetime) -> Write:
        """The write that moves the reminder to its next due."""
        self.reminder.advance(self.progress, self.rule, quiet=self.quiet, now=now)
        self.reminder.interrupted = False
        return self.reminder.write()


@dataclass(frozen=True)
class OwedDue:
    """A due that is to be mailed now, and its part of the mail."""

    claim: ClaimedReminder
    due: timing.Due
    item: MailItem

    @property
    def stored(self) -> Delivery | None:
        """What an earlier try has recorded."""
        return self.claim.stored.get(self.due.promise)


def claimed_reminder_of(
    reminder: Reminder, recipient: Recipient, *, now: datetime
) -> ClaimedReminder | None:
    """Works out the mails that a claimed reminder owes; None if its event was deleted.

    Raises ConditionFailed while another sweeper may be sending it; UnreadableItem.
    """
    event = recipient.event_of(reminder)
    rule = reminder.rule(zone=recipient.profile.timezone, event=event)
    if rule is None:
        return None
    quiet = recipient.preferences.quiet
    caught = timing.catch_up(rule, reminder.progress, quiet=quiet, now=now)
    claim = ClaimedReminder(reminder, rule, event, quiet, caught.progress, list(caught.send))
    if reminder.was_interrupted:
        _look_back(claim, [*caught.send, *(dropped_due.due for dropped_due in caught.dropped)], now)
    for dropped in caught.dropped:
        if (
            dropped.reason == "missed" and reminder.attempts
        ):  # staff shall see what failed till then
            stored = claim.stored.get(dropped.due.promise)
            claim.record(dropped.due, DEAD, (stored and stored.reason) or "missed", now=now)
        else:
            claim.record(dropped.due, SKIPPED, dropped.reason, now=now)
    return claim


def _look_back(claim: ClaimedReminder, dues: Sequence[timing.Due], now: datetime) -> None:
    """Takes off the list the dues that an earlier sweeper settled or may have sent."""
    for first in range(0, len(dues), 100):
        keys = [Delivery.key_of(claim.reminder, due) for due in dues[first : first + 100]]
        stored = batch_get(*keys).values()
        claim.stored |= {
            delivery.key: delivery for delivery in stored if isinstance(delivery, Delivery)
        }
    if any(delivery.is_being_sent(now) for delivery in claim.stored.values()):
        raise ConditionFailed
    for due in list(claim.left):
        delivery = claim.stored.get(due.promise)
        if delivery is None:
            continue
        if delivery.is_settled:
            claim.left.remove(due)
        elif delivery.state == SENDING and (delivery.repeated or claim.reminder.about == STUDY):
            claim.record(due, UNCONFIRMED, "no_word", now=now)


def remove_settled(mail: Iterable[OwedDue]) -> list[ClaimedReminder]:
    """Takes settled dues off the lists; returns the claims that owe nothing more."""
    done: dict[str, ClaimedReminder] = {}
    for owed in mail:
        if owed.due in owed.claim.left:
            owed.claim.left.remove(owed.due)
        if not owed.claim.left:
            done[owed.claim.reminder.id] = owed.claim
    return list(done.values())
