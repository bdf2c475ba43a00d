"""Learners whom we let in ourselves, without a code by mail: demo accounts and staff.

Nobody is enrolled who has not proved an address or was not made here. The steps, each harmless when
repeated; the next call goes on where a crash ended the last:

1. An account whose address nobody has proved is barred, emptied, taken from the pool, and struck;
   its address becomes our reservation in the same transaction. A cut before that: the account is
   leaving, the next call goes on. After it: the reservation lapses in a minute.
2. The pool makes the user: address verified, no code, a password that nobody knows. A cut leaves a
   user without an account, whom the next call takes as it takes those made in the console.
3. Account (`enrolling`), profile and address are written at once.
4. The user gets a password, if they still have to change theirs; then the groups.
5. A user with a password that nobody knows is mailed a code to set one; the account is `enrolling`
   no more. A cut between the two mails another code next time.
"""

import secrets
from datetime import datetime

from ulid import ULID

from accounts.cognito import users as cognito_users
from accounts.cognito.client import InvalidCode, UserAlreadyExists
from accounts.cognito.users import FORCE_CHANGE_PASSWORD, UNCONFIRMED
from accounts.models import Account, Activity, Address, Profile, audit
from accounts.services import registration, removal
from accounts.services.addresses import clear_left_over
from accounts.services.unfinished import account_at
from config import telemetry
from config.client_info import ClientInfo
from config.records import dataclass
from config.store.items import ConditionFailed
from config.store.transactions import Put, transact

OURSELVES = ClientInfo("", "manage.py")


class NotEnrolled(Exception):
    """A person is not enrolled, or not completely yet; the text tells the operator why."""


@dataclass(frozen=True)
class Newcomer:
    """The person an account is made for. `password` is None where nobody shall know it."""

    email: str
    password: str | None
    first_name: str
    last_name: str


@dataclass(frozen=True)
class Enrolled:
    """The outcome. `replaced`: another's unproved account; `code_mailed`: to set a password."""

    learner_id: str
    replaced: bool
    code_mailed: bool


def create_verified_user(
    person: Newcomer, *, groups: frozenset[str] = frozenset(), now: datetime
) -> Enrolled:
    """Makes a learner with a verified address, or takes the one who has proved it.

    Whoever has proved the address keeps password and names; `groups` are added to theirs. An
    account whose address nobody has proved is replaced. Raises NotEnrolled, WeakPassword,
    ServiceUnavailable.
    """
    try:
        account, replaced = _account(person, now)
        if account.enrolling:
            _open(account, person)
        _join(account, groups, now)
        return Enrolled(account.learner_id, replaced, _complete(account, person))
    except ConditionFailed as error:
        raise NotEnrolled(f"{person.email} changed at this moment: repeat the command.") from error


def _account(person: Newcomer, now: datetime) -> tuple[Account, bool]:
    """The account to go on with, and whether it has replaced another's."""
    address = Address.of(person.email)
    existing = account_at(person.email, now=now)
    if address and address.learner_id and existing is None:
        raise NotEnrolled(f"{person.email} is held for {address.learner_id}, who has no account.")
    if existing is not None and not existing.is_leaving and _is_sound(existing):
        return existing, False
    if person.password is not None:
        names = person.first_name, person.last_name
        registration.require_strong_password(person.password, person.email, *names)
    reserved = _reserve(person.email, in_place_of=existing, now=now)
    try:
        account = _make(person, reserved, now)
        return account, existing is not None and not existing.email_verified
    except NotEnrolled:
        reserved.release()
        raise


def _is_sound(account: Account) -> bool:
    """Whether either store has the address as proved, or we have made the account ourselves.

    False where a sign-up has made the account and nobody has proved anything. Raises NotEnrolled
    where neither is certain.
    """
    user = cognito_users.find_user(account.user_name)
    if account.email_verified and user is not None and user.status != UNCONFIRMED:
        return True
    if not account.email_verified and (user is None or user.status == UNCONFIRMED):
        return False
    if user is not None and user.email_verified and user.status != UNCONFIRMED:
        account.verify_email()  # a verification was cut off after the pool
        return True
    status = "no such user" if user is None else f"{user.status}, the address not verified"
    proved = "verified" if account.email_verified else "not verified"
    raise NotEnrolled(
        f"The table and the pool disagree on {account.email}: in the table the address is "
        f"{proved}, the pool has {status}. Nothing was changed. Put the user {account.user_name} "
        "right in the pool, then repeat the command."
    )


def _reserve(email: str, *, in_place_of: Account | None, now: datetime) -> Address:
    owner = str(ULID())
    if in_place_of is not None:
        reserved = Address.reservation(email, owner=owner, now=now)
        removal.make_way(in_place_of, reservation=reserved, now=now)
        return reserved
    try:
        return Address.reserve(email, owner=owner, now=now)
    except ConditionFailed as error:
        raise NotEnrolled(
            f"{email} is being signed up at this moment, or a run of this command was cut off: "
            "repeat it in a minute."
        ) from error


def _make(person: Newcomer, reserved: Address, now: datetime) -> Account:
    learner_id = _user(person)
    account = Account.new(learner_id, email=person.email, now=now)
    account.email_verified, account.enrolling = True, True
    profile = Profile.new(
        learner_id, first_name=person.first_name, last_name=person.last_name, now=now
    )
    transact(
        reserved.assign_write(learner_id),
        Put(account, Account.pk.does_not_exist()),
        Put(profile, Profile.pk.does_not_exist()),
        Put(Activity.new(learner_id, "signed_up", OURSELVES, now=now)),
    )
    telemetry.emit("SignUps")
    return account


def _user(person: Newcomer) -> str:
    """The `sub` of a new user, or of one without an account who waits for a first password.

    Only operators, or a run that was cut off, make users of the second kind, so nobody is locked
    out. All others stay as they are.
    """
    clear_left_over(person.email)
    user = cognito_users.find_user(person.email)
    if user is None:
        try:
            return cognito_users.create_user(
                email=person.email, first_name=person.first_name, last_name=person.last_name
            )
        except UserAlreadyExists as error:
            raise NotEnrolled(
                f"{person.email} came into the pool at this moment: repeat the command."
            ) from error
    if user.status != FORCE_CHANGE_PASSWORD or Account.of(user.sub) is not None:
        raise NotEnrolled(
            f"The pool has a user {user.sub} with the address {person.email} ({user.status}), but "
            "no account belongs to it. Nothing was changed. Delete that user in the pool if it is "
            "not needed, then repeat the command."
        )
    return user.sub


def _open(account: Account, person: Newcomer) -> None:
    """Gives the user a password, unless the owner has set one meanwhile by a reset."""
    user = cognito_users.find_user(account.user_name)
    if user is not None and user.status == FORCE_CHANGE_PASSWORD:
        cognito_users.vouch_for_email(account.user_name)
        password = person.password or secrets.token_urlsafe(32)
        cognito_users.set_password(account.user_name, password)


def _join(account: Account, groups: frozenset[str], now: datetime) -> None:
    """Adds the groups that are missing; the line of the trail comes first, so none goes without."""
    if missing := groups - cognito_users.groups_of(account.user_name):
        audit.record(
            account.learner_id, "groups_changed", OURSELVES, now=now, actor=OURSELVES.agent
        )
        for group in sorted(missing):
            cognito_users.add_to_group(account.user_name, group)


def _complete(account: Account, person: Newcomer) -> bool:
    """Mails the code if one is due, and returns whether it was mailed."""
    if not account.enrolling:
        return False
    code_due = person.password is None
    if code_due:
        try:
            cognito_users.forgot_password(account.user_name)
        except InvalidCode as error:
            raise NotEnrolled(
                f"{person.email} is enrolled, but the pool mails them no code to set a password: "
                "is the user disabled there?"
            ) from error
    account.finish_enrolment()
    return code_due
