"""Cards held back from the queue: suspended until further notice, or buried for the day."""

from collections.abc import Callable
from datetime import datetime

from accounts.services.changes import commit
from config.problems import NotFound
from config.store.items import ConditionFailed, batch_get
from config.store.retrying import retried
from config.store.transactions import Put
from learning.models.cards import Card
from learning.models.log import TornRead
from learning.scheduling import leech_level
from learning.services.progress import totals_with
from learning.services.study_context import StudyContext


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
    """Changes a card whatever else happens to it: one read, one write where there is a change."""
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
