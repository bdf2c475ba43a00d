"""`/auth/sessions`: where one is signed in, and ending that; the notice of a new device."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from accounts.cognito import users as cognito_users
from accounts.models import Account, Session
from config import aws
from config.client_info import ClientInfo
from tests.accounts_helpers import (
    Person,
    api,
    before_call,
    log_in,
    new_ip,
    problem,
    sign_up,
    subjects_mailed,
)
from tests.browsers import Browser
from tests.wire import table_client

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_pool")]

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
)
NOTICE = "A new sign-in"


def sessions(token: str) -> list[dict[str, Any]]:
    answer = api.get("/auth/sessions", token=token)
    assert answer.status_code == 200
    return list(answer.json()["results"])


def refresh(refresh_token: str) -> Any:
    return api.post("/auth/refresh", {"refreshToken": refresh_token})


def test_each_sign_in_is_listed_with_device_and_network_the_last_used_first() -> None:
    lea = sign_up("lea")
    phone = log_in(lea.email, ip="10.20.30.40", **{"User-Agent": IPHONE}).json()
    listed = sessions(lea.token)
    assert [(s["device"], s["network"], s["current"]) for s in listed] == [
        ("Safari on iPhone", "10.20.30.40", False),
        (listed[1]["device"], listed[1]["network"], True),
    ]
    assert listed[0]["userAgent"] == IPHONE
    assert listed[0]["begunAt"] == listed[0]["lastUsedAt"]
    assert [s["current"] for s in sessions(phone["accessToken"])] == [True, False]


def test_a_renewal_is_a_use_of_its_session_and_begins_none() -> None:
    noa = sign_up("noa")
    log_in(noa.email)
    older = sessions(noa.token)[1]
    assert refresh(noa.refresh_token).status_code == 200
    first, second = sessions(noa.token)
    assert (first["id"], first["begunAt"]) == (older["id"], older["begunAt"])
    assert first["lastUsedAt"] > older["lastUsedAt"]
    assert second["id"] != first["id"]


def test_a_session_that_was_ended_renews_nothing_and_its_access_token_is_void() -> None:
    ivone = sign_up("ivone")
    stolen = log_in(ivone.email).json()
    [other] = [s for s in sessions(ivone.token) if not s["current"]]
    assert api.delete(f"/auth/sessions/{other['id']}", token=ivone.token).status_code == 204
    assert problem(refresh(stolen["refreshToken"])) == (401, "INVALID_REFRESH_TOKEN")
    assert api.get("/profile", token=stolen["accessToken"]).status_code == 401
    assert [s["current"] for s in sessions(ivone.token)] == [True]
    assert refresh(ivone.refresh_token).status_code == 200
    again = api.delete(f"/auth/sessions/{other['id']}", token=ivone.token)
    assert problem(again) == (404, "NOT_FOUND")
    trail = api.get("/auth/activity", token=ivone.token).json()["results"]
    assert [line["action"] for line in trail].count("session_ended") == 1


def test_another_learners_session_is_404() -> None:
    ada, eve = sign_up("ada"), sign_up("eve")
    [hers] = sessions(ada.token)
    assert problem(api.delete(f"/auth/sessions/{hers['id']}", token=eve.token))[0] == 404
    assert api.get("/profile", token=ada.token).status_code == 200


def test_sessions_that_were_all_ended_are_listed_no_more() -> None:
    otto = sign_up("otto")
    assert api.post("/auth/logout-everywhere", token=otto.token).status_code == 204
    token = log_in(otto.email).json()["accessToken"]
    assert [s["current"] for s in sessions(token)] == [True]


def test_sessions_that_a_new_password_has_ended_are_listed_no_more() -> None:
    tito = sign_up("tito")
    change = {"currentPassword": tito.password, "newPassword": "garca-3-ver"}
    assert api.post("/auth/password/change", change, token=tito.token).status_code == 200
    token = log_in(tito.email, "garca-3-ver").json()["accessToken"]
    assert [s["current"] for s in sessions(token)] == [True]


def test_sessions_that_a_shut_account_had_are_listed_no_more_once_it_is_open() -> None:
    wanda, admin = sign_up("wanda"), sign_up("admin")
    cognito_users.add_to_group(admin.id, "admin")
    token = log_in(admin.email).json()["accessToken"]
    for disabled in (True, False):
        answer = api.patch(f"/users/{wanda.id}", {"disabled": disabled}, token=token)
        assert answer.status_code == 200
    again = log_in(wanda.email).json()["accessToken"]
    assert [s["current"] for s in sessions(again)] == [True]


def test_a_signed_out_session_is_listed_no_more() -> None:
    rui = sign_up("rui")
    other = log_in(rui.email).json()
    api.post("/auth/logout", {"refreshToken": other["refreshToken"]})
    assert [s["current"] for s in sessions(rui.token)] == [True]


def test_a_sign_out_that_is_cut_off_before_the_pool_ends_the_session_all_the_same() -> None:
    ulla = sign_up("ulla")

    def lose() -> None:
        raise EndpointConnectionError(endpoint_url="https://aws")

    with before_call(aws.client("cognito-idp"), "RevokeToken", lose):
        cut_off = api.post("/auth/logout", {"refreshToken": ulla.refresh_token})
    assert problem(cut_off) == (503, "SERVICE_UNAVAILABLE")
    assert api.get("/profile", token=ulla.token).status_code == 401
    assert problem(refresh(ulla.refresh_token)) == (401, "INVALID_REFRESH_TOKEN")


def test_a_sign_in_with_a_new_device_or_from_a_new_network_is_mailed_once() -> None:
    here = new_ip()
    gaia = sign_up("gaia", ip=here)
    assert NOTICE not in subjects_mailed(gaia.email)
    log_in(gaia.email, ip=here)
    assert NOTICE not in subjects_mailed(gaia.email)
    for _ in range(2):
        log_in(gaia.email, ip=here, **{"User-Agent": FIREFOX})
    assert subjects_mailed(gaia.email).count(NOTICE) == 1
    log_in(gaia.email, **{"User-Agent": FIREFOX})
    assert subjects_mailed(gaia.email).count(NOTICE) == 2


def test_the_first_sign_in_after_all_sessions_have_lapsed_is_mailed() -> None:
    here = new_ip()
    zita = sign_up("zita", ip=here)
    for session in Session.history(zita.id, limit=9):
        session.delete()
    long_ago = datetime.now(UTC) - timedelta(weeks=5)
    Account.at(zita.id).update_attributes(Account.created_at.set(long_ago))
    assert log_in(zita.email, ip=here).status_code == 200
    assert subjects_mailed(zita.email).count(NOTICE) == 1


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (FIREFOX, "Firefox on Windows"),
        (IPHONE, "Safari on iPhone"),
        ("Mozilla/5.0 (X11; Linux x86_64) … Chrome/131.0 Safari/537.36", "Chrome on Linux"),
        (
            "Mozilla/5.0 (Linux; Android 14) … Chrome/131.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) … Safari/605.1", "Safari on macOS"),
        ("Mozilla/5.0 (Windows NT 10.0) … Chrome/131.0 Edg/131.0", "Edge on Windows"),
        ("Parley/2.1 (iPhone; iOS 18.1)", "Parley on iPhone"),
        ("curl/8.9.1", "curl"),
        ("", ""),
    ],
)
def test_a_device_is_told_by_its_agent(agent: str, device: str) -> None:
    assert ClientInfo("", agent).device == device


def test_staff_end_a_session_of_theirs_in_the_browser() -> None:
    person: Person = sign_up("sofia")
    cognito_users.add_to_group(person.email, "staff")
    browser = Browser()
    form = browser.form("/browse/login", sends="email")
    assert browser.send(form, email=person.email, password=person.password).status_code == 303
    [session] = [s for s in sessions(person.token) if s["current"]]
    page = browser.get("/browse/auth/sessions").content.decode()
    assert f"/browse/auth/sessions/{session['id']}" in page
    end = browser.form(f"/browse/auth/sessions/{session['id']}", sends="_method")
    done = browser.send(end)
    assert done.headers["Location"] == "/browse/auth/sessions#done"
    assert refresh(person.refresh_token).status_code == 401


@pytest.mark.parametrize("way", ["sign-in", "renewal"])
def test_a_use_after_a_month_is_noted_and_ends_all_warnings(way: str) -> None:
    uli = sign_up("uli")
    long_ago = datetime.now(UTC) - timedelta(days=1081)
    Account.at(uli.id).update_attributes(
        Account.seen_at.set(long_ago), Account.first_warned_at.set(long_ago)
    )
    answer = log_in(uli.email) if way == "sign-in" else refresh(uli.refresh_token)
    assert answer.status_code == 200
    account = Account.of(uli.id)
    assert account is not None
    assert datetime.now(UTC) - account.seen_at < timedelta(minutes=1)
    assert account.first_warned_at is None


def test_a_sign_in_while_the_account_is_barred_is_refused() -> None:
    vasco = sign_up("vasco")
    account = Account.of(vasco.id)
    assert account is not None
    account.update_attributes(Account.seen_at.set(account.seen_at - timedelta(days=1095)))

    def bar() -> None:
        Account.at(vasco.id).mark_for_deletion(datetime.now(UTC))

    with before_call(table_client(), "TransactWriteItems", bar):
        refused = log_in(vasco.email)
    assert problem(refused) == (401, "INVALID_CREDENTIALS")
