"""What operators do in Cognito's console: users made, changed and deleted there."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.cognito import users as cognito_users
from accounts.models import Account, Address
from accounts.services.relinking import relink
from accounts.services.removal import UNVERIFIED_FOR, delete_unverified
from config import aws
from config.stack import Stack, stack
from tests.accounts_helpers import (
    PASSWORD,
    Person,
    api,
    log_in,
    mailed_code,
    new_email,
    post_sign_up,
    problem,
    sign_up,
    subjects_mailed,
    verify_email,
)
from tests.browsers import Browser
from tests.crashes import Crash, answer_lost, crash_before, refusing
from tests.waiting import later_by

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_pool")]

TEMPORARY, NEW = "provisoria-1", "quatro-ventos-9"
MOST_CALLS = 60


@pytest.fixture(scope="module")
def admin(embedded_pool: Stack) -> Person:
    person = sign_up("amalia")
    cognito_users.add_to_group(person.id, "admin")
    token = log_in(person.email).json()["accessToken"]
    return Person(person.id, person.email, PASSWORD, token, person.refresh_token)


def invite(name: str, *, verified: bool = True) -> tuple[str, str]:
    """Makes a user as the console does; returns address and `sub`."""
    email = new_email(name)
    attributes = {"email": email, "given_name": name.title()}
    if verified:
        attributes["email_verified"] = "true"
    made = aws.client("cognito-idp").admin_create_user(
        UserPoolId=stack().user_pool_id,
        Username=email,
        UserAttributes=[{"Name": key, "Value": value} for key, value in attributes.items()],
        TemporaryPassword=TEMPORARY,
        MessageAction="SUPPRESS",
    )
    [sub] = [a["Value"] for a in made["User"]["Attributes"] if a["Name"] == "sub"]
    return email, sub


def choose(session_token: str, password: str = NEW) -> Any:
    body = {"sessionToken": session_token, "newPassword": password}
    return api.post("/auth/login/new-password", body)


class TestAUserWhoIsInvited:
    def test_chooses_a_password_at_the_first_sign_in_and_has_an_account(self) -> None:
        email, sub = invite("adelina")
        cognito_users.add_to_group(sub, "staff")
        assert problem(log_in(email, "not-the-password")) == (401, "INVALID_CREDENTIALS")
        challenge = log_in(email, TEMPORARY).json()
        assert set(challenge) == {"sessionToken", "newPasswordRequired", "tokenType"}
        weak = choose(challenge["sessionToken"], "football1")
        assert problem(weak) == (400, "WEAK_PASSWORD")
        entered = choose(challenge["sessionToken"])
        user = entered.json()["user"]
        assert (user["userId"], user["email"], user["emailVerified"]) == (sub, email, True)
        assert (user["firstName"], user["groups"]) == ("Adelina", ["staff"])
        assert (
            api.get(f"/users?email={email}", token=entered.json()["accessToken"]).status_code == 200
        )
        assert log_in(email, NEW).json()["user"]["userId"] == sub
        assert problem(choose(challenge["sessionToken"])) == (401, "MFA_SESSION_EXPIRED")
        assert problem(post_sign_up(email)) == (409, "USER_ALREADY_EXISTS")

    def test_is_not_entered_by_a_password_that_another_has_replaced_meanwhile(self) -> None:
        email, sub = invite("abilio")
        stale = log_in(email, TEMPORARY).json()["sessionToken"]
        cognito_users.set_temporary_password(sub, "provisoria-2")
        assert problem(choose(stale)) == (401, "MFA_SESSION_EXPIRED")
        fresh = log_in(email, "provisoria-2").json()["sessionToken"]
        assert choose(fresh).status_code == 200

    def test_has_an_unproved_address_where_the_console_did_not_verify_it(self) -> None:
        email, sub = invite("basilio", verified=False)
        token = choose(log_in(email, TEMPORARY).json()["sessionToken"]).json()["accessToken"]
        assert api.get("/profile", token=token).json()["emailVerified"] is False
        prove = {"newEmail": email, "password": NEW}
        assert api.post("/auth/email/change", prove, token=token).status_code == 200
        code = {"code": mailed_code(email)}
        assert api.post("/auth/email/change/confirm", code, token=token).status_code == 200
        assert api.get("/profile", token=token).json()["emailVerified"] is True
        user = cognito_users.find_user(sub)
        assert user is not None
        assert user.email_verified

    def test_signs_in_at_the_staff_pages_too(self) -> None:
        email, sub = invite("celina")
        cognito_users.add_to_group(sub, "staff")
        browser = Browser()
        login = browser.get("/browse").headers["Location"]
        asked = browser.send(browser.form(login, sends="email"), email=email, password=TEMPORARY)
        assert b"choose one of your own" in asked.content
        entered = browser.send(browser.form_of(asked, sends="newPassword"), newPassword=NEW)
        assert entered.headers["Location"] == "/browse"

    @pytest.mark.parametrize("cut_off", [crash_before, answer_lost])
    def test_whose_first_sign_in_is_cut_off_comes_in_by_the_next(self, cut_off: Any) -> None:
        for nth in range(1, MOST_CALLS):
            email, sub = invite("dionisia")
            token = log_in(email, TEMPORARY).json()["sessionToken"]
            try:
                with cut_off(nth) as calls:
                    choose(token)
            except Crash:
                pass
            if len(calls) < nth:
                break
            with later_by(timedelta(seconds=61)):
                again = log_in(email, TEMPORARY)
                if again.status_code == 200:
                    assert choose(again.json()["sessionToken"]).status_code == 200, calls
                assert log_in(email, NEW).json()["user"]["userId"] == sub, calls
        assert nth > 8

    def test_a_temporary_password_set_for_a_learner_ends_the_old_sessions(self) -> None:
        eunice = sign_up("eunice")
        aws.client("cognito-idp").admin_set_user_password(
            UserPoolId=stack().user_pool_id, Username=eunice.id, Password=TEMPORARY
        )
        token = log_in(eunice.email, TEMPORARY).json()["sessionToken"]
        entered = choose(token).json()
        assert entered["user"]["userId"] == eunice.id
        assert api.get("/profile", token=entered["accessToken"]).status_code == 200
        assert problem(api.get("/profile", token=eunice.token)) == (401, "NOT_AUTHENTICATED")


@pytest.mark.parametrize("code", ["AliasExistsException", "InvalidParameterException"])
def test_an_address_that_the_pool_refuses_is_moved_to_no_more(code: str) -> None:
    hilda, new = sign_up("hilda"), new_email("hilda.nova")
    Address(f"EMAIL#{new}", Address.SK, owner="t", lease_until=0, learner_id=hilda.id).put()
    Account.at(hilda.id).update_attributes(Account.moving_to.set(new))
    with refusing("AdminUpdateUserAttributes", code):
        assert log_in(hilda.email).json()["user"]["email"] == hilda.email
    assert Address.of(new) is None


class TestAUserWhoIsDeletedThere:
    def test_is_shown_to_staff_as_missing_and_can_be_shut(self, admin: Person) -> None:
        fabricio = sign_up("fabricio")
        cognito_users.delete_user(fabricio.id)
        path = f"/users/{fabricio.id}"
        shown = api.get(path, token=admin.token)
        assert shown.status_code == 200
        assert (shown.json()["status"], shown.json()["groups"]) == ("MISSING", [])
        for changes in ({"groups": ["staff"]}, {"disabled": False}):
            refused = api.patch(path, changes, token=admin.token)
            assert problem(refused) == (409, "USER_MISSING")
        assert api.patch(path, {"disabled": True}, token=admin.token).json()["disabled"] is True
        reset = api.post(f"{path}/reset-mfa", token=admin.token)
        assert problem(reset) == (409, "USER_MISSING")

    def test_is_shown_with_the_pools_status_while_there(self, admin: Person) -> None:
        gil = sign_up("gil")
        assert api.get(f"/users/{gil.id}", token=admin.token).json()["status"] == "CONFIRMED"

    def test_can_sign_up_again_and_the_old_account_stays(self) -> None:
        horacio = sign_up("horacio")
        cognito_users.delete_user(horacio.id)
        again = post_sign_up(horacio.email)
        assert again.status_code == 201, again.content
        secret = again.json()["verificationToken"]
        assert verify_email(horacio.email, secret).status_code == 200
        user = log_in(horacio.email).json()["user"]
        assert user["userId"] == again.json()["userId"] != horacio.id
        old = Account.of(horacio.id)
        assert old is not None
        assert old.email == horacio.email

    def test_while_the_address_was_moving_is_stuck_nowhere(self) -> None:
        ilda, new = sign_up("ilda"), new_email("ilda.nova")
        Address(f"EMAIL#{new}", Address.SK, owner="t", lease_until=0, learner_id=ilda.id).put()
        Account.at(ilda.id).update_attributes(Account.moving_to.set(new))
        cognito_users.delete_user(ilda.id)
        assert problem(log_in(ilda.email)) == (401, "INVALID_CREDENTIALS")
        account = Account.of(ilda.id)
        assert account is not None
        assert (account.email, account.moving_to) == (new, None)
        assert api.post("/auth/password/reset-request", {"email": new}).status_code == 200
        assert post_sign_up(new).status_code == 201

    def test_can_take_their_leave_with_the_token_they_have(self) -> None:
        isaura, jonas = sign_up("isaura"), sign_up("jonas")
        cognito_users.delete_user(isaura.id)
        body = {"password": PASSWORD}
        assert api.delete("/profile", body, token=isaura.token).status_code == 204
        assert Address.of(isaura.email) is None
        wrong = api.delete("/profile", {"password": "not-the-password"}, token=jonas.token)
        assert problem(wrong) == (401, "INVALID_CREDENTIALS")


def test_an_account_that_was_confirmed_in_the_console_outlives_its_first_week() -> None:
    subs = []
    for name in ("karina", "lauro"):
        subs.append(post_sign_up(new_email(name)).json()["userId"])
    aws.client("cognito-idp").admin_confirm_sign_up(
        UserPoolId=stack().user_pool_id, Username=subs[0]
    )
    accounts = [account for sub in subs if (account := Account.of(sub))]
    later = timezone.now() + UNVERIFIED_FOR * 2
    assert delete_unverified(accounts, now=later) == 1
    left = [account.is_leaving for sub in subs if (account := Account.of(sub))]
    assert left == [False, True]


def test_a_learner_whose_user_was_made_anew_sets_a_password_by_the_mailed_code() -> None:
    bruno = sign_up("bruno")
    deck = api.post("/decks", {"name": "Meu"}, token=bruno.token).json()["id"]
    cognito_users.delete_user(bruno.id)
    account = Account.of(bruno.id)
    assert account is not None
    assert relink(account, now=timezone.now(), until=float("inf")) == "linked"
    assert subjects_mailed(bruno.email)[-1] == "Please set your password anew"
    assert log_in(bruno.email).status_code == 401
    api.post("/auth/password/reset-request", {"email": bruno.email})
    body = {"email": bruno.email, "code": mailed_code(bruno.email), "newPassword": NEW}
    assert api.post("/auth/password/reset-confirm", body).status_code == 200
    answer = log_in(bruno.email, NEW).json()
    assert answer["user"]["userId"] != bruno.id
    decks = api.get("/decks", token=answer["accessToken"]).json()["results"]
    assert [each["id"] for each in decks] == [deck]
