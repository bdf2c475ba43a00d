"""The table in memory, but as AWS may show it: a transaction comes in item by item, in any order.

AWS makes all of a transaction or none, but queries and reads of several items are read-committed:
they may see a part of one that is just being applied (Developer Guide, "Isolation levels"). No
engine on one machine ever shows that. Here other devices have their turn, in `between`, after each
item. Whoever would write an item that is still to be written, or was only checked and is not let go
yet, meets a conflict; one that is done may be written again while others are to come, as there
(Idziorek et al., "Distributed Transactions at Scale in Amazon DynamoDB", USENIX ATC 2023).
"""

from collections.abc import Callable
from random import Random
from typing import Any

from tests.memory_table import Answer, Body, Key, MemoryTable, _cancelled, _Refused


class TornTable(MemoryTable):
    """`between` is called after each item of a transaction but the last."""

    def clear(self) -> None:
        super().clear()
        self.between: Callable[[], Any] = lambda: None
        self.order = Random(0)  # noqa: S311
        self.held: set[Key] = set()

    def TransactWriteItems(self, body: Body) -> Answer:  # noqa: N802
        token = body.get("ClientRequestToken")
        if token in self.done:
            return self.done[token]
        writes = [next(iter(each.items())) for each in body["TransactItems"]]
        keys = [self._key_of(write) for _, write in writes]
        if self.held & set(keys):
            reasons = [{"Code": "TransactionConflict" if k in self.held else "None"} for k in keys]
            raise _cancelled(reasons)
        applied = _Slowly(self)
        answer = super().TransactWriteItems(body)
        applied.replay(set(keys))
        return answer

    def _key_of(self, write: Body) -> Key:
        return self._key(write.get("Item") or write["Key"])

    def _write_alone(self, verb: str, body: Body) -> Answer:
        if self._key_of(body) in self.held:
            raise _Refused("TransactionConflictException")
        return super()._write_alone(verb, body)


class _Slowly:
    """What a transaction has changed, taken back and done again one by one."""

    def __init__(self, table: TornTable) -> None:
        self.table = table
        self.before = {pk: dict(items) for pk, items in table.items.items()}

    def replay(self, keys: set[Key]) -> None:
        table = self.table
        after = {key: table._find(key) for key in keys}
        for pk, sk in keys:
            table._set((pk, sk), self.before.get(pk, {}).get(sk))
        waiting = sorted(keys)
        table.order.shuffle(waiting)
        table.held |= keys
        try:
            while waiting:
                self._apply(waiting.pop(), after)
                if waiting:
                    table.between()
        finally:
            while waiting:  # all of it holds, whatever a test does in between
                self._apply(waiting.pop(), after)

    def _apply(self, key: Key, after: dict[Key, Any]) -> None:
        """Makes one item what it is to be; from here on others may write it."""
        self.table._set(key, after[key])
        self.table.held.discard(key)
