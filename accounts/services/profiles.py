"""A learner's own page: what they said of themselves and how far they came."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.calendars import Calendar
from accounts.models import Account, Head, Profile, learner_key
from accounts.services.changes import commit
from accounts.signals import zone_changed
from config.problems import NotFound, PreconditionFailed
from config.store.retrying import retried
from config.store.transactions import Put
from config.table import ConditionFailed, fetch


@dataclass(frozen=True)
class Person:
    """A learner as they see themselves; `now` is the instant for which the streak stands."""

    account: Account
    profile: Profile
    head: Head
    groups: frozenset[str]
    now: datetime

    @property
    def streak(self) -> int:
        """Days of study in a row, on the learner's own calendar."""
        hour = int(self.head.day_starts_at_hour)
        return self.head.streak(Calendar(self.profile.timezone, hour).day(self.now))


def person(learner_id: str, *, groups: frozenset[str], now: datetime) -> Person | None:
    """All of a learner's page in one round trip; None where there is no such account."""
    pk = learner_key(learner_id)
    found = fetch((pk, Account.SK), (pk, Profile.SK), (pk, Head.SK))
    account, profile = found.get((pk, Account.SK)), found.get((pk, Profile.SK))
    if not isinstance(account, Account) or not isinstance(profile, Profile):
        return None
    return Person(account, profile, Head.among(learner_id, found), groups, now)


def change(
    learner_id: str,
    *,
    groups: frozenset[str],
    values: dict[str, Any],
    expected_version: int | None,
    now: datetime,
) -> Person:
    """Sets attributes of the profile.

    Raises PreconditionFailed when the profile is not at `expected_version`; NotFound.
    """
    found, moved = _changed(learner_id, groups, values, expected_version, now)
    if moved:
        zone_changed.send(Profile, learner_id=learner_id)
    return found


@retried(ConditionFailed)
def _changed(
    learner_id: str,
    groups: frozenset[str],
    values: dict[str, Any],
    expected_version: int | None,
    now: datetime,
) -> tuple[Person, bool]:
    """The learner's page after the change, and whether they live in another zone now."""
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
    commit(found.head, Put(found.profile, Profile.pk.exists()))
    return found, found.profile.timezone != zone
