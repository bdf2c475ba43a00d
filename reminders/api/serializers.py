"""Fields, serializers and the view set of reminders that several resources use."""

from typing import Any

from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.response import Response

from config.serializers import InstantField, IntegerField, PatternField, Serializer
from config.store.items import UnreadableItem
from config.viewsets import ItemViewSet
from reminders.models import STATES
from reminders.services.events import StoredUnreadable, set_aside


class PlanViewSet(ItemViewSet):
    """A view set of events or reminders. Staff are shown the ones that turn out unreadable."""

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, UnreadableItem) and set_aside(exc.pk, exc.sk, now=now()):
            exc = StoredUnreadable()
        return super().handle_exception(exc)


class OccurrenceKeyField(PatternField):
    """Which occurrence: its original start on the wall, or its date for an all-day event."""

    sample = "20270104T190000"

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 17)
        super().__init__(
            "[0-9]{8}(?:T[0-9]{6}Z?)?", "Give an occurrence, e.g. 20270314T023000.", **kwargs
        )


class DeliverySerializer(Serializer):
    """What became of one mail. `unconfirmed`: SES may have sent it, and we do not send it again."""

    occurrence = serializers.CharField(help_text="Empty where a reminder failed as a whole")
    due_at = InstantField()
    state = serializers.ChoiceField(STATES)
    reason = serializers.CharField(help_text="Why it was skipped or has failed, else empty")
    attempts = IntegerField(help_text="Failures so far")
    sent_at = InstantField(allow_null=True)
    bounced_at = InstantField(allow_null=True, help_text="When it came back: the mailbox was full")
    updated_at = InstantField()
