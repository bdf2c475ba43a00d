"""Makes a member of the staff, the first admin among them."""

import secrets
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Account
from accounts.serializers.fields import Email
from accounts.services.enrolment import enrol
from config.clock import now
from config.problems import Problem


class Command(BaseCommand):
    """`manage.py create_staff EMAIL [--admin]`: a repeated run changes nothing."""

    help = "Let a person work as staff: their account is made, or given the group."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--admin", action="store_true", help="may change learners' accounts")
        parser.add_argument("--first-name", default="Staff")
        parser.add_argument("--last-name", default="Parley")

    def handle(self, *, email: str, admin: bool, first_name: str, last_name: str, **_: Any) -> None:
        from rest_framework.exceptions import ValidationError

        group = "admin" if admin else "staff"
        try:
            address = Email().run_validation(email)
            learner_id = enrol(
                email=address,
                # Nobody knows it: the person sets one by the mail of a password reset.
                password=secrets.token_urlsafe(32),
                first_name=first_name,
                last_name=last_name,
                groups=frozenset({group}),
                now=now(),
            )
            Account.at(learner_id).void_tokens(now())
        except ValidationError as error:
            raise CommandError(f"{email} is no e-mail address") from error
        except Problem as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"{address} is {group}.")
        self.stdout.write("Without a password? Ask for one at /auth/password/reset-request.")
