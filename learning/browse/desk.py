"""The desk of who writes scenarios: all of a status, with buttons, and the base of the pages.

Each page works without script. A button's value says what to do and to what: `up parts.0.goals.1`.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from django.http import HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.timezone import now
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import IsStaff, staff_member
from accounts.browse.guard import StaffPage
from config.problems import (
    MalformedRequest,
    NotFound,
)
from config.viewsets import decode_cursor, paginated_response
from learning.api.scenarios import (
    MAX_REORDERED,
    ScenarioQuerySerializer,
    SummarySerializer,
)
from learning.models.content import STATUSES, Scenario
from learning.practice.script import SLUG
from learning.services import scenarios

DO = "_do"  # what a button says
DONE = "#done"


class WritingPage(StaffPage):
    permission_classes = (IsStaff,)

    @property
    def sent(self) -> QueryDict:
        """The fields of the form."""
        return self.request._request.POST

    @property
    def doing(self) -> tuple[str, list[str]]:
        """What the button that was pressed says: a verb and what it is about."""
        verb, *about = self.sent.get(DO, "").split(" ")
        return verb, about


def version_of(about: Sequence[str]) -> int | None:
    """The version that a button says last."""
    last = about[-1] if about else ""
    return int(last) if re.fullmatch("[0-9]{1,15}", last) else None


def led_to(name: str, scenario_id: str = "", mark: str = DONE) -> HttpResponseRedirect:
    arguments = [scenario_id] if scenario_id else []
    return HttpResponseRedirect(reverse(name, args=arguments) + mark, status=303)


class DeskView(WritingPage):
    """All scenarios of a status, level by level, with buttons."""

    def get(self, request: Request) -> Response:
        query = ScenarioQuerySerializer(request.query_params).values() | {"limit": 100}
        start = decode_cursor(request, query.pop("cursor", None))
        page = Scenario.catalogue(**query, start=start)
        context = {
            "scenarios": page.items,
            "status": query["status"],
            "statuses": STATUSES,
            "next": paginated_response(request, page, SummarySerializer).data["next"],
        }
        return Response(context, template_name="writing/desk.html")

    def post(self, request: Request) -> HttpResponseRedirect:
        verb, about = self.doing
        scenario_id, *rest = about or [""]
        if not re.fullmatch(SLUG, scenario_id) or len(scenario_id) > 60:
            raise NotFound
        if verb in ("up", "down"):
            return self._move(scenario_id, -1 if verb == "up" else 1)
        services = {
            "publish": scenarios.publish,
            "archive": scenarios.archive,
            "delete": scenarios.delete,
        }
        version = version_of(rest)
        if verb not in services or version is None:
            raise MalformedRequest("This button is none of ours")
        services[verb](
            scenario_id=scenario_id,
            expected_version=version,
            by=staff_member(request),
            now=now(),
        )
        return led_to("writing") if verb == "delete" else led_to("writing-edit", scenario_id)

    def _move(self, scenario_id: str, by: int) -> HttpResponseRedirect:
        scenario = Scenario.of(scenario_id)
        if scenario is None:
            raise NotFound
        level = Scenario.catalogue(
            status=scenario.status, level=scenario.level, limit=MAX_REORDERED, start=None
        ).items
        if ids := _moved(level, scenario_id, by):
            scenarios.reorder(ids=ids, by=staff_member(self.request), now=now())
        address = f"{reverse('writing')}?status={scenario.status}#{scenario_id}"
        return HttpResponseRedirect(address, status=303)


def _moved(level: Sequence[Scenario], scenario_id: str, by: int) -> list[str]:
    """The ids to put into another order, so that a scenario moves by one place; none at an end.

    Two change places. Where several have the same place by now, the whole level is numbered anew.
    """
    ids = [each.id for each in level]
    at = ids.index(scenario_id) if scenario_id in ids else -1
    if at < 0 or not 0 <= at + by < len(ids):
        return []
    ids[at], ids[at + by] = ids[at + by], ids[at]
    distinct = all(one.order < other.order for one, other in pairwise(level))
    return ids[min(at, at + by) :][:2] if distinct else ids
