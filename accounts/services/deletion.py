"""Taking one's data along, and leaving for good."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from accounts import audit
from accounts.bearer import Learner, account_cache
from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.models import Account, Address, learner_key
from accounts.services.sessions import reauthenticate
from config.client_info import ClientInfo
from config.problems import ServiceUnavailable
from config.store.items import (
    ConditionFailed,
    Page,
    Raw,
    Update,
    Write,
    delete_partition,
    json_value,
    raw_partition_page,
    transact,
)

log = logging.getLogger("parley.accounts")

# API Gateway waits 29 s; what is not removed by then is left to `finish`.
WITHIN_S = 20
# Tokens may live on in other processes for ACCOUNT_STATE_CACHE_S: what they write is swept later.
SWEEP_AFTER = timedelta(minutes=2)
UNVERIFIED_FOR = timedelta(days=7)

SECRET_KINDS = frozenset({"mfa", "email_change", "browser_session", "calendar_link"})
TECHNICAL = frozenset(
    {"pk", "sk", "kind", "lsi1", "lsi2", "lsi3", "lsi4", "lsi5", "gsi1pk", "gsi1sk"}
)


def export(learner_id: str, *, start: Raw | None, source: ClientInfo, now: datetime) -> Page[Any]:
    """A page of all that is stored of a learner: {kind, key, data}, without secrets."""
    page = raw_partition_page(learner_key(learner_id), start=start)
    if start is None:
        audit.record(learner_id, "exported", source, now=now)
    return Page(list(_exported(page.items)), page.next_key)


def _exported(items: list[Raw]) -> Iterator[dict[str, Any]]:
    for item in items:
        kind = item["kind"]["S"]
        if kind not in SECRET_KINDS:
            names = item.keys() - TECHNICAL
            data = {name: json_value(item[name]) for name in sorted(names) if "B" not in item[name]}
            yield {"kind": kind, "key": item["sk"]["S"], "data": data}


def delete_account(
    learner: Learner, password: str | None, *, source: ClientInfo, now: datetime
) -> bool:
    """Removes a learner and all that is theirs.

    True when all is gone; False when the rest is left to `resume_deletions`. From the first
    step on nobody can come in any more, and each step may be repeated. Raises
    InvalidCredentials, FreshSignInNeeded, TooManyRequests.
    """
    account = reauthenticate(learner, password, source=source, now=now)
    account.mark_for_deletion(now)
    account_cache.forget(learner.id)
    return _remove(account, now)


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


def _remove(account: Account, now: datetime) -> bool:
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

    An address that somebody else has typed in is free again for its owner. `resume_deletions`
    does the rest.
    """
    done = 0
    for account in accounts:
        if not account.email_verified and account.created_at < now - UNVERIFIED_FOR:
            with suppress(ConditionFailed):  # it was verified at this moment, or is gone
                account.mark_for_deletion(now, if_unverified=True)
                done += 1
    return done


def resume_deletions(*, now: datetime) -> int:
    """Completes deletions that were cut off, and sweeps after the others; returns how many.

    Run every few minutes; harmless at any time.
    """
    done = 0
    for account in Account.pending_deletion():
        done += _remove(account, now)
    for account in Account.deleted_before(before=now - SWEEP_AFTER):
        done += delete_partition(account.pk, within_s=WITHIN_S)
    return done
