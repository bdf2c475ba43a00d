"""Users of the pool: their sign-up, groups and addresses, passwords and second step."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from accounts.cognito.client import (
    INVALID_CODES,
    AlreadyConfirmed,
    InvalidCode,
    NoSuchUser,
    PasswordSignInNeeded,
    SignUpRefused,
    TooManyAttempts,
    UserAlreadyExists,
    WeakPassword,
    as_admin,
    as_client,
    as_sign_up_client,
    attributes,
    call,
    set_attributes,
)
from accounts.tokens import ROLES
from config.problems import ServiceUnavailable, ValidationFailed
from config.records import dataclass
from config.stack import stack


class _NotDelivered(ServiceUnavailable):
    """The code could not be mailed."""


def sign_up(*, email: str, password: str, first_name: str, last_name: str) -> str:
    """Makes an unconfirmed user, whom Cognito mails a code. Returns the `sub`.

    Raises UserAlreadyExists, WeakPassword, ServiceUnavailable, TooManyAttempts, SignUpRefused.
    """
    try:
        answer = as_sign_up_client(
            "sign_up",
            email,
            {
                "UsernameExistsException": UserAlreadyExists,
                "InvalidPasswordException": WeakPassword,
                "InvalidParameterException": ValidationFailed,
                "CodeDeliveryFailureException": _NotDelivered,
                "NotAuthorizedException": SignUpRefused,
            },
            Password=password,
            # Cognito takes the address from the user name.
            UserAttributes=attributes({"given_name": first_name, "family_name": last_name}),
        )
    except (_NotDelivered, TooManyAttempts):
        # Cognito makes the user before it mails the code. LimitExceededException means that it may
        # mail no more (AWS: "SignUp", "Quotas in Amazon Cognito"). Nobody could confirm this user.
        # Where Cognito looks at the limit first, the address may be that of somebody else.
        user = find_user(email)
        if user is not None and user.status == UNCONFIRMED:
            delete_user(email)
        raise
    return str(answer["UserSub"])


def create_user(*, email: str, first_name: str, last_name: str) -> str:
    """Makes a user for whose address we vouch, with a password that nobody knows.

    Nothing is mailed, and no code confirms the user: they are FORCE_CHANGE_PASSWORD until
    `set_password`. Returns the `sub`. Raises UserAlreadyExists.
    """
    names = {"given_name": first_name, "family_name": last_name}
    told = {name: value for name, value in names.items() if value}
    answer = as_admin(
        "admin_create_user",
        email,
        {
            "UsernameExistsException": UserAlreadyExists,
            "InvalidParameterException": ValidationFailed,
        },
        UserAttributes=attributes({"email": email, "email_verified": "true", **told}),
        MessageAction="SUPPRESS",
    )
    user_attributes = {pair["Name"]: pair["Value"] for pair in answer["User"]["Attributes"]}
    return str(user_attributes["sub"])


TEMPORARY_PASSWORD_DAYS = 7  # as the template says; after that it is refused


def set_temporary_password(username: str, password: str) -> None:
    """Sets a password for one sign-in, at which the user chooses one of their own."""
    as_admin("admin_set_user_password", username, {}, Password=password, Permanent=False)


def confirm_sign_up(*, username: str, code: str) -> None:
    """Confirms the address. Raises InvalidCode, also for unknown users; AlreadyConfirmed."""
    errors = {**INVALID_CODES, "NotAuthorizedException": AlreadyConfirmed}
    as_sign_up_client("confirm_sign_up", username, errors, ConfirmationCode=code)


def resend_code(username: str) -> None:
    """Mails the sign-up code again. Raises InvalidCode where there is nothing to confirm."""
    as_sign_up_client(
        "resend_confirmation_code",
        username,
        {**INVALID_CODES, "CodeDeliveryFailureException": ServiceUnavailable},
    )


GOOGLE = "Google"  # what Cognito calls this provider


UNCONFIRMED, FORCE_CHANGE_PASSWORD = "UNCONFIRMED", "FORCE_CHANGE_PASSWORD"
EXTERNAL_PROVIDER = "EXTERNAL_PROVIDER"


@dataclass(frozen=True)
class PoolUser:
    """A user as the pool has them; `status` is Cognito's UserStatus.

    Only a sign-up makes UNCONFIRMED users, only an operator FORCE_CHANGE_PASSWORD; whoever came
    from Google is EXTERNAL_PROVIDER until they have a password.
    """

    sub: str
    status: str
    email: str
    email_verified: bool
    first_name: str
    last_name: str
    google_ids: frozenset[str] = frozenset()
    has_second_step: bool = False
    enabled: bool = True
    created_at: datetime | None = None


def find_user(username: str) -> PoolUser | None:
    """A user by address or name, None where the pool has no such user."""
    try:
        answer = as_admin("admin_get_user", username, {})
    except NoSuchUser:
        return None
    return _user(answer, answer["UserAttributes"])


def _user(described: Mapping[str, Any], pairs: Iterable[Mapping[str, str]]) -> PoolUser:
    attributes = {pair["Name"]: pair["Value"] for pair in pairs}
    return PoolUser(
        sub=str(attributes["sub"]),
        status=str(described["UserStatus"]),
        email=attributes.get("email", "").lower(),
        email_verified=attributes.get("email_verified") == "true",
        first_name=attributes.get("given_name", ""),
        last_name=attributes.get("family_name", ""),
        google_ids=frozenset(
            str(identity["userId"])
            for identity in json.loads(attributes.get("identities", "[]"))
            if identity["providerName"] == GOOGLE
        ),
        has_second_step=bool(described.get("UserMFASettingList")),
        enabled=bool(described["Enabled"]),
        created_at=described["UserCreateDate"],
    )


class PlaceLost(ServiceUnavailable):
    """The pool has forgotten where a walk over its users stands."""


def list_users(
    *, limit: int, start: str | None, status: str | None = None
) -> tuple[list[PoolUser], str | None]:
    """A page of the pool's users, 60 at most, and where the next page starts.

    With `status` only those of that UserStatus. Raises PlaceLost where `start` has lapsed:
    Cognito keeps a place for an hour.
    """
    more = {} if start is None else {"PaginationToken": start}
    if status is not None:
        more["Filter"] = f'cognito:user_status = "{status}"'
    answer = call(
        "list_users",
        {"InvalidParameterException": PlaceLost},
        UserPoolId=stack().user_pool_id,
        Limit=limit,
        **more,
    )
    users = [_user(described, described["Attributes"]) for described in answer["Users"]]
    return users, answer.get("PaginationToken")


def members_of(group: str) -> list[PoolUser]:
    """All users of a group: of staff there are few."""
    members: list[PoolUser] = []
    more: dict[str, str] = {}
    while True:
        answer = call(
            "list_users_in_group",
            {},
            UserPoolId=stack().user_pool_id,
            GroupName=group,
            Limit=60,
            **more,
        )
        members += [_user(described, described["Attributes"]) for described in answer["Users"]]
        if not answer.get("NextToken"):
            return members
        more = {"NextToken": answer["NextToken"]}


def find_sub(username: str) -> str | None:
    """The `sub` of a user by address or name, None where the pool has no such user."""
    user = find_user(username)
    return user.sub if user else None


def delete_user(username: str) -> None:
    """Removes a user, if there is one."""
    try:
        as_admin("admin_delete_user", username, {})
    except NoSuchUser:
        return


def add_to_group(username: str, group: str) -> None:
    """Puts a user into a group of the pool, where they may be already."""
    as_admin("admin_add_user_to_group", username, {}, GroupName=group)


def remove_from_group(username: str, group: str) -> None:
    """Takes a user out of a group of the pool."""
    as_admin("admin_remove_user_from_group", username, {}, GroupName=group)


def groups_of(username: str) -> frozenset[str]:
    """Which of our roles a user has. Raises NoSuchUser."""
    answer = as_admin("admin_list_groups_for_user", username, {}, Limit=60)
    return ROLES.intersection(group["GroupName"] for group in answer["Groups"])


def set_enabled(username: str, *, enabled: bool) -> None:
    """Whether a user may sign in at all; disabling ends their sessions."""
    as_admin("admin_enable_user" if enabled else "admin_disable_user", username, {})


def mirror_failures(username: str, failures: int) -> None:
    """Notes failed sign-ins on the user, for whoever looks at the pool. No user, no note."""
    try:
        set_attributes(username, {"custom:failed_logins": str(failures)}, {})
    except NoSuchUser:
        return


def set_email(username: str, email: str) -> None:
    """Gives a user another address, proved to us.

    Raises UserAlreadyExists; ValidationFailed for an address that the pool does not take.
    """
    set_attributes(
        username,
        {"email": email, "email_verified": "true"},
        {
            "AliasExistsException": UserAlreadyExists,
            "InvalidParameterException": ValidationFailed,
        },
    )


def vouch_for_email(username: str) -> None:
    """Marks a user's address as verified without a code, on our own word."""
    set_attributes(username, {"email_verified": "true"}, {})


def link_google(username: str, google_id: str) -> None:
    """Lets a Google account enter as a user who has a password. Raises UserAlreadyExists."""
    call(
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


def unlink_google(google_id: str) -> None:
    """Stops a Google account from entering as the user it was linked to.

    Raises NoSuchUser if it was linked to nobody; ValidationFailed where the pool refuses.
    """
    call(
        "admin_disable_provider_for_user",
        {
            "InvalidParameterException": ValidationFailed,
            "ResourceNotFoundException": NoSuchUser,
            "UserNotFoundException": NoSuchUser,
        },
        UserPoolId=stack().user_pool_id,
        User={
            "ProviderName": GOOGLE,
            "ProviderAttributeName": "Cognito_Subject",
            "ProviderAttributeValue": google_id,
        },
    )


def forgot_password(username: str) -> None:
    """Mails a code for a new password. Raises InvalidCode for all but verified addresses."""
    as_client(
        "forgot_password",
        username,
        {**INVALID_CODES, "CodeDeliveryFailureException": ServiceUnavailable},
    )


def reset_password(*, username: str, code: str, password: str) -> None:
    """Sets a password by the mailed code. Raises InvalidCode, WeakPassword."""
    as_client(
        "confirm_forgot_password",
        username,
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
