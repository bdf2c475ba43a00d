"""A reminder's mail from the sweep to the reader, by way of the embedded SES."""

import io
import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from time_machine import travel

from config.ops.mails import Mail, mails
from config.stack import stack
from reminders import tasks
from tests.accounts_helpers import Person, api, sign_up

pytestmark = [
    pytest.mark.server,
    pytest.mark.usefixtures("embedded_pool"),
    pytest.mark.xdist_group("sweeps"),  # a sweep takes whatever is due, whoever made it
]

DAY = timedelta(days=1)
LOCAL = ("Asia/Kathmandu", "America/New_York")


@pytest.fixture
def ines() -> Person:
    """A learner in Kathmandu, 5:45 hours ahead of UTC."""
    person = sign_up("ines")
    sent = api.patch("/profile", {"timezone": LOCAL[0], "firstName": "Inês"}, token=person.token)
    assert sent.status_code == 200, sent.content
    return person


def mailed(person: Person) -> list[Mail]:
    """The reminders in the learner's mailbox, the newest last."""
    url = stack().endpoint_url
    assert url is not None
    return [mail for mail in mails(url, to=person.email) if mail.headers]


def makes(person: Person, path: str, body: Any) -> Any:
    answer = api.post(path, body, token=person.token)
    assert answer.status_code == 201, answer.content
    return answer.json()


def sweep_at(instant: datetime) -> dict[str, Any]:
    """Runs the sweep of each minute at a later instant."""
    with travel(instant, tick=True):
        return tasks.send_due(None, None)


def next_event(person: Person) -> tuple[dict[str, Any], datetime]:
    """An event each day at 18:30 in New York, with a reminder two hours before; the first one's."""
    starts_at = (timezone.now() + DAY).replace(hour=22, minute=30, second=0, microsecond=0)
    event = makes(
        person,
        "/events",
        {
            "title": "Tertúlia às 18h – “ação” 🎉",
            "location": "Café Ñandú",
            "startsAt": f"{starts_at:%Y-%m-%dT%H:%M:%SZ}",
            "timezone": LOCAL[1],
            "rrule": "FREQ=DAILY;COUNT=5",
        },
    )
    reminder = makes(
        person, "/reminders", {"kind": "event", "eventId": event["id"], "offsetMinutes": [120]}
    )
    return reminder, datetime.fromisoformat(reminder["nextAt"])


def test_what_is_read_is_what_was_meant_in_the_readers_zone(ines: Person) -> None:
    _, due_at = next_event(ines)
    sweep_at(due_at)
    [mail] = mailed(ines)
    here = due_at + timedelta(hours=2) + timedelta(hours=5, minutes=45)
    assert mail.to == (ines.email,)
    assert mail.subject == f"Tertúlia às 18h – “ação” 🎉: {here:%A} {here.day} {here:%B %Y, %H:%M}"
    assert f"{here:%H:%M} (Asia/Kathmandu)" in mail.text
    assert re.search(r"; \w+ \d+ \w+ \d{4}, 1[78]:30 in America/New_York", mail.text)
    assert mail.text.startswith("Hello Inês,")
    assert "Where: Café Ñandú" in mail.text
    assert "Tertúlia às 18h – “ação” 🎉" in mail.html
    output = io.StringIO()
    call_command("outbox", ines.email, "--last", stdout=output)
    assert mail.text in output.getvalue()
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in output.getvalue()


def test_one_click_without_a_session_stops_the_next_mail_and_a_look_does_not(ines: Person) -> None:
    reminder, due_at = next_event(ines)
    sweep_at(due_at)
    [mail] = mailed(ines)
    assert mail.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = mail.headers["List-Unsubscribe"]
    assert re.fullmatch(r"<http://[^>\s]+>", link)
    assert link.strip("<>") in mail.text
    path = urlsplit(link.strip("<>")).path
    stranger = Client()
    assert stranger.get(path).status_code == 200
    sweep_at(due_at + DAY)
    assert len(mailed(ines)) == 2
    body = "List-Unsubscribe=One-Click"
    asked = stranger.post(path, body, "application/x-www-form-urlencoded")
    assert asked.status_code == 200
    sweep_at(due_at + 2 * DAY)
    assert len(mailed(ines)) == 2
    path = f"/reminders/{reminder['id']}/deliveries"
    told = api.get(path, token=ines.token).json()["results"]
    assert [(each["state"], each["reason"]) for each in told] == [
        ("skipped", "unsubscribed"),
        ("sent", ""),
        ("sent", ""),
    ]
