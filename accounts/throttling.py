"""Throttles single callers, in each process by itself: approximate and free.

It protects a process from a client that runs wild. Limits that must hold over all processes are
counted in the table (`accounts.limits`); floods are for API Gateway and WAF.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from config.client_info import client_info_of


@dataclass
class Buckets:
    """A bucket of tokens for each caller: `burst` at most, refilled by `per_s` each second."""

    per_s: float
    burst: int
    clock: Callable[[], float] = time.monotonic
    most: int = 10_000
    _known: dict[str, tuple[float, float]] = field(default_factory=dict)

    def wait_s(self, caller: str) -> float:
        """Takes a token; 0, or the seconds until there is one."""
        now = self.clock()
        left, seen_at = self._known.get(caller, (float(self.burst), now))
        left = min(self.burst, left + (now - seen_at) * self.per_s)
        if left < 1:
            return (1 - left) / self.per_s
        if len(self._known) >= self.most:
            self._known.clear()
        self._known[caller] = (left - 1, now)
        return 0.0


buckets = Buckets(settings.THROTTLE_PER_S, settings.THROTTLE_BURST)


class Throttle(BaseThrottle):
    """DRF's hook: by learner, else by source."""

    _wait_s = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        learner = getattr(request.user, "id", None)
        self._wait_s = buckets.wait_s(learner or client_info_of(request.META).network)
        return self._wait_s == 0

    def wait(self) -> float:
        return math.ceil(self._wait_s)
