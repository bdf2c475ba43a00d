"""How study goes."""

from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.serializers import IntegerField, NumberField, QuerySerializer, Serializer
from config.viewsets import Resource
from learning.services.statistics import read_statistics


class StatisticsQuerySerializer(QuerySerializer):
    days = IntegerField(
        min_value=1, max_value=366, default=365, help_text="Of the heatmap and the ratings"
    )


class TotalsSerializer(Serializer):
    """Of all cards now. Mature: an interval of three weeks or more; young: a shorter one."""

    cards = IntegerField()
    new = IntegerField()
    learning = IntegerField()
    relearning = IntegerField()
    young = IntegerField()
    mature = IntegerField()
    suspended = IntegerField()
    leech = IntegerField()


class RetentionSerializer(Serializer):
    """Reviews of known cards: the share remembered, and the share FSRS expected, 0–1."""

    reviews = IntegerField()
    remembered = NumberField(allow_null=True)
    expected = NumberField(allow_null=True)
    mature_reviews = IntegerField()
    mature_remembered = NumberField(allow_null=True)


class RetentionsSerializer(Serializer):
    """Over the last 7, 30 and 365 days."""

    week = RetentionSerializer()
    month = RetentionSerializer()
    year = RetentionSerializer()


class RatingsSerializer(Serializer):
    again = IntegerField()
    hard = IntegerField()
    good = IntegerField()
    easy = IntegerField()


class DurationsSerializer(Serializer):
    """Milliseconds spent on answers."""

    today = IntegerField()
    week = IntegerField()
    month = IntegerField()
    year = IntegerField()


class StudiedDaySerializer(Serializer):
    on = serializers.DateField()
    reviews = IntegerField()
    duration_ms = IntegerField()


class DueDaySerializer(Serializer):
    on = serializers.DateField()
    reviews = IntegerField()


class StatisticsSerializer(Serializer):
    """In the learner's own days. `longestStreakDays` looks back a year; the forecast of reviews
    is whole up to `forecastUntil`, beyond it only the first 1,000 due cards are counted."""

    today = serializers.DateField()
    totals = TotalsSerializer()
    streak_days = IntegerField()
    longest_streak_days = IntegerField()
    cards_learned = IntegerField()
    retention = RetentionsSerializer()
    ratings = RatingsSerializer()
    duration_ms = DurationsSerializer()
    heatmap = StudiedDaySerializer(many=True)
    forecast = DueDaySerializer(many=True)
    forecast_until = serializers.DateField()


class StatisticsViewSet(Resource):
    @operation(
        "getStatistics",
        answers={200: StatisticsSerializer},
        query=StatisticsQuerySerializer,
        if_none_match=True,
    )
    def retrieve(self, request: Request) -> Response:
        """Read how study goes: totals, retention, streak, time spent, and what comes due.

        Days are the learner's own, by their time zone.
        """
        query = self.validated_query(StatisticsQuerySerializer)
        result = read_statistics(learner_id=self.learner_id, days=query["days"], now=now())
        return Response(StatisticsSerializer(result).data)
