"""Removing accounts, step by step; each step may be repeated.

1. The account is barred for good: from here on nobody can come in.
2. All sessions end in the pool. 3. All items but the account's own are deleted. 4. The pool's user
is deleted. 5. In one write the addresses are free and the account is a mark that says "gone".

Cut off anywhere after 1, a sweep goes on, five minutes later at most; a sign-up with the address
goes on after a minute.
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.cognito.users import UNCONFIRMED
from accounts.models import Account, Address
from accounts.models.account import account_cache
from accounts.services.unfinished import complete_proof
from config.problems import ServiceUnavailable
from config.store.items import ConditionFailed, delete_partition
from config.store.transactions import Update, Write, transact

log = logging.getLogger("parley.accounts")

# API Gateway waits 29 s; what is not removed by then is left to `resume_deletions`.
WITHIN_S = 20
# Tokens may live on in other processes for ACCOUNT_STATE_CACHE_S: what they write is swept later.
SWEEP_AFTER = timedelta(minutes=2)
UNVERIFIED_FOR = timedelta(days=7)


def make_way(account: Account, *, reservation: Address, now: datetime) -> None:
    """Removes an account whose address nobody has proved; the address becomes `reservation`.

    Also completes a deletion that was cut off. No sign-up gets the address in between. Raises
    ConditionFailed when the address was proved or freed at this moment; ServiceUnavailable.
    """
    if not account.is_leaving:
        account.mark_for_deletion(now, if_unverified=True)
    account_cache.forget(account.learner_id)
    if not _empty(account):
        raise ServiceUnavailable("The account has more than can be removed at once: try again")
    freed = account.addresses - {reservation.email}
    _strike(account, [reservation.taken_from(account.learner_id), *_free(account, freed)], now)


def remove(account: Account, *, now: datetime) -> bool:
    """Removes an account that is barred; False when the rest is left to `resume_deletions`."""
    if not _empty(account):
        return False
    try:
        _strike(account, _free(account, account.addresses), now)
    except ConditionFailed:
        log.warning("someone else has finished this")
    return True


def _empty(account: Account) -> bool:
    """Removes all but the account item and the address; False when time ran out before."""
    cognito_sessions.sign_out_everywhere(account.user_name)
    if not delete_partition(account.pk, keep={Account.SK}, within_s=WITHIN_S):
        return False
    cognito_users.delete_user(account.user_name)
    return True


def _free(account: Account, emails: Iterable[str]) -> list[Write]:
    return [Address.at(email).release_write(account.learner_id) for email in sorted(emails)]


def _strike(account: Account, addresses: Iterable[Write], now: datetime) -> None:
    """Completes a deletion: the addresses go, the account becomes a mark that says "gone"."""
    transact(*addresses, Update(account, account.anonymised(now), Account.pk.exists()))


def delete_unverified(accounts: Iterable[Account], *, now: datetime) -> int:
    """Bars those accounts for good whose address nobody has proved in a week; returns how many.

    Those alone whose sign-up nobody has confirmed: who was let in by the console stays.
    `resume_deletions` does the rest.
    """
    done = 0
    for account in accounts:
        if account.email_verified or account.created_at >= now - UNVERIFIED_FOR:
            continue
        complete_proof(account, now=now)
        if is_unproved(account):
            with suppress(ConditionFailed):  # it was verified at this moment, or is gone
                account.mark_for_deletion(now, if_unverified=True)
                done += 1
    return done


def is_unproved(account: Account) -> bool:
    """Whether the account is a sign-up of ours that nobody has confirmed."""
    if account.email_verified:
        return False
    user = cognito_users.find_user(account.user_name)
    return user is None or user.status == UNCONFIRMED


def resume_deletions(*, now: datetime) -> int:
    """Completes deletions that were cut off, and sweeps after the others; returns how many.

    Run every few minutes; harmless at any time.
    """
    done = 0
    for account in Account.pending_deletion():
        done += remove(account, now=now)
    for account in Account.deleted_before(before=now - SWEEP_AFTER):
        done += delete_partition(account.pk, within_s=WITHIN_S)
    return done
