"""Links learners to the users of a new pool, after the one before was lost."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from accounts.services.relinking import relink_all
from accounts.tasks import WITHIN_S
from config.stack import stack


class Command(BaseCommand):
    """`manage.py relink_learners POOL`: see docs/operations.md. A repeated run goes on."""

    help = "Link learners to the users of a new pool by their proved addresses."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("pool", help="the id of the new pool, so that nobody means another one")

    def handle(self, *, pool: str, **_: Any) -> None:
        if pool != stack().user_pool_id:
            raise CommandError(f"The pool of this stage is {stack().user_pool_id}")
        done = relink_all(now=now(), within_s=WITHIN_S)
        self.stdout.write(f"{done.linked} linked.")
        for learner_id in done.begun_anew:
            self.stdout.write(f"{learner_id}: has made things in a new account, and is left to you")
        if not done.is_whole:
            self.stdout.write("Not complete yet: run it again, it goes on.")
