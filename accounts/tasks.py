"""What runs by the clock (entry points of scheduled events), and how it visits all accounts."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.utils.timezone import now

from accounts.models import Account
from accounts.services import reconciliation
from accounts.services.dormancy import let_dormant_go
from accounts.services.removal import delete_unverified, resume_deletions
from config import aws
from config.store.items import ConditionFailed, Raw

log = logging.getLogger("parley.accounts")

PAGE = 100
WITHIN_S = 40  # the function has a minute


def for_each_account(
    visit: Callable[[Sequence[Account]], int],
    *,
    task: str,
    start: Raw | None = None,
    generation: int = 0,
) -> int:
    """Visits every account, in the order of their addresses; returns the sum of what visits say.

    Reads one query of 100 a page. When time is up, `task` goes on in another invocation, with the
    place as `start` and the invocations so far as `generation` in its event.
    """
    done, began = 0, time.monotonic()
    while True:
        page = Account.by_email("", limit=PAGE, start=start)
        done += visit(page.items)
        start = page.next_key
        if start is None:
            return done
        if time.monotonic() - began <= WITHIN_S:
            continue
        if generation >= aws.LONGEST_CHAIN:
            log.error("a round over the accounts does not end", extra={"fields": {"task": task}})
            return done
        if aws.invoke_async(task, start=start, generation=generation + 1):
            return done


def sweep_accounts(_event: Any, _context: Any) -> int:
    """Every five minutes: completes deletions of accounts; returns how many."""
    return resume_deletions(now=now())


def let_accounts_go(event: Mapping[str, Any], _context: Any) -> int:
    """Nightly: lets accounts go that nobody has verified, or uses; returns how many were met."""

    def visit(accounts: Sequence[Account]) -> int:
        at = now()
        return delete_unverified(accounts, now=at) + let_dormant_go(accounts, now=at)

    return for_each_account(
        visit,
        task="accounts.tasks.let_accounts_go",
        start=event.get("start"),
        generation=int(event.get("generation", 0)),
    )


def reconcile(event: Mapping[str, Any], _context: Any) -> bool:
    """Nightly: compares pool and table; False when another invocation goes on.

    The round stores where it stands, so that one that was cut off goes on the next night.
    """
    generation = int(event.get("generation", 0))
    try:
        if reconciliation.reconcile(goes_on=generation > 0, now=now(), within_s=WITHIN_S):
            return True
    except ConditionFailed:
        log.info("another run goes on with the round")
        return False
    if generation < aws.LONGEST_CHAIN:
        aws.invoke_async("accounts.tasks.reconcile", generation=generation + 1)
    return False
