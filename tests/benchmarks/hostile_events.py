"""The processor time of a learner whose events are as costly as they may be.

usage: python -m tests.benchmarks.hostile_events

For each kind of event that is costly to expand or to show, a learner gets as many as the cap allows
through the service, so that each is valid. One more learner has besides the dearest of them as many
events and one-offs that are over as the feed shows: copies of one that went through the service,
the events in zones of their own.
Printed are the seconds of processor time to make one, and for windows of a year and the calendar's
feed. One that takes longer than a second ends this with 1.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import available_timezones

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from accounts.models import Account, Profile, learner_key  # noqa: E402
from config.problems import ValidationFailed  # noqa: E402
from config.stack import Stack  # noqa: E402
from config.store.items import Item, batch_put  # noqa: E402
from reminders.models import ONCE  # noqa: E402
from reminders.services import calendar_links  # noqa: E402
from reminders.services.calendar_feed import MAX_PAST_EVENTS, read_calendar  # noqa: E402
from reminders.services.events import MAX_EVENTS, create_event, occurrences_between  # noqa: E402
from reminders.services.reminders import create_reminder  # noqa: E402
from tests.memory_table import MemoryTable  # noqa: E402
from tests.servers import using  # noqa: E402
from tests.wire import table_client  # noqa: E402

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)
MOST_S = 1.0
ZONES = sorted(name for name in available_timezones() if name[0].isupper() and "/" in name)
LONG = "x" * 2000

Fields = dict[str, Any]


def timed(starts: str, rule: str, **rest: Any) -> Fields:
    return {"starts_at": datetime.fromisoformat(f"{starts}T09:00:00+00:00"), "rrule": rule, **rest}


def with_moves(number: int) -> Fields:
    """A daily event, of which as many occurrences as may be are moved."""
    first = NOW.date() + timedelta(days=number)
    days = [first + timedelta(days=n) for n in range(100)]
    moved = [
        {"occurrence": f"{day:%Y%m%d}T090000", **timed(f"{day + timedelta(days=1)}", "")}
        for day in days
    ]
    for move in moved:
        del move["rrule"]
    return timed(f"{first}", "FREQ=DAILY", moved=moved, description=LONG)


def over_with_skips() -> Fields:
    """A daily event that is over, of which nearly all occurrences are skipped."""
    first = NOW.date() - timedelta(days=86)
    days = [first + timedelta(days=n) for n in range(1, 81)]
    skipped = [f"{day:%Y%m%d}T090000" for day in days]
    return timed(f"{first}", "FREQ=DAILY;COUNT=82", skipped=skipped, description=LONG)


def with_skips(_: int) -> Fields:
    """A rare event, of which as many occurrences as may be are skipped."""
    days = [datetime(1900 + n, 1, 1, tzinfo=UTC) for n in range(100)]
    skipped = [f"{day:%Y%m%d}T090000" for day in days]
    return timed("1900-01-01", "FREQ=YEARLY;BYYEARDAY=1", skipped=skipped)


KINDS: dict[str, Callable[[int], Fields]] = {
    "counted, a month a year": lambda _: timed("1915-01-01", "FREQ=DAILY;BYMONTH=1;COUNT=3660"),
    "counted, each day": lambda _: timed("2020-01-01", "FREQ=DAILY;COUNT=3660"),
    "counted, each week": lambda _: timed("1960-01-01", "FREQ=WEEKLY;COUNT=3660"),
    "counted, last Fridays": lambda _: timed("1990-01-01", "FREQ=MONTHLY;BYDAY=-1FR;COUNT=900"),
    "29 February, a Monday": lambda _: timed(
        "1900-01-01", "FREQ=DAILY;BYMONTHDAY=29;BYMONTH=2;BYDAY=MO"
    ),
    "the 366th day": lambda _: timed(
        "2001-01-01", "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=366"
    ),
    "the 53rd week": lambda _: timed("1900-01-01", "FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO"),
    "of a year's length": lambda _: timed(
        "1900-01-01",
        "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=1",
        ends_at=datetime(1900, 12, 31, tzinfo=UTC),
    ),
    "each in a zone of its own": lambda number: timed(
        "1900-01-02", "FREQ=DAILY", timezone=ZONES[number * 3 % len(ZONES)]
    ),
    "a hundred moved": with_moves,
    "a hundred skipped": with_skips,
    "each day": lambda _: timed("1900-01-01", "FREQ=DAILY", description=LONG),
}


@contextmanager
def table_in_memory() -> Iterator[None]:
    stack = Stack(**{each.name: f"{each.name}-of-tests" for each in fields(Stack)})
    memory = MemoryTable("table_name-of-tests")
    with using(stack), memory.answering(table_client()):
        yield


def learner() -> str:
    learner_id = str(uuid4())
    Account.new(learner_id, email=f"{learner_id}@example.org", now=NOW).put()
    Profile(
        learner_key(learner_id),
        Profile.SK,
        first_name="Maria",
        last_name="Silva",
        timezone="Europe/Lisbon",
        created_at=NOW,
    ).put()
    return learner_id


def spent_s(act: Callable[[], Any]) -> float:
    before = time.process_time()
    act()
    return time.process_time() - before


def add_what_is_over(learner_id: str) -> None:
    """Gives a learner as much that is over as the feed shows at most."""
    body = {"title": "A", "location": "", "timezone": "UTC", **over_with_skips()}
    event = create_event(learner_id=learner_id, fields=body, now=NOW)
    once = {"about": ONCE, "title": "A", "note": LONG[:1000], "at": NOW + timedelta(days=1)}
    reminder = create_reminder(learner_id=learner_id, fields=once, now=NOW)
    reminder.at, reminder.next_at = NOW - timedelta(days=1), None
    reminder.schedule_check(None)
    copies: list[Item] = []
    for item in (event, reminder):
        raw = item.serialize()
        for number in range(MAX_PAST_EVENTS):
            own_id = str(uuid4())
            own = {"sk": item.key(learner_id, own_id)[1], "id": own_id}
            if item is event:
                own["timezone"] = ZONES[number % len(ZONES)]
            own_raw = {name: {"S": value} for name, value in own.items()}
            copies.append(type(item).from_raw(raw | own_raw))
    batch_put(copies)


def measure(
    kind: Callable[[int], Fields], *, with_past: bool = False
) -> tuple[float, float, float]:
    """The most that making one takes, the dearest window, and the feed."""
    learner_id, now = learner(), NOW
    if with_past:
        add_what_is_over(learner_id)

    def make(number: int) -> None:
        body = {"title": "A", "location": "", "timezone": "UTC", **kind(number)}
        create_event(learner_id=learner_id, fields=body, now=now)

    made_s = max(spent_s(lambda n=n: make(n)) for n in range(MAX_EVENTS))  # type: ignore[misc]
    windows = [NOW - timedelta(days=400), NOW, NOW + timedelta(days=365 * 60)]

    def window(after: datetime) -> None:
        before = after + timedelta(days=366)
        occurrences_between(
            learner_id=learner_id, after=after, before=before, limit=100, start=None, now=now
        )

    window_s = max(spent_s(lambda at=at: window(at)) for at in windows)  # type: ignore[misc]
    token = calendar_links.rotate(learner_id=learner_id, now=now)
    feed_s = spent_s(lambda: read_calendar(token, now=now))
    return made_s, window_s, feed_s


def main() -> None:
    print(f"| {MAX_EVENTS} events | made, one | a window of a year | the feed |")
    print("|---|---:|---:|---:|")
    most_s = 0.0
    with table_in_memory():
        warm_up = learner()
        read_calendar(calendar_links.rotate(learner_id=warm_up, now=NOW), now=NOW)
        past = f"a hundred moved, and {MAX_PAST_EVENTS} of each that are over"
        for name, kind in {**KINDS, past: with_moves}.items():
            try:
                seconds = measure(kind, with_past=name == past)
            except ValidationFailed as problem:
                print(f"| {name} | refused: {problem.errors[0].code} | | |")
                continue
            most_s = max(most_s, *seconds)
            print(f"| {name} | " + " | ".join(f"{each:.3f} s" for each in seconds) + " |")
    if most_s > MOST_S:
        sys.exit(f"{most_s:.2f} s of processor time, where {MOST_S} s are promised")


if __name__ == "__main__":
    main()
