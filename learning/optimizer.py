"""Fits FSRS's weights to a learner's own answers, and says whether they then predict better.

Pure rules over a log. The fit is that of fsrs-rs, loaded when it is needed; what it is worth is
judged with the equations that schedule (`learning.fsrs`), on answers it has not seen.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

from config.records import dataclass
from learning.fsrs import Weights, clip_weights, first_memory, next_memory, recall
from learning.scheduling import Baseline, Entry, Rating, Reset, Review, standing_changes

MIN_ANSWERS = 400  # below that FSRS's defaults predict better than any fit
TRAINED_SHARE = 0.8
MAX_HISTORY = 64  # answers of one card that a fit looks at, as fsrs-rs does by default
UNCERTAIN = 1e-4  # no prediction counts as certain

History = Sequence[Review]


@dataclass(frozen=True)
class Fit:
    """Fitted weights, and the log loss of both on the answers held out (lower is better)."""

    weights: Weights
    trained_on: int
    held_out: int
    loss_before: float
    loss_after: float

    @property
    def is_better(self) -> bool:
        return self.loss_after < self.loss_before


class TooFewAnswers(ValueError):
    """The log is too short to learn from."""


def histories(entries: Iterable[Entry]) -> list[History]:
    """The answers of one card, each time it was new. After an import the beginning is unknown."""
    runs: list[list[Review]] = []
    present: list[Review] | None = []
    for change in standing_changes(entries):
        if isinstance(change, Review) and present is not None:
            present.append(change)
        elif isinstance(change, Reset):
            runs.append(present or [])
            present = []
        elif isinstance(change, Baseline):
            runs.append(present or [])
            present = None
    runs.append(present or [])
    return [history for history in runs if history]


def fit(cards: Sequence[History], *, weights: Weights) -> Fit:
    """Fits weights to the first four fifths of the answers, by time, and tries them on the rest.

    `weights` are those in force. Raises TooFewAnswers.
    """
    instants = sorted(answer.at for history in cards for answer in predicted(history))
    if len(instants) < MIN_ANSWERS:
        raise TooFewAnswers
    until = instants[int(len(instants) * TRAINED_SHARE) - 1]
    fitted = clip_weights(_trained(cards, until))
    held_out = sum(at > until for at in instants)
    return Fit(
        weights=fitted,
        trained_on=len(instants) - held_out,
        held_out=held_out,
        loss_before=log_loss(cards, weights, after=until),
        loss_after=log_loss(cards, fitted, after=until),
    )


def predicted(history: History) -> list[Review]:
    """The answers that FSRS predicts: a day or more after the one before."""
    return [answer for before, answer in pairwise(history) if (answer.at - before.at).days > 0]


def log_loss(cards: Sequence[History], weights: Weights, *, after: datetime) -> float:
    """How far predictions are off, on average, for answers after an instant; NaN without any."""
    losses = []
    for history in cards:
        stability, difficulty = first_memory(history[0].rating, weights)
        for before, answer in pairwise(history):
            days = (answer.at - before.at).days
            if days > 0 and answer.at > after:
                chance = recall(stability, days, weights)
                chance = min(max(chance, UNCERTAIN), 1 - UNCERTAIN)
                losses.append(-math.log(1 - chance if answer.rating is Rating.AGAIN else chance))
            stability, difficulty = next_memory(
                stability, difficulty, grade=answer.rating, elapsed_days=days, w=weights
            )
    return math.fsum(losses) / len(losses) if losses else math.nan


def _trained(cards: Sequence[History], until: datetime) -> list[float]:
    """The items that fsrs-rs trains on, up to an instant: each answer with all those before it."""
    from fsrs_rs_python import FSRS, FSRSItem, FSRSReview

    items = []
    for history in cards:
        answers: list[FSRSReview] = []
        before = history[0].at
        for answer in history[:MAX_HISTORY]:
            days = (answer.at - before).days
            answers.append(FSRSReview(int(answer.rating), days))
            if days > 0 and answer.at <= until:
                items.append(FSRSItem(list(answers)))
            before = answer.at
    fitted: list[float] = FSRS([]).compute_parameters(items)
    return fitted
