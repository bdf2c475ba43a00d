"""Many devices at once, on DynamoDB's own engine."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ulid import ULID

from accounts.models.account import account_cache
from config.stack import Stack
from learning.models.log import Day, LogEntry
from learning.services.check import check
from tests.callers import Caller, make_learner
from tests.test_flashcards import card_of, deck_of

pytestmark = pytest.mark.server

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def ana(dynamodb_local: Stack) -> Caller:
    account_cache.forget()
    return make_learner("ana")


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """The answers to `count` devices, 16 of them at a time."""
    with ThreadPoolExecutor(16) as devices:
        return list(devices.map(act, range(count)))


def test_fifty_devices_with_one_review_change_the_card_once(ana: Caller) -> None:
    card_id = card_of(ana, deck_of(ana))
    body = {"id": str(ULID()), "rating": "good", "reviewedAt": START.isoformat()}

    def send(_: int) -> Any:
        return Caller(ana.id, ana.token).post(f"/flashcards/{card_id}/reviews", body)

    answers = at_once(50, send)
    assert {answer.status_code for answer in answers} == {201}
    assert ana.get(f"/flashcards/{card_id}").json()["reps"] == 1
    assert len(LogEntry.of_card(ana.id, card_id)) == 1
    assert [day.count_of("reviews") for day in Day.all_of(ana.id)] == [1]


def test_one_id_at_fifty_instants_is_one_review_and_49_conflicts(ana: Caller) -> None:
    card_id = card_of(ana, deck_of(ana))
    review_id = str(ULID())

    def send(n: int) -> Any:
        at = START + timedelta(minutes=n)
        body = {"id": review_id, "rating": "good", "reviewedAt": at.isoformat()}
        return Caller(ana.id, ana.token).post(f"/flashcards/{card_id}/reviews", body)

    answers = at_once(50, send)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 49
    assert ana.get(f"/flashcards/{card_id}").json()["reps"] == 1
    assert len(LogEntry.of_card(ana.id, card_id)) == 1


def test_reviews_of_one_card_from_many_devices_end_as_in_order(ana: Caller) -> None:
    deck_id = deck_of(ana)
    together, in_order = card_of(ana, deck_id), card_of(ana, deck_id)
    ratings = ["good", "again", "hard", "good", "easy", "good", "again", "good"]

    def send(card_id: str, n: int) -> int:
        at = START + timedelta(days=3 * n)
        body = {"id": str(ULID()), "rating": ratings[n], "reviewedAt": at.isoformat()}
        caller = Caller(ana.id, ana.token)
        return int(caller.post(f"/flashcards/{card_id}/reviews", body).status_code)

    assert at_once(8, lambda n: send(together, n)) == [201] * 8
    assert [send(in_order, n) for n in range(8)] == [201] * 8
    names = ("state", "stability", "difficulty", "reps", "lapses")  # fuzz goes by the card
    found = [ana.get(f"/flashcards/{card_id}").json() for card_id in (together, in_order)]
    assert [found[0][name] for name in names] == [found[1][name] for name in names]
    assert sum(day.count_of("reviews") for day in Day.all_of(ana.id)) == 16
    assert sum(day.count_of("introduced") for day in Day.all_of(ana.id)) == 2
    assert check(learner_id=ana.id, now=datetime.now(UTC)) == []


def test_one_deck_made_by_many_devices_is_one_deck(ana: Caller) -> None:
    body = {"id": str(ULID()), "name": "Português"}
    answers = at_once(16, lambda _: Caller(ana.id, ana.token).post("/decks", body))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1


def test_of_changes_on_one_version_a_single_one_wins(ana: Caller) -> None:
    path = f"/decks/{deck_of(ana)}"

    def rename(n: int) -> int:
        caller = Caller(ana.id, ana.token)
        return int(caller.patch(path, {"name": f"Nome {n}"}, If_Match='"1"').status_code)

    assert sorted(at_once(16, rename)) == [200] + [412] * 15
