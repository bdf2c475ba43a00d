"""/auth/email"""

from django.utils.timezone import now
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import (
    EmailField,
    MessageSerializer,
    OnlyCodeSerializer,
    OnlyPasswordSerializer,
)
from accounts.authentication import caller
from accounts.cognito.client import InvalidCode, InvalidCredentials, UserAlreadyExists
from accounts.services.email import confirm_email_change, request_email_change
from accounts.services.sessions import FreshSignInNeeded
from config.client_info import client_info_of
from config.operations import operation
from config.viewsets import View


class NewEmailSerializer(OnlyPasswordSerializer):
    new_email = EmailField()


class ChangeEmailView(View):
    @operation(
        "requestEmailChange",
        request=NewEmailSerializer,
        answers={200: MessageSerializer},
        raises=[InvalidCredentials, FreshSignInNeeded, UserAlreadyExists],
    )
    def post(self, request: Request) -> Response:
        """Mail a code to a new address, and a notice to the old one.

        The old address stays until `/auth/email/change/confirm` has taken the code, which lasts 15
        minutes. Give the password; an account without one needs a sign-in of the last five minutes
        (`FRESH_SIGN_IN_NEEDED`).
        """
        request_email_change(
            caller(request),
            **{"password": None, **self.validated_body(NewEmailSerializer)},
            source=client_info_of(request.META),
            now=now(),
        )
        return Response({"message": _("We have mailed a code to the new address.")})


class ConfirmEmailView(View):
    @operation(
        "confirmEmailChange",
        request=OnlyCodeSerializer,
        answers={200: MessageSerializer},
        raises=[InvalidCode, UserAlreadyExists],
    )
    def post(self, request: Request) -> Response:
        """Move the account to the new address by the mailed code.

        From then on the new address signs in. `INVALID_CODE`: ask again at `/auth/email/change`.
        `USER_ALREADY_EXISTS`: somebody else has proved the address meanwhile.
        """
        email = confirm_email_change(
            caller(request),
            **self.validated_body(OnlyCodeSerializer),
            source=client_info_of(request.META),
            now=now(),
        )
        return Response({"message": _("Your address is {email} now.").format(email=email)})
