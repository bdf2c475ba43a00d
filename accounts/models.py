"""The items of a learner's account."""

from datetime import datetime

from pynamodb.attributes import (
    BooleanAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)

from config.table import Item


def learner_key(learner_id: str) -> str:
    """The partition of all that belongs to a learner; the id is Cognito's `sub`."""
    return f"LEARNER#{learner_id}"


class Account(Item, discriminator="account"):
    """Whether a learner may come in: `LEARNER#<sub>` / `ACCOUNT`.

    Read with every request (and kept for half a minute), so it holds nothing but that.
    `tokens_valid_after` is in epoch seconds: access tokens issued before are void.
    gsi1: `LEARNERS` / e-mail, the staff's list.
    """

    SK = "ACCOUNT"

    email = UnicodeAttribute()
    disabled = BooleanAttribute(default=False)
    tokens_valid_after = NumberAttribute(default=0)
    created_at = UTCDateTimeAttribute()

    @classmethod
    def of(cls, learner_id: str) -> "Account | None":
        """One consistent read."""
        return cls.find(learner_key(learner_id), cls.SK)

    @classmethod
    def new(cls, learner_id: str, *, email: str, now: datetime) -> "Account":
        return cls(
            learner_key(learner_id),
            cls.SK,
            email=email,
            created_at=now,
            gsi1pk="LEARNERS",
            gsi1sk=email,
        )


class Profile(Item, discriminator="profile"):
    """What a learner says of themselves: `LEARNER#<sub>` / `PROFILE`."""

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
    created_at = UTCDateTimeAttribute()
    version = VersionAttribute()


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
