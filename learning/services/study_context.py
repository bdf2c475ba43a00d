"""How a learner studies: the scheduler's settings, their calendar, their decks' own limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from accounts.models import Head, Profile, learner_key
from accounts.services.changes import commit
from accounts.study_day import StudyCalendar
from config.problems import check_version
from config.store.connection import retried
from config.store.items import ConditionFailed, Item, batch_get
from config.store.transactions import Put
from learning.models.scheduler import Scheduler

# What a deck may have of its own in place of the learner's.
DECK_OPTIONS = ("new_cards_per_day", "reviews_per_day", "desired_retention")


@dataclass(frozen=True)
class StudyContext:
    """What every act of studying needs to know of the learner."""

    calendar: StudyCalendar
    scheduler: Scheduler
    head: Head

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
        timezone = profile.timezone if isinstance(profile, Profile) else "UTC"
        return cls(
            StudyCalendar(timezone, int(scheduler.day_starts_at_hour)),
            scheduler,
            Head.among(learner_id, stored),
        )

    def deck_option(self, deck_id: str, name: str) -> Any:
        """A deck's own value of an option, None where the learner's is in force."""
        return self.scheduler.decks.get(deck_id, {}).get(name)


def read_scheduler(*, learner_id: str) -> Scheduler:
    """The settings in force: one read."""
    scheduler = Scheduler.get_or_none(*Scheduler.key(learner_id))
    return scheduler or Scheduler(*Scheduler.key(learner_id))


@retried(ConditionFailed)
def update_scheduler(
    *, learner_id: str, changes: Mapping[str, Any], expected_version: int | None
) -> Scheduler:
    """Makes the next version of the settings: one read, one transaction.

    Reviews made before keep the version they were made under, wherever they are replayed.
    Raises PreconditionFailed, ServiceUnavailable.
    """
    key = Scheduler.key(learner_id)
    stored = batch_get(key, Head.key(learner_id))
    head, found = Head.among(learner_id, stored), stored.get(key)
    scheduler = found if isinstance(found, Scheduler) else Scheduler(*key)
    check_version(expected_version, int(scheduler.number))
    for name, value in changes.items():
        setattr(scheduler, name, value)
    scheduler.number += 1
    if "day_starts_at_hour" in changes:  # where the profile finds when a streak ends
        head.day_starts_at_hour = changes["day_starts_at_hour"]
    commit(head, Put(scheduler), Put(scheduler.as_version(learner_id)))
    return scheduler
