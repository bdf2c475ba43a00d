"""Our own JSON: lossless, one note a line, so that it is written while the store is read.

The shape follows the dataclasses of `model`: their names in camelCase, instants in RFC 3339,
and what equals its default left out.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from datetime import UTC, datetime
from functools import cache
from types import UnionType
from typing import Any, BinaryIO, Literal, NoReturn, get_args, get_origin, get_type_hints

from config.formats import RFC3339, wire_name
from learning.transfer.model import (
    LIMITS,
    MAX_DAYS,
    DeckSource,
    FileRefused,
    FileTooLarge,
    FileTooNew,
    Limits,
    Note,
    Row,
    RowError,
    Rows,
    clean_text,
    row_error_of,
)

FORMAT = "parley-notes"
VERSION = 1
_HEAD_BYTES = 2**20  # with what it says of some hundred decks
MOST_DECKS = 1_000

_KINDS = {
    str: "a text", bool: "true or false", int: "a whole number", float: "a number",
    datetime: "an instant like 2026-03-01T07:30:00Z",
}  # fmt: skip
_RANGES: dict[str, tuple[float, float]] = {
    "ordinal": (0, 998), "rating": (1, 4), "reps": (0, 10**6), "lapses": (0, 10**6),
    "position": (0, 2**31), "interval_days": (0, MAX_DAYS), "stability": (0, MAX_DAYS),
    "difficulty": (1, 10), "ease_factor": (0, 100), "duration_ms": (0, 86_400_000),
    "interval_s": (0, MAX_DAYS * 86_400), "previous_interval_s": (0, MAX_DAYS * 86_400),
}  # fmt: skip


class _DecodeError(Exception):
    def __init__(self, path: str, code: str, message: str) -> None:
        super().__init__(message)
        self.path, self.code, self.message = path, code, message


def write_json(
    notes: Iterable[Note], exported_at: datetime, decks: Iterable[DeckSource] = ()
) -> Iterator[bytes]:
    """The whole document in pieces, one for each note."""
    head: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    head["exportedAt"] = _instant(exported_at)
    if told := [{"name": deck.name, **deck.more} for deck in decks]:
        head["decks"] = told
    yield json.dumps(head).removesuffix("}").encode() + b', "notes": ['
    separator = b"\n"
    for note in notes:
        yield separator + json.dumps(_encode(note), ensure_ascii=False).encode()
        separator = b",\n"
    yield b"\n]}\n"


def read_json(file: BinaryIO, limits: Limits = LIMITS) -> Rows:
    """The notes of a document of ours, or of a bare list of such notes; rows count from 1.

    A document that still has its notes one a line, as we write it, is read in constant memory.
    Raises FileRefused, FileTooNew and FileTooLarge.
    """
    start = file.tell()
    head = file.readline(_HEAD_BYTES)
    if re.fullmatch(rb'\{"format":[^\n]*"notes": \[\r?\n', head):
        whole = _parse(head + b"]}")
        _notes_of(whole)
        yield from _decks_of(whole)
        items = _by_line(file, limits)
    else:
        file.seek(start)
        document = _whole(file, limits)
        yield from _decks_of(document)
        items = iter(_checked(document, limits))
    for row, item in enumerate(items, 1):
        if row > limits.notes:
            raise FileTooLarge(f"A file may have {limits.notes} notes at most.")
        yield item if isinstance(item, RowError) else _row(item, row, limits)


def _row(item: Any, row: int, limits: Limits) -> Row:
    try:
        note: Note = replace(_decode(Note, item, ""), row=row)
    except _DecodeError as fault:
        return RowError(row, fault.path.removeprefix("."), fault.code, fault.message)
    return row_error_of(note, row, limits) or note


def _whole(file: BinaryIO, limits: Limits) -> Any:
    data = file.read(limits.text_bytes + 1)
    if len(data) > limits.text_bytes:
        raise FileTooLarge(f"A JSON file may have {limits.text_bytes} bytes at most.")
    return _parse(data)


def _decks_of(document: Any) -> Iterator[DeckSource]:
    """What a document says of its decks; what is no deck is passed over."""
    decks = document.get("decks") if isinstance(document, dict) else None
    for deck in decks[:MOST_DECKS] if isinstance(decks, list) else ():
        if isinstance(deck, dict) and isinstance(deck.get("name"), str):
            yield DeckSource(deck["name"], {k: v for k, v in deck.items() if k != "name"})


def _checked(document: Any, limits: Limits) -> list[Any]:
    items = _notes_of(document)
    if len(items) > limits.notes:
        raise FileTooLarge(f"A file may have {limits.notes} notes at most.")
    return items


def _by_line(file: BinaryIO, limits: Limits) -> Iterator[Any]:
    """The items of a document of ours; a line that is no JSON gives a RowError in its place."""
    row = 0
    while line := file.readline(limits.text_bytes).strip():
        if line == b"]}":
            return
        row += 1
        try:
            yield _parse(line.removesuffix(b","))
        except FileRefused:
            yield RowError(row, "", "NOT_JSON", "The line is not well-formed JSON.")
    yield RowError(row + 1, "", "CUT_SHORT", "The file ends before its end.")


def _parse(data: bytes) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=refuse)
    except (ValueError, RecursionError):
        raise FileRefused("The file is not well-formed JSON in UTF-8.") from None


def _notes_of(document: Any) -> list[Any]:
    if isinstance(document, dict):
        version = document.get("version", VERSION)
        if document.get("format", FORMAT) != FORMAT or not isinstance(version, int):
            raise FileRefused("The JSON document is not one of ours.")
        if version > VERSION:
            raise FileTooNew(f"The document has version {version}; we read {VERSION}.")
        document = document.get("notes")
    if not isinstance(document, list):
        raise FileRefused("The JSON document has no list of notes.")
    return document


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _encode(value: Any) -> Any:
    if is_dataclass(value):
        return {
            wire_name(field.name): _encode(item)
            for field in fields(value)
            if field.compare and (item := getattr(value, field.name)) != field.default
        }
    if isinstance(value, datetime):
        return _instant(value)
    return [_encode(item) for item in value] if isinstance(value, tuple) else value


@cache
def _shape(kind: type) -> dict[str, tuple[Field[Any], Any]]:
    hints = get_type_hints(kind)
    return {
        wire_name(field.name): (field, hints[field.name]) for field in fields(kind) if field.compare
    }


def _decode(kind: Any, value: Any, path: str) -> Any:
    """`value` as the annotation `kind` says, or a _FaultError that names the place."""
    if isinstance(kind, type) and is_dataclass(kind):
        return _decode_item(kind, value, path)
    if get_origin(kind) is UnionType:
        return None if value is None else _decode(get_args(kind)[0], value, path)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise _DecodeError(path, "WRONG_TYPE", "Not a list.")
        arm = get_args(kind)[0]
        return tuple(_decode(arm, item, f"{path}.{i}") for i, item in enumerate(value))
    if get_origin(kind) is Literal:
        if not isinstance(value, str) or value not in get_args(kind):
            raise _DecodeError(path, "NOT_A_CHOICE", f"Not one of {', '.join(get_args(kind))}.")
        return value
    return _decode_plain(kind, value, path)


def _decode_item(kind: type, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise _DecodeError(path, "WRONG_TYPE", "Not an object.")
    known = _shape(kind)
    if unknown := sorted(value.keys() - known.keys()):
        raise _DecodeError(
            f"{path}.{clean_text(unknown[0])[:50]}", "UNKNOWN_FIELD", "There is no such field."
        )
    given = {}
    for key, (field, hint) in known.items():
        if key in value:
            given[field.name] = _decode(hint, value[key], f"{path}.{key}")
            _check_range(field.name, given[field.name], f"{path}.{key}")
        elif field.default is MISSING:
            raise _DecodeError(f"{path}.{key}", "REQUIRED", "The field is missing.")
    return kind(**given)


def _decode_plain(kind: Any, value: Any, path: str) -> Any:
    if get_origin(kind) is dict and isinstance(value, dict):
        return value  # whoever takes it in checks it: the names are those of the API
    if kind is str and isinstance(value, str):
        return clean_text(value)
    if kind is bool and isinstance(value, bool):
        return value
    if kind in (int, float) and isinstance(value, int) and not isinstance(value, bool):
        return kind(value) if abs(value) < 2**53 else _out_of_range(path)
    if kind is float and isinstance(value, float) and math.isfinite(value):
        return value
    if kind is datetime and isinstance(value, str) and RFC3339.fullmatch(value):
        return _moment(value, path)
    raise _DecodeError(path, "WRONG_TYPE", f"Not {_KINDS.get(kind, 'an object')}.")


def _moment(value: str, path: str) -> datetime:
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _DecodeError(path, "WRONG_TYPE", f"Not {_KINDS[datetime]}.") from None


def _check_range(name: str, value: Any, path: str) -> None:
    least, most = _RANGES.get(name, (None, None))
    if value is not None and least is not None and not least <= value <= most:
        _out_of_range(path)


def _out_of_range(path: str) -> NoReturn:
    raise _DecodeError(path, "OUT_OF_RANGE", "The number is out of range.")
