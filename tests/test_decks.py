"""/decks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from ulid import ULID

from config import work
from learning.services import bulk, deck_deletion
from tests.callers import Caller
from tests.memory_table import MemoryTable
from tests.queues import MemoryQueues
from tests.test_flashcards import card_of, deck_of
from tests.wire import sending, telling

WHOLE = {
    "name": "Português A1",
    "description": "Palavras do dia a dia",
    "nativeLanguage": "en",
    "targetLanguage": "pt-PT",
    "newCardsPerDay": 5,
    "reviewsPerDay": 50,
    "desiredRetention": 0.92,
}


def test_a_deck_is_made_read_replaced_and_deleted(maria: Caller) -> None:
    deck = maria.makes("/decks", WHOLE)
    assert {name: deck[name] for name in WHOLE} == WHOLE
    path = f"/decks/{deck['id']}"
    assert maria.get(path).json() == deck
    replaced = maria.put(path, {"name": "Português"}).json()
    assert (replaced["description"], replaced["newCardsPerDay"]) == ("", None)
    assert replaced["version"] == deck["version"] + 1
    assert maria.delete(path).status_code == 204
    assert maria.get(path).status_code == 404


def test_what_was_read_can_be_put_back_as_it_is(maria: Caller) -> None:
    deck = maria.makes("/decks", WHOLE)
    put = maria.put(f"/decks/{deck['id']}", deck)
    assert put.status_code == 200, put.content
    assert {name: put.json()[name] for name in WHOLE} == WHOLE


@pytest.mark.parametrize("made_id", [str(ULID()), str(uuid4())], ids=["ulid", "uuid"])
def test_a_deck_sent_again_with_its_id_is_the_same_deck(maria: Caller, made_id: str) -> None:
    first = maria.post("/decks", WHOLE | {"id": made_id})
    again = maria.post("/decks", WHOLE | {"id": made_id})
    assert (again.status_code, again.json()) == (201, first.json())
    assert len(maria.get("/decks").json()["results"]) == 1


def test_another_deck_with_the_same_id_is_refused(maria: Caller) -> None:
    deck = maria.makes("/decks", WHOLE | {"id": str(ULID())})
    answer = maria.post("/decks", {"name": "Outro", "id": deck["id"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "ID_TAKEN")


def test_the_id_of_a_deleted_deck_is_not_used_again(maria: Caller) -> None:
    deck_id = deck_of(maria)
    maria.delete(f"/decks/{deck_id}")
    answer = maria.post("/decks", {"name": "Outro", "id": deck_id})
    assert answer.json()["code"] == "ID_TAKEN"


def test_two_learners_may_use_the_same_id(maria: Caller, joao: Caller) -> None:
    deck_id = deck_of(maria)
    assert joao.makes("/decks", {"name": "Meu", "id": deck_id})["name"] == "Meu"
    assert maria.get(f"/decks/{deck_id}").json()["name"] == "Português"


def test_a_change_on_an_old_version_is_refused_and_changes_nothing(maria: Caller) -> None:
    deck = maria.post("/decks", WHOLE)
    path = f"/decks/{deck.json()['id']}"
    assert deck["ETag"] == '"1"'
    assert maria.patch(path, {"name": "Um"}, If_Match='"1"').status_code == 200
    for verb, body in (("patch", {"name": "Dois"}), ("put", WHOLE), ("delete", None)):
        answer = maria.send(verb, path, body, If_Match='"1"')
        assert (answer.status_code, answer.json()["code"]) == (412, "PRECONDITION_FAILED")
    assert maria.get(path).json()["name"] == "Um"


@pytest.mark.parametrize("tag", ['W/"1"', "one", '"one"', '"1", "2"', '""', '"1'])
def test_an_if_match_that_is_no_version_is_not_valid(maria: Caller, tag: str) -> None:
    deck_id = deck_of(maria)
    answer = maria.patch(f"/decks/{deck_id}", {"name": "X"}, If_Match=tag)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "If-Match")


def test_any_version_will_do_where_if_match_is_a_star(maria: Caller) -> None:
    deck_id = deck_of(maria)
    assert maria.patch(f"/decks/{deck_id}", {"name": "X"}, If_Match="*").status_code == 200


def test_decks_are_listed_in_pages_without_deleted_ones(maria: Caller) -> None:
    made = [deck_of(maria, name=f"Baralho {n}") for n in range(5)]
    maria.delete(f"/decks/{made[2]}")
    path, seen = "/decks?limit=2", []
    while path:
        page = maria.get(path).json()
        assert len(page["results"]) <= 2
        seen += [deck["id"] for deck in page["results"]]
        path = page["next"]
    assert seen == [deck_id for deck_id in made if deck_id != made[2]]


def test_a_deck_with_cards_is_only_deleted_when_told_what_becomes_of_them(maria: Caller) -> None:
    deck_id = deck_of(maria)
    card_id = card_of(maria, deck_id)
    answer = maria.delete(f"/decks/{deck_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "DECK_NOT_EMPTY")
    card_of(maria, deck_id, "mesa")  # and it stays open
    assert maria.delete(f"/decks/{deck_id}?cards=delete").status_code == 204
    assert maria.get(f"/flashcards/{card_id}").status_code == 404


def test_a_refused_deletion_changes_nothing(maria: Caller) -> None:
    deck_id = deck_of(maria)
    card_of(maria, deck_id)
    path = f"/decks/{deck_id}"
    before = maria.get(path)
    for asked in ("", "?moveTo=" + str(ULID())):
        answer = maria.delete(path + asked, If_Match=before["ETag"])
        assert answer.status_code == 409
    after = maria.get(path)
    assert (after["ETag"], after.json()) == (before["ETag"], before.json())
    assert maria.delete(f"{path}?cards=delete", If_Match=before["ETag"]).status_code == 204


@contextmanager
def interrupted(number: int, by: Callable[[], Any]) -> Iterator[list[int]]:
    """Before the table's call of that number (from 0) something else happens; counts the calls."""
    made, done = [0], []

    def before(operation: str) -> None:
        if done:
            return  # what happens in between is not counted, nor what follows it
        made[0] += 1
        if made[0] == number + 1:
            done.append(True)
            by()

    with sending(telling(before)):
        yield made


@pytest.mark.parametrize("number", range(7))
def test_a_card_made_during_a_deletion_is_kept_with_its_deck_or_refused(
    maria: Caller, number: int
) -> None:
    """This holds at every moment of the deletion. A refusal leaves the deck as it was."""
    deck_id = deck_of(maria)
    path, body = f"/decks/{deck_id}", {"deckId": deck_id, "front": "casa", "back": "house"}
    before = maria.get(path)
    came: list[Any] = []
    with interrupted(number, lambda: came.append(maria.post("/flashcards", body))):
        answer = maria.delete(path, If_Match=before["ETag"])
    if not came or came[0].status_code == 409:
        assert (answer.status_code, maria.get(path).status_code) == (204, 404)
        assert maria.get("/flashcards").json()["results"] == []
    else:
        assert (answer.status_code, answer.json()["code"]) == (409, "DECK_NOT_EMPTY")
        after = maria.get(path)
        assert (after["ETag"], after.json()) == (before["ETag"], before.json())
        card_of(maria, deck_id, "mesa")  # it is open


@pytest.mark.parametrize("number", range(9))
def test_a_deck_changed_during_its_deletion_is_deleted_all_the_same(
    maria: Caller, number: int
) -> None:
    deck_id = deck_of(maria, newCardsPerDay=3)
    card_of(maria, deck_id)
    path = f"/decks/{deck_id}"
    with interrupted(number, lambda: maria.patch(path, {"name": "Outro"})):
        assert maria.delete(f"{path}?cards=delete").status_code == 204
    assert maria.get(path).status_code == 404
    assert maria.get("/flashcards").json()["results"] == []


@pytest.mark.parametrize("number", range(9))
def test_a_deck_deleted_twice_at_once_is_deleted(maria: Caller, number: int) -> None:
    deck_id = deck_of(maria)
    card_of(maria, deck_id)
    path, others = f"/decks/{deck_id}?cards=delete", list[int]()
    with interrupted(number, lambda: others.append(maria.delete(path).status_code)):
        answers = [maria.delete(path).status_code, *others]
    assert set(answers) <= {204, 404}
    assert 204 in answers
    assert maria.get(f"/decks/{deck_id}").status_code == 404


def left(caller: Caller) -> list[str]:
    """The fronts of all cards: a page may be short where tombstones lie."""
    fronts, path = list[str](), "/flashcards?limit=100"
    while path:
        page = caller.get(path).json()
        fronts += [card["front"] for card in page["results"]]
        path = page["next"]
    return fronts


def test_a_large_deck_is_deleted_apart_with_progress(
    maria: Caller, queues: MemoryQueues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "WITHIN_S", 0)
    deck_id, kept = deck_of(maria), deck_of(maria)
    many_cards(maria, deck_id, 160)
    card_of(maria, kept, "mesa")
    path = f"/decks/{deck_id}?cards=delete"
    tag = maria.get(f"/decks/{deck_id}")["ETag"]
    first = maria.delete(path, If_Match=tag)
    assert (first.status_code, first.json()["state"]) == (202, "queued")
    assert first["Location"].endswith(f"/decks/{deck_id}/deletion")
    refused = maria.post("/flashcards", {"deckId": deck_id, "front": "sol", "back": "sun"})
    assert refused.json()["code"] == "UNKNOWN_DECK"  # nothing comes in meanwhile
    queues.deliver(queues.visible[0])
    assert maria.delete(path, If_Match=tag).status_code == 202  # it is the same one
    assert maria.delete(f"/decks/{deck_id}").status_code == 202  # which nobody takes back
    going = maria.get(f"/decks/{deck_id}/deletion").json()
    assert (going["state"], going["done"], going["total"]) == ("queued", 25, 60)
    queues.run_on()
    over = maria.get(f"/decks/{deck_id}/deletion").json()
    assert (over["state"], over["done"], over["total"]) == ("done", 60, 60)
    assert left(maria) == ["mesa"]
    assert maria.get("/statistics").json()["totals"]["cards"] == 1
    assert maria.get(f"/decks/{deck_id}").status_code == 404
    assert maria.delete(path).status_code == 404


def test_a_deck_of_a_hundred_cards_is_deleted_at_once(maria: Caller, queues: MemoryQueues) -> None:
    deck_id = deck_of(maria)
    many_cards(maria, deck_id, deck_deletion.AT_ONCE)
    assert maria.delete(f"/decks/{deck_id}?cards=delete").status_code == 204
    assert queues.messages == []
    assert maria.get(f"/decks/{deck_id}/deletion").status_code == 404


class Dead(BaseException):
    """The process was killed."""


def test_a_deletion_whose_process_is_killed_at_any_write_goes_on(
    maria: Caller,
    queues: MemoryQueues,
    memory_table: MemoryTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(work, "WITHIN_S", 0)
    monkeypatch.setattr(deck_deletion, "AT_ONCE", 2)
    monkeypatch.setattr(deck_deletion, "BATCH", 2)
    deck_id, kept = deck_of(maria), deck_of(maria)
    many_cards(maria, deck_id, 6)
    assert maria.delete(f"/decks/{deck_id}?moveTo={kept}").status_code == 202
    restore, waiting = memory_table.remember(), [*queues.messages]
    killed, died = 0, True
    while died:
        memory_table.clear()
        restore()
        queues.messages = [replace(message) for message in waiting]
        writes, died = [0], False

        def kill(operation: str, at: int = killed + 1, writes: list[int] = writes) -> None:
            writes[0] += operation in ("TransactWriteItems", "UpdateItem", "PutItem")
            if writes[0] == at:
                writes[0] += 1
                raise Dead

        with sending(telling(kill)):
            while queues.messages:
                at = min(message.visible_at for message in queues.messages)
                with time_machine.travel(at):
                    try:
                        for message in queues.visible[:1]:
                            queues.deliver(message)
                    except Dead:
                        died = True
        assert maria.get(f"/decks/{deck_id}/deletion").json()["state"] == "done", killed
        found = maria.get("/flashcards?limit=100").json()["results"]
        assert {card["deckId"] for card in found} == {kept}, killed
        assert len(found) == 6, killed
        assert maria.get(f"/decks/{deck_id}").status_code == 404
        killed += died
    assert killed > 8


def test_a_deck_whose_cards_find_no_other_deck_any_more_is_open_again(
    maria: Caller, queues: MemoryQueues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deck_deletion, "AT_ONCE", 25)
    deck_id, other = deck_of(maria), deck_of(maria)
    many_cards(maria, deck_id, 40)
    assert maria.delete(f"/decks/{deck_id}?moveTo={other}").status_code == 202
    assert maria.delete(f"/decks/{other}?cards=delete").status_code == 204
    queues.run_on()
    over = maria.get(f"/decks/{deck_id}/deletion").json()
    assert (over["state"], over["problem"]["code"]) == ("failed", "UNKNOWN_DECK")
    card_of(maria, deck_id, "sol")
    monkeypatch.setattr(deck_deletion, "AT_ONCE", 1)
    assert maria.delete(f"/decks/{deck_id}?cards=delete").status_code == 204  # 16 are one batch
    assert left(maria) == []


def test_a_copy_beyond_one_request_goes_on_when_sent_again(
    maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "COPY_BUDGET", 50)
    deck_id, copy_id = deck_of(maria), str(ULID())
    many_cards(maria, deck_id, 120)
    path, body = f"/decks/{deck_id}/duplicate", {"id": copy_id}
    first = maria.post(path, body)
    assert (first.status_code, first.json()["code"]) == (503, "COPY_UNFINISHED")
    assert int(first["Retry-After"]) > 0
    assert maria.post(path, body).status_code == 503
    copy = maria.post(path, body)
    assert (copy.status_code, copy.json()["id"]) == (201, copy_id)
    assert maria.post(path, body).json() == copy.json()
    assert fronts(maria, copy_id) == fronts(maria, deck_id)
    assert maria.get("/statistics").json()["totals"]["cards"] == 240


def many_cards(caller: Caller, deck_id: str, count: int) -> None:
    made = [{"deckId": deck_id, "front": f"palavra {n}", "back": "word"} for n in range(count)]
    answer = caller.post("/flashcards/bulk", {"cards": made})
    assert {each["status"] for each in answer.json()["results"]} == {"created"}


def fronts(caller: Caller, deck_id: str) -> list[str]:
    path, found = f"/flashcards?deckId={deck_id}&limit=100", []
    while path:
        page = caller.get(path).json()
        found += [card["front"] for card in page["results"]]
        path = page["next"]
    return sorted(found)


def test_the_cards_of_a_deleted_deck_move_with_all_they_have(maria: Caller) -> None:
    old, new = deck_of(maria), deck_of(maria)
    cards = [card_of(maria, old, f"palavra {n}") for n in range(60)]
    before = maria.get(f"/flashcards/{cards[7]}").json()
    assert maria.delete(f"/decks/{old}?moveTo={new}").status_code == 204
    after = maria.get(f"/flashcards/{cards[7]}").json()
    changed = {"deckId": new, "updatedAt": after["updatedAt"], "version": before["version"] + 1}
    assert after == before | changed
    assert len(maria.get(f"/flashcards?deckId={new}&limit=100").json()["results"]) == 60


@pytest.mark.parametrize("itself", [True, False])
def test_cards_do_not_move_to_a_deck_that_is_not_there(maria: Caller, itself: bool) -> None:
    deck_id = deck_of(maria)
    card_of(maria, deck_id)
    answer = maria.delete(f"/decks/{deck_id}?moveTo={deck_id if itself else ULID()}")
    assert (answer.status_code, answer.json()["code"]) == (409, "UNKNOWN_DECK")
    assert answer.json()["errors"][0]["field"] == "moveTo"
    card_of(maria, deck_id, "mesa")  # the deck is open as before


def test_a_deleted_decks_options_are_forgotten(maria: Caller) -> None:
    from learning.services.study_context import read_scheduler

    deck_id = deck_of(maria, newCardsPerDay=3)
    assert read_scheduler(learner_id=maria.id).decks == {deck_id: {"new_cards_per_day": 3}}
    maria.patch(f"/decks/{deck_id}", {"newCardsPerDay": 4})
    assert read_scheduler(learner_id=maria.id).decks == {deck_id: {"new_cards_per_day": 4}}
    maria.delete(f"/decks/{deck_id}")
    assert read_scheduler(learner_id=maria.id).decks == {}


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("id", "x", "invalid"),
        ("name", "", "blank"),
        ("name", "   ", "blank"),
        ("name", "\u200b\u200f\u2060", "blank"),
        ("name", "\u202e\u2066\u061c\u00ad\u3164\x7f", "blank"),
        ("name", None, "null"),
        ("name", "n" * 501, "max_length"),
        ("name", 7, "invalid"),
        ("name", "a\u0000b", "null_characters_not_allowed"),
        ("name", "\ud800", "surrogate_characters_not_allowed"),
        ("description", "d" * 1001, "max_length"),
        ("nativeLanguage", "english please", "invalid"),
        ("targetLanguage", "e", "invalid"),
        ("targetLanguage", "zz", "unknown_language"),
        ("nativeLanguage", "pt-ZZ", "unknown_language"),
        ("newCardsPerDay", -1, "min_value"),
        ("newCardsPerDay", 10_000, "max_value"),
        ("newCardsPerDay", "5", "invalid"),
        ("newCardsPerDay", True, "invalid"),
        ("reviewsPerDay", 1e30, "max_value"),
        ("reviewsPerDay", 2.5, "invalid"),
        ("desiredRetention", 0.69, "min_value"),
        ("desiredRetention", 0.98, "max_value"),
        ("desiredRetention", "0.9", "invalid"),
        ("unknown", 1, "unknown_field"),
    ],
)
def test_a_field_that_is_not_valid_is_named(
    maria: Caller, field: str, value: Any, code: str
) -> None:
    answer = maria.post("/decks", WHOLE | {field: value})
    assert answer.status_code == 400, answer.content
    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [(field, code)]
    assert maria.get("/decks").json()["results"] == []


def test_every_wrong_field_is_named_at_once(maria: Caller) -> None:
    answer = maria.post("/decks", {"name": "", "newCardsPerDay": -1, "colour": "red"})
    assert {e["field"] for e in answer.json()["errors"]} == {"name", "newCardsPerDay", "colour"}


def test_a_deck_of_another_learner_is_404(maria: Caller, joao: Caller) -> None:
    path = f"/decks/{deck_of(maria)}"
    assert joao.get(path).status_code == 404
    assert joao.patch(path, {"name": "Meu"}).status_code == 404
    assert joao.delete(path).status_code == 404
