"""Waiting for other threads and processes, as long as the slowest machine may need."""

import time
from collections.abc import Callable
from typing import TypeVar

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


class SteadyClock:
    """Replaces `time` in a module: time passes only during a sleep."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def monotonic(self) -> float:
        return self.passed_s

    def sleep(self, seconds: float) -> None:
        self.passed_s += seconds
