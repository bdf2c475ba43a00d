"""What a session leaves to learn, to be taken over as cards."""

from typing import Any

from django.utils.timezone import now
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.problems import NotFound
from config.serializers import (
    BooleanField,
    IdField,
    IntegerField,
    ItemProblemSerializer,
    Serializer,
)
from config.viewsets import Resource
from learning.api.serializers import NOTE_TYPES, CardSerializer
from learning.services import proposals


class ProposalSerializer(Serializer):
    """A note to take over: a correction as a cloze, or a word or phrase that was new."""

    samples = {
        "reason": "newWord",
        "turn": 2,
        "type": "basic",
        "front": "take away",
        "back": "to buy food and eat it elsewhere",
        "example": "Is that to drink here or to take away?",
        "notes": None,
        "taken": False,
    }

    id = IdField(help_text="The note's own, once it is taken over")
    reason = serializers.ChoiceField(proposals.REASONS)
    turn = IntegerField()
    type = serializers.ChoiceField(NOTE_TYPES)
    front = serializers.CharField()
    back = serializers.CharField()
    example = serializers.CharField(allow_null=True)
    notes = serializers.CharField(allow_null=True)
    taken = BooleanField(help_text="It was taken over, and perhaps deleted since")


class ProposalsSerializer(Serializer):
    results = ProposalSerializer(many=True, help_text=f"At most {proposals.MOST}")


class AcceptSerializer(Serializer):
    """Some of the proposals by their ids, or all."""

    deck_id = IdField()
    ids = serializers.ListField(
        child=IdField(),
        required=False,
        min_length=1,
        max_length=proposals.MOST,
        help_text="All if left out",
    )


class AcceptedSerializer(Serializer):
    id = IdField()
    status = serializers.ChoiceField(proposals.OUTCOMES)
    cards = CardSerializer(many=True)
    problem = serializers.SerializerMethodField()

    @extend_schema_field(ItemProblemSerializer(allow_null=True))
    def get_problem(self, accepted: proposals.Accepted) -> Any:
        return accepted.problem.body() if accepted.problem else None


class AcceptedListSerializer(Serializer):
    """What became of each, in the order asked for."""

    results = AcceptedSerializer(many=True)


class ProposalViewSet(Resource):
    @operation("listProposals", answers={200: ProposalsSerializer}, raises=[NotFound])
    def list(self, request: Request, id: str) -> Response:
        """List what a session leaves to learn: corrections, and words that were new.

        Show them to the learner, then take the chosen ones over by `POST` at the same path.
        """
        notes = proposals.proposed(learner_id=self.learner_id, session_id=id)
        return Response(ProposalsSerializer({"results": notes}).data)

    @operation(
        "acceptProposals",
        request=AcceptSerializer,
        answers={200: AcceptedListSerializer},
        raises=[NotFound],
    )
    def create(self, request: Request, id: str) -> Response:
        """Take some of them over as cards of a deck, or all. They are new, and due at once.

        Sent again, nothing is made twice.
        """
        fields = self.validated_body(AcceptSerializer)
        results = proposals.accept(
            learner_id=self.learner_id,
            session_id=id,
            deck_id=fields["deck_id"],
            ids=fields.get("ids"),
            now=now(),
        )
        return Response(AcceptedListSerializer({"results": results}).data)
