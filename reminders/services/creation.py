"""Things made once, however often a client sends the request that makes them."""

from collections.abc import Mapping
from typing import Any, TypeVar

from ulid import ULID

from config.problems import IdTaken
from config.table import Item
from learning.services.cards import digest
from reminders.models import Event, Reminder

T = TypeVar("T", Event, Reminder)


def new_identity(fields: Mapping[str, Any]) -> tuple[str, dict[str, Any], str]:
    """The id to make (the client's or a new one), the other fields, and what it is made from."""
    rest = dict(fields)
    made_id = rest.pop("id", None) or str(ULID())
    return made_id, rest, digest(fields)


def made_before(item: T) -> T | None:
    """The stored item where the same request made it; None where there is none.

    Raises IdTaken where another request did.
    """
    stored = Item.find(item.pk, item.sk)
    if stored is None:
        return None
    if isinstance(stored, type(item)) and stored.made_from == item.made_from:
        return stored
    raise IdTaken
