"""Asks the views which requests API Gateway may let in without a token.

`zappa_template.py`, which runs without Django, completes Zappa's template from `plan`. Django
checks every request again: the gate only keeps out requests that Django would refuse.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.schemas.generators import EndpointEnumerator

from config import problems
from config.problems import PROBLEM_JSON, Problem

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Below these words everybody is let in, since neither reads a token. The pages of `browse` have
# sessions of their own, and the files of `static` are the same for all.
OPEN_BELOW = ("browse", "static")
REST = "{proxy+}"
# Only local runs have routes below these words. Releases are made from there.
LOCAL_ONLY = ("app", "mails")


class GateError(RuntimeError):
    """It is unclear whether a route needs a token."""


@dataclass(frozen=True)
class Route:
    """A method of a view and the words of its path, e.g. `("decks", "{id}")`."""

    method: str
    words: tuple[str, ...]
    callback: Any

    @property
    def is_open(self) -> bool:
        """Whether the view's own permission classes let in callers without a token."""
        view = self.callback.cls(**self.callback.initkwargs)
        actions = getattr(self.callback, "actions", None) or {}
        view.action = actions.get(self.method.lower(), self.method.lower())
        nobody: Any = SimpleNamespace(method=self.method, user=None, auth=None)
        return all(permission.has_permission(nobody, view) for permission in view.get_permissions())

    @property
    def path(self) -> tuple[str, ...]:
        """The path for API Gateway, which needs one variable name in each place, and whole words.

        So `calendar/{token}.ics` becomes `calendar/{p1}`.
        """
        return tuple(f"{{p{n}}}" if "{" in word else word for n, word in enumerate(self.words))

    def falls_under(self, other: "Route") -> bool:
        """Whether API Gateway would take this route for the other."""
        return (
            self.method == other.method
            and len(self.path) == len(other.path)
            and all(
                theirs in (ours, f"{{p{n}}}")
                for n, (ours, theirs) in enumerate(zip(self.path, other.path, strict=True))
            )
        )


def routes() -> Iterator[Route]:
    """Every method of every view of a stage, except those below OPEN_BELOW. Raises GateError."""
    path_of = EndpointEnumerator(patterns=()).get_path_from_regex
    for regex, pattern in _url_patterns(get_resolver().url_patterns):
        words = tuple(path_of(regex).strip("/").split("/"))
        if words[0] in (*OPEN_BELOW, *LOCAL_ONLY):
            continue
        cls = getattr(pattern.callback, "cls", None)
        if cls is None:
            raise GateError(f"/{'/'.join(words)} is no view of the API: who may see it?")
        actions = getattr(pattern.callback, "actions", None)
        for method in METHODS:
            if method.lower() in actions if actions else hasattr(cls, method.lower()):
                yield Route(method, words, pattern.callback)


def _url_patterns(patterns: Iterable[Any], before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _url_patterns(pattern.url_patterns, before + str(pattern.pattern))
        else:
            yield before + str(pattern.pattern), pattern


def open_methods() -> dict[str, list[str]]:
    """The methods that need no token, by path. "ANY" means all methods. Raises GateError."""
    all_routes = list(routes())
    let_in = [route for route in all_routes if route.is_open]
    for route in all_routes:
        if not route.is_open and any(route.falls_under(other) for other in let_in):
            raise GateError(f"{route.method} /{'/'.join(route.words)} would be left open")
    methods: dict[str, list[str]] = {}
    for route in let_in:
        methods.setdefault("/".join(route.path), []).append(route.method)
    for verbs in methods.values():
        verbs += ["HEAD"] * ("GET" in verbs)
    return methods | {path: ["ANY"] for word in OPEN_BELOW for path in (word, f"{word}/{REST}")}


# API Gateway's own answers → our problems. DEFAULT_… covers those without a line.
ANSWERS: dict[str, Problem] = {
    "UNAUTHORIZED": problems.NotAuthenticated(),
    "ACCESS_DENIED": problems.NotAuthenticated(),  # the authorizer refused the token
    "AUTHORIZER_FAILURE": problems.ServiceUnavailable(),
    "AUTHORIZER_CONFIGURATION_ERROR": problems.ServiceUnavailable(),
    "INTEGRATION_FAILURE": problems.ServiceUnavailable(),
    "INTEGRATION_TIMEOUT": problems.ServiceTimeout(),
    "THROTTLED": problems.TooManyRequests(retry_after_s=1),
    "REQUEST_TOO_LARGE": problems.PayloadTooLarge(),
    "MISSING_AUTHENTICATION_TOKEN": problems.NotFound(),  # AWS's name for an unknown path
    "WAF_FILTERED": problems.PermissionDenied(),
    "DEFAULT_4XX": problems.MalformedRequest(),
    "DEFAULT_5XX": problems.InternalError(),
}


def answers(cors_origins: str) -> dict[str, dict[str, Any]]:
    """API Gateway's own answers, as problem documents that web apps may read."""
    return {kind: _answer(problem, cors_origins.split()) for kind, problem in ANSWERS.items()}


def _answer(problem: Problem, origins: list[str]) -> dict[str, Any]:
    headers = {
        "Content-Type": PROBLEM_JSON,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
        **problem.headers(),
    }
    if origins:
        # A fixed header cannot choose among several. These answers are the same for all, and no
        # cookie is asked for.
        headers["Access-Control-Allow-Origin"] = origins[0] if len(origins) == 1 else "*"
        headers["Access-Control-Expose-Headers"] = "retry-after, www-authenticate, x-amzn-requestid"
    occurrence = "$context.requestId"
    body = problem.body() | {"instance": f"urn:uuid:{occurrence}", "requestId": occurrence}
    return {
        "StatusCode": str(problem.status),
        # Texts as they stand: of the context's variables AWS promises none in a header.
        "ResponseParameters": {
            f"gatewayresponse.header.{name}": f"'{value}'" for name, value in headers.items()
        },
        "body": body,
    }


def plan(outputs: Mapping[str, str]) -> dict[str, Any]:
    """All that `zappa_template.complete` adds to Zappa's template. Raises GateError."""
    return {"open": open_methods(), "answers": answers(outputs.get("CorsOrigins", ""))}
