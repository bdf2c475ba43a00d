"""Sweepers in real processes over one due set. Some are killed, and every mail arrives once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from time_machine import travel

from config.stack import Stack
from reminders.models import EVENT, ONCE, SENT, STUDY, UNCONFIRMED, Delivery, Reminder
from tests.callers import Caller, make_learner
from tests.reminder_helpers import event_of, reminder_of, verified
from tests.sweepers import PostOffice, open_post_office, run_sweepers
from tests.test_flashcards import card_of, deck_of

pytestmark = pytest.mark.server

AT = datetime(2030, 6, 3, 17, tzinfo=UTC)
LEARNERS, THREADS = 8, 2
# Leases last less than a minute, but a slow machine claims late in its wave. All comes before the
# event does, else its mail would be pointless.
APART = timedelta(minutes=3)
KILLED = -9
# What a mail calls a reminder, and when it is due after it.
AFTERWARDS = {
    EVENT: ("Tertúlia", AT + timedelta(days=1)),
    ONCE: ("Ligar à Inês", None),
    STUDY: ("1 card is due", AT + timedelta(days=1)),
}


@pytest.fixture
def post_office() -> Iterator[PostOffice]:
    with open_post_office() as office:
        yield office


def learner(number: int) -> Caller:
    """Someone who has a one-off, an event and a digest due at AT."""
    caller = verified(make_learner(f"learner{number}"))
    begins = (AT + timedelta(minutes=10)).isoformat()
    event = event_of(caller, timezone="UTC", startsAt=begins, endsAt=begins, rrule="FREQ=DAILY")
    reminder_of(caller, at=AT.isoformat())
    reminder_of(caller, kind="event", eventId=event["id"], offsetMinutes=[10])
    reminder_of(caller, kind="study", weekdays=list(range(7)), localTime="17:00")
    card_of(caller, deck_of(caller))
    return caller


def swept(post_office: PostOffice, *waves: list[Any]) -> list[list[int]]:
    """Sends waves of sweepers from AT on, by whose clocks each wave comes `APART` after the last;
    returns how each ended."""
    timed = [{"at": (AT + n * APART).isoformat(), "sweepers": wave} for n, wave in enumerate(waves)]
    reports = run_sweepers({"ses": post_office.url, "threads": THREADS, "waves": timed})
    return [[each["code"] for each in wave] for wave in reports]


# In the first two waves everyone with anything in hand dies, so that at least two do, one of them
# between the record and its answer, whoever is quick. In the third some live beside the dying.
@pytest.mark.parametrize(
    "waves",
    [
        [
            [["claimed", 4], ["sent", 2]],
            [["begun", 2], ["begun", 2]],
            [["sent", 1], None],
            [None, None],
        ],
        [
            [["claimed", 1], ["begun", 1], ["sent", 1], ["claimed", 2], ["sent", 1]],
            [["begun", 1], ["sent", 1], ["begun", 1], ["sent", 1], ["begun", 1]],
            [["claimed", 1], ["sent", 1], None, None, None],
            [None] * 5,
        ],
        [
            [["claimed", 1], *[["claimed", 1], ["begun", 1], ["sent", 1]] * 3],
            [["begun", 1], ["sent", 1]] * 5,
            [["claimed", 1], ["begun", 1], ["sent", 1], *[None] * 7],
            [None] * 10,
        ],
    ],
    ids=["two sweepers", "five sweepers", "ten sweepers"],
)
def test_what_is_owed_arrives_once_however_many_sweep_and_die(
    dynamodb_local: Stack, post_office: PostOffice, waves: list[list[Any]]
) -> None:
    with travel(AT - timedelta(hours=1), tick=False):
        learners = [learner(n) for n in range(LEARNERS)]
    ended = swept(post_office, *waves)
    killed = sum(wave.count(KILLED) for wave in ended)
    assert {code for wave in ended for code in wave} == {0, KILLED}
    assert killed >= 2
    assert ended[-1] == [0] * len(waves[-1])

    in_doubt = 0
    for caller in learners:
        for reminder in Reminder.all_of(caller.id, limit=9, start=None).items:
            title, next_at = AFTERWARDS[reminder.about]
            [delivery] = Delivery.of_reminder(caller.id, reminder.id, limit=9, start=None).items
            accepted = sum(
                times
                for (learner_id, text), times in post_office.accepted.items()
                if learner_id == caller.id and title in text
            )
            in_doubt += delivery.repeated or delivery.state == UNCONFIRMED
            assert accepted <= 1 + delivery.repeated
            if delivery.state == UNCONFIRMED:  # a digest once in doubt, anything else twice
                assert delivery.repeated == (reminder.about != STUDY)
            else:
                assert delivery.state == SENT
                assert accepted >= 1
            assert (reminder.next_at, reminder.interrupted) == (next_at, False)
    # Whoever is killed leaves no more mails in doubt than its threads had in hand.
    assert 1 <= in_doubt <= killed * THREADS * len(AFTERWARDS)
