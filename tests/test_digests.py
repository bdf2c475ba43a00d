"""Digests: cards of one deck, the weekly report, the streak at risk, and how they thin out."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from time_machine import travel

from reminders.models import Delivery, shard_of
from tests.callers import Caller, access_token
from tests.reminder_helpers import (
    Mailbox,
    deliveries_of,
    event_of,
    prefer,
    reminder_of,
    sweep_at,
    verified,
)
from tests.test_flashcards import card_of, deck_of

MONDAY = datetime.fromisoformat("2027-01-04T12:00:00+00:00")
DAY = timedelta(days=1)
DAILY = {"weekdays": list(range(7)), "localTime": "18:00"}


@pytest.fixture
def clock(maria: Caller) -> Iterator[Any]:
    with travel(MONDAY, tick=False) as clock:
        yield clock


@pytest.fixture
def maria(maria: Caller) -> Caller:
    return verified(maria)


def here(maria: Caller) -> Caller:
    """The learner with a token that is good at this moment."""
    return Caller(maria.id, access_token(maria.id))


def studies(maria: Caller, card: str, number: int, rating: str = "good") -> None:
    body = {
        "id": f"4f0c6f6e-3f3b-4b53-8a0a-{number:012}",
        "rating": rating,
        "reviewedAt": datetime.now(MONDAY.tzinfo).isoformat(),
        "durationMs": 45_000,
    }
    answer = here(maria).post(f"/flashcards/{card}/reviews", body)
    assert answer.status_code == 201, answer.content


def reasons(maria: Caller, reminder: dict[str, Any]) -> list[str]:
    """Why each mail did not go out, the earliest first; empty where it did."""
    return [each["reason"] for each in deliveries_of(here(maria), reminder)][::-1]


def test_the_weekly_report_tells_what_was_done_and_what_is_hard(
    maria: Caller, mailbox: Mailbox, clock: Any, settings: Any
) -> None:
    settings.FRONTEND_URL = "https://app.parley.example"
    easy, hard = (card_of(here(maria), deck_of(here(maria)), front=f) for f in ("casa", "janela"))
    for day in range(6):
        clock.move_to(MONDAY + day * DAY)
        studies(maria, easy, day)
        studies(maria, hard, 100 + day, "again" if day in (2, 4) else "easy")
    report = reminder_of(here(maria), kind="report", weekdays=[6], localTime="18:00")
    sweep_at(report["nextAt"])
    [letter] = mailbox.letters
    assert letter.subject == "Your week with Parley: 12 cards"
    assert "12 cards on 6 days, 9 minutes\n" in letter.text
    assert "Days of study in a row: 6\n" in letter.text
    assert "See more: https://app.parley.example/statistics\n" in letter.text
    assert "weekly reports" in letter.text.rpartition("\n")[0]


def test_a_week_without_study_has_no_report(maria: Caller, mailbox: Mailbox, clock: Any) -> None:
    report = reminder_of(here(maria), kind="report", weekdays=[6], localTime="18:00")
    sweep_at(report["nextAt"])
    assert (mailbox.letters, reasons(maria, report)) == ([], ["nothing_studied"])


def test_a_streak_is_told_of_in_the_evening_it_would_end(
    maria: Caller, mailbox: Mailbox, clock: Any
) -> None:
    card = card_of(here(maria), deck_of(here(maria)))
    reminder = reminder_of(here(maria), kind="streak", **DAILY)
    evening = MONDAY.replace(hour=18)
    sweep_at(evening)
    for day in (1, 2):
        clock.move_to(MONDAY + day * DAY)
        studies(maria, card, day)
        sweep_at(evening + day * DAY)
    for day in (3, 4):
        clock.move_to(MONDAY + day * DAY)
        sweep_at(evening + day * DAY)
    assert [letter.subject for letter in mailbox.letters] == ["Your streak of 2 days ends tonight"]
    assert reasons(maria, reminder) == [
        "no_streak",
        "studied_today",
        "studied_today",
        "",
        "no_streak",
    ]


@pytest.mark.parametrize(("kind", "name"), [("report", "reports"), ("streak", "streakReminders")])
def test_each_kind_is_stopped_by_one_click_of_its_own(
    maria: Caller, mailbox: Mailbox, clock: Any, kind: str, name: str
) -> None:
    studies(maria, card_of(here(maria), deck_of(here(maria))), 1)
    clock.shift(DAY)
    reminder_of(here(maria), kind=kind, **DAILY)
    sweep_at(MONDAY.replace(hour=18) + DAY)
    [letter] = mailbox.letters
    assert maria.client.post(letter.unsubscribe_path).status_code == 200
    wanted = here(maria).get("/profile").json()["notifications"]
    others = {"studyReminders", "eventReminders", "reports", "streakReminders"} - {name}
    assert (wanted[name], {wanted[other] for other in others}) == (False, {True})


def test_a_mail_about_several_kinds_stops_each_or_all_of_them(
    maria: Caller, mailbox: Mailbox, clock: Any
) -> None:
    studies(maria, card_of(here(maria), deck_of(here(maria))), 1)
    clock.shift(DAY)
    for kind in ("report", "streak"):
        reminder_of(here(maria), kind=kind, **DAILY)
    sweep_at(MONDAY.replace(hour=18) + DAY)
    [letter] = mailbox.letters
    assert letter.text.count("Get no more") == 2
    assert maria.client.post(letter.unsubscribe_path).status_code == 200
    wanted = here(maria).get("/profile").json()["notifications"]
    assert (wanted["reports"], wanted["streakReminders"]) == (False, False)
    assert (wanted["studyReminders"], wanted["eventReminders"]) == (True, True)


def test_a_reminder_of_one_deck_counts_its_cards_alone(
    maria: Caller, mailbox: Mailbox, clock: Any, settings: Any
) -> None:
    settings.FRONTEND_URL = "https://app.parley.example"
    verbs, nouns = deck_of(here(maria), name="Verbos"), deck_of(here(maria), name="Nomes")
    card_of(here(maria), verbs)
    empty = reminder_of(here(maria), kind="study", deckId=nouns, **DAILY)
    full = reminder_of(here(maria), kind="study", deckId=verbs, **DAILY)
    sweep_at(full["nextAt"])
    [letter] = mailbox.letters
    assert letter.subject == "Verbos: 1 card is due"
    assert f"https://app.parley.example/study?deck={verbs}" in letter.html
    assert reasons(maria, empty) == ["nothing_due"]


def test_a_reminder_is_about_what_there_is_and_about_one_thing(maria: Caller) -> None:
    deck = deck_of(maria)
    study = {"kind": "study", **DAILY}
    unknown = "01JH0000000000000000000009"
    for fields, code, status in (
        ({"deckId": unknown}, "unknown_deck", 409),
        ({"scenarioId": "no-such"}, "unknown_scenario", 409),
        ({"deckId": deck, "scenarioId": "cafe"}, "contradiction", 400),
    ):
        answer = maria.post("/reminders", study | fields)
        assert answer.status_code == status, answer.content
        assert answer.json()["errors"][0]["code"] == code
    answer = maria.post("/reminders", {"kind": "report", "deckId": deck, **DAILY})
    assert answer.json()["errors"][0]["field"] == "deckId"


def test_digests_thin_out_for_a_learner_who_does_not_come_back(
    maria: Caller, mailbox: Mailbox, clock: Any
) -> None:
    card_of(here(maria), deck_of(here(maria)))
    daily = reminder_of(here(maria), kind="study", **DAILY)
    weekly = reminder_of(here(maria), kind="study", weekdays=[2], localTime="09:00")
    for day in range(1, 220):
        sweep_at(MONDAY.replace(hour=18) + day * DAY, shards=[shard_of(maria.id)])
    found = Delivery.of_reminder(maria.id, daily["id"], limit=300, start=None).items
    days_of_daily = [(each.due_at - MONDAY).days for each in found if each.state == "sent"]
    assert max(days_of_daily) < 181
    assert sum(day <= 7 for day in days_of_daily) == 7
    assert all(gap >= 7 for gap in gaps([day for day in days_of_daily if 7 < day <= 35]))
    assert all(gap >= 28 for gap in gaps([day for day in days_of_daily if day > 36]))
    found = Delivery.of_reminder(maria.id, weekly["id"], limit=300, start=None).items
    assert [each.state for each in found[::-1]][:5] == ["sent"] * 5  # weekly is not too often
    assert [each.reason for each in found[:3]] == ["away"] * 3


def gaps(days: list[int]) -> list[int]:
    ordered = sorted(days)
    return [later - earlier for earlier, later in pairwise(ordered)]


def test_without_a_web_app_there_are_no_links_into_it(
    maria: Caller, mailbox: Mailbox, settings: Any
) -> None:
    settings.FRONTEND_URL = ""
    event = event_of(maria)
    reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[0])
    sweep_at("2030-06-03T18:00:00Z")
    assert "/events/" not in mailbox.letters[0].text


def test_an_event_links_to_itself(maria: Caller, mailbox: Mailbox, settings: Any) -> None:
    settings.FRONTEND_URL = "https://app.parley.example"
    prefer(maria, timezone="Europe/Lisbon")
    event = event_of(maria)
    reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[0])
    sweep_at("2030-06-03T18:00:00Z")
    assert f"Open: https://app.parley.example/events/{event['id']}\n" in mailbox.letters[0].text
