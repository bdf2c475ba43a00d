"""/auth/mfa"""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers import (
    AFTER_SIGN_IN,
    LoggedIn,
    OnlyCode,
    OnlyPassword,
    VerifyMfa,
    Yes,
    signed_in_body,
)
from accounts.authentication import caller, raw_token
from accounts.cognito.client import (
    InvalidCode,
    InvalidCredentials,
    InvalidMfaCode,
    MfaSessionExpired,
    PasswordResetRequired,
    PasswordSignInNeeded,
)
from accounts.services import mfa
from accounts.services.mfa import MfaAlreadyEnabled, MfaNotEnabled
from accounts.services.sessions import FreshSignInNeeded, prove
from config.client_info import source_of
from config.clock import now
from config.operations import operation
from config.problems import NotFound
from config.serializers import Serializer, valid


@extend_schema_field({"type": "boolean", "const": False})
class No(serializers.BooleanField):
    """False, by which an answer is told from others."""


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


class SetupView(APIView):
    @operation(
        "setupMfa",
        answers={200: MfaSetup},
        raises=[MfaAlreadyEnabled, PasswordSignInNeeded, NotFound],
    )
    def post(self, request: Request) -> Response:
        """Make a secret for an authenticator app.

        It may be asked for again until `/auth/mfa/verify-setup` has taken a code of it.
        """
        made = mfa.set_up(caller(request).id, raw_token(request))
        return Response(
            {"secret": made.secret, "qrCode": made.qr_code, "otpauthUri": made.otpauth_uri}
        )


class VerifySetupView(APIView):
    @operation(
        "verifyMfaSetup",
        request=OnlyCode,
        answers={200: MfaEnabled},
        raises=[InvalidCode, MfaAlreadyEnabled, MfaNotEnabled, PasswordSignInNeeded, NotFound],
    )
    def post(self, request: Request) -> Response:
        """Turn the second step on.

        The backup codes are shown this once. Each replaces the app for one sign-in.
        """
        codes = mfa.enable(
            caller(request).id,
            raw_token(request),
            valid(OnlyCode, request.data)["code"],
            source=source_of(request.META),
            now=now(),
        )
        return Response({"enabled": True, "backupCodes": codes})


class VerifyView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @operation(
        "verifyMfa",
        request=VerifyMfa,
        answers={200: LoggedIn},
        raises=[InvalidMfaCode, MfaSessionExpired, InvalidCredentials, PasswordResetRequired],
        public=True,
        leads_to=AFTER_SIGN_IN,
    )
    def post(self, request: Request) -> Response:
        """Complete a sign-in by a code of the app, or by a backup code."""
        values = valid(VerifyMfa, request.data)
        found = mfa.complete(**values, source=source_of(request.META), now=now())
        return Response(signed_in_body(found))


def _proved(request: Request) -> dict[str, Any]:
    """The account of a caller who has given their password, with source and instant."""
    at: dict[str, Any] = {"source": source_of(request.META), "now": now()}
    password = valid(OnlyPassword, request.data).get("password")
    return {"account": prove(caller(request), password, **at), **at}


class DisableView(APIView):
    @operation(
        "disableMfa",
        request=OnlyPassword,
        answers={200: MfaDisabled},
        raises=[InvalidCredentials, FreshSignInNeeded],
    )
    def post(self, request: Request) -> Response:
        """Turn the second step off."""
        mfa.disable(**_proved(request))
        return Response({"enabled": False})


class BackupCodesView(APIView):
    @operation(
        "renewBackupCodes",
        request=OnlyPassword,
        answers={200: BackupCodes},
        raises=[InvalidCredentials, FreshSignInNeeded, MfaNotEnabled],
    )
    def post(self, request: Request) -> Response:
        """Make new backup codes; the old ones are void."""
        return Response({"backupCodes": mfa.renew_backup_codes(**_proved(request))})
