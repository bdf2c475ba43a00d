"""Requests of several writes that break off, or lose their answer: sent again, each comes to the
same end as without the fault."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from django.utils.timezone import now
from ulid import ULID

from learning.services import scenarios
from tests.callers import Caller
from tests.memory_table import MemoryTable
from tests.test_flashcards import card_of, deck_of
from tests.test_import import send
from tests.test_sessions import COFFEE, model_answers, of_pack

AT = datetime.now(UTC) - timedelta(hours=2)
WRITES = frozenset({"BatchWriteItem", "DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem"})

Request = Callable[[], Any]
LOST = ReadTimeoutError(endpoint_url="")


def listed(maria: Caller, path: str) -> list[Any]:
    """The items of a list on all its pages."""
    found, page = [], f"{path}{'&' if '?' in path else '?'}limit=100"
    while page:
        body = maria.get(page).json()
        found += body["results"]
        page = body["next"]
    return found


def bulk(maria: Caller) -> Request:
    deck_id = deck_of(maria)
    cards = [
        {"id": str(ULID()), "deckId": deck_id, "front": f"palavra {n}", "back": "word"}
        for n in range(100)
    ]
    return lambda: maria.post("/flashcards/bulk", {"cards": cards})


def copy(maria: Caller) -> Request:
    bulk(maria)()
    deck_id = maria.get("/decks").json()["results"][0]["id"]
    body = {"id": str(ULID())}
    return lambda: maria.post(f"/decks/{deck_id}/duplicate", body)


def file(maria: Caller) -> Request:
    deck_id = deck_of(maria)
    words = "\n".join(f"palavra {n};word" for n in range(60))
    place: dict[str, int] = {}

    def import_all() -> Any:
        """Follows `nextOffset` until an answer has none, and begins where it was when refused."""
        while True:
            answer = send(maria, f"front;back\n{words}\n".encode(), deckId=deck_id, **place)
            if answer.status_code != 200 or answer.json()["nextOffset"] is None:
                return answer
            place["offset"] = answer.json()["nextOffset"]

    return import_all


def batch(maria: Caller) -> Request:
    deck_id = deck_of(maria)
    cards = [card_of(maria, deck_id, f"palavra {n}") for n in range(4)]
    reviews = [
        {
            "id": str(ULID()),
            "cardId": cards[n % 4],
            "rating": ["good", "easy", "again"][n % 3],
            "reviewedAt": (AT + timedelta(seconds=n)).isoformat(),
        }
        for n in range(80)
    ]
    return lambda: maria.post("/reviews", {"reviews": reviews})


def review(maria: Caller) -> Request:
    path = f"/flashcards/{card_of(maria, deck_of(maria))}/reviews"
    body = {"id": str(ULID()), "rating": "good", "reviewedAt": AT.isoformat()}
    return lambda: maria.post(path, body)


def undo(maria: Caller) -> Request:
    card_id = card_of(maria, deck_of(maria))
    for minute in range(2):
        at = AT + timedelta(minutes=minute)
        body = {"id": str(ULID()), "rating": "good", "reviewedAt": at.isoformat()}
        maria.makes(f"/flashcards/{card_id}/reviews", body)
    void = {"id": str(ULID())}
    return lambda: maria.post(f"/flashcards/{card_id}/undo", void)


def turn(maria: Caller) -> Request:
    scenarios.load_scenarios([of_pack(COFFEE)], now=now())
    session = maria.makes("/sessions", {"scenarioId": COFFEE})
    body = {"id": str(ULID()), "text": model_answers(COFFEE, session["role"])[0]}
    return lambda: maria.post(f"/sessions/{session['id']}/turns", body)


def session(maria: Caller) -> Request:
    scenarios.load_scenarios([of_pack(COFFEE)], now=now())
    body = {"id": str(ULID()), "scenarioId": COFFEE}
    return lambda: maria.post("/sessions", body)


def state(maria: Caller) -> dict[str, Any]:
    """A learner's items, with the parts alone that are alike in every run."""
    cards = listed(maria, "/flashcards")
    practice = [maria.get(f"/sessions/{each['id']}").json() for each in listed(maria, "/sessions")]
    statistics = maria.get("/statistics").json()
    return {
        "decks": sorted(deck["name"] for deck in listed(maria, "/decks")),
        "cards": sorted((c["front"], c["state"], c["reps"], c["lapses"]) for c in cards),
        "log": sorted((e["kind"], str(e["rating"])) for e in listed(maria, "/reviews")),
        "sessions": [(s["status"], [t["text"] for t in s["turns"]]) for s in practice],
        "statistics": [statistics[name] for name in ("totals", "ratings", "cardsLearned")],
    }


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["ThrottlingException", LOST], ids=["refused", "lost"])
@pytest.mark.parametrize("journey", [bulk, copy, file, batch, review, undo, turn, session])
def test_what_broke_off_is_done_once_when_sent_again(
    maria: Caller,
    joao: Caller,
    memory_table: MemoryTable,
    journey: Callable[[Caller], Request],
    fault: Exception | str,
) -> None:
    """This holds whichever of its writes fails, before or after DynamoDB made it."""
    assert journey(joao)().status_code < 300
    wanted = state(joao)
    request, allowed = journey(maria), 0

    def break_off(operation: str) -> Exception | str | None:
        nonlocal allowed
        if operation not in WRITES:
            return None
        allowed -= 1
        return fault if allowed < 0 else None

    answers = []
    for allowance in range(20):
        allowed = allowance  # each attempt gets one write further than the one before
        memory_table.fault = break_off
        answers.append(request().status_code)
        memory_table.fault = lambda operation: None
        if answers[-1] < 300:
            break
    assert len(answers) > 1, "nothing was broken off"
    assert answers[-1] < 300
    assert all(code in (503, 504) for code in answers[:-1])
    assert state(maria) == wanted
