"""A password that was forgotten, or is to be another; an address that is to be another."""

import logging
import secrets
from contextlib import suppress
from datetime import datetime, timedelta

from ulid import ULID

from accounts import audit, cognito
from accounts.admission import Learner, states
from accounts.cognito import InvalidCode, TooManyAttempts, UserAlreadyExists
from accounts.emails import notify, send_code
from accounts.limits import spend
from accounts.models import Account, Activity, Address, Attempts, EmailChange, Profile
from accounts.services.proof import prove
from accounts.services.registration import check_password
from accounts.services.sessions import end_sessions
from config.problems import Conflict, Problem, ServiceUnavailable, ValidationFailed
from config.sealing import fingerprint, fingerprints
from config.sources import Source
from config.store.transactions import Delete, Put, Update, transact
from config.table import ConditionFailed

log = logging.getLogger("parley.accounts")

EMAIL_CODE = "email code"
CODE_LASTS = timedelta(minutes=15)


class NoPassword(Conflict):
    code, title = "NO_PASSWORD", "This account is entered with Google and has no password"


def request_reset(*, email: str, source: Source, now: datetime) -> None:
    """Mails a code where there is a verified account; tells nobody whether there is.

    Raises TooManyRequests, for any address.
    """
    spend("mail_source", source.network, now=now)
    spend("reset_request", email, now=now)
    try:
        cognito.forgot_password(email)
    except (InvalidCode, TooManyAttempts):
        log.info("nothing to reset")


def confirm_reset(
    *, email: str, code: str, new_password: str, source: Source, now: datetime
) -> None:
    """Sets a new password by the mailed code, and ends all sessions.

    Raises InvalidCode, alike for unknown addresses; WeakPassword, TooManyRequests.
    """
    # Not the names: what a stranger may not use would tell them.
    check_password(new_password, email, field="newPassword")
    spend("mail_source", source.network, now=now)
    spend("reset_confirm", email, now=now)
    cognito.reset_password(email=email, code=code, password=new_password)
    Attempts.at("login", email).clear()
    address = Address.of(email)
    if address is not None and address.learner_id is not None:
        _password_is_new(address.learner_id, email, "password_reset", source, now)


def _password_is_new(
    learner_id: str, email: str, action: audit.Action, source: Source, now: datetime
) -> None:
    end_sessions(learner_id)
    audit.record(learner_id, action, source, now=now)
    notify(email, "password_changed", source, now=now)


def change_password(
    learner: Learner, *, current_password: str, new_password: str, source: Source, now: datetime
) -> None:
    """Replaces a known password, and ends all sessions.

    Raises InvalidCredentials, WeakPassword, NoPassword, TooManyRequests.
    """
    account, profile = Account.of(learner.id), Profile.of(learner.id)
    if account is not None and account.federated_name:
        raise NoPassword
    account = prove(learner, current_password, source=source, now=now)
    names = (profile.first_name, profile.last_name) if profile else ()
    check_password(new_password, account.email, *names, field="newPassword")
    cognito.set_password(account.user_name, new_password)
    _password_is_new(learner.id, account.email, "password_changed", source, now)


def request_email_change(
    learner: Learner, *, new_email: str, password: str | None, source: Source, now: datetime
) -> None:
    """Mails a code to the new address and a notice to the old one.

    Raises InvalidCredentials, FreshSignInNeeded, UserAlreadyExists, TooManyRequests,
    ValidationFailed for the address that the learner has.
    """
    account = prove(learner, password, source=source, now=now)
    if new_email == account.email:
        raise ValidationFailed.of("newEmail", "same", "This is your address already.")
    spend("mail_source", source.network, now=now)
    spend("email_change", learner.id, now=now)
    taken = Address.of(new_email)
    if taken is not None and taken.learner_id not in (None, learner.id):
        raise UserAlreadyExists
    code = f"{secrets.randbelow(10**6):06}"
    EmailChange.new(
        learner.id,
        email=new_email,
        proof=fingerprint(EMAIL_CODE, f"{learner.id} {new_email} {code}"),
        until=now + CODE_LASTS,
    ).put()
    send_code(new_email, code, minutes=CODE_LASTS.seconds // 60)
    audit.record(learner.id, "email_change_requested", source, now=now)
    notify(account.email, "email_changing", source, now=now)


def confirm_email_change(learner: Learner, *, code: str, source: Source, now: datetime) -> str:
    """Moves the account to the new address by the mailed code; returns the address.

    The new address is reserved, then Cognito's user is changed, then the table in one
    transaction; cut off anywhere, the same code completes it after the reservation's minute.
    Raises InvalidCode, UserAlreadyExists, TooManyRequests.
    """
    spend("email_confirm", learner.id, now=now)
    change, account = EmailChange.of(learner.id, now=now), Account.of(learner.id)
    if change is None or account is None:
        raise InvalidCode
    if change.proof not in fingerprints(EMAIL_CODE, f"{learner.id} {change.email} {code}"):
        raise InvalidCode
    try:
        reserved = Address.reserve(change.email, owner=str(ULID()), now=now)
    except ConditionFailed as error:
        raise UserAlreadyExists from error
    try:
        _move(account, change, reserved, source, now)
    except (Problem, ConditionFailed) as error:
        with suppress(Problem):
            if not account.federated_name:
                cognito.set_email(account.user_name, account.email)
            reserved.release()
        if isinstance(error, ConditionFailed):
            raise ServiceUnavailable("The change took too long: try again") from error
        raise
    states.forget(learner.id)
    notify(account.email, "email_changed", source, now=now)
    return change.email


def _move(
    account: Account, change: EmailChange, reserved: Address, source: Source, now: datetime
) -> None:
    learner_id = account.learner_id
    if not account.federated_name:
        cognito.set_email(account.user_name, change.email)
    moved = Account.at(learner_id)
    transact(
        reserved.held_by(learner_id),
        Address.at(account.email).left_by(learner_id),
        Update(
            moved,
            [
                Account.email.set(change.email),
                Account.email_verified.set(True),
                Account.gsi1sk.set(change.email),
            ],
            (Account.email == account.email) & (Account.gsi1pk == "LEARNERS"),
        ),
        Delete(change, EmailChange.proof == change.proof),
        Put(Activity.new(learner_id, "email_changed", source, now=now)),
    )
