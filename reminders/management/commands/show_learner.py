"""Prints a learner's changes in their order, and the counters beside them."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Account, Address, Head, Journal
from accounts.models.head import TOTALS
from config.store.items import UNREADABLE
from learning.models import LogEntry
from learning.scheduling import Rating
from learning.services.changes import is_entry

PAGE = 50


def learner_named(text: str) -> str:
    """The id of a learner who is named by it, or by their address. Raises CommandError."""
    address = Address.of(text.lower()) if "@" in text else None
    learner_id = address.learner_id if address else text
    if not learner_id or Account.of(learner_id) is None:
        raise CommandError(f"Nobody here is {text}")
    return learner_id


class Command(BaseCommand):
    """`manage.py show_learner LEARNER`: the head and its journals, without what cards say."""

    help = "Print a learner's head and journals as text: which changes there were, in their order."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("learner", help="id or e-mail address")

    def handle(self, *, learner: str, **_: Any) -> None:
        try:
            for line in lines_of(learner_named(learner)):
                self.stdout.write(line)
        except UNREADABLE as error:
            raise CommandError("Something cannot be read: run `manage.py check_learner`") from error


def lines_of(learner_id: str) -> Iterator[str]:
    """The oldest journal first, the head last."""
    number = 0
    while True:
        page = Journal.since(learner_id, number, limit=PAGE)
        for journal in page.items:
            ends = datetime.fromtimestamp(int(journal.expires_at or 0), UTC)
            yield f"{journal.sk} to {journal.last}, kept until {ends:%Y-%m-%d}"
            yield from (f"  {change_line(change)}" for change in journal.changes)
            number = int(journal.last) + 1
        if page.next_key is None:
            break
    head = Head.of(learner_id)
    yield f"HEAD of line {head.line}, newest change {head.n}"
    yield from (f"  {change_line(change)}" for change in head.changes)
    yield f"  day {head.day or 'none'}: {listed(head.counts)}"
    yield f"  cards: {listed({name: getattr(head, name) for name in TOTALS})}"
    yield (
        f"  learned {head.cards_learned}, studied on {head.days_studied} days, "
        f"{head.streak_days} in a row up to {head.studied_on or 'none'}"
    )


def listed(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "nothing"


def change_line(change: list[Any]) -> str:
    """A change as `accounts.services.changes` tells it, in words."""
    number, *rest = change
    if not rest:
        return f"{number} lost"
    sk, told = rest[0], rest[1:]
    if is_entry(change):
        return f"{number} {sk} {entry_line(LogEntry.as_told('', sk, told[0]))}"
    return f"{number} {sk}{' gone' if told else ''}"


def entry_line(row: LogEntry) -> str:
    """A line of a log in words: its instant, what it is, and what belongs to that."""
    more = {
        "rating": Rating(int(row.rating)).wire if row.rating else None,
        "due": row.due_at.isoformat() if row.due_at else None,
        "undoes": row.target_id,
        "day": row.studied_on,
        "settings": row.settings_version,
        "retention": row.desired_retention,
        "ms": row.duration_ms,
        "imported": "yes" if row.origin else None,
    }
    said = " ".join(f"{name} {value}" for name, value in more.items() if value is not None)
    return f"{row.at.isoformat()} {row.entry} {said}"
