"""If-None-Match: what a device has already is answered by 304."""

import pytest

from tests.callers import Caller
from tests.reminder_helpers import event_of
from tests.test_flashcards import card_of, deck_of

AGAIN = ["/decks", "/profile", "/scheduler", "/scenarios", "/statistics", "/starter-decks"]


@pytest.mark.parametrize("path", AGAIN)
def test_what_has_not_changed_is_304_without_a_body(maria: Caller, path: str) -> None:
    deck_of(maria)
    first = maria.get(path)
    assert (first.status_code, first["Cache-Control"]) == (200, "private, no-cache")
    again = maria.get(path, If_None_Match=first["ETag"])
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert again["Cache-Control"] == "private, no-cache"
    assert {"Authorization", "Accept"} <= set(again["Vary"].split(", "))
    assert again["X-Request-Id"] != first["X-Request-Id"]


def test_the_tag_of_a_deck_begins_with_its_version_and_serves_both_headers(maria: Caller) -> None:
    path = f"/decks/{deck_of(maria)}"
    seen = maria.get(path)["ETag"]
    assert maria.get(path, If_None_Match=seen).status_code == 304
    assert maria.patch(path, {"name": "Novo"}, If_Match=seen).status_code == 200
    changed = maria.get(path, If_None_Match=seen)
    assert (changed.status_code, changed.json()["name"]) == (200, "Novo")
    assert changed["ETag"].startswith('"2-')
    assert maria.patch(path, {"name": "Velho"}, If_Match=seen).status_code == 412


def test_changes_are_304_until_there_are_some(maria: Caller) -> None:
    deck_id = deck_of(maria)
    body = maria.get("/changes").json()
    while body["more"]:
        body = maria.get(f"/changes?since={body['cursor']}").json()
    path = f"/changes?since={body['cursor']}"
    seen = maria.get(path)["ETag"]
    assert maria.get(path, If_None_Match=seen).status_code == 304
    card_of(maria, deck_id)
    assert maria.get(path, If_None_Match=seen).status_code == 200


def test_another_learners_tag_says_nothing(maria: Caller, joao: Caller) -> None:
    for path in ("/decks", "/scheduler", "/statistics"):
        seen = maria.get(path)["ETag"]
        answer = joao.get(path, If_None_Match=seen)
        assert (answer.status_code, answer["ETag"] == seen) == (200, False), path


def test_what_is_not_read_again_and_what_failed_is_not_kept(maria: Caller) -> None:
    event_of(maria)
    for path in ("/events", "/flashcards/due", "/decks/01M7XVB2S6W6PEBKZSJ6B0Y3PX"):
        assert maria.get(path)["Cache-Control"] == "no-store", path
    assert maria.get("/decks?limit=0")["Cache-Control"] == "no-store"


def test_browsers_may_ask_other_origins_with_a_tag(maria: Caller) -> None:
    asked = maria.client.options(
        "/decks",
        headers={
            "Origin": "http://localhost:5173",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization,if-none-match",
        },
    )
    assert "if-none-match" in asked["Access-Control-Allow-Headers"]
    seen = maria.get("/decks", Origin="http://localhost:5173")
    assert "etag" in seen["Access-Control-Expose-Headers"]
    again = maria.get("/decks", Origin="http://localhost:5173", If_None_Match=seen["ETag"])
    assert again["Access-Control-Allow-Origin"] == "http://localhost:5173"
