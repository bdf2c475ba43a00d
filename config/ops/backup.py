"""Copies a whole table into a file and back, or only the learners' things, and resumes a copy.

The file holds JSON lines in gzip. Each line is an item in DynamoDB's own notation, so that no
conversion loses anything. `FILE.state` beside it records the progress. This reads while others
write: for a snapshot of one instant of a busy table, use point-in-time recovery.
"""

import base64
import gzip
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from config.problems import ServiceUnavailable
from config.store.connection import WRITE, in_batches

Raw = dict[str, Any]
Progress = Callable[[int], object]  # called with the number of items done

LEARNER = "LEARNER#"
# The kinds that a learner makes and studies. Sign-ins, mails and the audit trail stay as they are,
# and so do things that the learner has deleted and made again.
PUT_BACK = {
    *("profile", "scheduler", "optimization", "deck", "note", "card", "entry"),
    *("practice_session", "turn", "event"),
}
IF_GONE = {"reminder"}  # the sweep may just be mailing another
# The kinds that the check works out anew if there is a head.
IF_HEADLESS = {"head", "journal", "day"}


class BackupError(RuntimeError):
    """The copy cannot go on; the text says why."""


def export_table(client: Any, table: str, path: Path, progress: Progress) -> int:
    """Writes the table's items to `path` and returns their number. Leaves a finished file alone."""
    state = _state(path, table)
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(state["bytes"])  # what follows the last noted page is read again
        file.seek(state["bytes"])
        while not state["done"]:
            start = {"ExclusiveStartKey": state["next"]} if state["next"] else {}
            page = client.scan(TableName=table, ConsistentRead=True, **start)
            lines = "".join(f"{encode(item)}\n" for item in page["Items"])
            file.write(gzip.compress(lines.encode()))
            file.flush()
            os.fsync(file.fileno())
            state["bytes"] = file.tell()
            state["items"] += len(page["Items"])
            state["next"] = page.get("LastEvaluatedKey")
            state["done"] = state["next"] is None
            _note(path, state)
            progress(state["items"])
    return int(state["items"])


def import_table(client: Any, table: str, path: Path, progress: Progress) -> int:
    """Puts all items of the file into an empty table, or goes on with a table that it half filled.

    Raises BackupError for any other table.
    """
    noted = _state_path(path, table)
    done = int(noted.read_text()) if noted.exists() else 0
    if not done and client.scan(TableName=table, Limit=1)["Items"]:
        raise BackupError(f"{table} is not empty")
    for group in _groups(islice(read(path), done, None)):
        _put(client, table, [_of_another_line(item) for item in group])
        done += len(group)
        _write(noted, str(done))
        progress(done)
    return done


def put_back(
    client: Any, table: str, path: Path, progress: Progress, learner_id: str | None = None
) -> int:
    """Puts the things of one or all learners back over a table in use. Returns how many items.

    Things that were made or studied since the copy stay, and learners who have left do not come
    back. The log only grows, so that all that follows from it must be worked out anew afterwards.
    """
    done = 0
    table_in_use = _TableInUse(client, table)
    wanted = (item for item in read(path) if table_in_use.wants(item, learner_id))
    for group in _groups(wanted):
        _put(client, table, [_of_another_line(item) for item in group])
        done += len(group)
        progress(done)
    return done


class _TableInUse:
    """The present content of a table, asked by a file that has each partition in one piece."""

    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table
        self.pk, self.head, self.account = "", "", ""

    def wants(self, item: Raw, learner_id: str | None) -> bool:
        pk, kind = str(item["pk"]["S"]), item.get("kind", {}).get("S")
        if not pk.startswith(LEARNER) or learner_id not in (None, pk.removeprefix(LEARNER)):
            return False
        if pk != self.pk:
            self.pk = pk
            self.head, self.account = self._kind(pk, "HEAD"), self._kind(pk, "ACCOUNT")
        if not self.account:
            return False
        if kind in IF_GONE:
            return self._kind(pk, item["sk"]["S"]) not in IF_GONE
        return kind in PUT_BACK or (kind in IF_HEADLESS and not self.head)

    def _kind(self, pk: str, sk: str) -> str:
        key = {"pk": {"S": pk}, "sk": {"S": sk}}
        answer = self.client.get_item(TableName=self.table, Key=key, ConsistentRead=True)
        item = answer.get("Item", {})
        gone = item.get("gsi1pk", {}).get("S") in ("LEAVING", "GONE")
        return "" if gone else str(item.get("kind", {}).get("S", ""))


def _of_another_line(item: Raw) -> Raw:
    """The item to put back: a head knows nothing of the changes that devices have seen since the
    copy, so it begins another order."""
    if item.get("kind") == {"S": "head"}:
        return item | {"line": {"S": secrets.token_hex(4)}}
    return item


def read(path: Path) -> Iterator[Raw]:
    """The items of an exported file. Raises BackupError for an incomplete file."""
    state_path = path.with_name(f"{path.name}.state")
    if not state_path.exists() or not json.loads(state_path.read_text())["done"]:
        raise BackupError(f"{path} is not whole: go on with its export first")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield decode(line)


def _groups(items: Iterable[Raw]) -> Iterator[list[Raw]]:
    waiting = iter(items)
    while group := list(islice(waiting, WRITE)):
        yield group


def _put(client: Any, table: str, items: Sequence[Raw]) -> None:
    def send(wanted: Sequence[Raw]) -> list[Raw]:
        requests = {table: [{"PutRequest": {"Item": item}} for item in wanted]}
        left = client.batch_write_item(RequestItems=requests).get("UnprocessedItems") or {}
        return [each["PutRequest"]["Item"] for each in left.get(table, [])]

    try:
        in_batches(items, WRITE, send)
    except ServiceUnavailable as error:
        message = f"{table} takes no more items: it is throttled. Run the import again"
        raise BackupError(message) from error


def encode(item: Raw) -> str:
    """Writes an item as one line, with bytes in base64 as DynamoDB itself sends them."""
    return json.dumps(
        item, default=lambda value: base64.b64encode(value).decode(), ensure_ascii=False
    )


def decode(line: str) -> Raw:
    """The item of a line."""
    return {name: _binary(value) for name, value in json.loads(line).items()}


def _binary(value: Raw) -> Raw:
    [(kind, content)] = value.items()
    if kind == "B":
        return {kind: base64.b64decode(content)}
    if kind == "BS":
        return {kind: [base64.b64decode(item) for item in content]}
    if kind == "L":
        return {kind: [_binary(item) for item in content]}
    if kind == "M":
        return {kind: {name: _binary(item) for name, item in content.items()}}
    return value


def _state(path: Path, table: str) -> dict[str, Any]:
    state_path = path.with_name(f"{path.name}.state")
    if not state_path.exists():
        if path.exists():
            raise BackupError(f"{path} is there already, and is no export")
        return {"table": table, "bytes": 0, "items": 0, "next": None, "done": False}
    state: dict[str, Any] = json.loads(state_path.read_text())
    if state["table"] != table:
        raise BackupError(f"{path} is of the table {state['table']}")
    return state


def _state_path(path: Path, table: str) -> Path:
    return path.with_name(f"{path.name}.into-{table}")


def _note(path: Path, state: dict[str, Any]) -> None:
    _write(path.with_name(f"{path.name}.state"), json.dumps(state))


def _write(path: Path, text: str) -> None:
    """Replaces a small file in one step."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(text)
    draft.replace(path)
