"""Completes deletions of accounts that were cut off."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.tasks import sweep_accounts


class Command(BaseCommand):
    """`manage.py sweep_accounts`: what a deployed stage does every few minutes."""

    help = "Complete deletions of accounts that were cut off, and sweep after the others."
    requires_system_checks: list[str] = []

    def handle(self, **_: Any) -> None:
        self.stdout.write(f"Removed: {sweep_accounts(None, None)}")
