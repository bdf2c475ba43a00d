"""What runs by the clock (entry points of scheduled events)."""

from typing import Any

from accounts.services.departure import finish_departures
from config.clock import now


def sweep(_event: Any, _context: Any) -> int:
    """Every five minutes: completes deletions of accounts; returns how many."""
    return finish_departures(now=now())
