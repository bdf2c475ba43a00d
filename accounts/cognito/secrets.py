"""Passwords and the second step's secret, which Cognito keeps."""

from accounts.cognito.client import as_admin, as_client, call
from accounts.cognito.problems import (
    INVALID_CODES,
    InvalidCode,
    PasswordSignInNeeded,
    WeakPassword,
)
from config.problems import ServiceUnavailable


def forgot_password(email: str) -> None:
    """Mails a code for a new password. Raises InvalidCode for all but verified addresses."""
    as_client(
        "forgot_password",
        email,
        {**INVALID_CODES, "CodeDeliveryFailureException": ServiceUnavailable},
    )


def reset_password(*, email: str, code: str, password: str) -> None:
    """Sets a password by the mailed code. Raises InvalidCode, WeakPassword."""
    as_client(
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
    as_admin(
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


def new_totp_secret(access_token: str) -> str:
    """A fresh secret (base32) for the user of the token, in force once verified.

    Raises PasswordSignInNeeded for a token of the hosted UI, which may not change the user.
    """
    answer = call(
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
    answer = call(
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
    as_admin(
        "admin_set_user_mfa_preference",
        username,
        {},
        SoftwareTokenMfaSettings={"Enabled": enabled, "PreferredMfa": enabled},
    )
