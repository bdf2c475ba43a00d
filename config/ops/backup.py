"""Copies a whole table into a file and back, and resumes an interrupted copy.

The file holds JSON lines in gzip. Each line is an item in DynamoDB's own notation, so that no
conversion loses anything. `FILE.state` beside it records the progress. This reads while others
write: for a snapshot of one instant of a busy table, use point-in-time recovery.
"""

import base64
import gzip
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

Raw = dict[str, Any]
Progress = Callable[[int], object]  # called with the number of items done

BATCH = 25  # the limit of BatchWriteItem
TRIES = 8


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


def _of_another_line(item: Raw) -> Raw:
    """The item as it is to be put back: of the changes that devices have seen since the copy, a
    learner's head knows nothing, so that its order is another one from here on."""
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
    while group := list(islice(waiting, BATCH)):
        yield group


def _put(client: Any, table: str, items: list[Raw]) -> None:
    left: Any = {table: [{"PutRequest": {"Item": item}} for item in items]}
    for attempt in range(TRIES):
        left = client.batch_write_item(RequestItems=left).get("UnprocessedItems")
        if not left:
            return
        Event().wait(0.05 * 2**attempt)
    raise BackupError(f"{table} takes no more items: it is throttled. Run the import again")


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
