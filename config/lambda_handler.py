"""Lambda's entry: HTTP goes straight to Django, API Gateway's question to the authorizer.

All else (schedules, SNS) is Zappa's, whose handler loads boto3 and werkzeug, which no request
needs. What requests do need is loaded with this module: that is Lambda's INIT phase, which has a
whole processor.
"""

import gc
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any
from urllib.parse import quote


@contextmanager
def _loading() -> Iterator[None]:
    """Nothing that is loaded ever becomes garbage; looking for it would take a tenth of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


with _loading():
    from apig_wsgi import make_lambda_handler
    from django.urls import URLResolver, get_resolver
    from django.utils.module_loading import import_string

    from config.problems import PROBLEM_JSON
    from config.wsgi import application

Event = dict[str, Any]

# Bodies of these types are text; all others reach API Gateway in base64. apig-wsgi knows `text/`,
# `application/json` and `application/problem+json` by itself only as long as none are named.
TEXT_TYPES = (
    "text/",
    "application/json",
    "application/javascript",
    PROBLEM_JSON,
    "application/vnd.oai.openapi",
    "image/svg+xml",
)
# Pages for people: those that show the API load drf-spectacular (0.2 s). And reminders, whose first
# request takes 40 ms longer for it. Who studies waits for none of them.
NOT_PRELOADED = frozenset(
    {"config.documentation", "accounts.browse.urls", "accounts.front.urls", "reminders.urls"}
)
# What may be in a path besides letters and digits (RFC 3986); `%` begins what is quoted already.
PATH_CHARACTERS = "/%:@!$&'()*+,;=-._~"


class CommandRefused(RuntimeError):
    """A message asks for code by name. Zappa would run any; we run what the deployment names."""


def stage_prefix(event: Event) -> str:
    """`/dev` where the stage's name stands before the path, which a domain of our own does not do.

    API Gateway leaves the stage out of `path`; `requestContext.path` is what the client sent.
    """
    context = event["requestContext"]
    prefix, sent = f"/{context['stage']}", context["path"]
    staged = sent != event["path"] and (sent == prefix or sent.startswith(f"{prefix}/"))
    return prefix if staged else ""


def _from_gateway(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Django's application, told what only API Gateway knows."""
    event = environ["apig_wsgi.full_event"]
    environ["SCRIPT_NAME"] = stage_prefix(event)
    # Never from X-Forwarded-For, whose beginning the client writes.
    environ["REMOTE_ADDR"] = event["requestContext"]["identity"]["sourceIp"]
    environ["parley.cold_start"] = _start.pop("cold", False)
    return application(environ, start_response)


_http = make_lambda_handler(
    _from_gateway, binary_support=True, non_binary_content_type_prefixes=TEXT_TYPES
)


def _preload() -> None:
    """Loads the routes, makes the client of the table, and reads whom it trusts."""
    from jose import jws  # noqa: F401

    from config import https
    from config.store.connection import connection

    for part in get_resolver().url_patterns:
        if isinstance(part, URLResolver) and part.urlconf_name not in NOT_PRELOADED:
            part.url_patterns  # noqa: B018 - reading it is what imports the module
    connection().connection.client  # noqa: B018 - as above
    https.tls_context(https.bundle())


def lambda_handler(event: Event, context: Any) -> Any:
    """Answers one event of Lambda's. Raises CommandRefused."""
    if "httpMethod" in event and "requestContext" in event:
        path = quote(event["path"], safe=PATH_CHARACTERS)  # WSGI has no room for other letters
        return _http({**event, "path": path}, context)
    if event.get("type") == "TOKEN" and "methodArn" in event:
        return _authorizer()(event, context)
    _refuse_commands(event)
    from zappa.handler import lambda_handler as zappa_handler

    return zappa_handler(event, context)


@cache
def _authorizer() -> Callable[[Event, Any], Any]:
    """What Zappa's settings name as `authorizer`, without Zappa."""
    settings = import_module("zappa_settings")  # in the package
    function: Callable[[Event, Any], Any] = import_string(settings.AUTHORIZER_FUNCTION)
    return function


def _refuse_commands(event: Event) -> None:
    if "raw_command" in event:
        raise CommandRefused("raw Python")
    for record in event.get("Records", []):
        message = record.get("Sns", {}).get("Message", "")
        if _has_command(message):
            raise CommandRefused("a function named by a message")


def _has_command(message: str) -> bool:
    try:
        body = json.loads(message)
    except ValueError:
        return False
    return isinstance(body, dict) and "command" in body


_start = {"cold": True}
if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    with _loading():
        _preload()
