"""What runs by the clock (entry points of scheduled events)."""

from collections.abc import Mapping
from typing import Any

from accounts.all_accounts import for_each_account
from accounts.services.removal import delete_unverified, resume_deletions
from config.clock import now


def sweep_accounts(_event: Any, _context: Any) -> int:
    """Every five minutes: completes deletions of accounts; returns how many."""
    return resume_deletions(now=now())


def delete_unverified_accounts(event: Mapping[str, Any], _context: Any) -> int:
    """Nightly: lets accounts go that nobody has verified; returns how many."""
    return for_each_account(
        lambda accounts: delete_unverified(accounts, now=now()),
        task="accounts.tasks.delete_unverified_accounts",
        start=event.get("start"),
        generation=int(event.get("generation", 0)),
    )
