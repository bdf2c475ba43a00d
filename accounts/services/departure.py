"""Taking one's data along, and leaving for good."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from accounts import audit, cognito
from accounts.admission import Learner, states
from accounts.cognito import NoSuchUser
from accounts.models import Account, Address, learner_key
from accounts.services.proof import prove
from config.partitions import erase, plain, raw_page
from config.problems import ServiceUnavailable
from config.sources import Source
from config.store.packed import unpack
from config.store.transactions import Update, Write, transact
from config.table import ConditionFailed, Page, Raw

log = logging.getLogger("parley.accounts")

# API Gateway waits 29 s; what is not removed by then is left to `finish`.
WITHIN_S = 20
# Tokens may live on in other processes for ACCOUNT_STATE_CACHE_S: what they write is swept later.
SWEEP_AFTER = timedelta(minutes=2)
UNVERIFIED_FOR = timedelta(days=7)

SECRET_KINDS = frozenset({"mfa", "email_change", "browser_session", "calendar_link"})
PACKED = frozenset({"head", "journal"})
TECHNICAL = frozenset(
    {"pk", "sk", "kind", "v", "n", "lsi1", "lsi2", "lsi3", "lsi4", "lsi5", "gsi1pk", "gsi1sk"}
)


def export(learner_id: str, *, start: Raw | None, source: Source, now: datetime) -> Page[Any]:
    """A page of all that is stored of a learner: {kind, key, data}, without secrets."""
    page = raw_page(learner_key(learner_id), start=start)
    if start is None:
        audit.record(learner_id, "exported", source, now=now)
    return Page(list(_exported(page.items)), page.next_key)


def _exported(items: list[Raw]) -> Iterator[dict[str, Any]]:
    for item in items:
        kind = item["kind"]["S"]
        if kind not in SECRET_KINDS:
            names = [
                n for n in item if n not in TECHNICAL and (kind in PACKED or "B" not in item[n])
            ]
            data = {name: _shown(item[name]) for name in sorted(names)}
            yield {"kind": kind, "key": item["sk"]["S"], "data": data}


def _shown(attribute: dict[str, Any]) -> Any:
    """A stored attribute as a value of JSON, unpacked where it was packed."""
    return unpack(attribute["B"]) if "B" in attribute else plain(attribute)


def leave(learner: Learner, password: str | None, *, source: Source, now: datetime) -> bool:
    """Removes a learner and all that is theirs.

    True when all is gone; False when the rest is left to `finish_departures`. From the first
    step on nobody can come in any more, and each step may be repeated. Raises
    InvalidCredentials, FreshSignInNeeded, TooManyRequests.
    """
    account = prove(learner, password, source=source, now=now)
    account.begin_leaving(now)
    states.forget(learner.id)
    return _remove(account, now)


def make_way(account: Account, *, reservation: Address, now: datetime) -> None:
    """Removes an account whose address nobody has proved; the address becomes `reservation`.

    Also completes a deletion that was cut off. No sign-up gets the address in between. Raises
    ConditionFailed when the address was proved or freed at this moment; ServiceUnavailable.
    """
    if not account.is_leaving:
        account.begin_leaving(now, if_unverified=True)
    states.forget(account.learner_id)
    if not _empty(account):
        raise ServiceUnavailable("The account has more than can be removed at once: try again")
    _strike(account, reservation.taken_from(account.learner_id), now)


def _remove(account: Account, now: datetime) -> bool:
    if not _empty(account):
        return False
    try:
        _strike(account, Address.at(account.email).left_by(account.learner_id), now)
    except ConditionFailed:
        log.warning("someone else has finished this")
    return True


def _empty(account: Account) -> bool:
    """Removes all but the account item and the address; False when time ran out before."""
    with suppress(NoSuchUser):
        cognito.sign_out_everywhere(account.user_name)
    if not erase(account.pk, keep={Account.SK}, within_s=WITHIN_S):
        return False
    cognito.delete_user(account.user_name)
    return True


def _strike(account: Account, address: Write, now: datetime) -> None:
    """Completes a deletion: the address goes, the account becomes a mark that says "gone"."""
    transact(address, Update(account, account.traceless(now), Account.pk.exists()))


def dismiss_unverified(accounts: Iterable[Account], *, now: datetime) -> int:
    """Bars those accounts for good whose address nobody has proved in a week; returns how many.

    An address that somebody else has typed in is free again for its owner. `finish_departures`
    does the rest.
    """
    done = 0
    for account in accounts:
        if not account.email_verified and account.created_at < now - UNVERIFIED_FOR:
            with suppress(ConditionFailed):  # it was verified at this moment, or is gone
                account.begin_leaving(now, if_unverified=True)
                done += 1
    return done


def finish_departures(*, now: datetime) -> int:
    """Completes deletions that were cut off, and sweeps after the others; returns how many.

    Run every few minutes; harmless at any time.
    """
    done = 0
    for account in Account.leaving():
        done += _remove(account, now)
    for account in Account.gone(before=now - SWEEP_AFTER):
        done += erase(account.pk, within_s=WITHIN_S)
    return done
