"""Wire shapes of the second step."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from config.serializers import Pattern, Serializer


@extend_schema_field({"type": "boolean", "const": True})
class Yes(serializers.BooleanField):
    """True, by which an answer is told from others."""


@extend_schema_field({"type": "boolean", "const": False})
class No(serializers.BooleanField):
    """False, by which an answer is told from others."""


class MfaRequired(Serializer):
    """The password was right; `/auth/mfa/verify` takes the session token within three minutes."""

    session_token = serializers.CharField()
    mfa_required = Yes()
    token_type = serializers.ChoiceField(["Bearer"])


class MfaCode(Pattern):
    """Six digits of the app, or a backup code."""

    sample = "123456"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            "[0-9]{6}|[A-Za-z2-7]{5}-[A-Za-z2-7]{5}",
            "Give the six digits of the app, or a backup code such as k4xqn-2mzt7.",
            max_length=11,
            **kwargs,
        )

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).lower()


class SealedToken(Pattern):
    """A text that we sealed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("[A-Za-z0-9_-]+", "This is no session token.", max_length=8192, **kwargs)


class VerifyMfa(Serializer):
    session_token = SealedToken()
    code = MfaCode()


class MfaSetup(Serializer):
    secret = serializers.CharField(help_text="Base32, for typing into the app")
    qr_code = serializers.CharField(help_text="A PNG as data URI")
    otpauth_uri = serializers.CharField()


class BackupCodes(Serializer):
    backup_codes = serializers.ListField(child=serializers.CharField())


class MfaEnabled(BackupCodes):
    enabled = Yes()


class MfaDisabled(Serializer):
    enabled = No()
