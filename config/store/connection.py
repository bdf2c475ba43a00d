"""Calls to the table: one connection for all kinds of item, batches, and trying again.

Items are raw here, as DynamoDB writes them; `config.store.items` makes objects of them.
"""

import functools
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, ParamSpec, TypeVar

from pynamodb.attributes import NumberAttribute, NumberSetAttribute
from pynamodb.connection.base import Connection, MetaTable
from pynamodb.connection.table import TableConnection
from pynamodb.exceptions import UpdateError, VerboseClientError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from config.aws import (
    CONNECT_TIMEOUT_S,
    CONNECTIONS,
    READ_TIMEOUT_S,
    RETRIES,
    error_code,
    own,
    session,
    translate_aws_errors,
)
from config.problems import ServiceUnavailable
from config.stack import stack
from config.store import with_botocore
from config.telemetry import record_call

log = logging.getLogger("parley.store")

T = TypeVar("T")
P = ParamSpec("P")

Key = tuple[str, str]
Raw = dict[str, dict[str, Any]]


# --- Trying again ---------------------------------------------------------------------------------

WITHIN_S = 20.0  # of trying, well within API Gateway's 29: eight devices at once wait for it
LONGEST_S = 1.0
BETWEEN_S = 0.1
MET_S = 5.0
MET_MOST = 1_000


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
    """Calls `act` again as long as it raises `after`, and returns its result.

    `act` must read all that it relies on. Those who write the things `of` the same learner take
    turns once they have met, first the threads of a process, then the processes.
    Raises ServiceUnavailable when the time is over.
    """
    until = time.monotonic() + (WITHIN_S if within_s is None else within_s)
    attempt = 0
    with _Turn(of) as turn:
        if of in _queues or _has_met_others(of):
            turn.wait(until)
        if _has_met_others(of):
            turn.queue_up(until)
        while True:
            begun = time.monotonic()
            try:
                return act()
            except after as error:
                attempt += 1
                if time.monotonic() > until:
                    message = "Others write the same things at this moment: try again"
                    raise ServiceUnavailable(message) from error
                if turn.wait(until) or turn.queue_up(until, lost=True):
                    continue
                pause(attempt, time.monotonic() - begun)


# Learners whose things another process has just written too, and until when that counts.
_met: dict[str, float] = {}


def _has_met_others(of: str | None) -> bool:
    """Whether to queue up before the first try: else whoever has just left the queue wins."""
    return of is not None and _met.get(of, 0.0) > time.monotonic()


_queues: dict[str | None, deque[threading.Event]] = {}
_guard = threading.Lock()
_own = threading.local()


class _Turn:
    """A place among those that write the same learner's things, first come, first served.

    Each of them alone would only slow down the one that wins, and some would never win. Threads of
    a process wait for one another at no price. Processes, as on Lambda, queue in the table. What
    is written is right without either.
    """

    def __init__(self, of: str | None) -> None:
        self.of = of
        self.place: threading.Event | None = None
        self.ticket: _Ticket | None = None

    def __enter__(self) -> "_Turn":
        return self

    def wait(self, until: float) -> bool:
        """Queues up among threads, once, and waits. Returns whether another thread was ahead."""
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

    def queue_up(self, until: float, *, lost: bool = False) -> bool:
        """Queues up among processes, once, and waits. Returns whether it was its time to do so.

        The first of a process's threads does it for the others.
        """
        if self.of is None or self.place is None or self.ticket is not None:
            return False
        try:
            self.ticket = _Ticket(self.of)
            left_s = max(0.0, until - time.monotonic())
            if self.ticket.wait(until - left_s / 2) or lost:  # the rest is for tries
                if len(_met) > MET_MOST:
                    _met.clear()
                _met[self.of] = time.monotonic() + MET_S
        except ServiceUnavailable:  # then it goes on without a place
            log.warning("the table has no room for a queue", exc_info=True)
        return True

    def __exit__(self, *_: object) -> None:
        try:
            if self.ticket is not None:
                self.ticket.leave()
        finally:
            self._leave()

    def _leave(self) -> None:
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


LAST, SERVED = NumberAttribute(attr_name="last"), NumberAttribute(attr_name="served")
GONE = NumberSetAttribute(attr_name="gone")
EXPIRES_AT = NumberAttribute(attr_name="expires_at")


class _Ticket:
    """A number in the queue of the processes that write the same learner's things.

    The queue is an item of two numbers, `QUEUE#<learner>` / `QUEUE`. A newcomer takes the next
    number; whoever leaves lets the one behind be served. Whoever gives up waiting is noted in
    `gone` and passed over at once: otherwise all others would be held up, and give up too. Whoever
    is served and does not leave within SERVED_S is passed over as well.
    """

    LOOK_S = 0.1  # for each one ahead
    SERVED_S = 8.0  # longer than a turn takes on a busy machine: two at once only lose
    KEPT_S = 3600

    def __init__(self, of: str) -> None:
        self.key = f"QUEUE#{of}"
        actions = [
            LAST.add(1),
            SERVED.set(SERVED | 1),
            EXPIRES_AT.set(int(time.time()) + self.KEPT_S),
        ]
        queue = self._change(*actions)
        self.number, self.served = (int(queue[name]["N"]) for name in ("last", "served"))

    def wait(self, until: float) -> bool:
        """Waits to be served. Returns whether another process was ahead."""
        is_behind, since = self.served < self.number, time.monotonic()
        while self.served < self.number and time.monotonic() < until:
            pause(self.number - self.served, self.LOOK_S)
            seen, is_gone = self.served, self._look()
            if self.served != seen:
                since = time.monotonic()
            if is_gone or time.monotonic() - since > self.SERVED_S:
                self._serve_next_to(self.served)
        return is_behind

    def leave(self) -> None:
        """Lets the next one be served, or notes in `gone` that this one no longer waits."""
        if self.served >= self.number:
            self._serve_next_to(self.number)
            return
        with suppress(UpdateError, ServiceUnavailable):
            self._change(GONE.add({self.number}))
        self._serve_next_to(self.number)  # it may have been its turn meanwhile

    def _look(self) -> bool:
        """Reads the number served (ours, if the queue has lapsed), and if that one has given up."""
        item = connection().get_item(self.key, range_key="QUEUE", consistent_read=True).get("Item")
        self.served = int(item["served"]["N"]) if item else self.number
        return item is not None and str(self.served) in item.get("gone", {}).get("NS", ())

    def _serve_next_to(self, number: int) -> None:
        with suppress(UpdateError, ServiceUnavailable):  # others did it, or will pass over us
            self._change(
                SERVED.set(number + 1), GONE.delete({number}), condition=SERVED.is_in(number)
            )

    def _change(self, *actions: Action, condition: Condition | None = None) -> Raw:
        answer = connection().update_item(
            self.key,
            range_key="QUEUE",
            actions=list(actions),
            condition=condition,
            return_values="ALL_NEW",
        )
        return dict(answer["Attributes"])


@contextmanager
def in_turn(of: str) -> Iterator[None]:
    """Makes the other threads that write a learner's things wait for one that writes a lot."""
    with _Turn(of) as turn:
        turn.wait(time.monotonic() + WITHIN_S)
        yield


def retried(after: type[Exception]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Makes a function that is called again as long as it raises `after` (see `retrying`)."""

    def decorate(act: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(act)
        def again(*args: P.args, **kwargs: P.kwargs) -> T:
            named = kwargs.get("learner_id", args[0] if args else None)
            of = named if isinstance(named, str) else None
            return retrying(functools.partial(act, *args, **kwargs), after=after, of=of)

        return again

    return decorate


def pause_between() -> None:
    """Lets others have their turn between large transactions of one learner."""
    time.sleep(BETWEEN_S)


# --- The connection -------------------------------------------------------------------------------

LOCAL_INDEXES = ("lsi1", "lsi2", "lsi3", "lsi4", "lsi5")


def _keys(hash_key: str, range_key: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": hash_key, "KeyType": "HASH"},
        {"AttributeName": range_key, "KeyType": "RANGE"},
    ]


# What PynamoDB needs to know of the table, so that it need not ask DescribeTable.
SCHEMA = {
    "KeySchema": _keys("pk", "sk"),
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": "S"}
        for name in ("pk", "sk", *LOCAL_INDEXES, "gsi1pk", "gsi1sk")
    ],
    "LocalSecondaryIndexes": [
        {"IndexName": name, "KeySchema": _keys("pk", name)} for name in LOCAL_INDEXES
    ],
    "GlobalSecondaryIndexes": [{"IndexName": "gsi1", "KeySchema": _keys("gsi1pk", "gsi1sk")}],
}

WRITES = frozenset(["BatchWriteItem", "DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem"])

# AWS's answer to a single write while a transaction holds its item: nothing is written.
CONFLICT = "TransactionConflictException"


class _ConflictError(Exception):
    """A transaction holds the item that a single write is about."""


class _Connection(Connection):
    """PynamoDB's connection on our client, with our errors and our count of calls."""

    @property
    def session(self) -> Any:
        return session()

    @property
    def client(self) -> Any:
        """Our own client, or botocore's, which PynamoDB makes, if ours may not call."""
        if ours := own("dynamodb"):
            return ours
        with_botocore()
        return super().client

    def _make_api_call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> Any:
        def call() -> Any:
            try:
                return self._call(operation_name, operation_kwargs)
            except VerboseClientError as error:
                if error_code(error) == CONFLICT:
                    raise _ConflictError from error
                raise

        return retrying(call, after=_ConflictError)

    def _call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> Any:
        record_call(operation_name)
        with translate_aws_errors():
            answer = super()._make_api_call(operation_name, operation_kwargs)
        spent = answer.get("ConsumedCapacity") or []
        for part in [spent] if isinstance(spent, dict) else spent:
            is_write = operation_name in WRITES
            record_call("", part.get("CapacityUnits", 0.0), is_write=is_write)
        return answer


@cache
def connection() -> TableConnection:
    """The one connection to the table, shared by every kind of item."""
    where = stack()
    connection_ = TableConnection(where.table_name)
    connection_.connection = _Connection(
        region=where.region,
        host=where.endpoint_url,
        connect_timeout_seconds=CONNECT_TIMEOUT_S,
        read_timeout_seconds=READ_TIMEOUT_S,
        retry_configuration=RETRIES,
        max_pool_connections=CONNECTIONS,
    )
    connection_.connection.add_meta_table(MetaTable({"TableName": where.table_name, **SCHEMA}))
    return connection_


# --- Batches, without conditions ------------------------------------------------------------------

READ = 100  # AWS: BatchGetItem
WRITE = 25  # AWS: BatchWriteItem


class _LeftOutError(Exception):
    """AWS had no room for a part of a batch."""


def chunks(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The things, so many at a time."""
    for start in range(0, len(things), size):
        yield things[start : start + size]


def in_batches(
    things: Sequence[T],
    size: int,
    send: Callable[[Sequence[T]], Sequence[T]],
    *,
    within_s: float | None = None,
) -> None:
    """Sends all things, `size` at a time. Things that `send` returns were left out: they go again.

    Raises ServiceUnavailable when AWS has no room for some of them for too long.
    """
    for chunk in chunks(things, size):
        left = [chunk]

        def again(left: list[Sequence[T]] = left) -> None:
            left[0] = send(left[0])
            if left[0]:
                raise _LeftOutError

        retrying(again, after=_LeftOutError, within_s=within_s)


def read_raws(keys: Iterable[Key]) -> list[Raw]:
    """Reads the items of the keys, those that exist, consistently: a round trip for every 100."""
    items: list[Raw] = []

    def send(wanted: Sequence[Key]) -> list[Key]:
        named: Any = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in wanted]
        answer = connection().batch_get_item(named, consistent_read=True)
        items.extend(answer["Responses"].get(stack().table_name, []))
        left = answer.get("UnprocessedKeys", {}).get(stack().table_name, {}).get("Keys", [])
        return [(key["pk"]["S"], key["sk"]["S"]) for key in left]

    in_batches(list(dict.fromkeys(keys)), READ, send)
    return items


def put_raws(items: Sequence[Raw]) -> None:
    """Writes whole items, each by itself: 25 in a round trip, at half a transaction's price."""

    def send(wanted: Sequence[Raw]) -> list[Raw]:
        answer = connection().batch_write_item(put_items=list(wanted))
        left = answer.get("UnprocessedItems", {}).get(stack().table_name, [])
        return [each["PutRequest"]["Item"] for each in left]

    in_batches(items, WRITE, send)


def delete_keys(keys: Sequence[Key], *, until: float) -> bool:
    """Deletes items whatever they hold; False when time (`time.monotonic()`) runs out before."""

    def send(wanted: Sequence[Key]) -> list[Key]:
        named = [{"pk": pk, "sk": sk} for pk, sk in wanted]
        answer = connection().batch_write_item(delete_items=named)
        left = answer.get("UnprocessedItems", {}).get(stack().table_name, [])
        deleted = [each["DeleteRequest"]["Key"] for each in left]
        return [(key["pk"]["S"], key["sk"]["S"]) for key in deleted]

    for chunk in chunks(keys, WRITE):
        if time.monotonic() > until:
            return False
        try:
            in_batches(chunk, WRITE, send, within_s=until - time.monotonic())
        except ServiceUnavailable as error:
            if isinstance(error.__cause__, _LeftOutError):
                return False
            raise
    return True
