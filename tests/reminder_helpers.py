"""Helpers for tests of reminders: things to be reminded of, sweeps, a mailbox."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ReadTimeoutError
from django.utils import translation

from accounts.models import Account, Profile
from config import aws
from reminders.services.sweep import SweepResult, sweep
from tests.callers import Caller
from tests.waiting import PATIENCE_S

MINUTE = timedelta(minutes=1)


def verified(caller: Caller) -> Caller:
    """The learner with a verified address."""
    Account.at(caller.id).verify_email()
    return caller


def prefer(caller: Caller, **values: Any) -> None:
    """Sets attributes of the learner's profile."""
    profile = Profile.of(caller.id)
    assert profile is not None
    for name, value in values.items():
        setattr(profile, name, value)
    profile.put()


def event_of(caller: Caller, **fields: Any) -> dict[str, Any]:
    """An event that the learner made: by default an hour of the far future."""
    body = {
        "title": "Tertúlia",
        "startsAt": "2030-06-03T18:00:00Z",
        "endsAt": "2030-06-03T19:00:00Z",
        "timezone": "Europe/Lisbon",
    }
    event: dict[str, Any] = caller.makes("/events", body | fields)
    return event


def reminder_of(caller: Caller, **fields: Any) -> dict[str, Any]:
    """A reminder that the learner made: by default of one instant."""
    body = {"kind": "once", "title": "Ligar à Inês", "at": "2030-06-03T17:00:00Z"}
    reminder: dict[str, Any] = caller.makes(
        "/reminders", fields if "kind" in fields else body | fields
    )
    return reminder


def sweep_at(instant: str | datetime, **options: Any) -> SweepResult:
    """One sweep of all shards at an instant, in one thread: moto takes no transactions at once."""
    at = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    assert at.tzinfo
    return sweep(now=at, **{"within_s": PATIENCE_S, "threads": 1, **options})


def deliveries_of(caller: Caller, reminder: dict[str, Any]) -> list[dict[str, Any]]:
    """The deliveries of a reminder, the latest occurrence first."""
    found: list[dict[str, Any]] = caller.get(f"/reminders/{reminder['id']}/deliveries").json()[
        "results"
    ]
    return found


@dataclass(frozen=True)
class Letter:
    """A mail as it was handed to SES."""

    to: str
    subject: str
    text: str
    html: str
    headers: dict[str, str]
    tags: dict[str, str]
    message_id: str

    @property
    def unsubscribe_path(self) -> str:
        return urlsplit(self.headers["List-Unsubscribe"].strip("<>")).path


@dataclass
class Mailbox:
    """Replaces SES behind the client: keeps each mail, or refuses it.

    `refuse` is the code that SES answers with; `hang_up` lets no answer come back.
    """

    letters: list[Letter] = field(default_factory=list)
    refuse: str = ""
    hang_up: bool = False

    def take(self, params: dict[str, Any], **_: Any) -> Any:
        sent = json.loads(params["body"])
        content = sent["Content"]["Simple"]
        letter = Letter(
            to=sent["Destination"]["ToAddresses"][0],
            subject=content["Subject"]["Data"],
            text=content["Body"]["Text"]["Data"],
            html=content["Body"]["Html"]["Data"],
            headers={each["Name"]: each["Value"] for each in content["Headers"]},
            tags={each["Name"]: each["Value"] for each in sent["EmailTags"]},
            message_id=f"m-{len(self.letters)}",
        )
        if self.refuse:
            error = {"Error": {"Code": self.refuse, "Message": "no"}}
            return SimpleNamespace(status_code=400), error
        self.letters.append(letter)
        if self.hang_up:
            raise ReadTimeoutError(endpoint_url="ses")
        return SimpleNamespace(status_code=200), {"MessageId": letter.message_id}


@pytest.fixture
def mailbox(table: None) -> Iterator[Mailbox]:
    """Every mail of the test."""
    box = Mailbox()
    events = aws.client("sesv2").meta.events
    events.register("before-call.sesv2.SendEmail", box.take)
    yield box
    events.unregister("before-call.sesv2.SendEmail", box.take)


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each text of a mail that a translator would get stands between guillemets."""

    def mark(text: str) -> str:
        return f"«{text}»" if text.strip() else text

    def mark_number(one: str, many: str, number: int) -> str:
        return mark(one if number == 1 else many)

    monkeypatch.setattr(translation._trans, "gettext", mark)
    monkeypatch.setattr(translation._trans, "ngettext", mark_number)


def words_left(text: str) -> set[str]:
    """The words of a mail that no translator would get."""
    while "«" in text:  # one may stand in another, as a month does
        text = re.sub(r"«[^«»]*»", " ", text)
    return set(re.findall(r"[A-Za-z]{2,}", text)) - {"Parley"}
