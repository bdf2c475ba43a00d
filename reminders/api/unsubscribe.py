"""What is open to whoever has the address: the calendar's feed, and stopping a kind of mail."""

from typing import Any

from django.template.loader import render_to_string
from rest_framework import status
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.clock import now
from config.http import Renderer
from config.operations import operation
from config.problems import NotFound
from reminders.emails import KINDS, subscription_of
from reminders.services.subscriptions import unsubscribe

CALENDAR = "text/calendar"
PAGE = "text/html"
TOKEN_LENGTH = 1000


class AsItIs(Renderer):
    """Passes on what is rendered already; problems are JSON as everywhere."""

    def render(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(data, str):
            return data.encode()  # JSON's renderer, whose place this takes, has no charset
        return data if isinstance(data, bytes) else super().render(data, *args, **kwargs)


class Public(APIView):
    """A view without a caller that answers in one format, whatever is asked for."""

    authentication_classes = ()
    permission_classes = ()
    renderer_classes = (AsItIs,)

    def perform_content_negotiation(
        self, request: Request, force: bool = False
    ) -> tuple[BaseRenderer, str]:
        return AsItIs(), AsItIs.media_type


class CalendarFeed(Public):
    @operation(
        "getCalendar",
        answers={(200, CALENDAR): str, 304: None},
        raises=[NotFound],
        public=True,
    )
    def get(self, request: Request, token: str) -> Response:
        """Read the learner's events and study plan (RFC 5545), for a calendar's subscription."""
        # icalendar: no other request shall wait until it is loaded.
        from reminders.ical import etag
        from reminders.services.calendar_feed import calendar_of

        body = calendar_of(token, now=now())
        if body is None:
            raise NotFound
        tag = etag(body)
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        known = {each.strip().removeprefix("W/") for each in _if_none_match(request).split(",")}
        if not known.isdisjoint({tag, "*"}):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers=headers)
        return Response(body, headers=headers, content_type=f"{CALENDAR}; charset=utf-8")


def _if_none_match(request: Request) -> str:
    return str(request.headers.get("If-None-Match", ""))


class Unsubscribe(Public):
    @operation(
        "showUnsubscribePage",
        answers={(200, PAGE): str, (404, PAGE): str},
        public=True,
    )
    def get(self, request: Request, token: str) -> Response:
        """Show a page that asks; programs that look at links in mails stop nothing."""
        return _page(token, done=False)

    @operation(
        "unsubscribe",
        answers={(200, PAGE): str, (404, PAGE): str},
        public=True,
    )
    def post(self, request: Request, token: str) -> Response:
        """Stop a kind of mail at once (RFC 8058). What the body says makes no difference."""
        if subscription := subscription_of(token[:TOKEN_LENGTH], now=now()):
            learner_id, kind = subscription
            unsubscribe(learner_id=learner_id, kind=kind)
        return _page(token, done=True)


def _page(token: str, *, done: bool) -> Response:
    subscription = subscription_of(token[:TOKEN_LENGTH], now=now())
    what = KINDS[subscription[1]] if subscription else None
    page = render_to_string("reminders/unsubscribe.html", {"what": what, "done": done})
    code = status.HTTP_200_OK if subscription else status.HTTP_404_NOT_FOUND
    return Response(page, code, content_type=f"{PAGE}; charset=utf-8")
