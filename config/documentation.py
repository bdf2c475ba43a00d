"""The OpenAPI document and the two pages that show it; their scripts come from us, not a CDN."""

from typing import Any

from django.urls import path
from drf_spectacular.views import (
    SpectacularAPIView,
    SpectacularRedocView,
    SpectacularSwaggerSplitView,
)
from rest_framework.response import Response

# Both pages write their styles at run time; Redoc searches in a worker made from a blob.
VIEWER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src blob:; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def _with_policy(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = VIEWER_POLICY
    return response


class SchemaView(SpectacularAPIView):
    """The document, as YAML unless JSON is asked for."""

    versioning_class = None


class SwaggerView(SpectacularSwaggerSplitView):
    """Swagger UI."""

    versioning_class = None

    def finalize_response(self, *args: Any, **kwargs: Any) -> Response:
        return _with_policy(super().finalize_response(*args, **kwargs))


class RedocView(SpectacularRedocView):
    """Redoc, on a page of ours: drf-spectacular's asks Google for its letters."""

    versioning_class = None
    template_name = "redoc.html"

    def finalize_response(self, *args: Any, **kwargs: Any) -> Response:
        return _with_policy(super().finalize_response(*args, **kwargs))


urlpatterns = [
    path("schema", SchemaView.as_view(), name="schema"),
    path("docs", SwaggerView.as_view(url_name="schema"), name="swagger"),
    path("redoc", RedocView.as_view(url_name="schema")),
]
