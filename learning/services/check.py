"""Checks everything that follows from a learner's things, and puts it right.

Notes, decks, settings and the lines of the log are the truth, since a learner has written or
studied them. All else is worked out from them anew: schedules of cards, counters of days, totals
and streak, keys of indexes, and the order of changes that devices follow. A line of the log that
only a journal still has is put back. A change that is lost leaves a bare number behind, so that no
number is missing.
"""

import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import date, datetime, timedelta
from typing import Any

from accounts.models import Head, Journal, Synced, learner_key
from accounts.models.head import JOURNAL_DAYS, TOTALS
from accounts.services.changes import commit
from config.records import dataclass
from config.store.connection import (
    WITHIN_S,
    chunks,
    delete_keys,
    pause_between,
    read_raws,
    retried,
    retrying,
)
from config.store.items import UNREADABLE, ConditionFailed, Item, Raw, batch_put, raw_partition_page
from config.store.transactions import Delete, Put, Write, attempt
from learning.cloze import ClozeError
from learning.days import streak_until
from learning.models.base import Tombstone
from learning.models.cards import Card, Deck, Note
from learning.models.log import Day, LogEntry, TornRead
from learning.models.practice import Session, Turn
from learning.models.scheduler import Scheduler
from learning.scheduling import Settings, leech_level
from learning.services.cards import new_card, own_options
from learning.services.changes import is_entry
from learning.services.progress import DayCounts, add_days
from learning.services.review import fold_log, has_early_void, last_answer

FORMAT = 1  # of all kinds of item
LOOKS = 2
ROUNDS = 4  # of repairing and looking again
AT_ONCE = 60  # writes beside the head and its journal
CHANGES_A_ROW = 200  # of a journal that fills a gap
# Kinds that can be made anew if they cannot be read.
DERIVED = (Card.PREFIX, Day.PREFIX, Journal.PREFIX, Head.SK)
INDEX_KEYS = ("lsi1", "lsi2", "lsi3", "lsi4", "lsi5", "gsi1pk", "gsi1sk")
# The attributes of a card that follow from its log, its note and its other attributes.
BY_LOG = (
    *("state", "step", "stability", "difficulty", "due_at", "last_review_at", "reps", "lapses"),
    *("introduced_at", "entries", "last_entry", "early_void"),
)
OF_CARD = (
    *BY_LOG,
    *("deck_id", "counted_in_totals", "leech", "suspended_by", "lsi1", "lsi2", "lsi3"),
)


@dataclass(frozen=True)
class Fault:
    """Something that is wrong. Only a backup can put a `lasting` fault right."""

    sk: str
    what: str
    lasting: bool = False

    def __str__(self) -> str:
        return f"{self.sk}: {self.what}"


def check(*, learner_id: str, now: datetime) -> list[Fault]:
    """The faults in a learner's things; nothing is written.

    Reads the whole partition. Raises ServiceUnavailable if it keeps changing.
    """
    return _inspect(learner_id, now).faults


def repair(
    *, learner_id: str, now: datetime, new_line: bool = False
) -> tuple[list[Fault], list[Fault]]:
    """Mends a learner's data. Returns the faults found, and those that are left.

    If anything is written, and with `new_line` in any case, the order of changes begins a new line,
    and devices are told to begin anew. Raises ServiceUnavailable.
    """
    faults = _repair_once(learner_id, now, new_line)
    left = faults
    for _ in range(ROUNDS):
        if all(fault.lasting for fault in left):
            break
        left = _repair_once(learner_id, now, new_line=False)
    return faults, left


@retried(ConditionFailed)
def _repair_once(learner_id: str, now: datetime, new_line: bool) -> list[Fault]:
    inspection = _inspect(learner_id, now)
    if new_line or not all(fault.lasting for fault in inspection.faults):
        inspection.put_right()
    return inspection.faults


def _inspect(learner_id: str, now: datetime) -> "_Inspection":
    """Looks until a fault was seen `LOOKS` times: a transaction may just be half applied."""
    looks = [0]

    def look() -> _Inspection:
        inspection = _look(learner_id, now)
        looks[0] += bool(inspection.faults)
        if inspection.faults and looks[0] < LOOKS:
            raise TornRead
        return inspection

    return retrying(look, after=TornRead)


def _look(learner_id: str, now: datetime) -> "_Inspection":
    before = _mark(learner_id)
    raws: list[Raw] = []
    start: Raw | None = None
    while True:
        page = raw_partition_page(learner_key(learner_id), start=start)
        raws += page.items
        if not (start := page.next_key):
            break
    if _mark(learner_id) != before:
        raise TornRead
    inspection = _Inspection(learner_id, now)
    inspection.read(raws)
    inspection.look()
    return inspection


def _mark(learner_id: str) -> list[Any]:
    """A mark that every change of the learner's things changes."""
    return [(raw.get("n"), raw.get("line")) for raw in read_raws([Head.key(learner_id)])]


@dataclass
class _Inspection:
    """A learner's whole partition, its faults, and the writes that put them right."""

    learner_id: str
    now: datetime
    items: dict[str, Item] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    truth_lost: set[str] = field(default_factory=set)
    countable: bool = True
    too_new: bool = False
    faults: list[Fault] = field(default_factory=list)
    puts: dict[str, Item] = field(default_factory=dict)
    drops: dict[str, Item] = field(default_factory=dict)
    journals: dict[str, Journal] = field(default_factory=dict)
    lost_journals: list[str] = field(default_factory=list)
    known: dict[int, list[Any]] = field(default_factory=dict)
    days: DayCounts = field(default_factory=dict)
    perhaps: DayCounts = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)

    def read(self, raws: Iterable[Raw]) -> None:
        """Takes in the stored items. Expired ones count as gone, whether removed or not."""
        for raw in raws:
            sk = raw["sk"]["S"]
            try:
                item = _readable(raw)
            except UNREADABLE:
                self._cannot_be_read(sk, newer=int(raw.get("v", {}).get("N", 1)) > FORMAT)
                continue
            if not item.expires_at or item.expires_at >= self.now.timestamp():
                self.items[sk] = item
        stored = self.items.get(Head.SK)
        self.head = stored if isinstance(stored, Head) else Head(*Head.key(self.learner_id))
        self.unchanged = self.head.unchanged()

    def _cannot_be_read(self, sk: str, *, newer: bool) -> None:
        derived = sk.startswith(DERIVED) and not newer
        if derived:
            self.unreadable.append(sk)
        else:
            self.truth_lost.add(sk)
        self.too_new |= newer
        what = "was stored by a later release" if newer else "cannot be read"
        self._fault(sk, what, lasting=not derived)

    def look(self) -> None:
        """Compares everything with its sources, if this release can read all of those."""
        if self.too_new:
            return
        self._order()
        self._told_entries()
        self._cards()
        self._days()
        self._head()
        self._numbers()
        self._others()

    def _fault(self, sk: str, what: str, *, lasting: bool = False) -> None:
        self.faults.append(Fault(sk, what, lasting))

    def _of(self, kind: type[Any]) -> list[Any]:
        return [item for item in self.items.values() if isinstance(item, kind)]

    # The order of changes

    def _order(self) -> None:
        """Checks that numbers follow one another, from the oldest journal to the head."""
        journals = sorted(self._of(Journal), key=lambda journal: journal.first)
        sound: list[Journal] = []
        place = journals[0].first if journals else int(self.head.first)
        for journal in journals:
            numbers = self._take_known(journal.changes)
            if numbers != [*range(journal.first, int(journal.last) + 1)] or not numbers:
                self._fault(journal.sk, "does not hold the numbers from its first to its last")
            elif journal.first < place:
                self._fault(journal.sk, f"holds numbers before {place} a second time")
            else:
                if journal.first > place:
                    self._missing(journal.sk, place, journal.first - 1)
                sound.append(journal)
                place = int(journal.last) + 1
        self.journals = {journal.sk: journal for journal in sound}
        numbers = self._take_known(self.head.changes)
        newest = int(self.head.n)
        if numbers != [*range(place, newest + 1)] or int(self.head.first) != place:
            self._fault(Head.SK, f"its changes are not those from {place} to {newest}")
        highest = max((int(item.n or 0) for item in self._of(Synced)), default=0)
        if highest > newest:
            self._fault(Head.SK, f"its number is {newest}, and there is a change {highest}")
        if self.faults and any(f.sk.startswith((Journal.PREFIX, Head.SK)) for f in self.faults):
            top = max([newest, highest, *self.known])
            self._close_gaps(journals, sound, top)

    def _take_known(self, changes: Any) -> list[int]:
        numbered = [c for c in changes if isinstance(c, list) and c and isinstance(c[0], int)]
        for change in numbered:
            self.known.setdefault(change[0], change)
        return [change[0] for change in numbered]

    def _missing(self, sk: str, first: int, last: int) -> None:
        self._fault(sk, f"the numbers {first} to {last} before it are missing")

    def _close_gaps(self, journals: Sequence[Journal], sound: Sequence[Journal], top: int) -> None:
        """Makes journals hold every number up to the newest, and the head begin behind them."""
        starts = [journal.first for journal in journals] + [min(self.known, default=top + 1)]
        place = min(starts)
        for journal in [*sound, None]:
            end = journal.first - 1 if journal else top
            for first in range(place, end + 1, CHANGES_A_ROW):
                last = min(first + CHANGES_A_ROW - 1, end)
                self._fill(first, last)
            place = int(journal.last) + 1 if journal else top
        kept = {journal.sk for journal in sound}
        self.lost_journals = [j.sk for j in journals if j.sk not in {*kept, *self.puts}]
        self.head.n, self.head.first, self.head.changes = top, top + 1, []

    def _fill(self, first: int, last: int) -> None:
        journal = Journal(
            learner_key(self.learner_id),
            f"{Journal.PREFIX}{first:012}",
            last=last,
            changes=[self.known.get(number, [number]) for number in range(first, last + 1)],
            expires_at=int((self.now + timedelta(days=JOURNAL_DAYS)).timestamp()),
        )
        self.puts[journal.sk] = self.journals[journal.sk] = journal

    def _told_entries(self) -> None:
        """Checks that a line of the log that devices were told stands in the log as told."""
        for number, change in sorted(self.known.items()):
            if len(change) < 3 or not is_entry(change):
                continue
            sk, row = change[1], self.items.get(change[1])
            if not isinstance(row, LogEntry):
                what = "cannot be read" if sk in self.truth_lost else "is not in the log"
                self._fault(sk, f"{what}, and change {number} tells of it")
                row = LogEntry.as_told(self.learner_id, sk, change[2])
                card = self.items.get(f"{Card.PREFIX}{row.card_id}")
                row.deck_id = card.deck_id if isinstance(card, Card) else ""
                self.items[sk] = self.puts[sk] = row
                if sk in self.truth_lost:
                    self.truth_lost.remove(sk)
                    self.unreadable.append(sk)
                    self.faults = [f for f in self.faults if not (f.sk == sk and f.lasting)]
            elif row.told() != change[2]:
                self._fault(sk, f"is not what change {number} tells of it")
                change[2] = row.told()
                self._rewrite(number)

    def _rewrite(self, number: int) -> None:
        for sk, journal in self.journals.items():
            if journal.first <= number <= int(journal.last):
                self.puts[sk] = journal

    # Cards and their days

    def _cards(self) -> None:
        self.schedulers = {0: Scheduler(*Scheduler.key(self.learner_id))}
        self.schedulers |= {int(stored.number): stored for stored in self._of(Scheduler)}
        settings = {number: scheduler.settings() for number, scheduler in self.schedulers.items()}
        self.versions = {0: Settings(), **settings}
        self.rows: dict[str, list[LogEntry]] = {}
        for row in sorted(self._of(LogEntry), key=LogEntry.sort_key):
            self.rows.setdefault(row.card_id, []).append(row)
        wanted: dict[str, Note] = {}
        for note in self._of(Note):
            if not isinstance(self.items.get(f"{Deck.PREFIX}{note.deck_id}"), Deck):
                self._fault(note.sk, f"its deck {note.deck_id} is not there", lasting=True)
            try:
                wanted |= {note.card_id(face.ordinal): note for face in note.faces()}
            except ClozeError as error:
                self._fault(note.sk, f"its text makes no cards: {error}", lasting=True)
                self.truth_lost.add(note.sk)
        for card in self._of(Card):
            if f"{Note.PREFIX}{card.note_id}" in self.truth_lost:
                self.totals.update(card.counted_in_totals.split())
                self._fold(card, self.rows.pop(card.id, []))
            elif card.id not in wanted:
                self._drop_card(card)
        for card_id, note in wanted.items():
            self._card(card_id, note)
        for card_id, rows in self.rows.items():
            if card_id not in wanted:
                self._count_without_card(card_id, rows)

    def _drop_card(self, card: Card) -> None:
        self._fault(card.sk, "no note makes it")
        self.items[card.sk] = self.puts[card.sk] = Tombstone.of(card, self.now)

    def _card(self, card_id: str, note: Note) -> None:
        stored = self.items.get(f"{Card.PREFIX}{card_id}")
        rows = self.rows.get(card_id, [])
        if isinstance(stored, Card):
            card = Card.from_raw(stored.raw)
            card.follow(note)
        else:
            self._fault(f"{Card.PREFIX}{card_id}", "is not there, and its note is")
            ordinal = int(card_id.partition(".")[2] or 0)
            card = new_card(note, ordinal, self.now, due_at=note.created_at)
        self._fold(card, rows)
        self._mark_leech(card, rows)
        card.counted_in_totals = card.totals
        self.totals.update(card.totals.split())
        add_days(self.days, _stored_days(card), times=-1)
        if isinstance(stored, Card):
            if not (differs := _differences(stored, card, OF_CARD)):
                return
            self._fault(card.sk, differs)
        card.updated_at = self.now
        card.set_index_keys()
        self.puts[card.sk] = card

    def _fold(self, card: Card, rows: Sequence[LogEntry]) -> None:
        """Puts a card where its log leads, and counts it."""
        if unknown := {int(row.settings_version or 0) for row in rows} - self.versions.keys():
            self._fault(card.sk, f"the settings {min(unknown)} of its log are gone", lasting=True)
            self.countable = False
            return
        memory, gained = fold_log(card=card, rows=rows, settings=self.versions)
        card.set_memory(memory)
        card.entries = len(rows)
        card.last_entry = rows[-1].sort_key() if rows else ""
        card.early_void = has_early_void(rows) or None
        add_days(self.days, gained)

    def _mark_leech(self, card: Card, rows: Sequence[LogEntry]) -> None:
        """Makes a card a leech or not, and suspends it or not, if it was answered here."""
        answer = last_answer(rows)
        scheduler = self.schedulers.get(int(answer.settings_version)) if answer else None
        if scheduler is not None:
            level = leech_level(int(card.lapses), int(scheduler.leech_threshold))
            card.mark_leech(level, suspend=scheduler.leech_action == "suspend")

    def _count_without_card(self, card_id: str, rows: Sequence[LogEntry]) -> None:
        """Counts the log of a deleted card.

        If not even a tombstone is left, its days may have counted it or not: an import that was cut
        off leaves such lines.
        """
        if {int(row.settings_version or 0) for row in rows} - self.versions.keys():
            self.countable = False
            return
        card = Card(*Card.key(self.learner_id, card_id), created_at=rows[0].at)
        _, gained = fold_log(card=card, rows=rows, settings=self.versions)
        tombstone = self.items.get(card.sk)
        if not isinstance(tombstone, Tombstone):
            add_days(self.perhaps, gained)
            return
        add_days(self.days, gained)

    def _days(self) -> None:
        """Checks that the counters of days are those of the log; the newest day is in the head."""
        rows: dict[date, Day] = {day.on: day for day in self._of(Day)}
        stored = {on: _counts(day) for on, day in rows.items()}
        held = date.fromisoformat(self.head.day) if self.head.day else date.min
        if self.head.day:
            stored[held] = Counter(self.head.counts)
        self.countable &= not any(sk.startswith(LogEntry.PREFIX) for sk in self.truth_lost)
        final = {
            on: self._counted(stored.get(on, Counter()), on) if self.countable else stored[on]
            for on in {*stored, *(self.days if self.countable else ()), *self.perhaps}
            if self.countable or on in stored
        }
        self.final = {on: counts for on, counts in final.items() if counts}
        newest = max([held, *self.final])
        for on in sorted({*rows, *self.final} - {newest}):
            self._past_day(on, rows.get(on), stored.get(on, Counter()))
        if newest in rows:
            self._fault(rows[newest].sk, "is the head's day: this row is one too many")
            self.drops[rows[newest].sk] = rows[newest]
        if newest == date.min:
            return
        counts = dict(self.final.get(newest, {}))
        if newest != held or counts != _present(self.head.counts):
            before = self.head.counts if newest == held else {}
            self._fault(Head.SK, f"day {newest}: {_unequal(before, counts)}")
            self.head.day, self.head.counts = newest.isoformat(), counts

    def _counted(self, stored: Mapping[str, int], on: date) -> Counter[str]:
        """The right counters of a day: the stored ones, within the bounds of the log."""
        sure, more = self.days.get(on, Counter()), self.perhaps.get(on, Counter())
        counts = {
            name: min(max(stored.get(name, 0), sure[name]), sure[name] + more[name])
            for name in {*stored, *sure, *more}
        }
        return Counter(_present(counts))

    def _past_day(self, on: date, row: Day | None, stored: Mapping[str, int]) -> None:
        wanted = self.final.get(on, Counter())
        if _present(stored) == dict(wanted) and (row is not None or not wanted):
            return
        day = Day.holding(self.learner_id, on, wanted)
        self._fault(day.sk, _unequal(stored, wanted))
        if wanted:
            self.puts[day.sk] = day
        elif row is not None:
            self.drops[day.sk] = row

    def _head(self) -> None:
        """Checks that the totals are those of the cards, and the streak that of the days."""
        studied = {on for on, counts in self.final.items() if counts["reviews"] > 0}
        streak = streak_until(max(studied), studied) if studied else None
        scheduler = self.items.get(Scheduler.SK)
        wanted: dict[str, Any] = {name: self.totals[name] for name in TOTALS}
        wanted["cards_learned"] = sum(counts["introduced"] for counts in self.final.values())
        wanted["days_studied"] = len(studied)
        wanted["streak_days"] = streak.days if streak else 0
        wanted["studied_on"] = max(studied).isoformat() if studied else ""
        if isinstance(scheduler, Scheduler):
            wanted["day_starts_at_hour"] = int(scheduler.day_starts_at_hour)
        stored = {name: getattr(self.head, name) for name in wanted}
        if stored != wanted:
            self._fault(Head.SK, _unequal(stored, wanted))
        for name, value in wanted.items():
            setattr(self.head, name, value)

    # What devices follow, and all else

    def _numbers(self) -> None:
        """Checks that every thing that was told of is there, with the number of its last change."""
        last: dict[str, list[Any]] = {}
        for _, change in sorted(self.known.items()):
            if len(change) > 3:
                last[f"{Card.PREFIX}{change[1].split('#')[1]}"] = [change[0], "", {}]
            elif len(change) > 1 and not change[1].startswith(LogEntry.PREFIX):
                last[change[1]] = change
        for sk, change in last.items():
            item, deleted = self.items.get(sk), change[2:] == [1]
            if sk in self.puts or sk in self.truth_lost:
                continue
            if item is None:
                self._fault(sk, f"is not there, and change {change[0]} tells of it")
                self.puts[sk] = self._tombstone(sk)
            elif isinstance(item, Synced) and deleted and not item.is_gone:
                self._fault(sk, f"is there, and change {change[0]} tells that it is gone")
                self.puts.setdefault(sk, item)
            elif isinstance(item, Synced) and int(item.n or 0) < change[0]:
                self._fault(sk, f"its number is {item.n}, that of its last change {change[0]}")
                self.puts.setdefault(sk, item)

    def _tombstone(self, sk: str) -> Tombstone:
        return Tombstone.of(Tombstone(learner_key(self.learner_id), sk), self.now)

    def _others(self) -> None:
        for item in self.items.values():
            if not isinstance(item, Card):
                self._index_keys(item)
        for tombstone in self._of(Tombstone):
            if not tombstone.expires_at:
                self._fault(tombstone.sk, "stays for ever")
                self.puts[tombstone.sk] = tombstone
                tombstone.expires_at = self._tombstone(tombstone.sk).expires_at
            rows = len(self.rows.get(tombstone.sk.removeprefix(Card.PREFIX), []))
            if (tombstone.entries or 0) > rows:
                self._fault(tombstone.sk, f"knows of {tombstone.entries} lines of {rows}")
                self.puts[tombstone.sk] = tombstone
                tombstone.entries = rows
        self._deck_options()
        turns = Counter(turn.sk.split("#")[1] for turn in self._of(Turn))
        for session in self._of(Session):
            if turns[session.id] < session.turn_count:
                what = f"has {turns[session.id]} turns of {session.turn_count}"
                self._fault(session.sk, what, lasting=True)

    def _index_keys(self, item: Item) -> None:
        before = {name: getattr(item, name) for name in INDEX_KEYS}
        item.set_index_keys()
        after = {name: getattr(item, name) for name in INDEX_KEYS}
        if before != after:
            self._fault(item.sk, _unequal(before, after))
            self.puts.setdefault(item.sk, item)

    def _deck_options(self) -> None:
        """Checks that the settings know which decks have limits of their own."""
        decks = [deck for deck in self._of(Deck) if not deck.closing]
        wanted = {deck.id: own for deck in decks if (own := own_options(deck))}
        stored = self.items.get(Scheduler.SK)
        scheduler = stored if isinstance(stored, Scheduler) else None
        closing = {deck.id for deck in self._of(Deck) if deck.closing}
        known = scheduler.decks if scheduler else {}
        if wanted == {key: value for key, value in known.items() if key not in closing}:
            return
        self._fault(Scheduler.SK, "what it knows of decks' own limits is not what they have")
        scheduler = scheduler or Scheduler(*Scheduler.key(self.learner_id))
        scheduler.decks = wanted
        self.puts[Scheduler.SK] = scheduler

    # Writing

    def put_right(self) -> None:
        """Writes the corrections, under the head that was read, as the beginning of a new line.

        Journals go first, since their numbers keep their meaning. Raises ConditionFailed.
        """
        pk = learner_key(self.learner_id)
        gone = [(pk, sk) for sk in (*self.unreadable, *self.lost_journals)]
        if not self.head.raw and not (self.puts or self.drops or gone):
            return  # nobody has written anything yet
        journals = [item for item in self.puts.values() if isinstance(item, Journal)]
        delete_keys(gone, until=time.monotonic() + WITHIN_S)
        batch_put(journals)
        if Head.SK in self.unreadable:
            self.unchanged = Head.pk.does_not_exist()
        self.head.line = secrets.token_hex(4)
        attempt(Put(self.head, self.unchanged))
        self.head.raw = self.head.serialize()
        writes: list[Write] = [
            _write(item) for item in self.puts.values() if not isinstance(item, Journal)
        ]
        writes += map(Delete, self.drops.values())
        for chunk in chunks(writes, AT_ONCE):
            commit(self.head, *chunk)
            pause_between()


def _readable(raw: Raw) -> Item:
    """The item of a stored form; it has to be complete, since all else is worked out from it."""
    item = Item.from_raw(raw)
    needed = [name for name, kept in item.get_attributes().items() if not kept.null]
    if any(getattr(item, name) is None for name in needed):
        raise ValueError
    if isinstance(item, Card) and not (item.due_at and item.updated_at and item.created_at):
        raise ValueError
    if isinstance(item, LogEntry):
        item.to_entry()
    if isinstance(item, Day):
        _counts(item)
    return item


def _write(item: Item) -> Write:
    """The write of an item; an item that a sweeper may hold has a write of its own."""
    own = getattr(item, "write", None)
    write: Write = own() if own else Put(item)
    return write


def _stored_days(card: Card) -> DayCounts:
    """The counts that days are still to gain by a card."""
    owed: Mapping[str, Mapping[str, int]] = card.uncounted_days or {}
    return {date.fromisoformat(on): Counter(counts) for on, counts in owed.items()}


def _counts(day: Day) -> Counter[str]:
    counters = day.raw.keys() - Day.TECHNICAL
    return Counter({name: int(day.raw[name]["N"]) for name in counters})


def _present(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _differences(stored: Card, wanted: Card, names: Iterable[str]) -> str:
    return _unequal(
        {name: getattr(stored, name) for name in names},
        {name: getattr(wanted, name) for name in names},
    )


def _unequal(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The differences in words, each like `reps is 3, must be 4`."""
    names = [name for name in {**stored, **wanted} if stored.get(name) != wanted.get(name)]
    pairs = ((n, _said(n, stored.get(n)), _said(n, wanted.get(n))) for n in names)
    return ", ".join(f"{name} is {before}, must be {after}" for name, before, after in pairs)


def _said(name: str, value: Any) -> str:
    if value is None:
        return "nothing"
    if name == "lsi3":  # what is said here may be logged, and the learner's words must not be
        return "some front"
    return value.isoformat() if isinstance(value, datetime) else repr(value)
