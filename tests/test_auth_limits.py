"""How often may be guessed: counted before Cognito is asked, whoever asks at the same moment."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from accounts.cognito import client as cognito_client
from accounts.cognito import users as cognito_users
from accounts.models.limits import LoginAttempt
from config import aws
from config.client_info import ClientInfo
from config.stack import stack
from config.store import items
from tests.accounts_helpers import (
    PASSWORD,
    Api,
    api,
    before_call,
    log_in,
    mailed_code,
    new_email,
    new_ip,
    post_sign_up,
    problem,
    sign_up,
    verify_email,
)

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_pool")]

LOCKED = (429, "TOO_MANY_REQUESTS")
WRONG = (401, "INVALID_CREDENTIALS")


@contextmanager
def counting_logins() -> Iterator[list[int]]:
    """How many logins reach Cognito."""
    reached: list[int] = []
    with before_call(aws.client("cognito-idp"), "AdminInitiateAuth", lambda: reached.append(1)):
        yield reached


def fail(email: str, times: int, ip: str | None = None) -> None:
    for _ in range(times):
        assert problem(log_in(email, "not-the-password", ip=ip)) == WRONG


def attribute(email: str, name: str) -> str | None:
    user = aws.client("cognito-idp").admin_get_user(UserPoolId=stack().user_pool_id, Username=email)
    return {pair["Name"]: pair["Value"] for pair in user["UserAttributes"]}.get(name)


def test_after_five_failures_the_right_password_is_429_from_there_only() -> None:
    teresa, here = sign_up("teresa"), new_ip()
    fail(teresa.email, 5, here)
    locked = log_in(teresa.email, ip=here)
    assert problem(locked) == LOCKED
    assert 840 <= int(locked.headers["Retry-After"]) <= 900
    assert log_in(teresa.email, ip=new_ip()).status_code == 200
    assert problem(log_in(teresa.email, ip=here)) == LOCKED


def test_a_lock_ends_a_quarter_of_an_hour_after_the_last_failure() -> None:
    carla, here = sign_up("carla"), new_ip()
    start = datetime.now(UTC)
    for minute in (0, 1, 2, 3, 4):
        with time_machine.travel(start + timedelta(minutes=minute), tick=False):
            fail(carla.email, 1, here)
    with time_machine.travel(start + timedelta(minutes=18, seconds=50), tick=False):
        assert problem(log_in(carla.email, ip=here)) == LOCKED
    with time_machine.travel(start + timedelta(minutes=19, seconds=5), tick=False):
        assert log_in(carla.email, ip=here).status_code == 200


def test_a_right_password_forgets_the_failures_before_it() -> None:
    joana, here = sign_up("joana"), new_ip()
    fail(joana.email, 4, here)
    assert log_in(joana.email, ip=here).status_code == 200
    fail(joana.email, 4, here)
    assert log_in(joana.email, ip=here).status_code == 200


def test_twenty_failures_from_anywhere_lock_the_account_everywhere() -> None:
    hugo = sign_up("hugo")
    fail(hugo.email, 20)
    assert problem(log_in(hugo.email)) == LOCKED


def test_an_unknown_address_is_locked_just_the_same() -> None:
    email, here = new_email("nobody"), new_ip()
    fail(email, 5, here)
    assert problem(log_in(email, ip=here)) == LOCKED


def test_one_source_cannot_spray_a_password_over_many_accounts(settings: Any) -> None:
    settings.LIMITS = settings.LIMITS | {"login_source": (10, 900)}
    here, pedro = new_ip(), sign_up("pedro")
    for _ in range(10):
        fail(new_email("victim"), 1, here)
    assert problem(log_in(pedro.email, ip=here)) == LOCKED
    assert log_in(pedro.email).status_code == 200


def test_a_stranger_cannot_close_the_owners_way_back() -> None:
    """38 requests from five addresses: to the login, for resets, at the reset's code."""
    vasco, strangers = sign_up("vasco", ip="10.9.8.7"), [new_ip() for _ in range(5)]
    home, reset = "10.9.8.7", {"email": vasco.email, "code": "000000", "newPassword": "garca-3-ver"}
    for number in range(20):
        fail(vasco.email, 1, strangers[number % 5])
    for stranger in strangers[:3]:
        api.post("/auth/password/reset-request", {"email": vasco.email}, ip=stranger)
    code = mailed_code(vasco.email)
    for number in range(15):
        wrong = reset | {"code": f"{(int(code) + number + 1) % 10**6:06}"}
        api.post("/auth/password/reset-confirm", wrong, ip=strangers[number % 5])
    assert problem(log_in(vasco.email)) == LOCKED
    assert log_in(vasco.email, ip=home).status_code == 200
    done = api.post("/auth/password/reset-confirm", reset | {"code": code})
    assert done.status_code == 200
    assert log_in(vasco.email, "garca-3-ver").status_code == 200


def test_where_the_owner_signed_in_from_a_reset_is_never_used_up_by_others() -> None:
    rute, here = sign_up("rute", ip="10.9.8.6"), "10.9.8.6"
    for _ in range(3):
        asked = api.post("/auth/password/reset-request", {"email": rute.email})
        assert asked.status_code == 200
    assert problem(api.post("/auth/password/reset-request", {"email": rute.email})) == LOCKED
    asked = api.post("/auth/password/reset-request", {"email": rute.email}, ip=here)
    assert asked.status_code == 200
    reset = {"email": rute.email, "code": "000000", "newPassword": "garca-3-ver"}
    for _ in range(30):
        assert api.post("/auth/password/reset-confirm", reset).status_code == 400
    code = {"code": mailed_code(rute.email)}
    assert problem(api.post("/auth/password/reset-confirm", reset | code)) == LOCKED
    assert api.post("/auth/password/reset-confirm", reset | code, ip=here).status_code == 200


def test_another_code_is_not_burnt_by_guesses_at_the_one_before() -> None:
    email = new_email("celia")
    assert post_sign_up(email).status_code == 201
    here = new_ip()
    for _ in range(5):
        wrong = {"email": email, "code": "000000"}
        assert api.post("/auth/verify-email", wrong, ip=here).status_code == 400
    assert problem(api.post("/auth/verify-email", wrong, ip=here)) == LOCKED
    assert api.post("/auth/verify-email/resend", {"email": email}).status_code == 200
    right = {"email": email, "code": mailed_code(email)}
    assert api.post("/auth/verify-email", right, ip=here).status_code == 200


def test_fifty_parallel_failures_reach_cognito_five_times_at_most() -> None:
    email, here = new_email("lourenco"), new_ip()
    body = {"email": email, "password": "not-the-password"}
    with counting_logins() as reached, ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: Api().post("/auth/login", body, ip=here), range(50)))
    statuses = [answer.status_code for answer in answers]
    assert len(reached) <= 5
    assert statuses.count(401) == len(reached)
    assert statuses.count(429) == 50 - len(reached)


def test_parallel_right_logins_get_in_or_are_told_to_come_again_in_a_second() -> None:
    fausto, here = sign_up("fausto"), new_ip()
    body = {"email": fausto.email, "password": PASSWORD}
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: Api().post("/auth/login", body, ip=here), range(12)))
    assert 200 in {answer.status_code for answer in answers}
    for answer in answers:
        if answer.status_code != 200:
            assert problem(answer) == LOCKED
            assert answer.headers["Retry-After"] == "1"
    fail(fausto.email, 5, here)  # none of them was counted, and none twice
    assert problem(log_in(fausto.email, ip=here)) == LOCKED


def test_a_guess_in_flight_is_waited_for_and_one_that_was_cut_off_counts() -> None:
    gil, here, start = sign_up("gil"), new_ip(), datetime.now(UTC)
    with time_machine.travel(start, tick=False):
        for _ in range(5):
            LoginAttempt.begin(gil.email, ClientInfo(here), now=start)
        waiting = log_in(gil.email, ip=here)
        assert (problem(waiting), waiting.headers["Retry-After"]) == (LOCKED, "1")
    with time_machine.travel(start + timedelta(seconds=31), tick=False):
        locked = log_in(gil.email, ip=here)
        assert (problem(locked), locked.headers["Retry-After"]) == (LOCKED, "869")


def test_logins_before_the_address_is_verified_are_no_failures() -> None:
    email, here = new_email("dora"), new_ip()
    signed_up = post_sign_up(email)
    assert signed_up.status_code == 201
    for _ in range(6):
        assert problem(log_in(email, ip=here)) == (403, "EMAIL_NOT_VERIFIED")
    assert verify_email(email, signed_up.json()["verificationToken"]).status_code == 200
    assert log_in(email, ip=here).status_code == 200


def test_logins_that_have_to_reset_the_password_are_no_failures() -> None:
    lidia, here = sign_up("lidia"), new_ip()
    cognito_client.client_secret()
    for _ in range(6):
        with Stubber(aws.client("cognito-idp")) as stub:
            stub.add_client_error("admin_initiate_auth", "PasswordResetRequiredException", "", 400)
            assert problem(log_in(lidia.email, ip=here)) == (403, "PASSWORD_RESET_REQUIRED")
    assert log_in(lidia.email, ip=here).status_code == 200


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP", "True-Client-IP"]
)
def test_no_header_moves_a_client_to_another_source(header: str) -> None:
    email, here = new_email("mallory"), new_ip()
    for number in range(5):
        answer = log_in(email, "guess-number", ip=here, **{header: f"203.0.113.{number}"})
        assert problem(answer) == WRONG
    answer = log_in(email, "guess-number", ip=here, **{header: "203.0.113.99"})
    assert problem(answer) == LOCKED


def test_without_the_table_nothing_reaches_cognito() -> None:
    def down() -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    store = items.connection().connection.client
    with counting_logins() as reached, before_call(store, "UpdateItem", down):
        assert problem(log_in(new_email("rosa"))) == (503, "SERVICE_UNAVAILABLE")
    assert reached == []


def test_cognitos_own_failure_counts_for_nothing() -> None:
    artur, here = sign_up("artur"), new_ip()
    cognito_client.client_secret()
    for _ in range(6):
        with Stubber(aws.client("cognito-idp")) as stub:
            stub.add_client_error("admin_initiate_auth", "TooManyRequestsException", "", 400)
            assert problem(log_in(artur.email, ip=here)) == (503, "SERVICE_UNAVAILABLE")
    assert log_in(artur.email, ip=here).status_code == 200


def test_a_lock_is_noted_on_the_user_and_in_the_trail_once() -> None:
    alice, here = sign_up("alice"), new_ip()
    fail(alice.email, 5, here)
    assert problem(log_in(alice.email, ip=here)) == LOCKED
    assert attribute(alice.email, "custom:failed_logins") == "5"
    trail = api.get("/auth/activity", token=alice.token).json()["results"]
    actions = [line["action"] for line in trail]
    assert actions.count("locked_out") == 1
    assert actions.count("sign_in_failed") == 4
    assert {line["ip"] for line in trail if line["action"] == "sign_in_failed"} == {here}


def test_sign_ups_from_one_source_have_a_limit(settings: Any) -> None:
    settings.LIMITS = settings.LIMITS | {"sign_up_source": (2, 3600)}
    here = new_ip()
    assert [post_sign_up(new_email("bot"), ip=here).status_code for _ in range(3)] == [
        201,
        201,
        429,
    ]
    assert post_sign_up(new_email("olga")).status_code == 201


def test_secrets_of_a_second_step_are_made_ten_times_an_hour() -> None:
    ines = sign_up("ines")
    password = {"password": PASSWORD}
    answers = [api.post("/auth/mfa/setup", password, token=ines.token) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]


def test_refresh_tokens_that_nobody_was_given_have_a_limit_and_others_none() -> None:
    here, luis = new_ip(), sign_up("luis")
    for number in range(30):
        garbage = {"refreshToken": f"garbage-{number}"}
        assert problem(api.post("/auth/refresh", garbage, ip=here))[0] == 401
    assert problem(api.post("/auth/refresh", garbage, ip=here)) == LOCKED
    good = {"refreshToken": luis.refresh_token}
    assert api.post("/auth/refresh", good, ip=here).status_code == 200


def test_codes_and_mails_have_limits_that_tell_nothing_of_the_address() -> None:
    waiting = new_email("mateus")
    assert post_sign_up(waiting).status_code == 201
    for email in (waiting, new_email("nobody")):
        guesses = [
            api.post("/auth/verify-email", {"email": email, "code": f"{number:06}"})
            for number in range(31)
        ]
        assert [guess.status_code for guess in guesses] == [400] * 30 + [429]
        mails = [api.post("/auth/verify-email/resend", {"email": email}) for _ in range(6)]
        assert [mail.status_code for mail in mails] == [200] * 5 + [429]


def test_passwords_stay_out_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="parley")
    elsa = sign_up("elsa")
    log_in(elsa.email, "a-wrong-secret")
    api.post("/auth/refresh", {"refreshToken": elsa.refresh_token})
    lines = "\n".join(str(vars(record)) for record in caplog.records)
    for secret in (PASSWORD, "a-wrong-secret", elsa.refresh_token, elsa.token, elsa.email):
        assert secret not in lines
    assert cognito_client.client_secret() not in lines


def test_failures_are_noted_on_the_user_also_where_the_pool_has_another_address() -> None:
    ines, here = sign_up("ines"), new_ip()
    cognito_users.set_email(ines.id, new_email("ines.outra"))
    for _ in range(5):
        assert log_in(ines.email, "not-the-password", ip=here).status_code == 401
    assert attribute(ines.id, "custom:failed_logins") == "5"
