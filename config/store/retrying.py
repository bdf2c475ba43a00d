"""Trying again while others write the same things: with a pause, and not for ever."""

import functools
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


def retrying(
    act: Callable[[], T],
    *,
    after: type[Exception],
    within_s: float | None = None,
    of: str | None = None,
) -> T:
    """What `act` returns, which is called anew as long as it raises `after`.

    It must read again what it relies on. Threads that write the things `of` the same learner take
    turns as soon as two of them have met. Raises ServiceUnavailable when the time is over.
    """
    until = time.monotonic() + (WITHIN_S if within_s is None else within_s)
    attempt = 0
    with _Turn(of) as turn:
        if of in _queues:
            turn.wait(until)
        while True:
            begun = time.monotonic()
            try:
                return act()
            except after as error:
                attempt += 1
                if time.monotonic() > until:
                    message = "Others write the same things at this moment: try again"
                    raise ServiceUnavailable(message) from error
                if not turn.wait(until):
                    pause(attempt, time.monotonic() - begun)


_queues: dict[str | None, deque[threading.Event]] = {}
_guard = threading.Lock()
_own = threading.local()


class _Turn:
    """A thread's place among those that write the same learner's things, first come, first served.

    Each of them alone would only slow down the one that wins. On Lambda a process has one request
    at a time, and others' requests are met by pauses.
    """

    def __init__(self, of: str | None) -> None:
        self.of = of
        self.place: threading.Event | None = None

    def __enter__(self) -> "_Turn":
        return self

    def wait(self, until: float) -> bool:
        """Queues up, once, and waits; whether there was anybody to wait for."""
        held: set[str] = _own.__dict__.setdefault("held", set())
        if self.of is None or self.of in held or self.place:
            return False
        held.add(self.of)
        self.place = threading.Event()
        with _guard:
            queue = _queues.setdefault(self.of, deque())
            queue.append(self.place)
            alone = len(queue) == 1
        if not alone:
            self.place.wait(max(0.0, until - time.monotonic()))
        return not alone

    def __exit__(self, *_: object) -> None:
        if self.of is None or self.place is None:
            return
        _own.held.remove(self.of)
        with _guard:
            queue = _queues[self.of]
            queue.remove(self.place)
            if queue:
                queue[0].set()
            else:
                del _queues[self.of]


@contextmanager
def in_turn(of: str) -> Iterator[None]:
    """Has other threads that write a learner's things wait for one that writes much at once."""
    with _Turn(of) as turn:
        turn.wait(time.monotonic() + WITHIN_S)
        yield


def retried(after: type[Exception]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Makes a function one that is called anew as long as it raises `after` (see `retrying`)."""

    def decorate(act: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(act)
        def again(*args: P.args, **kwargs: P.kwargs) -> T:
            named = kwargs.get("learner_id", args[0] if args else None)
            of = named if isinstance(named, str) else None
            return retrying(functools.partial(act, *args, **kwargs), after=after, of=of)

        return again

    return decorate


def breathe() -> None:
    """Lets others have their turn between large transactions of one learner."""
    time.sleep(BETWEEN_S)
