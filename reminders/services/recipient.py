"""The learner whom a mail is for: may they be mailed, when, and what is there to study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from accounts.models import Account, Profile, learner_key
from config.store.items import Item, batch_get
from learning.services.due_queue import day_of, due_queue
from learning.services.study_context import StudyContext
from reminders import emails, timing
from reminders.models import STUDY, Event, Reminder, Suppression

Stored = Mapping[tuple[str, str], Item]


@dataclass(frozen=True)
class Recipient:
    """The learner as a mail needs to know them.

    `barred` says why they may not be mailed, `needless` why not about study, each empty where
    they may; `due_cards` is how much there is to study.
    """

    account: Account
    profile: Profile
    events: Mapping[str, Event]
    barred: str = ""
    needless: str = ""
    due_cards: int = 0

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.profile.timezone)

    @property
    def preferences(self) -> timing.Preferences:
        starts, ends = self.profile.quiet_from, self.profile.quiet_until
        if not starts or not ends or starts == ends:
            return timing.Preferences()
        zone = self.profile.timezone
        return timing.Preferences(
            timing.QuietHours(time.fromisoformat(starts), time.fromisoformat(ends), zone)
        )

    def refusal(self, about: str) -> str:
        """Why a kind of reminder is not mailed now, or empty."""
        if about != STUDY:
            return self.barred or ("" if self.profile.event_mails else "unsubscribed")
        return self.barred or ("" if self.profile.study_mails else "unsubscribed") or self.needless


def recipient_of(reminders: Sequence[Reminder], *, now: datetime) -> Recipient | None:
    """The learner of some reminders; None where there is none any more.

    One round trip; where a study reminder is among them, the three queries of the study queue.
    """
    learner_id = reminders[0].learner_id
    pk = learner_key(learner_id)
    keys = [(pk, Account.SK), (pk, Profile.SK), (pk, Suppression.SK)]
    keys += [Event.key(learner_id, str(item.event_id)) for item in reminders if item.event_id]
    studies = any(item.about == STUDY for item in reminders)
    if studies:
        keys += StudyContext.keys(learner_id)
    stored = {**batch_get(*keys[:100]), **(batch_get(*keys[100:]) if keys[100:] else {})}
    account, profile = stored.get((pk, Account.SK)), stored.get((pk, Profile.SK))
    if not isinstance(account, Account) or not isinstance(profile, Profile):
        return None
    events = {item.id: item for item in stored.values() if isinstance(item, Event)}
    barred = _bar(account, stored.get((pk, Suppression.SK)))
    if barred or not studies or not profile.study_mails:
        return Recipient(account, profile, events, barred)
    if _has_met_goal(profile, stored, now):
        return Recipient(account, profile, events, needless="goal_met")
    queue = due_queue(learner_id=learner_id, deck_id=None, limit=0, now=now, stored=stored)
    due = min(queue.learning + queue.review + queue.new, emails.MANY)
    return Recipient(account, profile, events, "", "" if due else "nothing_due", due)


def _bar(account: Account, suppression: Item | None) -> str:
    """Why an account is not mailed at all, or empty."""
    if account.disabled:
        return "disabled"
    if not account.email_verified:
        return "unverified"
    same = isinstance(suppression, Suppression) and suppression.email == account.email
    return "suppressed" if same else ""


def _has_met_goal(profile: Profile, stored: Stored, now: datetime) -> bool:
    learner_id = profile.pk.partition("#")[2]
    study = StudyContext.of(learner_id, stored)
    today = day_of(study, study.calendar.day(now))
    return today.count_of("reviews") >= int(profile.daily_goal)
