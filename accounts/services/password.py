"""A password that was forgotten, or is to be another."""

import logging
from datetime import datetime

from accounts import audit
from accounts.bearer import Learner
from accounts.cognito import users as cognito_users
from accounts.cognito.client import InvalidCode, TooManyAttempts
from accounts.emails import notify
from accounts.limits import forget_attempts, hit, hit_address
from accounts.models import Account, Address, KnownNetwork, Profile
from accounts.services.registration import require_strong_password
from accounts.services.sessions import end_sessions, reauthenticate
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
    hit_address("reset_request", email, source, now=now)
    forget_attempts("reset_confirm", email)  # whether there is an account or not
    try:
        cognito_users.forgot_password(email)
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
    hit_address("reset_confirm", email, source, now=now)
    cognito_users.reset_password(email=email, code=code, password=new_password)
    forget_attempts("login", email)
    KnownNetwork.new(email, source.network, now=now).put()
    address = Address.of(email)
    if address is not None and address.learner_id is not None:
        _password_is_new(address.learner_id, email, "password_reset", source, now)


def _password_is_new(
    learner_id: str, email: str, action: audit.Action, source: ClientInfo, now: datetime
) -> None:
    end_sessions(learner_id)
    audit.record(learner_id, action, source, now=now)
    notify(email, "password_changed", source, now=now)


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
    cognito_users.set_password(account.user_name, new_password)
    _password_is_new(learner.id, account.email, "password_changed", source, now)
