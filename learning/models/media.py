"""A learner's pictures and sounds, and how much room they take."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from pynamodb.attributes import (
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.expressions.condition import Condition

from accounts.models import learner_key
from config.store.items import Item, Page, Raw, batch_get
from config.store.transactions import Delete, Put, Update, Write

if TYPE_CHECKING:
    from learning.media_types import Kind

PENDING, READY = "pending", "ready"
STATES = (PENDING, READY)
HOLDS_ANEW = timedelta(minutes=5)  # of many cards with one medium not each writes it


class Medium(Item, discriminator="medium"):
    """A picture or sound: `MEDIA#<id>`, where the id is made of the bytes that were sent.

    `pending` until its upload was looked at; such an item lapses. `object` is the key of the bytes
    in the bucket, and names this upload alone. `names` are the file names that it has come under.
    Until `kept_until` it stays without a card that shows it.
    """

    PREFIX = "MEDIA#"

    id = UnicodeAttribute()
    state = UnicodeAttribute(default=PENDING)
    sha256 = UnicodeAttribute()
    content_type = UnicodeAttribute()
    size_bytes = NumberAttribute()
    width = NumberAttribute(default=0)
    height = NumberAttribute(default=0)
    names: ListAttribute[UnicodeAttribute] = ListAttribute(of=UnicodeAttribute, default=list)
    object = UnicodeAttribute()
    created_at = UTCDateTimeAttribute()
    kept_until = UTCDateTimeAttribute()

    @classmethod
    def key(cls, learner_id: str, medium_id: str) -> tuple[str, str]:
        return learner_key(learner_id), f"{cls.PREFIX}{medium_id}"

    @classmethod
    def of(cls, learner_id: str, medium_id: str) -> Self | None:
        """One consistent read."""
        return cls.get_or_none(*cls.key(learner_id, medium_id))

    @classmethod
    def ready_among(cls, learner_id: str, medium_ids: Iterable[str]) -> "dict[str, Medium]":
        """Those of the ids that can be shown: a read for every hundred."""
        stored = batch_get(*{cls.key(learner_id, medium_id) for medium_id in medium_ids})
        media = (item for item in stored.values() if isinstance(item, Medium))
        return {medium.id: medium for medium in media if medium.is_ready}

    @classmethod
    def all_of(cls, learner_id: str, *, limit: int, start: Raw | None) -> "Page[Medium]":
        """A page of those that can be shown, by id: one query."""
        return cls.query_page(
            learner_key(learner_id),
            cls.sk.startswith(cls.PREFIX),
            limit=limit,
            start=start,
            matching=cls.state == READY,
        )

    @property
    def is_ready(self) -> bool:
        return bool(self.state == READY)

    @property
    def kind_of_media(self) -> "Kind":
        from learning.media_types import kind_of  # nobody who studies loads it

        return kind_of(self.content_type)

    def keep_until(self, instant: datetime) -> None:
        """Lets it stay without a card until then. Raises ConditionFailed if it is gone."""
        self.update_attributes(
            Medium.kept_until.set(instant), condition=Medium.object == self.object
        )

    def hold_until(self, instant: datetime) -> None:
        """Lets it stay until about then, when a card shows it. Raises ConditionFailed."""
        if not instant - HOLDS_ANEW <= self.kept_until <= instant:
            self.keep_until(instant)

    def add_name(self, name: str) -> None:
        """Notes another file name, of which the first `MOST_NAMES` are kept."""
        if name and name not in self.names and len(self.names) < MOST_NAMES:
            names: list[Any] = [*self.names, name]
            self.update_attributes(Medium.names.set(names), condition=Medium.object == self.object)


MOST_NAMES = 100


class MediaShelf(Item, discriminator="media_shelf"):
    """How many media a learner has, of how many bytes: `SHELF`.

    `sweep_at`: when those that no card shows are to be removed; a message for it is under way.
    """

    SK = "SHELF"

    files = NumberAttribute(default=0)
    bytes = NumberAttribute(default=0)
    sweep_at = UTCDateTimeAttribute(null=True)

    @classmethod
    def at(cls, learner_id: str) -> Self:
        return cls(learner_key(learner_id), cls.SK)

    @classmethod
    def add_writes(
        cls, medium: Medium, *, most_files: int, most_bytes: int, condition: Condition
    ) -> list[Write]:
        """The writes that put a medium onto the shelf, if there is room and `condition` holds."""
        shelf = cls(medium.pk, cls.SK)
        room = (cls.files < most_files) & (cls.bytes <= most_bytes - int(medium.size_bytes))
        actions = [
            cls.files.add(1),
            cls.bytes.add(int(medium.size_bytes)),
            cls.kind.set(cls),
        ]
        return [Update(shelf, actions, cls.pk.does_not_exist() | room), Put(medium, condition)]

    @classmethod
    def remove_writes(cls, medium: Medium) -> list[Write]:
        """The writes that take a medium off the shelf, if nobody has wanted it meanwhile."""
        unchanged = (Medium.object == medium.object) & (Medium.kept_until == medium.kept_until)
        if not medium.is_ready:
            return [Delete(medium, unchanged)]
        actions = [cls.files.add(-1), cls.bytes.add(-int(medium.size_bytes))]
        return [Update(cls(medium.pk, cls.SK), actions), Delete(medium, unchanged)]

    @classmethod
    def ask_for_sweep(cls, learner_id: str, at: datetime, *, now: datetime) -> None:
        """Notes when a sweep is to be. Raises ConditionFailed where one is to come already."""
        none_to_come = cls.sweep_at.does_not_exist() | (cls.sweep_at < now)
        cls.at(learner_id).update_attributes(
            cls.sweep_at.set(at), condition=cls.pk.exists() & none_to_come
        )

    @classmethod
    def begin_sweep(cls, learner_id: str) -> None:
        """From here on another sweep may be asked for. Raises ConditionFailed without a shelf."""
        cls.at(learner_id).update_attributes(cls.sweep_at.remove(), condition=cls.pk.exists())
