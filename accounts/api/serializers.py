"""Fields and serializers of accounts that several resources use."""

import re
from typing import Any, get_args

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.cognito.sessions import Tokens
from accounts.models.audit import Action
from accounts.passwords import MAX_LENGTH, MIN_LENGTH, normalized
from accounts.services.profile import FullProfile
from accounts.services.sessions import SignedIn
from config.formats import CEFR_LEVELS, VISIBLE
from config.serializers import BooleanField, LocalTimeField, PatternField, Serializer, TextField

# RFC 5321 in ASCII, as far as Cognito and SES take it; 128 is Cognito's limit for user names.
EMAIL = (
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)


class EmailField(PatternField):
    """An e-mail address, kept in lower case; spaces around it are dropped."""

    sample = "ana@example.org"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            EMAIL, "Give an e-mail address.", max_length=128, trim_whitespace=True, **kwargs
        )

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).lower()


class NewPasswordField(PatternField):
    """A password that is being chosen."""

    sample = "corvo-azul-7"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            r"\S(?:.*\S)?",
            "A password neither begins nor ends with a space, and has one line.",
            min_length=MIN_LENGTH,
            max_length=MAX_LENGTH,
            style={"input_type": "password"},
            **kwargs,
        )

    def to_internal_value(self, data: Any) -> str:
        return normalized(super().to_internal_value(data))


class PasswordField(TextField):
    """A password that is being checked."""

    sample = "corvo-azul-7"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=256, style={"input_type": "password"}, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return normalized(super().to_internal_value(data))


class NameField(PatternField):
    """A name of a person: no control characters, and something to see at its beginning."""

    sample = "Ana"

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 100)
        super().__init__(
            rf"{VISIBLE}(?:[^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\s])?",
            "Give a name without control characters or spaces around it.",
            **kwargs,
        )


# Codes as people type and paste them, with gaps of spaces and dashes anywhere.
GAP = r"[ \u00a0-]*"
SIX_DIGITS = rf"{GAP}[0-9](?:{GAP}[0-9]){{5}}{GAP}"
BACKUP_CODE = rf"{GAP}[A-Za-z2-7](?:{GAP}[A-Za-z2-7]){{9}}{GAP}"


def _without_gaps(code: str) -> str:
    return re.sub(GAP, "", code)


class CodeField(PatternField):
    """A six-digit code from a mail; spaces and dashes between its digits are dropped."""

    sample = "123456"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(SIX_DIGITS, "Give the six digits.", max_length=32, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return _without_gaps(super().to_internal_value(data))


class SignInCodeField(PatternField):
    """The digits of a mailed sign-in code, with gaps anywhere: the pool decides how many."""

    sample = "12345678"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            rf"{GAP}[0-9](?:{GAP}[0-9]){{5,7}}{GAP}",
            "Give the digits of the code.",
            max_length=32,
            **kwargs,
        )

    def to_internal_value(self, data: Any) -> str:
        return _without_gaps(super().to_internal_value(data))


class OpaqueTokenField(PatternField):
    """A token of the pool, which only the pool can read."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("[A-Za-z0-9_=.-]+", "This is no token.", max_length=8192, **kwargs)


class OnlyEmailSerializer(Serializer):
    email = EmailField()


class OnlyCodeSerializer(Serializer):
    code = CodeField()


class OnlyPasswordSerializer(Serializer):
    """Who has no password leaves it out, and needs a sign-in of the last five minutes."""

    password = PasswordField(required=False)


class MessageSerializer(Serializer):
    message = serializers.CharField(help_text="For people, in their language")


@extend_schema_field({"type": "boolean", "const": True})
class TrueField(serializers.BooleanField):
    """True, by which an answer is told from others."""


class MfaCodeField(PatternField):
    """Six digits of the app, or a backup code, in any case, with or without spaces and dashes."""

    sample = "123456"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            f"{SIX_DIGITS}|{BACKUP_CODE}",
            "Give the six digits of the app, or a backup code such as k4xqn-2mzt7.",
            max_length=32,
            **kwargs,
        )

    def to_internal_value(self, data: Any) -> str:
        code = _without_gaps(super().to_internal_value(data)).lower()
        return code if len(code) == 6 else f"{code[:5]}-{code[5:]}"


class SealedTokenField(PatternField):
    """A text that we sealed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("[A-Za-z0-9_-]+", "This is no session token.", max_length=8192, **kwargs)


class VerifyMfaSerializer(Serializer):
    session_token = SealedTokenField()
    code = MfaCodeField()


class FirstPasswordSerializer(Serializer):
    session_token = SealedTokenField()
    new_password = NewPasswordField()


class QuietHoursSerializer(Serializer):
    """Local times. They may pass midnight; when they end as they start there are none."""

    starts = LocalTimeField()
    ends = LocalTimeField()

    def validate(self, attrs: dict[str, str]) -> dict[str, str]:
        """Requires both, in a PATCH too, where DRF requires nothing."""
        left_out = {"starts", "ends"} - attrs.keys()
        if left_out:
            raise serializers.ValidationError(dict.fromkeys(left_out, "Give both."), "required")
        return attrs


class NotificationsSerializer(Serializer):
    """What may be mailed, and when not. Nothing is, before there is a reminder of that kind."""

    study_reminders = BooleanField(source="study_mails", default=True)
    event_reminders = BooleanField(source="event_mails", default=True)
    reports = BooleanField(source="report_mails", default=True)
    streak_reminders = BooleanField(source="streak_mails", default=True)
    quiet_hours = QuietHoursSerializer(allow_null=True, default=None)
    before_quiet_hours = BooleanField(
        source="early_mails",
        default=False,
        help_text="Whether a reminder that quiet hours would hold until its event is over is "
        "mailed before they begin; otherwise it is skipped",
    )

    class Meta:
        ref_name = "Notifications"


class SuppressionSerializer(Serializer):
    """Why no reminder is mailed to the address.

    Another address takes mails again, and so does this one once it is proved
    (`POST /mail-suppression`).
    """

    reason = serializers.ChoiceField(["bounce", "complaint", "mailbox_full"])
    at = serializers.DateTimeField()

    class Meta:
        ref_name = "MailSuppression"


class ProfileSerializer(Serializer):
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
    sign_in_methods = serializers.ListField(
        child=serializers.ChoiceField(["password", "google"]), source="account.sign_in_methods"
    )
    groups = serializers.ListField(child=serializers.CharField())
    first_name = serializers.CharField(source="profile.first_name")
    last_name = serializers.CharField(source="profile.last_name")
    display_name = serializers.CharField(source="profile.display_name", allow_null=True)
    avatar_url = serializers.URLField(source="profile.avatar_url", allow_null=True)
    native_language = serializers.CharField(source="profile.native_language", allow_null=True)
    target_language = serializers.CharField(source="profile.target_language", allow_null=True)
    current_level = serializers.ChoiceField(
        CEFR_LEVELS, source="profile.current_level", allow_null=True
    )
    target_level = serializers.ChoiceField(
        CEFR_LEVELS, source="profile.target_level", allow_null=True
    )
    timezone = serializers.CharField(source="profile.timezone")
    daily_goal = serializers.IntegerField(source="profile.daily_goal")
    notifications = NotificationsSerializer(source="profile")
    mail_suppression = SuppressionSerializer(source="suppression", allow_null=True)
    streak = serializers.IntegerField(help_text="Days of study in a row")
    cards_learned = serializers.IntegerField(source="head.cards_learned")
    created_at = serializers.DateTimeField(source="account.created_at")
    version = serializers.IntegerField(source="profile.version")

    class Meta:
        ref_name = "Profile"


def profile_body(full_profile: FullProfile) -> dict[str, Any]:
    """A profile on the wire."""
    body: dict[str, Any] = ProfileSerializer(full_profile).data
    return body


# What goes on with the answer to a sign-in: operation → {field of its body: field of the answer}.
AFTER_SIGN_IN = {
    "refreshToken": {"refreshToken": "refreshToken"},
    "logoutUser": {"refreshToken": "refreshToken"},
}


class LoginSerializer(Serializer):
    email = EmailField()
    password = PasswordField()


class TokensSerializer(Serializer):
    access_token = serializers.CharField()
    id_token = serializers.CharField()
    refresh_token = serializers.CharField(required=False, help_text="Present when it is a new one")
    token_type = serializers.ChoiceField(["Bearer"])
    expires_in = serializers.IntegerField(help_text="Seconds")

    class Meta:
        ref_name = "Tokens"


class LoggedInSerializer(TokensSerializer):
    refresh_token = serializers.CharField()
    user = ProfileSerializer()

    class Meta:
        ref_name = "LoggedIn"


def tokens_body(tokens: Tokens) -> dict[str, Any]:
    """Tokens on the wire."""
    body: dict[str, Any] = {
        "accessToken": tokens.access_token,
        "idToken": tokens.id_token,
        "tokenType": "Bearer",
        "expiresIn": tokens.expires_in_s,
    }
    if tokens.refresh_token is not None:
        body["refreshToken"] = tokens.refresh_token
    return body


def signed_in_body(signed_in: SignedIn) -> dict[str, Any]:
    """The answer to a completed sign-in."""
    return {**tokens_body(signed_in.tokens), "user": profile_body(signed_in.full_profile)}


class ActivitySerializer(Serializer):
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


class StaffActionSerializer(ActivitySerializer):
    """One thing that happened, as our own people see it."""

    actor = serializers.CharField(help_text="The user who did it; empty for the learner")

    class Meta:
        ref_name = "StaffAction"
