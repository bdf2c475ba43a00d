"""Lifts the suppression of an address that bounced, or whose owner complained."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from reminders.services.suppressions import unsuppress


class Command(BaseCommand):
    """`manage.py unsuppress EMAIL`, after its owner has asked for mails again."""

    help = "Mail reminders to an address again that bounced or complained."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *, email: str, **_: Any) -> None:
        if not unsuppress(email=email, now=now()):
            raise CommandError(f"{email} is not suppressed")
        self.stdout.write(f"{email} is mailed again")
