"""Accounts that nobody uses: warned of twice by mail, then deleted; one in use never is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from botocore.exceptions import ClientError

from accounts import emails, tasks
from accounts.cognito import users as cognito_users
from accounts.models import Account, Session
from accounts.services import dormancy
from config import mail
from config.client_info import ClientInfo
from config.mail import MailRefused
from config.problems import Problem, ServiceUnavailable
from config.store.items import ConditionFailed
from config.store.jobs import Job
from config.store.transactions import transact
from tests.callers import Caller, make_learner

DAY = timedelta(days=1)
BEGUN = datetime(2030, 1, 1, 9, tzinfo=UTC)
END = BEGUN + timedelta(days=1095)


@pytest.fixture(autouse=True)
def pool(monkeypatch: pytest.MonkeyPatch) -> dict[str, frozenset[str]]:
    """The groups that the pool has of each user; the embedded pool is asked elsewhere."""
    groups: dict[str, frozenset[str]] = {}
    monkeypatch.setattr(cognito_users, "groups_of", lambda name: groups.get(name, frozenset[str]()))
    monkeypatch.setattr(cognito_users, "find_user", lambda _: None)
    return groups


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What is mailed: the address, and what was put into the mail."""
    sent: list[tuple[str, dict[str, Any]]] = []

    def send(template: str, context: Any, *, to: str, **_: Any) -> str:
        assert template == "accounts/mail/dormant.txt"
        sent.append((to, dict(context)))
        return "m-1"

    monkeypatch.setattr(mail, "send", send)
    return sent


@pytest.fixture
def marta(table: None) -> Caller:
    """A learner who signed up and was never seen again."""
    with time_machine.travel(BEGUN, tick=False):
        caller = make_learner("marta")
        Account.at(caller.id).verify_email()
    return caller


def account_of(caller: Caller) -> Account:
    account = Account.of(caller.id)
    assert account is not None
    return account


def night(at: datetime) -> int:
    """How many accounts the round of a night has met."""
    job = Job(*Job.key(Job.SERVICE, "accounts_let_go", at.date().isoformat()))
    with time_machine.travel(at, tick=False):
        *_, last = tasks.let_accounts_go(job)
    return int(last.result)


def nights(first: datetime, last: datetime, every: timedelta = DAY) -> list[datetime]:
    """The nights on which something was done."""
    busy = []
    while first <= last:
        if night(first):
            busy.append(first)
        first += every
    return busy


def test_its_owner_is_told_twice_and_it_goes_after_three_years(
    marta: Caller, letters: list[Any]
) -> None:
    busy = nights(END - 62 * DAY, END + DAY)
    assert busy == [END - 60 * DAY, END - 14 * DAY, END]
    assert [to for to, _ in letters] == ["marta@example.org"] * 2
    assert [values["ends_at"] for _, values in letters] == [END, END]
    account = account_of(marta)
    assert account.is_leaving
    assert account.deleted_as == "dormant"
    assert [each.learner_id for each in Account.pending_deletion()] == [marta.id]


def test_rounds_that_stood_still_for_years_give_the_same_time_to_come_back(
    marta: Caller, letters: list[Any]
) -> None:
    late = END + 400 * DAY
    busy = nights(late, late + 61 * DAY)
    assert busy == [late, late + 46 * DAY, late + 60 * DAY]
    assert [values["ends_at"] for _, values in letters] == [late + 60 * DAY, late + 60 * DAY]


def sign_in(caller: Caller, at: datetime) -> None:
    """What a sign-in writes to the account."""
    transact(*account_of(caller).seen_writes(at))


@pytest.mark.parametrize("warnings", [1, 2])
def test_whoever_signs_in_after_a_warning_begins_anew(
    marta: Caller, letters: list[Any], warnings: int
) -> None:
    nights(END - 61 * DAY, END - (50 if warnings == 1 else 2) * DAY)
    assert len(letters) == warnings
    sign_in(marta, END - DAY)
    assert nights(END - DAY, END + 200 * DAY, 7 * DAY) == []
    account = account_of(marta)
    assert (account.seen_at, account.first_warned_at, account.last_warned_at) == (
        END - DAY,
        None,
        None,
    )
    again = END - DAY + timedelta(days=1095)
    assert nights(again - 61 * DAY, again) == [again - 60 * DAY, again - 14 * DAY, again]


def test_a_sign_in_at_the_moment_of_deletion_keeps_the_account(
    marta: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights(END - 61 * DAY, END - DAY)
    mark = Account.mark_dormant

    def signed_in_first(account: Account, now: datetime) -> None:
        sign_in(marta, now)
        mark(account, now)

    monkeypatch.setattr(Account, "mark_dormant", signed_in_first)
    assert night(END) == 0
    account = account_of(marta)
    assert not account.disabled
    assert account.seen_at == END


def test_a_sign_in_after_the_deletion_has_begun_is_too_late(marta: Caller) -> None:
    before = account_of(marta)
    nights(END - 61 * DAY, END)
    with pytest.raises(ConditionFailed):
        transact(*before.seen_writes(END))


@pytest.mark.parametrize("left", [60, 14, 0])
def test_a_session_that_the_account_does_not_know_of_is_use_too(
    marta: Caller, letters: list[Any], left: int
) -> None:
    at = END - left * DAY
    nights(END - 61 * DAY, at - DAY)
    told = len(letters)
    used = at - 2 * DAY
    write = Session.at(marta.id, "s1").use_write(ClientInfo("203.0.113.7"), used)
    transact(write)
    night(at)
    assert len(letters) == told
    account = account_of(marta)
    assert account.seen_at == used
    assert not account.disabled


def test_a_crash_between_mail_and_note_tells_it_again_and_deletes_nobody(
    marta: Caller, letters: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        pass

    def crash(*_: Any, **__: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(Account, "note_warning", crash)
        for number in range(3):
            with pytest.raises(Crash):
                night(END + number * DAY)
    assert len(letters) == 3
    assert not account_of(marta).disabled
    late = END + 3 * DAY
    assert nights(late, late + 61 * DAY)[-1] == late + 60 * DAY
    assert len(letters) == 5


@pytest.mark.parametrize(("refusal", "others"), [(MailRefused, 1), (ServiceUnavailable, 0)])
def test_a_mail_that_cannot_be_sent_is_tried_another_night(
    marta: Caller, monkeypatch: pytest.MonkeyPatch, refusal: type[Problem], others: int
) -> None:
    """One address that is refused stops nobody else; SES that is not there ends the round."""
    with time_machine.travel(BEGUN, tick=False):
        zita = make_learner("zita")
        Account.at(zita.id).verify_email()
    warn = emails.warn_of_deletion

    def busy(email: str, **values: Any) -> None:
        if email.startswith("marta"):
            raise refusal
        warn(email, **values)

    with monkeypatch.context() as patch:
        patch.setattr(dormancy, "warn_of_deletion", busy)
        assert night(END - 60 * DAY) == others
    assert bool(account_of(zita).first_warned_at) == bool(others)
    assert not account_of(marta).first_warned_at
    assert night(END - 59 * DAY) == 2 - others
    assert account_of(marta).first_warned_at == END - 59 * DAY


def test_an_address_that_takes_no_mail_counts_as_told(
    marta: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise mail.MessageRejected from ClientError({}, "SendEmail")

    monkeypatch.setattr(mail, "send", refuse)
    assert nights(END - 61 * DAY, END)[-1] == END


def test_staff_and_accounts_that_were_shut_stay(
    marta: Caller, pool: dict[str, frozenset[str]], letters: list[Any]
) -> None:
    with time_machine.travel(BEGUN, tick=False):
        shut = make_learner("shut")
    account = Account.at(shut.id)
    account.verify_email()
    account.update_attributes(Account.disabled.set(True))
    pool[marta.id] = frozenset({"staff"})
    nights(END - 61 * DAY, END + DAY)
    assert letters == []
    assert not account_of(marta).is_leaving
    assert not account_of(shut).is_leaving


def test_accounts_from_before_such_notes_begin_with_the_first_round(
    marta: Caller, letters: list[Any]
) -> None:
    Account.at(marta.id).update_attributes(Account.seen_at.remove())
    assert night(END) == 1
    assert letters == []
    assert account_of(marta).seen_at == END


def test_a_stage_may_want_another_time_or_none(marta: Caller, settings: Any) -> None:
    settings.DORMANT_AFTER_DAYS = 0
    assert nights(END - 61 * DAY, END + DAY, 7 * DAY) == []
    settings.DORMANT_AFTER_DAYS = 365
    assert night(BEGUN + 304 * DAY) == 0
    assert night(BEGUN + 305 * DAY) == 1


def test_an_account_in_use_is_noted_once_a_month(maria: Caller) -> None:
    account = account_of(maria)
    assert account.seen_writes(account.created_at + 29 * DAY) == []
    assert len(account.seen_writes(account.created_at + 30 * DAY)) == 1
