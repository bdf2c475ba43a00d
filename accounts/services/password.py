"""Resetting a forgotten password, and changing a known one."""

import logging
from datetime import datetime, timedelta

from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.cognito.client import (
    InvalidCode,
    InvalidCredentials,
    MfaSessionExpired,
    PasswordResetRequired,
    TooManyAttempts,
)
from accounts.cognito.sessions import Challenge, NewPasswordRequired
from accounts.cognito.users import FORCE_CHANGE_PASSWORD
from accounts.models import Account, KnownNetwork, Profile
from accounts.models.limits import forget_attempts, hit, hit_address
from accounts.services.addresses import clear_left_over
from accounts.services.invitations import invite_again
from accounts.services.registration import require_strong_password
from accounts.services.sessions import SignedIn, complete_sign_in, reauthenticate, wait_until_valid
from accounts.services.unfinished import account_at, password_change, user_name_of
from accounts.tokens import Learner
from config.client_info import ClientInfo
from config.crypto import InvalidSeal, seal, unseal

log = logging.getLogger("parley.accounts")


def request_reset(*, email: str, source: ClientInfo, now: datetime) -> None:
    """Mails a code to a verified account, or another temporary password to whoever is invited.

    The answer is the same without one. Raises TooManyRequests, for any address.
    """
    hit("mail_source", source.network, now=now)
    hit_address("reset_request", email, source, now=now)
    forget_attempts("reset_confirm", email)  # whether there is an account or not
    account = account_at(email, now=now)
    if account is not None and not account.email_verified:  # Cognito would refuse as well
        log.info("nothing to reset")
        return
    if account is None and invite_again(email):
        return
    try:
        cognito_users.forgot_password(user_name_of(account, email))
    except (InvalidCode, TooManyAttempts):
        log.info("nothing to reset")


def confirm_reset(
    *, email: str, code: str, new_password: str, source: ClientInfo, now: datetime
) -> None:
    """Sets a new password by the mailed code, and ends all sessions.

    Raises InvalidCode, alike for unknown addresses; WeakPassword, TooManyRequests.
    """
    # The names are not checked: a refusal would tell them to a stranger.
    require_strong_password(new_password, email, field="newPassword")
    hit("mail_source", source.network, now=now)
    hit_address("reset_confirm", email, source, now=now)
    account = account_at(email, now=now)
    if account is None or account.is_leaving or not account.has_password:
        cognito_users.reset_password(username=email, code=code, password=new_password)
        cognito_sessions.sign_out_everywhere(email)
    else:
        with password_change(account, "password_reset", source, now=now):
            cognito_users.reset_password(
                username=account.user_name, code=code, password=new_password
            )
    forget_attempts("login", email)
    KnownNetwork.new(email, source.network, now=now).put()


FIRST_PASSWORD = "first password"  # noqa: S105 - the purpose of a seal
CHALLENGE_LASTS = timedelta(minutes=3)


def first_password_token(challenge: NewPasswordRequired, *, now: datetime) -> str:
    """The challenge as a text that only we can read: it holds the temporary password."""
    values = {"username": challenge.username, "password": challenge.password}
    return seal(FIRST_PASSWORD, values, until=now + CHALLENGE_LASTS)


def set_first_password(
    *, session_token: str, new_password: str, source: ClientInfo, now: datetime
) -> SignedIn | Challenge:
    """Replaces the temporary password that somebody else has chosen, and signs in.

    Raises MfaSessionExpired where the temporary password was replaced, or was given too long ago;
    WeakPassword, InvalidCredentials.
    """
    try:
        sealed = unseal(FIRST_PASSWORD, session_token, now=now)
    except InvalidSeal as error:
        raise MfaSessionExpired from error
    user = cognito_users.find_user(sealed["username"])
    if user is None or user.status != FORCE_CHANGE_PASSWORD:
        raise MfaSessionExpired
    _require_temporary_password(user.sub, sealed["password"])
    names = (user.first_name, user.last_name)
    require_strong_password(new_password, user.email, *names, field="newPassword")
    account = Account.of(user.sub)
    if account is None or account.is_leaving:
        cognito_users.set_password(user.sub, new_password)
    else:
        with password_change(account, "password_changed", source, now=now):
            cognito_users.set_password(user.sub, new_password)
        wait_until_valid(account)
    result = cognito_sessions.sign_in(username=user.sub, password=new_password)
    if isinstance(result, NewPasswordRequired):  # at this moment, by an operator
        raise MfaSessionExpired
    if isinstance(result, Challenge):
        return result
    return complete_sign_in(result, source=source, now=now, by_mfa=False)


def _require_temporary_password(username: str, password: str) -> None:
    """Raises MfaSessionExpired where another password was mailed meanwhile."""
    try:
        result = cognito_sessions.sign_in(username=username, password=password)
    except (InvalidCredentials, PasswordResetRequired) as error:
        raise MfaSessionExpired from error
    if not isinstance(result, NewPasswordRequired):
        raise MfaSessionExpired


def change_password(
    learner: Learner,
    *,
    current_password: str | None,
    new_password: str,
    source: ClientInfo,
    now: datetime,
) -> None:
    """Replaces a known password, or sets the first one, and ends all sessions.

    Raises InvalidCredentials, FreshSignInNeeded, WeakPassword, TooManyRequests; UserAlreadyExists
    for a first one where the pool has another user with the address, made in the console.
    """
    profile = Profile.of(learner.id)
    account = reauthenticate(
        learner, current_password, source=source, now=now, field="currentPassword"
    )
    names = (profile.first_name, profile.last_name) if profile else ()
    require_strong_password(new_password, account.email, *names, field="newPassword")
    if not account.has_password:  # the pool knows Google's name of them alone
        clear_left_over(account.email)
        cognito_users.set_email(account.user_name, account.email)
    with password_change(account, "password_changed", source, now=now):
        cognito_users.set_password(account.user_name, new_password)
