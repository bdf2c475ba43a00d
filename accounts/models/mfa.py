"""The second step of a sign-in."""

from typing import Self

from pynamodb.attributes import BinaryAttribute, UnicodeSetAttribute

from accounts.models.account import learner_key
from config.store.items import ConditionFailed, Item


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
        """Takes the secret being set up for the one in force, where the pool was asked of none."""
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
