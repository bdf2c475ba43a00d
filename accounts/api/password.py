"""/auth/password"""

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers import Code, Email, Message, NewPassword, OnlyEmail, Password
from accounts.authentication import caller
from accounts.cognito.client import InvalidCode, InvalidCredentials, WeakPassword
from accounts.services import password
from accounts.services.password import NoPassword
from config.client_info import source_of
from config.clock import now
from config.operations import operation
from config.problems import NotFound
from config.serializers import Serializer, valid


class ResetConfirm(Serializer):
    email = Email()
    code = Code()
    new_password = NewPassword()


class PasswordChange(Serializer):
    current_password = Password()
    new_password = NewPassword()


class ResetRequestView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @operation("requestPasswordReset", request=OnlyEmail, answers={200: Message}, public=True)
    def post(self, request: Request) -> Response:
        """Mail a code for a new password.

        The answer is the same whether or not there is an account.
        """
        password.request_reset(
            **valid(OnlyEmail, request.data), source=source_of(request.META), now=now()
        )
        return Response({"message": "If this address has an account, a code is on its way."})


class ResetConfirmView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @operation(
        "confirmPasswordReset",
        request=ResetConfirm,
        answers={200: Message},
        raises=[InvalidCode, WeakPassword, NotFound],
        public=True,
    )
    def post(self, request: Request) -> Response:
        """Set a new password by the mailed code; all sessions end."""
        password.confirm_reset(
            **valid(ResetConfirm, request.data), source=source_of(request.META), now=now()
        )
        return Response({"message": "The password is changed: sign in with the new one."})


class ChangePasswordView(APIView):
    @operation(
        "changePassword",
        request=PasswordChange,
        answers={200: Message},
        raises=[InvalidCredentials, NoPassword, WeakPassword, NotFound],
    )
    def post(self, request: Request) -> Response:
        """Replace the password; all sessions end, this one too."""
        password.change_password(
            caller(request),
            **valid(PasswordChange, request.data),
            source=source_of(request.META),
            now=now(),
        )
        return Response({"message": "The password is changed: sign in with the new one."})
