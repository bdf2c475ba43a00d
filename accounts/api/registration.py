"""/auth/signup, /auth/verify-email"""

from typing import Any

from django.utils.timezone import now
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import (
    CodeField,
    EmailField,
    MessageSerializer,
    NameField,
    NewPasswordField,
    OnlyEmailSerializer,
)
from accounts.cognito.client import InvalidCode, UserAlreadyExists, WeakPassword
from accounts.services import registration
from config.client_info import client_info_of
from config.operations import operation
from config.serializers import PatternField, Serializer
from config.viewsets import AnonymousView


class SignUpSerializer(Serializer):
    samples = {"lastName": "Prado"}

    email = EmailField()
    password = NewPasswordField()
    first_name = NameField()
    last_name = NameField()


class VerificationTokenField(PatternField):
    """What a sign-up answers: it shows who chose the password."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("[A-Za-z0-9_-]+", "This is no token.", max_length=64, **kwargs)


class RegisteredSerializer(Serializer):
    user_id = serializers.CharField()
    email = serializers.CharField()
    verification_token = serializers.CharField(
        help_text="Keep it, and send it with the code: then the password of this sign-up stays"
    )
    message = serializers.CharField()


class VerifyEmailSerializer(Serializer):
    email = EmailField()
    code = CodeField()
    verification_token = VerificationTokenField(
        required=False, help_text="What the sign-up answered"
    )


class VerifiedSerializer(MessageSerializer):
    password_required = serializers.BooleanField(
        help_text="Nobody knows the password: set one by `/auth/password/reset-request`"
    )


class SignUpView(AnonymousView):
    @operation(
        "registerUser",
        request=SignUpSerializer,
        answers={201: RegisteredSerializer},
        raises=[UserAlreadyExists, WeakPassword],
        public=True,
        leads_to={
            "verifyEmail": {"email": "email", "verificationToken": "verificationToken"},
            "resendVerification": {"email": "email"},
        },
    )
    def post(self, request: Request) -> Response:
        """Register a learner.

        A code is mailed to the address; `/auth/verify-email` takes it, with the
        `verificationToken` of this answer. A sign-up that nobody has verified gives way to the
        next one with its address.
        """
        values = self.validated_body(SignUpSerializer)
        signed_up = registration.sign_up(**values, source=client_info_of(request.META), now=now())
        message = _("We have mailed you a code: with it, you prove that the address is yours.")
        body = {
            "userId": signed_up.learner_id,
            "email": values["email"],
            "verificationToken": signed_up.verification_token,
            "message": message,
        }
        return Response(body, status=201)


class VerifyEmailView(AnonymousView):
    @operation(
        "verifyEmail",
        request=VerifyEmailSerializer,
        answers={200: VerifiedSerializer},
        raises=[InvalidCode],
        public=True,
    )
    def post(self, request: Request) -> Response:
        """Prove an address by the code mailed to it.

        With the `verificationToken` that the sign-up answered its password stays. Without it
        whoever has the code may not be who signed up: the password becomes one that nobody knows,
        `passwordRequired` is true, and `/auth/password/reset-request` leads on.
        A wrong code, an unknown address and a verified one are answered alike.
        """
        password_required = registration.verify_email(
            **{"verification_token": None, **self.validated_body(VerifyEmailSerializer)},
            source=client_info_of(request.META),
            now=now(),
        )
        message = _("The address is verified: you can sign in.")
        if password_required:
            message = _("The address is verified: now set a new password.")
        return Response({"message": message, "passwordRequired": password_required})


class ResendView(AnonymousView):
    @operation(
        "resendVerification",
        request=OnlyEmailSerializer,
        answers={200: MessageSerializer},
        public=True,
    )
    def post(self, request: Request) -> Response:
        """Mail the code again.

        The answer is the same whether or not there is an address to verify.
        """
        registration.resend_code(
            **self.validated_body(OnlyEmailSerializer),
            source=client_info_of(request.META),
            now=now(),
        )
        return Response(
            {"message": _("If this address waits for a code, a new one is on its way.")}
        )
