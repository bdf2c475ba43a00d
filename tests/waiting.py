"""Waiting for other threads and processes, as long as the slowest machine may need."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import time_machine

Found = TypeVar("Found")

PATIENCE_S = 300
"""The deadline of all waits: far more than anything takes, even on a busy machine. A wait ends as
soon as its condition holds, so a long deadline costs nothing."""


def eventually(found: Callable[[], Found], *, within_s: float = PATIENCE_S) -> Found:
    """Calls `found` until it returns something, and returns that."""
    deadline = time.monotonic() + within_s
    while not (it := found()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return it


@contextmanager
def later_by(wait: timedelta) -> Iterator[None]:
    """Moves the clock of this process ahead. Its seconds still begin when the engine's do.

    Some of the engine's answers depend on the second. On a busy machine time passes between the
    reading of the clock and its move; the clock is set right by that.
    """
    with time_machine.travel(datetime.now(UTC) + wait) as clock:
        real = time_machine.escape_hatch.time.time
        behind_s = max(real() + wait.total_seconds() - time.time() for _ in range(9))
        clock.shift(behind_s)
        yield


class SteadyClock:
    """Replaces `time` in a module: time passes only during a sleep."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def monotonic(self) -> float:
        return self.passed_s

    def sleep(self, seconds: float) -> None:
        self.passed_s += seconds
