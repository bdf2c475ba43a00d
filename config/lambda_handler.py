"""Lambda's entry: HTTP goes to Django, and API Gateway's question to the authorizer.

SQS's messages go to `config.work`, and SNS's to our own task. Zappa's handler would find the tasks
by the names of queue and topic, which a package that fits every stage does not have, and would run
any function that a message names. All other events (schedules, commands) go to
Zappa's handler, which loads boto3 and werkzeug. No request needs those two. This module loads all
that requests need, since it runs in Lambda's INIT phase, which has a whole processor.
"""

import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any
from urllib.parse import quote

# DRF's own schemas ask for these, and do without them where they are missing. We use none of DRF's:
# `config.documentation` loads drf-spectacular, which imports both by itself.
OPTIONAL = ("yaml", "uritemplate")


@contextmanager
def _loading() -> Iterator[None]:
    """Stops garbage collection while modules load: they stay, and it takes a tenth of a start.

    Libraries that DRF calls optional are missing meanwhile.
    """
    gc.disable()
    hidden: dict[str, Any] = {name: None for name in OPTIONAL if name not in sys.modules}
    sys.modules.update(hidden)  # None: whoever imports it gets an ImportError
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        gc.freeze()
        gc.enable()


with _loading():
    from apig_wsgi import make_lambda_handler
    from django import db
    from django.conf import settings
    from django.core.signals import request_finished, request_started
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
# What learners at study need. They must not wait for the rest: the pages that show the API load
# drf-spectacular (0.2 s), and the first request for reminders or media takes 40 ms longer instead.
PRELOADED = frozenset({"accounts.urls", "learning.urls"})
# So many new objects make the garbage collector look for cycles. With Python's own number (700 in
# 3.11) it looks in each request, and finds little: a request and its view, which hold each other.
YOUNG_OBJECTS = 10_000
# They hold the body and the answer too. Where these have more characters, they are freed at once.
LARGE = 100_000
YOUNG = 1  # the generations 0 and 1: what is not older than some hundred requests
# Characters that a path may hold besides letters and digits (RFC 3986). `%` begins a quoted one.
PATH_CHARACTERS = "/%:@!$&'()*+,;=-._~"


class CommandRefused(RuntimeError):
    """An event asks for raw Python, which Zappa would run."""


def stage_prefix(event: Event) -> str:
    """The prefix `/dev` if the client's path began with the stage's name, else nothing.

    A domain of our own has no such prefix. API Gateway leaves the stage out of `path`;
    `requestContext.path` is the path that the client sent.
    """
    context = event["requestContext"]
    prefix, sent = f"/{context['stage']}", context["path"]
    staged = sent != event["path"] and (sent == prefix or sent.startswith(f"{prefix}/"))
    return prefix if staged else ""


def _from_gateway(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Django's application, with the request's facts that only API Gateway knows."""
    event = environ["apig_wsgi.full_event"]
    environ["SCRIPT_NAME"] = stage_prefix(event)
    # Never from X-Forwarded-For, whose beginning the client writes.
    environ["REMOTE_ADDR"] = event["requestContext"]["identity"]["sourceIp"]
    environ["parley.cold_start"] = _start.pop("cold", False)
    return application(environ, start_response)


_http = make_lambda_handler(
    _from_gateway, binary_support=True, non_binary_content_type_prefixes=TEXT_TYPES
)


def _forget_databases() -> None:
    """Django looks for connections to databases when a request begins and ends. There are none."""
    request_started.disconnect(db.reset_queries)
    for signal in (request_started, request_finished):
        signal.disconnect(db.close_old_connections)


def _preload() -> None:
    """Loads the routes, the table's client and the root certificates."""
    from jose import jws  # noqa: F401

    from config import https
    from config.store.connection import connection

    for part in get_resolver().url_patterns:
        if isinstance(part, URLResolver) and part.urlconf_name in PRELOADED:
            part.url_patterns  # noqa: B018 - reading it is what imports the module
    connection().connection.client  # noqa: B018 - as above
    https.tls_context(https.bundle())


def lambda_handler(event: Event, context: Any) -> Any:
    """Answers one event of Lambda's. Raises CommandRefused."""
    if "httpMethod" in event and "requestContext" in event:
        path = quote(event["path"], safe=PATH_CHARACTERS)  # WSGI takes no other letters
        answer = _http({**event, "path": path}, context)
        if len(event.get("body") or "") + len(answer["body"]) > LARGE:
            gc.collect(YOUNG)
        return answer
    if event.get("type") == "TOKEN" and "methodArn" in event:
        return _authorizer()(event, context)
    match _source_of(event):
        case "aws:sqs":
            answer = import_string("config.work.work_off")(event, context)
            gc.collect(YOUNG)  # a job reads whole files
            return answer
        case "aws:sns":
            return import_string(settings.MESSAGE_TASK)(event, context)
    if "raw_command" in event:
        raise CommandRefused("raw Python")
    from zappa.handler import lambda_handler as zappa_handler

    return zappa_handler(event, context)


@cache
def _authorizer() -> Callable[[Event, Any], Any]:
    """The authorizer that Zappa's settings name, loaded without Zappa."""
    settings = import_module("zappa_settings")  # in the package
    function: Callable[[Event, Any], Any] = import_string(settings.AUTHORIZER_FUNCTION)
    return function


def _source_of(event: Event) -> str:
    """The service that an event's messages come from, e.g. `aws:sqs`; nothing for other events."""
    record: dict[str, Any] = next(iter(event.get("Records", [])), {})
    return str(record.get("eventSource") or record.get("EventSource") or "")


_start = {"cold": True}
if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    _forget_databases()
    gc.set_threshold(YOUNG_OBJECTS)
    with _loading():
        _preload()
