"""Fields and serializers of learning that several resources use."""

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, get_args, get_origin

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from config.formats import ULID_OR_UUID
from config.http import as_problem
from config.serializers import (
    BooleanField,
    HttpsUrlField,
    IdField,
    InstantField,
    IntegerField,
    ItemProblemSerializer,
    LanguageField,
    NumberField,
    PatternField,
    Serializer,
    TextField,
    optional,
)
from config.store import jobs
from learning.practice.script import LANGUAGE, SLUG, Role
from learning.scheduling import (
    RETENTION_RANGE,
    Rating,
    State,
)
from learning.shapes import Choice, FieldShape, Range, Text, shape_of, unwrap
from learning.transfer.model import LIMITS

FORMATS = ["csv", "json", "apkg"]
STATES = [state.value for state in State]
CARD_ID = rf"(?:{ULID_OR_UUID})(?:\.(?:0|[1-9][0-9]{{0,2}}))?"


class CardIdField(PatternField):
    """A card's id: its note's, and behind a dot which of the note's cards it is, from 0."""

    sample = "0b7a4b8e-5a40-4a43-8f0a-1d0c2c9f6a10"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(CARD_ID, "Give the id of a card.", max_length=40, **kwargs)


class DigestField(PatternField):
    """A SHA-256 in 64 hexadecimal digits."""

    sample = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(r"[0-9a-f]{64}", "Give 64 digits of 0–9 and a–f.", max_length=64, **kwargs)


class SignedUploadSerializer(Serializer):
    """PUT the bytes to `url`, with their length and these headers. Then complete the upload."""

    url = serializers.URLField()
    headers = serializers.DictField(child=serializers.CharField())
    expires_at = InstantField()


class TagsField(serializers.ListField):
    """Up to 100 tags; one given twice is kept once."""

    def __init__(self, **kwargs: Any) -> None:
        child = TextField(max_length=LIMITS.tag_chars)
        super().__init__(child=child, max_length=LIMITS.tags, **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> list[str]:
        return list(dict.fromkeys(super().run_validation(data)))


class DeckSerializer(Serializer):
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

    id = IdField(read_only=True)
    name = TextField(max_length=LIMITS.deck_chars, style={"base_template": "input.html"})
    description = TextField(max_length=1000, default="", allow_blank=True)
    native_language = optional(LanguageField)
    target_language = optional(LanguageField)
    new_cards_per_day = optional(IntegerField, min_value=0, max_value=9999)
    reviews_per_day = optional(IntegerField, min_value=0, max_value=9999)
    desired_retention = optional(
        NumberField, min_value=RETENTION_RANGE[0], max_value=RETENTION_RANGE[1]
    )
    created_at = InstantField(read_only=True)
    updated_at = InstantField(read_only=True)
    version = IntegerField(read_only=True, help_text="For If-Match")


class CardSerializer(Serializer):
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
        "audioId": None,
        "imageId": None,
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

    id = CardIdField(read_only=True)
    note_id = IdField(read_only=True)
    ordinal = IntegerField(read_only=True, help_text="Which of its note's cards this is, from 0")
    deck_id = IdField()
    front = TextField(max_length=LIMITS.front_chars)
    back = TextField(max_length=LIMITS.back_chars)
    phonetic = optional(TextField, max_length=LIMITS.phonetic_chars)
    example = optional(TextField, max_length=LIMITS.example_chars)
    notes = optional(TextField, max_length=LIMITS.notes_chars)
    tags = TagsField(default=list)
    audio_url = optional(HttpsUrlField)
    image_url = optional(HttpsUrlField)
    audio_id = optional(IdField, help_text="A sound of `POST /media`")
    image_id = optional(IdField, help_text="A picture of `POST /media`")
    source_session_id = optional(IdField)
    source_turn = optional(IntegerField, min_value=1, max_value=9999)
    state = serializers.ChoiceField(STATES, read_only=True)
    step = IntegerField(read_only=True, allow_null=True)
    stability = NumberField(read_only=True, allow_null=True)
    difficulty = NumberField(read_only=True, allow_null=True)
    due_at = InstantField(read_only=True)
    interval_days = IntegerField(read_only=True)
    last_review_at = InstantField(read_only=True, allow_null=True)
    reps = IntegerField(read_only=True)
    lapses = IntegerField(read_only=True)
    suspended = BooleanField(read_only=True)
    suspended_by = serializers.ChoiceField(["learner", "leech"], read_only=True, allow_null=True)
    leech = BooleanField(read_only=True, help_text="Forgotten so often that it needs another form")
    buried_until = InstantField(read_only=True, allow_null=True)
    created_at = InstantField(read_only=True, source="written_at")
    updated_at = InstantField(read_only=True, source="changed_at")
    version = IntegerField(read_only=True, help_text="For If-Match: counts edits, not reviews")


class SlugField(PatternField):
    """A readable id, e.g. `coffee-to-take-away`."""

    def __init__(self, **kwargs: Any) -> None:
        message = "Give words of a–z and 0–9 joined by hyphens."
        super().__init__(SLUG, message, max_length=60, **kwargs)


class ScriptLanguageField(LanguageField):
    """The language that is practised, e.g. `es`."""

    sample = ""  # that of its name

    def __init__(self, **kwargs: Any) -> None:
        message = "Give a language of two or three letters, e.g. es."
        super().__init__(pattern=LANGUAGE, message=message, max_length=3, **kwargs)


class ShapeSerializer(Serializer):
    """The fields of a dataclass, or `only` some, bounded as its annotations say."""

    shape: ClassVar[type]
    only: ClassVar[tuple[str, ...]] = ()

    def get_fields(self) -> dict[str, Any]:
        shape = shape_of(self.shape)
        own = super().get_fields()
        names = [name for name in self.only or shape if name not in own]
        return {name: _field_of(shape[name]) for name in names} | own


def _field_of(field: FieldShape) -> Any:
    options: dict[str, Any] = {} if field.required else {"required": False}
    if field.help:
        options["help_text"] = field.help
    return _field(field.kind, field.bound, **options)


def _field(kind: Any, bound: Any, **options: Any) -> Any:
    """The field of an annotation's type and bound."""
    if get_origin(kind) is tuple:
        child = _field(*unwrap(get_args(kind)[0])[:2])
        least = {"min_length": bound.least} if bound.least else {}
        return serializers.ListField(child=child, max_length=bound.most, **least, **options)
    if isinstance(bound, Choice):
        return serializers.ChoiceField(bound.options, **options)
    if isinstance(bound, Range):
        return IntegerField(min_value=int(bound.least), max_value=int(bound.most), **options)
    if isinstance(bound, Text):
        return _TEXTS[bound.pattern](bound, options)
    return shape_serializer(kind)(**options)


_TEXTS: dict[str, Callable[[Text, dict[str, Any]], Any]] = {
    "": lambda bound, options: TextField(max_length=bound.most, **options),
    SLUG: lambda _, options: SlugField(**options),
    LANGUAGE: lambda _, options: ScriptLanguageField(**options),
}


@cache
def shape_serializer(shape: type) -> type[ShapeSerializer]:
    """The serializer of a whole dataclass, named after it."""
    attributes = {"shape": shape, "__doc__": shape.__doc__}
    return type(f"{shape.__name__}Serializer", (ShapeSerializer,), attributes)


RoleSerializer = shape_serializer(Role)


class OneByOneField(serializers.ListField):
    """Items of which each is valid or becomes the problem that says why not."""

    def run_child_validation(self, data: list[Any]) -> list[Any]:
        return [self._validated(item) for item in data]

    def _validated(self, item: Any) -> Any:
        try:
            return self.child.run_validation(item)
        except serializers.ValidationError as error:
            return as_problem(error)


RATINGS = [rating.wire for rating in Rating]
KINDS = ["review", "reset", "reschedule", "baseline", "void"]


class StudyInstantField(InstantField):
    """An instant that a calendar of today can place."""

    years = (1970, 2199)


class RatingField(serializers.ChoiceField):
    """A rating by its name, of its number."""

    def to_representation(self, value: Any) -> str:
        return Rating(int(value)).wire


class ReviewSerializer(Serializer):
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

    id = IdField()
    card_id = CardIdField()
    kind = serializers.ChoiceField(KINDS, source="entry")
    rating = RatingField(RATINGS, allow_null=True, read_only=True)
    reviewed_at = InstantField(source="at")
    duration_ms = IntegerField(allow_null=True)
    studied_on = serializers.DateField(help_text="The learner's own day")
    due_at = InstantField(allow_null=True, help_text="Where a reschedule put the card")
    target_id = IdField(allow_null=True, help_text="The entry that a void undoes")


NOTE_TYPES = ["basic", "reversed", "cloze"]


class NoteSerializer(Serializer):
    """What a learner wrote. A basic note makes one card; a reversed one two, front to back and
    back to front; a cloze one a card for each number of `{{c1::answer::hint}}` in `front`, with
    `back` shown behind the answer."""

    samples = {
        "type": "cloze",
        "front": "O {{c1::gato::animal}} dorme na {{c2::cama}}.",
        "back": "The cat sleeps in the bed.",
        "phonetic": None,
        "example": None,
        "notes": None,
        "tags": ["frases"],
        "audioUrl": None,
        "imageUrl": None,
        "audioId": None,
        "imageId": None,
        "sourceSessionId": None,
        "sourceTurn": None,
        "version": 1,
    }

    id = IdField(read_only=True)
    type = serializers.ChoiceField(NOTE_TYPES, read_only=True)
    deck_id = IdField()
    front = TextField(max_length=LIMITS.front_chars)
    back = TextField(max_length=LIMITS.front_chars, default="", allow_blank=True)
    phonetic = optional(TextField, max_length=LIMITS.phonetic_chars)
    example = optional(TextField, max_length=LIMITS.example_chars)
    notes = optional(TextField, max_length=LIMITS.notes_chars)
    tags = TagsField(default=list)
    audio_url = optional(HttpsUrlField)
    image_url = optional(HttpsUrlField)
    audio_id = optional(IdField, help_text="A sound of `POST /media`")
    image_id = optional(IdField, help_text="A picture of `POST /media`")
    source_session_id = optional(IdField)
    source_turn = optional(IntegerField, min_value=1, max_value=9999)
    created_at = InstantField(read_only=True)
    updated_at = InstantField(read_only=True)
    version = IntegerField(read_only=True, help_text="For If-Match")


class ToldDeckSerializer(DeckSerializer):
    """A deck as a file tells it, by its name alone in another place."""

    name = None  # type: ignore[assignment]


def told_deck(told: Any) -> dict[str, Any]:
    """What a file says of a deck as fields of ours. Raises ValidationFailed."""
    return _checked(ToldDeckSerializer, told)


def told_note(told: Any) -> dict[str, Any]:
    """What a file says of a note as fields of ours. Raises ValidationFailed."""
    return _checked(NoteSerializer, told)


def _checked(shape: type[Serializer], told: Any) -> dict[str, Any]:
    serializer = shape(data=told, partial=True)
    try:
        serializer.is_valid(raise_exception=True)
    except ValidationError as error:
        raise as_problem(error) from error
    return dict(serializer.validated_data)


class JobSerializer(Serializer):
    """Work that goes on by itself. `done` of `total` is null until it is known; a job that `failed`
    says why in `problem`. It is kept for 14 days after its last step."""

    samples = {"state": "running", "done": 240, "total": 1639, "problem": None}

    id = IdField()
    state = serializers.ChoiceField(jobs.STATES)
    done = IntegerField()
    total = IntegerField(allow_null=True)
    problem = ItemProblemSerializer(allow_null=True)
    created_at = InstantField()
    updated_at = InstantField()
