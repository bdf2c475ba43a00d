"""The queue of the learner's day, and the cards held back from it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from datetime import date, datetime
from typing import ClassVar

from accounts.services.changes import commit
from config.problems import NotFound
from config.records import dataclass
from config.store.connection import retried
from config.store.items import ConditionFailed, Item, batch_get
from config.store.transactions import Put
from learning.days import CLOCK_CHANGE, due_on
from learning.models.cards import Card
from learning.models.log import Day, TornRead
from learning.scheduling import Memory, Settings, leech_level, preview, retrievability
from learning.services.progress import totals_with
from learning.services.study_context import StudyContext

WINDOW = 100  # cards read of each queue, whatever the backlog
COUNTED = WINDOW  # a count this high means "100 or more"


@dataclass(frozen=True)
class DueCard:
    """A card to study, and its memory after each answer (`again`, `hard`, `good`, `easy`)."""

    card: Card
    answers: dict[str, Memory]
    retrievability: float


@dataclass(frozen=True)
class Place:
    """A card's place in the queue as it was at an instant; group and key sort as the queue does."""

    at: datetime
    group: str
    key: str
    card_id: str


@dataclass(frozen=True)
class DueQueue:
    """The cards to study now, in order. Counts are within the day's limits; 100 means 100 or more.

    `next_learning_at` is when the next card in learning comes up, if one waits. `last` is the place
    at which the page ended, if more follow.
    """

    cards: list[DueCard]
    last: Place | None
    learning: int
    review: int
    new: int
    next_learning_at: datetime | None
    day_ends_at: datetime


def due_queue(
    *,
    learner_id: str,
    deck_id: str | None,
    limit: int,
    now: datetime,
    after: Place | None = None,
    stored: Mapping[tuple[str, str], Item] | None = None,
) -> DueQueue:
    """(Re)learning cards whose step has passed, then reviews of the learner's day, the one most
    likely forgotten first, then new cards as they were made, within the day's limits.

    The cards behind `after` are in the order of its instant; cards that came up since are at the
    beginning. One read (none if `stored` has the items), at most three queries, each of a fixed
    window, and one read of the cards' texts.
    """
    if stored is None:
        stored = batch_get(*StudyContext.keys(learner_id))
    study = StudyContext.of(learner_id, stored)
    today = study.calendar.day(now)
    day = day_of(study, today)
    ends_at = study.calendar.end(today)
    settings = study.scheduler.settings()

    limits = _DailyLimits(study, day)
    notes = _ShownNotes(study.scheduler.bury_siblings)

    steps = Card.queue(learner_id, "L", before=ends_at, deck_id=deck_id, limit=WINDOW)
    steps = [card for card in steps if not card.is_buried(now)]
    asked_at = after.at if after else now
    learning = [card for card in steps if card.due_at <= asked_at]
    reviews = new = []
    if limits.left("reviews_per_day", deck_id) > 0:
        before = ends_at + CLOCK_CHANGE
        due = Card.queue(learner_id, "R", before=before, deck_id=deck_id, limit=WINDOW)
        due = [c for c in due if not c.is_buried(now) and due_on(c.memory, study.calendar) <= today]
        due = notes.first_of_each(due)
        reviews = limits.allowed("reviews_per_day", due)
    if limits.left("new_cards_per_day", deck_id) > 0:
        unseen = Card.queue(learner_id, "N", before=ends_at, deck_id=deck_id, limit=WINDOW)
        unseen = [card for card in unseen if not card.is_buried(now)]
        new = limits.allowed("new_cards_per_day", notes.first_of_each(unseen))
    recall = {card.id: retrievability(card.memory, asked_at, settings.weights) for card in reviews}
    reviews.sort(key=lambda card: recall[card.id])
    queue = [
        *((Place(asked_at, "1", str(card.lsi1), card.id), card) for card in learning),
        *((Place(asked_at, "2", f"{recall[card.id]:.17f}", card.id), card) for card in reviews),
        *((Place(asked_at, "3", str(card.lsi1), card.id), card) for card in new),
    ]
    rest = queue if after is None else _following(queue, after)
    shown = rest[:limit]
    return DueQueue(
        cards=[
            _due(card, study, settings, now)
            for card in Card.join(learner_id, [card for _, card in shown])
        ],
        last=shown[-1][0] if shown and len(rest) > limit else None,
        learning=min(len(learning), COUNTED),
        review=min(len(reviews), COUNTED),
        new=min(len(new), COUNTED),
        next_learning_at=min((card.due_at for card in steps if card.due_at > now), default=None),
        day_ends_at=ends_at,
    )


def _following(queue: list[tuple[Place, Card]], after: Place) -> list[tuple[Place, Card]]:
    """The part of a queue behind a card, even if an answer has taken the card out since."""
    for number, (place, _) in enumerate(queue):
        if place.card_id == after.card_id:
            return queue[number + 1 :]
    return [each for each in queue if (each[0].group, each[0].key) >= (after.group, after.key)]


def day_of(study: StudyContext, today: date) -> Day:
    """The counters of the learner's present day, which the head has.

    If the head's day lies ahead (by a fast clock, or a zone that moved west), one read more.
    """
    head = study.head
    if head.day > today.isoformat():
        key = Day.key(head.learner_id, today)
        day = batch_get(key).get(key)
        return day if isinstance(day, Day) else Day(*key)
    newest = Day.of_head(head)
    same = newest is not None and newest.on == today
    return newest if same and newest else Day.holding(head.learner_id, today, {})


@dataclass
class _ShownNotes:
    """Which notes are shown already: with `bury_siblings` each shows one card a day."""

    bury_siblings: bool
    shown: set[str] = field(default_factory=set)

    def first_of_each(self, cards: Sequence[Card]) -> list[Card]:
        """The cards whose note is not shown yet."""
        chosen: list[Card] = []
        for card in cards:
            if self.bury_siblings and card.has_siblings and card.note_id in self.shown:
                continue
            self.shown.add(card.note_id)
            chosen.append(card)
        return chosen


@dataclass(frozen=True)
class _DailyLimits:
    """The cards that the day's limits still allow: the learner's limits and each deck's own."""

    study: StudyContext
    day: Day

    COUNTERS: ClassVar = {"new_cards_per_day": "introduced", "reviews_per_day": "reviewed"}

    def left(self, option: str, deck_id: str | None) -> int:
        """How many more cards there may be, of one deck or of all."""
        counter = self.COUNTERS[option]
        whole = int(getattr(self.study.scheduler, option)) - self.day.count_of(counter)
        own = self.study.scheduler.deck_option(deck_id, option) if deck_id else None
        return whole if own is None else min(whole, own - self.day.count_of(counter, deck_id))

    def allowed(self, option: str, cards: Sequence[Card]) -> list[Card]:
        """The first cards that stay within all limits."""
        whole = self.left(option, None)
        left = {deck_id: self.left(option, deck_id) for deck_id in {c.deck_id for c in cards}}
        chosen: list[Card] = []
        for card in cards:
            if len(chosen) < whole and left[card.deck_id] > 0:
                left[card.deck_id] -= 1
                chosen.append(card)
        return chosen


def _due(card: Card, study: StudyContext, settings: Settings, now: datetime) -> DueCard:
    own = study.scheduler.deck_option(card.deck_id, "desired_retention")
    answers = preview(
        card.memory,
        at=now,
        settings=settings if own is None else replace(settings, desired_retention=own),
        seed=card.id,
        studied_on=study.calendar.day(now),
    )
    by_name = {rating.wire: memory for rating, memory in answers.items()}
    return DueCard(card, by_name, retrievability(card.memory, now, settings.weights))


# --- Cards held back: suspended until further notice, or buried for the day -----------------------


def suspend(*, learner_id: str, card_id: str, now: datetime) -> Card:
    """Takes a card out of study. Raises NotFound."""

    def change(card: Card, _: StudyContext) -> bool:
        if card.suspended_by == "learner":
            return False
        card.suspend("learner")
        return True

    return _changed(learner_id, card_id, change, now)


def unsuspend(*, learner_id: str, card_id: str, now: datetime) -> Card:
    """Takes a card back into study; a leech stays until its next warning. Raises NotFound."""

    def change(card: Card, study: StudyContext) -> bool:
        if not card.suspended:
            return False
        threshold = int(study.scheduler.leech_threshold)
        card.unsuspend(forgiven_leech_level=leech_level(int(card.lapses), threshold) or None)
        return True

    return _changed(learner_id, card_id, change, now)


def bury(*, learner_id: str, card_id: str, now: datetime) -> Card:
    """Puts a card off until the learner's next day. Raises NotFound."""

    def change(card: Card, study: StudyContext) -> bool:
        until = study.calendar.end(study.calendar.day(now))
        if (card.buried_until, card.buried_by) == (until, "learner"):
            return False
        card.bury(until, "learner")
        return True

    return _changed(learner_id, card_id, change, now)


def unbury(*, learner_id: str, card_id: str, now: datetime) -> Card:
    """Shows a buried card again. Raises NotFound."""

    def change(card: Card, _: StudyContext) -> bool:
        if not card.buried_by:
            return False
        card.unbury()
        return True

    return _changed(learner_id, card_id, change, now)


@retried(ConditionFailed)
def _changed(
    learner_id: str, card_id: str, change: Callable[[Card, StudyContext], bool], now: datetime
) -> Card:
    """Changes a card whatever else happens to it: one read, and one write if it changes."""
    stored = batch_get(*Card.keys(learner_id, card_id), *StudyContext.keys(learner_id))
    card, study = Card.among(learner_id, card_id, stored), StudyContext.of(learner_id, stored)
    if card is None:
        raise NotFound
    if card.note is None:
        raise TornRead
    if change(card, study):
        card.updated_at = now
        card.set_index_keys()
        study.head.add(totals_with(card))
        commit(study.head, Put(card))
    return card
