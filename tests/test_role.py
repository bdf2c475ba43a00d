"""The function's role: exactly the calls of the code, and on this stage's resources alone."""

import ast
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
WITHOUT_RESOURCES = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}


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
    assert allowed("service") == wanted


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
                assert actions <= WITHOUT_RESOURCES


def test_a_call_the_role_does_not_allow_fails_any_test(moto_stack: Stack) -> None:
    with calls_watched(), pytest.raises(AssertionError, match="Lambda knows no kms ListKeys"):
        aws.call("kms", "list_keys")


def test_the_same_call_by_a_test_itself_is_none_of_its_business(moto_stack: Stack) -> None:
    with calls_watched():
        assert "Keys" in aws.client("kms").list_keys()
