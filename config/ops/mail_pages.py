"""The mails of a local run at `/mails`: a list, and a page for each.

No stage has these pages: nothing there can read a mail that it has sent.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import get_script_prefix, path
from django.views.decorators.http import require_safe

from config.http import PAGE_POLICY
from config.ops.local_aws.mailbox import Mail, mails
from config.problems import NotFound, Problem, ServiceUnavailable
from config.stack import StackUnknown, stack

View = Callable[..., HttpResponse]

NEWEST = 200  # mails in the list
# A mail is markup from elsewhere: it runs nothing, loads nothing and sends nothing, even when its
# address is opened by itself. Its links open pages beside it, which are free of the sandbox.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
LINKS_BESIDE = '<base target="_blank">'


def _page(view: View) -> View:
    """Makes a page of a problem, and takes GET and HEAD alone."""

    @require_safe
    @wraps(view)
    def answer(request: HttpRequest, **words: str) -> HttpResponse:
        try:
            return view(request, **words)
        except Problem as problem:
            context = {"problem": problem}
            return _render(request, "mails/problem.html", context, status=problem.status)

    return answer


def _render(
    request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """Draws a page in the frame of the page at `/`."""
    frame = {"base": get_script_prefix(), "is_local": True}
    return render(request, template, frame | context, status=status)


@_page
def show_list(request: HttpRequest) -> HttpResponse:
    """The newest mails, the last one first."""
    sent = _sent()
    context = {"mails": sent[: -NEWEST - 1 : -1], "total": len(sent)}
    return _render(request, "mails/list.html", context)


@_page
def show_mail(request: HttpRequest, mail_id: str) -> HttpResponse:
    """One mail: its HTML in a frame, its text beside it."""
    response = _render(request, "mails/mail.html", {"mail": _mail(mail_id)})
    response["Content-Security-Policy"] = f"{PAGE_POLICY}; frame-src 'self'"
    return response


@_page
def show_html(_request: HttpRequest, mail_id: str) -> HttpResponse:
    """The HTML of a mail, for the frame. Raises NotFound where it has none."""
    html = _mail(mail_id).html
    if not html:
        raise NotFound("This mail has no HTML")
    response = HttpResponse(_with_links_beside(html))
    response["Content-Security-Policy"] = MAIL_POLICY
    response["X-Frame-Options"] = "SAMEORIGIN"
    return response


def _with_links_beside(html: str) -> str:
    """The mail, with links that leave the frame: few pages agree to be shown in one."""
    head = re.search(r"(?i)<head\b[^>]*>", html)
    at = head.end() if head else 0
    return html[:at] + LINKS_BESIDE + html[at:]


def _mail(mail_id: str) -> Mail:
    """One mail. Raises NotFound, ServiceUnavailable."""
    found = next((mail for mail in _sent() if mail.id == mail_id), None)
    if found is None:
        raise NotFound("There is no such mail")
    return found


def _sent() -> list[Mail]:
    """All mails, oldest first. Raises NotFound on the real AWS, ServiceUnavailable."""
    try:
        endpoint_url = stack().endpoint_url
        if endpoint_url is None:
            raise NotFound("The real AWS keeps no mails that could be read")
        return mails(endpoint_url)
    except (OSError, StackUnknown) as error:
        raise ServiceUnavailable("The embedded AWS does not answer") from error


urlpatterns = [
    path("mails", show_list),
    path("mails/<str:mail_id>", show_mail),
    path("mails/<str:mail_id>/html", show_html),
]
