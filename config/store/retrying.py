"""Trying again while others write the same things: with a pause, and not for ever."""

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from config.problems import ServiceUnavailable

P = ParamSpec("P")
T = TypeVar("T")

WITHIN_S = 20.0  # of trying, well within API Gateway's 29: eight devices at once wait for it
LONGEST_S = 1.0
BETWEEN_S = 0.1


def pause(attempt: int, took_s: float) -> None:
    """Linear jitter, by how long a try takes: of eight devices at one item each has its turn."""
    longest_s = min(LONGEST_S, attempt * max(took_s, 0.02))
    time.sleep(random.uniform(0, longest_s))  # noqa: S311


def retrying(act: Callable[[], T], *, after: type[Exception], within_s: float | None = None) -> T:
    """What `act` returns, which is called anew as long as it raises `after`.

    It must read again what it relies on. Raises ServiceUnavailable when the time is over.
    """
    until = time.monotonic() + (WITHIN_S if within_s is None else within_s)
    attempt = 0
    while True:
        begun = time.monotonic()
        try:
            return act()
        except after as error:
            attempt += 1
            if time.monotonic() > until:
                message = "Others write the same things at this moment: try again"
                raise ServiceUnavailable(message) from error
            pause(attempt, time.monotonic() - begun)


def retried(after: type[Exception]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Makes a function one that is called anew as long as it raises `after` (see `retrying`)."""

    def decorate(act: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(act)
        def again(*args: P.args, **kwargs: P.kwargs) -> T:
            return retrying(functools.partial(act, *args, **kwargs), after=after)

        return again

    return decorate


def breathe() -> None:
    """Lets others have their turn between large transactions of one learner."""
    time.sleep(BETWEEN_S)
