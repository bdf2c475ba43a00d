"""Signing in by password, code or Google; renewing and ending sessions."""

import json
import logging
import time
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import field
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode

from accounts.cognito.client import (
    INVALID_CODES,
    PER_USER_LIMITS,
    EmailNotVerified,
    Errors,
    InvalidCode,
    InvalidCredentials,
    InvalidMfaCode,
    InvalidRefreshToken,
    MfaCodeUsed,
    MfaSessionExpired,
    NoSuchUser,
    PasswordResetRequired,
    RefreshTokenReused,
    as_admin,
    call,
    client_secret,
    secret_hash,
)
from config import https
from config.aws import READ_TIMEOUT_S
from config.problems import Conflict, ServiceUnavailable, UpstreamFailed
from config.records import dataclass
from config.stack import stack
from config.telemetry import record_call

log = logging.getLogger("parley.cognito")


@dataclass(frozen=True)
class Tokens:
    """What a sign-in yields. `refresh_token` is None after a refresh that did not rotate it."""

    access_token: str
    id_token: str
    refresh_token: str | None
    expires_in_s: int


@dataclass(frozen=True)
class Challenge:
    """The password was right; now a TOTP code is wanted. `session` lives for three minutes.

    `begun_at`: the epoch second at which the password was asked about.
    """

    username: str
    session: str
    begun_at: float


@dataclass(frozen=True)
class NewPasswordRequired:
    """The password was right, but somebody else chose it: the user has to choose another."""

    username: str
    password: str = field(repr=False)


EMAIL_OTP = "EMAIL_OTP"  # what Cognito calls a mailed code

BAD_CREDENTIALS: Errors = {
    "InvalidParameterException": InvalidCredentials,
    "NotAuthorizedException": InvalidCredentials,
    "PasswordResetRequiredException": PasswordResetRequired,
    "UserNotConfirmedException": EmailNotVerified,
    "UserNotFoundException": InvalidCredentials,
}


def sign_in(*, username: str, password: str) -> Tokens | Challenge | NewPasswordRequired:
    """Checks a password. `username` is the address, or the `sub`.

    Raises InvalidCredentials, EmailNotVerified (whatever the password: Cognito looks at the
    address first), PasswordResetRequired.
    """
    begun_at = time.time()
    answer = call(
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
    # The name behind an address; AWS promises it for SRP alone (AWS: "AdminInitiateAuth").
    username = answer.get("ChallengeParameters", {}).get("USER_ID_FOR_SRP", username)
    if answer.get("ChallengeName") == "SOFTWARE_TOKEN_MFA":
        return Challenge(username, answer["Session"], begun_at)
    if answer.get("ChallengeName") == "NEW_PASSWORD_REQUIRED":
        return NewPasswordRequired(username, password)
    log.error("unknown challenge", extra={"fields": {"challenge": answer.get("ChallengeName")}})
    raise UpstreamFailed


class CodeNotMailed(Conflict):
    """The pool mails no sign-in code to this user. Shown to nobody."""


NOT_MAILED = (*PER_USER_LIMITS, "CodeDeliveryFailureException")


def mail_code(username: str) -> str:
    """Lets Cognito mail a code to a user; returns the session that the code belongs to.

    Raises CodeNotMailed for users who are unknown, disabled, not confirmed, or of Google's, and
    where Cognito mails them no more at the moment.
    """
    answer = call(
        "admin_initiate_auth",
        dict.fromkeys((*BAD_CREDENTIALS, *NOT_MAILED), CodeNotMailed),
        UserPoolId=stack().user_pool_id,
        ClientId=stack().client_id,
        AuthFlow="USER_AUTH",
        AuthParameters={
            "USERNAME": username,
            "PREFERRED_CHALLENGE": EMAIL_OTP,
            "SECRET_HASH": secret_hash(username),
        },
    )
    if answer.get("ChallengeName") != EMAIL_OTP:  # the user may choose among other ways alone
        raise CodeNotMailed
    return str(answer["Session"])


def answer_mailed_code(*, username: str, session: str, code: str) -> Tokens:
    """Signs in by the mailed code.

    Raises InvalidCode, also where Cognito wants a second step after it.
    """
    answer = call(
        "admin_respond_to_auth_challenge",
        {
            **INVALID_CODES,
            **dict.fromkeys(PER_USER_LIMITS, InvalidCode),
            "PasswordResetRequiredException": InvalidCode,
            "UserNotConfirmedException": InvalidCode,
        },
        UserPoolId=stack().user_pool_id,
        ClientId=stack().client_id,
        ChallengeName=EMAIL_OTP,
        Session=session,
        ChallengeResponses={
            "USERNAME": username,
            "EMAIL_OTP_CODE": code,
            "SECRET_HASH": secret_hash(username),
        },
    )
    if "AuthenticationResult" not in answer:
        raise InvalidCode
    return _tokens(answer)


def answer_totp(challenge: Challenge, code: str) -> Tokens:
    """Completes a sign-in. Raises MfaCodeUsed, InvalidMfaCode, MfaSessionExpired."""
    answer = call(
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
    basic = b64encode(f"{where.client_id}:{client_secret()}".encode()).decode()
    headers = {
        "Authorization": f"Basic {basic}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    record_call("oauth2/token")
    try:  # once: a code works once
        answer = https.fetch(
            "POST",
            f"{where.hosted_ui}/oauth2/token",
            body=urlencode(form).encode(),
            headers=headers,
            timeout_s=READ_TIMEOUT_S,
        )
        body = json.loads(answer.body)
    except (OSError, HTTPException, ValueError) as error:
        raise ServiceUnavailable from error
    if answer.status == 400:
        raise InvalidCode
    if answer.status != 200 or "id_token" not in body:
        log.error("refused", extra={"fields": {"operation": "token", "status": answer.status}})
        raise UpstreamFailed
    return Tokens(
        body["access_token"], body["id_token"], body.get("refresh_token"), body["expires_in"]
    )


def refresh(refresh_token: str) -> Tokens:
    """New tokens; a new refresh token among them when the pool rotates.

    Raises InvalidRefreshToken, or RefreshTokenReused.
    """
    answer = call(
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
        call(
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


def sign_out_everywhere(username: str) -> None:
    """Voids all refresh tokens of a user, if there is one."""
    with suppress(NoSuchUser):
        as_admin("admin_user_global_sign_out", username, {})


def _tokens(answer: Mapping[str, Any]) -> Tokens:
    result = answer["AuthenticationResult"]
    return Tokens(
        access_token=result["AccessToken"],
        id_token=result["IdToken"],
        refresh_token=result.get("RefreshToken"),
        expires_in_s=result["ExpiresIn"],
    )
