"""An address that is to be another."""

import secrets
from contextlib import suppress
from datetime import datetime, timedelta

from ulid import ULID

from accounts import audit
from accounts.bearer import Learner, account_cache
from accounts.cognito import users as cognito_users
from accounts.cognito.client import InvalidCode, UserAlreadyExists
from accounts.emails import notify, send_code
from accounts.limits import hit
from accounts.models import Account, Activity, Address, EmailChange
from accounts.services.sessions import reauthenticate
from config.client_info import ClientInfo
from config.crypto import fingerprint, fingerprints
from config.problems import Problem, ServiceUnavailable, ValidationFailed
from config.store.items import ConditionFailed
from config.store.transactions import Delete, Put, Update, transact

EMAIL_CODE = "email code"
CODE_LASTS = timedelta(minutes=15)


def request_email_change(
    learner: Learner, *, new_email: str, password: str | None, source: ClientInfo, now: datetime
) -> None:
    """Mails a code to the new address and a notice to the old one.

    Raises InvalidCredentials, FreshSignInNeeded, UserAlreadyExists, TooManyRequests,
    ValidationFailed for the address that the learner has.
    """
    account = reauthenticate(learner, password, source=source, now=now)
    if new_email == account.email:
        raise ValidationFailed.of("newEmail", "same", "This is your address already.")
    hit("mail_source", source.network, now=now)
    hit("email_change", learner.id, now=now)
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


def confirm_email_change(learner: Learner, *, code: str, source: ClientInfo, now: datetime) -> str:
    """Moves the account to the new address by the mailed code; returns the address.

    The new address is reserved, then Cognito's user is changed, then the table in one
    transaction; cut off anywhere, the same code completes it after the reservation's minute.
    Raises InvalidCode, UserAlreadyExists, TooManyRequests.
    """
    hit("email_confirm", learner.id, now=now)
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
                cognito_users.set_email(account.user_name, account.email)
            reserved.release()
        if isinstance(error, ConditionFailed):
            raise ServiceUnavailable("The change took too long: try again") from error
        raise
    account_cache.forget(learner.id)
    notify(account.email, "email_changed", source, now=now)
    return change.email


def _move(
    account: Account, change: EmailChange, reserved: Address, source: ClientInfo, now: datetime
) -> None:
    learner_id = account.learner_id
    if not account.federated_name:
        cognito_users.set_email(account.user_name, change.email)
    moved = Account.at(learner_id)
    transact(
        reserved.assign_write(learner_id),
        Address.at(account.email).release_write(learner_id),
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
