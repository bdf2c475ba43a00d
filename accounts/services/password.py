"""A password that was forgotten, or is to be another."""

import logging
from datetime import datetime

from accounts.bearer import Learner
from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.cognito.client import InvalidCode, TooManyAttempts
from accounts.limits import hit
from accounts.models import Account, Attempts, Profile
from accounts.services.registration import require_strong_password
from accounts.services.sessions import reauthenticate
from accounts.services.unfinished import account_at, password_change, user_name_at
from config.client_info import ClientInfo
from config.problems import Conflict

log = logging.getLogger("parley.accounts")


class NoPassword(Conflict):
    code, title = "NO_PASSWORD", "This account is entered with Google and has no password"


def request_reset(*, email: str, source: ClientInfo, now: datetime) -> None:
    """Mails a code where there is a verified account; tells nobody whether there is.

    Raises TooManyRequests, for any address.
    """
    hit("mail_source", source.network, now=now)
    hit("reset_request", email, now=now)
    try:
        cognito_users.forgot_password(user_name_at(email, now=now))
    except (InvalidCode, TooManyAttempts):
        log.info("nothing to reset")


def confirm_reset(
    *, email: str, code: str, new_password: str, source: ClientInfo, now: datetime
) -> None:
    """Sets a new password by the mailed code, and ends all sessions.

    Raises InvalidCode, alike for unknown addresses; WeakPassword, TooManyRequests.
    """
    # Not the names: what a stranger may not use would tell them.
    require_strong_password(new_password, email, field="newPassword")
    hit("mail_source", source.network, now=now)
    hit("reset_confirm", email, now=now)
    account = account_at(email, now=now)
    if account is None or account.is_leaving or account.federated_name:
        cognito_users.reset_password(username=email, code=code, password=new_password)
        cognito_sessions.sign_out_everywhere(email)
    else:
        with password_change(account, "password_reset", source, now=now):
            cognito_users.reset_password(
                username=account.learner_id, code=code, password=new_password
            )
    Attempts.at("login", email).clear()


def change_password(
    learner: Learner, *, current_password: str, new_password: str, source: ClientInfo, now: datetime
) -> None:
    """Replaces a known password, and ends all sessions.

    Raises InvalidCredentials, WeakPassword, NoPassword, TooManyRequests.
    """
    account, profile = Account.of(learner.id), Profile.of(learner.id)
    if account is not None and account.federated_name:
        raise NoPassword
    account = reauthenticate(learner, current_password, source=source, now=now)
    names = (profile.first_name, profile.last_name) if profile else ()
    require_strong_password(new_password, account.email, *names, field="newPassword")
    with password_change(account, "password_changed", source, now=now):
        cognito_users.set_password(account.user_name, new_password)
