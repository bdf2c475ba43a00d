"""Suspended cards, buried cards and leeches stay out of the queue."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from ulid import ULID

from tests.callers import Caller, access_token
from tests.test_flashcards import card_of, deck_of
from tests.test_reviews import START, review, set_long_ago
from tests.test_undo import undo

DAY = timedelta(days=1)


def old_card(caller: Caller, deck_id: str, **fields: Any) -> str:
    """A card made the day before."""
    with time_machine.travel(START - DAY, tick=False):
        return card_of(Caller(caller.id, access_token(caller.id)), deck_id, **fields)


def due(caller: Caller, now: datetime = START) -> list[str]:
    with time_machine.travel(now, tick=False):
        then = Caller(caller.id, access_token(caller.id))
        queue = then.get("/flashcards/due").json()
    return [each["card"]["id"] for each in queue["results"]]


def act(caller: Caller, card_id: str, name: str, now: datetime = START) -> dict[str, Any]:
    with time_machine.travel(now, tick=False):
        then = Caller(caller.id, access_token(caller.id))
        answer = then.post(f"/flashcards/{card_id}/{name}")
    assert answer.status_code == 200, answer.content
    card: dict[str, Any] = answer.json()
    return card


def test_a_suspended_card_is_not_studied_until_it_is_unsuspended(maria: Caller) -> None:
    deck_id = deck_of(maria)
    casa, mesa = old_card(maria, deck_id), old_card(maria, deck_id)
    suspended = act(maria, casa, "suspend")
    assert (suspended["suspended"], suspended["suspendedBy"]) == (True, "learner")
    assert due(maria) == [mesa]
    assert act(maria, casa, "suspend") == suspended
    assert act(maria, casa, "unsuspend")["suspended"] is False
    assert act(maria, casa, "unsuspend")["suspendedBy"] is None
    assert sorted(due(maria)) == sorted([casa, mesa])


@pytest.mark.parametrize("rating", [None, "again", "easy"])
def test_a_buried_card_comes_back_with_the_learners_next_day(
    maria: Caller, rating: str | None
) -> None:
    card_id = old_card(maria, deck_of(maria))
    if rating:
        review(maria, card_id, rating, START - 30 * DAY)
    assert due(maria) == [card_id]
    buried = act(maria, card_id, "bury")
    # In Lisbon's winter the day ends with the rollover hour, 04:00.
    assert buried["buriedUntil"] == "2026-03-03T04:00:00Z"
    assert due(maria) == []
    assert due(maria, START.replace(day=3, hour=3, minute=59)) == []
    assert due(maria, START.replace(day=3, hour=4)) == [card_id]
    assert act(maria, card_id, "bury") == buried


def test_a_buried_card_can_be_shown_again(maria: Caller) -> None:
    card_id = old_card(maria, deck_of(maria))
    act(maria, card_id, "bury")
    assert act(maria, card_id, "unbury")["buriedUntil"] is None
    assert due(maria) == [card_id]
    assert act(maria, card_id, "unbury")["buriedUntil"] is None


def test_holding_a_card_back_leaves_its_memory_alone(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    before = review(maria, card_id, "easy").json()["card"]
    for name in ("suspend", "bury", "unsuspend", "unbury"):
        after = act(maria, card_id, name)
    names = ("state", "stability", "difficulty", "dueAt", "reps", "lapses")
    assert [after[name] for name in names] == [before[name] for name in names]
    assert after["version"] == before["version"] == 1  # only edits count


@pytest.mark.parametrize("name", ["suspend", "unsuspend", "bury", "unbury"])
def test_another_learners_card_cannot_be_held_back(maria: Caller, joao: Caller, name: str) -> None:
    card_id = card_of(maria, deck_of(maria))
    assert joao.post(f"/flashcards/{card_id}/{name}").status_code == 404
    assert maria.get(f"/flashcards/{card_id}").json()["version"] == 1


# --- Leeches -----------------------------------------------------------------------------------


def lapse(caller: Caller, card_id: str, times: int, first_day: int = 0) -> list[dict[str, Any]]:
    """The card after each of so many lapses, each followed by a recovery."""
    seen = []
    for n in range(first_day, first_day + times):
        review(caller, card_id, "easy", START + 20 * n * DAY)
        at = START + (20 * n + 10) * DAY
        seen.append(review(caller, card_id, "again", at).json()["card"])
    return seen


def test_a_card_is_a_leech_from_its_eighth_lapse_on(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    seen = lapse(maria, card_id, 9)
    assert [card["lapses"] for card in seen] == list(range(1, 10))
    assert [card["leech"] for card in seen] == [False] * 7 + [True] * 2
    assert not any(card["suspended"] for card in seen)
    assert maria.get("/flashcards?leech=true").json()["results"][0]["id"] == card_id


def test_a_leech_is_suspended_at_the_threshold_and_at_every_half_of_it(maria: Caller) -> None:
    set_long_ago(maria, {"leechThreshold": 2, "leechAction": "suspend"})
    card_id = card_of(maria, deck_of(maria))
    first, second = lapse(maria, card_id, 2)
    assert (first["suspended"], second["suspended"]) == (False, True)
    assert second["suspendedBy"] == "leech"
    assert act(maria, card_id, "unsuspend")["leech"] is True
    review(maria, card_id, "easy", START + 40 * DAY)
    assert maria.get(f"/flashcards/{card_id}").json()["suspended"] is False
    (third,) = lapse(maria, card_id, 1, first_day=3)
    assert (third["lapses"], third["suspendedBy"]) == (3, "leech")


def test_undoing_the_lapse_that_made_a_leech_undoes_the_suspension(maria: Caller) -> None:
    set_long_ago(maria, {"leechThreshold": 1, "leechAction": "suspend"})
    card_id = card_of(maria, deck_of(maria))
    assert lapse(maria, card_id, 1)[0]["suspended"] is True
    card = undo(maria, card_id).json()["card"]
    assert (card["leech"], card["suspended"]) == (False, False)
    act(maria, card_id, "suspend")
    review(maria, card_id, "again", START + 50 * DAY)
    card = undo(maria, card_id).json()["card"]
    assert card["suspendedBy"] == "learner"


def test_a_threshold_of_nothing_knows_no_leeches(maria: Caller) -> None:
    set_long_ago(maria, {"leechThreshold": 0, "leechAction": "suspend"})
    card = lapse(maria, card_of(maria, deck_of(maria)), 10)[-1]
    assert (card["leech"], card["suspended"]) == (False, False)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("leechThreshold", -1, "min_value"),
        ("leechThreshold", 1000, "max_value"),
        ("leechAction", "delete", "invalid_choice"),
        ("burySiblings", "yes", "invalid"),
    ],
)
def test_settings_of_leeches_and_siblings_are_checked(
    maria: Caller, field: str, value: Any, code: str
) -> None:
    answer = maria.patch("/scheduler", {field: value})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == code


def test_a_held_back_card_keeps_its_place_in_the_log(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    act(maria, card_id, "suspend")
    assert review(maria, card_id, id=str(ULID())).json()["card"]["reps"] == 1
