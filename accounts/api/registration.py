"""/auth/signup, /auth/verify-email"""

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers import Code, Email, Message, Name, NewPassword, OnlyEmail
from accounts.cognito.client import InvalidCode, UserAlreadyExists, WeakPassword
from accounts.services import registration
from config.client_info import source_of
from config.clock import now
from config.operations import operation
from config.serializers import Serializer, valid


class SignUp(Serializer):
    email = Email()
    password = NewPassword()
    first_name = Name()
    last_name = Name()


class Registered(Serializer):
    user_id = serializers.CharField()
    email = serializers.CharField()
    message = serializers.CharField()


class VerifyEmail(Serializer):
    email = Email()
    code = Code()


class SignUpView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @operation(
        "registerUser",
        request=SignUp,
        answers={201: Registered},
        raises=[UserAlreadyExists, WeakPassword],
        public=True,
        leads_to={"verifyEmail": {"email": "email"}, "resendVerification": {"email": "email"}},
    )
    def post(self, request: Request) -> Response:
        """Register a learner.

        A code is mailed to the address; `/auth/verify-email` takes it.
        """
        values = valid(SignUp, request.data)
        user_id = registration.sign_up(**values, source=source_of(request.META), now=now())
        message = "We have mailed you a code: send it to /auth/verify-email."
        return Response(
            {"userId": user_id, "email": values["email"], "message": message}, status=201
        )


class VerifyEmailView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @operation(
        "verifyEmail",
        request=VerifyEmail,
        answers={200: Message},
        raises=[InvalidCode],
        public=True,
    )
    def post(self, request: Request) -> Response:
        """Prove an address by the code mailed to it.

        A wrong code, an unknown address and a verified one are answered alike.
        """
        registration.verify_email(
            **valid(VerifyEmail, request.data), source=source_of(request.META), now=now()
        )
        return Response({"message": "The address is verified: you can sign in."})


class ResendView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @operation("resendVerification", request=OnlyEmail, answers={200: Message}, public=True)
    def post(self, request: Request) -> Response:
        """Mail the code again.

        The answer is the same whether or not there is an address to verify.
        """
        registration.resend_code(
            **valid(OnlyEmail, request.data), source=source_of(request.META), now=now()
        )
        return Response({"message": "If this address waits for a code, a new one is on its way."})
