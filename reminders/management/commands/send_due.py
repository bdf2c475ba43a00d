"""Runs one sweep."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from reminders.tasks import send_due


class Command(BaseCommand):
    """`manage.py send_due`: what a deployed stage does each minute."""

    help = "Mail the reminders that are due now."
    requires_system_checks: list[str] = []

    def handle(self, **_: Any) -> None:
        self.stdout.write(json.dumps(send_due(None, None)))
