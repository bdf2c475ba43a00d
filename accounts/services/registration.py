"""From an address and a password to a learner: sign-up, and the code that proves the address."""

import logging
from datetime import datetime

from ulid import ULID

from accounts import audit, passwords
from accounts.cognito import users as cognito_users
from accounts.cognito.client import (
    InvalidCode,
    NoSuchUser,
    TooManyAttempts,
    UserAlreadyExists,
    WeakPassword,
)
from accounts.cognito.users import UNCONFIRMED
from accounts.limits import forget_attempts, hit, hit_address
from accounts.models import Account, Activity, Address, Head, Profile
from config import telemetry
from config.client_info import ClientInfo
from config.problems import FieldError, Problem, ServiceUnavailable
from config.store.items import ConditionFailed
from config.store.transactions import Put, transact

log = logging.getLogger("parley.accounts")


def sign_up(
    *,
    email: str,
    password: str,
    first_name: str,
    last_name: str,
    source: ClientInfo,
    now: datetime,
) -> str:
    """Registers a learner, whom Cognito mails a code. Returns the learner's id.

    Raises UserAlreadyExists, WeakPassword, TooManyRequests, ServiceUnavailable.
    """
    require_strong_password(password, email, first_name, last_name)
    hit("sign_up_source", source.network, now=now)
    return register(
        email=email,
        password=password,
        first_name=first_name,
        last_name=last_name,
        source=source,
        now=now,
    )


def register(
    *,
    email: str,
    password: str,
    first_name: str,
    last_name: str,
    source: ClientInfo,
    now: datetime,
) -> str:
    """Makes user, account and profile, or nothing. Returns the learner's id.

    The address is reserved first, for a minute: of two sign-ups at once one wins, and what a
    crash leaves behind anywhere below is cleared by the next try after that minute.
    Raises UserAlreadyExists, WeakPassword by Cognito's rules alone, ServiceUnavailable.
    """
    try:
        address = Address.reserve(email, owner=str(ULID()), now=now)
    except ConditionFailed as error:
        raise UserAlreadyExists from error
    learner_id = None
    try:
        learner_id = _make_user(email, password, first_name, last_name)
        transact(
            address.assign_write(learner_id),
            Put(Account.new(learner_id, email=email, now=now), Account.pk.does_not_exist()),
            Put(
                Profile.new(learner_id, first_name=first_name, last_name=last_name, now=now),
                Profile.pk.does_not_exist(),
            ),
            Put(Head.first_of(learner_id)),
            Put(Activity.new(learner_id, "signed_up", source, now=now)),
        )
    except (Problem, ConditionFailed) as error:
        _undo(address, learner_id)
        if isinstance(error, ConditionFailed):
            raise ServiceUnavailable("The sign-up took too long: try again") from error
        raise
    telemetry.emit("SignUps")
    return learner_id


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


def clear_left_over(email: str) -> bool:
    """Removes the user that a crashed sign-up left, and says whether there was one.

    To be called with the address reserved: nobody has an account with it then, unless one that is
    older than our addresses. Users whom operators have made, or confirmed, stay.
    """
    user = cognito_users.find_user(email)
    if user is None or user.status != UNCONFIRMED or Account.of(user.sub) is not None:
        return False
    log.warning("removing what a sign-up left behind")
    cognito_users.delete_user(user.sub)
    return True


def _undo(address: Address, learner_id: str | None) -> None:
    """Removes the user that we made, and only that; then lets others have the address."""
    try:
        if learner_id is not None:
            cognito_users.delete_user(learner_id)
        address.release()
    except Problem:
        log.exception("a failed sign-up is left to its lease")


def verify_email(*, email: str, code: str, source: ClientInfo, now: datetime) -> None:
    """Proves the address by the mailed code.

    Raises InvalidCode: alike for a wrong code, an unknown address and a verified one;
    TooManyRequests.
    """
    hit("mail_source", source.network, now=now)
    hit_address("verify_email", email, source, now=now)
    cognito_users.confirm_sign_up(email=email, code=code)
    address = Address.of(email)
    if address is not None and address.learner_id is not None:
        Account.at(address.learner_id).verify_email()
        audit.record(address.learner_id, "email_verified", source, now=now)


def resend_code(*, email: str, source: ClientInfo, now: datetime) -> None:
    """Mails the code again where there is something to verify; tells nobody whether there is.

    Raises TooManyRequests, for any address.
    """
    hit("mail_source", source.network, now=now)
    hit("resend_code", email, now=now)
    forget_attempts("verify_email", email)  # whether there is an account or not
    try:
        cognito_users.resend_code(email)
    except (InvalidCode, NoSuchUser, TooManyAttempts):
        log.info("nothing to verify")
