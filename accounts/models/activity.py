"""The trail of what happened."""

from datetime import datetime
from typing import Self

from pynamodb.attributes import UnicodeAttribute, UTCDateTimeAttribute
from ulid import ULID

from accounts.models.account import learner_key
from config.sources import Source
from config.table import Item, Page, Raw


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
