"""Decks and flashcards over HTTP."""

from typing import Any

from tests.conftest import Caller


def deck_of(caller: Caller, **fields: Any) -> str:
    return str(caller.makes("/decks", {"name": "Português"} | fields)["id"])


def test_a_card_is_made_read_changed_and_deleted(maria: Caller) -> None:
    deck_id = deck_of(maria)
    card = maria.makes("/flashcards", {"deckId": deck_id, "front": "casa", "back": "house"})
    assert (card["state"], card["noteId"], card["version"]) == ("new", card["id"], 1)
    path = f"/flashcards/{card['id']}"
    assert maria.get(path).json() == card
    changed = maria.patch(path, {"back": "house, home", "tags": ["lar"]}).json()
    assert (changed["back"], changed["tags"], changed["version"]) == ("house, home", ["lar"], 2)
    assert maria.delete(path).status_code == 204
    assert maria.get(path).status_code == 404
