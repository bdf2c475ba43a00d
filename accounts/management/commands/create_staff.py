"""Makes a member of the staff, the first admin among them."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from accounts.api.serializers import EmailField
from accounts.models import Account
from accounts.services.enrolment import Newcomer, NotEnrolled, create_verified_user
from config.problems import Problem


class Command(BaseCommand):
    """`manage.py create_staff EMAIL [--admin]`: a repeated run goes on, or changes nothing."""

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
            address = EmailField().run_validation(email)
            person = Newcomer(address, None, first_name, last_name)
            enrolled = create_verified_user(person, groups=frozenset({group}), now=now())
            Account.at(enrolled.learner_id).void_tokens(now())
        except ValidationError as error:
            raise CommandError(f"{email} is no e-mail address") from error
        except NotEnrolled as error:
            raise CommandError(str(error)) from error
        except Problem as error:
            again = "Repeat the command: it goes on (a local one while `make run` is up)."
            raise CommandError(f"{error.detail}. {again}") from error
        if enrolled.replaced:
            self.stdout.write(
                "Somebody had signed up with this address and not proved it: that account is "
                "removed, with its password and all that was in it, and a new one made."
            )
        self.stdout.write(f"{address} is {group}.")
        if enrolled.code_mailed:
            self.stdout.write("A code to set a password was mailed there; it lasts an hour:")
            self.stdout.write("POST /auth/password/reset-confirm {email, code, newPassword}.")
        self.stdout.write("Another code: POST /auth/password/reset-request {email}.")
