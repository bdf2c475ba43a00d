"""Import and export: files to neutral notes and back. See `docs/import-formats.md`."""

import re
from typing import BinaryIO, Literal

from config.problems import Filled
from learning.transfer.delimited import TextPreview, preview_csv, read_csv, write_csv
from learning.transfer.dialect import (
    COLUMNS,
    ENCODINGS,
    FIND_OUT,
    SEPARATORS,
    UNREAD,
    EncodingUncertain,
    TextOptions,
)
from learning.transfer.document import pack_notes, read_json, unpack_notes, write_json
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
    MediaSource,
    Note,
    Review,
    Row,
    RowError,
    Rows,
)

__all__ = [
    "COLUMNS", "ENCODINGS", "LIMITS", "SEPARATORS", "UNREAD", "CardState", "DeckSource",
    "EncodingUncertain", "FileRefused", "FileTooLarge", "FileTooNew", "FileUnsafe", "Format",
    "FormatUnknown", "Limits", "Media", "MediaSource", "Note", "Review", "Row", "RowError", "Rows",
    "TextOptions", "TextPreview", "detect", "pack_notes", "preview", "read", "unpack_notes",
    "write_csv", "write_json",
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
    file: BinaryIO,
    filename: str = "",
    *,
    format: Format | None = None,
    limits: Limits = LIMITS,
    options: TextOptions = FIND_OUT,
) -> Rows:
    """The notes of an uploaded, seekable file and what of it cannot be taken over, in file order.

    `format` forces one; `options` are for text files. Raises FileRefused or a subclass; for a
    broken or hostile file before the first note, for one with too many notes only after as many.
    """
    format = _format(file, filename, format, limits)
    if format == "apkg":
        from learning.transfer.anki.reader import read_apkg  # SQLite and zstandard: slow to load

        return read_apkg(file, limits)
    return read_json(file, limits) if format == "json" else read_csv(file, limits, options)


def preview(
    file: BinaryIO,
    filename: str = "",
    *,
    format: Format | None = None,
    limits: Limits = LIMITS,
    options: TextOptions = FIND_OUT,
) -> TextPreview | None:
    """How a text file would be read; None for other files, which say it themselves."""
    if _format(file, filename, format, limits) != "csv":
        return None
    return preview_csv(file, limits, options)


def _format(file: BinaryIO, filename: str, format: Format | None, limits: Limits) -> Format:
    """The format of a file, of which nothing is read yet afterwards."""
    size = file.seek(0, 2)
    file.seek(0)
    if size > limits.file_bytes:
        raise FileTooLarge(Filled("A file may have {most} bytes at most.", most=limits.file_bytes))
    if format is None:
        format = detect(file.read(1024), filename)
        file.seek(0)
    return format
