"""The calls to AWS that a request makes, and until when; apart from the slow clients."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Call:
    """One call that was answered; `units` are DynamoDB's capacity units, 0 for other services."""

    operation: str
    units: float = 0.0


calls: ContextVar[list[Call] | None] = ContextVar("calls", default=None)
# When the present request has to be answered, by `time.monotonic()`; what runs by the clock has
# limits of its own.
deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


def record(operation: str, units: float = 0.0) -> None:
    """Adds a call to the present request's list, if one is being kept."""
    if (made := calls.get()) is not None:
        made.append(Call(operation, units))
