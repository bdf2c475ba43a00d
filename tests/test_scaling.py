"""The cost of a sweep: docs/scaling.md has its script's output, from figures measured here."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from time_machine import travel

from config import aws
from config.stack import BASE_DIR, Stack
from reminders.models import shard_of
from tests.benchmarks import sweep_arithmetic
from tests.callers import Caller, make_learner
from tests.reminder_helpers import Mailbox, event_of, reminder_of, sweep_at, verified
from tests.ruler import counted
from tests.test_flashcards import card_of, deck_of

AT = datetime.fromisoformat("2030-06-03T17:00:00+00:00")
MAIL = ["UpdateItem", "BatchGetItem", "TransactWriteItems", "TransactWriteItems"]


@pytest.fixture
def box(dynamodb_local: Stack) -> Iterator[Mailbox]:
    """Every mail that goes out while the table is DynamoDB Local's."""
    box, events = Mailbox(), aws.client("sesv2").meta.events
    events.register("before-call.sesv2.SendEmail", box.take)
    yield box
    events.unregister("before-call.sesv2.SendEmail", box.take)


def once(caller: Caller) -> None:
    reminder_of(caller, at=AT.isoformat())


def event(caller: Caller) -> None:
    at = AT.isoformat()
    event = event_of(caller, startsAt=at, endsAt=at, rrule="FREQ=DAILY")
    reminder_of(caller, kind="event", eventId=event["id"], offsetMinutes=[0])


def study(caller: Caller) -> None:
    card_of(caller, deck_of(caller))
    reminder_of(caller, kind="study", weekdays=list(range(7)), localTime="17:00")


@pytest.mark.server
@pytest.mark.parametrize(
    ("make", "queries", "most_units"), [(once, 0, 23), (event, 0, 29), (study, 3, 30)]
)
def test_a_mail_is_four_calls_to_the_table(
    box: Mailbox, make: object, queries: int, most_units: float
) -> None:
    with travel(AT - timedelta(hours=1), tick=False):
        ana = verified(make_learner("ana"))
        assert callable(make)
        make(ana)
    with counted() as spent:
        sweep_at(AT, shards=[shard_of(ana.id)])
    assert len(box.letters) == 1
    calls = sorted(spent.calls)
    assert calls == sorted([*MAIL, *["Query"] * (1 + queries)])
    assert most_units / 2 < spent.units <= most_units, spent.units


def test_the_docs_have_the_tables_that_the_script_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep_arithmetic.main()
    text = (BASE_DIR / "docs" / "scaling.md").read_text()
    for table in capsys.readouterr().out.strip().split("\n\n"):
        assert table in text
