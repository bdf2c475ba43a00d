"""Every call to the user pool. Cognito's errors leave this module as problems of ours.

The app client is confidential. Its secret is asked of Cognito once in each process, so that it
lies in no file and no environment.
"""

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

import urllib3
from botocore.exceptions import ClientError

from accounts.tokens import ROLES
from config import aws
from config.calls import record
from config.problems import (
    Conflict,
    NotAuthenticated,
    PermissionDenied,
    Problem,
    ServiceUnavailable,
    TooManyRequests,
    UpstreamFailed,
    ValidationFailed,
)
from config.stack import stack

log = logging.getLogger("parley.cognito")

Errors = Mapping[str, type[Problem]]
GOOGLE = "Google"  # what Cognito calls this provider


class UserAlreadyExists(Conflict):
    code, title = "USER_ALREADY_EXISTS", "There is already an account with this e-mail address"


class InvalidCredentials(NotAuthenticated):
    """Wrong password, unknown address, disabled account: the same answer."""

    code, title = "INVALID_CREDENTIALS", "The e-mail address or the password is wrong"


class EmailNotVerified(PermissionDenied):
    code, title = "EMAIL_NOT_VERIFIED", "Verify the e-mail address first"


class PasswordResetRequired(PermissionDenied):
    code, title = "PASSWORD_RESET_REQUIRED", "The password has to be reset first"


class InvalidRefreshToken(NotAuthenticated):
    """Revoked, expired, used twice, never ours: the same answer."""

    code, title = "INVALID_REFRESH_TOKEN", "The refresh token is not valid"


class InvalidCode(ValidationFailed):
    code, title = "INVALID_CODE", "The code is wrong or has expired"


class WeakPassword(ValidationFailed):
    code, title = "WEAK_PASSWORD", "This password is too easy to guess"


class NoSuchUser(InvalidCredentials):
    """The pool has no such user. Shown to a client as any other wrong credentials."""


class TooManyAttempts(TooManyRequests):
    """Cognito's own limit for one user."""

    def __init__(self) -> None:
        super().__init__(retry_after_s=900)


PER_USER_LIMITS: Errors = {
    "LimitExceededException": TooManyAttempts,
    "TooManyFailedAttemptsException": TooManyAttempts,
}


@dataclass(frozen=True)
class Tokens:
    """What a sign-in yields. `refresh_token` is None after a refresh that did not rotate it."""

    access_token: str
    id_token: str
    refresh_token: str | None
    expires_in_s: int


@dataclass(frozen=True)
class Challenge:
    """The password was right; now a TOTP code is wanted. `session` lives for three minutes."""

    username: str
    session: str


def _call(operation: str, errors: Errors, **arguments: Any) -> dict[str, Any]:
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


def _admin(operation: str, username: str, errors: Errors, **arguments: Any) -> dict[str, Any]:
    return _call(
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
    answer = _call("describe_user_pool_client", {}, UserPoolId=user_pool_id, ClientId=client_id)
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


def _as_client(operation: str, username: str, errors: Errors, **arguments: Any) -> dict[str, Any]:
    """A call that any app could make, made as our app client."""
    return _call(
        operation,
        {**PER_USER_LIMITS, **errors},
        ClientId=stack().client_id,
        SecretHash=secret_hash(username),
        Username=username,
        **arguments,
    )


def sign_up(*, email: str, password: str, first_name: str, last_name: str) -> str:
    """Makes an unconfirmed user, whom Cognito mails a code. Returns the `sub`.

    Raises UserAlreadyExists, WeakPassword, ServiceUnavailable.
    """
    try:
        answer = _as_client(
            "sign_up",
            email,
            {
                "UsernameExistsException": UserAlreadyExists,
                "InvalidPasswordException": WeakPassword,
                "InvalidParameterException": ValidationFailed,
                "CodeDeliveryFailureException": _NotDelivered,
            },
            Password=password,
            UserAttributes=_attributes(email=email, given_name=first_name, family_name=last_name),
        )
    except _NotDelivered:
        delete_user(email)  # it was made all the same, and nobody can ever confirm it
        raise
    return str(answer["UserSub"])


class _NotDelivered(ServiceUnavailable):
    """The code could not be mailed."""


def _attributes(**values: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


def confirm_sign_up(*, email: str, code: str) -> None:
    """Confirms the address. Raises InvalidCode, also for unknown and confirmed addresses."""
    _as_client("confirm_sign_up", email, INVALID_CODES, ConfirmationCode=code)


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


def confirm(username: str) -> None:
    """Confirms a user and their address without a code; a confirmed one stays as they are."""
    try:
        _admin("admin_confirm_sign_up", username, {"NotAuthorizedException": InvalidCode})
    except InvalidCode:
        log.info("confirmed already")
    _admin(
        "admin_update_user_attributes",
        username,
        {},
        UserAttributes=_attributes(email_verified="true"),
    )


def add_to_group(username: str, group: str) -> None:
    """Puts a user into a group of the pool, where they may be already."""
    _admin("admin_add_user_to_group", username, {}, GroupName=group)


def remove_from_group(username: str, group: str) -> None:
    """Takes a user out of a group of the pool."""
    _admin("admin_remove_user_from_group", username, {}, GroupName=group)


def groups_of(username: str) -> frozenset[str]:
    """Which of our roles a user has."""
    answer = _admin("admin_list_groups_for_user", username, {}, Limit=60)
    return ROLES.intersection(group["GroupName"] for group in answer["Groups"])


def set_enabled(username: str, *, enabled: bool) -> None:
    """Whether a user may sign in at all; disabling ends their sessions."""
    _admin("admin_enable_user" if enabled else "admin_disable_user", username, {})


def resend_code(email: str) -> None:
    """Mails the sign-up code again. Raises InvalidCode where there is nothing to confirm."""
    _as_client(
        "resend_confirmation_code",
        email,
        {**INVALID_CODES, "CodeDeliveryFailureException": ServiceUnavailable},
    )


BAD_CREDENTIALS: Errors = {
    "InvalidParameterException": InvalidCredentials,
    "NotAuthorizedException": InvalidCredentials,
    "PasswordResetRequiredException": PasswordResetRequired,
    "UserNotConfirmedException": EmailNotVerified,
    "UserNotFoundException": InvalidCredentials,
}


def sign_in(*, username: str, password: str) -> Tokens | Challenge:
    """Checks a password. `username` is the address, or the `sub`.

    Raises InvalidCredentials, EmailNotVerified (whatever the password: Cognito looks at the
    address first), PasswordResetRequired.
    """
    answer = _call(
        "admin_initiate_auth",
        BAD_CREDENTIALS,
        UserPoolId=stack().user_pool_id,
        ClientId=stack().client_id,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={
            "USERNAME": username,
            "PASSWORD": password,
            "SECRET_HASH": secret_hash(username),
        },
    )
    if "AuthenticationResult" in answer:
        return _tokens(answer)
    if answer.get("ChallengeName") == "SOFTWARE_TOKEN_MFA":
        return Challenge(answer["ChallengeParameters"]["USER_ID_FOR_SRP"], answer["Session"])
    log.error("unknown challenge", extra={"fields": {"challenge": answer.get("ChallengeName")}})
    raise UpstreamFailed


def _tokens(answer: Mapping[str, Any]) -> Tokens:
    result = answer["AuthenticationResult"]
    return Tokens(
        access_token=result["AccessToken"],
        id_token=result["IdToken"],
        refresh_token=result.get("RefreshToken"),
        expires_in_s=result["ExpiresIn"],
    )


class RefreshTokenReused(InvalidRefreshToken):
    """A rotated token came again after its grace period: it may have been stolen."""


def refresh(refresh_token: str) -> Tokens:
    """New tokens; a new refresh token among them when the pool rotates.

    Raises InvalidRefreshToken, or RefreshTokenReused.
    """
    answer = _call(
        "get_tokens_from_refresh_token",
        {
            "InvalidParameterException": InvalidRefreshToken,
            "NotAuthorizedException": InvalidRefreshToken,
            "RefreshTokenReuseException": RefreshTokenReused,
            "UserNotFoundException": InvalidRefreshToken,
        },
        ClientId=stack().client_id,
        ClientSecret=client_secret(),
        RefreshToken=refresh_token,
    )
    return _tokens(answer)


def revoke(refresh_token: str) -> None:
    """Ends the session of a refresh token; a token that is void already stays void."""
    try:
        _call(
            "revoke_token",
            dict.fromkeys(
                (
                    "InvalidParameterException",
                    "NotAuthorizedException",
                    "UnauthorizedException",
                    "UnsupportedTokenTypeException",
                ),
                InvalidRefreshToken,
            ),
            ClientId=stack().client_id,
            ClientSecret=client_secret(),
            Token=refresh_token,
        )
    except InvalidRefreshToken:
        return


def find_sub(username: str) -> str | None:
    """The `sub` of a user by address or name, None where the pool has no such user."""
    try:
        answer = _admin("admin_get_user", username, {})
    except NoSuchUser:
        return None
    found = {pair["Name"]: pair["Value"] for pair in answer["UserAttributes"]}
    return str(found["sub"])


def delete_user(username: str) -> None:
    """Removes a user, if there is one."""
    try:
        _admin("admin_delete_user", username, {})
    except NoSuchUser:
        return


def sign_out_everywhere(username: str) -> None:
    """Voids all refresh tokens of a user."""
    _admin("admin_user_global_sign_out", username, {})


def mirror_failures(username: str, failures: int) -> None:
    """Notes failed sign-ins on the user, for whoever looks at the pool. No user, no note."""
    try:
        _set_attributes(username, {"custom:failed_logins": str(failures)}, {})
    except NoSuchUser:
        return


def _set_attributes(username: str, values: Mapping[str, str], errors: Errors) -> None:
    _admin(
        "admin_update_user_attributes",
        username,
        errors,
        UserAttributes=[{"Name": name, "Value": value} for name, value in values.items()],
    )


class InvalidMfaCode(NotAuthenticated):
    """Wrong, used before, or tried too late: the same answer."""

    code, title = "INVALID_MFA_CODE", "The code is wrong, or it was used before"


class MfaSessionExpired(NotAuthenticated):
    code, title = "MFA_SESSION_EXPIRED", "Sign in with your password again"


class MfaCodeUsed(InvalidMfaCode):
    """The code of this time step was used before."""


class PasswordSignInNeeded(PermissionDenied):
    code, title = "PASSWORD_SIGN_IN_NEEDED", "Sign in with your password to do this"


def answer_totp(challenge: Challenge, code: str) -> Tokens:
    """Completes a sign-in. Raises MfaCodeUsed, InvalidMfaCode, MfaSessionExpired."""
    answer = _call(
        "admin_respond_to_auth_challenge",
        {
            "CodeMismatchException": InvalidMfaCode,
            "EnableSoftwareTokenMFAException": InvalidMfaCode,
            "ExpiredCodeException": MfaCodeUsed,
            "InvalidParameterException": InvalidMfaCode,
            "NotAuthorizedException": MfaSessionExpired,
            "PasswordResetRequiredException": PasswordResetRequired,
            "SoftwareTokenMFANotFoundException": MfaSessionExpired,
            "UserNotConfirmedException": MfaSessionExpired,
            "UserNotFoundException": MfaSessionExpired,
        },
        UserPoolId=stack().user_pool_id,
        ClientId=stack().client_id,
        ChallengeName="SOFTWARE_TOKEN_MFA",
        Session=challenge.session,
        ChallengeResponses={
            "USERNAME": challenge.username,
            "SOFTWARE_TOKEN_MFA_CODE": code,
            "SECRET_HASH": secret_hash(challenge.username),
        },
    )
    return _tokens(answer)


def new_totp_secret(access_token: str) -> str:
    """A fresh secret (base32) for the user of the token, in force once verified.

    Raises PasswordSignInNeeded for a token of the hosted UI, which may not change the user.
    """
    answer = _call(
        "associate_software_token",
        {
            "InvalidParameterException": PasswordSignInNeeded,
            "NotAuthorizedException": PasswordSignInNeeded,
            "SoftwareTokenMFANotFoundException": PasswordSignInNeeded,
        },
        AccessToken=access_token,
    )
    return str(answer["SecretCode"])


def verify_totp_secret(access_token: str, code: str) -> None:
    """Checks the first code of a fresh secret. Raises InvalidCode, PasswordSignInNeeded."""
    answer = _call(
        "verify_software_token",
        {
            "CodeMismatchException": InvalidCode,
            "EnableSoftwareTokenMFAException": InvalidCode,
            "InvalidParameterException": InvalidCode,
            "NotAuthorizedException": PasswordSignInNeeded,
            "SoftwareTokenMFANotFoundException": InvalidCode,
        },
        AccessToken=access_token,
        UserCode=code,
    )
    if answer["Status"] != "SUCCESS":
        raise InvalidCode


def set_mfa(username: str, *, enabled: bool) -> None:
    """Whether Cognito asks a user for a TOTP code after the password."""
    _admin(
        "admin_set_user_mfa_preference",
        username,
        {},
        SoftwareTokenMfaSettings={"Enabled": enabled, "PreferredMfa": enabled},
    )


def forgot_password(email: str) -> None:
    """Mails a code for a new password. Raises InvalidCode for all but verified addresses."""
    _as_client(
        "forgot_password",
        email,
        {**INVALID_CODES, "CodeDeliveryFailureException": ServiceUnavailable},
    )


def reset_password(*, email: str, code: str, password: str) -> None:
    """Sets a password by the mailed code. Raises InvalidCode, WeakPassword."""
    _as_client(
        "confirm_forgot_password",
        email,
        {
            **INVALID_CODES,
            "InvalidPasswordException": WeakPassword,
            "PasswordHistoryPolicyViolationException": WeakPassword,
            "UserNotConfirmedException": InvalidCode,
        },
        ConfirmationCode=code,
        Password=password,
    )


def set_password(username: str, password: str) -> None:
    """Sets a user's password for good. Raises WeakPassword."""
    _admin(
        "admin_set_user_password",
        username,
        {
            "InvalidPasswordException": WeakPassword,
            "InvalidParameterException": WeakPassword,
            "PasswordHistoryPolicyViolationException": WeakPassword,
        },
        Password=password,
        Permanent=True,
    )


def set_email(username: str, email: str) -> None:
    """Gives a user another address, proved to us. Raises UserAlreadyExists."""
    _set_attributes(
        username,
        {"email": email, "email_verified": "true"},
        {"AliasExistsException": UserAlreadyExists},
    )


def exchange_code(*, code: str, redirect_uri: str, code_verifier: str) -> Tokens:
    """Tokens for a code of the hosted UI (RFC 6749, 4.1.3; RFC 7636).

    The server's secret *and* the client's verifier are needed. Raises InvalidCode.
    """
    where = stack()
    form = {
        "grant_type": "authorization_code",
        "client_id": where.client_id,
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": code_verifier,
    }
    headers = urllib3.make_headers(basic_auth=f"{where.client_id}:{client_secret()}")
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    record("oauth2/token")
    try:
        answer = urllib3.request(
            "POST",
            f"{where.hosted_ui}/oauth2/token",
            body=urlencode(form),
            headers=headers,
            timeout=5.0,
            retries=False,  # a code works once
            redirect=False,
        )
        found = json.loads(answer.data)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise ServiceUnavailable from error
    if answer.status == 400:
        raise InvalidCode
    if answer.status != 200 or "id_token" not in found:
        log.error("refused", extra={"fields": {"operation": "token", "status": answer.status}})
        raise UpstreamFailed
    return Tokens(
        found["access_token"], found["id_token"], found.get("refresh_token"), found["expires_in"]
    )


def link_google(username: str, google_id: str) -> None:
    """Lets a Google account enter as a user who has a password. Raises UserAlreadyExists."""
    _call(
        "admin_link_provider_for_user",
        {"AliasExistsException": UserAlreadyExists, "InvalidParameterException": UserAlreadyExists},
        UserPoolId=stack().user_pool_id,
        DestinationUser={"ProviderName": "Cognito", "ProviderAttributeValue": username},
        SourceUser={
            "ProviderName": GOOGLE,
            "ProviderAttributeName": "Cognito_Subject",
            "ProviderAttributeValue": google_id,
        },
    )
