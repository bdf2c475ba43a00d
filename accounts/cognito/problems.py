"""What Cognito may refuse, as problems of ours."""

from collections.abc import Mapping

from config.problems import (
    Conflict,
    NotAuthenticated,
    PermissionDenied,
    Problem,
    TooManyRequests,
    ValidationFailed,
)

Errors = Mapping[str, type[Problem]]


class UserAlreadyExists(Conflict):
    code, title = "USER_ALREADY_EXISTS", "There is already an account with this e-mail address"


class InvalidCredentials(NotAuthenticated):
    """Wrong password, unknown address, disabled account: the same answer."""

    code, title = "INVALID_CREDENTIALS", "The e-mail address or the password is wrong"


class NoSuchUser(InvalidCredentials):
    """The pool has no such user. Shown to a client as any other wrong credentials."""


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
