"""Quiet hours: what they hold, what they swallow, and that `nextAt` tells when the mail comes."""

from typing import Any

import pytest

from reminders.models import Reminder
from tests.callers import Caller
from tests.reminder_helpers import (
    Mailbox,
    deliveries_of,
    event_of,
    prefer,
    reminder_of,
    sweep_at,
    verified,
)

BEFORE_NIGHT, NIGHT_ENDS = "2030-06-03T20:50:00Z", "2030-06-04T06:00:00Z"


@pytest.fixture
def maria(maria: Caller) -> Caller:
    """Maria, in Lisbon, sleeps from 21:00 to 06:00 UTC."""
    prefer(verified(maria), quiet_from="22:00", quiet_until="07:00")
    return maria


def night_call(maria: Caller, ends: str = "2030-06-04T03:00:00Z", **fields: Any) -> dict[str, Any]:
    """A reminder of an event in the night, an hour and ten minutes before."""
    event = event_of(maria, startsAt="2030-06-04T01:00:00Z", endsAt=ends, **fields)
    return reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[10, 60])


def next_at(maria: Caller, reminder: dict[str, Any]) -> Any:
    return maria.get(f"/reminders/{reminder['id']}").json()["nextAt"]


def outcomes(maria: Caller, reminder: dict[str, Any]) -> list[tuple[str, str]]:
    found = deliveries_of(maria, reminder)
    return sorted((each["state"], each["reason"]) for each in found)


def test_what_is_held_is_announced_for_the_end_of_the_night(
    maria: Caller, mailbox: Mailbox
) -> None:
    reminder = night_call(maria, ends="2030-06-04T09:00:00Z")
    assert reminder["nextAt"] == NIGHT_ENDS
    assert reminder_of(maria, at="2030-06-03T23:00:00Z")["nextAt"] == NIGHT_ENDS
    for instant in ("2030-06-04T00:00:00Z", "2030-06-04T00:50:00Z"):
        sweep_at(instant)
        assert next_at(maria, reminder) == NIGHT_ENDS
    sweep_at(NIGHT_ENDS)
    assert len(mailbox.letters) == 1
    assert next_at(maria, reminder) is None


def test_what_the_night_swallows_is_skipped_and_not_announced(
    maria: Caller, mailbox: Mailbox
) -> None:
    reminder = night_call(maria)
    assert reminder["nextAt"] is None
    for instant in (BEFORE_NIGHT, "2030-06-04T00:00:00Z", "2030-06-04T00:50:00Z", NIGHT_ENDS):
        sweep_at(instant)
    assert mailbox.letters == []
    assert outcomes(maria, reminder) == [("skipped", "quiet_hours")] * 2


def test_a_learner_can_have_it_before_the_night_instead_once(
    maria: Caller, mailbox: Mailbox
) -> None:
    prefer(maria, early_mails=True)
    reminder = night_call(maria)
    other = reminder_of(maria, title="Regar as plantas", at="2030-06-03T22:00:00Z")
    assert (reminder["nextAt"], other["nextAt"]) == (BEFORE_NIGHT, NIGHT_ENDS)
    sweep_at(BEFORE_NIGHT)
    [letter] = mailbox.letters
    assert letter.subject == "Tertúlia: Tuesday 4 June 2030, 02:00"
    assert next_at(maria, reminder) is None
    for instant in ("2030-06-03T22:00:00Z", "2030-06-04T00:00:00Z", "2030-06-04T00:50:00Z"):
        sweep_at(instant)
    assert len(mailbox.letters) == 1
    sweep_at(NIGHT_ENDS)
    assert [letter.subject for letter in mailbox.letters[1:]] == ["Regar as plantas"]
    assert outcomes(maria, reminder) == [("sent", ""), ("skipped", "superseded")]


def test_a_sweep_that_comes_after_the_night_has_begun_skips_it(
    maria: Caller, mailbox: Mailbox
) -> None:
    prefer(maria, early_mails=True)
    reminder = night_call(maria)
    for instant in ("2030-06-03T21:00:00Z", "2030-06-04T00:50:00Z"):
        sweep_at(instant)
    assert mailbox.letters == []
    assert outcomes(maria, reminder) == [("skipped", "quiet_hours"), ("skipped", "superseded")]


def test_of_a_series_the_next_night_is_announced(maria: Caller, mailbox: Mailbox) -> None:
    prefer(maria, early_mails=True)
    reminder = night_call(maria, rrule="FREQ=DAILY")
    sweep_at(BEFORE_NIGHT)
    assert next_at(maria, reminder) == "2030-06-04T20:50:00Z"
    sweep_at("2030-06-04T20:50:30Z")
    assert len(mailbox.letters) == 2


def test_a_series_by_night_alone_has_no_mail_ahead(maria: Caller) -> None:
    assert night_call(maria, rrule="FREQ=DAILY")["nextAt"] is None


def test_a_change_of_the_quiet_hours_moves_what_is_ahead(maria: Caller) -> None:
    reminders = [night_call(maria), reminder_of(maria, at="2030-06-03T23:00:00Z")]
    later = {"starts": "23:00", "ends": "08:00"}
    expected: list[tuple[dict[str, Any], list[str]]] = [
        ({"beforeQuietHours": True}, [BEFORE_NIGHT, NIGHT_ENDS]),
        ({"quietHours": later}, ["2030-06-03T21:50:00Z", "2030-06-04T07:00:00Z"]),
        ({"quietHours": None}, ["2030-06-04T00:00:00Z", "2030-06-03T23:00:00Z"]),
    ]
    for change, instants in expected:
        answer = maria.patch("/profile", {"notifications": change})
        assert answer.status_code == 200, answer.content
        assert [next_at(maria, reminder) for reminder in reminders] == instants
    stored = Reminder.of(maria.id, reminders[0]["id"])
    assert stored is not None
    assert stored.due_at.isoformat() == "2030-06-04T00:00:00+00:00"
