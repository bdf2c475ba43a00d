"""CSV and its relatives: what spreadsheets, word lists and Anki's "Notes in plain text" write.

Encoding, separator and header are found out, not asked for. A cell that a spreadsheet would run as
a formula is written with an apostrophe before it, and reading takes exactly that one away again
(https://owasp.org/www-community/attacks/CSV_Injection).
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import BinaryIO

from learning.cloze import cloze_ordinals
from learning.transfer.markup import text_of_html
from learning.transfer.model import (
    LIMITS,
    TEXT_FIELDS,
    FileRefused,
    FileTooLarge,
    Limits,
    Media,
    Note,
    NoteType,
    RowError,
    Rows,
    clean_text,
    row_error_of,
)

COLUMNS = ("id", "type", "deck", *TEXT_FIELDS, "tags")
_ALIASES = {
    "id": "guid noteid",
    "type": "notetype cardtype",
    "deck": "deckname category",
    "front": "term word question text expression phrase vocabulary",
    "back": "definition translation answer meaning",
    "phonetic": "ipa pronunciation reading transcription",
    "example": "sentence examples examplesentence usage",
    "notes": "note extra comment comments remarks backextra hint",
    "tags": "tag labels",
}
COLUMN_OF = {alias: name for name, row in _ALIASES.items() for alias in (name, *row.split())}
_LANGUAGE_NAMES = """
arabic catalan chinese czech danish dutch english finnish french german greek hebrew hindi hungarian
indonesian italian japanese korean latin norwegian persian polish portuguese romanian russian
spanish swedish thai turkish ukrainian vietnamese
"""
_LANGUAGES = set(_LANGUAGE_NAMES.split())
_SEPARATORS = "\t;|,"
_ANKI_SEPARATORS = {
    "tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "colon": ":", "space": " "
}  # fmt: skip
MAX_COLUMNS = 100
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_ESCAPED_FORMULA = re.compile("'+[=+\\-@\t\r\n＝＋－＠]")
_DIRECTIVE = re.compile(
    "(?:sep=|#(?:separator|html|tags|columns|if matches|match scope|"
    "(?:guid|notetype|deck|tags) column|notetype|deck):)[^\r\n]*(?:\r\n|\r|\n|$)"
)
_BINARY = re.compile("[\x00-\x08]")
_SAMPLE_ROWS = 50


@dataclass(slots=True)
class _Layout:
    """How the cells of a row become a note; columns count from 0."""

    separator: str = ","
    html: bool = False
    columns: dict[int, str] = field(default_factory=dict)
    deck: str = ""
    tags: tuple[str, ...] = ()
    labels: list[str] = field(default_factory=list)


def read_csv(file: BinaryIO, limits: Limits = LIMITS) -> Rows:
    """The notes of a text file with separated columns; rows count from 1 as a spreadsheet does.

    Raises FileRefused (not text, a quote that never ends) and FileTooLarge.
    """
    text = _decode(_read_all(file, limits))
    directives, body = _split_directives(text)
    layout = _layout(directives, body)
    rows = csv.reader(io.StringIO(body, newline=""), delimiter=layout.separator)
    start = len(directives) + 1
    try:
        first = next(rows, [])
        if len(first) > MAX_COLUMNS:
            raise FileRefused(f"A file may have {MAX_COLUMNS} columns at most.")
        header = [] if layout.labels else _header(first)
        if header:
            start += 1
            yield from _unknown(first, header, start - 1)
        else:
            rows = chain([first], rows)  # type: ignore[assignment]
        named = {i: name for i, name in enumerate(layout.labels or header) if name}
        layout.columns = named | layout.columns
        if "front" not in layout.columns.values():
            _name_by_place(layout, len(first))
        yield from _notes(rows, layout, start, limits)
    except csv.Error:
        raise FileRefused("A cell is too long, or a quotation mark is never closed.") from None


def _read_all(file: BinaryIO, limits: Limits) -> bytes:
    data = file.read(limits.text_bytes + 1)
    if len(data) > limits.text_bytes:
        raise FileTooLarge(f"A text file may have {limits.text_bytes} bytes at most.")
    return data


def _notes(rows: Iterable[list[str]], layout: _Layout, start: int, limits: Limits) -> Rows:
    count = 0
    for row, cells in enumerate(rows, start):
        if not any(cell.strip() for cell in cells):
            continue
        count += 1
        if count > limits.notes:
            raise FileTooLarge(f"A file may have {limits.notes} notes at most.")
        note = replace(_note(cells, layout), row=row)
        yield row_error_of(note, row, limits) or note


def _note(cells: list[str], layout: _Layout) -> Note:
    values: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    media: list[Media] = []
    for index, cell in enumerate(cells):
        name = layout.columns.get(index)
        if name is None or not cell:
            continue
        text = _unescape(cell)
        if layout.html and name in TEXT_FIELDS:
            text, field_media = text_of_html(text, name)
            media += field_media
        if name in TEXT_FIELDS:
            texts.setdefault(name, []).append(text)
        else:
            values[name] = clean_text(text)
    values |= {name: clean_text("\n".join(parts)) for name, parts in texts.items()}
    kind = _type_of(values.pop("type", ""), values.get("front", ""))
    if kind == "cloze":  # Anki's "Back Extra", which its plain text calls nothing
        values["notes"] = clean_text("\n".join((values.pop("back", ""), values.get("notes", ""))))
    tags = layout.tags + split_tags(values.pop("tags", ""))
    values.setdefault("deck", layout.deck)
    return Note(
        **values,  # type: ignore[arg-type]
        type=kind,
        tags=tuple(dict.fromkeys(tags)),
        media=tuple(media),
    )


def _type_of(kind: str, front: str) -> NoteType:
    kind = kind.lower()
    if "cloze" in kind or (not kind and cloze_ordinals(front)):
        return "cloze"
    return "reversed" if "reversed" in kind and "optional" not in kind else "basic"


def split_tags(cell: str) -> tuple[str, ...]:
    """The tags of a cell: separated by commas or semicolons where it has any, else by blanks."""
    parts = re.split("[,;]", cell) if re.search("[,;]", cell) else cell.split()
    return tuple(dict.fromkeys(tag for part in parts if (tag := part.strip())))


# --- finding out how a file is written ---------------------------------------------------------


def _decode(data: bytes) -> str:
    """Text of UTF-8, UTF-16 (with a mark or not) or else Windows-1252."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    elif b"\x00" in data[:1000]:
        encodings = ["utf-16-be" if data[:1] == b"\x00" else "utf-16-le"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not _BINARY.search(text):
            return text
    raise FileRefused("The file is not text in UTF-8, UTF-16 or Windows-1252.")


def _split_directives(text: str) -> tuple[list[str], str]:
    """The leading lines that describe the file (Anki's `#…`, Excel's `sep=…`), and the rest."""
    directives = []
    while match := _DIRECTIVE.match(text):
        directives.append(match[0].rstrip("\r\n"))
        text = text[match.end() :]
    return directives, text


def _layout(directives: list[str], body: str) -> _Layout:
    layout = _Layout()
    told = {}
    for line in directives:
        key, _, value = line.removeprefix("#").partition("=" if line.startswith("sep=") else ":")
        told[key.strip()] = value
    separator = told.get("sep") or told.get("separator", "")
    separator = _ANKI_SEPARATORS.get(separator.lower(), separator[:1])
    layout.separator = separator if separator not in ("", '"', "\r", "\n") else _separator(body)
    layout.html = told.get("html", "").lower() == "true"
    layout.deck = clean_text(told.get("deck", ""))
    layout.tags = split_tags(told.get("tags", ""))
    for key, name in (("guid", "id"), ("notetype", "type"), ("deck", "deck"), ("tags", "tags")):
        if re.fullmatch("[1-9][0-9]{0,3}", place := told.get(f"{key} column", "").strip()):
            layout.columns[int(place) - 1] = name
    if "columns" in told:
        labels = next(csv.reader([told["columns"]], delimiter=layout.separator), [])
        layout.labels = [_column(label) for label in labels]
    return layout


def _separator(body: str) -> str:
    """The separator under which most rows have the same number (two or more) of columns."""

    def score(separator: str) -> tuple[float, int]:
        reader = csv.reader(io.StringIO(body, newline=""), delimiter=separator)
        try:
            rows = [row for row in islice(reader, _SAMPLE_ROWS) if row]
        except csv.Error:
            return (0, 0)
        if not rows:
            return (0, 0)
        if len(_header(rows[0][:MAX_COLUMNS])) > 1:
            return (2, len(rows[0]))
        width, count = Counter(map(len, rows)).most_common(1)[0]
        return (count / len(rows), width) if width > 1 else (0, 0)

    best = max(_SEPARATORS, key=score)
    return best if score(best) > (0, 0) else ","


def _column(label: str) -> str:
    return COLUMN_OF.get(re.sub(r"[\W_]", "", label).lower(), "")


def _header(cells: list[str]) -> list[str]:
    """The column names of a header row, or nothing when the row is a note already."""
    names = [_column(_unescape(cell)) for cell in cells]
    known = [name for name in names if name]
    if _languages(cells):
        return ["front", "back"]
    alone = len(cells) == 1 and known == ["front"]
    return names if alone or ("front" in known and len(known) > 1) else []


def _languages(cells: list[str]) -> bool:
    """Whether the row is a header such as `Spanish, English`."""
    return len(cells) == 2 and all(cell.strip().lower() in _LANGUAGES for cell in cells)


def _unknown(labels: list[str], header: list[str], row: int) -> Rows:
    for label, name in zip(labels, header, strict=True):
        if not name and (shown := clean_text(label)[:100]):
            yield RowError(row, shown, "UNKNOWN_COLUMN", "The column is not read.", fatal=False)


def _name_by_place(layout: _Layout, width: int) -> None:
    """Without names the columns are front, back, and notes for all that follow."""
    free = [index for index in range(width) if index not in layout.columns]
    for index, name in zip(free, chain(("front", "back"), ["notes"] * width), strict=False):
        layout.columns[index] = name


# --- writing -----------------------------------------------------------------------------------


def write_csv(notes: Iterable[Note]) -> Iterator[bytes]:
    """UTF-8 with a byte order mark (without it Excel guesses wrong), a header, commas, CRLF.

    Holds what a learner wrote; cards, log and media need JSON or an Anki package.
    """
    yield codecs.BOM_UTF8 + _line(COLUMNS)
    for note in notes:
        texts = [getattr(note, name) for name in ("id", "type", "deck", *TEXT_FIELDS)]
        yield _line([_escape(text) for text in (*texts, _join_tags(note.tags))])


def _line(cells: Iterable[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue().encode()


def _join_tags(tags: tuple[str, ...]) -> str:
    clean = [re.sub("[,;]", "_", tag) for tag in tags]
    if any(re.search(r"\s", tag) for tag in clean):
        return ", ".join(clean) + ","
    return " ".join(clean)


def _escape(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _unescape(cell: str) -> str:
    return cell[1:] if _ESCAPED_FORMULA.match(cell) else cell
