"""The nightly rounds: unverified accounts are deleted, and schedulers are fitted in turn."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils.timezone import now

from accounts import tasks as accounts_tasks
from accounts.cognito import users as cognito_users
from accounts.models import Account, Head, learner_key
from accounts.services.removal import UNVERIFIED_FOR, delete_unverified
from config import aws
from learning import tasks
from learning.services.optimization import EVERY_DAYS, read_optimization
from tests.callers import Caller, make_learner

DAY = timedelta(days=1)
TASK = "accounts.tasks.let_accounts_go"


@pytest.fixture
def empty_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool knows nobody: what is asked of it is tested against the embedded one."""
    monkeypatch.setattr(cognito_users, "find_user", lambda _: None)


def account_of(caller: Caller) -> Account:
    found = Account.of(caller.id)
    assert found is not None
    return found


def test_who_never_verified_is_let_go_after_a_week_and_others_stay(
    maria: Caller, joao: Caller, empty_pool: None
) -> None:
    Account.at(joao.id).verify_email()
    with time_machine.travel(now() + UNVERIFIED_FOR - DAY):
        assert accounts_tasks.let_accounts_go({}, None) == 0
    with time_machine.travel(now() + UNVERIFIED_FOR + DAY):
        assert accounts_tasks.let_accounts_go({}, None) == 1
        assert accounts_tasks.let_accounts_go({}, None) == 0
    assert account_of(maria).disabled
    assert [each.learner_id for each in Account.pending_deletion()] == [maria.id]
    assert not account_of(joao).disabled


def test_who_verifies_at_the_last_moment_stays(maria: Caller, empty_pool: None) -> None:
    seen = account_of(maria)
    Account.at(maria.id).verify_email()
    assert delete_unverified([seen], now=now() + UNVERIFIED_FOR + DAY) == 0
    assert not account_of(maria).disabled


def study(caller: Caller, at: datetime) -> None:
    day = at.date().isoformat()
    Head(learner_key(caller.id), Head.SK, studied_on=day).put()


def nights(first: datetime, number: int) -> list[int]:
    """How many fits each of so many nights has begun."""
    begun = []
    for n in range(number):
        with time_machine.travel(first + n * DAY):
            begun.append(tasks.fit_nightly_batch({}, None))
    return begun


def test_everyone_who_studies_has_one_turn_in_four_weeks(maria: Caller, joao: Caller) -> None:
    idle = make_learner("idle")
    first = datetime(2030, 6, 1, 2, 47, tzinfo=UTC)
    for caller in (maria, joao):
        study(caller, first)
    assert sum(nights(first, EVERY_DAYS)) == 2
    # Whoever has not studied since has nothing new to be fitted to.
    study(maria, first + 40 * DAY)
    assert sum(nights(first + EVERY_DAYS * DAY, EVERY_DAYS)) == 1
    for caller, status in ((maria, "too_few"), (joao, "too_few"), (idle, "never")):
        assert read_optimization(learner_id=caller.id).status == status


def test_a_round_goes_on_elsewhere_when_its_time_is_up(
    maria: Caller, joao: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []

    def invoked(model: Any, params: Any, **_: Any) -> Any:
        sent.append(json.loads(params["body"]))
        return type("Answer", (), {"status_code": 202}), {"StatusCode": 202}

    monkeypatch.setattr(accounts_tasks, "PAGE", 1)
    monkeypatch.setattr(accounts_tasks, "WITHIN_S", 0)
    seen: list[str] = []

    def visit(accounts: Any) -> int:
        seen.extend(each.learner_id for each in accounts)
        return len(accounts)

    assert accounts_tasks.for_each_account(visit, task=TASK) == 2  # here is no function
    seen.clear()
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "parley-api-dev")
    events = aws.client("lambda").meta.events
    events.register("before-call.lambda.Invoke", invoked)
    try:
        assert accounts_tasks.for_each_account(visit, task=TASK) == 1
        [event] = sent
        assert event["command"] == TASK
        assert event["generation"] == 1
        assert (
            accounts_tasks.for_each_account(visit, task=event["command"], start=event["start"]) == 1
        )
    finally:
        events.unregister("before-call.lambda.Invoke", invoked)
    assert sorted(seen) == sorted([maria.id, joao.id])


def test_a_round_that_does_not_end_is_ended(
    maria: Caller, joao: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """AWS's own end of such chains, after sixteen runs, is turned off."""
    monkeypatch.setattr(accounts_tasks, "PAGE", 1)
    monkeypatch.setattr(accounts_tasks, "WITHIN_S", 0)
    monkeypatch.setattr(aws, "invoke_async", lambda *_, **__: pytest.fail("one more run began"))
    visited = accounts_tasks.for_each_account(len, task="here", generation=aws.LONGEST_CHAIN)
    assert visited == 1
    assert "does not end" in caplog.text
