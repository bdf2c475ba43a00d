"""The audit trail."""

from datetime import datetime
from typing import Self

from pynamodb.attributes import UnicodeAttribute, UTCDateTimeAttribute
from ulid import ULID

from accounts.models.account import learner_key
from config.client_info import ClientInfo
from config.store.items import Item, Page, Raw


class Activity(Item, discriminator="activity"):
    """A line of a trail, kept for half a year: `LEARNER#<sub>` / `ACTIVITY#<ulid>`.

    What staff write for everyone has a trail too: `TRAIL#<target>` / `ACTIVITY#<ulid>`.
    `action` is an `accounts.audit.Action`; `actor` is the staff member who did it, empty
    for the learner; `target` is what a staff member did it to, as an address in the API without
    its first slash, in their own trail alone; `ip` and `agent` are where it came from.
    """

    PREFIX = "ACTIVITY#"
    KEPT_S = 180 * 86_400

    at = UTCDateTimeAttribute()
    action = UnicodeAttribute()
    ip = UnicodeAttribute(default="")
    agent = UnicodeAttribute(default="")
    actor = UnicodeAttribute(default="")
    target = UnicodeAttribute(default="")

    @classmethod
    def new(
        cls,
        learner_id: str,
        action: str,
        source: ClientInfo,
        *,
        now: datetime,
        actor: str = "",
        target: str = "",
    ) -> Self:
        activity = cls._line(learner_key(learner_id), action, now, actor)
        activity.ip, activity.agent, activity.target = source.ip, source.agent, target
        return activity

    @classmethod
    def for_target(cls, target: str, action: str, *, now: datetime, actor: str) -> Self:
        """A staff member's action in the trail of its target, without the source address."""
        return cls._line(cls.trail_key(target), action, now, actor)

    @classmethod
    def _line(cls, pk: str, action: str, now: datetime, actor: str) -> Self:
        return cls(
            pk,
            f"{cls.PREFIX}{ULID.from_datetime(now)}",
            at=now,
            action=action,
            actor=actor,
            expires_at=int(now.timestamp()) + cls.KEPT_S,
        )

    @staticmethod
    def trail_key(target: str) -> str:
        """The partition with the trail of a target: a learner's is with all else that is theirs."""
        kind, _, id = target.partition("/")
        return learner_key(id) if kind == "users" else f"TRAIL#{target}"

    @property
    def id(self) -> str:
        return self.sk.partition("#")[2]

    @property
    def by_staff(self) -> bool:
        return bool(self.actor)

    @classmethod
    def newest(cls, target: str, *, limit: int, start: Raw | None = None) -> Page[Self]:
        """The trail of `users/<id>`, `scenarios/<id>`: one query, the latest first."""
        condition = cls.sk.startswith(cls.PREFIX)
        return cls.query_page(
            cls.trail_key(target), condition, limit=limit, start=start, descending=True
        )
