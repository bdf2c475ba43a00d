"""The mails that the embedded SES and Cognito hold instead of sending them, and their pages.

`/mails` has a list, and a page for each. No stage has these pages: nothing there can read a mail
that it has sent.
"""

import json
import re
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from html import unescape
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import get_script_prefix, path
from django.views.decorators.http import require_safe

from config.http import PAGE_POLICY
from config.problems import NotFound, Problem, ServiceUnavailable
from config.stack import StackUnknown, stack


@dataclass(frozen=True)
class Mail:
    """One mail as its readers see it. `id` is SES's.

    `headers` are those that the sender added, such as List-Unsubscribe. `html` may be empty.
    """

    id: str
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    sent_at: datetime
    html: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str | None:
        """The code of six or eight digits in the mail, if there is one."""
        match = re.search(r"\b\d{6}(?:\d\d)?\b", self.text)
        return match.group() if match else None


def mails(endpoint_url: str, *, to: str | None = None) -> list[Mail]:
    """All mails, or those to one address in any letter case. Oldest first. Raises OSError."""
    url = f"{endpoint_url}/_ministack/ses/messages"
    if to:
        url += f"?{urlencode({'to': to.strip()})}"
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - our own server
        accounts = json.load(answer)["messages"]
    all_mails = [_from_record(record) for records in accounts.values() for record in records]
    wanted = to and to.strip().lower()
    mine = [m for m in all_mails if not wanted or wanted in {address.lower() for address in m.to}]
    return sorted(mine, key=lambda mail: mail.sent_at)


def _from_record(record: Mapping[str, Any]) -> Mail:
    addresses: list[str] = []
    for kind in ("To", "CC", "BCC"):
        addresses += record.get(kind) or []
    html = record.get("BodyHtml") or ""
    return Mail(
        id=record["MessageId"],
        sender=record["Source"],
        to=tuple(addresses),
        subject=record["Subject"],
        text=record.get("BodyText") or _words(html),
        sent_at=datetime.fromtimestamp(record["Timestamp"], UTC),
        html=html,
        headers={header["Name"]: header["Value"] for header in record.get("Headers", [])},
    )


def _words(html: str) -> str:
    """The readable words of a mail that has no text part."""
    body = re.sub(r"(?is)<(style|script|head)\b.*?</\1>", "", html)
    lines = re.sub(r"(?i)<br\s*/?>|</(p|div|h\d|li|tr)>", "\n", body)
    return unescape(re.sub(r"<[^>]+>", "", lines)).strip()


# --- The pages ------------------------------------------------------------------------------------

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
    mail = next((one for one in _sent() if one.id == mail_id), None)
    if mail is None:
        raise NotFound("There is no such mail")
    return mail


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
