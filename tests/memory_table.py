"""DynamoDB's table in dictionaries, behind our client: what thousands of tests can afford.

It answers what the service sends over the wire, so that everything of ours runs as it is, and it
can fail as AWS does and no emulator will: conflicts of transactions, throttling, answers lost
after the write. `tests/test_memory_table.py` holds it against DynamoDB Local. Not here: paths into
documents, streams, capacity of indexes; who asks for one is refused.
"""

import base64
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from threading import RLock
from typing import Any
from uuid import uuid4

from config.aws_json import AwsJson
from config.https import Answer as HttpAnswer
from config.store.connection import SCHEMA
from tests.memory_expressions import (
    SETS,
    Invalid,
    Raw,
    Value,
    canonical,
    condition,
    placeholders,
    updated,
)
from tests.template import table_definition
from tests.wire import operation_of, replaced

Body = dict[str, Any]
Answer = dict[str, Any]
Fault = Callable[[str], Exception | str | None]
Key = tuple[str, str]

INDEXES: dict[str | None, tuple[str, ...]] = {
    index["IndexName"]: tuple(key["AttributeName"] for key in index["KeySchema"])
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes")
    for index in SCHEMA[kind]
}
INDEXES[None] = KEYS = ("pk", "sk")
KEY_SIZES = {"pk": 2048, "gsi1pk": 2048}  # bytes; of all others 1024
ITEM_SIZE, PAGE_SIZE = 400 * 1024, 1024 * 1024
EXPRESSIONS = (
    "ConditionExpression",
    "FilterExpression",
    "KeyConditionExpression",
    "ProjectionExpression",
    "UpdateExpression",
)
UNKNOWN = {"AttributesToGet", "Expected", "KeyConditions", "ScanFilter"}
LOST = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}


class _Refused(Exception):
    """An answer that is AWS's error."""

    def __init__(self, code: str, message: str = "made by a test", **more: Any) -> None:
        super().__init__(code)
        self.answer = {"__type": code, "message": message, **more}


class MemoryTable:
    """`fault` is asked before each call: an exception is raised after the write, a text is AWS's
    error code. Whoever is `answering` calls but once, so that a fault is the last word."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.clear()
        self._lock = RLock()

    def clear(self) -> None:
        """Makes the table empty and healthy."""
        self.items: defaultdict[str, dict[str, Raw]] = defaultdict(dict)
        self.done: dict[str, Answer] = {}  # transactions by their tokens, as AWS knows them
        self.fault: Fault = lambda operation: None

    def remember(self) -> Callable[[], None]:
        """Returns a function that puts the present items back, for tests that begin with them."""
        kept = _copy(self.items)

        def restore() -> None:
            for pk, partition in _copy(kept).items():
                self.items[pk].update(partition)

        return restore

    @contextmanager
    def answering(self, client: AwsJson) -> Iterator["MemoryTable"]:
        """The client's calls end here meanwhile."""
        with replaced(client, send=self.send, tries=1, sleep=lambda seconds: None):
            yield self

    def send(self, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """Answers a request as AWS does."""
        operation = operation_of(headers)
        fault, request = self.fault(operation), json.loads(body)
        try:
            if isinstance(fault, str):
                raise self._made_to_fail(operation, fault, request)
            with self._lock:  # what it answers are its own items, until they are written as JSON
                answer = self._http(200, getattr(self, operation)(request))
        except _Refused as refused:
            return self._http(400, refused.answer)
        except Invalid as invalid:
            return self._http(400, _Refused("ValidationException", str(invalid)).answer)
        if fault:
            raise fault
        return answer

    def _http(self, status: int, answer: Answer) -> HttpAnswer:
        body = json.dumps(answer, default=_base64).encode()
        headers = {"x-amzn-requestid": str(uuid4()), "x-amz-crc32": str(zlib.crc32(body))}
        return HttpAnswer(status, headers, body)

    def _made_to_fail(self, operation: str, code: str, body: Body) -> _Refused:
        if operation == "TransactWriteItems" and code == "TransactionConflict":
            none = [{"Code": "None"}] * (len(body["TransactItems"]) - 1)
            return _cancelled([{"Code": code}, *none])
        return _Refused(code)

    # Reads

    def GetItem(self, body: Body) -> Answer:  # noqa: N802
        self._understood(body)
        found = self._find(self._exact(body["Key"]))
        answer = {"Item": found} if found else {}
        return answer | _spent(body, self.name, _read_units(_size(found), body))

    def BatchGetItem(self, body: Body) -> Answer:  # noqa: N802
        wanted = body["RequestItems"][self.name]
        keys = [self._exact(key) for key in wanted["Keys"]]
        _at_most(keys, 100)
        found = [item for key in keys if (item := self._find(key))]
        units = sum(_read_units(_size(item), wanted) for item in found)
        answer = {"Responses": {self.name: found}, "UnprocessedKeys": {}}
        return answer | _spent(body, self.name, units, listed=True)

    def Query(self, body: Body) -> Answer:  # noqa: N802
        placeholders = self._understood(body)
        index = body.get("IndexName")
        if index not in INDEXES:
            raise Invalid(f"The table does not have the specified index: {index}")
        if index == "gsi1" and body.get("ConsistentRead"):
            raise Invalid("Consistent reads are not supported on global secondary indexes")
        chosen = condition(body["KeyConditionExpression"])
        order = (INDEXES[index][1], "pk", "sk")
        found = [
            item
            for partition in self._partitions(index, placeholders)
            for item in partition.values()
            if all(name in item for name in order) and chosen(item, placeholders)
        ]
        backwards = not body.get("ScanIndexForward", True)
        found.sort(key=lambda item: [item[name]["S"] for name in order], reverse=backwards)
        if start := body.get("ExclusiveStartKey"):
            after = [start[name]["S"] for name in order]
            found = [
                item
                for item in found
                if (at := [item[name]["S"] for name in order]) != after
                and (at < after) == backwards
            ]
        shown = [projected(index, item) for item in found]
        return self._page(body, shown, placeholders, {*KEYS, *INDEXES[index]})

    def _partitions(self, index: str | None, given: Answer) -> list[dict[str, Raw]]:
        if index == "gsi1":
            return list(self.items.values())
        texts = [each["S"] for each in given.values() if isinstance(each, dict) and "S" in each]
        return [self.items[text] for text in texts if text in self.items]

    def Scan(self, body: Body) -> Answer:  # noqa: N802
        placeholders = self._understood(body)
        found = [item for _, held in sorted(self.items.items()) for _, item in sorted(held.items())]
        if start := body.get("ExclusiveStartKey"):
            found = [item for item in found if self._key(item) > self._key(start)]
        return self._page(body, found, placeholders, set(KEYS))

    def _page(self, body: Body, found: list[Raw], given: Answer, keys: set[str]) -> Answer:
        """As many items as `Limit` and a megabyte hold, and of these the ones that match."""
        limit, size, last = body.get("Limit", len(found) + 1), 0, None
        for count, item in enumerate(found, 1):
            size += _size(item)
            if count == limit or (size > PAGE_SIZE and count < len(found)):
                found, last = found[:count], {key: item[key] for key in keys}
                break
        matching = found
        if text := body.get("FilterExpression"):
            matching = [item for item in found if condition(text)(item, given)]
        answer: Answer = {"Count": len(matching), "ScannedCount": len(found)}
        if body.get("Select") != "COUNT":
            answer["Items"] = [_wanted(body, item, given) for item in matching]
        if last:
            answer["LastEvaluatedKey"] = last
        return answer | _spent(body, self.name, _read_units(size, body))

    # Writes

    def PutItem(self, body: Body) -> Answer:  # noqa: N802
        return self._write_alone("Put", body)

    def UpdateItem(self, body: Body) -> Answer:  # noqa: N802
        return self._write_alone("Update", body)

    def DeleteItem(self, body: Body) -> Answer:  # noqa: N802
        return self._write_alone("Delete", body)

    def _write_alone(self, verb: str, body: Body) -> Answer:
        key, before, holds, after = self._outcome(verb, body)
        if not holds:
            raise _Refused(
                "ConditionalCheckFailedException", LOST["Message"], **_seen(body, before)
            )
        self._set(key, after)
        wanted = {"ALL_OLD": before, "ALL_NEW": after}.get(body.get("ReturnValues", ""))
        answer = {"Attributes": wanted} if wanted else {}
        units = max(_write_units(before), _write_units(after))
        return answer | _spent(body, self.name, units)

    def BatchWriteItem(self, body: Body) -> Answer:  # noqa: N802
        verbs = {"PutRequest": "Put", "DeleteRequest": "Delete"}
        writes = [
            self._outcome(verbs[name], {"TableName": self.name, **request})
            for each in body["RequestItems"][self.name]
            for name, request in each.items()
        ]
        _at_most([key for key, *_ in writes], 25)
        for key, _, _, after in writes:
            self._set(key, after)
        units = sum(
            max(_write_units(before), _write_units(after)) for _, before, _, after in writes
        )
        return {"UnprocessedItems": {}} | _spent(body, self.name, units, listed=True)

    def TransactWriteItems(self, body: Body) -> Answer:  # noqa: N802
        token = body["ClientRequestToken"]
        if token in self.done:
            return self.done[token]
        writes = [next(iter(each.items())) for each in body["TransactItems"]]
        outcomes = [self._outcome(verb, write) for verb, write in writes]
        _at_most([key for key, *_ in outcomes], 100)
        if not all(holds for _, _, holds, _ in outcomes):
            raise _cancelled(
                [
                    {"Code": "None"} if holds else LOST | _seen(write, before)
                    for (_, write), (_, before, holds, _) in zip(writes, outcomes, strict=True)
                ]
            )
        for (verb, _), (key, _, _, after) in zip(writes, outcomes, strict=True):
            if verb != "ConditionCheck":
                self._set(key, after)
        units = sum(
            2 * max(_write_units(before), _write_units(after)) for _, before, _, after in outcomes
        )
        self.done[token] = _spent(body, self.name, units, listed=True)
        return self.done[token]

    def _outcome(self, verb: str, body: Body) -> tuple[Key, Raw | None, bool, Raw | None]:
        """A write's key, the item before, whether its condition holds, and the item after."""
        placeholders = self._understood(body)
        item = {name: stored(value) for name, value in body.get("Item", {}).items()}
        key = self._key(item) if item else self._exact(body["Key"])
        before = self._find(key)
        text = body.get("ConditionExpression")
        if text and not condition(text)(before or {}, placeholders):
            return key, before, False, before
        if verb == "Update":
            item = before or {name: dict(value) for name, value in body["Key"].items()}
            item = updated(body["UpdateExpression"], item, placeholders, keys=KEYS)
        elif verb == "ConditionCheck":
            item = before or {}
        return key, before, True, _checked(item) or None

    # The items

    def _find(self, key: Key) -> Raw | None:
        return self.items[key[0]].get(key[1]) if key[0] in self.items else None

    def _set(self, key: Key, item: Raw | None) -> None:
        if item:
            self.items[key[0]][key[1]] = _copy(item)
        else:
            self.items[key[0]].pop(key[1], None)

    def _key(self, item: Raw) -> Key:
        for name in KEYS:
            if not item.get(name, {}).get("S"):
                raise Invalid(f"The provided key element {name} is missing, of wrong type or empty")
        return item["pk"]["S"], item["sk"]["S"]

    def _exact(self, key: Raw) -> Key:
        if key.keys() - {*KEYS}:
            raise Invalid("The provided key element does not match the schema")
        return self._key(key)

    def _understood(self, body: Body) -> Answer:
        """The meanings of a request's placeholders. Each of them must be used and defined."""
        if body["TableName"] != self.name:
            raise _Refused("ResourceNotFoundException", "Requested resource not found")
        if refused := UNKNOWN & body.keys():
            raise NotImplementedError(f"the table in memory knows no {refused}")
        names = body.get("ExpressionAttributeNames", {})
        values = body.get("ExpressionAttributeValues", {})
        used = {name for text in EXPRESSIONS if text in body for name in placeholders(body[text])}
        if wrong := used ^ {*names, *values}:
            raise Invalid(f"Not both used and defined in expressions: {wrong}")
        return names | {name: stored(value) for name, value in values.items()}


def _wanted(body: Body, item: Raw, given: Answer) -> Raw:
    """The attributes of an item that a query asks for, by default all."""
    text = body.get("ProjectionExpression")
    if text is None:
        return item
    names = {str(given.get(word.strip(), word.strip())) for word in text.split(",")}
    return {name: value for name, value in item.items() if name in names}


@cache
def _projections() -> dict[str | None, frozenset[str] | None]:
    """The attributes that each index holds; None is all of them."""
    found: dict[str | None, frozenset[str] | None] = {None: None}
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        for index in table_definition()[kind]:
            held, name = index["Projection"], index["IndexName"]
            names = {*KEYS, *INDEXES[name], *held.get("NonKeyAttributes", ())}
            found[name] = None if held["ProjectionType"] == "ALL" else frozenset(names)
    return found


def projected(index: str | None, item: Raw) -> Raw:
    """What an index holds of an item."""
    names = _projections()[index]
    return item if names is None else {n: value for n, value in item.items() if n in names}


def stored(value: Value) -> Value:
    """A value as DynamoDB keeps it: numbers in one form, bytes decoded, no empty set."""
    ((kind, held),) = value.items()
    if kind == "S":
        return value
    if kind == "N":
        return {kind: canonical(held)}
    if kind == "B":
        return {kind: base64.b64decode(held)}
    if kind == "L":
        return {kind: [stored(each) for each in held]}
    if kind == "M":
        return {kind: {name: stored(each) for name, each in held.items()}}
    if kind in SETS:
        one = kind[0]
        found = [stored({one: each})[one] for each in held]
        if not found or len(found) != len(set(found)):
            raise Invalid("A set must be neither empty nor hold a value twice")
        return {kind: found}
    return value


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(each) for name, each in value.items()}
    return [_copy(each) for each in value] if isinstance(value, list) else value


def _checked(item: Raw) -> Raw:
    for name in {name for names in INDEXES.values() for name in names} & item.keys():
        text = item[name].get("S")
        if not text or len(text.encode()) > KEY_SIZES.get(name, 1024):
            raise Invalid(f"The key {name} must be text, not empty, of at most 2048 or 1024 bytes")
    if _size(item) > ITEM_SIZE:
        raise Invalid("Item size has exceeded the maximum allowed size")
    return item


def _size(item: Raw | None) -> int:
    """About what DynamoDB counts: names and values in UTF-8 (Guide, "Item sizes and formats")."""
    if not item:
        return 0
    return sum(len(name.encode()) + _size_of(value) for name, value in item.items())


def _size_of(value: Value) -> int:
    ((kind, held),) = value.items()
    if kind == "S":
        return len(held) if held.isascii() else len(held.encode())
    if kind == "N":
        return len(held) // 2 + 2
    if kind == "L":
        return 3 + sum(1 + _size_of(each) for each in held)
    if kind == "M":
        return 3 + len(held) + _size(held)
    if kind in SETS:
        return sum(_size_of({kind[0]: each}) for each in held)
    return len(held) if kind == "B" else 1


def _read_units(size: int, body: Body) -> float:
    return max(1, -(-size // 4096)) * (1 if body.get("ConsistentRead") else 0.5)


def _write_units(item: Raw | None) -> float:
    return max(1, -(-_size(item) // 1024))


def _spent(body: Body, name: str, units: float, *, listed: bool = False) -> Answer:
    if body.get("ReturnConsumedCapacity", "NONE") == "NONE":
        return {}
    spent = {"TableName": name, "CapacityUnits": float(units)}
    return {"ConsumedCapacity": [spent] if listed else spent}


def _seen(body: Body, item: Raw | None) -> Answer:
    wanted = body.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    return {"Item": _copy(item)} if wanted and item else {}


def _at_most(keys: list[Key], most: int) -> None:
    if len(keys) != len(set(keys)) or len(keys) > most:
        raise Invalid(f"A key stands twice in the request, or there are more than {most}")


def _cancelled(reasons: list[Answer]) -> _Refused:
    codes = ", ".join(reason["Code"] for reason in reasons)
    message = f"Transaction cancelled, please refer to the specific reasons [{codes}]"
    return _Refused("TransactionCanceledException", message, CancellationReasons=reasons)
