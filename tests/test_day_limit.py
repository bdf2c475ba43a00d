"""What one account may cost in a day: counted in the table, for all processes together."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from accounts.models import Account, Attempts, limits
from accounts.models.account import account_cache
from accounts.models.limits import DayMeter, cost_of
from config.problems import ServiceUnavailable
from config.stack import BASE_DIR
from config.telemetry import Call
from config.work import Message
from learning import tasks
from tests.callers import Caller, access_token

EVENING = datetime.now(UTC).replace(hour=21, minute=0, second=0, microsecond=0)


def spent_of(learner_id: str) -> int:
    counter = Attempts.at("day", f"{learner_id} {EVENING.date()}")
    stored = Attempts.get_or_none(counter.pk, counter.sk)
    return int(stored.raw["cost"]["N"]) if stored else 0


def test_an_ordinary_day_costs_no_write(maria: Caller) -> None:
    meter = DayMeter()
    for _ in range(100):
        meter.add(maria.id, 9.0, now=EVENING)
    assert spent_of(maria.id) == 0


def test_what_several_processes_have_counted_is_added_up(maria: Caller) -> None:
    for meter in (DayMeter(), DayMeter(), DayMeter()):
        meter.add(maria.id, 700, now=EVENING)
        meter.add(maria.id, 400, now=EVENING)
    assert spent_of(maria.id) == 3 * 1_100


def test_whoever_has_used_up_the_day_waits_until_midnight(
    maria: Caller, joao: Caller, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DAY_USD = 0.005
    monkeypatch.setattr(limits, "cost_of", lambda *_: 2_500)
    with time_machine.travel(EVENING, tick=False):
        maria.token, joao.token = access_token(maria.id), access_token(joao.id)
        assert [maria.get("/profile").status_code for _ in range(3)] == [200, 200, 429]
        refused = maria.post("/decks", {"name": "Português"})
        assert (refused.status_code, refused.json()["code"]) == (429, "TOO_MANY_REQUESTS")
        assert refused.headers["Retry-After"] == str(3 * 3600)
        assert joao.get("/profile").status_code == 200
    account_cache.forget()
    with time_machine.travel(EVENING + timedelta(hours=3, seconds=1), tick=False):
        maria.token = access_token(maria.id)
        assert maria.get("/profile").status_code == 200


def test_a_day_that_is_used_up_elsewhere_is_over_here_too(maria: Caller, settings: Any) -> None:
    settings.DAY_USD = 0.001
    DayMeter().add(maria.id, 1_000, now=EVENING)
    other = DayMeter()
    other.add(maria.id, 999, now=EVENING)
    with time_machine.travel(EVENING, tick=False):
        maria.token = access_token(maria.id)
        assert maria.get("/profile").status_code == 429


def test_a_table_that_does_not_answer_spoils_no_answer(
    maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any, **__: Any) -> int:
        raise ServiceUnavailable

    meter = DayMeter()
    with monkeypatch.context() as patch:
        patch.setattr(Attempts, "add", busy)
        meter.add(maria.id, 1_500, now=EVENING)
    meter.add(maria.id, 1, now=EVENING)
    assert spent_of(maria.id) == 1_501


def test_a_learner_who_is_gone_is_not_charged_with_an_error(maria: Caller, settings: Any) -> None:
    settings.DAY_USD = 0.001
    Account.at(maria.id).delete()
    DayMeter().add(maria.id, 2_000, now=EVENING)
    assert Account.of(maria.id) is None


def test_fits_are_five_a_day(maria: Caller) -> None:
    answers = [maria.post("/scheduler/optimize").status_code for _ in range(6)]
    assert answers[0] == 202
    assert [status == 429 for status in answers] == [False] * 5 + [True]


def test_a_fit_is_counted_when_it_is_over(maria: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: dict[str, float] = {}
    monkeypatch.setattr(
        limits.day_meter, "add", lambda learner_id, cost, now: counted.update({learner_id: cost})
    )
    tasks.optimize(Message("optimize", {"learnerId": maria.id}))
    assert counted[maria.id] > cost_of([], 0, 0)


def test_the_prices_are_those_of_the_estimates() -> None:
    found = json.loads((BASE_DIR / "config" / "ops" / "prices.json").read_text())["prices"]
    usd = {name: price["usd"] / price["per"] * 1_000_000 for name, price in found.items()}
    log_line = usd["log_gb"] * 420 / 1e9
    request = usd["request"] + usd["invocation"] + log_line
    assert cost_of([], 0, 0) == pytest.approx(request, rel=0.01)
    assert cost_of([Call("", 1)], 0, 0) - cost_of([], 0, 0) == pytest.approx(usd["read_unit"])
    written = cost_of([Call("", 1, is_write=True)], 0, 0) - cost_of([], 0, 0)
    assert written == pytest.approx(usd["write_unit"])
    assert cost_of([], 1, 0) - cost_of([], 0, 0) == pytest.approx(usd["gb_s"])
    assert cost_of([], 0, 10**9) - cost_of([], 0, 0) == pytest.approx(usd["transfer_gb"])


@pytest.mark.server
def test_what_is_written_costs_five_times_what_is_read(
    dynamodb_local: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.callers import make_learner

    seen: list[list[Call]] = []
    monkeypatch.setattr(limits, "cost_of", lambda calls, *_: seen.append(list(calls)) or 0.0)
    rita = make_learner("rita")
    rita.makes("/decks", {"name": "Português"})
    units = dict.fromkeys((True, False), 0.0)
    for call in seen[-1]:
        units[call.is_write] += call.units
    assert units[True] > 0
    assert units[False] > 0
