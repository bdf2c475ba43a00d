"""The catalogue of scenarios, and the staff's work on it.

A script's rules beyond its fields are those of `learning.practice.script`.
"""

from typing import Any

from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import DeedShape, activity_of
from accounts.authentication import staff_member
from config.clock import now
from config.operations import operation
from config.pagination import ListQuery, list_of, page_response, start_of
from config.permissions import IsStaff, ReadOrStaff, is_staff
from config.problems import IdTaken, NotAuthenticated, NotFound, PermissionDenied
from config.serializers import Boolean, Instant, Integer, Serializer, Text
from config.viewsets import Resource, expected_version, versioned
from learning.api.serializers import RoleShape, ScriptLanguage, Slug
from learning.models.scenarios import PUBLISHED, STATUSES, Scenario
from learning.practice.script import LEVELS
from learning.services import scenarios
from learning.services.scenarios import Detail

MAX_REORDERED = 98  # in one transaction, with the two lines that record it


def _patterns(**kwargs: Any) -> Any:
    return serializers.ListField(child=Text(max_length=200), max_length=40, **kwargs)


def _several(shape: type[Serializer], least: int, most: int, **kwargs: Any) -> Any:
    return serializers.ListField(child=shape(), min_length=least, max_length=most, **kwargs)


def _texts(least: int, most: int) -> Any:
    return serializers.ListField(child=Text(max_length=400), min_length=least, max_length=most)


class GoalShape(Serializer):
    """Reached by an answer that has any of `phrases` and none of `unless`."""

    id = Slug()
    text = Text(max_length=200)
    phrases = _patterns()
    unless = _patterns(required=False)


class BranchShape(Serializer):
    """One thing that a learner may mean, recognised by its phrases or by those of its goal;
    `also` leads here without reaching the goal."""

    example = Text(max_length=400)
    goal = Slug(required=False)
    phrases = _patterns(required=False)
    also = _patterns(required=False)
    unless = _patterns(required=False)
    say = Text(max_length=400, required=False)
    to = Slug()


class FallbackShape(Serializer):
    """What is said when nothing was recognised: `lines` in turn, then `then` and on to `to`."""

    lines = _texts(1, 4)
    then = Text(max_length=400, required=False)
    to = Slug()


class NodeShape(Serializer):
    """A line of the partner's. Without branches the dialogue ends here."""

    id = Slug()
    line = Text(max_length=600)
    branches = _several(BranchShape, 1, 12, required=False)
    fallback = FallbackShape(required=False)
    hints = serializers.ListField(
        child=Text(max_length=400), min_length=1, max_length=5, required=False
    )
    skip = Slug(required=False, help_text="A goal that makes this line superfluous once reached")


class PartShape(Serializer):
    """The dialogue of a learner who takes `role`."""

    role = Slug()
    start = Slug()
    farewell = Text(max_length=400)
    goals = _several(GoalShape, 1, 8)
    nodes = _several(NodeShape, 1, 60)


class PhraseShape(Serializer):
    text = Text(max_length=200)
    meaning = Text(max_length=400)
    phrases = _patterns(required=False)
    unless = _patterns(required=False)


class MistakeShape(Serializer):
    """A typical mistake; `{1}` in `right` is what the first variable of the pattern stood for."""

    phrases = _patterns()
    unless = _patterns(required=False)
    right = Text(max_length=200)
    why = Text(max_length=400)


class ScriptShape(Serializer):
    """A scenario as its authors write it: texts, roles, and the dialogue of one role or both."""

    order = Integer(min_value=0, max_value=999_999, required=False)
    title = Text(max_length=80)
    context = Slug(help_text="Where it takes place, e.g. food, travel, work")  # type: ignore[assignment]
    description = Text(max_length=600)
    level = serializers.ChoiceField(LEVELS)
    language = ScriptLanguage()
    roles = _several(RoleShape, 2, 2)
    parts = _several(PartShape, 1, 2)
    phrases = _several(PhraseShape, 0, 40)
    mistakes = _several(MistakeShape, 0, 40)
    notes = Text(max_length=2000)


class NewScenarioShape(ScriptShape):
    id = Slug(required=False, help_text="Made by the client, so that sending again is safe")


class CopyShape(Serializer):
    id = Slug(required=False, help_text="Made by the client, so that sending again is safe")
    title = Text(max_length=80, required=False)


class ReorderShape(Serializer):
    """The scenarios in their new order, on the places that they have among all others."""

    ids = serializers.ListField(child=Slug(), min_length=1, max_length=MAX_REORDERED)


class ScenarioQuery(ListQuery):
    level = serializers.ChoiceField(LEVELS, required=False)
    context = Slug(required=False)  # type: ignore[assignment]
    language = ScriptLanguage(required=False)
    search = Text(
        max_length=80, required=False, help_text="In title and description, whatever the case"
    )
    status = serializers.ChoiceField(
        STATUSES, default=PUBLISHED, help_text="Other ones are for staff"
    )


class SummaryShape(Serializer):
    """A scenario in the catalogue."""

    id = Slug()
    status = serializers.ChoiceField(STATUSES)
    title = Text(max_length=80)
    context = Slug()  # type: ignore[assignment]
    description = Text(max_length=600)
    level = serializers.ChoiceField(LEVELS)
    language = ScriptLanguage()
    order = Integer()
    revision = Integer(help_text="0 before the first publication")
    published_at = Instant(allow_null=True)
    updated_at = Instant()
    version = Integer(help_text="For If-Match")


class ReorderedShape(Serializer):
    results = SummaryShape(many=True)


class GoalToReachShape(Serializer):
    id = Slug()
    text = Text(max_length=200)


class PartToPlayShape(RoleShape):
    """A role, and what its learner has to reach; without goals it is only the partner's."""

    goals = GoalToReachShape(many=True)


class UsefulPhraseShape(Serializer):
    text = Text(max_length=200)
    meaning = Text(max_length=400)


class ScenarioShape(SummaryShape):
    roles = PartToPlayShape(many=True)
    phrases = UsefulPhraseShape(many=True)
    notes = Text(max_length=2000, help_text="For teachers")
    sessions = Integer(help_text="How many began with it")
    has_unpublished_changes = Boolean(required=False, help_text="For staff")
    script = ScriptShape(required=False, help_text="The draft, for staff")


def scenario_body(found: Detail) -> dict[str, Any]:
    """A scenario on the wire: ScenarioShape."""
    scenario, script = found.scenario, found.script
    goals = {part.role: part.goals for part in script.parts}
    body = {
        **SummaryShape(scenario).data,
        "roles": [
            {
                **RoleShape(role).data,
                "goals": GoalToReachShape(goals.get(role.id, ()), many=True).data,
            }
            for role in script.roles
        ],
        "phrases": UsefulPhraseShape(script.phrases, many=True).data,
        "notes": script.notes,
        "sessions": found.sessions,
    }
    if found.draft is not None:
        body["hasUnpublishedChanges"] = scenario.has_unpublished_changes
        body["script"] = {"order": int(scenario.order), **found.draft}
    return body


def _answer(found: Detail, status_code: int = status.HTTP_200_OK) -> Response:
    body = scenario_body(found)
    return versioned(Response(body, status_code), int(found.scenario.version))


class Scenarios(Resource):
    lookup_value_regex = r"[a-z0-9-]{1,60}"
    permission_classes = (ReadOrStaff,)

    @operation(
        "listScenarios",
        answers={200: list_of(SummaryShape)},
        query=ScenarioQuery,
        raises=[NotAuthenticated, PermissionDenied],
        public=True,
    )
    def list(self, request: Request) -> Response:
        """List the catalogue by level and order, narrowed by any of the parameters.

        A narrowed page may be short and still have a next one.
        """
        query = self.query(ScenarioQuery)
        if query["status"] != PUBLISHED and not is_staff(request):
            raise PermissionDenied("Only staff see scenarios that are not published")
        start = start_of(request, query.pop("cursor", None))
        return page_response(request, Scenario.catalogue(**query, start=start), SummaryShape)

    @operation(
        "getScenario",
        answers={200: ScenarioShape},
        raises=[NotAuthenticated, NotFound],
        public=True,
    )
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a scenario: its roles, their goals, useful phrases.

        Staff see those that are not published as well, and the draft.
        """
        return _answer(scenarios.read(id, for_staff=is_staff(request)))

    @operation(
        "createScenario",
        request=NewScenarioShape,
        answers={201: ScenarioShape},
        raises=[PermissionDenied, IdTaken],
    )
    def create(self, request: Request) -> Response:
        """Make a draft, for staff.

        Its script must be playable: every goal within reach of the model answers, every way to an
        end. The first field that breaks a rule is named.
        """
        fields = self.body(NewScenarioShape)
        made = scenarios.create(fields=fields, by=staff_member(request), now=now())
        return _answer(made, status.HTTP_201_CREATED)

    @operation(
        "replaceScenario",
        request=ScriptShape,
        answers={200: ScenarioShape},
        raises=[PermissionDenied, NotFound],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace the draft, for staff; learners see it once it is published."""
        return self._change(request, id, partial=False)

    @operation(
        "updateScenario",
        request=ScriptShape,
        answers={200: ScenarioShape},
        raises=[PermissionDenied, NotFound],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what is given of the draft, for staff."""
        return self._change(request, id, partial=True)

    def _change(self, request: Request, id: str, *, partial: bool) -> Response:
        fields: dict[str, Any] = self.body(ScriptShape, partial=partial)
        return _answer(
            scenarios.change(
                scenario_id=id,
                fields=fields,
                partial=partial,
                expected_version=expected_version(request),
                by=staff_member(request),
                now=now(),
            )
        )

    @operation(
        "deleteScenario",
        answers={204: None},
        raises=[PermissionDenied, NotFound, scenarios.ScenarioPublished],
        if_match=True,
    )
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a scenario that was never published, for staff."""
        scenarios.delete(
            scenario_id=id,
            expected_version=expected_version(request),
            by=staff_member(request),
            now=now(),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)

    @operation(
        "publishScenario",
        answers={200: ScenarioShape},
        raises=[PermissionDenied, NotFound],
        if_match=True,
    )
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, id: str) -> Response:
        """Freeze the draft as the next revision and show it to everyone, for staff.

        Sessions that have begun go on with the revision they began with.
        """
        changed = scenarios.publish(
            scenario_id=id,
            expected_version=expected_version(request),
            by=staff_member(request),
            now=now(),
        )
        return _answer(changed)

    @operation(
        "archiveScenario",
        answers={200: ScenarioShape},
        raises=[PermissionDenied, NotFound],
        if_match=True,
    )
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, id: str) -> Response:
        """Take a scenario out of the catalogue, for staff; publishing brings it back."""
        changed = scenarios.archive(
            scenario_id=id,
            expected_version=expected_version(request),
            by=staff_member(request),
            now=now(),
        )
        return _answer(changed)

    @operation(
        "duplicateScenario",
        request=CopyShape,
        answers={201: ScenarioShape},
        raises=[PermissionDenied, NotFound, IdTaken],
    )
    @action(detail=True, methods=["post"])
    def duplicate(self, request: Request, id: str) -> Response:
        """Make a draft from the draft of another scenario, for staff."""
        fields = self.body(CopyShape)
        made = scenarios.duplicate(
            scenario_id=id,
            new_id=fields.get("id"),
            title=fields.get("title"),
            by=staff_member(request),
            now=now(),
        )
        return _answer(made, status.HTTP_201_CREATED)

    @operation(
        "reorderScenarios",
        request=ReorderShape,
        answers={200: ReorderedShape},
        raises=[PermissionDenied, scenarios.UnknownScenario],
    )
    @action(detail=False, methods=["post"])
    def reorder(self, request: Request) -> Response:
        """Put scenarios into another order, for staff.

        They take the places that they have among all others; levels stay together.
        """
        ids = self.body(ReorderShape)["ids"]
        moved = scenarios.reorder(ids=ids, by=staff_member(request), now=now())
        return Response(ReorderedShape({"results": moved}).data)

    @operation(
        "listScenarioActivity",
        query=ListQuery,
        answers={200: list_of(DeedShape)},
        raises=[PermissionDenied, NotFound],
    )
    @action(detail=True, permission_classes=(IsStaff,))
    def activity(self, request: Request, id: str) -> Response:
        """List what staff did to a scenario, the newest first, for staff."""
        return activity_of(f"{scenarios.KIND}/{id}", request)
