"""Sessions of `/browse/`: their roles, their duration, and the reach of their cookie."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from botocore.stub import Stubber
from django.test import Client
from django.utils import timezone

from accounts import authentication
from accounts.browse import guard, sessions
from accounts.browse.sessions import BrowserSession
from accounts.cognito.client import AppClient
from accounts.models import Account, learner_key
from accounts.models.account import account_cache
from accounts.tokens import Learner, verify_access_token
from config import aws
from config.stack import stack
from tests.browsers import REFRESH_TOKEN, Browser, cookie_of, signed_in
from tests.callers import Caller, access_token, make_learner

SECRET = "secret-of-the-tests-alone"
REFRESH, REVOKE = "get_tokens_from_refresh_token", "revoke_token"


@pytest.fixture
def stefan(table: None) -> Caller:
    return make_learner("stefan", groups=("staff",))


@pytest.fixture
def browser(stefan: Caller) -> Browser:
    return signed_in(stefan)


@pytest.fixture
def cognito(table: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """A user pool that gives only the answers of the test."""
    ours = AppClient(SECRET, frozenset(), frozenset())
    monkeypatch.setattr("accounts.cognito.client.app_client", lambda: ours)
    with Stubber(aws.client("cognito-idp")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def will_revoke(cognito: Stubber, token: str = REFRESH_TOKEN) -> None:
    asked = {"ClientId": stack().client_id, "ClientSecret": SECRET, "Token": token}
    cognito.add_response(REVOKE, {}, asked)


def will_refresh(
    cognito: Stubber,
    caller: Caller,
    token: str = REFRESH_TOKEN,
    groups: tuple[str, ...] = ("staff",),
    **new: Any,
) -> None:
    asked = {
        "ClientId": stack().client_id,
        "ClientSecret": SECRET,
        "RefreshToken": token,
    }
    access = access_token(caller.id, groups=groups)
    result = {"AccessToken": access, "IdToken": "id", "ExpiresIn": 3600, **new}
    cognito.add_response(REFRESH, {"AuthenticationResult": result}, asked)


def kept(caller: Caller) -> list[BrowserSession]:
    prefix = BrowserSession.sk.startswith(BrowserSession.PREFIX)
    return BrowserSession.query_all(learner_key(caller.id), prefix)


def is_sent_to_login(answer: Any) -> bool:
    return bool(
        answer.status_code == 302 and answer.headers["Location"].startswith("/browse/login?next=")
    )


def test_without_a_session_every_page_leads_to_the_login(table: None) -> None:
    answer = Client().get("/browse/decks?limit=2")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/browse/login?next=%2Fbrowse%2Fdecks%3Flimit%3D2"
    assert is_sent_to_login(Client().get("/browse"))
    assert is_sent_to_login(Client().get("/browse/nowhere"))


def test_the_cookie_is_read_nowhere_else(browser: Browser) -> None:
    assert browser.get("/browse/profile").status_code == 200
    for path in ("/profile", "/decks", "/users", "/flashcards/due"):
        answer = browser.get(path)
        assert (answer.status_code, answer.json()["code"]) == (401, "NOT_AUTHENTICATED")
    assert browser.client.post("/auth/logout-everywhere").status_code == 401


def test_a_token_in_the_header_opens_no_page(stefan: Caller) -> None:
    assert is_sent_to_login(stefan.get("/browse/profile"))


@pytest.mark.parametrize("path", ["/browse", "/browse/profile", "/browse/decks"])
def test_a_page_verifies_the_token_once(
    path: str, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = []

    def verify(token: str) -> Learner:
        verified.append(token)
        return verify_access_token(token)

    monkeypatch.setattr(authentication, "verify_access_token", verify)
    assert browser.get(path).status_code == 200
    assert len(verified) == 1


def test_the_token_of_another_in_the_header_changes_nothing(
    stefan: Caller, browser: Browser
) -> None:
    other = make_learner("joana", groups=("staff",))
    page = browser.get("/browse/profile", headers={"Authorization": f"Bearer {other.token}"})
    assert stefan.id in page.content.decode()
    assert other.id not in page.content.decode()


@pytest.mark.parametrize("cookie", ["", "x", "A" * 300, "é", "a" * 9000])
def test_a_cookie_that_we_did_not_make_reads_nothing(
    cookie: str, table: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        pytest.fail("the table was read")

    monkeypatch.setattr(BrowserSession, "get_or_none", fail)
    client = Client()
    client.cookies[guard.COOKIE] = cookie
    answer = client.get("/browse")
    assert is_sent_to_login(answer)
    assert answer.cookies[guard.COOKIE].value == ""


def test_the_cookie_of_a_session_that_is_gone_opens_nothing(
    stefan: Caller, browser: Browser
) -> None:
    (session,) = kept(stefan)
    session.end()
    assert is_sent_to_login(browser.get("/browse"))


def test_no_token_can_be_read_in_the_table(stefan: Caller, browser: Browser) -> None:
    (session,) = kept(stefan)
    stored = str(session.serialize())
    assert REFRESH_TOKEN not in stored
    assert stefan.token.split(".")[1] not in stored
    lasts_s = session.expires_at - timezone.now().timestamp()
    assert timedelta(hours=11, minutes=59) < timedelta(seconds=lasts_s) <= sessions.LASTS


def test_the_tokens_of_one_session_do_not_open_in_another(stefan: Caller) -> None:
    browser = signed_in(stefan)
    cookie_of(stefan)
    older, newer = kept(stefan)
    older.renew(newer.tokens)
    assert is_sent_to_login(browser.get("/browse"))


def test_a_learner_who_is_not_staff_is_kept_out_and_their_tokens_are_void(
    cognito: Stubber, maria: Caller
) -> None:
    will_revoke(cognito)
    with pytest.raises(sessions.StaffOnly):
        cookie_of(maria, groups=())
    assert kept(maria) == []


def test_who_is_no_longer_staff_is_out_with_the_next_token(
    cognito: Stubber, stefan: Caller
) -> None:
    browser = signed_in(stefan, expires_in_s=20)
    will_refresh(cognito, stefan, groups=())
    will_revoke(cognito)
    assert is_sent_to_login(browser.get("/browse"))
    assert kept(stefan) == []


def test_a_disabled_account_is_out_at_once_and_its_session_ends(
    cognito: Stubber, stefan: Caller, browser: Browser
) -> None:
    assert browser.get("/browse").status_code == 200
    Account.at(stefan.id).update_attributes(Account.disabled.set(True))
    account_cache.forget(stefan.id)
    will_revoke(cognito)
    answer = browser.get("/browse")
    assert is_sent_to_login(answer)
    assert answer.cookies[guard.COOKIE].value == ""
    assert kept(stefan) == []


def test_signing_out_everywhere_ends_the_session_too(
    cognito: Stubber, stefan: Caller, browser: Browser
) -> None:
    Account.at(stefan.id).void_tokens(timezone.now())
    will_revoke(cognito)
    assert is_sent_to_login(browser.get("/browse"))
    assert kept(stefan) == []


def test_an_access_token_that_ends_is_renewed_behind_the_scenes(
    cognito: Stubber, stefan: Caller
) -> None:
    browser = signed_in(stefan, expires_in_s=20)
    will_refresh(cognito, stefan, RefreshToken="rotated")
    assert browser.get("/browse").status_code == 200
    assert browser.get("/browse").status_code == 200  # without asking again
    with time_machine.travel(timezone.now() + timedelta(minutes=59, seconds=45)):
        will_refresh(cognito, stefan, "rotated")
        assert browser.get("/browse").status_code == 200


def test_two_tabs_that_renew_at_once_end_up_with_the_same_tokens(
    cognito: Stubber, stefan: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = signed_in(stefan, expires_in_s=20)
    renew = BrowserSession.renew

    def overtaken(session: BrowserSession, tokens: str) -> None:
        """The other tab writes first."""
        monkeypatch.setattr(BrowserSession, "renew", renew)
        will_refresh(cognito, stefan, RefreshToken="of the other tab")
        assert browser.get("/browse").status_code == 200
        session.renew(tokens)

    monkeypatch.setattr(BrowserSession, "renew", overtaken)
    will_refresh(cognito, stefan, RefreshToken="of this tab")
    assert browser.get("/browse").status_code == 200
    (session,) = kept(stefan)
    assert (
        sessions._StoredTokens.opened(session, timezone.now()).refresh_token == "of the other tab"
    )


@pytest.mark.parametrize("error", ["NotAuthorizedException", "UserNotFoundException"])
def test_a_refusal_to_renew_ends_the_session(error: str, cognito: Stubber, stefan: Caller) -> None:
    browser = signed_in(stefan, expires_in_s=20)
    cognito.add_client_error(REFRESH, error)
    assert is_sent_to_login(browser.get("/browse"))
    assert kept(stefan) == []


def test_a_busy_pool_is_said_and_the_session_stays(cognito: Stubber, stefan: Caller) -> None:
    browser = signed_in(stefan, expires_in_s=20)
    cognito.add_client_error(REFRESH, "TooManyRequestsException", "", 400)
    page = browser.get("/browse")
    assert (page.status_code, page.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert int(page.headers["Retry-After"]) >= 1
    assert len(kept(stefan)) == 1


def test_a_session_that_nobody_uses_ends_before_the_day_does(
    cognito: Stubber, stefan: Caller
) -> None:
    with time_machine.travel(timezone.now() - timedelta(hours=2, minutes=1)):
        browser = signed_in(stefan)
    will_revoke(cognito)
    assert is_sent_to_login(browser.get("/browse"))
    assert kept(stefan) == []


def test_no_session_outlasts_the_working_day(stefan: Caller) -> None:
    with time_machine.travel(timezone.now() - sessions.LASTS - timedelta(seconds=1)):
        browser = signed_in(stefan, expires_in_s=14 * 3600)
    assert is_sent_to_login(browser.get("/browse"))


@pytest.mark.parametrize("path", ["/browse/decks", "/browse/logout", "/browse/login"])
def test_a_form_without_its_token_does_nothing(path: str, stefan: Caller, browser: Browser) -> None:
    page = browser.client.post(path, {"name": "Café", "email": "a@example.org", "password": "x"})
    assert page.status_code == 403
    assert "FORM_OUTDATED" in page.content.decode()
    assert stefan.get("/decks").json()["results"] == []
    assert browser.get("/browse").status_code == 200


def test_signing_out_ends_the_session_here_and_in_the_pool(
    cognito: Stubber, stefan: Caller, browser: Browser
) -> None:
    form = browser.form("/browse", sends="/browse/logout")
    will_revoke(cognito)
    answer = browser.send(form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/browse/login#done")
    assert (answer.cookies[guard.COOKIE].value, answer.cookies[guard.COOKIE]["path"]) == (
        "",
        "/browse",
    )
    assert kept(stefan) == []
    assert browser.get("/browse/logout").status_code == 405
