"""The recipient of a mail: whether and when they may be mailed, and what they are owed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from accounts.models import Account, Profile, learner_key
from config.store.items import ConditionFailed, Item, Raw, UnreadableItem, batch_get
from config.store.transactions import Put, Write, transact
from learning.services.due_queue import day_of, due_queue
from learning.services.statistics import Week, read_week
from learning.services.study_context import StudyContext
from reminders import emails, timing
from reminders.emails import MailItem
from reminders.models import (
    DEAD,
    DIGESTS,
    REPORT,
    SENDING,
    SKIPPED,
    STREAK,
    STUDY,
    UNCONFIRMED,
    Delivery,
    Event,
    Reminder,
    Suppression,
    quiet_hours_of,
)

# Kind of reminder → the preference that lets it be mailed; of all others `event_mails`.
PREFERENCES = {STUDY: "study_mails", REPORT: "report_mails", STREAK: "streak_mails"}
AWAY = (7, 1), (35, 7), (180, 28)
"""Up to so many days without study a digest comes once in so many days."""
Stored = Mapping[tuple[str, str], Item]


@dataclass(frozen=True)
class Recipient:
    """The recipient of a mail, with the items stored about them at an instant.

    `barred` is the reason why they may not be mailed at all, empty if there is none.
    """

    account: Account
    profile: Profile
    stored: Stored
    unreadable: frozenset[tuple[str, str]]
    read_at: datetime
    barred: str
    _due_cards: dict[str | None, int] = field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.profile.timezone)

    @property
    def language(self) -> str | None:
        return self.profile.native_language

    @property
    def preferences(self) -> timing.Preferences:
        return timing.Preferences(quiet_hours_of(self.profile))

    def event_of(self, reminder: Reminder) -> Event | None:
        """The event of a reminder; None if it was deleted. Raises UnreadableItem."""
        if not reminder.event_id:
            return None
        key = Event.key(self.account.learner_id, str(reminder.event_id))
        event = self._item(key)
        return event if isinstance(event, Event) else None

    def refusal(self, reminder: Reminder) -> str:
        """The reason why a reminder is not mailed now, or empty. Raises UnreadableItem."""
        if self.barred:
            return self.barred
        if not getattr(self.profile, PREFERENCES.get(reminder.about, "event_mails")):
            return "unsubscribed"
        if reminder.about not in DIGESTS:
            return ""
        for key in StudyContext.keys(self.account.learner_id):
            self._item(key)
        if self._is_away(reminder):
            return "away"
        return self._pointless(reminder)

    def _pointless(self, reminder: Reminder) -> str:
        """The reason why a digest would say nothing today, or empty."""
        if reminder.about == REPORT:
            return "" if self.week.reviews else "nothing_studied"
        if reminder.about == STREAK:
            if not self.streak_days:
                return "no_streak"
            return "studied_today" if self.study.head.studied_on == str(self.today) else ""
        if reminder.scenario_id:
            return ""
        if not reminder.deck_id and self._has_met_goal:
            return "goal_met"
        return "" if self.due_cards(reminder.deck_id) else "nothing_due"

    def _is_away(self, reminder: Reminder) -> bool:
        """Whether the learner has been away for so long that this digest is one too many.

        Mails thin out: after a week without study they come once a week, after five weeks once a
        month, and after half a year no more, until the learner studies again or changes the
        reminder.
        """
        studied_on = date.fromisoformat(self.study.head.studied_on or "1970-01-01")
        here_on = max(studied_on, reminder.updated_at.astimezone(self.zone).date())
        days = (self.today - here_on).days
        weekdays = {int(day) for day in reminder.weekdays}
        since_last = next(n for n in range(1, 8) if (self.today.weekday() - n) % 7 in weekdays)
        for until, apart in AWAY:
            if days <= until:
                return days // apart == (days - since_last) // apart
        return True

    @cached_property
    def study(self) -> StudyContext:
        return StudyContext.of(self.account.learner_id, self.stored)

    @property
    def today(self) -> date:
        """The learner's own day."""
        return self.study.calendar.day(self.read_at)

    @property
    def streak_days(self) -> int:
        return self.study.head.streak(self.today)

    @cached_property
    def week(self) -> Week:
        """How the last seven days went: three queries."""
        return read_week(self.study, now=self.read_at)

    def due_cards(self, deck_id: str | None) -> int:
        """How many cards there are to study, MANY at most: three queries, once for each deck."""
        if deck_id not in self._due_cards:
            queue = due_queue(
                learner_id=self.account.learner_id,
                deck_id=deck_id,
                limit=0,
                now=self.read_at,
                stored=self.stored,
            )
            count = queue.learning + queue.review + queue.new
            self._due_cards[deck_id] = min(count, emails.MANY)
        return self._due_cards[deck_id]

    @property
    def _has_met_goal(self) -> bool:
        reviews = day_of(self.study, self.today).count_of("reviews")
        return reviews >= int(self.profile.daily_goal)

    def _item(self, key: tuple[str, str]) -> Item | None:
        if key in self.unreadable:
            raise UnreadableItem(*key)
        return self.stored.get(key)


@dataclass(frozen=True)
class Reading:
    """The stored items of several learners at an instant, and the keys of unreadable ones."""

    stored: Stored
    unreadable: frozenset[tuple[str, str]]
    at: datetime

    def recipient(self, learner_id: str) -> Recipient | None:
        """The owner of reminders; None if the account was deleted.

        Raises UnreadableItem if nobody can tell whether they may be mailed.
        """
        pk = learner_key(learner_id)
        for key in self.unreadable.intersection(_own_keys(pk)):
            raise UnreadableItem(*key)
        account, profile, suppression = (self.stored.get(key) for key in _own_keys(pk))
        if not isinstance(account, Account) or not isinstance(profile, Profile):
            return None
        barred = _bar(account, suppression)
        return Recipient(account, profile, self.stored, self.unreadable, self.at, barred)


def read_owners(reminders: Iterable[Reminder], *, now: datetime) -> Reading:
    """Reads the owners of reminders, and what the mails need besides: one round trip for each
    hundred items, which are those of 25 learners or more."""
    keys: dict[tuple[str, str], None] = {}
    for reminder in reminders:
        keys |= dict.fromkeys(_own_keys(reminder.pk))
        if reminder.event_id:
            keys[Event.key(reminder.learner_id, str(reminder.event_id))] = None
        if reminder.about in DIGESTS:
            keys |= dict.fromkeys(StudyContext.keys(reminder.learner_id))
    unreadable: list[Raw] = []
    stored = batch_get(*keys, on_unreadable=unreadable.append)
    lost = frozenset((raw["pk"]["S"], raw["sk"]["S"]) for raw in unreadable)
    return Reading(stored, lost, now)


@dataclass(frozen=True)
class Outlook:
    """The title of a mail about a reminder, and why it is not mailed now: empty if it is."""

    title: str
    refusal: str


def outlook_of(reminder: Reminder, *, now: datetime) -> Outlook:
    """The outlook of a reminder for its next mail: one round trip. Raises UnreadableItem."""
    reading = read_owners([reminder], now=now)
    recipient = reading.recipient(reminder.learner_id)
    if recipient is None:
        return Outlook(str(reminder.title), "disabled")
    event = recipient.event_of(reminder)
    title = reminder.title or (event.title if event else "")
    return Outlook(str(title), recipient.refusal(reminder))


def _own_keys(pk: str) -> tuple[tuple[str, str], ...]:
    return (pk, Account.SK), (pk, Profile.SK), (pk, Suppression.SK)


def _bar(account: Account, suppression: Item | None) -> str:
    """The reason why an account is not mailed at all, or empty."""
    if account.disabled:
        return "disabled"
    if not account.email_verified:
        return "unverified"
    is_barred = isinstance(suppression, Suppression) and suppression.bars(account.email)
    return "suppressed" if is_barred else ""


# --- What is owed -------------------------------------------------------------------------------

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
        """The record of an earlier try."""
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
        ):  # so that staff see what failed till then
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
        elif delivery.state == SENDING and (delivery.repeated or claim.reminder.about in DIGESTS):
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
