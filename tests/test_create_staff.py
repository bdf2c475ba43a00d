"""`manage.py create_staff`: only who has proved an address works as staff under it."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.cognito import users as cognito_users
from accounts.models import Account, Address
from config import aws
from config.stack import stack
from config.store.connection import connection
from tests.accounts_helpers import (
    PASSWORD,
    api,
    before_call,
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
from tests.crashes import Crash, crash_before
from tests.waiting import later_by

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_pool")]

STRANGERS = "estranho-azul-9"
MOST_CALLS = 60  # of one run of the command, many times more than it makes


def create_staff(*arguments: str) -> str:
    output = StringIO()
    call_command("create_staff", *arguments, stdout=output)
    return output.getvalue()


def pool() -> Any:
    return aws.client("cognito-idp")


def store() -> Any:
    return connection().connection.client


def in_pool(operation: str, username: str, **arguments: Any) -> Any:
    call = getattr(pool(), operation)
    return call(UserPoolId=stack().user_pool_id, Username=username, **arguments)


def squat(name: str) -> tuple[str, str]:
    """An address, and the id of a stranger who has signed up with it."""
    email = new_email(name)
    return email, sign_up_unproved(email)["userId"]


def sign_up_unproved(email: str) -> Any:
    answer = post_sign_up(email, STRANGERS)
    assert answer.status_code == 201
    return answer.json()


def set_password(email: str, password: str = PASSWORD) -> None:
    body = {"email": email, "code": mailed_code(email), "newPassword": password}
    assert api.post("/auth/password/reset-confirm", body).status_code == 200


def browse_login(email: str, password: str) -> Any:
    browser = Browser()
    login = browser.get("/browse").headers["Location"]
    return browser.send(browser.form(login, sends="email"), email=email, password=password)


def test_a_stranger_who_signed_up_first_does_not_become_admin() -> None:
    email, stranger = squat("boss")
    strangers_code = mailed_code(email)
    output = create_staff(email, "--admin")
    assert "that account is removed" in output
    assert f"{email} is admin." in output
    assert "code to set a password was mailed" in output
    assert problem(log_in(email, STRANGERS)) == (401, "INVALID_CREDENTIALS")
    assert b"/browse" not in browse_login(email, STRANGERS).headers.get("Location", "").encode()
    verify = api.post("/auth/verify-email", {"email": email, "code": strangers_code})
    assert problem(verify) == (400, "INVALID_CODE")
    assert cognito_users.find_user(stranger) is None
    gone = Account.of(stranger)
    assert gone is not None
    assert (gone.disabled, gone.email) == (True, "")
    set_password(email)
    user = log_in(email).json()["user"]
    assert (user["groups"], user["emailVerified"]) == (["admin"], True)
    assert user["firstName"] == "Staff"  # not what the stranger said
    assert user["userId"] != stranger
    assert problem(log_in(email, STRANGERS)) == (401, "INVALID_CREDENTIALS")
    assert browse_login(email, PASSWORD).headers["Location"] == "/browse"


def test_a_crash_before_any_call_is_mended_by_the_next_run() -> None:
    for nth in range(1, MOST_CALLS):
        email, stranger = squat(f"boss{nth}")
        try:
            with crash_before(nth) as calls:
                create_staff(email, "--admin")
        except Crash:
            pass
        else:
            break
        assert log_in(email, STRANGERS).status_code in (401, 403), calls
        left = cognito_users.find_user(stranger)
        assert left is None or cognito_users.groups_of(stranger) == frozenset(), calls
        with later_by(timedelta(seconds=61)):
            assert f"{email} is admin." in create_staff(email, "--admin"), calls
        set_password(email)
        assert log_in(email).json()["user"]["groups"] == ["admin"], calls
        assert log_in(email, STRANGERS).status_code == 401, calls
        account = Account.of(log_in(email).json()["user"]["userId"])
        assert account is not None
        assert not account.enrolling, calls
    assert {"AdminDeleteUser", "AdminCreateUser", "AdminAddUserToGroup", "ForgotPassword"} <= set(
        calls
    )
    assert nth > 15


@pytest.mark.parametrize("operation", ["AdminDeleteUser", "AdminCreateUser"])
def test_a_stranger_who_signs_up_meanwhile_is_refused(operation: str) -> None:
    email, _ = squat("boss")
    answers = []

    def intrude() -> None:
        answers.append(post_sign_up(email, STRANGERS))

    with before_call(pool(), operation, intrude):
        create_staff(email, "--admin")
    assert {problem(answer) for answer in answers} == {(409, "USER_ALREADY_EXISTS")}
    assert problem(log_in(email, STRANGERS)) == (401, "INVALID_CREDENTIALS")


def test_a_stranger_who_signs_up_at_the_beginning_is_replaced_by_the_next_run() -> None:
    email, _ = squat("boss")
    answers: list[Any] = []

    def intrude() -> None:
        if not answers:
            answers.append(None)
            answers[0] = post_sign_up(email, STRANGERS)

    with before_call(pool(), "AdminGetUser", intrude), pytest.raises(CommandError, match="repeat"):
        create_staff(email, "--admin")
    assert answers[0].status_code == 201
    assert "that account is removed" in create_staff(email, "--admin")
    assert problem(log_in(email, STRANGERS)) == (401, "INVALID_CREDENTIALS")
    strangers = cognito_users.find_user(answers[0].json()["userId"])
    assert strangers is None


def test_a_sign_up_under_way_is_waited_for_and_then_replaced() -> None:
    email = new_email("boss")
    said: list[str] = []

    def employ() -> None:
        with pytest.raises(CommandError, match="repeat it in a minute") as refused:
            create_staff(email, "--admin")
        said.append(str(refused.value))

    with before_call(pool(), "SignUp", employ):
        assert post_sign_up(email, STRANGERS).status_code == 201
    assert len(said) == 1
    assert "that account is removed" in create_staff(email, "--admin")
    assert problem(log_in(email, STRANGERS)) == (401, "INVALID_CREDENTIALS")


def test_an_owner_who_proves_the_address_meanwhile_is_not_removed() -> None:
    email, looked = new_email("boss"), 0
    signed_up = sign_up_unproved(email)

    def prove() -> None:
        nonlocal looked
        looked += 1
        if looked == 1:
            verify_email(email, signed_up["verificationToken"])

    with before_call(store(), "UpdateItem", prove), pytest.raises(CommandError, match="repeat"):
        create_staff(email, "--admin")
    assert log_in(email, STRANGERS).json()["user"]["userId"] == signed_up["userId"]


def test_the_first_admin_comes_from_the_command_line() -> None:
    email = new_email("leticia")
    assert f"{email} is admin." in create_staff(email.upper(), "--admin")
    set_password(email)
    assert log_in(email).json()["user"]["groups"] == ["admin"]


def test_a_second_run_changes_and_mails_nothing() -> None:
    email = new_email("leonel")
    create_staff(email)
    mails, address = subjects_mailed(email), Address.of(email)
    assert len(mails) == 1
    assert address is not None
    assert address.learner_id is not None
    set_password(email)
    mails = subjects_mailed(email)
    output = create_staff(email)
    assert f"{email} is staff." in output
    assert "was mailed" not in output
    assert subjects_mailed(email) == mails
    answer = log_in(email).json()
    assert answer["user"]["userId"] == address.learner_id
    trail = api.get("/auth/activity", token=answer["accessToken"]).json()["results"]
    assert [line["action"] for line in trail].count("groups_changed") == 1


def test_a_learner_can_become_staff_and_keeps_the_password() -> None:
    marcio = sign_up("marcio")
    mails = subjects_mailed(marcio.email)
    assert "is staff." in create_staff(marcio.email)
    create_staff(marcio.email)
    assert subjects_mailed(marcio.email) == mails
    signed_in = log_in(marcio.email).json()
    assert signed_in["user"]["groups"] == ["staff"]
    assert signed_in["user"]["userId"] == marcio.id
    trail = api.get("/auth/activity", token=signed_in["accessToken"]).json()["results"]
    changes = [line["byStaff"] for line in trail if line["action"] == "groups_changed"]
    assert changes == [True]  # the second time changed nothing


def test_a_user_invited_in_the_console_gets_an_account_and_stays() -> None:
    email = new_email("norberto")
    made = pool().admin_create_user(
        UserPoolId=stack().user_pool_id,
        Username=email,
        UserAttributes=[{"Name": "email", "Value": email}],
        TemporaryPassword="provisoria-1",
        MessageAction="SUPPRESS",
    )
    [sub] = [a["Value"] for a in made["User"]["Attributes"] if a["Name"] == "sub"]
    create_staff(email)
    set_password(email)
    user = log_in(email).json()["user"]
    assert (user["userId"], user["groups"]) == (sub, ["staff"])


def test_a_user_of_the_console_who_has_a_password_is_refused_and_stays() -> None:
    email = new_email("olivia")
    sub = cognito_users.create_user(email=email, first_name="Olívia", last_name="Reis")
    cognito_users.set_password(sub, PASSWORD)
    cognito_users.add_to_group(sub, "admin")
    with pytest.raises(CommandError, match=r"no account belongs to it\. Nothing was changed"):
        create_staff(email)
    assert problem(post_sign_up(email, STRANGERS)) == (409, "USER_ALREADY_EXISTS")
    assert cognito_users.groups_of(sub) == {"admin"}


def test_a_sign_up_confirmed_in_the_console_proves_nothing() -> None:
    email, stranger = squat("paulina")
    in_pool("admin_confirm_sign_up", stranger)
    assert log_in(email, STRANGERS).json()["user"]["emailVerified"] is False
    with pytest.raises(CommandError, match="The table and the pool disagree"):
        create_staff(email, "--admin")
    assert cognito_users.groups_of(stranger) == frozenset()


def test_a_verification_that_was_cut_off_after_the_pool_counts() -> None:
    email, owner = squat("quirina")
    in_pool("admin_confirm_sign_up", owner)
    cognito_users.vouch_for_email(owner)  # as Cognito does by the right code
    assert "is staff." in create_staff(email)
    assert log_in(email, STRANGERS).json()["user"]["groups"] == ["staff"]


def test_a_password_that_has_to_be_reset_stays_so() -> None:
    rosa = sign_up("rosa")
    in_pool("admin_reset_user_password", rosa.id)
    create_staff(rosa.email)
    user = cognito_users.find_user(rosa.id)
    assert user is not None
    assert user.status == "RESET_REQUIRED"
    assert cognito_users.groups_of(rosa.id) == {"staff"}


def test_an_account_whose_user_is_gone_from_the_pool_is_named() -> None:
    silvio = sign_up("silvio")
    cognito_users.delete_user(silvio.id)
    with pytest.raises(CommandError, match="the pool has no such user"):
        create_staff(silvio.email)


def test_the_command_refuses_what_is_no_address() -> None:
    with pytest.raises(CommandError, match="no e-mail address"):
        create_staff("not an address")
