"""The sweep among others: who change a reminder meanwhile, fail beside it, have another clock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from time_machine import travel

from accounts.models import learner_key
from config import aws
from config.store.connection import connection
from config.store.items import raw_partition_page
from reminders.models import SENT, Delivery, Reminder
from reminders.services.recipient import read_owners
from reminders.services.sweep import LEASE, SENDING_TAKES, TimeBudget, mail_dues
from tests.callers import Caller, access_token
from tests.memory_table import MemoryTable
from tests.reminder_helpers import (
    MINUTE,
    Mailbox,
    deliveries_of,
    event_of,
    reminder_of,
    sweep_at,
    verified,
)
from tests.wire import sending, telling

AT = datetime.fromisoformat("2030-06-03T17:00:00+00:00")
SECOND = timedelta(seconds=1)
# Moments of a sweep: before it has read what it decides by, and while SES has the mail.
CLAIMED, SENDING = "BatchGetItem", "SendEmail"


@pytest.fixture
def maria(maria: Caller) -> Caller:
    return verified(maria)


@contextmanager
def once_at(moment: str, act: Callable[[], Any]) -> Iterator[None]:
    """Has something happen the first time that a client comes to a moment of a call of its."""
    done: list[bool] = []

    def act_once(**_: Any) -> None:
        if not done:
            done.append(True)
            act()

    if moment == CLAIMED:
        with sending(telling(lambda operation: act_once() if operation == moment else None)):
            yield
    else:
        events, name = aws.client("sesv2").meta.events, f"before-call.sesv2.{moment}"
        events.register_first(name, act_once)
        try:
            yield
        finally:
            events.unregister(name, act_once)
    assert done


def event_reminder(maria: Caller) -> tuple[str, str]:
    """A reminder that is due at AT, and its event on two days."""
    begins, ends = "2030-06-03T17:10:00Z", "2030-06-03T18:10:00Z"
    event = event_of(maria, startsAt=begins, endsAt=ends, rrule="FREQ=DAILY;COUNT=2")
    reminder = reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[10])
    return reminder["id"], event["id"]


def erase(caller: Caller) -> None:
    pk = learner_key(caller.id)
    keys: Any = [
        {"pk": pk, "sk": raw["sk"]["S"]} for raw in raw_partition_page(pk, start=None).items
    ]
    connection().batch_write_item(delete_items=keys)


# What the learner does meanwhile, and whether a mail that was not begun is still owed then.
CHANGES: dict[str, tuple[Callable[[Caller, str, str], Any], bool]] = {
    "note": (lambda m, r, e: m.patch(f"/reminders/{r}", {"note": "Mudei"}), True),
    "event": (lambda m, r, e: m.patch(f"/events/{e}", {"location": "Mudei"}), True),
    "pause": (lambda m, r, e: m.patch(f"/reminders/{r}", {"paused": True}), False),
    "offsets": (lambda m, r, e: m.patch(f"/reminders/{r}", {"offsetMinutes": [5, 10]}), False),
    "dismiss": (lambda m, r, e: m.post(f"/reminders/{r}/dismiss"), False),
    "delete": (lambda m, r, e: m.delete(f"/reminders/{r}"), False),
    "no event": (lambda m, r, e: m.delete(f"/events/{e}"), False),
    "no account": (lambda m, r, e: erase(m), False),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("moment", [CLAIMED, SENDING])
def test_a_change_during_a_sweep_neither_doubles_nor_loses_a_mail(
    maria: Caller, mailbox: Mailbox, moment: str, change: str
) -> None:
    act, still_owed = CHANGES[change]
    reminder_id, event_id = event_reminder(maria)
    with travel(AT + 30 * SECOND, tick=False):
        now_maria = Caller(maria.id, access_token(maria.id))
        with once_at(moment, lambda: act(now_maria, reminder_id, event_id)):
            for minute in range(4):
                sweep_at(AT + 30 * SECOND + minute * MINUTE)
    texts = [letter.text for letter in mailbox.letters]
    assert len(texts) == (1 if moment == SENDING or still_owed else 0)
    if moment == CLAIMED and still_owed:
        assert "Mudei" in texts[0]
    recorded = Delivery.of_reminder(maria.id, reminder_id, limit=9, start=None).items
    if change != "no account":
        assert [each.state for each in recorded].count(SENT) == len(texts)
    else:
        assert recorded == []


def test_a_snooze_while_ses_has_the_mail_brings_it_once_more(
    maria: Caller, mailbox: Mailbox
) -> None:
    reminder = reminder_of(maria)
    path, until = f"/reminders/{reminder['id']}/snooze", AT + 10 * MINUTE
    with travel(AT, tick=False):
        now_maria = Caller(maria.id, access_token(maria.id))
        with once_at(SENDING, lambda: now_maria.post(path, {"until": until.isoformat()})):
            for minute in range(14):
                sweep_at(AT + minute * MINUTE)
    assert [letter.subject for letter in mailbox.letters] == ["Ligar à Inês"] * 2
    assert [each["state"] for each in deliveries_of(maria, reminder)] == ["sent", "sent"]


def test_a_poisoned_reminder_takes_no_other_of_its_learner_with_it(
    maria: Caller, mailbox: Mailbox
) -> None:
    poison, healthy = reminder_of(maria), reminder_of(maria, title="Regar as plantas")
    Reminder(*Reminder.key(maria.id, poison["id"])).update_attributes(
        Reminder.snoozes.set([["a", "b"]])
    )
    sweep_at(AT)
    assert [letter.subject for letter in mailbox.letters] == ["Regar as plantas"]
    assert [each["state"] for each in deliveries_of(maria, healthy)] == ["sent"]


def test_a_busy_table_is_no_failure_of_the_reminder_nor_of_the_sweep(
    maria: Caller, joao: Caller, mailbox: Mailbox, memory_table: MemoryTable
) -> None:
    learners = maria, verified(joao)
    for caller in learners:
        reminder_of(caller)
    busy = iter(["ThrottlingException"])
    memory_table.fault = lambda operation: next(busy, None) if operation == CLAIMED else None
    done = sweep_at(AT)
    # Learners of one shard are read together, and then wait together.
    waiting = done.counts["busy"]
    assert (len(mailbox.letters) + waiting, waiting > 0, len(done.unfinished)) == (2, True, 1)
    for caller in learners:
        assert not Reminder.all_of(caller.id, limit=1, start=None).items[0].attempts
    sweep_at(AT + MINUTE)
    assert {letter.to for letter in mailbox.letters} == {"maria@example.org", "joao@example.org"}


def test_what_was_claimed_too_long_ago_is_left_to_the_next_minute(
    maria: Caller, mailbox: Mailbox
) -> None:
    reminder = Reminder.of(maria.id, reminder_of(maria)["id"])
    assert reminder is not None
    reminder.claim(until=AT + LEASE)
    slow = TimeBudget(AT + LEASE - SENDING_TAKES + SECOND, within_s=60)
    reading = read_owners([reminder], now=slow.now())
    assert mail_dues([reminder], reading, until=AT + LEASE, budget=slow) == {"late": 1}
    assert mailbox.letters == []
    sweep_at(AT + MINUTE)
    assert len(mailbox.letters) == 1


def test_a_clock_that_is_twenty_seconds_ahead_sends_nothing_twice(
    maria: Caller, mailbox: Mailbox
) -> None:
    reminder = reminder_of(maria)
    with once_at(SENDING, lambda: sweep_at(AT + 20 * SECOND)):
        sweep_at(AT)
    sweep_at(AT + MINUTE)
    assert len(mailbox.letters) == 1
    assert [each["state"] for each in deliveries_of(maria, reminder)] == ["sent"]


def test_a_stalled_sweeper_that_was_overtaken_records_nothing(
    maria: Caller, mailbox: Mailbox
) -> None:
    reminder = reminder_of(maria)
    with once_at(CLAIMED, lambda: sweep_at(AT + MINUTE)):
        sweep_at(AT)
    assert len(mailbox.letters) == 1
    assert [each["state"] for each in deliveries_of(maria, reminder)] == ["sent"]
