"""Reminders on the days when clocks do odd things: made over HTTP, mailed by the sweep."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from time_machine import travel

from reminders.models import shard_of
from tests.callers import Caller, access_token
from tests.reminder_helpers import Mailbox, event_of, prefer, reminder_of, sweep_at, verified
from tests.test_flashcards import card_of, deck_of

HALF_AN_HOUR = timedelta(minutes=30)


def instants_mailed(caller: Caller, mailbox: Mailbox, *around: str) -> list[str]:
    """Sweeps each half hour of the two days from each instant; when a mail went out."""
    found = []
    for text in around:
        start = datetime.fromisoformat(text).replace(tzinfo=UTC)
        for n in range(97):
            before = len(mailbox.letters)
            sweep_at(start + n * HALF_AN_HOUR, shards=[shard_of(caller.id)])
            found += [f"{start + n * HALF_AN_HOUR:%Y-%m-%d %H:%M}"] * (
                len(mailbox.letters) - before
            )
    return found


def remind_at_start(made_at: str, caller: Caller, **event: Any) -> Caller:
    """A learner with a reminder at the very start of an event, made at an instant."""
    with travel(f"{made_at}T00:00:00Z", tick=False):
        present = Caller(verified(caller).id, access_token(caller.id))
        made = event_of(present, endsAt=event["startsAt"], **event)
        reminder_of(present, kind="event", eventId=made["id"], offsetMinutes=[0])
    return present


@pytest.mark.parametrize(
    ("zone", "starts_at", "rule", "around", "expected"),
    [
        # 02:30 is skipped on 14 March: 03:30 then, which is 07:30 UTC before and after.
        (
            "America/New_York",
            "2027-03-13T07:30:00Z",
            "FREQ=DAILY;COUNT=3",
            ["2027-03-13", "2027-03-15"],
            ["2027-03-13 07:30", "2027-03-14 07:30", "2027-03-15 06:30"],
        ),
        # 01:30 comes twice on 7 November: the first of the two.
        (
            "America/New_York",
            "2027-11-06T05:30:00Z",
            "FREQ=DAILY;UNTIL=20271108T235959Z",
            ["2027-11-06", "2027-11-08"],
            ["2027-11-06 05:30", "2027-11-07 05:30", "2027-11-08 06:30"],
        ),
        # Lord Howe's clocks go by half an hour, from +10:30 to +11.
        (
            "Australia/Lord_Howe",
            "2027-10-01T22:30:00Z",
            "FREQ=DAILY;COUNT=2",
            ["2027-10-01"],
            ["2027-10-01 22:30", "2027-10-02 22:00"],
        ),
        (
            "Asia/Kathmandu",
            "2027-01-01T00:15:00Z",
            "FREQ=DAILY;COUNT=2",
            ["2027-01-01"],
            ["2027-01-01 00:30", "2027-01-02 00:30"],  # the sweep after 06:00 there
        ),
        # Morocco takes its summer time back for Ramadan.
        (
            "Africa/Casablanca",
            "2027-02-06T08:00:00Z",
            "FREQ=DAILY;COUNT=2",
            ["2027-02-06"],
            ["2027-02-06 08:00", "2027-02-07 09:00"],
        ),
        ("UTC", "2027-01-31T09:00:00Z", "FREQ=MONTHLY;BYMONTHDAY=31;COUNT=2",
         ["2027-01-31", "2027-02-27", "2027-03-30"], ["2027-01-31 09:00", "2027-03-31 09:00"]),
        ("UTC", "2028-02-29T09:00:00Z", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=2",
         ["2028-02-28", "2029-02-27", "2032-02-28"], ["2028-02-29 09:00", "2032-02-29 09:00"]),
    ],
)  # fmt: skip
def test_an_event_is_mailed_by_the_clock_of_its_zone(
    maria: Caller,
    mailbox: Mailbox,
    zone: str,
    starts_at: str,
    rule: str,
    around: list[str],
    expected: list[str],
) -> None:
    remind_at_start("2026-12-01", maria, timezone=zone, startsAt=starts_at, rrule=rule)
    assert instants_mailed(maria, mailbox, *around) == expected


def test_a_day_that_a_zone_left_out_brings_no_mail(maria: Caller, mailbox: Mailbox) -> None:
    remind_at_start(
        "2011-12-01",
        maria,
        timezone="Pacific/Apia",
        startsAt="2011-12-29T19:00:00Z",  # 09:00 on the 29th, at -10; the 30th never was
        rrule="FREQ=DAILY;COUNT=3",
    )
    mailed = instants_mailed(maria, mailbox, "2011-12-29", "2011-12-31")
    assert mailed[:2] == ["2011-12-29 19:00", "2011-12-30 19:00"]


def test_a_digest_follows_a_learner_to_another_zone(maria: Caller, mailbox: Mailbox) -> None:
    with travel("2027-06-01T00:00:00Z", tick=False):
        present = Caller(verified(maria).id, access_token(maria.id))
        card_of(present, deck_of(present))
        reminder_of(present, kind="study", weekdays=list(range(7)), localTime="08:00")
    assert instants_mailed(maria, mailbox, "2027-06-01")[:2] == [
        "2027-06-01 07:00",
        "2027-06-02 07:00",
    ]
    with travel("2027-06-03T03:00:00Z", tick=False):
        again = Caller(maria.id, access_token(maria.id))
        assert again.patch("/profile", {"timezone": "Asia/Kathmandu"}).status_code == 200
    prefer(maria, study_mails=True)
    assert instants_mailed(maria, mailbox, "2027-06-03")[-1] == "2027-06-04 02:30"
