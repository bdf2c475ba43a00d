"""The catalogue of scenarios, and the staff's work on it.

A script's rules beyond its fields are those of `learning.practice.script`.
"""

from typing import Any

from django.utils.timezone import now
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import StaffActionSerializer
from accounts.authentication import IsStaff, ReadOrStaff, is_staff, staff_member
from accounts.models import Activity
from config.formats import CEFR_LEVELS
from config.operations import operation
from config.problems import IdTaken, NotAuthenticated, NotFound, PermissionDenied
from config.serializers import BooleanField, InstantField, IntegerField, Serializer, TextField
from config.store.items import Page
from config.viewsets import (
    ItemViewSet,
    ListQuerySerializer,
    decode_cursor,
    if_match_version,
    page_of,
    paginated_response,
    with_etag,
)
from learning.api.serializers import (
    RoleSerializer,
    ScriptLanguageField,
    ShapeSerializer,
    SlugField,
)
from learning.models.content import PUBLISHED, STATUSES, SUMMARY, Scenario
from learning.practice.script import PARTNERS, Goal, Phrase, Role, Script
from learning.services import scenarios
from learning.services.scenarios import ScenarioDetail
from learning.shapes import shape_of

MAX_REORDERED = 98  # in one transaction, with the two lines that record it


class ScriptSerializer(ShapeSerializer):
    """A scenario as its authors write it: texts, roles, and the dialogue of one role or both."""

    shape = Script
    only = tuple(name for name in shape_of(Script) if name != "id")


class NewScenarioSerializer(ScriptSerializer):
    id = SlugField(required=False, help_text="Made by the client, so that sending again is safe")


class CopySerializer(Serializer):
    id = SlugField(required=False, help_text="Made by the client, so that sending again is safe")
    title = TextField(max_length=80, required=False)


class ReorderSerializer(Serializer):
    """The scenarios in their new order, on the places that they have among all others."""

    ids = serializers.ListField(child=SlugField(), min_length=1, max_length=MAX_REORDERED)


class ScenarioQuerySerializer(ListQuerySerializer):
    level = serializers.ChoiceField(CEFR_LEVELS, required=False, help_text="Only this level")
    context = SlugField(required=False, help_text="Only this place, e.g. food, travel or work")  # type: ignore[assignment]
    language = ScriptLanguageField(required=False, help_text="Only this language, e.g. pt")
    search = TextField(
        max_length=80, required=False, help_text="In title and description, whatever the case"
    )
    status = serializers.ChoiceField(
        STATUSES, default=PUBLISHED, help_text="Other ones are for staff"
    )
    vars()["for"] = serializers.ChoiceField(  # a word of Python's
        ["me"],
        required=False,
        help_text="The next ones for the caller, in one page: by level, goals and practice",
    )


class SummarySerializer(ShapeSerializer):
    """A scenario in the catalogue."""

    shape = Script
    only = ("id", *SUMMARY)
    order = IntegerField()
    status = serializers.ChoiceField(STATUSES)
    revision = IntegerField(help_text="0 before the first publication")
    published_at = InstantField(allow_null=True)
    updated_at = InstantField()
    version = IntegerField(help_text="For If-Match")


class ReorderedSerializer(Serializer):
    results = SummarySerializer(many=True)


class GoalToReachSerializer(ShapeSerializer):
    """A goal of the learner's."""

    shape, only = Goal, ("id", "text")


class PartToPlaySerializer(ShapeSerializer):
    """A role and its learner's goals; without goals only the partner plays it."""

    shape = Role
    goals = GoalToReachSerializer(many=True)


class UsefulPhraseSerializer(ShapeSerializer):
    """A phrase to use in the scenario, and its meaning."""

    shape, only = Phrase, ("text", "meaning")


class ScenarioSerializer(SummarySerializer):
    roles = PartToPlaySerializer(many=True)
    partners = serializers.ListField(
        child=serializers.ChoiceField(PARTNERS), help_text="Who can play the partner here"
    )
    phrases = UsefulPhraseSerializer(many=True)
    notes = TextField(max_length=2000, help_text="For teachers")
    sessions = IntegerField(help_text="How many began with it")
    has_unpublished_changes = BooleanField(required=False, help_text="For staff")
    script = ScriptSerializer(required=False, help_text="The draft, for staff")


def scenario_body(detail: ScenarioDetail) -> dict[str, Any]:
    """A scenario on the wire: ScenarioSerializer."""
    scenario, script = detail.scenario, detail.script
    goals = {part.role: part.goals for part in script.parts}
    body = {
        **SummarySerializer(scenario).data,
        "roles": [
            {
                **RoleSerializer(role).data,
                "goals": GoalToReachSerializer(goals.get(role.id, ()), many=True).data,
            }
            for role in script.roles
        ],
        "partners": scenarios.offered_partners(script),
        "phrases": UsefulPhraseSerializer(script.phrases, many=True).data,
        "notes": script.notes,
        "sessions": detail.sessions,
    }
    if detail.draft is not None:
        body["hasUnpublishedChanges"] = scenario.has_unpublished_changes
        body["script"] = {"order": int(scenario.order), **detail.draft}
    return body


class ScenarioViewSet(ItemViewSet):
    lookup_value_regex = r"[a-z0-9-]{1,60}"
    permission_classes = (ReadOrStaff,)
    serializer_class = ScriptSerializer
    create_serializer_class = NewScenarioSerializer

    @property
    def caller(self) -> dict[str, Any]:
        """Who of the staff writes."""
        return {"by": staff_member(self.request)}

    def answer(self, item: ScenarioDetail, code: int = status.HTTP_200_OK) -> Response:
        """A scenario with the script that the caller may see."""
        return with_etag(Response(scenario_body(item), code), int(item.scenario.version))

    @operation(
        "listScenarios",
        answers={200: page_of(SummarySerializer)},
        query=ScenarioQuerySerializer,
        raises=[NotAuthenticated, PermissionDenied],
        public=True,
        if_none_match=True,
    )
    def list(self, request: Request) -> Response:
        """List the catalogue by level and order, narrowed by any of the parameters.

        A narrowed page may be short and still have a next one. With `for=me` it is what the caller
        may practise next, in their target language and around their level: first what they have
        begun and not reached, then what is new, last what they have reached the longest ago.
        """
        query = self.validated_query(ScenarioQuerySerializer)
        if query["status"] != PUBLISHED and not is_staff(request):
            raise PermissionDenied("Only staff see scenarios that are not published")
        if query.pop("for", None):
            return self._next_ones(request, query)
        start = decode_cursor(request, query.pop("cursor", None))
        return paginated_response(
            request, Scenario.catalogue(**query, start=start), SummarySerializer
        )

    def _next_ones(self, request: Request, query: dict[str, Any]) -> Response:
        """The page of those that come next for the caller. Raises NotAuthenticated."""
        if request.user is None:
            raise NotAuthenticated
        narrowed = {name: query.get(name) for name in ("language", "level", "context", "search")}
        next_ones = scenarios.next_scenarios(
            learner_id=self.learner_id, limit=query["limit"], **narrowed
        )
        return paginated_response(request, Page(next_ones, None), SummarySerializer)

    @operation(
        "getScenario",
        answers={200: ScenarioSerializer},
        raises=[NotAuthenticated, NotFound],
        public=True,
        if_none_match=True,
    )
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a scenario: its roles, their goals, useful phrases.

        The goals, roles and useful phrases are for the learner's screen; `partners` says whom a
        session may ask for. Staff see those that are not published as well, and the draft.
        """
        return self.answer(scenarios.read_scenario(id, for_staff=is_staff(request)))

    @operation(
        "createScenario",
        request=NewScenarioSerializer,
        answers={201: ScenarioSerializer},
        raises=[PermissionDenied, IdTaken],
    )
    def create(self, request: Request) -> Response:
        """Make a draft, for staff.

        Its script must be playable: every goal within reach of the model answers, every way to an
        end. The first field that breaks a rule is named.
        """
        return self.create_item(scenarios.create)

    @operation(
        "replaceScenario",
        request=ScriptSerializer,
        answers={200: ScenarioSerializer},
        raises=[PermissionDenied, NotFound],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace the draft, for staff; learners see it once it is published.

        Answers the scenario with its draft. The first field of the script that breaks a rule is
        named in `errors`.
        """
        return self._change(id, partial=False)

    @operation(
        "updateScenario",
        request=ScriptSerializer,
        answers={200: ScenarioSerializer},
        raises=[PermissionDenied, NotFound],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change the given fields of the draft, for staff.

        Answers the scenario with its draft. The first field of the script that breaks a rule is
        named in `errors`.
        """
        return self._change(id, partial=True)

    def _change(self, id: str, *, partial: bool) -> Response:
        return self.apply(
            scenarios.change,
            scenario_id=id,
            fields=self.validated_body(ScriptSerializer, partial=partial),
            partial=partial,
            expected_version=if_match_version(self.request),
        )

    @operation(
        "deleteScenario",
        answers={204: None},
        raises=[PermissionDenied, NotFound, scenarios.ScenarioPublished],
        if_match=True,
    )
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a scenario that was never published, for staff.

        204. `SCENARIO_PUBLISHED`: sessions may need it; archive it instead.
        """
        return self.delete_item(scenarios.delete, scenario_id=id)

    @operation(
        "publishScenario",
        answers={200: ScenarioSerializer},
        raises=[PermissionDenied, NotFound],
        if_match=True,
    )
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, id: str) -> Response:
        """Freeze the draft as the next revision and show it to everyone, for staff.

        Sessions that have begun go on with the revision they began with.
        """
        version = if_match_version(request)
        return self.apply(scenarios.publish, scenario_id=id, expected_version=version)

    @operation(
        "archiveScenario",
        answers={200: ScenarioSerializer},
        raises=[PermissionDenied, NotFound],
        if_match=True,
    )
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, id: str) -> Response:
        """Take a scenario out of the catalogue, for staff; publishing brings it back.

        Sessions that have begun go on. Safe to repeat.
        """
        version = if_match_version(request)
        return self.apply(scenarios.archive, scenario_id=id, expected_version=version)

    @operation(
        "duplicateScenario",
        request=CopySerializer,
        answers={201: ScenarioSerializer},
        raises=[PermissionDenied, NotFound, IdTaken],
    )
    @action(detail=True, methods=["post"])
    def duplicate(self, request: Request, id: str) -> Response:
        """Make a draft from the draft of another scenario, for staff.

        201 with the new draft. Learners see nothing of it until it is published.
        """
        fields = self.validated_body(CopySerializer)
        return self.apply(
            scenarios.duplicate,
            status.HTTP_201_CREATED,
            scenario_id=id,
            new_id=fields.get("id"),
            title=fields.get("title"),
        )

    @operation(
        "reorderScenarios",
        request=ReorderSerializer,
        answers={200: ReorderedSerializer},
        raises=[PermissionDenied, scenarios.UnknownScenario],
    )
    @action(detail=False, methods=["post"])
    def reorder(self, request: Request) -> Response:
        """Put scenarios into another order, for staff.

        They take the places that they have among all others; levels stay together.
        """
        ids = self.validated_body(ReorderSerializer)["ids"]
        moved = scenarios.reorder(ids=ids, by=staff_member(request), now=now())
        return Response(ReorderedSerializer({"results": moved}).data)

    @operation(
        "listScenarioActivity",
        query=ListQuerySerializer,
        answers={200: page_of(StaffActionSerializer)},
        raises=[PermissionDenied, NotFound],
    )
    @action(detail=True, permission_classes=(IsStaff,))
    def activity(self, request: Request, id: str) -> Response:
        """List what staff did to a scenario, the newest first, for staff.

        Each with who did it and when.
        """
        trail = f"{scenarios.KIND}/{id}"
        return self.paginated(Activity.newest, trail, serializer_class=StaffActionSerializer)
