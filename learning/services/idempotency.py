"""Things made once, however often a client sends the request that makes them."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from ulid import ULID

from config.problems import IdTaken
from config.store.items import Item
from learning.models.base import LearnerItem

T = TypeVar("T", bound=LearnerItem)


def digest(fields: Mapping[str, Any]) -> str:
    """What a creation was made from, so that sending it again can be told from another one."""
    text = json.dumps(fields, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def split_id(fields: Mapping[str, Any]) -> tuple[str, dict[str, Any], str]:
    """The id to make (the client's or a new one), the other fields, and their digest."""
    rest = dict(fields)
    made_id = rest.pop("id", None) or str(ULID())
    return made_id, rest, digest(fields)


def find_existing(item: T) -> T | None:
    """The stored item where the same request made it; None where there is none.

    Raises IdTaken where another request did.
    """
    stored = Item.get_or_none(item.pk, item.sk)
    if stored is None:
        return None
    if isinstance(stored, type(item)) and stored.request_digest == item.request_digest:
        return stored
    raise IdTaken


def same_as(present: Item | None, kind: type[Any], request_digest: str) -> Any:
    """What the same request made before, None where nothing is there.

    Raises IdTaken where another request made it, or it was deleted.
    """
    if present is None:
        return None
    if isinstance(present, kind) and present.request_digest == request_digest:
        return present
    raise IdTaken
