"""The catalogue of scenarios, and the staff's work on it."""

from typing import Any

from rest_framework import status
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
from config.viewsets import Resource, expected_version, versioned
from learning.models.scenarios import PUBLISHED, Scenario
from learning.serializers import scenarios as shapes
from learning.services import scenarios
from learning.services.scenarios import Detail


def _answer(found: Detail, status_code: int = status.HTTP_200_OK) -> Response:
    body = shapes.scenario_body(found)
    return versioned(Response(body, status_code), int(found.scenario.version))


class Scenarios(Resource):
    lookup_value_regex = r"[a-z0-9-]{1,60}"
    permission_classes = (ReadOrStaff,)

    @operation(
        "listScenarios",
        answers={200: list_of(shapes.SummaryShape)},
        query=shapes.ScenarioQuery,
        raises=[NotAuthenticated, PermissionDenied],
        public=True,
    )
    def list(self, request: Request) -> Response:
        """List the catalogue by level and order, narrowed by any of the parameters.

        A narrowed page may be short and still have a next one.
        """
        query = self.query(shapes.ScenarioQuery)
        if query["status"] != PUBLISHED and not is_staff(request):
            raise PermissionDenied("Only staff see scenarios that are not published")
        start = start_of(request, query.pop("cursor", None))
        return page_response(request, Scenario.catalogue(**query, start=start), shapes.SummaryShape)

    @operation(
        "getScenario",
        answers={200: shapes.ScenarioShape},
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
        request=shapes.NewScenarioShape,
        answers={201: shapes.ScenarioShape},
        raises=[PermissionDenied, IdTaken],
    )
    def create(self, request: Request) -> Response:
        """Make a draft, for staff.

        Its script must be playable: every goal within reach of the model answers, every way to an
        end. The first field that breaks a rule is named.
        """
        fields = self.body(shapes.NewScenarioShape)
        made = scenarios.create(fields=fields, by=staff_member(request), now=now())
        return _answer(made, status.HTTP_201_CREATED)

    @operation(
        "replaceScenario",
        request=shapes.ScriptShape,
        answers={200: shapes.ScenarioShape},
        raises=[PermissionDenied, NotFound],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace the draft, for staff; learners see it once it is published."""
        return self._change(request, id, partial=False)

    @operation(
        "updateScenario",
        request=shapes.ScriptShape,
        answers={200: shapes.ScenarioShape},
        raises=[PermissionDenied, NotFound],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what is given of the draft, for staff."""
        return self._change(request, id, partial=True)

    def _change(self, request: Request, id: str, *, partial: bool) -> Response:
        fields: dict[str, Any] = self.body(shapes.ScriptShape, partial=partial)
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
        answers={200: shapes.ScenarioShape},
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
        answers={200: shapes.ScenarioShape},
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
        request=shapes.CopyShape,
        answers={201: shapes.ScenarioShape},
        raises=[PermissionDenied, NotFound, IdTaken],
    )
    @action(detail=True, methods=["post"])
    def duplicate(self, request: Request, id: str) -> Response:
        """Make a draft from the draft of another scenario, for staff."""
        fields = self.body(shapes.CopyShape)
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
        request=shapes.ReorderShape,
        answers={200: shapes.ReorderedShape},
        raises=[PermissionDenied, scenarios.UnknownScenario],
    )
    @action(detail=False, methods=["post"])
    def reorder(self, request: Request) -> Response:
        """Put scenarios into another order, for staff.

        They take the places that they have among all others; levels stay together.
        """
        ids = self.body(shapes.ReorderShape)["ids"]
        moved = scenarios.reorder(ids=ids, by=staff_member(request), now=now())
        return Response(shapes.ReorderedShape({"results": moved}).data)

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
