"""Where a stage wants it, staff without a second step can only set it up."""

from typing import Any

import pytest

from accounts.models import Account
from tests.browsers import signed_in
from tests.callers import Caller, make_learner

REFUSED = (403, "SECOND_STEP_REQUIRED")


@pytest.fixture(autouse=True)
def required(settings: Any) -> None:
    settings.STAFF_SECOND_STEP = True


@pytest.fixture(params=["staff", "admin"])
def stefan(request: pytest.FixtureRequest, table: None) -> Caller:
    return make_learner("stefan", groups=(request.param,))


def turn_on(caller: Caller) -> None:
    """As another process does: this one has read the account already."""
    Account.at(caller.id).update_attributes(Account.mfa_enabled.set(True))


def answer_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize(
    "path", ["/users", "/profile", "/decks", "/scenarios", "/auth/activity", "/deliveries"]
)
def test_staff_without_one_read_nothing(stefan: Caller, path: str) -> None:
    assert answer_of(stefan.get(path)) == REFUSED


def test_staff_without_one_write_nothing(stefan: Caller) -> None:
    assert answer_of(stefan.post("/decks", {"name": "Verbos"})) == REFUSED
    assert answer_of(stefan.delete("/profile")) == REFUSED
    assert answer_of(stefan.post("/auth/mfa/disable", {"password": "x"})) == REFUSED


@pytest.mark.parametrize(
    "path", ["/auth/mfa/setup", "/auth/mfa/verify-setup", "/auth/password/change"]
)
def test_what_leads_to_one_is_open(stefan: Caller, path: str) -> None:
    answer = stefan.post(path, {"unknown": 1})
    assert answer_of(answer) == (400, "VALIDATION_ERROR")


def test_all_is_open_as_soon_as_there_is_one_whatever_process_was_asked(stefan: Caller) -> None:
    assert answer_of(stefan.get("/deliveries")) == REFUSED
    turn_on(stefan)
    assert stefan.get("/deliveries").status_code == 200
    assert stefan.get("/profile").status_code == 200


def test_learners_need_none(maria: Caller) -> None:
    assert maria.get("/profile").status_code == 200


def test_staff_need_none_where_the_stage_does_not_want_it(stefan: Caller, settings: Any) -> None:
    settings.STAFF_SECOND_STEP = False
    assert stefan.get("/deliveries").status_code == 200


@pytest.mark.parametrize("path", ["/browse", "/browse/users", "/browse/decks", "/browse/nowhere"])
def test_pages_lead_staff_to_the_set_up(stefan: Caller, path: str) -> None:
    browser = signed_in(stefan)
    answer = browser.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/browse/auth/mfa/setup")
    page = browser.get("/browse/auth/mfa/setup")
    assert page.status_code == 200
    assert "Staff need a second step here" in page.content.decode()
    turn_on(stefan)
    assert browser.get("/browse/decks").status_code == 200
    page = browser.get("/browse/auth/mfa/setup")
    assert "Staff need a second step here" not in page.content.decode()
