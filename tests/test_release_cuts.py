"""Releases that are cut after any step: repeated, they come to the same end.

AWS and Zappa are stand-ins. They refuse as the real ones do: a function cannot be made twice, a
stack in progress takes no update, one whose creation failed never takes any, and Zappa's update
says nothing of a missing stack.
"""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from config.ops import cloudformation, release, zappa_template
from config.ops.package import Bundle, BundleError, Target
from tests.template import Loader
from tests.test_infrastructure import read

NAME = "parley-api-dev"
OUTPUTS = {
    "ApiDomain": "api.parley.example",
    "DeadLetterQueueArn": "arn:aws:sqs:eu-west-1:1:dead",
    "UserPoolId": "pool",
    "ClientId": "app",
    "SignUpClientId": "sign-ups",
    "RequestsPerSecond": "500",
    "RequestsAtOnce": "1000",
    "WorkQueueArn": "arn:aws:sqs:eu-west-1:1:work",
    "WorkAtOnce": "2",
    "PromptQueueArn": "arn:aws:sqs:eu-west-1:1:prompt",
    "PromptAtOnce": "4",
}
RULES = {"send_due", "sweep_accounts"}


class Cut(BaseException):
    """The deployer's machine is switched off."""


def refusal(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


@dataclass
class Stack:
    """A stack that AWS works on by itself, and its parameters."""

    status: str
    given: dict[str, str]
    looks: int = 3  # until a deletion is done
    states: set[str] = field(default_factory=set)  # of its events, once it is removed

    def described(self) -> dict[str, Any]:
        """Its state as AWS tells it. Until the next look, AWS goes on."""
        described = {
            "StackStatus": self.status,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value} for key, value in self.given.items()
            ],
            "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in OUTPUTS.items()],
        }
        if self.status != "REVIEW_IN_PROGRESS":
            self.status = self.status.replace("_IN_PROGRESS", "_COMPLETE")
        return described

    def changed_by(self, entries: list[dict[str, Any]]) -> dict[str, str]:
        return {
            entry["ParameterKey"]: self.given[entry["ParameterKey"]]
            if entry.get("UsePreviousValue")
            else entry["ParameterValue"]
            for entry in entries
        }


@dataclass
class Aws:
    """An account's stacks, key, function, schedules and API.

    `cut_after` so many changes it cuts the release.
    """

    folder: Path
    code: str = ""
    configuration: dict[str, Any] = field(default_factory=dict)
    rules: set[str] = field(default_factory=set)
    stack: str = ""
    stacks: dict[str, Stack] = field(default_factory=dict)
    removed: list[tuple[str, Stack]] = field(default_factory=list)
    staged: bool = False
    throttling: dict[str, str] = field(default_factory=dict)
    recursion: str = ""
    mappings: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions_of_keys: list[str] = field(default_factory=lambda: ["first"])
    released_keys: int = 0
    answers: set[str] = field(default_factory=lambda: {"good"})
    cut_after: int | None = None
    endpoint_url: None = None
    region: str = "eu-west-1"

    def client(self, service: str) -> "Aws":
        return self

    def process_variables(self) -> dict[str, str]:
        return {}

    def address(self, api_id: str, stage: str) -> tuple[str, dict[str, str]]:
        return f"https://{api_id}.example/{stage}", {}

    def public_url(self, api_id: str, stage: str, domain: str) -> str:
        return f"https://{domain}"

    def change(self, **values: Any) -> None:
        """Makes a change, after which the release may end. No function is ever without its keys."""
        for name, value in values.items():
            setattr(self, name, value)
        assert not self.code or self.configuration["Environment"]["Variables"]["PARLEY_SECRET_KEY"]
        if self.cut_after is not None:
            self.cut_after -= 1
            if self.cut_after < 0:
                raise Cut

    # CloudFormation
    def describe_stacks(self, StackName: str) -> Any:  # noqa: N803
        if StackName.startswith("removed/"):
            return {"Stacks": [self.removed[int(StackName.partition("/")[2])][1].described()]}
        if StackName in self.stacks:
            stack = self.stacks[StackName]
            described = stack.described()
            if described["StackStatus"] == "DELETE_IN_PROGRESS":
                stack.status, stack.looks = "DELETE_IN_PROGRESS", stack.looks - 1
                if not stack.looks:
                    del self.stacks[StackName]
            return {"Stacks": [described]}
        if not self.stack or StackName != NAME:
            raise refusal("ValidationError", f"Stack with id {StackName} does not exist")
        now = self.stack
        self.stack = now.replace("_IN_PROGRESS", "_COMPLETE")  # AWS goes on without us
        if now == "DELETE_IN_PROGRESS":
            self.stack = ""
        return {"Stacks": [{"StackStatus": now}]}

    def create_stack(self, StackName: str, Parameters: list[Any], **_: Any) -> None:  # noqa: N803
        if StackName in self.stacks:
            raise refusal("AlreadyExistsException", f"Stack [{StackName}] already exists")
        made = Stack("CREATE_IN_PROGRESS", Stack("", {}).changed_by(Parameters))
        self.change(stacks=self.stacks | {StackName: made})

    def update_stack(self, StackName: str, Parameters: list[Any], **_: Any) -> None:  # noqa: N803
        stack = self.stacks[StackName]
        if not stack.status.endswith(("CREATE_COMPLETE", "UPDATE_COMPLETE")):
            raise refusal("ValidationError", f"Stack is in {stack.status} state")
        given = stack.changed_by(Parameters)
        if given == stack.given:
            raise refusal("ValidationError", "No updates are to be performed.")
        self.change(stacks=self.stacks | {StackName: Stack("UPDATE_IN_PROGRESS", given)})

    def delete_stack(self, StackName: str) -> None:  # noqa: N803
        if StackName == NAME:
            self.change(stack="DELETE_IN_PROGRESS" if self.stack else "", staged=False)
            return
        stack = self.stacks[StackName]
        begun = {"REVIEW_IN_PROGRESS"} & {stack.status} or {"CREATE_IN_PROGRESS"}
        stack.states = {stack.status, "DELETE_COMPLETE"} | begun
        self.removed.append((StackName, stack))
        stack.status = "DELETE_IN_PROGRESS"
        self.change()

    def describe_stack_resource(self, StackName: str, **_: str) -> Any:  # noqa: N803
        if not self.stack and StackName == NAME:
            raise refusal("ValidationError", "Stack does not exist")
        detail = {"PhysicalResourceId": "a1", "ResourceStatus": "CREATE_COMPLETE"}
        return {"StackResourceDetail": detail}

    def get_paginator(self, _: str) -> "Aws":
        return self

    def paginate(self, StackName: str = "", StackStatusFilter: Any = ()) -> Any:  # noqa: N803
        if StackStatusFilter:
            names = [{"StackName": name} for name, _ in self.removed]
            ids = [{"StackId": f"removed/{n}", "CreationTime": n} for n in range(len(names))]
            return [{"StackSummaries": [name | id for name, id in zip(names, ids, strict=True)]}]
        if not StackName.startswith("removed/"):
            return [{"StackEvents": []}]
        name, stack = self.removed[int(StackName.partition("/")[2])]
        states = sorted(stack.states)
        return [
            {"StackEvents": [{"EventId": s, "LogicalResourceId": name, "ResourceStatus": s}]}
            for s in states
        ]

    # SES
    def get_email_identity(self, EmailIdentity: str) -> Any:  # noqa: N803
        raise refusal("NotFoundException", f"Email identity {EmailIdentity} does not exist")

    # Lambda
    def get_function(self, FunctionName: str) -> Any:  # noqa: N803
        self.get_function_configuration(FunctionName)
        path = self.folder / "present.zip"
        path.write_text(self.code)
        return {"Code": {"Location": path.as_uri()}}

    def get_function_configuration(self, FunctionName: str) -> Any:  # noqa: N803
        if not self.code:
            raise refusal("ResourceNotFoundException", "Function not found")
        return {"Environment": {"Variables": {}}, "LastModified": "today", **self.configuration}

    def delete_function(self, FunctionName: str) -> None:  # noqa: N803
        self.get_function_configuration(FunctionName)
        self.change(code="", configuration={})

    def update_function_configuration(self, FunctionName: str, **values: Any) -> None:  # noqa: N803
        self.change(configuration=self.configuration | values)

    def put_function_recursion_config(self, FunctionName: str, RecursiveLoop: str) -> None:  # noqa: N803
        self.get_function_configuration(FunctionName)
        self.change(recursion=RecursiveLoop)

    def list_event_source_mappings(self, EventSourceArn: str) -> Any:  # noqa: N803
        found = self.mappings.get(EventSourceArn)
        answer = {"EventSourceMappings": [dict(found)] if found else []}
        if found and found["State"] == "Deleting":
            self.mappings = {
                arn: one for arn, one in self.mappings.items() if arn != EventSourceArn
            }
        elif found:
            found["State"] = "Enabled"  # AWS goes on without us
        return answer

    def create_event_source_mapping(
        self,
        FunctionName: str,  # noqa: N803
        EventSourceArn: str,  # noqa: N803
        **values: Any,
    ) -> None:
        self.get_function_configuration(FunctionName)
        if EventSourceArn in self.mappings:
            raise refusal("ResourceConflictException", "the mapping exists already")
        arn = f"arn:aws:lambda:eu-west-1:1:function:{FunctionName}"
        made = {"UUID": EventSourceArn, "FunctionArn": arn, "State": "Creating", **values}
        self.change(mappings=self.mappings | {EventSourceArn: made})

    def update_event_source_mapping(self, UUID: str, Enabled: bool, **values: Any) -> None:  # noqa: N803
        self._mapping_at_rest(UUID).update(values | {"State": "Updating"})
        self.change()

    def delete_event_source_mapping(self, UUID: str) -> None:  # noqa: N803
        self._mapping_at_rest(UUID)["State"] = "Deleting"
        self.change()

    def _mapping_at_rest(self, uuid: str) -> dict[str, Any]:
        if self.mappings[uuid]["State"].endswith("ing"):
            raise refusal("ResourceInUseException", "the mapping is being changed")
        return self.mappings[uuid]

    def get_waiter(self, name: str) -> "Aws":
        return self

    def wait(self, **_: str) -> None:
        """The function is ready."""

    # SSM, Cognito
    @property
    def keys(self) -> str:
        return self.versions_of_keys[-1]

    def get_parameter(self, Name: str, **_: Any) -> Any:  # noqa: N803
        version = self.released_keys if ":" in Name else len(self.versions_of_keys)
        if not version:
            raise refusal("ParameterVersionNotFound", "no version has this label")
        return {"Parameter": {"Value": self.versions_of_keys[version - 1], "Version": version}}

    def put_parameter(self, Value: str, Overwrite: bool, **_: Any) -> None:  # noqa: N803
        if self.versions_of_keys and not Overwrite:
            raise refusal("ParameterAlreadyExists", "The parameter already exists.")
        self.change(versions_of_keys=[*self.versions_of_keys, Value])

    def label_parameter_version(self, ParameterVersion: int, **_: Any) -> None:  # noqa: N803
        self.change(released_keys=ParameterVersion)

    def describe_user_pool_client(self, ClientId: str, **_: str) -> Any:  # noqa: N803
        urls = ["https://a.example/done", "https://b.example/done"]
        known = {"CallbackURLs": urls, "SupportedIdentityProviders": ["COGNITO", "Google"]}
        return {"UserPoolClient": {"ClientSecret": f"of {ClientId}", **known}}

    # API Gateway
    def update_stage(self, patchOperations: list[Any], **_: str) -> None:  # noqa: N803
        assert self.stack == "CREATE_COMPLETE"
        if not self.staged:
            raise refusal("NotFoundException", "Invalid stage identifier specified")
        self.change(throttling={one["path"]: one["value"] for one in patchOperations})


@dataclass(frozen=True)
class ZappaBundle(Bundle):
    """A package, with a stand-in for Zappa that does its steps in Zappa's order."""

    aws: Aws

    def run_zappa(self, command: str, stage: str, *options: str, **environment: str) -> str:
        aws = self.aws
        secrets = json.loads(environment.get(zappa_template.SECRETS, "{}"))
        known = aws.configuration.get("Environment", {}).get("Variables", {})  # Zappa keeps them
        configuration = aws.configuration | {"Environment": {"Variables": known | secrets}}
        if command == "undeploy":
            aws.change(stack="", staged=False)
            aws.change(rules=set())
            aws.delete_function(NAME)
            return ""
        if command == "deploy":
            if aws.code:
                raise BundleError("This application is already deployed")
            aws.change(code=Path(options[1]).read_text(), configuration=configuration)
        else:
            aws.get_function_configuration(NAME)
            aws.change(code=Path(options[1]).read_text())
            aws.change(configuration=configuration)
        aws.change(rules=set())
        aws.change(rules=RULES)
        if not aws.stack and command == "update":
            return "CloudFormation stack missing, re-deploy to enable updates"
        if not aws.stack:
            aws.change(stack="CREATE_IN_PROGRESS")
            aws.change(stack="CREATE_COMPLETE")
        elif aws.stack != "CREATE_COMPLETE":
            raise BundleError(f"Stack is in {aws.stack} state and can not be updated")
        aws.change(staged=True)
        return ""


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Aws:
    found = Aws(tmp_path)
    monkeypatch.setattr(cloudformation, "POLL_S", 0)
    monkeypatch.setattr(release, "CHECK_WITHIN_S", 0)
    monkeypatch.setattr(release, "CHECK_EVERY_S", 0)
    monkeypatch.setattr(release, "configure", lambda *_, **__: None)
    bundle = ZappaBundle(tmp_path / "new.zip", tmp_path / "app", tmp_path / "zappa", found)
    monkeypatch.setattr(release, "build", lambda *_, **__: bundle)
    monkeypatch.setattr(
        release, "_answer", lambda *_: "200" if found.code.split()[0] in found.answers else "500"
    )
    return found


def releases(aws: Aws, code: str) -> None:
    package = aws.folder / "new.zip"
    package.write_text(code)
    bundle = ZappaBundle(package, aws.folder / "app", aws.folder / "zappa", aws)
    place: Any = aws
    release.release("dev", place, bundle, OUTPUTS, target=Target.here())


def deploys(aws: Aws, code: str, **parameters: str) -> str:
    """All of a release. The package is there."""
    package = aws.folder / "new.zip"
    package.write_text(code)
    place: Any = aws
    return release.deploy("dev", place, parameters=parameters, target=Target.here())


def removes(aws: Aws) -> None:
    place: Any = aws
    bundle = ZappaBundle(aws.folder / "new.zip", aws.folder / "app", aws.folder / "zappa", aws)
    release.remove("dev", place, bundle, OUTPUTS)


def cuts(aws: Aws, begin: Mapping[str, Any], act: Callable[[], None]) -> int:
    """Cuts the act after each of its changes in turn, and repeats it. Returns their number."""
    number = 0
    while True:
        vars(aws).update(deepcopy(begin))
        (aws.folder / "before.zip").unlink(missing_ok=True)
        aws.cut_after = number
        try:
            act()
        except Cut:
            aws.cut_after = None
            act()
            assert_whole(aws)
            number += 1
        else:
            return number


def assert_whole(aws: Aws) -> None:
    """A stage is whole or gone: no part of it stands alone."""
    if aws.code:
        assert (aws.stack, aws.staged, aws.rules) == ("CREATE_COMPLETE", True, RULES)
        assert aws.configuration["DeadLetterConfig"] == {"TargetArn": OUTPUTS["DeadLetterQueueArn"]}
        variables = aws.configuration["Environment"]["Variables"]
        assert variables["PARLEY_PUBLIC_URL"] == "https://api.parley.example"
        assert variables["PARLEY_SECRET_KEY"] == aws.keys
        assert variables["PARLEY_CLIENT_SECRET"] == "of app"
        assert variables["PARLEY_SIGN_UP_CLIENT_SECRET"] == "of sign-ups"
        urls = "https://a.example/done https://b.example/done"
        assert variables["PARLEY_CALLBACK_URLS"] == urls
        assert variables["PARLEY_SIGN_IN_PROVIDERS"] == "COGNITO Google"
        assert aws.recursion == "Allow"
        assert len(aws.throttling) == 2
        for queue, at_once in (("work", 2), ("prompt", 4)):
            mapping = aws.mappings[f"arn:aws:sqs:eu-west-1:1:{queue}"]
            assert mapping["ScalingConfig"] == {"MaximumConcurrency": at_once}
            assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
            assert mapping["BatchSize"] == 1
    else:
        assert (aws.stack, aws.rules) == ("", set())
        assert all(mapping["State"] == "Deleting" for mapping in aws.mappings.values())


EMPTY: dict[str, Any] = {
    "code": "",
    "configuration": {},
    "rules": set(),
    "stack": "",
    "staged": False,
    "mappings": {},
    "stacks": {},
    "removed": [],
    "versions_of_keys": ["first"],
    "released_keys": 0,
}
OLD: dict[str, Any] = EMPTY | {
    "code": "good 1",
    "configuration": {"Environment": {"Variables": {"PARLEY_SECRET_KEY": "first"}}},
    "rules": RULES,
    "stack": "CREATE_COMPLETE",
    "staged": True,
}


def test_a_first_release_is_repeated_whatever_step_it_was_cut_after(aws: Aws) -> None:
    assert cuts(aws, EMPTY, lambda: releases(aws, "good 1")) >= 7
    assert aws.code == "good 1"


WISHES = {"MailFrom": "parley@parley.example", "AlarmMail": "ops@parley.example"}


def test_a_whole_first_deployment_is_repeated_whatever_step_it_was_cut_after(aws: Aws) -> None:
    """From the stack and the key to what watches the stage."""

    def act() -> None:
        assert deploys(aws, "good 1", **WISHES) == "https://a1.example/dev"
        assert {name: stack.status for name, stack in aws.stacks.items()} == {
            "parley-dev": "CREATE_COMPLETE",
            "parley-dev-watch": "CREATE_COMPLETE",
        }
        assert aws.stacks["parley-dev"].given["MailFrom"] == WISHES["MailFrom"]
        watch = aws.stacks["parley-dev-watch"].given
        assert (watch["AlarmMail"], watch["ApiId"]) == (WISHES["AlarmMail"], "a1")
        assert len(aws.keys.split()) == 1

    assert cuts(aws, EMPTY | {"versions_of_keys": []}, act) >= 12


@pytest.mark.parametrize("watch", ["", "-watch"])
@pytest.mark.parametrize(
    "status",
    sorted(
        cloudformation.UNUSABLE - {"REVIEW_IN_PROGRESS"}
        | {"ROLLBACK_IN_PROGRESS", "DELETE_IN_PROGRESS"}
    ),
)
def test_parameters_keep_their_values_after_a_failed_creation(
    aws: Aws, status: str, watch: str
) -> None:
    deploys(aws, "good 1", **WISHES)
    stack = aws.stacks[f"parley-dev{watch}"]
    stack.status, before = status, dict(stack.given)
    deploys(aws, "good 2")
    made = aws.stacks[f"parley-dev{watch}"]
    assert made is not stack
    assert made.given == before


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("watch", ["", "-watch"])
def test_parameters_outlive_a_release_that_was_cut_while_it_made_a_failed_stack_anew(
    aws: Aws, watch: str, dry_run: bool
) -> None:
    """The stack is gone when the release is repeated, perhaps after a dry run that was cut too."""
    name = f"parley-dev{watch}"
    deploys(aws, "good 1", **WISHES)
    stack = aws.stacks[name]
    stack.status, before = "ROLLBACK_COMPLETE", dict(stack.given)
    whole = deepcopy(EMPTY | vars(aws))
    gone: list[str] = []

    def act() -> None:
        if aws.cut_after is None and aws.stacks[name].status == "DELETE_IN_PROGRESS":
            gone.append(name)
            del aws.stacks[name]
            if dry_run:
                aws.stacks[name] = Stack("REVIEW_IN_PROGRESS", {"AlarmMail": "try@parley.example"})
        deploys(aws, "good 2")
        assert aws.stacks[name].given == before

    assert cuts(aws, whole, act) >= 10
    assert gone == [name]


def test_a_stack_that_somebody_has_removed_begins_with_the_defaults(aws: Aws) -> None:
    """Even if one before it had failed."""
    deploys(aws, "good 1", **WISHES)
    aws.stacks["parley-dev"].status = "ROLLBACK_COMPLETE"
    deploys(aws, "good 1")
    aws.delete_stack("parley-dev")
    while "parley-dev" in aws.stacks:
        aws.describe_stacks("parley-dev")
    deploys(aws, "good 2")
    assert "MailFrom" not in aws.stacks["parley-dev"].given


def test_the_parameters_of_a_dry_run_are_forgotten(aws: Aws) -> None:
    vars(aws).update(deepcopy(EMPTY))
    aws.stacks["parley-dev"] = Stack("REVIEW_IN_PROGRESS", {"MailFrom": "try@parley.example"})
    deploys(aws, "good 1")
    assert "MailFrom" not in aws.stacks["parley-dev"].given


def test_an_undeployed_stage_is_watched_no_more_until_its_next_release(aws: Aws) -> None:
    """The alarm of a silent sweep would stay, and the firewall cost on."""
    deploys(aws, "good 1", Firewall="true", **WISHES)
    whole = EMPTY | vars(aws)
    watch = "parley-dev-watch"

    def act() -> None:
        removes(aws)
        assert aws.stacks[watch].given["InService"] == "false"

    assert cuts(aws, whole, act) == 6
    aws.cut_after = None
    deploys(aws, "good 2")
    assert aws.stacks[watch].given["InService"] == "true"
    assert aws.stacks[watch].given["AlarmMail"] == WISHES["AlarmMail"]
    assert aws.stacks[watch].given["Firewall"] == "true"


def test_nothing_that_watches_is_left_out_of_service() -> None:
    template = read(cloudformation.WATCH_TEMPLATE)
    kinds = {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"}
    watching = [one for one in template["Resources"].values() if one["Type"] in kinds]
    assert len(watching) > 18
    assert {one.get("Condition") for one in watching} == {"IsInService"}
    assert {"Condition": "IsInService"} in template["Conditions"]["HasFirewall"]["Fn::And"]


def test_an_update_is_repeated_whatever_step_it_was_cut_after(aws: Aws) -> None:
    assert cuts(aws, OLD, lambda: releases(aws, "good 2")) >= 5
    assert aws.code == "good 2"


def test_a_rollback_that_was_cut_ends_with_the_next_good_version(aws: Aws) -> None:
    versions: list[str] = []

    def act() -> None:
        if aws.cut_after is not None:
            versions.append("bad 2")
            with pytest.raises(release.ReleaseError, match="The version before answers again"):
                releases(aws, "bad 2")
            assert aws.code == "good 1"
        else:
            releases(aws, "good 3")

    assert cuts(aws, OLD, act) >= 10


def test_a_bad_release_that_was_cut_and_is_repeated_goes_back_to_the_good_version(aws: Aws) -> None:
    def act() -> None:
        with pytest.raises(release.ReleaseError, match=r"500\. The version before answers again"):
            releases(aws, "bad 2")
        assert aws.code == "good 1"

    assert cuts(aws, OLD, act) >= 10


def test_a_bad_version_is_nothing_to_go_back_to(aws: Aws) -> None:
    """This machine has not seen the version that answered last."""
    vars(aws).update(deepcopy(OLD) | {"code": "bad 1"})
    with pytest.raises(release.ReleaseError, match="No version that answers is known"):
        releases(aws, "bad 2")
    assert not (aws.folder / "before.zip").exists()
    releases(aws, "good 3")
    assert_whole(aws)


def test_a_version_before_that_answers_no_more_is_told(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    vars(aws).update(deepcopy(OLD))
    change = Aws.change

    def break_the_stage(self: Aws, **values: Any) -> None:
        self.answers = set()
        change(self, **values)

    monkeypatch.setattr(Aws, "change", break_the_stage)
    with pytest.raises(release.ReleaseError, match=r"does not answer either: .* answers 500"):
        releases(aws, "good 2")
    assert aws.code == "good 1"


def test_an_undeploy_is_repeated_whatever_step_it_was_cut_after(aws: Aws) -> None:
    vars(aws).update(deepcopy(OLD))
    releases(aws, "good 1")
    whole = OLD | {"mappings": aws.mappings}
    assert cuts(aws, whole, lambda: removes(aws)) == 5
    assert (aws.code, aws.stack) == ("", "")


def test_a_stage_that_wants_other_limits_has_them_after_its_next_release(aws: Aws) -> None:
    vars(aws).update(OLD)
    releases(aws, "good 1")
    before = aws.cut_after = 99
    releases(aws, "good 2")
    unchanged = before - aws.cut_after
    for mapping in aws.mappings.values():
        mapping["ScalingConfig"] = {"MaximumConcurrency": 50}
    before = aws.cut_after = 99
    releases(aws, "good 3")
    assert before - aws.cut_after == unchanged + 2
    aws.cut_after = None
    assert_whole(aws)


@pytest.mark.parametrize("status", sorted(cloudformation.UNUSABLE))
def test_an_api_whose_stack_failed_is_made_anew(aws: Aws, status: str) -> None:
    vars(aws).update(OLD | {"staged": False, "stack": status})
    releases(aws, "good 2")
    assert_whole(aws)
    assert aws.code == "good 2"


def rotates(aws: Aws) -> None:
    place: Any = aws
    release.rotate_secret_key("dev", place)


@pytest.mark.parametrize("code", ["", "bad 2"])
def test_a_rotation_whose_release_failed_is_repeated_without_another_key(
    aws: Aws, code: str
) -> None:
    """It failed before its release began, or in the check of the new version."""
    vars(aws).update(deepcopy(OLD))
    releases(aws, "good 1")
    rotates(aws)
    if code:
        with pytest.raises(release.ReleaseError, match="answers again"):
            releases(aws, code)
    rotates(aws)
    assert len(aws.keys.split()) == 2
    releases(aws, "good 3")
    rotates(aws)
    assert len(aws.keys.split()) == 3


def test_a_rotation_is_repeated_whatever_step_it_was_cut_after(aws: Aws) -> None:
    def act() -> None:
        was_done = aws.released_keys == 2  # cut after its last step, it was whole
        rotates(aws)
        releases(aws, "good 2")
        assert len(aws.keys.split()) == 2 + was_done

    vars(aws).update(deepcopy(OLD))
    releases(aws, "good 1")
    begin = OLD | {"versions_of_keys": ["first"], "released_keys": 1, "mappings": aws.mappings}
    assert cuts(aws, begin, act) >= 6


def test_keys_of_years_go_on_opening_what_they_sealed(aws: Aws) -> None:
    place: Any = aws
    vars(aws).update(OLD)
    releases(aws, "good 0")
    for number in range(12):
        release.rotate_secret_key("dev", place)
        releases(aws, f"good {number}")
        assert ("first" in aws.keys.split()) is (number < release.KEPT_KEYS - 1)


class Formation:
    """CloudFormation with two stacks at most, which refuses unknown parameters as AWS does."""

    def __init__(self, status: str = "") -> None:
        self.status = status
        self.given: list[dict[str, str]] = []
        self.deleted = False
        self.events: list[dict[str, str]] = []
        self.identity: dict[str, str] = {}

    def _take(self, body: str, parameters: list[Any]) -> None:
        given = {p["ParameterKey"]: p.get("ParameterValue", "kept") for p in parameters}
        declared = yaml.load(body, Loader)["Parameters"]  # noqa: S506 - safe
        if unknown := given.keys() - declared.keys():
            raise refusal(
                "ValidationError", f"Parameters: {sorted(unknown)} do not exist in the template"
            )
        self.given.append(given)

    def create_change_set(self, **request: Any) -> Any:
        if self.status not in {"", "REVIEW_IN_PROGRESS"} and request["ChangeSetType"] == "CREATE":
            raise refusal("AlreadyExistsException", "the stack exists")
        if self.status in {"", "REVIEW_IN_PROGRESS"} and request["ChangeSetType"] == "UPDATE":
            raise refusal("ValidationError", "the stack does not exist")
        if self.status in cloudformation.FAILED:
            raise refusal(
                "ValidationError", f"Stack is in {self.status} state and can not be updated"
            )
        self._take(request["TemplateBody"], request["Parameters"])
        self.status = self.status or "REVIEW_IN_PROGRESS"
        return {"Id": "plan"}

    def describe_change_set(self, **_: str) -> Any:
        change = {"Action": "Add", "LogicalResourceId": "Table"}
        return {"Status": "CREATE_COMPLETE", "Changes": [{"ResourceChange": change}]}

    def delete_change_set(self, **_: str) -> None:
        """The stack stays, empty if it was new."""

    def describe_stacks(self, StackName: str) -> Any:  # noqa: N803
        if not self.status:
            raise refusal("ValidationError", f"Stack with id {StackName} does not exist")
        return {"Stacks": [{"StackName": StackName, "StackStatus": self.status}]}

    def delete_stack(self, **_: str) -> None:
        self.status, self.deleted = "", True

    def create_stack(self, **request: Any) -> None:
        if self.status:
            raise refusal("AlreadyExistsException", "the stack exists")
        self._take(request["TemplateBody"], request["Parameters"])
        self.status = "CREATE_COMPLETE"

    def update_stack(self, **request: Any) -> None:
        if self.status.startswith(("ROLLBACK", "REVIEW")):
            raise refusal("ValidationError", f"the stack is in {self.status} state")
        self._take(request["TemplateBody"], request["Parameters"])
        self.status = "UPDATE_COMPLETE"

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: Any) -> Any:
        return [{"StackEvents": self.events, "StackSummaries": []}]

    def describe_stack_resource(self, **_: str) -> Any:
        if self.identity:
            return {"StackResourceDetail": self.identity}
        raise refusal("ValidationError", "the stack does not exist")


@dataclass
class Account:
    """An account whose SES has some identities, and no function yet."""

    formation: Formation
    identities: set[str]
    endpoint_url: None = None

    def client(self, service: str) -> Any:
        return self.formation if service == "cloudformation" else self

    def get_email_identity(self, EmailIdentity: str) -> Any:  # noqa: N803
        if EmailIdentity not in self.identities:
            raise refusal("NotFoundException", f"Email identity {EmailIdentity} does not exist")
        return {}

    def get_function_configuration(self, **_: str) -> Any:
        raise refusal("ResourceNotFoundException", "Function not found")


def planned(account: Account, **parameters: str) -> list[str]:
    place: Any = account
    return release.plan("prod", place, parameters)


def test_a_dry_run_keeps_the_second_templates_parameters_from_the_first() -> None:
    account = Account(Formation(), set())
    lines = planned(account, MailFrom="a@parley.example", AlarmMail="ops@parley.example")
    assert lines == ["parley-prod: Add Table", "parley-api-prod: make"]
    assert "AlarmMail" not in account.formation.given[0]


def test_a_parameter_that_no_template_has_is_told_before_anything_is_done() -> None:
    formation = Formation()
    with pytest.raises(release.ReleaseError, match="no template has a parameter MailForm"):
        planned(Account(formation, set()), MailForm="a@parley.example")
    assert formation.given == []


def test_an_interrupted_dry_run_blocks_neither_the_next_one_nor_a_release() -> None:
    formation = Formation("REVIEW_IN_PROGRESS")
    assert planned(Account(formation, set()))[0] == "parley-prod: Add Table"
    formation = Formation("REVIEW_IN_PROGRESS")
    client: Any = formation
    cloudformation.apply(client, stage="dev", parameters={}, interval_s=0)
    assert (formation.deleted, formation.status) == (True, "CREATE_COMPLETE")


@pytest.mark.parametrize("status", sorted(cloudformation.FAILED))
def test_a_dry_run_tells_why_a_stack_has_failed_and_leaves_it(status: str) -> None:
    formation = Formation(status)
    failed = {"EventId": "1", "LogicalResourceId": "Table", "ResourceStatus": "CREATE_FAILED"}
    formation.events = [failed | {"ResourceStatusReason": "no such key"}]
    [line, _] = planned(Account(formation, set()))
    assert line.startswith("parley-prod: Table CREATE_FAILED: no such key. A release makes it anew")
    assert (formation.deleted, formation.status) == (False, status)


def test_prod_is_protected_from_deletion_only_once_it_is_made() -> None:
    formation: Any = Formation()
    cloudformation.apply(formation, stage="prod", parameters={}, interval_s=0)
    assert [given.get("Protected") for given in formation.given] == [None, "true"]
    cloudformation.apply(formation, stage="prod", parameters={}, interval_s=0)
    assert formation.given[-1]["Protected"] == "true"


@pytest.mark.parametrize(("identities", "owns"), [(set(), "true"), ({"parley.example"}, "false")])
def test_a_stage_shares_the_mail_identity_that_exists(identities: set[str], owns: str) -> None:
    account = Account(Formation(), identities)
    planned(account, MailFrom="prod@parley.example")
    assert account.formation.given[0]["OwnsMailIdentity"] == owns


def test_a_failed_creation_owns_no_mail_identity() -> None:
    """Another stage has made it meanwhile: to claim it again would fail for ever."""
    formation: Any = Formation()
    formation.identity = {
        "PhysicalResourceId": "parley.example",
        "ResourceStatus": "DELETE_COMPLETE",
    }
    planned(Account(formation, {"parley.example"}), MailFrom="prod@parley.example")
    assert formation.given[0]["OwnsMailIdentity"] == "false"


def test_whoever_says_who_owns_the_identity_is_believed() -> None:
    account = Account(Formation(), {"parley.example"})
    planned(account, MailFrom="prod@parley.example", OwnsMailIdentity="true")
    assert account.formation.given[0]["OwnsMailIdentity"] == "true"
