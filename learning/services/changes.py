"""What has changed of a learner's things, in the order of arrival.

A change is what `accounts.services.changes.commit` has told the head: `[number, sort key]` for an
item to read, `[number, sort key, 1]` for one that is gone, `[number, sort key, entry]` for a line
of a log (as `LogEntry.as_told` reads it), with what its card stands at behind it, and `[number,
prefix]` for much that was written under a prefix at once. The youngest are in the head, the others
in journals.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from accounts.models import Head, Journal
from config.table import Page, Raw
from learning.models.log import LogEntry

Change = list[Any]


def entries_by_arrival(
    *, learner_id: str, limit: int, start: Raw | None, now: datetime
) -> Page[LogEntry]:
    """One page of what was studied here in the last 400 days, what came in last first.

    One read of the head, and a query of journals where it does not have enough.
    """
    before = int(start["n"]["S"]) if start else None
    found: list[tuple[int, LogEntry]] = []
    for change in _backwards(learner_id, before, limit, now):
        if is_entry(change):
            found.append((change[0], LogEntry.as_told(learner_id, change[1], change[2])))
        if len(found) > limit:
            number = found[limit - 1][0]
            return Page([entry for _, entry in found[:limit]], {"n": {"S": str(number)}})
    return Page([entry for _, entry in found], None)


def is_entry(change: Change) -> bool:
    """Whether a change is a line of a log."""
    return len(change) > 2 and isinstance(change[2], dict)


def _backwards(learner_id: str, before: int | None, limit: int, now: datetime) -> Iterator[Change]:
    """All changes before a number (by default all), the newest first."""
    head = Head.of(learner_id)
    if before is None:
        before = int(head.n) + 1
    yield from (change for change in reversed(head.changes) if change[0] < before)
    start: Raw | None = None
    while True:
        page = Journal.before(learner_id, min(before, int(head.first)), limit=limit, start=start)
        for journal in page.items:
            if (journal.expires_at or 0) < now.timestamp():
                return  # what is older counts as gone, whether it still is there or not
            yield from (change for change in reversed(journal.changes) if change[0] < before)
        if not (start := page.next_key):
            return
