"""Starter decks."""

from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pagination import ListQuery, list_of, page_response, start_of
from config.permissions import ReadOrLearner
from config.problems import IdTaken, NotAuthenticated, NotFound
from config.serializers import Id, Integer, Serializer, Text
from config.viewsets import Resource, versioned
from learning.api.serializers import DeckShape, Language, Slug
from learning.models.starters import StarterDeck
from learning.practice.script import LEVELS
from learning.services import starters


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


class StarterDecks(Resource):
    lookup_value_regex = r"[a-z0-9-]{1,60}"
    permission_classes = (ReadOrLearner,)

    @operation(
        "listStarterDecks",
        answers={200: list_of(StarterDeckShape)},
        query=ListQuery,
        raises=[NotAuthenticated],
        public=True,
    )
    def list(self, request: Request) -> Response:
        """List the ready-made decks by level."""
        query = self.query(ListQuery)
        start = start_of(request, query.get("cursor"))
        page = StarterDeck.all(limit=query["limit"], start=start)
        return page_response(request, page, StarterDeckShape)

    @operation(
        "copyStarterDeck",
        request=StarterCopyShape,
        answers={201: DeckShape},
        raises=[NotFound, IdTaken],
    )
    @action(detail=True, methods=["post"])
    def copy(self, request: Request, id: str) -> Response:
        """Make a deck of one's own with all the cards of a ready-made one."""
        deck_id = self.body(StarterCopyShape).get("id")
        deck = starters.copy(learner_id=self.learner_id, starter_id=id, deck_id=deck_id, now=now())
        answer = Response(DeckShape(deck).data, status.HTTP_201_CREATED)
        return versioned(answer, deck.version)
