"""Owners of refresh tokens."""

import hashlib
from datetime import datetime
from typing import Self

from pynamodb.attributes import UnicodeAttribute

from config.store.items import Item


class IssuedToken(Item, discriminator="issued_token"):
    """The owner of a refresh token, which only Cognito could read: `TOKEN#<hash>` / `TOKEN`.

    `session` is what the access tokens made by it carry. Kept as long as the token may come back.
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
