"""Texts read aloud."""

from typing import Any

from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.problems import NotFound, UpstreamFailed
from config.serializers import (
    BooleanField,
    IdField,
    InstantField,
    IntegerField,
    LanguageField,
    Serializer,
    TextField,
)
from config.viewsets import Resource
from learning.api.serializers import CardIdField
from learning.services import speech
from learning.voices import NAMES


class NewSpeechSerializer(Serializer):
    """What is to be said: a `text` with its `language`, a side of a card, or the partner's answer
    in a turn of a session (turn 0 is the opening)."""

    samples = {"text": "Uma mesa para dois, por favor.", "language": "pt-PT"}

    text = TextField(max_length=speech.MOST_CHARS, required=False)
    card_id = CardIdField(required=False)
    side = serializers.ChoiceField(speech.SIDES, default="front")
    session_id = IdField(required=False)
    turn = IntegerField(min_value=0, max_value=9999, default=0)
    language = LanguageField(required=False, help_text="By default that of the deck or scenario")
    voice = serializers.ChoiceField(NAMES, required=False, help_text="By default the best one")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = [name for name in ("text", "card_id", "session_id") if name in attrs]
        if len(given) != 1:
            message = "Give one of text, cardId and sessionId."
            raise serializers.ValidationError({"text": [message]}, "one_of")
        if given == ["text"] and "language" not in attrs:
            raise serializers.ValidationError({"language": ["Say its language."]}, "required")
        return attrs


class SpeechSerializer(Serializer):
    """Audio of the text, at `url` for 15 minutes."""

    samples = {
        "contentType": "audio/mpeg",
        "voice": "Ines",
        "language": "pt-PT",
        "text": "Uma mesa para dois, por favor.",
        "cached": False,
    }

    url = serializers.URLField()
    expires_at = InstantField()
    content_type = serializers.CharField()
    voice = serializers.CharField()
    language = serializers.CharField()
    text = serializers.CharField(help_text="What is said")
    cached = BooleanField(help_text="It was there already, and counts for nothing")


class SpeechViewSet(Resource):
    @operation(
        "createSpeech",
        request=NewSpeechSerializer,
        answers={200: SpeechSerializer},
        raises=[
            NotFound,
            speech.SpeechOff,
            speech.NoVoice,
            speech.BudgetUsedUp,
            UpstreamFailed,
        ],
    )
    def create(self, request: Request) -> Response:
        """Have a text, a side of a card or a partner's line read aloud.

        The audio is kept for 90 days, so that it is made once. Characters that are new count in the
        day's budget. Without a voice, let the device read.
        """
        fields, at = self.validated_body(NewSpeechSerializer), now()
        common: dict[str, Any] = {
            "learner_id": self.learner_id,
            "language": fields.get("language"),
            "voice": fields.get("voice"),
            "now": at,
        }
        if "card_id" in fields:
            spoken = speech.say_card(card_id=fields["card_id"], side=fields["side"], **common)
        elif "session_id" in fields:
            spoken = speech.say_turn(session_id=fields["session_id"], turn=fields["turn"], **common)
        else:
            spoken = speech.say_text(text=fields["text"], **common)
        return Response(SpeechSerializer(speech.shown(spoken, at)).data)
