"""Decides who may have an address: it belongs to the account that has proved it.

A claim that nobody has proved gives no right and blocks nobody. So a sign-up, a sign-in with
Google or a change of address takes an address that somebody has merely typed in, and the account
made with it is removed. Only users whom a sign-up of ours has made and nobody has confirmed are
removed from the pool; those made or confirmed in the console stay.
"""

import logging
from datetime import datetime, timedelta

from ulid import ULID

from accounts.cognito import users as cognito_users
from accounts.cognito.client import UserAlreadyExists
from accounts.models import Account, Address
from accounts.services import removal
from accounts.services.unfinished import account_at
from config.store.items import ConditionFailed
from config.store.transactions import transact

LEASE = timedelta(seconds=Address.LEASE_S)

log = logging.getLogger("parley.accounts")


def reserve(email: str, *, now: datetime) -> Address:
    """Reserves an address for a minute, even one that an account has claimed and not proved.

    Of two at once one wins. Cut off while an account gives way: the next request goes on.
    Raises UserAlreadyExists, ServiceUnavailable.
    """
    reservation = Address.reservation(email, owner=str(ULID()), now=now)
    try:
        reservation.take()
    except ConditionFailed as error:
        address = Address.of(email)
        if address is None or address.learner_id is None:
            raise UserAlreadyExists("Somebody is taking this address: try in a minute") from error
        _take_over(address.learner_id, reservation, now)
    return reservation


def _take_over(learner_id: str, reservation: Address, now: datetime) -> None:
    holder = account_at(reservation.email, now=now)
    try:
        if holder is None or _has_lost_its_user(holder):
            transact(reservation.taken_from(learner_id))
        elif holder.is_leaving_since(now - LEASE) or (
            not holder.is_leaving and removal.is_unproved(holder)
        ):
            removal.make_way(holder, reservation=reservation, now=now)
        else:
            raise UserAlreadyExists
    except ConditionFailed as error:  # proved, or taken by another, at this moment
        raise UserAlreadyExists from error


def _has_lost_its_user(account: Account) -> bool:
    """Whether the user was deleted in the console: nobody can enter this account any more.

    The account stays, with all that is in it, for staff to see to; its owner may use the address.
    """
    if account.is_leaving or not account.email_verified:
        return False
    return cognito_users.find_user(account.user_name) is None


def clear_left_over(email: str) -> bool:
    """Removes the user that a sign-up left behind when it was cut off; says whether there was one.

    To be called with the address reserved: nobody has an account with it then, unless one that is
    older than our addresses.
    """
    user = cognito_users.find_user(email)
    if user is None or not removal.is_left_over(user):
        return False
    log.warning("removing what a sign-up left behind")
    cognito_users.delete_user(user.sub)
    return True
