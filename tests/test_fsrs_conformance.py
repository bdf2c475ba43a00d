"""Our FSRS-6 against the published vectors, py-fsrs (the oracle of every rule) and fsrs-rs."""

from datetime import UTC, datetime, timedelta

import fsrs
import fsrs_rs_python
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from learning.fsrs import DEFAULT_WEIGHTS, STABILITY_RANGE, WEIGHT_RANGES
from learning.scheduling import (
    Memory,
    Rating,
    Settings,
    State,
    retrievability,
    review,
)
from tests.examples import tried

EXACT = Settings(fuzz=False)
START = datetime(2022, 11, 29, 12, 30, tzinfo=UTC)  # where the published vectors begin
AGAIN, HARD, GOOD, EASY = Rating


def answer(memory, rating, at, scheduler=EXACT):
    return review(memory, rating=rating, at=at, settings=scheduler, seed="card")


def studied(ratings, gaps_days, scheduler=EXACT):
    """The memory after each answer, the first `gaps_days[0]` days after START."""
    memory, at = Memory.new(START), START
    for rating, gap_days in zip(ratings, gaps_days, strict=True):
        at += timedelta(days=gap_days)
        memory = answer(memory, rating, at, scheduler)
        yield memory


# --- Published vectors -------------------------------------------------------------------------


def test_intervals_of_a_card_answered_when_due_are_the_published_ones():
    memory, intervals = Memory.new(START), []
    for rating in [GOOD] * 6 + [AGAIN] * 2 + [GOOD] * 5:
        memory = answer(memory, rating, memory.due_at)
        intervals.append(memory.interval_days)
    assert intervals == [0, 2, 11, 46, 163, 498, 0, 0, 2, 4, 7, 12, 21]
    assert (memory.state, memory.reps, memory.lapses) == (State.REVIEW, 13, 1)
    assert memory.introduced_at == START


def test_memory_after_a_forgotten_start_is_the_published_one():
    *_, memory = studied([AGAIN] + [GOOD] * 5, [0, 0, 1, 3, 8, 21])
    assert memory.stability == pytest.approx(53.62691, abs=1e-4)
    assert memory.difficulty == pytest.approx(6.3574867, abs=1e-4)


@pytest.mark.parametrize(
    ("rating", "stability", "difficulty", "state", "due_after"),
    [
        (AGAIN, 0.212, 6.4133, State.LEARNING, timedelta(minutes=1)),
        (HARD, 1.2931, 5.11217071, State.LEARNING, timedelta(minutes=5, seconds=30)),
        (GOOD, 2.3065, 2.11810397, State.LEARNING, timedelta(minutes=10)),
        (EASY, 8.2956, 1, State.REVIEW, timedelta(days=8)),
    ],
)
def test_first_answer_gives_the_published_memory(rating, stability, difficulty, state, due_after):
    memory = answer(Memory.new(START), rating, START)
    assert memory.stability == stability
    assert memory.difficulty == pytest.approx(difficulty, abs=5e-9)
    assert (memory.state, memory.due_at) == (state, START + due_after)


def test_retrievability_eight_days_after_easy_is_the_published_one():
    memory = answer(Memory.new(START), EASY, START)
    assert retrievability(memory, memory.due_at, DEFAULT_WEIGHTS) == pytest.approx(
        0.9024733, abs=5e-8
    )


def test_difficulty_ends_at_one_when_all_is_easy():
    *_, memory = studied([EASY] * 10, [1e-6] * 10)
    assert memory.difficulty == 1.0


def test_stability_never_falls_below_its_floor():
    for memory in studied([AGAIN] * 1000, [1] * 1000):
        assert memory.stability >= STABILITY_RANGE[0]
        assert memory.interval_days == 0


# --- py-fsrs: the same state, step, due, stability and difficulty ------------------------------

gaps = st.one_of(
    st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=1)),
    st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=400)),
    st.sampled_from([timedelta(0), timedelta(days=1), timedelta(days=1, microseconds=-1)]),
)
steps = st.lists(st.integers(1, 3 * 86_400), max_size=4).map(tuple)
default_weights = st.just(DEFAULT_WEIGHTS)
any_weights = st.tuples(*(st.floats(low, high) for low, high in WEIGHT_RANGES))


@st.composite
def schedulers(draw):
    return Settings(
        weights=draw(st.one_of(default_weights, any_weights)),
        desired_retention=draw(st.floats(0.70, 0.97)),
        learning_steps_s=draw(steps),
        relearning_steps_s=draw(steps),
        maximum_interval_days=draw(st.sampled_from([1, 30, 365, 36_500])),
        fuzz=False,
    )


def oracle(scheduler):
    return fsrs.Scheduler(
        parameters=scheduler.weights,
        desired_retention=scheduler.desired_retention,
        learning_steps=[timedelta(seconds=s) for s in scheduler.learning_steps_s],
        relearning_steps=[timedelta(seconds=s) for s in scheduler.relearning_steps_s],
        maximum_interval=scheduler.maximum_interval_days,
        enable_fuzzing=False,
    )


history = st.lists(st.tuples(st.sampled_from(Rating), gaps), min_size=1, max_size=25)


@tried(400)
@given(history=history, schedulers=st.lists(schedulers(), min_size=1, max_size=3))
@example(history=[(GOOD, timedelta(0))] * 3 + [(HARD, timedelta(0))], schedulers=[EXACT])
def test_every_history_schedules_as_py_fsrs_does(history, schedulers):
    """The scheduler changes along the way, so that a card may stand on a step that is gone."""
    card, memory, at = fsrs.Card(card_id=1, due=START), Memory.new(START), START
    for index, (rating, gap) in enumerate(history):
        scheduler = schedulers[index % len(schedulers)]
        at += gap
        card, _ = oracle(scheduler).review_card(card, fsrs.Rating(rating), at)
        assume(card.stability <= STABILITY_RANGE[1])  # py-fsrs has no ceiling
        memory = answer(memory, rating, at, scheduler)
        assert memory.state.value == card.state.name.lower()
        assert memory.step == card.step
        assert memory.due_at == card.due
        assert memory.last_review_at == card.last_review
        assert memory.stability == pytest.approx(card.stability, rel=1e-9)
        assert memory.difficulty == pytest.approx(card.difficulty, rel=1e-9)
        assert retrievability(memory, card.due, scheduler.weights) == pytest.approx(
            oracle(scheduler).get_card_retrievability(card, card.due), rel=1e-9
        )


# --- fsrs-rs, which fits the weights: the same memory, within single precision -----------------


@tried(200)
@given(
    ratings=st.lists(st.sampled_from(Rating), min_size=1, max_size=12),
    data=st.data(),
)
def test_every_history_leaves_the_memory_that_fsrs_rs_computes(ratings, data):
    gaps_days = [0] + [data.draw(st.integers(0, 200)) for _ in ratings[1:]]
    item = fsrs_rs_python.FSRSItem(
        [
            fsrs_rs_python.FSRSReview(int(rating), gap_days)
            for rating, gap_days in zip(ratings, gaps_days, strict=True)
        ]
    )
    theirs = fsrs_rs_python.FSRS(list(DEFAULT_WEIGHTS)).historical_memory_states(item)
    for memory, state in zip(studied(ratings, gaps_days), theirs, strict=True):
        assert memory.stability == pytest.approx(state.stability, rel=1e-4)
        assert memory.difficulty == pytest.approx(state.difficulty, rel=1e-4)


def test_stability_stops_at_the_ceiling_of_fsrs_rs():
    memory = Memory(
        due_at=START,
        state=State.REVIEW,
        stability=36_000.0,
        difficulty=5.0,
        last_review_at=START,
        introduced_at=START,
    )
    at = START + timedelta(days=36_500)
    theirs = fsrs_rs_python.FSRS(list(DEFAULT_WEIGHTS)).next_states(
        fsrs_rs_python.MemoryState(36_000.0, 5.0), 0.9, 36_500
    )
    assert answer(memory, EASY, at).stability == theirs.easy.memory.stability == 36_500
