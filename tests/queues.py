"""SQS's queues in dictionaries, and the part of Lambda that brings their messages to the function.

`MemoryQueues` answers what `config.work` sends over the wire. A message that is delivered is kept
from others for the time that the template says, comes again unless it was done, and goes to the
dead letters after as many deliveries as the template says. Time is the tests' own.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import uuid4

import botocore.session
import time_machine
from botocore.validate import ParamValidator
from django.utils.timezone import now

from config.aws_json import AwsJson
from config.https import Answer
from config.lambda_handler import lambda_handler
from tests.template import properties
from tests.wire import answer_of, operation_of, refusal, replaced

MANY = 1000


@cache
def _model() -> Any:
    return botocore.session.get_session().get_service_model("sqs")


def check_shape(operation: str, request: Any) -> None:
    """Fails a request that is not as AWS describes it, in botocore's data."""
    shape = _model().operation_model(operation).input_shape
    faults = ParamValidator().validate(request, shape)
    assert not faults.has_errors(), faults.generate_report()


@dataclass
class Waiting:
    """A message in a queue."""

    id: str
    queue_url: str
    body: str
    visible_at: datetime
    sent_at: datetime
    receives: int = 0
    receipt: str = ""

    @property
    def content(self) -> Any:
        return json.loads(self.body)


class MemoryQueues:
    """All queues. `fault` is asked before each call; a text is AWS's error code."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Makes the queues empty and healthy."""
        self.messages: list[Waiting] = []
        self.dead: list[Waiting] = []
        self.fault: Callable[[str], str | None] = lambda operation: None

    @contextmanager
    def answering(self, client: AwsJson) -> Iterator["MemoryQueues"]:
        """The client's calls end here meanwhile."""
        with replaced(client, send=self.send, tries=1, sleep=lambda seconds: None):
            yield self

    def send(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Answers a request as AWS does."""
        operation = operation_of(headers)
        check_shape(operation, json.loads(body))
        if code := self.fault(operation):
            return refusal(code)
        answer: dict[str, Any] = getattr(self, operation)(json.loads(body))
        return answer_of(200, answer)

    def SendMessageBatch(self, request: Any) -> Any:  # noqa: N802
        entries = request["Entries"]
        assert 1 <= len(entries) <= 10
        for entry in entries:
            assert 0 <= entry["DelaySeconds"] <= 900
            visible_at = now() + timedelta(seconds=entry["DelaySeconds"])
            url, body = request["QueueUrl"], entry["MessageBody"]
            self.messages.append(Waiting(str(uuid4()), url, body, visible_at, now()))
        return {"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []}

    def ChangeMessageVisibility(self, request: Any) -> Any:  # noqa: N802
        [message] = [m for m in self.messages if m.receipt == request["ReceiptHandle"]]
        assert message.queue_url == request["QueueUrl"]
        message.visible_at = now() + timedelta(seconds=request["VisibilityTimeout"])
        return {}

    @property
    def visible(self) -> list[Waiting]:
        """What would be delivered now."""
        at = now()
        self._bury(at)
        return [message for message in self.messages if message.visible_at <= at]

    def _bury(self, at: datetime) -> None:
        most = properties("WorkQueue")["RedrivePolicy"]["maxReceiveCount"]
        for message in [*self.messages]:
            if message.visible_at <= at and message.receives >= most:
                self.messages.remove(message)
                self.dead.append(message)

    def deliver(self, message: Waiting, context: Any = None) -> None:
        """Brings a message to the function. If that dies, the message comes again later."""
        message.receives += 1
        message.receipt = str(uuid4())
        hidden_s = properties("WorkQueue")["VisibilityTimeout"]
        message.visible_at = now() + timedelta(seconds=hidden_s)
        answer = lambda_handler(event_of(message), context)
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        if message.id not in failed and message in self.messages:
            self.messages.remove(message)

    def run(self, context: Any = None) -> int:
        """Delivers all due messages, also those sent meanwhile. Returns their number."""
        for number in range(MANY):
            if not (due := self.visible):
                return number
            self.deliver(due[0], context)
        raise AssertionError("the work does not end")

    def run_on(self, context: Any = None) -> int:
        """Delivers all messages, whatever their delays: time goes on until none is left."""
        deliveries = self.run(context)
        while self.messages:
            with time_machine.travel(min(message.visible_at for message in self.messages)):
                deliveries += self.run(context)
        return deliveries


def event_of(message: Waiting) -> dict[str, Any]:
    """The event of Lambda's that brings a message (AWS: "Using Lambda with Amazon SQS")."""
    record = {
        "messageId": message.id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": {"ApproximateReceiveCount": str(message.receives)},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:work",
        "awsRegion": "eu-west-1",
    }
    return {"Records": [record]}
