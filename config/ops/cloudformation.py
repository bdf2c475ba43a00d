"""Applies `infrastructure.yaml`: creates or updates the stack of a stage and waits for it."""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from config import stack
from config.ops import local_aws
from config.ops.local_aws import Progress, silent

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackEventTypeDef, StackTypeDef

TEMPLATE = stack.BASE_DIR / "config" / "ops" / "infrastructure.yaml"
WATCH_TEMPLATE = stack.BASE_DIR / "config" / "ops" / "production.yaml"
TTL_ATTRIBUTE = "expires_at"
LOCAL_REGION = "eu-central-1"
WITHIN_S = 1800
POLL_S = 3.0


class ProvisioningError(RuntimeError):
    """CloudFormation refused the template or could not make a resource; the text says which."""


def stack_name(stage: str) -> str:
    """The stack of a stage, e.g. `parley-dev`."""
    return f"parley-{stage}"


def snake_case(name: str) -> str:
    """`UserPoolId` → `user_pool_id`: an output's name as the field of config.stack.Stack."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def local_client(service: Any, endpoint_url: str) -> Any:
    """A client of the embedded AWS, with credentials that no real account knows."""
    return boto3.client(
        service,
        region_name=LOCAL_REGION,
        endpoint_url=endpoint_url,
        aws_access_key_id=local_aws.CREDENTIALS,
        aws_secret_access_key=local_aws.CREDENTIALS,
    )


def apply_locally(
    home: Path,
    endpoint_url: str,
    *,
    parameters: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> dict[str, str]:
    """Apply the template to the embedded AWS and record its outputs in `home`/stack.json.

    The record is what `config.stack.stack()` reads. Returns the outputs; raises ProvisioningError.
    """
    with local_aws.exclusive(home / "provision.lock"):
        client = local_client("cloudformation", endpoint_url)
        if _has_other_indexes(client, stack_name("local")):
            raise ProvisioningError(
                f"the saved state in {home} has a table with other local indexes, which can never "
                f"be changed. Move it away (mv {home} {home}.old) and run this again: the demo "
                "content is made anew"
            )
        outputs = apply(
            client,
            stage="local",
            parameters=parameters or {},
            progress=progress,
            interval_s=0.1,
        )
        # The embedded CloudFormation takes TimeToLiveSpecification and does nothing with it.
        local_client("dynamodb", endpoint_url).update_time_to_live(
            TableName=outputs["TableName"],
            TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL_ATTRIBUTE},
        )
        outputs |= {"Region": LOCAL_REGION, "EndpointUrl": endpoint_url}
        local_aws.write_private(home / "stack.json", vars(as_stack(outputs)))
    return outputs


def _has_other_indexes(client: "CloudFormationClient", name: str) -> bool:
    """Whether a stack has been made with other local indexes than the template now has."""
    if _described(client, name) is None:
        return False
    body = str(client.get_template(StackName=name)["TemplateBody"])
    return _local_indexes(body) != _local_indexes(TEMPLATE.read_text())


def _local_indexes(template: str) -> list[str]:
    """The words in which a template has the table's local indexes."""
    found = re.search(r"LocalSecondaryIndexes:.*?GlobalSecondaryIndexes:", template, re.DOTALL)
    return found[0].split() if found else []


def as_stack(outputs: Mapping[str, str]) -> stack.Stack:
    """The outputs that the service uses, under its own names."""
    named = {snake_case(name): value for name, value in outputs.items()}
    used = {field.name for field in fields(stack.Stack)} & named.keys()
    return stack.Stack(**{name: named[name] for name in used})


def apply(
    client: "CloudFormationClient",
    *,
    stage: str,
    parameters: Mapping[str, str],
    progress: Progress = silent,
    interval_s: float | None = None,
    watch: bool = False,
) -> dict[str, str]:
    """Create or update the stage's stack, wait until it is done, and return its outputs.

    `watch` means the second one, of `production.yaml`, which the embedded AWS cannot have.
    A parameter that is not given keeps the value it has, or takes its default. An unchanged stack
    is a success. Raises ProvisioningError with the first failed resource and AWS's reason.
    """
    name = stack_name(stage) + ("-watch" if watch else "")
    template = WATCH_TEMPLATE if watch else TEMPLATE
    interval_s = interval_s or POLL_S
    present = _settled(client, name, progress, interval_s)
    if present and present["StackStatus"] == "ROLLBACK_COMPLETE":
        progress(f"{name}: removing what a failed creation left")
        client.delete_stack(StackName=name)
        present = _settled(client, name, progress, interval_s)
    seen = {event["EventId"] for event in _events(client, name)} if present else set()
    wanted = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    try:
        request = _request(client, name, present, {"Stage": stage, **parameters}, template)
        (client.update_stack if present else client.create_stack)(**request)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        if "No updates are to be performed" not in message:
            raise ProvisioningError(f"{name}: {message}") from error
        progress(f"{name}: nothing to change")
        wanted |= {"UPDATE_ROLLBACK_COMPLETE"}  # an earlier update failed; this is what it had
    done = _settled(client, name, progress, interval_s, seen)
    if done is None or done["StackStatus"] not in wanted:
        raise ProvisioningError(f"{name}: {_reason(client, name, seen, done)}")
    return _outputs(done)


def outputs(client: "CloudFormationClient", stage: str) -> dict[str, str]:
    """The outputs of the stage's stack as it is. Raises ProvisioningError where there is none."""
    stack = _described(client, stack_name(stage))
    if stack is None:
        raise ProvisioningError(f"{stack_name(stage)}: there is no such stack")
    return _outputs(stack)


def _outputs(stack: "StackTypeDef") -> dict[str, str]:
    return {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}


def changes(
    client: "CloudFormationClient", *, stage: str, parameters: Mapping[str, str]
) -> list[str]:
    """What `apply` would do, a line for each resource; the stack stays as it is."""
    name = stack_name(stage)
    present = _described(client, name)
    request = _request(client, name, present, {"Stage": stage, **parameters}, TEMPLATE)
    kind: Any = "UPDATE" if present else "CREATE"
    change_set = client.create_change_set(
        **request, ChangeSetName=f"plan-{time.time_ns()}", ChangeSetType=kind
    )["Id"]
    try:
        return _described_changes(client, name, change_set)
    finally:
        client.delete_change_set(StackName=name, ChangeSetName=change_set)
        if present is None:  # a change set that creates has made an empty stack
            client.delete_stack(StackName=name)


def _described_changes(client: "CloudFormationClient", name: str, change_set: str) -> list[str]:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        description = client.describe_change_set(StackName=name, ChangeSetName=change_set)
        if not description["Status"].endswith(("_PENDING", "_IN_PROGRESS")):
            break
        threading.Event().wait(0.5)
    if description["Status"] == "FAILED":
        reason = description.get("StatusReason", "")
        if "didn't contain changes" in reason or "No updates" in reason:
            return [f"{name}: nothing to change"]
        raise ProvisioningError(f"{name}: {reason}")
    lines = []
    for change in description["Changes"]:
        one = change["ResourceChange"]
        made_anew = " by a new one" if one.get("Replacement") == "True" else ""
        lines.append(f"{name}: {one['Action']}{made_anew} {one['LogicalResourceId']}")
    return lines


def _request(
    client: "CloudFormationClient",
    name: str,
    present: "StackTypeDef | None",
    parameters: Mapping[str, str],
    path: Path,
) -> dict[str, Any]:
    """What all three ways to change a stack take; a parameter that is not given stays."""
    given: list[Any] = [
        {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
    ]
    body = path.read_text()
    if present is not None:
        known = declared(client, path)
        for parameter in present.get("Parameters", []):
            key = parameter["ParameterKey"]
            if key in known - parameters.keys():
                given.append({"ParameterKey": key, "UsePreviousValue": True})
    return {
        "StackName": name,
        "TemplateBody": body,
        "Parameters": given,
        "Capabilities": ["CAPABILITY_IAM"],  # the function's role
        # All of a stage, for the bill; Zappa gives the function and the API the same ones.
        "Tags": [
            {"Key": "service", "Value": "parley"},
            {"Key": "stage", "Value": parameters["Stage"]},
        ],
    }


def _settled(
    client: "CloudFormationClient",
    name: str,
    progress: Progress,
    interval_s: float,
    seen: set[str] | None = None,
) -> "StackTypeDef | None":
    """The stack once nothing is in progress, None if it does not exist.

    With `seen`, each event that is not in it yet is told as progress.
    """
    told = set(seen or ())
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        stack = _described(client, name)
        if stack and seen is not None:
            for event in _unseen(client, name, told):
                told.add(event["EventId"])
                if not event.get("ResourceStatus", "").endswith("_IN_PROGRESS"):
                    progress(f"{event['LogicalResourceId']}: {event.get('ResourceStatus')}")
        if stack is None or not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        threading.Event().wait(interval_s)
    raise ProvisioningError(f"{name}: still not done after {WITHIN_S // 60} minutes")


def declared(client: "CloudFormationClient", path: Path) -> set[str]:
    """The names of a template's parameters."""
    template = client.validate_template(TemplateBody=path.read_text())
    return {parameter["ParameterKey"] for parameter in template["Parameters"]}


def _described(client: "CloudFormationClient", name: str) -> "StackTypeDef | None":
    try:
        [stack] = client.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise
    return None if stack["StackStatus"] == "DELETE_COMPLETE" else stack


def _events(client: "CloudFormationClient", name: str) -> "Iterator[StackEventTypeDef]":
    """The stack's events, newest first."""
    for page in client.get_paginator("describe_stack_events").paginate(StackName=name):
        yield from page["StackEvents"]


def _unseen(client: "CloudFormationClient", name: str, seen: set[str]) -> "list[StackEventTypeDef]":
    """The events after those in `seen`, oldest first."""
    new = []
    for event in _events(client, name):
        if event["EventId"] in seen:
            break
        new.append(event)
    return new[::-1]


def _reason(
    client: "CloudFormationClient",
    name: str,
    seen: set[str],
    done: "StackTypeDef | None",
) -> str:
    """Which resource failed first, and why: the others were only cancelled for it."""
    for event in _unseen(client, name, seen):
        status = event.get("ResourceStatus", "")
        reason = event.get("ResourceStatusReason", "")
        if status.endswith("_FAILED") and "cancelled" not in reason:
            return f"{event['LogicalResourceId']} {status}: {reason}"
    if done is None:
        return "the stack is gone"
    return f"{done['StackStatus']}: {done.get('StackStatusReason', 'no reason given')}"
