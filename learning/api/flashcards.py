"""Flashcards, and the study of them."""

from datetime import datetime
from typing import Any

from django.utils.timezone import now
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.formats import wire_name
from config.operations import operation
from config.problems import IdTaken, NotFound, Problem
from config.serializers import (
    BooleanField,
    IdField,
    InstantField,
    IntegerField,
    ItemProblemSerializer,
    NumberField,
    QuerySerializer,
    Serializer,
    TextField,
)
from config.store.items import Page, Raw
from config.viewsets import (
    ItemViewSet,
    ListQuerySerializer,
    decode_cursor,
    get_or_404,
    next_address,
    page_of,
)
from learning.api.serializers import (
    CARD_ID,
    RATINGS,
    STATES,
    CardSerializer,
    OneByOneField,
    ReviewSerializer,
    StudyInstantField,
)
from learning.models.cards import Card
from learning.scheduling import Rating
from learning.services import bulk, cards, due_queue, notes, review, search
from learning.services.media_on_cards import UnknownMedium


class NewCardSerializer(CardSerializer):
    id = IdField(  # type: ignore[assignment]
        required=False, help_text="Made by the client, so that sending again is safe"
    )


class CardQuerySerializer(ListQuerySerializer):
    deck_id = IdField(required=False, help_text="Only the cards of this deck")
    tag = TextField(
        max_length=200, required=False, help_text="Only cards with this tag, or one below it"
    )
    state = serializers.ChoiceField(
        STATES, required=False, help_text="Only cards in this state of learning"
    )
    front = TextField(
        max_length=80, required=False, help_text="How the front begins; the case does not matter"
    )
    q = TextField(
        max_length=400,
        required=False,
        help_text="A search, which takes the place of all other parameters, such as "
        "`tag:verbs is:due prop:lapses>3`. `deck:` and `tag:` include what is below them; `is:` is "
        "due, new, learning, review, suspended, leech or buried; `prop:` compares lapses, reps, "
        "stability or difficulty. `-` before a term means all but these. A word without a colon is "
        "how the front begins. `*` stands for any characters, `_` for one, `\\` before a character "
        "for that character itself. A letter without an accent finds it with any",
    )
    suspended = BooleanField(required=False, help_text="Only cards that are, or are not, suspended")
    leech = BooleanField(
        required=False, help_text="Only cards that were, or were not, forgotten again and again"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        others = attrs.keys() - {"q", "limit", "cursor"}
        if "q" in attrs and others:
            error = serializers.ErrorDetail("Put this into the search.", "not_with_q")
            raise serializers.ValidationError({wire_name(name): [error] for name in sorted(others)})
        return attrs


class BulkSerializer(Serializer):
    cards = OneByOneField(child=NewCardSerializer(), min_length=1, max_length=500)


class BulkItemResultSerializer(Serializer):
    status = serializers.ChoiceField(["created", "duplicate", "rejected"])
    card = CardSerializer(allow_null=True)
    problem = ItemProblemSerializer(allow_null=True)


class BulkOutcomeSerializer(Serializer):
    """What became of each card, in the order sent."""

    results = BulkItemResultSerializer(many=True)


class DueQuerySerializer(QuerySerializer):
    deck_id = IdField(required=False, help_text="Only the cards of this deck")
    limit = IntegerField(min_value=1, max_value=100, default=20, help_text="Cards per page")
    cursor = TextField(max_length=2048, required=False, help_text="From `next`, as it is")


class AnswerSerializer(Serializer):
    samples = {"state": "review"}

    due_at = InstantField()
    interval_days = IntegerField()
    state = serializers.ChoiceField(STATES)


class AnswersSerializer(Serializer):
    """Where each rating would take the card if it were given now."""

    again = AnswerSerializer()
    hard = AnswerSerializer()
    good = AnswerSerializer()
    easy = AnswerSerializer()


class DueCardSerializer(Serializer):
    card = CardSerializer()
    answers = AnswersSerializer()
    retrievability = NumberField(help_text="How likely it is remembered, 0–1; 0 for a new card")


class CountsSerializer(Serializer):
    """Within the day's limits; 100 means 100 or more."""

    samples = {"learning": 2, "review": 14, "new": 5}

    learning = IntegerField()
    review = IntegerField()
    new = IntegerField()


class QueueSerializer(Serializer):
    results = DueCardSerializer(many=True, source="cards")
    counts = CountsSerializer(source="*")
    next_learning_at = InstantField(
        allow_null=True, help_text="When the next card in learning comes back: ask again then"
    )
    day_ends_at = InstantField(help_text="When the learner's day, and its limits, begin anew")
    next = serializers.URLField(allow_null=True, help_text="Address of the next page")


class NewReviewSerializer(Serializer):
    """`reviewedAt` may be long past, and at most five minutes ahead of our clock."""

    samples = {"rating": "good", "reviewedAt": "2026-11-21T09:00:00Z", "durationMs": 4200}

    id = IdField(help_text="Made by the client: a review sent twice counts once")
    rating = serializers.ChoiceField(RATINGS)
    reviewed_at = StudyInstantField()
    duration_ms = IntegerField(min_value=0, max_value=3_600_000, default=0)


class ReviewedSerializer(Serializer):
    review = ReviewSerializer()
    card = CardSerializer()


class LogActionSerializer(Serializer):
    id = IdField(help_text="Made by the client: sent twice it acts once")


class UndoSerializer(LogActionSerializer):
    target_id = IdField(
        default=None, allow_null=True, help_text="The entry to undo; by default the newest"
    )


class RescheduleSerializer(LogActionSerializer):
    due_at = StudyInstantField()


class FlashcardViewSet(ItemViewSet):
    lookup_value_regex = CARD_ID
    serializer_class = CardSerializer
    create_serializer_class = NewCardSerializer

    @operation("listFlashcards", answers={200: page_of(CardSerializer)}, query=CardQuerySerializer)
    def list(self, request: Request) -> Response:
        """List the cards, narrowed by any of the parameters.

        In order of their fronts with `front`, of the study queue with `deckId`, `state` or
        `suspended`, else of their ids. A narrowed page may be short and still have a next one.
        """
        return self.paginated(
            _matching, self.learner_id, serializer_class=CardSerializer, query=CardQuerySerializer
        )

    @operation(
        "createFlashcard",
        request=NewCardSerializer,
        answers={201: CardSerializer},
        raises=[IdTaken, cards.NoSuchDeck, UnknownMedium],
    )
    def create(self, request: Request) -> Response:
        """Make a basic note with its one card, which is new and due at once.

        201 with the card. `UNKNOWN_DECK`: make the deck first. Reversed and cloze notes are made by
        `POST /notes`, many cards by `/flashcards/bulk`.
        """
        return self.create_item(cards.create_card)

    @operation(
        "createFlashcards",
        request=BulkSerializer,
        answers={200: BulkOutcomeSerializer},
    )
    @action(detail=False, methods=["post"])
    def bulk(self, request: Request) -> Response:
        """Make up to 500 basic notes, each with its one card, in the order given.

        Each is created, was made before by the same request, or is rejected with its own problem;
        the others are not held up by it. Safe to send again when the cards have ids.
        """
        sent = self.validated_body(BulkSerializer)["cards"]
        wanted = [item for item in sent if not isinstance(item, Problem)]
        results = iter(bulk.create_cards(learner_id=self.learner_id, items=wanted, now=now()))
        outcomes = [
            bulk.ItemResult("rejected", problem=item)
            if isinstance(item, Problem)
            else next(results)
            for item in sent
        ]
        body = {"results": [outcome.shown() for outcome in outcomes]}
        return Response(BulkOutcomeSerializer(body).data)

    @operation("getFlashcard", answers={200: CardSerializer}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a card.

        With its text, its schedule and its `version`.
        """
        return self.answer(get_or_404(Card.with_text(self.learner_id, id)))

    @operation(
        "replaceFlashcard",
        request=CardSerializer,
        answers={200: CardSerializer},
        raises=[NotFound, cards.NoSuchDeck, UnknownMedium, cards.CardOfNote],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace the content of a card. A field that is left out gets its default.

        Its schedule stays. `CARD_OF_NOTE`: the card is one of several of its note; change
        `/notes/{noteId}`.
        """
        return self.update_item(notes.update_card, card_id=id)

    @operation(
        "updateFlashcard",
        request=CardSerializer,
        answers={200: CardSerializer},
        raises=[NotFound, cards.NoSuchDeck, UnknownMedium, cards.CardOfNote],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change the given fields of a card, or move it to another deck.

        Its schedule stays. `CARD_OF_NOTE`: the card is one of several of its note; change
        `/notes/{noteId}`.
        """
        return self.update_item(notes.update_card, card_id=id, partial=True)

    @operation(
        "deleteFlashcard",
        answers={204: None},
        raises=[NotFound, cards.CardOfNote],
        if_match=True,
    )
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a card. Its reviews stay in the log and in the statistics.

        204. `CARD_OF_NOTE`: the card is one of several of its note; delete the note.
        """
        return self.delete_item(notes.delete_card, card_id=id)

    @operation("listDueFlashcards", answers={200: QueueSerializer}, query=DueQuerySerializer)
    @action(detail=False)
    def due(self, request: Request) -> Response:
        """List the cards to study now, in order, and the result of each possible answer.

        First the cards in learning whose step has passed, then the day's reviews beginning with
        the one most likely forgotten, then new cards; within the limits of the learner's day.
        A further page goes on in that order; what came up since the first one is not in it. After
        the last page, ask for the first again.
        """
        query = self.validated_query(DueQuerySerializer)
        start = decode_cursor(request, query.get("cursor"))
        queue = due_queue.due_queue(
            learner_id=self.learner_id,
            deck_id=query.get("deck_id"),
            limit=query["limit"],
            after=_place(start) if start else None,
            now=now(),
        )
        shown = {**vars(queue), "next": next_address(request, _key(queue.last))}
        return Response(QueueSerializer(shown).data)

    @operation(
        "reviewFlashcard",
        request=NewReviewSerializer,
        answers={201: ReviewedSerializer},
        raises=[NotFound, IdTaken, review.ReviewInFuture],
    )
    @action(detail=True, methods=["post"])
    def reviews(self, request: Request, id: str) -> Response:
        """Review a card.

        Answers the review and the card as it is then, with the next `dueAt`. Make the `id` when the
        learner answers: however often, late or out of order it is sent, a review counts once, at
        its `reviewedAt`. Many at once go to `POST /reviews`.
        """
        fields = self.validated_body(NewReviewSerializer)
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
        request=UndoSerializer,
        answers={201: ReviewedSerializer},
        raises=[NotFound, IdTaken, review.NothingToUndo],
    )
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, id: str) -> Response:
        """Undo the newest review, reset or reschedule of a card; again and again if need be.

        The card, the day's counts, the progress and the streak become what they would be without
        it. The log keeps both lines.
        """
        fields = self.validated_body(UndoSerializer)
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
        request=LogActionSerializer,
        answers={201: ReviewedSerializer},
        raises=[NotFound, IdTaken],
    )
    @action(detail=True, methods=["post"])
    def reset(self, request: Request, id: str) -> Response:
        """Make a card new again. Its earlier reviews stay in the log; it can be undone.

        Answers the entry of the log and the card. Offline, send it as a `reset` to `POST /reviews`.
        """
        fields = self.validated_body(LogActionSerializer)
        return self._submit(review.Submission(id=fields["id"], card_id=id, kind="reset"))

    @operation(
        "rescheduleFlashcard",
        request=RescheduleSerializer,
        answers={201: ReviewedSerializer},
        raises=[NotFound, IdTaken],
    )
    @action(detail=True, methods=["post"])
    def reschedule(self, request: Request, id: str) -> Response:
        """Show a card at another time; what is remembered of it stays. It can be undone.

        Answers the entry of the log and the card with its new `dueAt`. Offline, send it as a
        `reschedule` to `POST /reviews`.
        """
        fields = self.validated_body(RescheduleSerializer)
        return self._submit(
            review.Submission(
                id=fields["id"], card_id=id, kind="reschedule", due_at=fields["due_at"]
            )
        )

    @operation("suspendFlashcard", answers={200: CardSerializer}, raises=[NotFound])
    @action(detail=True, methods=["post"])
    def suspend(self, request: Request, id: str) -> Response:
        """Take a card out of study until it is unsuspended.

        Answers the card. Safe to repeat.
        """
        return self.apply(due_queue.suspend, card_id=id)

    @operation("unsuspendFlashcard", answers={200: CardSerializer}, raises=[NotFound])
    @action(detail=True, methods=["post"])
    def unsuspend(self, request: Request, id: str) -> Response:
        """Take a card back into study, also one that was suspended as a leech.

        Answers the card. Safe to repeat.
        """
        return self.apply(due_queue.unsuspend, card_id=id)

    @operation("buryFlashcard", answers={200: CardSerializer}, raises=[NotFound])
    @action(detail=True, methods=["post"])
    def bury(self, request: Request, id: str) -> Response:
        """Put a card off until the learner's next day.

        Answers the card with `buriedUntil`. It is left out of the queue until then.
        """
        return self.apply(due_queue.bury, card_id=id)

    @operation("unburyFlashcard", answers={200: CardSerializer}, raises=[NotFound])
    @action(detail=True, methods=["post"])
    def unbury(self, request: Request, id: str) -> Response:
        """Show a buried card again.

        Answers the card. Safe to repeat.
        """
        return self.apply(due_queue.unbury, card_id=id)


def _matching(learner_id: str, *, q: str | None = None, **filters: Any) -> Page[Card]:
    if q is None:
        return search.list_cards(learner_id=learner_id, **filters)
    return search.search_cards(learner_id=learner_id, text=q, **filters, now=now())


def _key(place: due_queue.Place | None) -> Raw | None:
    return (
        None if place is None else {name: {"S": str(value)} for name, value in vars(place).items()}
    )


def _place(start: Raw) -> due_queue.Place:
    told = {name: value["S"] for name, value in start.items()}
    return due_queue.Place(**told | {"at": datetime.fromisoformat(told["at"])})


def _reviewed(outcome: review.Outcome) -> Response:
    body = {"review": outcome.entry, "card": outcome.card}
    return Response(ReviewedSerializer(body).data, status.HTTP_201_CREATED)
