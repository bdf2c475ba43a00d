"""POST /reviews: reviews that were made offline."""

from datetime import timedelta
from typing import Any

import pytest
from ulid import ULID

from learning.models.cards import Card
from learning.models.log import LogEntry
from tests.callers import Caller
from tests.test_flashcards import card_of, deck_of
from tests.test_reviews import START, state_of, without_fuzz

DAY = timedelta(days=1)


def entry(card_id: str, days: float = 0, **more: Any) -> dict[str, Any]:
    at = (START + days * DAY).isoformat()
    made = {"id": str(ULID()), "cardId": card_id, "reviewedAt": at}
    return made | ({"rating": "good"} if more.get("kind", "review") == "review" else {}) | more


def put_card(learner_id: str) -> str:
    """Puts a card straight into the table, which is quick."""
    card_id = str(ULID())
    card = Card(
        *Card.key(learner_id, card_id), id=card_id, note_id=card_id, deck_id="deck", front="casa",
        back="house", request_digest="", due_at=START, created_at=START, updated_at=START,
    )  # fmt: skip
    card.set_index_keys()
    card.note.create()
    card.create()
    return card_id


def send(caller: Caller, *entries: Any) -> dict[str, Any]:
    answer = caller.post("/reviews", {"reviews": entries})
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def statuses(caller: Caller, *entries: Any) -> list[str]:
    return [each["status"] for each in send(caller, *entries)["results"]]


def test_each_entry_is_applied_known_or_rejected_by_itself(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    known = entry(card_id)
    assert statuses(maria, known) == ["applied"]
    nobodys, malformed = entry(str(ULID())), entry(card_id, rating="great")
    body = send(
        maria, known, entry(card_id, 1), nobodys, malformed, "casa", known | {"rating": "again"}
    )
    assert [each["status"] for each in body["results"]] == [
        *("duplicate", "applied", "rejected", "rejected", "rejected", "rejected")
    ]
    assert [each["id"] for each in body["results"]][:4] == [
        *(known["id"], body["results"][1]["id"], nobodys["id"], malformed["id"])
    ]
    problems = [each["problem"] for each in body["results"]]
    assert problems[:2] == [None, None]
    assert [problem["code"] for problem in problems[2:]] == [
        *("NOT_FOUND", "VALIDATION_ERROR", "VALIDATION_ERROR", "ID_TAKEN")
    ]
    assert problems[3]["errors"][0]["field"] == "rating"
    assert [card["id"] for card in body["cards"]] == [card_id]
    assert body["cards"][0] == maria.get(f"/flashcards/{card_id}").json()
    assert body["cards"][0]["reps"] == 2


def test_an_entry_twice_in_one_batch_counts_once(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    same = entry(card_id)
    assert statuses(maria, same, same) == ["applied", "duplicate"]
    assert state_of(maria, card_id)["reps"] == 1


def test_a_batch_in_any_order_ends_in_the_same_state(maria: Caller) -> None:
    without_fuzz(maria)
    deck_id = deck_of(maria)
    ordered, backwards = card_of(maria, deck_id), card_of(maria, deck_id)
    ratings = ["good", "good", "again", "easy", "hard", "good"]
    for card_id, step in ((ordered, 1), (backwards, -1)):
        sent = [entry(card_id, 4 * n, rating=rating) for n, rating in enumerate(ratings)]
        assert statuses(maria, *sent[::step]) == ["applied"] * 6
    assert state_of(maria, backwards) == state_of(maria, ordered)


def test_a_batch_of_more_cards_than_one_transaction_takes_is_taken_whole(maria: Caller) -> None:
    cards = [put_card(maria.id) for _ in range(33)]
    sent = [entry(card_id, n / 1000) for n, card_id in enumerate(cards)]
    assert statuses(maria, *sent) == ["applied"] * 33
    assert statuses(maria, *sent) == ["duplicate"] * 33
    assert len(maria.get("/reviews").json()["results"]) == 33
    assert maria.get("/profile").json()["cardsLearned"] == 33


@pytest.mark.parametrize("sent", [[], [entry("01J8Z3M4S5T6V7W8X9Y0Z1A2B3")] * 101, {}, None])
def test_a_batch_has_one_to_a_hundred_entries(maria: Caller, sent: Any) -> None:
    answer = maria.post("/reviews", {"reviews": sent})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "reviews")


def test_an_undo_may_come_in_the_same_batch_as_or_before_what_it_undoes(maria: Caller) -> None:
    deck_id = deck_of(maria)
    together, before, never = (card_of(maria, deck_id) for _ in range(3))
    undone = entry(together, 1)
    void = entry(together, 2, kind="void", targetId=undone["id"])
    assert statuses(maria, void, undone, entry(together)) == ["applied"] * 3
    late = entry(before, 3)
    # By a clock that is behind, the undo is even older than what it undoes.
    assert statuses(maria, entry(before, 2, kind="void", targetId=late["id"])) == ["applied"]
    assert statuses(maria, entry(before)) == ["applied"]
    assert statuses(maria, late) == ["applied"]
    assert statuses(maria, entry(never)) == ["applied"]
    wanted = state_of(maria, never)
    assert wanted["reps"] == 1
    assert state_of(maria, together) == state_of(maria, before) == wanted


def test_an_undo_may_be_undone(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    first = entry(card_id)
    void = entry(card_id, 1, kind="void", targetId=first["id"])
    send(maria, first)
    studied = state_of(maria, card_id)
    send(maria, void)
    assert state_of(maria, card_id)["state"] == "new"
    send(maria, entry(card_id, 2, kind="void", targetId=void["id"]))
    assert state_of(maria, card_id) == studied


def test_a_reset_and_a_reschedule_come_in_as_well(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    due_at = "2027-01-01T00:00:00Z"
    send(maria, entry(card_id), entry(card_id, 2, kind="reschedule", dueAt=due_at))
    state = state_of(maria, card_id)
    assert (state["dueAt"], state["reps"]) == (due_at, 1)
    send(maria, entry(card_id, 3, kind="reset"))
    assert state_of(maria, card_id)["state"] == "new"
    kinds = [line["kind"] for line in maria.get("/reviews").json()["results"]]
    assert kinds == ["reset", "reschedule", "review"]


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"kind": "reschedule"}, "dueAt", "required"),
        ({"kind": "void"}, "targetId", "required"),
        ({"kind": "reset", "rating": "good"}, "rating", "unknown_field"),
        ({"dueAt": "2027-01-01T00:00:00Z"}, "dueAt", "unknown_field"),
        ({"kind": "baseline"}, "kind", "invalid_choice"),
        ({"reviewedAt": "0001-01-01T00:00:00+14:00"}, "reviewedAt", "overflow"),
        ({"reviewedAt": "1969-12-31T23:59:59Z"}, "reviewedAt", "out_of_range"),
        ({"cardId": "01J8Z3M4S5T6V7W8X9Y0Z1A2B3.01"}, "cardId", "invalid"),
    ],
)
def test_what_does_not_belong_to_an_entry_is_named(
    maria: Caller, changes: dict[str, Any], field: str, code: str
) -> None:
    card_id = card_of(maria, deck_of(maria))
    (result,) = send(maria, entry(card_id, **changes))["results"]
    (error,) = result["problem"]["errors"]
    assert (error["field"], error["code"]) == (field, code)
    assert LogEntry.of_card(maria.id, card_id) == []


def test_a_review_sent_again_after_its_card_was_deleted_is_known(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    sent = entry(card_id)
    send(maria, sent)
    maria.delete(f"/flashcards/{card_id}")
    body = send(maria, sent, entry(card_id, 1))
    assert [each["status"] for each in body["results"]] == ["duplicate", "rejected"]
    assert body["cards"] == []
    assert len(maria.get("/reviews").json()["results"]) == 1


def test_another_learners_card_is_rejected_as_unknown(maria: Caller, joao: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    (result,) = send(joao, entry(card_id))["results"]
    assert result["problem"]["code"] == "NOT_FOUND"
    assert state_of(maria, card_id)["reps"] == 0
