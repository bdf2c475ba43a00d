"""/auth/mfa"""

from typing import Any

from django.utils.timezone import now
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import (
    AFTER_SIGN_IN,
    LoggedInSerializer,
    OnlyCodeSerializer,
    OnlyPasswordSerializer,
    TrueField,
    VerifyMfaSerializer,
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
from accounts.services.sessions import FreshSignInNeeded, reauthenticate
from config.client_info import client_info_of
from config.operations import operation
from config.problems import NotFound
from config.serializers import Serializer, validated_body
from config.viewsets import AnonymousView, View


@extend_schema_field({"type": "boolean", "const": False})
class FalseField(serializers.BooleanField):
    """False, by which an answer is told from others."""


class MfaSetupSerializer(Serializer):
    secret = serializers.CharField(help_text="Base32, for typing into the app")
    qr_code = serializers.CharField(help_text="A PNG as data URI")
    otpauth_uri = serializers.CharField(help_text="What the QR code says, as a link for phones")


class BackupCodesSerializer(Serializer):
    backup_codes = serializers.ListField(
        child=serializers.CharField(), help_text="Ten, each for one sign-in"
    )


class MfaEnabledSerializer(BackupCodesSerializer):
    enabled = TrueField()


class MfaDisabledSerializer(Serializer):
    enabled = FalseField()


def _proved(request: Request) -> dict[str, Any]:
    """The account of a caller who has given their password, with source and instant."""
    at: dict[str, Any] = {"source": client_info_of(request.META), "now": now()}
    password = validated_body(OnlyPasswordSerializer, request.data).get("password")
    return {"account": reauthenticate(caller(request), password, **at), **at}


class SetupView(View):
    allowed_without_second_step = True

    @operation(
        "setupMfa",
        request=OnlyPasswordSerializer,
        answers={200: MfaSetupSerializer},
        raises=[InvalidCredentials, FreshSignInNeeded, MfaAlreadyEnabled, PasswordSignInNeeded],
        leads_to={"verifyMfaSetup": {}},
    )
    def post(self, request: Request) -> Response:
        """Make a secret for an authenticator app.

        Give the `password`; an account without one needs a sign-in of the last five minutes. Show
        the answer's `qrCode`, then send a code of the app to `/auth/mfa/verify-setup`: until then
        nothing changes, and asking again makes a new secret.
        """
        setup = mfa.set_up(_proved(request)["account"], raw_token(request), now=now())
        return Response(
            {"secret": setup.secret, "qrCode": setup.qr_code, "otpauthUri": setup.otpauth_uri}
        )


class VerifySetupView(View):
    allowed_without_second_step = True

    @operation(
        "verifyMfaSetup",
        request=OnlyCodeSerializer,
        answers={200: MfaEnabledSerializer},
        raises=[InvalidCode, MfaAlreadyEnabled, MfaNotEnabled, PasswordSignInNeeded, NotFound],
    )
    def post(self, request: Request) -> Response:
        """Turn the second step on.

        Answers ten backup codes, this once: have the learner write them down. Each replaces the app
        for one sign-in. `INVALID_CODE`: try the app's next code. The tokens that are there stay
        valid.
        """
        codes = mfa.enable(
            caller(request).id,
            raw_token(request),
            self.validated_body(OnlyCodeSerializer)["code"],
            source=client_info_of(request.META),
            now=now(),
        )
        return Response({"enabled": True, "backupCodes": codes})


class VerifyView(AnonymousView):
    @operation(
        "verifyMfa",
        request=VerifyMfaSerializer,
        answers={200: LoggedInSerializer},
        raises=[InvalidMfaCode, MfaSessionExpired, InvalidCredentials, PasswordResetRequired],
        public=True,
        leads_to=AFTER_SIGN_IN,
    )
    def post(self, request: Request) -> Response:
        """Complete a sign-in by a code of the app, or by a backup code.

        Takes the `sessionToken` of `/auth/login` within three minutes, and answers the tokens.
        `INVALID_MFA_CODE`: let the learner try the app's next code. `MFA_SESSION_EXPIRED`: begin at
        `/auth/login` again.
        """
        values = self.validated_body(VerifyMfaSerializer)
        signed_in = mfa.complete_mfa(**values, source=client_info_of(request.META), now=now())
        return Response(signed_in_body(signed_in))


class DisableView(View):
    @operation(
        "disableMfa",
        request=OnlyPasswordSerializer,
        answers={200: MfaDisabledSerializer},
        raises=[InvalidCredentials, FreshSignInNeeded],
    )
    def post(self, request: Request) -> Response:
        """Turn the second step off.

        Give the password, or have a sign-in of the last five minutes. The backup codes are void.
        Safe to repeat.
        """
        mfa.disable(**_proved(request))
        return Response({"enabled": False})


class BackupCodesView(View):
    @operation(
        "renewBackupCodes",
        request=OnlyPasswordSerializer,
        answers={200: BackupCodesSerializer},
        raises=[InvalidCredentials, FreshSignInNeeded, MfaNotEnabled],
    )
    def post(self, request: Request) -> Response:
        """Make new backup codes; the old ones are void.

        Answers ten codes, this once. Give the password, or have a sign-in of the last five minutes.
        """
        return Response({"backupCodes": mfa.renew_backup_codes(**_proved(request))})
