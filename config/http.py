"""HTTP as all endpoints speak it: JSON in and out, problems, request ids, headers, a log line."""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.core.exceptions import DisallowedHost, SuspiciousOperation
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponsePermanentRedirect,
    JsonResponse,
)
from django.http.response import HttpResponseBase
from django.urls import is_valid_path
from django.utils.cache import patch_vary_headers
from django.utils.crypto import salted_hmac
from django.utils.encoding import escape_uri_path, iri_to_uri
from django.utils.translation import get_language_from_request, gettext, override
from rest_framework import exceptions
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.utils.json import strict_constant
from rest_framework.versioning import AcceptHeaderVersioning
from ulid import ULID

from config import problems
from config.formats import DuplicateNameError, unique_members
from config.problems import PROBLEM_JSON, FieldError, Filled, Problem
from config.telemetry import Call, calls, deadline, request_id

log = logging.getLogger("parley.http")

# API Gateway gives up after 29 s (AWS: "Amazon API Gateway quotas"), a cold start among them.
ANSWER_WITHIN_S = 27
SECRET_PARTS = {"token"}  # the names that routes give to what only its owner may know
LONGEST_ID = 36  # a UUID's letters; tokens have 43 and more
# A client's trace (W3C, "Trace Context"), of which the log keeps the id.
TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
WHOLE = "(request)"  # the field named where no single one is wrong

KINDS: dict[type[Exception], type[Problem]] = {
    exceptions.ParseError: problems.MalformedRequest,
    exceptions.AuthenticationFailed: problems.NotAuthenticated,
    exceptions.PermissionDenied: problems.PermissionDenied,
    DjangoPermissionDenied: problems.PermissionDenied,
    exceptions.NotFound: problems.NotFound,
    Http404: problems.NotFound,
    exceptions.MethodNotAllowed: problems.MethodNotAllowed,
    exceptions.NotAcceptable: problems.NotAcceptable,
    exceptions.Throttled: problems.TooManyRequests,
    SuspiciousOperation: problems.MalformedRequest,
}


class _AsciiRenderer(JSONRenderer):
    ensure_ascii = True


class Renderer(JSONRenderer):
    """Writes JSON in UTF-8, also for a client that accepts problem documents only."""

    def render(self, *args: Any, **kwargs: Any) -> bytes:
        try:
            return bytes(super().render(*args, **kwargs))
        except UnicodeEncodeError:  # half of a surrogate pair, named back to who sent its escape
            return bytes(_AsciiRenderer().render(*args, **kwargs))

    def get_indent(self, accepted_media_type: str, renderer_context: Any) -> None:
        return None


class Parser(JSONParser):
    """Reads I-JSON (RFC 7493); an error names its line and column."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:  # UTF-8 whatever a charset says (RFC 8259, 8.1 and 11)
            text = stream.read().decode()
            return json.loads(
                text, object_pairs_hook=unique_members, parse_constant=strict_constant
            )
        except DuplicateNameError as error:
            message = "This name stands twice."
            raise problems.ValidationFailed.of(error.name, "duplicate_name", message) from error
        except json.JSONDecodeError as error:
            detail = Filled(
                "The body is not JSON from line {line}, column {column} on",
                line=error.lineno,
                column=error.colno,
            )
            raise problems.MalformedRequest(detail) from error
        except UnicodeDecodeError as error:
            raise problems.MalformedRequest("The body is not text in UTF-8") from error
        except RecursionError as error:
            raise problems.MalformedRequest("The body is nested too deeply") from error
        except ValueError as error:
            raise problems.MalformedRequest("The body has a number that JSON has not") from error


class Negotiation(DefaultContentNegotiation):
    """DRF's negotiation, with a memory for short headers: clients send few different ones."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        known = request.META.get("HTTP_ACCEPT", "*/*"), tuple(map(type, renderers))
        if known not in _negotiated:
            chosen, media_type = super().select_renderer(request, renderers, format_suffix)
            if len(known[0]) > LONGEST_ACCEPT_KEPT:
                return chosen, media_type
            if len(_negotiated) >= MOST_ACCEPT_KEPT:
                _negotiated.clear()
            _negotiated[known] = renderers.index(chosen), media_type
        place, media_type = _negotiated[known]
        return renderers[place], media_type


LONGEST_ACCEPT_KEPT, MOST_ACCEPT_KEPT = 200, 100
_negotiated: dict[tuple[str, tuple[type, ...]], tuple[int, str]] = {}


class Versioning(AcceptHeaderVersioning):
    """`Accept: application/json; version=1`; a request without a version means the same."""


def _fields(detail: Any, path: str = "") -> Iterator[FieldError]:
    """The leaves of DRF's nested error detail, each under its dotted wire name."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            whole = name in ("non_field_errors", "nonFieldErrors")
            yield from _fields(inner, path if whole else f"{path}.{name}".lstrip("."))
    elif isinstance(detail, list):
        for number, inner in enumerate(detail):
            nested = isinstance(inner, dict | list)
            yield from _fields(inner, f"{path}.{number}".lstrip(".") if nested else path)
    else:
        yield FieldError(path or WHOLE, getattr(detail, "code", "invalid"), str(detail))


def as_problem(error: Exception) -> Problem:
    """The problem that a client is told of an exception: 500 for one that we did not foresee."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, exceptions.ValidationError):
        return problems.ValidationFailed(errors=list(_fields(error.detail)))
    if isinstance(error, exceptions.NotAuthenticated):
        return problems.NotAuthenticated(
            "Send the header Authorization: Bearer, then the access token"
        )
    if isinstance(error, exceptions.UnsupportedMediaType):
        return problems.UnsupportedMediaType(
            "Send JSON with Content-Type: application/json, or what the operation names"
        )
    for kind, problem in KINDS.items():
        if isinstance(error, kind):
            return problem(retry_after_s=int(getattr(error, "wait", 0) or 0) or None)
    return problems.InternalError()


def _document(problem: Problem, path: str) -> dict[str, Any]:
    return in_readers_language(problem.body()) | {"instance": path, "requestId": request_id.get()}


def in_readers_language(problem: dict[str, Any]) -> dict[str, Any]:
    """A problem with its texts for people in the active language, as far as they are translated.

    Codes are for programs and stay as they are.
    """
    texts: dict[str, Any] = {name: told(problem[name]) for name in ("title", "detail")}
    if errors := problem.get("errors"):
        texts["errors"] = [error | {"message": told(error["message"])} for error in errors]
    return problem | texts


def told(text: str) -> str:
    """A text for people in the active language; in English where there is no translation."""
    if not isinstance(text, Filled):
        return gettext(text) if text else ""
    values = {
        name: told(value) if isinstance(value, Filled) else value
        for name, value in text.values.items()
    }
    return gettext(text.template).format(**values)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's hook: every exception of a view becomes a problem document."""
    problem = as_problem(error)
    if isinstance(problem, problems.InternalError):
        log.exception("unhandled", exc_info=error)
    _let_json_be_written(context)
    return Response(
        _document(problem, context["request"].path),
        status=problem.status,
        headers=problem.headers(),
        content_type=PROBLEM_JSON,
    )


def _let_json_be_written(context: dict[str, Any]) -> None:
    """Replaces the renderer of a page or of YAML; the staff's pages draw problems themselves."""
    request = context["request"]
    chosen = getattr(request, "accepted_renderer", None) or context["view"].get_renderers()[0]
    if not isinstance(chosen, JSONRenderer | BrowsableAPIRenderer):
        request.accepted_renderer = Renderer()
        request.accepted_media_type = Renderer.media_type


def problem_response(problem: Problem, path: str) -> HttpResponse:
    """A problem document outside DRF's views."""
    return JsonResponse(
        _document(problem, path),
        status=problem.status,
        headers=problem.headers(),
        content_type=PROBLEM_JSON,
    )


# The first words of the addresses that people open in browsers.
PAGES = frozenset({"app", "browse", "docs", "mails", "schema", "unsubscribe"})


def not_found(request: HttpRequest, *_: object, **__: object) -> HttpResponse:
    """The answer of every path that no route takes.

    No path of ours ends with a slash. With one, the address of a page leads to the page. An address
    of the API stays a 404 that says so: `/decks/` may come from a program whose id for
    `/decks/{id}` was empty, which must not get the list.
    """
    path = request.path_info.rstrip("/")
    if path == request.path_info or not is_valid_path(path):
        return problem_response(problems.NotFound(), request.path)
    here = request.path.rstrip("/")
    if path.split("/")[1] in PAGES and request.method in ("GET", "HEAD"):
        query = request.META.get("QUERY_STRING", "")
        address = escape_uri_path(here) + (f"?{iri_to_uri(query)}" if query else "")
        return HttpResponsePermanentRedirect(address, preserve_request=True)
    return problem_response(
        problems.NotFound(Filled("No path ends with a slash: this one is {here}", here=here)),
        request.path,
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """The answer when something failed outside a view, or while its answer was rendered."""
    log.exception("unhandled")  # django.request's own line is not printed
    return problem_response(problems.InternalError(), request.path)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The answer to what Django refuses before a view is chosen (a wrong Host, say)."""
    return problem_response(as_problem(exception), request.path)


class RequestMiddleware:
    """Gives each request its id, its log line, and the headers that Django leaves out."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.monotonic()
        gateway = request.META.get("apig_wsgi.request_context") or {}
        request_id.set(gateway.get("requestId") or str(ULID()))
        aws_calls: list[Call] = []
        language = get_language_from_request(request)
        token, until = calls.set(aws_calls), deadline.set(started + ANSWER_WITHIN_S)
        try:
            with override(language):
                response = self.get_response(request)
        finally:
            calls.reset(token)
            deadline.reset(until)
        took_s = time.monotonic() - started
        self._head(request, response)
        self._log(request, response, aws_calls, took_s)
        if charge := getattr(request, "charge", None):  # whoever authenticates the caller sets it
            charge(aws_calls, took_s, len(getattr(response, "content", b"")))
        return response

    def _head(self, request: HttpRequest, response: HttpResponse) -> None:
        headers = response.headers
        headers["X-Request-Id"] = request_id.get()
        headers.setdefault("Cache-Control", "no-store")
        if headers.get("Content-Type", "") == PROBLEM_JSON:
            headers["Content-Language"] = get_language_from_request(request)
        if headers.get("Content-Type", "").startswith("text/html"):
            headers.setdefault("Content-Security-Policy", getattr(response, "csp", PAGE_POLICY))
        else:
            headers.setdefault("Content-Security-Policy", "default-src 'none'")

    def _log(
        self, request: HttpRequest, response: HttpResponse, aws_calls: list[Call], took_s: float
    ) -> None:
        match = request.resolver_match
        fields = {
            "method": request.method,
            "route": match.route if match else None,
            "status": response.status_code,
            "ms": round(took_s * 1000, 1),
            "calls": sum(1 for call in aws_calls if call.operation),
            "units": sum(call.units for call in aws_calls),
            "coldStart": request.META.get("parley.cold_start", False),
            "learner": _pseudonym(request),
        }
        if trace := TRACEPARENT.fullmatch(request.META.get("HTTP_TRACEPARENT", "")):
            fields["trace"] = trace[1]
        log.info("request", extra={"fields": fields, "path": _path_without_secrets(request)})


class CrossOriginMiddleware(CorsMiddleware):
    """CORS. The library goes over all headers to find that a request names no origin."""

    def add_response_headers(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if "HTTP_ORIGIN" in request.META:
            return super().add_response_headers(request, response)
        patch_vary_headers(response, ("origin",))
        return response


class LimitMiddleware:
    """Refuses wrong hosts and large bodies; inside CORS, so that browsers may read the answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            request.get_host()
        except DisallowedHost as error:
            return problem_response(as_problem(error), request.path)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdigit() and int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return problem_response(problems.PayloadTooLarge(), request.path)
        return self.get_response(request)


def _path_without_secrets(request: HttpRequest) -> str:
    """The path without the tokens that addresses of calendars and unsubscribing contain."""
    path = request.path
    if match := request.resolver_match:
        for value in (match.kwargs[name] for name in SECRET_PARTS & match.kwargs.keys()):
            path = path.replace(value, "…")
    # No route took it: it may be the mistaken path of such a token, which is longer than our ids.
    shown = "/".join(part if len(part) <= LONGEST_ID else "…" for part in path.split("/"))
    if shown.isprintable():
        return shown
    return "".join(letter if letter.isprintable() else "�" for letter in shown)


def _pseudonym(request: HttpRequest) -> str | None:
    """A name for the learner: the same in every line, and it does not lead to the account."""
    learner_id = getattr(getattr(request, "user", None), "id", None)
    return _pseudonym_of(learner_id) if learner_id else None


@lru_cache(maxsize=1024)
def _pseudonym_of(learner_id: str) -> str:
    return salted_hmac("log", learner_id).hexdigest()[:16]


# Our own pages: nothing from elsewhere, no inline script (OWASP ASVS 5, 3.4.3).
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


class PassThroughRenderer(Renderer):
    """Passes text and bytes on as they are; problems are JSON, as everywhere."""

    def render(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(data, str):
            return data.encode()  # JSON's renderer, whose place this takes, has no charset
        return data if isinstance(data, bytes) else super().render(data, *args, **kwargs)
