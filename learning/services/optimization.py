"""Fitting the scheduler's weights to a learner: asked for, done apart, adopted where better."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from zlib import crc32

from accounts.models import Head, learner_key
from accounts.models.limits import hit
from config.problems import Conflict
from config.store.items import ConditionFailed, Item, batch_get
from config.work import enqueue
from learning.fsrs import DEFAULT_WEIGHTS
from learning.models.log import LogEntry
from learning.models.scheduler import Optimization
from learning.optimizer import History, TooFewAnswers, fit, histories
from learning.scheduling import Entry
from learning.services.study_context import read_scheduler, update_scheduler

PATIENCE = timedelta(minutes=30)  # as long as a fit that fails is tried again
PAGE, PAGES = 2_500, 40  # of the log: 100,000 entries at most, the oldest ones
KIND = "optimize"
EVERY_DAYS = 28


class OptimizationRunning(Conflict):
    code, title = "OPTIMIZATION_RUNNING", "The weights are being fitted already"


def read_optimization(*, learner_id: str) -> Optimization:
    """How the last fit went: one read."""
    key = learner_key(learner_id), Optimization.SK
    return Optimization.get_or_none(*key) or Optimization(*key)


def request_optimization(*, learner_id: str, now: datetime) -> Optimization:
    """Begins a fit for a learner who asks for it. Raises TooManyRequests, OptimizationRunning."""
    hit("fit", learner_id, now=now)
    return start_optimization(learner_id=learner_id, now=now)


def start_optimization(*, learner_id: str, now: datetime) -> Optimization:
    """Asks for a fit, which is done apart. Raises OptimizationRunning."""
    optimization = read_optimization(learner_id=learner_id)
    if (
        optimization.status == "running"
        and optimization.started_at
        and optimization.started_at > now - PATIENCE
    ):
        raise OptimizationRunning
    optimization.status, optimization.started_at, optimization.finished_at = "running", now, None
    try:
        optimization.put()
    except ConditionFailed as error:
        raise OptimizationRunning from error
    enqueue(KIND, {"learnerId": learner_id})
    return optimization


def fit_next_batch(learner_ids: Iterable[str], *, now: datetime) -> int:
    """Begins a fit for each learner whose turn is today, if they have studied since their last fit.

    A turn comes every EVERY_DAYS days, on a day that follows from the id. Returns how many.
    """
    today = now.toordinal() % EVERY_DAYS
    here = [
        learner_id for learner_id in learner_ids if crc32(learner_id.encode()) % EVERY_DAYS == today
    ]
    if not here:
        return 0
    kinds = (Head, Optimization)
    stored = batch_get(
        *((learner_key(learner_id), kind.SK) for learner_id in here for kind in kinds)
    )
    begun = 0
    for learner_id in here:
        head, last = (stored.get((learner_key(learner_id), kind.SK)) for kind in kinds)
        if isinstance(head, Head) and _studied_since(head, last):
            with suppress(OptimizationRunning):
                start_optimization(learner_id=learner_id, now=now)
                begun += 1
    return begun


def _studied_since(head: Head, last: Item | None) -> bool:
    finished_at = last.finished_at if isinstance(last, Optimization) else None
    return str(head.studied_on) > (finished_at.date().isoformat() if finished_at else "")


def optimize(*, learner_id: str, now: datetime) -> Optimization:
    """Fits the weights to the learner's log and adopts them where they predict better.

    They become the next version of the settings; the former ones stay with the entries made under
    them. Reads up to 100,000 entries, 2,500 a query. Done again, it does nothing.
    """
    done = read_optimization(learner_id=learner_id)
    if done.status not in ("running", "failed"):
        return done  # asked for once, it has been done
    scheduler = read_scheduler(learner_id=learner_id)
    in_force = tuple(scheduler.weights or DEFAULT_WEIGHTS)
    done.status = "failed"
    try:
        fitted = fit(_histories(learner_id), weights=in_force)
        done.status = "adopted" if fitted.is_better else "kept"
        done.trained_on, done.held_out = fitted.trained_on, fitted.held_out
        done.loss_before, done.loss_after = fitted.loss_before, fitted.loss_after
        if fitted.is_better:
            changes = {"weights": list(fitted.weights)}
            scheduler = update_scheduler(
                learner_id=learner_id, changes=changes, expected_version=None
            )
        done.settings_version = scheduler.number
    except TooFewAnswers:
        done.status = "too_few"
    finally:
        done.finished_at = now
        done.put()
    return done


def _histories(learner_id: str) -> list[History]:
    """The answers of all cards, from the learner's log, card after card."""
    by_card: dict[str, list[Entry]] = {}
    start = None
    for _ in range(PAGES):
        page = LogEntry.by_card(learner_id, limit=PAGE, start=start)
        for row in page.items:
            by_card.setdefault(row.card_id, []).append(row.to_entry())
        if not (start := page.next_key):
            break
    return [history for entries in by_card.values() for history in histories(entries)]
