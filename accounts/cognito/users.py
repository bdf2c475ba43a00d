"""What the pool knows of a user besides their secrets."""

from dataclasses import dataclass

from accounts.cognito.client import as_admin, call, set_attributes
from accounts.cognito.problems import NoSuchUser, UserAlreadyExists
from accounts.tokens import ROLES
from config.stack import stack

GOOGLE = "Google"  # what Cognito calls this provider


UNCONFIRMED, FORCE_CHANGE_PASSWORD = "UNCONFIRMED", "FORCE_CHANGE_PASSWORD"


@dataclass(frozen=True)
class PoolUser:
    """A user as the pool has them; `status` is Cognito's UserStatus.

    Only a sign-up makes UNCONFIRMED users, only an operator FORCE_CHANGE_PASSWORD.
    """

    sub: str
    status: str
    email_verified: bool


def find_user(username: str) -> PoolUser | None:
    """A user by address or name, None where the pool has no such user."""
    try:
        answer = as_admin("admin_get_user", username, {})
    except NoSuchUser:
        return None
    attributes = {pair["Name"]: pair["Value"] for pair in answer["UserAttributes"]}
    return PoolUser(
        sub=str(attributes["sub"]),
        status=str(answer["UserStatus"]),
        email_verified=attributes.get("email_verified") == "true",
    )


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
    """Which of our roles a user has."""
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
    """Gives a user another address, proved to us. Raises UserAlreadyExists."""
    set_attributes(
        username,
        {"email": email, "email_verified": "true"},
        {"AliasExistsException": UserAlreadyExists},
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
