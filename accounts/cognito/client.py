"""Calls to the user pool: by the service, as an admin, or as one of our two app clients.

One client signs users in. It may not write their addresses, since an access token may write what
its client may. The other makes and confirms users, may write the address, and signs nobody in.

Both are confidential. A release gives their secrets to the function's environment, encrypted by the
stack's key; other processes ask Cognito for them once. Cognito allows few such questions a second,
too few for many cold starts at once. Cognito's errors leave this package as problems of ours.
"""

import base64
import hashlib
import hmac
import logging
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from botocore.exceptions import ClientError

from config import aws
from config.problems import (
    Conflict,
    NotAuthenticated,
    PermissionDenied,
    Problem,
    TooManyRequests,
    UpstreamFailed,
    ValidationFailed,
)
from config.records import dataclass
from config.stack import stack
from config.telemetry import record_call

log = logging.getLogger("parley.cognito")

Errors = Mapping[str, type[Problem]]


class UserAlreadyExists(Conflict):
    code, title = "USER_ALREADY_EXISTS", "There is already an account with this e-mail address"


class InvalidCredentials(NotAuthenticated):
    """Wrong password, unknown address, disabled account: the same answer."""

    code, title = "INVALID_CREDENTIALS", "The e-mail address or the password is wrong"


class NoSuchUser(Conflict):
    """The account is there and its user is not: somebody deleted it in the console."""

    code, title = "USER_MISSING", "The user pool has no user for this account"


class EmailNotVerified(PermissionDenied):
    code, title = "EMAIL_NOT_VERIFIED", "Verify the e-mail address first"


class PasswordResetRequired(PermissionDenied):
    code, title = "PASSWORD_RESET_REQUIRED", "The password has to be reset first"


class PasswordSignInNeeded(PermissionDenied):
    code, title = "PASSWORD_SIGN_IN_NEEDED", "Sign in with your password to do this"


class InvalidRefreshToken(NotAuthenticated):
    """Revoked, expired, used twice, never ours: the same answer."""

    code, title = "INVALID_REFRESH_TOKEN", "The refresh token is not valid"


class RefreshTokenReused(InvalidRefreshToken):
    """A rotated token came again after its grace period: it may have been stolen."""


class InvalidCode(ValidationFailed):
    code, title = "INVALID_CODE", "The code is wrong or has expired"


class AlreadyConfirmed(InvalidCode):
    """The address needs no code any more, or an earlier try was heard. Shown as a wrong code."""


class SignUpRefused(UpstreamFailed):
    """The pool or the app client of sign-ups is not set up for them. No sign-up can succeed."""

    code, title = "SIGN_UP_REFUSED", "The user pool takes no sign-ups from us"


class WeakPassword(ValidationFailed):
    code, title = "WEAK_PASSWORD", "This password is too easy to guess"


class InvalidMfaCode(NotAuthenticated):
    """Wrong, used before, or tried too late: the same answer."""

    code, title = "INVALID_MFA_CODE", "The code is wrong, or it was used before"


class MfaCodeUsed(InvalidMfaCode):
    """The code of this time step was used before."""


class MfaSessionExpired(NotAuthenticated):
    code, title = "MFA_SESSION_EXPIRED", "Sign in with your password again"


class TooManyAttempts(TooManyRequests):
    """Cognito's own limit for one user."""

    def __init__(self) -> None:
        super().__init__(retry_after_s=900)


PER_USER_LIMITS: Errors = {
    "LimitExceededException": TooManyAttempts,
    "TooManyFailedAttemptsException": TooManyAttempts,
}

INVALID_CODES: Errors = dict.fromkeys(
    (
        "AliasExistsException",
        "CodeMismatchException",
        "ExpiredCodeException",
        "InvalidParameterException",
        "NotAuthorizedException",
        "UserNotFoundException",
    ),
    InvalidCode,
)


# After these nothing has changed in the pool.
REFUSALS = (InvalidCode, WeakPassword, TooManyAttempts, aws.Throttled)


def call(operation: str, errors: Errors, **arguments: Any) -> dict[str, Any]:
    """One call; `errors` maps Cognito's codes to problems. Any other code is our fault: 502."""
    record_call(operation)
    with aws.translate_aws_errors():
        try:
            answer: dict[str, Any] = getattr(aws.client("cognito-idp"), operation)(**arguments)
        except ClientError as error:
            code = aws.error_code(error)
            if code in aws.THROTTLES - errors.keys():
                raise
            problem = errors.get(code, UpstreamFailed)
            if issubclass(problem, UpstreamFailed):
                log.error("refused", extra={"fields": {"operation": operation, "code": code}})
            raise problem() from error
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
    description = answer["UserPoolClient"]
    return AppClient(
        description["ClientSecret"],
        frozenset(description.get("CallbackURLs", [])),
        frozenset(description.get("SupportedIdentityProviders", [])),
    )


def app_client() -> AppClient:
    """The app client that signs users in.

    A release writes it into the function's environment. Other processes ask for it once.
    """
    variables = (
        "PARLEY_CLIENT_SECRET",
        "PARLEY_CALLBACK_URLS",
        "PARLEY_SIGN_IN_PROVIDERS",
    )
    if all(name in os.environ for name in variables):
        secret, callback_urls, providers = (os.environ[name] for name in variables)
        return AppClient(secret, frozenset(callback_urls.split()), frozenset(providers.split()))
    return _app_client(stack().user_pool_id, stack().client_id)


def client_secret() -> str:
    """The secret of the app client that signs users in."""
    return os.environ.get("PARLEY_CLIENT_SECRET") or app_client().secret


def _sign_up_secret() -> str:
    secret = os.environ.get("PARLEY_SIGN_UP_CLIENT_SECRET")
    return secret or _app_client(stack().user_pool_id, stack().sign_up_client_id).secret


def secret_hash(username: str) -> str:
    """The hash that proves to Cognito that the app client of sign-ins asks."""
    return _secret_hash(username, stack().client_id, client_secret())


def _secret_hash(username: str, client_id: str, secret: str) -> str:
    """Signs a user name as one of our app clients (AWS: "Computing secret hash values")."""
    digest = hmac.new(secret.encode(), f"{username}{client_id}".encode(), hashlib.sha256).digest()
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


def as_sign_up_client(
    operation: str, username: str, errors: Errors, **arguments: Any
) -> dict[str, Any]:
    """A call that makes or confirms a user, made as the app client that may write the address."""
    client_id = stack().sign_up_client_id
    return call(
        operation,
        {**PER_USER_LIMITS, **errors},
        ClientId=client_id,
        SecretHash=_secret_hash(username, client_id, _sign_up_secret()),
        Username=username,
        **arguments,
    )


def attributes(values: Mapping[str, str]) -> list[dict[str, str]]:
    """A user's attributes as Cognito takes them."""
    return [{"Name": name, "Value": value} for name, value in values.items()]


def set_attributes(username: str, values: Mapping[str, str], errors: Errors) -> None:
    """Changes attributes of a user. Raises NoSuchUser, and as `errors` say."""
    as_admin("admin_update_user_attributes", username, errors, UserAttributes=attributes(values))
