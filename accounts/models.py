"""The items of a learner's account."""

from datetime import date, datetime, timedelta
from typing import Self

from pynamodb.attributes import (
    BooleanAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)

from config.table import ConditionFailed, Delete, Item, Put, transact


def learner_key(learner_id: str) -> str:
    """The partition of all that belongs to a learner; the id is Cognito's `sub`."""
    return f"LEARNER#{learner_id}"


class Account(Item, discriminator="account"):
    """Whether a learner may come in, and how: `LEARNER#<sub>` / `ACCOUNT`.

    Read with every request (and kept for half a minute), so it holds nothing but that.
    `tokens_valid_after` is in epoch seconds: access tokens issued before are void.
    gsi1: `LEARNERS` / e-mail, the staff's list.
    """

    SK = "ACCOUNT"

    email = UnicodeAttribute()
    email_verified = BooleanAttribute(default=False)
    mfa_enabled = BooleanAttribute(default=False)
    disabled = BooleanAttribute(default=False)
    tokens_valid_after = NumberAttribute(default=0)
    created_at = UTCDateTimeAttribute()

    @classmethod
    def of(cls, learner_id: str) -> Self | None:
        """One consistent read."""
        return cls.find(learner_key(learner_id), cls.SK)

    @classmethod
    def new(cls, learner_id: str, *, email: str, now: datetime) -> Self:
        return cls(
            learner_key(learner_id),
            cls.SK,
            email=email,
            created_at=now,
            gsi1pk="LEARNERS",
            gsi1sk=email,
        )

    @classmethod
    def at(cls, learner_id: str) -> Self:
        """A handle for changes in place, without reading."""
        return cls(learner_key(learner_id), cls.SK)

    @property
    def learner_id(self) -> str:
        return self.pk.partition("#")[2]

    def verify_email(self) -> None:
        """Marks the address as the learner's own. Raises ConditionFailed for a deleted account."""
        self.apply(Account.email_verified.set(True), condition=Account.pk.exists())


class Profile(Item, discriminator="profile"):
    """What a learner says of themselves, and how they want to be reminded.

    `LEARNER#<sub>` / `PROFILE`. `quiet_from` and `quiet_until` are local times (`22:00`), both or
    neither; levels are CEFR's, languages BCP 47's.
    """

    SK = "PROFILE"

    first_name = UnicodeAttribute()
    last_name = UnicodeAttribute()
    display_name = UnicodeAttribute(null=True)
    avatar_url = UnicodeAttribute(null=True)
    native_language = UnicodeAttribute(null=True)
    target_language = UnicodeAttribute(null=True)
    current_level = UnicodeAttribute(null=True)
    target_level = UnicodeAttribute(null=True)
    timezone = UnicodeAttribute(default="UTC")
    daily_goal = NumberAttribute(default=20)
    study_mails = BooleanAttribute(default=True)
    event_mails = BooleanAttribute(default=True)
    quiet_from = UnicodeAttribute(null=True)
    quiet_until = UnicodeAttribute(null=True)
    created_at = UTCDateTimeAttribute()
    version = VersionAttribute()

    @classmethod
    def of(cls, learner_id: str) -> Self | None:
        """One consistent read."""
        return cls.find(learner_key(learner_id), cls.SK)

    @classmethod
    def new(cls, learner_id: str, *, first_name: str, last_name: str, now: datetime) -> Self:
        return cls(
            learner_key(learner_id),
            cls.SK,
            first_name=first_name,
            last_name=last_name,
            created_at=now,
        )


class Progress(Item, discriminator="progress"):
    """How far a learner has come, kept by learning: `LEARNER#<sub>` / `PROGRESS`.

    `studied_on` is the newest of the learner's own days with a review, as YYYY-MM-DD, and
    `streak_days` counts the days without a gap up to it; both are empty before the first.
    """

    SK = "PROGRESS"

    cards_learned = NumberAttribute(default=0)
    streak_days = NumberAttribute(default=0)
    studied_on = UnicodeAttribute(default="")
    version = VersionAttribute()

    def streak(self, today: date) -> int:
        """The streak that stands on a day: it is lost when the day before had no study."""
        if not self.studied_on:
            return 0
        kept = date.fromisoformat(self.studied_on) >= today - timedelta(days=1)
        return int(self.streak_days) if kept else 0


class Address(Item, discriminator="address"):
    """Guards that an address belongs to one learner: `EMAIL#<address>` / `EMAIL`.

    First reserved by a sign-up (`owner`, until `lease_until`, epoch seconds), then held for good
    by `learner_id`.
    """

    SK = "EMAIL"
    LEASE_S = 60

    owner = UnicodeAttribute()
    lease_until = NumberAttribute()
    learner_id = UnicodeAttribute(null=True)

    @classmethod
    def of(cls, email: str) -> Self | None:
        """One consistent read."""
        return cls.find(f"EMAIL#{email}", cls.SK)

    @classmethod
    def reserve(cls, email: str, *, owner: str, now: datetime) -> Self:
        """Takes an address that nobody has. Raises ConditionFailed."""
        epoch_s = int(now.timestamp())
        item = cls(f"EMAIL#{email}", cls.SK, owner=owner, lease_until=epoch_s + cls.LEASE_S)
        lapsed = cls.learner_id.does_not_exist() & (cls.lease_until <= epoch_s)
        item.put(cls.pk.does_not_exist() | lapsed)
        return item

    def held_by(self, learner_id: str) -> Put:
        """The write that gives a reserved address to a learner, if it is still reserved for us."""
        held = Address(self.pk, self.sk, owner=self.owner, lease_until=0, learner_id=learner_id)
        return Put(held, (Address.owner == self.owner) & Address.learner_id.does_not_exist())

    def release(self) -> None:
        """Gives a reservation back, if it is still ours."""
        mine = (Address.owner == self.owner) & Address.learner_id.does_not_exist()
        try:
            transact(Delete(self, mine))
        except ConditionFailed:
            return
