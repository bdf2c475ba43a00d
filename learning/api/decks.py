"""Decks of cards."""

from typing import Any

from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pagination import ListQuerySerializer, decode_cursor, page_of, paginated_response
from config.problems import IdTaken, NotFound
from config.serializers import IdField, QuerySerializer, Serializer, TextField
from config.viewsets import Resource, get_or_404, if_match_version, with_etag
from learning.api.serializers import DeckSerializer
from learning.models.cards import Deck
from learning.services import bulk, cards


class NewDeckSerializer(DeckSerializer):
    id = IdField(required=False, help_text="Made by the client, so that sending again is safe")


class DeckDeletionSerializer(QuerySerializer):
    """What becomes of the deck's cards. Needed where it has any; `moveTo` goes before `cards`."""

    move_to = IdField(required=False, help_text="The deck that takes them")
    cards = serializers.ChoiceField(["delete"], required=False, help_text="Delete them as well")


class DuplicateSerializer(Serializer):
    id = IdField(help_text="Of the copy, made by the client: sending again goes on with it")
    name = TextField(max_length=100, default=None, allow_null=True, help_text="By default the same")


class DeckViewSet(Resource):
    @operation("listDecks", answers={200: page_of(DeckSerializer)}, query=ListQuerySerializer)
    def list(self, request: Request) -> Response:
        """List the decks."""
        query = self.validated_query(ListQuerySerializer)
        page = Deck.all_of(
            self.learner_id, limit=query["limit"], start=decode_cursor(request, query.get("cursor"))
        )
        return paginated_response(request, page, DeckSerializer)

    @operation(
        "createDeck",
        request=NewDeckSerializer,
        answers={201: DeckSerializer},
        raises=[IdTaken],
    )
    def create(self, request: Request) -> Response:
        """Make a deck."""
        fields = self.validated_body(NewDeckSerializer)
        deck = cards.create_deck(learner_id=self.learner_id, fields=fields, now=now())
        answer = Response(DeckSerializer(deck).data, status.HTTP_201_CREATED)
        return with_etag(answer, deck.version)

    @operation("getDeck", answers={200: DeckSerializer}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a deck."""
        deck = get_or_404(Deck.of(self.learner_id, id))
        return with_etag(Response(DeckSerializer(deck).data), deck.version)

    @operation(
        "replaceDeck",
        request=DeckSerializer,
        answers={200: DeckSerializer},
        raises=[NotFound],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace what a deck says; what is left out becomes its default."""
        return self._change(request, id, self.validated_body(DeckSerializer))

    @operation(
        "updateDeck",
        request=DeckSerializer,
        answers={200: DeckSerializer},
        raises=[NotFound],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what is given of a deck."""
        return self._change(request, id, self.validated_body(DeckSerializer, partial=True))

    def _change(self, request: Request, id: str, changes: dict[str, Any]) -> Response:
        deck = cards.update_deck(
            learner_id=self.learner_id,
            deck_id=id,
            changes=changes,
            expected_version=if_match_version(request),
            now=now(),
        )
        return with_etag(Response(DeckSerializer(deck).data), deck.version)

    @operation(
        "duplicateDeck",
        request=DuplicateSerializer,
        answers={201: DeckSerializer},
        raises=[NotFound, IdTaken, bulk.CopyUnfinished],
    )
    @action(detail=True, methods=["post"])
    def duplicate(self, request: Request, id: str) -> Response:
        """Copy a deck with its notes and cards, all of them new.

        A very large deck answers 503 with Retry-After: send the same request again to go on.
        """
        fields = self.validated_body(DuplicateSerializer)
        deck = bulk.duplicate_deck(
            learner_id=self.learner_id,
            deck_id=id,
            copy_id=fields["id"],
            name=fields["name"],
            now=now(),
        )
        answer = Response(DeckSerializer(deck).data, status.HTTP_201_CREATED)
        return with_etag(answer, deck.version)

    @operation(
        "deleteDeck",
        query=DeckDeletionSerializer,
        answers={204: None},
        raises=[NotFound, cards.DeckNotEmpty, cards.NoSuchDeck, cards.DeletionUnfinished],
        if_match=True,
    )
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a deck.

        A deck that has cards needs to be told what becomes of them (409): `moveTo` another deck,
        or `cards=delete`.
        A very large deck answers 503 with Retry-After: send the same request again to go on.
        """
        query = self.validated_query(DeckDeletionSerializer)
        cards.delete_deck(
            learner_id=self.learner_id,
            deck_id=id,
            delete_cards="cards" in query,
            move_to=query.get("move_to"),
            expected_version=if_match_version(request),
            now=now(),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)
