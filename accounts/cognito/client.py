"""How the user pool is called: by the service, as an admin, or as our app client.

The app client is confidential. Its secret is asked of Cognito once in each process, so that it
lies in no file and no environment.
"""

import base64
import hashlib
import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.exceptions import ClientError

from accounts.cognito.problems import PER_USER_LIMITS, Errors, NoSuchUser
from config import aws
from config.problems import UpstreamFailed
from config.stack import stack
from config.telemetry import record

log = logging.getLogger("parley.cognito")


def call(operation: str, errors: Errors, **arguments: Any) -> dict[str, Any]:
    """One call; `errors` says which problem a code of Cognito's is. Others are ours: 502."""
    record(operation)
    with aws.translated():
        try:
            answer: dict[str, Any] = getattr(aws.client("cognito-idp"), operation)(**arguments)
        except ClientError as error:
            code = aws.error_code(error)
            if problem := errors.get(code):
                raise problem() from error
            if code in aws.THROTTLES:
                raise
            log.error("refused", extra={"fields": {"operation": operation, "code": code}})
            raise UpstreamFailed from error
    return answer


def as_admin(operation: str, username: str, errors: Errors, **arguments: Any) -> dict[str, Any]:
    """A call about one user, which our role may make. Raises NoSuchUser, and as `call`."""
    return call(
        operation,
        {"UserNotFoundException": NoSuchUser, **errors},
        UserPoolId=stack().user_pool_id,
        Username=username,
        **arguments,
    )


@dataclass(frozen=True)
class AppClient:
    """What the pool knows of our app client. `callback_urls` are exact."""

    secret: str
    callback_urls: frozenset[str]
    providers: frozenset[str]


@cache
def _app_client(user_pool_id: str, client_id: str) -> AppClient:
    answer = call("describe_user_pool_client", {}, UserPoolId=user_pool_id, ClientId=client_id)
    found = answer["UserPoolClient"]
    return AppClient(
        found["ClientSecret"],
        frozenset(found.get("CallbackURLs", [])),
        frozenset(found.get("SupportedIdentityProviders", [])),
    )


def app_client() -> AppClient:
    """The app client, asked for once in each process."""
    return _app_client(stack().user_pool_id, stack().client_id)


def client_secret() -> str:
    """The app client's secret."""
    return app_client().secret


def forget_app_client() -> None:
    """Makes the next call ask for the app client again."""
    _app_client.cache_clear()


def secret_hash(username: str) -> str:
    """What proves to Cognito that the app client asks (AWS: "Computing secret hash values")."""
    message = f"{username}{stack().client_id}".encode()
    digest = hmac.new(client_secret().encode(), message, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def as_client(operation: str, username: str, errors: Errors, **arguments: Any) -> dict[str, Any]:
    """A call that any app could make, made as our app client."""
    return call(
        operation,
        {**PER_USER_LIMITS, **errors},
        ClientId=stack().client_id,
        SecretHash=secret_hash(username),
        Username=username,
        **arguments,
    )


def attributes(values: Mapping[str, str]) -> list[dict[str, str]]:
    """A user's attributes as Cognito takes them."""
    return [{"Name": name, "Value": value} for name, value in values.items()]


def set_attributes(username: str, values: Mapping[str, str], errors: Errors) -> None:
    """Changes attributes of a user. Raises NoSuchUser, and as `errors` say."""
    as_admin("admin_update_user_attributes", username, errors, UserAttributes=attributes(values))
