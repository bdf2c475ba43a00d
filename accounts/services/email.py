"""Changing the address of an account."""

import secrets
from contextlib import suppress
from datetime import datetime, timedelta

from accounts.cognito.client import InvalidCode, UserAlreadyExists
from accounts.emails import notify, send_code
from accounts.models import Account, EmailChange, audit
from accounts.models.limits import hit
from accounts.services.addresses import clear_left_over, reserve
from accounts.services.sessions import reauthenticate
from accounts.services.unfinished import account_at, complete, complete_move
from accounts.tokens import Learner
from config.client_info import ClientInfo
from config.crypto import fingerprint, fingerprints
from config.problems import Problem, ServiceUnavailable, ValidationFailed
from config.store.items import ConditionFailed
from config.store.transactions import Write, transact

EMAIL_CODE = "email code"
CODE_LASTS = timedelta(minutes=15)


def request_email_change(
    learner: Learner, *, new_email: str, password: str | None, source: ClientInfo, now: datetime
) -> None:
    """Mails a code to the new address and a notice to the old one.

    Raises InvalidCredentials, FreshSignInNeeded, UserAlreadyExists, TooManyRequests,
    ValidationFailed for the address that the learner has already.
    """
    account = reauthenticate(learner, password, source=source, now=now)
    if new_email == account.email and account.email_verified:
        raise ValidationFailed.of("newEmail", "same", "This is your address already.")
    hit("mail_source", source.network, now=now)
    hit("email_change", learner.id, now=now)
    holder = account_at(new_email, now=now)
    if holder is not None and holder.learner_id != learner.id and holder.email_verified:
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

    Cut off before the address is noted: the same code serves again, after a minute at most. Cut
    off later, the next contact completes it (`unfinished.complete_move`).
    Raises InvalidCode, UserAlreadyExists, TooManyRequests.
    """
    hit("email_confirm", learner.id, now=now)
    change, account = EmailChange.of(learner.id, now=now), Account.of(learner.id)
    if change is None or account is None:
        raise InvalidCode
    if change.proof not in fingerprints(EMAIL_CODE, f"{learner.id} {change.email} {code}"):
        raise InvalidCode
    complete(account, now=now)
    if account.email != change.email or not account.email_verified:
        _begin_move(account, change.email, now)
        complete_move(account, source, now=now)
    return change.email


def _begin_move(account: Account, email: str, now: datetime) -> None:
    writes: list[Write] = [account.begin_move_write(email)]
    reserved = None
    if email != account.email:
        reserved = reserve(email, now=now)
        clear_left_over(email)
        writes.append(reserved.assign_write(account.learner_id))
    try:
        transact(*writes)
    except (Problem, ConditionFailed) as error:
        if reserved is not None:
            with suppress(Problem):
                reserved.release()
        if isinstance(error, ConditionFailed):
            raise ServiceUnavailable("The change took too long: try again") from error
        raise
    account.moving_to = email
