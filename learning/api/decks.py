"""Decks of cards."""

from django.utils.timezone import now
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.problems import IdTaken, NotFound
from config.serializers import IdField, QuerySerializer, Serializer, TextField
from config.viewsets import (
    ItemViewSet,
    ListQuerySerializer,
    accepted,
    get_or_404,
    if_match_version,
    page_of,
)
from learning.api.serializers import DeckSerializer, JobSerializer
from learning.models.cards import Deck
from learning.services import bulk, cards, deck_deletion


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

    @operation(
        "listDecks",
        answers={200: page_of(DeckSerializer)},
        query=ListQuerySerializer,
        if_none_match=True,
    )
    def list(self, request: Request) -> Response:
        """List the decks.

        How many cards of a deck are due is in the `counts` of `GET /flashcards/due?deckId=…`.
        """
        return self.paginated(Deck.all_of, self.learner_id, serializer_class=DeckSerializer)

    @operation(
        "createDeck",
        request=NewDeckSerializer,
        answers={201: DeckSerializer},
        raises=[IdTaken],
    )
    def create(self, request: Request) -> Response:
        """Make a deck.

        201 with the deck; only `name` is needed.
        """
        return self.create_item(cards.create_deck)

    @operation(
        "getDeck",
        answers={200: DeckSerializer},
        raises=[NotFound],
        if_none_match=True,
    )
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a deck.

        Keep `version` for a later change of it.
        """
        return self.answer(get_or_404(Deck.of(self.learner_id, id)))

    @operation(
        "replaceDeck",
        request=DeckSerializer,
        answers={200: DeckSerializer},
        raises=[NotFound],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace a deck. A field that is left out gets its default.

        Answers the deck as it is now. What was read may be sent back as it is.
        """
        return self.update_item(cards.update_deck, deck_id=id)

    @operation(
        "updateDeck",
        request=DeckSerializer,
        answers={200: DeckSerializer},
        raises=[NotFound],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change the given fields of a deck.

        Answers the deck as it is now. Fields that are left out stay.
        """
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
        answers={204: None, 202: JobSerializer},
        raises=[NotFound, deck_deletion.DeckNotEmpty, cards.NoSuchDeck],
        if_match=True,
    )
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a deck.

        204, or for more than a hundred cards 202: the deck takes no more cards, and `Location`
        tells how far it has come. A deck with cards is refused (409 `DECK_NOT_EMPTY`) until it is
        told what becomes of them: `moveTo` another deck, or `cards=delete`.
        """
        query = self.validated_query(DeckDeletionSerializer)
        job = deck_deletion.delete_deck(
            learner_id=self.learner_id,
            deck_id=id,
            delete_cards="cards" in query,
            move_to=query.get("move_to"),
            expected_version=if_match_version(request),
            now=now(),
        )
        if job is None:
            return Response(status=status.HTTP_204_NO_CONTENT)
        return accepted(request, JobSerializer(job).data, f"{request.path}/deletion")

    @operation("getDeckDeletion", answers={200: JobSerializer}, raises=[NotFound])
    @action(detail=True, methods=["get"])
    def deletion(self, request: Request, id: str) -> Response:
        """Read how far the deletion of a large deck has come.

        Ask every few seconds until `state` is `done`. 404 when there is no such deletion.
        """
        job = get_or_404(deck_deletion.find_deletion(self.learner_id, id))
        return Response(JobSerializer(job).data)
