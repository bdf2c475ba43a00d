"""Kills sweepers at every step of a mail, and counts what became of the mails.

usage: python -m tests.benchmarks.kills [--kills 200]

Waves of sweepers in processes of their own mail one-offs and reminders of events over DynamoDB
Local. In most waves all are killed (SIGKILL), each at a step of its own, until so many kills have
landed; the last waves run to their ends. Fails if a mail was lost or came twice, unless its
record says that nobody can know: SES was called, and the process died before it had the answer.
"""

import argparse
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count

from tests.benchmarks.sweep import AT, learner  # first: it sets Django up

# isort: split
from config.store.items import Item, batch_put
from reminders.models import EVENT, ONCE, SENT, UNCONFIRMED, Delivery, Event, Reminder
from reminders.recurrence import Recurrence
from tests.servers import empty_table, running_dynamodb_local
from tests.sweepers import MOMENTS, PostOffice, open_post_office, run_sweepers

LEARNERS, THREADS, AT_ONCE = 120, 2, 6
# Leases last less than a minute, and what is due is of use for an hour.
APART, WAVES = timedelta(minutes=2), 12
KILLED = -9


def learners(number: int) -> list[Item]:
    """Somebody who has a one-off and a reminder of an event due at AT."""
    account, profile, once = learner(number, ONCE, [])
    assert isinstance(once, Reminder)
    event_id = f"{once.id}-e"
    event = Event(
        *Event.key(once.learner_id, event_id),
        id=event_id,
        title="Tertúlia",
        request_digest="",
        created_at=AT,
        updated_at=AT,
    )
    starts = AT.replace(tzinfo=None)
    event.set_recurrence(Recurrence(starts + timedelta(hours=6), "UTC", timedelta(hours=1)))
    told = Reminder.from_raw(once.serialize())
    told.sk, told.id, told.about = Reminder.key(told.learner_id, event_id)[1], event_id, EVENT
    told.event_id, told.offset_minutes, told.at = event_id, [360], None
    told.schedule_check(AT)
    return [account, profile, once, event, told]


def kill_in_waves(office: PostOffice, steps: "count[int]") -> tuple[Counter[str], int]:
    """Sweeps what is due until nobody dies any more; returns the kills by step."""
    landed: Counter[str] = Counter()
    waves = []
    for number in range(WAVES):
        dying = [[MOMENTS[next(steps) % len(MOMENTS)], 1 + n % 3] for n in range(AT_ONCE)]
        at = AT + number * APART
        waves.append({"at": at.isoformat(), "sweepers": dying})
    end = AT + WAVES * APART
    waves += [{"at": (end + n * APART).isoformat(), "sweepers": [None, None]} for n in range(3)]
    reports = run_sweepers({"ses": office.url, "threads": THREADS, "waves": waves})
    for wave, ended in zip(waves, reports, strict=True):
        for dies, report in zip(wave["sweepers"], ended, strict=True):
            if report["code"] == KILLED and dies:
                landed[dies[0]] += 1
            elif report["code"] not in (0, KILLED):
                sys.exit(f"a sweeper failed: {report}")
    return landed, len(waves)


def outcomes(office: PostOffice, people: list[list[Item]]) -> Counter[str]:
    """What became of each mail."""
    found: Counter[str] = Counter()
    for _, _, *rest in people:
        for reminder in (each for each in rest if isinstance(each, Reminder)):
            deliveries = Delivery.of_reminder(
                reminder.learner_id, reminder.id, limit=9, start=None
            ).items
            if len(deliveries) != 1:
                sys.exit(f"{len(deliveries)} records of one mail: {reminder.sk}")
            [delivery] = deliveries
            title = "Tertúlia" if reminder.about == EVENT else "Ligar à Inês"
            copies = sum(
                times
                for (learner_id, text), times in office.accepted.items()
                if learner_id == reminder.learner_id and title in text
            )
            found["mails"] += 1
            if delivery.state == UNCONFIRMED and delivery.repeated and copies <= 2:
                found[f"both tries were cut off, {copies} arrived"] += 1
            elif delivery.state != SENT or not 1 <= copies <= 1 + delivery.repeated:
                sys.exit(f"{copies} copies, recorded as {delivery.state}: {delivery.sk}")
            elif delivery.repeated:
                found[f"one try was cut off, {copies} arrived, marked as repeated"] += 1
            else:
                found["arrived once"] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    wanted = parser.parse_args().kills
    landed: Counter[str] = Counter()
    became: Counter[str] = Counter()
    steps = count()
    while landed.total() < wanted or min(landed[moment] for moment in MOMENTS) == 0:
        with running_dynamodb_local() as url, empty_table(url), open_post_office() as office:
            people = [learners(number) for number in range(LEARNERS)]
            batch_put([item for items in people for item in items])
            kills, _ = kill_in_waves(office, steps)
            landed += kills
            became += outcomes(office, people)
        print(f"{landed.total()} of {wanted} kills", file=sys.stderr)
    print(f"{landed.total()} kills, " + ", ".join(f"{n} {m}" for m, n in landed.items()))
    for outcome, number in became.items():
        print(f"{outcome}: {number}")


if __name__ == "__main__":
    print(datetime.now(UTC).date())
    main()
