"""The sweep past items that cannot be read: they are set aside, shown to staff, and told of."""

import json
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from accounts.models import learner_key
from config.store.connection import connection
from config.store.items import Raw
from config.telemetry import JsonFormatter
from reminders.models import Delivery, Event, Reminder
from tests.callers import Caller, make_learner
from tests.reminder_helpers import MINUTE, Mailbox, event_of, reminder_of, sweep_at, verified

AT = datetime.fromisoformat("2030-06-03T17:00:00+00:00")


@pytest.fixture
def maria(maria: Caller) -> Caller:
    return verified(maria)


def spoil(key: tuple[str, str], change: Callable[[Raw], Any]) -> Raw:
    """Stores an item changed by hand; returns it as it was."""
    raw: Raw = connection().get_item(key[0], range_key=key[1], consistent_read=True)["Item"]
    spoiled = dict(raw)
    change(spoiled)
    connection().batch_write_item(put_items=[spoiled])
    return raw


# Stored forms that nobody can read, claim or write.
SPOILED: dict[str, Callable[[Raw], Any]] = {
    "another type": lambda raw: raw.update(fence={"S": "x"}),
    "no instant": lambda raw: raw.update(done_at={"S": "yesterday"}),
    "no JSON": lambda raw: raw.update(snoozes={"S": "[["}),
    "no kind": lambda raw: raw.pop("kind"),
    "an unknown kind": lambda raw: raw.update(kind={"S": "reminder2"}),
    "no content": lambda raw: [raw.pop(name) for name in ("about", "done_at", "id")],
    "no place": lambda raw: raw.update(gsi1sk={"S": "0"}),
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_an_item_that_cannot_be_read_delays_nobody(
    maria: Caller, joao: Caller, mailbox: Mailbox, spoiled: str
) -> None:
    poison = reminder_of(maria, at="2030-06-03T16:59:00Z")
    reminder_of(maria, title="Regar as plantas")
    reminder_of(verified(joao))
    spoil(Reminder.key(maria.id, poison["id"]), SPOILED[spoiled])
    for minute in range(2):
        sweep_at(AT + minute * MINUTE)
    texts = {letter.to: letter.text for letter in mailbox.letters}
    assert "Regar as plantas" in texts["maria@example.org"]
    assert "Ligar à Inês" in texts["joao@example.org"]


def test_what_cannot_be_read_is_set_aside_counted_and_told_of_once(
    maria: Caller, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    poison = reminder_of(maria)
    spoil(Reminder.key(maria.id, poison["id"]), SPOILED["no instant"])
    with caplog.at_level(logging.INFO, logger="parley"):
        counts = [sweep_at(AT + minute * MINUTE).counts["quarantined"] for minute in range(3)]
    assert counts == [1, 0, 0]
    said = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert [line["RemindersGivenUp"] for line in said if "RemindersGivenUp" in line] == [1]


def test_staff_see_what_cannot_be_read_and_have_it_sent_once_it_is_mended(
    maria: Caller, mailbox: Mailbox
) -> None:
    poison = reminder_of(maria)
    key = Reminder.key(maria.id, poison["id"])
    sound = spoil(key, SPOILED["no instant"])
    sweep_at(AT)
    stefan = make_learner("stefan", groups=("staff",))
    [failed] = stefan.get("/deliveries").json()["results"]
    assert (failed["reminderId"], failed["reason"]) == (poison["id"], "unreadable")
    early = stefan.post(f"/deliveries/{failed['id']}/retry")
    assert (early.status_code, early.json()["code"]) == (409, "CANNOT_RETRY")
    spoil(key, lambda raw: raw.update(done_at=sound["done_at"]))
    assert stefan.post(f"/deliveries/{failed['id']}/retry").status_code == 200
    sweep_at(AT + MINUTE)
    assert [letter.subject for letter in mailbox.letters] == ["Ligar à Inês"]


def test_an_event_that_cannot_be_read_stops_its_own_reminders_alone(
    maria: Caller, mailbox: Mailbox
) -> None:
    event = event_of(maria, startsAt="2030-06-03T17:00:00Z", endsAt=None)
    reminder = reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[0])
    reminder_of(maria, title="Regar as plantas")
    spoil(Event.key(maria.id, event["id"]), lambda raw: raw.update(moved={"S": "["}))
    sweep_at(AT)
    assert [letter.subject for letter in mailbox.letters] == ["Regar as plantas"]
    stored = Reminder.of(maria.id, reminder["id"])
    assert stored is not None
    assert stored.attempts == 1


# Stored forms of an event that cannot be read, or not be expanded.
SPOILED_EVENTS: dict[str, Callable[[Raw], Any]] = {
    "no JSON": lambda raw: raw.update(moved={"S": "["}),
    "no move": lambda raw: raw.update(moved={"S": '[{"key": "20300603T190000"}]'}),
    "no start": lambda raw: raw.update(starts={"S": "yesterday"}),
    "no zone": lambda raw: raw.update(timezone={"S": "localtime"}),
    "no rule": lambda raw: raw.update(rrule={"S": "FREQ=NEVER"}),
    "another type": lambda raw: raw.update(duration_s={"S": "x"}),
    "no kind": lambda raw: raw.pop("kind"),
}


@pytest.mark.parametrize("spoiled", SPOILED_EVENTS)
def test_an_event_that_cannot_be_read_ends_neither_windows_nor_the_feed(
    maria: Caller, spoiled: str, caplog: pytest.LogCaptureFixture
) -> None:
    poison = event_of(maria, title="Veneno")
    sound = event_of(maria, title="Aula")
    key = Event.key(maria.id, poison["id"])
    stored = spoil(key, SPOILED_EVENTS[spoiled])
    path = urlsplit(maria.makes("/calendar", {})["url"]).path
    window = "/events/occurrences?after=2030-06-01T00:00:00Z"
    with caplog.at_level(logging.INFO, logger="parley"):
        for _ in range(2):
            answer = maria.get(window)
            assert answer.status_code == 200, answer.content
            assert [each["eventId"] for each in answer.json()["results"]] == [sound["id"]]
            assert b"SUMMARY:Aula" in Client().get(path).content
            assert maria.get("/reminders").json()["results"] == []
    said = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert [line["RemindersGivenUp"] for line in said if "RemindersGivenUp" in line] == [1]
    stefan = make_learner("stefan", groups=("staff",))
    [failed] = stefan.get("/deliveries").json()["results"]
    assert failed["reason"] == "event_unreadable"
    retry = f"/deliveries/{failed['id']}/retry"
    assert stefan.post(retry).json()["code"] == "CANNOT_RETRY"
    connection().batch_write_item(put_items=[stored])
    assert stefan.post(retry).status_code == 200
    assert len(maria.get(window).json()["results"]) == 2


def test_what_cannot_be_read_is_missing_from_the_lists_alone(maria: Caller) -> None:
    poison, sound = event_of(maria), event_of(maria)
    spoil(Event.key(maria.id, poison["id"]), SPOILED_EVENTS["no JSON"])
    bad, good = reminder_of(maria), reminder_of(maria)
    spoil(Reminder.key(maria.id, bad["id"]), SPOILED["no instant"])
    for path, left in (("/events", sound), ("/reminders", good)):
        answer = maria.get(path)
        assert answer.status_code == 200, answer.content
        assert [each["id"] for each in answer.json()["results"]] == [left["id"]]


@pytest.mark.parametrize("spoiled", SPOILED)
def test_a_reminder_that_cannot_be_read_keeps_no_other_from_anything(
    maria: Caller, spoiled: str
) -> None:
    event = event_of(maria)
    study = {"kind": "study", "weekdays": [0, 1, 2, 3, 4, 5, 6], "localTime": "07:30"}
    of_event = {"kind": "event", "eventId": event["id"], "offsetMinutes": [5]}
    poison, sound = (reminder_of(maria, **of_event) for _ in range(2))
    follows = reminder_of(maria, **study)
    spoil(Reminder.key(maria.id, poison["id"]), SPOILED[spoiled])
    assert maria.post("/reminders", of_event).status_code == 201
    listed = maria.get(f"/reminders?eventId={event['id']}")
    assert listed.status_code == 200, listed.content
    assert sound["id"] in [each["id"] for each in listed.json()["results"]]
    assert maria.patch("/profile", {"timezone": "Asia/Tokyo"}).status_code == 200
    assert maria.get(f"/reminders/{follows['id']}").json()["nextAt"] != follows["nextAt"]
    moved = {"startsAt": "2030-06-04T18:00:00Z"}
    assert maria.patch(f"/events/{event['id']}", moved).status_code == 200
    path = f"/reminders/{sound['id']}"
    assert maria.get(path).json()["nextAt"] == "2030-06-04T17:55:00Z"
    assert maria.delete(f"/events/{event['id']}").status_code == 204
    assert maria.get(path).status_code == 404


@pytest.mark.parametrize("spoiled", SPOILED)
def test_a_reminder_that_cannot_be_read_can_be_deleted(maria: Caller, spoiled: str) -> None:
    poison = reminder_of(maria)
    spoil(Reminder.key(maria.id, poison["id"]), SPOILED[spoiled])
    path = f"/reminders/{poison['id']}"
    assert maria.delete(path).status_code == 204
    assert maria.delete(path).status_code == 404


@pytest.mark.parametrize("spoiled", SPOILED_EVENTS)
def test_an_event_that_cannot_be_read_can_be_deleted_with_its_reminders(
    maria: Caller, spoiled: str
) -> None:
    event = event_of(maria)
    of_event = {"kind": "event", "eventId": event["id"], "offsetMinutes": [5]}
    poison, sound = (reminder_of(maria, **of_event) for _ in range(2))
    follows = reminder_of(maria, kind="study", weekdays=[0, 1, 2, 3, 4, 5, 6], localTime="07:30")
    spoil(Event.key(maria.id, event["id"]), SPOILED_EVENTS[spoiled])
    spoil(Reminder.key(maria.id, poison["id"]), SPOILED["no instant"])
    assert maria.patch("/profile", {"timezone": "Asia/Tokyo"}).status_code == 200
    assert maria.get(f"/reminders/{follows['id']}").json()["nextAt"] != follows["nextAt"]
    assert maria.get(f"/reminders/{sound['id']}").json()["nextAt"] == sound["nextAt"]
    path = f"/events/{event['id']}"
    assert maria.delete(path).status_code == 204
    assert maria.delete(path).status_code == 404
    for reminder in (poison, sound):
        assert maria.get(f"/reminders/{reminder['id']}").status_code == 404


Asked = tuple[str, str, Any]


def answers(caller: Caller, asked: list[Asked]) -> set[tuple[int, str | None]]:
    """The statuses and codes of some requests: a method, a path and a body."""
    found = [
        getattr(caller, method)(path, *([] if body is None else [body]))
        for method, path, body in asked
    ]
    return {(answer.status_code, answer.json().get("code")) for answer in found}


UNREADABLE = {(409, "STORED_UNREADABLE")}


@pytest.mark.parametrize("spoiled", SPOILED_EVENTS)
def test_an_event_that_cannot_be_read_is_answered_with_that_and_shown_to_staff(
    maria: Caller, spoiled: str
) -> None:
    event = event_of(maria)
    of_event = {"kind": "event", "eventId": event["id"], "offsetMinutes": [5]}
    reminder = reminder_of(maria, **of_event)
    cursor = synced(maria)
    maria.patch(f"/events/{event['id']}", {"title": "Aula"})
    spoil(Event.key(maria.id, event["id"]), SPOILED_EVENTS[spoiled])
    path, of_it = f"/events/{event['id']}", f"/reminders/{reminder['id']}"
    replaced = {"title": "Aula", "startsAt": "2030-06-04T18:00:00Z"}
    asked: list[Asked] = [
        ("get", path, None),
        ("patch", path, {"title": "Aula de piano"}),
        ("put", path, replaced),
        ("post", f"{path}/following", {"occurrence": "20300603T190000"}),
        ("patch", of_it, {"offsetMinutes": [3]}),
        ("post", f"{of_it}/dismiss", None),
        ("post", "/reminders", of_event),
    ]
    assert answers(maria, asked) == UNREADABLE
    assert maria.get(of_it).status_code == 200
    for changes in ("/changes", f"/changes?since={cursor}"):
        told = maria.get(changes)
        assert told.status_code == 200, told.content
        assert event["id"] not in [each["key"] for each in told.json()["results"]]
    stefan = make_learner("stefan", groups=("staff",))
    [failed] = stefan.get("/deliveries").json()["results"]
    assert failed["reason"] == "event_unreadable"


def synced(caller: Caller) -> str:
    """The cursor of a device that has everything."""
    cursor, more = "", True
    while more:
        told = caller.get(f"/changes?since={cursor}" if cursor else "/changes").json()
        cursor, more = told["cursor"], told["more"]
    return cursor


@pytest.mark.parametrize(
    "spoiled", ["another type", "no instant", "no JSON", "no kind", "no content"]
)
def test_a_reminder_that_cannot_be_read_is_answered_with_that_and_shown_to_staff(
    maria: Caller, spoiled: str
) -> None:
    poison = reminder_of(maria)
    spoil(Reminder.key(maria.id, poison["id"]), SPOILED[spoiled])
    path = f"/reminders/{poison['id']}"
    asked: list[Asked] = [
        ("get", path, None),
        ("patch", path, {"note": "Mudei"}),
        ("post", f"{path}/dismiss", None),
        ("get", f"{path}/deliveries", None),
    ]
    assert answers(maria, asked) == UNREADABLE
    assert maria.get("/changes").status_code == 200
    stefan = make_learner("stefan", groups=("staff",))
    [failed] = stefan.get("/deliveries").json()["results"]
    assert (failed["reminderId"], failed["reason"]) == (poison["id"], "unreadable")


def test_a_record_that_cannot_be_read_is_left_out_of_the_lists(
    maria: Caller, mailbox: Mailbox
) -> None:
    stefan = make_learner("stefan", groups=("staff",))
    mailbox.refuse = "MessageRejected"
    reminders = [reminder_of(maria), reminder_of(maria, at="2030-06-03T18:00:00Z")]
    for hour in range(2):
        sweep_at(AT + hour * 60 * MINUTE)
    later, earlier = stefan.get("/deliveries").json()["results"]
    learner_id, reminder_id, key = earlier["id"].split(".")
    sk = f"{Delivery.PREFIX}{reminder_id}#{key}"
    spoil((learner_key(learner_id), sk), lambda raw: raw.update(due_at={"S": "yesterday"}))
    left = stefan.get("/deliveries")
    assert left.status_code == 200, left.content
    assert left.json()["results"] == [later]
    for reminder, count in zip(reminders, (0, 1), strict=True):
        listed = maria.get(f"/reminders/{reminder['id']}/deliveries")
        assert len(listed.json()["results"]) == count
