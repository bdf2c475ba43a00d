"""All that a learner has made, as notes for a file: read in the order of keys, a page at a time."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from datetime import date, datetime
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, BinaryIO, Literal
from zoneinfo import ZoneInfo

from accounts.models import learner_key
from config.formats import wire_name
from config.problems import Conflict, NotFound
from config.store.items import Raw, batch_get
from learning.days import due_on
from learning.models.cards import Card, Deck, Note
from learning.models.log import LogEntry
from learning.models.media import Medium
from learning.models.scheduler import Scheduler
from learning.scheduling import Review as Answer
from learning.scheduling import Settings, State, replay
from learning.services.imports import UNTOLD, content_digest, media_text
from learning.services.media import all_media, filename, read_all
from learning.services.media_on_cards import FIELDS, shown_by
from learning.services.study_context import StudyContext
from learning.transfer import CardState, DeckSource, Format, Media, Review, write_csv, write_json
from learning.transfer import Note as Source
from learning.transfer.anki.schedule import FSRS6_DECAY
from learning.transfer.history import review_of

if TYPE_CHECKING:
    from learning.transfer.anki.writer import PackedFiles

PAGE = 500
AT_ONCE_FILES, AT_ONCE_BYTES = 200, 20 * 2**20  # of media, within a request
FilesOf = Callable[["PackedFiles"], Iterable[bytes | None]]
# Fields of notes that every format has a place for, or that mean nothing elsewhere.
KNOWN = frozenset(field.name for field in fields(Source)) | {
    *("deck_id", "audio_url", "image_url", "source_session_id", "source_turn"),
}


class TooManyFiles(Conflict):
    code, title = "EXPORT_TOO_LARGE", "So many pictures and sounds take longer than a request"

    def __init__(self) -> None:
        super().__init__("Start an export that works by itself: POST /exports")


def export_notes(
    *, learner_id: str, format: Format, deck_id: str | None, target: BinaryIO, now: datetime
) -> None:
    """Writes the notes of one deck or all, each once, in the order of their ids.

    CSV has what was written; JSON and Anki packages also schedule and log. Reads the learner's
    cards, and their log where it is wanted, from one end to the other. Raises NotFound for an
    unknown deck, and TooManyFiles.
    """
    if deck_id is not None and Deck.of(learner_id, deck_id) is None:
        raise NotFound
    run = Export(learner_id, deck_id, now, format)
    run.write((note for _, note in run.notes()), target)


class Export:
    """One run of an export."""

    def __init__(self, learner_id: str, deck_id: str | None, now: datetime, format: Format) -> None:
        self.learner_id, self.deck_id, self.now, self.format = learner_id, deck_id, now, format
        self.with_log = format != "csv"
        pk = learner_key(learner_id)
        self.study = StudyContext.of(learner_id, batch_get(*StudyContext.keys(learner_id)))
        self.log: _Log | None = None
        self.all_decks = Deck.query_all(pk, Deck.sk.startswith(Deck.PREFIX))
        self.decks = {deck.id: deck.name for deck in self.all_decks}
        self.settings = {0: Settings()}
        if self.with_log:
            versions = Scheduler.query_all(pk, Scheduler.sk.startswith(Scheduler.SK))
            self.settings |= {int(version.number): version.settings() for version in versions}

    def write(
        self, notes: Iterable[Source], target: BinaryIO, files_of: FilesOf | None = None
    ) -> None:
        """Writes the file of these notes; a package with what `files_of` gives of their media."""
        if self.format == "apkg":
            from learning.transfer.anki.writer import write_apkg  # slow to load

            offset = self.now.astimezone(ZoneInfo(self.study.calendar.timezone)).utcoffset()
            write_apkg(
                notes,
                target,
                exported_at=self.now,
                minutes_west=-round(offset.total_seconds() / 60) if offset else 0,
                day_starts_at_hour=self.study.calendar.day_starts_at_hour,
                files_of=files_of or self.files_of,
            )
            return
        is_csv = self.format == "csv"
        pieces = write_csv(notes) if is_csv else write_json(notes, self.now, self.deck_sources())
        for piece in pieces:
            target.write(piece)

    def files_of(self, packed: "PackedFiles") -> Iterator[bytes | None]:
        """The files of a package's media, read one by one. Raises TooManyFiles."""
        media = [self.media.get(id) for id, _ in packed.files]
        if sum(int(medium.size_bytes) for medium in media if medium) > AT_ONCE_BYTES:
            raise TooManyFiles
        if len(media) > AT_ONCE_FILES:
            raise TooManyFiles
        return read_all(media)

    def deck_sources(self) -> list[DeckSource]:
        """The decks with all that is the learner's own of them."""
        wanted = [deck for deck in self.all_decks if self.deck_id in (None, deck.id)]
        return [DeckSource(deck.name, _more(deck, besides={"name"})) for deck in wanted]

    def notes(self, *, after: str = "") -> Iterator[tuple[str, Source]]:
        """The notes behind one, each with its id and its cards, in the order of ids."""
        self.log = _Log(self.learner_id, after) if self.with_log else None
        for note_id, cards in groupby(self._cards(after), key=lambda card: card.note_id):
            of_note = list(cards)
            if note := of_note[0].note:
                yield note_id, self._note(note, of_note)

    def _cards(self, after: str) -> Iterator[Card]:
        start = _behind(self.learner_id, Card.PREFIX, after)
        while True:
            page = Card.all_of(self.learner_id, limit=PAGE, start=start)
            for card in Card.join_in_order(self.learner_id, page.items):
                if self.deck_id in (None, card.deck_id):
                    yield card
            if not (start := page.next_key):
                return

    def _note(self, head: Note, cards: Sequence[Card]) -> Source:
        origin: dict[str, Any] = head.origin or {}
        as_it_came = content_digest(head) == origin.get("says")
        front, back, notes = head.front, head.back, head.notes or ""
        if head.type == "cloze" and back:  # what is shown behind a cloze is its notes elsewhere
            back, notes = "", "\n".join(filter(None, (back, notes)))
        note = Source(
            id=origin.get("guid", head.id),
            type=_type(head),
            front=front,
            back=back,
            phonetic=head.phonetic or "",
            example=head.example or "",
            notes=notes,
            tags=tuple(map(str, head.tags)),
            deck=self.decks.get(head.deck_id, ""),
            media=tuple(self._media(head, origin)),
            cards=tuple(self._state(card) for card in cards) if self.with_log else (),
            created_at=_instant(origin.get("created_at")) or head.created_at,
            modified_at=_instant(origin.get("modified_at") if as_it_came else None)
            or head.updated_at,
            more=_more(head, besides=KNOWN) or None,
        )
        return replace(note, front=_side_text(note, "front"), back=_side_text(note, "back"))

    def _media(self, head: Note, origin: dict[str, Any]) -> Iterator[Media]:
        """The media of a note: those that a file named, unless the learner has taken them off.

        Then what the learner has added: addresses, what the texts show, and in packages, which have
        no fields for them, the sound and the picture beside the texts.
        """
        urls: list[tuple[Literal["audio", "image"], str | None]]
        urls = [("audio", head.audio_url), ("image", head.image_url)]
        now = {url for _, url in urls}
        shown = shown_by(head.own_values())
        named = set()
        for kind, name, field, *id in origin.get("media", []):
            named |= {name, *id}
            if id and id[0] in shown:
                yield Media(kind, name, field, id[0])
            elif not id and (name in now or name not in origin.get("urls", [])):
                yield Media(kind, name, field)
        for kind, url in urls:
            if url and url not in named:
                yield Media(kind, url)
        for id, (*_, field) in shown.items():
            is_of_package = self.format == "apkg" or field not in FIELDS
            if id not in named and is_of_package and (medium := self.media.get(id)):
                place = "front" if field in FIELDS else field
                yield Media(medium.kind_of_media, filename(medium), place, id)

    @cached_property
    def media(self) -> dict[str, Medium]:
        """All media of the learner."""
        return {medium.id: medium for medium in all_media(self.learner_id)}

    def _due_on(self, card: Card) -> date | None:
        """The learner's day of a card that is due by day and not by the minute."""
        calendar, due_at = self.study.calendar, card.due_at
        by_day = card.memory.state is State.REVIEW or due_at == calendar.start(calendar.day(due_at))
        return due_on(card.memory, calendar) if by_day else None

    def _state(self, card: Card) -> CardState:
        memory = card.memory
        standing: dict[str, Any] = (card.origin or {}).get("standing", {})
        as_it_came = standing.get("entry") == card.last_entry
        told: dict[str, Any] = standing if as_it_came else {"interval_days": memory.interval_days}
        new = card.state == "new"
        known = {name: getattr(memory, name) for name in UNTOLD}
        reviews, retention = self._reviews(card)
        return CardState(
            ordinal=int(card.ordinal),
            state=memory.state.value,
            suspended=card.suspended,
            buried=card.is_buried(self.now),
            due_at=None if new else card.due_at,
            due_on=None if new else self._due_on(card),
            position=told.get("position") if new else None,
            interval_days=told.get("interval_days", 0),
            estimated=told.get("estimated", False),
            desired_retention=told.get("desired_retention") if as_it_came else retention,
            decay=told.get("decay") if as_it_came else FSRS6_DECAY,
            ease_factor=told.get("ease_factor"),
            original_position=standing.get("original_position"),
            flag=standing.get("flag", 0),
            custom_data=standing.get("custom_data"),
            reps=memory.reps,
            lapses=memory.lapses,
            reviews=reviews,
            **known | dict.fromkeys(told.get("untold", ())),
        )

    def _reviews(self, card: Card) -> tuple[tuple[Review, ...], float | None]:
        """A card's log as others keep it, and the retention that its last answer aimed at."""
        reviews, retention = list[Review](), None
        rows = self.log.of(card) if self.log else []
        by_id = {row.id: row for row in rows}
        steps = replay(
            [row.to_entry() for row in rows],
            created_at=card.created_at,
            settings=self.settings,
            seed=card.id,
        )
        for change, before, after in steps:
            row = by_id[change.id]
            review = review_of(
                change,
                before,
                after,
                duration_ms=int(row.duration_ms or 0),
                made_of=row.origin,
            )
            if review:
                reviews.append(review)
            if isinstance(change, Answer):
                in_force = self.settings[change.settings_version].desired_retention
                retention = change.desired_retention or in_force
        return tuple(reviews), retention


class _Log:
    """The learner's log beside the cards: both are ordered by the card's id."""

    def __init__(self, learner_id: str, after: str) -> None:
        self._rows = self._read(learner_id, _behind(learner_id, LogEntry.PREFIX, after))
        self._next = next(self._rows, None)

    def _read(self, learner_id: str, start: Raw | None) -> Iterator[LogEntry]:
        while True:
            page = LogEntry.by_card(learner_id, limit=PAGE, start=start)
            yield from page.items
            if not (start := page.next_key):
                return

    def of(self, card: Card) -> list[LogEntry]:
        """The log of a card, which comes after those asked for before."""
        rows, behind = [], f"{LogEntry.PREFIX}{card.id}$"  # "$" follows "#"
        while self._next is not None and self._next.sk < behind:
            if self._next.card_id == card.id:
                rows.append(self._next)
            self._next = next(self._rows, None)
        if len(rows) < card.entries:  # the card was read when a part of a change was to be seen
            return LogEntry.of_card(card.learner_id, card.id)
        return sorted(rows, key=LogEntry.sort_key)


def _behind(learner_id: str, prefix: str, note_id: str) -> Raw | None:
    """The key behind all that a note has under a prefix; None where there is no note."""
    behind = f"{prefix}{note_id}~"  # follows all that ids are made of
    return {"pk": {"S": learner_key(learner_id)}, "sk": {"S": behind}} if note_id else None


def _more(item: Deck | Note, *, besides: Collection[str]) -> dict[str, Any]:
    """The learner's own fields that a file has no place of its own for, by the API's names."""
    fields = {name: value for name, value in item.own_values().items() if name not in besides}
    return {
        wire_name(name): _plain(value)
        for name, value in fields.items()
        if value not in (None, "", [])
    }


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _type(head: Note) -> Literal["basic", "reversed", "cloze"]:
    types: dict[str, Literal["basic", "cloze"]] = {"basic": "basic", "cloze": "cloze"}
    return types.get(head.type, "reversed")


def _side_text(note: Source, side: Literal["front", "back"]) -> str:
    """A side without what stands there only for its media."""
    text = note.front if side == "front" else note.back
    return "" if text == media_text(note, side) else text


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
