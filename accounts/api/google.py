"""/auth/google"""

from django.http import HttpResponseRedirect
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import caller
from accounts.cognito import InvalidCode, InvalidCredentials
from accounts.serializers.google import GoogleCode, GoogleLink, GoogleQuery
from accounts.serializers.sessions import AFTER_SIGN_IN, LoggedIn, signed_in_body
from accounts.services import google
from accounts.services.google import (
    AccountExists,
    GoogleEmailNotVerified,
    GoogleNotOffered,
    GoogleTaken,
    RedirectNotAllowed,
)
from accounts.services.proof import FreshSignInNeeded
from config.client_info import source_of
from config.clock import now
from config.operations import operation
from config.serializers import valid


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
