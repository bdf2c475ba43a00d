"""Records of mails, the daily count, and suppressed addresses."""

from datetime import date, datetime

from pynamodb.attributes import (
    BooleanAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from accounts.models import OfLearner, learner_key
from config.store.items import Item, Page, Raw, key_instant
from config.store.transactions import Put, Update
from reminders import timing
from reminders.models.reminders import Reminder

SENDING, SENT, RETRYING, SKIPPED, DEAD = "sending", "sent", "retrying", "skipped", "dead"
UNCONFIRMED, RETRIED = "unconfirmed", "retried"
SETTLED = frozenset({SENT, SKIPPED, DEAD, UNCONFIRMED, RETRIED})
DISMISSED = "dismissed"
STATES = [SENDING, SENT, RETRYING, SKIPPED, DEAD, UNCONFIRMED, RETRIED]


class Delivery(OfLearner, discriminator="delivery"):
    """The record of one mail that a reminder owed: `DELIVERY#<reminder id>#<promise of the due>`.

    The key lets one mail go out for an occurrence at an instant; moved, it is promised anew.
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
        """The dead letter of a stored thing that could not be used at all."""
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
        cls, learner_id: str, reminder_id: str, *, limit: int, start: Raw | None
    ) -> "Page[Delivery]":
        """One page of a reminder's deliveries, the latest occurrence first."""
        condition = cls.sk.startswith(f"{cls.PREFIX}{reminder_id}#")
        return cls.query_page(
            learner_key(learner_id), condition, limit=limit, start=start, descending=True
        )

    @classmethod
    def of_occurrence(cls, reminder: Reminder, occurrence: str) -> "list[Delivery]":
        """What was owed for one occurrence, by the promise of the due."""
        condition = cls.sk.startswith(f"{cls.PREFIX}{reminder.id}#{occurrence}")
        deliveries = cls.query_all(reminder.pk, condition)
        return [delivery for delivery in deliveries if delivery.occurrence == occurrence]

    @classmethod
    def of_mail(cls, learner_id: str, mail_id: str) -> "list[Delivery]":
        """What went out in one mail: a query of lsi4."""
        condition = cls.lsi4 == f"MAIL#{mail_id}"
        return cls.query_all(learner_key(learner_id), condition, index="lsi4")

    @classmethod
    def mailed_since(cls, learner_id: str, since: datetime) -> "list[Delivery]":
        """What was mailed from an instant on: a query of all deliveries."""
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
    def failed(cls, *, limit: int, start: Raw | None) -> "Page[Delivery]":
        """One page of all learners' dead deliveries, the latest first: a query of gsi1."""
        return cls.query_page(cls.FAILED, index="gsi1", limit=limit, start=start, descending=True)

    @classmethod
    def by_id(cls, delivery_id: str) -> "Delivery | None":
        """The delivery with an id as `id` makes it, if any: one consistent read."""
        if delivery_id.count(".") != 2:
            return None
        learner_id, reminder_id, key = delivery_id.split(".")
        return cls.get_or_none(learner_key(learner_id), f"{cls.PREFIX}{reminder_id}#{key}")

    @property
    def id(self) -> str:
        """For staff, who have no learner to look under."""
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
        """Comes to a state, in this copy."""
        self.state, self.reason, self.updated_at = state, reason, now
        self.lease_until = None
        self.set_index_keys()

    def set_index_keys(self) -> None:
        dead = self.state == DEAD
        self.gsi1pk = self.FAILED if dead else None
        self.gsi1sk = f"{key_instant(self.updated_at)}#{self.id}" if dead else None
        self.lsi4 = f"MAIL#{self.mail_id}" if self.mail_id else None

    def copy_mail_of(self, stored: "Delivery | None") -> None:
        """Keeps what is known of the mail that an earlier record of this due was in."""
        if stored:
            self.mail_id, self.lsi4 = stored.mail_id, stored.lsi4
            self.repeated = stored.repeated

    def is_being_sent(self, now: datetime) -> bool:
        """Whether a sweeper may be handing it to SES at this moment."""
        return bool(self.state == SENDING and self.lease_until > now)

    def replace_write(self, stored: "Delivery | None") -> Put:
        """The write of this copy, provided that what is stored is still as it was read."""
        return Put(self, stored.unchanged_condition() if stored else Delivery.pk.does_not_exist())

    def unchanged_condition(self) -> Condition:
        """That what is stored is as it was when this copy was read."""
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


class Suppression(Item, discriminator="suppression"):
    """That the learner's address takes no mail: `SUPPRESSION`.

    `reason` is `bounce`, `complaint` or `mailbox_full`. It says nothing of another address that
    they may have later.
    """

    SK = "SUPPRESSION"

    email = UnicodeAttribute()
    reason = UnicodeAttribute()
    at = UTCDateTimeAttribute()
    message_id = UnicodeAttribute()

    def put_once(self) -> None:
        """Writes it, unless this address is suppressed already. Raises ConditionFailed."""
        self.put(Suppression.pk.does_not_exist() | (Suppression.email != self.email))
