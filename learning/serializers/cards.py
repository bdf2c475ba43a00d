"""Wire shapes of decks and cards."""

from typing import Any

from rest_framework import serializers

from config.pages import ListQuery
from config.serializers import (
    ULID_OR_UUID,
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
    wire_name,
)
from learning.scheduling import (
    RETENTION_RANGE,
    State,
)

STATES = [state.value for state in State]
CARD_ID = rf"(?:{ULID_OR_UUID})(?:\.(?:0|[1-9][0-9]{{0,2}}))?"
LANGUAGE_TAG = r"[a-zA-Z]{2,3}(?:-[a-zA-Z0-9]{2,8})*"


class CardId(Pattern):
    """A card's id: its note's, and behind a dot which of the note's cards it is, from 0."""

    sample = "0b7a4b8e-5a40-4a43-8f0a-1d0c2c9f6a10"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(CARD_ID, "Give the id of a card.", max_length=40, **kwargs)


class Language(Pattern):
    """A language tag (BCP 47), e.g. `es` or `pt-BR`."""

    sample = "pt-BR"

    def __init__(self, **kwargs: Any) -> None:
        message = "Give a language tag, e.g. es or pt-BR."
        super().__init__(LANGUAGE_TAG, message, max_length=35, **kwargs)


class Tags(serializers.ListField):
    """Up to 20 tags; one given twice is kept once."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=Text(max_length=50), max_length=20, **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> list[str]:
        return list(dict.fromkeys(super().run_validation(data)))


def _optional(field: type[serializers.Field[Any, Any, Any, Any]], **kwargs: Any) -> Any:
    return field(default=None, allow_null=True, **kwargs)


class DeckShape(Serializer):
    """A set of cards. Limits and retention of null leave the learner's own in force."""

    samples = {
        "name": "Português",
        "description": "Words of the first year",
        "nativeLanguage": "en",
        "targetLanguage": "pt-PT",
        "newCardsPerDay": 10,
        "reviewsPerDay": None,
        "desiredRetention": 0.9,
        "version": 1,
    }

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
    """What becomes of the deck's cards. Needed where it has any; `moveTo` goes before `cards`."""

    move_to = Id(required=False, help_text="The deck that takes them")
    cards = serializers.ChoiceField(["delete"], required=False, help_text="Delete them as well")


class CardShape(Serializer):
    """A study item. Stability is in days, difficulty 1–10; a new card has neither."""

    samples = {
        "ordinal": 0,
        "front": "casa",
        "back": "house",
        "phonetic": "ˈka.zɐ",
        "example": "A casa é azul.",
        "notes": None,
        "tags": ["substantivo"],
        "audioUrl": None,
        "imageUrl": None,
        "sourceSessionId": None,
        "sourceTurn": None,
        "state": "review",
        "step": None,
        "stability": 7.2,
        "difficulty": 4.9,
        "dueAt": "2026-11-28T09:00:00Z",
        "intervalDays": 7,
        "lastReviewAt": "2026-11-21T09:00:00Z",
        "reps": 3,
        "lapses": 0,
        "suspended": False,
        "suspendedBy": None,
        "leech": False,
        "buriedUntil": None,
        "version": 4,
    }

    id = CardId(read_only=True)
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
    suspended_by = serializers.ChoiceField(["learner", "leech"], read_only=True, allow_null=True)
    leech = Boolean(read_only=True, help_text="Forgotten so often that it needs another form")
    buried_until = Instant(read_only=True, allow_null=True)
    created_at = Instant(read_only=True, source="written_at")
    updated_at = Instant(read_only=True, source="changed_at")
    version = Integer(read_only=True, help_text="For If-Match: counts edits, not reviews")


class NewCardShape(CardShape):
    id = Id(  # type: ignore[assignment]
        required=False, help_text="Made by the client, so that sending again is safe"
    )


class CardQuery(ListQuery):
    deck_id = Id(required=False)
    tag = Text(max_length=50, required=False)
    state = serializers.ChoiceField(STATES, required=False)
    front = Text(max_length=80, required=False, help_text="Begins with, whatever the case")
    q = Text(
        max_length=400,
        required=False,
        help_text="A search in place of all others, e.g. `tag:verbs is:due prop:lapses>3`: "
        "`deck:`, `tag:`, `is:` due, new, learning, review, suspended, leech or buried, `prop:` "
        "lapses, reps, stability or difficulty; `-` before a term turns it round, and what is no "
        "term is how the front begins",
    )
    suspended = Boolean(required=False)
    leech = Boolean(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        others = attrs.keys() - {"q", "limit", "cursor"}
        if "q" in attrs and others:
            said = serializers.ErrorDetail("Put this into the search.", "not_with_q")
            raise serializers.ValidationError({wire_name(name): [said] for name in sorted(others)})
        return attrs
