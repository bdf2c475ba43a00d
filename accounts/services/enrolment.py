"""Learners whom we let in ourselves, without a code by mail: demo accounts and staff."""

from datetime import datetime

from accounts import audit, cognito
from accounts.cognito import UserAlreadyExists
from accounts.models import Account, Address
from accounts.services import registration
from config.sources import Source

OURSELVES = Source("", "manage.py")


def enrol(
    *,
    email: str,
    password: str,
    first_name: str,
    last_name: str,
    groups: frozenset[str] = frozenset(),
    now: datetime,
) -> str:
    """The id of a learner with a verified address, who is made where there is none.

    Whoever has the address keeps password and names; `groups` are added to theirs. What a crash
    left half done is finished by the next call. Raises WeakPassword, ServiceUnavailable,
    and UserAlreadyExists while somebody is signing up with the address.
    """
    address = Address.of(email)
    learner_id = address.learner_id if address else None
    if learner_id is None:
        registration.check_password(password, email, first_name, last_name)
        learner_id = registration.register(
            email=email,
            password=password,
            first_name=first_name,
            last_name=last_name,
            source=OURSELVES,
            now=now,
        )
    account = Account.of(learner_id)
    if account is None:
        raise UserAlreadyExists
    if not account.email_verified:
        cognito.confirm(learner_id)
        account.verify_email()
    if missing := groups - cognito.groups_of(learner_id):
        for group in sorted(missing):
            cognito.add_to_group(learner_id, group)
        audit.record(learner_id, "groups_changed", OURSELVES, now=now, actor=OURSELVES.agent)
    return learner_id
