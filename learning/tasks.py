"""What learning does outside requests. Called by Lambda with `(event, context)`."""

from collections.abc import Mapping
from typing import Any

from accounts.all_accounts import go_round
from config.clock import now
from learning.services.optimization import optimize as optimize_weights
from learning.services.optimization import optimize_in_turn


def optimize(event: Mapping[str, Any], context: Any) -> None:  # noqa: ARG001
    """Fits the weights of the learner whom the event names as `learnerId`."""
    optimize_weights(learner_id=event["learnerId"], now=now())


def optimize_by_turns(event: Mapping[str, Any], _context: Any) -> int:
    """Nightly: begins the fits of those learners whose turn it is; returns how many."""
    return go_round(
        lambda accounts: optimize_in_turn((each.learner_id for each in accounts), now=now()),
        task="learning.tasks.optimize_by_turns",
        start=event.get("start"),
    )
