"""The calls open to the deployed function: its role's policy, and botocore's reduced descriptions.

`calls_watched` lets every call that the service makes in any test be checked against both.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from botocore.client import BaseClient

from config.aws import CONNECT_TIMEOUT_S
from config.aws_json import AwsJson
from config.ops.pruning import OPERATIONS
from config.stack import BASE_DIR
from tests.template import properties

HOOKS = ("_make_api_call", "_call")  # of our connection, through which tests call as well
PREFIXES = {
    "bedrock-runtime": "bedrock",
    "sesv2": "ses",
}  # where IAM's name of a service is not botocore's
# Operations that IAM asks about by other names (AWS: "Actions, resources, and condition keys").
ACTIONS = {
    ("bedrock-runtime", "Converse"): {"bedrock:InvokeModel"},
    ("dynamodb", "TransactWriteItems"): {
        "dynamodb:ConditionCheckItem",
        "dynamodb:DeleteItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    },
    ("s3", "DeleteObjects"): {"s3:DeleteObject"},
    ("s3", "HeadObject"): {"s3:GetObject"},
    ("s3", "ListObjectsV2"): {"s3:ListBucket"},
    ("sqs", "SendMessageBatch"): {"sqs:SendMessage"},
}
ADVICE = (
    "Lambda knows no {service} {operation}: add it to OPERATIONS in config/ops/pruning.py, "
    "and its action to the role in config/ops/infrastructure.yaml"
)


def policies() -> dict[str, Any]:
    """The role's policy documents by name, with those of stages that have what they are for."""
    optional = [properties(f"{name}Policy") for name in ("Model", "Voice", "Guardrail")]
    found = [*properties("Role")["Policies"], *optional]
    return {policy["PolicyName"]: policy["PolicyDocument"] for policy in found}


@cache
def allowed() -> set[str]:
    """The actions that the policies allow, without those of Lambda and its kin."""
    documents = [document for name, document in policies().items() if name != "platform"]
    actions: set[str] = set()
    for statement in (each for document in documents for each in document["Statement"]):
        named = statement["Action"]
        actions |= {named} if isinstance(named, str) else set(named)
    return {str(action) for action in actions}


def needed(service: str, operation: str, *, signed: bool) -> set[str]:
    """The actions that an operation needs. None if AWS takes it without a signature."""
    if not signed:
        return set()
    own = {f"{PREFIXES.get(service, service)}:{operation}"}
    return ACTIONS.get((service, operation), own)


@contextmanager
def calls_watched() -> Iterator[None]:
    """Fails each call of the service that the deployed function could not make."""
    make, call = BaseClient._make_api_call, AwsJson.call  # type: ignore[attr-defined]

    def checked(self: Any, operation: str, arguments: Any) -> Any:
        if self.meta.config.connect_timeout == CONNECT_TIMEOUT_S and _by_the_service():
            model = self.meta.service_model
            signed = model.operation_model(operation).auth_type != "none"
            _check(model.service_name, operation, signed=signed)
        return make(self, operation, arguments)

    def checked_of_ours(self: AwsJson, operation: str, arguments: Any) -> Any:
        if _by_the_service():
            _check(self.service, operation, signed=True)
        return call(self, operation, arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", checked)
        for name in ("call", "_make_api_call"):
            patch.setattr(AwsJson, name, checked_of_ours)
        yield


def _check(service: str, operation: str, *, signed: bool) -> None:
    assert operation in OPERATIONS.get(service, ()), ADVICE.format(
        service=service, operation=operation
    )
    missing = needed(service, operation, signed=signed) - allowed()
    assert not missing, f"the role in config/ops/infrastructure.yaml does not allow {missing}"


def _by_the_service() -> bool:
    """Whether our own code makes the call, not a test that looks behind it."""
    frame: FrameType | None = sys._getframe(2)
    while frame:
        room = _room(frame.f_code.co_filename)
        hook = room.endswith("connection.py") and frame.f_code.co_name in HOOKS
        if room and not hook:
            return not room.startswith("tests/")
        frame = frame.f_back
    return False


@cache
def _room(filename: str) -> str:
    """The part of our code that a file belongs to, or nothing for other files."""
    path = Path(filename)
    if not path.is_relative_to(BASE_DIR) or ".venv" in path.parts:
        return ""
    return path.relative_to(BASE_DIR).as_posix()
