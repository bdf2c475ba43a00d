"""GET /statistics."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from ulid import ULID

from tests.callers import Caller, access_token
from tests.ruler import counted
from tests.test_flashcards import card_of, deck_of
from tests.test_notes import note_of
from tests.test_review_batch import put_card
from tests.test_reviews import START, review, without_fuzz
from tests.test_undo import undo

DAY = timedelta(days=1)


def statistics(caller: Caller, now: datetime = START, query: str = "") -> dict[str, Any]:
    with time_machine.travel(now, tick=False):
        then = Caller(caller.id, access_token(caller.id))
        answer = then.get(f"/statistics{query}")
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def totals(caller: Caller) -> dict[str, int]:
    """The totals that are not nothing."""
    return {name: n for name, n in statistics(caller)["totals"].items() if n}


def test_a_learner_without_cards_has_empty_statistics(maria: Caller) -> None:
    figures = statistics(maria)
    assert not any(figures["totals"].values())
    assert figures["retention"]["week"] == {
        "reviews": 0,
        "remembered": None,
        "expected": None,
        "matureReviews": 0,
        "matureRemembered": None,
    }
    assert (figures["heatmap"], figures["streakDays"], figures["longestStreakDays"]) == ([], 0, 0)
    assert len(figures["forecast"]) == 30
    assert (figures["today"], figures["forecastUntil"]) == ("2026-03-02", "2026-03-31")


def test_totals_follow_every_change_of_the_cards(maria: Caller) -> None:
    without_fuzz(maria)
    deck_id = deck_of(maria)
    casa, mesa = card_of(maria, deck_id), card_of(maria, deck_id)
    assert totals(maria) == {"cards": 2, "new": 2}
    review(maria, casa, "good")
    assert totals(maria) == {"cards": 2, "new": 1, "learning": 1}
    review(maria, casa, "easy", START + DAY)
    assert totals(maria) == {"cards": 2, "new": 1, "young": 1}
    review(maria, casa, "easy", START + 30 * DAY)
    assert totals(maria) == {"cards": 2, "new": 1, "mature": 1}
    review(maria, casa, "again", START + 60 * DAY)
    assert totals(maria) == {"cards": 2, "new": 1, "relearning": 1}
    undo(maria, casa)
    maria.post(f"/flashcards/{mesa}/suspend")
    assert totals(maria) == {"cards": 2, "new": 1, "mature": 1, "suspended": 1}
    maria.post(f"/flashcards/{mesa}/unsuspend")
    note = note_of(maria, deck_id)
    maria.patch(f"/notes/{note['id']}", {"front": "{{c1::a}} {{c2::b}} {{c3::c}}"})
    assert totals(maria) == {"cards": 5, "new": 4, "mature": 1}
    maria.patch(f"/notes/{note['id']}", {"front": "{{c2::b}}"})
    maria.delete(f"/flashcards/{casa}")
    assert totals(maria) == {"cards": 2, "new": 2}
    maria.makes(f"/decks/{deck_id}/duplicate", {"id": str(ULID())})
    assert totals(maria) == {"cards": 4, "new": 4}
    maria.delete(f"/decks/{deck_id}?cards=delete")
    assert totals(maria) == {"cards": 2, "new": 2}


def test_retention_is_what_was_remembered_against_what_was_expected(maria: Caller) -> None:
    without_fuzz(maria)
    deck_id = deck_of(maria)
    for n in range(4):
        card_id = card_of(maria, deck_id)
        review(maria, card_id, "easy", START - 8 * DAY)
        # After the eight days that an easy first answer gives, nine of ten are remembered.
        review(maria, card_id, "again" if n == 0 else "good", START)
    month = statistics(maria)["retention"]["month"]
    assert (month["reviews"], month["remembered"]) == (4, 0.75)
    assert month["expected"] == pytest.approx(0.9, abs=0.01)
    assert month["matureReviews"] == 0
    assert statistics(maria)["ratings"] == {"again": 1, "hard": 0, "good": 3, "easy": 4}


def test_mature_cards_are_counted_apart(maria: Caller) -> None:
    without_fuzz(maria)
    card_id = card_of(maria, deck_of(maria))
    for day in (-90, -60, 0):
        review(maria, card_id, "easy", START + day * DAY)
    year = statistics(maria)["retention"]["year"]
    assert (year["reviews"], year["matureReviews"], year["matureRemembered"]) == (2, 1, 1.0)


def test_the_heatmap_the_time_and_the_streaks_are_in_the_learners_days(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    for day in (-9, -8, -7, -1, 0):
        review(maria, card_id, at=START + day * DAY, durationMs=2000)
    # Two in the morning belongs to the day before.
    review(maria, card_id, at=START.replace(hour=2), durationMs=500)
    figures = statistics(maria)
    assert figures["heatmap"][-2:] == [
        {"on": "2026-03-01", "reviews": 2, "durationMs": 2500},
        {"on": "2026-03-02", "reviews": 1, "durationMs": 2000},
    ]
    assert figures["durationMs"] == {"today": 2000, "week": 4500, "month": 10500, "year": 10500}
    assert (figures["streakDays"], figures["longestStreakDays"]) == (2, 3)
    assert len(statistics(maria, query="?days=2")["heatmap"]) == 2


def test_the_forecast_has_what_is_due_each_day_and_what_is_overdue_today(maria: Caller) -> None:
    without_fuzz(maria)
    deck_id = deck_of(maria)
    for at in (START - 40 * DAY, START - 8 * DAY, START - 5 * DAY, START - 5 * DAY):
        review(maria, card_of(maria, deck_id), "easy", at)
    forecast = {each["on"]: each["reviews"] for each in statistics(maria)["forecast"]}
    assert {on: n for on, n in forecast.items() if n} == {"2026-03-02": 2, "2026-03-05": 2}


def test_a_buried_card_is_expected_on_the_day_its_burial_ends(maria: Caller) -> None:
    """As in the queue; Anki shows it on no day, and tomorrow on that day."""
    without_fuzz(maria)
    deck_id = deck_of(maria)
    shown, buried = card_of(maria, deck_id), card_of(maria, deck_id)
    for card_id in (shown, buried):
        review(maria, card_id, "easy", START - 40 * DAY)
    with time_machine.travel(START, tick=False):
        Caller(maria.id, access_token(maria.id)).post(f"/flashcards/{buried}/bury")
    forecast = {each["on"]: each["reviews"] for each in statistics(maria)["forecast"]}
    assert {on: n for on, n in forecast.items() if n} == {"2026-03-02": 1, "2026-03-03": 1}
    for day, due in enumerate([[shown], [shown, buried]]):
        with time_machine.travel(START + day * DAY, tick=False):
            queue = Caller(maria.id, access_token(maria.id)).get("/flashcards/due").json()
        assert {due_card["card"]["id"] for due_card in queue["results"]} == set(due)


@pytest.mark.parametrize("query", ["?days=0", "?days=367", "?days=x", "?year=2026"])
def test_a_parameter_that_is_not_valid_is_refused(maria: Caller, query: str) -> None:
    assert maria.get(f"/statistics{query}").status_code == 400


def test_statistics_are_three_calls(maria: Caller) -> None:
    maria.get("/decks")
    with counted() as spent:
        statistics(maria)
    assert spent.calls == ["BatchGetItem", "Query", "Query"]


def test_another_learners_study_is_not_counted(maria: Caller, joao: Caller) -> None:
    review(maria, card_of(maria, deck_of(maria)))
    assert totals(joao) == {}
    assert statistics(joao)["heatmap"] == []


def test_a_card_from_before_totals_were_kept_is_counted_when_it_changes(maria: Caller) -> None:
    card_id = put_card(maria.id)
    assert totals(maria) == {}
    review(maria, card_id)
    assert totals(maria) == {"cards": 1, "learning": 1}
