"""Flashcards, and the study of them."""

from typing import Any

from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pages import list_of, page_response, start_of
from config.preconditions import expected_version, versioned
from config.problems import IdTaken, NotFound
from config.viewsets import Resource, found
from learning.models.cards import Card
from learning.scheduling import Rating
from learning.serializers import cards as shapes
from learning.serializers import study as study_shapes
from learning.services import cards, review, study


class Flashcards(Resource):
    @operation("listFlashcards", answers={200: list_of(shapes.CardShape)}, query=shapes.CardQuery)
    def list(self, request: Request) -> Response:
        """List the cards, narrowed by any of the parameters.

        In order of their fronts with `front`, of the study queue with `deckId`, `state` or
        `suspended`, else of their ids. A narrowed page may be short and still have a next one.
        """
        query = self.query(shapes.CardQuery)
        start = start_of(request, query.pop("cursor", None))
        page = Card.all_of(self.learner_id, **query, start=start)
        return page_response(request, page, shapes.CardShape)

    @operation(
        "createFlashcard",
        request=shapes.NewCardShape,
        answers={201: shapes.CardShape},
        raises=[IdTaken, cards.NoSuchDeck],
    )
    def create(self, request: Request) -> Response:
        """Make a basic note with its one card, which is new and due at once."""
        fields = self.body(shapes.NewCardShape)
        card = cards.create_card(learner_id=self.learner_id, fields=fields, now=now())
        answer = Response(shapes.CardShape(card).data, status.HTTP_201_CREATED)
        return versioned(answer, card.version)

    @operation("getFlashcard", answers={200: shapes.CardShape}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a card."""
        card = found(Card.of(self.learner_id, id))
        return versioned(Response(shapes.CardShape(card).data), card.version)

    @operation(
        "replaceFlashcard",
        request=shapes.CardShape,
        answers={200: shapes.CardShape},
        raises=[NotFound, cards.NoSuchDeck],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace what a card says; what is left out becomes its default."""
        return self._change(request, id, self.body(shapes.CardShape))

    @operation(
        "updateFlashcard",
        request=shapes.CardShape,
        answers={200: shapes.CardShape},
        raises=[NotFound, cards.NoSuchDeck],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what is given of a card, or move it to another deck."""
        return self._change(request, id, self.body(shapes.CardShape, partial=True))

    def _change(self, request: Request, id: str, changes: dict[str, Any]) -> Response:
        card = cards.update_card(
            learner_id=self.learner_id,
            card_id=id,
            changes=changes,
            expected_version=expected_version(request),
            now=now(),
        )
        return versioned(Response(shapes.CardShape(card).data), card.version)

    @operation("deleteFlashcard", answers={204: None}, raises=[NotFound], if_match=True)
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a card. Its reviews stay in the log and in the statistics."""
        cards.delete_card(
            learner_id=self.learner_id,
            card_id=id,
            expected_version=expected_version(request),
            now=now(),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)

    @operation(
        "listDueFlashcards", answers={200: study_shapes.QueueShape}, query=study_shapes.DueQuery
    )
    @action(detail=False)
    def due(self, request: Request) -> Response:
        """Tell what to study now, in order, and where each answer would take each card.

        First the cards in learning whose step has passed, then the day's reviews beginning with
        the one most likely forgotten, then new cards; within the limits of the learner's day.
        """
        query = self.query(study_shapes.DueQuery)
        queue = study.due_queue(
            learner_id=self.learner_id,
            deck_id=query.get("deck_id"),
            limit=query["limit"],
            now=now(),
        )
        return Response(study_shapes.QueueShape(queue).data)

    @operation(
        "reviewFlashcard",
        request=study_shapes.NewReviewShape,
        answers={201: study_shapes.ReviewedShape},
        raises=[NotFound, IdTaken, review.ReviewInFuture],
    )
    @action(detail=True, methods=["post"])
    def reviews(self, request: Request, id: str) -> Response:
        """Review a card.

        Safe to send again, late, or out of order: a review counts once, at its own instant.
        """
        fields = self.body(study_shapes.NewReviewShape)
        outcome = review.submit_one(
            learner_id=self.learner_id,
            submission=review.Submission(
                id=fields["id"],
                card_id=id,
                at=fields["reviewed_at"],
                rating=Rating.from_wire(fields["rating"]),
                duration_ms=fields["duration_ms"],
            ),
            now=now(),
        )
        body = {"review": outcome.entry, "card": outcome.card}
        return Response(study_shapes.ReviewedShape(body).data, status.HTTP_201_CREATED)
