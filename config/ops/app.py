"""The reference app of docs/client/app, as it was built, at `/app`.

No stage has it: it is an example for makers of frontends, whose apps have addresses of their own.
"""

from django.http import HttpRequest, HttpResponseBase
from django.urls import path
from django.views.decorators.http import require_safe
from django.views.static import serve

from config.http import PAGE_POLICY
from config.stack import BASE_DIR

BUILT = BASE_DIR / "docs" / "client" / "app" / "dist"
# Cards may show pictures and play sounds from elsewhere.
POLICY = PAGE_POLICY.replace("img-src 'self'", "img-src 'self' https:") + (
    "; manifest-src 'self'; media-src 'self' https:; worker-src 'self'"
)


@require_safe
def show_file(request: HttpRequest, name: str = "index.html") -> HttpResponseBase:
    """A file of the app. Raises Http404."""
    response = serve(request, name, document_root=str(BUILT))
    # With 304 too: a browser takes over the headers of both into what it has kept.
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Service-Worker-Allowed"] = "/app"  # which is the page's own address
    if name.endswith(".webmanifest"):
        response.headers["Content-Type"] = "application/manifest+json"
    return response


urlpatterns = [path("app", show_file), path("app/<str:name>", show_file)]
