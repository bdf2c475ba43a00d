"""A learner's own page: what they said of themselves and how far they came."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.models import Account, Profile, Progress, learner_key
from accounts.signals import zone_changed
from accounts.study_day import Calendar
from config.problems import Conflict, NotFound, PreconditionFailed
from config.store.items import ConditionFailed, fetch


@dataclass(frozen=True)
class Person:
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
        return self.progress.streak(Calendar(self.profile.timezone, hour).day(self.now))


def person(learner_id: str, *, groups: frozenset[str], now: datetime) -> Person | None:
    """All of a learner's page in one round trip; None where there is no such account."""
    pk = learner_key(learner_id)
    found = fetch((pk, Account.SK), (pk, Profile.SK), (pk, Progress.SK))
    account, profile = found.get((pk, Account.SK)), found.get((pk, Profile.SK))
    progress = found.get((pk, Progress.SK))
    if not isinstance(account, Account) or not isinstance(profile, Profile):
        return None
    if not isinstance(progress, Progress):
        progress = Progress(pk, Progress.SK)
    return Person(account, profile, progress, groups, now)


def change(
    learner_id: str,
    *,
    groups: frozenset[str],
    values: dict[str, Any],
    expected_version: int | None,
    now: datetime,
) -> Person:
    """Sets attributes of the profile.

    Raises PreconditionFailed when the profile is not at `expected_version`; without one, Conflict
    when another request changed it at the same moment; NotFound.
    """
    found = person(learner_id, groups=groups, now=now)
    if found is None:
        raise NotFound
    if expected_version not in (None, int(found.profile.version)):
        raise PreconditionFailed(
            f"The profile is at version {found.profile.version}: read it again"
        )
    zone = found.profile.timezone
    for name, value in values.items():
        setattr(found.profile, name, value)
    try:
        found.profile.put(Profile.pk.exists())
    except ConditionFailed as error:
        if expected_version is not None:
            raise PreconditionFailed("The profile was changed at the same moment") from error
        raise Conflict("The profile was changed at the same moment") from error
    if found.profile.timezone != zone:
        zone_changed.send(Profile, learner_id=learner_id)
    return found
