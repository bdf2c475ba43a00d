"""How study goes."""

from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.viewsets import Resource
from learning.api.statistics import StatisticsQuery, StatisticsShape
from learning.services.statistics import statistics


class StudyStatistics(Resource):
    @operation("getStatistics", answers={200: StatisticsShape}, query=StatisticsQuery)
    def retrieve(self, request: Request) -> Response:
        """Read how study goes: totals, retention, streak, time spent, and what comes due."""
        query = self.query(StatisticsQuery)
        found = statistics(learner_id=self.learner_id, days=query["days"], now=now())
        return Response(StatisticsShape(found).data)
