"""The mails that the embedded SES and Cognito hold instead of sending them."""

import json
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import unescape
from typing import Any


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
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - our own server
        accounts = json.load(answer)["messages"]
    all_mails = [_mail(record) for records in accounts.values() for record in records]
    wanted = to and to.strip().lower()
    mine = [m for m in all_mails if not wanted or wanted in {address.lower() for address in m.to}]
    return sorted(mine, key=lambda mail: mail.sent_at)


def _mail(record: Mapping[str, Any]) -> Mail:
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
