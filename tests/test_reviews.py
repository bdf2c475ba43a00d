"""POST /flashcards/{id}/reviews and GET /reviews."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from ulid import ULID

from learning.models.log import Day, LogEntry
from tests.callers import Caller, access_token
from tests.test_flashcards import card_of, deck_of

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def review(
    caller: Caller, card_id: str, rating: str = "good", at: datetime | str = START, **more: Any
) -> Any:
    body = {
        "id": str(ULID()),
        "rating": rating,
        "reviewedAt": at if isinstance(at, str) else at.isoformat(),
    }
    return caller.post(f"/flashcards/{card_id}/reviews", body | more)


def set_long_ago(caller: Caller, settings: dict[str, Any]) -> None:
    """Gives the learner settings that are in force for all reviews of these tests."""
    with time_machine.travel(START - timedelta(days=2_000), tick=False):
        then = Caller(caller.id, access_token(caller.id))
        assert then.patch("/scheduler", settings).status_code == 200


def without_fuzz(caller: Caller) -> None:
    set_long_ago(caller, {"fuzz": False})


def state_of(caller: Caller, card_id: str) -> dict[str, Any]:
    """The fields of a card that study changes."""
    card = caller.get(f"/flashcards/{card_id}").json()
    names = ("state", "step", "stability", "difficulty", "dueAt", "lastReviewAt", "reps", "lapses")
    return {name: card[name] for name in names}


def test_the_published_fsrs_vector_comes_out_over_http(maria: Caller) -> None:
    # py-fsrs and ts-fsrs publish these intervals for the default weights without fuzz.
    without_fuzz(maria)
    card_id = card_of(maria, deck_of(maria))
    at, intervals = START - timedelta(days=1000), []
    for rating in "GGGGGGAAGGGGG":
        answer = review(maria, card_id, {"G": "good", "A": "again"}[rating], at)
        assert answer.status_code == 201, answer.content
        card = answer.json()["card"]
        at = datetime.fromisoformat(card["dueAt"])
        intervals.append(card["intervalDays"])
    assert intervals == [0, 2, 11, 46, 163, 498, 0, 0, 2, 4, 7, 12, 21]


def test_a_review_answers_the_line_of_the_log_and_the_card_it_moved(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    answer = review(maria, card_id, "good", START, durationMs=4200)
    body = answer.json()
    assert body["review"]["cardId"] == card_id
    assert body["review"]["rating"] == "good"
    assert body["review"]["durationMs"] == 4200
    assert body["review"]["reviewedAt"] == "2026-03-02T09:00:00Z"
    assert body["card"]["state"] == "learning"
    assert body["card"] == maria.get(f"/flashcards/{card_id}").json()


def test_the_same_review_sent_again_counts_once(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    review_id = str(uuid4())
    first = review(maria, card_id, id=review_id)
    again = review(maria, card_id, id=review_id)
    assert again.status_code == first.status_code == 201
    assert again.json() == first.json()
    assert maria.get("/reviews").json()["results"] == [first.json()["review"]]


@pytest.mark.parametrize(
    "other", [{"rating": "again"}, {"reviewedAt": (START + timedelta(hours=1)).isoformat()}]
)
def test_another_review_with_the_same_id_is_refused(maria: Caller, other: dict[str, str]) -> None:
    card_id = card_of(maria, deck_of(maria))
    review_id = str(ULID())
    first = review(maria, card_id, id=review_id).json()
    answer = review(maria, card_id, id=review_id, **other)
    assert (answer.status_code, answer.json()["code"]) == (409, "ID_TAKEN")
    assert maria.get(f"/flashcards/{card_id}").json() == first["card"]


def test_the_id_of_a_review_is_its_cards_own(maria: Caller) -> None:
    deck_id, review_id = deck_of(maria), str(ULID())
    casa, mesa = card_of(maria, deck_id), card_of(maria, deck_id)
    review(maria, casa, id=review_id)
    assert review(maria, mesa, id=review_id).status_code == 201
    assert review(maria, casa, "easy", id=review_id).json()["code"] == "ID_TAKEN"
    assert [state_of(maria, each)["reps"] for each in (casa, mesa)] == [1, 1]


def test_reviews_in_reverse_order_end_in_the_same_state(maria: Caller) -> None:
    deck_id = deck_of(maria)
    moments = [START + timedelta(days=n * n, minutes=n) for n in range(8)]
    answers = list(
        zip(
            ["good", "again", "good", "good", "easy", "hard", "again", "good"], moments, strict=True
        )
    )
    ordered, backwards = card_of(maria, deck_id), card_of(maria, deck_id)
    without_fuzz(maria)
    for rating, at in answers:
        review(maria, ordered, rating, at)
    for rating, at in reversed(answers):
        assert review(maria, backwards, rating, at).status_code == 201
    assert state_of(maria, backwards) == state_of(maria, ordered)


def test_days_count_the_same_whatever_the_order(maria: Caller, joao: Caller) -> None:
    moments = [START + timedelta(days=n, hours=n) for n in range(6)]
    for caller, order in ((maria, moments), (joao, moments[::-1])):
        caller.patch("/profile", {"timezone": "UTC"})
        card_id = card_of(caller, deck_of(caller))
        for at in order:
            review(caller, card_id, "good", at, durationMs=1000)
    counted = [
        [
            {
                name: day.count_of(name)
                for name in ("reviews", "good", "introduced", "reviewed", "duration_ms")
            }
            for day in Day.all_of(caller.id)
        ]
        for caller in (maria, joao)
    ]
    assert counted[0] == counted[1]
    assert [day["introduced"] for day in counted[0]] == [0, 0, 0, 0, 0, 1]
    assert sum(day["reviews"] for day in counted[0]) == 6


def test_the_streak_grows_by_the_day_and_heals_when_a_gap_is_filled_late(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))

    def streak(now: datetime) -> int:
        with time_machine.travel(now, tick=False):
            then = Caller(maria.id, access_token(maria.id))
            return int(then.get("/profile").json()["streak"])

    for day in (0, 1, 3, 4):
        assert review(maria, card_id, at=START + timedelta(days=day)).status_code == 201
    assert streak(START + timedelta(days=4)) == 2
    review(maria, card_id, at=START + timedelta(days=2))
    assert streak(START + timedelta(days=4)) == 5
    review(maria, card_id, at=START - timedelta(days=1))
    assert streak(START + timedelta(days=4)) == 6


def test_a_day_ends_at_the_hour_the_learner_chose(maria: Caller) -> None:
    set_long_ago(maria, {"dayStartsAtHour": 4})
    card_id = card_of(maria, deck_of(maria))
    # Lisbon in summer is an hour ahead of UTC: 02:30 UTC is 03:30 there, still the day before.
    answer = review(maria, card_id, at="2026-07-10T02:30:00Z")
    assert answer.json()["review"]["studiedOn"] == "2026-07-09"
    answer = review(maria, card_id, at="2026-07-10T03:30:00Z")
    assert answer.json()["review"]["studiedOn"] == "2026-07-10"


def test_a_review_from_the_future_names_the_field_and_is_not_kept(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    with time_machine.travel(START, tick=False):
        then = Caller(maria.id, access_token(maria.id))
        late = review(then, card_id, at=START + timedelta(minutes=6))
        near = review(then, card_id, at=START + timedelta(minutes=4))
    assert late.status_code == 400
    assert late.json()["errors"][0] == {
        "field": "reviewedAt",
        "code": "in_future",
        "message": "This instant is more than five minutes ahead.",
    }
    assert near.status_code == 201
    assert len(LogEntry.of_card(maria.id, card_id)) == 1


def test_settings_of_a_review_stay_with_it_when_the_log_is_folded_again(maria: Caller) -> None:
    without_fuzz(maria)
    deck_id = deck_of(maria)
    kept, replayed = card_of(maria, deck_id), card_of(maria, deck_id)
    first, second = START, START + timedelta(days=5)
    for card_id in (kept, replayed):
        review(maria, card_id, "easy", first)
    with time_machine.travel(START + timedelta(days=1), tick=False):
        Caller(maria.id, access_token(maria.id)).patch("/scheduler", {"desiredRetention": 0.8})
    review(maria, kept, "good", second)
    review(maria, replayed, "good", second)
    assert state_of(maria, kept) == state_of(maria, replayed)
    # A late entry makes the log of this card be read and folded as a whole.
    review(maria, replayed, "good", first - timedelta(days=3))
    review(maria, kept, "good", first - timedelta(days=3))
    assert state_of(maria, kept) == state_of(maria, replayed)


@pytest.mark.parametrize(
    "changes",
    [
        {"desiredRetention": 0.8},
        {"relearningSteps": [7200]},
        {"dayStartsAtHour": 12},
        {"leechThreshold": 1, "leechAction": "suspend"},
        {"deck": 0.75},
        {"timezone": "Pacific/Auckland"},
    ],
    ids=lambda changes: " ".join(changes),
)
def test_a_review_that_comes_late_is_under_the_settings_of_its_instant(
    maria: Caller, joao: Caller, changes: dict[str, Any]
) -> None:
    """One learner's phone is offline while the settings change; the other's is not."""
    last, cards = START + timedelta(days=20), {}

    def change(caller: Caller, deck_id: str) -> None:
        with time_machine.travel(last + timedelta(hours=1), tick=False):
            then = Caller(caller.id, access_token(caller.id))
            if "deck" in changes:
                then.patch(f"/decks/{deck_id}", {"desiredRetention": changes["deck"]})
            elif "timezone" in changes:
                then.patch("/profile", changes)
            else:
                then.patch("/scheduler", changes)

    for caller, late in ((maria, False), (joao, True)):
        without_fuzz(caller)
        deck_id = deck_of(caller)
        cards[caller.id] = card_id = card_of(caller, deck_id)
        review(caller, card_id, "easy", START)
        if late:
            change(caller, deck_id)
        rating = "again" if changes.keys() & {"relearningSteps", "leechThreshold"} else "good"
        review(caller, card_id, rating, last)
        if not late:
            change(caller, deck_id)
    one, other = (
        maria.get(f"/flashcards/{cards[maria.id]}").json(),
        joao.get(f"/flashcards/{cards[joao.id]}").json(),
    )
    names = ("dueAt", "stability", "state", "step", "leech", "suspendedBy")
    assert {name: one[name] for name in names} == {name: other[name] for name in names}
    log = [caller.get("/reviews").json()["results"] for caller in (maria, joao)]
    assert [each["studiedOn"] for each in log[0]] == [each["studiedOn"] for each in log[1]]


def test_a_decks_own_retention_gives_other_intervals(maria: Caller) -> None:
    without_fuzz(maria)
    usual = card_of(maria, deck_of(maria))
    careful = card_of(maria, deck_of(maria, desiredRetention=0.97))
    days = [
        review(maria, card_id, "easy").json()["card"]["intervalDays"]
        for card_id in (usual, careful)
    ]
    assert days[1] < days[0]


def test_the_log_is_listed_newest_first_in_pages(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    for n in range(5):
        review(maria, card_id, at=START + timedelta(hours=n))
    path, seen = "/reviews?limit=2", []
    while path:
        page = maria.get(path).json()
        seen += page["results"]
        path = page["next"]
    instants = [line["reviewedAt"] for line in seen]
    assert len(instants) == 5
    assert all(newer > older for newer, older in pairwise(instants))


def test_the_log_of_one_card_leaves_the_others_out(maria: Caller) -> None:
    deck_id = deck_of(maria)
    casa, mesa = card_of(maria, deck_id), card_of(maria, deck_id)
    review(maria, casa)
    review(maria, mesa)
    results = maria.get(f"/reviews?cardId={mesa}").json()["results"]
    assert [line["cardId"] for line in results] == [mesa]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("id", "not-an-id", "invalid"),
        ("id", None, "null"),
        ("id", 5, "invalid"),
        ("rating", "great", "invalid_choice"),
        ("rating", 3, "invalid_choice"),
        ("reviewedAt", "yesterday", "invalid"),
        ("reviewedAt", "2026-03-02T09:00:00", "invalid"),
        ("reviewedAt", 1767225600, "invalid"),
        ("durationMs", -1, "min_value"),
        ("durationMs", 3_600_001, "max_value"),
        ("durationMs", "500", "invalid"),
        ("durationMs", 1.5, "invalid"),
        ("surprise", 1, "unknown_field"),
    ],
)
def test_a_field_that_is_not_valid_is_named(
    maria: Caller, field: str, value: Any, code: str
) -> None:
    card_id = card_of(maria, deck_of(maria))
    answer = review(maria, card_id, **{field: value})
    assert answer.status_code == 400, answer.content
    assert (answer.json()["errors"][0]["field"], answer.json()["errors"][0]["code"]) == (
        field,
        code,
    )
    assert state_of(maria, card_id)["reps"] == 0


def test_a_review_of_another_learners_card_is_404(maria: Caller, joao: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    assert review(joao, card_id).status_code == 404
    assert state_of(maria, card_id)["reps"] == 0
