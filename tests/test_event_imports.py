"""POST /events/import: calendars of others, what is taken over of them, and what is told."""

import json
import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from time_machine import travel

from reminders.ical_reader import CalendarInvalidError, read_calendar_text
from tests.callers import Caller, access_token
from tests.reminder_helpers import event_of, prefer
from tests.test_calendar import address_of, feed_of

NOW = "2027-01-01T12:00:00Z"
WINDOW = "/events/occurrences?after=2027-01-01T00:00:00Z&before=2027-12-31T00:00:00Z&limit=100"
LISBON = "TZID=Europe/Lisbon"


@pytest.fixture
def maria(maria: Caller) -> Iterator[Caller]:
    with travel(NOW, tick=False):
        prefer(maria, timezone="Europe/Lisbon")
        yield Caller(maria.id, access_token(maria.id))


def calendar_of(*events: str, head: str = "") -> str:
    """A calendar of events, each given by its lines without UID and SUMMARY where it has none."""
    blocks = []
    for number, lines in enumerate(events):
        uid = "" if "UID:" in lines else f"UID:{number}@example.org\n"
        summary = "" if "SUMMARY" in lines else "SUMMARY:Aula\n"
        blocks.append(f"BEGIN:VEVENT\n{uid}{summary}{lines.strip()}\nEND:VEVENT\n")
    whole = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{head}{''.join(blocks)}END:VCALENDAR\n"
    return whole.replace("\n", "\r\n")


def sent(maria: Caller, calendar: str | bytes, **options: Any) -> Any:
    content = calendar.encode() if isinstance(calendar, str) else calendar
    parts = {name: json.dumps(value) for name, value in options.items()}
    return maria.client.post(
        "/events/import",
        {"file": SimpleUploadedFile("a.ics", content), **parts},
        headers={"Authorization": f"Bearer {maria.token}"},
    )


def imported(maria: Caller, text: str, **options: Any) -> Any:
    answer = sent(maria, text, **options)
    assert answer.status_code == 200, answer.content
    return answer.json()


def starts(maria: Caller) -> list[str]:
    return [each["startsAt"] for each in maria.get(WINDOW).json()["results"]]


def remarks(report: Any) -> list[str]:
    return [remark["code"] for event in report["events"] for remark in event["remarks"]]


WEEKLY = f"DTSTART;{LISBON}:20270104T190000\nDTEND;{LISBON}:20270104T203000\n"
SERIES = f"""{WEEKLY}RRULE:FREQ=WEEKLY;COUNT=4
EXDATE;{LISBON}:20270111T190000
RDATE;{LISBON}:20270106T100000
BEGIN:VALARM
ACTION:DISPLAY
TRIGGER:-PT10M
END:VALARM
"""
MOVED = f"""UID:0@example.org
RECURRENCE-ID;{LISBON}:20270118T190000
DTSTART;{LISBON}:20270119T200000
DTEND;{LISBON}:20270119T220000
"""


def test_a_series_comes_with_its_exceptions_further_dates_and_alarms(maria: Caller) -> None:
    report = imported(maria, calendar_of(SERIES, MOVED))
    assert (report["imported"], report["leftOut"], remarks(report)) == (2, 0, [])
    assert starts(maria) == [
        "2027-01-04T19:00:00Z",
        "2027-01-06T10:00:00Z",
        "2027-01-19T20:00:00Z",
        "2027-01-25T19:00:00Z",
    ]
    reminders = maria.get("/reminders").json()["results"]
    assert sorted(each["nextAt"] for each in reminders) == [
        "2027-01-04T18:50:00Z",
        "2027-01-06T09:50:00Z",
    ]


def test_sent_again_it_is_there_once_and_follows_the_calendar(maria: Caller) -> None:
    text = calendar_of(SERIES, MOVED)
    imported(maria, text)
    assert imported(maria, text)["unchanged"] == 2
    changed = imported(maria, text.replace("-PT10M", "-PT20M").replace("COUNT=4", "COUNT=5"))
    assert (changed["updated"], changed["imported"]) == (2, 0) or changed["updated"] == 1
    assert len(starts(maria)) == 5
    assert "2027-01-04T18:40:00Z" in {
        each["nextAt"] for each in maria.get("/reminders").json()["results"]
    }
    assert imported(maria, text.replace("COUNT=4", "COUNT=5"))["imported"] == 0


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_has_other_alarms_alone_is_not_unchanged(maria: Caller, dry_run: bool) -> None:
    text = calendar_of(SERIES)
    imported(maria, text)
    changed = text.replace("-PT10M", "-PT20M")
    report = imported(maria, changed, dryRun=dry_run)
    assert (report["updated"], report["unchanged"]) == (2, 0)
    minutes = {each["offsetMinutes"][0] for each in maria.get("/reminders").json()["results"]}
    assert minutes == ({10} if dry_run else {20})
    if not dry_run:
        assert imported(maria, changed)["unchanged"] == 2


def test_the_learners_own_alarms_stay_while_the_calendar_says_the_same(maria: Caller) -> None:
    text = calendar_of(SERIES)
    imported(maria, text)
    for reminder in maria.get("/reminders").json()["results"]:
        maria.patch(f"/reminders/{reminder['id']}", {"offsetMinutes": [30]})
    assert imported(maria, text)["unchanged"] == 2
    assert imported(maria, text.replace("COUNT=4", "COUNT=5"))["updated"] >= 1
    minutes = {each["offsetMinutes"][0] for each in maria.get("/reminders").json()["results"]}
    assert minutes == {30}


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_event_without_alarms_any_more_reminds_of_nothing_until_it_has_some(
    maria: Caller, dry_run: bool
) -> None:
    alarm = "BEGIN:VALARM\nTRIGGER:-PT10M\nEND:VALARM\n"
    event = "UID:aula\nDTSTART:20270104T190000Z\nSUMMARY:Aula\n"
    imported(maria, calendar_of(event + alarm))
    [reminder] = maria.get("/reminders").json()["results"]
    for text, gone in ((event, True), (event, False)):
        report = imported(maria, calendar_of(text), dryRun=dry_run)
        told_again = gone or dry_run
        assert report["events"][0]["status"] == ("updated" if told_again else "unchanged")
        assert remarks(report) == (["alarms_gone"] if told_again else [])
    [left] = maria.get("/reminders").json()["results"]
    assert (left["paused"], left["nextAt"] is None) == (not dry_run, not dry_run)
    assert left["offsetMinutes"] == [10]
    imported(maria, calendar_of(event + alarm.replace("10M", "5M")))
    [left] = maria.get("/reminders").json()["results"]
    assert (left["id"], left["paused"], left["offsetMinutes"]) == (reminder["id"], False, [5])


def test_a_dry_run_foretells_that_there_is_no_room_for_alarms(
    maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reminders.services.events.MAX_REMINDERS", 1)
    text = calendar_of(SERIES)
    told = imported(maria, text, dryRun=True)
    assert remarks(told) == ["alarm_not_kept"]
    assert told == imported(maria, text)
    assert len(maria.get("/reminders").json()["results"]) == 1


def test_a_dry_run_tells_the_same_and_writes_nothing(maria: Caller) -> None:
    text = calendar_of(SERIES, MOVED, "DTSTART:20260101T000000Z", "SUMMARY:Sem hora")
    told = imported(maria, text, dryRun=True)
    assert maria.get("/events").json()["results"] == []
    assert maria.get("/reminders").json()["results"] == []
    assert told == imported(maria, text)
    assert (told["imported"], told["over"], told["leftOut"]) == (2, 1, 1)


def test_what_the_learner_deleted_stays_deleted(maria: Caller) -> None:
    text = calendar_of(SERIES)
    for event in maria.get("/events").json()["results"] or imported(maria, text)["events"]:
        assert maria.delete(f"/events/{event['eventId']}").status_code == 204
    report = imported(maria, text)
    assert (report["imported"], set(remarks(report))) == (0, {"deleted"})


CASES: dict[str, tuple[str, list[str]]] = {
    "UTC": ("DTSTART:20270104T190000Z", ["2027-01-04T19:00:00Z"]),
    "floating": ("DTSTART:20270704T190000", ["2027-07-04T18:00:00Z"]),
    "Windows": (
        "DTSTART;TZID=W. Europe Standard Time:20270704T190000",
        ["2027-07-04T17:00:00Z"],
    ),
    "path": (
        "DTSTART;TZID=/citadel.org/20210210_1/Europe/Berlin:20270704T190000",
        ["2027-07-04T17:00:00Z"],
    ),
    "until on a date": (f"{WEEKLY}RRULE:FREQ=DAILY;UNTIL=20270105", None),  # type: ignore[dict-item]
    "until on the wall": (f"{WEEKLY}RRULE:FREQ=DAILY;UNTIL=20270105T190000", None),  # type: ignore[dict-item]
    "start beside its rule": (
        f"{WEEKLY}RRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=2",
        ["2027-01-04T19:00:00Z", "2027-01-05T19:00:00Z"],
    ),
    "exception in UTC": (
        f"{WEEKLY}RRULE:FREQ=DAILY;COUNT=2\nEXDATE:20270105T190000Z",
        ["2027-01-04T19:00:00Z"],
    ),
    "exception by date": (
        f"{WEEKLY}RRULE:FREQ=DAILY;COUNT=2\nEXDATE;VALUE=DATE:20270105",
        ["2027-01-04T19:00:00Z"],
    ),
    "further date alone": (
        f"{WEEKLY}RDATE;{LISBON}:20270107T190000",
        ["2027-01-04T19:00:00Z", "2027-01-07T19:00:00Z"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_times_are_read_as_others_write_them(maria: Caller, case: str) -> None:
    text, expected = CASES[case]
    imported(maria, calendar_of(text))
    assert starts(maria) == (expected or ["2027-01-04T19:00:00Z", "2027-01-05T19:00:00Z"])


def test_whole_days_and_their_alarms_keep_their_times(maria: Caller) -> None:
    alarm = "BEGIN:VALARM\nTRIGGER:-PT15H\nEND:VALARM\n"
    days = f"DTSTART;VALUE=DATE:20270801\nDTEND;VALUE=DATE:20270803\n{alarm}"
    imported(maria, calendar_of(days))
    [event] = maria.get("/events").json()["results"]
    assert (event["startsOn"], event["endsOn"]) == ("2027-08-01", "2027-08-02")
    [reminder] = maria.get("/reminders").json()["results"]
    assert reminder["nextAt"] == "2027-07-31T08:00:00Z"  # 09:00 in Lisbon, the day before


LEFT_OUT = {
    "no_start": "DESCRIPTION:Sem hora",
    "timezone_unknown": "DTSTART;TZID=Mars/Base:20270104T190000\nRRULE:FREQ=DAILY",
    "rrule_unsupported": f"{WEEKLY}RRULE:FREQ=HOURLY;COUNT=3",
    "rrule_invalid": f"{WEEKLY}RRULE:FREQ=DAILY;BYDAY=XX",
    "cancelled": f"{WEEKLY}STATUS:CANCELLED",
    "duration_invalid": f"DTSTART;{LISBON}:20270104T190000\nDURATION:P500D",
}


@pytest.mark.parametrize("code", LEFT_OUT)
def test_what_cannot_be_right_is_left_out_with_the_reason(maria: Caller, code: str) -> None:
    report = imported(maria, calendar_of(LEFT_OUT[code], f"{WEEKLY}SUMMARY:Boa"))
    assert (report["leftOut"], report["imported"], remarks(report)) == (1, 1, [code])


TOLD = {
    "not_kept": "ATTENDEE:mailto:joao@example.org\nATTACH:http://127.0.0.1:1/x\nURL:http://x.example",
    "text_shortened": f"DESCRIPTION:{'x' * 2001}",
    "alarm_not_kept": "BEGIN:VALARM\nTRIGGER:PT10M\nEND:VALARM",
}


@pytest.mark.parametrize("code", TOLD)
def test_what_is_not_kept_is_told(maria: Caller, code: str) -> None:
    report = imported(maria, calendar_of(f"{WEEKLY}{TOLD[code]}"))
    assert (report["imported"], remarks(report)) == (1, [code])


def test_an_occurrence_with_a_text_of_its_own_is_told(maria: Caller) -> None:
    override = f"UID:0@example.org\nRECURRENCE-ID;{LISBON}:20270111T190000\nSUMMARY:Exame\n"
    report = imported(maria, calendar_of(f"{WEEKLY}RRULE:FREQ=WEEKLY;COUNT=2", override + WEEKLY))
    assert "occurrence_text_not_kept" in remarks(report)


def test_other_kinds_are_counted(maria: Caller) -> None:
    todo = "BEGIN:VTODO\nUID:t\nSUMMARY:Pagar\nEND:VTODO\n"
    assert imported(maria, calendar_of(WEEKLY, head=todo))["others"] == {"VTODO": 1}


def test_no_more_come_in_than_there_is_room_for(
    maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reminders.services.event_imports.TIME_S", 1e9)  # however busy it is here
    report = imported(maria, calendar_of(*[WEEKLY] * 102), withReminders=False)
    assert (report["imported"], report["leftOut"]) == (100, 2)
    assert remarks(report) == ["too_many_events"] * 2


def test_our_own_feed_comes_back_as_what_is_there(maria: Caller) -> None:
    event_of(maria)
    text = feed_of(address_of(maria)).content.decode()
    report = imported(maria, text)
    assert (report["unchanged"], report["imported"]) == (1, 0)


def test_a_file_that_is_not_in_utf_8_is_refused(maria: Caller) -> None:
    answer = sent(maria, b"\xff\xfe\x00", dryRun=True)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "file")


def test_a_calendar_is_taken_as_a_file_alone(maria: Caller) -> None:
    assert maria.post("/events/import", {"calendar": calendar_of(SERIES)}).status_code == 415


@pytest.mark.parametrize(
    "text",
    ["x", "BEGIN:VCALENDAR", "BEGIN:VEVENT\r\nEND:VEVENT\r\n", "END:VCALENDAR", "\x00", ":;="],
)
def test_what_is_no_calendar_is_refused(maria: Caller, text: str) -> None:
    answer = sent(maria, text)
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"] == "file"


def test_a_damaged_calendar_is_read_as_far_as_it_can_be() -> None:
    rng = random.Random(16)  # noqa: S311
    samples = [SERIES + MOVED, *(text for text, _ in CASES.values()), *LEFT_OUT.values()]
    for _ in range(400):
        text = list(calendar_of(rng.choice(samples), WEEKLY + rng.choice(list(TOLD.values()))))
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(text))
            if rng.random() < 0.5:
                text[place] = rng.choice("0123456789:;=TZ,-+\r\nPXé")
            else:
                del text[place : place + rng.randint(1, 12)]
        with suppress(CalendarInvalidError):
            read = read_calendar_text("".join(text), zone="UTC", now=datetime.fromisoformat(NOW))
            assert all(event.uid for event in read.events)
