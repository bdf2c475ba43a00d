"""Starter decks."""

from django.utils.timezone import now
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import ReadOrLearner
from config.formats import CEFR_LEVELS
from config.operations import operation
from config.problems import IdTaken, NotAuthenticated, NotFound
from config.serializers import IdField, IntegerField, LanguageField, Serializer, TextField
from config.viewsets import ListQuerySerializer, Resource, page_of, with_etag
from learning.api.serializers import DeckSerializer, SlugField
from learning.models.content import StarterDeck
from learning.services import starters


class StarterDeckSerializer(Serializer):
    """A ready-made deck; fronts are in `language`, backs in `translation`."""

    id = SlugField()
    name = TextField(max_length=100)
    description = TextField(max_length=1000)
    level = serializers.ChoiceField(CEFR_LEVELS)
    language = LanguageField()
    translation = LanguageField()
    card_count = IntegerField()


class StarterCopySerializer(Serializer):
    id = IdField(required=False, help_text="Of the new deck, so that sending again is safe")


class StarterDeckViewSet(Resource):
    lookup_value_regex = r"[a-z0-9-]{1,60}"
    permission_classes = (ReadOrLearner,)

    @operation(
        "listStarterDecks",
        answers={200: page_of(StarterDeckSerializer)},
        query=ListQuerySerializer,
        raises=[NotAuthenticated],
        public=True,
        if_none_match=True,
    )
    def list(self, request: Request) -> Response:
        """List the ready-made decks by level.

        Copy one by `/starter-decks/{id}/copy`.
        """
        return self.paginated(StarterDeck.all, serializer_class=StarterDeckSerializer)

    @operation(
        "copyStarterDeck",
        request=StarterCopySerializer,
        answers={201: DeckSerializer},
        raises=[NotFound, IdTaken],
    )
    @action(detail=True, methods=["post"])
    def copy(self, request: Request, id: str) -> Response:
        """Make a deck of one's own with all the cards of a ready-made one.

        201 with the new deck. Its cards are new, and due at once.
        """
        deck_id = self.validated_body(StarterCopySerializer).get("id")
        deck = starters.copy_starter_deck(
            learner_id=self.learner_id, starter_id=id, deck_id=deck_id, now=now()
        )
        answer = Response(DeckSerializer(deck).data, status.HTTP_201_CREATED)
        return with_etag(answer, deck.version)
