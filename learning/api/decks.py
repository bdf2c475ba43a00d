"""Decks of cards."""

from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.problems import IdTaken, NotFound
from config.serializers import IdField, QuerySerializer, Serializer, TextField
from config.viewsets import ItemViewSet, ListQuerySerializer, get_or_404, page_of
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
    name = TextField(
        max_length=500,
        default=None,
        allow_null=True,
        help_text="By default the same",
        style={"base_template": "input.html"},
    )


class DeckViewSet(ItemViewSet):
    serializer_class = DeckSerializer
    create_serializer_class = NewDeckSerializer

    @operation("listDecks", answers={200: page_of(DeckSerializer)}, query=ListQuerySerializer)
    def list(self, request: Request) -> Response:
        """List the decks."""
        return self.paginated(Deck.all_of, self.learner_id, serializer_class=DeckSerializer)

    @operation(
        "createDeck",
        request=NewDeckSerializer,
        answers={201: DeckSerializer},
        raises=[IdTaken],
    )
    def create(self, request: Request) -> Response:
        """Make a deck."""
        return self.create_item(cards.create_deck)

    @operation("getDeck", answers={200: DeckSerializer}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a deck."""
        return self.answer(get_or_404(Deck.of(self.learner_id, id)))

    @operation(
        "replaceDeck",
        request=DeckSerializer,
        answers={200: DeckSerializer},
        raises=[NotFound],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace a deck. A field that is left out gets its default."""
        return self.update_item(cards.update_deck, deck_id=id)

    @operation(
        "updateDeck",
        request=DeckSerializer,
        answers={200: DeckSerializer},
        raises=[NotFound],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change the given fields of a deck."""
        return self.update_item(cards.update_deck, deck_id=id, partial=True)

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
        return self.apply(
            bulk.duplicate_deck,
            status.HTTP_201_CREATED,
            deck_id=id,
            copy_id=fields["id"],
            name=fields["name"],
        )

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
        return self.delete_item(
            cards.delete_deck,
            deck_id=id,
            delete_cards="cards" in query,
            move_to=query.get("move_to"),
        )
