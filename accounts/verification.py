"""Access tokens verified with the pool's keys, also for API Gateway, before Django runs.

Loads neither Django nor AWS's clients.
"""

import json
import time
from collections.abc import Mapping
from functools import cache
from http.client import HTTPException
from typing import Any

from accounts.tokens import Claims, InvalidToken, KeySet, bearer, verify
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
                key_set: dict[str, Any] = json.loads(answer.body)
                return key_set
        except (OSError, HTTPException, ValueError) as error:
            failure = error
    raise ServiceUnavailable("The keys of the user pool cannot be read") from failure


@cache
def _key_set(_issuer: str) -> KeySet:
    return KeySet(fetch_keys)


def key_set() -> KeySet:
    """The keys of the pool, kept in this process."""
    return _key_set(stack().issuer)


def verify_access_token(token: str) -> Claims:
    """What an access token of our own pool says now. Raises InvalidToken, ServiceUnavailable."""
    where = stack()
    return verify(
        token, key_set(), issuer=where.issuer, client_ids=(where.client_id,), now=time.time()
    )


def authorize(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """Answers API Gateway whether a token opens the paths of the API's stage (Lambda authorizer).

    Django verifies the token again by itself, and whether the account bars it: no table is read
    here.

    API Gateway keeps the answer for the token and asks it about the paths that come next, so it
    names more than `methodArn`, and nothing of other stages and APIs. A bad token is denied rather
    than raised about: denials are kept too, and are no error of the function's. Raises
    ServiceUnavailable when the pool's keys cannot be read.
    """
    try:
        who, effect = verify_access_token(bearer(event["authorizationToken"])).sub, "Allow"
    except InvalidToken:
        who, effect = "nobody", "Deny"
    api, stage, *_ = event["methodArn"].split("/")
    statement = {
        "Effect": effect,
        "Action": "execute-api:Invoke",
        "Resource": f"{api}/{stage}/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": who, "policyDocument": policy}
