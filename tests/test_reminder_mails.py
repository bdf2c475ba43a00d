"""A reminder's mail: its text part, and the page of its HTML part."""

import re
from typing import Any

import pytest

from learning.services.statistics import Week
from reminders.emails import report_item, scenario_item, streak_item, study_item
from reminders.models import Reminder
from tests.callers import Caller
from tests.reminder_helpers import (
    Mailbox,
    event_of,
    prefer,
    reminder_of,
    sweep_at,
    verified,
    words_left,
)

LONG = "https://example.org/" + "x" * 300


def sent(maria: Caller, mailbox: Mailbox) -> tuple[str, str]:
    """The two parts of the one mail of a night that quiet hours have merged."""
    verified(maria)
    prefer(maria, quiet_from="22:00", quiet_until="07:00", first_name="Maria & <Zé>")
    event = event_of(
        maria,
        title="محادثة <b>& mais</b> 🎉",
        description=f"Um\n\n- dois {LONG}",
        startsAt="2030-06-04T02:00:00Z",
        endsAt="2030-06-04T07:00:00Z",
    )
    reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[0])
    reminder_of(maria, at="2030-06-04T01:00:00Z", note="Sobre a viagem")
    sweep_at("2030-06-04T06:00:00Z")
    [letter] = mailbox.letters
    assert letter.subject == "2 reminders"
    return letter.text, letter.html


def test_the_text_is_as_it_was_written(maria: Caller, mailbox: Mailbox) -> None:
    text, _ = sent(maria, mailbox)
    note, event = text.split("Done, or later: http")[:2]
    assert note == "Hello Maria & <Zé>,\n\nLigar à Inês\nSobre a viagem\n"
    assert "\n\nمحادثة <b>& mais" in event
    assert f"Um\n\n- dois {LONG}\n" in text
    assert re.search(r"Get no more reminders of events and tasks:\nhttp://\S+$", text)


def test_the_page_escapes_and_wraps_and_lets_each_text_run_its_own_way(
    maria: Caller, mailbox: Mailbox
) -> None:
    _, html = sent(maria, mailbox)
    assert "Maria &amp; &lt;Zé&gt;" in html
    assert "محادثة &lt;b&gt;&amp; mais&lt;/b&gt; 🎉</p>" in html
    assert html.count('<p dir="auto"') == 2 + 3  # two titles, a note, when, a description
    assert f'<a href="{LONG}"' in html
    assert "overflow-wrap:anywhere" in html
    assert "Um<br><br>- dois" in html
    [link] = re.findall(
        r'<a [^>]*href="([^"]+)"[^>]*>Get no more reminders of events and tasks</a>', html
    )
    assert html.count(link) == 1  # nobody reads such an address


@pytest.mark.usefixtures("marked")
def test_a_translator_gets_every_text_of_a_reminder(maria: Caller, mailbox: Mailbox) -> None:
    verified(maria)
    prefer(maria, first_name="1", timezone="Europe/Lisbon")
    event = event_of(
        maria,
        title="2",
        location="3",
        startsAt="2030-06-04T02:00:00Z",
        endsAt="2030-06-05T07:00:00Z",
        timezone="Asia/Tokyo",
    )
    reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[0])
    sweep_at("2030-06-04T02:00:30Z")
    [letter] = mailbox.letters
    assert re.search(r"«Where: 3»", letter.text)
    zones_and_link = {"Europe", "Lisbon", "Asia", "Tokyo", "http", "unsubscribe"}
    text = re.sub(r"http\S+", "", letter.text)
    assert words_left(letter.subject + text) - zones_and_link == set()


@pytest.mark.usefixtures("marked")
@pytest.mark.parametrize("number", [1, 7, 100])
def test_a_translator_gets_the_text_of_a_digest(number: int, settings: Any) -> None:
    settings.FRONTEND_URL = "1"
    about = Reminder("1", "1", title="2", scenario_id="3")
    week = Week(number, number, number, number / 100, number, ("4", "5"))
    for item in (
        study_item(Reminder("1", "1"), number),
        scenario_item(about),
        report_item(week),
        streak_item(number),
    ):
        assert str(number) in item.subject or item.title == item.subject
        texts = (item.subject, item.title, *item.lines, *(link.text for link in item.links))
        assert words_left("".join(texts)) == set()
