"""POST /auth/signup and the code that proves the address, against the embedded user pool."""

import base64
import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from botocore.exceptions import ClientError, EndpointConnectionError

from accounts.cognito import users as cognito_users
from accounts.models import Account, Address
from config import aws
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
    post_sign_up,
    problem,
    sign_up,
    verify_email,
)
from tests.crashes import Crash

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_pool")]


def store() -> Any:
    return items.connection().connection.client


def test_a_sign_up_sends_only_what_the_app_client_may_write() -> None:
    """Cognito refuses any other attribute, and perhaps the address, which it takes from the user
    name. The embedded pool accepts all."""
    pool, sent, client_ids = aws.client("cognito-idp"), ["email"], []

    def note(params: dict[str, Any], **_: Any) -> None:
        sent.extend(pair["Name"] for pair in params["UserAttributes"])
        client_ids.append(params["ClientId"])

    event = "provide-client-params.cognito-idp.SignUp"
    pool.meta.events.register(event, note)
    try:
        assert post_sign_up(new_email("sara")).status_code == 201
    finally:
        pool.meta.events.unregister(event, note)
    [client_id] = client_ids
    where = {"UserPoolId": stack().user_pool_id, "ClientId": client_id}
    client = pool.describe_user_pool_client(**where)["UserPoolClient"]
    assert len(sent) > 1
    assert set(sent) <= set(client["WriteAttributes"])


def test_the_app_client_of_sign_ups_signs_nobody_in() -> None:
    maria = sign_up("maria")
    pool, where = aws.client("cognito-idp"), stack()
    asked = {"UserPoolId": where.user_pool_id, "ClientId": where.sign_up_client_id}
    client = pool.describe_user_pool_client(**asked)["UserPoolClient"]
    message = f"{maria.email}{where.sign_up_client_id}".encode()
    digest = hmac.new(client["ClientSecret"].encode(), message, hashlib.sha256).digest()
    answers = {
        "USERNAME": maria.email,
        "PASSWORD": PASSWORD,
        "SRP_A": "1",
        "SECRET_HASH": base64.b64encode(digest).decode(),
    }
    for flow in ("USER_PASSWORD_AUTH", "USER_SRP_AUTH", "ADMIN_USER_PASSWORD_AUTH"):
        admin = flow.startswith("ADMIN")
        ask = pool.admin_initiate_auth if admin else pool.initiate_auth
        pool_id = {"UserPoolId": where.user_pool_id} if admin else {}
        with pytest.raises(ClientError, match="not enabled for th"):
            ask(ClientId=where.sign_up_client_id, AuthFlow=flow, AuthParameters=answers, **pool_id)


def test_a_learner_signs_up_verifies_and_signs_in() -> None:
    email = new_email("maria")
    made = post_sign_up(f"  {email.upper()} ")
    assert made.status_code == 201
    assert made.json()["email"] == email
    assert problem(log_in(email)) == (403, "EMAIL_NOT_VERIFIED")
    wrong = api.post("/auth/verify-email", {"email": email, "code": "000000"})
    assert problem(wrong) == (400, "INVALID_CODE")
    right = verify_email(email, made.json()["verificationToken"])
    assert right.status_code == 200
    assert right.json()["passwordRequired"] is False
    answer = log_in(email)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert (body["tokenType"], body["expiresIn"]) == ("Bearer", 3600)
    assert body["user"]["userId"] == made.json()["userId"]
    assert body["user"]["emailVerified"] is True
    mine = api.get("/profile", token=body["accessToken"])
    assert mine.status_code == 200
    assert mine.json() == body["user"]


@pytest.mark.parametrize("typed", ["{} {}", " {}-{} ", "{}\u00a0{}\u00a0"])
def test_a_mailed_code_is_taken_as_people_type_it(typed: str) -> None:
    email = new_email("nuno")
    assert post_sign_up(email).status_code == 201
    code = mailed_code(email)
    body = {"email": email, "code": typed.format(code[:3], code[3:])}
    assert api.post("/auth/verify-email", body).status_code == 200


@pytest.mark.parametrize(
    ("chosen", "typed"),
    [
        ("cora\u00e7\u00e3o-azul", "corac\u0327a\u0303o-azul"),
        ("corac\u0327a\u0303o-azul", "cora\u00e7\u00e3o-azul"),
        (
            "\u9752\u3044\u30ab\u30e9\u30b91234",
            "\u9752\u3044\uff76\uff97\uff7d\uff11\uff12\uff13\uff14",
        ),
    ],
)
def test_a_password_chosen_on_one_keyboard_is_right_on_another(chosen: str, typed: str) -> None:
    email = new_email("iria")
    signed_up = post_sign_up(email, chosen)
    assert signed_up.status_code == 201
    assert verify_email(email, signed_up.json()["verificationToken"]).status_code == 200
    assert log_in(email, typed).status_code == 200
    assert log_in(email, chosen).status_code == 200
    assert log_in(email, f"{chosen}x").status_code == 401


def test_a_common_password_is_found_in_whatever_form_it_is_written() -> None:
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in "password123")
    assert problem(post_sign_up(new_email("bot"), wide)) == (400, "WEAK_PASSWORD")


def test_a_second_sign_up_of_an_address_is_409_however_it_is_written() -> None:
    email = sign_up("goncalo").email
    assert problem(post_sign_up(email.upper())) == (409, "USER_ALREADY_EXISTS")


def test_parallel_sign_ups_of_one_address_make_one_learner() -> None:
    email = new_email("ines")
    body = {"email": email, "password": PASSWORD, "firstName": "Inês", "lastName": "Lopes"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: Api().post("/auth/signup", body), range(8)))
    assert {answer.status_code for answer in answers} <= {201, 409, 503}
    holder = Address.of(email)
    assert holder is not None
    assert holder.learner_id == cognito_users.find_sub(email)
    ids = {answer.json()["userId"] for answer in answers if answer.status_code == 201}
    accounts = [Account.of(learner_id) for learner_id in ids]
    living = [account for account in accounts if account and not account.disabled]
    assert [account.learner_id for account in living] == [holder.learner_id]


def test_a_sign_up_that_the_table_refuses_leaves_neither_user_nor_reservation() -> None:
    email = new_email("duarte")
    failures = iter([EndpointConnectionError(endpoint_url="https://dynamodb")])

    def fail_once() -> None:
        for failure in failures:
            raise failure

    with before_call(store(), "TransactWriteItems", fail_once):
        assert problem(post_sign_up(email)) == (503, "SERVICE_UNAVAILABLE")
    assert cognito_users.find_sub(email) is None
    assert Address.of(email) is None
    assert post_sign_up(email).status_code == 201


def test_a_sign_up_cut_off_after_cognito_can_be_repeated_after_a_minute() -> None:
    email = new_email("leonor")

    def crash() -> None:
        raise Crash

    start = datetime.now(UTC)
    with time_machine.travel(start, tick=False):
        with before_call(store(), "TransactWriteItems", crash), pytest.raises(Crash):
            post_sign_up(email)
        orphan = cognito_users.find_sub(email)
        assert orphan is not None
        assert problem(post_sign_up(email)) == (409, "USER_ALREADY_EXISTS")
    with time_machine.travel(start + timedelta(seconds=61), tick=False):
        again = post_sign_up(email)
    assert again.status_code == 201
    assert again.json()["userId"] == cognito_users.find_sub(email) != orphan
    assert Account.of(again.json()["userId"]) is not None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "no address"),
        ("email", "a@b"),
        ("email", "maria@exa mple.org"),
        ("email", f"{'m' * 120}@example.org"),
        ("email", "maria@example.org\n\u0000"),
        ("email", 7),
        ("password", "short-1"),
        ("password", "x" * 129),
        ("password", " leading-space"),
        ("firstName", ""),
        ("firstName", "Ma\u0007ria"),
        ("firstName", "M" * 101),
        ("lastName", None),
        ("lastName", ["Sousa"]),
        ("nickname", "Mia"),
    ],
)
def test_a_field_out_of_its_bounds_is_named(field: str, value: Any) -> None:
    body = {
        "email": new_email("rui"),
        "password": PASSWORD,
        "firstName": "Rui",
        "lastName": "Reis",
    }
    answer = api.post("/auth/signup", body | {field: value})
    assert problem(answer) == (400, "VALIDATION_ERROR")
    assert {error["field"] for error in answer.json()["errors"]} == {field}


@pytest.mark.parametrize(
    "password", ["football1", "Password123", "BeatrizCosta", "beatriz-costa@example.org"]
)
def test_a_password_that_is_easy_to_guess_is_refused(password: str) -> None:
    answer = post_sign_up(
        "Beatriz-Costa@example.org", password, firstName="Beatriz", lastName="Costa"
    )
    assert problem(answer) == (400, "WEAK_PASSWORD")
    assert answer.json()["errors"][0]["field"] == "password"


def test_verification_answers_alike_for_unknown_wrong_and_verified_addresses() -> None:
    verified, waiting = sign_up("tiago"), new_email("sofia")
    assert post_sign_up(waiting).status_code == 201
    answers = [
        api.post("/auth/verify-email", {"email": email, "code": "999999"})
        for email in (new_email("nobody"), waiting, verified.email)
    ]
    assert {problem(answer) for answer in answers} == {(400, "INVALID_CODE")}
    assert len({(a.json()["title"], a.json()["detail"], *a.headers) for a in answers}) == 1


def test_a_new_code_is_mailed_and_nobody_learns_who_has_an_account() -> None:
    waiting, verified = new_email("clara"), sign_up("vasco")
    assert post_sign_up(waiting).status_code == 201
    answers = [
        api.post("/auth/verify-email/resend", {"email": email})
        for email in (waiting, verified.email, new_email("nobody"))
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (200, answers[0].content)
    }
