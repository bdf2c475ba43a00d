"""Long work: messages in queues of SQS, which the function takes one at a time.

`enqueue` asks for a piece of work. `settings.WORK` says which function does each kind, and in which
queue it waits: work that learners wait for (`prompt`) never stands behind long work (`work`).
Messages arrive at least once and in no order, so that whatever they ask for must be harmless when
it is done twice. `config.store.jobs` adds progress, cancelling, and work longer than one run.

A piece that fails is tried again after a growing pause, five times. The sixth time it only hears
that it is given up (`Message.is_given_up`), so even work that kills its process is marked; then SQS
moves the message to the queue of dead letters, which has an alarm.
"""

import json
import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from botocore.exceptions import ClientError
from django.conf import settings
from django.utils.module_loading import import_string

from config.aws import call
from config.problems import ServiceUnavailable
from config.records import dataclass
from config.stack import stack
from config.store.connection import in_batches
from config.telemetry import request_id

log = logging.getLogger("parley.work")

TRIES = 5  # and one delivery more to give up: maxReceiveCount of the queues in the template
PAUSE_S, LONGEST_PAUSE_S = 10, 900
BATCH = 10  # AWS: SendMessageBatch
LONGEST_DELAY_S = 900  # AWS: "Amazon SQS delay queues"
SPARE_S = 25.0
"""How much of a run is kept back: what was begun last may wait for others for 20 s."""
WITHIN_S = 35.0
"""How long a run takes where nothing limits it."""


@dataclass(frozen=True)
class Message:
    """A piece of work that was asked for. `tries` counts its deliveries, this one included.

    `until` is the instant, by `time.monotonic()`, at which nothing more should be begun.
    """

    kind: str
    payload: dict[str, Any]
    tries: int = 1
    until: float = field(default_factory=lambda: time.monotonic() + WITHIN_S)

    @property
    def seconds_left(self) -> float:
        """How long something may still be begun."""
        return self.until - time.monotonic()

    @property
    def is_given_up(self) -> bool:
        """Whether it has failed too often: then its failure is noted, and nothing else done."""
        return self.tries > TRIES


class GivenUp(Exception):
    """A piece of work has failed too often."""


def enqueue(kind: str, payload: Mapping[str, Any], *, delay_s: float = 0) -> None:
    """Asks for a piece of work, to be begun after `delay_s` at the earliest (15 min at most).

    The payload is JSON. Raises ServiceUnavailable, ClientError.
    """
    enqueue_all(kind, [payload], delay_s=delay_s)


def enqueue_all(kind: str, payloads: Iterable[Mapping[str, Any]], *, delay_s: float = 0) -> None:
    """Asks for many pieces of work, ten in a call. Raises what `enqueue` raises."""
    queue_url = _queue_url(kind)
    bodies = [json.dumps({"kind": kind, "payload": payload}) for payload in payloads]
    delay = max(0, min(round(delay_s), LONGEST_DELAY_S))

    def send(wanted: Sequence[str]) -> list[str]:
        entries = [
            {"Id": str(number), "MessageBody": body, "DelaySeconds": delay}
            for number, body in enumerate(wanted)
        ]
        answer = call("sqs", "send_message_batch", QueueUrl=queue_url, Entries=entries)
        return [wanted[int(failure["Id"])] for failure in answer.get("Failed", [])]

    in_batches(bodies, BATCH, send)


def work_off(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Does what the messages of an event of Lambda's ask for; returns those that failed.

    Lambda: "Using Lambda with Amazon SQS", ReportBatchItemFailures.
    """
    remaining_ms = getattr(context, "get_remaining_time_in_millis", None)
    within_s = remaining_ms() / 1000 - SPARE_S if remaining_ms else WITHIN_S
    until = time.monotonic() + within_s
    failed = [record["messageId"] for record in event["Records"] if not _done(record, until)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _done(record: Mapping[str, Any], until: float) -> bool:
    tries = int(record["attributes"]["ApproximateReceiveCount"])
    token = request_id.set(record["messageId"])
    kind = ""
    try:
        body = json.loads(record["body"])
        kind = str(body["kind"])
        message = Message(kind, body["payload"], tries, until)
        import_string(_handlers()[kind])(message)
        if message.is_given_up:
            raise GivenUp
    except Exception:
        log.exception("a piece of work failed", extra={"fields": {"kind": kind, "tries": tries}})
        if kind in _handlers():
            _pause(kind, record["receiptHandle"], tries)
        return False
    finally:
        request_id.reset(token)
    return True


def _pause(kind: str, receipt: str, tries: int) -> None:
    """Lets a failed message come again earlier or later than the queue's own time-out."""
    longest_s = min(PAUSE_S * 3 ** (tries - 1), LONGEST_PAUSE_S)
    pause_s = 0 if tries > TRIES else round(random.uniform(0.5, 1) * longest_s)  # noqa: S311
    try:
        call(
            "sqs",
            "change_message_visibility",
            QueueUrl=_queue_url(kind),
            ReceiptHandle=receipt,
            VisibilityTimeout=pause_s,
        )
    except (ClientError, ServiceUnavailable):
        log.warning("a message keeps its queue's pause", exc_info=True)


def _handlers() -> dict[str, str]:
    return {kind: path for kinds in settings.WORK.values() for kind, path in kinds.items()}


def _queue_url(kind: str) -> str:
    """The address of the queue of a kind of work. Raises KeyError for an unknown kind."""
    urls = {"work": stack().work_queue_url, "prompt": stack().prompt_queue_url}
    queue = next((name for name, kinds in settings.WORK.items() if kind in kinds), None)
    if queue is None:
        raise KeyError(kind)
    return urls[queue]
