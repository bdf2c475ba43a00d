"""Wire shapes of the trail of what happened."""

from typing import get_args

from rest_framework import serializers

from accounts.audit import Action
from config.serializers import Serializer


class ActivityShape(Serializer):
    """One thing that happened. `byStaff` when it was not the learner who did it.

    `target` is what they did it to, when they are staff: an address here without its first slash.
    """

    id = serializers.CharField()
    at = serializers.DateTimeField()
    action = serializers.ChoiceField(list(get_args(Action)))
    ip = serializers.CharField()
    user_agent = serializers.CharField(source="agent")
    by_staff = serializers.BooleanField()
    target = serializers.CharField(help_text="Empty for what is the account's own")

    class Meta:
        ref_name = "Activity"


class DeedShape(ActivityShape):
    """One thing that happened, as our own people see it."""

    actor = serializers.CharField(help_text="The user who did it; empty for the learner")

    class Meta:
        ref_name = "Deed"
