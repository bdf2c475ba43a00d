"""The sweep: a due reminder is mailed once, held, skipped, tried again or given up."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from time_machine import travel
from ulid import ULID

from accounts.models import Account
from config import aws
from config.store.items import batch_put
from reminders.models import SHARDS, Delivery, MailDay, Reminder, shard_of
from reminders.services.sweep import LEASE, TimeBudget, sweep
from reminders.timing import Due
from tests.callers import Caller, access_token, make_learner
from tests.reminder_helpers import (
    MINUTE,
    Mailbox,
    deliveries_of,
    event_of,
    prefer,
    reminder_of,
    sweep_at,
    verified,
)
from tests.test_flashcards import card_of, deck_of
from tests.waiting import SteadyClock

AT = "2030-06-03T17:00:00+00:00"
NOW = datetime.fromisoformat(AT)


@pytest.fixture
def maria(maria: Caller) -> Caller:
    return verified(maria)


def state_of(caller: Caller, reminder: dict[str, Any]) -> tuple[str, str]:
    """State and reason of the only delivery."""
    [delivery] = deliveries_of(caller, reminder)
    return delivery["state"], delivery["reason"]


def later(instant: str, delta: timedelta) -> str:
    return (datetime.fromisoformat(instant) + delta).isoformat()


def test_a_reminder_is_mailed_at_its_minute_and_only_then(maria: Caller, mailbox: Mailbox) -> None:
    reminder = reminder_of(maria, note="Sobre o livro")
    sweep_at("2030-06-03T16:59:59+00:00")
    assert mailbox.letters == []
    sweep_at(AT)
    sweep_at(AT)
    sweep_at("2030-06-03T18:00:00+00:00")
    [letter] = mailbox.letters
    assert (letter.to, letter.subject) == ("maria@example.org", "Ligar à Inês")
    assert "Hello Maria" in letter.text
    assert "Sobre o livro" in letter.text
    [delivery] = deliveries_of(maria, reminder)
    assert (delivery["state"], delivery["occurrence"]) == ("sent", "20300603T170000Z")
    assert maria.get(f"/reminders/{reminder['id']}").json()["nextAt"] is None


def test_a_mail_tells_the_time_in_the_learners_zone(maria: Caller, mailbox: Mailbox) -> None:
    event = event_of(
        maria,
        title="Ópera <ao vivo>",
        location="Met",
        startsAt="2030-06-03T23:30:00Z",
        endsAt="2030-06-04T02:00:00Z",
        timezone="America/New_York",
    )
    reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[60])
    sweep_at("2030-06-03T22:30:30+00:00")
    [letter] = mailbox.letters
    assert letter.subject == "Ópera <ao vivo>: Tuesday 4 June 2030, 00:30"
    assert "Tuesday 4 June 2030, 00:30–03:00 (Europe/Lisbon)" in letter.text
    assert "Monday 3 June 2030, 19:30 in America/New_York" in letter.text
    assert "Ópera &lt;ao vivo&gt;" in letter.html
    assert "width=device-width" in letter.html


def test_every_mail_can_be_stopped_with_one_click(maria: Caller, mailbox: Mailbox) -> None:
    reminder_of(maria)
    sweep_at(AT)
    [letter] = mailbox.letters
    assert letter.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert letter.headers["List-Unsubscribe"].strip("<>") in letter.text
    assert letter.tags["learner"] == maria.id


def test_each_offset_of_each_occurrence_is_mailed_once(maria: Caller, mailbox: Mailbox) -> None:
    event = event_of(maria, rrule="FREQ=DAILY;COUNT=3", skipped=["20300604T190000"])
    reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[10, 60])
    for hour in range(72):
        at = later("2030-06-03T00:00:00+00:00", timedelta(hours=hour))
        sweep_at(at, shards=[shard_of(maria.id)])
    assert [letter.subject for letter in mailbox.letters] == [
        "Tertúlia: Monday 3 June 2030, 19:00",
        "Tertúlia: Monday 3 June 2030, 19:00",
        "Tertúlia: Wednesday 5 June 2030, 19:00",
        "Tertúlia: Wednesday 5 June 2030, 19:00",
    ]


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda maria: prefer(maria, event_mails=False), "unsubscribed"),
        (
            lambda maria: Account.at(maria.id).update_attributes(Account.disabled.set(True)),
            "disabled",
        ),
        (
            lambda maria: Account.at(maria.id).update_attributes(Account.email_verified.set(False)),
            "unverified",
        ),
    ],
)
def test_who_may_not_be_mailed_is_not_and_the_reason_is_on_record(
    maria: Caller, mailbox: Mailbox, act: Any, reason: str
) -> None:
    reminder = reminder_of(maria)
    act(maria)
    sweep_at(AT)
    assert mailbox.letters == []
    [delivery] = Delivery.of_reminder(maria.id, reminder["id"], limit=9, start=None).items
    assert (delivery.state, delivery.reason) == ("skipped", reason)


def test_quiet_hours_hold_mails_and_merge_them_into_one(maria: Caller, mailbox: Mailbox) -> None:
    prefer(maria, quiet_from="22:00", quiet_until="07:00")
    first = reminder_of(maria, title="Regar as plantas", at="2030-06-03T23:00:00Z")
    reminder_of(maria, title="Pagar a renda", at="2030-06-04T02:00:00Z")
    for instant in ("2030-06-03T23:00:00", "2030-06-04T02:00:00", "2030-06-04T05:59:59"):
        sweep_at(f"{instant}+00:00")
    assert mailbox.letters == []
    sweep_at("2030-06-04T06:00:00+00:00")  # 07:00 in Lisbon
    [letter] = mailbox.letters
    assert letter.subject == "2 reminders"
    assert letter.text.index("Regar as plantas") < letter.text.index("Pagar a renda")
    assert state_of(maria, first) == ("sent", "")


@pytest.mark.parametrize(
    ("ends", "outcome"),
    [("2030-06-04T03:00:00Z", ("skipped", "quiet_hours")), ("2030-06-04T06:30:00Z", ("sent", ""))],
)
def test_an_event_that_is_over_when_quiet_hours_end_is_not_announced(
    maria: Caller, mailbox: Mailbox, ends: str, outcome: tuple[str, str]
) -> None:
    prefer(maria, quiet_from="22:00", quiet_until="07:00")
    event = event_of(maria, startsAt="2030-06-04T01:00:00Z", endsAt=ends)
    reminder = reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[10])
    for instant in ("2030-06-04T00:50:00", "2030-06-04T06:00:00"):
        sweep_at(f"{instant}+00:00")
    assert len(mailbox.letters) == (outcome[0] == "sent")
    assert state_of(maria, reminder) == outcome


def study_reminder(maria: Caller) -> dict[str, Any]:
    return reminder_of(maria, kind="study", weekdays=list(range(7)), localTime="08:00")


def test_a_digest_tells_how_many_cards_are_due_when_it_is_sent(
    maria: Caller, mailbox: Mailbox
) -> None:
    reminder = study_reminder(maria)
    deck = deck_of(maria)
    for front in ("um", "dois", "três"):
        card_of(maria, deck, front=front)
    sweep_at(reminder["nextAt"])
    [letter] = mailbox.letters
    assert letter.subject == "3 cards are due"


def test_a_digest_is_skipped_when_nothing_is_due(maria: Caller, mailbox: Mailbox) -> None:
    reminder = study_reminder(maria)
    sweep_at(reminder["nextAt"])
    assert (mailbox.letters, state_of(maria, reminder)) == ([], ("skipped", "nothing_due"))


def test_a_digest_is_skipped_when_the_days_goal_is_met(maria: Caller, mailbox: Mailbox) -> None:
    prefer(maria, daily_goal=1)
    with travel("2026-11-20T07:30:00Z", tick=False):
        again = Caller(maria.id, access_token(maria.id))
        reminder = study_reminder(again)
        deck = deck_of(again)
        card = card_of(again, deck)
        card_of(again, deck, front="outra")
        review = {"id": str(ULID()), "rating": "good", "reviewedAt": "2026-11-20T07:29:00Z"}
        assert again.post(f"/flashcards/{card}/reviews", review).status_code == 201
    sweep_at("2026-11-20T08:00:00+00:00")
    assert (mailbox.letters, state_of(maria, reminder)) == ([], ("skipped", "goal_met"))
    sweep_at("2026-11-21T08:00:00+00:00")
    assert len(mailbox.letters) == 1


def test_what_a_late_sweep_finds_past_its_grace_is_missed(maria: Caller, mailbox: Mailbox) -> None:
    reminder = reminder_of(maria)
    sweep_at("2030-06-04T05:00:00+00:00")
    assert (mailbox.letters, state_of(maria, reminder)) == ([], ("skipped", "missed"))


def test_digests_of_an_outage_collapse_to_one(maria: Caller, mailbox: Mailbox) -> None:
    reminder = study_reminder(maria)
    card_of(maria, deck_of(maria))
    sweep_at(later(reminder["nextAt"], timedelta(days=4)))
    assert len(mailbox.letters) == 1
    reasons = [(d["state"], d["reason"]) for d in deliveries_of(maria, reminder)]
    assert reasons == [("sent", ""), *[("skipped", "superseded")] * 4]


def test_a_mail_that_ses_refuses_is_tried_again_and_given_up_in_the_end(
    maria: Caller, mailbox: Mailbox
) -> None:
    reminder = reminder_of(maria)
    mailbox.refuse = "SendingPausedException"
    at = datetime.fromisoformat(AT)
    for minute in range(0, 3 * 60, 2):
        sweep_at(at + minute * MINUTE, shards=[shard_of(maria.id)])
    assert state_of(maria, reminder) == ("dead", "SERVICE_UNAVAILABLE")
    assert deliveries_of(maria, reminder)[0]["attempts"] == 8
    mailbox.refuse = ""
    sweep_at(at + timedelta(hours=4))
    assert mailbox.letters == []


def test_a_mail_that_ses_refuses_once_arrives_a_little_later(
    maria: Caller, mailbox: Mailbox
) -> None:
    reminder = reminder_of(maria)
    mailbox.refuse = "SendingPausedException"
    sweep_at(AT)
    assert state_of(maria, reminder)[0] == "retrying"
    mailbox.refuse = ""
    sweep_at(later(AT, MINUTE))
    assert state_of(maria, reminder) == ("sent", "")
    assert len(mailbox.letters) == 1


def test_a_mail_that_ses_rejects_for_good_is_given_up_at_once(
    maria: Caller, mailbox: Mailbox
) -> None:
    reminder = reminder_of(maria)
    mailbox.refuse = "MessageRejected"
    sweep_at(AT)
    assert state_of(maria, reminder) == ("dead", "SERVICE_UNAVAILABLE")
    mailbox.refuse = ""
    sweep_at(later(AT, MINUTE))
    assert mailbox.letters == []


def test_what_fails_until_its_event_has_begun_is_shown_to_staff(
    maria: Caller, mailbox: Mailbox
) -> None:
    event = event_of(maria, startsAt="2030-06-03T17:10:00Z", endsAt=None)
    reminder = reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[10])
    mailbox.refuse = "SendingPausedException"
    for minute in range(0, 3 * 60, 2):
        sweep_at(NOW + minute * MINUTE, shards=[shard_of(maria.id)])
    assert state_of(maria, reminder) == ("dead", "SERVICE_UNAVAILABLE")
    stefan = make_learner("stefan", groups=("staff",))
    assert len(stefan.get("/deliveries").json()["results"]) == 1


def test_throttling_is_no_attempt(
    maria: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SteadyClock()
    monkeypatch.setattr("reminders.services.sweep.time", clock)
    monkeypatch.setattr(TimeBudget, "passed_s", property(lambda _: clock.passed_s))
    reminder = reminder_of(maria)
    mailbox.refuse = "TooManyRequestsException"
    for attempt in range(3):
        clock.passed_s = 0
        sweep_at(later(AT, attempt * MINUTE), shards=[shard_of(maria.id)])
    assert state_of(maria, reminder) == ("retrying", "throttled")
    assert deliveries_of(maria, reminder)[0]["attempts"] == 0
    mailbox.refuse = ""
    sweep_at(later(AT, timedelta(minutes=40)))
    assert state_of(maria, reminder) == ("sent", "")


def test_a_one_off_whose_fate_is_unknown_is_sent_once_more_and_no_more(
    maria: Caller, mailbox: Mailbox
) -> None:
    reminder = reminder_of(maria)
    mailbox.hang_up = True
    for attempt in range(4):
        sweep_at(later(AT, attempt * (LEASE + MINUTE)))
    assert len(mailbox.letters) == 2
    assert state_of(maria, reminder) == ("unconfirmed", "no_word")


def test_a_digest_whose_fate_is_unknown_is_not_sent_again(maria: Caller, mailbox: Mailbox) -> None:
    reminder = study_reminder(maria)
    card_of(maria, deck_of(maria))
    mailbox.hang_up = True
    for attempt in range(3):
        sweep_at(later(reminder["nextAt"], attempt * (LEASE + MINUTE)))
    assert len(mailbox.letters) == 1
    assert state_of(maria, reminder) == ("unconfirmed", "no_word")


def test_a_change_while_a_mail_is_on_its_way_doubles_nothing(
    maria: Caller, mailbox: Mailbox
) -> None:
    reminder = reminder_of(maria)
    take = mailbox.take

    def change_then_take(**arguments: Any) -> Any:
        maria.patch(f"/reminders/{reminder['id']}", {"note": "Mudei"})
        return take(**arguments)

    events = aws.client("sesv2").meta.events
    events.unregister("before-call.sesv2.SendEmail", mailbox.take)
    events.register("before-call.sesv2.SendEmail", change_then_take)
    for minute in range(6):
        sweep_at(later(AT, minute * MINUTE))
    events.unregister("before-call.sesv2.SendEmail", change_then_take)
    assert len(mailbox.letters) == 1
    assert state_of(maria, reminder) == ("sent", "")
    assert maria.get(f"/reminders/{reminder['id']}").json()["nextAt"] is None


def test_a_day_brings_fifty_mails_at_most(maria: Caller, mailbox: Mailbox) -> None:
    MailDay(*MailDay.key(maria.id, NOW.date()), sent=48).create()
    reminders = [reminder_of(maria, at=f"2030-06-03T17:0{minute}:00Z") for minute in range(4)]
    for minute in range(4):
        sweep_at(NOW + minute * MINUTE)
    assert len(mailbox.letters) == 2
    states = [state_of(maria, reminder) for reminder in reminders]
    assert states == [("sent", "")] * 2 + [("skipped", "capped")] * 2
    assert sweep_at(NOW + timedelta(hours=2)).counts["claimed"] == 0


def test_what_one_sweep_owes_a_learner_is_one_mail(
    maria: Caller, joao: Caller, mailbox: Mailbox
) -> None:
    reminder_of(verified(joao))
    owed = [
        reminder_of(maria, title=f"Coisa {n}", at=f"2030-06-03T16:59:{n}Z") for n in range(10, 40)
    ]
    sweep_at(AT)
    subjects = {letter.to: letter.subject for letter in mailbox.letters}
    assert subjects == {"maria@example.org": "30 reminders", "joao@example.org": "Ligar à Inês"}
    assert len(mailbox.letters) == 2
    assert {state_of(maria, reminder) for reminder in owed} == {("sent", "")}


def test_a_reminder_that_cannot_be_dealt_with_dies_and_keeps_no_other_waiting(
    maria: Caller, joao: Caller, mailbox: Mailbox
) -> None:
    poison = reminder_of(maria)
    Reminder(*Reminder.key(maria.id, poison["id"])).update_attributes(
        Reminder.snoozes.set([["a", "b"]])
    )
    healthy = reminder_of(verified(joao))
    for hour in range(6):
        for minute in (0, 20, 40):
            sweep_at(later(AT, timedelta(hours=hour, minutes=minute)))
    assert [letter.to for letter in mailbox.letters] == ["joao@example.org"]
    assert state_of(joao, healthy) == ("sent", "")
    assert state_of(maria, poison) == ("dead", "ValueError")


def test_staff_see_what_was_given_up_and_have_it_sent(maria: Caller, mailbox: Mailbox) -> None:
    reminder_of(maria)
    mailbox.refuse = "SendingPausedException"
    at = datetime.fromisoformat(AT)
    for minute in range(0, 3 * 60, 2):
        sweep_at(at + minute * MINUTE, shards=[shard_of(maria.id)])
    mailbox.refuse = ""
    with travel(at + timedelta(hours=3), tick=False):
        stefan = make_learner("stefan", groups=("staff",))
        [failed] = stefan.get("/deliveries").json()["results"]
        assert (failed["learnerId"], failed["reason"]) == (maria.id, "SERVICE_UNAVAILABLE")
        again = stefan.post(f"/deliveries/{failed['id']}/retry")
        assert (again.status_code, again.json()["state"]) == (200, "retried")
        [line] = stefan.get("/auth/activity").json()["results"]
        assert (line["action"], line["target"]) == (
            "delivery_retried",
            f"deliveries/{failed['id']}",
        )
        twice = stefan.post(f"/deliveries/{failed['id']}/retry")
        assert (twice.status_code, twice.json()["code"]) == (409, "NOT_DEAD")
        assert stefan.get("/deliveries").json()["results"] == []
    sweep_at(at + timedelta(hours=3, minutes=1))
    assert [letter.subject for letter in mailbox.letters] == ["Ligar à Inês"]


def test_what_the_learner_has_paused_staff_do_not_send(maria: Caller, mailbox: Mailbox) -> None:
    event = event_of(maria, startsAt=AT, endsAt=AT, rrule="FREQ=DAILY")
    reminder = reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[0])
    stored = Reminder.of(maria.id, reminder["id"])
    assert stored is not None
    due = Due(datetime.fromisoformat(AT), "20300603T180000-0", "20300603T180000", NOW)
    dead = Delivery.of(stored, due, "dead", now=NOW)
    dead.conclude("dead", reason="SERVICE_UNAVAILABLE", now=NOW)
    dead.create()
    maria.patch(f"/reminders/{reminder['id']}", {"paused": True})
    again = make_learner("stefan", groups=("staff",)).post(f"/deliveries/{dead.id}/retry")
    assert (again.status_code, again.json()["code"]) == (409, "CANNOT_RETRY")


def test_reminders_of_one_learner_are_in_one_shard_and_learners_in_all() -> None:
    shards = {shard_of(f"learner-{n}") for n in range(200)}
    assert shards == set(range(SHARDS))


def test_a_sweep_ends_in_time_and_says_what_is_left(maria: Caller, mailbox: Mailbox) -> None:
    reminder_of(maria)
    done = sweep(now=datetime.fromisoformat(AT), within_s=-1, threads=1)
    assert (mailbox.letters, done.unfinished) == ([], set(range(SHARDS)))


def one_off(learner_id: str, number: int) -> Reminder:
    """A reminder as it is stored that is due so many seconds after NOW."""
    at, own_id = NOW + timedelta(seconds=number), str(ULID())
    before = {"done_at": NOW, "created_at": NOW, "updated_at": NOW}
    reminder = Reminder(
        *Reminder.key(learner_id, own_id), id=own_id, request_digest="", about="once", **before
    )
    reminder.title, reminder.at, reminder.next_at, reminder.fence = f"Coisa {number}", at, at, 1
    reminder.schedule_check(at)
    return reminder


def test_a_hundred_one_offs_a_second_apart_are_three_mails(maria: Caller, mailbox: Mailbox) -> None:
    batch_put([one_off(maria.id, 1 + number) for number in range(100)])
    for minute in range(1, 4):
        sweep_at(NOW + minute * MINUTE)
    assert [letter.subject for letter in mailbox.letters] == [
        "40 reminders",
        "20 reminders",
        "40 reminders",
    ]
    mailed = Delivery.mailed_since(maria.id, NOW)
    assert [each.state for each in mailed] == ["sent"] * 100
