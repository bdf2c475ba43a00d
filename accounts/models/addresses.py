"""Ownership of e-mail addresses, pending changes, and addresses that take no mail."""

from datetime import datetime
from typing import Self

from pynamodb.attributes import NumberAttribute, UnicodeAttribute, UTCDateTimeAttribute

from accounts.models.account import OfLearner, learner_key
from config.store.items import ConditionFailed, Item
from config.store.transactions import Delete, Put, transact


class Address(Item, discriminator="address"):
    """Guards that an address belongs to one learner: `EMAIL#<address>` / `EMAIL`.

    First reserved by a sign-up (`owner`, until `lease_until`, epoch seconds), then held for good
    by `learner_id`. A reservation that nobody completes is forgotten after a day.
    """

    SK = "EMAIL"
    LEASE_S, KEPT_S = 60, 86_400

    owner = UnicodeAttribute()
    lease_until = NumberAttribute()
    learner_id = UnicodeAttribute(null=True)

    @classmethod
    def of(cls, email: str) -> Self | None:
        """One consistent read."""
        return cls.get_or_none(f"EMAIL#{email}", cls.SK)

    @classmethod
    def at(cls, email: str) -> Self:
        """A handle for writes, without reading."""
        return cls(f"EMAIL#{email}", cls.SK)

    @property
    def email(self) -> str:
        return self.pk.partition("#")[2]

    def is_free(self, now: datetime) -> bool:
        """Whether nobody has the address, and no reservation of it lasts."""
        return not self.learner_id and self.lease_until <= now.timestamp()

    @classmethod
    def reserve(cls, email: str, *, owner: str, now: datetime) -> Self:
        """Takes an address that nobody has. Raises ConditionFailed."""
        item = cls.reservation(email, owner=owner, now=now)
        item.take()
        return item

    def take(self) -> None:
        """Writes a reservation where nobody has the address. Raises ConditionFailed."""
        begun_at = self.lease_until - self.LEASE_S
        lapsed = Address.learner_id.does_not_exist() & (Address.lease_until <= begun_at)
        self.put(Address.pk.does_not_exist() | lapsed)

    @classmethod
    def reservation(cls, email: str, *, owner: str, now: datetime) -> Self:
        """A reservation that is yet to be written."""
        lease_until = int(now.timestamp()) + cls.LEASE_S
        return cls(
            f"EMAIL#{email}",
            cls.SK,
            owner=owner,
            lease_until=lease_until,
            expires_at=lease_until + cls.KEPT_S,
        )

    def taken_from(self, learner_id: str) -> Put:
        """The write that turns a learner's address into a reservation of ours; it is never free."""
        return Put(self, Address.learner_id == learner_id)

    def assign_write(self, learner_id: str) -> Put:
        """The write that gives a reserved address to a learner, if it is still reserved for us."""
        held = Address(self.pk, self.sk, owner=self.owner, lease_until=0, learner_id=learner_id)
        return Put(held, (Address.owner == self.owner) & Address.learner_id.does_not_exist())

    def release_write(self, learner_id: str) -> Delete:
        """The write that frees a learner's former address; harmless when it is free already."""
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
        change = cls.get_or_none(learner_key(learner_id), cls.SK)
        return change if change and change.expires_at > now.timestamp() else None

    @classmethod
    def at(cls, learner_id: str) -> Self:
        """A handle for writes, without reading."""
        return cls(learner_key(learner_id), cls.SK)

    @classmethod
    def new(cls, learner_id: str, *, email: str, proof: str, until: datetime) -> Self:
        return cls(
            learner_key(learner_id),
            cls.SK,
            email=email,
            proof=proof,
            expires_at=int(until.timestamp()),
        )


class Suppression(OfLearner, discriminator="suppression"):
    """Marks that the learner's address takes no mail: `SUPPRESSION`.

    `reason` is `bounce`, `complaint` or `mailbox_full`. It says nothing about another address that
    they may have later. It stays after it was lifted, so that only bounces since then count.
    """

    SK = "SUPPRESSION"

    email = UnicodeAttribute()
    reason = UnicodeAttribute()
    at = UTCDateTimeAttribute()
    message_id = UnicodeAttribute()
    lifted_at = UTCDateTimeAttribute(null=True)

    @classmethod
    def of(cls, learner_id: str) -> Self | None:
        """The latest suppression of a learner, even a lifted one: one consistent read."""
        return cls.get_or_none(learner_key(learner_id), cls.SK)

    def bars(self, email: str) -> bool:
        """Whether an address takes no mail."""
        return self.email == email and self.lifted_at is None

    def put_once(self) -> None:
        """Writes it, unless this address is suppressed already. Raises ConditionFailed."""
        is_free = Suppression.pk.does_not_exist() | (Suppression.email != self.email)
        self.put(is_free | Suppression.lifted_at.exists())

    def lift(self, now: datetime) -> None:
        """Lifts this one. Raises ConditionFailed if it was lifted, or another has followed."""
        is_this = (Suppression.at == self.at) & Suppression.lifted_at.does_not_exist()
        self.update_attributes(Suppression.lifted_at.set(now), condition=is_this)
