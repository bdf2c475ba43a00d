"""Sign-in by a mailed code, without the password; never past a second step."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from botocore.stub import Stubber

from accounts.cognito import client as cognito_client
from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.cognito.client import InvalidCode, secret_hash
from accounts.cognito.sessions import CodeNotMailed
from accounts.models import Account, SignInCode
from accounts.services.mailed_code import LASTS
from config import aws
from config.stack import stack
from tests.accounts_google import GoogleStub, travel
from tests.accounts_helpers import (
    PASSWORD,
    Api,
    Person,
    api,
    log_in,
    mailed_code,
    new_email,
    new_ip,
    post_sign_up,
    problem,
    sign_up,
    subjects_mailed,
)
from tests.crashes import watching
from tests.waiting import later_by

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_pool")]

WRONG = (400, "INVALID_CODE")


def ask(email: str, ip: str | None = None) -> Any:
    return api.post("/auth/login/code", {"email": email}, ip=ip)


def token_for(email: str) -> str:
    answer = ask(email)
    assert answer.status_code == 200, answer.content
    return str(answer.json()["sessionToken"])


def enter(session_token: str, code: str, ip: str | None = None) -> Any:
    body = {"sessionToken": session_token, "code": code}
    return api.post("/auth/login/code/verify", body, ip=ip)


def mails_to(email: str) -> int:
    return len(subjects_mailed(email))


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"


def turn_on_second_step(person: Person) -> None:
    body = {"password": person.password}
    secret = api.post("/auth/mfa/setup", body, token=person.token).json()["secret"]
    code = {"code": pyotp.TOTP(secret).now()}
    assert api.post("/auth/mfa/verify-setup", code, token=person.token).status_code == 200


def test_the_mailed_code_signs_in_once() -> None:
    alda = sign_up("alda")
    token = token_for(alda.email)
    code = mailed_code(alda.email)
    answer = enter(token, f" {code[:4]}-{code[4:]} ")
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["user"]["userId"] == alda.id
    assert api.get("/profile", token=body["accessToken"]).status_code == 200
    renewed = api.post("/auth/refresh", {"refreshToken": body["refreshToken"]})
    assert renewed.status_code == 200
    listed = api.get("/auth/sessions", token=body["accessToken"]).json()["results"]
    assert [session["current"] for session in listed] == [True, False]
    lines = api.get("/auth/activity", token=body["accessToken"]).json()["results"]
    assert lines[0]["action"] == "signed_in"
    assert problem(enter(token, code)) == WRONG


def test_a_sign_in_by_code_with_a_new_device_is_told() -> None:
    beatriz = sign_up("beatriz")
    token = token_for(beatriz.email)
    body = {"sessionToken": token, "code": mailed_code(beatriz.email)}
    answer = api.post("/auth/login/code/verify", body, **{"User-Agent": "Firefox/128 Windows"})
    assert answer.status_code == 200
    assert "A new sign-in" in subjects_mailed(beatriz.email)


def test_nobody_learns_from_the_answer_whether_there_is_an_account(google: GoogleStub) -> None:
    known, unknown, unproved = sign_up("celeste").email, new_email("nobody"), new_email("unproved")
    post_sign_up(unproved)
    secured = sign_up("dora")
    turn_on_second_step(secured)
    by_google = new_email("edgar")
    google.is_used_by("Edgar", by_google)
    assert api.post("/auth/google/token", travel().body()).status_code == 200
    shut = sign_up("fausto")
    Account.at(shut.id).update_attributes(Account.disabled.set(True))
    answers = [ask(email) for email in (known, unknown, unproved, secured.email, by_google)]
    answers.append(ask(shut.email))
    shapes = {
        (answer.status_code, *((name, len(value)) for name, value in answer.json().items()))
        for answer in answers
    }
    assert len(shapes) == 1
    refusals = [enter(answer.json()["sessionToken"], "00000000") for answer in answers]
    assert {problem(answer) for answer in refusals} == {WRONG}
    assert len({str(sorted(answer.json().keys() - {"instance"})) for answer in refusals}) == 1


def test_an_unproved_a_disabled_and_an_unknown_address_are_mailed_nothing() -> None:
    unproved, unknown = new_email("unproved"), new_email("nobody")
    post_sign_up(unproved)
    shut = sign_up("gil")
    Account.at(shut.id).update_attributes(Account.disabled.set(True))
    before = [mails_to(email) for email in (unproved, unknown, shut.email)]
    for email in (unproved, unknown, shut.email):
        assert ask(email).status_code == 200
    assert [mails_to(email) for email in (unproved, unknown, shut.email)] == before


def test_a_second_step_is_not_passed_and_the_owner_is_told_why() -> None:
    helga = sign_up("helga")
    turn_on_second_step(helga)
    sent = mails_to(helga.email)
    token = token_for(helga.email)
    assert subjects_mailed(helga.email)[sent:] == ["Sign in with your password"]
    assert problem(enter(token, "12345678")) == WRONG
    assert log_in(helga.email).json()["mfaRequired"] is True


def test_a_second_step_that_was_turned_on_past_us_is_not_passed_either() -> None:
    isaura = sign_up("isaura")
    cognito_users.set_mfa(isaura.id, enabled=True)
    token = token_for(isaura.email)
    assert "Your sign-in code" not in subjects_mailed(isaura.email)
    assert problem(enter(token, "12345678")) == WRONG


@pytest.mark.parametrize("past_us", [False, True])
def test_a_second_step_turned_on_after_the_code_was_mailed_is_not_passed(past_us: bool) -> None:
    jacinta = sign_up("jacinta")
    token = token_for(jacinta.email)
    code = mailed_code(jacinta.email)
    if past_us:
        cognito_users.set_mfa(jacinta.id, enabled=True)
    else:
        turn_on_second_step(jacinta)
    with tokens_seen() as tokens:
        assert problem(enter(token, code)) == WRONG
    [made] = tokens
    assert api.post("/auth/refresh", {"refreshToken": made.refresh_token}).status_code == 401
    account = Account.of(jacinta.id)
    assert account is not None
    assert account.mfa_enabled is not past_us  # the refusal has turned nothing off


@contextmanager
def tokens_seen() -> Iterator[list[Any]]:
    """The tokens that the pool has made for mailed codes meanwhile."""
    made: list[Any] = []
    answer = cognito_sessions.answer_mailed_code

    def seen(**values: Any) -> Any:
        made.append(answer(**values))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cognito_sessions, "answer_mailed_code", seen)
        yield made


def test_whoever_came_from_google_is_sent_there(google: GoogleStub) -> None:
    email = new_email("lurdes")
    google.is_used_by("Lurdes", email)
    assert api.post("/auth/google/token", travel().body()).status_code == 200
    token = token_for(email)
    assert subjects_mailed(email)[-1] == "Sign in with Google"
    assert problem(enter(token, "12345678")) == WRONG


def test_a_code_mailed_to_the_address_before_opens_no_account_that_has_moved() -> None:
    mario = sign_up("mario")
    token = token_for(mario.email)
    code = mailed_code(mario.email)
    new = new_email("mario.new")
    body = {"newEmail": new, "password": PASSWORD}
    assert api.post("/auth/email/change", body, token=mario.token).status_code == 200
    confirm = {"code": mailed_code(new)}
    assert api.post("/auth/email/change/confirm", confirm, token=mario.token).status_code == 200
    assert problem(enter(token, code)) == WRONG


def test_a_code_asked_for_before_all_sessions_ended_opens_none() -> None:
    nelia = sign_up("nelia")
    token = token_for(nelia.email)
    code = mailed_code(nelia.email)
    assert api.post("/auth/logout-everywhere", token=nelia.token).status_code == 204
    assert problem(enter(token, code)) == WRONG
    anew = token_for(nelia.email)
    assert enter(anew, mailed_code(nelia.email)).status_code == 200


def test_five_wrong_guesses_burn_a_code_and_no_other() -> None:
    olga = sign_up("olga")
    token = token_for(olga.email)
    code = mailed_code(olga.email)
    for _ in range(5):
        assert problem(enter(token, wrong(code))) == WRONG
    assert problem(enter(token, code)) == (429, "TOO_MANY_REQUESTS")
    again = token_for(olga.email)
    assert enter(again, mailed_code(olga.email)).status_code == 200
    lines = api.get("/auth/activity", token=olga.token).json()["results"]
    assert [line["action"] for line in lines].count("sign_in_failed") == 5
    assert log_in(olga.email).status_code == 200


def test_a_code_belongs_to_the_sign_in_that_asked_for_it() -> None:
    paula = sign_up("paula")
    strangers = token_for(paula.email)
    mine = token_for(paula.email)
    code = mailed_code(paula.email)
    assert problem(enter(strangers, code)) == WRONG
    assert enter(mine, code).status_code == 200


def test_three_codes_an_hour_are_mailed_to_an_address_whether_it_is_known_or_not() -> None:
    for email in (sign_up("rosa").email, new_email("nobody")):
        for _ in range(3):
            assert ask(email).status_code == 200
        assert problem(ask(email)) == (429, "TOO_MANY_REQUESTS")


def test_a_stranger_does_not_use_up_the_owners_codes() -> None:
    home = new_ip()
    salome = sign_up("salome", ip=home)
    for _ in range(3):
        ask(salome.email)
    assert problem(ask(salome.email)) == (429, "TOO_MANY_REQUESTS")
    assert ask(salome.email, ip=home).status_code == 200


def test_of_two_right_answers_at_once_one_signs_in() -> None:
    tania = sign_up("tania")
    token = token_for(tania.email)
    code = mailed_code(tania.email)
    bodies = [{"sessionToken": token, "code": code}] * 2
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda body: Api().post("/auth/login/code/verify", body).status_code, bodies)
        )
    assert sorted(answers) == [200, 400]


def test_a_code_lasts_ten_minutes() -> None:
    ursula = sign_up("ursula")
    token = token_for(ursula.email)
    with later_by(LASTS + timedelta(seconds=1)):
        assert problem(enter(token, mailed_code(ursula.email))) == WRONG
    assert timedelta(minutes=10) == LASTS


def test_nothing_readable_waits_in_the_table() -> None:
    vilma = sign_up("vilma")
    waiting = SignInCode.of(token_for(vilma.email))
    assert waiting is not None
    stored = str(waiting.serialize())
    assert vilma.email not in stored
    assert vilma.id not in stored
    assert waiting.expires_at - time.time() <= LASTS.total_seconds()


def test_no_code_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    xana = sign_up("xana")
    token = token_for(xana.email)
    code = mailed_code(xana.email)
    enter(token, code)
    written = str([vars(record) for record in caplog.records])
    assert code not in written
    assert token not in written


def test_where_a_stage_does_not_offer_it_nothing_is_asked(settings: Any) -> None:
    settings.MAILED_CODE_SIGN_IN = False
    calls: list[str] = []
    with watching(calls.append):
        assert problem(ask("ana@example.org")) == (404, "MAILED_CODE_NOT_OFFERED")
        assert problem(enter("a" * 32, "12345678")) == (404, "MAILED_CODE_NOT_OFFERED")
    assert calls == []


@pytest.mark.parametrize("code", ["", "12345", "123456789", "abcdef", 123456])
def test_a_code_of_the_wrong_shape_is_400(code: Any) -> None:
    answer = enter("a" * 32, code)
    assert problem(answer) == (400, "VALIDATION_ERROR")
    assert answer.json()["errors"][0]["field"] == "code"


# --- What Cognito is asked, held to botocore's shapes ---------------------------------------------

TOKENS = {"AccessToken": "a", "IdToken": "i", "RefreshToken": "r", "ExpiresIn": 3600}
SESSION = "s" * 24


@pytest.fixture
def cognito(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    monkeypatch.setattr(cognito_client, "client_secret", lambda: "of the app")
    with Stubber(aws.client("cognito-idp")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def begun(username: str) -> dict[str, Any]:
    return {
        "UserPoolId": stack().user_pool_id,
        "ClientId": stack().client_id,
        "AuthFlow": "USER_AUTH",
        "AuthParameters": {
            "USERNAME": username,
            "PREFERRED_CHALLENGE": "EMAIL_OTP",
            "SECRET_HASH": secret_hash(username),
        },
    }


def test_cognito_is_asked_for_a_code_by_mail_as_the_first_factor(cognito: Stubber) -> None:
    cognito.add_response(
        "admin_initiate_auth",
        {
            "ChallengeName": "EMAIL_OTP",
            "Session": SESSION,
            "ChallengeParameters": {"CODE_DELIVERY_DELIVERY_MEDIUM": "EMAIL"},
        },
        begun("ana"),
    )
    cognito.add_response(
        "admin_respond_to_auth_challenge",
        {"AuthenticationResult": TOKENS},
        {
            "UserPoolId": stack().user_pool_id,
            "ClientId": stack().client_id,
            "ChallengeName": "EMAIL_OTP",
            "Session": SESSION,
            "ChallengeResponses": {
                "USERNAME": "ana",
                "EMAIL_OTP_CODE": "12345678",
                "SECRET_HASH": secret_hash("ana"),
            },
        },
    )
    session = cognito_sessions.mail_code("ana")
    tokens = cognito_sessions.answer_mailed_code(username="ana", session=session, code="12345678")
    assert tokens.refresh_token == "r"


def test_a_user_for_whom_cognito_has_other_ways_alone_is_mailed_nothing(cognito: Stubber) -> None:
    answer = {"ChallengeName": "SELECT_CHALLENGE", "Session": SESSION}
    cognito.add_response("admin_initiate_auth", answer, begun("ana"))
    with pytest.raises(CodeNotMailed):
        cognito_sessions.mail_code("ana")


@pytest.mark.parametrize("code", ["LimitExceededException", "UserNotFoundException"])
def test_a_refusal_of_cognitos_tells_nobody_that_there_is_an_account(
    cognito: Stubber, code: str
) -> None:
    cognito.add_client_error("admin_initiate_auth", code)
    with pytest.raises(CodeNotMailed):
        cognito_sessions.mail_code("ana")
    cognito.add_client_error("admin_respond_to_auth_challenge", code)
    with pytest.raises(InvalidCode):
        cognito_sessions.answer_mailed_code(username="ana", session=SESSION, code="12345678")


def test_a_second_step_that_cognito_wants_after_the_code_is_no_sign_in(cognito: Stubber) -> None:
    answer = {"ChallengeName": "SOFTWARE_TOKEN_MFA", "Session": SESSION}
    cognito.add_response("admin_respond_to_auth_challenge", answer)
    with pytest.raises(InvalidCode):
        cognito_sessions.answer_mailed_code(username="ana", session=SESSION, code="12345678")
