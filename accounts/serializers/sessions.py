"""Wire shapes of signing in."""

from typing import Any

from rest_framework import serializers

from accounts.api.serializers import Email, OpaqueToken, Password
from accounts.cognito import Tokens
from accounts.serializers.profile import ProfileShape, profile_body
from accounts.services.sessions import SignedIn
from config.serializers import Serializer

# What goes on with the answer to a sign-in: operation → {field of its body: field of the answer}.
AFTER_SIGN_IN = {
    "refreshToken": {"refreshToken": "refreshToken"},
    "logoutUser": {"refreshToken": "refreshToken"},
}


class Login(Serializer):
    email = Email()
    password = Password()


class OnlyRefreshToken(Serializer):
    refresh_token = OpaqueToken()


class TokensShape(Serializer):
    access_token = serializers.CharField()
    id_token = serializers.CharField()
    refresh_token = serializers.CharField(required=False, help_text="Present when it is a new one")
    token_type = serializers.ChoiceField(["Bearer"])
    expires_in = serializers.IntegerField(help_text="Seconds")

    class Meta:
        ref_name = "Tokens"


class LoggedIn(TokensShape):
    refresh_token = serializers.CharField()
    user = ProfileShape()

    class Meta:
        ref_name = "LoggedIn"


def tokens_body(tokens: Tokens) -> dict[str, Any]:
    """Tokens on the wire."""
    body: dict[str, Any] = {
        "accessToken": tokens.access_token,
        "idToken": tokens.id_token,
        "tokenType": "Bearer",
        "expiresIn": tokens.expires_in_s,
    }
    if tokens.refresh_token is not None:
        body["refreshToken"] = tokens.refresh_token
    return body


def signed_in_body(found: SignedIn) -> dict[str, Any]:
    """The answer to a completed sign-in."""
    return {**tokens_body(found.tokens), "user": profile_body(found.person)}
