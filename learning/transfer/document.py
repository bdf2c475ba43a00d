"""Our own JSON: lossless, one note a line, so that it is written while the store is read.

The shape follows the dataclasses of `model`: their names in camelCase, instants in RFC 3339,
and what equals its default left out.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, BinaryIO

from config.formats import wire_name
from config.problems import Filled
from learning.shapes import ShapeError, decode
from learning.transfer.model import (
    LIMITS,
    DeckSource,
    FileRefused,
    FileTooLarge,
    FileTooNew,
    Limits,
    Note,
    Row,
    RowError,
    Rows,
    checked,
    clean_text,
)

FORMAT = "parley-notes"
VERSION = 1
_HEAD_BYTES = 2**20  # room for the settings of some hundred decks
MOST_DECKS = 1_000

_LEAVES = {str: clean_text}


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
            raise FileTooLarge(Filled("A file may have {most} notes at most.", most=limits.notes))
        if isinstance(item, RowError):
            yield item
        else:
            yield from _rows(item, row, limits)


def _rows(item: Any, row: int, limits: Limits) -> Iterator[Row]:
    try:
        note: Note = decode(Note, item, _LEAVES)
    except ShapeError as error:
        yield RowError(row, error.path, error.code, error.message)
        return
    yield from checked(note, row, limits, needs_back=False)


def _whole(file: BinaryIO, limits: Limits) -> Any:
    data = file.read(limits.text_bytes + 1)
    if len(data) > limits.text_bytes:
        raise FileTooLarge(Filled("A file may have {most} bytes at most.", most=limits.text_bytes))
    return _parse(data)


def _decks_of(document: Any) -> Iterator[DeckSource]:
    """The decks of a document with their settings; anything else in the list is passed over."""
    decks = document.get("decks") if isinstance(document, dict) else None
    for deck in decks[:MOST_DECKS] if isinstance(decks, list) else ():
        if isinstance(deck, dict) and isinstance(deck.get("name"), str):
            yield DeckSource(deck["name"], {k: v for k, v in deck.items() if k != "name"})


def _checked(document: Any, limits: Limits) -> list[Any]:
    items = _notes_of(document)
    if len(items) > limits.notes:
        raise FileTooLarge(Filled("A file may have {most} notes at most.", most=limits.notes))
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
            yield RowError(row, "", "not_json", "The line is not well-formed JSON.")
    yield RowError(row + 1, "", "cut_short", "The file ends before its end.")


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
            raise FileTooNew(
                Filled(
                    "The document has version {version}; we read {known}.",
                    version=version,
                    known=VERSION,
                )
            )
        document = document.get("notes")
    if not isinstance(document, list):
        raise FileRefused("The JSON document has no list of notes.")
    return document


def pack_notes(notes: Iterable[Note]) -> bytes:
    """Notes for a later run of ours, with the dates that our document leaves out; one a line."""
    return b"\n".join(
        json.dumps([_encode(note), [_iso(card.due_on) for card in note.cards]]).encode()
        for note in notes
    )


def unpack_notes(data: bytes) -> Iterator[Note]:
    """The notes that `pack_notes` has packed."""
    for line in data.splitlines():
        item, dates = json.loads(line)
        note: Note = decode(Note, item, {})
        cards = (
            replace(card, due_on=date.fromisoformat(on) if on else None)
            for card, on in zip(note.cards, dates, strict=True)
        )
        yield replace(note, cards=tuple(cards))


def _iso(on: date | None) -> str | None:
    return on.isoformat() if on else None


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
