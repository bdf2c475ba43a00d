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

from accounts.demo import DEMO_ACCOUNTS, PASSWORD
from config.http import Renderer

# What the JSON names: the parts for programs, by the words of their paths.
LINKS = ("docs", "redoc", "schema", "health")


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
