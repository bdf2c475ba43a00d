"""`manage.py load_demo`."""

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import now

from accounts.cognito import users as cognito_users
from accounts.front import ADMIN
from accounts.models import Account, Address
from accounts.services.enrolment import Newcomer, create_verified_user
from config import aws
from tests.accounts_helpers import PASSWORD, api, before_call, log_in, new_email, post_sign_up

pytestmark = [
    pytest.mark.server,
    pytest.mark.usefixtures("embedded_aws"),
    pytest.mark.xdist_group("sweeps"),  # one set of accounts, whose reminders a sweep would take
]


def load_demo() -> list[list[str]]:
    """The last two words of each line it prints: address and password."""
    output = io.StringIO()
    call_command("load_demo", stdout=output)
    return [line.split()[-2:] for line in output.getvalue().splitlines()]


def signed_in(email: str, password: str) -> Any:
    answer = log_in(email, password)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_the_accounts_it_prints_can_sign_in_and_study() -> None:
    learner, staff, admin = (signed_in(*account) for account in load_demo())
    assert (learner["user"]["emailVerified"], learner["user"]["groups"]) == (True, [])
    assert staff["user"]["groups"] == ["staff"]
    assert admin["user"]["groups"] == ["admin"]
    queue = api.get("/flashcards/due", token=learner["accessToken"]).json()
    assert queue["counts"]["new"] > 0


def test_the_learner_has_a_weekly_event_and_reminders_that_are_due_some_time() -> None:
    [learner, *_] = load_demo()
    token = signed_in(*learner)["accessToken"]
    occurrences = api.get("/events/occurrences", token=token).json()["results"]
    assert {each["title"] for each in occurrences} == {"Tertulia en español"}
    assert len(occurrences) >= 4
    reminders = api.get("/reminders", token=token).json()["results"]
    assert sorted(each["kind"] for each in reminders) == ["event", "study"]
    assert all(each["nextAt"] for each in reminders)


def test_a_second_time_changes_nothing() -> None:
    [learner, *_] = load_demo()
    token = signed_in(*learner)["accessToken"]
    paths = ("/profile", "/decks", "/flashcards", "/events", "/reminders")
    before = [api.get(path, token=token).json() for path in paths]
    assert load_demo()[0] == learner
    assert [api.get(path, token=token).json() for path in paths] == before


def test_a_card_and_an_event_that_were_deleted_do_not_come_back() -> None:
    [learner, *_] = load_demo()
    token = signed_in(*learner)["accessToken"]
    card = api.get("/flashcards", token=token).json()["results"][0]
    assert api.delete(f"/flashcards/{card['id']}", token=token).status_code == 204
    [event] = api.get("/events", token=token).json()["results"]
    assert api.delete(f"/events/{event['id']}", token=token).status_code == 204
    load_demo()
    assert api.get(f"/flashcards/{card['id']}", token=token).status_code == 404
    assert api.get("/events", token=token).json()["results"] == []


def test_it_refuses_a_stage_that_strangers_reach(settings: Any) -> None:
    settings.STAGE = "dev"
    with pytest.raises(CommandError, match="local runs"):
        load_demo()


class Crash(BaseException):
    """The process ends here."""


def test_an_enrolment_that_broke_off_is_finished() -> None:
    person = Newcomer(new_email("lucia"), PASSWORD, "Lucía", "Prieto")

    def crash() -> None:
        raise Crash

    pool = aws.client("cognito-idp")
    with before_call(pool, "AdminSetUserPassword", crash), pytest.raises(Crash):
        create_verified_user(person, groups=frozenset({"staff"}), now=now())
    address = Address.of(person.email)
    assert address is not None
    for _ in range(2):
        again = create_verified_user(person, groups=frozenset({"staff"}), now=now())
        assert (again.learner_id, again.replaced) == (address.learner_id, False)
    assert signed_in(person.email, PASSWORD)["user"]["groups"] == ["staff"]
    account = Account.of(again.learner_id)
    assert account is not None
    assert account.email_verified


def test_a_stranger_who_signed_up_with_a_demo_address_does_not_become_an_admin() -> None:
    load_demo()
    found = Address.of(ADMIN.email)
    assert found is not None
    assert found.learner_id is not None
    cognito_users.delete_user(found.learner_id)
    Account.at(found.learner_id).delete()
    found.delete()
    assert post_sign_up(ADMIN.email, "estranho-azul-9").status_code == 201
    load_demo()
    assert log_in(ADMIN.email, "estranho-azul-9").status_code == 401
    [_, _, admin] = load_demo()
    assert signed_in(*admin)["user"]["groups"] == ["admin"]
