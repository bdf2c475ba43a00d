"""What every file format is read into and written from: notes, the state of their cards, the log.

Pure: no framework, no store. Instants are aware UTC datetimes, text is plain (never HTML), and a
deck is the path of its names joined by `::`, as learners of Anki write it.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from datetime import date, datetime
from typing import Annotated, Any, Literal

from config.problems import Filled, Problem
from config.records import dataclass
from learning.cloze import cloze_ordinals
from learning.shapes import Range, Text

NoteType = Literal["basic", "reversed", "cloze"]
_SIDE_TEXTS = ("phonetic", "example", "notes")
TEXT_FIELDS = ("front", "back", *_SIDE_TEXTS)

_MEDIUM = re.compile(r"\[media:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\]")

CUSTOM_DATA_CHARS = 100  # as in Anki
MAX_DAYS = 36_500  # no interval is longer; a century, as in Anki

Ordinal = Annotated[int, Range(0, 998)]
Days = Annotated[float, Range(0, MAX_DAYS)]
WholeDays = Annotated[int, Range(0, MAX_DAYS)]
Seconds = Annotated[int, Range(0, MAX_DAYS * 86_400)]
Count = Annotated[int, Range(0, 10**6)]
Rating = Annotated[int, Range(1, 4)]
Ease = Annotated[float, Range(0, 100)]

_MOST_COMPOSED = 10_000  # more than any field has; the time may grow with the square
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


@dataclass(frozen=True)
class Limits:
    """The most that one import may hold.

    The defaults fit a Lambda of 1 GB with 512 MB of disk; texts are as long as the API takes them,
    so that a note fits an item of the table (400 KB) whatever its letters.
    """

    file_bytes: int = 200 * 2**20
    text_bytes: int = 24 * 2**20
    unpacked_bytes: int = 200 * 2**20
    unpacked_ratio: int = 150
    members: int = 50_000
    notes: int = 50_000
    reviews: int = 1_000_000
    id_chars: int = 200
    front_chars: int = 10_000
    back_chars: int = 20_000
    phonetic_chars: int = 2_000
    example_chars: int = 2_000
    notes_chars: int = 20_000
    deck_chars: int = 500
    html_chars: int = 100_000
    tags: int = 100
    tag_chars: int = 200
    cards_of_a_note: int = 100

    def most_chars(self, field: str) -> int:
        """The most characters of a text field."""
        return int(getattr(self, f"{field}_chars"))


LIMITS = Limits()


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Media:
    """A reference to a media file (its bare name) or to an https address, in a field of a note.

    `id` is ours where we have the file; then the field's text may show it as `[media:<id>]`.
    """

    kind: Literal["audio", "image"]
    name: str
    field: str = "front"
    id: str = ""


@dataclass(frozen=True)
class Review:
    """An entry of a card's log.

    `practice` is an answer that left the schedule alone; `reset` and `reschedule` have no rating
    (1 again to 4 easy). Intervals are in seconds: what the entry set, and what stood before.
    `days_in_s`: Anki has these whole days in seconds as well, as of a learning step.
    """

    id: str
    at: datetime
    kind: Literal["review", "practice", "reset", "reschedule"] = "review"
    rating: Rating | None = None
    duration_ms: Annotated[int, Range(0, 86_400_000)] = 0
    interval_s: Seconds = 0
    previous_interval_s: Seconds = 0
    days_in_s: bool = False
    previous_days_in_s: bool = False
    phase: Literal["learning", "review", "relearning", "early"] = "review"
    ease_factor: Ease | None = None


@dataclass(frozen=True)
class CardState:
    """Where one card of a note stands. `ordinal` counts from 0: front first, or cloze 1.

    `deck` is set only where it differs from the note's. `position` orders new cards, `due_at` is
    for all others; `due_on` says that a card is due on a date, whatever the zone, and is no part of
    our own documents. `estimated` marks stability and difficulty that were derived from an SM-2
    ease factor, so that a replay of the log may replace them. `desired_retention` and `decay` are
    those of the last answer; `original_position`, `flag` and `custom_data` are Anki's own.
    """

    ordinal: Ordinal
    deck: str = ""
    state: Literal["new", "learning", "review", "relearning"] = "new"
    suspended: bool = False
    buried: bool = False
    due_at: datetime | None = None
    position: Annotated[int, Range(0, 2**31)] | None = None
    interval_days: WholeDays = 0
    stability: Days | None = None
    difficulty: Annotated[float, Range(1, 10)] | None = None
    estimated: bool = False
    desired_retention: Annotated[float, Range(0, 1)] | None = None
    decay: Annotated[float, Range(0, 2)] | None = None
    ease_factor: Ease | None = None
    original_position: Annotated[int, Range(0, 2**31)] | None = None
    flag: Annotated[int, Range(0, 7)] = 0
    custom_data: Annotated[str, Text(CUSTOM_DATA_CHARS)] | None = None
    reps: Count = 0
    lapses: Count = 0
    last_review_at: datetime | None = None
    reviews: tuple[Review, ...] = ()
    due_on: date | None = dataclasses.field(default=None, compare=False)


@dataclass(frozen=True)
class MediaSource:
    """The media files of a package. `read` gives the bytes of one by its name.

    It raises KeyError for a name that the package has not, and FileRefused for a damaged file.
    """

    names: Collection[str]
    read: Callable[[str], bytes]


@dataclass(frozen=True)
class DeckSource:
    """What a file says of a deck besides its name, by the names of our API, as it stands there."""

    name: str
    more: dict[str, Any]


@dataclass(frozen=True)
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


Row = Note | DeckSource | MediaSource | RowError
Rows = Iterator[Row]


def clean_text(text: str) -> str:
    """Text as we keep it: `\\n` for line ends, no control characters, no blanks at the ends, and
    letters composed (NFC), so that a word has one form whoever typed it."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _SURROGATE.sub("\ufffd", _CONTROL.sub("", text)).strip()
    return unicodedata.normalize("NFC", text) if len(text) <= _MOST_COMPOSED else text


def media_ids(text: str) -> list[str]:
    """The ids of the pictures and sounds of ours that a text shows, in its order."""
    return _MEDIUM.findall(text)


def without_media(text: str) -> str:
    """The text without what shows pictures and sounds of ours."""
    return _MEDIUM.sub("", text)


def media_token(id: str) -> str:
    """What shows a picture or sound of ours in a text."""
    return f"[media:{id}]"


def checked(note: Note, row: int, limits: Limits, *, needs_back: bool = True) -> "Iterator[Row]":
    """The note, and before it what it loses; or why it may not be imported.

    Tags, decks and texts beside the two sides that are too long are left out or, a deck, cut at a
    `::`; texts are never cut. Without `needs_back` a note may have a front alone; a reversed one
    has then, as in Anki, no card that asks for it.
    """
    if note.type == "reversed" and not needs_back and not _has(note, "back"):
        message = "There is no back, so no card asks for the front."
        yield RowError(row, "cards", "cards_dropped", message, fatal=False)
        first = tuple(card for card in note.cards if card.ordinal == 0)
        note = dataclasses.replace(note, type="basic", cards=first)
    error = _error_of(note, row, limits) or _error_of_sides(note, row, needs_back=needs_back)
    if error:
        yield error
        return
    tags = tuple(tag for tag in note.tags if len(tag) <= limits.tag_chars)[: limits.tags]
    if len(tags) < len(note.tags):
        lost = next(tag for tag in note.tags if tag not in tags)[:100]
        message = Filled(
            "{count} tags are too long or too many, such as {tag}.",
            count=len(note.tags) - len(tags),
            tag=lost,
        )
        yield RowError(row, "tags", "tags_dropped", message, fatal=False)
    longer = [name for name in _SIDE_TEXTS if len(getattr(note, name)) > limits.most_chars(name)]
    for name in longer:
        message = Filled(
            "More than {most} characters; the note comes in without.", most=limits.most_chars(name)
        )
        yield RowError(row, name, "text_dropped", message, fatal=False)
    deck = note.deck
    while len(deck) > limits.deck_chars:
        deck = deck.rpartition("::")[0]
    if deck != note.deck:
        message = Filled(
            "A path of more than {most} characters was cut to '{deck}'.",
            most=limits.deck_chars,
            deck=deck[:200],
        )
        yield RowError(row, "deck", "deck_cut", message, fatal=False)
    dropped: dict[str, Any] = dict.fromkeys(longer, "")
    yield dataclasses.replace(note, tags=tags, deck=deck, row=row, **dropped)


def _error_of(note: Note, row: int, limits: Limits) -> RowError | None:
    for field in ("front", "back", "id"):
        most = limits.most_chars(field)
        if len(getattr(note, field)) > most:
            return RowError(
                row, field, "too_long", Filled("More than {most} characters.", most=most)
            )
    if len(note.cards) > limits.cards_of_a_note:
        return RowError(
            row, "cards", "too_many", Filled("More than {most} cards.", most=limits.cards_of_a_note)
        )
    return None


def _error_of_sides(note: Note, row: int, *, needs_back: bool) -> RowError | None:
    if note.type == "cloze":
        if note.back:
            return RowError(row, "back", "unexpected", "A cloze note has no back.")
        if cloze_ordinals(note.front):
            return None
        return RowError(row, "front", "no_cloze", "A cloze text needs a {{c1::…}}.")
    alone = note.type == "basic" and not needs_back
    for field in ("front",) if alone else ("front", "back"):
        if not _has(note, field):
            return RowError(row, field, "required", Filled("There is no {field}.", field=field))
    return None


def _has(note: Note, field: str) -> bool:
    """Whether a side has a text or a picture or sound."""
    return bool(getattr(note, field)) or any(media.field == field for media in note.media)
