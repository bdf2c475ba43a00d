"""Checks everything that follows from learners' logs, and repairs it when asked."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

import reminders.models  # noqa: F401 - each kind of item must be known
from accounts.browse.sessions import BrowserSession  # noqa: F401 - as above
from accounts.models import Account, learner_key
from config.problems import ServiceUnavailable
from config.store.items import Raw
from learning.services.check import Fault, check, repair
from reminders.management.commands.show_learner import learner_named

PAGE = 100


class Command(BaseCommand):
    """`manage.py check_learner [LEARNER]`, without one for all, in the order of their addresses.

    Fails where a fault was found and not repaired.
    """

    help = "Fold all of a learner's log anew and say what differs; repair it with --repair."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("learner", nargs="?", help="id or e-mail address; else all learners")
        parser.add_argument("--repair", action="store_true", help="write what must be")
        parser.add_argument(
            "--new-line",
            action="store_true",
            help="with --repair: devices begin anew, whatever is found; after a restore",
        )
        parser.add_argument("--after", metavar="ID", help="go on with all behind this one")
        parser.add_argument(
            "--seconds", type=float, help="stop by then, and say where to go on: on Lambda 40"
        )

    def handle(
        self,
        *,
        learner: str | None,
        repair: bool,
        new_line: bool,
        after: str | None,
        seconds: float | None,
        **_: Any,
    ) -> None:
        if new_line and not repair:
            raise CommandError("--new-line is for --repair")
        until = time.monotonic() + seconds if seconds else None
        checked = wrong = 0
        for learner_id in [learner_named(learner)] if learner else _all(after):
            wrong += self._check(learner_id, repair=repair, new_line=new_line)
            checked += 1
            if until and not learner and time.monotonic() > until:
                self.stdout.write(f"Time is up: go on with --after {learner_id}")
                break
        self.stdout.write(f"Checked: {checked}. Not as they must be: {wrong}")
        if wrong:
            raise CommandError("Repair with --repair; what is left then, restore from a backup")

    def _check(self, learner_id: str, *, repair: bool, new_line: bool) -> bool:
        """Whether a fault was found that stays."""
        try:
            found, left = _found(learner_id, mend=repair, new_line=new_line)
        except ServiceUnavailable:
            self.stdout.write(f"{learner_id} is studying all the while: try again")
            return True
        for fault in found:
            mended = repair and fault not in left
            self.stdout.write(f"{learner_id} {fault}{' (repaired)' if mended else ''}")
        return bool(left)


def _found(learner_id: str, *, mend: bool, new_line: bool) -> tuple[list[Fault], list[Fault]]:
    if mend:
        return repair(learner_id=learner_id, now=now(), new_line=new_line)
    faults = check(learner_id=learner_id, now=now())
    return faults, faults


def _all(after: str | None) -> Iterator[str]:
    start = _place(after) if after else None
    while True:
        page = Account.by_email("", limit=PAGE, start=start)
        yield from (account.learner_id for account in page.items)
        if not (start := page.next_key):
            return


def _place(learner_id: str) -> Raw:
    account = Account.of(learner_id)
    if account is None or not account.gsi1sk:
        raise CommandError(f"Nobody here is {learner_id}")
    place = {"pk": learner_key(learner_id), "sk": Account.SK, "gsi1pk": account.gsi1pk}
    return {name: {"S": text} for name, text in (place | {"gsi1sk": account.gsi1sk}).items()}
