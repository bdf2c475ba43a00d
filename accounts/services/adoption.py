"""Users whom operators have made in the console: their first sign-in gives them an account."""

import logging
from datetime import datetime

from accounts.cognito import users as cognito_users
from accounts.cognito.client import UserAlreadyExists
from accounts.models import Account, Activity, Head, Profile
from accounts.services.addresses import reserve
from config.client_info import ClientInfo
from config.problems import Problem, ServiceUnavailable
from config.store.items import ConditionFailed
from config.store.transactions import Put, transact

log = logging.getLogger("parley.accounts")


def adopt(sub: str, *, source: ClientInfo, now: datetime) -> bool:
    """Makes the account and profile of a user who has just signed in. False if that is impossible.

    The address counts as proved where the pool says so. It is reserved first; account, profile and
    address are written at once. Cut off before: the next sign-in goes on, after a minute at most.
    Raises ServiceUnavailable.
    """
    user = cognito_users.find_user(sub)
    if user is None or not user.email or Account.of(sub) is not None:
        return False
    try:
        address = reserve(user.email, now=now)
    except UserAlreadyExists:
        log.warning("the address of a user without an account is another account's")
        return False
    account = Account.new(sub, email=user.email, now=now)
    account.email_verified = user.email_verified
    first_name = user.first_name or user.email.partition("@")[0]
    profile = Profile.new(sub, first_name=first_name[:100], last_name=user.last_name[:100], now=now)
    try:
        transact(
            address.assign_write(sub),
            Put(account, Account.pk.does_not_exist()),
            Put(profile, Profile.pk.does_not_exist()),
            Put(Head.first_of(sub)),
            Put(Activity.new(sub, "signed_up", source, now=now)),
        )
    except ConditionFailed as error:
        address.release()
        raise ServiceUnavailable("The first sign-in took too long: try again") from error
    except Problem:
        address.release()
        raise
    return True
