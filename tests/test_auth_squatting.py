"""An address that a stranger has typed in is the owner's all the same.

The attacks are the five classes of Sudhodanan and Paverd, "Pre-hijacked accounts" (USENIX Security
2022).
"""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from accounts.cognito import users as cognito_users
from accounts.models import Account, Address
from config import aws
from config.stack import stack
from tests.accounts_google import GoogleStub, travel
from tests.accounts_helpers import (
    PASSWORD,
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
from tests.crashes import Crash, crash_before
from tests.waiting import later_by

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_pool")]

STRANGERS = "estranho-azul-9"
NEW = "quatro-ventos-9"
MOST_CALLS = 60
OUT = (401, "INVALID_CREDENTIALS")


def claim(email: str, password: str) -> str:
    """Signs up, and returns the secret that the sign-up answers."""
    answer = post_sign_up(email, password)
    assert answer.status_code == 201, answer.content
    return str(answer.json()["verificationToken"])


def set_password(email: str, password: str = NEW) -> Any:
    assert api.post("/auth/password/reset-request", {"email": email}).status_code == 200
    body = {"email": email, "code": mailed_code(email), "newPassword": password}
    return api.post("/auth/password/reset-confirm", body)


def test_an_owner_signs_up_over_a_strangers_claim_and_the_strangers_account_is_gone() -> None:
    email = new_email("alda")
    squatted = post_sign_up(email, STRANGERS).json()["userId"]
    secret = claim(email, PASSWORD)
    assert cognito_users.find_user(squatted) is None
    assert verify_email(email, secret).json()["passwordRequired"] is False
    assert log_in(email).json()["user"]["userId"] != squatted
    assert problem(log_in(email, STRANGERS)) == OUT


@pytest.mark.parametrize("strangers_turn", ["before", "after"])
@pytest.mark.parametrize("with_secret", [True, False])
def test_whichever_code_the_owner_types_a_strangers_password_never_works(
    strangers_turn: str, with_secret: bool
) -> None:
    email = new_email("bela")
    if strangers_turn == "before":
        claim(email, STRANGERS)
        secret = claim(email, PASSWORD)
    else:
        secret = claim(email, PASSWORD)
        claim(email, STRANGERS)
    verified = verify_email(email, secret if with_secret else None)
    assert verified.status_code == 200
    keeps = strangers_turn == "before" and with_secret
    assert verified.json()["passwordRequired"] is not keeps
    assert problem(log_in(email, STRANGERS)) == OUT
    if not keeps:
        assert problem(log_in(email, PASSWORD)) == OUT
        assert set_password(email, PASSWORD).status_code == 200
    assert log_in(email, PASSWORD).status_code == 200
    assert problem(log_in(email, STRANGERS)) == OUT


def test_a_strangers_secret_is_of_no_use_once_the_code_was_typed() -> None:
    email = new_email("celso")
    strangers = claim(email, STRANGERS)
    assert verify_email(email).json()["passwordRequired"] is True
    assert problem(verify_email(email, strangers)) == (400, "INVALID_CODE")
    assert problem(log_in(email, STRANGERS)) == OUT


def test_a_wrong_code_that_is_overtaken_by_the_owners_leaves_the_password_alone() -> None:
    email = new_email("cora")
    secret = claim(email, PASSWORD)
    owners: list[int] = []

    def overtake() -> None:
        if not owners:
            owners.append(0)
            owners[0] = verify_email(email, secret).status_code

    with before_call(aws.client("cognito-idp"), "ConfirmSignUp", overtake):
        wrong = api.post("/auth/verify-email", {"email": email, "code": "000000"})
    assert (owners, problem(wrong)) == ([200], (400, "INVALID_CODE"))
    assert log_in(email, PASSWORD).status_code == 200


def test_a_stranger_who_is_overtaken_does_not_speak_for_the_owner_who_was_cut_off() -> None:
    email = new_email("clara")
    secret = claim(email, STRANGERS)
    pool = aws.client("cognito-idp")
    owners: list[int] = []

    def lose() -> None:
        raise EndpointConnectionError(endpoint_url="https://aws")

    def overtake() -> None:
        if not owners:
            owners.append(0)
            with before_call(pool, "AdminSetUserPassword", lose):
                owners[0] = verify_email(email).status_code

    with before_call(pool, "ConfirmSignUp", overtake):
        body = {"email": email, "code": "000000", "verificationToken": secret}
        wrong = api.post("/auth/verify-email", body)
    assert (owners, problem(wrong)) == ([503], (400, "INVALID_CODE"))
    assert problem(log_in(email, STRANGERS)) == OUT
    assert set_password(email).status_code == 200
    assert log_in(email, NEW).status_code == 200


def test_what_was_read_before_an_owners_proof_does_not_speak_for_the_owner() -> None:
    email = new_email("cilia")
    claim(email, STRANGERS)
    pool = aws.client("cognito-idp")
    owners: list[int] = []

    def lose() -> None:
        raise EndpointConnectionError(endpoint_url="https://aws")

    def overtake() -> None:
        if not owners:
            owners.append(0)
            with before_call(pool, "AdminSetUserPassword", lose):
                owners[0] = verify_email(email).status_code

    Account.at(str(cognito_users.find_sub(email))).begin_proof(Account.BY_SECRET, "strangers")
    with before_call(pool, "AdminGetUser", overtake):
        assert problem(log_in(email, STRANGERS)) == OUT
    assert owners == [503]
    assert problem(log_in(email, STRANGERS)) == OUT


@pytest.mark.parametrize("with_secret", [True, False])
def test_a_verification_cut_off_anywhere_lets_no_stranger_in_and_locks_nobody_out(
    with_secret: bool,
) -> None:
    for nth in range(1, MOST_CALLS):
        email = new_email("dalila")
        secret = claim(email, PASSWORD if with_secret else STRANGERS)
        try:
            with crash_before(nth) as calls:
                verify_email(email, secret if with_secret else None)
        except Crash:
            pass
        else:
            break
        first = log_in(email, PASSWORD if with_secret else STRANGERS).status_code
        assert first in ((200, 403) if with_secret else (401, 403)), calls
        if first == 403:  # nothing has happened yet: the same once more
            assert verify_email(email, secret if with_secret else None).status_code == 200
        if not with_secret:
            assert problem(log_in(email, STRANGERS)) == OUT, calls
            assert set_password(email, PASSWORD).status_code == 200, calls
        user = log_in(email, PASSWORD).json()["user"]
        assert user["emailVerified"] is True, calls
        assert problem(log_in(email, STRANGERS)) == OUT, calls
    assert nth > 6


def test_wrong_codes_without_the_secret_take_nobodys_password() -> None:
    email = new_email("elvira")
    secret = claim(email, PASSWORD)
    wrong = api.post("/auth/verify-email", {"email": email, "code": "000000"})
    assert problem(wrong) == (400, "INVALID_CODE")
    assert verify_email(email, secret).status_code == 200
    assert log_in(email).status_code == 200


def test_a_sign_in_with_google_takes_an_address_that_a_stranger_claimed(
    google: GoogleStub,
) -> None:
    email = new_email("fausta")
    claim(email, STRANGERS)
    google.is_used_by("Fausta", email)
    entered = api.post("/auth/google/token", travel().body())
    assert entered.status_code == 200, entered.content
    assert entered.json()["user"]["email"] == email
    assert problem(log_in(email, STRANGERS)) == OUT
    assert problem(post_sign_up(email, STRANGERS)) == (409, "USER_ALREADY_EXISTS")


def test_a_change_of_address_takes_an_address_that_a_stranger_claimed() -> None:
    gaspar, new = sign_up("gaspar"), new_email("gaspar.new")
    claim(new, STRANGERS)
    change = {"newEmail": new, "password": PASSWORD}
    assert api.post("/auth/email/change", change, token=gaspar.token).status_code == 200
    code = mailed_code(new)
    body = {"code": code}
    assert api.post("/auth/email/change/confirm", body, token=gaspar.token).status_code == 200
    assert log_in(new).json()["user"]["userId"] == gaspar.id
    assert problem(log_in(new, STRANGERS)) == OUT


def test_a_strangers_change_to_the_owners_address_ends_when_the_owner_signs_up() -> None:
    stranger, owners = sign_up("helio"), new_email("iracema")
    change = {"newEmail": owners, "password": PASSWORD}
    assert api.post("/auth/email/change", change, token=stranger.token).status_code == 200
    strangers_code = mailed_code(owners)
    assert verify_email(owners, claim(owners, NEW)).status_code == 200
    body = {"code": strangers_code}
    late = api.post("/auth/email/change/confirm", body, token=stranger.token)
    assert problem(late) == (409, "USER_ALREADY_EXISTS")
    assert log_in(owners, NEW).json()["user"]["email"] == owners


def test_a_reset_ends_the_session_that_was_begun_before_it() -> None:
    jacira = sign_up("jacira")
    assert set_password(jacira.email).status_code == 200
    stale = api.post("/auth/refresh", {"refreshToken": jacira.refresh_token})
    assert problem(stale) == (401, "INVALID_REFRESH_TOKEN")
    assert problem(api.get("/profile", token=jacira.token)) == (401, "NOT_AUTHENTICATED")


@pytest.mark.parametrize("status", ["CONFIRMED", "FORCE_CHANGE_PASSWORD", "RESET_REQUIRED"])
def test_a_user_of_the_console_is_never_replaced(status: str) -> None:
    email = new_email("katia")
    sub = cognito_users.create_user(email=email, first_name="Kátia", last_name="Reis")
    where = {"UserPoolId": stack().user_pool_id, "Username": sub}
    if status != "FORCE_CHANGE_PASSWORD":
        cognito_users.set_password(sub, PASSWORD)
    if status == "RESET_REQUIRED":
        aws.client("cognito-idp").admin_reset_user_password(**where)
    assert problem(post_sign_up(email, STRANGERS)) == (409, "USER_ALREADY_EXISTS")
    user = cognito_users.find_user(sub)
    assert user is not None
    assert user.status == status
    assert Address.of(email) is None


def test_an_account_that_was_confirmed_in_the_console_is_not_replaced_and_proves_nothing() -> None:
    email = new_email("leandra")
    claim(email, STRANGERS)
    sub = cognito_users.find_sub(email)
    assert sub is not None
    where = {"UserPoolId": stack().user_pool_id, "Username": sub}
    aws.client("cognito-idp").admin_confirm_sign_up(**where)
    assert log_in(email, STRANGERS).json()["user"]["emailVerified"] is False
    assert problem(post_sign_up(email, PASSWORD)) == (409, "USER_ALREADY_EXISTS")
    account = Account.of(sub)
    assert account is not None
    assert not account.email_verified


def test_a_sign_up_that_is_cut_off_keeps_its_address_for_a_day_and_a_whole_one_for_good() -> None:
    email = new_email("nadia")

    def die() -> None:
        raise Crash

    with suppress(Crash), before_call(aws.client("cognito-idp"), "SignUp", die):
        post_sign_up(email)
    reserved = Address.of(email)
    assert reserved is not None
    assert reserved.learner_id is None
    assert 0 < reserved.expires_at - reserved.lease_until <= 86_400
    with later_by(timedelta(seconds=61)):
        claim(email, PASSWORD)
    held = Address.of(email)
    assert held is not None
    assert (bool(held.learner_id), held.expires_at) == (True, None)


def test_an_owner_is_not_mailed_codes_without_end() -> None:
    email = new_email("marcia")
    statuses = [post_sign_up(email, STRANGERS).status_code for _ in range(11)]
    assert statuses == [201] * 10 + [429]
