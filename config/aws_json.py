"""AWS's services that speak JSON by POST (DynamoDB), called by the standard library alone.

botocore adds 200 ms to a start and 3 ms to a call; this adds 30 ms and 0.6 ms. It behaves as
botocore does in its standard retry mode, with the same exceptions and the same dictionaries. The
same tests run over both (tests/test_aws_json.py). `config/aws.py` decides when it is used,
and docs/adr/0008-own-client.md gives the reasons. AWS: "Signature Version 4", "DynamoDB low-level
API".
"""

import base64
import hmac
import http.client
import json
import random
import re
import select
import ssl
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from threading import Lock
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit
from uuid import uuid4

from botocore.exceptions import (
    ChecksumError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NotConnected

from config.https import MOST_MIB, TOO_LARGE, Answer, connected, read_answer
from config.problems import UpstreamFailed

PAUSE_S, THROTTLED_PAUSE_S, LONGEST_PAUSE_S = 0.025, 1.0, 20.0
QUOTA, COST, THROTTLED_COST = 500, 14, 5  # a client's budget for all its repetitions
LOST = (ChecksumError, HTTPClientError, NotConnected)  # no answer, or half of one
TRANSIENT = frozenset({500, 502, 503, 504})
TRANSIENT_CODES = frozenset(
    ["ReplicatedWriteConflictException", "RequestTimeout", "RequestTimeoutException"]
)
THROTTLED_CODES = frozenset(
    [
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    ]
)
# AWS refuses a signature with these when our clock and AWS's are five minutes apart.
SKEWED_CODES = frozenset(
    {"InvalidSignatureException", "RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"}
)
SKEW_S = 240
WITH_TOKEN = frozenset({"TransactWriteItems"})  # AWS does these once for each token

Json = dict[str, Any]


class Keys(NamedTuple):
    """The keys that sign a request. Only keys that expire have a `token`."""

    id: str
    secret: str
    token: str = ""


def signed(
    headers: Mapping[str, str],
    body: bytes,
    keys: Keys,
    *,
    region: str,
    service: str,
    at: datetime,
    method: str = "POST",
) -> dict[str, str]:
    """The headers of a request to `/`, signed by AWS's Signature Version 4."""
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "X-Amz-Date": stamp}
    if keys.token:
        sent["X-Amz-Security-Token"] = keys.token
    canonical = sorted((name.lower(), " ".join(value.split())) for name, value in sent.items())
    names = ";".join(name for name, _ in canonical)
    lines = [f"{name}:{value}" for name, value in canonical]
    request = "\n".join([method, "/", "", *lines, "", names, sha256(body).hexdigest()])
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, sha256(request.encode()).hexdigest()])
    key = _signing_key(keys.secret, stamp[:8], region, service)
    sent["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.id}/{scope}, SignedHeaders={names}, "
        f"Signature={hmac.digest(key, text.encode(), 'sha256').hex()}"
    )
    return sent


@lru_cache(maxsize=8)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


class AwsJson:
    """A client of one service, shared by all threads.

    Each try calls `send` once with bytes and headers, and gets an `Answer`. Tests replace it.
    `keys` and `before_try` are called before each try.
    """

    tries = 3
    sleep = staticmethod(time.sleep)

    def __init__(
        self,
        service: str,
        target: str,
        version: str,
        *,
        region: str,
        keys: Callable[[], Keys | None],
        endpoint_url: str | None = None,
        connect_timeout_s: float = 1,
        read_timeout_s: float = 5,
        before_try: Callable[[], None] = lambda: None,
    ) -> None:
        self.service, self.region, self._target = service, region, target
        self.url = endpoint_url or f"https://{service}.{region}.amazonaws.com"
        self._media_type = f"application/x-amz-json-{version}"
        self._keys, self._before_try = keys, before_try
        self._connect_timeout_s, self._read_timeout_s = connect_timeout_s, read_timeout_s
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._skew = timedelta()
        self._quota, self._lock = QUOTA, Lock()

    def call(self, operation: str, arguments: Mapping[str, Any]) -> Json:
        """Returns what botocore's client would return, and raises the same exceptions.

        All tries carry one request token, so that AWS does nothing twice.
        """
        if operation in WITH_TOKEN:
            arguments = {"ClientRequestToken": str(uuid4()), **arguments}
        body = json.dumps(arguments, default=_json_of).encode()
        tries, cost = 0, 1
        while True:
            self._before_try()
            failure: Exception
            try:
                answer = self.send(body, self._headers(operation, body))
                response = self._response(answer, tries)
            except LOST as error:
                failure, pause_s, price = error, PAUSE_S, COST
            else:
                if answer.status < 300:
                    self._pay(-cost)
                    return response
                failure = ClientError(cast(Any, response), operation)
                pause_s, price = self._price(answer, response["Error"]["Code"])
            tries += 1
            if price < 0 or tries >= self.tries or not self._pay(price):
                raise failure
            cost = price or cost
            limit_s = min(pause_s * 2 ** (tries - 1), LONGEST_PAUSE_S)
            self.sleep(random.uniform(0, limit_s))  # noqa: S311

    _make_api_call = call  # what PynamoDB calls of botocore's client

    def _price(self, answer: Answer, code: str) -> tuple[float, int]:
        """The pause before a refused request is sent again, and its price. Below 0 means never."""
        if code in THROTTLED_CODES or answer.status == 429:
            return THROTTLED_PAUSE_S, THROTTLED_COST
        if code in TRANSIENT_CODES or answer.status in TRANSIENT:
            return PAUSE_S, COST
        if code in SKEWED_CODES:
            with suppress(TypeError, ValueError):  # no date, or none that can be read
                skew = parsedate_to_datetime(answer.headers.get("date", "")) - datetime.now(UTC)
                if abs(skew - self._skew) > timedelta(seconds=SKEW_S):
                    self._skew = skew  # for all later calls
                    return 0, 0
        return 0, -1

    def _pay(self, price: int) -> bool:
        """Takes the price from the budget for repetitions: an outage must not triple the load."""
        with self._lock:
            if price > self._quota:
                return False
            self._quota = min(self._quota - price, QUOTA)
            return True

    def _headers(self, operation: str, body: bytes) -> dict[str, str]:
        keys = self._keys()
        if keys is None:
            raise NoCredentialsError
        headers = {
            "Host": urlsplit(self.url).netloc,
            "Content-Type": self._media_type,
            "X-Amz-Target": f"{self._target}.{operation}",
        }
        at = datetime.now(UTC) + self._skew
        sent = signed(headers, body, keys, region=self.region, service=self.service, at=at)
        return sent | {"Accept-Encoding": "identity", "User-Agent": "parley aws-json"}

    def _response(self, answer: Answer, retries: int) -> Json:
        """Makes the same dictionary as botocore. Raises ChecksumError or HTTPClientError.

        HTTPClientError means that there is no JSON. The checksum is that of the bytes as sent.
        """
        wanted, found = answer.headers.get("x-amz-crc32"), zlib.crc32(answer.body)
        if wanted is not None and wanted != str(found):
            raise ChecksumError(
                checksum_type="crc32", expected_checksum=wanted, actual_checksum=str(found)
            )
        refused = answer.status >= 300
        try:
            response = _parsed(answer)
        except (ValueError, zlib.error) as error:
            if not refused:
                raise HTTPClientError(error=error) from error
            response = {}  # e.g. a page of HTML from a proxy before AWS
        if refused:
            code = str(response.get("__type") or response.get("code") or answer.status)
            message = response.get("message", response.get("Message", ""))
            code = code.partition(":")[0].rpartition("#")[2]
            response["Error"] = {"Message": message, "Code": code}
        response["ResponseMetadata"] = {
            "RequestId": answer.headers.get("x-amzn-requestid", ""),
            "HTTPStatusCode": answer.status,
            "HTTPHeaders": dict(answer.headers),
            "RetryAttempts": retries,
        }
        return response

    def send(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Sends once, on a connection that no other thread uses. Raises botocore's exceptions."""
        connection = self._connection()
        try:
            connection.sock.settimeout(self._read_timeout_s)  # the last answer shortened it
            connection.request("POST", "/", body, headers)
            answer = read_answer(connection, within_s=self._read_timeout_s)
        except BaseException as error:  # half a dialogue is on it: never use it again
            connection.close()
            if isinstance(error, TimeoutError):
                raise ReadTimeoutError(endpoint_url=self.url, error=error) from error
            if isinstance(error, OSError | http.client.HTTPException):
                raise ConnectionClosedError(endpoint_url=self.url, error=error) from error
            raise
        if connection.sock:  # the server has kept it open
            self._idle.append(connection)
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        """The connection that was used last, if it is still open, or else a new one."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            watch = select.poll()
            watch.register(connection.sock, select.POLLIN)
            if not watch.poll(0):  # between two requests, only its end can be read
                return connection
            connection.close()
        try:
            return connected(
                self.url,
                connect_timeout_s=self._connect_timeout_s,
                read_timeout_s=self._read_timeout_s,
            )
        except TimeoutError as error:
            raise ConnectTimeoutError(endpoint_url=self.url, error=error) from error
        except ssl.SSLError as error:
            raise SSLError(endpoint_url=self.url, error=error) from error
        except OSError as error:
            raise EndpointConnectionError(endpoint_url=self.url, error=error) from error

    def close(self) -> None:
        """Closes the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    __del__ = close


def _json_of(value: object) -> Any:
    """Writes bytes as base64 and sets as lists, as the protocol requires."""
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


# A DynamoDB attribute with bytes. Nearly all answers have none and need no second look. The
# quotes on both sides keep `"BOOL"` out.
_BYTES = re.compile(rb'"BS?"')


def _parsed(answer: Answer) -> Json:
    body = answer.body
    if answer.headers.get("content-encoding") == "gzip":
        unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
        body = unpacking.decompress(body, MOST_MIB * 2**20)
        if unpacking.unconsumed_tail:
            raise UpstreamFailed(TOO_LARGE)
        if not unpacking.eof:
            raise ValueError("the answer breaks off")
    content = json.loads(body or b"{}", object_hook=_with_bytes if _BYTES.search(body) else None)
    if not isinstance(content, dict):
        raise ValueError("no object")
    return content


def _with_bytes(value: Json) -> Json:
    """Decodes `{"B": text}` and `{"BS": [texts]}`, where the object is one attribute."""
    if len(value) == 1:
        if isinstance(text := value.get("B"), str):
            return {"B": base64.b64decode(text)}
        match value.get("BS"):
            case [str(), *_] as texts:
                return {"BS": [base64.b64decode(text) for text in texts]}
    return value
