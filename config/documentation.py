"""The OpenAPI document and the page that shows it; its script comes from us, not a CDN."""

from functools import cache
from typing import Any

from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.gzip import gzip_page
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.views import SpectacularAPIView
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from config.viewsets import AnonymousView

# RapiDoc writes its styles at run time.
VIEWER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


@cache  # it takes a second, and is the same for all
def _document() -> Any:
    return SpectacularAPIView.generator_class().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]


class _JsonRenderer(OpenApiJsonRenderer):
    """JSON without indentation, which is half as long."""

    def get_indent(self, *_: Any) -> None:
        return None


@method_decorator(gzip_page, "dispatch")
class SchemaView(SpectacularAPIView):
    """The document, as YAML unless JSON is asked for."""

    versioning_class = None
    renderer_classes = [OpenApiYamlRenderer, OpenApiYamlRenderer2, _JsonRenderer]

    def _get_schema_response(self, request: Request) -> Response:
        name = f'inline; filename="{self._get_filename(request, None)}"'  # type: ignore[no-untyped-call]
        return Response(_document(), headers={"Content-Disposition": name})


class ReferenceView(AnonymousView):
    """RapiDoc, on a page of ours."""

    versioning_class = None
    schema = None  # a page for people: the document lists no pages
    renderer_classes = (TemplateHTMLRenderer,)

    def get(self, request: Request) -> Response:
        headers = {"Content-Security-Policy": VIEWER_POLICY}
        return Response(template_name="docs.html", headers=headers)


urlpatterns = [
    path("schema", SchemaView.as_view(), name="schema"),
    path("docs", ReferenceView.as_view(), name="reference"),
]
