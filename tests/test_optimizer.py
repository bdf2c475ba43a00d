"""POST /scheduler/optimize, and the fit itself."""

import json
import random
from datetime import UTC, datetime, timedelta
from math import log
from typing import Any

import pytest

from config import aws
from learning import tasks
from learning.fsrs import DEFAULT_WEIGHTS, WEIGHT_RANGES, first_memory, next_memory, recall
from learning.models.log import LogEntry
from learning.models.scheduler import Scheduler
from learning.optimizer import TooFewAnswers, fit, histories, log_loss
from learning.scheduling import Baseline, Memory, Rating, Reset, Review, Void
from learning.services.optimization import PATIENCE, read_optimization
from tests.callers import Caller

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


# --- Over HTTP ---------------------------------------------------------------------------------


def test_better_weights_are_adopted_and_the_former_ones_kept(maria: Caller) -> None:
    store(maria, studied_by(FORGETFUL))
    maria.patch("/scheduler", {"fuzz": False})
    assert maria.get("/scheduler/optimize").json()["status"] == "never"
    answer = maria.post("/scheduler/optimize")
    assert answer.status_code == 202, answer.content
    found = answer.json()
    assert (found["status"], found["settingsVersion"]) == ("adopted", 2)
    assert found["lossAfter"] < found["lossBefore"]
    assert maria.get("/scheduler/optimize").json() == found
    settings = maria.get("/scheduler").json()
    assert settings["weights"] != list(DEFAULT_WEIGHTS)
    assert (settings["version"], settings["fuzz"]) == (2, False)
    former = Scheduler.get_or_none(*Scheduler.key(maria.id, 1))
    assert former is not None
    assert former.settings().weights == DEFAULT_WEIGHTS


def test_a_fit_that_is_no_better_is_not_adopted(maria: Caller) -> None:
    logs = studied_by(FORGETFUL)
    # Whoever forgets nothing at the end contradicts what was learned from the beginning.
    newest = [[*log[:-1], reviewed(5000 + n, 200)] for n, log in enumerate(logs)]
    store(maria, newest)
    optimization = maria.post("/scheduler/optimize").json()
    assert optimization["status"] == "kept"
    assert maria.get("/scheduler").json()["version"] == 0


def test_a_short_log_is_not_fitted(maria: Caller) -> None:
    optimization = maria.post("/scheduler/optimize").json()
    assert (optimization["status"], optimization["settingsVersion"]) == ("tooFew", None)


def test_a_fit_on_lambda_is_an_invocation_of_its_own(
    maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []

    def invoked(model: Any, params: Any, **_: Any) -> Any:
        sent.append({"path": params["url_path"], **params["headers"], "body": params["body"]})
        return type("Answer", (), {"status_code": 202}), {"StatusCode": 202}

    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "parley-api-dev")
    events = aws.client("lambda").meta.events
    events.register("before-call.lambda.Invoke", invoked)
    try:
        answer = maria.post("/scheduler/optimize")
        again = maria.post("/scheduler/optimize")
    finally:
        events.unregister("before-call.lambda.Invoke", invoked)
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert (again.status_code, again.json()["code"]) == (409, "OPTIMIZATION_RUNNING")
    (call,) = sent
    assert "parley-api-dev" in call["path"]
    assert call["X-Amz-Invocation-Type"] == "Event"
    event = json.loads(call["body"])
    assert event == {"command": "learning.tasks.optimize", "learnerId": maria.id}
    tasks.optimize(event, None)
    assert maria.get("/scheduler/optimize").json()["status"] == "tooFew"


def test_a_fit_that_died_may_be_started_again(maria: Caller) -> None:
    stuck = read_optimization(learner_id=maria.id)
    stuck.status, stuck.started_at = "running", datetime.now(UTC) - PATIENCE - DAY
    stuck.put()
    assert maria.post("/scheduler/optimize").json()["status"] == "tooFew"


def test_another_learners_log_teaches_nothing(maria: Caller, joao: Caller) -> None:
    store(maria, studied_by(FORGETFUL))
    assert joao.post("/scheduler/optimize").json()["status"] == "tooFew"
    assert maria.get("/scheduler/optimize").json()["status"] == "never"
