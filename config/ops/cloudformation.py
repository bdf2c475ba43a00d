"""Applies `infrastructure.yaml`: creates or updates the stack of a stage and waits for it."""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import yaml
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
LOCAL_PARAMETERS = {"MailedCodeSignIn": "true"}  # what costs nothing here
WITHIN_S = 1800
POLL_S = 3.0
# Stacks that no update mends. REVIEW_IN_PROGRESS is the empty one of an interrupted dry run.
FAILED = frozenset(["CREATE_FAILED", "DELETE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"])
UNUSABLE = FAILED | {"REVIEW_IN_PROGRESS"}
PROTECTED_STAGE = "prod"


class ProvisioningError(RuntimeError):
    """CloudFormation refused the template or could not make a resource; the text says which."""


def stack_name(stage: str) -> str:
    """The stack of a stage, e.g. `parley-dev`."""
    return f"parley-{stage}"


def watch_stack_name(stage: str) -> str:
    """The stack that watches a real stage, e.g. `parley-dev-watch`."""
    return f"{stack_name(stage)}-watch"


def snake_case(name: str) -> str:
    """Turns an output's name into a field of config.stack.Stack: `UserPoolId` → `user_pool_id`."""
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
            parameters=LOCAL_PARAMETERS | dict(parameters or {}),
            progress=progress,
            interval_s=0.1,
        )
        # The embedded CloudFormation accepts TimeToLiveSpecification and ignores it.
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
    match = re.search(r"LocalSecondaryIndexes:.*?GlobalSecondaryIndexes:", template, re.DOTALL)
    return match[0].split() if match else []


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

    With `watch` it is the second stack, of `production.yaml`, which the embedded AWS cannot make.
    A parameter that is not given keeps its value, or takes its default; it does so as well where a
    failed creation is removed and made anew. An unchanged stack is a success. Raises
    ProvisioningError with the first failed resource and AWS's reason.

    The protected stage gets its deletion protection by a second update: it would block the rollback
    of a failed creation.
    """
    name = watch_stack_name(stage) if watch else stack_name(stage)
    template = WATCH_TEMPLATE if watch else TEMPLATE
    interval_s = interval_s or POLL_S
    kept = kept_parameters(client, name, template)
    present = usable(client, name, progress, interval_s)
    if present is None:
        parameters = {**kept, **parameters}
    protected = stage == PROTECTED_STAGE and not watch
    if protected and present:
        parameters = {**parameters, "Protected": "true"}
    seen = {event["EventId"] for event in _events(client, name)} if present else set()
    wanted = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    try:
        request = _request(name, present, {"Stage": stage, **parameters}, template)
        (client.update_stack if present else client.create_stack)(**request)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        if "No updates are to be performed" not in message:
            raise ProvisioningError(f"{name}: {message}") from error
        progress(f"{name}: nothing to change")
        wanted |= {"UPDATE_ROLLBACK_COMPLETE"}  # after an update that failed, these are its outputs
    done = _settled(client, name, progress, interval_s, seen)
    if done is None or done["StackStatus"] not in wanted:
        raise ProvisioningError(f"{name}: {_reason(client, name, seen, done)}")
    if protected and present is None:
        return apply(client, stage=stage, parameters={}, progress=progress, interval_s=interval_s)
    return _outputs(done)


def kept_parameters(client: "CloudFormationClient", name: str, template: Path) -> dict[str, str]:
    """The values of a stack's parameters, also of one that has failed and is to be made anew.

    Those of an interrupted dry run are no wish, and a new stack is protected later.
    """
    stack = _described(client, name)
    if stack is None or stack["StackStatus"] == "REVIEW_IN_PROGRESS":
        stack = _removed_failure(client, name)
    if stack is None:
        return {}
    names = declared(template).keys() - {"Protected"}
    return {key: value for key, value in _parameters(stack).items() if key in names}


def _removed_failure(client: "CloudFormationClient", name: str) -> "StackTypeDef | None":
    """The stack that was removed because it had failed, if a release was cut before making it anew.

    CloudFormation describes removed stacks by their ids for 90 days.
    """
    pages = client.get_paginator("list_stacks").paginate(StackStatusFilter=["DELETE_COMPLETE"])
    removed = [one for page in pages for one in page["StackSummaries"] if one["StackName"] == name]
    for summary in sorted(removed, key=lambda one: one["CreationTime"], reverse=True):
        stack_id = summary["StackId"]
        events = _events(client, stack_id)
        states = {one.get("ResourceStatus") for one in events if one["LogicalResourceId"] == name}
        if states & FAILED:
            [stack] = client.describe_stacks(StackName=stack_id)["Stacks"]
            return stack
        if "CREATE_IN_PROGRESS" in states:  # it was whole, and somebody wanted it gone
            return None
    return None


def usable(
    client: "CloudFormationClient",
    name: str,
    progress: Progress = silent,
    interval_s: float | None = None,
) -> "StackTypeDef | None":
    """Waits until nothing is in progress, and removes a stack that can only be made anew.

    Returns the stack, or None if there is none.
    """
    present = _settled(client, name, progress, interval_s or POLL_S)
    if present and present["StackStatus"] in UNUSABLE:
        progress(f"{name}: removing what a failed creation left")
        client.delete_stack(StackName=name)
        present = _settled(client, name, progress, interval_s or POLL_S)
    return present


def outputs(client: "CloudFormationClient", stage: str) -> dict[str, str]:
    """The outputs of the stage's present stack. Raises ProvisioningError if there is none."""
    stack = _described(client, stack_name(stage))
    if stack is None:
        raise ProvisioningError(f"{stack_name(stage)}: there is no such stack")
    return _outputs(stack)


def parameters(client: "CloudFormationClient", name: str) -> dict[str, str]:
    """The parameters of a stack, by name. Empty if there is no such stack."""
    stack = _described(client, name)
    return _parameters(stack) if stack else {}


def _parameters(stack: "StackTypeDef") -> dict[str, str]:
    return {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])}


def _outputs(stack: "StackTypeDef") -> dict[str, str]:
    return {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}


def changes(
    client: "CloudFormationClient", *, stage: str, parameters: Mapping[str, str]
) -> list[str]:
    """Lists what `apply` would do, one line for each resource. Changes nothing.

    AWS plans nothing for a stack that has failed, so of that only the failure is told.
    """
    name = stack_name(stage)
    present = _described(client, name)
    if present and present["StackStatus"] in FAILED:
        reason = _reason(client, name, set(), present)
        return [f"{name}: {reason}. A release makes it anew, with the parameters that it had"]
    if present is None or present["StackStatus"] == "REVIEW_IN_PROGRESS":
        present = None
        parameters = {**kept_parameters(client, name, TEMPLATE), **parameters}
    request = _request(name, present, {"Stage": stage, **parameters}, TEMPLATE)
    kind: Any = "UPDATE" if present else "CREATE"
    change_set = client.create_change_set(
        **request, ChangeSetName=f"plan-{time.time_ns()}", ChangeSetType=kind
    )["Id"]
    try:
        return _described_changes(client, name, change_set)
    finally:
        client.delete_change_set(StackName=name, ChangeSetName=change_set)
        if present is None:  # the change set of a new stack has made an empty one
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
    name: str,
    present: "StackTypeDef | None",
    parameters: Mapping[str, str],
    path: Path,
) -> dict[str, Any]:
    """The arguments of every call that changes a stack. Parameters that are not given stay."""
    entries: list[Any] = [
        {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
    ]
    body = path.read_text()
    if present is not None:
        known = declared(path)
        for parameter in present.get("Parameters", []):
            key = parameter["ParameterKey"]
            if key in known.keys() - parameters.keys():
                entries.append({"ParameterKey": key, "UsePreviousValue": True})
    return {
        "StackName": name,
        "TemplateBody": body,
        "Parameters": entries,
        "Capabilities": ["CAPABILITY_IAM"],  # the function's role
        # Marks a whole stage on the bill. Zappa gives the function and the API the same tags.
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
    """Waits until nothing is in progress and returns the stack, or None if it does not exist.

    With `seen`, it reports each event that is not in it yet as progress.
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
        if stack is None or not _is_changing(stack):
            return stack
        threading.Event().wait(interval_s)
    raise ProvisioningError(f"{name}: still not done after {WITHIN_S // 60} minutes")


def _is_changing(stack: "StackTypeDef") -> bool:
    """Whether AWS works on the stack. In REVIEW_IN_PROGRESS it only waits for a change set."""
    status = stack["StackStatus"]
    return status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """YAML with CloudFormation's functions, which parameters have none of."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def declared(path: Path) -> dict[str, str]:
    """The parameters of a template, with their defaults.

    They are read here, since the embedded AWS takes no template with resources it does not know.
    """
    return dict(_declared_in(path.read_text()))


@lru_cache(maxsize=4)
def _declared_in(text: str) -> dict[str, str]:
    template = yaml.load(text, _Loader)  # noqa: S506 - it makes no objects
    declarations = template.get("Parameters", {}).items()
    return {name: str(parameter.get("Default", "")) for name, parameter in declarations}


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
    """The resource that failed first, and the reason. The others were only cancelled for it."""
    for event in _unseen(client, name, seen):
        status = event.get("ResourceStatus", "")
        reason = event.get("ResourceStatusReason", "")
        if status.endswith("_FAILED") and "cancelled" not in reason:
            return f"{event['LogicalResourceId']} {status}: {reason}"
    if done is None:
        return "the stack is gone"
    return f"{done['StackStatus']}: {done.get('StackStatusReason', 'no reason given')}"
