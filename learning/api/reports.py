"""Turns of sessions that learners have reported, for staff."""

from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import IsStaff, staff_member
from config.operations import operation
from config.problems import NotFound, PermissionDenied
from config.serializers import IdField, InstantField, IntegerField, Serializer, TextField
from config.viewsets import ListQuerySerializer, Resource, page_of
from learning.api.serializers import SlugField
from learning.models.practice import Report
from learning.practice.script import PARTNERS, SCRIPTED
from learning.services import reports


class ReportSummarySerializer(Serializer):
    """That a turn was reported; what was said is shown by the report alone."""

    id = serializers.CharField()
    at = InstantField()
    turn = IntegerField(source="number")


class ReportedTurnSerializer(ReportSummarySerializer):
    """A reported turn: what the learner said and what was answered."""

    reason = TextField(max_length=500, allow_blank=True)
    session_id = IdField()
    scenario_id = SlugField()
    role = SlugField()
    text = TextField(max_length=1000)
    reply = TextField(max_length=2000)
    answered_by = serializers.ChoiceField(PARTNERS)
    model = TextField(max_length=2048, allow_null=True)


class ReportViewSet(Resource):
    lookup_value_regex = r"[0-9A-Za-z.-]{1,120}"
    permission_classes = (IsStaff,)

    @operation(
        "listReports",
        answers={200: page_of(ReportSummarySerializer)},
        query=ListQuerySerializer,
        raises=[PermissionDenied],
    )
    def list(self, request: Request) -> Response:
        """List the turns that were reported in the last 90 days, the latest first, for staff.

        Without what was said, which is in `GET /reports/{id}`.
        """
        return self.paginated(Report.newest, serializer_class=ReportSummarySerializer)

    @operation(
        "getReport",
        answers={200: ReportedTurnSerializer},
        raises=[PermissionDenied, NotFound],
    )
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a turn that was reported, for staff; its learner is told of each look.

        With what was said in it and what was answered. 404 after 90 days.
        """
        seen = reports.view_report(id, by=staff_member(request), now=now())
        report, session, turn = seen.report, seen.session, seen.turn
        shown = {name: getattr(report, name) for name in ("id", "at", "number", "reason")}
        shown |= {"session_id": session.id, "scenario_id": session.scenario_id}
        shown |= {"role": session.role, "model": session.model}
        shown |= {"text": turn.text, "reply": turn.reply}
        shown["answered_by"] = turn.answered_by or SCRIPTED
        return Response(ReportedTurnSerializer(shown).data)
