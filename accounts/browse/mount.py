"""The API's views a second time, as pages."""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.browse.guard import gated
from accounts.browse.pages import Form, Page
from accounts.browse.routes import Route, find, routes

DONE = "#done"  # the page shows what stands at this mark only when it is led to there


class _Browsable:
    """What makes a page of a view of the API."""

    renderer_classes = (Page,)
    route: Route

    def http_method_not_allowed(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A route that only takes forms shows them."""
        if request.method == "GET":
            return Response()
        refused: Response = super().http_method_not_allowed(request, *args, **kwargs)  # type: ignore[misc]
        return refused

    def finalize_response(self, request: Request, response: Any, *args: Any, **kw: Any) -> Any:
        if target := _after(self.route, request, response):
            response = HttpResponseRedirect(target, status=303)
        elif isinstance(response, Response):
            response.content_type = None  # whatever the view has named, this is a page
        return super().finalize_response(request, response, *args, **kw)  # type: ignore[misc]


def _after(route: Route, request: Request, response: HttpResponse) -> str | None:
    """Where a form leads when it has worked, so that reloading that page sends nothing again."""
    match response.status_code:
        case 204:
            return _above(route, request.path) + DONE
        case 200 if request.method in ("PUT", "PATCH"):
            return request.path + DONE
        case 201 if route.item and isinstance(made := getattr(response, "data", None), dict):
            return f"{request.path}/{made['id']}{DONE}" if "id" in made else None
    return None


def _above(route: Route, path: str) -> str:
    """The address of the nearest page above this one: the start page if there is no other."""
    size = len(route.words)
    steps = next((steps for steps in range(size - 1, 0, -1) if find(route.words[:steps])), 0)
    return "/".join(path.split("/")[: steps - size])


def _page(route: Route) -> Callable[..., HttpResponse]:
    parsers = (Form, *route.view.parser_classes)
    members = {"route": route, "parser_classes": parsers}
    cls: Any = type(f"Browsable{route.view.__name__}", (_Browsable, route.view), members)
    api: Any = route.pattern.callback
    actions = getattr(api, "actions", None)
    return gated(cls.as_view(*([actions] if actions else []), **api.initkwargs))


def mounted() -> list[URLPattern]:
    """The pages of all routes."""
    return [URLPattern(route.pattern.pattern, _page(route)) for route in routes()]
