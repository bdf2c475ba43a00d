"""The nightly rounds: unverified accounts are deleted, and schedulers are fitted in turn."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils.timezone import now

from accounts import tasks as accounts_tasks
from accounts.cognito import users as cognito_users
from accounts.cognito.users import PlaceLost
from accounts.models import Account, Head, learner_key
from accounts.services.removal import UNVERIFIED_FOR, delete_unverified
from config import work
from config.store.jobs import Job
from learning import tasks
from learning.services.optimization import EVERY_DAYS, read_optimization
from tests.callers import Caller, make_learner
from tests.queues import MemoryQueues
from tests.test_auth_reconciliation import make_user, sign_up_like

DAY = timedelta(days=1)


@pytest.fixture
def empty_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool knows nobody: what is asked of it is tested against the embedded one."""
    monkeypatch.setattr(cognito_users, "find_user", lambda _: None)
    monkeypatch.setattr(cognito_users, "list_users", lambda **_: ([], None))


def account_of(caller: Caller) -> Account:
    found = Account.of(caller.id)
    assert found is not None
    return found


def test_who_never_verified_is_let_go_after_a_week_and_others_stay(
    maria: Caller, joao: Caller, empty_pool: None, queues: MemoryQueues
) -> None:
    Account.at(joao.id).verify_email()
    with time_machine.travel(now() + UNVERIFIED_FOR - DAY):
        assert unverified_let_go(queues) == 0
    with time_machine.travel(now() + UNVERIFIED_FOR + DAY):
        assert unverified_let_go(queues) == 1
    with time_machine.travel(now() + UNVERIFIED_FOR + 2 * DAY):
        assert unverified_let_go(queues) == 0
    assert account_of(maria).disabled
    assert [each.learner_id for each in Account.pending_deletion()] == [maria.id]
    assert not account_of(joao).disabled


def test_who_verifies_at_the_last_moment_stays(maria: Caller, empty_pool: None) -> None:
    seen = account_of(maria)
    Account.at(maria.id).verify_email()
    assert delete_unverified([seen], now=now() + UNVERIFIED_FOR + DAY) == 0
    assert not account_of(maria).disabled


def test_a_sign_up_that_was_cut_off_before_an_account_goes_after_a_week(
    pool: Any, queues: MemoryQueues
) -> None:
    """What the pool has beside it stays: a younger one, and users who are more than that."""
    with time_machine.travel(now() - UNVERIFIED_FOR - DAY):
        left_over, waiting = make_user("alda"), make_user("bela")
        sign_up_like(left_over)
        sign_up_like(waiting)
        confirmed = make_user("clara")
        invited = cognito_users.create_user(email="dina@example.org", first_name="", last_name="")
        Account.new(waiting.id, email=waiting.email, now=now() + 2 * DAY).create()
    with time_machine.travel(now() - UNVERIFIED_FOR + DAY):
        younger = make_user("elza")
        sign_up_like(younger)
    accounts_tasks.start_letting_accounts_go({}, None)
    assert result_of("left_over_sign_ups", queues) == 1
    left = {user.sub for user in cognito_users.list_users(limit=60, start=None)[0]}
    assert left == {waiting.id, confirmed.id, invited, younger.id}


def test_the_walk_begins_anew_where_the_pool_has_forgotten_its_place(
    pool: Any, queues: MemoryQueues, monkeypatch: pytest.MonkeyPatch
) -> None:
    with time_machine.travel(now() - UNVERIFIED_FOR - DAY):
        sign_up_like(make_user("alda"))
    walk = cognito_users.list_users
    starts: list[str | None] = []

    def forgetful(*, limit: int, start: str | None, status: str | None = None) -> Any:
        starts.append(start)
        if start is not None:
            raise PlaceLost
        users, _ = walk(limit=limit, start=start, status=status)
        return users, "lapsed" if len(starts) == 1 else None

    monkeypatch.setattr(cognito_users, "list_users", forgetful)
    accounts_tasks.start_letting_accounts_go({}, None)
    assert result_of("left_over_sign_ups", queues) == 1
    assert starts == [None, "lapsed", None]


def unverified_let_go(queues: MemoryQueues) -> int:
    """How many accounts the round of this night has let go."""
    accounts_tasks.start_letting_accounts_go({}, None)
    return int(result_of("accounts_let_go", queues))


def result_of(what: str, queues: MemoryQueues) -> int:
    queues.run()
    job = Job.of(Job.SERVICE, what, now().date().isoformat())
    assert job is not None
    assert job.state == "done"
    return int(job.result)


def study(caller: Caller, at: datetime) -> None:
    day = at.date().isoformat()
    Head(learner_key(caller.id), Head.SK, studied_on=day).put()


def nights(first: datetime, number: int, queues: MemoryQueues) -> list[int]:
    """How many fits each of so many nights has begun."""
    begun = []
    for n in range(number):
        with time_machine.travel(first + n * DAY):
            tasks.start_nightly_fits({}, None)
            begun.append(result_of("nightly_fits", queues))
    return begun


def test_everyone_who_studies_has_one_turn_in_four_weeks(
    maria: Caller, joao: Caller, queues: MemoryQueues
) -> None:
    idle = make_learner("idle")
    first = datetime(2030, 6, 1, 2, 47, tzinfo=UTC)
    for caller in (maria, joao):
        study(caller, first)
    assert sum(nights(first, EVERY_DAYS, queues)) == 2
    # Whoever has not studied since has nothing new to be fitted to.
    study(maria, first + 40 * DAY)
    assert sum(nights(first + EVERY_DAYS * DAY, EVERY_DAYS, queues)) == 1
    for caller, status in ((maria, "too_few"), (joao, "too_few"), (idle, "never")):
        assert read_optimization(learner_id=caller.id).status == status


def test_a_round_goes_on_from_run_to_run_and_begins_once_a_night(
    maria: Caller,
    joao: Caller,
    empty_pool: None,
    queues: MemoryQueues,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accounts_tasks, "PAGE", 1)
    monkeypatch.setattr(work, "WITHIN_S", 0)
    seen: list[str] = []
    monkeypatch.setattr(
        accounts_tasks,
        "delete_unverified",
        lambda accounts, now: seen.extend(account.learner_id for account in accounts) or 1,
    )
    for _ in range(2):  # a schedule may call twice
        accounts_tasks.start_letting_accounts_go({}, None)
    queues.run_on()
    assert seen == [joao.id, maria.id]
    [night] = Job.newest(Job.SERVICE, "accounts_let_go", limit=5, start=None).items
    assert (night.state, night.step, night.done, night.result) == ("done", 1, 2, 2)
