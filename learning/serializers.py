"""Wire shapes of learning."""

from typing import Any

from rest_framework import serializers

from config.pages import ListQuery
from config.serializers import (
    Boolean,
    HttpsUrl,
    Id,
    Instant,
    Integer,
    Number,
    Pattern,
    Query,
    Serializer,
    Text,
)
from learning.fsrs import DEFAULT_WEIGHTS
from learning.models import LogEntry
from learning.scheduling import (
    INTERVAL_RANGE,
    MAX_STEPS,
    RETENTION_RANGE,
    STEP_RANGE_S,
    Rating,
    State,
)

RATINGS = [rating.wire for rating in Rating]
STATES = [state.value for state in State]
KINDS = ["review", "reset", "reschedule", "baseline", "void"]
LANGUAGE_TAG = r"[a-zA-Z]{2,3}(?:-[a-zA-Z0-9]{2,8})*"


class Language(Pattern):
    """A language tag (BCP 47), e.g. `es` or `pt-BR`."""

    def __init__(self, **kwargs: Any) -> None:
        message = "Give a language tag, e.g. es or pt-BR."
        super().__init__(LANGUAGE_TAG, message, max_length=35, **kwargs)


class Tags(serializers.ListField):
    """Up to 20 tags; one given twice is kept once."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=Text(max_length=50), max_length=20, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        return list(dict.fromkeys(super().to_internal_value(data)))


def _optional(field: type[serializers.Field[Any, Any, Any, Any]], **kwargs: Any) -> Any:
    return field(default=None, allow_null=True, **kwargs)


class DeckShape(Serializer):
    """A set of cards. Limits and retention of null leave the learner's own in force."""

    id = Id(read_only=True)
    name = Text(max_length=100)
    description = Text(max_length=1000, default="", allow_blank=True)
    native_language = _optional(Language)
    target_language = _optional(Language)
    new_cards_per_day = _optional(Integer, min_value=0, max_value=9999)
    reviews_per_day = _optional(Integer, min_value=0, max_value=9999)
    desired_retention = _optional(
        Number, min_value=RETENTION_RANGE[0], max_value=RETENTION_RANGE[1]
    )
    created_at = Instant(read_only=True)
    updated_at = Instant(read_only=True)
    version = Integer(read_only=True, help_text="For If-Match")


class NewDeckShape(DeckShape):
    id = Id(required=False, help_text="Made by the client, so that sending again is safe")


class DeckDeletion(Query):
    """What becomes of the deck's cards. Needed where it has any."""

    cards = serializers.ChoiceField(["delete", "move"], required=False)
    move_to = Id(required=False, help_text="The deck that takes them, with `cards=move`")


class CardShape(Serializer):
    """A study item. Stability is in days, difficulty 1–10; a new card has neither."""

    id = Id(read_only=True)
    note_id = Id(read_only=True)
    ordinal = Integer(read_only=True, help_text="Which of its note's cards this is, from 0")
    deck_id = Id()
    front = Text(max_length=2000)
    back = Text(max_length=5000)
    phonetic = _optional(Text, max_length=200)
    example = _optional(Text, max_length=2000)
    notes = _optional(Text, max_length=5000)
    tags = Tags(default=list)
    audio_url = _optional(HttpsUrl)
    image_url = _optional(HttpsUrl)
    source_session_id = _optional(Id)
    source_turn = _optional(Integer, min_value=1, max_value=9999)
    state = serializers.ChoiceField(STATES, read_only=True)
    step = Integer(read_only=True, allow_null=True)
    stability = Number(read_only=True, allow_null=True)
    difficulty = Number(read_only=True, allow_null=True)
    due_at = Instant(read_only=True)
    interval_days = Integer(read_only=True, source="memory.interval_days")
    last_review_at = Instant(read_only=True, allow_null=True)
    reps = Integer(read_only=True)
    lapses = Integer(read_only=True)
    suspended = Boolean(read_only=True)
    leech = Boolean(read_only=True)
    created_at = Instant(read_only=True)
    updated_at = Instant(read_only=True)
    version = Integer(read_only=True, help_text="For If-Match")


class NewCardShape(CardShape):
    id = Id(required=False, help_text="Made by the client, so that sending again is safe")


class CardQuery(ListQuery):
    deck_id = Id(required=False)
    tag = Text(max_length=50, required=False)
    state = serializers.ChoiceField(STATES, required=False)
    front = Text(max_length=80, required=False, help_text="Begins with, whatever the case")
    suspended = Boolean(required=False)
    leech = Boolean(required=False)


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
