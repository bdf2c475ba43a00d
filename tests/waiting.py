"""Waiting for what other threads and processes do, as long as the slowest of machines may need."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

PATIENCE_S = 300
"""The one deadline of all waits: far more than anything takes where the processors are shared with
many others. A wait ends as soon as what it waits for is there, so a long one costs nothing."""


def eventually(found: Callable[[], Found], *, within_s: float = PATIENCE_S) -> Found:
    """What is found, once it is there."""
    deadline = time.monotonic() + within_s
    while not (it := found()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return it


class SteadyClock:
    """Stands in for `time` in a module: time passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def monotonic(self) -> float:
        return self.passed_s

    def sleep(self, seconds: float) -> None:
        self.passed_s += seconds
