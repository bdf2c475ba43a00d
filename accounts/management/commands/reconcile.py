"""Compares the user pool with the table."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils.timezone import now

from accounts.models import Reconciliation
from accounts.services.reconciliation import reconcile
from accounts.tasks import WITHIN_S


class Command(BaseCommand):
    """`manage.py reconcile`: what a deployed stage does each night. A repeated run goes on."""

    help = "Compare pool and table, repair what is certain, and list the rest."
    requires_system_checks: list[str] = []

    def handle(self, **_: Any) -> None:
        if not reconcile(goes_on=False, now=now(), within_s=WITHIN_S):
            self.stdout.write("Not complete yet: run it again, it goes on.")
            return
        report = Reconciliation.latest().report or {}
        for entry in report["results"]:
            outcome = "repaired" if entry["repaired"] else "left to you"
            self.stdout.write(f"{entry['learner_id']}  {entry['kind']}  {outcome}")
        self.stdout.write(f"{report['compared']} compared, {report['total']} disagreements.")
        if report["only_reported"]:
            self.stdout.write("So many that nothing was repaired: was a store restored?")
