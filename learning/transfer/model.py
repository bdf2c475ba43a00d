"""What every file format is read into and written from: notes, the state of their cards, the log.

Pure: no framework, no store. Instants are aware UTC datetimes, text is plain (never HTML), and a
deck is the path of its names joined by `::`, as learners of Anki write it.
"""

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from config.problems import Problem

NoteType = Literal["basic", "reversed", "cloze"]
TEXT_FIELDS = ("front", "back", "phonetic", "example", "notes")

MAX_DAYS = 36_500  # no interval is longer; a century, as in Anki

CLOZE = re.compile(r"\{\{c([1-9][0-9]{0,2})::")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class FileRefused(Problem):
    """The file as a whole cannot be read; nothing of it is imported."""

    status, code, title = 400, "FILE_UNREADABLE", "The file cannot be read"


class FormatUnknown(FileRefused):
    code, title = "FILE_FORMAT_UNKNOWN", "The file is not CSV, JSON or an Anki package"


class FileUnsafe(FileRefused):
    code, title = "FILE_UNSAFE", "The file is built in a way that no program exports"


class FileTooNew(FileRefused):
    code, title = "FILE_TOO_NEW", "The file was written by a newer version than we read"


class FileTooLarge(FileRefused):
    status, code, title = 413, "FILE_TOO_LARGE", "The file is larger than an import may be"


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one import may hold.

    The defaults fit a Lambda of 1 GB with 512 MB of disk; texts are as long as the API takes them.
    """

    file_bytes: int = 200 * 2**20
    text_bytes: int = 24 * 2**20
    unpacked_bytes: int = 200 * 2**20
    unpacked_ratio: int = 150
    members: int = 50_000
    notes: int = 50_000
    reviews: int = 1_000_000
    id_chars: int = 200
    front_chars: int = 2_000
    back_chars: int = 5_000
    phonetic_chars: int = 200
    example_chars: int = 2_000
    notes_chars: int = 5_000
    deck_chars: int = 500
    html_chars: int = 100_000
    tags: int = 20
    tag_chars: int = 50
    cards_of_a_note: int = 100


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class RowError:
    """What could not be taken over from one row (a line, or a note by its place in the file).

    `fatal` says the row was skipped; otherwise its note follows without the part named here.
    Row 0 is the file as a whole.
    """

    row: int
    field: str
    code: str
    message: str
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class Media:
    """A reference to a media file (its bare name) or to an https address, in a field of a note."""

    kind: Literal["audio", "image"]
    name: str
    field: str = "front"


@dataclass(frozen=True, slots=True)
class Review:
    """An entry of a card's log.

    `practice` is an answer that left the schedule alone; `reset` and `reschedule` have no rating
    (1 again to 4 easy). Intervals are in seconds: what the entry set, and what stood before.
    """

    id: str
    at: datetime
    kind: Literal["review", "practice", "reset", "reschedule"] = "review"
    rating: int | None = None
    duration_ms: int = 0
    interval_s: int = 0
    previous_interval_s: int = 0
    phase: Literal["learning", "review", "relearning", "early"] = "review"
    ease_factor: float | None = None


@dataclass(frozen=True, slots=True)
class CardState:
    """Where one card of a note stands. `ordinal` counts from 0: front first, or cloze 1.

    `deck` is set only where it differs from the note's. `position` orders new cards, `due_at` is
    for all others. `estimated` marks stability and difficulty that were derived from an SM-2 ease
    factor, so that a replay of the log may replace them.
    """

    ordinal: int
    deck: str = ""
    state: Literal["new", "learning", "review", "relearning"] = "new"
    suspended: bool = False
    buried: bool = False
    due_at: datetime | None = None
    position: int | None = None
    interval_days: int = 0
    stability: float | None = None
    difficulty: float | None = None
    estimated: bool = False
    ease_factor: float | None = None
    reps: int = 0
    lapses: int = 0
    last_review_at: datetime | None = None
    reviews: tuple[Review, ...] = ()


@dataclass(frozen=True, slots=True)
class DeckSource:
    """What a file says of a deck besides its name, by the names of our API, as it stands there."""

    name: str
    more: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Note:
    """What a learner wrote. `id` is the same at every export ("" when the file names none).

    `more` are fields of ours that no other program knows, by the names of our API.

    A cloze note keeps its text with `{{c1::…}}` in `front` and has no `back`. `row` is where it
    stands in its file, which is no part of it.
    """

    id: str = ""
    type: NoteType = "basic"
    front: str = ""
    back: str = ""
    phonetic: str = ""
    example: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    deck: str = ""
    media: tuple[Media, ...] = ()
    cards: tuple[CardState, ...] = ()
    created_at: datetime | None = None
    modified_at: datetime | None = None
    more: dict[str, Any] | None = None
    row: int = dataclasses.field(default=0, compare=False)


Row = Note | DeckSource | RowError
Rows = Iterator[Row]


def clean_text(text: str) -> str:
    """Text as we keep it: `\\n` for line ends, no control characters, no blanks at the ends."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", text)).strip()


def cloze_ordinals(text: str) -> tuple[int, ...]:
    """The ordinals of a cloze text's cards: `{{c2::…}}` gives card 1."""
    return tuple(sorted({int(number) - 1 for number in CLOZE.findall(text)}))


def row_error_of(note: Note, row: int, limits: Limits) -> RowError | None:
    """Why a note may not be imported, or None."""
    for field in (*TEXT_FIELDS, "deck", "id"):
        most: int = getattr(limits, f"{field}_chars")
        if len(getattr(note, field)) > most:
            return RowError(row, field, "TOO_LONG", f"More than {most} characters.")
    if len(note.tags) > limits.tags:
        return RowError(row, "tags", "TOO_MANY", f"More than {limits.tags} tags.")
    if any(len(tag) > limits.tag_chars for tag in note.tags):
        message = f"A tag of more than {limits.tag_chars} characters."
        return RowError(row, "tags", "TOO_LONG", message)
    if len(note.cards) > limits.cards_of_a_note:
        return RowError(row, "cards", "TOO_MANY", f"More than {limits.cards_of_a_note} cards.")
    return _row_error_of_sides(note, row)


def _row_error_of_sides(note: Note, row: int) -> RowError | None:
    if note.type == "cloze":
        if note.back:
            return RowError(row, "back", "UNEXPECTED", "A cloze note has no back.")
        if cloze_ordinals(note.front):
            return None
        return RowError(row, "front", "NO_CLOZE", "A cloze text needs a {{c1::…}}.")
    shown = {media.field for media in note.media}
    for field in ("front", "back"):
        if not getattr(note, field) and field not in shown:
            return RowError(row, field, "REQUIRED", f"There is no {field}.")
    return None
