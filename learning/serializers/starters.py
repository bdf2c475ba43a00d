"""Wire shapes of starter decks."""

from rest_framework import serializers

from config.serializers import Id, Integer, Serializer, Text
from learning.api.serializers import Language
from learning.practice.script import LEVELS
from learning.serializers.scenarios import Slug


class StarterDeckShape(Serializer):
    """A ready-made deck; fronts are in `language`, backs in `translation`."""

    id = Slug()
    name = Text(max_length=100)
    description = Text(max_length=1000)
    level = serializers.ChoiceField(LEVELS)
    language = Language()
    translation = Language()
    card_count = Integer()


class StarterCopyShape(Serializer):
    id = Id(required=False, help_text="Of the new deck, so that sending again is safe")
