"""POST /flashcards/{id}/undo, reset and reschedule."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from ulid import ULID

from accounts.models import Head
from learning.models.cards import Card
from learning.models.log import Day, LogEntry
from learning.models.scheduler import Scheduler
from learning.scheduling import Rating
from learning.services import review as service
from tests.callers import Caller, access_token
from tests.test_flashcards import card_of, deck_of
from tests.test_reviews import START, review, set_long_ago, state_of

DAY = timedelta(days=1)
COUNTERS = ("reviews", "introduced", "reviewed", "lapsed", "duration_ms", "expected_permille")


def undo(caller: Caller, card_id: str, **body: Any) -> Any:
    return caller.post(f"/flashcards/{card_id}/undo", {"id": str(ULID())} | body)


def progress(caller: Caller, now: datetime) -> tuple[int, int]:
    """The streak and the cards learned, as shown on a day."""
    with time_machine.travel(now, tick=False):
        profile = Caller(caller.id, access_token(caller.id)).get("/profile").json()
    return profile["streak"], profile["cardsLearned"]


def days(caller: Caller) -> Counter[tuple[str, str]]:
    """The counters of all days, but for those at nothing."""
    found = Counter(
        {
            (day.on.isoformat(), name): day.count_of(name)
            for day in Day.all_of(caller.id)
            for name in COUNTERS
        }
    )
    return +found


def test_undo_takes_back_step_by_step_the_card_the_counts_and_the_streak(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    seen = []
    answers = [(0, "good"), (1, "easy"), (2, "good"), (9, "again"), (10, "good")]
    for day, rating in answers:
        at = START + day * DAY
        seen.append((state_of(maria, card_id), days(maria), progress(maria, at)))
        assert review(maria, card_id, rating, at, durationMs=500).status_code == 201
    for (day, _), before in reversed(list(zip(answers, seen, strict=True))):
        answer = undo(maria, card_id)
        assert answer.status_code == 201, answer.content
        assert answer.json()["review"]["kind"] == "void"
        now = START + day * DAY
        assert (state_of(maria, card_id), days(maria), progress(maria, now)) == before
    nothing = undo(maria, card_id)
    assert (nothing.status_code, nothing.json()["code"]) == (409, "NOTHING_TO_UNDO")


def test_an_undo_sent_again_undoes_nothing_more(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    for day in range(3):
        review(maria, card_id, at=START + day * DAY)
    void_id = str(ULID())
    first = undo(maria, card_id, id=void_id)
    again = undo(maria, card_id, id=void_id)
    assert (again.status_code, again.json()) == (201, first.json())
    assert state_of(maria, card_id)["reps"] == 2


def test_an_undo_names_what_it_undid(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    first = review(maria, card_id).json()["review"]["id"]
    newest = review(maria, card_id, at=START + DAY).json()["review"]["id"]
    assert undo(maria, card_id, targetId=first).json()["review"]["targetId"] == first
    assert undo(maria, card_id).json()["review"]["targetId"] == newest
    assert state_of(maria, card_id)["state"] == "new"


def test_what_is_undone_already_or_unknown_cannot_be_undone(maria: Caller) -> None:
    deck_id = deck_of(maria)
    card_id, other = card_of(maria, deck_id), card_of(maria, deck_id)
    first = review(maria, card_id).json()["review"]["id"]
    review(maria, card_id, at=START + DAY)
    undo(maria, card_id, targetId=first)
    for card, target in ((card_id, first), (card_id, str(ULID())), (other, first)):
        answer = undo(maria, card, targetId=target)
        assert (answer.status_code, answer.json()["code"]) == (409, "NOTHING_TO_UNDO")


def test_the_streak_closes_over_an_undone_day_and_returns_with_it(maria: Caller) -> None:
    deck_id = deck_of(maria)
    casa, mesa = card_of(maria, deck_id), card_of(maria, deck_id)
    for day in range(3):
        review(maria, casa, at=START + day * DAY)
    once = review(maria, mesa, at=START + 3 * DAY).json()["review"]["id"]
    now = START + 3 * DAY
    assert progress(maria, now) == (4, 2)
    undo(maria, mesa)
    assert progress(maria, now) == (3, 1)
    assert progress(maria, now + DAY) == (0, 1)
    review(maria, mesa, at=now)
    assert progress(maria, now) == (4, 2)
    # A day with two reviews stays one when one of them is undone.
    review(maria, casa, at=now)
    undo(maria, casa)
    assert progress(maria, now) == (4, 2)
    assert once not in {line["targetId"] for line in maria.get("/reviews").json()["results"][:1]}


def test_a_review_older_than_the_undone_one_is_folded_in(maria: Caller) -> None:
    deck_id = deck_of(maria)
    card_id, wanted = card_of(maria, deck_id), card_of(maria, deck_id)
    set_long_ago(maria, {"fuzz": False})
    review(maria, wanted, "hard", START)
    review(maria, card_id, "easy", START + DAY)
    undo(maria, card_id)
    review(maria, card_id, "hard", START)
    assert state_of(maria, card_id) == state_of(maria, wanted)


def test_reset_makes_a_card_new_and_can_be_undone(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    for day in range(3):
        review(maria, card_id, "easy", START + 20 * day * DAY)
    studied, counted = state_of(maria, card_id), days(maria)
    body = {"id": str(ULID())}
    answer = maria.post(f"/flashcards/{card_id}/reset", body)
    assert answer.status_code == 201
    assert maria.post(f"/flashcards/{card_id}/reset", body).json() == answer.json()
    fresh = state_of(maria, card_id)
    assert (fresh["state"], fresh["reps"], fresh["stability"]) == ("new", 0, None)
    assert days(maria) == counted
    undo(maria, card_id)
    assert state_of(maria, card_id) == studied


def test_reschedule_moves_the_due_instant_alone(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    review(maria, card_id, "easy")
    studied = state_of(maria, card_id)
    body = {"id": str(ULID()), "dueAt": "2031-05-01T08:00:00Z"}
    answer = maria.post(f"/flashcards/{card_id}/reschedule", body)
    assert answer.status_code == 201, answer.content
    assert state_of(maria, card_id) == studied | {"dueAt": "2031-05-01T08:00:00Z"}
    undo(maria, card_id)
    assert state_of(maria, card_id) == studied


@pytest.mark.parametrize("due_at", ["1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "tomorrow"])
def test_a_card_is_not_put_off_beyond_any_calendar(maria: Caller, due_at: str) -> None:
    card_id = card_of(maria, deck_of(maria))
    body = {"id": str(ULID()), "dueAt": due_at}
    answer = maria.post(f"/flashcards/{card_id}/reschedule", body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "dueAt")


@pytest.mark.parametrize("act", ["undo", "reset", "reschedule"])
def test_acts_on_another_learners_card_are_404(maria: Caller, joao: Caller, act: str) -> None:
    card_id = card_of(maria, deck_of(maria))
    review(maria, card_id)
    studied = state_of(maria, card_id)
    due_at = {"dueAt": "2031-05-01T08:00:00Z"} if act == "reschedule" else {}
    answer = joao.post(f"/flashcards/{card_id}/{act}", {"id": str(ULID())} | due_at)
    assert answer.status_code == 404
    assert state_of(maria, card_id) == studied


def test_an_act_with_the_id_of_another_is_refused(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    taken = review(maria, card_id).json()["review"]["id"]
    for path in ("undo", "reset"):
        answer = maria.post(f"/flashcards/{card_id}/{path}", {"id": taken})
        assert (answer.status_code, answer.json()["code"]) == (409, "ID_TAKEN")


def test_one_entry_may_shift_the_counts_of_more_days_than_a_transaction_holds(
    maria: Caller,
) -> None:
    """A card answered Hard day after day stays in learning; a late first Easy makes all those
    answers reviews of a known card."""
    card_id = card_of(maria, deck_of(maria))
    submissions = [
        service.Submission(
            id=f"01J8Z3M4S5T6V7W8X9Y0Z1A{n:03}",
            card_id=card_id,
            at=START + n * DAY,
            rating=Rating.HARD,
        )
        for n in range(110)
    ]
    now = START + 300 * DAY
    service.submit(learner_id=maria.id, submissions=submissions, now=now)
    counted = days(maria)
    assert sum(n for (_, name), n in counted.items() if name == "reviewed") == 0
    easy = service.Submission(
        id="01J8Z3M4S5T6V7W8X9Y0Z1B000", card_id=card_id, at=START - DAY, rating=Rating.EASY
    )
    outcome = service.submit_one(learner_id=maria.id, submission=easy, now=now)
    assert outcome.status == "applied"
    assert outcome.card is not None
    assert outcome.card.uncounted_days is None
    after = days(maria)
    assert sum(n for (_, name), n in after.items() if name == "reviewed") == 110
    assert sum(n for (_, name), n in after.items() if name == "introduced") == 1
    service.undo(learner_id=maria.id, card_id=card_id, void_id="01J8Z3M4S5T6V7W8X9Y0Z1B001",
                 target_id=easy.id, now=now)  # fmt: skip
    assert days(maria) == counted


def test_a_log_made_under_more_settings_than_one_read_holds_folds(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    for n in range(103):
        scheduler = Scheduler(*Scheduler.key(maria.id, n + 1), number=n + 1)
        scheduler.create()
        row = LogEntry(
            *LogEntry.key(maria.id, card_id, f"entry-{n:03}"),
            deck_id="none", entry="review", at=START + n * DAY, rating=3, settings_version=n + 1,
            studied_on="2026-03-02",
        )  # fmt: skip
        row.create()
    head = Head.of(maria.id)
    head.day = head.studied_on = START.date().isoformat()
    head.counts, head.streak_days, head.days_studied = {"reviews": 103}, 1, 1
    head.put()
    late = service.Submission(
        id="late", card_id=card_id, kind="void", at=START, target_id="entry-000"
    )
    service.submit_one(learner_id=maria.id, submission=late, now=START + 200 * DAY)
    card = Card.of(maria.id, card_id)
    assert card is not None
    assert card.reps == 102
