"""What requests cost in DynamoDB's units, counted as AWS counts and not as DynamoDB Local says.

DynamoDB Local 3 counts writes of equal size in one transaction once, and neither what a read did
not find nor an empty query. So writes are measured here by AWS's rules from what the table held
before and holds after (Developer Guide, "Capacity unit consumption for write operations",
"Considerations when using local secondary indexes"); `tests/test_ruler.py` holds that against what
DynamoDB Local says of writes that are sent alone.

There are two figures. `local` doubles index entries within a transaction as DynamoDB Local does: an
upper bound. `aws` doubles the table's own write alone, as published measurements of AWS have it.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from accounts.models.limits import day_meter
from config.https import Answer
from config.stack import stack
from config.store.items import item_size
from tests.template import table_definition
from tests.wire import Headers, Send, operation_of, sending, table_client

Raw = dict[str, dict[str, Any]]
Key = tuple[str, str]
KEYS = ("pk", "sk")
WRITES = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"}


@dataclass
class Spent:
    """The operations sent, and the units that they used: read and, by two rules, written."""

    calls: list[str] = field(default_factory=list)
    read: float = 0.0
    local: float = 0.0
    aws: float = 0.0

    @property
    def units(self) -> float:
        """All of them, by the upper bound."""
        return self.read + self.local


@contextmanager
def counted() -> Iterator[Spent]:
    """Counts what goes over the wire, the client's own repetitions too.

    The one place that knows how calls are watched. What a learner's day has cost is added to the
    table by tenths of a cent, whenever one is full: that write is left out.
    """
    spent = Spent()

    def through(send: Send) -> Send:
        asking: list[bool] = []

        def counting(body: bytes, headers: Headers) -> Answer:
            if asking:
                return send(body, headers)
            operation, params = operation_of(headers), json.loads(body)
            before = _look(keys_of(operation, params), asking) if operation in WRITES else {}
            spent.calls.append(operation)
            answer = send(body, headers)
            if operation not in WRITES:
                spent.read += read_units(operation, params, json.loads(answer.body))
            elif answer.status == 200:
                _count_writes(spent, operation, before, _look(before, asking))
            return answer

        return counting

    with pytest.MonkeyPatch.context() as patch, sending(through):
        patch.setattr(day_meter, "step", math.inf)
        yield spent


def _count_writes(
    spent: Spent, operation: str, before: Mapping[Key, Raw | None], after: Mapping[Key, Raw | None]
) -> None:
    for key in before:
        local, aws = write_units(
            before[key], after[key], transaction=operation == "TransactWriteItems"
        )
        spent.local += local
        spent.aws += aws


def keys_of(operation: str, params: Mapping[str, Any]) -> list[Key]:
    """The keys of the items that a call writes, or checks."""
    if operation == "BatchWriteItem":
        requests = [each for of in params["RequestItems"].values() for each in of]
        named = [next(iter(each.values())) for each in requests]
    elif operation == "TransactWriteItems":
        named = [next(iter(each.values())) for each in params["TransactItems"]]
    else:
        named = [params]
    held = [each.get("Key") or each["Item"] for each in named]
    return [(each["pk"]["S"], each["sk"]["S"]) for each in held]


def _look(keys: Any, asking: list[bool]) -> dict[Key, Raw | None]:
    """The items under keys, read without being counted."""
    found: dict[Key, Raw | None] = dict.fromkeys(keys)
    asking.append(True)
    client, name = table_client(), stack().table_name
    try:
        wanted = list(found)
        for start in range(0, len(wanted), 100):
            part = [{"pk": {"S": p}, "sk": {"S": s}} for p, s in wanted[start : start + 100]]
            asked = {name: {"Keys": part, "ConsistentRead": True}}
            for item in client.call("BatchGetItem", {"RequestItems": asked})["Responses"][name]:
                found[item["pk"]["S"], item["sk"]["S"]] = item
    finally:
        asking.pop()
    return found


def read_units(operation: str, params: Mapping[str, Any], parsed: Mapping[str, Any]) -> float:
    """Units of a read: what the engine says, and what it forgets."""
    capacity = parsed.get("ConsumedCapacity", [])
    parts = [capacity] if isinstance(capacity, dict) else capacity
    said = sum(float(part["CapacityUnits"]) for part in parts)
    if operation == "BatchGetItem":
        asked = sum(len(of["Keys"]) for of in params["RequestItems"].values())
        found = sum(len(of) for of in parsed["Responses"].values())
        return said + (asked - found)
    least = 1.0 if params.get("ConsistentRead") else 0.5
    return max(said, least)


def write_units(before: Raw | None, after: Raw | None, *, transaction: bool) -> tuple[float, float]:
    """Units of one write, by DynamoDB Local's rule and by AWS's."""
    table = max(_units(before), _units(after), 1)
    indexes = sum(_index_units(names, before, after) for names in _indexes().values())
    if not transaction:
        return table + indexes, table + indexes
    return 2 * (table + indexes), 2 * table + indexes


def stored_bytes(item: Raw) -> int:
    """Bytes that an item is billed for with its index entries, 100 more for each."""
    entries = [_entry(names, item) for names in _indexes().values()]
    return item_size(item) + 100 + sum(item_size(entry) + 100 for entry in entries if entry)


def _units(item: Raw | None) -> int:
    return -(-item_size(item) // 1024) if item else 0


def _index_units(names: "Index", before: Raw | None, after: Raw | None) -> int:
    old, new = _entry(names, before), _entry(names, after)
    if old == new:
        return 0
    if old and new and all(old[name] == new[name] for name in names.keys):
        return max(_units(old), _units(new))
    return _units(old) + _units(new)


@dataclass(frozen=True)
class Index:
    """The key of an index, and what else it holds; None is all."""

    keys: tuple[str, ...]
    held: frozenset[str] | None


def _indexes() -> dict[str, Index]:
    found = {}
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        for index in table_definition()[kind]:
            keys = tuple(key["AttributeName"] for key in index["KeySchema"])
            shown = index["Projection"]
            names = frozenset({*KEYS, *keys, *shown.get("NonKeyAttributes", ())})
            held = None if shown["ProjectionType"] == "ALL" else names
            found[index["IndexName"]] = Index(keys, held)
    return found


def _entry(names: Index, item: Raw | None) -> Raw | None:
    """The attributes of an item that an index holds; None if the item is not in the index."""
    if not item or any(name not in item for name in names.keys):
        return None
    return {n: value for n, value in item.items() if names.held is None or n in names.held}
