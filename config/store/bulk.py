"""Many items at once, without conditions: read by key, written, deleted; what is left out again."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from config.problems import ServiceUnavailable
from config.stack import stack
from config.store.connection import connection
from config.store.retrying import retrying

T = TypeVar("T")
Key = tuple[str, str]
Raw = dict[str, dict[str, Any]]

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
    """Sends all things, so many at a time; `send` answers what was left out, which is sent again.

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
    """The items that exist among keys, each read consistently: a round trip for every 100."""
    found: list[Raw] = []

    def send(wanted: Sequence[Key]) -> list[Key]:
        named: Any = [{"pk": pk, "sk": sk} for pk, sk in wanted]
        answer = connection().batch_get_item(named, consistent_read=True)
        found.extend(answer["Responses"].get(stack().table_name, []))
        left = answer.get("UnprocessedKeys", {}).get(stack().table_name, {}).get("Keys", [])
        return [(key["pk"]["S"], key["sk"]["S"]) for key in left]

    in_batches(list(dict.fromkeys(keys)), READ, send)
    return found


def put_raws(items: Sequence[Raw]) -> None:
    """Writes items whole, not as one: a round trip for every 25, at half a transaction's price."""

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
