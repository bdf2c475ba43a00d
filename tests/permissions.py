"""What the deployed function may call: its role's policy, and botocore's reduced descriptions.

`calls_watched` lets every call that the service makes in any test be checked against both.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from config.aws import CONNECT_TIMEOUT_S
from config.deployment.slimming import OPERATIONS
from config.stack import BASE_DIR
from tests.template import properties

PREFIXES = {"sesv2": "ses"}  # where IAM's name of a service is not botocore's
# Operations that IAM asks about by other names (AWS: "Actions, resources, and condition keys").
ACTIONS = {
    ("dynamodb", "TransactWriteItems"): {
        "dynamodb:ConditionCheckItem",
        "dynamodb:DeleteItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    },
    ("lambda", "Invoke"): {"lambda:InvokeFunction"},
    ("s3", "HeadObject"): {"s3:GetObject"},
}
ADVICE = (
    "Lambda knows no {service} {operation}: add it to OPERATIONS in config/deployment/slimming.py, "
    "and its action to the role in config/infrastructure.yaml"
)


def policies() -> dict[str, Any]:
    """The role's policy documents by name."""
    found = properties("Role")["Policies"]
    return {policy["PolicyName"]: policy["PolicyDocument"] for policy in found}


@cache
def allowed(policy: str) -> set[str]:
    """The actions that one of the policies allows."""
    actions: set[str] = set()
    for statement in policies()[policy]["Statement"]:
        named = statement["Action"]
        actions |= {named} if isinstance(named, str) else set(named)
    return {str(action) for action in actions}


def needed(service: str, operation: str, *, signed: bool) -> set[str]:
    """The actions an operation needs; none where AWS takes it without a signature."""
    if not signed:
        return set()
    own = {f"{PREFIXES.get(service, service)}:{operation}"}
    return ACTIONS.get((service, operation), own)


@contextmanager
def calls_watched() -> Iterator[None]:
    """Fails each call of the service that the deployed function could not make."""
    make = BaseClient._make_api_call  # type: ignore[attr-defined]

    def checked(self: Any, operation: str, arguments: Any) -> Any:
        if self.meta.config.connect_timeout == CONNECT_TIMEOUT_S and _by_the_service():
            _check(self, operation)
        return make(self, operation, arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", checked)
        yield


def _check(client: Any, operation: str) -> None:
    service = client.meta.service_model.service_name
    assert operation in OPERATIONS.get(service, ()), ADVICE.format(
        service=service, operation=operation
    )
    signed = client.meta.service_model.operation_model(operation).auth_type != "none"
    missing = needed(service, operation, signed=signed) - allowed("service")
    assert not missing, f"the role in config/infrastructure.yaml does not allow {missing}"


def _by_the_service() -> bool:
    """Whether our own code makes the call, not a test that looks behind it."""
    frame = sys._getframe(2)
    while frame := frame.f_back:  # type: ignore[assignment]
        room = _room(frame.f_code.co_filename)
        hooks = room == "config/table.py" and frame.f_code.co_name == "_make_api_call"
        if room and not hooks:
            return not room.startswith("tests/")
    return False


@cache
def _room(filename: str) -> str:
    """Where in our code a file is; empty where it is not ours."""
    path = Path(filename)
    if not path.is_relative_to(BASE_DIR) or ".venv" in path.parts:
        return ""
    return path.relative_to(BASE_DIR).as_posix()
