"""Decks of cards."""

from typing import Any

from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pagination import ListQuery, list_of, page_response, start_of
from config.problems import IdTaken, NotFound
from config.serializers import Id, Query, Serializer, Text
from config.viewsets import Resource, expected_version, found, versioned
from learning.api.serializers import DeckShape
from learning.models.cards import Deck
from learning.services import bulk, cards


class NewDeckShape(DeckShape):
    id = Id(required=False, help_text="Made by the client, so that sending again is safe")


class DeckDeletion(Query):
    """What becomes of the deck's cards. Needed where it has any; `moveTo` goes before `cards`."""

    move_to = Id(required=False, help_text="The deck that takes them")
    cards = serializers.ChoiceField(["delete"], required=False, help_text="Delete them as well")


class DuplicateShape(Serializer):
    id = Id(help_text="Of the copy, made by the client: sending again goes on with it")
    name = Text(max_length=100, default=None, allow_null=True, help_text="By default the same")


class Decks(Resource):
    @operation("listDecks", answers={200: list_of(DeckShape)}, query=ListQuery)
    def list(self, request: Request) -> Response:
        """List the decks."""
        query = self.query(ListQuery)
        page = Deck.all_of(
            self.learner_id, limit=query["limit"], start=start_of(request, query.get("cursor"))
        )
        return page_response(request, page, DeckShape)

    @operation(
        "createDeck",
        request=NewDeckShape,
        answers={201: DeckShape},
        raises=[IdTaken],
    )
    def create(self, request: Request) -> Response:
        """Make a deck."""
        fields = self.body(NewDeckShape)
        deck = cards.create_deck(learner_id=self.learner_id, fields=fields, now=now())
        answer = Response(DeckShape(deck).data, status.HTTP_201_CREATED)
        return versioned(answer, deck.version)

    @operation("getDeck", answers={200: DeckShape}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a deck."""
        deck = found(Deck.of(self.learner_id, id))
        return versioned(Response(DeckShape(deck).data), deck.version)

    @operation(
        "replaceDeck",
        request=DeckShape,
        answers={200: DeckShape},
        raises=[NotFound],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace what a deck says; what is left out becomes its default."""
        return self._change(request, id, self.body(DeckShape))

    @operation(
        "updateDeck",
        request=DeckShape,
        answers={200: DeckShape},
        raises=[NotFound],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what is given of a deck."""
        return self._change(request, id, self.body(DeckShape, partial=True))

    def _change(self, request: Request, id: str, changes: dict[str, Any]) -> Response:
        deck = cards.update_deck(
            learner_id=self.learner_id,
            deck_id=id,
            changes=changes,
            expected_version=expected_version(request),
            now=now(),
        )
        return versioned(Response(DeckShape(deck).data), deck.version)

    @operation(
        "duplicateDeck",
        request=DuplicateShape,
        answers={201: DeckShape},
        raises=[NotFound, IdTaken, bulk.CopyUnfinished],
    )
    @action(detail=True, methods=["post"])
    def duplicate(self, request: Request, id: str) -> Response:
        """Copy a deck with its notes and cards, all of them new.

        A very large deck answers 503 with Retry-After: send the same request again to go on.
        """
        fields = self.body(DuplicateShape)
        deck = bulk.duplicate_deck(
            learner_id=self.learner_id,
            deck_id=id,
            copy_id=fields["id"],
            name=fields["name"],
            now=now(),
        )
        answer = Response(DeckShape(deck).data, status.HTTP_201_CREATED)
        return versioned(answer, deck.version)

    @operation(
        "deleteDeck",
        query=DeckDeletion,
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
        query = self.query(DeckDeletion)
        cards.delete_deck(
            learner_id=self.learner_id,
            deck_id=id,
            delete_cards="cards" in query,
            move_to=query.get("move_to"),
            expected_version=expected_version(request),
            now=now(),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)
