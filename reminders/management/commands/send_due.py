"""Runs one sweep."""

from typing import Any

from django.core.management.base import BaseCommand

from config.store.connection import read_raws
from reminders.tasks import send_due


class Command(BaseCommand):
    """`manage.py send_due`: what a deployed stage does each minute; prints the outcome.

    With `--verbosity=0` it prints nothing if nothing was due.
    """

    help = "Mail the reminders that are due now."
    requires_system_checks: list[str] = []

    def handle(self, *, verbosity: int, **_: Any) -> None:
        read_raws([("NOBODY", "NOTHING")])  # else a table that is not there counts as a busy one
        done = send_due(None, None)
        if verbosity or any(done.values()):
            counts = [f"{name} {value}" for name, value in done.items() if value]
            self.stdout.write(f"Reminders: {', '.join(counts) or 'none was due'}")
