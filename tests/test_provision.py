"""The template applied to the embedded AWS: created, left alone, updated, refused."""

import io
import json
import socket
import stat
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.core.management import CommandError, call_command

from config.ops import cloudformation as ops_cloudformation
from config.ops import local_aws, release
from config.ops.cloudformation import (
    TTL_ATTRIBUTE,
    ProvisioningError,
    apply_locally,
    local_client,
    stack,
)
from config.stack import Stack
from config.store.connection import SCHEMA
from tests.template import table_definition
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.server

SMALL = """
Parameters:
  Stage: {Type: String}
  Retention: {Type: Number, Default: 1}
  Colour: {Type: String, Default: green}
Resources:
  Logs:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: !Sub "/parley/${Stage}/${Colour}", RetentionInDays: !Ref Retention}
Outputs:
  LogsName: {Value: !Ref Logs}
"""
BROKEN = f"""{SMALL}
  Extra: {{Value: !Ref Orphans}}
""".replace(
    "Outputs:",
    """\
  Orphans:
    Type: AWS::Cognito::UserPoolGroup
    Properties: {UserPoolId: eu-central-1_nowhere, GroupName: orphans}
Outputs:""",
)


@pytest.fixture
def cloudformation(embedded_aws: Stack) -> Any:
    assert embedded_aws.endpoint_url
    return local_client("cloudformation", embedded_aws.endpoint_url)


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A template of one resource in the place of ours."""
    path = tmp_path / "template.yaml"
    path.write_text(SMALL)
    monkeypatch.setattr(ops_cloudformation, "TEMPLATE", path)
    return path


def apply(client: Any, stage: str, **parameters: str) -> tuple[dict[str, str], list[str]]:
    """The outputs, and the lines of progress."""
    told: list[str] = []
    outputs = ops_cloudformation.apply(
        client, stage=stage, parameters=parameters, progress=told.append, interval_s=0.05
    )
    return outputs, told


def retention(client: Any, stage: str) -> str:
    [found] = client.describe_stacks(StackName=f"parley-{stage}")["Stacks"]
    values = {p["ParameterKey"]: p["ParameterValue"] for p in found["Parameters"]}
    return str(values["Retention"])


def remove(client: Any, stage: str) -> None:
    client.delete_stack(StackName=f"parley-{stage}")
    assert ops_cloudformation.usable(client, f"parley-{stage}", interval_s=0.05) is None


def test_a_repeated_run_changes_nothing(cloudformation: Any, template: Path) -> None:
    outputs, told = apply(cloudformation, "twice")
    assert outputs == {"LogsName": "/parley/twice/green"}
    assert "Logs: CREATE_COMPLETE" in told
    assert apply(cloudformation, "twice") == (outputs, ["parley-twice: nothing to change"])


def test_what_a_stage_costs_can_be_told_from_its_tags(cloudformation: Any, template: Path) -> None:
    apply(cloudformation, "tagged")
    [found] = cloudformation.describe_stacks(StackName="parley-tagged")["Stacks"]
    tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    assert tags == {"service": "parley", "stage": "tagged"}


def test_a_parameter_stays_until_it_is_changed(cloudformation: Any, template: Path) -> None:
    apply(cloudformation, "tuned", Retention="7")
    outputs, told = apply(cloudformation, "tuned", Colour="blue")
    assert outputs == {"LogsName": "/parley/tuned/blue"}
    assert "parley-tuned: UPDATE_COMPLETE" in told
    assert retention(cloudformation, "tuned") == "7"


def test_the_first_failed_resource_and_its_reason_are_told(
    cloudformation: Any, template: Path
) -> None:
    template.write_text(BROKEN)
    with pytest.raises(ProvisioningError, match=r"Orphans CREATE_FAILED: .*nowhere"):
        apply(cloudformation, "broken")


def test_a_failed_creation_can_be_tried_again(cloudformation: Any, template: Path) -> None:
    template.write_text(BROKEN)
    with pytest.raises(ProvisioningError):
        apply(cloudformation, "retried")
    template.write_text(SMALL)
    outputs, told = apply(cloudformation, "retried")
    assert outputs == {"LogsName": "/parley/retried/green"}
    assert "parley-retried: removing what a failed creation left" in told


def test_the_parameters_of_a_failed_creation_outlive_its_removal(
    cloudformation: Any, template: Path
) -> None:
    template.write_text(BROKEN)
    with pytest.raises(ProvisioningError):
        apply(cloudformation, "cut", Retention="7")
    remove(cloudformation, "cut")
    template.write_text(SMALL)
    apply(cloudformation, "cut")
    assert retention(cloudformation, "cut") == "7"


@pytest.mark.parametrize("gone", ["dev", "prod"])
def test_two_stages_share_a_mail_domain_and_either_goes_without_the_other(
    embedded_aws: Stack, gone: str
) -> None:
    """They stand in a region where no other test has a stage."""
    session = boto3.Session(local_aws.CREDENTIALS, local_aws.CREDENTIALS, region_name="eu-south-1")
    place = release.Environment(session, embedded_aws.endpoint_url)
    cloudformation = place.client("cloudformation")
    domain = f"without-{gone}.example"
    mail = {"MailFrom": f"parley@{domain}"}

    def provision(stage: str, **parameters: str) -> dict[str, str]:
        return ops_cloudformation.apply(
            cloudformation, stage=stage, parameters=mail | parameters, interval_s=0.05
        )

    stages, owners = {}, []
    for stage in ("dev", "prod"):
        owns = release.mail_identity(stage, place, mail)
        owners.append(owns["OwnsMailIdentity"])
        stages[stage] = provision(stage, **owns)
        assert release.mail_identity(stage, place, mail) in ({}, owns)  # a repeated release
    assert owners == ["true", "false"]
    with pytest.raises(ProvisioningError, match=f"MailIdentity CREATE_FAILED.*'{domain}' already"):
        provision("third", OwnsMailIdentity="true")

    remove(cloudformation, "third")
    remove(cloudformation, gone)
    [left] = stages.keys() - {gone}
    provision(left, **release.mail_identity(left, place, mail))
    place.client("sesv2").send_email(
        FromEmailAddress=stages[left]["MailFrom"],
        Destination={"ToAddresses": ["ana@example.org"]},
        Content={"Simple": {"Subject": {"Data": "Olá"}, "Body": {"Text": {"Data": "Olá"}}}},
        ConfigurationSetName=stages[left]["ConfigurationSet"],
    )
    table = place.client("dynamodb").describe_table(TableName=stages[left]["TableName"])
    assert table["Table"]["TableStatus"] == "ACTIVE"
    place.client("kms").describe_key(KeyId=stages[left]["KeyId"])
    assert place.client("cognito-idp").describe_user_pool(UserPoolId=stages[left]["UserPoolId"])
    assert place.client("sesv2").get_email_identity(EmailIdentity=domain)
    assert release.mail_identity(gone, place, mail) == {"OwnsMailIdentity": "false"}
    remove(cloudformation, left)


def test_a_failed_update_is_told_and_the_stack_goes_on(cloudformation: Any, template: Path) -> None:
    before, _ = apply(cloudformation, "updated")
    template.write_text(BROKEN)
    with pytest.raises(ProvisioningError, match=r"Orphans \w+_FAILED"):
        apply(cloudformation, "updated")
    template.write_text(SMALL)
    assert apply(cloudformation, "updated")[0] == before


def test_a_template_that_is_refused_is_told(cloudformation: Any, template: Path) -> None:
    template.write_text(SMALL.replace("AWS::Logs::LogGroup", "AWS::Logs::Nothing"))
    with pytest.raises(ProvisioningError, match="AWS::Logs::Nothing"):
        apply(cloudformation, "refused")


def test_items_of_the_local_table_expire_too(embedded_aws: Stack) -> None:
    assert embedded_aws.endpoint_url
    dynamodb = local_client("dynamodb", embedded_aws.endpoint_url)
    found = dynamodb.describe_time_to_live(TableName=embedded_aws.table_name)
    assert found["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": TTL_ATTRIBUTE,
    }


def test_a_table_of_other_indexes_is_not_changed_but_explained(
    embedded_aws: Stack, embedded_home: Path, template: Path
) -> None:
    assert embedded_aws.endpoint_url
    ours = (stack.BASE_DIR / "config" / "ops" / "infrastructure.yaml").read_text()
    template.write_text(ours.replace("ProjectionType: KEYS_ONLY", "ProjectionType: ALL"))
    with pytest.raises(ProvisioningError, match=r"other local indexes.*mv ") as told:
        apply_locally(embedded_home, embedded_aws.endpoint_url)
    assert str(embedded_home) in str(told.value)
    template.write_text(ours)
    apply_locally(embedded_home, embedded_aws.endpoint_url)


def test_the_tests_other_engine_has_the_templates_table(dynamodb_local: Stack) -> None:
    assert dynamodb_local.endpoint_url
    dynamodb = local_client("dynamodb", dynamodb_local.endpoint_url)
    found = dynamodb.describe_table(TableName=dynamodb_local.table_name)["Table"]
    assert found["KeySchema"] == table_definition()["KeySchema"] == SCHEMA["KeySchema"]
    assert len(found["LocalSecondaryIndexes"]) == 5


def test_the_tests_other_engine_takes_no_request_from_elsewhere(dynamodb_local_url: str) -> None:
    port = int(dynamodb_local_url.rpartition(":")[2])
    with pytest.raises(OSError, match=r"refused|assign"):
        socket.create_connection(("127.0.0.2", port), timeout=PATIENCE_S)


def test_the_command_records_the_local_stack_for_its_owner_alone(
    tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the real template
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path))
    output = io.StringIO()
    call_command("provision", "--parameter=MailFrom=post@parley.example", stdout=output)
    record = tmp_path / "stack.json"
    assert json.loads(record.read_text())["mail_from"] == "post@parley.example"
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert "MailFrom = post@parley.example\n" in output.getvalue()


def test_the_command_applies_a_real_stage_with_ones_own_credentials(
    embedded_aws: Stack, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", str(embedded_aws.endpoint_url))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", local_aws.CREDENTIALS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", local_aws.CREDENTIALS)
    monkeypatch.setattr(ops_cloudformation, "POLL_S", 0.05)
    output = io.StringIO()
    call_command("provision", "--stage=dev", "--region=eu-west-1", stdout=output)
    assert output.getvalue() == "LogsName = /parley/dev/green\n"


@pytest.mark.parametrize("text", ["MailFrom", "=parley@example.org"])
def test_a_parameter_needs_its_name_and_value(text: str) -> None:
    with pytest.raises(CommandError, match="want NAME=VALUE"):
        call_command("provision", "--parameter", text)


def test_the_command_fails_with_the_reason(
    embedded_aws: Stack, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template.write_text(BROKEN)
    monkeypatch.setenv("AWS_ENDPOINT_URL", str(embedded_aws.endpoint_url))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", local_aws.CREDENTIALS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", local_aws.CREDENTIALS)
    monkeypatch.setattr(ops_cloudformation, "POLL_S", 0.05)
    with pytest.raises(CommandError, match="Orphans CREATE_FAILED"):
        call_command("provision", "--stage=dev", "--region=eu-west-2")


def test_aws_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", local_aws.CREDENTIALS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", local_aws.CREDENTIALS)
    with pytest.raises(CommandError, match="Could not connect"):
        call_command("provision", "--stage=dev", "--region=eu-central-1")
