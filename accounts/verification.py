"""The pool's keys, and access tokens verified with them. Loads neither Django nor AWS's clients."""

import json
import time
from functools import cache
from http.client import HTTPException
from typing import Any

from accounts.tokens import Claims, KeySet, verify
from config import https
from config.problems import ServiceUnavailable
from config.stack import stack

KEYS_TIMEOUT_S = 3.0


def fetch_keys() -> dict[str, Any]:
    """The pool's JWKS. Raises ServiceUnavailable."""
    where = stack()
    base = where.endpoint_url or f"https://cognito-idp.{where.region}.amazonaws.com"
    url = f"{base}/{where.user_pool_id}/.well-known/jwks.json"
    failure: Exception | None = None
    for _ in range(2):
        try:
            answer = https.fetch("GET", url, timeout_s=KEYS_TIMEOUT_S)
            if answer.status == 200:
                found: dict[str, Any] = json.loads(answer.body)
                return found
        except (OSError, HTTPException, ValueError) as error:
            failure = error
    raise ServiceUnavailable("The keys of the user pool cannot be read") from failure


@cache
def _key_set(_issuer: str) -> KeySet:
    return KeySet(fetch_keys)


def key_set() -> KeySet:
    """The keys of the pool, kept in this process."""
    return _key_set(stack().issuer)


def verified(token: str) -> Claims:
    """What an access token of our own pool says now. Raises InvalidToken, ServiceUnavailable."""
    where = stack()
    return verify(
        token, key_set(), issuer=where.issuer, client_ids=(where.client_id,), now=time.time()
    )
