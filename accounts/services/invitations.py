"""Inviting people by mail: whoever signs in with the password that was mailed has the mailbox.

The steps for one address, each harmless when repeated:

1. The address is reserved for a minute; a claim that nobody has proved gives way. Cut off here, or
   anywhere before 4: the same request goes on after that minute.
2. The pool makes the user, verified and with a password that nobody knows; one who waits for a
   first password already is taken as they are. The line of the trails.
3. A temporary password is set; an earlier one is void.
4. It is mailed. Cut off between 3 and 4: the same request sets and mails another one.
5. The address is free again: the first sign-in makes account, profile and address
   (`sessions.adopt`).

An invited person who asks for a reset of the password is mailed another temporary one: the pool
would mail them no code.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from accounts.cognito import users as cognito_users
from accounts.cognito.client import UserAlreadyExists
from accounts.cognito.users import FORCE_CHANGE_PASSWORD, PoolUser
from accounts.emails import send_invitation
from accounts.models import Account, Address, audit
from accounts.models.audit import StaffMember
from accounts.models.limits import hit
from accounts.services.addresses import clear_left_over, reserve
from config.problems import Problem, TooManyRequests
from config.records import dataclass
from config.store.transactions import transact

Outcome = Literal["invited", "registered", "waiting"]

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without what looks alike
GROUPS, GROUP = 4, 4  # 79 bits


@dataclass(frozen=True)
class Invited:
    """The outcome for one address.

    `registered`: its owner can sign in already. `waiting`: it was mailed to or signed up within the
    last minute; nothing was done.
    """

    email: str
    outcome: Outcome


def invite(emails: Sequence[str], *, by: StaffMember, now: datetime) -> list[Invited]:
    """Invites the owners of some addresses. Raises TooManyRequests, ServiceUnavailable."""
    return [Invited(email, _invite(email, by, now)) for email in dict.fromkeys(emails)]


def _invite(email: str, by: StaffMember, now: datetime) -> Outcome:
    hit("invite_staff", by.id, now=now)
    try:
        hit("invite_address", email, now=now)
    except TooManyRequests:
        return "waiting"
    try:
        address = reserve(email, now=now)
    except UserAlreadyExists:
        held = Address.of(email)
        return "registered" if held and held.learner_id else "waiting"
    try:
        outcome = _make_way_in(email, by, now)
    except Problem:
        address.release()
        raise
    address.release()
    return outcome


def _make_way_in(email: str, by: StaffMember, now: datetime) -> Outcome:
    clear_left_over(email)
    sub = _user(email)
    if sub is None:
        return "registered"
    transact(*audit.staff_action(by, "invited", f"users/{sub}", now=now))
    _mail_password(sub, email)
    return "invited"


def _user(email: str) -> str | None:
    """The `sub` of a new user, or of one who waits for a first password; None for all others."""
    user = cognito_users.find_user(email)
    if user is None:
        return cognito_users.create_user(email=email, first_name="", last_name="")
    return user.sub if is_waiting(user) else None


def is_waiting(user: PoolUser) -> bool:
    """Whether a user was invited and has not come in yet."""
    return user.status == FORCE_CHANGE_PASSWORD and Account.of(user.sub) is None


def _mail_password(sub: str, email: str) -> None:
    password = _temporary_password()
    cognito_users.set_temporary_password(sub, password)
    cognito_users.vouch_for_email(sub)  # from here on only the mailbox has a password
    send_invitation(email, password, days=cognito_users.TEMPORARY_PASSWORD_DAYS)


def _temporary_password() -> str:
    groups = ("".join(secrets.choice(ALPHABET) for _ in range(GROUP)) for _ in range(GROUPS))
    return "-".join(groups)


def invite_again(email: str) -> bool:
    """Mails another temporary password to whoever was invited and waits; False for all others."""
    user = cognito_users.find_user(email)
    if user is None or not user.email_verified or not is_waiting(user):
        return False
    _mail_password(user.sub, email)
    return True
