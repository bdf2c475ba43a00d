"""New users, and the proof of their address."""

from accounts.cognito.client import as_admin, as_client, attributes
from accounts.cognito.problems import INVALID_CODES, UserAlreadyExists, WeakPassword
from accounts.cognito.users import delete_user
from config.problems import ServiceUnavailable, ValidationFailed


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


def create_user(*, email: str, first_name: str, last_name: str) -> str:
    """Makes a user for whose address we vouch, with a password that nobody knows.

    Nothing is mailed, and no code confirms the user: they are FORCE_CHANGE_PASSWORD until
    `set_password`. Returns the `sub`. Raises UserAlreadyExists.
    """
    names = {"given_name": first_name, "family_name": last_name}
    answer = as_admin(
        "admin_create_user",
        email,
        {
            "UsernameExistsException": UserAlreadyExists,
            "InvalidParameterException": ValidationFailed,
        },
        UserAttributes=attributes({"email": email, "email_verified": "true", **names}),
        MessageAction="SUPPRESS",
    )
    made = {pair["Name"]: pair["Value"] for pair in answer["User"]["Attributes"]}
    return str(made["sub"])


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
