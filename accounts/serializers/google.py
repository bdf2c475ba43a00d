"""Wire shapes of Google sign-in."""

from typing import Any

from accounts.api.serializers import Password
from config.serializers import Pattern, Query, Serializer, Text


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
