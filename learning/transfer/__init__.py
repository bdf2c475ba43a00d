"""Import and export: files to neutral notes and back. See `docs/import-formats.md`."""

import re
from typing import BinaryIO, Literal

from learning.transfer.delimited import read_csv, write_csv
from learning.transfer.document import read_json, write_json
from learning.transfer.model import (
    LIMITS,
    CardState,
    DeckSource,
    FileRefused,
    FileTooLarge,
    FileTooNew,
    FileUnsafe,
    FormatUnknown,
    Limits,
    Media,
    Note,
    Review,
    Row,
    RowError,
    Rows,
)

__all__ = [
    "LIMITS", "CardState", "DeckSource", "FileRefused", "FileTooLarge", "FileTooNew", "FileUnsafe",
    "Format", "FormatUnknown", "Limits", "Media", "Note", "Review", "Row", "RowError", "Rows",
    "detect", "read", "write_csv", "write_json",
]  # fmt: skip

_FOREIGN = (
    b"SQLite format 3\x00",
    b"%PDF",
    b"\x1f\x8b",
    b"\xd0\xcf\x11\xe0",
    b"\x89PNG",
    b"\xff\xd8",
)

Format = Literal["csv", "json", "apkg"]


def detect(head: bytes, filename: str = "") -> Format:
    """The format of a file by its first kilobyte; the name decides only what that leaves open.

    Raises FormatUnknown for other binary files, which are no import at all.
    """
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "apkg"
    if head.startswith(_FOREIGN):
        raise FormatUnknown
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if re.match(rb'\{\s*["}]|\[\s*[\{\]]', start) and not start.startswith(b"{{"):
        return "json"
    return "json" if filename.lower().endswith(".json") and start[:1] in b"{[" else "csv"


def read(
    file: BinaryIO, filename: str = "", *, format: Format | None = None, limits: Limits = LIMITS
) -> Rows:
    """The notes of an uploaded, seekable file and what of it cannot be taken over, in file order.

    `format` forces one. Raises FileRefused or a subclass; for a broken or hostile file before the
    first note, for one over the limit of notes only after as many.
    """
    size = file.seek(0, 2)
    file.seek(0)
    if size > limits.file_bytes:
        raise FileTooLarge(f"A file may have {limits.file_bytes} bytes at most.")
    if format is None:
        format = detect(file.read(1024), filename)
        file.seek(0)
    if format == "apkg":
        from learning.transfer.anki.reader import read_apkg  # SQLite and zstandard: slow to load

        return read_apkg(file, limits)
    return {"csv": read_csv, "json": read_json}[format](file, limits)
