"""A learner's own page: their profile and their progress."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from accounts.models import Account, Head, Profile, Suppression, audit, learner_key
from accounts.services.changes import commit
from accounts.signals import mail_hours_changed
from accounts.study_day import StudyCalendar
from config.client_info import ClientInfo
from config.problems import Filled, NotFound, PreconditionFailed
from config.records import dataclass
from config.store.connection import retried
from config.store.items import ConditionFailed, batch_get
from config.store.transactions import Put

MAIL_HOURS = frozenset({"timezone", "quiet_hours", "early_mails"})
"""What decides at which hours reminders are mailed."""


@dataclass(frozen=True)
class FullProfile:
    """A learner as they see themselves; `now` is the instant for which the streak stands."""

    account: Account
    profile: Profile
    head: Head
    groups: frozenset[str]
    now: datetime
    suppression: Suppression | None = None

    @property
    def streak(self) -> int:
        """Days of study in a row, on the learner's own calendar."""
        hour = int(self.head.day_starts_at_hour)
        return self.head.streak(StudyCalendar(self.profile.timezone, hour).day(self.now))


def read_profile(learner_id: str, *, groups: frozenset[str], now: datetime) -> FullProfile | None:
    """All of a learner's page in one round trip; None where there is no such account."""
    pk = learner_key(learner_id)
    kinds = (Account, Profile, Head, Suppression)
    items = batch_get(*((pk, kind.SK) for kind in kinds))
    account, profile = items.get((pk, Account.SK)), items.get((pk, Profile.SK))
    if not isinstance(account, Account) or not isinstance(profile, Profile):
        return None
    suppression = items.get((pk, Suppression.SK))
    if not isinstance(suppression, Suppression) or not suppression.bars(account.email):
        suppression = None
    return FullProfile(account, profile, Head.among(learner_id, items), groups, now, suppression)


def update_profile(
    learner_id: str,
    *,
    groups: frozenset[str],
    values: dict[str, Any],
    expected_version: int | None,
    now: datetime,
) -> FullProfile:
    """Sets attributes of the profile.

    Raises PreconditionFailed when the profile is not at `expected_version`; NotFound.
    """
    full_profile = _changed(learner_id, groups, values, expected_version, now)
    if MAIL_HOURS & values.keys():  # also with what is stored: the process may have ended before
        mail_hours_changed.send(Profile, learner_id=learner_id)
    return full_profile


@retried(ConditionFailed)
def _changed(
    learner_id: str,
    groups: frozenset[str],
    values: dict[str, Any],
    expected_version: int | None,
    now: datetime,
) -> FullProfile:
    """The learner's page after the change."""
    page = read_profile(learner_id, groups=groups, now=now)
    if page is None:
        raise NotFound
    if expected_version not in (None, int(page.profile.version)):
        raise PreconditionFailed(
            Filled("The item is at version {version}: read it again", version=page.profile.version)
        )
    if "timezone" in values:
        page.profile.move_to(values["timezone"], timezone.now())
    for name, value in values.items():
        setattr(page.profile, name, value)
    commit(page.head, Put(page.profile, Profile.pk.exists()))
    return page


@retried(ConditionFailed)
def set_consents(
    learner_id: str, given: Mapping[str, bool], *, source: ClientInfo, now: datetime
) -> Profile:
    """Gives or withdraws consents by the names of the profile's attributes, e.g. `model_text_at`.

    A consent that was given before keeps its instant. Each change is in the trail. Raises NotFound.
    """
    keys = (learner_key(learner_id), Profile.SK), Head.key(learner_id)
    stored = batch_get(*keys)
    profile = stored.get(keys[0])
    if not isinstance(profile, Profile):
        raise NotFound
    actions = []
    for name, is_given in given.items():
        if is_given != bool(getattr(profile, name)):
            setattr(profile, name, now if is_given else None)
            action: audit.Action = "model_consent_given" if is_given else "model_consent_withdrawn"
            actions.append(Put(audit.Activity.new(learner_id, action, source, now=now)))
    if actions:
        commit(Head.among(learner_id, stored), Put(profile, Profile.pk.exists()), *actions)
    return profile
