"""The mails that the embedded SES and Cognito hold instead of sending them."""

import json
import re
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape


@dataclass(frozen=True)
class Mail:
    """One mail as its readers see it."""

    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    sent_at: datetime

    @property
    def code(self) -> str | None:
        """The six-digit code in it, if there is one."""
        found = re.search(r"\b\d{6}\b", self.text)
        return found.group() if found else None


def mails(endpoint_url: str, *, to: str | None = None) -> list[Mail]:
    """All mails, or those to one address in any case; oldest first. Raises OSError."""
    url = f"{endpoint_url}/_ministack/ses/messages"
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
        accounts = json.load(answer)["messages"]
    found = [_mail(record) for records in accounts.values() for record in records]
    wanted = to and to.strip().lower()
    mine = [m for m in found if not wanted or wanted in {address.lower() for address in m.to}]
    return sorted(mine, key=lambda mail: mail.sent_at)


def _mail(record: dict[str, object]) -> Mail:
    addresses = [record.get(kind) or [] for kind in ("To", "CC", "BCC")]
    return Mail(
        sender=str(record["Source"]),
        to=tuple(str(a) for kind in addresses if isinstance(kind, list) for a in kind),
        subject=str(record["Subject"]),
        text=str(record.get("BodyText") or _words(str(record.get("BodyHtml") or ""))),
        sent_at=datetime.fromtimestamp(float(str(record["Timestamp"])), UTC),
    )


def _words(html: str) -> str:
    """The readable words of a mail that has no text part."""
    body = re.sub(r"(?is)<(style|script|head)\b.*?</\1>", "", html)
    lines = re.sub(r"(?i)<br\s*/?>|</(p|div|h\d|li|tr)>", "\n", body)
    return unescape(re.sub(r"<[^>]+>", "", lines)).strip()
