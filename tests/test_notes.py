"""/notes: reversed and cloze notes, and their cards."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from ulid import ULID

from tests.callers import Caller, access_token
from tests.test_flashcards import card_of, deck_of
from tests.test_holding import due
from tests.test_reviews import START, review, set_long_ago, state_of
from tests.test_undo import undo

DAY = timedelta(days=1)
CLOZE = "{{c1::Lisboa}} fica no {{c2::Tejo}}."


def note_of(caller: Caller, deck_id: str, **fields: Any) -> dict[str, Any]:
    note = {"deckId": deck_id, "type": "cloze", "front": CLOZE} | fields
    made: dict[str, Any] = caller.makes("/notes", note)
    return made


def old_note(caller: Caller, deck_id: str, **fields: Any) -> dict[str, Any]:
    with time_machine.travel(START - DAY, tick=False):
        return note_of(Caller(caller.id, access_token(caller.id)), deck_id, **fields)


def shown(note: Any) -> list[tuple[str, str]]:
    return [(card["front"], card["back"]) for card in note["cards"]]


def test_a_reversed_note_asks_both_ways(maria: Caller) -> None:
    note = note_of(maria, deck_of(maria), type="reversed", front="casa", back="house", tags=["lar"])
    assert shown(note) == [("casa", "house"), ("house", "casa")]
    assert [card["id"] for card in note["cards"]] == [f"{note['id']}.0", f"{note['id']}.1"]
    for card in note["cards"]:
        assert (card["noteId"], card["tags"], card["state"]) == (note["id"], ["lar"], "new")
        assert maria.get(f"/flashcards/{card['id']}").json() == card
    assert maria.get(f"/notes/{note['id']}").json() == note


def test_a_cloze_note_asks_for_each_number(maria: Caller) -> None:
    note = note_of(maria, deck_of(maria), back="Portugal")
    whole = "Lisboa fica no Tejo.\n\nPortugal"
    assert shown(note) == [("[…] fica no Tejo.", whole), ("Lisboa fica no […].", whole)]
    assert [card["ordinal"] for card in note["cards"]] == [0, 1]


def test_a_basic_note_is_its_one_card(maria: Caller) -> None:
    deck_id = deck_of(maria)
    note = note_of(maria, deck_id, type="basic", front="casa", back="house")
    (card,) = note["cards"]
    assert card["id"] == note["id"]
    path = f"/notes/{note['id']}"
    changed = maria.patch(path, {"back": "home"}, If_Match='"1"').json()
    assert changed["cards"][0]["back"] == changed["back"] == "home"
    assert changed["type"] == "basic"
    assert maria.get("/notes").json()["results"] == []
    assert maria.delete(path).status_code == 204
    assert maria.get(f"/flashcards/{note['id']}").status_code == 404


def test_a_note_sent_again_with_its_id_is_the_same_note(maria: Caller) -> None:
    deck_id, note_id = deck_of(maria), str(ULID())
    first = note_of(maria, deck_id, id=note_id)
    assert note_of(maria, deck_id, id=note_id) == first
    other = maria.post(
        "/notes", {"id": note_id, "deckId": deck_id, "type": "cloze", "front": "{{c1::a}}"}
    )
    assert (other.status_code, other.json()["code"]) == (409, "ID_TAKEN")
    assert len(maria.get("/notes").json()["results"]) == 1


def test_editing_a_note_changes_all_its_cards_and_leaves_their_memory(maria: Caller) -> None:
    deck_id, other = deck_of(maria), deck_of(maria)
    note = note_of(maria, deck_id)
    review(maria, note["cards"][0]["id"], "easy")
    studied = state_of(maria, note["cards"][0]["id"])
    changes = {"front": "{{c1::Porto}} fica no {{c2::Douro}}.", "deckId": other, "tags": ["rio"]}
    changed = maria.patch(f"/notes/{note['id']}", changes).json()
    assert [front for front, _ in shown(changed)] == ["[…] fica no Douro.", "Porto fica no […]."]
    assert {(card["deckId"], *card["tags"]) for card in changed["cards"]} == {(other, "rio")}
    assert state_of(maria, note["cards"][0]["id"]) == studied
    assert maria.get(f"/flashcards?deckId={deck_id}").json()["results"] == []
    assert changed["version"] == 2


def test_clozes_added_and_removed_add_and_remove_cards(maria: Caller) -> None:
    note = note_of(maria, deck_of(maria))
    path, second = f"/notes/{note['id']}", note["cards"][1]["id"]
    review(maria, second, "easy")
    studied = state_of(maria, second)
    changed = maria.patch(path, {"front": "{{c1::Lisboa}} fica no {{c3::Tejo}}."}).json()
    assert [card["ordinal"] for card in changed["cards"]] == [0, 2]
    assert maria.get(f"/flashcards/{second}").status_code == 404
    # Brought back, the card is where its log left it, and goes on from there.
    assert len(maria.patch(path, {"front": CLOZE}).json()["cards"]) == 2
    assert state_of(maria, second) == studied
    undo(maria, second)
    assert state_of(maria, second)["state"] == "new"


def test_a_lost_race_of_two_edits_is_refused(maria: Caller) -> None:
    note = note_of(maria, deck_of(maria))
    path = f"/notes/{note['id']}"
    assert maria.patch(path, {"back": "um"}, If_Match='"1"').status_code == 200
    assert maria.patch(path, {"back": "dois"}, If_Match='"1"').status_code == 412
    assert maria.delete(path, If_Match='"1"').status_code == 412


def test_deleting_a_note_deletes_its_cards_and_keeps_their_reviews(maria: Caller) -> None:
    note = note_of(maria, deck_of(maria))
    review(maria, note["cards"][0]["id"])
    assert maria.delete(f"/notes/{note['id']}").status_code == 204
    assert maria.get(f"/notes/{note['id']}").status_code == 404
    assert maria.get("/flashcards").json()["results"] == []
    assert len(maria.get("/reviews").json()["results"]) == 1


@pytest.mark.parametrize("verb", ["patch", "put", "delete"])
def test_one_card_of_several_is_not_changed_alone(maria: Caller, verb: str) -> None:
    deck_id = deck_of(maria)
    card = note_of(maria, deck_id)["cards"][0]
    body = None if verb == "delete" else {"deckId": deck_id, "front": "a", "back": "b"}
    answer = maria.send(verb, f"/flashcards/{card['id']}", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "CARD_OF_NOTE")


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"front": "no cloze"}, "front", "no_cloze"),
        ({"front": "{{c1::" * 11 + "a" + "}}" * 11}, "front", "nested_cloze"),
        ({"type": "reversed", "back": " "}, "back", "blank"),
        ({"type": "reversed", "back": "\u200b"}, "back", "blank"),
        ({"type": "basic"}, "back", "blank"),
        ({"type": "basic", "back": "\u2066"}, "back", "blank"),
        ({"type": "picture"}, "type", "invalid_choice"),
        ({"front": "x" * 10_001}, "front", "max_length"),
        ({"surprise": 1}, "surprise", "unknown_field"),
    ],
)
def test_a_note_that_makes_no_cards_is_refused(
    maria: Caller, fields: dict[str, Any], field: str, code: str
) -> None:
    note = {"deckId": deck_of(maria), "type": "cloze", "front": CLOZE} | fields
    answer = maria.post("/notes", note)
    assert answer.status_code == 400, answer.content
    error = answer.json()["errors"][0]
    assert (error["field"], error["code"]) == (field, code)
    assert maria.get("/flashcards").json()["results"] == []


def test_a_note_needs_a_deck_of_ones_own(maria: Caller, joao: Caller) -> None:
    answer = maria.post("/notes", {"deckId": deck_of(joao), "type": "cloze", "front": CLOZE})
    assert answer.json()["code"] == "UNKNOWN_DECK"


def test_notes_follow_their_deck(maria: Caller) -> None:
    deck_id, other = deck_of(maria), deck_of(maria)
    note = note_of(maria, deck_id)
    assert maria.delete(f"/decks/{deck_id}?moveTo={other}").status_code == 204
    moved = maria.get(f"/notes/{note['id']}").json()
    assert {moved["deckId"], *(card["deckId"] for card in moved["cards"])} == {other}
    assert maria.delete(f"/decks/{other}?cards=delete").status_code == 204
    assert maria.get(f"/notes/{note['id']}").status_code == 404


# --- Siblings ----------------------------------------------------------------------------------


def test_a_note_shows_one_of_its_cards_a_day(maria: Caller) -> None:
    deck_id = deck_of(maria)
    first, second = (card["id"] for card in old_note(maria, deck_id)["cards"])
    assert due(maria) == [first]
    with time_machine.travel(START, tick=False):
        then = Caller(maria.id, access_token(maria.id))
        assert review(then, first, "easy", START).status_code == 201
    assert due(maria) == []
    buried = maria.get(f"/flashcards/{second}").json()
    assert buried["buriedUntil"] == "2026-03-03T04:00:00Z"
    assert due(maria, START + DAY) == [second]


def test_undoing_the_review_shows_the_siblings_again(maria: Caller) -> None:
    first, second = (card["id"] for card in old_note(maria, deck_of(maria))["cards"])
    with time_machine.travel(START, tick=False):
        then = Caller(maria.id, access_token(maria.id))
        review(then, first, "easy", START)
        undo(then, first)
    assert maria.get(f"/flashcards/{second}").json()["buriedUntil"] is None
    assert due(maria) == [first]


def test_siblings_are_shown_together_where_the_learner_wants_so(maria: Caller) -> None:
    set_long_ago(maria, {"burySiblings": False})
    first, second = (card["id"] for card in old_note(maria, deck_of(maria))["cards"])
    assert due(maria) == [first, second]
    with time_machine.travel(START, tick=False):
        review(Caller(maria.id, access_token(maria.id)), first, "easy", START)
    assert due(maria) == [second]


# --- Many at once ------------------------------------------------------------------------------


def test_cards_are_made_each_for_itself(maria: Caller) -> None:
    deck_id = deck_of(maria)
    good = {"id": str(ULID()), "deckId": deck_id, "front": "casa", "back": "house"}
    sent = [
        good,
        good,
        good | {"back": "home"},
        {"deckId": str(ULID()), "front": "a", "back": "b"},
        {"deckId": deck_id, "front": "a"},
        {"deckId": deck_id, "front": "mesa", "back": "table"},
    ]
    answer = maria.post("/flashcards/bulk", {"cards": sent})
    assert answer.status_code == 200, answer.content
    results = answer.json()["results"]
    assert [each["status"] for each in results] == [
        *("created", "duplicate", "rejected", "rejected", "rejected", "created")
    ]
    problems = [each["problem"] and each["problem"]["code"] for each in results]
    assert problems == [None, None, "ID_TAKEN", "UNKNOWN_DECK", "VALIDATION_ERROR", None]
    assert results[0]["card"] == maria.get(f"/flashcards/{good['id']}").json()
    again = maria.post("/flashcards/bulk", {"cards": [good]}).json()["results"]
    assert [each["status"] for each in again] == ["duplicate"]
    assert len(maria.get("/flashcards").json()["results"]) == 2


def test_more_cards_than_a_transaction_takes_come_up_as_they_were_sent(maria: Caller) -> None:
    deck_id = deck_of(maria)
    fronts = [f"palavra {n}" for n in range(50, 0, -1)]
    cards = [{"deckId": deck_id, "front": front, "back": "word"} for front in fronts]
    results = maria.post("/flashcards/bulk", {"cards": cards}).json()["results"]
    assert [each["card"]["front"] for each in results] == fronts
    maria.patch("/scheduler", {"newCardsPerDay": 100})
    queue = maria.get("/flashcards/due?limit=100").json()["results"]
    assert [each["card"]["front"] for each in queue] == fronts


@pytest.mark.parametrize("cards", [[], [{}] * 501, None])
def test_a_list_has_one_to_500_cards(maria: Caller, cards: Any) -> None:
    answer = maria.post("/flashcards/bulk", {"cards": cards})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "cards")


def test_a_deck_is_copied_with_its_notes_and_none_of_its_study(maria: Caller) -> None:
    deck_id = deck_of(maria, newCardsPerDay=7)
    casa = card_of(maria, deck_id, "casa", tags=["lar"])
    note = note_of(maria, deck_id)
    review(maria, casa, "easy")
    body = {"id": str(ULID()), "name": "Cópia"}
    copy = maria.makes(f"/decks/{deck_id}/duplicate", body)
    assert (copy["id"], copy["name"], copy["newCardsPerDay"]) == (body["id"], "Cópia", 7)
    assert maria.makes(f"/decks/{deck_id}/duplicate", body) == copy
    cards = maria.get(f"/flashcards?deckId={copy['id']}").json()["results"]
    assert sorted(card["front"] for card in cards) == sorted(
        ["casa", *(front for front, _ in shown(note))]
    )
    assert {card["state"] for card in cards} == {"new"}
    (copied_id,) = {card["noteId"] for card in cards if "." in card["id"]}
    copied = maria.get(f"/notes/{copied_id}").json()
    assert (copied["front"], shown(copied)) == (note["front"], shown(note))
    assert len(maria.get(f"/flashcards?deckId={deck_id}").json()["results"]) == 3


def test_a_copy_needs_an_id_that_is_free(maria: Caller) -> None:
    deck_id = deck_of(maria)
    answer = maria.post(f"/decks/{deck_id}/duplicate", {"id": deck_id})
    assert answer.json()["code"] == "ID_TAKEN"
