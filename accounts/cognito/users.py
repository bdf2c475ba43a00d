"""What the pool knows of a user besides their secrets."""

from accounts.cognito.client import as_admin, call, set_attributes
from accounts.cognito.problems import NoSuchUser, UserAlreadyExists
from accounts.tokens import ROLES
from config.stack import stack

GOOGLE = "Google"  # what Cognito calls this provider


def find_sub(username: str) -> str | None:
    """The `sub` of a user by address or name, None where the pool has no such user."""
    try:
        answer = as_admin("admin_get_user", username, {})
    except NoSuchUser:
        return None
    found = {pair["Name"]: pair["Value"] for pair in answer["UserAttributes"]}
    return str(found["sub"])


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
