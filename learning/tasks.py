"""What learning does outside requests. Called by Lambda with `(event, context)`."""

from collections.abc import Mapping
from typing import Any

from config.clock import now
from learning.services.optimization import optimize as optimize_weights


def optimize(event: Mapping[str, Any], context: Any) -> None:  # noqa: ARG001
    """Fits the weights of the learner whom the event names as `learnerId`."""
    optimize_weights(learner_id=event["learnerId"], now=now())
