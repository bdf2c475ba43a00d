"""/auth/login, /auth/refresh, /auth/logout, /auth/sessions"""

from datetime import datetime

from django.utils.timezone import now
from django.utils.translation import gettext as _
from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import (
    AFTER_SIGN_IN,
    FirstPasswordSerializer,
    LoggedInSerializer,
    LoginSerializer,
    MessageSerializer,
    OnlyEmailSerializer,
    OpaqueTokenField,
    SealedTokenField,
    SignInCodeField,
    TokensSerializer,
    TrueField,
    signed_in_body,
    tokens_body,
)
from accounts.authentication import caller
from accounts.cognito.client import (
    EmailNotVerified,
    InvalidCode,
    InvalidCredentials,
    InvalidRefreshToken,
    MfaSessionExpired,
    PasswordResetRequired,
    WeakPassword,
)
from accounts.cognito.sessions import Challenge, NewPasswordRequired
from accounts.models import Session
from accounts.services import mailed_code, mfa, password, sessions
from accounts.services.mailed_code import MailedCodeNotOffered
from accounts.services.sessions import SignedIn
from config.client_info import client_info_of
from config.operations import operation
from config.problems import NotFound
from config.serializers import Serializer
from config.viewsets import AnonymousView, ListQuerySerializer, Resource, View, page_of


class MfaRequiredSerializer(Serializer):
    """The password was right; `/auth/mfa/verify` takes the session token within three minutes."""

    session_token = serializers.CharField()
    mfa_required = TrueField()
    token_type = serializers.ChoiceField(["Bearer"])


class NewPasswordRequiredSerializer(Serializer):
    """The password was right and temporary: `/auth/login/new-password` takes one of your own.

    Within three minutes, with the session token.
    """

    session_token = serializers.CharField()
    new_password_required = TrueField()
    token_type = serializers.ChoiceField(["Bearer"])


class MailedCodeSerializer(MessageSerializer):
    session_token = serializers.CharField(help_text="For `/auth/login/code/verify`")


class LoginByCodeSerializer(Serializer):
    session_token = SealedTokenField()
    code = SignInCodeField()


class OnlyRefreshTokenSerializer(Serializer):
    refresh_token = OpaqueTokenField()


LOGIN_ANSWER = PolymorphicProxySerializer(
    component_name="LoginAnswer",
    serializers=[LoggedInSerializer, MfaRequiredSerializer, NewPasswordRequiredSerializer],
    resource_type_field_name=None,
)
FIRST_PASSWORD_ANSWER = PolymorphicProxySerializer(
    component_name="FirstPasswordAnswer",
    serializers=[LoggedInSerializer, MfaRequiredSerializer],
    resource_type_field_name=None,
)


class LoginView(AnonymousView):
    @operation(
        "loginUser",
        request=LoginSerializer,
        answers={200: LOGIN_ANSWER},
        raises=[InvalidCredentials, EmailNotVerified, PasswordResetRequired],
        public=True,
        leads_to=AFTER_SIGN_IN,
    )
    def post(self, request: Request) -> Response:
        """Sign in with address and password.

        Three answers are 200: tokens; with a second step `mfaRequired` and a `sessionToken` for
        `/auth/mfa/verify`; with a temporary password `newPasswordRequired` and one for
        `/auth/login/new-password`. A wrong password, an unknown address and a disabled account are
        answered alike. `EMAIL_NOT_VERIFIED`: go on at `/auth/verify-email`.
        `PASSWORD_RESET_REQUIRED`: go on at `/auth/password/reset-request`.
        """
        values = self.validated_body(LoginSerializer)
        at = now()
        result = sessions.sign_in(**values, source=client_info_of(request.META), now=at)
        if isinstance(result, NewPasswordRequired):
            token = password.first_password_token(result, now=at)
            body = {"sessionToken": token, "newPasswordRequired": True, "tokenType": "Bearer"}
            return Response(body)
        return _signed_in_or_challenged(result, values["email"], at)


def _signed_in_or_challenged(
    result: SignedIn | Challenge, email: str | None, at: datetime
) -> Response:
    if isinstance(result, Challenge):
        token = mfa.session_token(result, email, now=at)
        return Response({"sessionToken": token, "mfaRequired": True, "tokenType": "Bearer"})
    return Response(signed_in_body(result))


class FirstPasswordView(AnonymousView):
    @operation(
        "setFirstPassword",
        request=FirstPasswordSerializer,
        answers={200: FIRST_PASSWORD_ANSWER},
        raises=[InvalidCredentials, MfaSessionExpired, WeakPassword],
        public=True,
        leads_to=AFTER_SIGN_IN,
    )
    def post(self, request: Request) -> Response:
        """Replace a temporary password and sign in.

        For accounts that were invited or made in the console, or whose password was set there.
        Takes the `sessionToken` of the sign-in and answers tokens, or the second step.
        `MFA_SESSION_EXPIRED`: sign in again.
        """
        at = now()
        values = self.validated_body(FirstPasswordSerializer)
        source = client_info_of(request.META)
        result = password.set_first_password(**values, source=source, now=at)
        return _signed_in_or_challenged(result, None, at)


class MailedCodeView(AnonymousView):
    @operation(
        "requestLoginCode",
        request=OnlyEmailSerializer,
        answers={200: MailedCodeSerializer},
        raises=[MailedCodeNotOffered],
        public=True,
        leads_to={"loginByCode": {"sessionToken": "sessionToken"}},
    )
    def post(self, request: Request) -> Response:
        """Mail a code that signs in without the password.

        It lasts ten minutes. The answer is the same whether or not there is an account. Accounts
        with a second step, or of Google's alone, get a mail that says so in place of a code.
        """
        token = mailed_code.request_code(
            **self.validated_body(OnlyEmailSerializer),
            source=client_info_of(request.META),
            now=now(),
        )
        message = _("If this address has an account, a code is on its way.")
        return Response({"sessionToken": token, "message": message})


class LoginByCodeView(AnonymousView):
    @operation(
        "loginByCode",
        request=LoginByCodeSerializer,
        answers={200: LoggedInSerializer},
        raises=[MailedCodeNotOffered, InvalidCode],
        public=True,
        leads_to=AFTER_SIGN_IN,
    )
    def post(self, request: Request) -> Response:
        """Sign in by the mailed code.

        Takes the `sessionToken` of `/auth/login/code` and the code, and answers tokens as
        `/auth/login` does. `INVALID_CODE`: ask for a new code.
        """
        signed_in = mailed_code.sign_in_by_code(
            **self.validated_body(LoginByCodeSerializer),
            source=client_info_of(request.META),
            now=now(),
        )
        return Response(signed_in_body(signed_in))


class RefreshView(AnonymousView):
    @operation(
        "refreshToken",
        request=OnlyRefreshTokenSerializer,
        answers={200: TokensSerializer},
        raises=[InvalidRefreshToken],
        public=True,
    )
    def post(self, request: Request) -> Response:
        """Renew the access token.

        Keep the `refreshToken` of the answer if it has one: it replaces the one that was sent,
        which serves for another minute. `INVALID_REFRESH_TOKEN`: the session is over, have the
        learner sign in again.
        """
        tokens = sessions.refresh(
            **self.validated_body(OnlyRefreshTokenSerializer),
            source=client_info_of(request.META),
            now=now(),
        )
        return Response(tokens_body(tokens))


class LogoutView(AnonymousView):
    @operation("logoutUser", request=OnlyRefreshTokenSerializer, answers={204: None}, public=True)
    def post(self, request: Request) -> Response:
        """End the session of a refresh token, within a minute its access tokens too.

        204, also for a token that has ended already. Throw both tokens away.
        """
        sessions.sign_out(**self.validated_body(OnlyRefreshTokenSerializer), now=now())
        return Response(status=204)


class LogoutEverywhereView(View):
    allowed_without_second_step = True

    @operation("logoutEverywhere", answers={204: None}, raises=[NotFound])
    def post(self, request: Request) -> Response:
        """End all sessions of the caller, this one too, within a minute.

        For a lost phone. 204; every device, this one too, has to sign in again.
        """
        sessions.sign_out_everywhere(
            caller(request).id, source=client_info_of(request.META), now=now()
        )
        return Response(status=204)


class LoginSessionSerializer(Serializer):
    """A sign-in that has not ended; `device`, `network` and `userAgent` are of its last use."""

    samples = {"device": "Firefox on Windows", "network": "203.0.113.7"}

    id = serializers.CharField()
    device = serializers.CharField(source="source.device", help_text="Empty if unknown")
    network = serializers.CharField(
        source="source.network", help_text="An IPv4 address, or an IPv6 network"
    )
    user_agent = serializers.CharField(source="agent")
    begun_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(help_text="The sign-in or its last renewal")
    current = serializers.SerializerMethodField(help_text="The session of this very request")

    class Meta:
        ref_name = "LoginSession"

    def get_current(self, session: Session) -> bool:
        return session.id == caller(self.context["request"]).session


class LoginSessionViewSet(Resource):
    """The caller's own sessions."""

    lookup_value_regex = "[A-Za-z0-9_-]{1,128}"  # the pool's ids

    @operation(
        "listLoginSessions",
        query=ListQuerySerializer,
        answers={200: page_of(LoginSessionSerializer)},
    )
    def list(self, request: Request) -> Response:
        """List where the caller is signed in, the last used first.

        `current` marks the one that asks. End any of them by its `id`.
        """
        return self.paginated(
            sessions.open_sessions, self.learner_id, serializer_class=LoginSessionSerializer
        )

    @operation("endLoginSession", answers={204: None}, raises=[NotFound])
    def destroy(self, request: Request, id: str) -> Response:
        """End a session, within a minute its access tokens too.

        204. The device that had it is asked to sign in when its access token is no longer taken.
        `NOT_FOUND`: it has ended already.
        """
        source = client_info_of(request.META)
        sessions.end_session(self.learner_id, id, source=source, now=now())
        return Response(status=204)
