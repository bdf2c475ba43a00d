"""A stub of Google's sign-in. The embedded pool federates with it as an OpenID provider.

The pool knows it by the name "Google". Whoever comes to its page is signed in at once, as the
person that the test has put there.
"""

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from accounts.cognito import client as cognito_client
from accounts.cognito.users import GOOGLE
from accounts.services.google import challenge_of
from config import aws
from config.ops import cloudformation
from config.ops.local_aws import exclusive
from config.ops.model_stand_in import listening
from config.stack import Stack, stack
from tests.accounts_helpers import api
from tests.servers import shared_folder
from tests.waiting import PATIENCE_S

REDIRECT = "http://localhost:8000/browse/login/google/done"


@dataclass
class GoogleStub:
    """Who is at the browser: the claims of Google's id token."""

    url: str = ""
    person: dict[str, str] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def is_used_by(self, name: str, email: str, *, verified: bool = True) -> None:
        self.person = {
            "sub": secrets.token_hex(10),
            "email": email,
            "email_verified": "true" if verified else "false",
            "given_name": name,
            "family_name": "Rocha",
        }


def _jwt(claims: dict[str, str]) -> str:
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def _handler(stub: GoogleStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the page where a person signs in
            query = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
            code = secrets.token_urlsafe(16)
            stub.codes[code] = dict(stub.person)
            back = urlencode({"code": code, "state": query["state"]})
            self.send_response(302)
            self.send_header("Location", f"{query['redirect_uri']}?{back}")
            self.end_headers()

        def do_POST(self) -> None:  # the pool redeems the code
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            claims = stub.codes.pop(form["code"][0])
            body = json.dumps({"id_token": _jwt(claims), "access_token": "google"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    return Handler


@contextmanager
def google_stub() -> Iterator[GoogleStub]:
    """The stub, running and known to the pool."""
    stub = GoogleStub()
    with listening(_handler(stub)) as stub.url:
        try:
            _federate(stub)
            yield stub
        finally:
            _separate()


@pytest.fixture(scope="module")
def google_alone(embedded_aws: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """There is one pool, hence one stub: the modules that want it, or none, wait for each other.

    This process may have read the app client while another one's stub was known to the pool.
    """
    with exclusive(shared_folder(tmp_path_factory) / "google.lock"):
        cognito_client._app_client.cache_clear()
        yield


@pytest.fixture(scope="module")
def google(google_alone: None) -> Iterator[GoogleStub]:
    """Google, as far as the pool can tell."""
    with google_stub() as stub:
        yield stub


def offer(*providers: str) -> None:
    """Sets the app client as the template does with or without GoogleSignIn."""
    aws.client("cognito-idp").update_user_pool_client(
        UserPoolId=stack().user_pool_id,
        ClientId=stack().client_id,
        SupportedIdentityProviders=list(providers),
        AllowedOAuthFlowsUserPoolClient=bool(providers),
        AllowedOAuthFlows=["code"] if providers else [],
        AllowedOAuthScopes=["openid", "email", "profile"] if providers else [],
        CallbackURLs=[REDIRECT] if providers else [],
    )
    cognito_client._app_client.cache_clear()


def _mapping() -> dict[str, str]:
    """The pool's attributes for Google's claims on a real stage."""
    from cfnlint.decode.decode import decode_str  # slow to load

    template, faults = decode_str(cloudformation.WATCH_TEMPLATE.read_text())
    assert not faults
    return dict(template["Resources"]["Google"]["Properties"]["AttributeMapping"])


def _federate(stub: GoogleStub) -> None:
    known = aws.client("cognito-idp").list_identity_providers(UserPoolId=stack().user_pool_id)
    if known["Providers"]:
        _separate()  # a run that was cut off left it
    aws.client("cognito-idp").create_identity_provider(
        UserPoolId=stack().user_pool_id,
        ProviderName=GOOGLE,
        ProviderType="OIDC",
        ProviderDetails={
            "client_id": "parley",
            "client_secret": "of-google",
            "attributes_request_method": "GET",
            "oidc_issuer": stub.url,
            "authorize_url": f"{stub.url}/authorize",
            "token_url": f"{stub.url}/token",
            "authorize_scopes": "openid email profile",
        },
        AttributeMapping=_mapping(),
    )
    offer(GOOGLE)
    cognito_client.app_client()  # known before the first request, as to a deployed process


def _separate() -> None:
    offer()
    aws.client("cognito-idp").delete_identity_provider(
        UserPoolId=stack().user_pool_id, ProviderName=GOOGLE
    )


@dataclass(frozen=True)
class Journey:
    """A browser's way to Google and back, with the `code` that it brings back."""

    verifier: str
    state: str
    code: str

    def body(self, **changes: Any) -> dict[str, Any]:
        return {"code": self.code, "redirectUri": REDIRECT, "codeVerifier": self.verifier} | changes


def travel() -> Journey:
    """Starts at our service and follows each redirect but the last, to the client's own page."""
    verifier, state = secrets.token_urlsafe(40), secrets.token_urlsafe(16)
    query = {"redirectUri": REDIRECT, "state": state, "codeChallenge": challenge_of(verifier)}
    answer = api.get(f"/auth/google/authorize?{urlencode(query)}")
    assert answer.status_code == 302, answer.content
    address = follow(answer.headers["Location"])
    came_with = {k: v[0] for k, v in parse_qs(urlsplit(address).query).items()}
    assert came_with["state"] == state
    return Journey(verifier, state, came_with["code"])


def follow(address: str) -> str:
    """Goes through the pool and Google, to the address that they send the browser back to."""
    for _ in range(5):
        if address.startswith(REDIRECT):
            break
        step = requests.get(_reachable(address), allow_redirects=False, timeout=PATIENCE_S)
        assert step.status_code == 302, step.text
        address = step.headers["Location"]
    return address


def _reachable(address: str) -> str:
    """The embedded pool's address in place of the hosted UI's, which exists at AWS only."""
    parts = urlsplit(address)
    if not (parts.hostname or "").endswith("amazoncognito.com"):
        return address
    return f"{stack().endpoint_url}{parts.path}?{parts.query}"
