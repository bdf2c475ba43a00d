"""`manage.py load_content`, and the starter decks it offers."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from ulid import ULID

from config.stack import Stack
from learning.api.scenarios import NewScenarioSerializer
from learning.models.cards import Card, Note
from learning.services import starters
from tests.callers import Caller
from tests.memory_table import MemoryTable

CONTENT = Path(__file__).parent.parent / "learning" / "content"
SCENARIOS = sorted((CONTENT / "scenarios").glob("*.json"))
DECKS = sorted((CONTENT / "decks").glob("*.json"))
TRAVEL = json.loads((CONTENT / "decks" / "spanish-a1-travel.json").read_text())


def load() -> list[str]:
    output = io.StringIO()
    call_command("load_content", stdout=output)
    return output.getvalue().splitlines()


@pytest.fixture(scope="module")
def restore(moto_stack: Stack, memory_table: MemoryTable) -> Callable[[], None]:
    memory_table.clear()
    load()
    return memory_table.remember()


@pytest.fixture
def loaded(table: None, restore: Callable[[], None]) -> None:
    restore()


def anyone(path: str) -> Any:
    answer = Client().get(path)
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


def test_it_offers_all_scenarios_and_starter_decks_and_says_so(table: None) -> None:
    *each, summary = load()
    assert len(each) == len(SCENARIOS) + len(DECKS)
    assert summary == f"{len(SCENARIOS)} scenarios and {len(DECKS)} starter decks loaded"
    assert len(anyone("/scenarios?limit=100")) == len(SCENARIOS) >= 19
    offered = anyone("/starter-decks")
    assert {deck["id"] for deck in offered} == {path.stem for path in DECKS}
    assert [deck["cardCount"] for deck in offered if deck["id"] == TRAVEL["id"]] == [
        len(TRAVEL["cards"])
    ]


def test_a_second_time_it_changes_nothing(loaded: None) -> None:
    before = [anyone("/scenarios?limit=100"), anyone("/starter-decks")]
    assert load() == ["nothing to change"]
    assert [anyone("/scenarios?limit=100"), anyone("/starter-decks")] == before


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_staff_could_have_written_any_scenario_of_the_pack_over_http(path: Path) -> None:
    script = json.loads(path.read_text())
    shape = NewScenarioSerializer(data=script)
    assert shape.is_valid(), shape.errors
    assert json.loads(json.dumps(shape.validated_data)) == script


def test_a_copy_is_a_deck_to_study_in_the_order_of_its_cards(loaded: None, maria: Caller) -> None:
    deck = maria.makes(f"/starter-decks/{TRAVEL['id']}/copy", {})
    assert (deck["name"], deck["nativeLanguage"], deck["targetLanguage"]) == (
        TRAVEL["name"],
        "en",
        "es",
    )
    due = maria.get(f"/flashcards/due?deckId={deck['id']}&limit=100").json()["results"]
    cards = [each["card"] for each in due]
    assert [card["front"] for card in cards] == [
        card["front"] for card in TRAVEL["cards"][: len(cards)]
    ]
    assert len(cards) == 20  # new cards a day
    for name in ("back", "phonetic", "example", "tags"):
        assert cards[0][name] == TRAVEL["cards"][0][name]
    listed = maria.get(f"/flashcards?deckId={deck['id']}&limit=100").json()["results"]
    assert len(listed) == len(TRAVEL["cards"])


def test_a_copy_sent_again_is_the_same_deck_and_finishes_what_was_left_out(
    loaded: None, maria: Caller
) -> None:
    path, body = f"/starter-decks/{TRAVEL['id']}/copy", {"id": str(ULID())}
    deck = maria.makes(path, body)
    deleted, lost, *_ = maria.get(f"/flashcards?deckId={deck['id']}").json()["results"]
    maria.delete(f"/flashcards/{deleted['id']}")
    for kind in (Card, Note):  # as if the request that made it had broken off before
        kind.get_or_none(*kind.key(maria.id, lost["id"])).delete()  # type: ignore[union-attr]
    assert maria.makes(path, body) == deck
    listed = maria.get(f"/flashcards?deckId={deck['id']}&limit=100").json()["results"]
    found = {card["id"] for card in listed}
    assert (lost["id"] in found, deleted["id"] in found) == (True, False)
    assert len(maria.get("/decks").json()["results"]) == 1


def test_another_starter_deck_with_the_same_id_is_409(loaded: None, maria: Caller) -> None:
    body = {"id": str(ULID())}
    maria.makes(f"/starter-decks/{TRAVEL['id']}/copy", body)
    other = next(path.stem for path in DECKS if path.stem != TRAVEL["id"])
    answer = maria.post(f"/starter-decks/{other}/copy", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "ID_TAKEN")


def test_the_id_of_a_deleted_deck_is_409(loaded: None, maria: Caller) -> None:
    path, body = f"/starter-decks/{TRAVEL['id']}/copy", {"id": str(ULID())}
    deck = maria.makes(path, body)
    assert maria.delete(f"/decks/{deck['id']}?cards=delete").status_code == 204
    answer = maria.post(path, body)
    assert (answer.status_code, answer.json()["code"]) == (409, "ID_TAKEN")


def test_two_learners_copies_are_apart(loaded: None, maria: Caller, joao: Caller) -> None:
    path, body = f"/starter-decks/{TRAVEL['id']}/copy", {"id": str(ULID())}
    deck = maria.makes(path, body)
    assert joao.get(f"/decks/{deck['id']}").status_code == 404
    assert joao.makes(path, body)["id"] == deck["id"]


@pytest.mark.parametrize("id", ["nowhere", "x" * 61, "x" * 4000])
def test_an_unknown_starter_deck_is_404(loaded: None, maria: Caller, id: str) -> None:
    assert maria.post(f"/starter-decks/{id}/copy", {}).status_code == 404
    assert maria.get("/decks").json()["results"] == []


def test_a_copy_needs_a_learner_and_a_well_formed_id(loaded: None, maria: Caller) -> None:
    path = f"/starter-decks/{TRAVEL['id']}/copy"
    assert Client().post(path, {}, "application/json").status_code == 401
    answer = maria.post(path, {"id": "mine"})
    assert [error["field"] for error in answer.json()["errors"]] == ["id"]


def test_a_new_edition_leaves_copies_as_they_are(loaded: None, maria: Caller) -> None:
    path = f"/starter-decks/{TRAVEL['id']}/copy"
    deck = maria.makes(path, {})
    edition = TRAVEL | {"name": "On the road", "cards": TRAVEL["cards"][:5]}
    assert starters.load_starter_decks([edition]) == [TRAVEL["id"]]
    assert maria.get(f"/decks/{deck['id']}").json() == deck
    made = maria.makes(path, {})
    assert made["name"] == "On the road"
    assert len(maria.get(f"/flashcards?deckId={made['id']}").json()["results"]) == 5
