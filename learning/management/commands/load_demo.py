"""Makes what a local run offers to look around with: content, and accounts."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from accounts.services.enrolment import enrol
from config.clock import now
from config.problems import IdTaken
from learning.services import starters

PASSWORD = "parley-demo-1"  # noqa: S105  (local runs only, and printed at their start)
LEARNER, STAFF = "learner@parley.example", "staff@parley.example"
STARTER, DECK_ID = "spanish-a1-travel", "01JD0DEM0DECK0000000000001"


class Command(BaseCommand):
    """`manage.py load_demo`: what is there already stays as it is."""

    help = "Load the content, make a demo learner with a deck and a demo member of the staff."
    requires_system_checks: list[str] = []

    def handle(self, **_: Any) -> None:
        if settings.STAGE != "local":
            raise CommandError("the demo accounts' password is public: they are for local runs")
        call_command("load_content", stdout=self.stderr)
        learner_id = enrol(
            email=LEARNER, password=PASSWORD, first_name="Lucía", last_name="Demo", now=now()
        )
        enrol(
            email=STAFF,
            password=PASSWORD,
            first_name="Stefan",
            last_name="Demo",
            groups=frozenset({"staff"}),
            now=now(),
        )
        _give_deck(learner_id)
        self.stdout.write(f"Demo learner  {LEARNER}  {PASSWORD}")
        self.stdout.write(f"Demo staff    {STAFF}  {PASSWORD}")


def _give_deck(learner_id: str) -> None:
    """Copies the starter deck once; a learner who has deleted the copy gets no other."""
    try:
        starters.copy(learner_id=learner_id, starter_id=STARTER, deck_id=DECK_ID, now=now())
    except IdTaken:
        return
