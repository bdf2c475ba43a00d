"""How cards are scheduled."""

from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.preconditions import expected_version, versioned
from config.viewsets import Resource
from learning.serializers import study as shapes
from learning.services import settings


class SchedulerSettings(Resource):
    @operation("getScheduler", answers={200: shapes.SchedulerShape})
    def retrieve(self, request: Request) -> Response:
        """Read how cards are scheduled."""
        scheduler = settings.read_scheduler(learner_id=self.learner_id)
        return versioned(Response(shapes.SchedulerShape(scheduler).data), int(scheduler.number))

    @operation(
        "updateScheduler",
        request=shapes.SchedulerShape,
        answers={200: shapes.SchedulerShape},
        if_match=True,
    )
    def partial_update(self, request: Request) -> Response:
        """Change how cards are scheduled from now on; what is due already stays due."""
        scheduler = settings.update_scheduler(
            learner_id=self.learner_id,
            changes=self.body(shapes.SchedulerShape, partial=True),
            expected_version=expected_version(request),
        )
        return versioned(Response(shapes.SchedulerShape(scheduler).data), int(scheduler.number))
