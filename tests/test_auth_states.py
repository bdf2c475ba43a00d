"""Accounts that are disabled, signed out everywhere, or gone: their tokens end within a minute."""

import pytest

from accounts.authentication import Buckets
from accounts.models import Account
from accounts.models.account import AccountCache, account_cache
from config.client_info import ClientInfo, client_info_of
from tests.accounts_helpers import Person, api, log_in, problem, sign_up

OUT = (401, "NOT_AUTHENTICATED")


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(account_cache, "clock", made)
    account_cache.forget()
    return made


def reading(person: Person) -> tuple[int, str]:
    answer = api.get("/profile", token=person.token)
    return (200, "") if answer.status_code == 200 else problem(answer)


@pytest.mark.server
@pytest.mark.usefixtures("embedded_pool")
class TestAnAccount:
    def test_disabled_elsewhere_is_shut_out_within_the_window(self, clock: Clock) -> None:
        luis = sign_up("luis")
        assert reading(luis) == (200, "")
        Account.at(luis.id).update_attributes(Account.disabled.set(True))
        clock.at += 29
        assert reading(luis) == (200, "")
        clock.at += 2
        assert reading(luis) == OUT

    def test_removed_is_shut_out_within_the_window(self, clock: Clock) -> None:
        celia = sign_up("celia")
        assert reading(celia) == (200, "")
        Account.at(celia.id).delete()
        clock.at += 31
        assert reading(celia) == OUT

    def test_signed_out_everywhere_can_sign_in_anew_at_once(self) -> None:
        raul = sign_up("raul")
        assert api.post("/auth/logout-everywhere", token=raul.token).status_code == 204
        assert reading(raul) == OUT
        stale = api.post("/auth/refresh", {"refreshToken": raul.refresh_token})
        assert problem(stale) == (401, "INVALID_REFRESH_TOKEN")
        again = log_in(raul.email).json()
        assert api.get("/profile", token=again["accessToken"]).status_code == 200

    def test_disabled_in_the_table_cannot_sign_in_either(self) -> None:
        dora = sign_up("dora")
        Account.at(dora.id).update_attributes(Account.disabled.set(True))
        assert problem(log_in(dora.email)) == (401, "INVALID_CREDENTIALS")

    def test_has_a_trail_that_others_cannot_see(self) -> None:
        fabio, gisela = sign_up("fabio"), sign_up("gisela")
        trail = api.get("/auth/activity?limit=2", token=fabio.token).json()
        assert [line["action"] for line in trail["results"]] == ["signed_in", "email_verified"]
        rest = api.get(trail["next"], token=fabio.token).json()
        assert [line["action"] for line in rest["results"]] == ["signed_up"]
        assert rest["next"] is None
        assert problem(api.get(trail["next"], token=gisela.token)) == (400, "VALIDATION_ERROR")


def test_the_cache_of_accounts_has_a_bound() -> None:
    read: list[str] = []
    cache = AccountCache(read=read.append, clock=Clock(), most=3)
    for learner_id in ("ana", "ana", "bia", "caio", "duda", "ana"):
        assert cache.of(learner_id) is None
    assert read == ["ana", "bia", "caio", "duda", "ana"]


def test_a_caller_that_runs_wild_has_to_wait_for_its_bucket() -> None:
    clock = Clock()
    buckets = Buckets(per_s=2, burst=3, clock=clock)
    assert [buckets.wait_s("ana") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait_s("bia") == 0
    clock.at += 0.5
    assert [buckets.wait_s("ana") for _ in range(2)] == [0, 0.5]
    clock.at += 3600
    assert [buckets.wait_s("ana") > 0 for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("", ""),
    ],
)
def test_a_subscriber_counts_as_one_source(ip: str, network: str) -> None:
    assert ClientInfo(ip).network == network


def test_behind_api_gateway_the_source_is_what_the_gateway_says() -> None:
    environ = {
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_X_FORWARDED_FOR": "198.51.100.1",
        "HTTP_USER_AGENT": "phone\n" + "x" * 300,
        "apig_wsgi.request_context": {"identity": {"sourceIp": "203.0.113.7"}},
    }
    source = client_info_of(environ)
    assert source.ip == "203.0.113.7"
    assert source.agent == "phone" + "x" * 195
