"""/auth/signup, /auth/verify-email"""

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
from config.clock import now
from config.operations import operation
from config.serializers import Serializer
from config.viewsets import AnonymousView


class SignUpSerializer(Serializer):
    email = EmailField()
    password = NewPasswordField()
    first_name = NameField()
    last_name = NameField()


class RegisteredSerializer(Serializer):
    user_id = serializers.CharField()
    email = serializers.CharField()
    message = serializers.CharField()


class VerifyEmailSerializer(Serializer):
    email = EmailField()
    code = CodeField()


class SignUpView(AnonymousView):
    @operation(
        "registerUser",
        request=SignUpSerializer,
        answers={201: RegisteredSerializer},
        raises=[UserAlreadyExists, WeakPassword],
        public=True,
        leads_to={"verifyEmail": {"email": "email"}, "resendVerification": {"email": "email"}},
    )
    def post(self, request: Request) -> Response:
        """Register a learner.

        A code is mailed to the address; `/auth/verify-email` takes it.
        """
        values = self.validated_body(SignUpSerializer)
        user_id = registration.sign_up(**values, source=client_info_of(request.META), now=now())
        message = "We have mailed you a code: send it to /auth/verify-email."
        return Response(
            {"userId": user_id, "email": values["email"], "message": message}, status=201
        )


class VerifyEmailView(AnonymousView):
    @operation(
        "verifyEmail",
        request=VerifyEmailSerializer,
        answers={200: MessageSerializer},
        raises=[InvalidCode],
        public=True,
    )
    def post(self, request: Request) -> Response:
        """Prove an address by the code mailed to it.

        A wrong code, an unknown address and a verified one are answered alike.
        """
        registration.verify_email(
            **self.validated_body(VerifyEmailSerializer),
            source=client_info_of(request.META),
            now=now(),
        )
        return Response({"message": "The address is verified: you can sign in."})


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
        return Response({"message": "If this address waits for a code, a new one is on its way."})
