"""How study goes."""

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.serializers import Integer, Number, Query, Serializer
from config.viewsets import Resource
from learning.services.statistics import statistics


class StatisticsQuery(Query):
    days = Integer(
        min_value=1, max_value=366, default=365, help_text="Of the heatmap and the ratings"
    )


class TotalsShape(Serializer):
    """Of all cards now. Mature: an interval of three weeks or more; young: a shorter one."""

    cards = Integer()
    new = Integer()
    learning = Integer()
    relearning = Integer()
    young = Integer()
    mature = Integer()
    suspended = Integer()
    leech = Integer()


class RetentionShape(Serializer):
    """Reviews of known cards: the share remembered, and the share FSRS expected, 0–1."""

    reviews = Integer()
    remembered = Number(allow_null=True)
    expected = Number(allow_null=True)
    mature_reviews = Integer()
    mature_remembered = Number(allow_null=True)


class RetentionsShape(Serializer):
    """Over the last 7, 30 and 365 days."""

    week = RetentionShape()
    month = RetentionShape()
    year = RetentionShape()


class RatingsShape(Serializer):
    again = Integer()
    hard = Integer()
    good = Integer()
    easy = Integer()


class DurationsShape(Serializer):
    """Milliseconds spent on answers."""

    today = Integer()
    week = Integer()
    month = Integer()
    year = Integer()


class StudiedDayShape(Serializer):
    on = serializers.DateField()
    reviews = Integer()
    duration_ms = Integer()


class DueDayShape(Serializer):
    on = serializers.DateField()
    reviews = Integer()


class StatisticsShape(Serializer):
    """In the learner's own days. `longestStreakDays` looks back a year; the forecast of reviews
    is whole up to `forecastUntil`, beyond it only the first 1,000 due cards are counted."""

    today = serializers.DateField()
    totals = TotalsShape()
    streak_days = Integer()
    longest_streak_days = Integer()
    cards_learned = Integer()
    retention = RetentionsShape()
    ratings = RatingsShape()
    duration_ms = DurationsShape()
    heatmap = StudiedDayShape(many=True)
    forecast = DueDayShape(many=True)
    forecast_until = serializers.DateField()


class StudyStatistics(Resource):
    @operation("getStatistics", answers={200: StatisticsShape}, query=StatisticsQuery)
    def retrieve(self, request: Request) -> Response:
        """Read how study goes: totals, retention, streak, time spent, and what comes due."""
        query = self.query(StatisticsQuery)
        found = statistics(learner_id=self.learner_id, days=query["days"], now=now())
        return Response(StatisticsShape(found).data)
