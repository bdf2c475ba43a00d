"""The recipient of a mail: whether and when they may be mailed, and how much is to study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from accounts.models import Account, Profile, learner_key
from config.store.items import Item, Raw, batch_get
from learning.services.due_queue import day_of, due_queue
from learning.services.study_context import StudyContext
from reminders import emails, timing
from reminders.models import STUDY, Event, Reminder, Suppression, quiet_hours_of

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

    def refusal(self, about: str) -> str:
        """The reason why a kind of reminder is not mailed now, or empty. Raises UnreadableItem."""
        if about != STUDY:
            return self.barred or ("" if self.profile.event_mails else "unsubscribed")
        if self.barred or not self.profile.study_mails:
            return self.barred or "unsubscribed"
        for key in StudyContext.keys(self.account.learner_id):
            self._item(key)
        if self._has_met_goal:
            return "goal_met"
        return "" if self.due_cards else "nothing_due"

    @cached_property
    def due_cards(self) -> int:
        """How many cards there are to study, MANY at most: three queries."""
        queue = due_queue(
            learner_id=self.account.learner_id,
            deck_id=None,
            limit=0,
            now=self.read_at,
            stored=self.stored,
        )
        return min(queue.learning + queue.review + queue.new, emails.MANY)

    @property
    def _has_met_goal(self) -> bool:
        study = StudyContext.of(self.account.learner_id, self.stored)
        today = day_of(study, study.calendar.day(self.read_at))
        return today.count_of("reviews") >= int(self.profile.daily_goal)

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
    if any(reminder.about == STUDY for reminder in reminders):
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
