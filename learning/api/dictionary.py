"""Words looked up, and kept as cards."""

from typing import Any

from django.utils.timezone import now
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.problems import IdTaken, UpstreamFailed
from config.serializers import IdField, LanguageField, Serializer, TextField
from config.viewsets import Resource
from learning.api.serializers import CardSerializer
from learning.practice.script import PARTS_OF_SPEECH
from learning.services import dictionary
from learning.services.cards import NoSuchDeck
from learning.services.practice import ConsentNeeded, LocalModelFailed
from learning.services.speech import BudgetUsedUp


class SavedWordSerializer(Serializer):
    """The note to make: basic, with the context as its example (or one of the model's), or a cloze
    of the context. `phonetic` is the word's IPA."""

    id = IdField(required=False, help_text="Made by the client, so that sending again is safe")
    deck_id = IdField()
    type = serializers.ChoiceField(["basic", "cloze"], default="basic")


class LookUpSerializer(Serializer):
    """A word or a short text, and perhaps the sentence that it stands in."""

    samples = {
        "text": "mesa",
        "context": "Uma mesa para dois, por favor.",
        "from": "pt",
        "to": "en",
    }

    text = TextField(max_length=dictionary.MOST_CHARS)
    context = TextField(  # type: ignore[assignment]
        max_length=dictionary.MOST_CONTEXT_CHARS, required=False
    )
    save = SavedWordSerializer(required=False)  # type: ignore[assignment]

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python, so these two are named here."""
        languages = {"from": LanguageField(source="source"), "to": LanguageField(source="target")}
        return super().get_fields() | languages


class MeaningSerializer(Serializer):
    """What a text means. `duplicates` are cards of yours that ask it already.

    `partOfSpeech`, `ipa` and `example` are a model's, and null where Amazon Translate has answered.
    """

    samples = {
        "text": "mesa",
        "translation": "table",
        "contextTranslation": "A table for two, please.",
        "answeredBy": "model",
        "partOfSpeech": "noun",
        "ipa": "ˈme.zɐ",
        "example": "A mesa é de madeira.",
    }

    text = serializers.CharField()
    translation = serializers.CharField(source="meaning.translation")
    context_translation = serializers.CharField(
        source="meaning.context_translation", allow_null=True
    )
    answered_by = serializers.ChoiceField(
        dictionary.ANSWERERS,
        source="meaning.by",
        allow_null=True,
        help_text="Null for a note that was there already",
    )
    part_of_speech = serializers.ChoiceField(
        PARTS_OF_SPEECH, source="meaning.part_of_speech", allow_null=True
    )
    ipa = serializers.CharField(
        source="meaning.ipa", allow_null=True, help_text="How a word is said"
    )
    example = serializers.CharField(source="meaning.example", allow_null=True)
    duplicates = CardSerializer(many=True)
    cards = serializers.SerializerMethodField()

    @extend_schema_field(CardSerializer(many=True))
    def get_cards(self, found: dictionary.LookedUp) -> Any:
        return CardSerializer(found.written[1] if found.written else [], many=True).data


class DictionaryViewSet(Resource):
    @operation(
        "lookUp",
        request=LookUpSerializer,
        answers={200: MeaningSerializer},
        raises=[
            dictionary.DictionaryOff,
            dictionary.NoTranslation,
            ConsentNeeded,
            BudgetUsedUp,
            UpstreamFailed,
            LocalModelFailed,
            IdTaken,
            NoSuchDeck,
        ],
    )
    def create(self, request: Request) -> Response:
        """Look a word up, and keep it as a card if you like.

        The partner's model answers, where a stage has one and you have agreed to it
        (`PATCH /profile/consents`), else Amazon Translate. A bare word is answered from what was
        looked up within 90 days. A context is rendered for you alone, and kept nowhere. What is
        asked for counts in the day's budgets.
        """
        fields = self.validated_body(LookUpSerializer)
        meaning = dictionary.look_up(learner_id=self.learner_id, fields=fields, now=now())
        return Response(MeaningSerializer(meaning).data)
