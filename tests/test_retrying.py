"""Writing again what others were in the way of: in turns, and not for ever."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from config.problems import ServiceUnavailable
from config.store import connection as module
from config.store.connection import _Ticket, connection, retried, retrying
from tests.waiting import PATIENCE_S
from tests.wire import sending, telling


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


def test_threads_of_one_learner_take_turns_once_they_have_met(table: None) -> None:
    """Each of eight tries twice at the most: who waits for its turn loses to nobody."""
    head, met = Head(), threading.Barrier(8)
    act = retried(Lost)(head.attempt)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: act("maria", met), range(8)))
    assert head.number == 8
    assert head.tries <= 16
    assert module._queues == {}


def test_another_learner_waits_for_nobody(table: None) -> None:
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


def losing(times: int) -> Callable[[str], int]:
    """A write that somebody else forestalls so many times; it returns the number of tries."""
    tries: list[str] = []

    @retried(Lost)
    def write(learner_id: str) -> int:
        tries.append(learner_id)
        if len(tries) <= times:
            raise Lost
        return len(tries)

    return write


def queue_of(learner_id: str) -> tuple[int, int] | None:
    """The last number that was taken, and the one that is served."""
    item = connection().get_item(f"QUEUE#{learner_id}", range_key="QUEUE").get("Item")
    return (int(item["last"]["N"]), int(item["served"]["N"])) if item else None


def test_who_has_lost_waits_for_the_processes_that_came_before(
    table: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each of eight may lose to any other, and some do until their time is over."""
    before, pauses = _Ticket("maria"), list[int]()

    def pause(attempt: int, _: float) -> None:
        pauses.append(attempt)
        if len(pauses) == 2:
            before.leave()

    monkeypatch.setattr(module, "pause", pause)
    assert losing(1)("maria") == 2
    assert pauses == [1, 1]  # in the queue
    assert queue_of("maria") == (2, 3)


def test_who_has_met_other_processes_queues_up_at_once_for_a_while(
    table: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else who leaves the queue goes on at once, and wins over the one that is served."""
    monkeypatch.setattr(module, "pause", lambda *_: None)
    losing(0)("maria")
    assert queue_of("maria") is None
    losing(1)("maria")
    losing(0)("maria")
    assert queue_of("maria") == (2, 3)
    losing(0)("joao")
    assert queue_of("joao") is None
    module._met["maria"] = 0.0  # long ago
    losing(0)("maria")
    assert queue_of("maria") == (2, 3)


def test_who_does_not_leave_the_queue_is_passed_over(
    table: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "pause", lambda *_: None)
    monkeypatch.setattr(_Ticket, "SERVED_S", 0.0)
    killed = [_Ticket("maria"), _Ticket("maria")]
    assert losing(2)("maria") == 3
    for ticket in killed:  # they live after all
        ticket.leave()
    assert queue_of("maria") == (3, 4)


def test_who_gives_up_waiting_holds_up_nobody(table: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a queue that is once too long stays so: each number of nobody costs all some seconds."""
    monkeypatch.setattr(module, "pause", lambda *_: None)
    monkeypatch.setattr(_Ticket, "SERVED_S", 1e9)
    first, *impatient, last = (_Ticket("maria") for _ in range(5))
    for ticket in impatient:
        assert ticket.wait(0.0)
        ticket.leave()
    first.leave()
    assert last.wait(float("inf"))
    assert last.served == last.number
    last.leave()
    assert queue_of("maria") == (5, 6)
    item = connection().get_item("QUEUE#maria", range_key="QUEUE")["Item"]
    assert "gone" not in item


def test_a_table_without_room_for_a_queue_refuses_nobody(
    table: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(operation: str) -> None:
        if operation == "UpdateItem":
            raise ServiceUnavailable

    monkeypatch.setattr(module, "pause", lambda *_: None)
    with sending(telling(refuse)):
        assert losing(5)("maria") == 6


def test_what_is_called_within_a_turn_has_the_turn(table: None) -> None:
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


def test_nobody_tries_for_ever(table: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WITHIN_S", 0.05)
    tries: list[int] = []

    def lose() -> None:
        tries.append(1)
        raise Lost

    with pytest.raises(ServiceUnavailable):
        retrying(lose, after=Lost, of="maria")
    assert len(tries) > 1
    assert module._queues == {}
