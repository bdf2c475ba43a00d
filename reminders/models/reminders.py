"""Learners' reminders, how far each has come, and the records of their mails."""

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
)
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from accounts.models import OfLearner, Profile, learner_key
from config.store.connection import connection
from config.store.items import ConditionFailed, Item, OnUnreadable, Page, Raw, key_instant
from config.store.transactions import Check, Delete, Put, Update, transact
from learning.models.base import LearnerItem
from reminders import timing
from reminders.models.events import Event

SHARDS = 8
"""How many partitions the due index is spread over. It may grow at any time; before it shrinks, the
shards that go must be empty. `docs/scaling.md` has the arithmetic."""
AHEAD = 10
"""Pages whose places are read at once, when a shard is shared out."""
IN_HAND = timedelta(minutes=1)
"""Longer than a claim lasts: what is claimed stands in the due index at the end of its lease."""
EVENT, ONCE, STUDY, REPORT, STREAK = "event", "once", "study", "report", "streak"
DIGESTS = frozenset({STUDY, REPORT, STREAK})
"""They come at a time of the learner's days, and one that was lost is made good by the next."""


class Reminder(LearnerItem, discriminator="reminder"):
    """A reminder that a learner has set, and how far it has come: `REMINDER#<id>`.

    `about` is `event` (`event_id`, `offset_minutes`), `once` (`at`) or `study` (`weekdays` from 0,
    Monday; `local_time`, in the zone of the profile; of `deck_id` or `scenario_id` alone), `report`
    or `streak` (when, as `study`). lsi4: `OF#<event id>#<id>`.
    gsi1, the due index: `DUE#<shard>` / `<instant to look at it>#<id>`; absent while there is
    nothing to wait for.

    Every write adds one to `fence`, on the condition that it is still the one that was read: so a
    sweeper that was overtaken changes nothing. `interrupted` is set from a sweeper's claim until a
    sweeper has settled it, whatever the learner changes meanwhile; `attempts` counts failures
    since. `version` counts the learner's own changes.
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
    deck_id = UnicodeAttribute(null=True)
    scenario_id = UnicodeAttribute(null=True)
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
    # Of a claimed copy: its fence at that time, and whether an earlier sweeper was cut off.
    claimed_fence = 0
    was_interrupted = False

    def open(self) -> None:
        """Makes a reminder without a kind or a beginning count as unreadable."""
        if not self.about or self.done_at is None:
            raise ValueError("no content")

    @classmethod
    def of_event(
        cls, learner_id: str, event_id: str, *, on_unreadable: OnUnreadable
    ) -> "list[Reminder]":
        """The reminders of an event, one query."""
        condition = cls.lsi4.startswith(f"{cls.OF}{event_id}#")
        return cls.query_all(
            learner_key(learner_id), condition, index="lsi4", on_unreadable=on_unreadable
        )

    @classmethod
    def every(cls, learner_id: str, *, on_unreadable: OnUnreadable) -> "list[Reminder]":
        """All reminders of a learner, a Query for each megabyte."""
        return cls.query_all(
            learner_key(learner_id), cls.sk.startswith(cls.PREFIX), on_unreadable=on_unreadable
        )

    @property
    def is_over(self) -> bool:
        """Whether it is a one-off that was mailed, dismissed or missed."""
        return bool(self.about == ONCE and not self.next_at and not self.paused)

    @property
    def takes_room(self) -> bool:
        """Whether it counts against the cap: all do, except those that have had their last mail."""
        ends = self.about in (ONCE, EVENT)
        return bool(not ends or self.gsi1sk or self.paused or self.dead)

    @classmethod
    def due(
        cls,
        shard: int,
        *,
        by: datetime,
        limit: int,
        start: Raw | None = None,
        span: tuple[str, str] | None = None,
        on_unreadable: OnUnreadable | None = None,
    ) -> "Page[Reminder]":
        """A page of a shard's reminders to look at by an instant, the longest waiting first.

        `span` has the first and the last place to look at. One query of gsi1, which is eventually
        consistent: what it shows must still be claimed.
        """
        condition = cls.gsi1sk.between(*span) if span else cls.gsi1sk <= f"{key_instant(by)}~"
        return cls.query_page(
            f"DUE#{shard}",
            condition,
            index="gsi1",
            limit=limit,
            start=start,
            on_unreadable=on_unreadable,
        )

    @classmethod
    def due_spans(
        cls, shard: int, *, by: datetime, page: int, start: Raw | None
    ) -> tuple[list[tuple[str, str]], Raw | None]:
        """The first and the last place of each page of a shard's due reminders, and where to go on.

        One query of up to a megabyte of gsi1; no item is read by itself.
        """
        answer = connection().query(
            f"DUE#{shard}",
            range_key_condition=cls.gsi1sk <= f"{key_instant(by)}~",
            index_name="gsi1",
            attributes_to_get=["gsi1sk"],
            limit=AHEAD * page,
            exclusive_start_key=start,
        )
        places = [item["gsi1sk"]["S"] for item in answer["Items"]]
        pages = [places[first : first + page] for first in range(0, len(places), page)]
        return [(each[0], each[-1]) for each in pages], answer.get("LastEvaluatedKey")

    @classmethod
    def quarantine_write(cls, pk: str, sk: str, *, seen_at: str) -> Update:
        """The write that takes an unreadable one out of the due index, and marks it dead.

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
        if self.about in DIGESTS and self.local_time:
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
        """Sets the index keys; a place in the due index that a sweeper gave it stays."""
        self.lsi4 = f"{self.OF}{self.event_id}#{self.id}" if self.about == EVENT else None
        if not self.gsi1sk:
            self.schedule_check(None if self.dead else self.next_at)
        else:
            self.gsi1pk = f"DUE#{shard_of(self.learner_id)}"

    def schedule_check(self, at: datetime | None) -> None:
        """Sets when the sweep looks at it, None for never."""
        self.gsi1pk = f"DUE#{shard_of(self.learner_id)}" if at else None
        self.gsi1sk = f"{key_instant(at)}#{self.id}" if at else None

    def write(self) -> Put:
        """The write of this copy, on the condition that nobody has written since it was read."""
        read = self.fence
        self.fence = read + 1
        return Put(self, Reminder.pk.does_not_exist() if read == 0 else Reminder.fence == read)

    def claim(self, *, until: datetime) -> None:
        """Claims it for one sweeper, which must have settled it by the end of the lease.

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
        """The condition that our claim has not been overtaken."""
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
    """The shard of all reminders of a learner, so that those of one moment come up together."""
    return int.from_bytes(sha256(learner_id.encode()).digest()[:4]) % SHARDS


class ShardLease(Item, discriminator="shard_lease"):
    """Marks that a shard's backlog is being shared out: `SHARD#<number>` / `CHAIN`.

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


# --- Records of mails ---------------------------------------------------------------------------

SENDING, SENT, RETRYING, SKIPPED, DEAD = "sending", "sent", "retrying", "skipped", "dead"
UNCONFIRMED, RETRIED = "unconfirmed", "retried"
SETTLED = frozenset({SENT, SKIPPED, DEAD, UNCONFIRMED, RETRIED})
DISMISSED = "dismissed"
STATES = [SENDING, SENT, RETRYING, SKIPPED, DEAD, UNCONFIRMED, RETRIED]


class Delivery(OfLearner, discriminator="delivery"):
    """The record of one mail that a reminder owed: `DELIVERY#<reminder id>#<promise of the due>`.

    The key lets one mail go out for an occurrence at an instant; once moved, it is promised anew.
    `sending`: handed to SES by the claim numbered `fence`, whose answer is awaited until
    `lease_until`. `unconfirmed`: the answer never came, and to send again would be worse. `reason`
    says why one was skipped or has failed; `repeated` that it was handed over twice; `bounced_at`
    when the mailbox was full. lsi4:
    `MAIL#<mail id>`, which SES's events tell us. gsi1: `DEAD` / `<instant>#<id>`, the staff's list.
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
    bounced_at = UTCDateTimeAttribute(null=True)
    updated_at = UTCDateTimeAttribute()

    @classmethod
    def of(cls, reminder: Reminder, due: timing.Due, state: str, *, now: datetime) -> "Delivery":
        """A new record."""
        return cls(
            *cls.key_of(reminder, due),
            reminder_id=reminder.id,
            key=due.promise,
            occurrence=due.occurrence,
            due_at=due.at,
            state=state,
            attempts=reminder.attempts,
            fence=reminder.fence,
            updated_at=now,
            expires_at=int(now.timestamp()) + cls.KEPT_S,
        )

    @classmethod
    def letter(cls, pk: str, own_id: str, key: str, reason: str, *, now: datetime) -> "Delivery":
        """The dead letter of a stored item that could not be used at all."""
        letter = cls(
            pk,
            f"{cls.PREFIX}{own_id}#{key}",
            reminder_id=own_id,
            key=key,
            occurrence="",
            due_at=now,
            expires_at=int(now.timestamp()) + cls.KEPT_S,
        )
        letter.conclude(DEAD, reason=reason, now=now)
        return letter

    @classmethod
    def key_of(cls, reminder: Reminder, due: timing.Due) -> tuple[str, str]:
        return reminder.pk, f"{cls.PREFIX}{reminder.id}#{due.promise}"

    @classmethod
    def of_reminder(
        cls,
        learner_id: str,
        reminder_id: str,
        *,
        limit: int,
        start: Raw | None,
        on_unreadable: OnUnreadable | None = None,
    ) -> "Page[Delivery]":
        """One page of a reminder's deliveries, the latest occurrence first."""
        return cls.query_page(
            learner_key(learner_id),
            cls.sk.startswith(f"{cls.PREFIX}{reminder_id}#"),
            limit=limit,
            start=start,
            descending=True,
            on_unreadable=on_unreadable,
        )

    @classmethod
    def of_occurrence(cls, reminder: Reminder, occurrence: str) -> "list[Delivery]":
        """The deliveries for one occurrence, by the promise of the due."""
        condition = cls.sk.startswith(f"{cls.PREFIX}{reminder.id}#{occurrence}")
        deliveries = cls.query_all(reminder.pk, condition)
        return [delivery for delivery in deliveries if delivery.occurrence == occurrence]

    @classmethod
    def of_mail(cls, learner_id: str, mail_id: str) -> "list[Delivery]":
        """The deliveries in one mail: a query of lsi4."""
        condition = cls.lsi4 == f"MAIL#{mail_id}"
        return cls.query_all(learner_key(learner_id), condition, index="lsi4")

    @classmethod
    def mailed_since(cls, learner_id: str, since: datetime) -> "list[Delivery]":
        """The deliveries mailed from an instant on: a query of them all."""
        return cls.query_all(
            learner_key(learner_id),
            cls.sk.startswith(cls.PREFIX),
            matching=(cls.sent_at >= since) & cls.mail_id.exists(),
        )

    def mark_bounced(self, now: datetime) -> None:
        """Notes that the mailbox did not take it. Raises ConditionFailed when gone."""
        self.update_silently(Delivery.bounced_at.set(now), condition=Delivery.pk.exists())
        self.bounced_at = now

    @classmethod
    def failed(
        cls, *, limit: int, start: Raw | None, on_unreadable: OnUnreadable | None = None
    ) -> "Page[Delivery]":
        """One page of all learners' dead deliveries, the latest first: a query of gsi1."""
        return cls.query_page(
            cls.FAILED,
            index="gsi1",
            limit=limit,
            start=start,
            descending=True,
            on_unreadable=on_unreadable,
        )

    @classmethod
    def by_id(cls, delivery_id: str) -> "Delivery | None":
        """The delivery with an id as `id` makes it, if any: one consistent read."""
        if delivery_id.count(".") != 2:
            return None
        learner_id, reminder_id, key = delivery_id.split(".")
        return cls.get_or_none(learner_key(learner_id), f"{cls.PREFIX}{reminder_id}#{key}")

    @property
    def id(self) -> str:
        """The id for staff, who do not look under a learner."""
        return f"{self.learner_id}.{self.reminder_id}.{self.key}"

    @property
    def due(self) -> timing.Due:
        """The due that it records."""
        key = self.key.removesuffix(timing.promised_at(self.due_at))
        return timing.Due(self.due_at, key, self.occurrence, self.due_at)

    @property
    def is_settled(self) -> bool:
        """Whether no mail is owed. A dismissed mail is owed again if it was promised anew."""
        return self.state in SETTLED and not (self.state == SKIPPED and self.reason == DISMISSED)

    def conclude(self, state: str, *, now: datetime, reason: str = "") -> None:
        """Sets the final state, in this copy."""
        self.state, self.reason, self.updated_at = state, reason, now
        self.lease_until = None
        self.set_index_keys()

    def set_index_keys(self) -> None:
        dead = self.state == DEAD
        self.gsi1pk = self.FAILED if dead else None
        self.gsi1sk = f"{key_instant(self.updated_at)}#{self.id}" if dead else None
        self.lsi4 = f"MAIL#{self.mail_id}" if self.mail_id else None

    def copy_mail_of(self, stored: "Delivery | None") -> None:
        """Takes over what an earlier record of this due knows about its mail."""
        if stored:
            self.mail_id, self.lsi4 = stored.mail_id, stored.lsi4
            self.repeated = stored.repeated

    def is_being_sent(self, now: datetime) -> bool:
        """Whether a sweeper may be handing it to SES at this moment."""
        return bool(self.state == SENDING and self.lease_until > now)

    def write(self) -> Put:
        """The write of this copy, on the condition that its state is still the one read."""
        return Put(self, self.unchanged_condition())

    def replace_write(self, stored: "Delivery | None") -> Put:
        """The write of this copy, on the condition that the stored item is still as it was read."""
        return Put(self, stored.unchanged_condition() if stored else Delivery.pk.does_not_exist())

    def unchanged_condition(self) -> Condition:
        """The condition that the stored item is as it was when this copy was read."""
        same: Condition = (Delivery.state == self.state) & (Delivery.fence == self.fence)
        return same

    def sent_write(self, message_id: str, *, now: datetime) -> Update:
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
    def count_write(cls, learner_id: str, on: date, *, most: int, now: datetime) -> Update:
        """The write that counts one more mail, if there may be one."""
        actions: list[Action] = [
            cls.sent.add(1),
            cls.kind.set(cls),
            cls.expires_at.set(int(now.timestamp()) + cls.KEPT_S),
        ]
        return Update(
            cls(*cls.key(learner_id, on)), actions, cls.sent.does_not_exist() | (cls.sent < most)
        )
