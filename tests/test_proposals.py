"""/sessions/{id}/proposals: what a session leaves to learn, taken over as cards, each once."""

from typing import Any

import pytest

from tests.callers import Caller
from tests.test_flashcards import deck_of
from tests.test_sessions import coffee, session  # noqa: F401  (fixtures)

SAID = "I want a coffee, please."


@pytest.fixture
def played(session: str, maria: Caller) -> str:  # noqa: F811
    """A session with the same mistake in two turns."""
    for _ in range(2):
        maria.makes(f"{session}/turns", {"text": SAID})
    return session


def proposed(caller: Caller, session: str) -> list[dict[str, Any]]:  # noqa: F811
    answer = caller.get(f"{session}/proposals")
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def accepted(caller: Caller, session: str, deck: str, *ids: str) -> list[Any]:  # noqa: F811
    body = {"deckId": deck} | ({"ids": list(ids)} if ids else {})
    answer = caller.post(f"{session}/proposals", body)
    assert answer.status_code == 200, answer.content
    results: list[Any] = answer.json()["results"]
    return results


def test_corrections_and_new_phrases_are_proposed_once_each(played: str, maria: Caller) -> None:
    found = proposed(maria, played)
    [correction] = [each for each in found if each["reason"] == "correction"]
    assert correction["front"] == "{{c1::I'd like a}} coffee, please."
    assert (correction["type"], correction["turn"], correction["taken"]) == ("cloze", 1, False)
    words = [each for each in found if each["reason"] == "newWord"]
    assert words
    for word in words:
        assert word["front"].lower() in word["example"].lower()
        assert word["back"]
    assert len({each["front"] for each in found}) == len(found)


def test_all_are_taken_over_and_come_up_like_any_card(played: str, maria: Caller) -> None:
    deck, found = deck_of(maria), proposed(maria, played)
    results = accepted(maria, played, deck)
    assert [each["status"] for each in results] == ["created"] * len(found)
    assert [each["id"] for each in results] == [each["id"] for each in found]
    due = maria.get("/flashcards/due?limit=100").json()["results"]
    assert {each["card"]["noteId"] for each in due} == {each["id"] for each in found}
    assert {each["card"]["sourceSessionId"] for each in due} == {played.rpartition("/")[2]}
    again = accepted(maria, played, deck)
    assert [each["status"] for each in again] == ["duplicate"] * len(found)
    assert all(each["taken"] for each in proposed(maria, played))


def test_some_are_taken_over_and_what_is_deleted_stays_so(played: str, maria: Caller) -> None:
    deck, found = deck_of(maria), proposed(maria, played)
    first = found[0]["id"]
    assert [each["status"] for each in accepted(maria, played, deck, first)] == ["created"]
    assert [each["taken"] for each in proposed(maria, played)] == [True] + [False] * (
        len(found) - 1
    )
    assert maria.delete(f"/notes/{first}").status_code == 204
    [refused] = accepted(maria, played, deck, first)
    assert (refused["status"], refused["problem"]["code"]) == ("rejected", "ID_TAKEN")


def test_what_was_not_proposed_and_a_deck_that_is_not_there_are_refused_by_themselves(
    played: str, maria: Caller
) -> None:
    unknown = "0b7a4b8e-5a40-4a43-8f0a-1d0c2c9f6a10"
    [result] = accepted(maria, played, deck_of(maria), unknown)
    assert (result["status"], result["problem"]["code"]) == ("rejected", "NOT_FOUND")
    [first, *_] = proposed(maria, played)
    [result] = accepted(maria, played, unknown, first["id"])
    assert (result["status"], result["problem"]["code"]) == ("rejected", "UNKNOWN_DECK")
