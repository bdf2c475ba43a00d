"""Log lines, business metrics, and the AWS calls of a request.

A log line is one JSON object with the id of the request it belongs to. CloudWatch turns the
lines of `emit` into metrics by itself (AWS: "CloudWatch embedded metric format"): there is no call
to make or to wait for. The only dimension is the stage: each further value of a dimension would be
one more metric to pay for.
"""

import json
import logging
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

from django.conf import settings

from config.records import dataclass

log = logging.getLogger("parley.metrics")

request_id: ContextVar[str] = ContextVar("request_id", default="")


class JsonFormatter(logging.Formatter):
    """Fields: at, level, logger, message, requestId, what `extra={"fields": …}` adds, exception."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id.get():
            line["requestId"] = request_id.get()
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


NAMESPACE = "Parley"
Name = Literal[
    "Disagreements",
    "MailsFailed",
    "MailsSent",
    "PartnerFallbacks",
    "PartnerSeconds",
    "PartnerTokens",
    "RemindersGivenUp",
    "Reviews",
    "SignUps",
    "SweepLag",
]


def emit(name: Name, value: float = 1, *, unit: Literal["Count", "Seconds"] = "Count") -> None:
    """Adds a value to a metric of this stage."""
    described = {
        "Timestamp": int(time.time() * 1000),
        "CloudWatchMetrics": [
            {
                "Namespace": NAMESPACE,
                "Dimensions": [["Stage"]],
                "Metrics": [{"Name": name, "Unit": unit}],
            }
        ],
    }
    fields = {"_aws": described, "Stage": settings.STAGE, name: value}
    log.info("metric", extra={"fields": fields})


@dataclass(frozen=True)
class Call:
    """One answered call. `units` are DynamoDB's capacity units; other services have 0.

    A unit that is written costs five times one that is read. `sent_bytes`: of what the client may
    now fetch elsewhere, by a signed address.
    """

    operation: str
    units: float = 0.0
    is_write: bool = False
    sent_bytes: int = 0


calls: ContextVar[list[Call] | None] = ContextVar("calls", default=None)
# The instant by which the present request has to be answered, by `time.monotonic()`. Scheduled work
# has limits of its own.
deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


def record_call(operation: str, units: float = 0.0, *, is_write: bool = False) -> None:
    """Adds a call to the list of the present request, if there is one."""
    _record(Call(operation, units, is_write))


def record_download(size_bytes: int) -> None:
    """Adds bytes that the client of the present request may fetch by a signed address."""
    _record(Call("", sent_bytes=size_bytes))


def _record(call: Call) -> None:
    if (recorded := calls.get()) is not None:
        recorded.append(call)
