"""`@operation` describes a view's method for the OpenAPI document (`config.openapi` reads it).

Kept apart from drf-spectacular, which answers of the API do not need and which takes long to load,
and from the other bases of the views, which load the table: `/health` needs neither.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time
from email.utils import formatdate
from typing import Any, TypeVar

from config import problems
from config.problems import Problem
from config.records import dataclass
from config.serializers import QuerySerializer

V = TypeVar("V", bound=Callable[..., Any])

ALWAYS = (problems.NotAcceptable, problems.TooManyRequests, problems.ServiceUnavailable)
WITH_BODY = (
    problems.ValidationFailed,
    problems.MalformedRequest,
    problems.PayloadTooLarge,
    problems.UnsupportedMediaType,
)


@dataclass(frozen=True)
class Deprecated:
    """From when on an operation should not be called, from when on it may be gone, and the id of
    the operation to call instead."""

    on: date
    sunset: date
    instead: str

    def headers(self) -> dict[str, str]:
        """The headers of each answer: RFC 9745 and RFC 8594."""
        since, until = (
            datetime.combine(day, time(tzinfo=UTC)).timestamp() for day in (self.on, self.sunset)
        )
        return {
            "Deprecation": f"@{since:.0f}",
            "Sunset": formatdate(until, usegmt=True),
            "Link": f'</docs#{self.instead}>; rel="successor-version"',
        }


@dataclass(frozen=True)
class Operation:
    """One method on one path. `answers` maps a status (or status and media type) to a serializer.

    `if_none_match` is for reads that devices repeat: an unchanged answer is 304.
    `leads_to` has operations that go on with what a success answered: {operation id: {field of
    its body: field of the answer}}, in wire names.
    """

    id: str
    answers: Mapping[Any, Any]
    request: Any
    query: type[QuerySerializer] | None
    problems: tuple[type[Problem], ...]
    public: bool
    if_match: bool
    if_none_match: bool
    leads_to: Mapping[str, Mapping[str, str]]
    deprecated: Deprecated | None


def operation(
    operation_id: str,
    *,
    answers: Mapping[Any, Any],
    request: Any = None,
    query: type[QuerySerializer] | None = None,
    raises: Iterable[type[Problem]] = (),
    public: bool = False,
    if_match: bool = False,
    if_none_match: bool = False,
    leads_to: Mapping[str, Mapping[str, str]] | None = None,
    deprecated: Deprecated | None = None,
) -> Callable[[V], V]:
    """Describes a view's method: what it takes, what it answers, which problems it may raise.

    Problems that follow from the request's shape are added: 400 where there is anything to
    validate, 401 unless `public`, 412 with `if_match`, 413 and 415 with a body.
    """
    kinds = [*raises, *ALWAYS]
    if request is not None:
        kinds += WITH_BODY
    if query is not None or if_match:
        kinds.append(problems.ValidationFailed)
    if not public:
        kinds.append(problems.NotAuthenticated)
    if if_match:
        kinds.append(problems.PreconditionFailed)
    metadata = Operation(
        operation_id,
        answers,
        request,
        query,
        tuple(dict.fromkeys(kinds)),
        public,
        if_match,
        if_none_match,
        leads_to or {},
        deprecated,
    )

    def describe(method: V) -> V:
        method.operation = metadata  # type: ignore[attr-defined]
        return method

    return describe
