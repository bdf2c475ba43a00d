"""How study goes: from the counters that reviews keep, never by looking at all cards or reviews."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from accounts.models.head import TOTALS
from config.records import dataclass
from config.store.items import batch_get
from learning.days import CLOCK_CHANGE, ONE_DAY, due_on
from learning.models.cards import Card
from learning.models.log import Day
from learning.services.study_context import StudyContext

FORECAST_DAYS = 30
FORECAST_CARDS = 1_000  # read for the forecast at most, whatever the backlog
RETENTION_DAYS = {"week": 7, "month": 30, "year": 365}


@dataclass(frozen=True)
class DayCount:
    """One of the learner's days, and how many reviews it has or will have."""

    on: date
    reviews: int
    duration_ms: int = 0


@dataclass(frozen=True)
class Retention:
    """Reviews of known cards in a span: what share was remembered, and what share was expected.

    None where there was no such review.
    """

    reviews: int
    remembered: float | None
    expected: float | None
    mature_reviews: int
    mature_remembered: float | None


@dataclass(frozen=True)
class Statistics:
    """The forecast is exact up to `forecast_until`: beyond, only the first 1,000 due cards count.

    What is overdue is due today, what is buried on the day its burial ends.
    """

    today: date
    totals: dict[str, int]
    streak_days: int
    longest_streak_days: int
    cards_learned: int
    retention: dict[str, Retention]
    ratings: dict[str, int]
    duration_ms: dict[str, int]
    heatmap: list[DayCount]
    forecast: list[DayCount]
    forecast_until: date


def read_statistics(*, learner_id: str, days: int, now: datetime) -> Statistics:
    """The statistics of the last `days` (1-366) and the next 30, in the learner's own days.

    One read and two queries: of the days, and of at most 1,000 cards that come due.
    """
    stored = batch_get(*StudyContext.keys(learner_id))
    study = StudyContext.of(learner_id, stored)
    head = study.head
    today = study.calendar.day(now)
    first = today - timedelta(days=max(days, 366) - 1)
    studied = Day.between(head, first, today)
    shown = [day for day in studied if day.on > today - timedelta(days=days)]
    forecast, until = _forecast(learner_id, study, now)
    return Statistics(
        today=today,
        totals={name: int(getattr(head, name)) for name in TOTALS},
        streak_days=head.streak(today),
        longest_streak_days=max(_longest(studied), head.streak(today)),
        cards_learned=int(head.cards_learned),
        retention={
            name: _retention([day for day in studied if day.on > today - timedelta(days=span)])
            for name, span in RETENTION_DAYS.items()
        },
        ratings={
            name: sum(day.count_of(name) for day in shown)
            for name in ("again", "hard", "good", "easy")
        },
        duration_ms={
            "today": _duration_ms(studied, today, 1),
            **{name: _duration_ms(studied, today, n) for name, n in RETENTION_DAYS.items()},
        },
        heatmap=[
            DayCount(day.on, day.count_of("reviews"), day.count_of("duration_ms"))
            for day in shown
            if day.count_of("reviews")
        ],
        forecast=forecast,
        forecast_until=until,
    )


@dataclass(frozen=True)
class Week:
    """A learner's last seven days. `hard` are fronts of cards that were forgotten most often."""

    reviews: int
    days: int
    minutes: int
    remembered: float | None
    streak_days: int
    hard: tuple[str, ...]


HARD_CARDS, HARD_LAPSES = 3, 2


def read_week(study: StudyContext, *, now: datetime) -> Week:
    """How the last seven days went: a query of the days, one of cards to come and their notes.

    What is hard is looked for among the hundred cards that come up first: such cards come often.
    """
    learner_id, today = study.head.learner_id, study.calendar.day(now)
    days = Day.between(study.head, today - timedelta(days=6), today)
    before = study.calendar.end(today + timedelta(days=7))
    coming = Card.due_before(learner_id, before=before, limit=100).items
    hard = [card for card in coming if card.memory.lapses >= HARD_LAPSES]
    hard.sort(key=lambda card: card.memory.lapses, reverse=True)
    return Week(
        reviews=sum(day.count_of("reviews") for day in days),
        days=sum(1 for day in days if day.count_of("reviews")),
        minutes=round(sum(day.count_of("duration_ms") for day in days) / 60_000),
        remembered=_retention(days).remembered,
        streak_days=study.head.streak(today),
        hard=tuple(card.front for card in Card.join(learner_id, hard[:HARD_CARDS])),
    )


def _forecast(learner_id: str, study: StudyContext, now: datetime) -> tuple[list[DayCount], date]:
    """How many reviews come due on each of the next days, and up to which day that is all."""
    today = study.calendar.day(now)
    last = today + timedelta(days=FORECAST_DAYS - 1)
    before = study.calendar.end(last) + CLOCK_CHANGE
    page = Card.due_before(learner_id, before=before, limit=FORECAST_CARDS)
    due = Counter(_comes_on(card, study, now) for card in page.items)
    until = max(due) - ONE_DAY if page.next_key and due else last
    counted = [DayCount(today + timedelta(days=n), 0) for n in range(FORECAST_DAYS)]
    return [DayCount(day.on, due[day.on]) for day in counted], max(until, today)


def _comes_on(card: Card, study: StudyContext, now: datetime) -> date:
    """The first of the learner's days, from today on, on which a review is to be studied."""
    earliest = card.buried_until if card.is_buried(now) and card.buried_until else now
    return max(due_on(card.memory, study.calendar), study.calendar.day(earliest))


def _retention(days: Sequence[Day]) -> Retention:
    sums = Counter[str]()
    names = ("reviewed", "lapsed", "expected_permille", "mature_reviewed", "mature_lapsed")
    for day in days:
        sums.update({name: day.count_of(name) for name in names})
    reviews, mature = sums["reviewed"], sums["mature_reviewed"]
    return Retention(
        reviews=reviews,
        remembered=1 - sums["lapsed"] / reviews if reviews else None,
        expected=sums["expected_permille"] / 1000 / reviews if reviews else None,
        mature_reviews=mature,
        mature_remembered=1 - sums["mature_lapsed"] / mature if mature else None,
    )


def _duration_ms(studied: Sequence[Day], today: date, days: int) -> int:
    since = today - timedelta(days=days)
    return sum(day.count_of("duration_ms") for day in studied if day.on > since)


def _longest(studied: Sequence[Day]) -> int:
    """The longest run of studied days."""
    longest, run, before = 0, 0, None
    for day in studied:
        if day.count_of("reviews") <= 0:
            continue
        run = run + 1 if before == day.on - ONE_DAY else 1
        longest, before = max(longest, run), day.on
    return longest
