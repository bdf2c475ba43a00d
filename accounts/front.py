"""The page at `/`: what this service is and where its parts are, with its links as JSON.

It asks for no sign-in and sets no cookie. A deployed stage shows only what is public anyway.
"""

from typing import Any

from django.conf import settings
from django.urls import get_script_prefix, path
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.http import Renderer
from config.records import dataclass

# A local run offers these accounts, and only a local run: their password is public.
PASSWORD = "parley-demo-1"  # noqa: S105  (printed at the start of every local run)


@dataclass(frozen=True)
class DemoAccount:
    """One account: `role` is the word for people; `groups` are Cognito's."""

    role: str
    email: str
    first_name: str
    last_name: str = "Demo"
    groups: frozenset[str] = frozenset()


LEARNER = DemoAccount("learner", "learner@parley.example", "Lucía")
STAFF = DemoAccount("staff", "staff@parley.example", "Stefan", groups=frozenset({"staff"}))
ADMIN = DemoAccount("admin", "admin@parley.example", "Amina", groups=frozenset({"admin"}))
DEMO_ACCOUNTS = (LEARNER, STAFF, ADMIN)

# What the JSON names: the parts for programs, by the words of their paths.
LINKS = ("docs", "schema", "health")


class FrontPage(APIView):
    """A page, unless JSON is asked for and HTML is not."""

    authentication_classes = ()
    permission_classes = ()
    renderer_classes = (TemplateHTMLRenderer, Renderer)
    schema = None  # a page for people: the API's document lists no pages

    def get(self, request: Request) -> Response:
        here = request.build_absolute_uri(get_script_prefix())
        if request.accepted_renderer.format == "json":
            return Response({"name": "Parley"} | {word: f"{here}{word}" for word in LINKS})
        # `base` stands before each path: `/`, or the stage's name in slashes. Django's
        # `{% url %}` would load all parts of the service to find one address.
        context: dict[str, Any] = {"base": get_script_prefix()}
        if settings.STAGE == "local":
            context |= {
                "is_local": True,
                "accounts": DEMO_ACCOUNTS,
                "password": PASSWORD,
                "here": here,
            }
        return Response(context, template_name="front/start.html")


urlpatterns = [path("", FrontPage.as_view())]
