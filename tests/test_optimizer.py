"""POST /scheduler/optimize, and the fit itself."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import log
from typing import Any

import pytest

from learning.fsrs import DEFAULT_WEIGHTS, WEIGHT_RANGES, first_memory, next_memory, recall
from learning.models.log import LogEntry
from learning.models.scheduler import Scheduler
from learning.optimizer import TooFewAnswers, fit, histories, log_loss
from learning.scheduling import Baseline, Memory, Rating, Reset, Review, Void
from learning.services.optimization import PATIENCE, read_optimization
from tests.callers import Caller
from tests.queues import MemoryQueues

START = datetime(2026, 1, 1, 8, tzinfo=UTC)
DAY = timedelta(days=1)
# A learner who forgets much faster than most.
FORGETFUL = (0.05, 0.3, 0.6, 1.5, *DEFAULT_WEIGHTS[4:])


def reviewed(n: int, day: int, rating: Rating = Rating.GOOD) -> Review:
    return Review(id=f"{n:04}", at=START + day * DAY, rating=rating, settings_version=0)


def studied_by(weights: tuple[float, ...], cards: int = 150) -> list[list[Review]]:
    """The logs of cards that a learner with these memory weights studied."""
    chance, logs = random.Random(7), []  # noqa: S311
    for card in range(cards):
        day = card % 40
        s, d = first_memory(Rating.GOOD, weights)
        log = [reviewed(card * 10, day)]
        for n in range(1, 6):
            gap = chance.choice([1, 2, 4, 8])
            day += gap
            kept = chance.random() < recall(s, gap, weights)
            log.append(reviewed(card * 10 + n, day, Rating.GOOD if kept else Rating.AGAIN))
            s, d = next_memory(s, d, grade=log[-1].rating, elapsed_days=gap, w=weights)
        logs.append(log)
    return logs


def store(caller: Caller, logs: list[list[Review]]) -> None:
    with LogEntry.batch_write() as batch:
        for n, log in enumerate(logs):
            for entry in log:
                row = LogEntry.from_entry(
                    caller.id, f"card-{n}", "deck", entry, studied_on=entry.at.date()
                )
                batch.save(row)


# --- The fit -----------------------------------------------------------------------------------


def test_a_fit_to_an_unusual_memory_predicts_it_better() -> None:
    found = fit(studied_by(FORGETFUL), weights=DEFAULT_WEIGHTS)
    assert found.is_better
    assert found.loss_after < found.loss_before
    assert found.weights[2] < DEFAULT_WEIGHTS[2] / 2  # days kept after a first Good
    assert found.trained_on + found.held_out == 750
    assert found.trained_on == pytest.approx(600, abs=30)
    for weight, (low, high) in zip(found.weights, WEIGHT_RANGES, strict=True):
        assert low <= weight <= high


def test_a_fit_is_no_better_than_the_memorys_own_weights() -> None:
    assert (
        not fit(studied_by(FORGETFUL), weights=FORGETFUL).loss_after
        < 0.9 * fit(studied_by(FORGETFUL), weights=FORGETFUL).loss_before
    )


def test_too_few_answers_are_not_learned_from() -> None:
    with pytest.raises(TooFewAnswers):
        fit(studied_by(FORGETFUL, cards=60), weights=DEFAULT_WEIGHTS)


def test_the_loss_is_that_of_the_predictions() -> None:
    history = [reviewed(0, 0), reviewed(1, 2, Rating.AGAIN)]
    chance = recall(DEFAULT_WEIGHTS[2], 2, DEFAULT_WEIGHTS)
    assert log_loss([history], DEFAULT_WEIGHTS, after=START) == pytest.approx(-log(1 - chance))


def test_a_history_begins_when_a_card_is_new_and_leaves_out_what_was_undone() -> None:
    a, b, c, d, e = (reviewed(n, n) for n in range(5))
    reset = Reset(id="reset", at=START + 1.5 * DAY)
    void = Void(id="void", at=START + 9 * DAY, target_id=d.id)
    assert histories([a, b, reset, c, d, void, e]) == [[a, b], [c, e]]
    baseline = Baseline(id="import", at=START + 1.5 * DAY, memory=Memory.new(START))
    assert histories([a, b, baseline, c]) == [[a, b]]


def optimized(caller: Caller, queues: MemoryQueues) -> Any:
    """How a fit went that the learner asked for."""
    answer = caller.post("/scheduler/optimize")
    assert answer.status_code == 202, answer.content
    queues.run()
    return caller.get("/scheduler/optimize").json()


# --- Over HTTP ---------------------------------------------------------------------------------


def test_better_weights_are_adopted_and_the_former_ones_kept(
    maria: Caller, queues: MemoryQueues
) -> None:
    store(maria, studied_by(FORGETFUL))
    maria.patch("/scheduler", {"fuzz": False})
    assert maria.get("/scheduler/optimize").json()["status"] == "never"
    found = optimized(maria, queues)
    assert (found["status"], found["settingsVersion"]) == ("adopted", 2)
    assert found["lossAfter"] < found["lossBefore"]
    assert maria.get("/scheduler/optimize").json() == found
    settings = maria.get("/scheduler").json()
    assert settings["weights"] != list(DEFAULT_WEIGHTS)
    assert (settings["version"], settings["fuzz"]) == (2, False)
    former = Scheduler.get_or_none(*Scheduler.key(maria.id, 1))
    assert former is not None
    assert former.settings().weights == DEFAULT_WEIGHTS


def test_a_fit_that_is_no_better_is_not_adopted(maria: Caller, queues: MemoryQueues) -> None:
    logs = studied_by(FORGETFUL)
    # Whoever forgets nothing at the end contradicts what was learned from the beginning.
    newest = [[*log[:-1], reviewed(5000 + n, 200)] for n, log in enumerate(logs)]
    store(maria, newest)
    found = optimized(maria, queues)
    assert found["status"] == "kept"
    assert maria.get("/scheduler").json()["version"] == 0


def test_a_short_log_is_not_fitted(maria: Caller, queues: MemoryQueues) -> None:
    found = optimized(maria, queues)
    assert (found["status"], found["settingsVersion"]) == ("tooFew", None)


def test_a_fit_is_done_apart_and_once(maria: Caller, queues: MemoryQueues) -> None:
    answer = maria.post("/scheduler/optimize")
    again = maria.post("/scheduler/optimize")
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert (again.status_code, again.json()["code"]) == (409, "OPTIMIZATION_RUNNING")
    [message] = queues.messages
    assert message.content == {"kind": "optimize", "payload": {"learnerId": maria.id}}
    twin = replace(message)
    queues.run()
    found = maria.get("/scheduler/optimize").json()
    assert found["status"] == "tooFew"
    queues.messages.append(twin)
    queues.run()
    assert maria.get("/scheduler/optimize").json() == found


def test_a_fit_that_died_may_be_started_again(maria: Caller, queues: MemoryQueues) -> None:
    stuck = read_optimization(learner_id=maria.id)
    stuck.status, stuck.started_at = "running", datetime.now(UTC) - PATIENCE - DAY
    stuck.put()
    assert optimized(maria, queues)["status"] == "tooFew"


def test_another_learners_log_teaches_nothing(
    maria: Caller, joao: Caller, queues: MemoryQueues
) -> None:
    store(maria, studied_by(FORGETFUL))
    assert optimized(joao, queues)["status"] == "tooFew"
    assert maria.get("/scheduler/optimize").json()["status"] == "never"
