"""The one place where tests stand between our own client and the table.

`AwsJson.send` takes a body and headers and gives an answer, once for each try.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from config.aws_json import AwsJson
from config.https import Answer
from config.store.connection import connection

Headers = Mapping[str, str]
Send = Callable[[bytes, Headers], Answer]


def table_client() -> AwsJson:
    """The client that calls the table."""
    client = connection().connection.client
    assert isinstance(client, AwsJson)
    return client


@contextmanager
def sending(through: Callable[[Send], Send], client: AwsJson | None = None) -> Iterator[None]:
    """Puts a test's function around the client's `send` while the block runs."""
    client = client or table_client()
    with replaced(client, send=through(client.send)):
        yield


@contextmanager
def replaced(client: AwsJson, **attributes: Any) -> Iterator[None]:
    """Replaces attributes of a client while the block runs."""
    kept = {name: value for name, value in vars(client).items() if name in attributes}
    vars(client).update(attributes)
    try:
        yield
    finally:
        for name in attributes:
            del vars(client)[name]
        vars(client).update(kept)


def operation_of(headers: Headers) -> str:
    """The operation that a request asks for."""
    return headers["X-Amz-Target"].rpartition(".")[2]


def units_of(answer: Answer) -> float:
    """The capacity units that an answer says it has used."""
    spent = json.loads(answer.body).get("ConsumedCapacity") or []
    return sum(part["CapacityUnits"] for part in ([spent] if isinstance(spent, dict) else spent))


def telling(act: Callable[[str], None]) -> Callable[[Send], Send]:
    """For `sending`: `act` is told of each operation before it is sent, and may raise."""

    def through(send: Send) -> Send:
        def told(body: bytes, headers: Headers) -> Answer:
            act(operation_of(headers))
            return send(body, headers)

        return told

    return through


def answer_of(status: int, body: Mapping[str, Any]) -> Answer:
    """An answer as AWS gives it."""
    return Answer(status, {}, json.dumps(body).encode())


def refusal(code: str, *, status: int = 400, **more: Any) -> Answer:
    """An error as AWS answers it."""
    return answer_of(status, {"__type": code, "message": "made by a test", **more})
