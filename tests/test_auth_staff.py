"""/users: staff see and change accounts, and learners may not."""

from typing import Any
from urllib.parse import urlencode

import pyotp
import pytest
from botocore.exceptions import EndpointConnectionError

from accounts.cognito import users as cognito_users
from accounts.cognito.users import members_of
from accounts.models import Account, Activity, Address, learner_key
from config import aws
from config.stack import Stack
from config.store.items import raw_partition_page
from tests.accounts_helpers import (
    PASSWORD,
    Person,
    api,
    before_call,
    log_in,
    mailed_code,
    new_email,
    post_sign_up,
    problem,
    sign_up,
    subjects_mailed,
)
from tests.browsers import Browser
from tests.wire import table_client

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_pool")]

DENIED = (403, "PERMISSION_DENIED")


def employ(name: str, group: str) -> Person:
    person = sign_up(name)
    cognito_users.add_to_group(person.id, group)
    token = log_in(person.email).json()["accessToken"]
    return Person(person.id, person.email, PASSWORD, token, person.refresh_token)


@pytest.fixture(scope="module")
def admin(embedded_pool: Stack) -> Person:
    return employ("amalia", "admin")


@pytest.fixture(scope="module")
def clerk(embedded_pool: Stack) -> Person:
    return employ("baltasar", "staff")


def user(person: Person, by: Person) -> Any:
    return api.get(f"/users/{person.id}", token=by.token)


def change(person: Person, by: Person, **changes: Any) -> Any:
    return api.patch(f"/users/{person.id}", changes, token=by.token)


def test_learners_see_nobody_and_staff_change_nobody(clerk: Person) -> None:
    cora, dario = sign_up("cora"), sign_up("dario")
    for answer in (
        api.get("/users", token=cora.token),
        user(cora, cora),
        user(dario, cora),
        change(dario, cora, disabled=True),
        api.post(f"/users/{dario.id}/reset-mfa", token=cora.token),
        change(dario, clerk, disabled=True),
        change(dario, clerk, groups=["admin"]),
        change(clerk, clerk, groups=["admin"]),
        api.post(f"/users/{dario.id}/reset-mfa", token=clerk.token),
    ):
        assert problem(answer) == DENIED
    assert problem(api.get("/users")) == (401, "NOT_AUTHENTICATED")


def find(email: str, by: Person) -> Any:
    query = urlencode({"email": email} if email else {})
    return api.get(f"/users?{query}", token=by.token)


def test_staff_find_a_learner_by_the_whole_address_alone(clerk: Person, admin: Person) -> None:
    eliza = sign_up("eliza")
    found = find(eliza.email.upper(), clerk).json()
    assert [row["id"] for row in found["results"]] == [eliza.id]
    assert found["next"] is None
    row = user(eliza, clerk).json()
    assert (row["email"], row["firstName"], row["groups"]) == (eliza.email, "Eliza", [])
    beginning = eliza.email.partition("@")[0]
    refused = find(beginning, clerk)
    assert problem(refused) == (400, "VALIDATION_ERROR")
    assert [error["field"] for error in refused.json()["errors"]] == ["email"]
    for nobody in ("", f"{beginning}@", eliza.email.removesuffix("g"), new_email("eliza")):
        assert find(nobody, clerk).json() == {"results": [], "next": None}
    assert [row["id"] for row in find(beginning, admin).json()["results"]] == [eliza.id]


def deeds(member: Person) -> list[tuple[str, str]]:
    """What a member of staff did, by their own trail, the latest first."""
    own = api.get("/auth/activity?limit=20", token=member.token).json()["results"]
    return [(line["action"], line["target"]) for line in own if line["target"]]


def test_every_look_at_a_learner_is_in_both_trails(admin: Person, clerk: Person) -> None:
    elias = sign_up("elias")
    target = f"users/{elias.id}"
    looks = [
        (clerk, lambda: find(elias.email, clerk), ("user_viewed", target)),
        (clerk, lambda: user(elias, clerk), ("user_viewed", target)),
        (clerk, lambda: find(new_email("nobody"), clerk), ("users_listed", "users")),
        (admin, lambda: find("", admin), ("users_listed", "users")),
        (
            admin,
            lambda: api.get(f"/{target}/activity", token=admin.token),
            ("activity_viewed", target),
        ),
    ]
    for member, look, line in looks:
        before = deeds(member)[:10]
        assert look().status_code == 200
        assert deeds(member)[:11] == [line, *before]
    seen = api.get("/auth/activity", token=elias.token).json()["results"]
    of_staff = [line["action"] for line in seen if line["byStaff"]]
    assert of_staff == ["activity_viewed", "user_viewed", "user_viewed"]


def test_a_look_that_cannot_be_written_down_shows_nothing(clerk: Person) -> None:
    elisa = sign_up("elisa")

    def down() -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    with before_call(table_client(), "TransactWriteItems", down):
        for answer in (find(elisa.email, clerk), user(elisa, clerk)):
            assert problem(answer) == (503, "SERVICE_UNAVAILABLE")
            assert elisa.email not in answer.content.decode()


def test_the_list_of_admins_is_paged_by_address(admin: Person) -> None:
    people = sorted(sign_up(f"pagina{n}").email for n in range(3))
    seen: list[str] = []
    address = "/users?email=pagina&limit=2"
    while address:
        body = api.get(address, token=admin.token).json()
        assert len(body["results"]) <= 2
        seen += [row["email"] for row in body["results"]]
        address = body["next"]
    assert seen == sorted(seen)
    assert set(people) <= set(seen)


def test_a_user_who_is_not_there_is_404(clerk: Person) -> None:
    answer = api.get("/users/00000000-0000-4000-8000-000000000000", token=clerk.token)
    assert problem(answer) == (404, "NOT_FOUND")


def test_a_disabled_learner_is_out_at_once_and_told_nothing(admin: Person) -> None:
    flavia = sign_up("flavia")
    assert change(flavia, admin, disabled=True).json()["disabled"] is True
    assert problem(api.get("/profile", token=flavia.token)) == (401, "NOT_AUTHENTICATED")
    stale = api.post("/auth/refresh", {"refreshToken": flavia.refresh_token})
    assert problem(stale) == (401, "INVALID_REFRESH_TOKEN")
    wrong = log_in(flavia.email, "not-the-password")
    right = log_in(flavia.email)
    unknown = log_in(new_email("nobody"))
    assert {problem(a) for a in (wrong, right, unknown)} == {(401, "INVALID_CREDENTIALS")}
    bodies = [{**a.json(), "requestId": ""} for a in (wrong, right, unknown)]
    assert bodies[0] == bodies[1] == bodies[2]
    assert list(wrong.headers) == list(right.headers) == list(unknown.headers)
    assert change(flavia, admin, disabled=False).json()["disabled"] is False
    assert log_in(flavia.email).status_code == 200


def test_a_change_of_groups_counts_at_once(admin: Person) -> None:
    graca = sign_up("graca")
    assert change(graca, admin, groups=["staff"]).json()["groups"] == ["staff"]
    assert problem(api.get("/users", token=graca.token)) == (401, "NOT_AUTHENTICATED")
    token = log_in(graca.email).json()["accessToken"]
    assert api.get(f"/users?email={graca.email}", token=token).status_code == 200
    assert change(graca, admin, groups=[]).json()["groups"] == []
    assert problem(api.get("/users", token=token)) == (401, "NOT_AUTHENTICATED")


def test_a_refresh_in_the_second_of_a_change_of_groups_gives_a_token_that_works(
    admin: Person,
) -> None:
    helena = sign_up("helena")
    for groups in (["staff"], []):
        assert change(helena, admin, groups=groups).status_code == 200
        answer = api.post("/auth/refresh", {"refreshToken": helena.refresh_token})
        assert answer.status_code == 200
        profile = api.get("/profile", token=answer.json()["accessToken"])
        assert (profile.status_code, profile.json()["groups"]) == (200, groups)


def test_what_staff_did_is_in_the_learners_trail(admin: Person) -> None:
    heitor = sign_up("heitor")
    change(heitor, admin, disabled=True)
    change(heitor, admin, disabled=False)
    token = log_in(heitor.email).json()["accessToken"]
    trail = api.get("/auth/activity", token=token).json()["results"]
    assert [(line["action"], line["byStaff"]) for line in trail][1:3] == [
        ("enabled", True),
        ("disabled", True),
    ]
    assert Activity.newest(f"users/{heitor.id}", limit=2).items[1].actor == admin.id
    assert admin.id not in str(trail)


def test_what_an_admin_did_is_in_their_own_trail_too_and_for_admins_to_read(
    admin: Person, clerk: Person
) -> None:
    raul = sign_up("raul")
    change(raul, admin, disabled=True, groups=["staff"])
    change(raul, admin, disabled=True, groups=["staff"])  # which changes nothing
    own = api.get("/auth/activity?limit=100", token=admin.token).json()["results"]
    target = f"users/{raul.id}"
    deeds = [line for line in own if line["target"] == target]
    assert sorted(line["action"] for line in deeds) == ["disabled", "groups_changed"]
    assert all(line["ip"] and not line["byStaff"] for line in deeds)
    path = f"/users/{raul.id}/activity"
    lines = api.get(path, token=admin.token).json()["results"]
    by_admin = [line for line in lines if line["actor"] == admin.id]
    assert [line["action"] for line in by_admin] == ["groups_changed", "disabled"]
    assert {line["ip"] for line in by_admin} == {""}  # where staff sit is no learner's business
    assert [line["actor"] for line in lines if line["action"] == "signed_up"] == [""]
    assert problem(api.get(path, token=clerk.token)) == DENIED
    assert problem(api.get(path, token=sign_up("sara").token)) == DENIED


def test_groups_that_a_cut_off_request_has_set_still_void_older_tokens(admin: Person) -> None:
    tadeu = sign_up("tadeu")
    cognito_users.add_to_group(tadeu.id, "staff")  # and then the process ended
    assert change(tadeu, admin, groups=["staff"]).status_code == 200
    assert problem(api.get("/profile", token=tadeu.token)) == (401, "NOT_AUTHENTICATED")


def test_a_shut_that_was_cut_off_before_the_pool_is_completed_when_sent_again(
    admin: Person,
) -> None:
    urbana = sign_up("urbana")

    def down() -> None:
        raise EndpointConnectionError(endpoint_url="https://cognito")

    with before_call(aws.client("cognito-idp"), "AdminDisableUser", down):
        assert change(urbana, admin, disabled=True).status_code == 503
    assert change(urbana, admin, disabled=True).status_code == 200
    stale = api.post("/auth/refresh", {"refreshToken": urbana.refresh_token})
    assert problem(stale) == (401, "INVALID_REFRESH_TOKEN")
    cognito_users.set_enabled(urbana.id, enabled=True)
    change(urbana, admin, disabled=False)
    cognito_users.set_enabled(urbana.id, enabled=False)  # a shut that came last, of another admin
    assert change(urbana, admin, disabled=False).status_code == 200
    assert log_in(urbana.email).status_code == 200


def test_a_shut_account_that_is_opened_again_has_none_of_its_old_tokens(admin: Person) -> None:
    xenia = sign_up("xenia")
    assert change(xenia, admin, disabled=True).status_code == 200
    assert change(xenia, admin, disabled=False).status_code == 200
    assert problem(api.get("/profile", token=xenia.token)) == (401, "NOT_AUTHENTICATED")
    stale = api.post("/auth/refresh", {"refreshToken": xenia.refresh_token})
    assert problem(stale) == (401, "INVALID_REFRESH_TOKEN")
    again = log_in(xenia.email).json()
    assert api.get("/profile", token=again["accessToken"]).status_code == 200


def test_a_shut_that_was_cut_off_before_the_pool_leaves_no_refresh_token_when_opened(
    admin: Person,
) -> None:
    zeno = sign_up("zeno")

    def down() -> None:
        raise EndpointConnectionError(endpoint_url="https://cognito")

    with before_call(aws.client("cognito-idp"), "AdminDisableUser", down):
        assert change(zeno, admin, disabled=True).status_code == 503
    assert change(zeno, admin, disabled=False).status_code == 200
    stale = api.post("/auth/refresh", {"refreshToken": zeno.refresh_token})
    assert problem(stale) == (401, "INVALID_REFRESH_TOKEN")


def test_nobody_changes_their_own_account_here(admin: Person) -> None:
    for answer in (
        change(admin, admin, groups=[]),
        change(admin, admin, disabled=True),
        api.post(f"/users/{admin.id}/reset-mfa", token=admin.token),
    ):
        assert problem(answer) == (409, "CANNOT_CHANGE_YOURSELF")


def test_a_lost_second_step_is_reset_and_the_learner_told(admin: Person) -> None:
    iris = sign_up("iris")
    secret = api.post("/auth/mfa/setup", {"password": PASSWORD}, token=iris.token).json()["secret"]
    code = pyotp.TOTP(secret).now()
    api.post("/auth/mfa/verify-setup", {"code": code}, token=iris.token)
    assert "sessionToken" in log_in(iris.email).json()
    answer = api.post(f"/users/{iris.id}/reset-mfa", token=admin.token)
    assert answer.json()["mfaEnabled"] is False
    assert "accessToken" in log_in(iris.email).json()
    assert "Two-step sign-in was reset" in subjects_mailed(iris.email)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("disabled", "yes"),
        ("groups", ["root"]),
        ("groups", "admin"),
        ("groups", ["staff", "admin", "staff"]),
        ("email", "else@example.org"),
    ],
)
def test_a_field_out_of_its_bounds_is_named(admin: Person, field: str, value: Any) -> None:
    answer = change(sign_up("jaime"), admin, **{field: value})
    assert problem(answer) == (400, "VALIDATION_ERROR")
    assert answer.json()["errors"][0]["field"].startswith(field)


def remove(person: Person, by: Person, password: str | None = PASSWORD) -> Any:
    body = {} if password is None else {"password": password}
    return api.delete(f"/users/{person.id}", body, token=by.token)


class TestADeletionByAnAdmin:
    def test_takes_the_account_with_all_that_is_in_it_and_tells_the_learner(
        self, admin: Person
    ) -> None:
        leonor = sign_up("leonor")
        assert api.post("/decks", {"name": "Meu"}, token=leonor.token).status_code == 201
        assert remove(leonor, admin).status_code == 204
        assert problem(api.get("/profile", token=leonor.token)) == (401, "NOT_AUTHENTICATED")
        assert problem(log_in(leonor.email)) == (401, "INVALID_CREDENTIALS")
        assert cognito_users.find_user(leonor.id) is None
        assert Address.of(leonor.email) is None
        left = raw_partition_page(learner_key(leonor.id)).items
        assert [item["sk"]["S"] for item in left] == [Account.SK]
        assert subjects_mailed(leonor.email)[-1] == "Your account was deleted"
        assert deeds(admin)[0] == ("account_deleted", f"users/{leonor.id}")
        assert problem(remove(leonor, admin)) == (404, "NOT_FOUND")
        assert post_sign_up(leonor.email).status_code == 201

    def test_takes_the_admins_own_password(self, admin: Person) -> None:
        livia = sign_up("livia")
        assert problem(remove(livia, admin, "not-the-password")) == (401, "INVALID_CREDENTIALS")
        assert problem(remove(livia, admin, None)) == (400, "VALIDATION_ERROR")
        assert api.get("/profile", token=livia.token).status_code == 200

    def test_is_for_admins_and_not_for_their_own_account(
        self, admin: Person, clerk: Person
    ) -> None:
        lucas = sign_up("lucas")
        assert problem(remove(lucas, clerk)) == DENIED
        assert problem(remove(lucas, lucas)) == DENIED
        assert problem(remove(admin, admin)) == (409, "CANNOT_CHANGE_YOURSELF")

    def test_takes_an_account_whose_user_was_deleted_in_the_console(self, admin: Person) -> None:
        luisa = sign_up("luisa")
        cognito_users.delete_user(luisa.id)
        assert remove(luisa, admin).status_code == 204
        assert Address.of(luisa.email) is None

    def test_is_had_at_the_staff_pages_too(self, admin: Person) -> None:
        lidia = sign_up("lidia")
        browser = Browser()
        login = browser.get("/browse").headers["Location"]
        browser.send(browser.form(login, sends="email"), email=admin.email, password=PASSWORD)
        form = browser.form(f"/browse/users/{lidia.id}", sends="password")
        assert browser.send(form, password=PASSWORD).status_code == 303
        assert problem(user(lidia, admin)) == (404, "NOT_FOUND")


def test_the_only_admin_who_can_sign_in_cannot_leave(
    admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    marta, nadir = employ("marta", "admin"), employ("nadir", "admin")
    everybody = cognito_users.members_of("admin")
    others = {member.sub for member in everybody} - {marta.id, nadir.id}
    monkeypatch.setattr(  # other tests have admins of their own
        cognito_users,
        "members_of",
        lambda group: [m for m in members_of(group) if m.sub not in others],
    )
    assert change(nadir, marta, disabled=True).status_code == 200
    leave = {"password": PASSWORD}
    assert problem(api.delete("/profile", leave, token=marta.token)) == (409, "LAST_ADMIN")
    assert api.get("/profile", token=marta.token).status_code == 200
    assert change(nadir, marta, disabled=False).status_code == 200
    assert api.delete("/profile", leave, token=marta.token).status_code == 204


def test_a_learner_who_has_left_is_in_no_list(clerk: Person) -> None:
    karim = sign_up("karim")
    api.delete("/profile", {"password": PASSWORD}, token=karim.token)
    assert problem(user(karim, clerk)) == (404, "NOT_FOUND")
    found = api.get(f"/users?email={karim.email}", token=clerk.token).json()
    assert found["results"] == []


def test_a_group_waits_until_the_address_is_proved(admin: Person) -> None:
    email = new_email("narciso")
    learner_id = post_sign_up(email).json()["userId"]
    unproved = Person(learner_id, email, PASSWORD, "", "")
    refused = change(unproved, admin, groups=["staff"], disabled=True)
    assert problem(refused) == (409, "ADDRESS_NOT_PROVED")
    row = user(unproved, admin).json()
    assert (row["groups"], row["disabled"]) == ([], False)
    assert change(unproved, admin, groups=[]).status_code == 200
    api.post("/auth/verify-email", {"email": email, "code": mailed_code(email)})
    assert change(unproved, admin, groups=["staff"]).json()["groups"] == ["staff"]
