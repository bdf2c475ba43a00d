"""How a text file is written: encoding, separator, header and columns, found out or told.

What a learner tells comes first, then what the file says of itself (Anki's `#…:` lines, Excel's
`sep=`), then what its first rows look like.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import field
from itertools import chain, islice, repeat
from typing import Literal

from config.problems import FieldError, Filled
from config.records import dataclass
from learning.transfer.model import TEXT_FIELDS, FileRefused, RowError, clean_text

COLUMNS = ("id", "type", "deck", *TEXT_FIELDS, "tags")
UNREAD = "-"
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
SEPARATORS = {
    "tab": "\t", "semicolon": ";", "pipe": "|", "comma": ",", "colon": ":", "space": " "
}  # fmt: skip
_LIKELY = "\t;|,"
# Of equally likely ones the first: a text of single bytes is seldom readable as one of two.
_GUESSES = (
    "gb18030", "cp932", "euc_jp", "big5", "cp949", "cp1252", "cp1250", "cp1251", "koi8_r", "cp1253",
    "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "mac_roman",
)  # fmt: skip
ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", *_GUESSES)
MAX_COLUMNS = 100
_SAMPLE_ROWS = 50
_SAMPLE_BYTES = 65_536
_HEADER_ROWS = 5  # a title may stand above the header
_DIRECTIVE = re.compile(
    '\\s*+"?(?:(sep)=|#(separator|html|tags|columns|if matches|match scope|'
    "(?:guid|notetype|deck|tags) column|notetype|deck):)([^\r\n]*+)(?:\r\n|\r|\n|$)",
    re.I,
)
_BINARY = re.compile("[\x00-\x08]")
_ESCAPED_FORMULA = re.compile("'+[=+\\-@\t\r\n＝＋－＠]")

Separator = Literal["tab", "semicolon", "pipe", "comma", "colon", "space"]


class EncodingUncertain(FileRefused):
    """The text could be of several encodings; the one that seems right has to be confirmed."""

    code, title = "FILE_ENCODING_UNCERTAIN", "The encoding of the file is a guess: confirm it"


@dataclass(frozen=True)
class TextOptions:
    """What a learner tells of a text file; None is found out.

    `columns` names them by place, `-` for one that is not read. With `guess` an uncertain encoding
    is used as it is, for a preview.
    """

    separator: Separator | None = None
    encoding: str | None = None
    header: bool | None = None
    columns: tuple[str, ...] | None = None
    html: bool | None = None
    guess: bool = False


FIND_OUT = TextOptions()


@dataclass(slots=True)
class Dialect:
    """How the cells of a file become notes; columns count from 0.

    `rest` is the column of all places that are not in `columns`, "" when they have none. The rows
    of the file begin with row `start`.
    """

    encoding: str
    separator: str = ","
    html: bool = False
    deck: str = ""
    tags: tuple[str, ...] = ()
    columns: dict[int, str] = field(default_factory=dict)
    rest: str = ""
    header: list[str] = field(default_factory=list)
    header_row: int = 0
    encoding_guessed: bool = False
    usual_width: int = 0
    widest: int = 0  # of the first rows
    errors: list[RowError] = field(default_factory=list)

    def column(self, place: int) -> str:
        """The column of a place: a name, UNREAD for one left out on purpose, "" for none."""
        return self.columns.get(place, self.rest)


@dataclass(slots=True)
class Record:
    """The cells of one row; `comment` is its text instead when it is a comment."""

    row: int
    cells: list[str]
    comment: str = ""


def analyse(data: bytes, options: TextOptions) -> tuple[Dialect, Iterator[Record]]:
    """How a file is written, and its rows behind the header.

    Raises FileRefused and EncodingUncertain; csv.Error while the rows are read.
    """
    encoding, guessed = _encoding(data, options)
    text = _decode(data, encoding)
    told, body = _split_directives(text)
    dialect = Dialect(encoding=encoding, encoding_guessed=guessed)
    dialect.separator = _told_separator(told, options) or _likely_separator(body)
    _obey(dialect, told, options)
    above = text[: len(text) - len(body)]
    rows = records(body, dialect.separator, len(re.findall("\r\n|\r|\n", above)) + 1)
    head = list(islice(rows, _SAMPLE_ROWS))
    widths = Counter(len(record.cells) for record in head if record.cells)
    dialect.usual_width = widths.most_common(1)[0][0] if widths else 0
    dialect.widest = min(max(widths, default=0), MAX_COLUMNS)
    if dialect.usual_width > MAX_COLUMNS:
        raise FileRefused(Filled("A file may have {most} columns at most.", most=MAX_COLUMNS))
    head = _take_header(dialect, head, options, has_labels="columns" in told)
    _name_columns(dialect, told, options)
    return dialect, chain(head, rows)


def records(body: str, separator: str, start: int) -> Iterator[Record]:
    """The rows of a text; as in Anki a line that begins with an unquoted `#` is a comment."""
    comments: list[str] = []
    between = True

    def lines() -> Iterator[str]:
        nonlocal between
        for line in io.StringIO(body, newline=""):
            if between and line.startswith("#"):
                comments.append(line)
                yield "\n"  # a row of its own
            else:
                between = False
                yield line

    reader = csv.reader(lines(), delimiter=separator)
    row = start
    while True:
        between = True
        cells = next(reader, None)
        if cells is None:
            return
        yield Record(row, cells, comments.pop().strip() if comments else "")
        row += 1


# --- the encoding ------------------------------------------------------------------------------


def _encoding(data: bytes, options: TextOptions) -> tuple[str, bool]:
    """The encoding, and whether it is a guess."""
    if options.encoding:
        return options.encoding, False
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", False
    if b"\x00" in data[:1000]:
        return "utf-16-be" if data[:1] == b"\x00" else "utf-16-le", False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        guesses = _guesses(data)
        if not options.guess:
            raise _uncertain(guesses) from None
        return guesses[0], True
    return "utf-8", False


def _guesses(data: bytes) -> list[str]:
    """The encodings that the text may be in, the likeliest first. Raises FileRefused."""
    from charset_normalizer import from_bytes  # slow to load, and seldom needed

    sample = data[:_SAMPLE_BYTES]
    if len(data) > len(sample):  # not in the middle of a character
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    matches = from_bytes(sample, cp_isolation=list(_GUESSES))
    likely = sorted(matches, key=lambda match: (match.chaos, _GUESSES.index(match.encoding)))
    if not likely or _BINARY.search(str(likely[0])):
        raise FileRefused("The file is no text in an encoding that we know.")
    return [match.encoding for match in likely]


def _uncertain(guesses: list[str]) -> EncodingUncertain:
    first, *others = guesses[:4]
    message = Filled(
        "Give the encoding: {first} if a dry run shows the right letters with it, else one of: "
        "{others}.",
        first=first,
        others=", ".join(others or ["utf-8"]),
    )
    return EncodingUncertain(message, errors=[FieldError("encoding", "uncertain", message)])


def _decode(data: bytes, encoding: str) -> str:
    try:
        text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError:
        message = Filled("The file is not text in {encoding}.", encoding=encoding)
        raise FileRefused(message, errors=[FieldError("encoding", "wrong", message)]) from None
    if _BINARY.search(text):
        raise FileRefused("The file is not text.")
    return text.removeprefix("\ufeff")


# --- what the file says of itself --------------------------------------------------------------


def _split_directives(text: str) -> tuple[dict[str, str], str]:
    """The leading lines that describe the file, by their names, and the rest.

    A spreadsheet may have quoted such a line, and padded it to the width of the table.
    """
    told = {}
    while match := _DIRECTIVE.match(text):
        quoted = match[0].lstrip().startswith('"')
        value = next(csv.reader([f'"{match[3]}']))[0] if quoted else match[3]
        told[(match[1] or match[2]).lower()] = value
        text = text[match.end() :]
    return told, text


def _told_separator(told: dict[str, str], options: TextOptions) -> str:
    """The separator that was told, "" when none was."""
    if options.separator:
        return SEPARATORS[options.separator]
    value = told.get("sep") or told.get("separator", "")
    name = re.match(r"\s*([a-z]+)", value, re.I)
    if name and name[1].lower() in SEPARATORS:
        return SEPARATORS[name[1].lower()]
    return value[:1] if value[:1] not in ('"', "\r", "\n") else ""


def _obey(dialect: Dialect, told: dict[str, str], options: TextOptions) -> None:
    for name in told:
        told[name] = told[name].rstrip(f"{dialect.separator} \t")
    html = told.get("html", "").strip().lower() == "true"
    dialect.html = html if options.html is None else options.html
    dialect.deck = clean_text(told.get("deck", ""))
    dialect.tags = split_tags(told.get("tags", ""))


def split_tags(cell: str) -> tuple[str, ...]:
    """The tags of a cell, separated by commas or semicolons if it has any, else by blanks."""
    parts = re.split("[,;]", cell) if re.search("[,;]", cell) else cell.split()
    return tuple(dict.fromkeys(tag for part in parts if (tag := part.strip())))


# --- what its rows look like -------------------------------------------------------------------


def _likely_separator(body: str) -> str:
    """The separator under which most rows have the same number (two or more) of columns."""

    def score(separator: str) -> tuple[float, int]:
        try:
            sample = list(islice(records(body, separator, 1), _SAMPLE_ROWS))
        except csv.Error:
            return (0, 0)
        rows = [record.cells for record in sample if record.cells]
        if not rows:
            return (0, 0)
        for row in rows[:_HEADER_ROWS]:
            if len(header_columns(row[:MAX_COLUMNS])) > 1:
                return (2, len(row))
        width, count = Counter(map(len, rows)).most_common(1)[0]
        return (count / len(rows), width) if width > 1 else (0, 0)

    best = max(_LIKELY, key=score)
    return best if score(best) > (0, 0) else ","


def header_columns(cells: list[str]) -> list[str]:
    """The columns that a header row names, or nothing when the row is a note already."""
    names = _first_uses([_column(unescape(cell)) for cell in cells])
    if "front" not in names and "back" not in names:
        sides = [i for i, cell in enumerate(cells) if cell.strip().lower() in _LANGUAGES]
        for i, name in zip(sides[:2], ("front", "back"), strict=False):
            names[i] = name
    known = [name for name in names if name]
    unknown = [i for i, name in enumerate(names) if not name and cells[i].strip()]
    if "back" in known and "front" not in known and unknown:
        names[unknown[0]] = "front"  # by another tool's name
        known.append("front")
    alone = len(cells) == 1 and known == ["front"]
    return names if alone or ("front" in known and len(known) > 1) else []


def _first_uses(names: list[str]) -> list[str]:
    """Names of which each but a text's is used once: a second id is another tool's own."""
    return [
        name if name in TEXT_FIELDS or name not in names[:i] else "" for i, name in enumerate(names)
    ]


def _column(label: str) -> str:
    return COLUMN_OF.get(re.sub(r"[\W_]", "", label).lower(), "")


def _take_header(
    dialect: Dialect, head: list[Record], options: TextOptions, *, has_labels: bool
) -> list[Record]:
    """Takes the header out of the first rows, and reports a title above it."""
    if options.header is False or (has_labels and options.header is None):
        return head
    rows = [i for i, record in enumerate(head) if any(cell.strip() for cell in record.cells)]
    for i in rows[:1] if options.header else rows[:_HEADER_ROWS]:
        record = head[i]
        if options.header or header_columns(record.cells):
            dialect.header, dialect.header_row = record.cells, record.row
            above = [other for other in head[:i] if not other.comment and any(other.cells)]
            dialect.errors += [_title(other) for other in above]
            comments = [other for other in head[:i] if other.comment]
            return comments + head[i + 1 :]
        if sum(bool(cell.strip()) for cell in record.cells) > 1:
            break  # no title, but a note
    return head


def _title(record: Record) -> RowError:
    shown = clean_text(" ".join(record.cells))[:100]
    return RowError(
        record.row,
        "",
        "title",
        Filled("A line above the header: {shown}", shown=shown),
        fatal=False,
    )


def _name_columns(dialect: Dialect, told: dict[str, str], options: TextOptions) -> None:
    """Gives each place its column, by what was told, by the header, or by the order of places."""
    if options.columns is not None:
        dialect.columns = dict(enumerate(options.columns))
        return
    labels = dialect.header
    names = header_columns(labels)
    if "columns" in told:
        labels = next(csv.reader([told["columns"]], delimiter=dialect.separator), [])
        names = _first_uses([_column(label) for label in labels])
    dialect.columns = dict(enumerate(names)) | _told_places(told)
    if "front" not in dialect.columns.values():
        _name_by_place(dialect)
    for place, label in enumerate(labels):
        if not dialect.column(place) and (shown := clean_text(label)[:100]):
            message = "The column is not read."
            error = RowError(dialect.header_row, shown, "unknown_column", message, fatal=False)
            dialect.errors.append(error)
            dialect.columns[place] = UNREAD


def _told_places(told: dict[str, str]) -> dict[int, str]:
    """The columns of Anki's `#guid column:1` and the like."""
    names = (("guid", "id"), ("notetype", "type"), ("deck", "deck"), ("tags", "tags"))
    return {
        int(place) - 1: name
        for key, name in names
        if re.fullmatch("[1-9][0-9]{0,3}", place := told.get(f"{key} column", "").strip())
    }


def _name_by_place(dialect: Dialect) -> None:
    """Without names the columns are front, back, and notes for all that follow."""
    names = chain(("front", "back"), repeat("notes"))
    for place in range(MAX_COLUMNS):
        if not dialect.columns.get(place):
            dialect.columns[place] = next(names)
    dialect.rest = "notes"


def unescape(cell: str) -> str:
    """The cell without the apostrophe that keeps a spreadsheet from running it."""
    return cell[1:] if _ESCAPED_FORMULA.match(cell) else cell
