"""/auth/google"""

from typing import Any

from django.http import HttpResponseRedirect
from django.utils.timezone import now
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import (
    AFTER_SIGN_IN,
    LoggedInSerializer,
    OnlyPasswordSerializer,
    PasswordField,
    signed_in_body,
)
from accounts.authentication import caller
from accounts.cognito.client import InvalidCode, InvalidCredentials
from accounts.services import google
from accounts.services.google import (
    AccountExists,
    GoogleEmailNotVerified,
    GoogleNotLinked,
    GoogleNotOffered,
    GoogleTaken,
    OnlyWayIn,
    RedirectNotAllowed,
)
from accounts.services.sessions import FreshSignInNeeded
from config.client_info import client_info_of
from config.operations import operation
from config.serializers import PatternField, QuerySerializer, Serializer, TextField
from config.viewsets import AnonymousView, View


class RedirectUriField(TextField):
    """One of the addresses that the app client is registered with."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=1024, **kwargs)


class GoogleQuerySerializer(QuerySerializer):
    redirect_uri = RedirectUriField()
    state = PatternField(
        "[A-Za-z0-9._~-]{16,512}",
        "Give 16 to 512 random letters, digits or any of -._~",
        max_length=512,
        help_text="Comes back to you unchanged: compare it",
    )
    code_challenge = PatternField(
        "[A-Za-z0-9_-]{43}",
        "Give the SHA-256 of the verifier in base64url.",
        max_length=43,
        help_text="RFC 7636, method S256",
    )


class GoogleCodeSerializer(Serializer):
    code = PatternField("[A-Za-z0-9._~-]+", "This is no code.", max_length=2048)
    redirect_uri = RedirectUriField()
    code_verifier = PatternField(
        "[A-Za-z0-9._~-]{43,128}", "Give the verifier of the challenge.", max_length=128
    )


class GoogleLinkSerializer(GoogleCodeSerializer):
    password = PasswordField(required=False)


class AuthorizeView(AnonymousView):
    @operation(
        "authorizeGoogle",
        query=GoogleQuerySerializer,
        answers={302: None},
        raises=[GoogleNotOffered, RedirectNotAllowed],
        public=True,
    )
    def get(self, request: Request) -> HttpResponseRedirect:
        """Go to Google's sign-in.

        The browser comes back to `redirectUri` with `state`, which you compare, and `code`.
        """
        query = self.validated_query(GoogleQuerySerializer)
        return HttpResponseRedirect(google.authorize_url(**query))


class TokenView(AnonymousView):
    @operation(
        "loginWithGoogle",
        request=GoogleCodeSerializer,
        answers={200: LoggedInSerializer},
        raises=[
            GoogleNotOffered,
            RedirectNotAllowed,
            InvalidCode,
            InvalidCredentials,
            GoogleEmailNotVerified,
            GoogleNotLinked,
            AccountExists,
        ],
        public=True,
        leads_to=AFTER_SIGN_IN,
    )
    def post(self, request: Request) -> Response:
        """Sign in with the code that Google's sign-in led to.

        Answers tokens as `/auth/login` does; the first time it makes the account. `ACCOUNT_EXISTS`:
        the address has an account with a password: have the learner sign in with it, then call
        `/auth/google/link`. `INVALID_CODE`: begin again at `/auth/google/authorize`.
        """
        signed_in = google.complete_google_sign_in(
            **self.validated_body(GoogleCodeSerializer),
            source=client_info_of(request.META),
            now=now(),
        )
        return Response(signed_in_body(signed_in))


class LinkView(View):
    @operation(
        "linkGoogle",
        request=GoogleLinkSerializer,
        answers={204: None},
        raises=[
            GoogleNotOffered,
            RedirectNotAllowed,
            InvalidCode,
            InvalidCredentials,
            FreshSignInNeeded,
            GoogleTaken,
        ],
    )
    def post(self, request: Request) -> Response:
        """Link a Google account, which may then sign in too.

        `code` and `codeVerifier` are as for `/auth/google/token`. 204: from now on either way signs
        in. `GOOGLE_TAKEN`: that Google account belongs to another learner.
        """
        google.link(
            caller(request),
            **{"password": None, **self.validated_body(GoogleLinkSerializer)},
            source=client_info_of(request.META),
            now=now(),
        )
        return Response(status=204)

    @operation(
        "unlinkGoogle",
        request=OnlyPasswordSerializer,
        answers={204: None},
        raises=[InvalidCredentials, OnlyWayIn],
    )
    def delete(self, request: Request) -> Response:
        """Unlink the Google account; all sessions end, this one too.

        A learner who has no password sets one first (`/auth/password/change`).
        """
        google.unlink(
            caller(request),
            password=self.validated_body(OnlyPasswordSerializer).get("password"),
            source=client_info_of(request.META),
            now=now(),
        )
        return Response(status=204)
