"""How a learner studies: the scheduler's settings, their calendar, their decks' own limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from accounts.models import Profile, Progress, learner_key
from accounts.study_day import StudyCalendar
from config.problems import check_version
from config.store.items import ConditionFailed, Item, Put, Update, Write, transact
from learning.models.scheduler import Scheduler

# What a deck may have of its own in place of the learner's.
DECK_OPTIONS = ("new_cards_per_day", "reviews_per_day", "desired_retention")


@dataclass(frozen=True)
class StudyContext:
    """What every act of studying needs to know of the learner."""

    calendar: StudyCalendar
    scheduler: Scheduler
    progress: Progress

    @staticmethod
    def keys(learner_id: str) -> list[tuple[str, str]]:
        """What to fetch before `of`."""
        pk = learner_key(learner_id)
        return [(pk, Profile.SK), (pk, Progress.SK), Scheduler.key(learner_id)]

    @classmethod
    def of(cls, learner_id: str, stored: Mapping[tuple[str, str], Item]) -> Self:
        """From fetched items; what does not exist yet has its defaults."""
        profile, progress, scheduler = (stored.get(key) for key in cls.keys(learner_id))
        if not isinstance(scheduler, Scheduler):
            scheduler = Scheduler(*Scheduler.key(learner_id))
        if not isinstance(progress, Progress):
            progress = Progress(learner_key(learner_id), Progress.SK)
        timezone = profile.timezone if isinstance(profile, Profile) else "UTC"
        return cls(StudyCalendar(timezone, int(scheduler.day_starts_at_hour)), scheduler, progress)

    def deck_option(self, deck_id: str, name: str) -> Any:
        """A deck's own value of an option, None where the learner's is in force."""
        return self.scheduler.decks.get(deck_id, {}).get(name)


def read_scheduler(*, learner_id: str) -> Scheduler:
    """The settings in force: one read."""
    scheduler = Scheduler.get_or_none(*Scheduler.key(learner_id))
    return scheduler or Scheduler(*Scheduler.key(learner_id))


def update_scheduler(
    *, learner_id: str, changes: Mapping[str, Any], expected_version: int | None
) -> Scheduler:
    """Makes the next version of the settings: one read, one transaction.

    Reviews made before keep the version they were made under, wherever they are replayed.
    Raises PreconditionFailed.
    """
    while True:
        scheduler = read_scheduler(learner_id=learner_id)
        check_version(expected_version, int(scheduler.number))
        for name, value in changes.items():
            setattr(scheduler, name, value)
        scheduler.number += 1
        writes: list[Write] = [Put(scheduler), Put(scheduler.as_version(learner_id))]
        if "day_starts_at_hour" in changes:
            writes.append(_day_start(learner_id, changes["day_starts_at_hour"]))
        try:
            transact(*writes)
        except ConditionFailed:
            continue  # changed meanwhile: an expected version fails the check above now
        return scheduler


def _day_start(learner_id: str, hour: int) -> Write:
    """The write that tells the learner's profile when their day, and so their streak, ends."""
    actions = [Progress.kind.set(Progress), Progress.day_starts_at_hour.set(hour)]
    return Update(Progress(learner_key(learner_id), Progress.SK), actions)
