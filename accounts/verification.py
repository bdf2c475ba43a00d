"""The pool's keys, and access tokens verified with them. Loads neither Django nor AWS's clients."""

import json
import time
from functools import cache
from typing import Any

import urllib3

from accounts.tokens import Claims, KeySet, verify
from config.problems import ServiceUnavailable
from config.stack import stack

KEYS_TIMEOUT_S = 3.0


def fetch_keys() -> dict[str, Any]:
    """The pool's JWKS. Raises ServiceUnavailable."""
    where = stack()
    base = where.endpoint_url or f"https://cognito-idp.{where.region}.amazonaws.com"
    try:
        answer = urllib3.request(
            "GET",
            f"{base}/{where.user_pool_id}/.well-known/jwks.json",
            timeout=KEYS_TIMEOUT_S,
            retries=1,
        )
        found: dict[str, Any] = json.loads(answer.data)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise ServiceUnavailable("The keys of the user pool cannot be read") from error
    return found


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
