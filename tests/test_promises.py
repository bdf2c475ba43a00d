"""A mail is owed for an instant promised: what is moved is announced anew, and never twice."""

from datetime import datetime
from typing import Any

import pytest
from time_machine import travel

from tests.callers import Caller, access_token
from tests.reminder_helpers import (
    MINUTE,
    Mailbox,
    deliveries_of,
    event_of,
    reminder_of,
    sweep_at,
    verified,
)
from tests.test_flashcards import card_of, deck_of

AT = datetime.fromisoformat("2030-06-03T17:00:00+00:00")
KEY = "20300603T181000"


@pytest.fixture
def maria(maria: Caller) -> Caller:
    return verified(maria)


def change_at(instant: str | datetime, caller: Caller, path: str, body: Any) -> dict[str, Any]:
    """A PATCH, or without a body a dismissal, at an instant."""
    with travel(instant, tick=False):
        again = Caller(caller.id, access_token(caller.id))
        answer = again.patch(path, body) if body else again.post(f"{path}/dismiss")
        assert answer.status_code == 200, answer.content
        changed: dict[str, Any] = answer.json()
        return changed


def weekly(maria: Caller, *offsets: int) -> tuple[str, str]:
    """The paths of a weekly event at 17:10 UTC, 18:10 in Lisbon, and of its reminder."""
    event = event_of(
        maria, startsAt="2030-06-03T17:10:00Z", endsAt="2030-06-03T18:00:00Z", rrule="FREQ=WEEKLY"
    )
    reminder = reminder_of(
        maria, kind="event", eventId=event["id"], offsetMinutes=list(offsets or (10,))
    )
    return f"/events/{event['id']}", f"/reminders/{reminder['id']}"


def sweep_from(first: datetime, minutes: int) -> None:
    for minute in range(0, minutes, 10):
        sweep_at(first + minute * MINUTE)


MOVES: dict[str, dict[str, Any]] = {
    "an occurrence": {"moved": [{"occurrence": KEY, "startsAt": "2030-06-03T19:10:00Z"}]},
    "the whole series": {"startsAt": "2030-06-03T19:10:00Z"},
    "to its right zone": {"timezone": "Atlantic/Azores", "startsAt": "2030-06-03T18:10:00Z"},
}


@pytest.mark.parametrize("move", MOVES)
def test_an_event_moved_after_its_mail_is_announced_at_its_new_time(
    maria: Caller, mailbox: Mailbox, move: str
) -> None:
    event, reminder = weekly(maria)
    sweep_at(AT)
    assert len(mailbox.letters) == 1
    change_at(AT + MINUTE, maria, event, MOVES[move])
    sweep_from(AT + 2 * MINUTE, 200)
    assert len(mailbox.letters) == 2
    states = [
        (each["state"], each["reason"]) for each in deliveries_of(maria, {"id": reminder[11:]})
    ]
    assert states == [("sent", "")] * 2


def test_an_event_moved_away_and_back_is_announced_once(maria: Caller, mailbox: Mailbox) -> None:
    event, _ = weekly(maria)
    sweep_at(AT)
    change_at(AT + MINUTE, maria, event, MOVES["an occurrence"])
    change_at(AT + 2 * MINUTE, maria, event, {"moved": []})
    sweep_from(AT + 3 * MINUTE, 200)
    assert len(mailbox.letters) == 1


def test_a_clock_that_is_behind_promises_nothing_twice(maria: Caller, mailbox: Mailbox) -> None:
    event, _ = weekly(maria)
    sweep_at(AT)
    change_at(AT - MINUTE / 3, maria, event, {"rrule": "FREQ=WEEKLY;COUNT=9"})
    sweep_from(AT + MINUTE, 60)
    assert len(mailbox.letters) == 1


def test_a_correction_of_another_part_repeats_nothing(maria: Caller, mailbox: Mailbox) -> None:
    event, _ = weekly(maria)
    sweep_at(AT)
    change_at(AT + MINUTE, maria, event, {"title": "Outra", "rrule": "FREQ=WEEKLY;COUNT=9"})
    sweep_from(AT + 2 * MINUTE, 200)
    assert len(mailbox.letters) == 1


def test_what_was_dismissed_stays_so_while_its_instant_does(
    maria: Caller, mailbox: Mailbox
) -> None:
    event, reminder = weekly(maria)
    dismissed = change_at(AT - 9 * MINUTE, maria, reminder, None)
    assert dismissed["nextAt"] == "2030-06-10T17:00:00Z"
    for count in (9, 8):
        change_at(AT - 8 * MINUTE, maria, event, {"rrule": f"FREQ=WEEKLY;COUNT={count}"})
    change_at(AT - 7 * MINUTE, maria, reminder, {"offsetMinutes": [10, 5]})
    sweep_from(AT, 60)
    assert len(mailbox.letters) == 1  # five minutes before
    change_at(AT + 8 * MINUTE, maria, event, MOVES["an occurrence"])
    sweep_from(AT + 9 * MINUTE, 180)
    assert len(mailbox.letters) == 2  # the later of its two reminders


def test_a_one_off_dismissed_moved_away_and_back_is_mailed(maria: Caller, mailbox: Mailbox) -> None:
    reminder = reminder_of(maria)
    path = f"/reminders/{reminder['id']}"
    change_at(AT - 9 * MINUTE, maria, path, None)
    change_at(AT - 8 * MINUTE, maria, path, {"at": "2030-06-03T18:00:00Z"})
    change_at(AT - 7 * MINUTE, maria, path, {"at": "2030-06-03T17:00:00Z"})
    sweep_from(AT, 60)
    assert [letter.subject for letter in mailbox.letters] == ["Ligar à Inês"]
    assert [each["state"] for each in deliveries_of(maria, reminder)] == ["sent"]


def study(maria: Caller, local_time: str) -> str:
    reminder = reminder_of(maria, kind="study", weekdays=list(range(7)), localTime=local_time)
    return f"/reminders/{reminder['id']}"


EIGHT = datetime.fromisoformat("2026-12-01T08:00:00+00:00")


@pytest.mark.parametrize("before", ["its mail", "nothing due", "a dismissal"])
def test_a_study_reminder_retimed_on_the_same_day_comes_at_its_new_time(
    maria: Caller, mailbox: Mailbox, before: str
) -> None:
    with travel(EIGHT - 60 * MINUTE, tick=False):
        again = Caller(maria.id, access_token(maria.id))
        path = study(again, "08:00")
        deck = deck_of(again)
        if before == "its mail":
            card_of(again, deck)
    if before == "a dismissal":
        change_at(EIGHT - 10 * MINUTE, maria, path, None)
    sweep_at(EIGHT)
    mailed = len(mailbox.letters)
    assert mailed == (before == "its mail")
    card_of(maria, deck, front="outra")
    change_at(EIGHT + MINUTE, maria, path, {"localTime": "09:00"})
    sweep_from(EIGHT + 2 * MINUTE, 120)
    assert len(mailbox.letters) == mailed + 1


@pytest.mark.parametrize(
    "body", [{"localTime": "07:30"}, {"paused": True}], ids=["retimed", "resumed"]
)
def test_a_learner_who_flies_west_gets_no_second_digest_of_one_date(
    maria: Caller, mailbox: Mailbox, body: dict[str, Any]
) -> None:
    with travel(EIGHT - 60 * MINUTE, tick=False):
        again = Caller(maria.id, access_token(maria.id))
        path = study(again, "08:00")
        card_of(again, deck_of(again))
    sweep_at(EIGHT)
    assert len(mailbox.letters) == 1
    change_at(EIGHT + MINUTE, maria, path, body)
    if "paused" in body:
        change_at(EIGHT + 2 * MINUTE, maria, path, {"paused": False})
    change_at(EIGHT + 3 * MINUTE, maria, "/profile", {"timezone": "America/Los_Angeles"})
    sweep_from(EIGHT + 10 * MINUTE, 20 * 60)
    assert len(mailbox.letters) == 1
