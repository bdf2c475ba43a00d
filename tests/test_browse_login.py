"""The login page of `/browse/`, against the embedded user pool."""

import re
import secrets
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.browse import guard
from accounts.cognito import client as cognito_client
from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.cognito.users import GOOGLE
from tests.accounts_google import GoogleStub, follow
from tests.accounts_helpers import PASSWORD, Person, api, log_in, mailed_code, new_email, sign_up
from tests.browsers import Browser
from tests.test_browse_forms import OF_ACCOUNTS, said, send

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_pool")]


def staff(name: str) -> Person:
    person = sign_up(name)
    cognito_users.add_to_group(person.email, "staff")
    return person


def enter(browser: Browser, email: str, password: str = PASSWORD, path: str = "/browse") -> Any:
    """The answer to the login form that `path` leads to."""
    login = browser.get(path).headers["Location"]
    return browser.send(browser.form(login, sends="email"), email=email, password=password)


def text(page: Any) -> str:
    return str(page.content.decode())


def test_the_right_password_leads_to_the_page_that_was_wanted() -> None:
    person, browser = staff("stefan"), Browser()
    answer = enter(browser, person.email, path="/browse/decks?limit=5")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/browse/decks?limit=5")
    cookie = answer.cookies[guard.COOKIE]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/browse", True, "Lax")
    assert cookie["secure"] == ""
    assert person.id not in cookie.value
    assert browser.get("/browse/decks?limit=5").status_code == 200


def test_on_a_real_stage_the_cookie_travels_by_https_only(settings: Any) -> None:
    person, browser = staff("stefan"), Browser()
    settings.STAGE = "prod"
    answer = enter(browser, person.email)
    assert answer.cookies["__Secure-parley-browser"]["secure"] is True
    assert guard.COOKIE not in answer.cookies
    assert browser.get("/browse").status_code == 200
    out = browser.form("/browse", sends="/browse/logout")
    gone = browser.send(out).cookies["__Secure-parley-browser"]
    assert (gone.value, gone["secure"]) == ("", True)


@pytest.mark.parametrize(
    "wanted",
    [
        "https://attacker.example/browse",
        "//attacker.example/browse",
        "/browse/../auth",
        "/browsed",
        "/decks",
        "javascript:alert(1)",
        "/browse//attacker.example\\@",
        "",
    ],
)
def test_a_login_leads_nowhere_else(wanted: str, rita: Person) -> None:
    browser = Browser()
    form = browser.form("/browse/login", sends="email")
    answer = browser.send(form, email=rita.email, password=PASSWORD, next=wanted)
    assert answer.status_code == 303
    target = urlsplit(answer.headers["Location"])
    assert target.netloc == ""
    assert target.path == "/browse" or target.path.startswith("/browse/")


@pytest.fixture(scope="module")
def rita(embedded_pool: Any) -> Person:
    return staff("rita")


def test_a_wrong_password_is_said_and_what_was_typed_stays(rita: Person) -> None:
    page = enter(Browser(), rita.email, "not-her-password")
    assert page.status_code == 401
    assert "The e-mail address or the password is wrong" in text(page)
    assert f'value="{rita.email}"' in text(page)
    assert "not-her-password" not in text(page)
    empty = enter(Browser(), "", "")
    assert empty.status_code == 400
    assert 'href="#POST-email"' in text(empty)


def test_guesses_are_limited_as_everywhere() -> None:
    person, browser = staff("saul"), Browser()
    for _ in range(5):
        assert enter(browser, person.email, "not-his-password").status_code == 401
    page = enter(browser, person.email)
    assert page.status_code == 429
    assert int(page.headers["Retry-After"]) > 0


def test_who_is_not_staff_stays_outside() -> None:
    person, browser = sign_up("telma"), Browser()
    page = enter(browser, person.email)
    assert page.status_code == 403
    assert "These pages are for staff" in text(page)
    assert guard.COOKIE not in page.cookies
    assert browser.get("/browse").status_code == 302


def test_the_second_step_is_asked_for_and_takes_app_and_backup_codes() -> None:
    person, browser = staff("urbano"), Browser()
    secret = api.post("/auth/mfa/setup", {"password": PASSWORD}, token=person.token).json()[
        "secret"
    ]
    code = pyotp.TOTP(secret).now()
    enabled = api.post("/auth/mfa/verify-setup", {"code": code}, token=person.token)
    assert enabled.status_code == 200, enabled.content
    backup = enabled.json()["backupCodes"][0]

    def second_step() -> Any:
        page = enter(browser, person.email)
        assert page.status_code == 200
        assert guard.COOKIE not in page.cookies
        return browser.form_of(page, sends="sessionToken")

    refused = browser.send(second_step(), code="000000")
    assert refused.status_code == 401
    again = browser.form_of(refused, sends="sessionToken")
    assert browser.send(again, code=backup).status_code == 303
    assert browser.get("/browse").status_code == 200
    used = browser.send(_signed_out(second_step, browser), code=backup)
    assert used.status_code == 401
    outdated = browser.send(
        browser.form_of(used, sends="sessionToken"), sessionToken="AAAA", code=backup
    )
    assert outdated.status_code == 401
    assert browser.form_of(outdated, sends="email")


def test_staff_who_need_a_second_step_are_walked_through_its_set_up(settings: Any) -> None:
    person, browser = staff("valdemar"), Browser()
    settings.STAFF_SECOND_STEP = True
    assert enter(browser, person.email).status_code == 303
    led = browser.get("/browse").headers["Location"]
    made = browser.send(browser.form(led, sends="password"), password=PASSWORD)
    [secret] = re.findall(r"&quot;secret&quot;: &quot;([A-Z2-7]+)&quot;", text(made))
    [onward] = re.findall(r'href="([^"]+)" title="Turn the second step on"', text(made))
    code = pyotp.TOTP(secret).now()
    done = browser.send(browser.form(onward, sends="code"), code=code)
    assert done.status_code == 200, said(done)
    assert "backupCodes" in text(done)
    assert browser.get("/browse").status_code == 200
    assert api.get("/users", token=person.token).status_code == 403  # a token without the group


def _signed_out(second_step: Any, browser: Browser) -> Any:
    browser.send(browser.form("/browse", sends="/browse/logout"))
    return second_step()


def test_a_form_whose_session_has_ended_is_given_back_after_the_sign_in() -> None:
    person, browser = staff("olavo"), Browser()
    enter(browser, person.email)
    form = browser.form("/browse/decks", sends="name")
    browser.send(browser.form("/browse", sends="/browse/logout"))
    sent = browser.send(form, name="Verbos <irregulares>")
    assert sent.status_code == 307
    csrf = {"csrfmiddlewaretoken": form.values["csrfmiddlewaretoken"]}
    login = browser.client.post(sent.headers["Location"], form.values | {"name": "Verbos"} | csrf)
    wrong = browser.send(browser.form_of(login, sends="kept"), email=person.email, password="no")
    assert wrong.status_code == 401
    back = browser.send(browser.form_of(wrong, sends="kept"), email=person.email, password=PASSWORD)
    assert back.status_code == 200
    made = browser.send(browser.form_of(back, sends="name"))
    assert made.status_code == 303
    assert "Verbos" in text(browser.get(made.headers["Location"]))


def test_a_scenario_whose_session_has_ended_comes_back_as_its_form() -> None:
    person, browser = staff("olga"), Browser()
    enter(browser, person.email)
    form = browser.form("/browse/write", sends="title")
    browser.send(browser.form("/browse", sends="/browse/logout"))
    values = form.values | {"title": "<b>Padaria</b>", "_do": "save"}
    sent = browser.send(form, **values)
    assert sent.status_code == 307
    login = browser.client.post(sent.headers["Location"], values)
    back = browser.send(browser.form_of(login, sends="kept"), email=person.email, password=PASSWORD)
    kept = browser.form_of(back, sends="title")
    assert kept.fields >= {"parts.0.goals", "_do"}
    assert "<textarea" not in text(back)
    shown = browser.send(kept, _do="show")  # the button says so after the button of before
    again = browser.form_of(shown, sends="title")
    assert again.values["title"] == ["<b>Padaria</b>"]
    assert again.values["parts.0.goals"] == ["0", "1", "2"]


def test_a_form_with_a_file_whose_session_has_ended_asks_for_the_file_again() -> None:
    person, browser = staff("nadia"), Browser()
    enter(browser, person.email)
    form = browser.form("/browse/flashcards/import", sends="file")
    browser.send(browser.form("/browse", sends="/browse/logout"))
    words = SimpleUploadedFile("words.csv", b"casa,house\n")
    sent = form.values | {"file": words, "format": ["csv"], "dryRun": ["true"]}
    lost = browser.client.post(form.action, sent)
    assert lost.status_code == 307
    words.seek(0)
    login = browser.client.post(lost.headers["Location"], sent)
    back = browser.send(browser.form_of(login, sends="kept"), email=person.email, password=PASSWORD)
    assert "Choose the file again" in text(back)
    assert 'enctype="multipart/form-data"' in text(back)
    kept = browser.form_of(back, sends="format").values
    words.seek(0)
    page = browser.client.post(form.action, kept | {"file": words})
    assert page.status_code == 200, said(page)
    assert "<dt>Imported</dt>" in text(page)


def test_a_form_of_accounts_that_is_filled_in_does_what_its_button_says(google_alone: None) -> None:
    ruth, maria, new = sign_up("ruth"), sign_up("maria"), new_email("ruth")
    cognito_users.add_to_group(ruth.email, "admin")
    [session] = api.get("/auth/sessions", token=ruth.token).json()["results"]
    browser, password = Browser(), {"password": PASSWORD}
    enter(browser, ruth.email)
    sent = set()

    def submit(operation: str, id: str = "", **values: Any) -> str:
        sent.add(operation)
        page = send(browser, operation, id, values)
        refused = {"linkGoogle": 404}.get(operation)
        assert page.status_code == refused if refused else page.status_code < 400, said(page)
        return unescape(text(page))

    submit("inviteUsers", emails=[new_email("ines")])
    submit("updateUser", maria.id, groups=["staff"])
    submit("resetUserMfa", maria.id)
    submit("removeUser", maria.id, **password)
    submit("endLoginSession", session["id"])
    google = {"code": "x", "redirectUri": "https://app.example.org", "codeVerifier": "v" * 43}
    submit("linkGoogle", **google, **password)
    submit("unlinkGoogle", **password)
    submit("updateConsents", modelText="true")
    secret = re.search(r'"secret": "([A-Z2-7]+)"', submit("setupMfa", **password))
    assert secret
    submit("verifyMfaSetup", code=pyotp.TOTP(secret[1]).now())
    submit("renewBackupCodes", **password)
    submit("disableMfa", **password)
    submit("requestEmailChange", newEmail=new, **password)
    submit("confirmEmailChange", code=mailed_code(new))
    submit("changePassword", currentPassword=PASSWORD, newPassword="corvo-verde-8")
    ivo = staff("ivo")
    for operation, values in (("logoutEverywhere", {}), ("deleteUser", password)):
        browser.client.cookies.clear()
        enter(browser, ivo.email)
        submit(operation, **values)
    assert sent | {"updateUserProfile"} == OF_ACCOUNTS


def test_no_password_is_kept_with_a_form(rita: Person) -> None:
    browser = Browser()
    enter(browser, rita.email)
    form = browser.form("/browse/auth/mfa/disable", sends="password")
    browser.send(browser.form("/browse", sends="/browse/logout"))
    sent = browser.send(form, password="a-secret-of-hers")
    login = browser.client.post(
        sent.headers["Location"], form.values | {"password": "a-secret-of-hers"}
    )
    assert "_method" in text(login)
    assert "a-secret-of-hers" not in text(login)


def test_signing_in_anew_ends_the_session_before(rita: Person) -> None:
    browser = Browser()
    enter(browser, rita.email)
    old = browser.client.cookies[guard.COOKIE].value
    form = browser.form("/browse/login", sends="email")
    assert browser.send(form, email=rita.email, password=PASSWORD).status_code == 303
    assert browser.client.cookies[guard.COOKIE].value != old
    stranger = Browser()
    stranger.client.cookies[guard.COOKIE] = old
    assert stranger.get("/browse").status_code == 302
    assert browser.get("/browse").status_code == 200


def test_signing_out_ends_the_refresh_token_too(monkeypatch: pytest.MonkeyPatch) -> None:
    person, browser, revoked = staff("vera"), Browser(), []
    revoke = cognito_sessions.revoke
    monkeypatch.setattr(
        cognito_sessions, "revoke", lambda token: (revoked.append(token), revoke(token))
    )
    enter(browser, person.email)
    kept = browser.client.cookies[guard.COOKIE].value
    assert browser.send(browser.form("/browse", sends="/browse/logout")).status_code == 303
    assert api.post("/auth/refresh", {"refreshToken": revoked[0]}).status_code == 401
    browser.client.cookies[guard.COOKIE] = kept
    assert browser.get("/browse").status_code == 302
    assert log_in(person.email).status_code == 200


LOCAL = {"HTTP_HOST": "localhost:8000"}  # the name that the pool knows us by


def test_google_is_offered_where_the_pool_has_it(google_alone: None) -> None:
    """Runs before the stub is there."""
    cognito_client._app_client.cache_clear()
    assert "Sign in with Google" not in text(Browser().get("/browse/login", **LOCAL))
    assert Browser().get("/browse/login/google", **LOCAL).status_code == 404


def return_from(google: GoogleStub, browser: Browser, path: str = "/browse/decks") -> str:
    """The address that Google and the pool send the browser back to."""
    begun = browser.get(f"/browse/login/google?next={path}", **LOCAL)
    assert begun.status_code == 302, begun.content
    back = urlsplit(follow(begun.headers["Location"]))
    return f"{back.path}?{back.query}"


def test_google_lets_staff_in_and_no_one_else(google: GoogleStub) -> None:
    email, browser = new_email("xenia"), Browser()
    assert "Sign in with Google" in text(browser.get("/browse/login", **LOCAL))
    google.is_used_by("Xenia", email)
    refused = browser.get(return_from(google, browser), **LOCAL)
    assert refused.status_code == 403
    assert "These pages are for staff" in text(refused)
    sub = google.person["sub"]
    cognito_users.add_to_group(f"{GOOGLE}_{sub}", "staff")
    entered = browser.get(return_from(google, browser), **LOCAL)
    assert (entered.status_code, entered.headers["Location"]) == (303, "/browse/decks")
    assert browser.get("/browse/decks").status_code == 200


def lost_form(browser: Browser, path: str, **fields: str) -> Any:
    """The login page that a form leads to whose session has ended."""
    form = browser.form(path, sends=next(iter(fields)))
    browser.send(browser.form("/browse", sends="/browse/logout"))
    sent = browser.send(form, **fields)
    assert sent.status_code == 307
    return browser.client.post(sent.headers["Location"], form.values | fields, **LOCAL)


@pytest.fixture
def zita(google: GoogleStub) -> Browser:
    """A member of staff who signed in with Google."""
    browser = Browser()
    google.is_used_by("Zita", new_email("zita"))
    browser.get(return_from(google, browser), **LOCAL)
    cognito_users.add_to_group(f"{GOOGLE}_{google.person['sub']}", "staff")
    assert browser.get(return_from(google, browser), **LOCAL).status_code == 303
    return browser


def test_a_form_comes_back_after_a_sign_in_with_google_too(
    google: GoogleStub, zita: Browser
) -> None:
    login = lost_form(zita, "/browse/decks", name="Verbos <irregulares>")
    assert "it comes back when you have signed in." in text(login)
    back = zita.get(return_from(google, zita), **LOCAL)
    assert back.status_code == 200
    made = zita.send(zita.form_of(back, sends="name"))
    assert made.status_code == 303
    assert "Verbos &lt;irregulares&gt;" in text(zita.get(made.headers["Location"]))
    again = zita.get(return_from(google, zita), **LOCAL)
    assert again.status_code == 303  # it is given back once


def test_a_form_of_another_page_does_not_come_back(google: GoogleStub, zita: Browser) -> None:
    lost_form(zita, "/browse/decks", name="Verbos")
    entered = zita.get(return_from(google, zita, "/browse/notes"), **LOCAL)
    assert (entered.status_code, entered.headers["Location"]) == (303, "/browse/notes")


def test_a_form_too_long_for_the_way_over_google_says_so(zita: Browser) -> None:
    noise = "".join(secrets.token_hex(40) for _ in range(200))
    login = lost_form(zita, "/browse/decks", name="Verbos", description=noise)
    assert "too long for the way over Google" in text(login)
    assert not any(name.startswith("parley-kept") for name in login.cookies)


def test_a_return_that_began_elsewhere_lets_no_one_in(google: GoogleStub) -> None:
    google.is_used_by("Yara", new_email("yara"))
    victim, attacker = Browser(), Browser()
    back = return_from(google, attacker)
    assert victim.get(back, **LOCAL).status_code == 400
    state = parse_qs(urlsplit(back).query)["state"][0]
    victim.get("/browse/login/google", **LOCAL)
    assert victim.get(back, **LOCAL).status_code == 400
    assert (
        attacker.get(f"{urlsplit(back).path}?state={state}&error=access_denied").status_code == 400
    )
    assert guard.COOKIE not in victim.client.cookies
