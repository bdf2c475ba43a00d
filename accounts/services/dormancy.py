"""Accounts that nobody uses: their owners are warned twice by mail, then they are deleted.

An account is in use if its owner has signed in, or renewed a sign-in, within `DORMANT_AFTER_DAYS`.
The steps, a night or more apart, each harmless when repeated:

1. Sixty days before the end its owner is mailed; then that is noted. Cut off between the two:
   another mail tells it again.
2. Fourteen days before the end likewise. Nobody is deleted without two mails.
3. In one write the account is barred for good, unless it has changed since it was read: a sign-in
   at this moment either comes first, and the account stays, or comes too late and is refused. The
   sweep does the rest (`removal`).

A sign-in meanwhile begins the time anew. Staff, and accounts that staff have shut, stay.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings

from accounts.cognito import users as cognito_users
from accounts.cognito.client import NoSuchUser
from accounts.emails import warn_of_deletion
from accounts.models import Account, Session
from accounts.models.account import account_cache
from config.mail import MailRefused
from config.problems import ServiceUnavailable
from config.store.items import ConditionFailed

log = logging.getLogger("parley.accounts")

FIRST, LAST = timedelta(days=60), timedelta(days=14)  # of the warnings, before the end
AT_ONCE = 25  # of a page of accounts, so that a run ends in time; the others wait for another night


def let_dormant_go(accounts: Iterable[Account], *, now: datetime) -> int:
    """Warns the owners of accounts that nobody uses, or bars them; returns how many.

    A mail that is refused is logged, and tried again another night. Where a service does not
    answer, so are all accounts that are left.
    """
    if settings.DORMANT_AFTER_DAYS == 0:
        return 0
    due = [account for account in accounts if _is_due(account, now)]
    done = 0
    for account in due[:AT_ONCE]:
        try:
            done += _attend(account, now)
        except MailRefused:
            log.exception("a dormant account is left to another night")
        except ServiceUnavailable:
            log.exception("the dormant accounts of this page are left to another night")
            break
    return done


def _end(account: Account) -> datetime:
    return account.seen_at + timedelta(days=settings.DORMANT_AFTER_DAYS)


def _is_due(account: Account, now: datetime) -> bool:
    """Whether there is something to do, judged by the account alone."""
    if account.disabled or not account.email_verified:
        return False
    if not account.seen_at:
        return True
    if not account.first_warned_at:
        return now >= _end(account) - FIRST
    if not account.last_warned_at:
        return bool(now >= account.first_warned_at + FIRST - LAST)
    return bool(now >= account.last_warned_at + LAST)


def _attend(account: Account, now: datetime) -> bool:
    try:
        if used_at := _used_at(account, now):
            account.note_seen(used_at)
        elif account.last_warned_at:
            account.mark_dormant(now)
            account_cache.forget(account.learner_id)
        else:
            _warn(account, now)
    except ConditionFailed:  # used, shut or left at this moment
        return False
    return True


def _used_at(account: Account, now: datetime) -> datetime | None:
    """When the account was used without a note of it; None if it was not.

    Accounts that are older than such notes count as used now, and so do those of staff, who stay.
    """
    if not account.seen_at or _is_staff(account):
        return now
    sessions = Session.history(account.learner_id, limit=1)
    return sessions[0].last_used_at if sessions else None


def _is_staff(account: Account) -> bool:
    try:
        return bool(cognito_users.groups_of(account.user_name))
    except NoSuchUser:
        return False


def _warn(account: Account, now: datetime) -> None:
    last = bool(account.first_warned_at)
    ends_at = max(_end(account), now + (LAST if last else FIRST))
    warn_of_deletion(account.email, seen_at=account.seen_at, ends_at=ends_at)
    account.note_warning(now, last=last)
