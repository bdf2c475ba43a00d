"""The learner's events, and the address of their calendar."""

from datetime import date, datetime, timedelta
from typing import Any

from pynamodb.attributes import (
    JSONAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)

from accounts.models import learner_key
from config.store.items import Item, OnUnreadable, key_instant
from config.store.transactions import Update
from learning.models.base import LearnerItem
from reminders.recurrence import Move, Recurrence, check_syntax, over_at

FOREVER = "9999"


class Event(LearnerItem, discriminator="event"):
    """Something that takes place once or repeatedly: `EVENT#<id>`.

    `starts` is a wall time of `timezone`, or a date for an all-day event, in ISO 8601; `moved`
    lists {key, starts, duration_s or null}; `begins_on` and, of a rule with COUNT, `ends_on` are
    the days of its first and last occurrence; `alarms_at` is when its reminders were
    changed. lsi4: `EVENT#<instant it is over for good, or 9999>`.
    """

    PREFIX = "EVENT#"

    title = UnicodeAttribute()
    description = UnicodeAttribute(default="")
    location = UnicodeAttribute(default="")
    starts = UnicodeAttribute()
    duration_s = NumberAttribute()
    timezone = UnicodeAttribute()
    rrule = UnicodeAttribute(null=True)
    begins_on = UnicodeAttribute(null=True)
    ends_on = UnicodeAttribute(null=True)
    skipped: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, default=list)
    moved = JSONAttribute(default=list)
    alarms_at = UTCDateTimeAttribute(null=True)
    version = VersionAttribute()

    def open(self) -> None:
        """Makes an event whose content makes no sense count as unreadable."""
        check_syntax(self.recurrence)

    @classmethod
    def not_over(
        cls,
        learner_id: str,
        *,
        at: datetime,
        most: int,
        on_unreadable: OnUnreadable | None = None,
    ) -> "list[Event]":
        """The events that are not over at an instant, the soonest to end first.

        One more than `most` is a sign that there are others.
        """
        condition = cls.lsi4.between(f"{cls.PREFIX}{key_instant(at)}", f"{cls.PREFIX}{FOREVER}~")
        return cls.query_all(
            learner_key(learner_id),
            condition,
            index="lsi4",
            most=most,
            on_unreadable=on_unreadable,
        )

    @classmethod
    def over(
        cls,
        learner_id: str,
        *,
        after: datetime,
        before: datetime,
        limit: int,
        on_unreadable: OnUnreadable | None = None,
    ) -> "list[Event]":
        """Up to `limit` events that ended in a span of time, the last to end first."""
        first, last = (f"{cls.PREFIX}{key_instant(instant)}" for instant in (after, before))
        condition = cls.lsi4.between(first, last)
        return cls.query_page(
            learner_key(learner_id),
            condition,
            index="lsi4",
            limit=limit,
            descending=True,
            on_unreadable=on_unreadable,
        ).items

    @classmethod
    def alarms_write(cls, learner_id: str, event_id: str, *, now: datetime) -> Update:
        """The write that notes a change of an event's reminders, if there is such an event.

        Its version stays: the event itself is as it was.
        """
        return Update(
            Item(*cls.key(learner_id, event_id)), [cls.alarms_at.set(now)], cls.kind == cls
        )

    @property
    def shown_at(self) -> datetime:
        """When it last changed in a way that a calendar shows, alarms included."""
        return max(self.updated_at, self.alarms_at or self.updated_at)

    @property
    def over_at(self) -> datetime | None:
        """When it is over for good; None for never."""
        instant = self.lsi4.removeprefix(self.PREFIX)
        return None if instant == FOREVER else datetime.fromisoformat(instant)

    @property
    def recurrence(self) -> Recurrence:
        """When it takes place, as the rules know it."""
        return Recurrence(
            starts=_wall(self.starts),
            zone=self.timezone,
            duration=timedelta(seconds=int(self.duration_s)),
            rule=self.rrule,
            skipped=frozenset(self.skipped),
            moved=tuple(
                Move(move["key"], _wall(move["starts"]), _seconds(move["duration_s"]))
                for move in self.moved
            ),
            begins_on=date.fromisoformat(self.begins_on) if self.begins_on else None,
            ends_on=date.fromisoformat(self.ends_on) if self.ends_on else None,
        )

    def set_recurrence(self, recurrence: Recurrence) -> None:
        """Sets when it takes place, and with it when it is over for good."""
        self.starts = recurrence.starts.isoformat()
        self.timezone = recurrence.zone
        self.duration_s = int(recurrence.duration.total_seconds())
        self.rrule = recurrence.rule
        self.begins_on = recurrence.begins_on.isoformat() if recurrence.begins_on else None
        self.ends_on = recurrence.ends_on.isoformat() if recurrence.ends_on else None
        self.skipped = sorted(recurrence.skipped)
        self.moved = [
            {
                "key": move.key,
                "starts": move.starts.isoformat(),
                "duration_s": None if move.duration is None else int(move.duration.total_seconds()),
            }
            for move in recurrence.moved
        ]
        self.set_index_keys()

    def set_index_keys(self) -> None:
        over = over_at(self.recurrence)
        self.lsi4 = f"{self.PREFIX}{key_instant(over) if over else FOREVER}"


def _wall(text: str) -> date | datetime:
    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)


def _seconds(count: int | None) -> timedelta | None:
    return None if count is None else timedelta(seconds=count)


class CalendarLink(Item, discriminator="calendar_link"):
    """The secret part of the learner's calendar address, as its fingerprint: `CALENDAR`."""

    SK = "CALENDAR"

    proof = UnicodeAttribute()
    made_at = UTCDateTimeAttribute()

    @classmethod
    def of(cls, learner_id: str) -> "CalendarLink | None":
        """One consistent read."""
        return cls.get_or_none(learner_key(learner_id), cls.SK)
