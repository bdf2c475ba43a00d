"""Releases a stage to AWS and removes it: stack, key, package, function, schedules, queues, check.

Every step looks at the present state first, so that an interrupted release can be repeated.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError, WaiterError

from config.aws import error_code
from config.crypto import new_key
from config.ops import cloudformation, zappa_template
from config.ops.local_aws import Progress, silent
from config.ops.package import Bundle, Target, build, configure, prepare

EMBEDDED_HOSTS = ".execute-api.localhost"
CHECKED = ("/health", "/health/ready")
CHECK_WITHIN_S = 60
CHECK_EVERY_S = 2.0
MAPPED_WITHIN_S = 120
# Links to unsubscribe last 400 days, those to a calendar and backup codes for years. With so many
# keys, a stage that rotates them twice a year keeps them for five.
KEPT_KEYS = 10
RELEASED = "released"  # the label of the keys with which a release has passed its check
# The outputs of the stack with the queues of long work, and how many runs may work them off.
QUEUES = {"WorkQueueArn": "WorkAtOnce", "PromptQueueArn": "PromptAtOnce"}


class ReleaseError(RuntimeError):
    """A release failed. The text says at which step, and in which state the stage is now."""


@dataclass(frozen=True)
class Environment:
    """A region of an AWS account, or the embedded AWS at `endpoint_url`."""

    session: boto3.Session
    endpoint_url: str | None = None

    def client(self, service: Any) -> Any:
        return self.session.client(service, endpoint_url=self.endpoint_url)

    @property
    def region(self) -> str:
        return str(self.session.region_name)

    def address(self, api_id: str, stage: str) -> tuple[str, dict[str, str]]:
        """The address of an API, and the headers that a request to it needs."""
        if self.endpoint_url is None:
            return f"https://{api_id}.execute-api.{self.region}.amazonaws.com/{stage}", {}
        host = f"{api_id}{EMBEDDED_HOSTS}:{urlsplit(self.endpoint_url).port}"
        return f"{self.endpoint_url}/{stage}", {"Host": host}

    def public_url(self, api_id: str, stage: str, domain: str) -> str:
        """The beginning of learners' links. `domain` is the API's own, or a pattern of hosts."""
        if domain and not domain.startswith("."):
            return f"https://{domain}"
        base, headers = self.address(api_id, stage)
        return f"http://{headers['Host']}/{stage}" if headers else base

    def process_variables(self) -> dict[str, str]:
        """The place as botocore's environment variables, for Zappa."""
        credentials = self.session.get_credentials()
        if credentials is None:
            raise ReleaseError("there are no AWS credentials: `aws configure`, or AWS_PROFILE")
        frozen = credentials.get_frozen_credentials()
        variables = {
            "AWS_ACCESS_KEY_ID": frozen.access_key,
            "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
            "AWS_SESSION_TOKEN": frozen.token,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint_url,
        }
        return {name: value for name, value in variables.items() if value}


def function_name(stage: str) -> str:
    """The name of a stage's function, and of the stack with its API. Zappa makes both."""
    return f"parley-api-{stage}"


def deploy(
    stage: str,
    place: Environment,
    *,
    parameters: Mapping[str, str],
    package: Path | None = None,
    target: Target | None = None,
    into: Path | None = None,
    progress: Progress = silent,
) -> str:
    """Releases this checkout to the stage, or a `package` that was made before.

    Returns the stage's address. If the new version fails its check, the version before replaces it.
    Raises ProvisioningError, BundleError, or ReleaseError.
    """
    if place.endpoint_url:
        parameters = {"ApiDomain": EMBEDDED_HOSTS, **parameters}
    client = place.client("cloudformation")
    watching = _watching(parameters)
    first = {**mail_identity(stage, place, parameters), **_without(parameters, watching)}
    outputs = cloudformation.apply(client, stage=stage, parameters=first, progress=progress)
    if place.endpoint_url:
        _widen_the_embedded_role(place, outputs)
    ensure_secret_key(stage, place, progress)
    if package:
        bundle = prepare(stage, target=target, into=into, outputs=outputs, progress=progress)
        bundle = replace(bundle, zip=package.resolve(strict=True))
    else:
        bundle = build(stage, target=target, into=into, outputs=outputs, progress=progress)
    release(stage, place, bundle, outputs, target=target, progress=progress)
    api = api_id(stage, place)
    if place.endpoint_url is None:  # the embedded AWS does not know all resources of it
        values = {**outputs, "InService": "true", **parameters, "ApiId": api}
        cloudformation.apply(
            client,
            stage=stage,
            parameters={name: values[name] for name in watching & values.keys()},
            progress=progress,
            watch=True,
        )
    return place.address(api, stage)[0]


def _widen_the_embedded_role(place: Environment, outputs: Mapping[str, str]) -> None:
    """Allows what the embedded AWS alone asks IAM about, of SES and of SQS."""
    actions = ["ses:SendEmail", "sqs:SendMessageBatch"]  # AWS: the latter is sqs:SendMessage
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    place.client("iam").put_role_policy(
        RoleName=outputs["RoleArn"].rpartition("/")[2],
        PolicyName="embedded",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )


def _watching(parameters: Mapping[str, str]) -> set[str]:
    """The parameters of the second template alone. Raises ReleaseError for one that neither has.

    AWS would refuse it too, but only in the middle of a release.
    """
    first = cloudformation.declared(cloudformation.TEMPLATE).keys()
    second = cloudformation.declared(cloudformation.WATCH_TEMPLATE).keys()
    if unknown := sorted(parameters.keys() - first - second):
        raise ReleaseError(f"no template has a parameter {', '.join(unknown)}")
    return second - first


def mail_identity(stage: str, place: Environment, parameters: Mapping[str, str]) -> dict[str, str]:
    """Whether the stage's stack owns the identity of its mail domain, as a parameter.

    SES has one identity for a domain. If it exists and is not this stack's, the stack shares it:
    another stage has made it, or an earlier stack of this stage has left it.
    """
    client, name = place.client("cloudformation"), cloudformation.stack_name(stage)
    if "OwnsMailIdentity" in parameters:
        return {}
    defaults = cloudformation.declared(cloudformation.TEMPLATE)
    kept = cloudformation.kept_parameters(client, name, cloudformation.TEMPLATE)
    values = {**defaults, **kept, **parameters}
    domain = values["MailFrom"].partition("@")[2]
    if domain == _own_identity(client, name):
        return {}
    try:
        place.client("sesv2").get_email_identity(EmailIdentity=domain)
    except ClientError as error:
        if error_code(error) != "NotFoundException":
            raise
        return {"OwnsMailIdentity": "true"}
    return {"OwnsMailIdentity": "false"}


def _own_identity(client: Any, name: str) -> str:
    """The domain of the identity that a stack owns, or nothing."""
    try:
        resource = client.describe_stack_resource(StackName=name, LogicalResourceId="MailIdentity")
    except ClientError:  # no stack, or one without an identity
        return ""
    detail = resource["StackResourceDetail"]
    if detail["ResourceStatus"].startswith(("CREATE_FAILED", "DELETE_")):  # of a failed creation
        return ""
    return str(detail.get("PhysicalResourceId", ""))


def _without(parameters: Mapping[str, str], names: set[str]) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if name not in names}


def release(
    stage: str,
    place: Environment,
    bundle: Bundle,
    outputs: Mapping[str, str],
    *,
    target: Target | None = None,
    progress: Progress = silent,
) -> None:
    """Releases a finished package and checks it. Raises BundleError, ReleaseError."""
    target = target or Target.of_stage(stage)
    values: dict[str, Any] = {"aws_region": place.region, **target.settings}
    _remove_half_of_a_first_release(stage, place, progress)
    is_first = _function(stage, place) is None
    before = None if is_first else _version_before(stage, place, bundle)
    public = {} if is_first else _public_url(stage, place, outputs)
    configure(bundle, stage, values, outputs, variables=public)
    keys = _secret_keys(stage, place)
    secrets = _secrets(place, outputs, keys)

    def zappa(command: str, code: Path) -> None:
        progress(f"{function_name(stage)}: {command}")
        variables = {**place.process_variables(), zappa_template.SECRETS: json.dumps(secrets)}
        bundle.run_zappa(command, stage, "--zip", str(code), **variables)

    zappa("deploy" if is_first else "update", bundle.zip)
    _finish(stage, place, outputs)
    try:
        check(stage, place, progress)
    except ReleaseError as error:
        if before is None:
            why = "It is the first version" if is_first else "No version that answers is known"
            raise ReleaseError(f"{error}. {why}: nothing to go back to") from error
        progress("Going back to the version before")
        zappa("update", before)
        _finish(stage, place, outputs)
        raise ReleaseError(f"{error}. {_state_after(stage, place, progress)}") from error
    _mark_as_released(stage, place, keys)


def _state_after(stage: str, place: Environment, progress: Progress) -> str:
    """Tries the version that was just put back; returns a sentence about it."""
    try:
        check(stage, place, progress)
    except ReleaseError as error:
        return f"The version before is back and does not answer either: {error}"
    return "The version before answers again"


def _remove_half_of_a_first_release(stage: str, place: Environment, progress: Progress) -> None:
    """Removes a function without an API, which nobody can have called.

    Zappa makes the function, then its schedules, then the API's stack. A release that was cut in
    between leaves a function which Zappa neither makes again nor gives an API.
    """
    name = function_name(stage)
    if cloudformation.usable(place.client("cloudformation"), name, progress):
        return
    try:
        place.client("lambda").delete_function(FunctionName=name)
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
    else:
        progress(f"{name}: removing what an interrupted first release left")


def _public_url(stage: str, place: Environment, outputs: Mapping[str, str]) -> dict[str, str]:
    """The function's variable with the API's address, which exists only after the API."""
    url = place.public_url(api_id(stage, place), stage, outputs["ApiDomain"])
    return {"PARLEY_PUBLIC_URL": url}


def _version_before(stage: str, place: Environment, bundle: Bundle) -> Path | None:
    """The zip of the last version that answered, if it is known. Saves the present one if it does.

    A bad release that was cut before it had gone back has left bad code: a repeated release still
    finds the good version in the file.
    """
    path = bundle.folder.with_name("before.zip")
    if _answers(stage, place):
        function = place.client("lambda").get_function(FunctionName=function_name(stage))
        location, part = function["Code"]["Location"], path.with_suffix(".part")
        with urllib.request.urlopen(location, timeout=60) as answer:  # noqa: S310
            part.write_bytes(answer.read())
        part.replace(path)
    return path if path.exists() else None


def _answers(stage: str, place: Environment) -> bool:
    """Whether the present version answers; asked once, since most of the time it does."""
    base, headers = place.address(api_id(stage, place), stage)
    return all(_answer(base + path, headers) == "200" for path in CHECKED)


def _finish(stage: str, place: Environment, outputs: Mapping[str, str]) -> None:
    """Sets throttling, the dead letter queue, the API's own address, and the mappings of queues.

    Zappa sets the queue only when it creates the function, and cannot know the address before.
    """
    client, name = place.client("lambda"), function_name(stage)
    updated = client.get_waiter("function_updated_v2")
    try:
        updated.wait(FunctionName=name)
        present = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        client.update_function_configuration(
            FunctionName=name,
            DeadLetterConfig={"TargetArn": outputs["DeadLetterQueueArn"]},
            Environment={"Variables": present | _public_url(stage, place, outputs)},
        )
        updated.wait(FunctionName=name)
    except WaiterError as error:
        raise ReleaseError(f"{name}: {error}") from error
    # The function sends itself messages. Our chains of them end by `config.store.jobs.MOST_STEPS`.
    client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    for queue, at_once in QUEUES.items():
        let_work_in(client, name, outputs[queue], at_once=int(outputs[at_once]))
    limits = {"rateLimit": "RequestsPerSecond", "burstLimit": "RequestsAtOnce"}
    place.client("apigateway").update_stage(
        restApiId=api_id(stage, place),
        stageName=stage,
        patchOperations=[
            {"op": "replace", "path": f"/*/*/throttling/{limit}", "value": outputs[output]}
            for limit, output in limits.items()
        ],
    )


def let_work_in(client: Any, name: str, queue_arn: str, *, at_once: int) -> None:
    """Lets the function take a queue's messages, one in a run and so many runs at once.

    Zappa would make the mapping anew with each update, and knows no limit. Raises ReleaseError.
    """
    wanted = {
        "BatchSize": 1,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": at_once},
    }
    mapping = _settled_mapping(client, name, queue_arn)
    if mapping is None:
        client.create_event_source_mapping(FunctionName=name, EventSourceArn=queue_arn, **wanted)
    elif mapping["State"] != "Enabled" or any(mapping.get(key) != wanted[key] for key in wanted):
        client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True, **wanted)


def _settled_mapping(client: Any, name: str, queue_arn: str) -> dict[str, Any] | None:
    """The mapping of a queue to the function, once no change of it is under way."""
    deadline = time.monotonic() + MAPPED_WITHIN_S
    while True:
        mappings = client.list_event_source_mappings(EventSourceArn=queue_arn)[
            "EventSourceMappings"
        ]
        ours = [each for each in mappings if each["FunctionArn"].endswith(f":function:{name}")]
        if not ours or not ours[0]["State"].endswith("ing"):  # Creating, Updating, Deleting …
            return ours[0] if ours else None
        if time.monotonic() > deadline:
            raise ReleaseError(f"{name}: the mapping of {queue_arn} stays {ours[0]['State']}")
        Event().wait(CHECK_EVERY_S)


def _keep_work_out(client: Any, name: str, outputs: Mapping[str, str]) -> None:
    """Removes the mappings of queues to the function. Messages wait for the next release."""
    for queue in QUEUES:
        if mapping := _settled_mapping(client, name, outputs[queue]):
            client.delete_event_source_mapping(UUID=mapping["UUID"])


def _secrets(
    place: Environment, outputs: Mapping[str, str], keys: Mapping[str, Any]
) -> dict[str, str]:
    """The function's variables that are secret, and what it needs to know of its app client.

    Lambda encrypts them by the stack's key, and decrypts them before our code runs. So a burst of
    cold starts asks neither SSM (40 a second in an account) nor Cognito (a few a second) for them.
    """
    client = _app_client(place, outputs, "ClientId")
    sign_up_client = _app_client(place, outputs, "SignUpClientId")
    return {
        "PARLEY_SECRET_KEY": keys["Value"],
        "PARLEY_CLIENT_SECRET": client["ClientSecret"],
        "PARLEY_CALLBACK_URLS": " ".join(client.get("CallbackURLs", [])),
        "PARLEY_SIGN_IN_PROVIDERS": " ".join(client.get("SupportedIdentityProviders", [])),
        "PARLEY_SIGN_UP_CLIENT_SECRET": sign_up_client["ClientSecret"],
    }


def _app_client(place: Environment, outputs: Mapping[str, str], output: str) -> dict[str, Any]:
    described: dict[str, Any] = place.client("cognito-idp").describe_user_pool_client(
        UserPoolId=outputs["UserPoolId"], ClientId=outputs[output]
    )
    return dict(described["UserPoolClient"])


def _secret_keys(stage: str, place: Environment, label: str = "") -> Mapping[str, Any]:
    """The parameter with the signing keys, as it is now or as it was when it got the label."""
    name = secret_key_name(stage) + (f":{label}" if label else "")
    answer = place.client("ssm").get_parameter(Name=name, WithDecryption=True)
    parameter: Mapping[str, Any] = answer["Parameter"]
    return parameter


def _mark_as_released(stage: str, place: Environment, keys: Mapping[str, Any]) -> None:
    """Labels the keys of a release that has passed its check."""
    place.client("ssm").label_parameter_version(
        Name=secret_key_name(stage), ParameterVersion=keys["Version"], Labels=[RELEASED]
    )


def _released_key(stage: str, place: Environment) -> str | None:
    """The newest key of the last release that passed its check, if any did."""
    try:
        return str(_secret_keys(stage, place, RELEASED)["Value"].split()[0])
    except ClientError as error:
        if error_code(error) not in ("ParameterVersionNotFound", "ParameterNotFound"):
            raise
        return None


def check(stage: str, place: Environment, progress: Progress = silent) -> None:
    """Asks the deployed API's health checks. Raises ReleaseError with the last answer."""
    base, headers = place.address(api_id(stage, place), stage)
    for path in CHECKED:
        progress(f"Checking {base}{path}")
        deadline = time.monotonic() + CHECK_WITHIN_S
        while (answer := _answer(base + path, headers)) != "200":
            if time.monotonic() > deadline:
                raise ReleaseError(f"{function_name(stage)}: {path} answers {answer}")
            Event().wait(CHECK_EVERY_S)


def _answer(url: str, headers: Mapping[str, str]) -> str:
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - our own API
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read(500).decode(errors='replace')}"
    except OSError as error:
        return f"nothing ({error})"


def api_id(stage: str, place: Environment) -> str:
    """The id of the API in Zappa's own stack. Raises ReleaseError."""
    try:
        resource = place.client("cloudformation").describe_stack_resource(
            StackName=function_name(stage), LogicalResourceId="Api"
        )
    except ClientError as error:
        raise ReleaseError(f"{function_name(stage)}: there is no API: {error}") from error
    return str(resource["StackResourceDetail"]["PhysicalResourceId"])


def secret_key_name(stage: str) -> str:
    """The name of the parameter with the stage's signing keys."""
    return f"/parley/{stage}/secret-key"


def ensure_secret_key(stage: str, place: Environment, progress: Progress = silent) -> None:
    """Makes a signing key for a stage that has none. Nobody sees it."""
    try:
        place.client("ssm").put_parameter(
            Name=secret_key_name(stage), Value=new_key(), Type="SecureString", Overwrite=False
        )
    except ClientError as error:
        if error_code(error) != "ParameterAlreadyExists":
            raise
    else:
        progress(f"{secret_key_name(stage)}: made")


def rotate_secret_key(stage: str, place: Environment, progress: Progress = silent) -> None:
    """Puts a new key before the present ones, which can still open their seals.

    Does nothing until a release with the newest key has passed its check: a failed release that is
    repeated with `--rotate-key` rotates once.
    """
    present = _secret_keys(stage, place)["Value"].split()
    if present[0] != _released_key(stage, place):
        progress(f"{secret_key_name(stage)}: its newest key waits for its first good release")
        return
    place.client("ssm").put_parameter(
        Name=secret_key_name(stage),
        Value=" ".join([new_key(), *present[: KEPT_KEYS - 1]]),
        Type="SecureString",
        Overwrite=True,
    )


def undeploy(
    stage: str,
    place: Environment,
    *,
    target: Target | None = None,
    into: Path | None = None,
    progress: Progress = silent,
) -> None:
    """Removes function, API and schedules. The stack stays, and the data with it."""
    outputs = cloudformation.outputs(place.client("cloudformation"), stage)
    bundle = prepare(stage, target=target, into=into, outputs=outputs, progress=progress)
    remove(stage, place, bundle, outputs, progress)


def remove(
    stage: str,
    place: Environment,
    bundle: Bundle,
    outputs: Mapping[str, str],
    progress: Progress = silent,
) -> None:
    """Removes what a release has made. Raises ProvisioningError, BundleError, ReleaseError."""
    name = function_name(stage)
    _stop_watching(stage, place, progress)
    _keep_work_out(place.client("lambda"), name, outputs)
    if _function(stage, place) is None:  # Zappa removes it last, and would stumble over its lack
        place.client("cloudformation").delete_stack(StackName=name)
        cloudformation.usable(place.client("cloudformation"), name, progress)
        progress(f"{name}: nothing is left to undeploy")
        return
    configure(bundle, stage, {"aws_region": place.region}, outputs)
    progress(f"{name}: undeploy")
    bundle.run_zappa("undeploy", stage, "--yes", **place.process_variables())


def _stop_watching(stage: str, place: Environment, progress: Progress) -> None:
    """Takes alarms, dashboard and firewall away: a silent sweep would else be an alarm for ever.

    The rest of that stack stays, and with it its parameters.
    """
    client = place.client("cloudformation")
    if cloudformation.parameters(client, cloudformation.watch_stack_name(stage)):
        cloudformation.apply(
            client,
            stage=stage,
            parameters={"InService": "false"},
            progress=progress,
            watch=True,
        )


def plan(stage: str, place: Environment, parameters: Mapping[str, str]) -> list[str]:
    """Lists what a release would change. Changes nothing. Raises what `deploy` raises."""
    client = place.client("cloudformation")
    watching = _watching(parameters)
    first = {**mail_identity(stage, place, parameters), **_without(parameters, watching)}
    lines = cloudformation.changes(client, stage=stage, parameters=first)
    function = _function(stage, place)
    last = f"update (last on {function['LastModified']})" if function else "make"
    return [*lines, f"{function_name(stage)}: {last}"]


def _function(stage: str, place: Environment) -> dict[str, Any] | None:
    """The configuration of the stage's function, or None if there is none."""
    try:
        configuration: dict[str, Any] = place.client("lambda").get_function_configuration(
            FunctionName=function_name(stage)
        )
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
        return None
    return configuration
