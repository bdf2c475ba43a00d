"""A server that stands in for an AWS service, over TLS, and fails in every way that a net can."""

import gzip
import json
import socket
import ssl
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import IPv4Address
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Lock, Thread
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SILENCE_S = 1.0  # longer than the clients of the tests wait
GOOD = {"Item": {"pk": {"S": "ana"}, "n": {"N": "7"}}}


@dataclass(frozen=True)
class Request:
    """A client's request. The names of headers are in lower case."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        return self.headers["x-amz-target"].rpartition(".")[2]


# An answer to a request: bytes on the connection. True where the connection stays open.
Act = Callable[[Request, socket.socket], bool]


def http(status: int, body: bytes, *, checksum: bool = True, **named: str) -> bytes:
    """An answer of HTTP, with the checksum that DynamoDB sends."""
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "Content-Length": str(len(body)),
        "x-amzn-RequestId": "made-by-a-test",
    }
    if checksum:
        headers["x-amz-crc32"] = str(zlib.crc32(body))
    headers |= {name.replace("_", "-"): value for name, value in named.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} said\r\n{lines}\r\n".encode() + body


def says(status: int, body: Any, *, keep: bool = True, **more: Any) -> Act:
    """Answers with JSON, or with the bytes that it is given."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    def act(request: Request, connection: socket.socket) -> bool:
        connection.sendall(http(status, raw, **more))
        return keep

    return act


def refuses(code: str, status: int = 400, **more: Any) -> Act:
    """Answers with an error of AWS's."""
    kind = f"com.amazonaws.dynamodb.v20120810#{code}"
    return says(status, {"__type": kind, "message": "made by a test", **more})


good = says(200, GOOD)
html = says(503, b"<html><body>Service Unavailable</body></html>", checksum=False)
wrong_checksum = says(200, GOOD, x_amz_crc32="1")
packed = says(200, gzip.compress(json.dumps(GOOD).encode()), Content_Encoding="gzip")
no_json = says(200, b"{half", checksum=False)


def chunked(request: Request, connection: socket.socket) -> bool:
    body = json.dumps(GOOD).encode()
    parts = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:], b""))
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + parts)
    return True


def cut(request: Request, connection: socket.socket) -> bool:
    return False


def reset(request: Request, connection: socket.socket) -> bool:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def truncated(request: Request, connection: socket.socket) -> bool:
    body = json.dumps(GOOD).encode()
    whole = http(200, body)
    connection.sendall(whole[: len(whole) - 20])
    return False


def slow(request: Request, connection: socket.socket) -> bool:
    time.sleep(SILENCE_S)
    return False


def drip(request: Request, connection: socket.socket) -> bool:
    """A byte now and then, each of them in time."""
    answer = http(200, json.dumps(GOOD).encode())
    head = answer.index(b"\r\n\r\n") + 4
    connection.sendall(answer[:head])
    for at in range(head, len(answer), 5):
        time.sleep(0.1)
        connection.sendall(answer[at : at + 5])
    return True


def good_then_closed(request: Request, connection: socket.socket) -> bool:
    good(request, connection)
    return False


def late(minutes: float) -> Act:
    """AWS's answer to a signature that is so many minutes old."""
    at = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    body = {"__type": "com.amazon.coral.service#InvalidSignatureException", "message": "expired"}
    return says(400, body, Date=at)


@dataclass
class Server:
    """`script` answers the next requests, and `always` all later ones. `open` holds the number of
    each connection of the running test that has not ended yet."""

    url: str
    trust: Path
    script: list[Act] = field(default_factory=list)
    always: Act = good
    seen: list[Request] = field(default_factory=list)
    connections: int = 0
    open: set[int] = field(default_factory=set)
    lock: Lock = field(default_factory=Lock)

    def next_act(self, request: Request) -> Act:
        with self.lock:
            self.seen.append(request)
            return self.script.pop(0) if self.script else self.always


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server on a free port of 127.0.0.1, with a certificate under a root of its own."""
    trust, tls = certificates(folder)
    made = Server("", trust)

    class Desk(StreamRequestHandler):
        disable_nagle_algorithm = True  # else a long answer waits 40 ms for its acknowledgement

        def handle(self) -> None:
            this, still_open = id(self), made.open
            with made.lock:
                still_open.add(this)
                made.connections += 1
            try:
                with suppress(OSError), tls.wrap_socket(self.request, server_side=True) as talk:
                    self._talk(talk)
            finally:
                with made.lock:
                    still_open.remove(this)

        def _talk(self, connection: ssl.SSLSocket) -> None:
            with connection.makefile("rb") as incoming:
                while request := read_request(incoming):
                    if not made.next_act(request)(request, connection):
                        return

    class Threads(ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64

    with Threads(("127.0.0.1", 0), Desk) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        made.url = f"https://127.0.0.1:{server.server_address[1]}"
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


def read_request(incoming: Any) -> Request | None:
    """The next request of a connection; None at its end."""
    if not incoming.readline():
        return None
    headers: dict[str, str] = {}
    while line := incoming.readline().strip().decode():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(headers, incoming.read(int(headers.get("content-length", 0))))


SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def certificates(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """The file of a root certificate, and the context of a server under it.

    They have what RFC 5280 demands, which Python's default context enforces since 3.13.
    """
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root of a test")])
    root = (
        _certificate(root_name, root_name, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(SIGNS_CERTIFICATES, critical=True)
        .sign(root_key, hashes.SHA256())
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    leaf = (
        _certificate(name, root_name, key.public_key())
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
            critical=False,
        )
        .sign(root_key, hashes.SHA256())
    )
    trust, secret, shown = folder / "root.pem", folder / "key.pem", folder / "leaf.pem"
    trust.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    shown.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(shown, secret)
    return trust, tls


def _certificate(subject: x509.Name, issuer: x509.Name, key: Any) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
