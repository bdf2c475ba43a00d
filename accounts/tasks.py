"""What runs by the clock (entry points of scheduled events)."""

from collections.abc import Mapping
from typing import Any

from accounts.all_accounts import go_round
from accounts.services.deletion import dismiss_unverified, finish_departures
from config.clock import now


def sweep(_event: Any, _context: Any) -> int:
    """Every five minutes: completes deletions of accounts; returns how many."""
    return finish_departures(now=now())


def clean_up(event: Mapping[str, Any], _context: Any) -> int:
    """Nightly: lets accounts go that nobody has verified; returns how many."""
    return go_round(
        lambda accounts: dismiss_unverified(accounts, now=now()),
        task="accounts.tasks.clean_up",
        start=event.get("start"),
    )
