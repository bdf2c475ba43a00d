"""Deletes again those learners whom a restored table has brought back."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils.timezone import now

from accounts.services.removal import reapply_deletions


class Command(BaseCommand):
    """`manage.py reapply_deletions`: after the table was restored. Harmless at any time."""

    help = "Delete again those learners whom a restored table has brought back."
    requires_system_checks: list[str] = []

    def handle(self, **_: Any) -> None:
        self.stdout.write(f"Deleted again: {reapply_deletions(now=now())}")
