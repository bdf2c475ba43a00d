"""Things that a learner makes under an id of their own or of ours."""

from datetime import datetime
from typing import ClassVar, Self

from pynamodb.attributes import UnicodeAttribute, UTCDateTimeAttribute

from accounts.models import learner_key
from config.store.items import Item, Page, Raw

TOMBSTONE_S = 180 * 24 * 3600


class LearnerItem(Item):
    """A thing of a learner's: `LEARNER#<sub>` / `<PREFIX><id>`.

    `request_digest` is the digest of the request that made it (see
    `learning.services.idempotency`).
    """

    PREFIX: ClassVar[str]

    id = UnicodeAttribute()
    request_digest = UnicodeAttribute(attr_name="made_from")
    created_at = UTCDateTimeAttribute()
    updated_at = UTCDateTimeAttribute()

    @classmethod
    def key(cls, learner_id: str, own_id: str) -> tuple[str, str]:
        return learner_key(learner_id), f"{cls.PREFIX}{own_id}"

    @classmethod
    def of(cls, learner_id: str, own_id: str) -> Self | None:
        """One consistent read."""
        return cls.get_or_none(*cls.key(learner_id, own_id))

    @classmethod
    def all_of(cls, learner_id: str, *, limit: int, start: Raw | None) -> Page[Self]:
        """One page of the learner's things of this kind, by id."""
        condition = cls.sk.startswith(cls.PREFIX)
        return cls.query_page(learner_key(learner_id), condition, limit=limit, start=start)


class Tombstone(Item, discriminator="tombstone"):
    """What is left of a deleted thing for half a year, so that its id is not made again."""

    @classmethod
    def of(cls, item: Item, now: datetime) -> "Tombstone":
        return cls(item.pk, item.sk, expires_at=int(now.timestamp()) + TOMBSTONE_S)
