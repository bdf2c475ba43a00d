"""A learner's own page: what they said of themselves and how far they came."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.models import Account, Profile, Progress, learner_key
from accounts.signals import zone_changed
from accounts.study_day import StudyCalendar
from config.problems import Conflict, NotFound, PreconditionFailed
from config.store.items import ConditionFailed, batch_get


@dataclass(frozen=True)
class FullProfile:
    """A learner as they see themselves; `now` is the instant for which the streak stands."""

    account: Account
    profile: Profile
    progress: Progress
    groups: frozenset[str]
    now: datetime

    @property
    def streak(self) -> int:
        """Days of study in a row, on the learner's own calendar."""
        hour = int(self.progress.day_starts_at_hour)
        return self.progress.streak(StudyCalendar(self.profile.timezone, hour).day(self.now))


def read_profile(learner_id: str, *, groups: frozenset[str], now: datetime) -> FullProfile | None:
    """All of a learner's page in one round trip; None where there is no such account."""
    pk = learner_key(learner_id)
    items = batch_get((pk, Account.SK), (pk, Profile.SK), (pk, Progress.SK))
    account, profile = items.get((pk, Account.SK)), items.get((pk, Profile.SK))
    progress = items.get((pk, Progress.SK))
    if not isinstance(account, Account) or not isinstance(profile, Profile):
        return None
    if not isinstance(progress, Progress):
        progress = Progress(pk, Progress.SK)
    return FullProfile(account, profile, progress, groups, now)


def update_profile(
    learner_id: str,
    *,
    groups: frozenset[str],
    values: dict[str, Any],
    expected_version: int | None,
    now: datetime,
) -> FullProfile:
    """Sets attributes of the profile.

    Raises PreconditionFailed when the profile is not at `expected_version`; without one, Conflict
    when another request changed it at the same moment; NotFound.
    """
    full_profile = read_profile(learner_id, groups=groups, now=now)
    if full_profile is None:
        raise NotFound
    if expected_version not in (None, int(full_profile.profile.version)):
        raise PreconditionFailed(
            f"The profile is at version {full_profile.profile.version}: read it again"
        )
    zone = full_profile.profile.timezone
    for name, value in values.items():
        setattr(full_profile.profile, name, value)
    try:
        full_profile.profile.put(Profile.pk.exists())
    except ConditionFailed as error:
        if expected_version is not None:
            raise PreconditionFailed("The profile was changed at the same moment") from error
        raise Conflict("The profile was changed at the same moment") from error
    if full_profile.profile.timezone != zone:
        zone_changed.send(Profile, learner_id=learner_id)
    return full_profile
