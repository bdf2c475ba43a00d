"""Passwords forgotten and changed, addresses changed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.cognito.client import InvalidCredentials
from accounts.models import Account, Address
from accounts.models.account import account_cache
from config import aws
from config.store import items
from tests.accounts_helpers import (
    PASSWORD,
    Person,
    api,
    before_call,
    log_in,
    mailed_code,
    new_email,
    new_ip,
    post_sign_up,
    problem,
    sign_up,
    subjects_mailed,
    verify_email,
)
from tests.crashes import Crash, answer_lost, crash_before
from tests.waiting import later_by

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_pool")]

NEW = "quatro-ventos-9"
MOST_CALLS = 60  # of one journey, many times more than it makes
BAD_CODE = (400, "INVALID_CODE")


def request_reset(email: str) -> Any:
    return api.post("/auth/password/reset-request", {"email": email})


def reset(email: str, code: str, password: str = NEW) -> Any:
    body = {"email": email, "code": code, "newPassword": password}
    return api.post("/auth/password/reset-confirm", body)


def change_password(person: Person, current: str, new: str, **options: Any) -> Any:
    body = {"currentPassword": current, "newPassword": new}
    return api.post("/auth/password/change", body, token=person.token, **options)


def change_email(person: Person, new: str, password: str = PASSWORD) -> Any:
    body = {"newEmail": new, "password": password}
    return api.post("/auth/email/change", body, token=person.token)


def confirm_email(person: Person, code: str) -> Any:
    return api.post("/auth/email/change/confirm", {"code": code}, token=person.token)


def assert_signed_out(person: Person) -> None:
    assert problem(api.get("/profile", token=person.token)) == (401, "NOT_AUTHENTICATED")
    stale = api.post("/auth/refresh", {"refreshToken": person.refresh_token})
    assert problem(stale) == (401, "INVALID_REFRESH_TOKEN")


class TestAForgottenPassword:
    def test_is_replaced_by_the_mailed_code_and_all_sessions_end(self) -> None:
        aida = sign_up("aida")
        assert request_reset(aida.email).status_code == 200
        code = mailed_code(aida.email)
        assert problem(reset(aida.email, "000000")) == BAD_CODE
        assert reset(aida.email, code).status_code == 200
        assert_signed_out(aida)
        assert problem(log_in(aida.email)) == (401, "INVALID_CREDENTIALS")
        again = log_in(aida.email, NEW)
        assert api.get("/profile", token=again.json()["accessToken"]).status_code == 200
        assert "Your password was changed" in subjects_mailed(aida.email)
        assert problem(reset(aida.email, code)) == BAD_CODE

    def test_leaves_the_second_step_on(self) -> None:
        olivia = sign_up("olivia")
        secret = api.post("/auth/mfa/setup", {"password": PASSWORD}, token=olivia.token).json()[
            "secret"
        ]
        code = {"code": pyotp.TOTP(secret).now()}
        assert api.post("/auth/mfa/verify-setup", code, token=olivia.token).status_code == 200
        request_reset(olivia.email)
        assert reset(olivia.email, mailed_code(olivia.email)).status_code == 200
        assert set(log_in(olivia.email, NEW).json()) == {"sessionToken", "mfaRequired", "tokenType"}

    def test_opens_an_account_that_was_locked(self) -> None:
        brito, here = sign_up("brito"), new_ip()
        for _ in range(5):
            log_in(brito.email, "not-the-password", ip=here)
        assert log_in(brito.email, ip=here).status_code == 429
        request_reset(brito.email)
        assert reset(brito.email, mailed_code(brito.email)).status_code == 200
        assert log_in(brito.email, NEW, ip=here).status_code == 200

    def test_is_asked_for_alike_by_all(self) -> None:
        waiting = new_email("caetano")
        assert post_sign_up(waiting).status_code == 201
        answers = [request_reset(e) for e in (sign_up("cida").email, waiting, new_email("nobody"))]
        assert {(a.status_code, a.content) for a in answers} == {(200, answers[0].content)}
        nobody = new_email("nobody")
        assert problem(reset(nobody, "654321")) == BAD_CODE

    def test_is_mailed_to_no_address_that_nobody_has_proved(self) -> None:
        waiting = new_email("delfim")
        assert post_sign_up(waiting).status_code == 201
        assert request_reset(waiting).status_code == 200
        assert len(subjects_mailed(waiting)) == 1

    def test_is_mailed_three_times_an_hour_and_no_more(self) -> None:
        for email in (sign_up("dalva").email, new_email("nobody")):
            statuses = [request_reset(email).status_code for _ in range(4)]
            assert statuses == [200, 200, 200, 429]

    def test_is_guessed_thirty_times_and_no_more(self) -> None:
        elio = sign_up("elio")
        request_reset(elio.email)
        statuses = [reset(elio.email, f"{n:06}").status_code for n in range(31)]
        assert statuses == [400] * 30 + [429]
        assert reset(elio.email, mailed_code(elio.email)).status_code == 429

    @pytest.mark.parametrize("password", ["football1", "short", "x" * 129])
    def test_is_not_replaced_by_a_weak_one(self, password: str) -> None:
        answer = reset(new_email("nobody"), "123456", password)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "newPassword"


class TestAKnownPassword:
    def test_is_replaced_and_all_sessions_end(self) -> None:
        fatima = sign_up("fatima")
        assert change_password(fatima, PASSWORD, NEW).status_code == 200
        assert_signed_out(fatima)
        assert log_in(fatima.email, NEW).status_code == 200
        assert "Your password was changed" in subjects_mailed(fatima.email)

    def test_replaced_slowly_voids_tokens_made_meanwhile(self) -> None:
        goreti, made = sign_up("goreti"), []

        def renew() -> None:
            time.sleep(1.1)
            answer = api.post("/auth/refresh", {"refreshToken": goreti.refresh_token})
            made.append(answer.json()["accessToken"])

        with before_call(aws.client("cognito-idp"), "AdminUserGlobalSignOut", renew):
            assert change_password(goreti, PASSWORD, NEW).status_code == 200
        assert problem(api.get("/profile", token=made[0])) == (401, "NOT_AUTHENTICATED")

    def test_has_to_be_given_and_wrong_ones_count(self) -> None:
        gil, here = sign_up("gil"), new_ip()
        for _ in range(5):
            answer = change_password(gil, "not-the-password", NEW, ip=here)
            assert problem(answer) == (401, "INVALID_CREDENTIALS")
        assert change_password(gil, PASSWORD, NEW, ip=here).status_code == 429
        assert log_in(gil.email).status_code == 200

    def test_is_not_replaced_by_ones_own_name(self) -> None:
        helena = sign_up("helena")
        answer = change_password(helena, PASSWORD, "HelenaSousa")
        assert problem(answer) == (400, "WEAK_PASSWORD")
        assert log_in(helena.email).status_code == 200


class TestAPasswordWhoseReplacementWasCutOff:
    @pytest.mark.parametrize("journey", ["reset", "change"])
    def test_leaves_no_old_token_alive_for_more_than_a_minute(self, journey: str) -> None:
        for nth in range(1, MOST_CALLS):
            rosa = sign_up("rosa")
            code = ""
            if journey == "reset":
                request_reset(rosa.email)
                code = mailed_code(rosa.email)
            try:
                with crash_before(nth) as calls:
                    if journey == "reset":
                        reset(rosa.email, code)
                    else:
                        change_password(rosa, PASSWORD, NEW)
            except Crash:
                pass
            else:
                break
            is_changed = password_of(rosa) == NEW
            with later_by(timedelta(seconds=60)):
                account_cache.forget()
                works = api.get("/profile", token=rosa.token).status_code == 200
                assert not (is_changed and works), calls
                body = log_in(rosa.email, NEW if is_changed else PASSWORD).json()
                renewed = api.post("/auth/refresh", {"refreshToken": body["refreshToken"]})
                assert renewed.status_code == 200, (renewed.json()["code"], calls)
                old = api.post("/auth/refresh", {"refreshToken": rosa.refresh_token})
                assert old.status_code == (401 if not works else 200), calls
            if is_changed:
                assert {"Your password was changed", "All your sessions were ended"} & set(
                    subjects_mailed(rosa.email)
                ), calls
        assert nth > 8

    def test_ends_the_sessions_when_the_pools_answer_was_lost(self) -> None:
        simao = sign_up("simao")
        request_reset(simao.email)
        code = mailed_code(simao.email)
        for nth in range(1, MOST_CALLS):
            with answer_lost(nth) as calls:
                reset(simao.email, code)
            if "ConfirmForgotPassword" in calls:
                break
        assert log_in(simao.email, NEW).status_code == 200
        with later_by(timedelta(seconds=31)):
            account_cache.forget()
            assert_signed_out(simao)

    def test_is_renewed_by_nobody_who_has_an_old_refresh_token(self) -> None:
        tome = sign_up("tome")
        account = Account.of(tome.id)
        assert account is not None
        account.begin_password_change("cut-off", datetime.now(UTC) - timedelta(seconds=31))
        account_cache.forget()
        assert_signed_out(tome)
        again = log_in(tome.email).json()
        assert api.get("/profile", token=again["accessToken"]).status_code == 200
        assert "All your sessions were ended" in subjects_mailed(tome.email)

    def test_that_was_only_tried_with_wrong_codes_voids_nothing(self) -> None:
        ursula = sign_up("ursula")
        request_reset(ursula.email)
        for code in ("000000", "111111"):
            assert problem(reset(ursula.email, code)) == BAD_CODE
        with later_by(timedelta(seconds=61)):
            account_cache.forget()
            assert api.get("/profile", token=ursula.token).status_code == 200


def password_of(person: Person) -> str:
    """Which of the two passwords the pool takes."""
    try:
        cognito_sessions.sign_in(username=person.id, password=NEW)
    except InvalidCredentials:
        return PASSWORD
    return NEW


def unused_code(secret: str, used: set[int]) -> str:
    """A code that the app shows now, a moment later or earlier, and no sign-in has used."""
    now = int(time.time()) // 30
    step = next(step for step in (now + 1, now, now - 1) if step not in used)
    used.add(step)
    return pyotp.TOTP(secret).at(step * 30)


class TestAnAddress:
    def test_moves_by_the_code_mailed_to_the_new_one(self) -> None:
        ilda, new = sign_up("ilda"), new_email("ilda.new")
        assert change_email(ilda, new.upper()).status_code == 200
        assert "Your address is being changed" in subjects_mailed(ilda.email)
        assert log_in(ilda.email).status_code == 200
        assert problem(confirm_email(ilda, "000000")) == BAD_CODE
        code = mailed_code(new)
        assert confirm_email(ilda, code).status_code == 200
        assert problem(log_in(ilda.email)) == (401, "INVALID_CREDENTIALS")
        body = log_in(new).json()
        assert (body["user"]["email"], body["user"]["userId"]) == (new, ilda.id)
        assert "Your address was changed" in subjects_mailed(ilda.email)
        assert problem(confirm_email(ilda, code)) == BAD_CODE
        assert post_sign_up(ilda.email).status_code == 201  # the old one is free

    def test_needs_the_password(self) -> None:
        jair = sign_up("jair")
        answer = change_email(jair, new_email("jair.new"), "not-the-password")
        assert problem(answer) == (401, "INVALID_CREDENTIALS")

    def test_of_another_learner_cannot_be_taken(self) -> None:
        lia, mel = sign_up("lia"), sign_up("mel")
        assert problem(change_email(lia, mel.email)) == (409, "USER_ALREADY_EXISTS")
        assert problem(change_email(lia, lia.email)) == (400, "VALIDATION_ERROR")

    def test_taken_while_the_code_was_under_way_stays_taken(self) -> None:
        nina, new = sign_up("nina"), new_email("nina.new")
        assert change_email(nina, new).status_code == 200
        code = mailed_code(new)
        assert verify_email(new, post_sign_up(new).json()["verificationToken"]).status_code == 200
        assert problem(confirm_email(nina, code)) == (409, "USER_ALREADY_EXISTS")
        assert log_in(nina.email).status_code == 200

    def test_is_not_moved_by_a_code_older_than_a_quarter_of_an_hour(self) -> None:
        olavo, new = sign_up("olavo"), new_email("olavo.new")
        change_email(olavo, new)
        code = mailed_code(new)
        with later_by(timedelta(minutes=15, seconds=1)):
            assert problem(confirm_email(olavo, code)) == BAD_CODE

    def test_is_guessed_ten_times_and_no_more(self) -> None:
        pia, new = sign_up("pia"), new_email("pia.new")
        change_email(pia, new)
        statuses = [confirm_email(pia, f"{n:06}").status_code for n in range(11)]
        assert statuses == [400] * 10 + [429]

    def test_moves_whole_or_not_at_all(self) -> None:
        quim, new = sign_up("quim"), new_email("quim.new")
        change_email(quim, new)
        code, failures = mailed_code(new), iter([1, 2, 3])

        client = items.connection().connection.client
        with before_call(client, "TransactWriteItems", lambda: fail_once(failures)):
            assert problem(confirm_email(quim, code)) == (503, "SERVICE_UNAVAILABLE")
        account = Account.of(quim.id)
        assert account is not None
        assert account.email == quim.email
        assert Address.of(new) is None
        assert cognito_users.find_sub(quim.email) == quim.id
        assert cognito_users.find_sub(new) is None
        assert confirm_email(quim, code).status_code == 200
        assert cognito_users.find_sub(new) == quim.id

    @pytest.mark.parametrize("cut_off", [crash_before, answer_lost])
    def test_cut_off_anywhere_is_one_address_for_both_stores_in_the_end(self, cut_off: Any) -> None:
        for nth in range(1, MOST_CALLS):
            rui, new = sign_up("rui"), new_email("rui.new")
            change_email(rui, new)
            code = mailed_code(new)
            with suppress(Crash), cut_off(nth) as calls:
                confirm_email(rui, code)
            if len(calls) < nth:
                break
            account_cache.forget()
            codes = [log_in(email).status_code for email in (rui.email, new)]
            assert 200 in codes, calls
            with later_by(timedelta(seconds=61)):
                confirm_email(rui, code)
            user = log_in(new).json()["user"]
            assert (user["userId"], user["email"]) == (rui.id, new), calls
            assert problem(log_in(rui.email)) == (401, "INVALID_CREDENTIALS"), calls
            assert cognito_users.find_sub(new) == rui.id, calls
            assert cognito_users.find_sub(rui.email) is None, calls
            assert Address.of(rui.email) is None, calls
            assert "Your address was changed" in subjects_mailed(rui.email), calls
        assert nth > 7

    def test_cut_off_is_completed_by_the_next_sign_in_with_either(self) -> None:
        for which in ("old", "new"):
            sara, new = sign_up("sara"), new_email("sara.new")
            change_email(sara, new)
            code = mailed_code(new)

            def crash() -> None:
                raise Crash

            pool = aws.client("cognito-idp")
            with pytest.raises(Crash), before_call(pool, "AdminUpdateUserAttributes", crash):
                confirm_email(sara, code)
            user = log_in(sara.email if which == "old" else new).json()["user"]
            assert user["userId"] == sara.id
            assert log_in(new).json()["user"]["email"] == new
            assert problem(log_in(sara.email)) == (401, "INVALID_CREDENTIALS")

    def test_changed_in_the_console_locks_nobody_out(self) -> None:
        telma, new = sign_up("telma"), new_email("telma.new")
        password = {"password": PASSWORD}
        secret = api.post("/auth/mfa/setup", password, token=telma.token).json()["secret"]
        code = {"code": pyotp.TOTP(secret).now()}
        assert api.post("/auth/mfa/verify-setup", code, token=telma.token).status_code == 200
        cognito_users.set_email(telma.id, new)
        used: set[int] = set()
        for email in (telma.email, new):
            session = log_in(email).json()["sessionToken"]
            mfa = {"sessionToken": session, "code": unused_code(secret, used)}
            entered = api.post("/auth/mfa/verify", mfa)
            assert entered.json()["user"]["userId"] == telma.id
        assert change_email(telma, new_email("telma.third")).status_code == 200
        assert request_reset(telma.email).status_code == 200
        assert reset(telma.email, mailed_code(new)).status_code == 200
        assert_signed_out(telma)
        session = log_in(telma.email, NEW).json()["sessionToken"]
        mfa = {"sessionToken": session, "code": unused_code(secret, used)}
        token = api.post("/auth/mfa/verify", mfa).json()["accessToken"]
        assert api.delete("/profile", {"password": NEW}, token=token).status_code == 204
        assert (Address.of(telma.email), cognito_users.find_sub(new)) == (None, None)

    def test_that_the_pool_has_given_to_another_stays_theirs(self) -> None:
        vasco, new = sign_up("vasco"), new_email("vasco.new")
        change_email(vasco, new)
        with refused_by_the_pool("AdminUpdateUserAttributes", "AliasExistsException"):
            assert problem(confirm_email(vasco, mailed_code(new))) == (409, "USER_ALREADY_EXISTS")
        assert Address.of(new) is None
        assert log_in(vasco.email).json()["user"]["email"] == vasco.email


@contextmanager
def refused_by_the_pool(operation: str, code: str) -> Iterator[None]:
    """Meanwhile the pool refuses an operation, as the embedded one never does."""
    pool = aws.client("cognito-idp")
    error = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {}}

    def refuse(**_: Any) -> None:
        raise ClientError(error, operation)  # type: ignore[arg-type]

    with before_call(pool, operation, refuse):
        yield


def fail_once(failures: Any) -> None:
    if next(failures, None) == 1:
        raise EndpointConnectionError(endpoint_url="https://dynamodb")
