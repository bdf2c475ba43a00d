"""Measures a mail's cost in calls, units and processor time, in a real sweep of DynamoDB Local.

usage: python -m tests.benchmarks.sweep [--kind study] [--reminders 2000] [--sweepers 4]
                                        [--threads 4]

As many learners have a reminder each, a one-off or a digest of their cards, all due at one instant;
the sweepers are processes that begin at once; SES is a server on the loopback that counts what it
takes. Fails unless each mail was taken
exactly once. The engine and SES run on the same machine: read the calls, the units and the
processor time of the sweepers, not the throughput.
"""

import argparse
import os
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from accounts.models import Account, Profile, learner_key  # noqa: E402
from config.store.items import Item, Raw, batch_put, raw_partition_page  # noqa: E402
from learning.services.bulk import create_cards  # noqa: E402
from learning.services.cards import create_deck  # noqa: E402
from reminders.models import ONCE, STUDY, Reminder  # noqa: E402
from tests.servers import empty_table, running_dynamodb_local  # noqa: E402
from tests.sweepers import open_post_office, run_sweepers  # noqa: E402

AT = datetime(2030, 6, 3, 17, tzinfo=UTC)


# A reminder of each kind that is due at AT, by the clock of Lisbon.
KINDS: dict[str, dict[str, Any]] = {
    ONCE: {"title": "Ligar à Inês", "note": "Sobre o livro que ela quer ler", "at": AT},
    STUDY: {"weekdays": list(range(7)), "local_time": "18:00"},
}
CARDS = 30


def studied() -> list[Raw]:
    """The deck, the cards and all that goes with them of one learner, to be copied for others."""
    learner_id = str(uuid4())
    deck = create_deck(learner_id=learner_id, fields={"name": "Português"}, now=AT)
    cards = [
        {"deck_id": deck.id, "front": f"{n} livros", "back": f"{n} books"} for n in range(CARDS)
    ]
    create_cards(learner_id=learner_id, items=cards, now=AT)
    return list(raw_partition_page(learner_key(learner_id)).items)


def learner(number: int, kind: str, things: list[Raw]) -> list[Item]:
    """Somebody who has a reminder due at AT."""
    learner_id, reminder_id = str(uuid4()), str(uuid4())
    account = Account.new(learner_id, email=f"learner{number}@example.org", now=AT)
    account.email_verified = True
    profile = Profile(
        learner_key(learner_id),
        Profile.SK,
        first_name="Maria",
        last_name="Silva",
        timezone="Europe/Lisbon",
        created_at=AT,
    )
    reminder = Reminder(
        *Reminder.key(learner_id, reminder_id),
        id=reminder_id,
        about=kind,
        **KINDS[kind],
        next_at=AT,
        done_at=datetime(2030, 6, 1, tzinfo=UTC),
        fence=1,
        request_digest="",
        created_at=AT,
        updated_at=AT,
    )
    reminder.schedule_check(AT)
    pk = {"pk": {"S": learner_key(learner_id)}}
    return [account, profile, reminder, *(Item.from_raw(raw | pk) for raw in things)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS, default=ONCE)
    parser.add_argument("--reminders", type=int, default=2000)
    parser.add_argument("--sweepers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args()
    with (
        running_dynamodb_local() as url,
        empty_table(url),
        open_post_office() as office,
    ):
        things = studied() if options.kind == STUDY else []
        for number in range(options.reminders):
            batch_put(learner(number, options.kind, things))
        wave = {"at": AT.isoformat(), "sweepers": [None] * options.sweepers}
        plan = {"ses": office.url, "threads": options.threads, "within_s": 900, "waves": [wave]}
        [reports] = run_sweepers(plan)
    if len(office.accepted) != options.reminders or set(office.accepted.values()) != {1}:
        sys.exit(f"not each mail once: {Counter(office.accepted.values())}")
    seconds = max(each["seconds"] for each in reports)
    units = sum((Counter(each["units"]) for each in reports), Counter[str]())
    each_mail = {
        "calls to the table": sum(each["calls"] for each in reports),
        **{f"units of {name}": amount for name, amount in units.items()},
        "processor ms": 1000 * sum(each["cpu_s"] for each in reports),
    }
    print(f"{options.reminders} mails, each once, in {seconds:.1f} s: ", end="")
    print(f"{options.reminders / seconds:.0f} a second by {options.sweepers} sweepers")
    for name, amount in each_mail.items():
        print(f"{name} for each: {amount / options.reminders:.2f}")


if __name__ == "__main__":
    main()
