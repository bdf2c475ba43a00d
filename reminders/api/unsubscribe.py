"""Stopping a kind of mail, for whoever has the link."""

from django.template.loader import render_to_string
from django.utils.timezone import now
from django.utils.translation import gettext as _
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
        """Show a page that asks; programs that look at links in mails stop nothing.

        HTML, for the browser of whoever got the mail. The button sends the POST.
        """
        return _page(token, done=False)

    @operation(
        "unsubscribe",
        answers={(200, PAGE): str, (404, PAGE): str},
        public=True,
    )
    def post(self, request: Request, token: str) -> Response:
        """Stop a kind of mail at once (RFC 8058). What the body says makes no difference.

        Mail programs call it by themselves (`List-Unsubscribe-Post`). Safe to repeat.
        """
        if subscription := subscription_of(token[:TOKEN_LENGTH], now=now()):
            learner_id, kind = subscription
            unsubscribe(learner_id=learner_id, kind=kind)
        return _page(token, done=True)


def _page(token: str, *, done: bool) -> Response:
    subscription = subscription_of(token[:TOKEN_LENGTH], now=now())
    page = render_to_string("reminders/link_page.html", _texts(subscription, done=done))
    code = status.HTTP_200_OK if subscription else status.HTTP_404_NOT_FOUND
    return Response(page, code, content_type=f"{PAGE}; charset=utf-8")


def _texts(subscription: tuple[str, str] | None, *, done: bool) -> dict[str, str]:
    """What the page says."""
    name = _("Mails from Parley")
    if subscription is None:
        why = _("You can choose what you are mailed in your profile.")
        return {"name": name, "title": _("This link does not work any more"), "why": why}
    kind = {"kind": kind_name(subscription[1])}
    if done:
        why = _("You can have them again: turn them on in your profile.")
        return {"name": name, "title": _("You get no more %(kind)s") % kind, "why": why}
    return {
        "name": name,
        "title": _("No more %(kind)s?") % kind,
        "why": _(
            "Parley then mails you none, whatever reminders you have set. Nothing else is changed."
        ),
        "button": _("Send me no more %(kind)s") % kind,
    }
