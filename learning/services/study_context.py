"""How a learner studies: the scheduler's settings, their calendar, their decks' own limits."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Self

from django.utils import timezone

from accounts.models import DEFAULT_ZONE, Head, Profile, learner_key
from accounts.services.changes import commit
from accounts.study_day import StudyCalendar
from config.problems import check_version
from config.records import dataclass
from config.store.connection import retried
from config.store.items import ConditionFailed, Item, batch_get
from config.store.transactions import Put
from learning.models.base import EPOCH
from learning.models.scheduler import Scheduler

# What a deck may have of its own in place of the learner's.
DECK_OPTIONS = ("new_cards_per_day", "reviews_per_day", "desired_retention")


@dataclass(frozen=True)
class StudyContext:
    """What every act of studying needs to know of the learner.

    `former`: the versions of the settings before `scheduler`, newest first, as far as they were
    asked for (`reaching`).
    """

    calendar: StudyCalendar
    scheduler: Scheduler
    head: Head
    profile: Profile | None = None
    former: tuple[Scheduler, ...] = ()

    @staticmethod
    def keys(learner_id: str) -> list[tuple[str, str]]:
        """What to fetch before `of`."""
        pk = learner_key(learner_id)
        return [(pk, Profile.SK), (pk, Head.SK), Scheduler.key(learner_id)]

    @classmethod
    def of(cls, learner_id: str, stored: Mapping[tuple[str, str], Item]) -> Self:
        """From fetched items; what does not exist yet has its defaults."""
        profile, _, scheduler = (stored.get(key) for key in cls.keys(learner_id))
        if not isinstance(scheduler, Scheduler):
            scheduler = Scheduler(*Scheduler.key(learner_id))
        profile = profile if isinstance(profile, Profile) else None
        timezone = profile.timezone if profile else DEFAULT_ZONE
        return cls(
            StudyCalendar(timezone, int(scheduler.day_starts_at_hour)),
            scheduler,
            Head.among(learner_id, stored),
            profile,
        )

    def require_whole(self) -> Self:
        """Itself, unless its parts are of different moments (ConditionFailed): read them again.

        A head that is older than the settings fails by itself, when it is written.
        """
        if (self.head.settings or 0) > (self.scheduler.version or 0):
            raise ConditionFailed
        return self

    def reaching(self, at: datetime) -> Self:
        """With the settings in force at an instant: a query, if that is before the newest."""
        if any(version.in_force_at(at) for version in (self.scheduler, *self.former)):
            return self
        return replace(self, former=tuple(self.scheduler.former(at)))

    def settings_at(self, at: datetime) -> Scheduler:
        """The settings in force at an instant, of those that are known."""
        for version in (self.scheduler, *self.former):
            if version.in_force_at(at):
                return version
        return Scheduler(*Scheduler.key(self.head.learner_id))

    def calendar_at(self, at: datetime) -> StudyCalendar:
        """The learner's calendar at an instant."""
        zone = self.profile.zone_at(at) if self.profile else self.calendar.timezone
        return StudyCalendar(zone, int(self.settings_at(at).day_starts_at_hour))


def read_scheduler(*, learner_id: str) -> Scheduler:
    """The settings in force: one read."""
    scheduler = Scheduler.get_or_none(*Scheduler.key(learner_id))
    return scheduler or Scheduler(*Scheduler.key(learner_id))


@retried(ConditionFailed)
def update_scheduler(
    *, learner_id: str, changes: Mapping[str, Any], expected_version: int | None
) -> Scheduler:
    """Makes the next version of the settings: one read, one transaction.

    Reviews of before keep the version that was in force, whenever they come in or are replayed.
    Raises PreconditionFailed, ServiceUnavailable.
    """
    key = Scheduler.key(learner_id)
    stored = batch_get(key, Head.key(learner_id))
    head, found = Head.among(learner_id, stored), stored.get(key)
    scheduler = found if isinstance(found, Scheduler) else Scheduler(*key)
    check_version(expected_version, int(scheduler.number))
    for name, value in changes.items():
        setattr(scheduler, name, value)
    if "day_starts_at_hour" in changes:  # where the profile finds when a streak ends
        head.day_starts_at_hour = changes["day_starts_at_hour"]
    # After the read: a review that was written before it is of an instant before, by a clock that
    # is right, and one that is written meanwhile makes this change begin again.
    scheduler.since = max(timezone.now(), scheduler.since or EPOCH)
    scheduler.number += 1
    commit(head, put_settings(head, scheduler), Put(scheduler.as_version()))
    return scheduler


def put_settings(head: Head, scheduler: Scheduler) -> Put:
    """The write of changed settings; the head tells which there are, see `require_whole`."""
    head.settings = int(scheduler.version or 0) + 1
    return Put(scheduler)
