"""The items of a learner's account."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Self

from pynamodb.attributes import (
    BinaryAttribute,
    BooleanAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)
from pynamodb.exceptions import UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from ulid import ULID

from accounts.calendars import DAY_STARTS_AT_HOUR
from config.problems import ServiceUnavailable
from config.sources import Source
from config.table import (
    CONDITION_LOST,
    ConditionFailed,
    Delete,
    Item,
    Page,
    Put,
    Raw,
    connection,
    key_instant,
    transact,
)


def learner_key(learner_id: str) -> str:
    """The partition of all that belongs to a learner; the id is Cognito's `sub`."""
    return f"LEARNER#{learner_id}"


class Account(Item, discriminator="account"):
    """Whether a learner may come in, and how: `LEARNER#<sub>` / `ACCOUNT`.

    Read with every request (and kept for half a minute), so it holds nothing but that.
    `tokens_valid_after` is in epoch seconds: access tokens issued before are void.
    `federated_name` is the pool's name of a learner without a password, who came from Google.
    gsi1: `LEARNERS` / e-mail, the staff's list; `LEAVING` or `GONE` / since when.
    """

    SK = "ACCOUNT"

    email = UnicodeAttribute()
    email_verified = BooleanAttribute(default=False)
    mfa_enabled = BooleanAttribute(default=False)
    disabled = BooleanAttribute(default=False)
    tokens_valid_after = NumberAttribute(default=0)
    federated_name = UnicodeAttribute(null=True)
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

    @property
    def user_name(self) -> str:
        """What the pool calls the learner."""
        return self.federated_name or self.learner_id

    def void_tokens(self, now: datetime) -> None:
        """Voids the access tokens of this second and before. Raises ConditionFailed when gone."""
        self.apply(
            Account.tokens_valid_after.set(int(now.timestamp()) + 1),
            condition=Account.pk.exists(),
        )

    @classmethod
    def listed(cls, prefix: str, *, limit: int, start: Raw | None = None) -> Page[Self]:
        """Accounts in the order of their addresses: a query of gsi1, for staff."""
        condition = cls.gsi1sk.startswith(prefix) if prefix else None
        return cls.page("LEARNERS", condition, limit=limit, index="gsi1", start=start)

    def set_disabled(self, disabled: bool) -> None:
        """Shuts the account or opens it. Raises ConditionFailed when it is gone."""
        self.apply(Account.disabled.set(disabled), condition=Account.gsi1pk == "LEARNERS")

    LEAVING, GONE = "LEAVING", "GONE"

    def begin_leaving(self, now: datetime) -> None:
        """Bars the account for good. Raises ConditionFailed when it is gone."""
        self.apply(
            Account.disabled.set(True),
            Account.gsi1pk.set(self.LEAVING),
            Account.gsi1sk.set(key_instant(now)),
            condition=Account.pk.exists(),
        )

    def traceless(self, now: datetime) -> list[Action]:
        """What makes of the account a mark that says nothing but "gone", for a day at most."""
        return [
            Account.email.set(""),
            Account.federated_name.remove(),
            Account.gsi1pk.set(self.GONE),
            Account.gsi1sk.set(key_instant(now)),
            Account.expires_at.set(int(now.timestamp()) + 86_400),
        ]

    @classmethod
    def leaving(cls) -> list[Self]:
        """Accounts whose deletion has not been completed: a query of gsi1, the oldest first."""
        return cls.page(cls.LEAVING, limit=100, index="gsi1").items

    @classmethod
    def gone(cls, *, before: datetime) -> list[Self]:
        """Marks of accounts that were deleted before an instant: a query of gsi1."""
        condition = cls.gsi1sk < key_instant(before)
        return cls.page(cls.GONE, condition, limit=100, index="gsi1").items

    def verify_email(self) -> None:
        """Marks the address as the learner's own. Raises ConditionFailed for a deleted account."""
        self.apply(Account.email_verified.set(True), condition=Account.pk.exists())


class Profile(Item, discriminator="profile"):
    """What a learner says of themselves, and how they want to be reminded.

    `LEARNER#<sub>` / `PROFILE`. `quiet_from` and `quiet_until` are local times (`22:00`), both or
    neither (see `quiet_hours`); levels are CEFR's, languages BCP 47's.
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

    @property
    def quiet_hours(self) -> dict[str, str] | None:
        """When not to mail: from `starts` to `ends`, over midnight where it ends earlier."""
        if not self.quiet_from or not self.quiet_until:
            return None
        return {"starts": self.quiet_from, "ends": self.quiet_until}

    @quiet_hours.setter
    def quiet_hours(self, hours: Mapping[str, str] | None) -> None:
        """Hours that end when they start are none."""
        if hours is None or hours["starts"] == hours["ends"]:
            hours = {}
        self.quiet_from, self.quiet_until = hours.get("starts"), hours.get("ends")

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
    `revision` counts the changes of the days studied, which a change of the streak relies on.
    `day_starts_at_hour` is when those days begin on the learner's clock.
    Further numbers are totals of the learner's cards, `cards`, `new`, `young` and so on.
    """

    SK = "PROGRESS"

    cards_learned = NumberAttribute(default=0)
    streak_days = NumberAttribute(default=0)
    studied_on = UnicodeAttribute(default="")
    day_starts_at_hour = NumberAttribute(default=DAY_STARTS_AT_HOUR)
    revision = NumberAttribute(null=True)

    def streak(self, today: date) -> int:
        """The streak that stands on a day: it is lost when the day before had no study."""
        if not self.studied_on:
            return 0
        kept = date.fromisoformat(self.studied_on) >= today - timedelta(days=1)
        return int(self.streak_days) if kept else 0


class Mfa(Item, discriminator="mfa"):
    """The second step of a learner's sign-in: `LEARNER#<sub>` / `MFA`.

    `pending` is the secret being set up, `secret` the one in force, both encrypted by KMS: a
    backup code needs it to answer Cognito's challenge. `unused` and `reserved` are fingerprints
    of backup codes; a reserved one is at this moment being used.
    """

    SK = "MFA"

    pending = BinaryAttribute(null=True, legacy_encoding=False)
    secret = BinaryAttribute(null=True, legacy_encoding=False)
    unused = UnicodeSetAttribute(null=True)
    reserved = UnicodeSetAttribute(null=True)

    @classmethod
    def of(cls, learner_id: str) -> Self | None:
        """One consistent read."""
        return cls.find(learner_key(learner_id), cls.SK)

    @classmethod
    def at(cls, learner_id: str) -> Self:
        """A handle for changes in place, without reading."""
        return cls(learner_key(learner_id), cls.SK)

    def prepare(self, ciphertext: bytes) -> None:
        """Keeps a secret that is yet to be verified; the one in force stays."""
        self.apply(Mfa.pending.set(ciphertext), Mfa.kind.set(Mfa))

    def promote(self) -> None:
        """Takes the secret being set up for the one in force, if there is one."""
        try:
            self.apply(
                Mfa.secret.set(Mfa.pending), Mfa.pending.remove(), condition=Mfa.pending.exists()
            )
        except ConditionFailed:
            return

    def renew_codes(self, fingerprints: set[str]) -> None:
        """Replaces all backup codes. Raises ConditionFailed where no secret is in force."""
        self.apply(
            Mfa.unused.set(fingerprints), Mfa.reserved.remove(), condition=Mfa.secret.exists()
        )

    def reserve(self, fingerprint: str) -> None:
        """Takes a code for one use. Raises ConditionFailed when it is used or in use."""
        self.apply(
            Mfa.unused.delete({fingerprint}),
            Mfa.reserved.add({fingerprint}),
            condition=Mfa.unused.contains(fingerprint),
        )

    def consume(self, fingerprint: str) -> None:
        """Forgets a reserved code."""
        self.apply(Mfa.reserved.delete({fingerprint}), condition=Mfa.secret.exists())

    def release(self, fingerprint: str) -> None:
        """Makes a reserved code usable again. Raises ConditionFailed when codes were renewed."""
        self.apply(
            Mfa.reserved.delete({fingerprint}),
            Mfa.unused.add({fingerprint}),
            condition=Mfa.reserved.contains(fingerprint),
        )


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
    def at(cls, email: str) -> Self:
        """A handle for writes, without reading."""
        return cls(f"EMAIL#{email}", cls.SK)

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

    def left_by(self, learner_id: str) -> Delete:
        """The write that frees an address a learner has had; harmless when it is free already."""
        return Delete(self, Address.pk.does_not_exist() | (Address.learner_id == learner_id))

    def release(self) -> None:
        """Gives a reservation back, if it is still ours."""
        mine = (Address.owner == self.owner) & Address.learner_id.does_not_exist()
        try:
            transact(Delete(self, mine))
        except ConditionFailed:
            return


class EmailChange(Item, discriminator="email_change"):
    """A new address that waits for its code: `LEARNER#<sub>` / `EMAIL_CHANGE`, a quarter hour.

    `proof` is the fingerprint of the code, for this learner and this address.
    """

    SK = "EMAIL_CHANGE"

    email = UnicodeAttribute()
    proof = UnicodeAttribute()

    @classmethod
    def of(cls, learner_id: str, *, now: datetime) -> Self | None:
        """One consistent read; a lapsed change is none."""
        found = cls.find(learner_key(learner_id), cls.SK)
        return found if found and found.expires_at > now.timestamp() else None

    @classmethod
    def new(cls, learner_id: str, *, email: str, proof: str, until: datetime) -> Self:
        return cls(
            learner_key(learner_id),
            cls.SK,
            email=email,
            proof=proof,
            expires_at=int(until.timestamp()),
        )


class IssuedToken(Item, discriminator="issued_token"):
    """Whose a refresh token is, which only Cognito could read: `TOKEN#<hash>` / `TOKEN`.

    Kept as long as the token may come back.
    """

    SK = "TOKEN"
    KEPT_S = 31 * 86_400

    learner_id = UnicodeAttribute()

    @staticmethod
    def key(refresh_token: str) -> str:
        return f"TOKEN#{hashlib.sha256(refresh_token.encode()).hexdigest()}"

    @classmethod
    def new(cls, refresh_token: str, learner_id: str, *, now: datetime) -> Self:
        return cls(
            cls.key(refresh_token),
            cls.SK,
            learner_id=learner_id,
            expires_at=int(now.timestamp()) + cls.KEPT_S,
        )

    @classmethod
    def of(cls, refresh_token: str) -> Self | None:
        """One consistent read."""
        return cls.find(cls.key(refresh_token), cls.SK)


class LimitReached(Exception):
    """The counter is full for another `wait_s` seconds."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"full for {wait_s} s")
        self.wait_s = wait_s


class Attempts(Item, discriminator="attempts"):
    """Counters of tries: `ATTEMPTS#<what>#<hash of whom>` / `ATTEMPTS`.

    Each counter is an attribute of its own name. All lapse together at `expires_at`.
    """

    SK = "ATTEMPTS"

    @classmethod
    def at(cls, what: str, whom: str) -> Self:
        """The counters of a subject, who is not readable from the key."""
        return cls(f"ATTEMPTS#{what}#{cls.fingerprint(whom)}", cls.SK)

    @staticmethod
    def fingerprint(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def take(
        self, counters: Mapping[str, int], *, now: datetime, within_s: int, renew: bool
    ) -> dict[str, int]:
        """Adds one to every counter, if each is below its maximum; returns the new counts.

        `within_s` runs from the first of the tries, or with `renew` from the last. Raises
        LimitReached. One round trip, unless the limit is reached or lapsed counters lie about.
        """
        now_s = int(now.timestamp())
        until = Attempts.expires_at
        room: Condition = until > now_s
        for name, most in counters.items():
            counter = NumberAttribute(attr_name=name)
            room &= counter.does_not_exist() | (counter < most)
        expiry = now_s + within_s
        actions = [
            *(NumberAttribute(attr_name=name).add(1) for name in counters),
            until.set(expiry if renew else until | expiry),
            Attempts.kind.set(Attempts),
        ]
        for _ in range(5):
            raw = self._change(actions, Attempts.pk.does_not_exist() | room)
            if raw is not None:
                return {name: int(raw[name]["N"]) for name in counters}
            self._make_way(now_s)
        raise ServiceUnavailable

    def _make_way(self, now_s: int) -> None:
        """Removes lapsed counters. Raises LimitReached when these are not lapsed."""
        stored = self.find(self.pk, self.sk)
        if stored is None:
            return
        if stored.expires_at > now_s:
            raise LimitReached(int(stored.expires_at) - now_s)
        try:
            transact(Delete(self, Attempts.expires_at == stored.expires_at))
        except ConditionFailed:
            return

    def clear(self) -> None:
        """Forgets all tries."""
        transact(Delete(self))

    def give_back(self, *counters: str, forget: str | None = None) -> None:
        """Takes one off each counter, and drops the counter `forget`."""
        actions: list[Action] = [NumberAttribute(attr_name=name).add(-1) for name in counters]
        if forget is not None:
            actions.append(NumberAttribute(attr_name=forget).remove())
        self._change(actions, Attempts.pk.exists())

    def _change(self, actions: Sequence[Action], condition: Condition) -> Raw | None:
        """The item after one conditional update; None when the condition did not hold."""
        try:
            answer: dict[str, Any] = connection().update_item(
                self.pk,
                range_key=self.sk,
                actions=list(actions),
                condition=condition,
                return_values="ALL_NEW",
            )
        except UpdateError as error:
            if error.cause_response_code == f"{CONDITION_LOST}Exception":
                return None
            raise
        found: Raw = answer["Attributes"]
        return found


class Activity(Item, discriminator="activity"):
    """What happened to an account: `LEARNER#<sub>` / `ACTIVITY#<ulid>`; kept for half a year.

    `action` is an `accounts.audit.Action`; `actor` is the staff member who did it, empty
    for the learner; `ip` and `agent` are where it came from.
    """

    PREFIX = "ACTIVITY#"
    KEPT_S = 180 * 86_400

    at = UTCDateTimeAttribute()
    action = UnicodeAttribute()
    ip = UnicodeAttribute(default="")
    agent = UnicodeAttribute(default="")
    actor = UnicodeAttribute(default="")

    @classmethod
    def new(
        cls, learner_id: str, action: str, source: Source, *, now: datetime, actor: str = ""
    ) -> Self:
        return cls(
            learner_key(learner_id),
            f"{cls.PREFIX}{ULID.from_datetime(now)}",
            at=now,
            action=action,
            ip=source.ip,
            agent=source.agent,
            actor=actor,
            expires_at=int(now.timestamp()) + cls.KEPT_S,
        )

    @property
    def id(self) -> str:
        return self.sk.partition("#")[2]

    @property
    def by_staff(self) -> bool:
        return bool(self.actor)

    @classmethod
    def newest(cls, learner_id: str, *, limit: int, start: Raw | None = None) -> Page[Self]:
        """One query, the latest first."""
        condition = cls.sk.startswith(cls.PREFIX)
        return cls.page(
            learner_key(learner_id), condition, limit=limit, start=start, descending=True
        )
