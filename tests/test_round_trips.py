"""What a request costs: the calls that are really sent, and their units by `tests.ruler`.

The account's state, which is read once in 30 s, is known beforehand. `docs/access-patterns.md` has
these figures for people.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ulid import ULID

from accounts.models.account import account_cache
from config.stack import BASE_DIR, Stack
from learning.models.cards import Card
from tests.callers import Caller, make_learner
from tests.ruler import Spent, counted
from tests.test_flashcards import card_of, deck_of
from tests.test_import import send

pytestmark = pytest.mark.server

NOW = datetime.now(UTC)


@pytest.fixture
def ana(dynamodb_local: Stack) -> Caller:
    account_cache.forget()
    caller = make_learner("ana", timezone="Europe/Lisbon")
    assert caller.get("/decks").status_code == 200  # the account's state is known from here on
    return caller


def body(rating: str = "good", at: datetime = NOW) -> dict[str, Any]:
    return {"id": str(ULID()), "rating": rating, "reviewedAt": at.isoformat()}


def fill(caller: Caller, deck_id: str, count: int) -> None:
    """Writes cards into the table at once: new ones, and ones that are due, half each."""
    with ThreadPoolExecutor(8) as pool:
        batches = range(0, count, 250)
        list(pool.map(lambda n: _fill(caller, deck_id, range(n, min(n + 250, count))), batches))


def _fill(caller: Caller, deck_id: str, numbers: range) -> None:
    with Card.batch_write() as batch:
        for n in numbers:
            card_id = str(ULID())
            card = Card(
                *Card.key(caller.id, card_id),
                id=card_id,
                note_id=card_id,
                deck_id=deck_id,
                front=f"palavra {n}",
                back="a word of usual length",
                request_digest="",
                due_at=NOW - timedelta(days=1 + n % 30),
                created_at=NOW,
                updated_at=NOW,
                revision=1,
            )
            assert card.note
            card.note.version = 1
            if n % 2:
                card.state, card.stability, card.difficulty = "review", 10.0, 5.0
                card.last_review_at = NOW - timedelta(days=40)
            card.set_index_keys()
            batch.save(card)
            batch.save(card.note)


def test_reading_a_profile_is_one_call(ana: Caller) -> None:
    with counted() as spent:
        assert ana.get("/profile").status_code == 200
    assert spent.calls == ["BatchGetItem"]


def test_making_a_card_is_one_read_and_one_transaction(ana: Caller) -> None:
    deck_id = deck_of(ana)
    with counted() as spent:
        card_of(ana, deck_id)
    assert spent.calls == ["BatchGetItem", "TransactWriteItems"]
    assert spent.local <= 16  # note, card with three index entries, deck's check, head: twice


def test_making_a_deck_is_one_read_and_one_transaction(ana: Caller) -> None:
    with counted() as spent:
        deck_of(ana)
    assert spent.calls == ["BatchGetItem", "TransactWriteItems"]
    assert spent.local <= 4  # the deck and the head


def test_a_review_is_one_read_and_one_transaction(ana: Caller) -> None:
    card_id = card_of(ana, deck_of(ana))
    for rating in ("good", "good", "again"):
        with counted() as spent:
            assert ana.post(f"/flashcards/{card_id}/reviews", body(rating)).status_code == 201
        assert spent.calls == ["BatchGetItem", "TransactWriteItems"]
        assert spent.local <= 16


def test_a_review_sent_again_is_one_read(ana: Caller) -> None:
    card_id = card_of(ana, deck_of(ana))
    review = body()
    ana.post(f"/flashcards/{card_id}/reviews", review)
    with counted() as spent:
        assert ana.post(f"/flashcards/{card_id}/reviews", review).status_code == 201
    assert spent.calls == ["BatchGetItem"]


def test_a_late_review_adds_one_query(ana: Caller) -> None:
    card_id = card_of(ana, deck_of(ana))
    ana.post(f"/flashcards/{card_id}/reviews", body())
    with counted() as spent:
        late = body(at=NOW - timedelta(minutes=5))
        assert ana.post(f"/flashcards/{card_id}/reviews", late).status_code == 201
    assert spent.calls == ["BatchGetItem", "Query", "TransactWriteItems"]


DUE = ["BatchGetItem", "Query", "Query", "Query", "BatchGetItem"]
CHANGE = ["BatchGetItem", "TransactWriteItems"]
# What is measured, with the calls that it takes. {deck} is a deck with all cards, {card} a card in
# it that was studied, {other} another one that was not, {decked} an empty deck.
READS = {
    "GET /profile": ["BatchGetItem"],
    "GET /decks": ["Query"],
    "GET /decks/{deck}": ["GetItem"],
    "GET /flashcards/due": DUE,
    "GET /flashcards/due?deckId={deck}": DUE,
    "GET /flashcards": ["Query", "Query"],
    "GET /flashcards?deckId={deck}": ["Query", "BatchGetItem"],
    "GET /flashcards?state=new": ["Query", "BatchGetItem"],
    "GET /flashcards?front=palavra": ["Query", "BatchGetItem", "BatchGetItem"],
    "GET /flashcards?q=palavra": ["Query", "BatchGetItem", "BatchGetItem"],
    "GET /flashcards?q=is:due%20deck:{deck}": ["Query", "Query", "Query", "BatchGetItem"],
    "GET /flashcards?q=prop:lapses%3E3": ["Query"],  # finds nothing in any number of cards
    "GET /flashcards/{card}": ["BatchGetItem"],
    "GET /notes/{card}": ["GetItem", "GetItem"],
    "GET /reviews": ["GetItem", "Query"],
    "GET /reviews?cardId={card}": ["GetItem", "Query"],
    "GET /scheduler": ["GetItem"],
    "GET /statistics": ["BatchGetItem", "Query", "Query"],
    "GET /changes?since={cursor}": ["GetItem"],
}
WRITES: dict[str, tuple[Any, list[str]]] = {
    "POST /decks": ({"name": "Galego"}, CHANGE),
    "PATCH /decks/{deck}": ({"name": "Português"}, CHANGE),
    "POST /flashcards": ({"deckId": "{deck}", "front": "casa", "back": "a house"}, CHANGE),
    "PATCH /flashcards/{other}": ({"back": "another word"}, CHANGE),
    "POST /flashcards/{other}/suspend": (None, CHANGE),
    "POST /flashcards/{card}/reviews": (
        {"id": "{id}", "rating": "good", "reviewedAt": "{now}"}, CHANGE
    ),
    "POST /flashcards/{card}/reviews, sent again": (
        {"id": "{again}", "rating": "good", "reviewedAt": "{then}"}, ["BatchGetItem"]
    ),
    "POST /flashcards/{card}/reviews, late": (
        {"id": "{id}", "rating": "good", "reviewedAt": "{before}"},
        ["BatchGetItem", "Query", "TransactWriteItems"],
    ),
    "DELETE /flashcards/{other}": (None, CHANGE),
    "POST /notes": (
        {"type": "reversed", "deckId": "{deck}", "front": "sol", "back": "sun"}, CHANGE
    ),
}  # fmt: skip
SIZES = (100, 2_000, 10_000)


@dataclass(frozen=True)
class Cost:
    """What a request takes: calls, and units read and written."""

    calls: int
    read: float
    local: float
    aws: float

    @property
    def units(self) -> float:
        return self.read + self.local


@pytest.mark.no_cover  # of what it runs thousands of times, other tests are enough
def test_requests_cost_what_the_document_says_with_100_2_000_and_10_000_cards(ana: Caller) -> None:
    """With 100 cards windows may not be full; with 2,000 they are, with 10,000 no fuller."""
    deck_id = deck_of(ana)
    studied = card_of(ana, deck_id)
    assert ana.post(f"/flashcards/{studied}/reviews", body()).status_code == 201
    costs = []
    for count, before in zip(SIZES, (1, *SIZES), strict=False):
        fill(ana, deck_id, count - before)
        costs.append(_costs(ana, deck_id, studied))
    few, some, many = costs
    for what, cost in many.items():
        assert some[what].read == about(cost.read), what
        assert few[what].read <= cost.read * 1.05, what
        if not any(each in what for each in ("due", "q=", "statistics")):
            assert few[what].read == about(cost.read), what
        for fewer in (few, some):
            assert fewer[what].local == with_a_journal(cost.local), what
    rows = {what: _row(what, costs) for what in many}
    wanted = {
        what: [row[0], *map(about, row[1:4]), *map(with_a_journal, row[4:])]
        for what, row in documented().items()
    }
    assert rows == wanted, "\n" + _as_table(rows)


def about(units: float) -> Any:
    """Units read; an index key may be a little longer or shorter."""
    return pytest.approx(units, rel=0.05, abs=1)


def with_a_journal(units: float) -> Any:
    """Units written; now and then the head hands its changes over to a journal."""
    return pytest.approx(units, rel=0.05, abs=4)


def _row(what: str, costs: Sequence[dict[str, Cost]]) -> list[float]:
    """Calls, units read with each number of cards, and units written where any are."""
    last = costs[-1][what]
    written = [last.local, last.aws] if last.local else []
    return [last.calls, *(each[what].read for each in costs), *written]


def _as_table(rows: dict[str, list[float]]) -> str:
    """What was measured, as `docs/access-patterns.md` is to have it."""
    lines = [
        "| request | RT | read: 100 cards | 2,000 | 10,000 | written | by AWS's rule |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for what, row in rows.items():
        cells = [f"{number:g}" for number in row] + [""] * (6 - len(row))
        lines.append(f"| `{what}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def documented() -> dict[str, list[float]]:
    """The rows of the document's table, by request."""
    document = (BASE_DIR / "docs" / "access-patterns.md").read_text()
    section = document.partition("## Measured")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]
    return {
        what.strip(" `"): [float(number) for number in numbers if number.strip()]
        for what, *numbers in rows
    }


def _costs(ana: Caller, deck_id: str, studied: str) -> dict[str, Cost]:
    """What each request takes, with the cards that there are."""
    account_cache.forget(ana.id)  # filling takes its time
    other, again = card_of(ana, deck_id), str(ULID())
    then = datetime.now(UTC)
    first = {"id": again, "rating": "good", "reviewedAt": then.isoformat()}
    assert ana.post(f"/flashcards/{studied}/reviews", first).status_code == 201
    names = {
        "deck": deck_id,
        "card": studied,
        "other": other,
        "again": again,
        "then": then.isoformat(),
        "before": (then - timedelta(minutes=5)).isoformat(),
        "cursor": _cursor(ana),
    }
    found = {}
    for what, calls in READS.items():
        found[what] = _cost(ana, what, None, calls, names)
    for what, (sent, calls) in WRITES.items():
        found[what] = _cost(ana, what, sent, calls, names | _fresh())
    with counted() as spent:
        _import_of_20(ana, deck_id)
    assert spent.calls == ["Query", "BatchGetItem", "TransactWriteItems"]
    found["POST /flashcards/import, 20 notes"] = _cost_of(spent)
    return found


def _fresh() -> dict[str, str]:
    return {"id": str(ULID()), "now": datetime.now(UTC).isoformat()}


def _cursor(ana: Caller) -> str:
    """That of a device that is in step."""
    since, more = "", True
    while more:
        answer = ana.get(f"/changes?limit=1000{since}").json()
        since, more = f"&since={answer['cursor']}", answer["more"]
    return str(answer["cursor"])


def _cost(ana: Caller, what: str, sent: Any, calls: list[str], names: dict[str, str]) -> Cost:
    method, _, path = what.partition(",")[0].partition(" ")
    sent = sent and {
        key: value.format(**names) if isinstance(value, str) else value
        for key, value in sent.items()
    }
    with counted() as spent:
        answer = ana.send(method, path.format(**names), sent)
    assert answer.status_code < 300, (what, answer.content)
    assert spent.calls == calls, what
    return _cost_of(spent)


def _cost_of(spent: Spent) -> Cost:
    return Cost(len(spent.calls), spent.read, spent.local, spent.aws)


def _import_of_20(ana: Caller, deck_id: str) -> None:
    words = "".join(f"{ULID()};word {n}\n" for n in range(20))
    answer = send(ana, f"front;back\n{words}".encode(), deckId=deck_id)
    assert answer.json()["imported"] == 20, answer.content


def test_an_export_reads_each_card_once(ana: Caller) -> None:
    """A query for each page of 500 cards, whatever else the learner has."""
    deck_id = deck_of(ana)
    before, units = 0, []
    for cards, queries in ((100, 1), (1_000, 2)):
        fill(ana, deck_id, cards - before)
        before = cards
        with counted() as spent:
            answer = ana.get("/flashcards/export?format=csv")
        assert answer.content.count(b"palavra") == cards
        assert spent.calls == ["BatchGetItem", "Query", *["Query", "Query"] * queries]
        units.append(spent.units / cards)
    assert units[1] <= units[0]
