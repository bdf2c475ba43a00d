"""Verifies access tokens (RFC 8725, JWT best current practices; AWS, "Verifying JWTs").

Django and API Gateway verify them by the same rules. For the gateway's sake nothing here loads
Django or AWS's clients.

python-jose checks the signature alone, with one key and one algorithm chosen by us. Its own
choices are not relied on: it lets a missing `exp` pass, ignores `crit`, takes any key of a set
for an unknown `kid`, and verifies HS256 with a public key when the algorithms are left open.
"""

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from functools import cache
from http.client import HTTPException
from threading import Lock
from typing import Any

from config import https
from config.formats import unique_members
from config.problems import NotAuthenticated, ServiceUnavailable
from config.records import dataclass
from config.stack import stack

ALGORITHM = "RS256"
HEADER_NAMES = frozenset({"alg", "kid", "typ"})  # so crit, jku, jwk, x5u and their like are out
MAX_LENGTH = 8 * 1024
LEEWAY_S = 30
REFETCH_AFTER_S = 60
KEYS_TIMEOUT_S = 3.0

ROLES = frozenset({"staff", "admin"})  # Cognito makes groups of its own, one for each provider


class InvalidToken(NotAuthenticated):
    """The token is not one of ours, or no longer valid. Says nothing about the reason."""


@dataclass(frozen=True)
class Learner:
    """The owner of an access token. Instants are epoch seconds, groups are of ROLES.

    `id` is Cognito's `sub`. All tokens of one sign-in share `session`, Cognito's `origin_jti`.
    `lacks_second_step`: they are staff, who need one here, and can do nothing but set it up.
    """

    id: str
    groups: frozenset[str]
    issued_at: int
    authenticated_at: int
    session: str = ""
    lacks_second_step: bool = False


@dataclass
class KeySet:
    """The pool's public keys by `kid`, fetched when an unknown one is met, at most once a minute.

    `fetch` answers a JWKS (RFC 7517) and may raise ServiceUnavailable.
    """

    fetch: Callable[[], Mapping[str, Any]]
    clock: Callable[[], float] = time.monotonic
    _keys: dict[str, Any] = field(default_factory=dict)
    _asked_at: float | None = None
    _lock: Lock = field(default_factory=Lock)

    def key(self, kid: str) -> Any:
        """The key of this id, as python-jose takes it.

        Raises InvalidToken for an id the pool does not have, and ServiceUnavailable when no key
        could be fetched yet; with keys at hand an outage goes unnoticed.
        """
        with self._lock:
            now = self.clock()
            if kid not in self._keys and (
                self._asked_at is None or now - self._asked_at >= REFETCH_AFTER_S
            ):
                self._refresh(now)
        if kid not in self._keys:
            if not self._keys:
                raise ServiceUnavailable("The keys of the user pool cannot be read")
            raise InvalidToken
        return self._keys[kid]

    def _refresh(self, now: float) -> None:
        try:
            keys = self.fetch()
        except ServiceUnavailable:
            if self._keys:
                self._asked_at = now
            return
        self._asked_at = now
        self._keys = {
            key["kid"]: made
            for key in keys.get("keys", [])
            if isinstance(key.get("kid"), str) and (made := _rsa_key(key))
        }


def _rsa_key(jwk: Mapping[str, Any]) -> Any:
    """python-jose's key, made once of what the pool shows: that takes longer than to verify by it.

    None for what is no key of RSA's.
    """
    from jose import jwk as keys  # 0.1 s to load: only where a token comes in
    from jose.exceptions import JWKError

    try:
        return keys.construct(dict(jwk), ALGORITHM)
    except (JWKError, TypeError, ValueError):
        return None


def bearer(header: str) -> str:
    """The token of an `Authorization` header (RFC 6750). Raises InvalidToken."""
    scheme, _, token = header.partition(" ")
    token = token.lstrip(" ")  # RFC 9110, 11.4: one space or more
    if scheme.lower() != "bearer" or not token or not token.isascii():
        raise InvalidToken
    return token


def verify(
    token: str,
    keys: KeySet,
    *,
    issuer: str,
    client_ids: Collection[str],
    now: float,
) -> Learner:
    """The owner of a valid access token at the instant `now` (epoch seconds).

    Raises InvalidToken, whatever is wrong; ServiceUnavailable when no key is known.
    """
    return _learner(_verified_content(token, keys), issuer, client_ids, now)


@dataclass(frozen=True)
class Identity:
    """The person named by an id token. `google_id` is None for users of the pool alone.

    `email` and `email_verified` are Google's word, never that of the pool.
    """

    sub: str
    username: str
    email: str
    email_verified: bool
    first_name: str
    last_name: str
    google_id: str | None


def verify_identity(
    token: str,
    keys: KeySet,
    *,
    issuer: str,
    client_id: str,
    nonces: Collection[str],
    now: float,
) -> Identity:
    """The identity in an id token that was made for this sign-in (OpenID Connect Core, 3.1.3.7).

    Raises InvalidToken, also when its nonce is none of `nonces`; ServiceUnavailable.
    """
    claims = _verified_content(token, keys)
    sound = (
        now < _instant(claims, "exp") + LEEWAY_S
        and claims.get("iss") == issuer
        and claims.get("aud") == client_id
        and claims.get("token_use") == "id"
        and claims.get("nonce") in nonces
    )
    if not sound:
        raise InvalidToken
    return Identity(
        sub=str(claims["sub"]),
        username=str(claims["cognito:username"]),
        email=str(claims.get("custom:google_email", "")).lower(),
        email_verified=str(claims.get("custom:google_verified")).lower() == "true",
        first_name=str(claims.get("given_name", "")),
        last_name=str(claims.get("family_name", "")),
        google_id=google_id_of(claims),
    )


def google_id_of(claims: Mapping[str, Any]) -> str | None:
    """Google's id of the learner.

    A client that lists its ReadAttributes may get no `identities`. Then the name of a user who came
    from Google has the id: `google_<id>`, in lower case if the pool's names are.
    """
    for identity in claims.get("identities", []):
        if identity.get("providerName") == "Google":
            return str(identity["userId"])
    provider, _, google_id = str(claims.get("cognito:username", "")).partition("_")
    return google_id if provider.lower() == "google" and google_id else None


def _verified_content(token: str, keys: KeySet) -> dict[str, Any]:
    """The content of a token that one of the keys has signed with our algorithm."""
    if len(token) > MAX_LENGTH or token.count(".") != 2:
        raise InvalidToken
    header = _object(token.partition(".")[0])
    if header.get("alg") != ALGORITHM or not header.keys() <= HEADER_NAMES:
        raise InvalidToken
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= 128:
        raise InvalidToken
    return _signed(token, keys.key(kid))


def owner_of(token: str) -> Learner:
    """The owner of a token that the pool itself has just handed to us."""
    claims = _object(token.split(".")[1])
    return Learner(
        id=str(claims["sub"]),
        groups=ROLES.intersection(claims.get("cognito:groups", [])),
        issued_at=int(claims["iat"]),
        authenticated_at=int(claims.get("auth_time", claims["iat"])),
        session=str(claims.get("origin_jti", "")),
    )


def _signed(token: str, key: Any) -> dict[str, Any]:
    from jose import JWSError, jws  # as above

    try:
        jws.verify(token, key, ALGORITHM)
    except JWSError as error:
        raise InvalidToken from error
    return _object(token.split(".")[1])


def _learner(
    claims: Mapping[str, Any], issuer: str, client_ids: Collection[str], now: float
) -> Learner:
    exp, iat = _instant(claims, "exp"), _instant(claims, "iat")
    nbf = _instant(claims, "nbf") if "nbf" in claims else iat
    sub, groups = claims.get("sub"), claims.get("cognito:groups", [])
    session = claims.get("origin_jti", "")
    sound = (
        now < exp + LEEWAY_S
        and max(iat, nbf) <= now + LEEWAY_S
        and claims.get("iss") == issuer
        and claims.get("token_use") == "access"
        and claims.get("client_id") in client_ids
        and isinstance(sub, str)
        and 0 < len(sub) <= 128
        and isinstance(groups, list)
        and all(isinstance(group, str) for group in groups)
        and isinstance(session, str)
    )
    if not sound:
        raise InvalidToken
    authenticated_at = _instant(claims, "auth_time") if "auth_time" in claims else iat
    return Learner(str(sub), ROLES.intersection(groups), iat, authenticated_at, str(session))


def _instant(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int:  # neither text, nor a float, nor a bool
        raise InvalidToken
    return value


def _object(part: str) -> dict[str, Any]:
    """One base64url part as a JSON object whose names are unique."""
    try:
        members = json.loads(
            urlsafe_b64decode(part + "=" * (-len(part) % 4)), object_pairs_hook=unique_members
        )
    except (ValueError, RecursionError) as error:
        raise InvalidToken from error
    if not isinstance(members, dict):
        raise InvalidToken
    return members


# --- Our own pool ---------------------------------------------------------------------------------


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


def verify_access_token(token: str) -> Learner:
    """The owner of an access token of our own pool. Raises InvalidToken, ServiceUnavailable."""
    where = stack()
    return verify(
        token, key_set(), issuer=where.issuer, client_ids=(where.client_id,), now=time.time()
    )


def authorize(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """Answers API Gateway whether a token opens the paths of the API's stage (Lambda authorizer).

    Django verifies the token again by itself, and whether the account bars it: no table is read
    here.

    API Gateway keeps the answer for the token and applies it to the paths that come next. So it
    names all paths of this API and stage, not only `methodArn`. A bad token is denied rather than
    raised about: denials are kept too, and count as no error of the function. Raises
    ServiceUnavailable when the pool's keys cannot be read.
    """
    try:
        who, effect = verify_access_token(bearer(event["authorizationToken"])).id, "Allow"
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
