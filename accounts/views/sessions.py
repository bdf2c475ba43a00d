"""/auth/login, /auth/refresh, /auth/logout"""

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.cognito import (
    Challenge,
    EmailNotVerified,
    InvalidCredentials,
    InvalidRefreshToken,
    PasswordResetRequired,
)
from accounts.serializers import (
    LoggedIn,
    Login,
    OnlyRefreshToken,
    TokensShape,
    profile_body,
    tokens_body,
)
from accounts.services import sessions
from config.clock import now
from config.operations import operation
from config.serializers import valid


class LoginView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @operation(
        "loginUser",
        request=Login,
        answers={200: LoggedIn},
        raises=[InvalidCredentials, EmailNotVerified, PasswordResetRequired],
        public=True,
    )
    def post(self, request: Request) -> Response:
        """Sign in with address and password.

        A wrong password, an unknown address and a disabled account are answered alike.
        """
        found = sessions.sign_in(**valid(Login, request.data), now=now())
        if isinstance(found, Challenge):
            raise InvalidCredentials
        return Response({**tokens_body(found.tokens), "user": profile_body(found.person)})


class RefreshView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @operation(
        "refreshToken",
        request=OnlyRefreshToken,
        answers={200: TokensShape},
        raises=[InvalidRefreshToken],
        public=True,
    )
    def post(self, request: Request) -> Response:
        """Renew the access token.

        When `refreshToken` is in the answer, it replaces the one that was sent.
        """
        return Response(tokens_body(sessions.refresh(**valid(OnlyRefreshToken, request.data))))


class LogoutView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @operation("logoutUser", request=OnlyRefreshToken, answers={204: None}, public=True)
    def post(self, request: Request) -> Response:
        """End the session of a refresh token; again and again if need be."""
        sessions.sign_out(**valid(OnlyRefreshToken, request.data))
        return Response(status=204)
