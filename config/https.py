"""HTTP by the standard library, with the root certificates that it trusts.

Loads neither Django nor AWS's clients. AWS's hosts prove themselves by one of five roots, and AWS
asks its clients to trust all five (https://www.amazontrust.com/repository/). Reading them takes
2 ms of processor for each TLS context; reading the 126 roots of botocore's bundle takes 50.
"""

import http.client
import logging
import os
import ssl
import time
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from config.problems import Filled, UpstreamFailed

log = logging.getLogger("parley.https")

AMAZON_ROOTS = Path(__file__).with_name("amazon-roots.pem")
MOST_MIB = 32  # of an answer's body: twice DynamoDB's largest page
TOO_LARGE = Filled("A service answered with more than {most} MiB", most=MOST_MIB)
BUNDLE = "AWS_CA_BUNDLE"  # botocore's own variable: a file to trust instead
_widened: list[Path] = []  # botocore's bundle, once Amazon's roots were not enough


class Answer(NamedTuple):
    """A server's answer. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def bundle() -> Path:
    """The file with the root certificates that vouch for AWS's hosts."""
    named = os.environ.get(BUNDLE)
    return Path(named) if named else (_widened or [AMAZON_ROOTS])[0]


def may_widen() -> bool:
    """Whether Amazon's roots are in use, so that botocore's whole bundle may replace them."""
    return bundle() == AMAZON_ROOTS


def widen(host: str) -> None:
    """Trusts botocore's whole bundle from now on, so that new roots of AWS do not stop us."""
    log.error("Amazon's roots do not vouch for a host of AWS", extra={"fields": {"host": host}})
    _widened[:] = [_whole_bundle()]


def _whole_bundle() -> Path:
    module = find_spec("botocore")  # this does not load it
    if module is None or module.origin is None:
        raise FileNotFoundError("botocore's bundle of certificates is missing")
    return Path(module.origin).with_name("cacert.pem")


@cache
def tls_context(file: Path) -> ssl.SSLContext:
    """The TLS context that trusts the roots of a file. It is made once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file)
    return context


def connected(
    url: str, *, connect_timeout_s: float, read_timeout_s: float
) -> http.client.HTTPConnection:
    """An open connection to the host of a URL, `https` or `http`. Raises OSError.

    A certificate for which Amazon's roots do not vouch is tried against botocore's whole bundle.
    """
    try:
        connection = _opened(url, connect_timeout_s, bundle())
    except ssl.SSLCertVerificationError:
        if not may_widen():
            raise
        connection = _opened(url, connect_timeout_s, _whole_bundle())
        widen(str(urlsplit(url).hostname))
    connection.sock.settimeout(read_timeout_s)
    return connection


def _opened(url: str, timeout_s: float, trusted: Path) -> http.client.HTTPConnection:
    scheme, address = urlsplit(url)[:2]
    connection = (
        http.client.HTTPSConnection(address, timeout=timeout_s, context=tls_context(trusted))
        if scheme == "https"
        else http.client.HTTPConnection(address, timeout=timeout_s)
    )
    try:
        connection.connect()
    except BaseException:
        connection.close()
        raise
    return connection


def read_answer(connection: http.client.HTTPConnection, *, within_s: float) -> Answer:
    """Reads the answer to a request to its end.

    A socket's own limit counts for each packet: a body that drips could hold us forever. Raises
    OSError, http.client.HTTPException, or UpstreamFailed where there is more than MOST_MIB.
    """
    until, body = time.monotonic() + within_s, bytearray()
    with connection.getresponse() as answer:
        while part := answer.read1(1 << 16):
            body += part
            if len(body) > MOST_MIB * 2**20:
                log.error("an answer is too large", extra={"fields": {"host": connection.host}})
                raise UpstreamFailed(TOO_LARGE)  # asked again, it would answer the same
            left_s = until - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("the answer drips")
            if connection.sock:  # None if an answer that closes has taken it over
                connection.sock.settimeout(left_s)
        if answer.length:  # `read1` ignores a short body
            raise http.client.IncompleteRead(bytes(body), answer.length)
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, headers, bytes(body))


def fetch(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float,
) -> Answer:
    """Sends one request on a connection of its own. Follows no redirect and tries nothing again.

    Raises OSError, http.client.HTTPException if the answer is not HTTP, or UpstreamFailed.
    """
    parts = urlsplit(url)
    connection = connected(url, connect_timeout_s=timeout_s, read_timeout_s=timeout_s)
    try:
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request(method, path, body, {**(headers or {}), "Connection": "close"})
        return read_answer(connection, within_s=timeout_s)
    finally:
        connection.close()
