"""Learners who speak with the service in process, with tokens of our own making."""

import json
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client
from django.utils.timezone import now
from jose import jwk, jwt

from accounts.models import Account, Profile, learner_key
from accounts.tokens import fetch_keys, key_set
from config.stack import stack


@cache
def signing_key() -> Any:
    """The key our tests' tokens are signed with, as the pool's own would be."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwk.construct(private, "RS256")


def public_keys() -> dict[str, Any]:
    """The JWKS to it."""
    return {"keys": [signing_key().public_key().to_dict() | {"kid": "k1"}]}


def access_token(sub: str, *, groups: tuple[str, ...] = (), **changes: Any) -> str:
    """An access token as Cognito makes them."""
    now = int(time.time())
    claims = {
        "sub": sub,
        "iss": stack().issuer,
        "client_id": stack().client_id,
        "token_use": "access",
        "iat": now,
        "exp": now + 3600,
        "auth_time": now,
        "cognito:groups": list(groups),
    }
    return jwt.encode(claims | changes, signing_key(), "RS256", headers={"kid": "k1"})


@dataclass
class Caller:
    """A learner who speaks JSON with the service in process."""

    id: str
    token: str
    client: Client = field(default_factory=Client)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The answer; `If_Match='"3"'` sends that header."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        options: dict[str, Any] = {"headers": {"Authorization": f"Bearer {self.token}"} | named}
        if body is not None:
            data = body if isinstance(body, str | bytes) else json.dumps(body)
            options |= {"data": data, "content_type": "application/json"}
        return self.client.generic(method.upper(), path, **options)

    def get(self, path: str, **headers: str) -> Any:
        return self.send("get", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("post", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("put", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("patch", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.send("delete", path, **headers)

    def makes(self, path: str, body: Any) -> Any:
        """Sends a POST that must succeed, and returns the new item."""
        answer = self.post(path, body)
        assert answer.status_code == 201, answer.content
        return answer.json()


def accept_our_tokens() -> None:
    """Makes the service take tokens of our own making, beside those of a pool that is running."""
    keys = key_set()
    if keys.fetch is fetch_keys:
        running = stack().endpoint_url is not None and stack().user_pool_id != "none"
        keys.fetch = _with_ours if running else public_keys
        keys._asked_at = None  # ask again for what was not there before


def _with_ours() -> dict[str, Any]:
    return {"keys": [*fetch_keys()["keys"], *public_keys()["keys"]]}


def make_learner(name: str, *, timezone: str = "UTC", groups: tuple[str, ...] = ()) -> Caller:
    """A learner with an account and a profile, signed in."""
    learner_id, created_at = str(uuid4()), now()
    Account.new(learner_id, email=f"{name}@example.org", now=created_at).create()
    Profile(
        learner_key(learner_id),
        Profile.SK,
        first_name=name.title(),
        last_name="Silva",
        timezone=timezone,
        created_at=created_at,
    ).create()
    accept_our_tokens()
    return Caller(learner_id, access_token(learner_id, groups=groups))
