"""POST /events/{id}/following: an occurrence and all that follow it, changed together."""

from typing import Any

import pytest
from time_machine import travel

from tests.callers import Caller, access_token
from tests.reminder_helpers import Mailbox, event_of, reminder_of, sweep_at, verified

WINDOW = "/events/occurrences?after=2030-06-01T00:00:00Z&before=2030-07-31T00:00:00Z&limit=100"
DAYS = {"rrule": "FREQ=DAILY;COUNT=6"}  # from 3 June 2030, 19:00 in Lisbon
FROM_6TH = {"occurrence": "20300606T190000"}


def split(maria: Caller, event: dict[str, Any], **body: Any) -> Any:
    answer = maria.post(f"/events/{event['id']}/following", FROM_6TH | body)
    assert answer.status_code == 201, answer.content
    return answer.json()


def days(maria: Caller, event: dict[str, Any]) -> list[str]:
    found = maria.get(WINDOW).json()["results"]
    return [each["startsAt"][8:13] for each in found if each["eventId"] == event["id"]]


def test_the_series_ends_before_and_the_rest_goes_on_changed(maria: Caller) -> None:
    event = event_of(maria, **DAYS)
    rest = split(maria, event, startsAt="2030-06-06T19:00:00Z", location="Café")
    assert days(maria, event) == ["03T18", "04T18", "05T18"]
    assert days(maria, rest) == ["06T19", "07T19", "08T19"]
    assert (rest["title"], rest["location"], rest["rrule"]) == (
        "Tertúlia",
        "Café",
        "FREQ=DAILY;COUNT=3",
    )


@pytest.mark.parametrize(
    "rrule",
    [
        "FREQ=DAILY;INTERVAL=3",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH",
        "FREQ=MONTHLY;BYDAY=1MO,2TH",
        "FREQ=DAILY;UNTIL=20300610T180000Z",
        "FREQ=MONTHLY;BYMONTHDAY=3,6,9",
    ],
)
def test_together_both_take_place_when_the_whole_did(maria: Caller, rrule: str) -> None:
    event = event_of(maria, rrule=rrule)
    whole = days(maria, event)
    assert whole[:2] in (["03T18", "06T18"], ["03T18", "13T18"], ["03T18", "04T18"])
    rest = split(maria, event, occurrence=f"203006{whole[1][:2]}T190000")
    assert days(maria, event) + days(maria, rest) == whole


def test_whole_days_are_split_by_the_day(maria: Caller) -> None:
    event = maria.makes("/events", {"title": "Férias", "startsOn": "2030-06-03", **DAYS})
    rest = split(maria, event, occurrence="20300606", title="Mais férias")
    shown = maria.get(WINDOW).json()["results"]
    firsts = [(each["startsOn"], each["title"]) for each in shown]
    assert firsts[2:4] == [("2030-06-05", "Férias"), ("2030-06-06", "Mais férias")]
    assert (len(firsts), rest["rrule"]) == (6, "FREQ=DAILY;COUNT=3")


def test_exceptions_stay_with_their_occurrences(maria: Caller) -> None:
    moved = {"occurrence": "20300607T190000", "startsAt": "2030-06-07T20:00:00Z"}
    event = event_of(maria, **DAYS, skipped=["20300604T190000", "20300608T190000"], moved=[moved])
    rest = split(maria, event)
    assert maria.get(f"/events/{event['id']}").json()["skipped"] == ["20300604T190000"]
    assert days(maria, event) + days(maria, rest) == ["03T18", "05T18", "06T18", "07T20"]


def test_each_occurrence_is_mailed_once_before_and_after(maria: Caller, mailbox: Mailbox) -> None:
    event = event_of(verified(maria), **DAYS)
    reminder = reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[60])
    sweep_at("2030-06-03T17:00:00Z")
    for _ in range(3):  # drops the 4th, 5th and 6th
        maria.post(f"/reminders/{reminder['id']}/dismiss")
    split(maria, event, title="Outra")
    for day in range(3, 10):
        sweep_at(f"2030-06-{day:02}T17:00:00Z")
    assert [letter.subject.partition(":")[0] for letter in mailbox.letters] == [
        "Tertúlia",
        "Outra",
        "Outra",
    ]


def test_what_is_mailed_at_this_moment_is_not_split(maria: Caller, mailbox: Mailbox) -> None:
    event = event_of(verified(maria), **DAYS)
    reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[60])
    with travel("2030-06-03T17:00:10Z", tick=False):
        again = Caller(maria.id, access_token(maria.id))
        answer = again.post(f"/events/{event['id']}/following", FROM_6TH)
        assert (answer.status_code, answer.json()["code"]) == (409, "REMINDER_DUE")


def test_sent_again_it_is_split_once(maria: Caller) -> None:
    event = event_of(maria, **DAYS)
    own = "01JH0000000000000000000001"
    assert split(maria, event, id=own) == split(maria, event, id=own)
    answer = maria.post(f"/events/{event['id']}/following", FROM_6TH | {"id": own, "title": "B"})
    assert (answer.status_code, answer.json()["code"]) == (409, "ID_TAKEN")


@pytest.mark.parametrize(
    "occurrence", ["20300603T190000", "20300612T190000", "20300606", "x", None]
)
def test_only_a_later_occurrence_can_be_the_first_to_change(
    maria: Caller, occurrence: str | None
) -> None:
    event = event_of(maria, **DAYS)
    body = {"occurrence": occurrence} if occurrence else {}
    answer = maria.post(f"/events/{event['id']}/following", body)
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"] == "occurrence"
    single = event_of(maria)
    assert maria.post(f"/events/{single['id']}/following", FROM_6TH).status_code == 400


def test_another_version_is_not_split(maria: Caller) -> None:
    event = event_of(maria, **DAYS)
    path = f"/events/{event['id']}/following"
    assert maria.post(path, FROM_6TH, If_Match='"7"').status_code == 412


def test_the_reminders_of_the_rest_need_room(
    maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = event_of(maria, **DAYS)
    for minutes in (5, 10):
        reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[minutes])
    monkeypatch.setattr("reminders.services.events.MAX_REMINDERS", 3)
    path, body = f"/events/{event['id']}/following", {**FROM_6TH, "location": "Café"}
    refused = maria.post(path, body)
    assert (refused.status_code, refused.json()["code"]) == (409, "TOO_MANY_REMINDERS")
    assert len(maria.get("/events").json()["results"]) == 1
    monkeypatch.setattr("reminders.services.events.MAX_REMINDERS", 4)
    assert maria.post(path, body).status_code == 201
