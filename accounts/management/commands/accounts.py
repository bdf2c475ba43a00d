"""Keeps pool and table in order: the scheduled work, and the steps after a disaster."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from accounts.models import Reconciliation
from accounts.services.reconciliation import reconcile
from accounts.services.relinking import relink_all
from accounts.services.removal import reapply_deletions
from accounts.tasks import sweep_accounts
from config.stack import stack

WITHIN_S = 40  # the function has a minute
AGAIN = "Not complete yet: run it again, it goes on."


class Command(BaseCommand):
    """`manage.py accounts WHAT`: each may be repeated, and goes on where it was cut off.

    `sweep` completes deletions, as a stage does every few minutes; `reconcile` compares pool and
    table, as it does each night. `reapply-deletions` is for a table that was restored, `relink`
    for a pool that was made anew: docs/operations.md.
    """

    help = "Complete deletions, compare pool and table, mend either after a disaster."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        what.add_parser("sweep", help="complete deletions that were cut off")
        what.add_parser("reconcile", help="compare pool and table, repair what is certain")
        what.add_parser("reapply-deletions", help="delete again whom a restored table has")
        relink = what.add_parser("relink", help="link learners to the users of a new pool")
        relink.add_argument("pool", help="its id, so that nobody means another one")

    def handle(self, *, what: str, pool: str = "", **_: Any) -> None:
        match what:
            case "sweep":
                lines = iter([f"Removed: {sweep_accounts(None, None)}"])
            case "reconcile":
                lines = _reconcile()
            case "reapply-deletions":
                lines = iter([f"Deleted again: {reapply_deletions(now=now())}"])
            case _:
                lines = _relink(pool)
        for line in lines:
            self.stdout.write(line)


def _reconcile() -> Iterator[str]:
    if not reconcile(goes_on=False, now=now(), within_s=WITHIN_S):
        yield AGAIN
        return
    report = Reconciliation.latest().report or {}
    for entry in report["results"]:
        outcome = "repaired" if entry["repaired"] else "left to you"
        yield f"{entry['learner_id']}  {entry['kind']}  {outcome}"
    yield f"{report['compared']} compared, {report['total']} disagreements."
    if report["only_reported"]:
        yield "So many that nothing was repaired: was a store restored?"


def _relink(pool: str) -> Iterator[str]:
    if pool != stack().user_pool_id:
        raise CommandError(f"The pool of this stage is {stack().user_pool_id}")
    done = relink_all(now=now(), within_s=WITHIN_S)
    yield f"{done.linked} linked."
    for learner_id in done.begun_anew:
        yield f"{learner_id}: has made things in a new account, and is left to you"
    if not done.is_whole:
        yield AGAIN
