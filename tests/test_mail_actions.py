"""/mail-actions: done and later, from a mail; looking at the link changes nothing."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from time_machine import travel

from reminders import tasks
from reminders.models import Reminder
from tests.callers import Caller, access_token, make_learner
from tests.reminder_helpers import Mailbox, deliveries_of, event_of, reminder_of, sweep_at, verified
from tests.test_bounces import BOUNCE, about, by_sns
from tests.test_sweep_quarantine import SPOILED, spoil

STRANGER = Client(enforce_csrf_checks=True)
AT = "2030-06-03T17:00:00Z"


def link_of(mailbox: Mailbox) -> str:
    [path] = re.findall(r"later: http://[^/]+(/mail-actions/\S+)", mailbox.letters[-1].text)
    return str(path)


def press(path: str, button: str) -> Any:
    form = "application/x-www-form-urlencoded"
    return STRANGER.post(path, f"answer={button}", content_type=form)


@pytest.fixture
def maria(maria: Caller) -> Caller:
    return verified(maria)


def test_looking_at_the_link_shows_buttons_and_changes_nothing(
    maria: Caller, mailbox: Mailbox
) -> None:
    reminder = reminder_of(maria)
    sweep_at(AT)
    before = maria.get(f"/reminders/{reminder['id']}").json()
    page = STRANGER.get(link_of(mailbox))
    assert (page.status_code, page["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.content.count(b"<button") == 4
    assert "Ligar à Inês" in page.content.decode()
    assert STRANGER.head(link_of(mailbox)).status_code == 200
    assert maria.get(f"/reminders/{reminder['id']}").json() == before


def test_later_mails_it_once_more_then(maria: Caller, mailbox: Mailbox) -> None:
    reminder_of(maria)
    sweep_at(AT)
    with travel("2030-06-03T17:10:00Z", tick=False):
        assert press(link_of(mailbox), "hour").status_code == 200
    for instant in ("2030-06-03T18:00:00Z", "2030-06-03T18:10:00Z", "2030-06-03T19:10:00Z"):
        sweep_at(instant)
    assert len(mailbox.letters) == 2


def test_done_drops_what_was_put_off_and_the_later_mails_of_the_occurrence(
    maria: Caller, mailbox: Mailbox
) -> None:
    event = event_of(maria, rrule="FREQ=DAILY;COUNT=2")
    reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[60, 10])
    sweep_at(AT)
    with travel("2030-06-03T17:05:00Z", tick=False):
        press(link_of(mailbox), "hour")
        press(link_of(mailbox), "done")
    for instant in ("2030-06-03T17:50:00Z", "2030-06-03T18:05:00Z"):
        sweep_at(instant)
    assert len(mailbox.letters) == 1
    sweep_at("2030-06-04T17:00:00Z")
    assert len(mailbox.letters) == 2


@pytest.mark.parametrize("button", ["done", "tomorrow"])
def test_what_was_deleted_meanwhile_is_told(maria: Caller, mailbox: Mailbox, button: str) -> None:
    reminder = reminder_of(maria)
    sweep_at(AT)
    with travel(AT, tick=False):
        path = link_of(mailbox)
        Caller(maria.id, access_token(maria.id)).delete(f"/reminders/{reminder['id']}")
        page = press(path, button)
    assert (page.status_code, b"You have deleted" in page.content) == (200, True)
    assert STRANGER.get(path).status_code == 404


def test_no_token_opens_anything_else(maria: Caller, joao: Caller, mailbox: Mailbox) -> None:
    reminder = reminder_of(maria)
    sweep_at(AT)
    path = link_of(mailbox)
    stop = mailbox.letters[0].unsubscribe_path.rpartition("/")[2]
    for wrong in ("x", path[14:-2], stop, "A" * 3000):
        assert STRANGER.get(f"/mail-actions/{wrong}").status_code == 404
        assert press(f"/mail-actions/{wrong}", "done").status_code == 404
    assert press(path, "delete").status_code == 400
    with travel("2030-07-04T17:00:01Z", tick=False):
        assert STRANGER.get(path).status_code == 404
    assert len(deliveries_of(maria, reminder)) == 1


def test_the_page_has_the_title_of_the_event(maria: Caller, mailbox: Mailbox) -> None:
    event = event_of(maria)
    reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[60])
    sweep_at(AT)
    assert '<h1 dir="auto">Tertúlia</h1>' in STRANGER.get(link_of(mailbox)).content.decode()


def test_what_is_paused_is_not_promised_for_later(maria: Caller, mailbox: Mailbox) -> None:
    reminder = reminder_of(maria)
    sweep_at(AT)
    path = f"/reminders/{reminder['id']}"
    with travel(AT, tick=False):
        Caller(maria.id, access_token(maria.id)).patch(path, {"paused": True})
        page = STRANGER.get(link_of(mailbox)).content.decode()
        assert (page.count("<button"), "It is paused" in page) == (1, True)
        answer = press(link_of(mailbox), "hour").content.decode()
    assert "comes up again" not in answer
    assert "It is paused" in answer
    assert maria.get(path).json()["nextAt"] is None


def test_what_does_not_take_place_is_not_promised_for_later(
    maria: Caller, mailbox: Mailbox
) -> None:
    event = event_of(maria, rrule="FREQ=DAILY;COUNT=2")
    reminder = reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[60])
    sweep_at(AT)
    with travel(AT, tick=False):
        now_maria = Caller(maria.id, access_token(maria.id))
        now_maria.patch(f"/events/{event['id']}", {"skipped": ["20300603T190000"]})
        answer = press(link_of(mailbox), "hour").content.decode()
        assert "cannot be put off" in answer
        body = {"until": "2030-06-03T18:30:00Z", "occurrence": "20300603T190000"}
        snoozed = now_maria.post(f"/reminders/{reminder['id']}/snooze", body)
    assert (snoozed.status_code, snoozed.json()["code"]) == (409, "NOTHING_DUE")


def bounce(maria: Caller, mailbox: Mailbox) -> None:
    tasks.handle_ses_event(by_sns(about(mailbox.letters[-1], bounce=BOUNCE)), None)


def turn_off(maria: Caller, mailbox: Mailbox) -> None:
    now_maria = Caller(maria.id, access_token(maria.id))
    now_maria.patch("/profile", {"notifications": {"eventReminders": False}})


@pytest.mark.parametrize(
    ("bar", "note"), [(bounce, "takes no mails"), (turn_off, "turned these mails off")]
)
def test_what_is_not_mailed_is_not_promised_for_later(
    maria: Caller, mailbox: Mailbox, bar: Callable[[Caller, Mailbox], None], note: str
) -> None:
    reminder = reminder_of(maria)
    sweep_at(AT)
    with travel(AT, tick=False):
        bar(maria, mailbox)
        page = STRANGER.get(link_of(mailbox)).content.decode()
        assert (page.count("<button"), note in page) == (1, True)
        answer = press(link_of(mailbox), "hour").content.decode()
    assert ("comes up again" in answer, note in answer) == (False, True)
    assert maria.get(f"/reminders/{reminder['id']}").json()["nextAt"] is None


def test_what_cannot_be_read_is_answered_with_a_page_and_shown_to_staff(
    maria: Caller, mailbox: Mailbox
) -> None:
    reminder = reminder_of(maria)
    sweep_at(AT)
    spoil(Reminder.key(maria.id, reminder["id"]), SPOILED["no instant"])
    with travel(AT, tick=False):
        assert STRANGER.get(link_of(mailbox)).status_code == 404
        answer = press(link_of(mailbox), "done")
    assert (answer.status_code, b"cannot be done" in answer.content) == (200, True)
    [failed] = make_learner("stefan", groups=("staff",)).get("/deliveries").json()["results"]
    assert (failed["reminderId"], failed["reason"]) == (reminder["id"], "unreadable")
