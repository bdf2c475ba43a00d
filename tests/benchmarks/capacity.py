"""What the table costs: units and bytes of each act, by the size of texts and of the collection.

    python -m tests.benchmarks.capacity               all of it, on DynamoDB Local, in minutes
    python -m tests.benchmarks.capacity contention    a part: writes, reads, stored or contention

Writes are counted twice (see `tests.ruler`): as DynamoDB Local doubles them, an upper bound, and by
AWS's own rule. Fails where a figure is above what is promised.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from random import Random
from typing import Any
from uuid import uuid4

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

TEXTS = (300, 800, 1_500, 3_000)
COLLECTIONS = (100, 2_000, 10_000)
DECKS = 5
REVIEWS = 100  # measured in a row, journals among them
DEVICES, EACH = 8, 50
YEAR_CARDS, YEAR_REVIEWS = 1_000, 7_200
NOW = datetime.now(UTC)


@dataclass
class Row:
    """One figure and what is promised of it."""

    what: str
    value: float
    most: float | None = None
    aws: float | None = None

    @property
    def holds(self) -> bool:
        return self.most is None or self.value <= self.most


@dataclass
class Table:
    rows: list[Row] = field(default_factory=list)

    def add(
        self, what: str, value: float, most: float | None = None, aws: float | None = None
    ) -> None:
        row = Row(what, value, most, aws)
        self.rows.append(row)
        print(self.line(row), flush=True)

    def line(self, row: Row) -> str:
        most = "" if row.most is None else f"{row.most:g}"
        aws = "" if row.aws is None else f"{row.aws:.1f}"
        mark = "" if row.holds else " **above**"
        return f"| {row.what} | {row.value:.1f}{mark} | {aws} | {most} |"


HEADING = (
    "| what | units, as DynamoDB Local counts | by AWS's rule | at most |\n|---|---:|---:|---:|"
)


def main(arguments: argparse.Namespace) -> int:
    import django
    from django.test.utils import setup_test_environment

    django.setup()
    setup_test_environment()
    logging.disable(logging.INFO)
    from tests.servers import empty_table, running_dynamodb_local

    table = Table()
    print(HEADING)
    with running_dynamodb_local() as url:
        for part in arguments.part or PARTS:
            with empty_table(url):
                PARTS[part](table)
    return 0 if all(row.holds for row in table.rows) else 1


def _writes(table: Table) -> None:
    from tests.ruler import counted

    for size in TEXTS:
        ana = _learner()
        decks = _decks(ana)
        cards = []
        with counted() as made:
            cards.append(_card(ana, decks[0], size))
        table.add(f"a new card, {size} bytes of text", made.local, 16 if size == 300 else None,
                  made.aws)  # fmt: skip
        cards += [_card(ana, decks[n % DECKS], size) for n in range(1, 20)]
        for n in range(20):  # the day has all its decks from here on
            _review(ana, cards[n % 20], NOW)
        with counted() as spent:
            for n in range(REVIEWS):
                _review(ana, cards[n % 20], NOW + timedelta(seconds=n))
        table.add(f"a review, {size} bytes of text, five decks a day", spent.local / REVIEWS, 15,
                  spent.aws / REVIEWS)  # fmt: skip
        with counted() as edit:
            _done(ana.patch(f"/flashcards/{cards[0]}", {"back": "b" * 20}))
        table.add(f"an edited back, {size} bytes of text", edit.local, 6 if size == 300 else None,
                  edit.aws)  # fmt: skip
    _polls(table)
    ana = _learner()
    decks = _decks(ana)
    cards = [_card(ana, decks[n % DECKS], 500) for n in range(30)]
    for _ in range(2):
        with counted() as batch:
            _batch(ana, cards)
    table.add("each of a batch of 30 reviews", batch.local / 30, 13, batch.aws / 30)


def _polls(table: Table) -> None:
    """What a device asks that is in step, and one that has missed reviews of two decks."""
    from tests.ruler import counted

    ana = _learner()
    decks = _decks(ana)[:2]
    cards = [_card(ana, decks[n % 2], 300) for n in range(40)]
    cursors: list[str] = []

    def in_step(since: str | None) -> str:
        more = True
        while more:
            answer = ana.get(f"/changes?limit=1000{'' if since is None else f'&since={since}'}")
            _done(answer)
            since, more = answer.json()["cursor"], answer.json()["more"]
        return str(since)

    cursors.append(in_step(None))
    for n in range(500):
        if n == 480:
            cursors.append(in_step(cursors[0]))
        _review(ana, cards[n % 40], NOW - timedelta(seconds=600 - n))
    cursors.append(in_step(cursors[1]))
    for changes, since, most in ((0, cursors[2], 1), (20, cursors[1], 3), (500, cursors[0], 16)):
        _done(ana.get("/scheduler"))
        with counted() as spent:
            _done(ana.get(f"/changes?limit=1000&since={since}"))
        table.add(f"a poll that finds {changes} changes", spent.read, most)


def _reads(table: Table) -> None:
    from tests.ruler import counted

    costs: dict[int, dict[str, tuple[int, float]]] = {}
    ana = _learner()
    decks = _decks(ana)
    present = 0
    for count in COLLECTIONS:
        _fill(ana, decks, count - present)
        present = count
        found = costs[count] = {}
        for what, path in (("due queue", "/flashcards/due"),
                           ("due queue of a deck", f"/flashcards/due?deckId={decks[0]}"),
                           ("a list of 50", "/flashcards"),
                           ("a list of 50 of a deck", f"/flashcards?deckId={decks[0]}"),
                           ("statistics", "/statistics")):  # fmt: skip
            _done(ana.get("/scheduler"))  # so that the account's state is known
            with counted() as spent:
                _done(ana.get(path))
            found[what] = len(spent.calls), spent.read
            most = 40 if what.startswith("due") and count > 100 else None
            calls = f"{len(spent.calls)} round trips"
            table.add(f"{what}, {count} cards ({calls})", spent.read, most)
        with counted() as spent:
            card_id = _card(ana, decks[0], 300)
            _review(ana, card_id, NOW)
        found["a card and its review"] = len(spent.calls), spent.units
        table.add(f"a card and its first review, {count} cards", spent.local, None, spent.aws)
    few, many = costs[COLLECTIONS[1]], costs[COLLECTIONS[-1]]
    worst = max(abs(many[what][1] / few[what][1] - 1) for what in many)
    table.add("how far 2,000 and 10,000 cards are apart, in percent", 100 * worst, 5)


def _stored(table: Table) -> None:
    """A year's writing in small: cards with text, reviews spread over the days."""
    from config.ops.cloudformation import local_client
    from config.stack import stack
    from tests.ruler import stored_bytes

    ana = _learner()
    decks = _decks(ana)
    cards = [_card(ana, decks[n % DECKS], 300) for n in range(40)]
    client, name = local_client("dynamodb", str(stack().endpoint_url)), stack().table_name

    def whole() -> dict[str, float]:
        found: dict[str, float] = {}
        for page in client.get_paginator("scan").paginate(TableName=name):
            for item in page["Items"]:
                if item["pk"]["S"].endswith(ana.id):
                    kind = item["kind"]["S"]
                    found[kind] = found.get(kind, 0) + stored_bytes(item)
        return found

    rounds = 7  # a card is reviewed some seven times a year
    for n in range(rounds):
        for number, card_id in enumerate(cards):
            at = NOW - timedelta(days=50 * (rounds - n)) + timedelta(seconds=number)
            _review(ana, card_id, at)
    sizes = whole()
    per_card = (sizes["note"] + sizes["card"]) / len(cards)
    per_entry = sizes["entry"] / (rounds * len(cards))
    journal = sizes.get("journal", 0) / (rounds * len(cards))
    for what, value in (("a card with its note", per_card), ("a line of the log", per_entry),
                        ("its share of a journal", journal)):  # fmt: skip
        table.add(f"bytes stored for {what}, index entries and overhead too", value)
    for year, most in ((1, 6.0), (2, None), (3, 16.0)):
        kept = min(year, 400 / 365)
        total = year * (YEAR_CARDS * per_card + YEAR_REVIEWS * per_entry)
        total += kept * YEAR_REVIEWS * journal + year * 365 * 400
        table.add(f"MB stored a learner after year {year}", total / 1e6, most)


def _contention(table: Table) -> None:
    """Devices that write at once, each in random order: as threads, and as processes."""
    for kind, at_once in (("threads", _in_threads), ("processes", _in_processes)):
        for cards in (1, 40):
            refused, waits, states = _at_once(cards, at_once)
            what = f"{DEVICES} {kind} with {DEVICES * EACH} reviews of {cards} cards"
            table.add(f"{what}: refused (503)", refused, 0)
            table.add(f"{what}: states other than their logs", states, 0)
            table.add(f"{what}: ms, the slowest of a hundred", waits)
    refused, waits = _beside_an_import()
    table.add("two devices beside a running import: refused (503)", refused, 0)
    table.add("two devices beside a running import: ms, the slowest of a hundred", waits, 500)


Sent = list[tuple[str, datetime]]
Done = tuple[list[float], int]


def _in_threads(learner_id: str, shares: list[Sent]) -> list[Done]:
    with ThreadPoolExecutor(len(shares)) as devices:
        return list(devices.map(lambda share: _study(learner_id, share), shares))


def _in_processes(learner_id: str, shares: list[Sent]) -> list[Done]:
    with get_context("fork").Pool(len(shares), initializer=_connect_anew) as devices:
        return devices.starmap(_study, [(learner_id, share) for share in shares], chunksize=1)


def _connect_anew() -> None:
    """No process shares the connections of the one that it was forked from."""
    from config import aws
    from config.store.connection import connection

    connection.cache_clear()
    aws.own.cache_clear()


def _at_once(
    count: int, at_once: Callable[[str, list[Sent]], list[Done]]
) -> tuple[int, float, int]:
    """How many were refused, the slow ones' milliseconds, how many cards are not their logs."""
    from learning.models.cards import Card
    from learning.models.log import LogEntry
    from learning.scheduling import Settings, fold

    ana = _learner()
    deck_id = _decks(ana)[0]
    cards = [_card(ana, deck_id, 300) for _ in range(count)]
    chance = Random(count)  # noqa: S311
    sent = [(cards[n % count], NOW - timedelta(hours=7 * n)) for n in range(DEVICES * EACH)]
    chance.shuffle(sent)
    done = at_once(ana.id, [sent[n::DEVICES] for n in range(DEVICES)])
    wrong = 0
    for card_id in cards:
        log, card = LogEntry.of_card(ana.id, card_id), Card.of(ana.id, card_id)
        how: Any = {"settings": {0: Settings()}, "seed": card_id}
        if card is None or card.entries != len(log):
            wrong += 1
        else:
            rows = [row.to_entry() for row in log]
            wrong += fold(rows, created_at=card.created_at, **how) != card.memory
    waits = [wait for own, _ in done for wait in own]
    return sum(refused for _, refused in done), _slow(waits), wrong


def _study(learner_id: str, sent: Sent) -> Done:
    """Milliseconds of each review, and how many were refused."""
    from config.problems import ServiceUnavailable
    from learning.scheduling import Rating
    from learning.services.review import Submission, submit_one

    waits, refused = [], 0
    for n, (card_id, at) in enumerate(sent):
        review = Submission(id=str(uuid4()), card_id=card_id, at=at, rating=list(Rating)[n % 4])
        begun = time.perf_counter()
        try:
            submit_one(learner_id=learner_id, submission=review, now=NOW)
        except ServiceUnavailable:
            refused += 1
        waits.append(1000 * (time.perf_counter() - begun))
    return waits, refused


def _beside_an_import() -> tuple[int, float]:
    """As `_at_once`, of two devices while a file of 2,000 notes comes in."""
    from learning.services.imports import import_notes
    from learning.transfer import Note

    ana = _learner()
    cards = [_card(ana, _decks(ana)[0], 300) for _ in range(20)]
    notes = [Note(f"g{n}", front=f"palavra {n}", back="w" * 290, deck="D") for n in range(2_000)]
    sent = [(cards[n % 20], NOW - timedelta(days=100 - n)) for n in range(100)]
    with ThreadPoolExecutor(3) as threads:
        running = threads.submit(
            import_notes, learner_id=ana.id, rows=iter(notes), deck_id=None, dry_run=False,
            offset=0, now=NOW,
        )  # fmt: skip
        done = [threads.submit(_study, ana.id, sent[n::2]) for n in range(2)]
        found = [each.result() for each in done]
        running.result()
    waits = [wait for own, _ in found for wait in own]
    return sum(refused for _, refused in found), _slow(waits)


def _slow(waits: list[float]) -> float:
    """The 99th percentile."""
    return sorted(waits)[int(0.99 * len(waits))]


def _learner() -> Any:
    from accounts.models.account import account_cache
    from tests.callers import make_learner

    account_cache.forget()
    ana = make_learner("ana", timezone="Europe/Lisbon")
    _done(ana.get("/decks"))
    return ana


def _decks(caller: Any) -> list[str]:
    return [caller.makes("/decks", {"name": f"Português {n}", "id": str(uuid4())})["id"]
            for n in range(DECKS)]  # fmt: skip


def _card(caller: Any, deck_id: str, size: int) -> str:
    card = {"id": str(uuid4()), "deckId": deck_id, "front": "palavra"}
    return str(caller.makes("/flashcards", card | {"back": "w" * (size - 7)})["id"])


def _done(answer: Any) -> None:
    if answer.status_code >= 400:
        raise RuntimeError(answer.content)


def _review(caller: Any, card_id: str, at: datetime) -> None:
    ratings = ("again", "hard", "good", "easy")
    body = {"id": str(uuid4()), "rating": ratings[at.second % 4], "reviewedAt": at.isoformat(),
            "durationMs": 4_200}  # fmt: skip
    _done(caller.post(f"/flashcards/{card_id}/reviews", body))


def _batch(caller: Any, cards: list[str]) -> None:
    reviews = [{"id": str(uuid4()), "cardId": card_id, "rating": "good", "durationMs": 4_200,
                "reviewedAt": datetime.now(UTC).isoformat()} for card_id in cards]  # fmt: skip
    _done(caller.post("/reviews", {"reviews": reviews}))


def _fill(caller: Any, decks: list[str], count: int) -> None:
    """Cards put into the table at once: new ones, and ones that are due, half each."""
    from learning.models.cards import Card

    def numbers() -> Iterator[range]:
        for start in range(0, count, 250):
            yield range(start, min(start + 250, count))

    def put(part: range) -> None:
        with Card.batch_write() as batch:
            for n in part:
                card = _filling(caller, decks[n % DECKS], n)
                batch.save(card)
                batch.save(card.note)

    with ThreadPoolExecutor(4) as pool:
        done: Callable[..., Any] = pool.map
        list(done(put, numbers()))


def _filling(caller: Any, deck_id: str, n: int) -> Any:
    from learning.models.cards import Card

    card = Card(
        *Card.key(caller.id, str(uuid4())), deck_id=deck_id, front=f"palavra {n}", back="w" * 290,
        request_digest="0123456789abcdef", due_at=NOW - timedelta(days=1 + n % 30), created_at=NOW,
        updated_at=NOW, revision=1, counted_in_totals="cards review",
    )  # fmt: skip
    card.note.version = 1
    if n // DECKS % 2:
        card.state, card.stability, card.difficulty = "review", 10.123456789012345, 5.1234567890123
        card.last_review_at = card.introduced_at = NOW - timedelta(days=40)
        card.reps, card.lapses = 7, 1
    card.set_index_keys()
    return card


PARTS = {"writes": _writes, "reads": _reads, "stored": _stored, "contention": _contention}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], help="all of them by default")
    sys.exit(main(parser.parse_args()))
