"""How cards are scheduled."""

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.viewsets import Resource, expected_version, versioned
from learning.serializers import study as shapes
from learning.services import optimization, study_context


class SchedulerSettings(Resource):
    @operation("getScheduler", answers={200: shapes.SchedulerShape})
    def retrieve(self, request: Request) -> Response:
        """Read how cards are scheduled."""
        scheduler = study_context.read_scheduler(learner_id=self.learner_id)
        return versioned(Response(shapes.SchedulerShape(scheduler).data), int(scheduler.number))

    @operation(
        "updateScheduler",
        request=shapes.SchedulerShape,
        answers={200: shapes.SchedulerShape},
        if_match=True,
    )
    def partial_update(self, request: Request) -> Response:
        """Change how cards are scheduled from now on; what is due already stays due."""
        scheduler = study_context.update_scheduler(
            learner_id=self.learner_id,
            changes=self.body(shapes.SchedulerShape, partial=True),
            expected_version=expected_version(request),
        )
        return versioned(Response(shapes.SchedulerShape(scheduler).data), int(scheduler.number))


class Optimizations(Resource):
    @operation("getOptimization", answers={200: shapes.OptimizationShape})
    def retrieve(self, request: Request) -> Response:
        """Read how the last fit of the weights went."""
        found = optimization.read_optimization(learner_id=self.learner_id)
        return Response(shapes.OptimizationShape(found).data)

    @operation(
        "optimizeScheduler",
        answers={202: shapes.OptimizationShape},
        raises=[optimization.OptimizationRunning],
    )
    def create(self, request: Request) -> Response:
        """Fit the scheduler's weights to how the learner remembers.

        The fit is tried on the newest answers, which it has not seen, and adopted only where it
        predicts them better. It may take minutes: read how it went at the same address.
        """
        found = optimization.start_optimization(learner_id=self.learner_id, now=now())
        return Response(shapes.OptimizationShape(found).data, status.HTTP_202_ACCEPTED)
