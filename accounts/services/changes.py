"""Writes a learner's things: all or none, in one order, and so that devices can follow."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.utils import timezone

from accounts.models import Head, Synced
from config.store.transactions import Conflicted, Put, Write, attempt

__all__ = ["Conflicted", "commit"]


def commit(head: Head, *writes: Write, whole: Sequence[str] = ()) -> None:
    """Makes writes of a learner's things with the head that was read before them: all or none.

    Each synced item among them is one more change, and so is each prefix of sort keys in `whole`,
    under which much was written before. Raises ConditionFailed (Conflicted where another
    transaction is in the way): then all has to be read again, the head with it.
    """
    unchanged = head.unchanged()
    items = [write.item for write in writes if isinstance(write, Put)]
    for change, item in _changes(items):
        head.add_changes([change])
        if item is not None:
            item.n = head.n
    head.add_changes([prefix] for prefix in whole)
    journal = head.hand_over(timezone.now())
    more = [Put(journal)] if journal else []
    attempt(Put(head, unchanged), *writes, *more)


def _changes(items: Sequence[Any]) -> Iterator[tuple[list[Any], Synced | None]]:
    """The changes that devices are told, in order, each with the item that gets its number.

    `[sk]`: read this item; `[sk, 1]`: it is gone; `[sk, entry]`: a line of a log; `[sk, entry, m]`
    with what its card now stands at.
    """
    rows = [item for item in items if hasattr(item, "told")]
    last = {row.card_id: row for row in rows}
    moved = {c.id: c for c in items if hasattr(c, "told_standing") and c.id in last}
    for row in rows:
        card = moved.get(row.card_id) if last[row.card_id] is row else None
        yield [row.sk, row.told(), *([card.told_standing()] if card else [])], card
    for item in items:
        if isinstance(item, Synced) and all(item is not card for card in moved.values()):
            yield [item.sk, 1] if item.is_gone else [item.sk], item
