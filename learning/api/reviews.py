"""The study log."""

from typing import Any, cast

from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.problems import Problem
from config.serializers import IdField, IntegerField, ItemProblemSerializer, Serializer
from config.store.items import Page
from config.viewsets import ListQuerySerializer, Resource, page_of
from learning.api.serializers import (
    RATINGS,
    CardIdField,
    CardSerializer,
    OneByOneField,
    ReviewSerializer,
    StudyInstantField,
)
from learning.models.log import LogEntry
from learning.scheduling import Rating
from learning.services.changes import entries_by_arrival
from learning.services.review import Outcome, Submission, log_of_card, submit


def sent_id(item: Any) -> str | None:
    """The id of an item as it was sent, for its result."""
    item_id = item.get("id") if isinstance(item, dict) else None
    return item_id if isinstance(item_id, str) else None


NEEDED = {"review": "rating", "reschedule": "dueAt", "void": "targetId", "reset": None}


class NewEntrySerializer(Serializer):
    """An entry of the log: a review needs `rating`, a reschedule `dueAt`, a void `targetId`."""

    samples = {
        "kind": "review",
        "reviewedAt": "2026-11-21T09:00:00Z",
        "rating": "good",
        "durationMs": 4200,
    }
    variants = {kind: [] if name is None else [name] for kind, name in NEEDED.items()}

    id = IdField(help_text="Made by the client: an entry sent twice counts once")
    card_id = CardIdField()
    kind = serializers.ChoiceField(list(NEEDED), default="review")
    reviewed_at = StudyInstantField(source="at")
    rating = serializers.ChoiceField(RATINGS, required=False)
    duration_ms = IntegerField(min_value=0, max_value=3_600_000, default=0)
    due_at = StudyInstantField(required=False)
    target_id = IdField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        needed = NEEDED[attrs["kind"]]
        for name in filter(None, NEEDED.values()):
            is_given = self.fields[name].source in attrs
            if is_given != (name == needed):
                message = "An entry of this kind has no such field." if is_given else "Needed here."
                raise serializers.ValidationError(
                    {
                        name: [
                            serializers.ErrorDetail(
                                message, "unknown_field" if is_given else "required"
                            )
                        ]
                    }
                )
        return attrs


class BatchSerializer(Serializer):
    reviews = OneByOneField(child=NewEntrySerializer(), min_length=1, max_length=100)


class EntryOutcomeSerializer(Serializer):
    id = serializers.CharField(allow_null=True, help_text="As it was sent")
    status = serializers.ChoiceField(["applied", "duplicate", "rejected"])
    problem = ItemProblemSerializer(allow_null=True)


class BatchOutcomeSerializer(Serializer):
    """What became of each entry, in the order sent, and the cards as they are now."""

    results = EntryOutcomeSerializer(many=True)
    cards = CardSerializer(many=True)


class ReviewQuerySerializer(ListQuerySerializer):
    card_id = CardIdField(default=None, help_text="Only the entries of this card")


class ReviewViewSet(Resource):
    @operation("listReviews", answers={200: page_of(ReviewSerializer)}, query=ReviewQuerySerializer)
    def list(self, request: Request) -> Response:
        """List the study log, newest first.

        With `cardId` it is the card's whole log, by the instants of its entries. Without, it goes
        by arrival, 400 days back; what came with an import is listed with its card alone.
        """
        return self.paginated(
            _entries,
            self.learner_id,
            serializer_class=ReviewSerializer,
            query=ReviewQuerySerializer,
        )

    @operation("submitReviews", request=BatchSerializer, answers={200: BatchOutcomeSerializer})
    def create(self, request: Request) -> Response:
        """Send in what was studied offline, up to 100 entries of any cards.

        Each entry is applied, known already, or rejected with its own problem; the others are not
        held up by it. The order of sending does not matter: a card is what its log in order of
        time makes of it. Safe to send again as a whole, also after an error.
        """
        sent = self.validated_body(BatchSerializer)["reviews"]
        submissions = [_submission(item) for item in sent if not isinstance(item, Problem)]
        outcomes = submit(learner_id=self.learner_id, submissions=submissions, now=now())
        known, raws = iter(outcomes), cast("dict[str, Any]", request.data)["reviews"]
        results = [
            _result(raw, Outcome("rejected", problem=item))
            if isinstance(item, Problem)
            else _result(raw, next(known))
            for raw, item in zip(raws, sent, strict=True)
        ]
        cards = {item.card.id: item.card for item in outcomes if item.card}
        body = {"results": results, "cards": list(cards.values())}
        return Response(BatchOutcomeSerializer(body).data)


def _submission(fields: dict[str, Any]) -> Submission:
    rating = fields.pop("rating", None)
    return Submission(**fields, rating=Rating.from_wire(rating) if rating else None)


def _result(raw: Any, outcome: Outcome) -> dict[str, Any]:
    return {
        "id": sent_id(raw),
        "status": outcome.status,
        "problem": outcome.problem and outcome.problem.body(),
    }


def _entries(learner_id: str, *, card_id: str | None = None, **page: Any) -> Page[LogEntry]:
    if card_id:
        return log_of_card(learner_id=learner_id, card_id=card_id, **page)
    return entries_by_arrival(learner_id=learner_id, **page, now=now())
