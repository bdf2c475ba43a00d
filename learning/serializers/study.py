"""Wire shapes of the queue, of reviews and of the scheduler's settings."""

from typing import Any

from rest_framework import serializers

from config.pages import ListQuery
from config.serializers import (
    Boolean,
    Id,
    Instant,
    Integer,
    Number,
    Query,
    Serializer,
)
from learning.fsrs import DEFAULT_WEIGHTS
from learning.models.log import LogEntry
from learning.scheduling import (
    INTERVAL_RANGE,
    MAX_STEPS,
    RETENTION_RANGE,
    STEP_RANGE_S,
    Rating,
)
from learning.serializers.cards import STATES, CardShape

RATINGS = [rating.wire for rating in Rating]
KINDS = ["review", "reset", "reschedule", "baseline", "void"]


class DueQuery(Query):
    deck_id = Id(required=False)
    limit = Integer(min_value=1, max_value=100, default=20)


class AnswerShape(Serializer):
    due_at = Instant()
    interval_days = Integer()
    state = serializers.ChoiceField(STATES)


class AnswersShape(Serializer):
    """Where each rating would take the card if it were given now."""

    again = AnswerShape()
    hard = AnswerShape()
    good = AnswerShape()
    easy = AnswerShape()


class DueCardShape(Serializer):
    card = CardShape()
    answers = AnswersShape()
    retrievability = Number(help_text="How likely it is remembered, 0–1; 0 for a new card")


class CountsShape(Serializer):
    """Within the day's limits; 100 means 100 or more."""

    learning = Integer()
    review = Integer()
    new = Integer()


class QueueShape(Serializer):
    results = DueCardShape(many=True, source="cards")
    counts = CountsShape(source="*")
    next_learning_at = Instant(allow_null=True)
    day_ends_at = Instant()


class NewReviewShape(Serializer):
    """`reviewedAt` may be long past, and at most five minutes ahead of our clock."""

    id = Id(help_text="Made by the client: a review sent twice counts once")
    rating = serializers.ChoiceField(RATINGS)
    reviewed_at = Instant()
    duration_ms = Integer(min_value=0, max_value=3_600_000, default=0)


class ReviewShape(Serializer):
    """A line of the study log; `kind` is `review` but for what only moves a card."""

    id = Id()
    card_id = Id()
    kind = serializers.ChoiceField(
        ["review", "reset", "reschedule", "baseline", "void"], source="entry"
    )
    rating = serializers.SerializerMethodField()
    reviewed_at = Instant(source="at")
    duration_ms = Integer(allow_null=True)
    studied_on = serializers.DateField(help_text="The learner's own day")

    def get_rating(self, entry: LogEntry) -> str | None:
        return None if entry.rating is None else Rating(int(entry.rating)).wire


class ReviewedShape(Serializer):
    review = ReviewShape()
    card = CardShape()


class ReviewQuery(ListQuery):
    card_id = Id(required=False)


def _steps(source: str) -> Any:
    return serializers.ListField(
        source=source,
        child=Integer(min_value=STEP_RANGE_S[0], max_value=STEP_RANGE_S[1]),
        max_length=MAX_STEPS,
        help_text="Seconds",
    )


class SchedulerShape(Serializer):
    """How cards are scheduled. A change makes a new version; earlier reviews keep theirs."""

    desired_retention = Number(min_value=RETENTION_RANGE[0], max_value=RETENTION_RANGE[1])
    learning_steps = _steps("learning_steps_s")
    relearning_steps = _steps("relearning_steps_s")
    maximum_interval_days = Integer(min_value=INTERVAL_RANGE[0], max_value=INTERVAL_RANGE[1])
    fuzz = Boolean()
    easy_days = serializers.ListField(
        child=Number(min_value=0, max_value=1),
        min_length=7,
        max_length=7,
        help_text="The share of the usual load on Monday to Sunday, 0–1",
    )
    day_starts_at_hour = Integer(min_value=0, max_value=23)
    new_cards_per_day = Integer(min_value=0, max_value=9999)
    reviews_per_day = Integer(min_value=0, max_value=9999)
    weights = serializers.SerializerMethodField(help_text="FSRS-6, fitted or the default ones")
    version = Integer(source="number", read_only=True, help_text="For If-Match")

    def get_weights(self, scheduler: Any) -> list[float]:
        return list(scheduler.weights or DEFAULT_WEIGHTS)
