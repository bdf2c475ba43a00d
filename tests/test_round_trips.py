"""What a request costs: the calls that are really sent, and their units by `tests.ruler`.

The account's state, which is read once in 30 s, is known beforehand. `docs/access-patterns.md` has
these figures for people.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ulid import ULID

from accounts.models.account import account_cache
from config.stack import Stack
from learning.models.cards import Card
from tests.callers import Caller, make_learner
from tests.ruler import counted
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
READS = {
    "/flashcards/due": DUE,
    "/flashcards/due?deckId={deck}": DUE,
    "/flashcards": ["Query", "Query"],
    "/flashcards?deckId={deck}": ["Query", "BatchGetItem"],
    "/flashcards?state=new&tag=none": ["Query", "BatchGetItem"],
    "/flashcards?front=palavra": ["Query", "BatchGetItem", "BatchGetItem"],
    "/flashcards?q=palavra": ["Query", "BatchGetItem", "BatchGetItem"],
    "/flashcards?q=is:due%20deck:{deck}": ["Query", "Query", "Query", "BatchGetItem"],
    "/flashcards?q=prop:lapses%3E3": ["Query"],  # finds nothing in any number of cards
    "/decks": ["Query"],
    "/reviews": ["GetItem", "Query"],
    "/scheduler": ["GetItem"],
    "/statistics": ["BatchGetItem", "Query", "Query"],
    "/profile": ["BatchGetItem"],
}


@pytest.mark.no_cover  # of what it runs thousands of times, other tests are enough
def test_no_request_costs_more_with_10_000_cards_than_with_100(ana: Caller) -> None:
    """With 100 cards windows may not be full; with 2,200 they are, with 10,000 no fuller."""
    deck_id = deck_of(ana)
    studied = card_of(ana, deck_id)
    assert ana.post(f"/flashcards/{studied}/reviews", body()).status_code == 201
    few, some, many = (_costs(ana, deck_id, cards) for cards in (100, 2_100, 7_800))
    assert some == {what: pytest.approx(cost, rel=0.05) for what, cost in many.items()}
    windows = ("due", "q=", "statistics")
    for what, cost in few.items():
        if not any(each in what for each in windows):
            assert cost == pytest.approx(many[what], rel=0.05), what
        assert cost <= many[what] * 1.05, what


def _costs(ana: Caller, deck_id: str, more: int) -> dict[str, float]:
    """The units of each request, after so many cards more."""
    fill(ana, deck_id, more)
    account_cache.forget(ana.id)  # filling takes its time
    assert ana.get("/decks").status_code == 200
    found = {}
    for path, calls in READS.items():
        with counted() as spent:
            assert ana.get(path.format(deck=deck_id)).status_code == 200
        assert spent.calls == calls, path
        found[path] = spent.units
    with counted() as spent:
        card_id = card_of(ana, deck_id)
    assert spent.calls == ["BatchGetItem", "TransactWriteItems"]
    found["a card"] = spent.units
    with counted() as spent:
        assert ana.post(f"/flashcards/{card_id}/reviews", body()).status_code == 201
    assert spent.calls == ["BatchGetItem", "TransactWriteItems"]
    found["a review"] = spent.units
    with counted() as spent:
        _import_of_20(ana, deck_id)
    assert spent.calls == ["Query", "BatchGetItem", "TransactWriteItems"]
    found["an import of 20 notes"] = spent.units
    return found


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
