"""Every journey over pool and table, ended before each of its calls, or with an answer lost.

Then a person goes on as people do: a minute later they do the same once more, or sign in. The
account has to end whole, and nobody else may get in. The run prints how many crash points each
journey has tried.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp
import pytest
import time_machine
from django.conf import settings

from accounts import tokens
from accounts.cognito import users as cognito_users
from accounts.models import Account, Address, Session
from accounts.models.account import account_cache
from accounts.services.dormancy import let_dormant_go
from accounts.services.removal import remove
from accounts.tokens import owner_of
from config.problems import ServiceUnavailable
from config.stack import Stack
from tests.accounts_google import GoogleStub, travel
from tests.accounts_helpers import (
    PASSWORD,
    Person,
    api,
    log_in,
    mailed_code,
    new_email,
    post_sign_up,
    sign_up,
    subjects_mailed,
    verify_email,
)
from tests.crashes import CRASH_POINTS, Crash, answer_lost, crash_before
from tests.test_auth_invitations import mailed_passwords
from tests.waiting import later_by

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_pool")]

STRANGERS, NEW = "estranho-azul-9", "quatro-ventos-9"
MINUTE = timedelta(seconds=61)
TOLD_OF_PASSWORDS = {"Your password was changed", "All your sessions were ended"}
MOST_CALLS = 100  # of one journey, many times more than it makes
# `make crashes` tries every call; the suite every fifth one, from the third on.
FIRST, STEP = (1, 1) if os.environ.get("PARLEY_EVERY_CRASH") else (3, 5)

CutOff = Callable[[int], AbstractContextManager[list[str]]]


@pytest.fixture(autouse=True)
def patient_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cut off happens a minute ago; the pool's tokens are of now."""
    monkeypatch.setattr(tokens, "LEEWAY_S", 300)


@pytest.fixture(
    params=[  # a group of pytest-xdist each: together they take longer than any other file
        pytest.param(crash_before, marks=pytest.mark.xdist_group("killed"), id="killed"),
        pytest.param(answer_lost, marks=pytest.mark.xdist_group("lost"), id="answer lost"),
    ]
)
def cut_off(request: pytest.FixtureRequest) -> CutOff:
    found: CutOff = request.param
    return found


@pytest.fixture
def told(record_property: Callable[[str, object], None]) -> Iterator[list[int]]:
    """Tells how many crash points a test has tried; `conftest` prints it."""
    tried: list[int] = []
    yield tried
    record_property(CRASH_POINTS, len(tried))


def cut_off_points(
    cut_off: CutOff,
    told: list[int],
    begin: Callable[[], Any],
    act: Callable[[Any], object],
    *,
    ago: timedelta = MINUTE,
) -> Iterator[tuple[Any, list[str]]]:
    """The state after each crash of `act`, a minute later in a new process, with the calls made."""
    for nth in range(FIRST, MOST_CALLS, STEP):
        state = begin()
        account_cache.forget()
        past = datetime.now(UTC) - ago
        with time_machine.travel(past), cut_off(nth) as calls, suppress(Crash):
            act(state)
        if len(calls) < nth:
            return
        told.append(nth)
        account_cache.forget()
        yield state, calls
    pytest.fail("the journey has no end")


def is_out(email: str, password: str = STRANGERS) -> bool:
    return log_in(email, password).status_code in (401, 403)


def is_whole(email: str, password: str = PASSWORD) -> bool:
    """Whether a person signs in and renews, and both stores mean the same person."""
    body = log_in(email, password).json()
    renewed = api.post("/auth/refresh", {"refreshToken": body["refreshToken"]})
    profile = api.get("/profile", token=body["accessToken"])
    user_id, address = body["user"]["userId"], Address.of(email)
    account = Account.of(user_id)
    assert (renewed.status_code, profile.status_code) == (200, 200)
    assert address is not None
    assert account is not None
    assert (address.learner_id, cognito_users.find_sub(user_id)) == (user_id, user_id)
    assert (account.email, account.moving_to) == (email, None)
    assert account.email_verified
    assert not account.proofs
    assert not account.password_changes
    return True


def is_signed_out(person: Person) -> bool:
    """Whether the old session is renewed no more.

    Access tokens are of now, and what voids them here was a minute ago: `test_auth_recovery.py`
    has them.
    """
    renewed = api.post("/auth/refresh", {"refreshToken": person.refresh_token})
    return bool(renewed.status_code == 401)


def test_sign_up_over_a_strangers_claim(cut_off: CutOff, told: list[int]) -> None:
    def begin() -> str:
        email = new_email("abilio")
        assert post_sign_up(email, STRANGERS).status_code == 201
        return email

    for email, calls in cut_off_points(cut_off, told, begin, post_sign_up):
        assert is_out(email), calls
        with later_by(MINUTE):
            again = post_sign_up(email)
        assert again.status_code == 201, calls
        assert verify_email(email, again.json()["verificationToken"]).status_code == 200, calls
        assert is_whole(email), calls
        assert is_out(email), calls
    assert told[-1] > 10 - STEP


@dataclass
class SignUp:
    email: str
    secret: str


def claim(name: str, password: str) -> SignUp:
    email = new_email(name)
    return SignUp(email, post_sign_up(email, password).json()["verificationToken"])


def test_verification_with_the_secret(cut_off: CutOff, told: list[int]) -> None:
    points = cut_off_points(
        cut_off,
        told,
        lambda: claim("beatriz", PASSWORD),
        lambda made: verify_email(made.email, made.secret),
    )
    for made, calls in points:
        if log_in(made.email).status_code == 403:
            assert verify_email(made.email, made.secret).status_code == 200, calls
        assert is_whole(made.email), calls
    assert told[-1] > 6 - STEP


def test_verification_by_the_code_alone_of_a_strangers_sign_up(
    cut_off: CutOff, told: list[int]
) -> None:
    points = cut_off_points(
        cut_off, told, lambda: claim("cecilia", STRANGERS), lambda made: verify_email(made.email)
    )
    for made, calls in points:
        if log_in(made.email, STRANGERS).status_code == 403:
            assert verify_email(made.email).status_code == 200, calls
        assert is_out(made.email), calls
        assert verify_email(made.email, made.secret).status_code == 400, calls
        assert reset(made.email).status_code == 200, calls
        assert is_whole(made.email, NEW), calls
        assert is_out(made.email), calls
    assert told[-1] > 8 - STEP


def test_sign_in_and_out(cut_off: CutOff, told: list[int]) -> None:
    def come_and_go(person: Person) -> None:
        answer = log_in(person.email)
        if answer.status_code == 200:
            token = {"refreshToken": answer.json()["refreshToken"]}
            api.post("/auth/refresh", token)
            api.post("/auth/logout", token)

    for person, calls in cut_off_points(cut_off, told, lambda: sign_up("dulce"), come_and_go):
        assert is_whole(person.email), calls
        assert api.get("/profile", token=person.token).status_code == 200, calls
    assert told[-1] > 10 - STEP


def test_sign_out_everywhere(cut_off: CutOff, told: list[int]) -> None:
    def leave(person: Person) -> Any:
        return api.post("/auth/logout-everywhere", token=person.token)

    for person, calls in cut_off_points(cut_off, told, lambda: sign_up("edite"), leave):
        assert leave(person).status_code in (204, 401), calls
        assert is_signed_out(person), calls
        assert is_whole(person.email), calls
    assert told[-1] > 2 - STEP


@dataclass
class TwoSessions:
    """A person who is signed in twice, and the session that they end."""

    person: Person
    refresh_token: str
    id: str

    def end(self) -> Any:
        return api.delete(f"/auth/sessions/{self.id}", token=self.person.token)


def test_end_of_one_session(cut_off: CutOff, told: list[int]) -> None:
    def begin() -> TwoSessions:
        person = sign_up("emilia")
        other = log_in(person.email).json()["refreshToken"]
        listed = api.get("/auth/sessions", token=person.token).json()["results"]
        [session_id] = [session["id"] for session in listed if not session["current"]]
        return TwoSessions(person, other, session_id)

    for sessions, calls in cut_off_points(cut_off, told, begin, TwoSessions.end):
        assert sessions.end().status_code in (204, 404), calls
        ended = api.post("/auth/refresh", {"refreshToken": sessions.refresh_token})
        assert ended.status_code == 401, calls
        kept = api.post("/auth/refresh", {"refreshToken": sessions.person.refresh_token})
        assert kept.status_code == 200, calls
        assert is_whole(sessions.person.email), calls
    assert told[-1] > 3 - STEP


def reset(email: str, password: str = NEW) -> Any:
    api.post("/auth/password/reset-request", {"email": email})
    body = {"email": email, "code": mailed_code(email), "newPassword": password}
    return api.post("/auth/password/reset-confirm", body)


def test_reset_of_a_password(cut_off: CutOff, told: list[int]) -> None:
    points = cut_off_points(
        cut_off, told, lambda: sign_up("fabia"), lambda person: reset(person.email)
    )
    for person, calls in points:
        if log_in(person.email, NEW).status_code != 200:
            assert reset(person.email).status_code == 200, calls
        assert is_signed_out(person), calls
        assert is_whole(person.email, NEW), calls
        assert is_out(person.email, PASSWORD), calls
        assert TOLD_OF_PASSWORDS & set(subjects_mailed(person.email)), calls
    assert told[-1] > 10 - STEP


def change_password(person: Person) -> Any:
    body = {"currentPassword": PASSWORD, "newPassword": NEW}
    return api.post("/auth/password/change", body, token=person.token)


def test_change_of_a_password(cut_off: CutOff, told: list[int]) -> None:
    points = cut_off_points(cut_off, told, lambda: sign_up("gabriela"), change_password)
    for person, calls in points:
        if log_in(person.email, NEW).status_code != 200:
            again = log_in(person.email, PASSWORD).json()
            changed = api.post(
                "/auth/password/change",
                {"currentPassword": PASSWORD, "newPassword": NEW},
                token=again["accessToken"],
            )
            assert changed.status_code == 200, calls
        assert is_signed_out(person), calls
        assert is_whole(person.email, NEW), calls
        assert is_out(person.email, PASSWORD), calls
        assert TOLD_OF_PASSWORDS & set(subjects_mailed(person.email)), calls
    assert told[-1] > 10 - STEP


@dataclass
class Move:
    person: Person
    new: str

    def make(self, token: str | None = None) -> Any:
        token = token or self.person.token
        body = {"newEmail": self.new, "password": PASSWORD}
        asked = api.post("/auth/email/change", body, token=token)
        if asked.status_code != 200:
            return asked
        code = {"code": mailed_code(self.new)}
        return api.post("/auth/email/change/confirm", code, token=token)


def test_change_of_an_address_that_a_stranger_claimed(cut_off: CutOff, told: list[int]) -> None:
    def begin() -> Move:
        return Move(sign_up("heloisa"), claim("heloisa.new", STRANGERS).email)

    for move, calls in cut_off_points(cut_off, told, begin, Move.make):
        answers = [log_in(email) for email in (move.person.email, move.new)]
        [body, *_] = [a.json() for a in answers if a.status_code == 200]
        assert body["user"]["userId"] == move.person.id, calls
        if log_in(move.new).status_code != 200:
            assert move.make(body["accessToken"]).status_code == 200, calls
        assert is_whole(move.new), calls
        assert is_out(move.new), calls
        assert is_out(move.person.email, PASSWORD), calls
        assert Address.of(move.person.email) is None, calls
        assert "Your address was changed" in subjects_mailed(move.person.email), calls
    assert told[-1] > 15 - STEP


def enter_by_code(person: Person) -> Any:
    asked = api.post("/auth/login/code", {"email": person.email})
    if asked.status_code != 200:
        return asked
    body = {"sessionToken": asked.json()["sessionToken"], "code": mailed_code(person.email)}
    return api.post("/auth/login/code/verify", body)


def test_sign_in_by_a_mailed_code(cut_off: CutOff, told: list[int]) -> None:
    for person, calls in cut_off_points(cut_off, told, lambda: sign_up("hermano"), enter_by_code):
        entered = enter_by_code(person)
        assert entered.status_code == 200, (calls, entered.content)
        assert entered.json()["user"]["userId"] == person.id, calls
        assert is_whole(person.email), calls
    assert told[-1] > 15 - STEP


@dataclass
class SecondStep:
    """Whatever secret the app of a person has, and the backup codes that were shown."""

    person: Person
    secret: str = ""
    codes: tuple[str, ...] = ()
    is_in: bool = False

    def turn_on(self, token: str | None = None) -> int:
        token = token or self.person.token
        shown = api.post("/auth/mfa/setup", {"password": PASSWORD}, token=token)
        if shown.status_code == 200:
            self.secret = shown.json()["secret"]
            code = {"code": pyotp.TOTP(self.secret).now()}
            shown = api.post("/auth/mfa/verify-setup", code, token=token)
            self.codes = tuple(shown.json().get("backupCodes", ()))
        return int(shown.status_code)

    def enter(self, code: str) -> Any:
        challenge = log_in(self.person.email).json()
        body = {"sessionToken": challenge["sessionToken"], "code": code}
        return api.post("/auth/mfa/verify", body)

    def code(self, steps: int) -> str:
        at = datetime.now(UTC) + timedelta(seconds=30 * steps)
        return pyotp.TOTP(self.secret).at(at)


def test_second_step_turned_on(cut_off: CutOff, told: list[int]) -> None:
    points = cut_off_points(
        cut_off, told, lambda: SecondStep(sign_up("ines")), SecondStep.turn_on, ago=timedelta()
    )
    for step, calls in points:
        first = log_in(step.person.email).json()
        if "accessToken" in first:
            assert step.turn_on(first["accessToken"]) == 200, calls
        else:  # the app has its secret: it lets in, and the codes that were not shown are renewed
            token = step.enter(step.code(1)).json()["accessToken"]
            renewed = api.post("/auth/mfa/backup-codes", {"password": PASSWORD}, token=token)
            step.codes = tuple(renewed.json()["backupCodes"])
        assert step.enter(step.code(-1)).json()["user"]["mfaEnabled"] is True, calls
        assert step.enter(step.codes[0]).status_code == 200, calls
    assert told[-1] > 8 - STEP


def with_second_step(name: str) -> SecondStep:
    step = SecondStep(sign_up(name))
    assert step.turn_on() == 200
    return step


def test_second_step_taken_by_a_backup_code(cut_off: CutOff, told: list[int]) -> None:
    def enter(step: SecondStep) -> None:
        challenge = log_in(step.person.email).json()
        if "sessionToken" in challenge:
            body = {"sessionToken": challenge["sessionToken"], "code": step.codes[0]}
            step.is_in = api.post("/auth/mfa/verify", body).status_code == 200

    points = cut_off_points(
        cut_off, told, lambda: with_second_step("joana"), enter, ago=timedelta()
    )
    for step, calls in points:
        assert step.enter(step.codes[1]).status_code == 200, calls
        assert step.enter(step.code(1)).json()["user"]["mfaEnabled"] is True, calls
        if step.is_in:
            assert step.enter(step.codes[0]).status_code == 401, calls
    assert told[-1] > 15 - STEP


def test_second_step_turned_off(cut_off: CutOff, told: list[int]) -> None:
    def turn_off(step: SecondStep, token: str | None = None) -> Any:
        body = {"password": PASSWORD}
        return api.post("/auth/mfa/disable", body, token=token or step.person.token)

    points = cut_off_points(
        cut_off, told, lambda: with_second_step("katia"), turn_off, ago=timedelta()
    )
    for step, calls in points:
        body = log_in(step.person.email).json()
        if "accessToken" not in body:
            token = step.enter(step.code(1)).json()["accessToken"]
            assert turn_off(step, token).status_code == 200, calls
        assert log_in(step.person.email).json()["user"]["mfaEnabled"] is False, calls
        assert is_whole(step.person.email), calls
    assert told[-1] > 5 - STEP


def test_first_sign_in_with_google_over_a_strangers_claim(
    cut_off: CutOff, told: list[int], google: GoogleStub
) -> None:
    def begin() -> str:
        email = claim("lidia", STRANGERS).email
        google.is_used_by("Lídia", email)
        return email

    def enter(_: str) -> Any:
        return api.post("/auth/google/token", travel().body())

    for email, calls in cut_off_points(cut_off, told, begin, enter):
        assert is_out(email), calls
        entered = enter(email)
        assert entered.status_code == 200, (calls, entered.content)
        assert entered.json()["user"]["email"] == email
        assert is_out(email), calls
        assert post_sign_up(email, STRANGERS).status_code == 409, calls
    assert told[-1] > 8 - STEP


def test_link_of_a_google_account(cut_off: CutOff, told: list[int], google: GoogleStub) -> None:
    def begin() -> Person:
        person = sign_up("mafalda")
        google.is_used_by("Mafalda", new_email("mafalda.of.google"))
        return person

    def link(person: Person) -> Any:
        body = travel().body(password=PASSWORD)
        return api.post("/auth/google/link", body, token=person.token)

    for person, calls in cut_off_points(cut_off, told, begin, link):
        assert link(person).status_code == 204, calls
        entered = api.post("/auth/google/token", travel().body())
        assert entered.json()["user"]["userId"] == person.id, calls
        assert is_whole(person.email), calls
        assert "Google sign-in was added" in subjects_mailed(person.email), calls
    assert told[-1] > 6 - STEP


def test_google_account_unlinked(cut_off: CutOff, told: list[int], google: GoogleStub) -> None:
    def begin() -> Person:
        person = sign_up("mariana")
        google.is_used_by("Mariana", new_email("mariana.of.google"))
        body = travel().body(password=PASSWORD)
        assert api.post("/auth/google/link", body, token=person.token).status_code == 204
        return person

    def unlink(person: Person, token: str | None = None) -> Any:
        body = {"password": PASSWORD}
        return api.delete("/auth/google/link", body, token=token or person.token)

    for person, calls in cut_off_points(cut_off, told, begin, unlink):
        body = log_in(person.email).json()
        if "google" in body["user"]["signInMethods"]:
            assert unlink(person, body["accessToken"]).status_code == 204, calls
        assert is_signed_out(person), calls
        entered = api.post("/auth/google/token", travel().body()).json()
        assert entered.get("user", {}).get("userId") != person.id, calls
        assert is_whole(person.email), calls
        assert log_in(person.email).json()["user"]["signInMethods"] == ["password"], calls
        assert "Google sign-in was removed" in subjects_mailed(person.email), calls
    assert told[-1] > 8 - STEP


@dataclass
class Newcomer:
    """A learner who came from Google, with the access token of that sign-in."""

    email: str
    id: str
    token: str

    def set_password(self) -> Any:
        return api.post("/auth/password/change", {"newPassword": NEW}, token=self.token)

    def enter_by_google(self) -> Any:
        return api.post("/auth/google/token", travel().body())


def test_first_password_of_a_learner_from_google(
    cut_off: CutOff, told: list[int], google: GoogleStub
) -> None:
    def begin() -> Newcomer:
        email = new_email("otavia")
        google.is_used_by("Otávia", email)
        body = api.post("/auth/google/token", travel().body()).json()
        return Newcomer(email, body["user"]["userId"], body["accessToken"])

    for newcomer, calls in cut_off_points(cut_off, told, begin, Newcomer.set_password):
        if log_in(newcomer.email, NEW).status_code != 200:
            newcomer.token = newcomer.enter_by_google().json()["accessToken"]
            assert newcomer.set_password().status_code == 200, calls
        by_password = log_in(newcomer.email, NEW).json()
        assert by_password["user"]["userId"] == newcomer.id, calls
        assert by_password["user"]["signInMethods"] == ["password", "google"], calls
        assert newcomer.enter_by_google().json()["user"]["userId"] == newcomer.id, calls
        assert TOLD_OF_PASSWORDS & set(subjects_mailed(newcomer.email)), calls
    assert told[-1] > 8 - STEP


@pytest.fixture(scope="module")
def admin(embedded_pool: Stack) -> Person:
    person = sign_up("amalia")
    cognito_users.add_to_group(person.id, "admin")
    body = log_in(person.email).json()
    return Person(person.id, person.email, PASSWORD, body["accessToken"], body["refreshToken"])


def test_what_an_admin_does(cut_off: CutOff, told: list[int], admin: Person) -> None:
    def employ(person: Person) -> Any:
        return api.patch(f"/users/{person.id}", {"groups": ["staff"]}, token=admin.token)

    def shut_and_open(person: Person) -> Any:
        for disabled in (True, False):
            answer = api.patch(f"/users/{person.id}", {"disabled": disabled}, token=admin.token)
        return answer

    def act(person: Person) -> None:
        employ(person)
        shut_and_open(person)

    for person, calls in cut_off_points(cut_off, told, lambda: sign_up("natalia"), act):
        assert employ(person).json()["groups"] == ["staff"], calls
        assert shut_and_open(person).json()["disabled"] is False, calls
        assert is_signed_out(person), calls
        assert is_whole(person.email), calls
        assert log_in(person.email).json()["user"]["groups"] == ["staff"], calls
    assert told[-1] > 20 - STEP


def test_second_step_reset_by_staff(cut_off: CutOff, told: list[int], admin: Person) -> None:
    def reset_by_staff(step: SecondStep) -> Any:
        return api.post(f"/users/{step.person.id}/reset-mfa", token=admin.token)

    points = cut_off_points(
        cut_off, told, lambda: with_second_step("noemia"), reset_by_staff, ago=timedelta()
    )
    for step, calls in points:
        if "accessToken" not in log_in(step.person.email).json():
            assert reset_by_staff(step).status_code == 200, calls
        assert log_in(step.person.email).json()["user"]["mfaEnabled"] is False, calls
        assert is_whole(step.person.email), calls
    assert told[-1] > 5 - STEP


def test_the_end_of_an_account_that_nobody_uses(cut_off: CutOff, told: list[int]) -> None:
    def begin() -> Person:
        person = sign_up("narcisa")
        seen_at = datetime.now(UTC) - timedelta(days=settings.DORMANT_AFTER_DAYS + 1)
        Account.at(person.id).update_attributes(
            Account.seen_at.set(seen_at),
            Account.first_warned_at.set(seen_at + timedelta(days=1035)),
            Account.last_warned_at.set(seen_at + timedelta(days=1081)),
        )
        session = owner_of(person.token).session
        Session.at(person.id, session).update_attributes(Session.lsi4.remove())  # it has lapsed
        return person

    def end(person: Person) -> None:
        with suppress(ServiceUnavailable):  # an answer is lost: the next round or sweep goes on
            account = Account.of(person.id)
            assert account is not None
            let_dormant_go([account], now=datetime.now(UTC))
            account = Account.of(person.id)
            if account is not None and account.is_leaving:
                remove(account, now=datetime.now(UTC))

    for person, calls in cut_off_points(cut_off, told, begin, end):
        account = Account.of(person.id)
        assert account is not None
        if not account.disabled:  # it comes to use before the round has barred it
            assert is_whole(person.email), calls
            end(person)
            assert is_whole(person.email), calls
            continue
        assert is_out(person.email, PASSWORD), calls
        if account.is_leaving:
            assert remove(account, now=datetime.now(UTC)), calls
        assert post_sign_up(person.email, NEW).status_code == 201, calls
        assert "Your account was deleted" in subjects_mailed(person.email), calls
    assert told[-1] > 8 - STEP


def test_a_departure(cut_off: CutOff, told: list[int]) -> None:
    def leave(person: Person, token: str | None = None) -> Any:
        return api.delete("/profile", {"password": PASSWORD}, token=token or person.token)

    for person, calls in cut_off_points(cut_off, told, lambda: sign_up("odete"), leave):
        body = log_in(person.email).json()
        if "accessToken" in body:  # nothing has happened yet
            assert leave(person, body["accessToken"]).status_code in (202, 204), calls
        assert is_out(person.email, PASSWORD), calls
        assert is_signed_out(person), calls
        again = post_sign_up(person.email, NEW)
        assert again.status_code == 201, (calls, again.content)
        assert verify_email(person.email, again.json()["verificationToken"]).status_code == 200
        assert is_whole(person.email, NEW), calls
        gone = Account.of(person.id)
        assert gone is None or gone.disabled, calls
    assert told[-1] > 8 - STEP


def test_a_deletion_by_an_admin(cut_off: CutOff, told: list[int], admin: Person) -> None:
    def remove(person: Person) -> Any:
        return api.delete(f"/users/{person.id}", {"password": PASSWORD}, token=admin.token)

    for person, calls in cut_off_points(cut_off, told, lambda: sign_up("otilia"), remove):
        assert remove(person).status_code in (204, 404), calls
        assert is_out(person.email, PASSWORD), calls
        assert is_signed_out(person), calls
        assert "Your account was deleted" in subjects_mailed(person.email), calls
        again = post_sign_up(person.email, NEW)
        assert again.status_code == 201, (calls, again.content)
        assert verify_email(person.email, again.json()["verificationToken"]).status_code == 200
        assert is_whole(person.email, NEW), calls
    assert told[-1] > 10 - STEP


def test_an_invitation_over_a_strangers_claim(
    cut_off: CutOff, told: list[int], admin: Person
) -> None:
    def invite(email: str) -> Any:
        return api.post("/users/invitations", {"emails": [email]}, token=admin.token)

    def enter(email: str) -> Any:
        challenge = log_in(email, mailed_passwords(email)[-1]).json()
        body = {"sessionToken": challenge.get("sessionToken", "none"), "newPassword": PASSWORD}
        return api.post("/auth/login/new-password", body)

    def invite_and_enter(email: str) -> None:
        invite(email)
        if mailed_passwords(email):
            enter(email)

    def begin() -> str:
        return claim("palmira", STRANGERS).email

    for email, calls in cut_off_points(cut_off, told, begin, invite_and_enter):
        assert is_out(email), calls
        if log_in(email).status_code != 200:
            [result] = invite(email).json()["results"]
            assert result["outcome"] in ("invited", "registered"), calls
            assert enter(email).status_code == 200, calls
        assert is_whole(email), calls
        assert is_out(email), calls
    assert told[-1] > 25 - STEP
