"""The API's routes, read from the URL configuration, so that a new one has its page."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.request import Request
from rest_framework.schemas.generators import EndpointEnumerator
from rest_framework.views import APIView

from config.operations import Operation
from config.serializers import Serializer

OURSELVES = "accounts.browse.urls"
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Route:
    """A path of the API, e.g. `("decks", "{id}")`, and the view that answers it there."""

    words: tuple[str, ...]
    pattern: URLPattern

    @property
    def view(self) -> type[APIView]:
        cls: type[APIView] = self.pattern.callback.cls  # type: ignore[attr-defined]
        return cls

    @property
    def handlers(self) -> dict[str, str]:
        """The name of the view's method for each HTTP method, in lower case, GET first."""
        actions: dict[str, str] | None = getattr(self.pattern.callback, "actions", None)
        handlers = actions or {name: name for name in METHODS if hasattr(self.view, name)}
        return {method: handlers[method] for method in METHODS if method in handlers}

    def operation(self, method: str) -> Operation:
        """The metadata of the operation of a method in `handlers`."""
        metadata: Operation = getattr(self.view, self.handlers[method]).operation
        return metadata

    def serializer_class(
        self, method: str, media_type: str = "application/json"
    ) -> type[Serializer] | None:
        """The serializer of a method's body of a media type; None if it takes none."""
        request = self.operation(method).request
        if not isinstance(request, dict):
            request = {"application/json": request}
        serializer_class = request.get(media_type)
        return (
            serializer_class
            if isinstance(serializer_class, type) and issubclass(serializer_class, Serializer)
            else None
        )

    def heading(self, method: str) -> tuple[str, str]:
        """The first line of a method's docstring, and the rest."""
        docstring = (getattr(self.view, self.handlers[method]).__doc__ or "").strip()
        title, _, rest = docstring.partition("\n")
        return title.rstrip("."), " ".join(rest.split())

    @property
    def permission_classes(self) -> Any:
        """Those of the route's own `@action`, else the view's."""
        own: dict[str, Any] = getattr(self.pattern.callback, "initkwargs", {})
        return own.get("permission_classes", self.view.permission_classes)

    def allows(self, request: Request, method: str) -> bool:
        """Whether the caller may use a method of the route."""
        asked = request._request.method
        request._request.method = method.upper()
        try:
            view: Any = self.view()
            view.action = self.handlers[method]
            return all(each().has_permission(request, view) for each in self.permission_classes)
        finally:
            request._request.method = asked

    def below(self) -> list["Route"]:
        """The routes with one more word, which is not a variable."""
        return [
            route
            for route in routes()
            if route.words[:-1] == self.words and not route.words[-1].startswith("{")
        ]

    @property
    def item(self) -> "Route | None":
        """The route of one of the things that this one lists."""
        words = (*self.words, "{id}")
        return next((route for route in routes() if route.words == words), None)


def _patterns(patterns: Iterable[Any]) -> Iterator[URLPattern]:
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern
        elif isinstance(pattern, URLResolver) and pattern.urlconf_name != OURSELVES:
            yield from _patterns(pattern.url_patterns)


@cache
def routes() -> tuple[Route, ...]:
    """The routes that can be browsed: those that authenticate, have metadata and answer JSON."""
    path_of = EndpointEnumerator().get_path_from_regex
    browsable = []
    for pattern in _patterns(get_resolver().url_patterns):
        cls = getattr(pattern.callback, "cls", None)
        if cls is None or not cls.authentication_classes:
            continue
        if any(renderer.media_type != "application/json" for renderer in cls.renderer_classes):
            continue  # it answers files
        words = path_of(str(pattern.pattern)).strip("/").split("/")
        route = Route(tuple(words), pattern)
        if all(hasattr(getattr(cls, name), "operation") for name in route.handlers.values()):
            browsable.append(route)
    return tuple(browsable)


def find(words: tuple[str, ...]) -> Route | None:
    """The route with these words, if it can be read."""
    for route in routes():
        if route.words == words and "get" in route.handlers:
            return route
    return None


def is_page(words: Sequence[str]) -> bool:
    """Whether an address of these words is that of a route that can be read."""
    return any(
        len(route.words) == len(words)
        and all(at[0] == "{" or at == word for at, word in zip(route.words, words, strict=True))
        for route in routes()
        if "get" in route.handlers
    )
