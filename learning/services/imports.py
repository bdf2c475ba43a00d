"""Takes in notes from files: makes new ones, and brings known ones up to date.

A file that is sent again, or goes on after a failure, adds nothing twice: the ids of notes, cards
and log entries follow from their names in the file. A new card's log is written first, where
nothing reads it yet; one transaction then makes the card, which is the fold of that log, and counts
it.

`origin` keeps the parts of a file for which we have no use, so that an export can give them back.
Of a note: `guid`, `media` (kind, name, field, and the id of the medium we keep) and `urls`, those
of them that we show; `created_at`, `modified_at`; `digest`, by which a file without news is
recognised at once, and `content_digest`, which tells whether the learner has changed the text
since. Of a card: `standing`, with `entry`, the last of its log at the time.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.utils.timezone import now

from accounts.models import learner_key
from accounts.services.changes import commit
from config.problems import FieldError, Filled, IdTaken, ServiceUnavailable, ValidationFailed
from config.records import dataclass
from config.store.connection import in_turn, pause_between, retrying
from config.store.items import ConditionFailed, Item, batch_get, batch_put
from config.store.transactions import Put
from learning.cloze import Face
from learning.media_types import MediumRefused
from learning.models.base import digest
from learning.models.cards import Card, Deck, Note
from learning.models.log import LogEntry
from learning.models.media import Medium
from learning.scheduling import Memory, leech_level
from learning.services import media
from learning.services.cards import NoSuchDeck, create_deck, faces, new_card, open_deck_check
from learning.services.media_on_cards import FIELDS, fits, sweep_later
from learning.services.notes import update_note
from learning.services.progress import DayCounts, add_days, count_study, totals_with
from learning.services.review import ROOM, append_entries, fold_log
from learning.services.study_context import StudyContext
from learning.transfer import DeckSource, FileRefused, Limits, Media, MediaSource, RowError, Rows
from learning.transfer import Note as Source
from learning.transfer.history import (
    entries_of,
    id_of,
    is_known,
    marks_of,
    name_based,
    origin_of,
)
from learning.transfer.model import TEXT_FIELDS, CardState, media_ids, media_token

LIMITS = Limits()
STEP_ROWS = 200  # of which some are errors
CHUNK_NOTES = 20  # with their cards they fit a transaction that others can wait for
MAX_ERRORS = 100
MAX_DECKS = 200  # made by one import
MAX_MEDIA = 50
TRANSACTION_BYTES = 3_000_000  # of the 4 MB that DynamoDB takes; the rest is for all but texts
BACK_OF_REVERSED = LIMITS.front_chars  # it is the front of a card as well
WITHIN_S = 18.0  # of API Gateway's 29 s; the rest is for the upload and a last chunk
UNTOLD = ("stability", "difficulty", "last_review_at")


# The fields of a note in a file of any format.
DIGESTED_FIELDS = (
    "front",
    "back",
    "phonetic",
    "example",
    "notes",
    "tags",
    "audio_url",
    "image_url",
)
Check = Callable[[Any], dict[str, Any]]


@dataclass
class Report:
    """The outcome for a file's notes. `next_offset` is set if the import stopped before the end.

    The first `most_errors` of `errors` are told one by one.
    """

    imported: int = 0
    updated: int = 0
    skipped: int = 0
    failed: int = 0
    decks_made: int = 0
    errors: list[RowError] = field(default_factory=list)
    next_offset: int | None = None
    most_errors: int | None = MAX_ERRORS

    def add_error(self, error: RowError) -> None:
        """Counts a row with an error, and tells of it; rows left out come before mere warnings."""
        self.failed += error.fatal
        self.errors.append(error)
        if self.most_errors is not None and len(self.errors) > self.most_errors:
            lesser = [each for each in self.errors if not each.fatal] or [error]
            self.errors.remove(lesser[-1])

    def told_again(self) -> dict[str, Any]:
        """Errors and counts of the notes from a place on, which the next run tells again."""
        return {"errors": list(self.errors), "failed": self.failed, "skipped": self.skipped}

    def figures(self) -> dict[str, int]:
        """The figures from which a later run goes on counting."""
        names = ("imported", "updated", "skipped", "failed", "decks_made")
        return {name: getattr(self, name) for name in names}


def import_notes(
    *,
    learner_id: str,
    rows: Rows,
    deck_id: str | None,
    dry_run: bool,
    offset: int,
    now: datetime,
    restore_deleted: bool = False,
    check_deck: Check = dict,
    check_note: Check = dict,
) -> Report:
    """Takes notes in, from the given place in the file on, as far as time and table allow.

    Notes that name no deck go into `deck_id`; other decks are found by name or made. A known note
    is changed where the file has something new, and its log is added to. A deleted one stays
    deleted, or with `restore_deleted` comes in under another id. A dry run writes nothing. The
    checks turn the values in a file, under the names of our API, into our fields, or raise
    ValidationFailed. Raises NoSuchDeck, whatever reading the file raises, and ServiceUnavailable if
    the table is too busy for the first notes; if others came in before, the report has the next
    place.
    """
    until = time.monotonic() + WITHIN_S
    run = Import(
        learner_id, deck_id, dry_run, now, check_deck, check_note, restore_deleted=restore_deleted
    )
    reached, before = offset, run.report.told_again()
    try:
        for reached in run.steps(rows, offset):
            if time.monotonic() > until:
                return replace(run.report, next_offset=reached)
            before = run.report.told_again()
    except ServiceUnavailable:
        if reached == offset:
            raise
        return replace(run.report, **before, next_offset=reached)
    return run.report


_Wanted = tuple[Source, list[Face]]


@dataclass
class _NewNote:
    """A new note with its cards and their logs, ready to be written."""

    note: Note
    cards: list[Card]
    rows: list[LogEntry]
    days: DayCounts

    @property
    def weight(self) -> int:
        """How many writes of a transaction it takes at most, beside the progress."""
        return len(self.cards) + 2 + len(self.days)

    @property
    def bytes(self) -> int:
        """The bytes of its texts in a transaction; all else is small beside them."""
        texts = [str(getattr(self.note, name) or "") for name in TEXT_FIELDS]
        return sum(len(text.encode()) for text in [*texts, *map(str, self.note.tags)])


class Import:
    """One run of an import. It may be the next one of an import with the same `now`."""

    def __init__(
        self,
        learner_id: str,
        deck_id: str | None,
        dry_run: bool,
        now: datetime,
        check_deck: Check = dict,
        check_note: Check = dict,
        *,
        restore_deleted: bool = False,
        report: Report | None = None,
    ) -> None:
        self.restore_deleted = restore_deleted
        self.check_deck, self.check_note = check_deck, check_note
        self.told: dict[str, DeckSource] = {}
        self.files: MediaSource | None = None
        self.has_kept = False
        self.learner_id, self.deck_id, self.dry_run, self.now = learner_id, deck_id, dry_run, now
        self.report = report or Report()
        self.seen: set[str] = set()
        open_decks = self._open_decks()
        if deck_id is not None and all(deck.id != deck_id for deck in open_decks):
            raise NoSuchDeck.at("deckId")
        self.decks = {deck.name.casefold(): deck.id for deck in reversed(open_decks)}
        # New cards come up by their place; a whole hour's parts are alike while a file is resumed.
        self.first_at = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)

    def steps(self, rows: Rows, offset: int) -> Iterator[int]:
        """Takes in a file's notes from a place on, and yields each place at which it could stop.

        Notes before the place are known: repetitions of them are skipped. Raises what
        `import_chunk` raises.
        """
        chunk: list[Source] = []
        reached = offset
        for seen, row in enumerate(self._notes_of(rows), 1):
            if seen <= offset:
                self._pass_over(row)
                continue
            if isinstance(row, RowError):
                self.report.add_error(row)
            else:
                chunk.append(row)
            if len(chunk) == CHUNK_NOTES or seen == reached + STEP_ROWS:
                self.import_chunk(chunk)
                chunk, reached = [], seen
                yield seen
        self.import_chunk(chunk)
        if self.has_kept:  # also of notes that were then refused
            sweep_later(self.learner_id, now=now())

    def _pass_over(self, row: Source | RowError) -> None:
        if isinstance(row, Source) and not (_size_error(row) or self._no_deck(row)):
            self.seen.add(id_of(row, row.deck or self.deck_id or ""))

    def _notes_of(self, rows: Rows) -> Iterator[Source | RowError]:
        """The rows that are notes; all other things in a file are kept until they are wanted."""
        for row in rows:
            if isinstance(row, DeckSource):
                self.told[row.name.casefold()] = row
            elif isinstance(row, MediaSource):
                self.files = row
            else:
                yield row

    def _open_decks(self) -> list[Deck]:
        prefix = Deck.sk.startswith(Deck.PREFIX)
        decks = Deck.query_all(learner_key(self.learner_id), prefix)
        return [deck for deck in decks if not deck.closing]

    def import_chunk(self, chunk: Sequence[Source]) -> None:
        """Takes some notes in, whatever other devices do meanwhile. Raises ServiceUnavailable."""
        wanted: dict[str, _Wanted] = {}
        for source in chunk:
            if fault := _size_error(source) or self._no_deck(source):
                self.report.add_error(fault)
                continue
            note_id = id_of(source, source.deck or self.deck_id or "")
            try:
                source = replace(source, more=self.check_note(source.more or {}))
                source = self._with_media(source)
                note_faces = _faces(source)
            except ValidationFailed as problem:
                self._refuse(source, problem.errors[0])
                continue
            if note_id in self.seen:
                self.report.skipped += 1
                continue
            self.seen.add(note_id)
            wanted[note_id] = source, note_faces
        left = [wanted]

        def go_on() -> None:
            left[0] = self._import_once(left[0])
            if left[0]:
                raise ConditionFailed

        with in_turn(self.learner_id):
            retrying(go_on, after=ConditionFailed)
        pause_between()

    # Media

    def _with_media(self, source: Source) -> Source:
        """The note with the ids of its media, as far as we have them or find them in the file."""
        more = source.more or {}
        told = {item.id for item in source.media} | {more.get(name, "") for name in FIELDS}
        known = Medium.ready_among(self.learner_id, told - {""}) if told - {""} else {}
        more = {
            k: v for k, v in more.items() if k not in FIELDS or (v in known and fits(k, known[v]))
        }
        kept = (
            replace(item, id=item.id if item.id in known else self._kept(source.row, item))
            for item in source.media
        )
        return replace(source, media=tuple(kept), more=more)

    def _kept(self, row: int, item: Media) -> str:
        """Keeps a medium of the package. Returns its id, or "" if it is not kept."""
        if self.files is None or self.dry_run or _is_url(item.name):
            return ""
        try:
            data = self.files.read(item.name)
            medium = media.store(learner_id=self.learner_id, data=data, name=item.name, now=now())
        except KeyError:
            return ""
        except (FileRefused, MediumRefused, media.ShelfFull) as problem:
            message = Filled("{name}: {why}", name=item.name[:100], why=problem.detail)
            self.report.add_error(
                RowError(row, item.field, problem.code.lower(), message, fatal=False)
            )
            return ""
        self.has_kept = True
        return str(medium.id)

    def _refuse(self, source: Source, error: FieldError) -> None:
        self.report.add_error(RowError(source.row, error.field, error.code, error.message))

    def _no_deck(self, source: Source) -> RowError | None:
        if source.deck or self.deck_id:
            return None
        return RowError(source.row, "deck", "required", "Name a deck here, or give deckId.")

    def _deck_of(self, source: Source) -> str | None:
        """The deck of a new note, made if none has its name; None if that is one too many."""
        if not source.deck:
            return self.deck_id
        key = source.deck.casefold()
        if key not in self.decks:
            if self.report.decks_made == MAX_DECKS:
                message = Filled("One import makes at most {most} decks.", most=MAX_DECKS)
                self.report.add_error(RowError(source.row, "deck", "too_many", message))
                return None
            self.report.decks_made += 1
            self.decks[key] = (
                name_based("deck", key) if self.dry_run else self._create_deck(source.deck)
            )
        return self.decks[key]

    def _create_deck(self, name: str) -> str:
        made_id = name_based("deck", name.casefold())
        fields = {"description": "", **self._told_of(name), "name": name}
        try:
            deck = create_deck(
                learner_id=self.learner_id, fields=fields | {"id": made_id}, now=self.now
            )
            if deck.name == name and not deck.closing:
                return made_id
        except IdTaken:
            pass  # one of this name was deleted or is called otherwise by now
        return str(create_deck(learner_id=self.learner_id, fields=fields, now=self.now).id)

    def _told_of(self, name: str) -> dict[str, Any]:
        """The file's other fields of a deck, if they are valid."""
        told = self.told.get(name.casefold())
        try:
            return self.check_deck(told.more) if told else {}
        except ValidationFailed as problem:
            error = problem.errors[0]
            self.report.add_error(
                RowError(0, f"decks.{error.field}", error.code, error.message, fatal=False)
            )
            return {}

    def _import_once(
        self, wanted: Mapping[str, _Wanted], *, again: bool = False
    ) -> dict[str, _Wanted]:
        """Deals with each note once. Returns those that others wrote to at the same time.

        `again`: these notes were deleted before, and come in under new ids.
        """
        if not wanted:
            return {}
        keys = {
            note_id: self._keys(note_id, note_faces) for note_id, (_, note_faces) in wanted.items()
        }
        stored = batch_get(
            *StudyContext.keys(self.learner_id), *(key for each in keys.values() for key in each)
        )
        study = StudyContext.of(self.learner_id, stored)
        new: dict[str, _NewNote] = {}
        known: list[tuple[str, Source, list[Item]]] = []
        deleted: dict[str, _Wanted] = {}
        for note_id, (source, note_faces) in wanted.items():
            items = [item for key in keys[note_id] if (item := stored.get(key))]
            if any(isinstance(item, Note) for item in items):
                known.append((note_id, source, items))
            elif items:
                deleted[name_based("again", note_id)] = source, note_faces
            elif again and not self.restore_deleted:
                self._keep_deleted(source)
            elif (deck := self._deck_of(source)) and not self.dry_run:
                new[note_id] = self._build_note(note_id, source, deck, note_faces, study)
            else:
                self.report.imported += deck is not None
        late = self._write_notes(new, study)
        for note_id, source, items in known:
            self._update_known(note_id, source, items, study)
        return {note_id: wanted[note_id] for note_id in late} | self._import_once(
            deleted, again=True
        )

    def _keep_deleted(self, source: Source) -> None:
        message = "You have deleted this note: it stays so, unless you say restoreDeleted."
        self.report.add_error(RowError(source.row, "id", "deleted", message, fatal=False))
        self.report.skipped += 1

    def _keys(self, note_id: str, faces: Sequence[Face]) -> list[tuple[str, str]]:
        """The keys of a note of any type, and of its cards."""
        return [
            Note.key(self.learner_id, note_id),
            Card.key(self.learner_id, note_id),
            *(Card.key(self.learner_id, f"{note_id}.{face.ordinal}") for face in faces),
        ]

    # New notes

    def _build_note(
        self, note_id: str, source: Source, deck: str, faces: Sequence[Face], study: StudyContext
    ) -> _NewNote:
        states = {state.ordinal: state for state in source.cards}
        origin = _origin(source)
        note = Note(
            *Note.key(self.learner_id, note_id),
            id=note_id,
            type=source.type,
            origin=origin,
            request_digest=origin["digest"],
            deck_id=deck,
            created_at=self.now,
            updated_at=self.now,
            **fields_of(source),
        )
        cards, rows, days = [], list[LogEntry](), DayCounts()
        for face in faces:
            state = states.get(face.ordinal, CardState(face.ordinal))
            place = source.row if state.position is None else state.position
            created_at = self.first_at + timedelta(microseconds=place)
            card = new_card(note, face.ordinal, self.now, due_at=created_at)
            log = self._log(card, state, study)
            self._set_memory(card, state, log, study, days)
            cards.append(card)
            rows += log
        return _NewNote(note, cards, rows, days)

    def _log(self, card: Card, state: CardState, study: StudyContext) -> list[LogEntry]:
        settings = study.scheduler.settings()
        if state.due_on is not None:
            state = replace(state, due_at=study.calendar.start(state.due_on))
        entries = entries_of(
            card.id,
            state,
            created_at=card.created_at,
            now=self.now,
            weights=settings.weights,
            settings_version=int(study.scheduler.number),
        )
        return [
            LogEntry.from_entry(
                self.learner_id,
                card.id,
                card.deck_id,
                entry,
                studied_on=study.calendar.day(entry.at),
                duration_ms=review.duration_ms or None if review else None,
                origin=origin_of(review),
            )
            for entry, review in entries
        ]

    def _set_memory(
        self,
        card: Card,
        state: CardState,
        log: Sequence[LogEntry],
        study: StudyContext,
        days: DayCounts,
    ) -> None:
        """Sets a card's memory from its log, and its other state from the file."""
        settings = study.scheduler.settings()
        memory = Memory.new(card.created_at)
        if log:
            versions = {int(study.scheduler.number): settings}
            memory, gained = fold_log(card=card, rows=log, settings=versions)
            add_days(days, gained)
            card.last_entry, card.entries = log[-1].sort_key(), len(log)
        card.set_memory(memory)
        card.forgiven_leech_level = leech_level(memory.lapses, settings.leech_threshold) or None
        card.mark_leech(int(card.forgiven_leech_level or 0), suspend=False)
        if state.suspended:
            card.suspend("learner")
        if state.buried:
            card.bury(study.calendar.end(study.calendar.day(self.now)), "learner")
        card.origin = {"standing": _standing(state, card.last_entry)}

    def _write_notes(self, new: Mapping[str, _NewNote], study: StudyContext) -> list[str]:
        """Writes new notes, as many in a transaction as fit. Returns those that were too late."""
        batch_put([row for note in new.values() for row in note.rows])
        late: list[str] = []
        group: dict[str, _NewNote] = {}
        for note_id, note in new.items():
            weight = sum(pending.weight for pending in group.values())
            size = sum(pending.bytes for pending in group.values())
            full = weight + note.weight > ROOM or size + note.bytes > TRANSACTION_BYTES
            if group and full:
                late += self._write_group(group, study)
                pause_between()
                group, study = {}, self._read_study()
            group[note_id] = note
        return late + (self._write_group(group, study) if group else [])

    def _read_study(self) -> StudyContext:
        return StudyContext.of(self.learner_id, batch_get(*StudyContext.keys(self.learner_id)))

    def _write_group(self, group: Mapping[str, _NewNote], study: StudyContext) -> list[str]:
        cards = [card for new_note in group.values() for card in new_note.cards]
        notes = [new_note.note for new_note in group.values()]
        days: DayCounts = {}
        for new_note in group.values():
            add_days(days, new_note.days)
        decks = {card.deck_id for card in cards}
        room = ROOM - len(cards) - len(notes) - len(decks)
        cards[0].uncounted_days = None
        if len(days) > room:  # one note with more days than a transaction takes
            owed = sorted(days)[room:]
            cards[0].uncounted_days = {on.isoformat(): dict(days.pop(on)) for on in owed}
        for card in cards:
            card.counted_in_totals = ""
        try:
            commit(
                study.head,
                *(Put(note, Note.pk.does_not_exist()) for note in notes),
                *(Put(card, Card.pk.does_not_exist()) for card in cards),
                *(open_deck_check(self.learner_id, deck) for deck in decks),
                *count_study(study.head, days, totals_with(*cards)),
                whole=[f"{LogEntry.PREFIX}{card.id}#" for card in cards if card.entries],
            )
        except ConditionFailed:
            self._check_decks(decks)
            return list(group)
        if cards[0].uncounted_days:
            append_entries(learner_id=self.learner_id, card_id=cards[0].id, rows=[], now=self.now)
        self.report.imported += len(group)
        return []

    def _check_decks(self, decks: Iterable[str]) -> None:
        """Raises NoSuchDeck where a deck was deleted since the import began."""
        present = batch_get(*(Deck.key(self.learner_id, deck) for deck in decks)).values()
        if sum(isinstance(deck, Deck) and not deck.closing for deck in present) < len(set(decks)):
            raise NoSuchDeck("A deck was deleted meanwhile: send the file again")

    # Known notes

    def _update_known(
        self,
        note_id: str,
        source: Source,
        stored: Sequence[Item],
        study: StudyContext,
    ) -> None:
        head = next(item for item in stored if isinstance(item, Note))
        if head.type != source.type:
            message = Filled("You have this note as a {type} one.", type=head.type)
            self.report.add_error(RowError(source.row, "type", "type_changed", message))
            return
        origin = _origin(source)
        changes: dict[str, Any] = {}
        logs: dict[str, list[LogEntry]] = {}
        if (head.origin or {}).get("digest") != origin["digest"]:
            changes = _changes(head, source)
            logs = self._new_rows(source, stored, study)
        if not changes and not logs:
            self._count_known(head)
            return
        self.report.updated += 1
        if self.dry_run:
            return
        for card_id, rows in logs.items():
            append_entries(learner_id=self.learner_id, card_id=card_id, rows=rows, now=self.now)
        update_note(
            learner_id=self.learner_id,
            note_id=note_id,
            changes=changes | {"origin": origin},
            expected_version=None,
            now=self.now,
        )

    def _count_known(self, head: Note) -> None:
        """Counts a note about which the file has nothing new.

        A note that an earlier run of this import wrote, and died before counting, counts as usual.
        """
        if head.created_at == self.now:
            self.report.imported += 1
        elif head.updated_at == self.now:
            self.report.updated += 1
        else:
            self.report.skipped += 1

    def _new_rows(
        self, source: Source, stored: Sequence[Item], study: StudyContext
    ) -> dict[str, list[LogEntry]]:
        """The log rows of a file that ours lack, by card, each with its baseline."""
        cards = {int(item.ordinal): item for item in stored if isinstance(item, Card)}
        logs: dict[str, list[LogEntry]] = {}
        for state in source.cards:
            card = cards.get(state.ordinal)
            if card is None or not state.reviews:
                continue
            marks = marks_of(e.to_entry() for e in LogEntry.of_card(self.learner_id, card.id))
            rows = self._log(card, state, study)
            fresh = [row for row in rows[:-1] if not is_known(row.to_entry(), marks)]
            if fresh:
                logs[card.id] = [*fresh, rows[-1]]
        return logs


def fields_of(source: Source) -> dict[str, Any]:
    """A note's content in the fields of our notes and cards."""
    urls = {item.kind: item.name for item in reversed(source.media) if _is_url(item.name)}
    return {
        "front": _shown(source, "front") or media_text(source, "front"),
        "back": _shown(source, "back") or media_text(source, "back"),
        "phonetic": _shown(source, "phonetic") or None,
        "example": _shown(source, "example") or None,
        "notes": _shown(source, "notes") or None,
        "tags": list(source.tags),
        "audio_url": urls.get("audio"),
        "image_url": urls.get("image"),
        **(source.more or {}),
    }


def _shown(source: Source, field: str) -> str:
    """A field's text, followed by those of its media that it does not show yet."""
    text: str = getattr(source, field)
    shown = media_ids(text)
    ids = (item.id for item in source.media if item.field == field and item.id not in ("", *shown))
    return " ".join(filter(None, [text, *map(media_token, dict.fromkeys(ids))]))


def media_text(source: Source, side: str) -> str:
    """The text of a side that has none of its own: the names of its media."""
    return " ".join(f"[{item.name}]" for item in source.media if item.field == side)


def _is_url(name: str) -> bool:
    return name.startswith("https://") and len(name) <= 2048


def _faces(source: Source) -> list[Face]:
    fields = fields_of(source)
    if source.type == "basic":
        return [Face(0, fields["front"], fields["back"])]
    return faces(Note(type=source.type, front=fields["front"], back=fields["back"]))


def _size_error(source: Source) -> RowError | None:
    """The error of a note that is too large for ours; None if it fits."""
    if len(source.media) > MAX_MEDIA:
        return RowError(
            source.row, "media", "too_many", Filled("More than {most} media files.", most=MAX_MEDIA)
        )
    if source.type == "reversed" and len(source.back) > BACK_OF_REVERSED:
        message = Filled(
            "More than {most} characters, and it is a front as well.", most=BACK_OF_REVERSED
        )
        return RowError(source.row, "back", "too_long", message)
    return None


def content_digest(head: Note) -> str:
    """A digest of a note's content, by which a learner's change is recognised."""
    content = {n: v for n, v in head.own_values().items() if not n.startswith(("deck", "source"))}
    return digest(
        {name: value for name, value in content.items() if name in DIGESTED_FIELDS or value}
    )


def _origin(source: Source) -> dict[str, Any]:
    """The parts of a file's note that are kept beside its content."""
    whole = asdict(source)
    del whole["row"]
    for card in whole["cards"]:
        del card["due_on"]  # which the day's number says already
    fields = fields_of(source)
    instants = {
        name: at.isoformat()
        for name in ("created_at", "modified_at")
        if (at := getattr(source, name)) is not None
    }
    origin = {
        "guid": source.id,
        "media": [
            [item.kind, item.name[:2048], item.field, *([item.id] if item.id else [])]
            for item in source.media
        ],
        "urls": [url for name in ("audio_url", "image_url") if (url := fields[name])],
        "digest": digest(whole),
        "says": digest(fields),
        **instants,
    }
    return {name: value for name, value in origin.items() if value}


def _standing(state: CardState, entry: str) -> dict[str, Any]:
    """A card's state by the file, which is true as long as `entry` is its last."""
    kept = {
        "interval_days": state.interval_days or None,
        "ease_factor": state.ease_factor,
        "position": state.position,
        "desired_retention": state.desired_retention,
        "decay": state.decay,
        "original_position": state.original_position,
        "flag": state.flag or None,
        "custom_data": state.custom_data,
        "estimated": state.estimated or None,
        "untold": [name for name in UNTOLD if getattr(state, name) is None] or None,
    }
    return {"entry": entry} | {name: value for name, value in kept.items() if value is not None}


def _brings_media(origin: Mapping[str, Any], source: Source) -> bool:
    """Whether the same file comes again, and this time some of its media are kept."""
    kept = {item[3] for item in origin.get("media", []) if len(item) > 3}
    return any(item.id and item.id not in kept for item in source.media)


def _changes(head: Note, source: Source) -> dict[str, Any]:
    """The fields in which a file differs from a note, if the file was written later."""
    origin: dict[str, Any] = head.origin or {}
    before: datetime | None = head.updated_at
    if content_digest(head) == origin.get("says"):  # as it came from the file before
        told = origin.get("modified_at")
        before = datetime.fromisoformat(told) if told else None
        if source.modified_at == before and _brings_media(origin, source):
            before = None
    if source.modified_at is not None and before is not None and source.modified_at <= before:
        return {}
    return {
        name: value for name, value in fields_of(source).items() if value != getattr(head, name)
    }
