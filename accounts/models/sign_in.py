"""The items of a sign-in: its second step, its sessions, and the owners of refresh tokens."""

import hashlib
from datetime import datetime
from typing import Self

from pynamodb.attributes import (
    BinaryAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.expressions.condition import Condition

from accounts.models.account import learner_key
from config.client_info import ClientInfo
from config.store.items import ConditionFailed, Item, Page, Raw, key_instant
from config.store.transactions import Delete, Update, transact


class IssuedToken(Item, discriminator="issued_token"):
    """The owner of a refresh token, which only Cognito could read: `TOKEN#<hash>` / `TOKEN`.

    `session` is the session in the access tokens made by it. Kept as long as the token may come
    back.
    """

    SK = "TOKEN"
    KEPT_S = 31 * 86_400

    learner_id = UnicodeAttribute()
    session = UnicodeAttribute()

    @staticmethod
    def key(refresh_token: str) -> str:
        return f"TOKEN#{hashlib.sha256(refresh_token.encode()).hexdigest()}"

    @classmethod
    def new(cls, refresh_token: str, learner_id: str, session: str, *, now: datetime) -> Self:
        return cls(
            cls.key(refresh_token),
            cls.SK,
            learner_id=learner_id,
            session=session,
            expires_at=int(now.timestamp()) + cls.KEPT_S,
        )

    @classmethod
    def of(cls, refresh_token: str) -> Self | None:
        """One consistent read."""
        return cls.get_or_none(cls.key(refresh_token), cls.SK)


class SignInCode(Item, discriminator="sign_in_code"):
    """A sign-in that waits for its mailed code: `CODE#<hash of its token>` / `CODE`.

    There is one for every address that was typed in, with an account or without. `sign_in` is
    sealed: nobody who reads the table can go on with it.
    """

    SK = "CODE"

    sign_in = UnicodeAttribute()

    @staticmethod
    def _key(token: str) -> str:
        return f"CODE#{hashlib.sha256(token.encode()).hexdigest()}"

    @classmethod
    def new(cls, token: str, sign_in: str, *, until: datetime) -> Self:
        return cls(cls._key(token), cls.SK, sign_in=sign_in, expires_at=int(until.timestamp()))

    @classmethod
    def of(cls, token: str) -> Self | None:
        """One consistent read."""
        return cls.get_or_none(cls._key(token), cls.SK)

    def use(self) -> None:
        """Removes it, once: the second of two at once gets ConditionFailed."""
        transact(Delete(self, SignInCode.pk.exists()))


class Session(Item, discriminator="login_session"):
    """A sign-in and its renewals: `LEARNER#<sub>` / `LOGIN#<Cognito's origin_jti>`.

    `ip` and `agent` are those of the last use. A session that was ended stays until its refresh
    tokens lapse, so that none of them is good for anything.
    lsi4: `LOGIN#<last used>#<id>`, the order of the list.
    """

    PREFIX = "LOGIN#"
    KEPT_S = 31 * 86_400

    begun_at = UTCDateTimeAttribute()
    last_used_at = UTCDateTimeAttribute()
    ended_at = UTCDateTimeAttribute(null=True)
    ip = UnicodeAttribute(default="")
    agent = UnicodeAttribute(default="")

    @classmethod
    def at(cls, learner_id: str, session_id: str) -> Self:
        """A handle for changes in place, without reading."""
        return cls(learner_key(learner_id), f"{cls.PREFIX}{session_id}")

    @property
    def id(self) -> str:
        return self.sk.partition("#")[2]

    def use_write(self, source: ClientInfo, now: datetime) -> Update:
        """The write that notes a sign-in or its renewal, unless the session was ended."""
        actions = [
            Session.kind.set(Session),
            Session.begun_at.set(Session.begun_at | now),
            Session.last_used_at.set(now),
            Session.lsi4.set(f"{self.PREFIX}{key_instant(now)}#{self.id}"),
            Session.ip.set(source.ip),
            Session.agent.set(source.agent),
            Session.expires_at.set(int(now.timestamp()) + self.KEPT_S),
        ]
        return Update(self, actions, Session.ended_at.does_not_exist())

    def end_write(self, now: datetime) -> Update:
        """The write that ends the session, also one that is not in the table."""
        actions = [
            Session.kind.set(Session),
            Session.begun_at.set(Session.begun_at | now),
            Session.last_used_at.set(Session.last_used_at | now),
            Session.ended_at.set(now),
            Session.expires_at.set(int(now.timestamp()) + self.KEPT_S),
        ]
        return Update(self, actions)

    @property
    def has_ended(self) -> bool:
        return bool(self.ended_at)

    @property
    def source(self) -> ClientInfo:
        return ClientInfo(self.ip, self.agent)

    @classmethod
    def of(cls, learner_id: str, session_id: str) -> Self | None:
        """One consistent read."""
        return cls.get_or_none(learner_key(learner_id), f"{cls.PREFIX}{session_id}")

    @classmethod
    def newest(
        cls, learner_id: str, *, limit: int, start: Raw | None = None, begun_after: datetime
    ) -> Page[Self]:
        """The sessions that have not ended, the last used first: one query of lsi4."""
        open_ones = cls.ended_at.does_not_exist() & (cls.begun_at > begun_after)
        return cls._newest(learner_id, limit, start, open_ones)

    @classmethod
    def history(cls, learner_id: str, *, limit: int) -> list[Self]:
        """The sessions of the last month, also those that have ended: one query of lsi4."""
        return cls._newest(learner_id, limit, None, None).items

    @classmethod
    def _newest(
        cls, learner_id: str, limit: int, start: Raw | None, matching: Condition | None
    ) -> Page[Self]:
        return cls.query_page(
            learner_key(learner_id),
            cls.lsi4.startswith(cls.PREFIX),
            index="lsi4",
            limit=limit,
            start=start,
            descending=True,
            matching=matching,
        )


class Mfa(Item, discriminator="mfa"):
    """The second step of a learner's sign-in: `LEARNER#<sub>` / `MFA`.

    `pending` is the secret being set up, `secret` the one that the pool was last asked to verify
    and, once the account says so, the one in force; both encrypted by KMS: a backup code needs it
    to answer Cognito's challenge. `unused` and `reserved` are fingerprints
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
        return cls.get_or_none(learner_key(learner_id), cls.SK)

    @classmethod
    def at(cls, learner_id: str) -> Self:
        """A handle for changes in place, without reading."""
        return cls(learner_key(learner_id), cls.SK)

    def prepare(self, ciphertext: bytes) -> None:
        """Keeps a secret that is yet to be verified; the one in force stays."""
        self.update_attributes(Mfa.pending.set(ciphertext), Mfa.kind.set(Mfa))

    def try_pending(self, ciphertext: bytes, fingerprints: set[str]) -> None:
        """Keeps the secret that the pool is about to verify, with its backup codes.

        Raises ConditionFailed when another is being set up by now.
        """
        self.update_attributes(
            Mfa.secret.set(ciphertext),
            Mfa.unused.set(fingerprints),
            Mfa.reserved.remove(),
            condition=Mfa.pending == ciphertext,
        )

    def promote(self) -> None:
        """Puts the secret being set up in force, where the pool was not asked to verify any."""
        try:
            self.update_attributes(
                Mfa.secret.set(Mfa.pending),
                Mfa.pending.remove(),
                condition=Mfa.pending.exists() & Mfa.secret.does_not_exist(),
            )
        except ConditionFailed:
            return

    def renew_codes(self, fingerprints: set[str]) -> None:
        """Replaces all backup codes. Raises ConditionFailed where no secret is in force."""
        self.update_attributes(
            Mfa.unused.set(fingerprints), Mfa.reserved.remove(), condition=Mfa.secret.exists()
        )

    def reserve(self, fingerprint: str) -> None:
        """Takes a code for one use. Raises ConditionFailed when it is used or in use."""
        self.update_attributes(
            Mfa.unused.delete({fingerprint}),
            Mfa.reserved.add({fingerprint}),
            condition=Mfa.unused.contains(fingerprint),
        )

    def consume(self, fingerprint: str) -> None:
        """Forgets a reserved code."""
        self.update_attributes(Mfa.reserved.delete({fingerprint}), condition=Mfa.secret.exists())

    def release(self, fingerprint: str) -> None:
        """Makes a reserved code usable again. Raises ConditionFailed when codes were renewed."""
        self.update_attributes(
            Mfa.reserved.delete({fingerprint}),
            Mfa.unused.add({fingerprint}),
            condition=Mfa.reserved.contains(fingerprint),
        )
