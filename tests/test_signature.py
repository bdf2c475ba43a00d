"""Our signatures: equal to those of AWS's own test suite (tests/sigv4), and to botocore's."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from time_machine import travel

from config.aws_json import Keys, signed
from tests.examples import tried

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "sigv4" / "vectors.json").read_text(encoding="utf-8")
)


def parts_of(request: str) -> tuple[str, dict[str, str], bytes]:
    """Method, headers and body; a header named twice, or folded, is one with a longer value."""
    head, _, body = request.partition("\n\n")
    (method, *_), *lines = [head.split(" ")[:1], *head.split("\n")[1:]]
    headers: dict[str, str] = {}
    last = ""
    for line in filter(None, lines):
        if line[0] == " ":
            headers[last] += line
        else:
            last, _, value = line.partition(":")
            headers[last] = f"{headers[last]},{value}" if last in headers else value
    return method, headers, body.encode()


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_of_aws_has_the_signature_and_the_header_that_it_should(name: str) -> None:
    vector = VECTORS[name]
    context, (method, headers, body) = vector["context"], parts_of(vector["request"])
    if context["sign_body"]:
        headers["X-Amz-Content-Sha256"] = sha256(body).hexdigest()
    keys = context["credentials"]
    found = signed(
        headers,
        body,
        Keys(keys["access_key_id"], keys["secret_access_key"], keys.get("token", "")),
        region=context["region"],
        service=context["service"],
        at=datetime.fromisoformat(context["timestamp"]),
        method=method,
    )
    assert found["Authorization"] == vector["authorization"]
    assert found["Authorization"].endswith(f"Signature={vector['signature']}")


WORDS = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1)


@tried(200)
@given(
    keys=st.builds(Keys, WORDS, WORDS, st.one_of(st.just(""), WORDS)),
    body=st.binary(),
    at=st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    region=st.sampled_from(["eu-central-1", "us-east-1", "us-gov-west-1"]),
    service=st.sampled_from(["dynamodb", "ssm", "kms"]),
    port=st.sampled_from(["", ":8000"]),
    operation=st.sampled_from(["GetItem", "TransactWriteItems", "Query"]),
)
def test_any_request_is_signed_as_botocore_signs_it(
    keys: Keys, body: bytes, at: datetime, region: str, service: str, port: str, operation: str
) -> None:
    host = f"{service}.{region}.amazonaws.com{port}"
    headers = {
        "Host": host,
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
    }
    wanted = AWSRequest("POST", f"https://{host}/", dict(headers), body)
    with travel(at, tick=False):
        SigV4Auth(Credentials(keys.id, keys.secret, keys.token or None), service, region).add_auth(
            wanted
        )
    found = signed(headers, body, keys, region=region, service=service, at=at)
    assert found == dict(wanted.headers)


def test_another_day_and_other_keys_have_other_signatures() -> None:
    def signature(keys: Keys, day: int) -> str:
        at = datetime(2026, 11, day, tzinfo=UTC)
        found = signed({"Host": "h"}, b"", keys, region="r", service="s", at=at)
        return found["Authorization"].rpartition("=")[2]

    one, other = Keys("ana", "secret"), Keys("ana", "another")
    assert len({signature(one, 1), signature(one, 2), signature(other, 1)}) == 3
    assert signature(one, 1) == signature(one, 1)
