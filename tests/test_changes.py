"""GET and POST /changes: devices that follow end where the table is, whatever happens meanwhile."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine

from accounts.models import Head, Journal, learner_key
from config.store.connection import READ
from tests.callers import Caller
from tests.memory_table import MemoryTable
from tests.reminder_helpers import event_of, reminder_of
from tests.test_flashcards import card_of, deck_of
from tests.test_import import send
from tests.test_reviews import review


class Device:
    """What a device holds: everything it was told, by kind and key."""

    def __init__(self, caller: Caller, limit: int = 100) -> None:
        self.caller, self.limit = caller, limit
        self.held: dict[tuple[str, str], Any] = {}
        self.cursor: str | None = None

    def ask(self) -> Any:
        since = "" if self.cursor is None else f"&since={self.cursor}"
        return self.caller.get(f"/changes?limit={self.limit}{since}")

    def take(self) -> bool:
        """One answer in; whether there is more at once. A cursor that is gone begins anew."""
        answer = self.ask()
        if answer.status_code == 410:
            self.held, self.cursor = {}, None
            return True
        assert answer.status_code == 200, answer.content
        for told in answer.json()["results"]:
            key = told["kind"], told["key"]
            if told["deleted"]:
                self.held.pop(key, None)
            elif told["kind"] == "card" and told["data"]["deckId"] is None:
                known = self.held.get(key, {})
                self.held[key] = told["data"] | {"deckId": known.get("deckId")}
            else:
                self.held[key] = told["data"]
        self.cursor = answer.json()["cursor"]
        return bool(answer.json()["more"])

    def sync(self) -> dict[tuple[str, str], Any]:
        while self.take():
            pass
        return self.held


def fresh(caller: Caller) -> dict[tuple[str, str], Any]:
    """What a device is told that has nothing."""
    return Device(caller).sync()


def kinds(held: dict[tuple[str, str], Any]) -> set[str]:
    return {kind for kind, _ in held}


def test_a_first_call_tells_everything_by_pages(maria: Caller) -> None:
    deck_id = deck_of(maria)
    card_id = card_of(maria, deck_id)
    review(maria, card_id)
    maria.makes("/notes", {"type": "reversed", "deckId": deck_id, "front": "a", "back": "b"})
    maria.patch("/scheduler", {"fuzz": False})
    event_of(maria)
    reminder_of(maria)
    whole = fresh(maria)
    assert kinds(whole) == {
        *("deck", "note", "card", "review", "scheduler", "profile", "event", "reminder"),
    }
    assert whole["note", card_id]["front"] == "casa"
    assert whole["card", card_id]["reps"] == 1
    assert Device(maria, limit=2).sync() == whole
    assert maria.get("/changes?limit=2501").status_code == 400


def test_a_device_in_step_is_told_of_each_change_and_of_nothing_else(maria: Caller) -> None:
    deck_id = deck_of(maria)
    card_id = card_of(maria, deck_id)
    device = Device(maria)
    device.sync()
    assert device.ask().json()["results"] == []
    review(maria, card_id)
    told = device.ask().json()["results"]
    assert [each["kind"] for each in told] == ["review", "card"]
    device.sync()
    maria.patch(f"/flashcards/{card_id}", {"back": "home"})
    maria.patch("/profile", {"firstName": "Ana"})
    told = device.ask().json()["results"]
    assert [each["kind"] for each in told] == ["note", "profile"]
    assert told[0]["data"]["back"] == "home"
    device.sync()
    maria.delete(f"/flashcards/{card_id}")
    gone = [each for each in device.ask().json()["results"] if each["deleted"]]
    assert {(each["kind"], each["key"]) for each in gone} == {("note", card_id), ("card", card_id)}
    assert device.sync() == fresh(maria)


def test_what_is_changed_by_whatever_endpoint_is_told(maria: Caller) -> None:
    devices = [Device(maria, limit) for limit in (9, 30, 100)]
    for device in devices:
        device.sync()
    deck, other = deck_of(maria), deck_of(maria, reviewsPerDay=9)
    cards = [card_of(maria, deck, f"casa {n}") for n in range(4)]
    for device in devices[:2]:
        device.sync()
    for verb in ("suspend", "unsuspend", "bury", "unbury"):
        maria.post(f"/flashcards/{cards[0]}/{verb}")
    maria.patch(f"/flashcards/{cards[1]}", {"deckId": other, "front": "mesa"})
    cloze = {"type": "cloze", "deckId": deck, "front": "{{c1::gato}} {{c2::cama}}"}
    note = maria.makes("/notes", cloze)
    maria.patch(f"/notes/{note['id']}", {"front": "{{c1::gato}} {{c3::rato}}"})
    review(maria, f"{note['id']}.0")
    maria.post(f"/flashcards/{note['id']}.0/undo", {"id": str(uuid4())})
    event = event_of(maria)
    reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[5])
    maria.delete(f"/events/{event['id']}")
    maria.makes(f"/decks/{deck}/duplicate", {"id": str(uuid4())})
    assert send(maria, b"front;back\nir;to go\n", deckId=deck).status_code == 200
    maria.delete(f"/decks/{deck}?moveTo={other}")
    maria.delete(f"/decks/{other}?cards=delete")
    whole = fresh(maria)
    for device in devices:
        assert device.sync() == whole


def test_a_long_absence_is_read_from_journals(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    device = Device(maria, limit=7)
    device.sync()
    for n in range(60):
        review(maria, card_id, at=datetime(2026, 3, 2, 9, n, tzinfo=UTC))
    assert len(Journal.since(maria.id, 0, limit=100).items) > 3
    assert device.sync() == fresh(maria)
    assert len([kind for kind, _ in device.held if kind == "review"]) == 60


LAMBDAS_MOST = 6 * 2**20  # bytes of an answer, which is JSON that has ours as a text


def test_long_notes_come_in_answers_that_lambda_can_give(maria: Caller) -> None:
    deck_id = deck_of(maria)
    device = Device(maria, limit=2500)
    device.sync()
    text = 'Ela disse: "Até já!"\n'
    long = {"front": text * 450, "back": text * 450, "notes": text * 900}
    for _ in range(120):  # of five megabytes
        maria.makes("/notes", {"type": "basic", "deckId": deck_id} | long)
    for follower in (device, Device(maria, limit=2500)):
        answers = 0
        while (answer := follower.ask()).json()["more"]:
            assert len(json.dumps(answer.content.decode())) < LAMBDAS_MOST
            follower.take()
            answers += 1
        assert 3 <= answers <= 12
    assert device.sync() == fresh(maria)


def test_a_new_card_that_was_reviewed_long_after_is_told_with_its_deck(maria: Caller) -> None:
    deck_id = deck_of(maria)
    device = Device(maria, limit=2500)
    device.sync()
    cards = [{"id": str(uuid4()), "deckId": deck_id, "front": f"n {n}"} for n in range(READ + 20)]
    bulk = [card | {"back": "…"} for card in cards]
    assert maria.post("/flashcards/bulk", {"cards": bulk}).status_code < 300
    review(maria, cards[0]["id"])
    assert not device.take()
    assert device.held["card", cards[0]["id"]]["deckId"] == deck_id
    assert device.held == fresh(maria)


def gone(answer: Any) -> bool:
    return bool(answer.status_code == 410 and answer.json()["code"] == "CHANGES_GONE")


def test_a_cursor_of_another_line_or_of_the_future_or_too_old_is_410(
    maria: Caller, memory_table: MemoryTable
) -> None:
    card_id = card_of(maria, deck_of(maria))
    device = Device(maria)
    device.sync()
    for n in range(30):
        review(maria, card_id, at=datetime(2026, 3, 2, 9, n, tzinfo=UTC))
    head = Head.of(maria.id)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=401), tick=False):
        token = Device(Caller(maria.id, maria.token))
        token.cursor = device.cursor
        assert token.ask().status_code in (401, 410)
    stored = memory_table.items[learner_key(maria.id)]
    journals = sorted(sk for sk in stored if sk.startswith("J#"))
    for sk in journals:  # expired, and removed by DynamoDB in whatever order
        stored[sk]["expires_at"] = {"N": "1"}
    del stored[journals[-1]]
    assert gone(device.ask())
    fresh_one = Device(maria)
    fresh_one.sync()
    assert not gone(fresh_one.ask())
    stored["HEAD"]["n"] = {"N": str(int(head.n) - 1)}
    assert gone(fresh_one.ask())
    stored["HEAD"]["n"] = {"N": str(int(head.n))}
    stored["HEAD"]["line"] = {"S": "another"}
    assert gone(fresh_one.ask())
    assert fresh_one.sync() == fresh(maria)


def test_a_cursor_of_anothers_or_of_nobodys_is_400(maria: Caller, joao: Caller) -> None:
    device = Device(maria)
    device.sync()
    for caller, since in ((joao, device.cursor), (maria, "nonsense"), (maria, "")):
        answer = caller.get(f"/changes?since={since}")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "since"


def test_a_change_that_cannot_be_found_whole_is_not_told_half(
    maria: Caller, memory_table: MemoryTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("config.store.connection.WITHIN_S", 0.0)
    deck_id = deck_of(maria)
    device = Device(maria)
    device.sync()
    before = dict(memory_table.items[learner_key(maria.id)][f"DECK#{deck_id}"])
    maria.patch(f"/decks/{deck_id}", {"name": "Galego"})
    after = memory_table.items[learner_key(maria.id)][f"DECK#{deck_id}"]
    memory_table.items[learner_key(maria.id)][f"DECK#{deck_id}"] = before
    assert device.ask().status_code == 503
    memory_table.items[learner_key(maria.id)][f"DECK#{deck_id}"] = after
    assert device.sync()["deck", deck_id]["name"] == "Galego"


# --- POST /changes -------------------------------------------------------------------------------


def submit(caller: Caller, *changes: dict[str, Any]) -> list[dict[str, Any]]:
    answer = caller.post("/changes", {"changes": list(changes)})
    assert answer.status_code == 200, answer.content
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def statuses(results: list[dict[str, Any]]) -> list[str]:
    return [each["status"] for each in results]


def test_what_was_made_offline_comes_in_once(maria: Caller) -> None:
    deck, card, note = (str(uuid4()) for _ in range(3))
    changes = [
        {"kind": "deck", "verb": "create", "id": deck, "data": {"name": "Português"}},
        {"kind": "card", "verb": "create", "id": card,
         "data": {"deckId": deck, "front": "casa", "back": "house"}},
        {"kind": "note", "verb": "create", "id": note,
         "data": {"deckId": deck, "type": "reversed", "front": "sol", "back": "sun"}},
        {"kind": "card", "verb": "update", "id": card, "version": 1, "data": {"back": "home"}},
    ]  # fmt: skip
    assert statuses(submit(maria, *changes)) == ["applied"] * 4
    held = fresh(maria)
    again = submit(maria, *changes)
    assert statuses(again) == ["duplicate"] * 4
    assert again[1]["item"]["back"] == "home"
    assert fresh(maria) == held


def test_a_change_upon_an_older_version_is_a_conflict_with_what_is_stored(maria: Caller) -> None:
    deck_id = deck_of(maria)
    card_id = card_of(maria, deck_id)
    maria.patch(f"/flashcards/{card_id}", {"back": "theirs"})
    mine = {"kind": "card", "verb": "update", "id": card_id, "version": 1, "data": {"back": "x"}}
    away = {"kind": "card", "verb": "delete", "id": card_id, "version": 1}
    results = submit(maria, mine, away)
    assert statuses(results) == ["conflict", "conflict"]
    assert {each["item"]["back"] for each in results} == {"theirs"}
    assert {each["problem"]["code"] for each in results} == {"PRECONDITION_FAILED"}
    assert statuses(submit(maria, away | {"version": 2}, away)) == ["applied", "duplicate"]


def test_each_change_is_judged_by_itself(maria: Caller, joao: Caller) -> None:
    deck_id = deck_of(maria)
    card_of(maria, deck_id)
    results = submit(
        maria,
        {"kind": "deck", "verb": "create", "id": str(uuid4()), "data": {"name": ""}},
        {"kind": "card", "verb": "create", "id": str(uuid4()),
         "data": {"deckId": str(uuid4()), "front": "a", "back": "b"}},
        {"kind": "deck", "verb": "update", "id": deck_of(joao), "data": {"name": "Mine"}},
        {"kind": "deck", "verb": "delete", "id": deck_id},
        {"kind": "pupil", "verb": "create", "id": deck_id},
        {"kind": "deck", "verb": "create", "id": deck_id, "data": {"name": "Other"}},
        {"kind": "deck", "verb": "delete", "id": deck_id, "data": {"cards": "delete"}},
    )  # fmt: skip
    codes = [each["problem"] and each["problem"]["code"] for each in results]
    assert codes == [
        "VALIDATION_ERROR", "UNKNOWN_DECK", "NOT_FOUND", "DECK_NOT_EMPTY", "VALIDATION_ERROR",
        "ID_TAKEN", None,
    ]  # fmt: skip
    assert results[5]["status"] == "conflict"
    assert results[-1]["status"] == "applied"
    assert maria.get("/flashcards").json()["results"] == []
