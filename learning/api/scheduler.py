"""How cards are scheduled."""

from typing import Any

from django.utils.timezone import now
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.formats import wire_name
from config.operations import operation
from config.serializers import (
    BooleanField,
    InstantField,
    IntegerField,
    NumberField,
    Serializer,
)
from config.viewsets import Resource, accepted, if_match_version, with_etag
from learning.fsrs import DEFAULT_WEIGHTS
from learning.scheduling import INTERVAL_RANGE, MAX_STEPS, RETENTION_RANGE, STEP_RANGE_S
from learning.services import optimization, study_context

OPTIMIZATION_STATES = ["never", "running", "adopted", "kept", "tooFew", "failed"]


def _steps(source: str) -> Any:
    return serializers.ListField(
        source=source,
        child=IntegerField(min_value=STEP_RANGE_S[0], max_value=STEP_RANGE_S[1]),
        max_length=MAX_STEPS,
        help_text="Seconds",
    )


class SchedulerSerializer(Serializer):
    """How cards are scheduled. A change makes a new version; earlier reviews keep theirs."""

    desired_retention = NumberField(min_value=RETENTION_RANGE[0], max_value=RETENTION_RANGE[1])
    learning_steps = _steps("learning_steps_s")
    relearning_steps = _steps("relearning_steps_s")
    maximum_interval_days = IntegerField(min_value=INTERVAL_RANGE[0], max_value=INTERVAL_RANGE[1])
    fuzz = BooleanField()
    easy_days = serializers.ListField(
        child=NumberField(min_value=0, max_value=1),
        min_length=7,
        max_length=7,
        help_text="The share of the usual load on Monday to Sunday, 0–1",
    )
    leech_threshold = IntegerField(
        min_value=0,
        max_value=999,
        help_text="Lapses that make a leech; acts again at each half more, 0 never",
    )
    leech_action = serializers.ChoiceField(
        ["tag", "suspend"], help_text="Mark a leech as `leech`, or suspend it as well"
    )
    bury_siblings = BooleanField(help_text="Show only one card of a note a day")
    day_starts_at_hour = IntegerField(min_value=0, max_value=23)
    new_cards_per_day = IntegerField(min_value=0, max_value=9999)
    reviews_per_day = IntegerField(min_value=0, max_value=9999)
    weights = serializers.SerializerMethodField(help_text="FSRS-6, fitted or the default ones")
    version = IntegerField(source="number", read_only=True, help_text="For If-Match")

    def get_weights(self, scheduler: Any) -> list[float]:
        return list(scheduler.weights or DEFAULT_WEIGHTS)


class OptimizationSerializer(Serializer):
    """The last fit of the weights. Losses are log losses on the answers held out: lower is better.
    `tooFew` answers are under 400; `kept` means that the fit was no better than the weights."""

    status = serializers.SerializerMethodField()
    started_at = InstantField(allow_null=True)
    finished_at = InstantField(allow_null=True)
    trained_on = IntegerField(allow_null=True, help_text="Answers, the older four fifths")
    held_out = IntegerField(allow_null=True, help_text="Answers, the newer fifth")
    loss_before = NumberField(allow_null=True)
    loss_after = NumberField(allow_null=True)
    settings_version = IntegerField(allow_null=True, help_text="Of the settings with these weights")

    @extend_schema_field(serializers.ChoiceField(OPTIMIZATION_STATES))
    def get_status(self, optimization: Any) -> str:
        return wire_name(optimization.status)


class SchedulerViewSet(Resource):
    @operation(
        "getScheduler",
        answers={200: SchedulerSerializer},
        if_none_match=True,
    )
    def retrieve(self, request: Request) -> Response:
        """Read how cards are scheduled.

        The retention that is aimed at, steps, limits of each day and the weights.
        """
        scheduler = study_context.read_scheduler(learner_id=self.learner_id)
        return with_etag(Response(SchedulerSerializer(scheduler).data), int(scheduler.number))

    @operation(
        "updateScheduler",
        request=SchedulerSerializer,
        answers={200: SchedulerSerializer},
        if_match=True,
    )
    def partial_update(self, request: Request) -> Response:
        """Change how cards are scheduled from now on; what is due already stays due.

        Answers the settings as they are now. `errors` names a value that is out of its range.
        """
        scheduler = study_context.update_scheduler(
            learner_id=self.learner_id,
            changes=self.validated_body(SchedulerSerializer, partial=True),
            expected_version=if_match_version(request),
        )
        return with_etag(Response(SchedulerSerializer(scheduler).data), int(scheduler.number))


class OptimizationViewSet(Resource):
    @operation("getOptimization", answers={200: OptimizationSerializer})
    def retrieve(self, request: Request) -> Response:
        """Read how the last fit of the weights went.

        `status` is `running`, or how it ended: `adopted`, `kept` (the old weights are better),
        `tooFew` answers to learn from, `failed`. Ask every few seconds while it runs.
        """
        fit = optimization.read_optimization(learner_id=self.learner_id)
        return Response(OptimizationSerializer(fit).data)

    @operation(
        "optimizeScheduler",
        answers={202: OptimizationSerializer},
        raises=[optimization.OptimizationRunning],
    )
    def create(self, request: Request) -> Response:
        """Fit the scheduler's weights to how the learner remembers.

        The fit is tried on the newest answers, which it has not seen, and adopted only where it
        predicts them better. It may take minutes: read how it went at the same address.
        """
        fit = optimization.request_optimization(learner_id=self.learner_id, now=now())
        return accepted(request, OptimizationSerializer(fit).data, request.path)
