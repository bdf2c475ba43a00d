"""POST /users/invitations: people come in by a temporary password that was mailed to them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings

from accounts.cognito import users as cognito_users
from accounts.models import Account, Activity, Address
from config import aws
from config.ops.mails import mails
from config.stack import Stack, stack
from tests.accounts_helpers import (
    PASSWORD,
    Person,
    api,
    log_in,
    mailed_code,
    new_email,
    new_ip,
    post_sign_up,
    problem,
    sign_up,
)
from tests.browsers import Browser
from tests.waiting import later_by

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_pool")]

NEW, STRANGERS = "quatro-ventos-9", "estranho-azul-9"
MINUTE = timedelta(seconds=61)


@pytest.fixture(scope="module")
def clerk(embedded_pool: Stack) -> Person:
    person = sign_up("baltasar")
    cognito_users.add_to_group(person.id, "staff")
    token = log_in(person.email).json()["accessToken"]
    return Person(person.id, person.email, PASSWORD, token, person.refresh_token)


def invite(by: Person, *emails: str) -> Any:
    return api.post("/users/invitations", {"emails": emails}, token=by.token)


def outcomes(by: Person, *emails: str) -> list[str]:
    answer = invite(by, *emails)
    assert answer.status_code == 200, answer.content
    assert [row["email"] for row in answer.json()["results"]] == list(emails)
    return [row["outcome"] for row in answer.json()["results"]]


def mailed_passwords(email: str) -> list[str]:
    """The temporary passwords in the mails to an address, oldest first."""
    url = stack().endpoint_url
    assert url is not None
    found = [re.search(r"the password (\S+)\. You", mail.text) for mail in mails(url, to=email)]
    return [match[1] for match in found if match]


def enter(email: str, password: str, **options: Any) -> Any:
    """The first sign-in, at which a password of one's own is chosen."""
    challenge = log_in(email, password, **options).json()
    body = {"sessionToken": challenge["sessionToken"], "newPassword": NEW}
    return api.post("/auth/login/new-password", body, **options)


def test_a_list_of_people_comes_in_with_addresses_that_are_proved(clerk: Person) -> None:
    emails = [new_email(name) for name in ("adelia", "bernardo")]
    assert outcomes(clerk, *emails) == ["invited", "invited"]
    for email in emails:
        [password] = mailed_passwords(email)
        user = enter(email, password).json()["user"]
        assert (user["email"], user["emailVerified"]) == (email, True)
        assert user["firstName"] == email.partition("@")[0]
        assert log_in(email, NEW).json()["user"]["userId"] == user["userId"]
        assert log_in(email, password).status_code == 401
        [line] = [
            each
            for each in Activity.newest(f"users/{user['userId']}", limit=10).items
            if each.action == "invited"
        ]
        assert line.actor == clerk.id
    later = datetime.now(UTC) + MINUTE
    with time_machine.travel(later):
        assert outcomes(clerk, *emails) == ["registered", "registered"]
    assert len(mailed_passwords(emails[0])) == 1


def test_a_school_in_one_network_is_not_stopped_by_the_limit_on_sign_ups(
    clerk: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings.LIMITS, "sign_up_source", (1, 3600))
    school = new_ip()
    assert post_sign_up(new_email("carlota"), ip=school).status_code == 201
    assert problem(post_sign_up(new_email("dinis"), ip=school)) == (429, "TOO_MANY_REQUESTS")
    emails = [new_email(name) for name in ("elsa", "fausto", "gilda")]
    outcomes(clerk, *emails)
    for email in emails:
        assert enter(email, mailed_passwords(email)[0], ip=school).status_code == 200


def test_the_same_request_mails_once_a_minute_and_the_newest_password_counts(
    clerk: Person,
) -> None:
    email = new_email("hilario")
    assert outcomes(clerk, email) == ["invited"]
    assert outcomes(clerk, email) == ["waiting"]
    with later_by(MINUTE):
        assert outcomes(clerk, email) == ["invited"]
    first, second = mailed_passwords(email)
    assert log_in(email, first).status_code == 401
    assert enter(email, second).status_code == 200


def test_whoever_asks_for_a_reset_before_coming_in_is_mailed_another_password(
    clerk: Person,
) -> None:
    email = new_email("idalina")
    outcomes(clerk, email)
    assert api.post("/auth/password/reset-request", {"email": email}).status_code == 200
    first, second = mailed_passwords(email)
    assert log_in(email, first).status_code == 401
    assert enter(email, second).status_code == 200


def test_a_strangers_claim_to_the_address_gives_way(clerk: Person) -> None:
    email = new_email("jacinta")
    squat = post_sign_up(email, STRANGERS).json()
    assert outcomes(clerk, email) == ["invited"]
    body = {"email": email, "code": mailed_code(email)}
    secret = squat["verificationToken"]
    assert api.post("/auth/verify-email", body | {"verificationToken": secret}).status_code == 400
    assert log_in(email, STRANGERS).status_code == 401
    user = enter(email, mailed_passwords(email)[0]).json()["user"]
    assert user["userId"] != squat["userId"]
    assert log_in(email, STRANGERS).status_code == 401


def test_who_has_an_account_is_left_alone(clerk: Person) -> None:
    lucio = sign_up("lucio")
    assert outcomes(clerk, lucio.email) == ["registered"]
    assert log_in(lucio.email).status_code == 200
    assert mailed_passwords(lucio.email) == []


def test_an_address_that_is_being_signed_up_waits(clerk: Person) -> None:
    email = new_email("mercia")
    Address.reserve(email, owner="another", now=datetime.now(UTC))
    assert outcomes(clerk, email) == ["waiting"]


def test_a_user_of_the_console_who_waits_is_mailed_a_password_in_place_of_the_old_one(
    clerk: Person,
) -> None:
    email, temporary = new_email("nuna"), "provisoria-1"
    aws.client("cognito-idp").admin_create_user(
        UserPoolId=stack().user_pool_id,
        Username=email,
        UserAttributes=[{"Name": "email", "Value": email}],
        TemporaryPassword=temporary,
        MessageAction="SUPPRESS",
    )
    assert outcomes(clerk, email) == ["invited"]
    assert log_in(email, temporary).status_code == 401
    assert enter(email, mailed_passwords(email)[0]).json()["user"]["emailVerified"] is True


def test_nobody_has_an_account_before_coming_in_and_a_sign_up_is_told_so(clerk: Person) -> None:
    email = new_email("olga")
    outcomes(clerk, email)
    sub = cognito_users.find_sub(email)
    assert sub is not None
    assert Account.of(sub) is None
    assert problem(post_sign_up(email)) == (409, "USER_ALREADY_EXISTS")
    assert enter(email, mailed_passwords(email)[0]).json()["user"]["userId"] == sub


@pytest.mark.parametrize(
    ("emails", "field"),
    [
        ([], "emails"),
        ("ana@example.org", "emails"),
        (["ana@example.org", "no address"], "emails.1"),
        ([f"ana{n}@example.org" for n in range(21)], "emails"),
    ],
)
def test_a_list_out_of_its_bounds_is_named(clerk: Person, emails: Any, field: str) -> None:
    answer = api.post("/users/invitations", {"emails": emails}, token=clerk.token)
    assert problem(answer) == (400, "VALIDATION_ERROR")
    assert answer.json()["errors"][0]["field"] == field


def test_staff_invite_from_their_pages_too(clerk: Person) -> None:
    browser, email = Browser(), new_email("rosaura")
    login = browser.get("/browse").headers["Location"]
    browser.send(browser.form(login, sends="email"), email=clerk.email, password=PASSWORD)
    page = browser.send(browser.form("/browse/users/invitations", sends="emails"), emails=email)
    assert page.status_code == 200
    assert email in page.content.decode()
    person = browser.get(f"/browse/users/{clerk.id}").content.decode()
    assert f"/browse/users/{clerk.id}/activity" not in person  # that is for admins
    assert enter(email, mailed_passwords(email)[0]).status_code == 200


def test_learners_invite_nobody() -> None:
    person = sign_up("paula")
    assert problem(invite(person, new_email("quim"))) == (403, "PERMISSION_DENIED")
