"""Forged, stale and foreign access tokens: every one is refused, alike and without any call."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import pytest
import time_machine
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.test import Client

from accounts.tokens import REFETCH_AFTER_S, InvalidToken, KeySet, google_id_of, key_set, verify
from config.problems import ServiceUnavailable
from config.stack import BASE_DIR, Stack
from tests.servers import using

NOW = 1_800_000_000
ISSUER = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Parley"
CLIENT = "backend-client"
OTHER_CLIENT = "other-client"
KID = "pool-key-1"

POOL = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)

CLAIMS: dict[str, Any] = {
    "sub": "3f0c1a52-7d7e-4f7a-9a1e-0b6c2f4d8e11",
    "iss": ISSUER,
    "client_id": CLIENT,
    "token_use": "access",
    "iat": NOW - 60,
    "exp": NOW + 3540,
    "auth_time": NOW - 600,
    "cognito:groups": ["staff"],
    "username": "3f0c1a52-7d7e-4f7a-9a1e-0b6c2f4d8e11",
}
HEADER = {"alg": "RS256", "kid": KID}
ABSENT = object()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def jwk(key: rsa.RSAPrivateKey, kid: str) -> dict[str, str]:
    public = key.public_key().public_numbers()
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": kid,
        "n": number(public.n),
        "e": number(public.e),
    }


JWKS = {"keys": [jwk(POOL, KID)]}


def without_absent(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not ABSENT}


def signed(
    claims: str | Mapping[str, Any] = CLAIMS,
    header: str | Mapping[str, Any] = HEADER,
    key: rsa.RSAPrivateKey = POOL,
) -> str:
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (header, claims)]
    message = ".".join(b64(part.encode()) for part in parts)
    signature = key.sign(message.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{message}.{b64(signature)}"


def keyed_with(secret: bytes, alg: str = "HS256") -> str:
    """The confusion of algorithms: our public key taken for an HMAC's secret."""
    message = ".".join(
        b64(json.dumps(part).encode()) for part in ({"alg": alg, "kid": KID}, CLAIMS)
    )
    return f"{message}.{b64(hmac.new(secret, message.encode(), hashlib.sha256).digest())}"


def resigned(token: str, signature: str) -> str:
    return f"{token.rpartition('.')[0]}.{signature}"


def with_claims(**changes: Any) -> str:
    return signed(without_absent({**CLAIMS, **changes}))


def with_header(**changes: Any) -> str:
    return signed(header=without_absent({**HEADER, **changes}))


Enc, Fmt = serialization.Encoding, serialization.PublicFormat
PUBLIC = POOL.public_key()
GOOD = signed()

FORGED = {
    **{f"alg {alg!r}": with_header(alg=alg) for alg in ("none", "None", "NONE", "nOnE", "", None)},
    **{f"alg {alg}": with_header(alg=alg) for alg in ("RS384", "PS256", "HS256", "rs256", "ES256")},
    "alg none without a signature": resigned(with_header(alg="none"), ""),
    "alg missing": with_header(alg=ABSENT),
    "alg in a list": with_header(alg=["RS256"]),
    "signature stripped": resigned(GOOD, ""),
    "signature of zeros": resigned(GOOD, b64(bytes(256))),
    "signature of one byte": resigned(GOOD, b64(b"\0")),
    "signature of another token": resigned(GOOD, with_claims(sub="other").rpartition(".")[2]),
    "HS256 keyed with the PEM": keyed_with(PUBLIC.public_bytes(Enc.PEM, Fmt.SubjectPublicKeyInfo)),
    "HS256 keyed with the PKCS 1 PEM": keyed_with(PUBLIC.public_bytes(Enc.PEM, Fmt.PKCS1)),
    "HS256 keyed with the DER": keyed_with(PUBLIC.public_bytes(Enc.DER, Fmt.SubjectPublicKeyInfo)),
    "HS256 keyed with the OpenSSH key": keyed_with(PUBLIC.public_bytes(Enc.OpenSSH, Fmt.OpenSSH)),
    "HS256 keyed with the JWKS": keyed_with(json.dumps(JWKS).encode()),
    "HS256 keyed with the JWK": keyed_with(json.dumps(JWKS["keys"][0]).encode()),
    "HMAC under the name RS256": keyed_with(
        PUBLIC.public_bytes(Enc.PEM, Fmt.SubjectPublicKeyInfo), alg="RS256"
    ),
    "a stranger's key under the pool's kid": signed(key=STRANGER),
    "payload changed after signing": ".".join(
        (GOOD.split(".")[0], b64(json.dumps({**CLAIMS, "sub": "x"}).encode()), GOOD.split(".")[2])
    ),
}
KIDS = {
    "kid of a file": with_header(kid="../../../../dev/null"),
    "kid of SQL": with_header(kid="' UNION SELECT 'key' --"),
    "kid of 10 KB": with_header(kid="k" * 10_240),
    "kid of 129 characters": with_header(kid="k" * 129),
    "kid in a list": with_header(kid=[KID]),
    "kid as a number": with_header(kid=1),
    "kid empty": with_header(kid=""),
    "kid null": with_header(kid=None),
    "kid missing": with_header(kid=ABSENT),
    "kid unknown": with_header(kid="pool-key-2"),
}
HEADERS = {
    name: signed(header={**HEADER, **extra}, key=STRANGER if name != "crit" else POOL)
    for name, extra in {
        "jku": {"jku": "https://attacker.example/jwks.json"},
        "x5u": {"x5u": "https://attacker.example/cert.pem"},
        "x5c": {"x5c": ["MIIB"]},
        "jwk": {"jwk": jwk(STRANGER, KID)},
        "crit": {"crit": ["exp"]},
        "b64": {"b64": False},
        "zip": {"zip": "DEF"},
    }.items()
}
STALE = {
    "exp past": with_claims(exp=NOW - 31),
    "exp missing": with_claims(exp=ABSENT),
    "exp as text": with_claims(exp=str(NOW + 60)),
    "exp as a float": with_claims(exp=NOW + 60.5),
    "exp true": with_claims(exp=True),
    "exp null": with_claims(exp=None),
    "exp infinite": signed(json.dumps(CLAIMS).replace(str(CLAIMS["exp"]), "Infinity")),
    "exp huge float": signed(json.dumps(CLAIMS).replace(str(CLAIMS["exp"]), "1e400")),
    "nbf in the future": with_claims(nbf=NOW + 31),
    "nbf as text": with_claims(nbf="0"),
    "iat in the future": with_claims(iat=NOW + 31),
    "iat missing": with_claims(iat=ABSENT),
}
FOREIGN = {
    "iss of another pool": with_claims(iss=ISSUER[:-1]),
    "iss with a slash": with_claims(iss=ISSUER + "/"),
    "iss missing": with_claims(iss=ABSENT),
    "client of another app": with_claims(client_id=OTHER_CLIENT),
    "client missing": with_claims(client_id=ABSENT),
    "client in a list": with_claims(client_id=[CLIENT]),
    "an id token": with_claims(token_use="id", aud=CLIENT, client_id=ABSENT),
    "an id token with a client": with_claims(token_use="id"),
    "a refresh token": with_claims(token_use="refresh"),
    "use missing": with_claims(token_use=ABSENT),
    "sub missing": with_claims(sub=ABSENT),
    "sub empty": with_claims(sub=""),
    "sub a number": with_claims(sub=7),
    "sub too long": with_claims(sub="s" * 129),
    "groups as text": with_claims(**{"cognito:groups": "admin"}),
    "groups of lists": with_claims(**{"cognito:groups": [["admin"]]}),
    "auth_time as text": with_claims(auth_time="0"),
    "session in a list": with_claims(origin_jti=["s"]),
}
SHAPES = {
    "a claim twice": signed(json.dumps(CLAIMS)[:-1] + ', "sub": "someone-else"}'),
    "alg twice": signed(header='{"alg": "none", "alg": "RS256", "kid": "pool-key-1"}'),
    "claims as a list": signed("[]"),
    "claims as null": signed("null"),
    "claims no JSON": signed("{"),
    "claims nested to the moon": signed("[" * 3000),
    "header as a list": signed(header="[]"),
    "two parts": GOOD.rpartition(".")[0],
    "four parts": f"{GOOD}.x",
    "five parts": f"{GOOD}.x.y",
    "no base64": "!!!.???.***",
    "empty parts": "..",
    "8 KB and more": with_claims(padding="x" * 8192),
}
ATTACKS = FORGED | KIDS | HEADERS | STALE | FOREIGN | SHAPES


@pytest.fixture
def keys() -> KeySet:
    """A pool's keys, known already: from here on no fetch is due."""
    known = KeySet(lambda: JWKS, lambda: 0.0)
    known.key(KID)
    return known


def check(token: str, keys: KeySet) -> Any:
    return verify(token, keys, issuer=ISSUER, client_ids=(CLIENT,), now=NOW)


def test_a_token_of_the_pool_tells_who_calls(keys: KeySet) -> None:
    learner = check(GOOD, keys)
    assert learner.id == CLAIMS["sub"]
    assert learner.groups == {"staff"}
    assert (learner.issued_at, learner.authenticated_at) == (NOW - 60, NOW - 600)


@pytest.mark.parametrize("token", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_is_refused_without_asking_the_pool(token: str) -> None:
    fetches = []

    def fetch() -> Mapping[str, Any]:
        fetches.append(1)
        return JWKS

    keys = KeySet(fetch, lambda: 0.0)
    keys.key(KID)
    with pytest.raises(InvalidToken) as refused:
        check(token, keys)
    assert refused.value.body() == InvalidToken().body()
    assert len(fetches) == 1


@pytest.mark.parametrize("late_s", [0, 29])
def test_a_clock_may_be_half_a_minute_off(keys: KeySet, late_s: int) -> None:
    assert check(with_claims(exp=NOW - late_s), keys).id == CLAIMS["sub"]
    assert check(with_claims(iat=NOW + late_s, nbf=NOW + late_s), keys).id == CLAIMS["sub"]


def test_a_hundred_unknown_kids_cause_one_fetch_a_minute() -> None:
    fetches, clock = [], [1000.0]

    def fetch() -> Mapping[str, Any]:
        fetches.append(clock[0])
        return JWKS

    keys = KeySet(fetch, lambda: clock[0])
    for number in range(100):
        with pytest.raises(InvalidToken):
            check(with_header(kid=f"unknown-{number}"), keys)
    assert len(fetches) == 1
    clock[0] += REFETCH_AFTER_S
    with pytest.raises(InvalidToken):
        check(with_header(kid="unknown"), keys)
    assert len(fetches) == 2


def test_a_rotated_key_is_found_by_the_next_fetch() -> None:
    answers, clock = [JWKS, {"keys": [jwk(STRANGER, "pool-key-2")]}], [0.0]
    keys = KeySet(lambda: answers.pop(0), lambda: clock[0])
    check(GOOD, keys)
    clock[0] += REFETCH_AFTER_S
    assert check(signed(header={**HEADER, "kid": "pool-key-2"}, key=STRANGER), keys)
    with pytest.raises(InvalidToken):
        check(GOOD, keys)


def test_known_keys_outlive_an_outage_of_the_pool_and_a_cold_start_does_not() -> None:
    up, clock = [True], [0.0]

    def fetch() -> Mapping[str, Any]:
        if not up[0]:
            raise ServiceUnavailable
        return JWKS

    keys = KeySet(fetch, lambda: clock[0])
    check(GOOD, keys)
    up[0] = False
    clock[0] += 10 * REFETCH_AFTER_S
    assert check(GOOD, keys)
    with pytest.raises(InvalidToken):
        check(with_header(kid="unknown"), keys)
    with pytest.raises(ServiceUnavailable):
        check(GOOD, KeySet(fetch, lambda: clock[0]))


@pytest.mark.parametrize(
    "keys_answer",
    [
        {"keys": [{**jwk(POOL, KID), "kty": "oct", "k": b64(b"secret")}]},
        {"keys": [{**jwk(POOL, KID), "kid": 7}]},
        {"keys": [{**jwk(POOL, KID), "n": "AQAB"}]},
        {"keys": [{"kty": "RSA", "kid": KID}]},
        {"keys": [{"kty": "RSA"}]},
        {},
    ],
)
def test_only_rsa_keys_with_a_name_are_taken(keys_answer: dict[str, Any]) -> None:
    with pytest.raises((InvalidToken, ServiceUnavailable)):
        check(GOOD, KeySet(lambda: keys_answer, lambda: 0.0))


@pytest.fixture(scope="module")
def pool() -> Iterator[None]:
    """The service trusts the keys of these tests' pool, without AWS."""
    nothing = {field.name: "none" for field in fields(Stack)}
    region, pool_id = "eu-central-1", ISSUER.rpartition("/")[2]
    ours = {"region": region, "user_pool_id": pool_id, "client_id": CLIENT}
    ours["sign_up_client_id"] = OTHER_CLIENT  # which nobody should ever get a token of
    with using(Stack(**nothing | ours | {"endpoint_url": "http://127.0.0.1:9"})):
        keys = key_set()
        keys.fetch = lambda: JWKS
        keys.key(KID)
        yield


def ask(token: str) -> Any:
    with time_machine.travel(NOW, tick=False):
        return Client().get("/profile", headers={"Authorization": f"Bearer {token}"})


def test_over_http_a_good_token_leads_on_to_the_table(pool: None) -> None:
    """The table is missing, so an attack that got through would not be answered 401 below."""
    assert ask(GOOD).status_code == 503


@pytest.mark.parametrize("scheme", ["Bearer  ", "bearer ", "BEARER   "])
def test_the_scheme_is_written_in_any_case_and_with_any_spaces(pool: None, scheme: str) -> None:
    with time_machine.travel(NOW, tick=False):
        answer = Client().get("/profile", headers={"Authorization": f"{scheme}{GOOD}"})
    assert answer.status_code == 503  # as far as the table, which is not there
    gate = json.loads((BASE_DIR / "zappa_settings.json").read_text())["base"]["authorizer"]
    assert re.fullmatch(gate["validation_expression"], f"{scheme}{GOOD}")


@pytest.mark.parametrize("token", ATTACKS.values(), ids=ATTACKS.keys())
def test_over_http_an_attack_is_401_with_the_same_answer_and_no_call(
    pool: None, token: str
) -> None:
    answer = ask(token)
    body = answer.json()
    assert body.pop("requestId")
    assert (answer.status_code, body) == (
        401,
        InvalidToken().body() | {"instance": "/profile"},
    )
    assert answer["WWW-Authenticate"] == 'Bearer realm="parley"'


BAD_HEADERS = {
    "no token": "Bearer",
    "a space": "Bearer ",
    "another scheme": f"Basic {GOOD}",
    "no scheme": GOOD,
    "two tokens": f"Bearer {GOOD} {GOOD}",
    "two headers, as WSGI joins them": f"Bearer {GOOD},Bearer {GOOD}",
    "a letter more": f"Bearer {GOOD}\u00e9",
    "no JSON": "Bearer a.b.c",
    "9 KB": f"Bearer {'x' * 9000}",
}


@pytest.mark.parametrize("header", BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
def test_over_http_every_bad_header_has_the_same_answer(header: str) -> None:
    nowhere = Stack(**{field.name: "none" for field in fields(Stack)})  # a call would fail
    with using(nowhere):
        answer = Client().get("/profile", headers={"Authorization": header})
    body = answer.json()
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="parley"'
    assert body["code"] == "NOT_AUTHENTICATED"
    assert body["detail"] == body["title"] == InvalidToken.title


@pytest.mark.parametrize(
    ("claims", "google_id"),
    [
        ({"identities": [{"providerName": "Google", "userId": "117"}]}, "117"),
        ({"cognito:username": "google_117"}, "117"),
        ({"cognito:username": "Google_117"}, "117"),
        ({"cognito:username": "2c5f9a3e-8a51-4d0b-9a52-3d1c0a9e8f11"}, None),
        ({"cognito:username": "google_"}, None),
        ({"identities": [{"providerName": "Facebook", "userId": "9"}]}, None),
    ],
)
def test_google_is_known_without_the_claim_that_few_clients_get(
    claims: dict[str, Any], google_id: str | None
) -> None:
    """Cognito may leave `identities` out where the app client lists its ReadAttributes."""
    assert google_id_of(claims) == google_id
