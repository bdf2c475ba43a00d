"""docs/compatibility.md: the document keeps what was promised, and what goes says so before."""

import gzip
import json
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from typing import Any

import pytest
from django.test import RequestFactory
from rest_framework.response import Response

from config.operations import Deprecated, operation
from config.stack import BASE_DIR
from config.viewsets import AnonymousView
from tests.compatibility import breaking
from tests.contract import contract

TODAY = date(2026, 12, 1)


@pytest.fixture(scope="module")
def promised() -> dict[str, Any]:
    with gzip.open(BASE_DIR / "tests/data/contract-1.json.gz") as file:
        document: dict[str, Any] = json.load(file)
    return document


def test_the_document_breaks_nothing_that_was_promised(promised: dict[str, Any]) -> None:
    assert breaking(promised, contract(), date.today()) == [], "see docs/compatibility.md"  # noqa: DTZ011


def deck(document: dict[str, Any]) -> Any:
    return document["components"]["schemas"]["Deck"]


def new_deck(document: dict[str, Any]) -> Any:
    return document["components"]["schemas"]["NewDeckRequest"]


def delete(part: Any, name: str) -> None:
    del part[name]


CHANGES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "an operation": (lambda d: delete(d["paths"], "/statistics"), "GET /statistics: is gone"),
    "a name": (
        lambda d: d["paths"]["/decks"]["get"].update(operationId="decks"),
        "GET /decks: is called decks",
    ),
    "a token": (
        lambda d: d["paths"]["/auth/login"]["post"].update(security=[{"accessToken": []}]),
        "POST /auth/login: needs a token",
    ),
    "a parameter": (
        lambda d: d["paths"]["/statistics"]["get"].update(parameters=[]),
        "GET /statistics: does not take days",
    ),
    "a body's kind": (
        lambda d: d["paths"]["/decks"]["post"]["requestBody"].update(content={}),
        "POST /decks body: is not taken as application/json",
    ),
    "a success": (
        lambda d: delete(d["paths"]["/decks"]["post"]["responses"], "201"),
        "POST /decks: no longer answers 201",
    ),
    "a field of an answer": (
        lambda d: delete(deck(d)["properties"], "name"),
        "GET /changes 200.results[].data.name: is gone",
    ),
    "what is always there": (
        lambda d: deck(d)["required"].remove("name"),
        "GET /changes 200.results[].data.name: may be missing",
    ),
    "a null": (
        lambda d: deck(d)["properties"]["name"].update(type=["string", "null"]),
        "GET /changes 200.results[].data.name: may be null",
    ),
    "a field of a request": (
        lambda d: delete(new_deck(d)["properties"], "description"),
        "POST /decks body.description: is not taken",
    ),
    "a field that is needed": (
        lambda d: new_deck(d)["required"].append("description"),
        "POST /decks body.description: is needed",
    ),
    "a length": (
        lambda d: new_deck(d)["properties"]["name"].update(maxLength=3),
        "POST /decks body.name: has maxLength 3, was 500",
    ),
    "a type": (
        lambda d: new_deck(d)["properties"]["name"].update(type="number"),
        "POST /decks body.name: may not be string",
    ),
    "a kind": (
        lambda d: d["components"]["schemas"]["NewReminderRequest"]["oneOf"].pop(),
        "POST /reminders body: has fewer shapes",
    ),
    "a value": (
        lambda d: d["components"]["schemas"]["RatingEnum"]["enum"].remove("hard"),
        "POST /flashcards/{id}/reviews body.rating: may not be hard",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_breaks_clients_is_found(promised: dict[str, Any], what: str) -> None:
    change, told = CHANGES[what]
    document = deepcopy(promised)
    change(document)
    found = breaking(promised, document, TODAY)
    assert told in found, found


def test_what_only_adds_breaks_nothing(promised: dict[str, Any]) -> None:
    document = deepcopy(promised)
    document["paths"]["/languages"] = document["paths"]["/decks"]
    deck(document)["properties"]["colour"] = {"type": "string"}
    new_deck(document)["properties"]["colour"] = {"type": "string"}
    document["components"]["schemas"]["CardState"]["enum"].append("resting")
    assert breaking(promised, document, TODAY) == []


def test_an_operation_may_go_after_its_sunset(promised: dict[str, Any]) -> None:
    told = deepcopy(promised)
    told["paths"]["/statistics"]["get"]["x-sunset"] = "2026-12-01"
    without = deepcopy(told)
    del without["paths"]["/statistics"]
    assert breaking(told, without, date(2026, 11, 30)) == ["GET /statistics: is gone"]
    assert breaking(told, without, TODAY) == []


class OldView(AnonymousView):
    @operation(
        "oldThing",
        answers={200: None},
        public=True,
        deprecated=Deprecated(date(2027, 1, 1), date(2027, 7, 1), "newThing"),
    )
    def get(self, request: Any) -> Response:
        return Response({})


def test_each_answer_of_what_is_to_go_says_so() -> None:
    answer = OldView.as_view()(RequestFactory().get("/old"))
    assert answer["Deprecation"] == "@1798761600"
    assert answer["Sunset"] == "Thu, 01 Jul 2027 00:00:00 GMT"
    assert answer["Link"] == '</docs#newThing>; rel="successor-version"'
