"""DynamoDB's table in a dictionary, behind botocore: for properties that need thousands of calls.

It answers what the service sends over the wire, so that everything of ours runs as it is, and it
can fail as AWS does and no emulator will: conflicts of transactions, throttling, answers lost
after the write. `tests/test_convergence.py` checks it against moto.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from config.table import connection

Values = dict[str, Any]
Fault = Callable[[str], Exception | str | None]

BETWEEN = re.compile(r"(\S+) BETWEEN (\S+) AND (\S+?)(?=\)|\s|$)")
WORDS = {"=": "==", "<>": "!=", "AND": "and", "OR": "or", "NOT": "not"}


class _Missing:
    """What an attribute is where there is none: equal to nothing, before and after nothing."""

    def _false(self, _: object) -> bool:
        return False

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _false  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


MISSING = _Missing()


def plain(value: Values | None) -> Any:
    """A stored value as Python compares it."""
    if value is None:
        return MISSING
    ((kind, held),) = value.items()
    return float(held) if kind == "N" else held


def holds(expression: str | None, body: Values, item: Values) -> bool:
    """Whether a condition holds of an item (empty where there is none)."""
    if not expression:
        return True
    names, values = body.get("ExpressionAttributeNames", {}), body["ExpressionAttributeValues"]
    source = BETWEEN.sub(r"(\2 <= \1 <= \3)", expression)
    source = re.sub(r"[#:]\d+|<>|[<>]=|=|\b(?:AND|OR|NOT)\b", _word, source)
    return bool(
        eval(  # noqa: S307  (an expression that PynamoDB has made)
            source,
            {
                "name": lambda n: plain(item.get(names[n])),
                "value": lambda n: plain(values[n]),
                "attribute_exists": lambda found: found is not MISSING,
                "attribute_not_exists": lambda found: found is MISSING,
                "begins_with": lambda found, head: found is not MISSING and found.startswith(head),
            },
        )
    )


def _word(match: re.Match[str]) -> str:
    word = match[0]
    if word[0] in "#:":
        return f"{'name' if word[0] == '#' else 'value'}({word!r})"
    return WORDS.get(word, word)


def changed(body: Values, item: Values) -> Values:
    """An item after an UpdateExpression of SET and ADD."""
    names, values = body["ExpressionAttributeNames"], body["ExpressionAttributeValues"]
    after, section = dict(item), ""
    for word in re.findall(r"SET|ADD|#\d+ = :\d+|#\d+ :\d+", body["UpdateExpression"]):
        if word in ("SET", "ADD"):
            section = word
            continue
        name, given = names[word.split()[0]], values[word.split()[-1]]
        if section == "ADD":
            held = int(after.get(name, {"N": "0"})["N"])
            given = {"N": str(held + int(given["N"]))}
        after[name] = given
    return after


class _Answer:
    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


class MemoryTable:
    """`fault` is asked before each call: an exception is raised, `lost` raised after the write,
    any other text is AWS's error code."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Values] = {}
        self.fault: Fault = lambda operation: None

    @contextmanager
    def answering(self) -> Iterator["MemoryTable"]:
        """All of the service's calls are answered here meanwhile."""
        events = connection().connection.client.meta.events
        events.register("before-call.dynamodb", self._answer)
        try:
            yield self
        finally:
            events.unregister("before-call.dynamodb", self._answer)

    def _answer(self, model: Any, params: Any, **_: Any) -> tuple[_Answer, Values]:
        fault = self.fault(model.name)
        if isinstance(fault, str):
            return self._refusal(model.name, fault, json.loads(params["body"]))
        answer = getattr(self, model.name)(json.loads(params["body"]))
        if fault:
            raise fault
        return _Answer(400 if "Error" in answer else 200), answer

    def _refusal(self, operation: str, code: str, body: Values) -> tuple[_Answer, Values]:
        if operation == "TransactWriteItems" and code == "TransactionConflict":
            none = [{"Code": "None"}] * (len(body["TransactItems"]) - 1)
            return _Answer(400), self._cancelled([{"Code": code}, *none])
        return _Answer(400), {"Error": {"Code": code, "Message": "made by a test"}}

    def _cancelled(self, reasons: list[Values]) -> Values:
        error = {"Code": "TransactionCanceledException", "Message": "cancelled"}
        return {"Error": error, "CancellationReasons": reasons}

    def GetItem(self, body: Values) -> Values:  # noqa: N802
        found = self.items.get(_key(body["Key"]))
        return {"Item": found} if found else {}

    def BatchGetItem(self, body: Values) -> Values:  # noqa: N802
        ((name, wanted),) = body["RequestItems"].items()
        keys = [_key(key) for key in wanted["Keys"]]
        assert len(keys) == len(set(keys)) <= 100
        return {"Responses": {name: [self.items[key] for key in keys if key in self.items]}}

    def Query(self, body: Values) -> Values:  # noqa: N802
        order = body.get("IndexName", "sk")
        found = [
            item
            for item in self.items.values()
            if order in item and holds(body["KeyConditionExpression"], body, item)
        ]
        found.sort(key=lambda item: item[order]["S"], reverse=not body["ScanIndexForward"])
        assert len(found) < body.get("Limit", 1000), "pages are not made here"
        return {"Items": found, "Count": len(found)}

    def PutItem(self, body: Values) -> Values:  # noqa: N802
        if not self._holds({"Put": body}):
            return {"Error": {"Code": "ConditionalCheckFailedException", "Message": ""}}
        self._write({"Put": body})
        return {}

    def TransactWriteItems(self, body: Values) -> Values:  # noqa: N802
        writes = body["TransactItems"]
        keys = [_key_of(write) for write in writes]
        assert len(keys) == len(set(keys)) <= 100, "AWS refuses a key twice, and over 100 writes"
        held = [self._holds(write) for write in writes]
        if not all(held):
            codes = ["None" if each else "ConditionalCheckFailed" for each in held]
            return self._cancelled([{"Code": code} for code in codes])
        for write in writes:
            self._write(write)
        return {}

    def _holds(self, write: Values) -> bool:
        ((_, body),) = write.items()
        body.setdefault("ExpressionAttributeValues", {})
        return holds(body.get("ConditionExpression"), body, self.items.get(_key_of(write), {}))

    def _write(self, write: Values) -> None:
        ((verb, body),) = write.items()
        if verb == "Put":
            self.items[_key_of(write)] = body["Item"]
        elif verb == "Update":
            self.items[_key_of(write)] = changed(
                body, self.items.get(_key_of(write), dict(body["Key"]))
            )
        elif verb == "Delete":
            self.items.pop(_key_of(write), None)


def _key(key: Values) -> tuple[str, str]:
    return key["pk"]["S"], key["sk"]["S"]


def _key_of(write: Values) -> tuple[str, str]:
    ((_, body),) = write.items()
    return _key(body.get("Key") or body["Item"])
