"""The errors of the API, each with a stable code (RFC 9457, "Problem Details for HTTP APIs").

A rule raises its own subclass, which stands beside it; `config.http` renders every one alike.
Nothing here knows HTTP frameworks, so that services and rules may raise problems.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Self

from config.records import dataclass

PROBLEM_JSON = "application/problem+json"
BEARER = 'Bearer realm="parley"'


class Filled(str):
    """A text for people with values in it, in English.

    It knows its template, so that the text can be translated before the values are put in.
    """

    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, **values: Any) -> Self:
        text = super().__new__(cls, template.format(**values))
        text.template, text.values = template, values
        return text

    def __str__(self) -> str:
        return self  # str() of it, and of an exception that carries it, keeps the template

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        return (self.template,), self.values


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field: `field` is its wire name, dotted inside lists and objects."""

    field: str
    code: str
    message: str


class Problem(Exception):
    """An answer other than the one asked for. Subclasses give status, code and title.

    `detail` is shown to the client, so it never carries another exception's text.
    `retry_after_s` becomes the Retry-After header, in whole seconds.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        """The members of the problem document that do not depend on the request."""
        body: dict[str, Any] = {
            "type": f"urn:parley:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.errors:
            body["errors"] = [asdict(error) for error in self.errors]
        return body

    def stored(self) -> dict[str, Any]:
        """The body as JSON, with texts that can still be translated when it is read (`as_told`)."""
        return _each_text(self.body(), lambda text: [text.template, text.values], Filled)

    def headers(self) -> dict[str, str]:
        """The headers that the status asks for."""
        headers = {}
        if self.status == 401:
            headers["WWW-Authenticate"] = BEARER
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        return headers


def as_told(stored: dict[str, Any]) -> dict[str, Any]:
    """The body of a problem as it was before it was stored."""
    return _each_text(stored, lambda kept: Filled(kept[0], **kept[1]), list)


def _each_text(
    body: dict[str, Any], change: Callable[[Any], Any], kind: type[Any]
) -> dict[str, Any]:
    """A body with its detail and messages changed, where they are of a kind."""

    def text_of(part: dict[str, Any], name: str) -> dict[str, Any]:
        return part | {name: change(part[name])} if isinstance(part[name], kind) else part

    changed = text_of(body, "detail")
    if errors := body.get("errors"):
        changed = changed | {"errors": [text_of(error, "message") for error in errors]}
    return changed


class ValidationFailed(Problem):
    status, code, title = 400, "VALIDATION_ERROR", "The request has fields that are not valid"

    @classmethod
    def of(cls, field: str, code: str, message: str) -> "ValidationFailed":
        """The problem of a single field."""
        return cls(message, errors=[FieldError(field, code, message)])


class MalformedRequest(Problem):
    status, code, title = 400, "MALFORMED_REQUEST", "The request cannot be read"


class NotAuthenticated(Problem):
    status, code, title = 401, "NOT_AUTHENTICATED", "A valid access token is needed"


class PermissionDenied(Problem):
    status, code, title = 403, "PERMISSION_DENIED", "You may not do this"


class NotFound(Problem):
    status, code, title = 404, "NOT_FOUND", "There is nothing here"


class MethodNotAllowed(Problem):
    status, code, title = 405, "METHOD_NOT_ALLOWED", "This address does not take this method"


class NotAcceptable(Problem):
    status, code, title = 406, "NOT_ACCEPTABLE", "We answer JSON, version 1"


class Conflict(Problem):
    status, code, title = 409, "CONFLICT", "The change conflicts with what is stored"


class IdTaken(Conflict):
    code, title = "ID_TAKEN", "Another thing was already made with this id"


class PreconditionFailed(Problem):
    status, code, title = 412, "PRECONDITION_FAILED", "The item has changed since it was read"


class PayloadTooLarge(Problem):
    status, code, title = 413, "PAYLOAD_TOO_LARGE", "The request's body is too large"


class UnsupportedMediaType(Problem):
    status, code, title = 415, "UNSUPPORTED_MEDIA_TYPE", "We do not read this kind of body"


class TooManyRequests(Problem):
    status, code, title = 429, "TOO_MANY_REQUESTS", "Too many requests: wait, then try again"


class InternalError(Problem):
    status, code, title = 500, "INTERNAL_ERROR", "We made a mistake; it has been recorded"


class ServiceUnavailable(Problem):
    status, code, title = 503, "SERVICE_UNAVAILABLE", "A service we depend on did not answer"

    def __init__(self, detail: str = "", *, retry_after_s: int = 2) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)


class ServiceTimeout(ServiceUnavailable):
    status, code, title = 504, "SERVICE_TIMEOUT", "A service we depend on took too long"


class UpstreamFailed(ServiceUnavailable):
    status, code, title = 502, "UPSTREAM_FAILED", "A service we depend on refused our request"


def all_problems(base: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """Every problem class that is loaded, for the documentation and its test."""
    for problem in base.__subclasses__():
        yield problem
        yield from all_problems(problem)


def check_version(expected: int | None, actual: int) -> None:
    """Raises PreconditionFailed when the stored version is not the expected one."""
    if expected is not None and expected != actual:
        raise PreconditionFailed(
            Filled("The item is at version {version}: read it again", version=actual)
        )
