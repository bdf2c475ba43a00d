"""The package that is deployed knows every call that accounts make."""

import re

import pytest

from accounts.cognito import client as cognito_client
from config.ops.pruning import OPERATIONS
from config.stack import BASE_DIR

CALL = re.compile(r'\b(?:call|as_admin|as_client)\(\s*"(\w+)"')
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


def test_a_deployed_process_asks_nobody_for_the_app_clients_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many cold starts at once would use up the pool's quota of descriptions."""
    monkeypatch.setenv("PARLEY_CLIENT_SECRET", "of the app")
    monkeypatch.setattr(cognito_client, "app_client", lambda: pytest.fail("Cognito was asked"))
    assert cognito_client.client_secret() == "of the app"
