"""Flashcards, and the study of them."""

from collections.abc import Callable
from typing import Any

from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pagination import ListQuery, list_of, page_response, start_of
from config.problems import IdTaken, NotFound, Problem
from config.serializers import (
    Boolean,
    Id,
    Instant,
    Integer,
    Number,
    Query,
    Serializer,
    Text,
    wire_name,
)
from config.viewsets import Resource, expected_version, found, versioned
from learning.api.serializers import (
    CARD_ID,
    RATINGS,
    STATES,
    CardShape,
    ItemProblemShape,
    Moment,
    OneByOne,
    ReviewShape,
)
from learning.models.cards import Card
from learning.scheduling import Rating
from learning.services import bulk, bury_and_suspend, cards, due_queue, review, search


class NewCardShape(CardShape):
    id = Id(  # type: ignore[assignment]
        required=False, help_text="Made by the client, so that sending again is safe"
    )


class CardQuery(ListQuery):
    deck_id = Id(required=False)
    tag = Text(max_length=50, required=False)
    state = serializers.ChoiceField(STATES, required=False)
    front = Text(max_length=80, required=False, help_text="Begins with, whatever the case")
    q = Text(
        max_length=400,
        required=False,
        help_text="A search in place of all others, e.g. `tag:verbs is:due prop:lapses>3`: "
        "`deck:`, `tag:`, `is:` due, new, learning, review, suspended, leech or buried, `prop:` "
        "lapses, reps, stability or difficulty; `-` before a term turns it round, and what is no "
        "term is how the front begins",
    )
    suspended = Boolean(required=False)
    leech = Boolean(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        others = attrs.keys() - {"q", "limit", "cursor"}
        if "q" in attrs and others:
            said = serializers.ErrorDetail("Put this into the search.", "not_with_q")
            raise serializers.ValidationError({wire_name(name): [said] for name in sorted(others)})
        return attrs


class BulkShape(Serializer):
    cards = OneByOne(child=NewCardShape(), min_length=1, max_length=500)


class MadeShape(Serializer):
    status = serializers.ChoiceField(["created", "duplicate", "rejected"])
    card = CardShape(allow_null=True)
    problem = ItemProblemShape(allow_null=True)


class BulkOutcomeShape(Serializer):
    """What became of each card, in the order sent."""

    results = MadeShape(many=True)


class DueQuery(Query):
    deck_id = Id(required=False)
    limit = Integer(min_value=1, max_value=100, default=20)


class AnswerShape(Serializer):
    due_at = Instant()
    interval_days = Integer()
    state = serializers.ChoiceField(STATES)


class AnswersShape(Serializer):
    """Where each rating would take the card if it were given now."""

    again = AnswerShape()
    hard = AnswerShape()
    good = AnswerShape()
    easy = AnswerShape()


class DueCardShape(Serializer):
    card = CardShape()
    answers = AnswersShape()
    retrievability = Number(help_text="How likely it is remembered, 0–1; 0 for a new card")


class CountsShape(Serializer):
    """Within the day's limits; 100 means 100 or more."""

    learning = Integer()
    review = Integer()
    new = Integer()


class QueueShape(Serializer):
    results = DueCardShape(many=True, source="cards")
    counts = CountsShape(source="*")
    next_learning_at = Instant(allow_null=True)
    day_ends_at = Instant()


class NewReviewShape(Serializer):
    """`reviewedAt` may be long past, and at most five minutes ahead of our clock."""

    samples = {"rating": "good", "reviewedAt": "2026-11-21T09:00:00Z", "durationMs": 4200}

    id = Id(help_text="Made by the client: a review sent twice counts once")
    rating = serializers.ChoiceField(RATINGS)
    reviewed_at = Moment()
    duration_ms = Integer(min_value=0, max_value=3_600_000, default=0)


class ReviewedShape(Serializer):
    review = ReviewShape()
    card = CardShape()


class ActShape(Serializer):
    id = Id(help_text="Made by the client: sent twice it acts once")


class UndoShape(ActShape):
    target_id = Id(
        default=None, allow_null=True, help_text="The entry to undo; by default the newest"
    )


class RescheduleShape(ActShape):
    due_at = Moment()


class Flashcards(Resource):
    lookup_value_regex = CARD_ID

    @operation("listFlashcards", answers={200: list_of(CardShape)}, query=CardQuery)
    def list(self, request: Request) -> Response:
        """List the cards, narrowed by any of the parameters.

        In order of their fronts with `front`, of the study queue with `deckId`, `state` or
        `suspended`, else of their ids. A narrowed page may be short and still have a next one.
        """
        query = self.query(CardQuery)
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
            page = Card.all_of(self.learner_id, **query, start=start)
        return page_response(request, page, CardShape)

    @operation(
        "createFlashcard",
        request=NewCardShape,
        answers={201: CardShape},
        raises=[IdTaken, cards.NoSuchDeck],
    )
    def create(self, request: Request) -> Response:
        """Make a basic note with its one card, which is new and due at once."""
        fields = self.body(NewCardShape)
        card = cards.create_card(learner_id=self.learner_id, fields=fields, now=now())
        answer = Response(CardShape(card).data, status.HTTP_201_CREATED)
        return versioned(answer, card.version)

    @operation(
        "createFlashcards",
        request=BulkShape,
        answers={200: BulkOutcomeShape},
    )
    @action(detail=False, methods=["post"])
    def bulk(self, request: Request) -> Response:
        """Make up to 500 basic notes, each with its one card, in the order given.

        Each is created, was made before by the same request, or is rejected with its own problem;
        the others are not held up by it. Safe to send again when the cards have ids.
        """
        sent = self.body(BulkShape)["cards"]
        wanted = [each for each in sent if not isinstance(each, Problem)]
        made = iter(bulk.create_cards(learner_id=self.learner_id, items=wanted, now=now()))
        outcomes = [
            bulk.Made("rejected", problem=each) if isinstance(each, Problem) else next(made)
            for each in sent
        ]
        body = {"results": [outcome.shown() for outcome in outcomes]}
        return Response(BulkOutcomeShape(body).data)

    @operation("getFlashcard", answers={200: CardShape}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a card."""
        card = found(Card.of(self.learner_id, id))
        return versioned(Response(CardShape(card).data), card.version)

    @operation(
        "replaceFlashcard",
        request=CardShape,
        answers={200: CardShape},
        raises=[NotFound, cards.NoSuchDeck, cards.CardOfNote],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace what a card says; what is left out becomes its default."""
        return self._change(request, id, self.body(CardShape))

    @operation(
        "updateFlashcard",
        request=CardShape,
        answers={200: CardShape},
        raises=[NotFound, cards.NoSuchDeck, cards.CardOfNote],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what is given of a card, or move it to another deck."""
        return self._change(request, id, self.body(CardShape, partial=True))

    def _change(self, request: Request, id: str, changes: dict[str, Any]) -> Response:
        card = cards.update_card(
            learner_id=self.learner_id,
            card_id=id,
            changes=changes,
            expected_version=expected_version(request),
            now=now(),
        )
        return versioned(Response(CardShape(card).data), card.version)

    @operation(
        "deleteFlashcard",
        answers={204: None},
        raises=[NotFound, cards.CardOfNote],
        if_match=True,
    )
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a card. Its reviews stay in the log and in the statistics."""
        cards.delete_card(
            learner_id=self.learner_id,
            card_id=id,
            expected_version=expected_version(request),
            now=now(),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)

    @operation("listDueFlashcards", answers={200: QueueShape}, query=DueQuery)
    @action(detail=False)
    def due(self, request: Request) -> Response:
        """Tell what to study now, in order, and where each answer would take each card.

        First the cards in learning whose step has passed, then the day's reviews beginning with
        the one most likely forgotten, then new cards; within the limits of the learner's day.
        """
        query = self.query(DueQuery)
        queue = due_queue.due_queue(
            learner_id=self.learner_id,
            deck_id=query.get("deck_id"),
            limit=query["limit"],
            now=now(),
        )
        return Response(QueueShape(queue).data)

    @operation(
        "reviewFlashcard",
        request=NewReviewShape,
        answers={201: ReviewedShape},
        raises=[NotFound, IdTaken, review.ReviewInFuture],
    )
    @action(detail=True, methods=["post"])
    def reviews(self, request: Request, id: str) -> Response:
        """Review a card.

        Safe to send again, late, or out of order: a review counts once, at its own instant.
        """
        fields = self.body(NewReviewShape)
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
        request=UndoShape,
        answers={201: ReviewedShape},
        raises=[NotFound, IdTaken, review.NothingToUndo],
    )
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, id: str) -> Response:
        """Undo the newest review, reset or reschedule of a card; again and again if need be.

        The card, the day's counts, the progress and the streak become what they would be without
        it. The log keeps both lines.
        """
        fields = self.body(UndoShape)
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
        request=ActShape,
        answers={201: ReviewedShape},
        raises=[NotFound, IdTaken],
    )
    @action(detail=True, methods=["post"])
    def reset(self, request: Request, id: str) -> Response:
        """Make a card new again. Its earlier reviews stay in the log; it can be undone."""
        fields = self.body(ActShape)
        return self._submit(review.Submission(id=fields["id"], card_id=id, kind="reset"))

    @operation(
        "rescheduleFlashcard",
        request=RescheduleShape,
        answers={201: ReviewedShape},
        raises=[NotFound, IdTaken],
    )
    @action(detail=True, methods=["post"])
    def reschedule(self, request: Request, id: str) -> Response:
        """Show a card at another time; what is remembered of it stays. It can be undone."""
        fields = self.body(RescheduleShape)
        return self._submit(
            review.Submission(
                id=fields["id"], card_id=id, kind="reschedule", due_at=fields["due_at"]
            )
        )

    @operation("suspendFlashcard", answers={200: CardShape}, raises=[NotFound])
    @action(detail=True, methods=["post"])
    def suspend(self, request: Request, id: str) -> Response:
        """Take a card out of study until it is unsuspended."""
        return self._held(bury_and_suspend.suspend, id)

    @operation("unsuspendFlashcard", answers={200: CardShape}, raises=[NotFound])
    @action(detail=True, methods=["post"])
    def unsuspend(self, request: Request, id: str) -> Response:
        """Take a card back into study, also one that was suspended as a leech."""
        return self._held(bury_and_suspend.unsuspend, id)

    @operation("buryFlashcard", answers={200: CardShape}, raises=[NotFound])
    @action(detail=True, methods=["post"])
    def bury(self, request: Request, id: str) -> Response:
        """Put a card off until the learner's next day."""
        return self._held(bury_and_suspend.bury, id)

    @operation("unburyFlashcard", answers={200: CardShape}, raises=[NotFound])
    @action(detail=True, methods=["post"])
    def unbury(self, request: Request, id: str) -> Response:
        """Show a buried card again."""
        return self._held(bury_and_suspend.unbury, id)

    def _held(self, change: Callable[..., Card], id: str) -> Response:
        card = change(learner_id=self.learner_id, card_id=id, now=now())
        return versioned(Response(CardShape(card).data), card.version)


def _reviewed(outcome: review.Outcome) -> Response:
    body = {"review": outcome.entry, "card": outcome.card}
    return Response(ReviewedShape(body).data, status.HTTP_201_CREATED)
