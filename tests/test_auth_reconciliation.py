"""The nightly comparison of pool and table: what it repairs and reports, and how it goes on."""

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, get_args

import pytest
import time_machine
from django.core.management import call_command
from django.utils.timezone import now

from accounts import tasks
from accounts.cognito import users as cognito_users
from accounts.cognito.users import PlaceLost, PoolUser
from accounts.models import Account, Address, Profile, Reconciliation, learner_key
from accounts.models.account import account_cache
from accounts.services import reconciliation
from accounts.services.reconciliation import MOST, reconcile
from config import work
from config.store.items import ConditionFailed
from config.store.jobs import Job
from tests.callers import Caller, make_learner
from tests.crashes import Crash, answer_lost, crash_before
from tests.memory_table import MemoryTable
from tests.queues import MemoryQueues
from tests.test_auth_crashes import FIRST, STEP

LATER = timedelta(hours=2)  # what was begun before has ended by now
WHOLE = 60.0


@dataclass
class Learner:
    """A person in both stores, who agree."""

    id: str
    email: str

    @property
    def account(self) -> Account:
        account = Account.of(self.id)
        assert account is not None
        return account

    @property
    def user(self) -> PoolUser:
        user = cognito_users.find_user(self.id)
        assert user is not None
        return user


def make_user(name: str, *, verified: bool = True) -> Learner:
    email = f"{name}@example.org"
    sub = cognito_users.create_user(email=email, first_name=name.title(), last_name="Sousa")
    cognito_users.set_password(sub, "corvo-azul-7")
    learner = Learner(sub, email)
    if not verified:
        set_verified(learner, False)
    return learner


def make_person(name: str, **account: Any) -> Learner:
    learner = make_user(name)
    made = Account.new(learner.id, email=learner.email, now=now())
    made.email_verified = True
    for attribute, value in account.items():
        setattr(made, attribute, value)
    made.create()
    Profile.new(learner.id, first_name=name.title(), last_name="Sousa", now=now()).put()
    assign(learner.email, learner.id)
    return learner


def assign(email: str, learner_id: str) -> None:
    Address(f"EMAIL#{email}", Address.SK, owner="test", lease_until=0, learner_id=learner_id).put()


def run(later: timedelta = LATER) -> dict[str, Any]:
    """A whole round; returns its report."""
    account_cache.forget()
    with time_machine.travel(now() + later):
        assert reconcile(goes_on=False, now=now(), within_s=WHOLE)
    report: dict[str, Any] = Reconciliation.latest().report or {}
    return report


def told(report: dict[str, Any]) -> set[tuple[str, str, bool]]:
    return {(it["learner_id"], it["kind"], it["repaired"]) for it in report["results"]}


def set_account(learner: Learner, **values: Any) -> None:
    actions = [getattr(Account, name).set(value) for name, value in values.items()]
    learner.account.update_attributes(*actions)


def set_email(learner: Learner, email: str, *, verified: bool) -> None:
    cognito_users.set_attributes(learner.id, {"email": email}, {})
    set_verified(learner, verified)


def set_verified(learner: Learner, verified: bool) -> None:
    cognito_users.set_attributes(learner.id, {"email_verified": str(verified).lower()}, {})


# --- What is repaired: how it comes about, and what is right afterwards -----------------------


def password_change_cut_off() -> tuple[Learner, str]:
    learner = make_person("adelina")
    learner.account.begin_password_change("cut-off", now())
    return learner, "unfinished"


def move_cut_off() -> tuple[Learner, str]:
    learner = make_person("adelina")
    assign("adelina.nova@example.org", learner.id)
    set_account(learner, moving_to="adelina.nova@example.org")
    return learner, "unfinished"


def proof_cut_off() -> tuple[Learner, str]:
    learner = make_person("adelina", email_verified=False)
    learner.account.begin_proof(Account.BY_SECRET, "cut-off")
    return learner, "unfinished"


def link_cut_off() -> tuple[Learner, str]:
    learner = make_person("adelina")
    learner.account.begin_link("google-7", now())
    return learner, "unfinished"


def unlink_cut_off() -> tuple[Learner, str]:
    learner = make_person("adelina", google_ids={"google-7"})
    learner.account.begin_unlink()
    return learner, "unfinished"


def address_lost() -> tuple[Learner, str]:
    learner = make_person("adelina")
    Address.at(learner.email).delete()
    return learner, "address_free"


def address_reserved_long_ago() -> tuple[Learner, str]:
    learner = make_person("adelina")
    Address.at(learner.email).delete()
    Address.reserve(learner.email, owner="cut off", now=now())
    return learner, "address_free"


def proved_by_an_operator() -> tuple[Learner, str]:
    return make_person("adelina", email_verified=False), "proved_in_pool"


def not_verified_in_the_pool() -> tuple[Learner, str]:
    learner = make_person("adelina")
    set_verified(learner, False)
    return learner, "unproved_in_pool"


def another_address_that_nobody_has_proved() -> tuple[Learner, str]:
    learner = make_person("adelina")
    set_email(learner, "else@example.org", verified=False)
    return learner, "other_unproved_address_in_pool"


def shut_in_the_table_alone() -> tuple[Learner, str]:
    return make_person("adelina", disabled=True), "open_in_pool"


def shut_in_the_pool_alone() -> tuple[Learner, str]:
    learner = make_person("adelina")
    cognito_users.set_enabled(learner.id, enabled=False)
    return learner, "shut_in_pool"


def without_an_account() -> tuple[Learner, str]:
    return make_user("adelina"), "user_without_account"


REPAIRED = [
    password_change_cut_off,
    move_cut_off,
    proof_cut_off,
    link_cut_off,
    unlink_cut_off,
    address_lost,
    address_reserved_long_ago,
    proved_by_an_operator,
    not_verified_in_the_pool,
    another_address_that_nobody_has_proved,
    shut_in_the_table_alone,
    shut_in_the_pool_alone,
    without_an_account,
]


def is_right(learner: Learner) -> bool:
    """Whether both stores say the same of a person, with nothing left to do."""
    account, user, address = learner.account, learner.user, Address.of(learner.account.email)
    assert address is not None
    assert address.learner_id == learner.id
    assert (user.email, user.email_verified) == (account.email, account.email_verified)
    assert account.email_verified
    assert user.enabled is not account.disabled
    open_notes = (account.moving_to, account.proofs, account.linking, account.unlinking)
    assert not any(open_notes)
    assert not account.password_changes
    return True


@pytest.mark.parametrize("arrange", REPAIRED)
def test_what_is_certain_is_repaired(pool: Any, arrange: Callable[[], tuple[Learner, str]]) -> None:
    learner, kind = arrange()
    other = make_person("bento")
    assert told(run()) == {(learner.id, kind, True)}
    assert is_right(learner)
    assert is_right(other)
    again = run()
    assert (again["total"], again["results"]) == (0, [])


def test_a_shut_in_the_console_voids_the_tokens_and_is_in_the_trail(pool: Any) -> None:
    learner, _ = shut_in_the_pool_alone()
    run()
    assert learner.account.disabled
    assert learner.account.tokens_valid_after > now().timestamp()
    [line] = reconciliation.Activity.newest(f"users/{learner.id}", limit=5).items
    assert (line.action, line.actor) == ("disabled", "console")


def test_an_account_that_an_admin_opens_meanwhile_stays_open(
    pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, _ = shut_in_the_table_alone()
    set_enabled = cognito_users.set_enabled

    def overtaken(username: str, *, enabled: bool) -> None:
        set_enabled(username, enabled=enabled)
        set_account(learner, disabled=False)

    monkeypatch.setattr(cognito_users, "set_enabled", overtaken)
    run()
    assert learner.user.enabled
    assert not learner.account.disabled


# --- What is left to people ------------------------------------------------------------------


def user_deleted_in_the_console() -> tuple[str, str]:
    learner = make_person("celina")
    cognito_users.delete_user(learner.id)
    return learner.id, "user_missing"


def user_back_to_unconfirmed() -> tuple[str, str]:
    learner = make_person("celina")
    sign_up_like(learner)
    return learner.id, "user_unconfirmed"


def sign_up_like(learner: Learner) -> None:
    """Makes of a user what a sign-up that nobody has confirmed has made."""
    from moto.cognitoidp.models import cognitoidp_backends

    backends = cognitoidp_backends["123456789012"]["eu-west-1"]
    for each in backends.user_pools.values():
        for user in each.users.values():
            if user.id == learner.id:
                user.status = "UNCONFIRMED"


def address_changed_in_the_console() -> tuple[str, str]:
    learner = make_person("celina")
    set_email(learner, "celina.nova@example.org", verified=True)
    return learner.id, "other_address_in_pool"


def address_of_two_accounts() -> tuple[str, str]:
    learner = make_person("celina")
    assign(learner.email, make_person("dario").id)
    return learner.id, "address_of_another"


def user_with_anothers_address() -> tuple[str, str]:
    learner = make_user("celina")
    assign(learner.email, make_person("dario").id)
    return learner.id, "address_of_another"


def enrolment_cut_off() -> tuple[str, str]:
    return make_person("celina", enrolling=True).id, "enrolment_cut_off"


def staff_whom_nobody_has_proved() -> tuple[str, str]:
    learner = make_person("celina", email_verified=False)
    set_verified(learner, False)
    cognito_users.add_to_group(learner.id, "staff")
    return learner.id, "staff_not_proved"


def sign_up_confirmed_in_the_console() -> tuple[str, str]:
    learner = make_person("celina", email_verified=False, sign_up_secret="of the sign-up")
    set_verified(learner, False)
    return learner.id, "unproved_account_confirmed"


REPORTED = [
    user_deleted_in_the_console,
    user_back_to_unconfirmed,
    address_changed_in_the_console,
    address_of_two_accounts,
    user_with_anothers_address,
    enrolment_cut_off,
    staff_whom_nobody_has_proved,
    sign_up_confirmed_in_the_console,
]


def everything(pool: Any) -> tuple[list[Any], list[Any]]:
    """What both stores hold of people."""
    users = cognito_users.list_users(limit=60, start=None)[0]
    accounts = [account.serialize() for account in Account.by_email("", limit=100).items]
    return users, accounts


@pytest.mark.parametrize("arrange", REPORTED)
def test_what_is_not_certain_is_reported_and_stays_as_it_is(
    pool: Any, arrange: Callable[[], tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    learner_id, kind = arrange()
    before = everything(pool)
    with caplog.at_level(logging.INFO, logger="parley"):
        report = run()
    assert told(report) == {(learner_id, kind, False)}
    assert everything(pool) == before
    said = [record.__dict__.get("fields", {}) for record in caplog.records]
    assert [line["Disagreements"] for line in said if "Disagreements" in line] == [1]
    assert [line["kinds"] for line in said if "kinds" in line] == [{kind: 1}]


def test_every_kind_of_disagreement_is_tried_here() -> None:
    from accounts.services.reconciliation import ADOPTED, REPAIRS, Kind

    assert set(get_args(Kind)) - set(REPAIRS) - {ADOPTED} == {
        "user_missing",
        "user_unconfirmed",
        "other_address_in_pool",
        "address_of_another",
        "enrolment_cut_off",
        "staff_not_proved",
        "unproved_account_confirmed",
    }


def test_who_waits_for_a_first_sign_in_and_what_is_under_way_is_none_of_it(pool: Any) -> None:
    cognito_users.create_user(email="eva@example.org", first_name="", last_name="")
    make_person("fabio", enrolling=True)
    make_user("gilda")
    sign_up_like(make_user("ivone"))
    learner = make_person("hugo")
    learner.account.begin_password_change("under way", now())
    report = run(later=timedelta())
    assert (report["total"], report["compared"]) == (0, 7)


def test_an_account_that_is_leaving_is_the_sweeps(pool: Any) -> None:
    learner = make_person("ilda", disabled=True)
    learner.account.mark_for_deletion(now())
    assert run()["total"] == 0


# --- Many --------------------------------------------------------------------------------------


def test_up_to_twenty_are_repaired_and_of_one_more_all_are_only_reported(pool: Any) -> None:
    people = [make_person(f"joana{n:02}", disabled=True) for n in range(MOST + 1)]
    report = run()
    assert (report["total"], report["only_reported"]) == (MOST + 1, True)
    assert told(report) == {(person.id, "open_in_pool", False) for person in people}
    assert all(person.user.enabled for person in people)
    cognito_users.set_enabled(people[0].id, enabled=False)
    report = run()
    assert (report["total"], report["only_reported"]) == (MOST, False)
    assert told(report) == {(person.id, "open_in_pool", True) for person in people[1:]}
    assert not any(person.user.enabled for person in people)


def test_of_a_store_that_was_restored_a_hundred_are_listed_and_all_counted(pool: Any) -> None:
    current = Reconciliation.latest()
    for number in range(150):
        current.add(f"learner-{number}", "user_missing")
    current.add("learner-7", "user_missing")
    assert (current.total, len(current.found)) == (150, Reconciliation.LISTED)


# --- Going on ------------------------------------------------------------------------------------


def several() -> list[Learner]:
    learners = [shut_in_the_table_alone()[0], make_user("bento"), make_person("celina")]
    set_verified(learners[2], False)
    make_person("dario")
    return learners


def step() -> bool:
    """A run whose time is up after one page."""
    account_cache.forget()
    with time_machine.travel(now() + LATER):
        return reconcile(goes_on=False, now=now(), within_s=0)


def test_a_round_goes_on_where_the_one_before_stood(
    pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "PAGE", 1)
    learners = several()
    steps, phases = 0, []
    while not step():
        steps += 1
        phases.append(Reconciliation.latest().phase)
    assert phases == sorted(phases, key=list(reconciliation.PHASES).index)
    assert phases.count("accounts") == 2
    assert phases.count("users") == 4
    report = Reconciliation.latest().report
    assert report is not None
    assert (report["compared"], report["total"]) == (7, 3)
    assert all(is_right(learner) for learner in learners)


@pytest.mark.parametrize("cut_off", [crash_before, answer_lost])
def test_a_round_that_is_cut_off_anywhere_is_completed_by_the_next_run(
    pool: Any, memory_table: MemoryTable, cut_off: Any
) -> None:
    for nth in range(FIRST, 100, STEP):
        memory_table.clear()
        for user in cognito_users.list_users(limit=60, start=None)[0]:
            cognito_users.delete_user(user.sub)
        learners = several()
        account_cache.forget()
        with (
            time_machine.travel(now() + LATER),
            cut_off(nth) as calls,
            suppress(Crash, Exception),
        ):
            reconcile(goes_on=False, now=now(), within_s=WHOLE)
        run(LATER + timedelta(minutes=2))
        if len(calls) < nth:
            break
        run(LATER + timedelta(minutes=4))
        assert all(is_right(learner) for learner in learners), calls
    assert nth > 20 - STEP


def test_a_place_that_the_pool_has_forgotten_begins_the_users_anew(
    pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "PAGE", 1)
    learners = several()
    while not (Reconciliation.latest().phase == "users" and Reconciliation.latest().place):
        assert not step()
    list_users = cognito_users.list_users
    lapsed = Reconciliation.latest().place

    def forgetful(*, limit: int, start: str | None) -> Any:
        if start is not None and start == lapsed:
            monkeypatch.setattr(cognito_users, "list_users", list_users)
            raise PlaceLost
        return list_users(limit=limit, start=start)

    monkeypatch.setattr(cognito_users, "list_users", forgetful)
    while not step():
        pass
    report = Reconciliation.latest().report
    assert report is not None
    assert report["total"] == 3
    assert all(is_right(learner) for learner in learners)


def test_of_two_runs_at_once_one_goes_on(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    several()
    compare = reconciliation.PHASES["accounts"]

    def overtaken(current: Reconciliation, at: Any) -> None:
        monkeypatch.setitem(reconciliation.PHASES, "accounts", compare)
        run()
        compare(current, at)

    monkeypatch.setitem(reconciliation.PHASES, "accounts", overtaken)
    with pytest.raises(ConditionFailed):
        reconcile(goes_on=False, now=now(), within_s=WHOLE)


def test_the_night_goes_on_in_another_run_until_the_round_is_whole(
    pool: Any, queues: MemoryQueues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "WITHIN_S", 0)
    make_person("katia")
    for _ in range(2):  # a schedule may call twice
        tasks.start_reconciling({}, None)
    queues.run_on()
    [night] = Job.newest(Job.SERVICE, "reconciliation", limit=2, start=None).items
    assert (night.state, night.done) == ("done", night.step + 1)
    assert night.done >= 3
    assert Reconciliation.latest().phase == Reconciliation.DONE


# --- Who is told ---------------------------------------------------------------------------------


def get(caller: Caller) -> Any:
    return caller.get("/users/disagreements")


def test_admins_read_the_report(pool: Any, capsys: pytest.CaptureFixture[str]) -> None:
    admin, clerk = (
        make_learner("amalia", groups=("admin",)),
        make_learner("baltasar", groups=("staff",)),
    )
    empty = get(admin).json()
    assert (empty["finishedAt"], empty["total"], empty["results"]) == (None, 0, [])
    for caller in (admin, clerk):
        set_account(Learner(caller.id, ""), email_verified=False)
    learner_id, kind = user_deleted_in_the_console()
    call_command("accounts", "reconcile")
    assert capsys.readouterr().out == (
        f"{learner_id}  {kind}  left to you\n3 compared, 1 disagreements.\n"
    )
    report = get(admin).json()
    assert report["results"] == [{"userId": learner_id, "kind": kind, "repaired": False}]
    assert (report["compared"], report["total"], report["onlyReported"]) == (3, 1, False)
    assert report["begunAt"] <= report["finishedAt"]
    assert get(clerk).status_code == 403
    assert json.loads(get(clerk).content)["code"] == "PERMISSION_DENIED"


def test_nothing_of_the_comparison_is_in_a_learners_partition(pool: Any) -> None:
    learner = make_person("lucio")
    run()
    assert Reconciliation.latest().pk == "RECONCILIATION" != learner_key(learner.id)
