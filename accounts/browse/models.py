"""The items of browser sessions."""

from datetime import datetime
from typing import Self

from pynamodb.attributes import UnicodeAttribute
from ulid import ULID

from accounts.models import learner_key
from config.store.transactions import Delete, transact
from config.table import Item


class BrowserSession(Item, discriminator="browser_session"):
    """A member of staff at work in a browser: `LEARNER#<sub>` / `BROWSER#<ulid>`.

    In the learner's partition, so that it leaves with them. `tokens` is sealed text; it changes
    each time the access token is renewed.
    """

    PREFIX = "BROWSER#"

    tokens = UnicodeAttribute()

    @classmethod
    def new(cls, learner_id: str, *, now: datetime, until: datetime) -> Self:
        return cls(
            learner_key(learner_id),
            f"{cls.PREFIX}{ULID.from_datetime(now)}",
            expires_at=int(until.timestamp()),
        )

    @classmethod
    def of(cls, learner_id: str, session_id: str, *, now: datetime) -> Self | None:
        """One consistent read; a lapsed session is none."""
        found = cls.find(learner_key(learner_id), f"{cls.PREFIX}{session_id}")
        return found if found and found.expires_at > now.timestamp() else None

    @property
    def learner_id(self) -> str:
        return self.pk.partition("#")[2]

    @property
    def id(self) -> str:
        return self.sk.partition("#")[2]

    def renew(self, tokens: str) -> None:
        """Replaces the tokens. Raises ConditionFailed when they were replaced since, or ended."""
        self.apply(
            BrowserSession.tokens.set(tokens), condition=BrowserSession.tokens == self.tokens
        )

    def end(self) -> None:
        """Removes the session, if it is still there."""
        transact(Delete(self))
