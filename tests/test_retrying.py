"""Writing again what others were in the way of: in turns within a process, and not for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from config.problems import ServiceUnavailable
from config.store import connection as module
from config.store.connection import retried, retrying
from tests.waiting import PATIENCE_S


@pytest.fixture(autouse=True)
def nobody_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_met", {})


class Lost(Exception):
    """Somebody else was first."""


class Head:
    """A number that is written under what was read, and takes a while to be worked out."""

    def __init__(self) -> None:
        self.number = self.tries = 0
        self.lock = threading.Lock()

    def attempt(self, learner_id: str, met: threading.Barrier) -> None:
        read = self.number
        with self.lock:
            self.tries += 1
            first = self.tries <= met.parties
        if first:
            met.wait(PATIENCE_S)  # all have read before anyone writes
        with self.lock:
            if self.number != read:
                raise Lost
            self.number += 1


def test_threads_of_one_learner_take_turns_once_they_have_met() -> None:
    """Each of eight tries twice at the most: who waits for its turn loses to nobody."""
    head, met = Head(), threading.Barrier(8)
    act = retried(Lost)(head.attempt)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: act("maria", met), range(8)))
    assert head.number == 8
    assert head.tries <= 16
    assert module._queues == {}


def test_another_learner_waits_for_nobody() -> None:
    entered, done = threading.Event(), threading.Event()
    tries: list[str] = []

    def slow(learner_id: str) -> None:
        tries.append(learner_id)
        if len(tries) == 1:
            raise Lost
        entered.set()
        assert done.wait(PATIENCE_S)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(retried(Lost)(slow), "maria")
        assert entered.wait(PATIENCE_S)
        assert retried(Lost)(lambda learner_id: learner_id)("joao") == "joao"
        done.set()
        running.result(PATIENCE_S)
    assert module._queues == {}


def test_who_has_met_others_holds_back_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the winner goes on at once, and wins again over all who pause."""
    pauses: list[int] = []
    monkeypatch.setattr(module, "pause", lambda attempt, _: pauses.append(attempt))
    failures = [Lost, Lost]

    @retried(Lost)
    def write(learner_id: str) -> None:
        if failures:
            raise failures.pop()

    write("maria")
    assert pauses == [1, 2]
    write("maria")
    assert pauses == [1, 2, 2]
    write("joao")
    assert pauses == [1, 2, 2]
    monkeypatch.setattr(module, "_met", {"maria": (0.0, 2, 0.1)})  # long ago
    write("maria")
    assert pauses == [1, 2, 2]


def test_what_is_called_within_a_turn_has_the_turn() -> None:
    tries: list[int] = []

    @retried(Lost)
    def inner(learner_id: str) -> int:
        tries.append(1)
        if len(tries) < 4:
            raise Lost
        return len(tries)

    @retried(ValueError)
    def outer(learner_id: str) -> int:
        if not tries:
            tries.append(0)
            raise ValueError
        return inner(learner_id)

    assert outer("maria") == 4
    assert module._queues == {}


def test_nobody_tries_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WITHIN_S", 0.05)
    tries: list[int] = []

    def lose() -> None:
        tries.append(1)
        raise Lost

    with pytest.raises(ServiceUnavailable):
        retrying(lose, after=Lost, of="maria")
    assert len(tries) > 1
    assert module._queues == {}
