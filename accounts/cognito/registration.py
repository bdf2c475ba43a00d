"""New users, and the proof of their address."""

import logging

from accounts.cognito.client import as_admin, as_client, attributes, set_attributes
from accounts.cognito.problems import INVALID_CODES, InvalidCode, UserAlreadyExists, WeakPassword
from accounts.cognito.users import delete_user
from config.problems import ServiceUnavailable, ValidationFailed

log = logging.getLogger("parley.cognito")


class _NotDelivered(ServiceUnavailable):
    """The code could not be mailed."""


def sign_up(*, email: str, password: str, first_name: str, last_name: str) -> str:
    """Makes an unconfirmed user, whom Cognito mails a code. Returns the `sub`.

    Raises UserAlreadyExists, WeakPassword, ServiceUnavailable.
    """
    try:
        answer = as_client(
            "sign_up",
            email,
            {
                "UsernameExistsException": UserAlreadyExists,
                "InvalidPasswordException": WeakPassword,
                "InvalidParameterException": ValidationFailed,
                "CodeDeliveryFailureException": _NotDelivered,
            },
            Password=password,
            # Cognito takes the address from the user name; the app client may not write it.
            UserAttributes=attributes({"given_name": first_name, "family_name": last_name}),
        )
    except _NotDelivered:
        delete_user(email)  # it was made all the same, and nobody can ever confirm it
        raise
    return str(answer["UserSub"])


def confirm_sign_up(*, email: str, code: str) -> None:
    """Confirms the address. Raises InvalidCode, also for unknown and confirmed addresses."""
    as_client("confirm_sign_up", email, INVALID_CODES, ConfirmationCode=code)


def resend_code(email: str) -> None:
    """Mails the sign-up code again. Raises InvalidCode where there is nothing to confirm."""
    as_client(
        "resend_confirmation_code",
        email,
        {**INVALID_CODES, "CodeDeliveryFailureException": ServiceUnavailable},
    )


def confirm(username: str) -> None:
    """Confirms a user and their address without a code; a confirmed one stays as they are."""
    try:
        as_admin("admin_confirm_sign_up", username, {"NotAuthorizedException": InvalidCode})
    except InvalidCode:
        log.info("confirmed already")
    set_attributes(username, {"email_verified": "true"}, {})
