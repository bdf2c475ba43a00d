"""The recipient of a mail: whether and when they may be mailed, and how much is to study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from accounts.models import Account, Profile, learner_key
from config.store.items import Item, Raw, batch_get
from learning.services.due_queue import day_of, due_queue
from learning.services.statistics import Week, read_week
from learning.services.study_context import StudyContext
from reminders import emails, timing
from reminders.models import (
    DIGESTS,
    REPORT,
    STREAK,
    STUDY,
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


class UnreadableItem(Exception):
    """A stored item that a mail depends on cannot be read."""


@dataclass(frozen=True)
class Recipient:
    """The recipient of a mail, with what was stored of them at an instant.

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
        """Whether the learner has not come for so long that this digest is one too many.

        Mails thin out: after a week they come once a week, after five once a month, and after half
        a year no more, until the learner studies again or changes the reminder.
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
            raise UnreadableItem
        return self.stored.get(key)


def recipient_of(reminders: Sequence[Reminder], *, now: datetime) -> Recipient | None:
    """Reads the owner of some reminders; None if the account was deleted.

    One round trip, also for what study reminders need. Raises UnreadableItem if nobody can tell
    whether they may be mailed.
    """
    learner_id = reminders[0].learner_id
    pk = learner_key(learner_id)
    own_keys = [(pk, Account.SK), (pk, Profile.SK), (pk, Suppression.SK)]
    keys = own_keys + [
        Event.key(learner_id, str(reminder.event_id)) for reminder in reminders if reminder.event_id
    ]
    if any(reminder.about in DIGESTS for reminder in reminders):
        keys += StudyContext.keys(learner_id)
    stored, unreadable = _read(keys)
    if unreadable.intersection(own_keys):
        raise UnreadableItem
    account, profile = stored.get((pk, Account.SK)), stored.get((pk, Profile.SK))
    if not isinstance(account, Account) or not isinstance(profile, Profile):
        return None
    barred = _bar(account, stored.get((pk, Suppression.SK)))
    return Recipient(account, profile, stored, unreadable, now, barred)


def _read(keys: Sequence[tuple[str, str]]) -> tuple[Stored, frozenset[tuple[str, str]]]:
    """The items that exist among the keys, and the keys of those that cannot be read."""
    unreadable: list[Raw] = []
    stored = batch_get(*keys, on_unreadable=unreadable.append)
    return stored, frozenset((raw["pk"]["S"], raw["sk"]["S"]) for raw in unreadable)


def _bar(account: Account, suppression: Item | None) -> str:
    """The reason why an account is not mailed at all, or empty."""
    if account.disabled:
        return "disabled"
    if not account.email_verified:
        return "unverified"
    same = isinstance(suppression, Suppression) and suppression.email == account.email
    return "suppressed" if same else ""
