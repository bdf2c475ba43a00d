"""An Anki collection (SQLite) read as if its author meant harm.

The file is opened read-only, without its schema being trusted: no view, trigger, virtual table or
generated column may stand for a table, nothing but SELECT is authorized, and the work SQLite may
do is bounded (https://www.sqlite.org/security.html).
"""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.problems import Filled
from learning.transfer.anki import wire
from learning.transfer.anki.notetypes import NoteKind, Template
from learning.transfer.anki.schedule import CardRow, Days, ReviewRow
from learning.transfer.model import FileRefused, FileTooLarge, FileTooNew, FileUnsafe, Limits

_TABLES = ("col", "notes", "cards", "revlog")
_SCHEMAS = range(1, 19)  # `col.ver`; 11 was the last with JSON, 18 is the newest
_TABLED = 15
_VALUE_BYTES = 32 * 2**20
_STEPS, _STEP_ROUNDS = 100_000, 20_000  # at most two billion operations, some 20 s
_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}


@dataclass(frozen=True, slots=True)
class AnkiCard:
    """A row of `cards` with its log."""

    ordinal: int
    deck: str
    row: CardRow
    reviews: list[ReviewRow]


@dataclass(frozen=True, slots=True)
class AnkiNote:
    """A row of `notes` with its cards; `kind` is None if its note type is missing."""

    id: int
    guid: str
    kind_id: int
    modified_s: int
    tags: str
    values: list[str]
    cards: list[AnkiCard]


class Collection:
    """An open collection: what it defines, and its notes one by one."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        row = self._row("SELECT ver, crt, conf, models, decks FROM col")
        if (schema := as_int(row[0])) not in _SCHEMAS:
            raise FileTooNew("The collection was written by a newer Anki than we know.")
        tabled = schema >= _TABLED
        config = self._config() if tabled else _object(row[2])
        self.old_scheduler = as_int(config.get("schedVer", 1)) < 2
        self.days = Days.of(
            as_int(row[1]), self._minutes_west(config), as_int(config.get("rollover", 4))
        )
        self.kinds = self._tabled_kinds() if tabled else _kinds(_object(row[3]))
        self._decks = self._tabled_decks() if tabled else _decks(_object(row[4]))

    def _minutes_west(self, config: dict[str, Any]) -> int | None:
        """Where the days of the collection are counted: where it was made, if it tells.

        The second scheduler counted them where it was last opened, the first by the hour of `crt`.
        """
        names = ("creationOffset",) if self.old_scheduler else ("creationOffset", "localOffset")
        told = (as_int(config[name]) for name in names if config.get(name) is not None)
        return next(told, None)

    def count(self, table: str) -> int:
        """The rows of one of the four tables."""
        return as_int(self._row(f"SELECT count(*) FROM {_TABLES[_TABLES.index(table)]}")[0])  # noqa: S608

    def notes(self) -> Iterator[AnkiNote]:
        """Every note by id, with its cards and their logs; three cursors are read side by side."""
        cards = _Groups(
            self._db.execute(
                "SELECT nid, id, ord, did, type, queue, due, ivl, factor, reps, lapses, odue, odid,"
                " flags, data FROM cards ORDER BY nid, ord, id"
            )
        )
        logs = _Groups(
            self._db.execute(
                "SELECT c.nid, r.cid, r.id, r.ease, r.ivl, r.lastIvl, r.factor, r.time, r.type"
                " FROM revlog r JOIN cards c ON c.id = r.cid ORDER BY c.nid, r.cid, r.id"
            )
        )
        query = "SELECT id, guid, mid, mod, tags, flds FROM notes ORDER BY id"
        for row in self._db.execute(query):
            log: dict[int, list[ReviewRow]] = {}
            for _, card, *columns in logs.of(as_int(row[0])):
                log.setdefault(as_int(card), []).append(ReviewRow._make(map(as_int, columns)))
            yield AnkiNote(
                id=as_int(row[0]),
                guid=as_text(row[1]) or str(as_int(row[0])),
                kind_id=as_int(row[2]),
                modified_s=as_int(row[3]),
                tags=as_text(row[4]),
                values=as_text(row[5]).split("\x1f"),
                cards=[self._card(columns, log) for columns in cards.of(as_int(row[0]))],
            )

    def _card(self, row: tuple[Any, ...], log: dict[int, list[ReviewRow]]) -> AnkiCard:
        _, card, ordinal, deck, *columns, data = row
        numbers = CardRow._make([*map(as_int, columns), as_text(data)])
        name = self._decks.get(numbers.odid) or self._decks.get(as_int(deck), "")
        return AnkiCard(as_int(ordinal), name, numbers, log.get(as_int(card), []))

    def _row(self, query: str) -> tuple[Any, ...]:
        row = self._db.execute(query).fetchone()
        if row is None:
            raise FileRefused("The collection is empty.")
        return tuple(row)

    def _config(self) -> dict[str, Any]:
        rows = self._db.execute("SELECT key, val FROM config")
        wanted = ("schedVer", "creationOffset", "localOffset", "rollover")
        return {key: _json(value) for key, value in rows if key in wanted}

    def _tabled_decks(self) -> dict[int, str]:
        rows = self._db.execute("SELECT id, name FROM decks")
        return {as_int(id_): as_text(name).replace("\x1f", "::") for id_, name in rows}

    def _tabled_kinds(self) -> dict[int, NoteKind]:
        fields: dict[int, list[str]] = {}
        for kind, name in self._db.execute("SELECT ntid, name FROM fields ORDER BY ntid, ord"):
            fields.setdefault(as_int(kind), []).append(as_text(name))
        templates: dict[int, list[Template]] = {}
        for kind, data in self._db.execute("SELECT ntid, config FROM templates ORDER BY ntid, ord"):
            config = wire.fields(_bytes(data))
            template = Template(wire.text(config, 1), wire.text(config, 2))
            templates.setdefault(as_int(kind), []).append(template)
        kinds = {}
        for id_, name, data in self._db.execute("SELECT id, name, config FROM notetypes"):
            config = wire.fields(_bytes(data))
            kinds[as_int(id_)] = NoteKind(
                name=as_text(name),
                cloze=wire.number(config, 1) == 1,
                fields=tuple(fields.get(as_int(id_), ())),
                templates=tuple(templates.get(as_int(id_), ())),
                stock_kind=wire.number(config, 9),
            )
        return kinds


@contextmanager
def open_collection(path: Path, limits: Limits) -> Iterator[Collection]:
    """The collection of a SQLite file, checked.

    Raises FileRefused (damaged), FileUnsafe, FileTooNew and FileTooLarge; a database that turns
    out to be damaged inside the block is refused as well.
    """
    try:
        with closing(_connect(path)) as connection:
            _check_schema(connection)
            for table in _TABLES:
                [result] = connection.execute(f"PRAGMA quick_check({table})").fetchone()
                if result != "ok":
                    raise FileRefused("The collection is damaged.")
            connection.set_authorizer(
                lambda action, *_: sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY
            )
            collection = _defined(connection)
            if collection.count("notes") > limits.notes:
                raise FileTooLarge(
                    Filled("A file may have {most} notes at most.", most=limits.notes)
                )
            if collection.count("revlog") > limits.reviews:
                raise FileTooLarge(
                    Filled("A file may have {most} reviews at most.", most=limits.reviews)
                )
            yield collection
    except (sqlite3.Error, UnicodeDecodeError):  # the latter for names in SQLite's own messages
        raise FileRefused("The collection is damaged.") from None


def _defined(connection: sqlite3.Connection) -> Collection:
    try:
        return Collection(connection)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise FileRefused("The collection's note types or decks are damaged.") from None


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.set_progress_handler(_bounded(), _STEPS)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    connection.create_collation("unicase", _compare)
    for pragma in ("trusted_schema=OFF", "query_only=ON", "cell_size_check=ON", "mmap_size=0"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _bounded() -> Callable[[], int]:
    rounds = 0

    def stop() -> int:
        nonlocal rounds
        rounds += 1
        return rounds > _STEP_ROUNDS

    return stop


def _compare(left: str, right: str) -> int:
    """Anki's collation: without regard to case."""
    folded = left.casefold(), right.casefold()
    return (folded[0] > folded[1]) - (folded[0] < folded[1])


def _check_schema(connection: sqlite3.Connection) -> None:
    tables = set()
    for kind, name, sql in connection.execute(
        "SELECT type, name, sql FROM sqlite_master LIMIT 500"
    ):
        virtual = re.match(r"\s*create\s+virtual", as_text(sql), re.IGNORECASE)
        if kind not in ("table", "index") or virtual:
            raise FileUnsafe("The collection holds views, triggers or virtual tables.")
        if kind == "table":
            tables.add(name)
    if missing := set(_TABLES) - tables:
        raise FileRefused(Filled("The collection has no table {name}.", name=min(missing)))
    for table in _TABLES:
        if any(column[-1] for column in connection.execute(f"PRAGMA table_xinfo({table})")):
            raise FileUnsafe("The collection holds computed columns.")


class _Groups:
    """Rows sorted by their first column, handed out group by group in ascending order."""

    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def of(self, key: int) -> Iterator[tuple[Any, ...]]:
        """The rows of one group; those of lower keys, which have no note, are passed over."""
        while self._next is not None and (key_ := as_int(self._next[0])) <= key:
            row, self._next = self._next, next(self._rows, None)
            if key_ == key:
                yield row


def _kinds(models: dict[str, Any]) -> dict[int, NoteKind]:
    return {
        int(id_): NoteKind(
            name=as_text(model.get("name")),
            cloze=model.get("type") == 1,
            fields=tuple(as_text(field["name"]) for field in _ordered(model["flds"])),
            templates=tuple(
                Template(as_text(item["qfmt"]), as_text(item["afmt"]))
                for item in _ordered(model["tmpls"])
            ),
            stock_kind=as_int(model.get("originalStockKind")),
        )
        for id_, model in models.items()
    }


def _ordered(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(items, key=lambda item: as_int(item.get("ord")))


def _decks(decks: dict[str, Any]) -> dict[int, str]:
    return {int(id_): as_text(deck["name"]) for id_, deck in decks.items()}


def _json(data: Any) -> Any:
    return json.loads(data if isinstance(data, str | bytes) else "null")


def _object(data: Any) -> dict[str, Any]:
    value = _json(data)
    if not isinstance(value, dict):
        raise FileRefused("The collection is damaged.")
    return value


def _bytes(data: Any) -> bytes:
    return data if isinstance(data, bytes) else b""


def as_int(value: Any) -> int:
    """The whole number that a loosely typed value of SQLite or JSON holds, else 0."""
    if isinstance(value, int | float) and abs(value) < 2**63:
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value, re.ASCII):
        return int(value)
    return 0


def as_text(value: Any) -> str:
    """The text of a value, '' if it has none."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, str | int | float) else ""
