"""Stopping a kind of mail, for whoever has the link."""

from django.template.loader import render_to_string
from django.utils.timezone import now
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.viewsets import PublicView
from reminders.emails import kind_name, subscription_of
from reminders.services.suppressions import unsubscribe

PAGE = "text/html"
TOKEN_LENGTH = 1000


class UnsubscribeView(PublicView):
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
    what = kind_name(subscription[1]) if subscription else None
    page = render_to_string("reminders/unsubscribe.html", {"what": what, "done": done})
    code = status.HTTP_200_OK if subscription else status.HTTP_404_NOT_FOUND
    return Response(page, code, content_type=f"{PAGE}; charset=utf-8")
