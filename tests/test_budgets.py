"""Budgets: what is counted before a call and settled after it, however many calls come at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from learning.models.budgets import Budget, BudgetSpent, Reservation, reserve
from tests.memory_table import MemoryTable

NOW = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
MARIA, JOAO = "maria", "joao"


@pytest.fixture(autouse=True)
def small_budgets(settings: Any, table: None) -> None:
    settings.BUDGETS = {"turns": (3, 5), "tokens": (1_000, 10_000)}


def day_of(learner_id: str, at: datetime = NOW) -> dict[str, int]:
    return Budget.of_day(learner_id, at).used()


def month(at: datetime = NOW) -> dict[str, int]:
    return Budget.of_month(at).used()


def spent(learner_id: str, units: dict[str, int], at: datetime = NOW) -> BudgetSpent:
    with pytest.raises(BudgetSpent) as refused:
        reserve(learner_id, units, now=at)
    return refused.value


def test_what_is_reserved_counts_at_once_and_what_was_used_counts_afterwards() -> None:
    reservation = reserve(MARIA, {"turns": 1, "tokens": 900}, now=NOW)
    assert day_of(MARIA) == month() == {"turns": 1, "tokens": 900}
    reservation.settle({"tokens": 120})
    assert day_of(MARIA) == month() == {"turns": 1, "tokens": 120}


def test_a_call_that_was_not_made_counts_for_nothing() -> None:
    reserve(MARIA, {"turns": 1, "tokens": 900}, now=NOW).release()
    assert day_of(MARIA) == month() == {"turns": 0, "tokens": 0}


def test_a_call_that_used_more_than_was_reserved_counts_whole() -> None:
    reserve(MARIA, {"tokens": 100}, now=NOW).settle({"tokens": 2_000})
    refused = spent(MARIA, {"tokens": 1})
    assert (refused.thing, refused.scope) == ("tokens", "learner")


def test_a_call_that_is_never_settled_stays_counted() -> None:
    reserve(MARIA, {"turns": 1, "tokens": 900}, now=NOW)
    refused = spent(MARIA, {"turns": 1, "tokens": 101})
    assert (refused.thing, refused.scope) == ("tokens", "learner")
    assert day_of(MARIA) == {"turns": 1, "tokens": 900}, "a refusal counts nothing"
    reserve(MARIA, {"turns": 1, "tokens": 100}, now=NOW)


def test_a_learners_day_ends_at_midnight_and_the_stages_month_with_the_month() -> None:
    for _ in range(3):
        reserve(MARIA, {"turns": 1}, now=NOW)
    refused = spent(MARIA, {"turns": 1})
    assert (refused.scope, refused.until) == ("learner", datetime(2026, 12, 1, tzinfo=UTC))
    for _ in range(2):
        reserve(JOAO, {"turns": 1}, now=NOW)
    refused = spent(JOAO, {"turns": 1})
    assert (refused.scope, refused.until) == ("stage", datetime(2026, 12, 1, tzinfo=UTC))
    assert day_of(JOAO) == {"turns": 2}, "what the stage refuses is not the learner's"
    reserve(MARIA, {"turns": 1}, now=NOW + timedelta(hours=1))
    assert month(NOW + timedelta(hours=1)) == {"turns": 1}


@pytest.mark.parametrize(
    ("at", "until"),
    [
        (datetime(2026, 12, 31, 12, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (datetime(2028, 1, 31, 12, tzinfo=UTC), datetime(2028, 2, 1, tzinfo=UTC)),
    ],
)
def test_a_month_is_as_long_as_the_calendar_says(at: datetime, until: datetime) -> None:
    for learner in (MARIA, JOAO):
        for _ in range(3 if learner == MARIA else 2):
            reserve(learner, {"turns": 1}, now=at)
    assert spent(JOAO, {"turns": 1}, at).until == until


def test_more_than_the_whole_limit_is_refused_though_nothing_is_counted_yet() -> None:
    assert spent(MARIA, {"tokens": 1_001}).scope == "learner"
    assert day_of(MARIA) == month() == {}


def test_of_fifty_calls_at_once_just_as_many_pass_as_there_is_room_for(settings: Any) -> None:
    settings.BUDGETS = {"turns": (7, 20), "tokens": (1_000_000, 1_000_000)}

    def ask(number: int) -> Reservation | BudgetSpent:
        try:
            return reserve(f"learner-{number % 5}", {"turns": 1, "tokens": 10}, now=NOW)
        except BudgetSpent as refused:
            return refused

    with ThreadPoolExecutor(50) as threads:
        outcomes = list(threads.map(ask, range(50)))
    passed = [each for each in outcomes if isinstance(each, Reservation)]
    assert len(passed) == 20
    for reservation in passed:
        reservation.settle({"tokens": 3})
    assert month() == {"turns": 20, "tokens": 60}
    days = [day_of(f"learner-{number}") for number in range(5)]
    assert sum(day["turns"] for day in days) == 20
    assert max(day["turns"] for day in days) <= 7


def test_a_table_that_is_busy_leaves_what_was_reserved(
    memory_table: MemoryTable, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reservation = reserve(MARIA, {"tokens": 900}, now=NOW)
    monkeypatch.setattr(memory_table, "fault", lambda _: "ThrottlingException")
    reservation.settle({"tokens": 1})
    monkeypatch.undo()
    assert day_of(MARIA) == {"tokens": 900}
    assert [record.message for record in caplog.records] == [
        "what a call has used was not settled"
    ] * 2


def test_a_learner_who_has_left_in_the_meantime_gets_no_new_item() -> None:
    reservation = reserve(MARIA, {"tokens": 900}, now=NOW)
    reservation.day.delete()
    reservation.settle({"tokens": 1})
    assert day_of(MARIA) == {}
    assert month() == {"tokens": 1}


def test_a_period_is_forgotten_in_time() -> None:
    reservation = reserve(MARIA, {"turns": 1}, now=NOW)
    kept = [
        datetime.fromtimestamp(Budget.get_or_none(each.pk, each.sk).expires_at, UTC) - NOW  # type: ignore[union-attr]
        for each in (reservation.day, reservation.month)
    ]
    assert [each.days for each in kept] == [2, 400]
