"""The log of a card folds to one state. Fuzz, easy days, leeches and refusals."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.fsrs import DEFAULT_WEIGHTS, clip_weights
from learning.scheduling import (
    Baseline,
    InstantError,
    Memory,
    MemoryStateError,
    Rating,
    Reschedule,
    Reset,
    Review,
    SchedulingError,
    Settings,
    SettingsError,
    State,
    Void,
    apply,
    fold,
    fuzz_window,
    leech_level,
    preview,
    retrievability,
    review,
)
from tests.examples import tried

AGAIN, HARD, GOOD, EASY = Rating
START = datetime(2026, 3, 2, 8, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)
CARD = "01JZ5M4Q8XV3T6N2B7KCDYHWRE"
VERSIONS = {
    1: Settings(),
    2: Settings(desired_retention=0.8, learning_steps_s=(), fuzz=False),
    3: Settings(relearning_steps_s=(60, 600, 3600), easy_days=(1, 1, 0.5, 1, 1, 0, 0)),
}


def known(stability=10.0, **fields):
    """A card in review, last seen at START."""
    return Memory(
        **{
            "due_at": START + 10 * DAY,
            "state": State.REVIEW,
            "stability": stability,
            "difficulty": 5.0,
            "last_review_at": START,
            "introduced_at": START,
            "reps": 4,
            **fields,
        }
    )


def folded(entries):
    return fold(entries, created_at=START, settings=VERSIONS, seed=CARD)


def reviewed(id_, at=START, rating=GOOD):
    return Review(id=id_, at=at, rating=rating, settings_version=1)


# --- The fold ----------------------------------------------------------------------------------


@st.composite
def logs(draw, voids=True):
    """A card's log with ids in no order of time, shared instants, and voids of anything:
    reviews, other voids, themselves, entries that never arrive."""
    count = draw(st.integers(0, 12))
    ids = draw(st.permutations([f"entry-{n:02}" for n in range(count + 1)]))
    kinds = ["review"] * 3 + ["reset", "reschedule", "baseline"] + ["void"] * 3 * voids
    return [draw(entries(draw(st.sampled_from(kinds)), id_, ids)) for id_ in ids[:count]]


@st.composite
def entries(draw, kind, id_, ids):
    at = START + draw(st.sampled_from([0, 1, 60, 600, 86_399, 86_400, 900_000, 9_000_000])) * (
        timedelta(seconds=1)
    )
    if kind == "review":
        return Review(
            id=id_,
            at=at,
            rating=draw(st.sampled_from(Rating)),
            settings_version=draw(st.sampled_from(list(VERSIONS))),
            studied_on=draw(st.sampled_from([None, at.date(), at.date() - DAY])),
        )
    if kind == "reset":
        return Reset(id=id_, at=at)
    if kind == "reschedule":
        return Reschedule(id=id_, at=at, due_at=START + draw(st.integers(0, 99)) * DAY)
    if kind == "baseline":
        seen_at = at - draw(st.integers(0, 50)) * DAY
        memory = known(draw(st.floats(0.001, 900)), last_review_at=seen_at, introduced_at=seen_at)
        return Baseline(id=id_, at=at, memory=memory)
    return Void(id=id_, at=at, target_id=draw(st.sampled_from(ids)))


@tried(500)
@given(log=logs(), data=st.data())
def test_the_same_entries_fold_to_the_same_card_in_any_order_and_however_often(log, data):
    again = data.draw(st.lists(st.sampled_from(log), max_size=8)) if log else []
    arrived = data.draw(st.permutations(log + again))
    assert folded(arrived) == folded(log)


@tried(200)
@given(log=logs(voids=False))
def test_applying_entries_as_they_come_in_order_is_the_fold(log):
    memory = Memory.new(START)
    for entry in sorted(log, key=lambda entry: entry.order):
        memory = apply(memory, entry, settings=VERSIONS, seed=CARD)
    assert memory == folded(log)


@tried(250)
@given(log=logs())
def test_an_entry_counts_unless_a_void_that_itself_counts_names_it(log):
    def counts(entry):
        return not any(counts(v) for v in log if isinstance(v, Void) and v.target_id == entry.id)

    changes = [entry for entry in log if not isinstance(entry, Void)]
    assert folded(log) == folded([entry for entry in changes if counts(entry)])


def test_two_devices_that_studied_offline_lose_no_review():
    phone = [reviewed(f"phone-{n}", START + 2 * n * DAY) for n in range(5)]
    tablet = [reviewed(f"tablet-{n}", START + (2 * n + 1) * DAY) for n in range(5)]
    assert folded(phone + tablet).reps == 10
    assert folded(tablet + phone) == folded(phone + tablet)
    assert folded(phone) != folded(phone + tablet)


def test_a_void_before_its_target_arrives_still_undoes_it():
    undo = Void(id="undo", at=START, target_id="second")
    log = [undo, reviewed("first"), reviewed("second", START + DAY)]
    assert folded(log) == folded([reviewed("first")])


def test_a_void_of_a_void_restores_the_entry():
    log = [
        reviewed("first"),
        Void(id="undo", at=START, target_id="first"),
        Void(id="redo", at=START, target_id="undo"),
    ]
    assert folded(log) == folded(log[:1]) != folded(log[:2])


def test_two_voids_of_one_entry_are_both_needed_back():
    log = [reviewed("first"), *(Void(id=v, at=START, target_id="first") for v in ("a", "b"))]
    assert folded([*log, Void(id="c", at=START, target_id="a")]) == Memory.new(START)


def test_voids_that_name_themselves_or_each_other_undo_nothing():
    log = [
        reviewed("first"),
        Void(id="self", at=START, target_id="self"),
        Void(id="a", at=START, target_id="b"),
        Void(id="b", at=START, target_id="a"),
    ]
    assert folded(log) == folded(log[:1])


def test_a_long_chain_of_undo_and_redo_is_settled():
    targets = ["first", *(f"void-{n}" for n in range(4_999))]
    chain = [Void(id=f"void-{n}", at=START, target_id=t) for n, t in enumerate(targets)]
    assert folded([reviewed("first"), *chain]) == folded([reviewed("first")])
    assert folded([reviewed("first"), *chain[:-1]]) == Memory.new(START)


def test_of_two_entries_with_one_id_the_earlier_counts():
    log = [reviewed("same", START, EASY), reviewed("same", START + DAY, AGAIN)]
    assert folded(log[::-1]) == folded(log) == folded(log[:1])


def test_a_reset_makes_the_card_new_from_its_instant():
    log = [reviewed("first"), Reset(id="reset", at=START + DAY)]
    assert folded(log) == Memory.new(START + DAY)
    memory = folded([*log, reviewed("second", START + 2 * DAY)])
    assert (memory.reps, memory.introduced_at) == (1, START + 2 * DAY)


def test_a_reschedule_moves_the_due_instant_alone():
    log = [reviewed("first", rating=EASY)]
    moved = folded([*log, Reschedule(id="later", at=START + DAY, due_at=START + 30 * DAY)])
    assert moved == replace(folded(log), due_at=START + 30 * DAY)
    assert moved.interval_days == 30
    brought_forward = Reschedule(id="now", at=START + DAY, due_at=START - 3 * DAY)
    assert folded([*log, brought_forward]).interval_days == 0


def test_a_baseline_replaces_what_came_before():
    baseline = Baseline(id="import", at=START + DAY, memory=known(reps=40, lapses=9))
    assert folded([reviewed("first"), baseline]) == known(reps=40, lapses=9)
    assert folded([baseline, reviewed("next", START + 2 * DAY)]).reps == 41


def test_a_review_in_the_log_counts_its_weekday_from_the_day_it_names():
    thursdays = {1: Settings(easy_days=(0, 0, 0, 1, 0, 0, 0))}
    known_card = Baseline(id="import", at=START, memory=known(8.0))  # 6 to 10 days after Good
    due_after = {}
    for studied_on in (date(2026, 3, 2), date(2026, 3, 3)):
        answered = replace(reviewed("next"), studied_on=studied_on)
        memory = fold([known_card, answered], created_at=START, settings=thursdays, seed=CARD)
        due_after[studied_on.day] = memory.interval_days
    assert due_after == {2: 10, 3: 9}


def test_each_review_follows_the_settings_it_was_made_under():
    log = [
        reviewed("first"),
        Review(id="second", at=START + DAY, rating=AGAIN, settings_version=2),
    ]
    assert folded(log[:1]).state is State.LEARNING
    assert folded(log).state is State.REVIEW  # version 2 has no learning steps
    with pytest.raises(KeyError):
        fold(log, created_at=START, settings={1: Settings()}, seed=CARD)


# --- One review --------------------------------------------------------------------------------


def answer(memory, rating, at, scheduler=VERSIONS[1], seed=CARD, studied_on=None):
    return review(
        memory, rating=rating, at=at, settings=scheduler, seed=seed, studied_on=studied_on
    )


def test_the_first_review_introduces_the_card_and_later_ones_do_not():
    memory = answer(Memory.new(START), GOOD, START + DAY)
    assert memory.introduced_at == START + DAY
    assert answer(memory, GOOD, START + 2 * DAY).introduced_at == START + DAY


def test_only_forgetting_a_card_in_review_is_a_lapse():
    forgotten = answer(known(), AGAIN, START + DAY)
    assert (forgotten.state, forgotten.lapses) == (State.RELEARNING, 1)
    assert answer(forgotten, AGAIN, START + DAY).lapses == 1
    assert answer(Memory.new(START), AGAIN, START).lapses == 0
    no_steps = Settings(relearning_steps_s=())
    assert answer(known(), AGAIN, START + DAY, no_steps).lapses == 1


def test_whole_days_between_instants_do_not_follow_the_clock_on_the_wall():
    madrid = ZoneInfo("Europe/Madrid")  # 29 March 2026 has 23 hours there
    before = datetime(2026, 3, 28, 12, tzinfo=madrid)
    memory = answer(known(last_review_at=before), EASY, datetime(2026, 3, 29, 12, tzinfo=madrid))
    assert memory.last_review_at == datetime(2026, 3, 29, 10, tzinfo=UTC)
    assert memory.last_review_at.tzinfo is UTC
    assert (memory.due_at - memory.last_review_at) % DAY == timedelta(0)
    same_day = answer(known(last_review_at=before.astimezone(UTC)), EASY, memory.last_review_at)
    assert memory == same_day


def test_a_review_before_the_last_one_is_refused():
    with pytest.raises(InstantError, match="at is before the card's last review"):
        answer(known(), GOOD, START - timedelta(microseconds=1))
    assert answer(known(), GOOD, START).reps == 5


def test_retrievability_falls_to_nine_tenths_after_the_stability():
    assert retrievability(known(10.0), START, DEFAULT_WEIGHTS) == 1.0
    assert retrievability(known(10.0), START + 10 * DAY, DEFAULT_WEIGHTS) == pytest.approx(0.9)
    assert retrievability(known(10.0), START - DAY, DEFAULT_WEIGHTS) == 1.0
    assert retrievability(Memory.new(START), START + DAY, DEFAULT_WEIGHTS) == 0.0


@given(stability=st.floats(0.01, 1_000), days=st.integers(0, 1_000), seed=st.text(min_size=1))
def test_the_preview_shows_what_each_answer_then_gives_and_hard_is_never_later_than_easy(
    stability, days, seed
):
    memory, at = known(stability), START + days * DAY
    shown = preview(memory, at=at, settings=VERSIONS[3], seed=seed)
    assert shown == {r: answer(memory, r, at, VERSIONS[3], seed) for r in Rating}
    assert shown[HARD].due_at <= shown[GOOD].due_at <= shown[EASY].due_at


def test_the_preview_bears_a_clock_behind_the_last_review():
    behind = preview(known(), at=START - DAY, settings=VERSIONS[1], seed=CARD)
    assert behind == preview(known(), at=START, settings=VERSIONS[1], seed=CARD)


def test_ratings_are_named_on_the_wire():
    assert [rating.wire for rating in Rating] == ["again", "hard", "good", "easy"]
    assert [Rating.from_wire(name) for name in ("again", "hard", "good", "easy")] == list(Rating)
    with pytest.raises(SchedulingError, match="one of again, hard, good, easy"):
        Rating.from_wire("GOOD")


@pytest.mark.parametrize(
    ("threshold", "lapses"), [(8, [8, 12, 16, 20]), (3, [3, 5, 7, 9, 11, 13, 15, 17, 19]), (0, [])]
)
def test_a_leech_is_one_at_the_threshold_and_every_half_of_it(threshold, lapses):
    levels = [leech_level(n, threshold) for n in range(21)]
    assert [n for n in range(1, 21) if levels[n] > levels[n - 1]] == lapses


# --- Fuzz and easy days ------------------------------------------------------------------------

EXACT = Settings(fuzz=False)
EIGHT_DAYS = 8.0  # the stability that Good on the same day leaves alone: fuzz gives 6-10 days


def days_until_due(scheduler, seed=CARD, studied_on=None, reps=4):
    return answer(
        known(EIGHT_DAYS, reps=reps), GOOD, START, scheduler, seed, studied_on
    ).interval_days


@pytest.mark.parametrize(
    ("days", "first", "last"),
    [(1, 1, 1), (2, 2, 2), (3, 2, 4), (7, 5, 9), (10, 8, 12), (20, 17, 23), (100, 93, 107)],
)
def test_the_fuzz_window_is_that_of_fsrs(days, first, last):
    assert fuzz_window(days, 36_500) == range(first, last + 1)


def test_the_fuzz_window_ends_at_the_maximum_interval():
    assert fuzz_window(100, 100) == range(93, 101)
    assert fuzz_window(3, 1) == range(1, 2)


@given(days=st.integers(1, 36_500), maximum=st.integers(1, 36_500))
def test_the_fuzz_window_holds_its_interval_and_moves_with_it(days, maximum):
    days = min(days, maximum)
    window, next_ = fuzz_window(days, maximum), fuzz_window(min(days + 1, maximum), maximum)
    assert days in window
    assert window[0] <= next_[0]
    assert window[-1] <= next_[-1]


def test_fuzz_spreads_cards_evenly_over_the_window_and_off_it_does_nothing():
    spread = Counter(days_until_due(Settings(), f"card-{n}") for n in range(5_000))
    assert sorted(spread) == [6, 7, 8, 9, 10]
    assert all(900 < count < 1_100 for count in spread.values())
    assert days_until_due(EXACT) == 8


def test_fuzz_differs_from_review_to_review_and_never_between_machines():
    """These figures are part of the data: another choice would move cards already scheduled."""
    assert [days_until_due(Settings(), reps=reps) for reps in range(12)] == [
        *(6, 6, 7, 9, 9, 6),
        *(8, 7, 8, 10, 9, 8),
    ]


def test_an_easy_day_takes_its_share_of_the_load():
    wednesday_half = Settings(easy_days=(1, 1, 0.5, 1, 1, 1, 1))
    due = Counter(days_until_due(wednesday_half, f"card-{n}") for n in range(4_500))
    wednesday = due.pop(9)  # 9 days after a Monday
    assert 430 < wednesday < 570
    assert all(900 < count < 1_100 for count in due.values())


def test_no_card_comes_on_a_free_day_when_another_is_near_enough():
    weekdays_only = Settings(easy_days=(1, 1, 1, 1, 1, 0, 0))
    for studied_on in (date(2026, 3, 2) + n * DAY for n in range(7)):
        for seed in range(50):
            days = days_until_due(weekdays_only, str(seed), studied_on)
            assert 6 <= days <= 10
            assert (studied_on + days * DAY).weekday() < 5


def test_a_week_of_free_days_spreads_as_any_other():
    assert days_until_due(Settings(easy_days=(0,) * 7)) == days_until_due(Settings())


def test_the_weekday_is_that_of_the_learners_own_day():
    thursday_only = Settings(easy_days=(0, 0, 0, 1, 0, 0, 0))
    assert days_until_due(thursday_only) == 10
    assert days_until_due(thursday_only, studied_on=date(2026, 3, 3)) == 9


# --- What is refused or brought into range ------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("weights", {"weights": DEFAULT_WEIGHTS[:19]}),
        ("weights[20]", {"weights": (*DEFAULT_WEIGHTS[:20], 0.9)}),
        ("weights[0]", {"weights": (float("nan"), *DEFAULT_WEIGHTS[1:])}),
        ("desired_retention", {"desired_retention": 0.69}),
        ("desired_retention", {"desired_retention": 0.98}),
        ("desired_retention", {"desired_retention": float("nan")}),
        ("learning_steps_s[1]", {"learning_steps_s": (60, 0)}),
        ("learning_steps_s", {"learning_steps_s": (60,) * 11}),
        ("relearning_steps_s[0]", {"relearning_steps_s": (31 * 86_400,)}),
        ("maximum_interval_days", {"maximum_interval_days": 0}),
        ("maximum_interval_days", {"maximum_interval_days": 36_501}),
        ("easy_days", {"easy_days": (1.0,) * 6}),
        ("easy_days[6]", {"easy_days": (*(1.0,) * 6, 1.1)}),
        ("leech_threshold", {"leech_threshold": -1}),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_name(field, changes):
    with pytest.raises(SettingsError) as refused:
        Settings(**changes)
    assert refused.value.field == field


def test_fitted_weights_a_hair_out_of_range_are_brought_back():
    fitted = (*DEFAULT_WEIGHTS[:20], 0.800000011920929)  # 0.8 in single precision
    with pytest.raises(SettingsError):
        Settings(weights=fitted)
    assert clip_weights(fitted) == (*DEFAULT_WEIGHTS[:20], 0.8)
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        clip_weights(fitted[:19])


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("stability", {"stability": None}),
        ("difficulty", {"difficulty": None}),
        ("last_review_at", {"last_review_at": None}),
        ("stability", {"stability": 0.0}),
        ("stability", {"stability": float("inf")}),
        ("difficulty", {"difficulty": 10.5}),
        ("step", {"step": 0}),
        ("step", {"state": State.RELEARNING}),
        ("step", {"state": State.LEARNING, "step": -1}),
        ("reps", {"reps": -1}),
        ("lapses", {"lapses": -1}),
        ("stability", {"state": State.NEW}),
    ],
)
def test_a_memory_that_contradicts_itself_is_refused_by_name(field, changes):
    with pytest.raises(MemoryStateError) as refused:
        known(**changes)
    assert refused.value.field == field


NAIVE = datetime(2026, 3, 2, 8)  # noqa: DTZ001


@pytest.mark.parametrize(
    "make",
    [
        lambda: Memory.new(NAIVE),
        lambda: known(last_review_at=NAIVE),
        lambda: known(introduced_at=NAIVE),
        lambda: reviewed("naive", NAIVE),
        lambda: answer(Memory.new(START), GOOD, NAIVE),
        lambda: preview(Memory.new(START), at=NAIVE, settings=EXACT, seed=CARD),
        lambda: retrievability(known(), NAIVE, DEFAULT_WEIGHTS),
        lambda: Reschedule(id="naive", at=START, due_at=NAIVE),
    ],
)
def test_an_instant_without_a_zone_is_refused(make):
    with pytest.raises(InstantError, match="has no time zone"):
        make()


def test_a_baseline_older_than_the_state_it_brings_is_refused():
    with pytest.raises(InstantError, match="before the last review"):
        Baseline(id="import", at=START - DAY, memory=known())
