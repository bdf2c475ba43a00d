"""Wire shapes of the queue, of reviews and of the scheduler's settings."""

from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from config.pagination import ListQuery
from config.serializers import (
    Boolean,
    Id,
    Instant,
    Integer,
    Number,
    Query,
    Serializer,
    wire_name,
)
from learning.api.serializers import STATES, CardId, CardShape
from learning.fsrs import DEFAULT_WEIGHTS
from learning.models.log import LogEntry
from learning.scheduling import (
    INTERVAL_RANGE,
    MAX_STEPS,
    RETENTION_RANGE,
    STEP_RANGE_S,
    Rating,
)
from learning.serializers.batches import ItemProblemShape, OneByOne

RATINGS = [rating.wire for rating in Rating]
OPTIMIZATION_STATES = ["never", "running", "adopted", "kept", "tooFew", "failed"]
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


EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class Moment(Instant):
    """An instant that a calendar of today can place, 1970 to 2199."""

    def to_internal_value(self, value: Any) -> datetime:
        at = super().to_internal_value(value)
        if not EARLIEST <= at < LATEST:
            raise serializers.ValidationError("Give an instant from 1970 to 2199.", "out_of_range")
        return at


class NewReviewShape(Serializer):
    """`reviewedAt` may be long past, and at most five minutes ahead of our clock."""

    samples = {"rating": "good", "reviewedAt": "2026-11-21T09:00:00Z", "durationMs": 4200}

    id = Id(help_text="Made by the client: a review sent twice counts once")
    rating = serializers.ChoiceField(RATINGS)
    reviewed_at = Moment()
    duration_ms = Integer(min_value=0, max_value=3_600_000, default=0)


class ReviewShape(Serializer):
    """A line of the study log; `kind` is `review` but for what only moves a card."""

    samples = {
        "kind": "review",
        "rating": "good",
        "reviewedAt": "2026-11-21T09:00:00Z",
        "durationMs": 4200,
        "studiedOn": "2026-11-21",
        "dueAt": None,
        "targetId": None,
    }

    id = Id()
    card_id = CardId()
    kind = serializers.ChoiceField(KINDS, source="entry")
    rating = serializers.SerializerMethodField()
    reviewed_at = Instant(source="at")
    duration_ms = Integer(allow_null=True)
    studied_on = serializers.DateField(help_text="The learner's own day")
    due_at = Instant(allow_null=True, help_text="Where a reschedule put the card")
    target_id = Id(allow_null=True, help_text="The entry that a void undoes")

    @extend_schema_field(serializers.ChoiceField(RATINGS, allow_null=True))
    def get_rating(self, entry: LogEntry) -> str | None:
        return None if entry.rating is None else Rating(int(entry.rating)).wire


class ReviewedShape(Serializer):
    review = ReviewShape()
    card = CardShape()


class ActShape(Serializer):
    id = Id(help_text="Made by the client: sent twice it acts once")


class UndoShape(ActShape):
    target_id = Id(
        default=None, allow_null=True, help_text="The entry to undo; by default the newest"
    )


class RescheduleShape(ActShape):
    due_at = Moment()


NEEDED = {"review": "rating", "reschedule": "dueAt", "void": "targetId", "reset": None}


class NewEntryShape(Serializer):
    """An entry of the log: a review needs `rating`, a reschedule `dueAt`, a void `targetId`."""

    samples = {
        "kind": "review",
        "reviewedAt": "2026-11-21T09:00:00Z",
        "rating": "good",
        "durationMs": 4200,
    }

    id = Id(help_text="Made by the client: an entry sent twice counts once")
    card_id = CardId()
    kind = serializers.ChoiceField(list(NEEDED), default="review")
    reviewed_at = Moment(source="at")
    rating = serializers.ChoiceField(RATINGS, required=False)
    duration_ms = Integer(min_value=0, max_value=3_600_000, default=0)
    due_at = Moment(required=False)
    target_id = Id(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        needed = NEEDED[attrs["kind"]]
        for name in filter(None, NEEDED.values()):
            given = self.fields[name].source in attrs
            if given != (name == needed):
                said = "An entry of this kind has no such field." if given else "Needed here."
                raise serializers.ValidationError(
                    {
                        name: [
                            serializers.ErrorDetail(said, "unknown_field" if given else "required")
                        ]
                    }
                )
        return attrs


class BatchShape(Serializer):
    reviews = OneByOne(child=NewEntryShape(), min_length=1, max_length=100)


class EntryOutcomeShape(Serializer):
    id = serializers.CharField(allow_null=True, help_text="As it was sent")
    status = serializers.ChoiceField(["applied", "duplicate", "rejected"])
    problem = ItemProblemShape(allow_null=True)


class BatchOutcomeShape(Serializer):
    """What became of each entry, in the order sent, and the cards as they are now."""

    results = EntryOutcomeShape(many=True)
    cards = CardShape(many=True)


class ReviewQuery(ListQuery):
    card_id = CardId(required=False)


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
    leech_threshold = Integer(
        min_value=0,
        max_value=999,
        help_text="Lapses that make a leech; acts again at each half more, 0 never",
    )
    leech_action = serializers.ChoiceField(
        ["tag", "suspend"], help_text="Mark a leech as `leech`, or suspend it as well"
    )
    bury_siblings = Boolean(help_text="Show only one card of a note a day")
    day_starts_at_hour = Integer(min_value=0, max_value=23)
    new_cards_per_day = Integer(min_value=0, max_value=9999)
    reviews_per_day = Integer(min_value=0, max_value=9999)
    weights = serializers.SerializerMethodField(help_text="FSRS-6, fitted or the default ones")
    version = Integer(source="number", read_only=True, help_text="For If-Match")

    def get_weights(self, scheduler: Any) -> list[float]:
        return list(scheduler.weights or DEFAULT_WEIGHTS)


class OptimizationShape(Serializer):
    """The last fit of the weights. Losses are log losses on the answers held out: lower is better.
    `tooFew` answers are under 400; `kept` means that the fit was no better than the weights."""

    status = serializers.SerializerMethodField()
    started_at = Instant(allow_null=True)
    finished_at = Instant(allow_null=True)
    trained_on = Integer(allow_null=True, help_text="Answers, the older four fifths")
    held_out = Integer(allow_null=True, help_text="Answers, the newer fifth")
    loss_before = Number(allow_null=True)
    loss_after = Number(allow_null=True)
    settings_version = Integer(allow_null=True, help_text="Of the settings with these weights")

    @extend_schema_field(serializers.ChoiceField(OPTIMIZATION_STATES))
    def get_status(self, found: Any) -> str:
        return wire_name(found.status)
