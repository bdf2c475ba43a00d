"""CSV and its relatives: what spreadsheets, word lists and Anki's "Notes in plain text" write.

`dialect` finds out how a file is written. A cell that a spreadsheet would run as
a formula is written with an apostrophe before it, and reading takes exactly that one away again
(https://owasp.org/www-community/attacks/CSV_Injection).
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import BinaryIO

from config.problems import Filled
from config.records import dataclass
from learning.cloze import cloze_ordinals
from learning.transfer.dialect import (
    COLUMNS,
    FIND_OUT,
    SEPARATORS,
    UNREAD,
    Dialect,
    Record,
    TextOptions,
    analyse,
    split_tags,
    unescape,
)
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
    Row,
    RowError,
    checked,
    clean_text,
)

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")


PREVIEWED = 5


@dataclass(frozen=True)
class TextPreview:
    """How a text file would be read, and its first rows as notes or as what is wrong with them.

    `header` is that row as it is written. `columns` go by place.
    """

    encoding: str
    encoding_guessed: bool
    separator: str
    html: bool
    header: tuple[str, ...]
    columns: tuple[str, ...]
    notes: tuple[Note, ...]


def read_csv(
    file: BinaryIO, limits: Limits = LIMITS, options: TextOptions = FIND_OUT
) -> Iterator[Row]:
    """The notes of a text file with separated columns; rows count from 1 as a spreadsheet does.

    Every cell is part of a note, left out on purpose, or reported with its row. Raises FileRefused
    (not text, a quote that never ends), EncodingUncertain and FileTooLarge.
    """
    try:
        dialect, rows = analyse(_read_all(file, limits), options)
        yield from dialect.errors
        yield from _notes(rows, dialect, limits)
    except csv.Error:
        raise FileRefused("A cell is too long, or a quotation mark is never closed.") from None


def preview_csv(
    file: BinaryIO, limits: Limits = LIMITS, options: TextOptions = FIND_OUT
) -> TextPreview:
    """Shows how a text file would be read, also under a guessed encoding. Raises FileRefused."""
    try:
        dialect, rows = analyse(_read_all(file, limits), replace(options, guess=True))
        notes = (row for row in _notes(rows, dialect, limits) if isinstance(row, Note))
        first = tuple(islice(notes, PREVIEWED))
    except csv.Error:
        raise FileRefused("A cell is too long, or a quotation mark is never closed.") from None
    width = max(dialect.widest, len(dialect.header))
    names = {sign: name for name, sign in SEPARATORS.items()}
    return TextPreview(
        encoding=dialect.encoding,
        encoding_guessed=dialect.encoding_guessed,
        separator=names.get(dialect.separator, dialect.separator),
        html=dialect.html,
        header=tuple(dialect.header),
        columns=tuple(dialect.column(place) or UNREAD for place in range(width)),
        notes=first,
    )


def _read_all(file: BinaryIO, limits: Limits) -> bytes:
    data = file.read(limits.text_bytes + 1)
    if len(data) > limits.text_bytes:
        raise FileTooLarge(Filled("A file may have {most} bytes at most.", most=limits.text_bytes))
    return data


def _notes(rows: Iterable[Record], dialect: Dialect, limits: Limits) -> Iterator[Row]:
    count = 0
    for record in rows:
        row, cells = record.row, record.cells
        if record.comment:
            yield RowError(
                row,
                "",
                "comment",
                Filled("A comment: {shown}", shown=record.comment[:100]),
                fatal=False,
            )
        if not any(cell.strip() for cell in cells):
            continue
        count += 1
        if count > limits.notes:
            raise FileTooLarge(Filled("A file may have {most} notes at most.", most=limits.notes))
        yield from (found := list(checked(_note(cells, dialect), row, limits)))
        if isinstance(found[-1], Note):
            yield from _extra_cells(cells, dialect, row)


def _extra_cells(cells: list[str], dialect: Dialect, row: int) -> Iterator[RowError]:
    """Reports cells without a column, and those in the notes that only this row has."""
    places = [place for place, cell in enumerate(cells) if cell.strip()]
    lost = [cells[place] for place in places if not dialect.column(place)]
    usual = max(dialect.usual_width, 2)
    wider = [cells[i] for i in places if i >= usual and dialect.column(i) == dialect.rest]
    if lost:
        message = Filled("Cells without a column; they are not read: {shown}", shown=_shown(lost))
        yield RowError(row, "", "more_cells", message, fatal=False)
    elif wider and dialect.rest:
        message = Filled(
            "More cells than in other rows; they are in the notes: {shown}", shown=_shown(wider)
        )
        yield RowError(row, "notes", "more_cells", message, fatal=False)


def _shown(cells: list[str]) -> str:
    return clean_text(" | ".join(clean_text(cell) for cell in cells))[:200]


def _note(cells: list[str], dialect: Dialect) -> Note:
    values: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    media: list[Media] = []
    for index, cell in enumerate(cells):
        name = dialect.column(index)
        if name in ("", UNREAD) or not cell:
            continue
        text = unescape(cell)
        if dialect.html and name in TEXT_FIELDS:
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
    tags = dialect.tags + split_tags(values.pop("tags", ""))
    values.setdefault("deck", dialect.deck)
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


# --- writing -----------------------------------------------------------------------------------


def write_csv(notes: Iterable[Note]) -> Iterator[bytes]:
    """UTF-8 with a byte order mark (without it Excel guesses wrong), a header, commas, CRLF.

    Holds what a learner wrote; cards, log and media need JSON or an Anki package.
    """
    yield codecs.BOM_UTF8 + _line(COLUMNS)
    for note in notes:
        texts = [getattr(note, name) for name in ("id", "type", "deck", *TEXT_FIELDS)]
        yield _line([_escape(text) for text in (*texts, _join_tags(note.tags))])


def _line(cells: Sequence[str]) -> bytes:
    """A row, in quotes if Anki would take it for a comment."""
    buffer = io.StringIO()
    comment = cells[0].startswith("#")
    csv.writer(buffer, quoting=csv.QUOTE_ALL if comment else csv.QUOTE_MINIMAL).writerow(cells)
    return buffer.getvalue().encode()


def _join_tags(tags: tuple[str, ...]) -> str:
    clean = [re.sub("[,;]", "_", tag) for tag in tags]
    if any(re.search(r"\s", tag) for tag in clean):
        return ", ".join(clean) + ","
    return " ".join(clean)


def _escape(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell
