"""/flashcards but for study."""

from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from ulid import ULID

from tests.callers import Caller


def deck_of(caller: Caller, **fields: Any) -> str:
    return str(caller.makes("/decks", {"name": "Português"} | fields)["id"])


def card_of(caller: Caller, deck_id: str, front: str = "casa", **fields: Any) -> str:
    card = {"deckId": deck_id, "front": front, "back": "house"}
    return str(caller.makes("/flashcards", card | fields)["id"])


def fronts(caller: Caller, query: str) -> list[str]:
    """The fronts of a whole list, page by page."""
    path, seen = f"/flashcards?{query}", []
    while path:
        answer = caller.get(path)
        assert answer.status_code == 200, answer.content
        seen += [card["front"] for card in answer.json()["results"]]
        path = answer.json()["next"]
    return seen


WHOLE = {
    "front": "a casa",
    "back": "the house",
    "phonetic": "ɐ ˈka.zɐ",
    "example": "A casa é branca.",
    "notes": "feminine",
    "tags": ["lar", "A1"],
    "audioUrl": "https://example.org/casa.mp3",
    "imageUrl": "https://example.org/casa.png",
    "sourceSessionId": "01J8Z3M4S5T6V7W8X9Y0Z1A2B3",
    "sourceTurn": 4,
}


def test_a_card_is_made_read_changed_and_deleted(maria: Caller) -> None:
    card = maria.makes("/flashcards", WHOLE | {"deckId": deck_of(maria)})
    assert {name: card[name] for name in WHOLE} == WHOLE
    assert (card["state"], card["noteId"], card["ordinal"]) == ("new", card["id"], 0)
    assert (card["reps"], card["stability"], card["suspended"]) == (0, None, False)
    path = f"/flashcards/{card['id']}"
    assert maria.get(path).json() == card
    changed = maria.patch(path, {"back": "house, home"}).json()
    assert changed == card | {
        "back": "house, home",
        "version": 2,
        "updatedAt": changed["updatedAt"],
    }
    assert maria.delete(path).status_code == 204
    assert maria.get(path).status_code == 404
    assert maria.delete(path).status_code == 404


def test_put_gives_what_is_left_out_its_default(maria: Caller) -> None:
    deck_id = deck_of(maria)
    card = maria.makes("/flashcards", WHOLE | {"deckId": deck_id})
    body = {"deckId": deck_id, "front": "casa", "back": "house"}
    replaced = maria.put(f"/flashcards/{card['id']}", body).json()
    assert (replaced["tags"], replaced["phonetic"], replaced["dueAt"]) == ([], None, card["dueAt"])


@pytest.mark.parametrize("made_id", [str(ULID()), str(uuid4())], ids=["ulid", "uuid"])
def test_a_card_sent_again_with_its_id_is_the_same_card(maria: Caller, made_id: str) -> None:
    body = WHOLE | {"deckId": deck_of(maria), "id": made_id}
    first = maria.post("/flashcards", body)
    changed = maria.patch(f"/flashcards/{made_id}", {"back": "home"}).json()
    again = maria.post("/flashcards", body)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == changed
    other = maria.post("/flashcards", body | {"back": "hut"})
    assert (other.status_code, other.json()["code"]) == (409, "ID_TAKEN")


def test_the_id_of_a_deleted_card_is_not_used_again(maria: Caller) -> None:
    body = WHOLE | {"deckId": deck_of(maria), "id": str(ULID())}
    maria.makes("/flashcards", body)
    maria.delete(f"/flashcards/{body['id']}")
    assert maria.post("/flashcards", body).json()["code"] == "ID_TAKEN"


@pytest.mark.parametrize("verb", ["post", "put", "patch"])
def test_a_card_does_not_go_into_a_deck_that_is_not_there(maria: Caller, verb: str) -> None:
    card_id = card_of(maria, deck_of(maria))
    path = "/flashcards" if verb == "post" else f"/flashcards/{card_id}"
    body = {"deckId": str(ULID()), "front": "mesa", "back": "table"}
    answer = maria.send(verb, path, body)
    assert (answer.status_code, answer.json()["code"]) == (409, "UNKNOWN_DECK")
    assert answer.json()["errors"] == [
        {"field": "deckId", "code": "unknown_deck", "message": "You have no deck with this id."}
    ]


def test_a_card_does_not_go_into_another_learners_deck(maria: Caller, joao: Caller) -> None:
    body = {"deckId": deck_of(maria), "front": "mesa", "back": "table"}
    assert joao.post("/flashcards", body).json()["code"] == "UNKNOWN_DECK"


def test_a_card_moved_to_another_deck_is_listed_there_alone(maria: Caller) -> None:
    old, new = deck_of(maria), deck_of(maria)
    card_id = card_of(maria, old)
    assert maria.patch(f"/flashcards/{card_id}", {"deckId": new}).json()["deckId"] == new
    assert (fronts(maria, f"deckId={old}"), fronts(maria, f"deckId={new}")) == ([], ["casa"])


def test_a_change_on_an_old_version_is_refused(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    path = f"/flashcards/{card_id}"
    assert maria.get(path)["ETag"] == '"1"'
    assert maria.patch(path, {"back": "home"}, If_Match='"1"')["ETag"] == '"2"'
    assert maria.patch(path, {"back": "hut"}, If_Match='"1"').status_code == 412
    assert maria.delete(path, If_Match='"1"').status_code == 412
    assert maria.get(path).json()["back"] == "home"


def test_cards_are_found_by_the_beginning_of_their_front_whatever_the_case(maria: Caller) -> None:
    deck_id = deck_of(maria)
    for front in ("Casa", "casamento", "carro", "Água"):
        card_of(maria, deck_id, front)
    assert fronts(maria, "front=CAS&limit=1") == ["Casa", "casamento"]
    assert fronts(maria, "front=água") == ["Água"]
    assert fronts(maria, "front=z") == []


def test_filters_narrow_one_another(maria: Caller) -> None:
    one, two = deck_of(maria), deck_of(maria)
    card_of(maria, one, "casa", tags=["lar"])
    card_of(maria, one, "mesa", tags=["lar", "sala"])
    card_of(maria, two, "mapa", tags=["sala"])
    assert fronts(maria, f"deckId={one}&tag=sala") == ["mesa"]
    assert fronts(maria, "tag=sala&limit=1") == ["mesa", "mapa"]
    assert fronts(maria, f"front=m&deckId={two}") == ["mapa"]
    assert sorted(fronts(maria, "state=new")) == ["casa", "mapa", "mesa"]
    assert fronts(maria, "state=review") == []
    assert fronts(maria, "suspended=true") == []
    assert len(fronts(maria, "suspended=false&leech=false")) == 3


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("state=fresh", "state"),
        ("deckId=1", "deckId"),
        ("leech=perhaps", "leech"),
        ("colour=red", "colour"),
        ("cursor=nonsense", "cursor"),
    ],
)
def test_a_parameter_that_is_not_valid_is_named(maria: Caller, query: str, field: str) -> None:
    answer = maria.get(f"/flashcards?{query}")
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_cursor_is_of_no_use_in_another_list_or_to_another_learner(
    maria: Caller, joao: Caller
) -> None:
    deck_id = deck_of(maria)
    for front in ("um", "dois"):
        card_of(maria, deck_id, front)
    following = urlsplit(maria.get("/flashcards?limit=1").json()["next"])
    cursor = parse_qs(following.query)["cursor"][0]
    assert maria.get(f"/flashcards?limit=1&cursor={cursor}").status_code == 200
    for answer in (
        maria.get(f"/flashcards?state=new&cursor={cursor}"),
        maria.get(f"/decks?cursor={cursor}"),
        joao.get(f"/flashcards?cursor={cursor}"),
        maria.get(f"/flashcards?cursor={cursor[:-1]}"),
    ):
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["code"] == "invalid_cursor"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("deckId", "x", "invalid"),
        ("deckId", None, "null"),
        ("front", "", "blank"),
        ("front", "f" * 10_001, "max_length"),
        ("back", "b" * 20_001, "max_length"),
        ("back", ["house"], "invalid"),
        ("phonetic", "p" * 2001, "max_length"),
        ("example", "e" * 2001, "max_length"),
        ("notes", "n" * 20_001, "max_length"),
        ("tags", "lar", "not_a_list"),
        ("tags", [f"t{n}" for n in range(101)], "max_length"),
        ("audioUrl", "http://example.org/a.mp3", "invalid"),
        ("audioUrl", "javascript:alert(1)", "invalid"),
        ("imageUrl", "https://" + "e" * 2048 + ".org", "max_length"),
        ("sourceSessionId", "S1", "invalid"),
        ("sourceTurn", 0, "min_value"),
        ("dueIn", 3, "unknown_field"),
    ],
)
def test_a_field_that_is_not_valid_is_named(
    maria: Caller, field: str, value: Any, code: str
) -> None:
    answer = maria.post("/flashcards", WHOLE | {"deckId": deck_of(maria)} | {field: value})
    assert answer.status_code == 400, answer.content
    error = answer.json()["errors"][0]
    assert (error["field"], error["code"]) == (field, code)
    assert maria.get("/flashcards").json()["results"] == []


def test_an_error_inside_a_list_says_where(maria: Caller) -> None:
    answer = maria.post("/flashcards", WHOLE | {"deckId": deck_of(maria), "tags": ["lar", ""]})
    assert answer.json()["errors"][0]["field"] == "tags.1"


def test_a_tag_given_twice_is_kept_once(maria: Caller) -> None:
    body = WHOLE | {"deckId": deck_of(maria), "tags": ["lar", "casa", "lar"]}
    assert maria.makes("/flashcards", body)["tags"] == ["lar", "casa"]
