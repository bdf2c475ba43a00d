"""/auth/google"""

from typing import Any

from django.http import HttpResponseRedirect
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers import AFTER_SIGN_IN, LoggedIn, Password, signed_in_body
from accounts.authentication import caller
from accounts.cognito.client import InvalidCode, InvalidCredentials
from accounts.services import google
from accounts.services.google import (
    AccountExists,
    GoogleEmailNotVerified,
    GoogleNotOffered,
    GoogleTaken,
    RedirectNotAllowed,
)
from accounts.services.sessions import FreshSignInNeeded
from config.client_info import source_of
from config.clock import now
from config.operations import operation
from config.serializers import Pattern, Query, Serializer, Text, valid


class RedirectUri(Text):
    """One of the addresses that the app client is registered with."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=1024, **kwargs)


class GoogleQuery(Query):
    redirect_uri = RedirectUri()
    state = Pattern(
        "[A-Za-z0-9._~-]{16,512}",
        "Give 16 to 512 random letters, digits or any of -._~",
        max_length=512,
        help_text="Comes back to you unchanged: compare it",
    )
    code_challenge = Pattern(
        "[A-Za-z0-9_-]{43}",
        "Give the SHA-256 of the verifier in base64url.",
        max_length=43,
        help_text="RFC 7636, method S256",
    )


class GoogleCode(Serializer):
    code = Pattern("[A-Za-z0-9._~-]+", "This is no code.", max_length=2048)
    redirect_uri = RedirectUri()
    code_verifier = Pattern(
        "[A-Za-z0-9._~-]{43,128}", "Give the verifier of the challenge.", max_length=128
    )


class GoogleLink(GoogleCode):
    password = Password(required=False)


class AuthorizeView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @operation(
        "authorizeGoogle",
        query=GoogleQuery,
        answers={302: None},
        raises=[GoogleNotOffered, RedirectNotAllowed],
        public=True,
    )
    def get(self, request: Request) -> HttpResponseRedirect:
        """Go to Google's sign-in.

        The browser comes back to `redirectUri` with `state`, which you compare, and `code`.
        """
        query = GoogleQuery(request.query_params).values()
        return HttpResponseRedirect(google.authorize_url(**query))


class TokenView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @operation(
        "loginWithGoogle",
        request=GoogleCode,
        answers={200: LoggedIn},
        raises=[
            GoogleNotOffered,
            RedirectNotAllowed,
            InvalidCode,
            InvalidCredentials,
            GoogleEmailNotVerified,
            AccountExists,
        ],
        public=True,
        leads_to=AFTER_SIGN_IN,
    )
    def post(self, request: Request) -> Response:
        """Sign in with the code that Google's sign-in led to."""
        found = google.complete(
            **valid(GoogleCode, request.data), source=source_of(request.META), now=now()
        )
        return Response(signed_in_body(found))


class LinkView(APIView):
    @operation(
        "linkGoogle",
        request=GoogleLink,
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
        """Let a Google account enter as the caller."""
        google.link(
            caller(request),
            **{"password": None, **valid(GoogleLink, request.data)},
            source=source_of(request.META),
            now=now(),
        )
        return Response(status=204)
