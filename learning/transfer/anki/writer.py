"""Notes to an Anki package of the second format (`collection.anki21`, schema 11).

Every Anki since 2.1 reads it with scheduling, and so do AnkiDroid and AnkiMobile. The ids that
Anki matches by are ours and never change (a note's `guid` is its id, the three note types are
fixed, decks are matched by name), so that a second import into Anki updates.
"""

import hashlib
import json
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from learning.cloze import cloze_ordinals
from learning.transfer.anki.schedule import Days
from learning.transfer.markup import html_of_text
from learning.transfer.model import CardState, Media, Note, Review

_META = b"\x08\x02"  # a protobuf message: version 2
_SCHEMA = """
CREATE TABLE col (id integer PRIMARY KEY, crt integer NOT NULL, mod integer NOT NULL,
  scm integer NOT NULL, ver integer NOT NULL, dty integer NOT NULL, usn integer NOT NULL,
  ls integer NOT NULL, conf text NOT NULL, models text NOT NULL, decks text NOT NULL,
  dconf text NOT NULL, tags text NOT NULL);
CREATE TABLE notes (id integer PRIMARY KEY, guid text NOT NULL, mid integer NOT NULL,
  mod integer NOT NULL, usn integer NOT NULL, tags text NOT NULL, flds text NOT NULL,
  sfld integer NOT NULL, csum integer NOT NULL, flags integer NOT NULL, data text NOT NULL);
CREATE TABLE cards (id integer PRIMARY KEY, nid integer NOT NULL, did integer NOT NULL,
  ord integer NOT NULL, mod integer NOT NULL, usn integer NOT NULL, type integer NOT NULL,
  queue integer NOT NULL, due integer NOT NULL, ivl integer NOT NULL, factor integer NOT NULL,
  reps integer NOT NULL, lapses integer NOT NULL, left integer NOT NULL, odue integer NOT NULL,
  odid integer NOT NULL, flags integer NOT NULL, data text NOT NULL);
CREATE TABLE revlog (id integer PRIMARY KEY, cid integer NOT NULL, usn integer NOT NULL,
  ease integer NOT NULL, ivl integer NOT NULL, lastIvl integer NOT NULL, factor integer NOT NULL,
  time integer NOT NULL, type integer NOT NULL);
CREATE TABLE graves (usn integer NOT NULL, oid integer NOT NULL, type integer NOT NULL);
CREATE INDEX ix_notes_usn ON notes (usn);
CREATE INDEX ix_cards_usn ON cards (usn);
CREATE INDEX ix_revlog_usn ON revlog (usn);
CREATE INDEX ix_cards_nid ON cards (nid);
CREATE INDEX ix_cards_sched ON cards (did, queue, due);
CREATE INDEX ix_revlog_cid ON revlog (cid);
CREATE INDEX ix_notes_csum ON notes (csum);
"""
_DAY_ZERO = datetime(2013, 1, 1, tzinfo=UTC)
_NOTE_TYPES = {"basic": 1767225600001, "reversed": 1767225600002, "cloze": 1767225600003}
_NOTE_TYPES_MOD = 1767225600
_DEFAULT_DECK = "Default"
_DEFAULT_EASE = 2500
_TYPES = {"new": 0, "learning": 1, "review": 2, "relearning": 3}
_PHASES = {"learning": 0, "review": 1, "relearning": 2, "early": 3}
_SIDES = ("phonetic", "example", "notes")


def write_apkg(
    notes: Iterable[Note],
    target: BinaryIO,
    *,
    exported_at: datetime,
    minutes_west: int = 0,
    day_starts_at_hour: int = 4,
    files_of: Callable[["PackedFiles"], Iterable[bytes | None]] = lambda _: (),
) -> None:
    """Write a package with decks, tags, schedule, log, and the media that `files_of` gives.

    It is asked once, for the bytes of all files in their order; None for one that is gone.

    Anki counts review intervals in whole days: a card is due on its `due_on`, else on the day of
    its `due_at`, which begins at `day_starts_at_hour` in the zone `minutes_west` of UTC. Notes are
    taken one at a time.
    """
    packed = PackedFiles()
    created_at = _DAY_ZERO + timedelta(hours=day_starts_at_hour, minutes=minutes_west)
    created_s = int(created_at.timestamp())
    days = Days.of(created_s, minutes_west, day_starts_at_hour)
    with tempfile.TemporaryDirectory(prefix="anki-") as folder:
        path = Path(folder, "collection.db")
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("PRAGMA journal_mode=OFF")  # nobody misses a file half written
            connection.execute("PRAGMA synchronous=OFF")
            connection.executescript(_SCHEMA)
            writer = _Writer(connection, days, exported_at)
            for note in notes:
                writer.add(packed.named(note))
            config = _config(minutes_west, day_starts_at_hour, writer.position)
            writer.finish(created_s, config)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("meta", _META)
            archive.write(path, "collection.anki21")
            names: dict[str, str] = {}
            for (_, name), data in zip(packed.files, files_of(packed), strict=False):
                if data is not None:
                    member = str(len(names))
                    names[member] = name
                    archive.writestr(member, data, zipfile.ZIP_STORED)
            archive.writestr("media", json.dumps(names, ensure_ascii=False))


class PackedFiles:
    """The media of a package, each under every name that notes have of it.

    `files` has id and name of each, in the order of the notes. Two media of one name, whatever its
    case, get two.
    """

    def __init__(self) -> None:
        self.files: list[tuple[str, str]] = []
        self._taken: dict[str, tuple[str, str]] = {}

    def named(self, note: Note) -> Note:
        """The note with the names that its media have in the package."""
        media = tuple(replace(m, name=self._name(m)) if m.id else m for m in note.media)
        return replace(note, media=media)

    def _name(self, item: Media) -> str:
        file = item.id, item.name
        if self._taken.get(item.name.casefold(), file)[0] != item.id:
            path = Path(item.name)
            file = item.id, f"{path.stem}-{item.id[:8]}{path.suffix}"
        name = file[1].casefold()
        if name not in self._taken:
            self._taken[name] = file
            self.files.append(file)
        return self._taken[name][1]


class _Ids:
    """Ids made of a time in milliseconds, moved on where one is taken.

    Many notes may share their time, so each taken id knows where to look next.
    """

    def __init__(self, latest: datetime) -> None:
        self._latest = _ms(latest)
        self._after: dict[int, int] = {}

    def at(self, moment: datetime) -> int:
        wanted = number = max(1, min(_ms(moment), self._latest))
        while number in self._after:
            number = self._after[number]
        self._after[wanted] = self._after[number] = number + 1
        return number


class _Writer:
    """Puts notes into a fresh collection; decks are collected on the way."""

    def __init__(self, connection: sqlite3.Connection, days: Days, exported_at: datetime) -> None:
        self._db = connection
        self._days = days
        self._now = exported_at
        self._now_s = int(exported_at.timestamp())
        self._decks: dict[str, tuple[int, str]] = {}
        self._note_ids, self._card_ids, self._log_ids = (_Ids(exported_at) for _ in range(3))
        self.position = 1
        self._deck(_DEFAULT_DECK)

    def add(self, note: Note) -> None:
        id_ = self._note_ids.at(note.created_at or self._now)
        modified_s = int((note.modified_at or self._now).timestamp())
        fields = list(_fields(note))
        checksum = int(hashlib.sha1(fields[0].encode(), usedforsecurity=False).hexdigest()[:8], 16)
        tags = "".join(f" {'_'.join(tag.split())}" for tag in note.tags)
        self._db.execute(
            "INSERT INTO notes VALUES (?, ?, ?, ?, -1, ?, ?, ?, ?, 0, '')",
            (
                id_, note.id or str(id_), _NOTE_TYPES[note.type], modified_s,
                f"{tags} " if tags else "", "\x1f".join(fields), note.front, checksum,
            ),
        )  # fmt: skip
        for card in note.cards or _new_cards(note):
            self._add_card(id_, card, self._deck(card.deck or note.deck), note)

    def _add_card(self, note_id: int, card: CardState, deck_id: int, note: Note) -> None:
        id_ = self._card_ids.at(note.created_at or self._now)
        due, queue = self._due(card)
        if card.suspended or card.buried:
            queue = -1 if card.suspended else -2
        learns = card.state in ("learning", "relearning")
        self._db.execute(
            "INSERT INTO cards VALUES (?, ?, ?, ?, ?, -1, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?)",
            (
                id_, note_id, deck_id, card.ordinal, self._now_s, _TYPES[card.state], queue, due,
                card.interval_days, _ease(card), card.reps, card.lapses, int(learns),
                card.flag, _data(card),
            ),
        )  # fmt: skip
        self._db.executemany(
            "INSERT INTO revlog VALUES (?, ?, -1, ?, ?, ?, ?, ?, ?)",
            ((self._log_ids.at(entry.at), id_, *_log(entry)) for entry in card.reviews),
        )

    def _due(self, card: CardState) -> tuple[int, int]:
        """The columns `due` and `queue`, as if the card were not set aside."""
        if card.state == "new":
            self.position = max(self.position, (card.position or 0) + 1)
            return card.position if card.position is not None else self.position, 0
        due_at = card.due_at or self._now
        day = self._days.number(card.due_on or self._days.day_of(due_at))
        if card.state == "review":
            return day, 2
        held = card.suspended or card.buried  # Anki counts no days of such cards on their way in
        if not held and (card.due_on or due_at == self._days.start(day)):
            return day, 3
        return int(due_at.timestamp()), 1

    def _deck(self, name: str) -> int:
        """The id of a deck, made with its parents on first sight; case tells no decks apart."""
        parts = [part.strip() or "_" for part in (name or _DEFAULT_DECK).split("::")]
        for depth in range(1, len(parts) + 1):
            path = "::".join(parts[:depth])
            key = path.casefold()
            if key not in self._decks:
                digest = hashlib.sha256(key.encode()).digest()
                id_ = 1 if path == _DEFAULT_DECK else 10**12 + int.from_bytes(digest[:5])
                self._decks[key] = (id_, path)
        return self._decks["::".join(parts).casefold()][0]

    def finish(self, created_s: int, config: dict[str, Any]) -> None:
        decks = {str(id_): _deck(id_, name, self._now_s) for id_, name in self._decks.values()}
        models = {str(model["id"]): model for model in _models()}
        self._db.execute(
            "INSERT INTO col VALUES (1, ?, ?, ?, 11, 0, 0, 0, ?, ?, ?, ?, '{}')",
            (
                created_s, self._now_s * 1000, self._now_s * 1000,
                *map(json.dumps, (config, models, decks, {"1": _DECK_OPTIONS})),
            ),
        )  # fmt: skip


def _ms(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _new_cards(note: Note) -> Iterator[CardState]:
    """The cards of a note that brings none: all of them, new."""
    plain = {"basic": (0,), "reversed": (0, 1), "cloze": cloze_ordinals(note.front)}
    return map(CardState, plain[note.type])


def _fields(note: Note) -> Iterator[str]:
    names = ("front", *_SIDES) if note.type == "cloze" else ("front", "back", *_SIDES)
    for name in names:
        shown = [item for item in note.media if item.field == name]
        yield html_of_text(getattr(note, name), shown)


def _ease(card: CardState) -> int:
    if card.ease_factor:
        return round(card.ease_factor * 1000)
    return _DEFAULT_EASE if card.state in ("review", "relearning") else 0


def _data(card: CardState) -> str:
    """The FSRS state of a card as JSON; an estimate is left to Anki, which makes the same one."""
    data: dict[str, Any] = {}
    if card.original_position is not None:
        data["pos"] = card.original_position
    if card.stability and card.difficulty and not card.estimated:
        data |= {"s": round(card.stability, 4), "d": round(card.difficulty, 3)}
        if card.desired_retention:
            data["dr"] = round(card.desired_retention, 2)
        if card.decay:
            data["decay"] = card.decay
    if card.custom_data:
        data["cd"] = card.custom_data
    if card.last_review_at:
        data["lrt"] = int(card.last_review_at.timestamp())
    return json.dumps(data, separators=(",", ":"))


def _log(entry: Review) -> tuple[int, ...]:
    """ease, ivl, lastIvl, factor, time and type of an entry."""
    factor = round((entry.ease_factor or 0) * 1000)
    kind = _PHASES[entry.phase]
    if entry.kind == "practice":
        kind, factor = 3, 0
    elif entry.kind == "reset":
        kind, factor = 4, 0
    elif entry.kind == "reschedule":
        kind, factor = 4, factor or _DEFAULT_EASE
    elif kind == _PHASES["early"]:
        factor = factor or _DEFAULT_EASE
    intervals = (
        _interval(entry.interval_s, days_in_s=entry.days_in_s),
        _interval(entry.previous_interval_s, days_in_s=entry.previous_days_in_s),
    )
    return entry.rating or 0, *intervals, factor, entry.duration_ms, kind


def _interval(seconds: int, *, days_in_s: bool) -> int:
    """Whole days as they are, all else as negative seconds while those fit Anki's 32 bits."""
    whole_days = seconds >= 2**31 or (seconds >= 86_400 and seconds % 86_400 == 0 and not days_in_s)
    return seconds // 86_400 if whole_days else -seconds


# --- definitions in Anki's JSON ----------------------------------------------------------------

_CSS = (
    ".card { font-family: sans-serif; font-size: 20px; text-align: center; }\n"
    ".phonetic, .example, .notes { font-size: 16px; margin-top: 12px; }\n"
    ".phonetic { color: gray; }\n.cloze { font-weight: bold; color: blue; }\n"
)
_DECK_OPTIONS = {
    "id": 1, "name": "Default", "mod": 0, "usn": 0, "maxTaken": 60, "autoplay": True, "timer": 0,
    "replayq": True, "dyn": False,
    "new": {
        "bury": False, "delays": [1.0, 10.0], "initialFactor": 2500, "ints": [1, 4, 0],
        "order": 1, "perDay": 20,
    },
    "rev": {
        "bury": False, "ease4": 1.3, "ivlFct": 1.0, "maxIvl": 36500, "perDay": 200,
        "hardFactor": 1.2,
    },
    "lapse": {"delays": [10.0], "leechAction": 1, "leechFails": 8, "minInt": 1, "mult": 0.0},
}  # fmt: skip


def _config(minutes_west: int, day_starts_at_hour: int, position: int) -> dict[str, Any]:
    return {
        "schedVer": 2, "sched2021": True, "creationOffset": minutes_west,
        "rollover": day_starts_at_hour, "curDeck": 1, "activeDecks": [1], "nextPos": position,
        "collapseTime": 1200, "timeLim": 0, "estTimes": True, "dueCounts": True, "newSpread": 0,
        "sortType": "noteFld", "sortBackwards": False, "addToCur": True, "dayLearnFirst": False,
        "curModel": _NOTE_TYPES["basic"],
    }  # fmt: skip


def _deck(id_: int, name: str, modified_s: int) -> dict[str, Any]:
    today = {key: [0, 0] for key in ("newToday", "revToday", "lrnToday", "timeToday")}
    return today | {
        "id": id_, "name": name, "mod": modified_s, "usn": -1, "collapsed": False,
        "browserCollapsed": False, "desc": "", "dyn": 0, "conf": 1, "extendNew": 0, "extendRev": 0,
    }  # fmt: skip


def _models() -> Iterator[dict[str, Any]]:
    sides = "".join(
        f'{{{{#{name}}}}}<div class="{name.lower()}">{{{{{name}}}}}</div>{{{{/{name}}}}}'
        for name in map(str.title, _SIDES)
    )
    rule = "<hr id=answer>"
    forward = ("Card 1", "{{Front}}", f"{{{{FrontSide}}}}{rule}{{{{Back}}}}{sides}")
    backward = ("Card 2", "{{Back}}", f"{{{{FrontSide}}}}{rule}{{{{Front}}}}{sides}")
    cloze = ("Cloze", "{{cloze:Text}}", f"{{{{cloze:Text}}}}{sides}")
    plain = ["Front", "Back"]
    yield _model("basic", 0, plain, [forward])
    yield _model("reversed", 0, plain, [forward, backward])
    yield _model("cloze", 1, ["Text"], [cloze])


def _model(
    name: str, kind: int, own: list[str], templates: list[tuple[str, str, str]]
) -> dict[str, Any]:
    names = [*own, *map(str.title, _SIDES)]
    return {
        "id": _NOTE_TYPES[name], "name": f"Parley {name}", "type": kind, "mod": _NOTE_TYPES_MOD,
        "usn": -1, "sortf": 0, "did": None, "css": _CSS, "latexPre": "", "latexPost": "",
        "req": [[i, "any", [i]] for i in range(len(templates))],
        "flds": [
            {"name": field, "ord": i, "sticky": False, "rtl": False, "font": "Arial", "size": 20}
            for i, field in enumerate(names)
        ],
        "tmpls": [
            {
                "name": title, "ord": i, "qfmt": question, "afmt": answer, "bqfmt": "",
                "bafmt": "", "did": None, "bfont": "", "bsize": 0,
            }
            for i, (title, question, answer) in enumerate(templates)
        ],
    }  # fmt: skip
