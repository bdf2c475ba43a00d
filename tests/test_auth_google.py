"""Google sign-in through the hosted UI. Google is a stub; the pool's own code flow is run too."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pyotp
import pytest
import requests

from accounts.cognito import client as cognito_client
from accounts.cognito import users as cognito_users
from accounts.cognito.users import GOOGLE
from accounts.models import Account, Address
from accounts.services.google import challenge_of, nonce_of
from accounts.services.relinking import relink
from config import aws
from config.stack import stack
from tests.accounts_google import REDIRECT, GoogleStub, offer, travel
from tests.accounts_helpers import (
    PASSWORD,
    Person,
    api,
    log_in,
    mailed_code,
    new_email,
    problem,
    sign_up,
    subjects_mailed,
)
from tests.crashes import refusing
from tests.waiting import PATIENCE_S, later_by

pytestmark = [
    pytest.mark.server,
    pytest.mark.usefixtures("embedded_pool"),
]


def enter(body: dict[str, Any]) -> Any:
    return api.post("/auth/google/token", body)


def link(person: Person, body: dict[str, Any]) -> Any:
    return api.post("/auth/google/link", body, token=person.token)


def unlink(token: str, password: str | None = None) -> Any:
    body = {} if password is None else {"password": password}
    return api.delete("/auth/google/link", body, token=token)


def set_password(token: str, password: str) -> Any:
    """The answer to a first password of a learner who has none."""
    return api.post("/auth/password/change", {"newPassword": password}, token=token)


def methods(token: str) -> list[str]:
    found: list[str] = api.get("/profile", token=token).json()["signInMethods"]
    return found


def actions(token: str) -> list[str]:
    return [line["action"] for line in api.get("/auth/activity", token=token).json()["results"]]


def authorize(**changes: str) -> Any:
    query = {
        "redirectUri": REDIRECT,
        "state": "a-long-enough-state",
        "codeChallenge": challenge_of("v" * 43),
    }
    return api.get(f"/auth/google/authorize?{urlencode(query | changes)}")


def test_without_google_in_the_pool_it_is_not_offered(google_alone: None) -> None:
    """The first test here: the stub is not running yet."""
    cognito_client._app_client.cache_clear()
    assert problem(authorize()) == (404, "GOOGLE_NOT_OFFERED")


def test_a_newcomer_becomes_a_learner_and_comes_back_as_the_same(google: GoogleStub) -> None:
    email = new_email("sandra")
    google.is_used_by("Sandra", email)
    first = enter(travel().body())
    assert first.status_code == 200, first.content
    user = first.json()["user"]
    assert (user["email"], user["emailVerified"]) == (email, True)
    assert (user["firstName"], user["lastName"], user["groups"]) == ("Sandra", "Rocha", [])
    assert api.get("/profile", token=first.json()["accessToken"]).status_code == 200
    again = enter(travel().body())
    assert again.json()["user"]["userId"] == user["userId"]
    renewed = api.post("/auth/refresh", {"refreshToken": again.json()["refreshToken"]})
    assert renewed.status_code == 200


def test_two_first_sign_ins_at_once_make_one_learner_who_can_come_back(
    google: GoogleStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    email, reserve = new_email("tatiana"), Address.reserve
    google.is_used_by("Tatiana", email)
    late, early = travel().body(), travel().body()

    def overtaken(*args: Any, **kwargs: Any) -> Address:
        """The other tab is through first."""
        monkeypatch.setattr(Address, "reserve", reserve)
        assert enter(early).status_code == 200
        return reserve(*args, **kwargs)

    monkeypatch.setattr(Address, "reserve", overtaken)
    user_id = enter(late).json()["user"]["userId"]
    assert enter(travel().body()).json()["user"]["userId"] == user_id


def test_a_first_sign_in_beside_one_under_way_leaves_its_user_alone(google: GoogleStub) -> None:
    email = new_email("ursula")
    google.is_used_by("Ursula", email)
    under_way = Address.reserve(email, owner="the other tab", now=datetime.now(UTC))
    assert problem(enter(travel().body())) == (503, "SERVICE_UNAVAILABLE")
    assert cognito_users.find_sub(f"{GOOGLE}_{google.person['sub']}")
    under_way.release()
    assert enter(travel().body()).status_code == 200


def test_a_code_works_once_and_with_its_verifier_only(google: GoogleStub) -> None:
    google.is_used_by("Telmo", new_email("telmo"))
    journey = travel()
    other = enter(travel().body(codeVerifier=secrets.token_urlsafe(40)))
    assert problem(other) == (400, "INVALID_CODE")  # here by the nonce; Cognito checks PKCE too
    assert enter(journey.body()).status_code == 200
    assert problem(enter(journey.body())) == (400, "INVALID_CODE")
    assert problem(enter(journey.body(code="never-was-one"))) == (400, "INVALID_CODE")


@pytest.mark.parametrize(
    "redirect",
    [
        REDIRECT + "/",
        REDIRECT + "?next=https://attacker.example",
        REDIRECT.upper(),
        "https://attacker.example/",
        "http://localhost:8000.attacker.example/browse/login/google/done",
        "http://localhost:8000/browse/login/google/done/../../..",
    ],
)
def test_only_registered_addresses_are_redirected_to(google: GoogleStub, redirect: str) -> None:
    assert problem(authorize(redirectUri=redirect)) == (403, "REDIRECT_NOT_ALLOWED")
    body = {"code": "x", "redirectUri": redirect, "codeVerifier": "v" * 43}
    assert problem(enter(body)) == (403, "REDIRECT_NOT_ALLOWED")


@pytest.mark.parametrize(
    "changes",
    [{"state": "short"}, {"codeChallenge": "x" * 42}, {"codeChallenge": "plain+text" * 5}],
)
def test_state_and_challenge_have_their_shape(google: GoogleStub, changes: dict[str, str]) -> None:
    assert problem(authorize(**changes)) == (400, "VALIDATION_ERROR")


def test_the_browser_is_sent_to_the_pool_with_state_nonce_and_challenge(
    google: GoogleStub,
) -> None:
    answer = authorize()
    assert answer.status_code == 302
    query = {k: v[0] for k, v in parse_qs(urlsplit(answer.headers["Location"]).query).items()}
    assert query == {
        "response_type": "code",
        "identity_provider": "Google",
        "client_id": stack().client_id,
        "redirect_uri": REDIRECT,
        "scope": "openid email profile",
        "state": "a-long-enough-state",
        "nonce": nonce_of(challenge_of("v" * 43)),
        "code_challenge": challenge_of("v" * 43),
        "code_challenge_method": "S256",
    }


def test_an_address_that_google_does_not_vouch_for_makes_no_learner(google: GoogleStub) -> None:
    email = new_email("ulisses")
    google.is_used_by("Ulisses", email, verified=False)
    assert problem(enter(travel().body())) == (403, "GOOGLE_EMAIL_NOT_VERIFIED")
    assert Address.of(email) is None
    assert cognito_users.find_sub(f"Google_{google.person['sub']}") is None


def test_a_password_account_is_not_taken_over_but_linked_from_inside(google: GoogleStub) -> None:
    wanda = sign_up("wanda")
    google.is_used_by("Wanda", wanda.email)
    assert problem(enter(travel().body())) == (409, "ACCOUNT_EXISTS")
    wrong = link(wanda, travel().body(password="not-the-password"))
    assert problem(wrong) == (401, "INVALID_CREDENTIALS")
    assert problem(link(wanda, travel().body())) == (400, "VALIDATION_ERROR")
    assert link(wanda, travel().body(password=PASSWORD)).status_code == 204
    assert "Google sign-in was added" in subjects_mailed(wanda.email)
    by_google = enter(travel().body()).json()
    assert by_google["user"]["userId"] == wanda.id
    assert log_in(wanda.email).status_code == 200
    assert link(wanda, travel().body(password=PASSWORD)).status_code == 204  # linked already


def test_google_stands_for_both_steps_and_turns_none_off(google: GoogleStub) -> None:
    """ADR 5: the learner has linked it with their password; Google asks for its own second step."""
    vito = sign_up("vito")
    google.is_used_by("Vito", vito.email)
    assert link(vito, travel().body(password=PASSWORD)).status_code == 204
    setup = api.post("/auth/mfa/setup", {"password": PASSWORD}, token=vito.token).json()
    code = {"code": pyotp.TOTP(setup["secret"]).now()}
    assert api.post("/auth/mfa/verify-setup", code, token=vito.token).status_code == 200
    by_google = enter(travel().body()).json()
    assert by_google["user"]["mfaEnabled"] is True
    assert log_in(vito.email).json()["mfaRequired"] is True


def test_a_linked_google_account_with_another_address_changes_none(google: GoogleStub) -> None:
    nelson = sign_up("nelson")
    google.is_used_by("Nelson", new_email("nelson.of.google"))
    assert link(nelson, travel().body(password=PASSWORD)).status_code == 204
    assert enter(travel().body()).json()["user"]["email"] == nelson.email
    pool = aws.client("cognito-idp")
    user = pool.admin_get_user(UserPoolId=stack().user_pool_id, Username=nelson.id)
    assert {"Name": "email", "Value": nelson.email} in user["UserAttributes"]
    assert log_in(nelson.email).status_code == 200


def test_a_google_account_of_another_learner_cannot_be_linked(google: GoogleStub) -> None:
    xavier = sign_up("xavier")
    google.is_used_by("Yolanda", new_email("yolanda"))
    assert enter(travel().body()).status_code == 200
    taken = link(xavier, travel().body(password=PASSWORD))
    assert problem(taken) == (409, "GOOGLE_TAKEN")
    assert enter(travel().body()).status_code == 200


def test_a_learner_without_a_password_leaves_by_a_fresh_sign_in(google: GoogleStub) -> None:
    google.is_used_by("Zulmira", new_email("zulmira"))
    body = enter(travel().body()).json()
    token = body["accessToken"]
    user_name = cognito_users.find_sub(f"Google_{google.person['sub']}")
    assert user_name == body["user"]["userId"]
    with later_by(timedelta(minutes=6)):
        late = api.delete("/profile", {}, token=token)
    assert problem(late) == (403, "FRESH_SIGN_IN_NEEDED")
    assert api.delete("/profile", {}, token=token).status_code == 204
    assert cognito_users.find_sub(f"Google_{google.person['sub']}") is None
    assert enter(travel().body()).json()["user"]["userId"] != body["user"]["userId"]


def test_a_linked_google_account_is_shown_and_unlinked_with_the_password(
    google: GoogleStub,
) -> None:
    carmo = sign_up("carmo")
    google.is_used_by("Carmo", carmo.email)
    assert methods(carmo.token) == ["password"]
    assert link(carmo, travel().body(password=PASSWORD)).status_code == 204
    assert methods(carmo.token) == ["password", "google"]
    by_google = enter(travel().body()).json()
    assert problem(unlink(carmo.token)) == (400, "VALIDATION_ERROR")
    assert problem(unlink(carmo.token, "not-the-password")) == (401, "INVALID_CREDENTIALS")
    assert unlink(carmo.token, PASSWORD).status_code == 204
    assert api.get("/profile", token=by_google["accessToken"]).status_code == 401
    refresh = {"refreshToken": by_google["refreshToken"]}
    assert api.post("/auth/refresh", refresh).status_code == 401
    assert problem(enter(travel().body())) == (409, "ACCOUNT_EXISTS")
    assert "Google sign-in was removed" in subjects_mailed(carmo.email)
    token = log_in(carmo.email).json()["accessToken"]
    assert methods(token) == ["password"]
    assert "google_unlinked" in actions(token)
    assert unlink(token, PASSWORD).status_code == 204  # nothing is linked
    assert api.get("/profile", token=token).status_code == 200
    again = api.post("/auth/google/link", travel().body(password=PASSWORD), token=token)
    assert again.status_code == 204
    assert enter(travel().body()).json()["user"]["userId"] == carmo.id


def test_google_is_shut_out_also_where_the_pool_refuses_to_unlink(google: GoogleStub) -> None:
    celina = sign_up("celina")
    google.is_used_by("Celina", celina.email)
    assert link(celina, travel().body(password=PASSWORD)).status_code == 204
    with refusing("AdminDisableProviderForUser", "InvalidParameterException"):
        assert unlink(celina.token, PASSWORD).status_code == 204
    assert problem(enter(travel().body())) == (403, "GOOGLE_NOT_LINKED")
    token = log_in(celina.email).json()["accessToken"]
    assert methods(token) == ["password"]
    again = api.post("/auth/google/link", travel().body(password=PASSWORD), token=token)
    assert again.status_code == 204
    assert enter(travel().body()).json()["user"]["userId"] == celina.id


def test_a_link_that_the_table_does_not_know_is_shown_after_the_next_sign_in(
    google: GoogleStub,
) -> None:
    dalila = sign_up("dalila")
    google.is_used_by("Dalila", dalila.email)
    cognito_users.link_google(dalila.id, google.person["sub"])
    assert methods(dalila.token) == ["password"]
    entered = enter(travel().body()).json()
    assert entered["user"]["userId"] == dalila.id
    assert methods(entered["accessToken"]) == ["password", "google"]


def test_google_is_unlinked_only_once_a_learner_without_a_password_has_set_one(
    google: GoogleStub,
) -> None:
    email = new_email("elvira")
    google.is_used_by("Elvira", email)
    body = enter(travel().body()).json()
    token, learner_id = body["accessToken"], body["user"]["userId"]
    assert methods(token) == ["google"]
    refused = unlink(token)
    assert problem(refused) == (409, "ONLY_WAY_IN")
    assert "set a password first" in refused.json()["title"]
    with later_by(timedelta(minutes=6)):
        late = set_password(token, "quatro-ventos-9")
    assert problem(late) == (403, "FRESH_SIGN_IN_NEEDED")
    assert set_password(token, "quatro-ventos-9").status_code == 200
    assert api.get("/profile", token=token).status_code == 401
    token = log_in(email, "quatro-ventos-9").json()["accessToken"]
    assert methods(token) == ["password", "google"]
    assert problem(set_password(token, "cinco-mares-8")) == (400, "VALIDATION_ERROR")
    assert enter(travel().body()).json()["user"]["userId"] == learner_id
    assert unlink(token, "quatro-ventos-9").status_code == 204
    assert problem(enter(travel().body())) == (403, "GOOGLE_NOT_LINKED")
    token = log_in(email, "quatro-ventos-9").json()["accessToken"]
    assert methods(token) == ["password"]
    back = travel().body(password="quatro-ventos-9")
    assert api.post("/auth/google/link", back, token=token).status_code == 204
    assert enter(travel().body()).json()["user"]["userId"] == learner_id


def test_no_password_lets_in_a_learner_who_has_none(google: GoogleStub) -> None:
    email = new_email("gaspar")
    google.is_used_by("Gaspar", email)
    enter(travel().body())
    cognito_users.set_email(f"{GOOGLE}_{google.person['sub']}", email)  # a first password, cut off
    assert problem(log_in(email)) == (401, "INVALID_CREDENTIALS")


def test_who_came_by_google_and_set_a_password_may_reset_it_by_mail(google: GoogleStub) -> None:
    email = new_email("firmino")
    google.is_used_by("Firmino", email)
    body = enter(travel().body()).json()
    assert set_password(body["accessToken"], "quatro-ventos-9").status_code == 200
    assert api.post("/auth/password/reset-request", {"email": email}).status_code == 200
    reset = {"email": email, "code": mailed_code(email), "newPassword": "cinco-mares-8"}
    assert api.post("/auth/password/reset-confirm", reset).status_code == 200
    assert log_in(email, "quatro-ventos-9").status_code == 401
    assert log_in(email, "cinco-mares-8").json()["user"]["userId"] == body["user"]["userId"]


def test_a_disabled_learner_cannot_come_in_by_google_either(google: GoogleStub) -> None:
    google.is_used_by("Abel", new_email("abel"))
    user_id = enter(travel().body()).json()["user"]["userId"]
    Account.at(user_id).update_attributes(Account.disabled.set(True))
    assert problem(enter(travel().body())) == (401, "INVALID_CREDENTIALS")


def test_the_pools_own_page_ends_in_the_same_place(google: GoogleStub) -> None:
    """The hosted UI's code flow with PKCE, on the embedded pool: its form, its code, our tokens.

    The page is open for this test alone: a stage offers Google there, and no passwords.
    """
    offer("COGNITO", GOOGLE)
    bento, verifier = sign_up("bento"), secrets.token_urlsafe(40)
    challenge = challenge_of(verifier)
    form = {
        "client_id": stack().client_id,
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "scope": "openid email profile",
        "state": "a-long-enough-state",
        "nonce": nonce_of(challenge),
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "username": bento.email,
        "password": PASSWORD,
    }

    def code() -> str:
        answer = requests.post(
            f"{stack().hosted_ui}/login", data=form, allow_redirects=False, timeout=PATIENCE_S
        )
        return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]

    body = {"redirectUri": REDIRECT, "codeVerifier": verifier}
    other = enter({**body, "code": code(), "codeVerifier": secrets.token_urlsafe(40)})
    assert problem(other) == (400, "INVALID_CODE")  # refused by the pool: PKCE
    found = enter({**body, "code": code()})
    offer(GOOGLE)
    assert found.status_code == 200, found.content
    assert found.json()["user"]["userId"] == bento.id


@pytest.mark.usefixtures("google")
def test_a_learner_from_google_whose_user_was_lost_comes_from_google_again(
    google: GoogleStub,
) -> None:
    email = new_email("carla")
    google.is_used_by("Carla", email)
    first = enter(travel().body()).json()
    account = Account.of(first["user"]["userId"])
    assert account is not None
    cognito_users.delete_user(account.user_name)
    assert relink(account, now=datetime.now(UTC), until=float("inf")) == "linked"
    again = enter(travel().body())
    assert again.status_code == 200, again.content
    assert again.json()["user"]["email"] == email
    assert again.json()["user"]["userId"] != account.learner_id
