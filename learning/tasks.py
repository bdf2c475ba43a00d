"""What learning does outside requests. Called by Lambda with `(event, context)`."""

from collections.abc import Mapping
from typing import Any

from django.utils.timezone import now

from accounts.models.limits import charged
from accounts.tasks import for_each_account
from learning.services.optimization import fit_next_batch
from learning.services.optimization import optimize as optimize_weights


def optimize(event: Mapping[str, Any], context: Any) -> None:  # noqa: ARG001
    """Fits the weights of the learner whom the event names as `learnerId`."""
    with charged(event["learnerId"]):
        optimize_weights(learner_id=event["learnerId"], now=now())


def fit_nightly_batch(event: Mapping[str, Any], _context: Any) -> int:
    """Nightly: begins the fits of those learners whose turn it is; returns how many."""
    return for_each_account(
        lambda accounts: fit_next_batch((account.learner_id for account in accounts), now=now()),
        task="learning.tasks.fit_nightly_batch",
        start=event.get("start"),
        generation=int(event.get("generation", 0)),
    )
