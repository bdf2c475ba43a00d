"""The package that is deployed knows every call that accounts make."""

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from accounts.cognito import client as cognito_client
from accounts.cognito import users
from config import aws
from config.ops.pruning import OPERATIONS
from config.problems import Problem
from config.stack import BASE_DIR, Stack

CALL = re.compile(r'\b(?:call|as_admin|as_client|as_sign_up_client)\(\s*"(\w+)"')
EITHER = re.compile(r'"(admin_\w+)" if \w+ else "(admin_\w+)"')


def camel(operation: str) -> str:
    return "".join(word.title() for word in operation.split("_")).replace("Mfa", "MFA")


def test_botocore_knows_every_operation_on_the_pool_that_we_call() -> None:
    modules = (BASE_DIR / "accounts" / "cognito").glob("*.py")
    source = "\n".join(module.read_text() for module in modules)
    called = {*CALL.findall(source), *sum(EITHER.findall(source), ())}
    assert len(called) > 20
    assert {camel(operation) for operation in called} <= set(OPERATIONS["cognito-idp"])


def test_botocore_knows_what_mail_the_vault_and_deletions_call() -> None:
    assert "SendEmail" in OPERATIONS["sesv2"]
    assert {"Encrypt", "Decrypt"} <= set(OPERATIONS["kms"])
    assert "BatchWriteItem" in OPERATIONS["dynamodb"]


def test_a_deployed_process_asks_nobody_for_the_app_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many cold starts at once would use up the pool's quota of descriptions."""
    monkeypatch.setenv("PARLEY_CLIENT_SECRET", "of the app")
    monkeypatch.setenv("PARLEY_SIGN_UP_CLIENT_SECRET", "of sign-ups")
    monkeypatch.setenv("PARLEY_CALLBACK_URLS", "https://a.example/done https://b.example/done")
    monkeypatch.setenv("PARLEY_SIGN_IN_PROVIDERS", "COGNITO Google")
    monkeypatch.setattr(cognito_client, "_app_client", lambda *_: pytest.fail("Cognito was asked"))
    assert cognito_client.client_secret() == "of the app"
    assert cognito_client._sign_up_secret() == "of sign-ups"
    assert cognito_client.app_client() == cognito_client.AppClient(
        "of the app",
        frozenset({"https://a.example/done", "https://b.example/done"}),
        frozenset({"COGNITO", "Google"}),
    )


@pytest.mark.parametrize("state", ["UNCONFIRMED", "CONFIRMED", "FORCE_CHANGE_PASSWORD"])
@pytest.mark.parametrize(
    ("code", "status"), [("LimitExceededException", 429), ("CodeDeliveryFailureException", 503)]
)
def test_a_user_whose_code_was_not_mailed_is_removed_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch, moto_stack: Stack, code: str, status: int, state: str
) -> None:
    """Cognito has made the user by then: who tries again would find the address taken."""
    monkeypatch.setenv("PARLEY_SIGN_UP_CLIENT_SECRET", "of sign-ups")
    called: list[str] = []

    class Pool:
        def sign_up(self, **_: Any) -> Any:
            called.append("sign_up")
            raise ClientError({"Error": {"Code": code, "Message": "no mail"}}, "SignUp")

        def admin_get_user(self, **_: Any) -> Any:
            sub = [{"Name": "sub", "Value": "s1"}]
            described = {"UserStatus": state, "Enabled": True, "UserCreateDate": None}
            return described | {"UserAttributes": sub}

        def admin_delete_user(self, **_: Any) -> Any:
            called.append("admin_delete_user")
            return {}

    monkeypatch.setattr(aws, "client", lambda service: Pool())
    with pytest.raises(Problem) as raised:
        users.sign_up(email="a@b.example", password="x" * 12, first_name="Ana", last_name="Sá")
    assert raised.value.status == status
    removed = ["admin_delete_user"] if state == "UNCONFIRMED" else []
    assert called == ["sign_up", *removed]


def test_a_pool_that_takes_no_sign_ups_is_told_by_a_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, moto_stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    """So that the probe knows it, and says which setting is wrong."""
    monkeypatch.setenv("PARLEY_SIGN_UP_CLIENT_SECRET", "of sign-ups")
    with Stubber(aws.client("cognito-idp")) as stub:
        stub.add_client_error("sign_up", "NotAuthorizedException", "unauthorized attribute", 400)
        with pytest.raises(cognito_client.SignUpRefused) as raised:
            users.sign_up(email="a@b.example", password="x" * 12, first_name="Ana", last_name="Sá")
    assert (raised.value.status, raised.value.code) == (502, "SIGN_UP_REFUSED")
    [line] = [record for record in caplog.records if record.name == "parley.cognito"]
    assert line.__dict__["fields"] == {"operation": "sign_up", "code": "NotAuthorizedException"}
