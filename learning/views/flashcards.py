"""Flashcards, and the study of them."""

from collections.abc import Callable
from typing import Any

from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pages import list_of, page_response, start_of
from config.preconditions import expected_version, versioned
from config.problems import IdTaken, NotFound, Problem
from config.viewsets import Resource, found
from learning.models.cards import Card
from learning.scheduling import Rating
from learning.serializers import cards as shapes
from learning.serializers import notes as note_shapes
from learning.serializers import study as study_shapes
from learning.services import bulk, cards, holding, lists, notes, review, search, study


class Flashcards(Resource):
    lookup_value_regex = shapes.CARD_ID

    @operation("listFlashcards", answers={200: list_of(shapes.CardShape)}, query=shapes.CardQuery)
    def list(self, request: Request) -> Response:
        """List the cards, narrowed by any of the parameters.

        In order of their fronts with `front`, of the study queue with `deckId`, `state` or
        `suspended`, else of their ids. A narrowed page may be short and still have a next one.
        """
        query = self.query(shapes.CardQuery)
        start = start_of(request, query.pop("cursor", None))
        if "q" in query:
            page = search.search_cards(
                learner_id=self.learner_id,
                text=query["q"],
                limit=query["limit"],
                start=start,
                now=now(),
            )
        else:
            page = lists.list_cards(learner_id=self.learner_id, **query, start=start)
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

    @operation(
        "createFlashcards",
        request=note_shapes.BulkShape,
        answers={200: note_shapes.BulkOutcomeShape},
    )
    @action(detail=False, methods=["post"])
    def bulk(self, request: Request) -> Response:
        """Make up to 500 basic notes, each with its one card, in the order given.

        Each is created, was made before by the same request, or is rejected with its own problem;
        the others are not held up by it. Safe to send again when the cards have ids.
        """
        sent = self.body(note_shapes.BulkShape)["cards"]
        wanted = [each for each in sent if not isinstance(each, Problem)]
        made = iter(bulk.create_cards(learner_id=self.learner_id, items=wanted, now=now()))
        outcomes = [
            bulk.Made("rejected", problem=each) if isinstance(each, Problem) else next(made)
            for each in sent
        ]
        body = {"results": [outcome.shown() for outcome in outcomes]}
        return Response(note_shapes.BulkOutcomeShape(body).data)

    @operation("getFlashcard", answers={200: shapes.CardShape}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a card."""
        card = found(Card.with_text(self.learner_id, id))
        return versioned(Response(shapes.CardShape(card).data), card.version)

    @operation(
        "replaceFlashcard",
        request=shapes.CardShape,
        answers={200: shapes.CardShape},
        raises=[NotFound, cards.NoSuchDeck, cards.CardOfNote],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace what a card says; what is left out becomes its default."""
        return self._change(request, id, self.body(shapes.CardShape))

    @operation(
        "updateFlashcard",
        request=shapes.CardShape,
        answers={200: shapes.CardShape},
        raises=[NotFound, cards.NoSuchDeck, cards.CardOfNote],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what is given of a card, or move it to another deck."""
        return self._change(request, id, self.body(shapes.CardShape, partial=True))

    def _change(self, request: Request, id: str, changes: dict[str, Any]) -> Response:
        card = notes.update_card(
            learner_id=self.learner_id,
            card_id=id,
            changes=changes,
            expected_version=expected_version(request),
            now=now(),
        )
        return versioned(Response(shapes.CardShape(card).data), card.version)

    @operation(
        "deleteFlashcard",
        answers={204: None},
        raises=[NotFound, cards.CardOfNote],
        if_match=True,
    )
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a card. Its reviews stay in the log and in the statistics."""
        notes.delete_card(
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
        submission = review.Submission(
            id=fields["id"],
            card_id=id,
            at=fields["reviewed_at"],
            rating=Rating.from_wire(fields["rating"]),
            duration_ms=fields["duration_ms"],
        )
        return self._submit(submission)

    def _submit(self, submission: review.Submission) -> Response:
        outcome = review.submit_one(learner_id=self.learner_id, submission=submission, now=now())
        return _reviewed(outcome)

    @operation(
        "undoFlashcard",
        request=study_shapes.UndoShape,
        answers={201: study_shapes.ReviewedShape},
        raises=[NotFound, IdTaken, review.NothingToUndo],
    )
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, id: str) -> Response:
        """Undo the newest review, reset or reschedule of a card; again and again if need be.

        The card, the day's counts, the progress and the streak become what they would be without
        it. The log keeps both lines.
        """
        fields = self.body(study_shapes.UndoShape)
        outcome = review.undo(
            learner_id=self.learner_id,
            card_id=id,
            void_id=fields["id"],
            target_id=fields["target_id"],
            now=now(),
        )
        return _reviewed(outcome)

    @operation(
        "resetFlashcard",
        request=study_shapes.ActShape,
        answers={201: study_shapes.ReviewedShape},
        raises=[NotFound, IdTaken],
    )
    @action(detail=True, methods=["post"])
    def reset(self, request: Request, id: str) -> Response:
        """Make a card new again. Its earlier reviews stay in the log; it can be undone."""
        fields = self.body(study_shapes.ActShape)
        return self._submit(review.Submission(id=fields["id"], card_id=id, kind="reset"))

    @operation(
        "rescheduleFlashcard",
        request=study_shapes.RescheduleShape,
        answers={201: study_shapes.ReviewedShape},
        raises=[NotFound, IdTaken],
    )
    @action(detail=True, methods=["post"])
    def reschedule(self, request: Request, id: str) -> Response:
        """Show a card at another time; what is remembered of it stays. It can be undone."""
        fields = self.body(study_shapes.RescheduleShape)
        return self._submit(
            review.Submission(
                id=fields["id"], card_id=id, kind="reschedule", due_at=fields["due_at"]
            )
        )

    @operation("suspendFlashcard", answers={200: shapes.CardShape}, raises=[NotFound])
    @action(detail=True, methods=["post"])
    def suspend(self, request: Request, id: str) -> Response:
        """Take a card out of study until it is unsuspended."""
        return self._held(holding.suspend, id)

    @operation("unsuspendFlashcard", answers={200: shapes.CardShape}, raises=[NotFound])
    @action(detail=True, methods=["post"])
    def unsuspend(self, request: Request, id: str) -> Response:
        """Take a card back into study, also one that was suspended as a leech."""
        return self._held(holding.unsuspend, id)

    @operation("buryFlashcard", answers={200: shapes.CardShape}, raises=[NotFound])
    @action(detail=True, methods=["post"])
    def bury(self, request: Request, id: str) -> Response:
        """Put a card off until the learner's next day."""
        return self._held(holding.bury, id)

    @operation("unburyFlashcard", answers={200: shapes.CardShape}, raises=[NotFound])
    @action(detail=True, methods=["post"])
    def unbury(self, request: Request, id: str) -> Response:
        """Show a buried card again."""
        return self._held(holding.unbury, id)

    def _held(self, change: Callable[..., Card], id: str) -> Response:
        card = change(learner_id=self.learner_id, card_id=id, now=now())
        return versioned(Response(shapes.CardShape(card).data), card.version)


def _reviewed(outcome: review.Outcome) -> Response:
    body = {"review": outcome.entry, "card": outcome.card}
    return Response(study_shapes.ReviewedShape(body).data, status.HTTP_201_CREATED)
