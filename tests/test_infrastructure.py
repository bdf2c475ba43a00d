"""The template of all stages: valid, and its table's indexes as they were first made."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from accounts.services.mailed_code import LASTS
from config.ops import cloudformation
from config.stack import BASE_DIR, Stack
from config.store import items
from config.store.connection import SCHEMA

FIRST_INDEXES = {
    "LocalSecondaryIndexes": [
        ("lsi1", "pk", "lsi1"),
        ("lsi2", "pk", "lsi2"),
        ("lsi3", "pk", "lsi3"),
        ("lsi4", "pk", "lsi4"),
        ("lsi5", "pk", "lsi5"),
    ],
    "GlobalSecondaryIndexes": [("gsi1", "gsi1pk", "gsi1sk")],
}
FIRST_PROJECTIONS: dict[str, list[tuple[str, list[str] | None]]] = {
    "LocalSecondaryIndexes": [
        ("INCLUDE", ["kind", "d", "m"]),
        ("INCLUDE", ["kind", "m"]),
        ("KEYS_ONLY", None),
        ("ALL", None),
        ("KEYS_ONLY", None),
    ],
    "GlobalSecondaryIndexes": [("ALL", None)],
}
NEVER = (
    "Local secondary indexes can be given to a table at its creation only, and a table that is "
    "made anew has lost its learners' work. Use one of the five that are there (they are sparse: "
    "an unused one costs nothing), or add a global index."
)


def read(path: Path) -> Any:
    """Reads a template with cfn-lint, which takes longer to import than all of Parley."""
    from cfnlint.decode.decode import decode_str

    found, faults = decode_str(path.read_text())
    assert not faults
    return found


@pytest.fixture(scope="module")
def template() -> Any:
    return read(cloudformation.TEMPLATE)


@pytest.fixture
def properties(template: Any) -> Any:
    return template["Resources"]["Table"]["Properties"]


@pytest.mark.slow
@pytest.mark.parametrize("path", [cloudformation.TEMPLATE, cloudformation.WATCH_TEMPLATE])
def test_the_templates_have_nothing_that_cfn_lint_would_warn_of(path: Path) -> None:
    from cfnlint.api import lint_file

    assert lint_file(path) == []


def test_google_writes_what_the_client_may_write_and_never_the_address(template: Any) -> None:
    """Cognito writes mapped attributes with the client's right, which access tokens share."""
    google = read(cloudformation.WATCH_TEMPLATE)["Resources"]["Google"]["Properties"]
    mapped = set(google["AttributeMapping"])
    client = template["Resources"]["Client"]["Properties"]
    assert mapped <= set(client["WriteAttributes"])
    assert mapped <= set(client["ReadAttributes"])
    assert not {"email", "email_verified"} & set(client["WriteAttributes"])


def test_the_hosted_ui_takes_no_passwords(template: Any) -> None:
    client = template["Resources"]["Client"]["Properties"]
    _, offered, else_none = client["SupportedIdentityProviders"]["Fn::If"]
    assert (offered, else_none) == (["Google"], {"Ref": "AWS::NoValue"})
    assert client["AllowedOAuthFlowsUserPoolClient"] == {"Fn::If": ["OffersGoogle", True, False]}


def test_every_alarm_tells_somebody_and_every_board_is_readable() -> None:
    resources = read(cloudformation.WATCH_TEMPLATE)["Resources"]
    alarms = [r for r in resources.values() if r["Type"] == "AWS::CloudWatch::Alarm"]
    assert len(alarms) >= 8
    for alarm in alarms:
        assert alarm["Properties"]["AlarmActions"] == [{"Ref": "Alarms"}]
        assert alarm["Properties"]["AlarmDescription"]
    board = json.loads(resources["Board"]["Properties"]["DashboardBody"]["Fn::Sub"])
    assert {widget["type"] for widget in board["widgets"]} == {"metric", "log"}


@pytest.mark.parametrize(("kind", "first"), FIRST_INDEXES.items())
def test_the_indexes_are_those_the_table_was_created_with(
    properties: Any, kind: str, first: list[tuple[str, str, str]]
) -> None:
    found = [
        (index["IndexName"], *(key["AttributeName"] for key in index["KeySchema"]))
        for index in properties[kind]
    ]
    assert found == first, NEVER
    held = [
        (index["Projection"]["ProjectionType"], index["Projection"].get("NonKeyAttributes"))
        for index in properties[kind]
    ]
    assert held == FIRST_PROJECTIONS[kind], NEVER


def test_the_models_know_the_same_keys_and_indexes_as_the_template(properties: Any) -> None:
    for kind in FIRST_INDEXES:
        made = [{k: index[k] for k in ("IndexName", "KeySchema")} for index in properties[kind]]
        assert made == SCHEMA[kind]
    assert properties["KeySchema"] == SCHEMA["KeySchema"]
    assert properties["AttributeDefinitions"] == SCHEMA["AttributeDefinitions"]


def test_old_items_expire_and_the_table_can_be_set_back(properties: Any) -> None:
    assert properties["TimeToLiveSpecification"] == {
        "AttributeName": cloudformation.TTL_ATTRIBUTE,
        "Enabled": True,
    }
    assert hasattr(items.Item, cloudformation.TTL_ATTRIBUTE)
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


@pytest.mark.parametrize("name", ["Table", "UserPool", "Key", "MailIdentity", "MediaBucket"])
def test_what_cannot_be_made_again_outlives_the_stack(template: Any, name: str) -> None:
    """A stack whose creation failed leaves nothing, so that the next one finds its names free."""
    resource = template["Resources"][name]
    assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    assert resource["UpdateReplacePolicy"] == "Retain"


def test_no_protection_blocks_the_rollback_of_a_failed_creation(template: Any) -> None:
    assert template["Parameters"]["Protected"]["Default"] == "false"
    table, pool = (template["Resources"][name]["Properties"] for name in ("Table", "UserPool"))
    assert table["DeletionProtectionEnabled"] == {"Fn::If": ["IsProtected", True, False]}
    assert pool["DeletionProtection"] == {"Fn::If": ["IsProtected", "ACTIVE", "INACTIVE"]}


def test_a_stack_can_do_without_the_mail_identity_of_another(template: Any) -> None:
    """SES has one identity for a domain: a second stack that makes it is refused."""
    assert template["Resources"]["MailIdentity"]["Condition"] == "OwnsIdentity"
    rest = {name: part for name, part in template.items() if name != "Parameters"}
    rest["Resources"] = {n: r for n, r in template["Resources"].items() if n != "MailIdentity"}
    assert "MailIdentity" not in re.findall(r"\w+", json.dumps(rest))


def test_in_ses_sandbox_the_role_may_mail_every_identity_as_its_own_sender(template: Any) -> None:
    policies = template["Resources"]["Role"]["Properties"]["Policies"]
    statements = [s for p in policies for s in p["PolicyDocument"]["Statement"]]
    [mail] = [s for s in statements if s["Action"] == "ses:SendEmail"]
    assert mail["Condition"] == {"StringEquals": {"ses:FromAddress": {"Ref": "MailFrom"}}}
    assert any(resource["Fn::Sub"].endswith(":identity/*") for resource in mail["Resource"])


def test_the_outputs_fill_the_stack_that_the_service_reads(template: Any) -> None:
    outputs = {cloudformation.snake_case(name) for name in template["Outputs"]}
    assert {field.name for field in fields(Stack)} - outputs == {"region", "endpoint_url"}


def test_no_one_but_the_backend_can_use_the_app_client(template: Any) -> None:
    client = template["Resources"]["Client"]["Properties"]
    assert client["GenerateSecret"] is True
    only, both = (
        ["ALLOW_ADMIN_USER_PASSWORD_AUTH"],
        ["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_USER_AUTH"],
    )
    assert client["ExplicitAuthFlows"] == {"Fn::If": ["MailsSignInCodes", both, only]}
    assert "email" not in client["WriteAttributes"]
    assert client["PreventUserExistenceErrors"] == "ENABLED"


def test_the_pool_mails_sign_in_codes_only_where_a_stage_wants_it(template: Any) -> None:
    assert template["Parameters"]["MailedCodeSignIn"]["Default"] == "false"
    pool = template["Resources"]["UserPool"]["Properties"]
    both = {"AllowedFirstAuthFactors": ["PASSWORD", "EMAIL_OTP"]}
    policy = {"Fn::If": ["MailsSignInCodes", both, {"Ref": "AWS::NoValue"}]}
    assert pool["Policies"]["SignInPolicy"] == policy
    assert pool["UserPoolTier"] == "ESSENTIALS"
    message = pool["EmailAuthenticationMessage"]["Fn::If"]
    assert message[0] == "MailsSignInCodes"
    assert "{####}" in message[1]
    minutes = template["Resources"]["Client"]["Properties"]["AuthSessionValidity"]["Fn::If"]
    assert minutes == ["MailsSignInCodes", LASTS.seconds // 60, 3]
    settings = json.loads((BASE_DIR / "zappa_settings.json").read_text())["base"]
    variables = settings["aws_environment_variables"]
    assert variables["PARLEY_MAILED_CODE_SIGN_IN"] == "${MailedCodeSignIn}"
    assert variables["PARLEY_STAFF_SECOND_STEP"] == "${StaffSecondStep}"


def test_the_client_that_may_write_the_address_has_no_way_to_a_token(template: Any) -> None:
    """Its access tokens could change the address. Without any flow stated, SRP would be allowed."""
    client = template["Resources"]["SignUpClient"]["Properties"]
    assert "email" in client["WriteAttributes"]
    assert client["GenerateSecret"] is True
    assert client["ExplicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]
    assert client["AllowedOAuthFlowsUserPoolClient"] is False
    assert client["PreventUserExistenceErrors"] == "ENABLED"


def test_nothing_in_the_template_belongs_to_one_account() -> None:
    assert not re.search(r"\b\d{12}\b", cloudformation.TEMPLATE.read_text())
