"""The second step: set up, asked for, replaced by a backup code, turned off."""

import base64
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.cognito.sessions import Challenge, Tokens
from accounts.models import Account, Mfa
from config import aws
from config.store.connection import connection
from tests.accounts_helpers import (
    PASSWORD,
    Api,
    Person,
    api,
    before_call,
    log_in,
    mailed_code,
    new_ip,
    problem,
    sign_up,
    subjects_mailed,
)
from tests.crashes import Crash
from tests.waiting import later_by

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_pool")]

WRONG = (401, "INVALID_MFA_CODE")


@dataclass(frozen=True)
class MfaLearner:
    """A learner with a second step."""

    person: Person
    secret: str
    codes: list[str]

    @property
    def code(self) -> str:
        return pyotp.TOTP(self.secret).now()

    def session(self) -> str:
        """A sign-in that waits for its code."""
        answer = log_in(self.person.email)
        assert answer.status_code == 200
        return str(answer.json()["sessionToken"])


def set_up(person: Person) -> Any:
    return api.post("/auth/mfa/setup", {"password": person.password}, token=person.token)


def enable_mfa(person: Person) -> MfaLearner:
    secret = set_up(person).json()["secret"]
    code = pyotp.TOTP(secret).now()
    answer = api.post("/auth/mfa/verify-setup", {"code": code}, token=person.token)
    assert answer.status_code == 200, answer.content
    return MfaLearner(person, secret, answer.json()["backupCodes"])


def verify(session: str, code: str) -> Any:
    return api.post("/auth/mfa/verify", {"sessionToken": session, "code": code})


def actions(person: Person) -> list[str]:
    answer = api.get("/auth/activity", token=person.token)
    return [line["action"] for line in answer.json()["results"]]


def test_a_secret_comes_as_text_uri_and_picture() -> None:
    vera = sign_up("vera")
    body = set_up(vera).json()
    uri = urlsplit(body["otpauthUri"])
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert parse_qs(uri.query) == {"secret": [body["secret"]], "issuer": ["Parley"]}
    kind, _, picture = body["qrCode"].partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(picture).startswith(b"\x89PNG")
    assert set_up(vera).json()["secret"] != body["secret"]


def test_a_stolen_access_token_alone_sets_nothing_up_and_wrong_passwords_count() -> None:
    sara, here = sign_up("sara"), new_ip()
    without = api.post("/auth/mfa/setup", {}, token=sara.token)
    assert problem(without) == (400, "VALIDATION_ERROR")
    assert without.json()["errors"][0]["field"] == "password"
    for _ in range(5):
        wrong = {"password": "not-the-password"}
        answer = api.post("/auth/mfa/setup", wrong, token=sara.token, ip=here)
        assert problem(answer) == (401, "INVALID_CREDENTIALS")
    right = {"password": PASSWORD}
    locked = api.post("/auth/mfa/setup", right, token=sara.token, ip=here)
    assert problem(locked) == (429, "TOO_MANY_REQUESTS")
    assert set_up(sara).status_code == 200


def test_a_sign_in_asks_for_the_code_and_then_opens() -> None:
    diogo = enable_mfa(sign_up("diogo"))
    answer = log_in(diogo.person.email)
    assert set(answer.json()) == {"sessionToken", "mfaRequired", "tokenType"}
    assert answer.json()["mfaRequired"] is True
    opened = verify(answer.json()["sessionToken"], diogo.code)
    assert opened.status_code == 200
    assert opened.json()["user"]["mfaEnabled"] is True
    assert api.get("/profile", token=opened.json()["accessToken"]).status_code == 200
    assert "Two-step sign-in is on" in subjects_mailed(diogo.person.email)


def test_a_sign_in_begun_with_an_old_password_does_not_complete() -> None:
    aida = enable_mfa(sign_up("aida"))
    session = aida.session()
    api.post("/auth/password/reset-request", {"email": aida.person.email})
    reset = {"email": aida.person.email, "newPassword": "garca-3-ver"}
    code = mailed_code(aida.person.email)
    assert api.post("/auth/password/reset-confirm", reset | {"code": code}).status_code == 200
    assert problem(verify(session, aida.code)) == (401, "MFA_SESSION_EXPIRED")
    assert problem(verify(session, aida.codes[0])) == (401, "MFA_SESSION_EXPIRED")
    anew = log_in(aida.person.email, "garca-3-ver").json()["sessionToken"]
    assert verify(anew, aida.codes[0]).status_code == 200  # nobody got in by it before
    again = log_in(aida.person.email, "garca-3-ver").json()["sessionToken"]
    assert problem(verify(again, aida.codes[0])) == WRONG


def test_a_sign_in_begun_before_all_sessions_were_ended_does_not_complete() -> None:
    bruno = enable_mfa(sign_up("bruno"))
    session = bruno.session()
    assert api.post("/auth/logout-everywhere", token=bruno.person.token).status_code == 204
    assert problem(verify(session, bruno.code)) == (401, "MFA_SESSION_EXPIRED")
    time.sleep(1)  # tokens are voided by whole seconds
    assert verify(bruno.session(), bruno.codes[0]).status_code == 200


def test_a_code_works_once_even_in_another_sign_in() -> None:
    irene = enable_mfa(sign_up("irene"))
    code = irene.code
    assert verify(irene.session(), code).status_code == 200
    assert problem(verify(irene.session(), code)) == WRONG


def test_a_wrong_first_code_does_not_turn_it_on() -> None:
    otto = sign_up("otto")
    early = api.post("/auth/mfa/verify-setup", {"code": "123456"}, token=otto.token)
    assert problem(early) == (409, "MFA_NOT_ENABLED")
    secret = set_up(otto).json()["secret"]
    right = pyotp.TOTP(secret)
    wrong = next(c for c in ("000000", "111111") if not right.verify(c, valid_window=2))
    answer = api.post("/auth/mfa/verify-setup", {"code": wrong}, token=otto.token)
    assert problem(answer) == (400, "INVALID_CODE")
    assert "accessToken" in log_in(otto.email).json()


def test_of_two_set_ups_at_once_the_secret_that_is_verified_is_kept() -> None:
    paulo, begun = sign_up("paulo"), []

    def overtake() -> None:
        if not begun:
            begun.append("")
            begun[0] = set_up(paulo).json()["secret"]

    with before_call(aws.client("kms"), "Encrypt", overtake):
        late = set_up(paulo).json()["secret"]
    assert late != begun[0]
    for secret in (begun[0], late):  # the pool has the first of them, the table the other
        code = {"code": pyotp.TOTP(secret).now()}
        refused = api.post("/auth/mfa/verify-setup", code, token=paulo.token)
        assert problem(refused) == (400, "INVALID_CODE")
    assert "accessToken" in log_in(paulo.email).json()
    learner = enable_mfa(paulo)
    assert verify(learner.session(), learner.codes[0]).status_code == 200


def test_a_secret_that_overtakes_the_verification_of_another_is_not_kept() -> None:
    quiteria, later = sign_up("quiteria"), []
    secret = set_up(quiteria).json()["secret"]

    def overtake() -> None:
        later.append(set_up(quiteria).json()["secret"])

    with before_call(aws.client("cognito-idp"), "AdminSetUserMFAPreference", overtake):
        code = {"code": pyotp.TOTP(secret).now()}
        enabled = api.post("/auth/mfa/verify-setup", code, token=quiteria.token)
    assert enabled.status_code == 200
    learner = MfaLearner(quiteria, secret, enabled.json()["backupCodes"])
    assert verify(learner.session(), learner.code).status_code == 200
    assert verify(learner.session(), learner.codes[0]).status_code == 200


def test_a_set_up_cut_off_after_the_pool_keeps_the_secret_that_was_verified() -> None:
    rute = sign_up("rute")
    secret = set_up(rute).json()["secret"]

    def crash() -> None:
        raise Crash

    with (
        pytest.raises(Crash),
        before_call(connection().connection.client, "TransactWriteItems", crash),
    ):
        api.post("/auth/mfa/verify-setup", {"code": pyotp.TOTP(secret).now()}, token=rute.token)
    set_up(rute)
    session = log_in(rute.email).json()["sessionToken"]
    body = verify(session, pyotp.TOTP(secret).at(datetime.now(UTC) + timedelta(seconds=30))).json()
    assert body["user"]["mfaEnabled"] is True
    stored = Mfa.of(rute.id)
    assert stored is not None
    assert stored.secret is not None
    assert aws.kms_decrypt(stored.secret, owner=rute.id) == secret


def test_it_cannot_be_set_up_over_one_that_is_on() -> None:
    nadia = enable_mfa(sign_up("nadia"))
    assert problem(set_up(nadia.person)) == (409, "MFA_ALREADY_ENABLED")
    again = api.post("/auth/mfa/verify-setup", {"code": nadia.code}, token=nadia.person.token)
    assert problem(again) == (409, "MFA_ALREADY_ENABLED")


def test_a_backup_code_replaces_the_app_once() -> None:
    lea = enable_mfa(sign_up("lea"))
    assert len(set(lea.codes)) == 10
    assert verify(lea.session(), lea.codes[0]).status_code == 200
    assert problem(verify(lea.session(), lea.codes[0])) == WRONG
    assert verify(lea.session(), lea.codes[1].upper()).status_code == 200
    assert actions(lea.person).count("backup_code_used") == 2
    assert "A backup code was used" in subjects_mailed(lea.person.email)


@pytest.mark.parametrize("typed", ["{} {}", " {}-{} ", "{}\u00a0{}", "{}{}"])
def test_codes_are_taken_as_people_type_them(typed: str) -> None:
    paulo = enable_mfa(sign_up("paulo"))
    code, (first, last) = paulo.code, paulo.codes[0].upper().split("-")
    assert verify(paulo.session(), typed.format(code[:3], code[3:])).status_code == 200
    assert verify(paulo.session(), typed.format(first, last)).status_code == 200
    assert problem(verify(paulo.session(), f"{first.lower()}-{last.lower()}")) == WRONG


def test_two_parallel_uses_of_a_backup_code_give_one_success() -> None:
    ivo = enable_mfa(sign_up("ivo"))
    sessions = [ivo.session() for _ in range(4)]

    def use(session: str) -> int:
        body = {"sessionToken": session, "code": ivo.codes[3]}
        return int(Api().post("/auth/mfa/verify", body).status_code)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(use, sessions)) == [200, 401, 401, 401]


def test_a_backup_code_survives_a_failure_of_cognito() -> None:
    greta = enable_mfa(sign_up("greta"))
    session, failures = greta.session(), iter([1, 1, 1])

    def down() -> None:
        for _ in failures:
            raise EndpointConnectionError(endpoint_url="https://cognito-idp")

    with before_call(aws.client("cognito-idp"), "AdminRespondToAuthChallenge", down):
        answer = verify(session, greta.codes[0])
    assert problem(answer) == (503, "SERVICE_UNAVAILABLE")
    assert verify(greta.session(), greta.codes[0]).status_code == 200


def test_a_time_step_that_the_app_has_used_up_does_not_cost_a_backup_code() -> None:
    """The embedded pool takes a code again and again: Cognito's answer is from AWS's model."""
    bela = enable_mfa(sign_up("bela"))
    session = bela.session()
    tokens = cognito_sessions.sign_in(username=sign_up("tokens").email, password=PASSWORD)
    assert isinstance(tokens, Tokens)
    given = {"AccessToken": tokens.access_token, "IdToken": tokens.id_token, "ExpiresIn": 3600}
    with Stubber(aws.client("cognito-idp")) as stub:
        stub.add_client_error(
            "admin_respond_to_auth_challenge",
            "ExpiredCodeException",
            "Your software token has already been used once.",
        )
        stub.add_response("admin_respond_to_auth_challenge", {"AuthenticationResult": given})
        assert verify(session, bela.codes[0]).status_code == 200
        stub.assert_no_pending_responses()


def test_five_wrong_codes_end_a_sign_in_and_twenty_all_of_them() -> None:
    rafa = enable_mfa(sign_up("rafa"))
    session = rafa.session()
    wrong = [code for code in (f"{n:06}" for n in range(100)) if code != rafa.code][:25]
    for code in wrong[:5]:
        assert problem(verify(session, code)) == WRONG
    locked = verify(session, rafa.code)
    assert problem(locked) == (429, "TOO_MANY_REQUESTS")
    assert int(locked.headers["Retry-After"]) > 0
    for code in wrong[5:20]:
        assert problem(verify(rafa.session(), code)) == WRONG
    assert problem(verify(rafa.session(), rafa.code)) == (429, "TOO_MANY_REQUESTS")


def test_a_session_token_lasts_three_minutes_and_cannot_be_made_or_changed() -> None:
    kim = enable_mfa(sign_up("kim"))
    session = kim.session()
    flipped = session[:-2] + ("A" if session[-2] != "A" else "B") + session[-1]
    for forged in (flipped, session[:40], "AAAA", base64.urlsafe_b64encode(b"x" * 60).decode()):
        answer = verify(forged.rstrip("="), kim.code)
        assert problem(answer) == (401, "MFA_SESSION_EXPIRED")
    with later_by(timedelta(seconds=181)):
        assert problem(verify(session, kim.code)) == (401, "MFA_SESSION_EXPIRED")


@pytest.mark.parametrize("code", ["12345", "1234567", "١٢٣٤٥٦", "k4xqn_2mzt7", "", None, 123456])
def test_a_code_of_the_wrong_shape_is_400(code: Any) -> None:
    assert problem(verify("AAAA", code)) == (400, "VALIDATION_ERROR")


def test_new_backup_codes_void_the_old_ones() -> None:
    yara = enable_mfa(sign_up("yara"))
    renewed = api.post(
        "/auth/mfa/backup-codes", {"password": PASSWORD}, token=yara.person.token
    ).json()["backupCodes"]
    assert problem(verify(yara.session(), yara.codes[0])) == WRONG
    assert verify(yara.session(), renewed[0]).status_code == 200


def test_without_a_second_step_there_are_no_backup_codes() -> None:
    body = {"password": PASSWORD}
    answer = api.post("/auth/mfa/backup-codes", body, token=sign_up("leo").token)
    assert problem(answer) == (409, "MFA_NOT_ENABLED")


def test_turning_it_off_takes_the_password_and_counts_wrong_ones() -> None:
    silvia, here = enable_mfa(sign_up("silvia")), new_ip()

    def disable(password: str | None, ip: str) -> Any:
        body = {} if password is None else {"password": password}
        return api.post("/auth/mfa/disable", body, token=silvia.person.token, ip=ip)

    assert problem(disable(None, here)) == (400, "VALIDATION_ERROR")
    for _ in range(5):
        assert problem(disable("not-the-password", here)) == (401, "INVALID_CREDENTIALS")
    assert problem(disable(PASSWORD, here)) == (429, "TOO_MANY_REQUESTS")
    assert disable(PASSWORD, new_ip()).json() == {"enabled": False}
    assert Mfa.of(silvia.person.id) is None
    assert "accessToken" in log_in(silvia.person.email).json()
    assert "Two-step sign-in is off" in subjects_mailed(silvia.person.email)


def test_the_secret_lies_encrypted_and_the_codes_as_fingerprints() -> None:
    ugo = enable_mfa(sign_up("ugo"))
    stored = Mfa.of(ugo.person.id)
    assert stored is not None
    raw = str(stored.raw)
    assert ugo.secret not in raw
    assert base64.b64encode(ugo.secret.encode()).decode() not in raw
    assert not any(code in raw or code.replace("-", "") in raw for code in ugo.codes)


def test_a_second_step_switched_past_us_is_followed_and_told() -> None:
    """Whoever holds an access token may ask Cognito directly."""
    tomas = enable_mfa(sign_up("tomas"))
    aws.client("cognito-idp").set_user_mfa_preference(
        AccessToken=tomas.person.token, SoftwareTokenMfaSettings={"Enabled": False}
    )
    answer = log_in(tomas.person.email)
    assert answer.status_code == 200
    account = Account.of(tomas.person.id)
    assert account is not None
    assert account.mfa_enabled is False
    assert Mfa.of(tomas.person.id) is None
    assert "Two-step sign-in has changed" in subjects_mailed(tomas.person.email)
    assert "mfa_changed_elsewhere" in actions(tomas.person)


def test_a_set_up_cut_off_after_cognito_is_completed_by_the_next_sign_in() -> None:
    mila = sign_up("mila")
    secret = set_up(mila).json()["secret"]
    cognito_users.verify_totp_secret(mila.token, pyotp.TOTP(secret).now())
    cognito_users.set_mfa(mila.id, enabled=True)
    session = log_in(mila.email).json()["sessionToken"]
    opened = verify(session, pyotp.TOTP(secret).now())
    assert opened.status_code == 200
    body = {"password": PASSWORD}
    codes = api.post("/auth/mfa/backup-codes", body, token=mila.token).json()["backupCodes"]
    session = log_in(mila.email).json()["sessionToken"]
    assert verify(session, codes[0]).status_code == 200


def test_no_code_or_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="parley")
    jorge = enable_mfa(sign_up("jorge"))
    session, code = jorge.session(), jorge.code
    assert verify(session, code).status_code == 200
    lines = "\n".join(str(vars(record)) for record in caplog.records)
    for secret in (jorge.secret, session, code, *jorge.codes):
        assert secret not in lines


def test_a_token_without_cognitos_scope_may_not_set_it_up() -> None:
    """As after Google: the embedded pool's answer to a token that is not its own is the same."""
    zoe = sign_up("zoe")
    right = {"USER_ID_FOR_SRP": zoe.id}
    with Stubber(aws.client("cognito-idp")) as stub:
        stub.add_response(
            "admin_initiate_auth",
            {
                "ChallengeName": "SOFTWARE_TOKEN_MFA",
                "ChallengeParameters": right,
                "Session": "x" * 20,
            },
        )
        stub.add_client_error("associate_software_token", "NotAuthorizedException")
        assert problem(set_up(zoe)) == (403, "PASSWORD_SIGN_IN_NEEDED")


def test_the_pool_is_the_one_that_asks() -> None:
    """Not we: the password alone gets no tokens from Cognito either."""
    eva = enable_mfa(sign_up("eva"))
    found = cognito_sessions.sign_in(username=eva.person.email, password=PASSWORD)
    assert isinstance(found, Challenge)
