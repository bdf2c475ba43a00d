"""The items of reminders, in the learner's partition `LEARNER#<sub>`."""

from datetime import date, datetime, time, timedelta
from hashlib import sha256
from typing import Any

from pynamodb.attributes import (
    BooleanAttribute,
    JSONAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from accounts.models import learner_key
from config.table import Check, Item, Page, Put, Raw, Update, key_instant
from learning.models.owned import Owned
from reminders import plan
from reminders.recurrence import Move, Recurrence

SHARDS = 8
"""How many partitions the due index is spread over. It may grow at any time; before it shrinks, the
shards that go must be empty. `docs/scaling.md` has the arithmetic."""
FOREVER = "9999"


class Event(Owned, discriminator="event"):
    """Something that takes place once or repeatedly: `EVENT#<id>`.

    `starts` is a wall time of `timezone`, or a date for an all-day event, in ISO 8601; `moved`
    lists {key, starts, duration_s or null}. lsi1: `EVENT#<instant it is over for good, or 9999>`.
    """

    PREFIX = "EVENT#"

    title = UnicodeAttribute()
    description = UnicodeAttribute(default="")
    location = UnicodeAttribute(default="")
    starts = UnicodeAttribute()
    duration_s = NumberAttribute()
    timezone = UnicodeAttribute()
    rrule = UnicodeAttribute(null=True)
    skipped: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, default=list)
    moved = JSONAttribute(default=list)
    version = VersionAttribute()

    @classmethod
    def not_over(cls, learner_id: str, *, at: datetime, limit: int) -> "list[Event]":
        """Up to so many events that an instant does not lie behind of, those over first first."""
        condition = cls.lsi1.between(f"{cls.PREFIX}{key_instant(at)}", f"{cls.PREFIX}{FOREVER}~")
        return cls.page(learner_key(learner_id), condition, index="lsi1", limit=limit).items

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
                Move(each["key"], _wall(each["starts"]), _seconds(each["duration_s"]))
                for each in self.moved
            ),
        )

    def occur(self, recurrence: Recurrence, *, over_at: datetime | None) -> None:
        """Sets when it takes place and, None for never, when it is over for good."""
        self.starts = recurrence.starts.isoformat()
        self.timezone = recurrence.zone
        self.duration_s = int(recurrence.duration.total_seconds())
        self.rrule = recurrence.rule
        self.skipped = sorted(recurrence.skipped)
        self.moved = [
            {
                "key": move.key,
                "starts": move.starts.isoformat(),
                "duration_s": None if move.duration is None else int(move.duration.total_seconds()),
            }
            for move in recurrence.moved
        ]
        self.lsi1 = f"{self.PREFIX}{key_instant(over_at) if over_at else FOREVER}"


def _wall(text: str) -> date | datetime:
    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)


def _seconds(count: int | None) -> timedelta | None:
    return None if count is None else timedelta(seconds=count)


EVENT, ONCE, STUDY = "event", "once", "study"


class Reminder(Owned, discriminator="reminder"):
    """What a learner wants to be mailed, and how far that has come: `REMINDER#<id>`.

    `about` is `event` (`event_id`, `offset_minutes`), `once` (`at`) or `study` (`weekdays` from 0,
    Monday; `local_time`, in the zone of the profile). lsi2: `EVENT#<event id>#<id>`.
    gsi1, the due index: `DUE#<shard>` / `<instant to look at it>#<id>`; absent while there is
    nothing to wait for.

    Whoever writes it adds one to `fence`, provided it is what they have read: so a sweeper that was
    overtaken changes nothing. `interrupted` stands from a sweeper's claim until a sweeper has
    settled it, whatever the learner changes meanwhile; `attempts` counts failures since. `version`
    counts the learner's own changes.
    """

    PREFIX = "REMINDER#"

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
        condition = cls.lsi2.startswith(f"{Event.PREFIX}{event_id}#")
        return cls.every(learner_key(learner_id), condition, index="lsi2")

    @classmethod
    def due(cls, shard: int, *, by: datetime, limit: int, start: Raw | None) -> "Page[Reminder]":
        """A page of a shard's reminders to look at by an instant, the longest waiting first.

        One query of gsi1, which is eventually consistent: what it shows must still be claimed.
        """
        condition = cls.gsi1sk <= f"{key_instant(by)}~"
        return cls.page(f"DUE#{shard}", condition, index="gsi1", limit=limit, start=start)

    @property
    def learner_id(self) -> str:
        return self.pk.partition("#")[2]

    @property
    def due_at(self) -> datetime:
        """Its place in the due index, where it has one."""
        return datetime.fromisoformat(self.gsi1sk.partition("#")[0])

    @property
    def progress(self) -> plan.Progress:
        snoozes = (plan.Snooze(each[0], datetime.fromisoformat(each[1])) for each in self.snoozes)
        return plan.Progress(self.done_at, self.done_key, tuple(snoozes))

    def rule(self, *, zone: str, event: Event | None) -> plan.Reminder | None:
        """When it falls due, for a learner in a zone; None where its event is no more."""
        if self.about == ONCE and self.at:
            return plan.OneOff(self.at)
        if self.about == STUDY and self.local_time:
            days = frozenset(int(day) for day in self.weekdays)
            return plan.StudyReminder(days, time.fromisoformat(self.local_time), zone)
        if event is None:
            return None
        return plan.EventReminder(event.recurrence, tuple(int(n) for n in self.offset_minutes))

    def advance(self, progress: plan.Progress, rule: plan.Reminder | None) -> plan.Due | None:
        """Takes over a progress, and waits for what is due after it, which is returned."""
        self.done_at, self.done_key = progress.done_at, progress.done_key
        self.snoozes = [[each.occurrence, each.until.isoformat()] for each in progress.snoozes]
        due = plan.next_due(rule, progress) if rule and not self.paused else None
        self.next_at = due.at if due else None
        self.attempts, self.dead = 0, False
        self.look_at(self.next_at)
        return due

    def look_at(self, at: datetime | None) -> None:
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
        self.apply(
            Reminder.gsi1sk.set(f"{key_instant(until)}#{self.id}"),
            Reminder.fence.set(Reminder.fence + 1),
            Reminder.interrupted.set(True),
            condition=Reminder.gsi1sk == self.gsi1sk,
        )
        self.claimed_fence, self.was_interrupted = int(self.fence), interrupted

    def held(self) -> Check:
        """That our claim has not been overtaken."""
        return Check(self.pk, self.sk, Reminder.fence == self.fence)


def shard_of(learner_id: str) -> int:
    """The shard of all of a learner's reminders, so that those of one moment come together."""
    return int.from_bytes(sha256(learner_id.encode()).digest()[:4]) % SHARDS


SENDING, SENT, RETRYING, SKIPPED, DEAD = "sending", "sent", "retrying", "skipped", "dead"
UNCONFIRMED, RETRIED = "unconfirmed", "retried"
SETTLED = frozenset({SENT, SKIPPED, DEAD, UNCONFIRMED, RETRIED})
STATES = [SENDING, SENT, RETRYING, SKIPPED, DEAD, UNCONFIRMED, RETRIED]


class Delivery(Item, discriminator="delivery"):
    """What became of one mail that a reminder owed: `DELIVERY#<reminder id>#<key of the due>`.

    The key is what makes an occurrence's mail go out once. `sending`: handed to SES by the claim
    numbered `fence`, whose word is awaited until `lease_until`. `unconfirmed`: that word never
    came, and to send again would be worse. `reason` says why one was skipped or has failed;
    `repeated` that it was handed over twice. lsi2: `MAIL#<mail id>`, which SES's events tell us.
    gsi1: `DEAD` / `<instant>#<id>`, the staff's list.
    """

    PREFIX = "DELIVERY#"
    KEPT_S = 180 * 86_400
    FAILED = "DEAD"

    reminder_id = UnicodeAttribute()
    key = UnicodeAttribute()
    occurrence = UnicodeAttribute()
    due_at = UTCDateTimeAttribute()
    state = UnicodeAttribute()
    reason = UnicodeAttribute(default="")
    attempts = NumberAttribute(default=0)
    repeated = BooleanAttribute(default=False)
    fence = NumberAttribute(default=0)
    lease_until = UTCDateTimeAttribute(null=True)
    mail_id = UnicodeAttribute(null=True)
    message_id = UnicodeAttribute(null=True)
    sent_at = UTCDateTimeAttribute(null=True)
    updated_at = UTCDateTimeAttribute()

    @classmethod
    def of(cls, reminder: Reminder, due: plan.Due, state: str, *, now: datetime) -> "Delivery":
        """A new record."""
        return cls(
            *cls.key_of(reminder, due.key),
            reminder_id=reminder.id,
            key=due.key,
            occurrence=due.occurrence,
            due_at=due.at,
            state=state,
            attempts=reminder.attempts,
            fence=reminder.fence,
            updated_at=now,
            expires_at=int(now.timestamp()) + cls.KEPT_S,
        )

    @classmethod
    def key_of(cls, reminder: Reminder, due_key: str) -> tuple[str, str]:
        return reminder.pk, f"{cls.PREFIX}{reminder.id}#{due_key}"

    @classmethod
    def of_reminder(
        cls, learner_id: str, reminder_id: str, *, limit: int, start: Raw | None
    ) -> "Page[Delivery]":
        """One page of a reminder's deliveries, the latest occurrence first."""
        condition = cls.sk.startswith(f"{cls.PREFIX}{reminder_id}#")
        return cls.page(
            learner_key(learner_id), condition, limit=limit, start=start, descending=True
        )

    @classmethod
    def of_occurrence(cls, reminder: Reminder, occurrence: str) -> "list[Delivery]":
        """What was owed for one occurrence, by the key of the due."""
        condition = cls.sk.startswith(f"{cls.PREFIX}{reminder.id}#{occurrence}")
        found = cls.every(reminder.pk, condition)
        return [each for each in found if each.occurrence == occurrence]

    @classmethod
    def of_mail(cls, learner_id: str, mail_id: str) -> "list[Delivery]":
        """What went out in one mail: a query of lsi2."""
        condition = cls.lsi2 == f"MAIL#{mail_id}"
        return cls.every(learner_key(learner_id), condition, index="lsi2")

    @classmethod
    def failed(cls, *, limit: int, start: Raw | None) -> "Page[Delivery]":
        """One page of all learners' dead deliveries, the latest first: a query of gsi1."""
        return cls.page(cls.FAILED, index="gsi1", limit=limit, start=start, descending=True)

    @classmethod
    def named(cls, delivery_id: str) -> "Delivery | None":
        """The delivery with an id as `id` makes it, if any: one consistent read."""
        if delivery_id.count(".") != 2:
            return None
        learner_id, reminder_id, key = delivery_id.split(".")
        return cls.find(learner_key(learner_id), f"{cls.PREFIX}{reminder_id}#{key}")

    @property
    def learner_id(self) -> str:
        return self.pk.partition("#")[2]

    @property
    def id(self) -> str:
        """For staff, who have no learner to look under."""
        return f"{self.learner_id}.{self.reminder_id}.{self.key}"

    @property
    def due(self) -> plan.Due:
        """The due that it records."""
        return plan.Due(self.due_at, self.key, self.occurrence, self.due_at)

    def conclude(self, state: str, *, now: datetime, reason: str = "") -> None:
        """Comes to a state, in this copy."""
        self.state, self.reason, self.updated_at = state, reason, now
        self.lease_until = None
        dead = state == DEAD
        self.gsi1pk = self.FAILED if dead else None
        self.gsi1sk = f"{key_instant(now)}#{self.id}" if dead else None

    def follow(self, stored: "Delivery | None") -> None:
        """Keeps what is known of the mail that an earlier record of this due was in."""
        if stored:
            self.mail_id, self.lsi2 = stored.mail_id, stored.lsi2
            self.repeated = stored.repeated

    def is_being_sent(self, now: datetime) -> bool:
        """Whether a sweeper may be handing it to SES at this moment."""
        return bool(self.state == SENDING and self.lease_until > now)

    def write_over(self, stored: "Delivery | None") -> Put:
        """The write of this copy, provided that what is stored is still as it was read."""
        return Put(self, stored.unchanged() if stored else Delivery.pk.does_not_exist())

    def unchanged(self) -> Condition:
        """That what is stored is as it was when this copy was read."""
        same: Condition = (Delivery.state == self.state) & (Delivery.fence == self.fence)
        return same

    def as_sent(self, message_id: str, *, now: datetime) -> Update:
        """The write that records SES's word."""
        actions: list[Action] = [
            Delivery.state.set(SENT),
            Delivery.message_id.set(message_id),
            Delivery.sent_at.set(now),
            Delivery.updated_at.set(now),
            Delivery.lease_until.remove(),
        ]
        ours = (Delivery.state == SENDING) & (Delivery.fence == self.fence)
        return Update(self, actions, ours)


class MailDay(Item, discriminator="mail_day"):
    """How many reminders were mailed on one of the learner's days: `MAILS#<date>`."""

    PREFIX = "MAILS#"
    KEPT_S = 3 * 86_400

    sent = NumberAttribute(default=0)

    @classmethod
    def key(cls, learner_id: str, on: date) -> tuple[str, str]:
        return learner_key(learner_id), f"{cls.PREFIX}{on.isoformat()}"

    @classmethod
    def taken(cls, learner_id: str, on: date, *, most: int, now: datetime) -> Update:
        """The write that counts one more mail, if there may be one."""
        actions: list[Action] = [
            cls.sent.add(1),
            cls.kind.set(cls),
            cls.expires_at.set(int(now.timestamp()) + cls.KEPT_S),
        ]
        return Update(
            cls(*cls.key(learner_id, on)), actions, cls.sent.does_not_exist() | (cls.sent < most)
        )


class Suppression(Item, discriminator="suppression"):
    """That the learner's address takes no mail: `SUPPRESSION`.

    `reason` is `bounce` or `complaint`. It says nothing of another address they may have later.
    """

    SK = "SUPPRESSION"

    email = UnicodeAttribute()
    reason = UnicodeAttribute()
    at = UTCDateTimeAttribute()
    message_id = UnicodeAttribute()

    def put_once(self) -> None:
        """Writes it, unless this address is suppressed already. Raises ConditionFailed."""
        self.put(Suppression.pk.does_not_exist() | (Suppression.email != self.email))


class CalendarLink(Item, discriminator="calendar_link"):
    """The secret part of the learner's calendar address, as its fingerprint: `CALENDAR`."""

    SK = "CALENDAR"

    proof = UnicodeAttribute()
    made_at = UTCDateTimeAttribute()

    @classmethod
    def of(cls, learner_id: str) -> "CalendarLink | None":
        """One consistent read."""
        return cls.find(learner_key(learner_id), cls.SK)
