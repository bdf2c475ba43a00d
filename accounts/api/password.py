"""/auth/password"""

from django.utils.timezone import now
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import (
    CodeField,
    EmailField,
    MessageSerializer,
    NewPasswordField,
    OnlyEmailSerializer,
    PasswordField,
)
from accounts.authentication import caller
from accounts.cognito.client import (
    InvalidCode,
    InvalidCredentials,
    UserAlreadyExists,
    WeakPassword,
)
from accounts.services import password
from accounts.services.sessions import FreshSignInNeeded
from config.client_info import client_info_of
from config.operations import operation
from config.problems import NotFound
from config.serializers import Serializer
from config.viewsets import AnonymousView, View


class ResetConfirmSerializer(Serializer):
    email = EmailField()
    code = CodeField()
    new_password = NewPasswordField()


class PasswordChangeSerializer(Serializer):
    """`currentPassword` may be left out only by learners who have none and set their first: a
    sign-in of the last five minutes will do."""

    current_password = PasswordField(required=False)
    new_password = NewPasswordField()


class ResetRequestView(AnonymousView):
    @operation(
        "requestPasswordReset",
        request=OnlyEmailSerializer,
        answers={200: MessageSerializer},
        public=True,
    )
    def post(self, request: Request) -> Response:
        """Mail a code for a new password.

        The answer is the same whether or not there is an account. The code goes to
        `/auth/password/reset-confirm`; it lasts an hour.
        """
        password.request_reset(
            **self.validated_body(OnlyEmailSerializer),
            source=client_info_of(request.META),
            now=now(),
        )
        return Response({"message": _("If this address has an account, a code is on its way.")})


class ResetConfirmView(AnonymousView):
    @operation(
        "confirmPasswordReset",
        request=ResetConfirmSerializer,
        answers={200: MessageSerializer},
        raises=[InvalidCode, WeakPassword, NotFound],
        public=True,
    )
    def post(self, request: Request) -> Response:
        """Set a new password by the mailed code; all sessions end.

        Takes the code of `/auth/password/reset-request`. After 200 sign in with the new password.
        `INVALID_CODE`: ask for a new code.
        """
        password.confirm_reset(
            **self.validated_body(ResetConfirmSerializer),
            source=client_info_of(request.META),
            now=now(),
        )
        return Response({"message": _("The password is changed: sign in with the new one.")})


class ChangePasswordView(View):
    allowed_without_second_step = True  # who came from Google sets one first

    @operation(
        "changePassword",
        request=PasswordChangeSerializer,
        answers={200: MessageSerializer},
        raises=[
            InvalidCredentials,
            FreshSignInNeeded,
            WeakPassword,
            UserAlreadyExists,
            NotFound,
        ],
    )
    def post(self, request: Request) -> Response:
        """Replace the password, or set the first one; all sessions end, this one too.

        Give `currentPassword`; an account of Google's alone needs a sign-in of the last five
        minutes instead. After 200 sign in again with the new password. `WEAK_PASSWORD` says why in
        `errors`.
        """
        password.change_password(
            caller(request),
            **{"current_password": None, **self.validated_body(PasswordChangeSerializer)},
            source=client_info_of(request.META),
            now=now(),
        )
        return Response({"message": _("The password is changed: sign in with the new one.")})
