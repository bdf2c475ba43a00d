"""Helpers for tests of accounts: HTTP in process, mails, addresses."""

import ipaddress
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.test import Client

from config.aws_json import AwsJson
from config.ops.mails import mails
from config.stack import stack
from tests.wire import replaced, sending, telling

PASSWORD = "corvo-azul-7"


class Api:
    """The service in process, spoken to in JSON; each request from an address of its own."""

    def __init__(self) -> None:
        self.client = Client()

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        ip: str | None = None,
        **headers: str,
    ) -> Any:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        request: dict[str, Any] = {"headers": headers, "REMOTE_ADDR": ip or new_ip()}
        if body is not None:
            request |= {"data": body, "content_type": "application/json"}
        return getattr(self.client, method)(path, **request)

    def get(self, path: str, **options: Any) -> Any:
        return self.send("get", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return self.send("post", path, body, **options)

    def put(self, path: str, body: Any = None, **options: Any) -> Any:
        return self.send("put", path, body, **options)

    def patch(self, path: str, body: Any = None, **options: Any) -> Any:
        return self.send("patch", path, body, **options)

    def delete(self, path: str, body: Any = None, **options: Any) -> Any:
        return self.send("delete", path, body, **options)


api = Api()


def new_ip() -> str:
    """An address on the net that no other test uses."""
    return str(ipaddress.IPv4Address(0x0A000000 + secrets.randbelow(2**24)))


def new_email(name: str) -> str:
    """An address that no other test uses."""
    return f"{name}.{secrets.token_hex(4)}@example.org"


def mailed_code(email: str) -> str:
    """The newest code in a mail to the address."""
    url = stack().endpoint_url
    assert url is not None
    codes = [mail.code for mail in mails(url, to=email) if mail.code]
    assert codes, f"no code was mailed to {email}"
    return codes[-1]


def subjects_mailed(email: str) -> list[str]:
    """The subjects of all mails to the address, oldest first."""
    url = stack().endpoint_url
    assert url is not None
    return [mail.subject for mail in mails(url, to=email)]


@dataclass(frozen=True)
class Person:
    """A learner who signed up, verified their address and signed in."""

    id: str
    email: str
    password: str
    token: str
    refresh_token: str


def post_sign_up(email: str, password: str = PASSWORD, ip: str | None = None, **names: str) -> Any:
    """The answer to a sign-up."""
    body = {"email": email, "password": password, "firstName": "Maria", "lastName": "Sousa"}
    return api.post("/auth/signup", body | names, ip=ip)


def verify_email(email: str, verification_token: str | None = None) -> Any:
    """The answer to the newest mailed code, with or without the secret of a sign-up."""
    body = {"email": email, "code": mailed_code(email)}
    if verification_token is not None:
        body["verificationToken"] = verification_token
    return api.post("/auth/verify-email", body)


def log_in(email: str, password: str = PASSWORD, **options: Any) -> Any:
    """The answer to a login."""
    return api.post("/auth/login", {"email": email, "password": password}, **options)


def sign_up(name: str, ip: str | None = None, **names: str) -> Person:
    """A new learner, by the whole journey."""
    email = new_email(name)
    signed_up = post_sign_up(email, firstName=name.title(), **names)
    assert signed_up.status_code == 201
    assert verify_email(email, signed_up.json()["verificationToken"]).status_code == 200
    answer = log_in(email, ip=ip)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    user_id = body["user"]["userId"]
    return Person(user_id, email, PASSWORD, body["accessToken"], body["refreshToken"])


def problem(answer: Any) -> tuple[int, str]:
    """Status and code of a problem document."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


@contextmanager
def before_call(client: Any, operation: str, act: Callable[[], None]) -> Iterator[None]:
    """Lets `act` run just before the client sends a call. Where it fails, the call has failed, as
    after all its tries on a broken network."""
    if isinstance(client, AwsJson):
        before = telling(lambda sent: act() if sent == operation else None)
        with replaced(client, tries=1), sending(before, client):
            yield
        return
    name = f"before-call.{client.meta.service_model.service_name}.{operation}"

    def hook(**_: Any) -> None:
        act()

    client.meta.events.register(name, hook)
    try:
        yield
    finally:
        client.meta.events.unregister(name, hook)
