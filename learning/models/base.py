"""Things that a learner makes under an id of their own or of ours, once for each request."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self, TypeVar

from pynamodb.attributes import Attribute, NumberAttribute, UnicodeAttribute, UTCDateTimeAttribute
from pynamodb.constants import NUMBER
from ulid import ULID

from accounts.models import Synced, learner_key
from config.problems import IdTaken
from config.store.items import Item, OnUnreadable, Page, Raw

# Longer than a journal is kept: a device that is told of a deletion must find it.
TOMBSTONE_S = 430 * 24 * 3600
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """An instant as microseconds since 1970."""
    return (at - EPOCH) // MICROSECOND


def instant(count: float) -> datetime:
    """The instant so many microseconds after 1970."""
    return EPOCH + int(count) * MICROSECOND


class InstantAttribute(Attribute[datetime]):
    """An instant to the microsecond, in a third of the bytes of its text."""

    attr_type = NUMBER

    def serialize(self, value: datetime) -> str:
        return str(micros(value))

    def deserialize(self, value: str) -> datetime:
        return instant(int(value))


class Kept(Synced):
    """A synced thing under an id: `LEARNER#<sub>` / `<PREFIX><id>`."""

    PREFIX: ClassVar[str]

    @classmethod
    def key(cls, learner_id: str, own_id: str) -> tuple[str, str]:
        return learner_key(learner_id), f"{cls.PREFIX}{own_id}"

    @classmethod
    def of(cls, learner_id: str, own_id: str) -> Self | None:
        """One consistent read."""
        return cls.get_or_none(*cls.key(learner_id, own_id))

    @classmethod
    def all_of(
        cls,
        learner_id: str,
        *,
        limit: int,
        start: Raw | None,
        on_unreadable: OnUnreadable | None = None,
    ) -> Page[Self]:
        """One page of the learner's things of this kind, by id."""
        return cls.query_page(
            learner_key(learner_id),
            cls.sk.startswith(cls.PREFIX),
            limit=limit,
            start=start,
            on_unreadable=on_unreadable,
        )


class LearnerItem(Kept):
    """A thing of a learner's. `request_digest` is the `digest` of the request that made it."""

    id = UnicodeAttribute()
    request_digest = UnicodeAttribute(attr_name="made_from")
    created_at = UTCDateTimeAttribute()
    updated_at = UTCDateTimeAttribute()

    @classmethod
    def own_fields(cls) -> list[str]:
        """The names of the fields that the learner sets, without those of the store and of ours."""
        technical = {*LearnerItem.get_attributes(), "version", *cls.TECHNICAL}
        return [name for name in cls.get_attributes() if name not in technical]

    TECHNICAL: ClassVar[frozenset[str]] = frozenset()

    def own_values(self) -> dict[str, Any]:
        """The learner's own fields with their values."""
        return {name: getattr(self, name) for name in self.own_fields()}


class Tombstone(Synced, discriminator="tombstone"):
    """What is left of a deleted thing for 430 days, so that its id is not made again.

    `entries`: of a card, how many its log has.
    """

    entries = NumberAttribute(attr_name="e", null=True)

    @property
    def is_gone(self) -> bool:
        return True

    @classmethod
    def of(cls, item: Item, now: datetime) -> "Tombstone":
        entries = getattr(item, "entries", None)
        return cls(item.pk, item.sk, entries=entries, expires_at=int(now.timestamp()) + TOMBSTONE_S)


# --- The same request again -----------------------------------------------------------------------


T = TypeVar("T", bound=LearnerItem)


def digest(fields: Mapping[str, Any]) -> str:
    """A digest of the fields of a creation, by which a repeated request is recognised."""
    text = json.dumps(fields, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def split_id(fields: Mapping[str, Any]) -> tuple[str, dict[str, Any], str]:
    """The id to make (the client's or a new one), the other fields, and their digest."""
    rest = dict(fields)
    made_id = rest.pop("id", None) or str(ULID())
    return made_id, rest, digest(fields)


def find_existing(item: T) -> T | None:
    """The stored item, if the same request made it; None if nothing is stored.

    Raises IdTaken if another request made it.
    """
    stored = Item.get_or_none(item.pk, item.sk)
    existing: T | None = same_as(stored, type(item), item.request_digest)
    return existing


def same_as(present: Item | None, kind: type[Any], request_digest: str) -> Any:
    """The item present, if the same request made it; None if there is none.

    Raises IdTaken if another request made it, or if it was deleted.
    """
    if present is None:
        return None
    if isinstance(present, kind) and present.request_digest == request_digest:
        return present
    raise IdTaken
