"""What learners want to be mailed, and how far that has come."""

from datetime import datetime, time, timedelta
from hashlib import sha256
from typing import Any

from pynamodb.attributes import (
    BooleanAttribute,
    JSONAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.expressions.update import Action

from accounts.models import Profile, learner_key
from config.store.items import ConditionFailed, Item, OnUnreadable, Page, Raw, key_instant
from config.store.transactions import Check, Delete, Put, Update, transact
from learning.models.base import LearnerItem
from reminders import timing
from reminders.models.events import Event

SHARDS = 8
"""How many partitions the due index is spread over. It may grow at any time; before it shrinks, the
shards that go must be empty. `docs/scaling.md` has the arithmetic."""
IN_HAND = timedelta(minutes=1)
"""Longer than a claim lasts: what is claimed stands in the due index at the end of its lease."""
EVENT, ONCE, STUDY = "event", "once", "study"


class Reminder(LearnerItem, discriminator="reminder"):
    """What a learner wants to be mailed, and how far that has come: `REMINDER#<id>`.

    `about` is `event` (`event_id`, `offset_minutes`), `once` (`at`) or `study` (`weekdays` from 0,
    Monday; `local_time`, in the zone of the profile). lsi4: `OF#<event id>#<id>`.
    gsi1, the due index: `DUE#<shard>` / `<instant to look at it>#<id>`; absent while there is
    nothing to wait for.

    Whoever writes it adds one to `fence`, provided it is what they have read: so a sweeper that was
    overtaken changes nothing. `interrupted` stands from a sweeper's claim until a sweeper has
    settled it, whatever the learner changes meanwhile; `attempts` counts failures since. `version`
    counts the learner's own changes.
    """

    PREFIX = "REMINDER#"
    OF = "OF#"

    about = UnicodeAttribute()
    title = UnicodeAttribute(default="")
    note = UnicodeAttribute(default="")
    event_id = UnicodeAttribute(null=True)
    offset_minutes: ListAttribute[Any] = ListAttribute(of=NumberAttribute, default=list)
    at = UTCDateTimeAttribute(null=True)
    weekdays: ListAttribute[Any] = ListAttribute(of=NumberAttribute, default=list)
    local_time = UnicodeAttribute(null=True)
    paused = BooleanAttribute(default=False)
    next_at = UTCDateTimeAttribute(null=True)
    done_at = UTCDateTimeAttribute()
    done_key = UnicodeAttribute(default="")
    snoozes = JSONAttribute(default=list)
    settled: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, null=True)
    interrupted = BooleanAttribute(default=False)
    attempts = NumberAttribute(default=0)
    dead = BooleanAttribute(default=False)
    fence = NumberAttribute(default=0)
    version = NumberAttribute(default=1)
    # Of a claimed copy: its fence then, and whether an earlier sweeper did not come to an end.
    claimed_fence = 0
    was_interrupted = False

    @classmethod
    def of_event(cls, learner_id: str, event_id: str) -> "list[Reminder]":
        """The reminders of an event, one query."""
        condition = cls.lsi4.startswith(f"{cls.OF}{event_id}#")
        return cls.query_all(learner_key(learner_id), condition, index="lsi4")

    @classmethod
    def every(
        cls, learner_id: str, *, on_unreadable: OnUnreadable | None = None
    ) -> "list[Reminder]":
        """All reminders of a learner, a Query for each megabyte."""
        return cls.query_all(
            learner_key(learner_id), cls.sk.startswith(cls.PREFIX), on_unreadable=on_unreadable
        )

    @property
    def is_over(self) -> bool:
        """Whether it is a one-off that was mailed, dismissed or missed."""
        return bool(self.about == ONCE and not self.next_at and not self.paused)

    @classmethod
    def due(
        cls,
        shard: int,
        *,
        by: datetime,
        limit: int,
        start: Raw | None,
        on_unreadable: OnUnreadable | None = None,
    ) -> "Page[Reminder]":
        """A page of a shard's reminders to look at by an instant, the longest waiting first.

        One query of gsi1, which is eventually consistent: what it shows must still be claimed.
        """
        condition = cls.gsi1sk <= f"{key_instant(by)}~"
        return cls.query_page(
            f"DUE#{shard}",
            condition,
            index="gsi1",
            limit=limit,
            start=start,
            on_unreadable=on_unreadable,
        )

    @classmethod
    def quarantine_write(cls, pk: str, sk: str, *, seen_at: str) -> Update:
        """The write that takes one that cannot be read out of the due index, and marks it dead.

        The condition is that its place in the index is still the one that was seen.
        """
        actions: list[Action] = [cls.gsi1pk.remove(), cls.gsi1sk.remove(), cls.dead.set(True)]
        return Update(cls(pk, sk), actions, cls.gsi1sk == seen_at)

    def is_in_hand(self, now: datetime) -> bool:
        """Whether it is due, or a sweeper may have it at this moment."""
        return bool(self.gsi1sk and self.due_at <= now + IN_HAND)

    @property
    def due_at(self) -> datetime:
        """Its place in the due index, where it has one."""
        return datetime.fromisoformat(self.gsi1sk.partition("#")[0])

    @property
    def progress(self) -> timing.Progress:
        snoozes = (
            timing.Snooze(snooze[0], datetime.fromisoformat(snooze[1])) for snooze in self.snoozes
        )
        return timing.Progress(
            self.done_at, self.done_key, tuple(snoozes), frozenset(self.settled or ())
        )

    def rule(self, *, zone: str, event: Event | None) -> timing.Reminder | None:
        """When it falls due, for a learner in a zone; None where its event is no more."""
        if self.about == ONCE and self.at:
            return timing.OneOff(self.at)
        if self.about == STUDY and self.local_time:
            days = frozenset(int(day) for day in self.weekdays)
            return timing.StudyReminder(days, time.fromisoformat(self.local_time), zone)
        if event is None:
            return None
        return timing.EventReminder(event.recurrence, tuple(int(n) for n in self.offset_minutes))

    def advance(
        self,
        progress: timing.Progress,
        rule: timing.Reminder | None,
        *,
        quiet: timing.QuietHours | None,
        now: datetime,
    ) -> None:
        """Takes over a progress and waits for the next due after it."""
        self.done_at, self.done_key = progress.done_at, progress.done_key
        self.settled = sorted(progress.settled) or None
        self.snoozes = [
            [snooze.occurrence, snooze.until.isoformat()] for snooze in progress.snoozes
        ]
        ahead = None
        if rule and not self.paused:
            ahead = timing.look_ahead(rule, progress, quiet=quiet, now=now)
        self.next_at = ahead.mail_at if ahead else None
        self.attempts, self.dead = 0, False
        self.schedule_check(ahead.check_at if ahead else None)

    def set_index_keys(self) -> None:
        """Sets the index keys; in the due index it keeps a place that a sweeper gave it."""
        self.lsi4 = f"{self.OF}{self.event_id}#{self.id}" if self.about == EVENT else None
        if not self.gsi1sk:
            self.schedule_check(None if self.dead else self.next_at)
        else:
            self.gsi1pk = f"DUE#{shard_of(self.learner_id)}"

    def schedule_check(self, at: datetime | None) -> None:
        """Has the sweep look at it at an instant, or not at all."""
        self.gsi1pk = f"DUE#{shard_of(self.learner_id)}" if at else None
        self.gsi1sk = f"{key_instant(at)}#{self.id}" if at else None

    def write(self) -> Put:
        """The write of this copy, provided that nobody has written since it was read."""
        read = self.fence
        self.fence = read + 1
        return Put(self, Reminder.pk.does_not_exist() if read == 0 else Reminder.fence == read)

    def claim(self, *, until: datetime) -> None:
        """Takes it for one sweeper, who must have settled it by then.

        Refreshes this copy. Raises ConditionFailed when it was changed or claimed since the index
        showed it.
        """
        interrupted = bool(self.interrupted)
        self.update_attributes(
            Reminder.gsi1sk.set(f"{key_instant(until)}#{self.id}"),
            Reminder.fence.set(Reminder.fence + 1),
            Reminder.interrupted.set(True),
            condition=Reminder.gsi1sk == self.gsi1sk,
        )
        self.claimed_fence, self.was_interrupted = int(self.fence), interrupted

    def claim_check(self) -> Check:
        """That our claim has not been overtaken."""
        return Check(self.pk, self.sk, Reminder.fence == self.fence)


def quiet_hours_of(profile: Profile) -> timing.QuietHours | None:
    """The hours in which the learner is not mailed, on the profile's clock."""
    starts, ends = profile.quiet_from, profile.quiet_until
    if not starts or not ends or starts == ends:
        return None
    return timing.QuietHours(
        time.fromisoformat(starts),
        time.fromisoformat(ends),
        profile.timezone,
        early=profile.early_mails,
    )


def shard_of(learner_id: str) -> int:
    """The shard of all of a learner's reminders, so that those of one moment come together."""
    return int.from_bytes(sha256(learner_id.encode()).digest()[:4]) % SHARDS


class ShardLease(Item, discriminator="shard_lease"):
    """The run that goes on with a shard under backlog: `SHARD#<number>` / `CHAIN`.

    There is one at a time: `holder` names it, and it has the shard until `until`.
    """

    SK = "CHAIN"
    KEPT_S = 86_400

    holder = UnicodeAttribute()
    until = UTCDateTimeAttribute()

    @classmethod
    def take(
        cls, shard: int, *, holder: str, until: datetime, now: datetime, after: str | None = None
    ) -> bool:
        """Whether `holder` has the shard now: nobody had it, or the run named `after` did."""
        lease = cls(
            f"SHARD#{shard}",
            cls.SK,
            holder=holder,
            until=until,
            expires_at=int(until.timestamp()) + cls.KEPT_S,
        )
        is_free = cls.pk.does_not_exist() | (cls.until < now)
        try:
            lease.put(is_free if after is None else cls.holder == after)
        except ConditionFailed:
            return False
        return True

    @classmethod
    def give_back(cls, shard: int, *, holder: str) -> None:
        """Lets another run go on with the shard, if this one still has it."""
        try:
            transact(Delete(cls(f"SHARD#{shard}", cls.SK), cls.holder == holder))
        except ConditionFailed:
            return
