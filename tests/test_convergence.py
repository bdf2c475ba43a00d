"""Whatever order devices send their entries in, and however often: one card, one log, one count.

The whole service runs against the table, entry by entry and batch by batch; what it must come to
is worked out apart, from the set of entries alone.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from botocore.exceptions import ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Head as Progress
from accounts.models import learner_key
from accounts.study_day import StudyCalendar
from config.problems import ServiceUnavailable
from config.stack import Stack
from config.store.items import Item
from learning.days import day_counts, streak_until
from learning.fsrs import DEFAULT_WEIGHTS
from learning.models.cards import Card
from learning.models.log import Day, LogEntry
from learning.models.scheduler import Scheduler
from learning.scheduling import (
    Memory,
    Rating,
    Reschedule,
    Reset,
    Review,
    State,
    Void,
    fold,
    replay,
)
from learning.services.cards import create_deck, update_deck
from learning.services.review import Submission, submit
from learning.services.study_context import update_scheduler
from tests.examples import tried
from tests.memory_table import MemoryTable

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
NOW = START + timedelta(days=400)
NOTE = "01J8Z3M4S5T6V7W8X9Y0Z1A2B3"
SIBLINGS = (f"{NOTE}.1", f"{NOTE}.2")
CARDS = (*SIBLINGS, "01J8Z3M4S5T6V7W8X9Y0Z1A2B4")
DECK = "deck"
LEECH_THRESHOLD = 1
Change = tuple[datetime, dict[str, Any]]
FIRST: Change = (
    START - timedelta(days=1),
    {"leech_threshold": LEECH_THRESHOLD, "leech_action": "suspend"},
)
CHANGES: list[dict[str, Any]] = [
    {"desired_retention": 0.75},
    {"desired_retention": 0.75, "fuzz": False, "learning_steps_s": []},
    {"weights": [each * 1.02 for each in DEFAULT_WEIGHTS[:16]] + list(DEFAULT_WEIGHTS[16:])},
    {"day_starts_at_hour": 22},
    {"leech_threshold": 2},
    {"leech_action": "tag"},
    {"bury_siblings": False},
    {DECK: 0.8},
    {DECK: None},
]
# Some shared by both devices, some a moment, a step, a day, a month or a year apart.
OFFSETS_S = [0, 1, 60, 600, 86_399, 86_400, 172_800, 900_000, 2_600_000, 9_000_000, 31_000_000]
OFFSETS_S += [400 * 86_400 - 60, 400 * 86_400 - 1]  # today


@pytest.fixture(scope="module")
def memory(moto_stack: Stack, memory_table: MemoryTable) -> MemoryTable:
    """The table of all examples, each of which is another learner's."""
    return memory_table


@st.composite
def submissions(draw: st.DrawFn, id_: str, ids: list[str]) -> Submission:
    kind: Any = draw(st.sampled_from(["review"] * 4 + ["reset", "reschedule"] + ["void"] * 3))
    at = START + timedelta(seconds=draw(st.sampled_from(OFFSETS_S)))
    more: dict[str, Any] = {}
    if kind == "review":
        more = {"rating": draw(st.sampled_from(Rating)), "duration_ms": draw(st.integers(0, 9))}
    if kind == "reschedule":
        more = {"due_at": START + timedelta(days=draw(st.integers(0, 99)))}
    if kind == "void":
        more = {"target_id": draw(st.sampled_from(ids))}
    return Submission(id=id_, card_id=draw(st.sampled_from(CARDS)), at=at, kind=kind, **more)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Submission], list[list[Submission]]]:
    """What two devices have made, and how it comes in: interleaved, repeated, in batches."""
    count = draw(st.integers(1, 8))
    ids = draw(st.permutations([f"entry-{n}" for n in range(count + 1)]))
    made = [draw(submissions(id_, ids)) for id_ in ids[:count]]
    again = draw(st.lists(st.sampled_from(made), max_size=4))
    arriving = draw(st.permutations(made + again))
    batches: list[list[Submission]] = []
    while arriving:
        size = draw(st.integers(1, 6))
        batches.append(arriving[:size])
        arriving = arriving[size:]
    return made, batches


@st.composite
def timelines(draw: st.DrawFn) -> tuple[list[Submission], list[Change], list[list[Submission]]]:
    """A device's entries, the changes of settings, and the entries that came in before each change.

    A review comes in at its instant or later, as late as the last one of all.
    """
    count = draw(st.integers(1, 8))
    ids = draw(st.permutations([f"entry-{n}" for n in range(count + 1)]))
    made = [draw(submissions(id_, ids)) for id_ in ids[:count]]
    offsets = st.sampled_from([each + 30 for each in OFFSETS_S[:-2]] + [OFFSETS_S[-2] + 30])
    instants = sorted(draw(st.sets(offsets, min_size=1, max_size=4)))
    changes = [
        (START + timedelta(seconds=each), draw(st.sampled_from(CHANGES))) for each in instants
    ]
    arriving: list[list[Submission]] = [[] for _ in range(len(changes) + 1)]
    for sent in draw(st.permutations(made)):
        assert sent.at is not None
        earliest = sum(since <= sent.at for since, _ in changes)
        arriving[draw(st.integers(earliest, len(changes)))].append(sent)
    return made, changes, arriving


def entry_of(sent: Submission, versions: "Versions") -> Any:
    assert sent.at is not None
    settings = versions.at(sent.at)
    match sent.kind:
        case "review":
            assert sent.rating is not None
            return Review(
                id=sent.id,
                at=sent.at,
                rating=sent.rating,
                settings_version=int(settings.number),
                desired_retention=versions.deck_retention(sent.at),
                studied_on=versions.calendar(sent.at).day(sent.at),
            )
        case "reset":
            return Reset(id=sent.id, at=sent.at)
        case "reschedule":
            assert sent.due_at is not None
            return Reschedule(id=sent.id, at=sent.at, due_at=sent.due_at)
        case _:
            return Void(id=sent.id, at=sent.at, target_id=sent.target_id or "")


class Versions(list[Scheduler]):
    """What settings there were, by the changes alone."""

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        super().__init__([Scheduler(number=0, since=START - timedelta(days=9_999))])
        self.retentions: list[Change] = []
        for since, change in (FIRST, *changes):
            if DECK in change:
                self.retentions.append((since, change))
                continue
            technical = ("pk", "sk", "kind", "n", "version")
            names = [name for name in Scheduler.get_attributes() if name not in technical]
            values = {name: getattr(self[-1], name) for name in names}
            self.append(Scheduler(**values | change | {"number": len(self), "since": since}))

    def at(self, at: datetime) -> Scheduler:
        """The settings in force at an instant."""
        return next(each for each in reversed(self) if each.since <= at)

    def deck_retention(self, at: datetime) -> float | None:
        """The deck's own retention at an instant."""
        values = [change[DECK] for since, change in self.retentions if since <= at]
        return values[-1] if values else None

    def calendar(self, at: datetime) -> StudyCalendar:
        """A learner without a profile lives in UTC."""
        return StudyCalendar("UTC", int(self.at(at).day_starts_at_hour))


def change_settings(learner_id: str, change: Change) -> None:
    since, changes = change
    with time_machine.travel(since, tick=False):
        if DECK in changes:
            update_deck(
                learner_id=learner_id,
                deck_id=DECK,
                changes={"desired_retention": changes[DECK]},
                expected_version=None,
                now=since,
            )
        else:
            update_scheduler(learner_id=learner_id, changes=changes, expected_version=None)


def put_cards(learner_id: str) -> None:
    create_deck(learner_id=learner_id, fields={"id": DECK, "name": "Português"}, now=START)
    change_settings(learner_id, FIRST)
    for card_id in CARDS:
        card = Card(
            *Card.key(learner_id, card_id),
            id=card_id,
            note_id=card_id.partition(".")[0],
            deck_id=DECK,
            front="casa",
            back="house",
            request_digest="",
            due_at=START,
            created_at=START,
            updated_at=START,
        )
        card.set_index_keys()
        card.create()


def wanted(made: list[Submission], changes: Iterable[Change] = ()) -> dict[str, Any]:
    """The state that the entries stand for, by the pure rules."""
    versions, days, cards = Versions(changes), Counter[tuple[date, str]](), {}
    settings = {int(each.number): each.settings() for each in versions}
    last_answers: dict[str, datetime] = {}
    for card_id in CARDS:
        entries = [entry_of(each, versions) for each in made if each.card_id == card_id]
        how = {"created_at": START, "settings": settings, "seed": card_id}
        cards[card_id] = fold(entries, **how)
        for change, before, _ in replay(entries, **how):
            if not isinstance(change, Review):
                continue
            last_answers[card_id] = change.at
            ms = next(each.duration_ms for each in made if each.id == change.id)
            gained = day_counts(
                change,
                before,
                deck_id=DECK,
                duration_ms=ms,
                weights=settings[change.settings_version].weights,
            )
            assert change.studied_on
            days.update({(change.studied_on, name): n for name, n in gained.items()})
    studied = {on for (on, name), n in days.items() if name == "reviews" and n}
    streak = streak_until(max(studied), studied).days if studied else 0
    return {
        "cards": cards,
        "held": held_back(cards, last_answers, versions),
        "log": {each.id: entry_of(each, versions) for each in made},
        "days": +days,
        "learned": sum(n for (_, name), n in days.items() if name == "introduced"),
        "streak": (streak, max(studied).isoformat() if studied else ""),
    }


def held_back(
    cards: dict[str, Memory], last_answers: dict[str, datetime], versions: Versions
) -> dict[str, Any]:
    """The leeches, the leeches that are suspended, and the cards buried today with their burier."""
    by = {id_: versions.at(at) for id_, at in last_answers.items()}
    leeches = {id_ for id_, each in by.items() if cards[id_].lapses >= each.leech_threshold}
    suspended = {id_ for id_ in leeches if by[id_].leech_action == "suspend"}
    ends = {
        id_: calendar.end(calendar.day(at))
        for id_ in SIBLINGS
        if (at := cards[id_].last_review_at) and (calendar := versions.calendar(at))
    }
    studied = {id_: end for id_, end in ends.items() if end > NOW}
    burying = [
        end
        for id_, end in studied.items()
        if versions.at(cards[id_].last_review_at or NOW).bury_siblings
    ]
    ends_at = max(burying, default=NOW)
    buried = {
        id_
        for id_ in set(SIBLINGS) - studied.keys() - suspended
        if cards[id_].state in (State.NEW, State.REVIEW) and cards[id_].due_at < ends_at
    }
    return {
        id_: (
            id_ in leeches,
            "leech" if id_ in suspended else None,
            *(("sibling", ends_at) if burying and id_ in buried else (None, None)),
        )
        for id_ in CARDS
    }


def found(learner_id: str) -> dict[str, Any]:
    """The state in the table."""
    days = Counter[tuple[date, str]]()
    for day in Day.all_of(learner_id):
        numbers = {name: int(value["N"]) for name, value in day.raw.items() if "N" in value}
        days.update({(day.on, name): n for name, n in numbers.items()})
    progress = Item.get_or_none(learner_key(learner_id), Progress.SK)
    log = [row for card_id in CARDS for row in LogEntry.of_card(learner_id, card_id)]
    assert [row.id for row in log] == list(dict.fromkeys(row.id for row in log))
    cards = {card_id: Card.of(learner_id, card_id) for card_id in CARDS}
    tallied = Counter(
        name for card in cards.values() if card for name in card.counted_in_totals.split()
    )
    totals = progress.raw if isinstance(progress, Progress) else {}
    assert tallied == {name: int(totals.get(name, {"N": 0})["N"]) for name in tallied}
    return {
        "cards": {card_id: card.memory for card_id, card in cards.items() if card},
        "held": {
            card_id: (card.leech, card.suspended_by, card.buried_by, card.buried_until)
            for card_id, card in cards.items()
            if card
        },
        "log": {row.id: row.to_entry() for row in log},
        "days": +days,
        "learned": int(progress.cards_learned) if isinstance(progress, Progress) else 0,
        "streak": (
            (int(progress.streak_days), progress.studied_on)
            if isinstance(progress, Progress)
            else (0, "")
        ),
    }


def comes_to_the_sorted_state(
    delivery: tuple[list[Submission], list[list[Submission]]],
) -> None:
    made, batches = delivery
    learner_id = str(uuid4())
    put_cards(learner_id)
    seen: set[str] = set()
    for batch in batches:
        outcomes = submit(learner_id=learner_id, submissions=batch, now=NOW)
        for sent, outcome in zip(batch, outcomes, strict=True):
            assert outcome.status == ("duplicate" if sent.id in seen else "applied")
            seen.add(sent.id)
    assert found(learner_id) == wanted(made)


@tried(300)
@given(delivery=deliveries())
def test_any_delivery_of_two_devices_entries_comes_to_the_sorted_state(
    memory: MemoryTable, delivery: tuple[list[Submission], list[list[Submission]]]
) -> None:
    comes_to_the_sorted_state(delivery)


Timeline = tuple[list[Submission], list[Change], list[list[Submission]]]


@tried(200)
@given(timeline=timelines())
def test_whether_reviews_come_before_or_after_changes_of_settings_makes_no_difference(
    memory: MemoryTable, timeline: Timeline
) -> None:
    made, changes, arriving = timeline
    learner_id = str(uuid4())
    put_cards(learner_id)
    for number, batch in enumerate(arriving):
        if batch:
            outcomes = submit(learner_id=learner_id, submissions=batch, now=NOW)
            assert {outcome.status for outcome in outcomes} == {"applied"}
        if number < len(changes):
            change_settings(learner_id, changes[number])
    assert found(learner_id) == wanted(made, changes)


FAULTS = ["TransactionConflict", "ThrottlingException", ReadTimeoutError(endpoint_url="")]


@tried(100)
@given(delivery=deliveries(), data=st.data())
def test_conflicts_throttling_and_lost_answers_lose_and_double_nothing(
    memory: MemoryTable,
    delivery: tuple[list[Submission], list[list[Submission]]],
    data: st.DataObject,
) -> None:
    made, batches = delivery
    learner_id = str(uuid4())
    left = data.draw(st.lists(st.sampled_from(FAULTS), max_size=6))

    def fault(operation: str) -> Any:
        return left.pop() if left and operation == "TransactWriteItems" else None

    memory.fault = lambda _: None
    put_cards(learner_id)
    memory.fault = fault
    for batch in batches:
        while True:  # a device sends again until it is answered
            try:
                outcomes = submit(learner_id=learner_id, submissions=batch, now=NOW)
            except ServiceUnavailable:
                continue
            assert all(outcome.status != "rejected" for outcome in outcomes)
            break
    memory.fault = lambda _: None
    assert found(learner_id) == wanted(made)


@tried(60)
@given(delivery=deliveries())
def test_devices_that_write_between_anothers_read_and_write_converge_as_well(
    memory: MemoryTable, delivery: tuple[list[Submission], list[list[Submission]]]
) -> None:
    made, batches = delivery
    learner_id = str(uuid4())
    waiting = list(batches)

    def send_next() -> None:
        if waiting:
            submit(learner_id=learner_id, submissions=waiting.pop(), now=NOW)

    def fault(operation: str) -> None:
        if operation == "TransactWriteItems":
            send_next()

    memory.fault = lambda _: None
    put_cards(learner_id)
    memory.fault = fault
    while waiting:
        send_next()
    assert found(learner_id) == wanted(made)


def reviewed(card: int, day: int, id_: str) -> Submission:
    at = START + timedelta(days=day)
    return Submission(id=id_, card_id=CARDS[card], at=at, rating=Rating.GOOD)


def voided(card: int, day: int, target_id: str) -> Submission:
    at = START + timedelta(days=day, hours=1)
    return Submission(
        id=f"no-{target_id}", card_id=CARDS[card], at=at, kind="void", target_id=target_id
    )


BEFORE = [reviewed(0, 0, "a"), reviewed(0, 3, "b")]
RACES = {
    "two gaps of the past are filled": ([reviewed(0, 1, "c")], [reviewed(1, 2, "d")]),
    "two new days begin": ([reviewed(0, 5, "c")], [reviewed(1, 4, "d")]),
    "a day's only review is undone while it gets another": (
        [voided(0, 3, "b")],
        [reviewed(1, 3, "c")],
    ),
    "a day gets another review while its only one is undone": (
        [reviewed(1, 3, "c")],
        [voided(0, 3, "b")],
    ),
    "both reviews of a day are undone": (
        [voided(0, 3, "b")],
        [reviewed(1, 3, "c"), voided(1, 3, "c")],
    ),
}


@pytest.mark.parametrize("race", RACES.values(), ids=RACES)
def test_the_streak_is_right_when(
    memory: MemoryTable, race: tuple[list[Submission], list[Submission]]
) -> None:
    one, other = race
    learner_id = str(uuid4())
    interrupting = [*other]

    def interrupt(operation: str) -> None:
        if operation == "TransactWriteItems":
            while interrupting:
                submit(learner_id=learner_id, submissions=[interrupting.pop(0)], now=NOW)

    put_cards(learner_id)
    submit(learner_id=learner_id, submissions=BEFORE, now=NOW)
    memory.fault = interrupt
    submit(learner_id=learner_id, submissions=one, now=NOW)
    assert found(learner_id) == wanted([*BEFORE, *one, *other])


def test_a_sibling_that_is_moved_while_a_card_is_studied_is_buried(memory: MemoryTable) -> None:
    """Neither device writes the card that the other one moves."""
    learner_id = str(uuid4())
    put_cards(learner_id)
    easy = replace(reviewed(1, 399, "a"), rating=Rating.EASY)  # due in a week: it waits for nobody
    today = replace(reviewed(0, 400, "b"), at=NOW)
    moved = Submission(id="c", card_id=CARDS[1], at=NOW, kind="reschedule", due_at=NOW)
    interrupting = [moved]

    def interrupt(operation: str) -> None:
        if operation == "TransactWriteItems" and interrupting:
            submit(learner_id=learner_id, submissions=[interrupting.pop()], now=NOW)

    submit(learner_id=learner_id, submissions=[easy], now=NOW)
    memory.fault = interrupt
    submit(learner_id=learner_id, submissions=[today], now=NOW)
    assert found(learner_id) == wanted([easy, today, moved])
    assert found(learner_id)["held"][CARDS[1]][2] == "sibling"


def test_two_undone_reviews_of_one_day_end_it(memory: MemoryTable) -> None:
    """Each of the two believes that the other review stays."""
    learner_id = str(uuid4())
    before = [*BEFORE, reviewed(1, 3, "c")]
    interrupting = [voided(1, 3, "c")]

    def interrupt(operation: str) -> None:
        if operation == "TransactWriteItems" and interrupting:
            submit(learner_id=learner_id, submissions=[interrupting.pop()], now=NOW)

    put_cards(learner_id)
    submit(learner_id=learner_id, submissions=before, now=NOW)
    memory.fault = interrupt
    submit(learner_id=learner_id, submissions=[voided(0, 3, "b")], now=NOW)
    assert found(learner_id) == wanted([*before, voided(0, 3, "b"), voided(1, 3, "c")])
