"""Wire shapes of a learner's own page."""

from typing import Any

from rest_framework import serializers

from accounts.serializers.fields import LEVELS, Language, LocalTime, Name
from accounts.services.profiles import Person
from config.serializers import Boolean, HttpsUrl, Integer, Query, Serializer, Text, Zone


class QuietHours(Serializer):
    """Local times. They may pass midnight; when they end as they start there are none."""

    starts = LocalTime()
    ends = LocalTime()

    def validate(self, attrs: dict[str, str]) -> dict[str, str]:
        """Both, also where a PATCH may leave things out."""
        left_out = {"starts", "ends"} - attrs.keys()
        if left_out:
            raise serializers.ValidationError(dict.fromkeys(left_out, "Give both."), "required")
        return attrs


class NotificationsShape(Serializer):
    """What may be mailed, and when not."""

    study_reminders = Boolean(source="study_mails", default=True)
    event_reminders = Boolean(source="event_mails", default=True)
    quiet_hours = QuietHours(allow_null=True, default=None)

    class Meta:
        ref_name = "Notifications"


NOTHING_SAID = {
    "study_mails": True,
    "event_mails": True,
    "quiet_hours": None,
}


class ProfileUpdate(Serializer):
    """What a learner may write. With PUT, what is left out gets its default."""

    samples = {"currentLevel": "A2", "targetLevel": "B1", "timezone": "Europe/Lisbon"}

    first_name = Name()
    last_name = Name()
    display_name = Name(max_length=50, allow_null=True, default=None)
    avatar_url = HttpsUrl(allow_null=True, default=None)
    native_language = Language(allow_null=True, default=None)
    target_language = Language(allow_null=True, default=None)
    current_level = serializers.ChoiceField(LEVELS, allow_null=True, default=None)
    target_level = serializers.ChoiceField(LEVELS, allow_null=True, default=None)
    timezone = Zone(default="UTC")
    daily_goal = Integer(min_value=1, max_value=1000, default=20, help_text="Cards per day")
    notifications = NotificationsShape(default=dict)

    @property
    def attributes(self) -> dict[str, Any]:
        """What to set on the item."""
        values = dict(self.validated_data)
        if not self.partial:
            values["notifications"] = NOTHING_SAID | values["notifications"]
        nested: dict[str, Any] = values.pop("notifications", {})
        return values | nested


class ProfileShape(Serializer):
    """A learner as they see themselves."""

    samples = {
        "userId": "9e4b1f60-2c1e-4a57-9b1c-0d6a53c6b8f2",
        "email": "ana@example.org",
        "firstName": "Ana",
        "lastName": "Prado",
        "displayName": "Ana",
        "nativeLanguage": "en",
        "targetLanguage": "pt-PT",
        "currentLevel": "A2",
        "targetLevel": "B1",
        "timezone": "Europe/Lisbon",
        "dailyGoal": 20,
        "streak": 12,
        "cardsLearned": 240,
    }

    user_id = serializers.CharField(source="account.learner_id")
    email = serializers.CharField(source="account.email")
    email_verified = serializers.BooleanField(source="account.email_verified")
    mfa_enabled = serializers.BooleanField(source="account.mfa_enabled")
    groups = serializers.ListField(child=serializers.CharField())
    first_name = serializers.CharField(source="profile.first_name")
    last_name = serializers.CharField(source="profile.last_name")
    display_name = serializers.CharField(source="profile.display_name", allow_null=True)
    avatar_url = serializers.URLField(source="profile.avatar_url", allow_null=True)
    native_language = serializers.CharField(source="profile.native_language", allow_null=True)
    target_language = serializers.CharField(source="profile.target_language", allow_null=True)
    current_level = serializers.ChoiceField(LEVELS, source="profile.current_level", allow_null=True)
    target_level = serializers.ChoiceField(LEVELS, source="profile.target_level", allow_null=True)
    timezone = serializers.CharField(source="profile.timezone")
    daily_goal = serializers.IntegerField(source="profile.daily_goal")
    notifications = NotificationsShape(source="profile")
    streak = serializers.IntegerField(help_text="Days of study in a row")
    cards_learned = serializers.IntegerField(source="head.cards_learned")
    created_at = serializers.DateTimeField(source="account.created_at")
    version = serializers.IntegerField(source="profile.version")

    class Meta:
        ref_name = "Profile"


def profile_body(person: Person) -> dict[str, Any]:
    """A profile on the wire."""
    body: dict[str, Any] = ProfileShape(person).data
    return body


class ExportQuery(Query):
    cursor = Text(max_length=2048, required=False, help_text="From `next`, as it is")


class ExportedShape(Serializer):
    """One stored item. `data` has its attributes under the names they are stored by."""

    kind = serializers.CharField()
    key = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]

    class Meta:
        ref_name = "Exported"
