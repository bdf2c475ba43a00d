"""A process that ends, or loses an answer, at one of its calls to the pool or the table."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BytesIO
from typing import Any

import urllib3
from botocore.awsrequest import AWSResponse
from botocore.exceptions import EndpointConnectionError

from config import aws
from config.https import Answer
from tests.wire import Send, operation_of, replaced, sending, table_client

CRASH_POINTS = "crash points"  # a test's property: how many it has tried
POOL = "cognito-identity-provider"  # as botocore's events call it


class Crash(BaseException):
    """The process ends here."""


@contextmanager
def _listening(event: str, hook: Callable[..., None]) -> Iterator[None]:
    events = aws.client("cognito-idp").meta.events
    events.register(event, hook)
    try:
        yield
    finally:
        events.unregister(event, hook)


def answer_of_pool(status: int, code: str) -> AWSResponse:
    """An error as the pool answers it."""
    body = json.dumps({"__type": code, "message": "made by a test"}).encode()
    raw = urllib3.HTTPResponse(body=BytesIO(body), preload_content=False)
    return AWSResponse("https://aws", status, {}, raw)


@contextmanager
def refusing(operation: str, code: str) -> Iterator[None]:
    """Lets the pool refuse each call of an operation."""

    def answer(**_: Any) -> AWSResponse:
        return answer_of_pool(400, code)

    with _listening(f"before-send.{POOL}.{operation}", answer):
        yield


@contextmanager
def watching(
    before: Callable[[str], None], after: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Tells of each call to pool and table, before it is sent and once it is done; either may
    raise."""

    def through(send: Send) -> Send:
        def told(body: bytes, headers: Mapping[str, str]) -> Answer:
            before(operation_of(headers))
            answer = send(body, headers)
            after(operation_of(headers))
            return answer

        return told

    def call_begins(model: Any, **_: Any) -> None:
        before(model.name)

    def call_ended(model: Any, **_: Any) -> None:
        after(model.name)

    with ExitStack() as stack:
        stack.enter_context(_listening(f"before-call.{POOL}", call_begins))
        stack.enter_context(_listening(f"after-call.{POOL}", call_ended))
        stack.enter_context(replaced(table_client(), tries=1))
        stack.enter_context(sending(through))
        yield


@contextmanager
def crash_before(nth: int) -> Iterator[list[str]]:
    """Ends the process before its nth call; yields the calls so far."""
    calls: list[str] = []

    def count(operation: str) -> None:
        calls.append(operation)
        if len(calls) == nth:
            raise Crash

    with watching(count):
        yield calls


@contextmanager
def answer_lost(nth: int) -> Iterator[list[str]]:
    """Lets the nth call do its work and loses the answer, with all tries; yields the calls."""
    calls: list[str] = []

    def lose(_operation: str) -> None:
        if len(calls) == nth:
            raise EndpointConnectionError(endpoint_url="https://aws")

    with watching(calls.append, lose):
        yield calls
