"""Wire shapes of notes, and of cards made many at once."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from config.serializers import HttpsUrl, Id, Instant, Integer, Serializer, Text
from learning.api.serializers import CardShape, NewCardShape, Tags, _optional
from learning.cloze import MAX_CARDS
from learning.serializers.batches import ItemProblemShape, OneByOne

TYPES = ["basic", "reversed", "cloze"]


class NoteShape(Serializer):
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
        "sourceSessionId": None,
        "sourceTurn": None,
        "version": 1,
    }

    id = Id(read_only=True)
    type = serializers.ChoiceField(TYPES, read_only=True)
    deck_id = Id()
    front = Text(max_length=2000)
    back = Text(max_length=2000, default="", allow_blank=True)
    phonetic = _optional(Text, max_length=200)
    example = _optional(Text, max_length=2000)
    notes = _optional(Text, max_length=5000)
    tags = Tags(default=list)
    audio_url = _optional(HttpsUrl)
    image_url = _optional(HttpsUrl)
    source_session_id = _optional(Id)
    source_turn = _optional(Integer, min_value=1, max_value=9999)
    created_at = Instant(read_only=True)
    updated_at = Instant(read_only=True)
    version = Integer(read_only=True, help_text="For If-Match")


class NewNoteShape(NoteShape):
    id = Id(required=False, help_text="Made by the client, so that sending again is safe")
    type = serializers.ChoiceField(
        TYPES, help_text=f"Stays as it is. A note makes at most {MAX_CARDS} cards"
    )


class WrittenNoteShape(NoteShape):
    cards = serializers.SerializerMethodField()

    @extend_schema_field(CardShape(many=True))
    def get_cards(self, note: Any) -> Any:
        return CardShape(self.context["cards"], many=True).data


class BulkShape(Serializer):
    cards = OneByOne(child=NewCardShape(), min_length=1, max_length=500)


class MadeShape(Serializer):
    status = serializers.ChoiceField(["created", "duplicate", "rejected"])
    card = CardShape(allow_null=True)
    problem = ItemProblemShape(allow_null=True)


class BulkOutcomeShape(Serializer):
    """What became of each card, in the order sent."""

    results = MadeShape(many=True)


class DuplicateShape(Serializer):
    id = Id(help_text="Of the copy, made by the client: sending again goes on with it")
    name = Text(max_length=100, default=None, allow_null=True, help_text="By default the same")
