"""How long a sweep, a claim and a mail may take, and the clock that they go by."""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

LEASE = timedelta(seconds=50)
"""How long a sweeper has one learner's reminders for itself. Ten seconds short of a minute: what a
sweeper that died had claimed is found by the next minute's sweep."""
SENDING_TAKES = timedelta(seconds=25)
"""How long before the end of its lease a mail is begun at the latest. SES has 6 s, the transaction
that records its word three tries of 6 s: so whoever finds a lease to be over knows that nobody is
sending under it any more."""


@dataclass(frozen=True)
class Watch:
    """A sweep's clock: begun at an instant, to begin nothing more after `within_s` seconds.

    It runs on by the processor's steady clock, whatever is done to that of the machine.
    """

    begun_at: datetime
    within_s: float
    _started_s: float = field(default_factory=time.monotonic)

    @property
    def passed_s(self) -> float:
        return time.monotonic() - self._started_s

    @property
    def is_over(self) -> bool:
        return self.passed_s > self.within_s

    def now(self) -> datetime:
        return self.begun_at + timedelta(seconds=self.passed_s)
