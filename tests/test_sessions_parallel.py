"""Sessions on DynamoDB's own engine: simultaneous requests, and costs."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.utils.timezone import now
from ulid import ULID

from accounts.models.account import account_cache
from config.stack import Stack
from learning.services import scenarios
from tests.callers import Caller, make_learner
from tests.ruler import counted
from tests.test_flashcards import deck_of
from tests.test_sessions import COFFEE, of_pack

pytestmark = pytest.mark.server


@pytest.fixture
def ana(dynamodb_local: Stack) -> Caller:
    account_cache.forget()
    scenarios.load_scenarios([of_pack(COFFEE)], now=now())
    caller = make_learner("ana")
    assert caller.get("/decks").status_code == 200  # the account's state is known from here on
    return caller


@pytest.fixture
def session(ana: Caller) -> str:
    """The path of a session that Ana has begun."""
    return f"/sessions/{ana.makes('/sessions', {'scenarioId': COFFEE})['id']}"


def test_parallel_turns_neither_collide_nor_skip(session: str, ana: Caller) -> None:
    texts = [f"Hello, how are you {number}?" for number in range(8)]

    def say(text: str) -> Any:
        return Caller(ana.id, ana.token).post(f"{session}/turns", {"text": text})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(say, texts))
    assert [answer.status_code for answer in answers] == [201] * 8
    numbers = [answer.json()["turn"]["number"] for answer in answers]
    assert sorted(numbers) == list(range(1, 9))
    read = ana.get(session).json()
    assert [turn["number"] for turn in read["turns"]] == list(range(1, 9))
    assert {turn["text"] for turn in read["turns"]} == set(texts)


def test_one_turn_sent_by_many_at_once_is_said_once(session: str, ana: Caller) -> None:
    body = {"id": str(ULID()), "text": "A coffee, please."}

    def say(_: int) -> Any:
        return Caller(ana.id, ana.token).post(f"{session}/turns", body)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(say, range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({json.dumps(answer.json()["turn"]) for answer in answers}) == 1
    assert ana.get(session).json()["turnCount"] == 1


def test_a_turn_that_comes_with_the_completion_is_judged_or_refused(
    session: str, ana: Caller
) -> None:
    ana.makes(f"{session}/turns", {"text": "A coffee, please."})

    def act(path: str) -> Any:
        body = {"text": "A large one, please."}
        return Caller(ana.id, ana.token).post(f"{session}/{path}", body)

    with ThreadPoolExecutor(4) as pool:
        done, *turns = pool.map(act, ["complete", "turns", "turns", "turns"])
    taken = 1 + sum(answer.status_code == 201 for answer in turns)
    assert {answer.status_code for answer in turns} <= {201, 409}
    assert (done.json()["turnCount"], len(done.json()["turns"])) == (taken, taken)
    assert ana.get(session).json()["turnCount"] == taken


def test_parallel_hints_are_all_counted(session: str, ana: Caller) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda _: Caller(ana.id, ana.token).post(f"{session}/hint"), range(4))
        )
    assert sorted(answer.json()["hintsUsed"] for answer in answers) == [1, 2, 3, 4]


def test_sessions_begun_at_once_are_all_counted(ana: Caller) -> None:
    body = {"scenarioId": COFFEE}
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(lambda _: Caller(ana.id, ana.token).post("/sessions", body), range(12))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert ana.get(f"/scenarios/{COFFEE}").json()["sessions"] == 12


def test_what_each_request_of_a_session_costs(session: str, ana: Caller) -> None:
    """The process has the script already, as after its first request."""
    deck_id, said = deck_of(ana), {"text": "Can I have a coffee, please?"}
    phrase = {"deckId": deck_id, "turn": 1, "front": "a coffee", "back": "um café"}
    calls = {}
    for name, method, path, body in (
        ("begin", "post", "/sessions", {"scenarioId": COFFEE}),
        ("say", "post", f"{session}/turns", said),
        ("hint", "post", f"{session}/hint", None),
        ("save", "post", f"{session}/flashcards", phrase),
        ("read", "get", session, None),
        ("complete", "post", f"{session}/complete", None),
        ("list", "get", "/sessions", None),
        ("scenario", "get", f"/scenarios/{COFFEE}", None),
        ("catalogue", "get", "/scenarios", None),
    ):
        with counted() as spent:
            assert ana.send(method, path, body).status_code in (200, 201)
        calls[name] = spent.calls
    assert calls == {
        "begin": ["BatchGetItem", "TransactWriteItems", "UpdateItem"],
        "say": ["BatchGetItem", "TransactWriteItems"],
        "hint": ["BatchGetItem", "TransactWriteItems"],
        "save": ["BatchGetItem", "BatchGetItem", "TransactWriteItems"],
        "read": ["BatchGetItem", "Query"],
        "complete": ["BatchGetItem", "Query", "TransactWriteItems"],
        "list": ["Query"],
        "scenario": ["BatchGetItem"],
        "catalogue": ["Query"],
    }


def test_a_page_of_the_catalogue_costs_little_whatever_the_scripts_hold(ana: Caller) -> None:
    with counted() as spent:
        ana.get("/scenarios?limit=100")
    assert spent.units <= 1  # what is shown of a scenario is under 2 KB, its script some 10 KB
