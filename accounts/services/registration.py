"""Sign-up by address and password, and the code that proves the address."""

import hmac
import logging
import secrets
from contextlib import suppress
from datetime import datetime
from uuid import uuid4

from accounts import passwords
from accounts.cognito import users as cognito_users
from accounts.cognito.client import (
    InvalidCode,
    NoSuchUser,
    TooManyAttempts,
    UserAlreadyExists,
    WeakPassword,
)
from accounts.models import Account, Activity, Address, Head, Profile
from accounts.models.limits import forget_attempts, hit, hit_address
from accounts.services.addresses import clear_left_over, reserve
from accounts.services.unfinished import account_at, prove_address, user_name_at
from config import telemetry
from config.client_info import ClientInfo
from config.crypto import fingerprint, fingerprints
from config.problems import FieldError, Problem, ServiceUnavailable
from config.records import dataclass
from config.store.items import ConditionFailed
from config.store.transactions import Put, transact

log = logging.getLogger("parley.accounts")


PROOF = "sign-up secret"


@dataclass(frozen=True)
class SignedUp:
    """A new learner. `verification_token` shows later who chose the password."""

    learner_id: str
    verification_token: str


def sign_up(
    *,
    email: str,
    password: str,
    first_name: str,
    last_name: str,
    source: ClientInfo,
    now: datetime,
) -> SignedUp:
    """Registers a learner, whom Cognito mails a code.

    Whoever else has signed up with the address and not proved it gives way. The steps:

    1. The address is reserved for a minute: of two sign-ups at once one wins. An account that has
       the address unproved is removed meanwhile. Cut off here: the next sign-up goes on.
    2. The pool makes the user. Cut off here: after the minute the next sign-up removes that user.
    3. Account, profile and address are written at once. Cut off after: the next sign-up replaces
       it all, as nobody has proved the address.

    Raises UserAlreadyExists, WeakPassword, TooManyRequests, ServiceUnavailable.
    """
    require_strong_password(password, email, first_name, last_name)
    hit("sign_up_source", source.network, now=now)
    hit("sign_up_address", email, now=now)
    address = reserve(email, now=now)
    learner_id = None
    try:
        learner_id = _make_user(email, password, first_name, last_name)
        forget_attempts("verify_email", email)  # the guesses were at another sign-up's code
        token = secrets.token_urlsafe(16)
        account = Account.new(
            learner_id,
            email=email,
            now=now,
            sign_up_secret=fingerprint(PROOF, f"{learner_id} {token}"),
        )
        profile = Profile.new(learner_id, first_name=first_name, last_name=last_name, now=now)
        transact(
            address.assign_write(learner_id),
            Put(account, Account.pk.does_not_exist()),
            Put(profile, Profile.pk.does_not_exist()),
            Put(Head.first_of(learner_id)),
            Put(Activity.new(learner_id, "signed_up", source, now=now)),
        )
    except (Problem, ConditionFailed) as error:
        _undo(address, learner_id)
        if isinstance(error, ConditionFailed):
            raise ServiceUnavailable("The sign-up took too long: try again") from error
        raise
    telemetry.emit("SignUps")
    return SignedUp(learner_id, token)


def require_strong_password(password: str, *words: str, field: str = "password") -> None:
    """Raises WeakPassword for a password among the common ones or the learner's own words."""
    if reason := passwords.weakness(password, words=words):
        raise WeakPassword(reason, errors=[FieldError(field, "weak_password", reason)])


def _make_user(email: str, password: str, first_name: str, last_name: str) -> str:
    def make() -> str:
        return cognito_users.sign_up(
            email=email, password=password, first_name=first_name, last_name=last_name
        )

    try:
        return make()
    except UserAlreadyExists:
        if not clear_left_over(email):
            raise
        return make()


def _undo(address: Address, learner_id: str | None) -> None:
    """Removes the user that we made, and no other; then frees the address."""
    try:
        if learner_id is not None:
            cognito_users.delete_user(learner_id)
        address.release()
    except Problem:
        log.exception("a failed sign-up is left to its lease")


def verify_email(
    *,
    email: str,
    code: str,
    verification_token: str | None,
    source: ClientInfo,
    now: datetime,
) -> bool:
    """Proves the address by the mailed code; returns whether a password has to be set.

    Whoever has the code has the mailbox; only the token of the sign-up shows that they have also
    chosen the password. Without it the password becomes one that nobody knows, until it is reset.

    Raises InvalidCode: alike for a wrong code, an unknown address and a verified one;
    TooManyRequests.
    """
    hit("mail_source", source.network, now=now)
    hit_address("verify_email", email, source, now=now)
    account = account_at(email, now=now)
    if account is None or account.is_leaving or account.email_verified:
        with suppress(ServiceUnavailable):  # asked in vain, so that it takes as long as for others
            cognito_users.confirm_sign_up(username=str(uuid4()), code=code)
        raise InvalidCode
    with_secret = _is_secret(account, verification_token)
    prove_address(account, code=code, with_secret=with_secret, source=source, now=now)
    return not with_secret


def _is_secret(account: Account, token: str | None) -> bool:
    if token is None or account.sign_up_secret is None:
        return False
    known = fingerprints(PROOF, f"{account.learner_id} {token}")
    return any(hmac.compare_digest(account.sign_up_secret, each) for each in known)


def resend_code(*, email: str, source: ClientInfo, now: datetime) -> None:
    """Mails the code again to an unverified account. The answer is the same without one.

    Raises TooManyRequests, for any address.
    """
    hit("mail_source", source.network, now=now)
    hit("resend_code", email, now=now)
    forget_attempts("verify_email", email)  # whether there is an account or not
    try:
        cognito_users.resend_code(user_name_at(email, now=now))
    except (InvalidCode, NoSuchUser, TooManyAttempts):
        log.info("nothing to verify")
