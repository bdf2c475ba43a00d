"""What has changed of a learner's things, in the order of arrival.

A change is what `accounts.services.changes.commit` has told the head: `[number, sort key]` for an
item to read, `[number, sort key, 1]` for one that is gone, `[number, sort key, entry]` for a line
of a log (as `LogEntry.as_told` reads it), with what its card stands at behind it, and `[number,
prefix]` for much that was written under a prefix at once; `[number]` has been lost, in a line that
ended before it could be told. The youngest are in the head, the others in journals.

What is read may be a part of a transaction that is just being applied. So numbers must follow one
another without a hole, and an item must have the number of its change or a later one: else all is
read again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from typing import Any, Literal

from accounts.models import Head, Journal, Profile, learner_key
from config.problems import IdTaken, NotFound, PreconditionFailed, Problem
from config.records import dataclass
from config.store.connection import READ, retrying
from config.store.items import Item, OnUnreadable, Page, Raw, batch_get, item_size
from learning.models.base import Tombstone
from learning.models.cards import Card, Deck, Note
from learning.models.log import LogEntry, TornRead
from learning.models.practice import Session, Turn
from learning.models.scheduler import Scheduler
from learning.services import cards, deck_deletion, notes

Change = list[Any]
# Where synced things lie, in the order in which a device is first told of them.
PREFIXES = (
    *(Profile.SK, Scheduler.SK, Deck.PREFIX, Note.PREFIX, Card.PREFIX, LogEntry.PREFIX),
    *(Session.PREFIX, Turn.PREFIX, "EVENT#", "REMINDER#"),
)
GONE_READS = 3
# That one answer reads, or a query's megabyte more. Lambda answers up to 6 MB, of JSON within JSON,
# which takes two or three bytes for some letters. A note may have a quarter of a megabyte.
MOST_BYTES = 2**20


class ChangesGone(Problem):
    status, code, title = 410, "CHANGES_GONE", "These changes are no longer known: begin anew"


@dataclass(frozen=True)
class Cursor:
    """How far a device is: a number of a line, or in its first round a place among all things.

    `prefix` counts in PREFIXES and `after` is the last sort key that was told under it.
    """

    line: str
    number: int
    prefix: int | None = None
    after: str | None = None


@dataclass(frozen=True)
class Told:
    """One thing as it now is; `item` is None where it is gone."""

    sk: str
    item: Item | None


@dataclass(frozen=True)
class Changes:
    """An answer to a device: changes, the cursor to go on from, and whether more are waiting."""

    told: list[Told]
    cursor: Cursor
    more: bool


def first_changes(
    *,
    learner_id: str,
    cursor: Cursor | None,
    limit: int,
    on_unreadable: OnUnreadable,
    now: datetime,
) -> Changes:
    """Everything that is the learner's, a page at a time: one read and a query for each kind.

    A page ends with `limit` things, or with those that go beyond `MOST_BYTES`.

    It goes on from the start of the journal before the newest, and so tells again what was
    written while it was read. What cannot be read is left out. Raises ChangesGone where the line
    has ended meanwhile.
    """
    if cursor is None:
        missed: Counter[str] = Counter()
        cursor = retrying(lambda: _begin(learner_id, now, missed), after=TornRead)
    elif cursor.line != Head.of(learner_id).line:
        raise ChangesGone
    told: list[Told] = []
    place, after, size = cursor.prefix or 0, cursor.after, 0
    while place < len(PREFIXES) and len(told) < limit and size < MOST_BYTES:
        page = _under(learner_id, PREFIXES[place], after, limit - len(told), on_unreadable)
        kept = [item for item in page.items if not isinstance(item, Tombstone)]
        told += [Told(item.sk, item) for item in kept]
        size += _size(kept)
        if page.next_key:
            after = page.next_key["sk"]["S"]
            break
        place, after = place + 1, None
    if place == len(PREFIXES):
        return Changes(told, replace(cursor, prefix=None, after=None), more=True)
    return Changes(told, replace(cursor, prefix=place, after=after), more=True)


def _begin(learner_id: str, now: datetime, missed: Counter[str]) -> Cursor:
    """Where to go on from once all was read: before the journal before the newest.

    The newest journal ends where the head begins. One that does not is missed `GONE_READS` times,
    with pauses between, before it counts as gone. Raises TornRead.
    """
    head = Head.of(learner_id)
    newest = Journal.before(learner_id, int(head.n) + 1, limit=2).items
    ends = int(newest[0].last) + 1 if newest else 1
    if ends != head.first:
        missed["journal"] += 1
        if missed["journal"] < GONE_READS:
            raise TornRead
    alive = [journal for journal in newest if not _is_over(journal, now)]
    return Cursor(head.line, alive[-1].first - 1 if alive else int(head.first) - 1, 0)


def _under(
    learner_id: str, prefix: str, after: str | None, limit: int, on_unreadable: OnUnreadable
) -> Page[Item]:
    pk = learner_key(learner_id)
    start: Raw | None = {"pk": {"S": pk}, "sk": {"S": after}} if after else None
    return Item.query_page(
        pk, Item.sk.startswith(prefix), limit=limit, start=start, on_unreadable=on_unreadable
    )


def changes_since(
    *, learner_id: str, cursor: Cursor, limit: int, on_unreadable: OnUnreadable, now: datetime
) -> Changes:
    """What has changed since a cursor, each thing once and as it now is, up to `limit` changes.

    They are fewer where the things go beyond `MOST_BYTES`. One read where nothing has changed; else
    some queries of journals, and a read for each hundred items that are not told whole. What cannot
    be read is left out. Raises ChangesGone for a cursor of another line, of the future, or older
    than the journals; ServiceUnavailable where all that is read stays a part of something.
    """
    missed: Counter[str] = Counter()
    unreadable: dict[str, Raw] = {}
    changes = retrying(
        lambda: _changes_since(learner_id, cursor, limit, now, missed, unreadable), after=TornRead
    )
    for raw in unreadable.values():
        on_unreadable(raw)
    return changes


def _changes_since(
    learner_id: str,
    cursor: Cursor,
    limit: int,
    now: datetime,
    missed: Counter[str],
    unreadable: dict[str, Raw],
) -> Changes:
    head = Head.of(learner_id)
    if cursor.line != head.line or cursor.number > head.n:
        raise ChangesGone
    if cursor.number == head.n:
        return Changes([], cursor, more=False)
    changes = _after(head, cursor.number, limit, now)
    if [change[0] for change in changes] != [*range(cursor.number + 1, changes[-1][0] + 1)]:
        raise TornRead
    told, last = _resolved(learner_id, changes, missed, unreadable)
    return Changes(told, replace(cursor, number=last), more=last < int(head.n))


def _after(head: Head, number: int, limit: int, now: datetime) -> list[Change]:
    """The changes after a number, in order. Raises ChangesGone, TornRead."""
    changes: list[Change] = []
    if number + 1 < head.first:
        changes = _of_journals(head.learner_id, number, limit, now)
    known = changes[-1][0] if changes else number
    changes += [change for change in head.changes if change[0] > known]
    if not changes:
        raise TornRead
    return changes[:limit]


def _of_journals(learner_id: str, number: int, limit: int, now: datetime) -> list[Change]:
    (holding,) = Journal.before(learner_id, number + 2, limit=1).items or (None,)
    if holding is None or _is_over(holding, now):
        raise ChangesGone
    journal = holding
    changes = [change for change in journal.changes if change[0] > number]
    first = int(journal.last) + 1
    while len(changes) < limit:
        # They have from one change to some hundred, but neighbours are alike.
        likely = (limit - len(changes)) // len(journal.changes) + 1
        page = Journal.since(learner_id, first, limit=likely)
        for journal in page.items:
            changes += journal.changes
            first = int(journal.last) + 1
        if page.next_key is None:
            break
    return changes


def _is_over(journal: Journal, now: datetime) -> bool:
    """Whether it counts as gone, be it that DynamoDB has not removed it yet."""
    return (journal.expires_at or 0) < now.timestamp()


def _resolved(
    learner_id: str,
    changes: Sequence[Change],
    missed: Counter[str],
    unreadable: dict[str, Raw],
) -> tuple[list[Told], int]:
    """The things of changes as they now are, each at its last change, and the last change's number.

    It stops once the things go beyond `MOST_BYTES`. Raises TornRead.
    """
    told: dict[str, Told] = {}
    wanted: dict[str, int] = {}
    unreadable.clear()
    taken, size = 0, 0
    while taken < len(changes) and size <= MOST_BYTES:
        size += _size(_add(learner_id, changes[taken], told, wanted))
        taken += 1
        if len(wanted) >= READ or taken == len(changes) or size > MOST_BYTES:
            items = _read(learner_id, wanted, missed, unreadable)
            told |= {sk: Told(sk, items.get(sk)) for sk in wanted}
            size += _size(items.values())
            wanted.clear()
    if size > 2 * MOST_BYTES and taken > 1:  # a hundred long notes at once
        return _resolved(learner_id, changes[: taken // 2], missed, unreadable)
    return [t for t in told.values() if t.sk not in unreadable], int(changes[taken - 1][0])


def _add(
    learner_id: str, change: Change, told: dict[str, Told], wanted: dict[str, int]
) -> Sequence[LogEntry]:
    """Adds a change to `told`, or to `wanted`: items, each with its change's number.

    Returns what had to be read for it at once.
    """
    if len(change) == 1:
        return []
    number, sk = change[0], change[1]
    told.pop(sk, None)
    wanted.pop(sk, None)
    if is_entry(change):
        entry = LogEntry.as_told(learner_id, sk, change[2])
        told[sk] = Told(sk, entry)
        if len(change) > 3:
            card = Card.as_told(learner_id, entry.card_id, change[3])
            if card.sk in wanted or _has_deck(told.get(card.sk)):
                wanted[card.sk] = number  # it is told whole, and must be as new as this
            else:
                told[card.sk] = Told(card.sk, card)
    elif len(change) > 2:
        told[sk] = Told(sk, None)
    elif sk.startswith(LogEntry.PREFIX):
        rows = LogEntry.of_card(learner_id, sk.split("#")[1])
        told |= {row.sk: Told(row.sk, row) for row in rows}
        return rows
    else:
        wanted[sk] = number
        told[sk] = Told(sk, None)
    return []


def _has_deck(told: Told | None) -> bool:
    """Whether a card is told whole, with its deck."""
    return told is not None and isinstance(told.item, Card) and bool(told.item.deck_id)


def _size(items: Iterable[Item]) -> int:
    """Bytes of what was read."""
    return sum(item_size(item.raw) for item in items)


def _read(
    learner_id: str,
    wanted: Mapping[str, int],
    missed: Counter[str],
    unreadable: dict[str, Raw],
) -> dict[str, Item]:
    """The items of changes, each at least as new as its change; those that are gone are left out.

    Of what was deleted there is a tombstone; one that is not there at all was missed `GONE_READS`
    times, with pauses between. Raises TornRead.
    """
    if not wanted:
        return {}
    pk = learner_key(learner_id)
    found = batch_get(
        *((pk, sk) for sk in wanted),
        on_unreadable=lambda raw: unreadable.update({raw["sk"]["S"]: raw}),
    )
    stored = {sk: item for (_, sk), item in found.items()}
    lost = wanted.keys() - stored.keys() - unreadable.keys()
    missed.update(lost)
    if any(missed[sk] < GONE_READS for sk in lost):
        raise TornRead
    items = {sk: item for sk, item in stored.items() if not isinstance(item, Tombstone)}
    for sk, item in stored.items():
        if (getattr(item, "n", None) or 0) < wanted[sk]:
            raise TornRead
    return items


def entries_by_arrival(
    *, learner_id: str, limit: int, start: Raw | None, now: datetime
) -> Page[LogEntry]:
    """One page of the log entries of the last 400 days, in the order of arrival, the newest first.

    One read of the head, and a query of journals where it does not have enough.
    """
    before = int(start["n"]["S"]) if start else None
    entries: list[tuple[int, LogEntry]] = []
    for change in _backwards(learner_id, before, limit, now):
        if is_entry(change):
            entries.append((change[0], LogEntry.as_told(learner_id, change[1], change[2])))
        if len(entries) > limit:
            number = entries[limit - 1][0]
            return Page([entry for _, entry in entries[:limit]], {"n": {"S": str(number)}})
    return Page([entry for _, entry in entries], None)


def is_entry(change: Change) -> bool:
    """Whether a change is a line of a log."""
    return len(change) > 2 and isinstance(change[2], dict)


def _backwards(learner_id: str, before: int | None, limit: int, now: datetime) -> Iterator[Change]:
    """All changes before a number (by default all), the newest first."""
    head = Head.of(learner_id)
    if before is None:
        before = int(head.n) + 1
    yield from (change for change in reversed(head.changes) if change[0] < before)
    start: Raw | None = None
    while True:
        page = Journal.before(learner_id, min(before, int(head.first)), limit=limit, start=start)
        for journal in page.items:
            if _is_over(journal, now):
                return
            yield from (change for change in reversed(journal.changes) if change[0] < before)
        if not (start := page.next_key):
            return


# --- Changes that a device made offline, each for itself ------------------------------------------

Kind = Literal["deck", "note", "card"]
Action = Literal["create", "update", "delete"]
Status = Literal["applied", "duplicate", "conflict", "rejected"]


@dataclass(frozen=True, kw_only=True)
class OfflineChange:
    """One change. `base` is the version it was made upon, None for any; a card is a basic note's.

    `fields` are those of the thing, validated; of a deck's deletion `delete_cards` and `move_to`.
    """

    kind: Kind
    action: Action
    id: str
    base: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What became of a change: `conflict` where the thing is at another version, which is `item`.

    A `duplicate` was made before, or has nothing new.
    """

    status: Status
    item: Item | None = None
    problem: Problem | None = None


def apply_changes(
    *, learner_id: str, changes: Sequence[OfflineChange], now: datetime
) -> list[Result]:
    """Makes changes in the order given, each or none; sending them again changes nothing more.

    One read and one transaction for each. Raises ServiceUnavailable: what was made by then stays.
    """
    return [_apply(learner_id, change, now) for change in changes]


def _apply(learner_id: str, change: OfflineChange, now: datetime) -> Result:
    act = {"create": _create, "update": _update, "delete": _delete}[change.action]
    try:
        return act(learner_id, change, now)
    except (PreconditionFailed, IdTaken) as problem:
        return _conflict(learner_id, change, problem)
    except NotFound as problem:
        gone = change.action == "delete"  # by the same request before, or by another device
        return Result("duplicate") if gone else Result("rejected", problem=problem)
    except Problem as problem:
        if problem.status >= 500:
            raise
        return Result("rejected", problem=problem)


def _conflict(learner_id: str, change: OfflineChange, problem: Problem) -> Result:
    stored = _stored(learner_id, change)
    if stored is None:
        return Result("rejected", problem=problem)
    if change.action == "update" and all(
        getattr(stored, name) == value for name, value in change.fields.items()
    ):
        return Result("duplicate", stored)
    return Result("conflict", stored, problem)


def _stored(learner_id: str, change: OfflineChange) -> Item | None:
    if change.kind == "deck":
        return Deck.of(learner_id, change.id)
    if change.kind == "card":
        return Card.with_text(learner_id, change.id)
    return Note.of(learner_id, change.id)


def _create(learner_id: str, change: OfflineChange, now: datetime) -> Result:
    makers: dict[Kind, Callable[..., Any]] = {
        "deck": cards.create_deck,
        "card": cards.create_card,
        "note": notes.create_note,
    }
    fields = {"id": change.id, **change.fields}
    created = makers[change.kind](learner_id=learner_id, fields=fields, now=now)
    item: Any = created[0] if isinstance(created, tuple) else created
    made_at = item.written_at if isinstance(item, Card) else item.created_at
    return Result("applied" if made_at == now else "duplicate", item)


def _update(learner_id: str, change: OfflineChange, now: datetime) -> Result:
    how: dict[str, Any] = {
        "learner_id": learner_id,
        "changes": change.fields,
        "expected_version": change.base,
        "now": now,
    }
    if change.kind == "deck":
        return Result("applied", cards.update_deck(deck_id=change.id, **how))
    if change.kind == "card":
        return Result("applied", notes.update_card(card_id=change.id, **how))
    return Result("applied", notes.update_note(note_id=change.id, **how)[0])


def _delete(learner_id: str, change: OfflineChange, now: datetime) -> Result:
    how: dict[str, Any] = {
        "learner_id": learner_id,
        "expected_version": change.base,
        "now": now,
    }
    if change.kind == "deck":
        fields = {"delete_cards": False, "move_to": None, **change.fields}
        deck_deletion.delete_deck(deck_id=change.id, **how, **fields)
    elif change.kind == "card":
        notes.delete_card(card_id=change.id, **how)
    else:
        notes.delete_note(note_id=change.id, **how)
    return Result("applied")
