"""/reminders."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from time_machine import travel
from ulid import ULID

from config.store.transactions import transact
from reminders.models import Event, Reminder
from tests.callers import Caller, access_token
from tests.crashes import Crash
from tests.reminder_helpers import deliveries_of, event_of, reminder_of, sweep_at
from tests.wire import sending, telling

STUDY = {"kind": "study", "weekdays": [0, 1, 2, 3, 4], "localTime": "07:30"}


def signed_in_now(caller: Caller) -> Caller:
    """The same learner with a token of the present time, which a test may have moved."""
    return Caller(caller.id, access_token(caller.id))


def next_of(caller: Caller, reminder: dict[str, Any]) -> str | None:
    found: str | None = caller.get(f"/reminders/{reminder['id']}").json()["nextAt"]
    return found


@contextmanager
def ended_after_a_transaction() -> Iterator[None]:
    """Ends the process at the call after its first transaction."""
    calls: list[str] = []

    def end(operation: str) -> None:
        if "TransactWriteItems" in calls:
            raise Crash
        calls.append(operation)

    with sending(telling(end)):
        yield


def test_a_reminder_is_made_read_replaced_and_deleted(maria: Caller) -> None:
    reminder = reminder_of(maria, note="Sobre o livro")
    path = f"/reminders/{reminder['id']}"
    assert maria.get(path).json() == reminder
    assert maria.put(path, reminder).json() | {"updatedAt": "", "version": 1} == reminder | {
        "updatedAt": ""
    }
    replaced = maria.put(path, {"kind": "once", "title": "Ler", "at": "2030-06-05T00:00:00Z"})
    assert (replaced.json()["note"], replaced.json()["nextAt"]) == ("", "2030-06-05T00:00:00Z")
    assert maria.get("/reminders").json()["results"] == [replaced.json()]
    assert maria.delete(path).status_code == 204
    assert maria.get(path).status_code == 404


def test_a_reminder_sent_again_with_its_id_is_the_same_even_when_its_time_has_passed(
    maria: Caller,
) -> None:
    body = {"kind": "once", "title": "Ler", "at": "2030-06-05T00:00:00Z", "id": str(ULID())}
    first = maria.makes("/reminders", body)
    with travel("2030-06-05T00:00:10Z", tick=False):
        assert signed_in_now(maria).makes("/reminders", body) == first
    other = maria.post("/reminders", body | {"title": "Outro"})
    assert (other.status_code, other.json()["code"]) == (409, "ID_TAKEN")


def test_offsets_come_before_each_occurrence(maria: Caller) -> None:
    event = event_of(maria, rrule="FREQ=WEEKLY;COUNT=2")
    reminder = reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[10, 1440])
    seen = []
    while at := next_of(maria, reminder):
        seen.append(at)
        assert maria.post(f"/reminders/{reminder['id']}/dismiss").status_code == 200
    assert seen == [
        "2030-06-02T18:00:00Z",
        "2030-06-03T17:50:00Z",
        "2030-06-09T18:00:00Z",
        "2030-06-10T17:50:00Z",
    ]
    assert {each["reason"] for each in deliveries_of(maria, reminder)} == {"dismissed"}
    nothing = maria.post(f"/reminders/{reminder['id']}/dismiss")
    assert (nothing.status_code, nothing.json()["code"]) == (409, "NOTHING_DUE")


def test_a_study_reminder_follows_the_learner_to_another_zone(maria: Caller) -> None:
    with travel("2026-11-20T12:00:00Z", tick=False):  # a Friday
        again = signed_in_now(maria)
        reminder = reminder_of(again, **STUDY)
        assert reminder["nextAt"] == "2026-11-23T07:30:00Z"
        assert again.patch("/profile", {"timezone": "Asia/Tokyo"}).status_code == 200
        assert next_of(again, reminder) == "2026-11-22T22:30:00Z"


@pytest.mark.parametrize(
    ("hours", "comes"),
    [
        ({"timezone": "Asia/Tokyo"}, "2026-11-22T22:30:00Z"),
        (
            {"notifications": {"quietHours": {"starts": "22:00", "ends": "09:00"}}},
            "2026-11-23T09:00:00Z",
        ),
    ],
)
def test_what_was_cut_off_after_the_profile_follows_when_it_is_sent_again(
    maria: Caller, hours: dict[str, Any], comes: str
) -> None:
    with travel("2026-11-20T12:00:00Z", tick=False):
        again = signed_in_now(maria)
        reminder = reminder_of(again, **STUDY)
        with ended_after_a_transaction(), pytest.raises(Crash):
            again.patch("/profile", hours)
        assert next_of(again, reminder) == reminder["nextAt"]
        assert again.patch("/profile", hours).status_code == 200
        assert next_of(again, reminder) == comes


def test_a_snoozed_occurrence_comes_later_and_the_others_when_they_would_have(
    maria: Caller,
) -> None:
    with travel("2030-06-03T12:00:00Z", tick=False):
        again = signed_in_now(maria)
        event = event_of(again, rrule="FREQ=DAILY;COUNT=3")
        reminder = reminder_of(again, kind="event", eventId=event["id"], offsetMinutes=[10])
        path = f"/reminders/{reminder['id']}"
        snoozed = again.post(f"{path}/snooze", {"until": "2030-06-04T17:55:00Z"})
        assert snoozed.json()["nextAt"] == "2030-06-04T17:50:00Z"
        again.post(f"{path}/dismiss")
        assert next_of(again, reminder) == "2030-06-04T17:55:00Z"
        again.post(f"{path}/dismiss")
        assert next_of(again, reminder) == "2030-06-05T17:50:00Z"


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"kind": "once", "at": "2030-01-01T00:00:00Z"}, "title", "required"),
        ({"kind": "once", "title": "Ler"}, "at", "required"),
        ({"kind": "once", "title": "Ler", "at": "2020-01-01T00:00:00Z"}, "at", "in_past"),
        (STUDY | {"weekdays": []}, "weekdays", "required"),
        (STUDY | {"weekdays": [7]}, "weekdays.0", "max_value"),
        (STUDY | {"localTime": "24:00"}, "localTime", "invalid"),
        (STUDY | {"at": "2030-01-01T00:00:00Z"}, "at", "contradiction"),
        ({"kind": "event", "offsetMinutes": [5]}, "eventId", "required"),
        ({"kind": "daily"}, "kind", "invalid_choice"),
    ],
)
def test_what_cannot_be_reminded_of_is_400_and_names_the_field(
    maria: Caller, body: dict[str, Any], field: str, code: str
) -> None:
    answer = maria.post("/reminders", body)
    assert answer.status_code == 400, answer.content
    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [(field, code)]


@pytest.mark.parametrize("offsets", [[5, 5], [], [1, 2, 3, 4, 5, 6], [40321], [-1]])
def test_offsets_are_one_to_five_different_ones_of_four_weeks(
    maria: Caller, offsets: list[int]
) -> None:
    event = event_of(maria)
    body = {"kind": "event", "eventId": event["id"], "offsetMinutes": offsets}
    assert maria.post("/reminders", body).status_code == 400


def test_an_unknown_event_is_409(maria: Caller) -> None:
    body = {"kind": "event", "eventId": str(ULID()), "offsetMinutes": [5]}
    answer = maria.post("/reminders", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "UNKNOWN_EVENT")


def test_an_event_has_five_reminders_at_most(maria: Caller) -> None:
    event = event_of(maria)
    body = {"kind": "event", "eventId": event["id"], "offsetMinutes": [5]}
    for _ in range(5):
        maria.makes("/reminders", body)
    answer = maria.post("/reminders", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "TOO_MANY_REMINDERS")


def test_only_reminders_that_are_not_over_count_against_the_cap(
    maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reminders.services.events.MAX_REMINDERS", 2)
    over = [reminder_of(maria) for _ in range(2)]
    refused = maria.post("/reminders", STUDY)
    assert (refused.status_code, refused.json()["code"]) == (409, "TOO_MANY_REMINDERS")
    for one_off in over:
        maria.post(f"/reminders/{one_off['id']}/dismiss")
    live = [reminder_of(maria, **STUDY) for _ in range(2)]
    assert maria.post("/reminders", STUDY).status_code == 409
    again = maria.patch(f"/reminders/{over[0]['id']}", {"at": "2030-06-04T17:00:00Z"})
    assert (again.status_code, again.json()["code"]) == (409, "TOO_MANY_REMINDERS")
    maria.delete(f"/reminders/{live[0]['id']}")
    again = maria.patch(f"/reminders/{over[0]['id']}", {"at": "2030-06-04T17:00:00Z"})
    assert again.status_code == 200


def test_reminders_of_an_event_that_is_over_take_no_room(
    maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reminders.services.events.MAX_REMINDERS", 2)
    reminders = []
    for _ in range(2):
        event = event_of(maria)
        reminders.append(reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[10]))
    assert maria.post("/reminders", STUDY).status_code == 409
    sweep_at("2030-06-03T17:50:30Z")
    for _ in range(2):
        reminder_of(maria, **STUDY)
    ahead = event_of(maria, startsAt="2031-01-01T00:00:00Z", endsAt=None)
    path = f"/reminders/{reminders[0]['id']}"
    moved = maria.patch(path, {"eventId": ahead["id"]})
    assert (moved.status_code, moved.json()["code"]) == (409, "TOO_MANY_REMINDERS")


@pytest.mark.parametrize("kept", ["paused", "dead"])
def test_what_may_still_be_mailed_takes_room(
    maria: Caller, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reminders.services.events.MAX_REMINDERS", 1)
    event = event_of(maria)
    made = reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[10])
    reminder = Reminder.of(maria.id, made["id"])
    assert reminder is not None
    setattr(reminder, kept, True)
    reminder.schedule_check(None)
    transact(reminder.write())
    assert maria.post("/reminders", STUDY).status_code == 409


def test_the_reminders_of_one_event_are_listed_alone(maria: Caller, joao: Caller) -> None:
    event = event_of(maria)
    of_event = maria.makes(
        "/reminders", {"kind": "event", "eventId": event["id"], "offsetMinutes": [5]}
    )
    reminder_of(maria)
    listed = maria.get(f"/reminders?eventId={event['id']}").json()
    assert listed == {"results": [of_event], "next": None}
    assert len(maria.get("/reminders").json()["results"]) == 2
    assert joao.get(f"/reminders?eventId={event['id']}").json()["results"] == []


def test_a_paused_reminder_waits_for_nothing(maria: Caller) -> None:
    reminder = reminder_of(maria)
    path = f"/reminders/{reminder['id']}"
    assert maria.patch(path, {"paused": True}).json()["nextAt"] is None
    assert maria.patch(path, {"paused": False}).json()["nextAt"] == reminder["nextAt"]


def test_a_lost_update_is_412(maria: Caller) -> None:
    path = f"/reminders/{reminder_of(maria)['id']}"
    assert maria.patch(path, {"note": "A"}, If_Match='"1"').json()["version"] == 2
    assert maria.patch(path, {"note": "B"}, If_Match='"1"').status_code == 412
    assert maria.delete(path, If_Match='"1"').status_code == 412


@pytest.mark.parametrize("until", ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
def test_a_snooze_goes_thirty_days_ahead_at_most(maria: Caller, until: str) -> None:
    path = f"/reminders/{reminder_of(maria)['id']}/snooze"
    answer = maria.post(path, {"until": until})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "until")


def test_a_reminder_moves_to_another_event(maria: Caller) -> None:
    first, second = event_of(maria), event_of(maria, startsAt="2031-01-01T00:00:00Z", endsAt=None)
    reminder = reminder_of(maria, kind="event", eventId=first["id"], offsetMinutes=[10])
    path = f"/reminders/{reminder['id']}"
    assert maria.patch(path, {"eventId": second["id"]}).json()["nextAt"] == "2030-12-31T23:50:00Z"
    maria.delete(f"/events/{first['id']}")
    assert maria.get(path).status_code == 200


@pytest.mark.parametrize("change", ["deleted", "moved"])
def test_an_event_has_one_alarm_less_at_the_moment_that_its_reminder_goes(
    maria: Caller, change: str
) -> None:
    event, other = event_of(maria), event_of(maria)
    reminder = reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[10])
    before, path = Event.of(maria.id, event["id"]), f"/reminders/{reminder['id']}"
    with ended_after_a_transaction(), suppress(Crash):
        if change == "deleted":
            maria.delete(path)
        else:
            maria.patch(path, {"eventId": other["id"]})
    after = Event.of(maria.id, event["id"])
    assert before
    assert after
    assert after.alarms_at > before.alarms_at


def test_what_was_dismissed_does_not_come_back_with_a_pause(maria: Caller) -> None:
    event = event_of(maria, rrule="FREQ=DAILY;COUNT=3")
    reminder = reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[60])
    path = f"/reminders/{reminder['id']}"
    dismissed = maria.post(f"{path}/dismiss").json()
    assert dismissed["nextAt"] == "2030-06-04T17:00:00Z"
    assert maria.patch(path, {"paused": True}).json()["nextAt"] is None
    assert maria.patch(path, {"paused": False}).json()["nextAt"] == dismissed["nextAt"]
