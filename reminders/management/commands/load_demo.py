"""Creates content and accounts for a look around in a local run."""

from contextlib import suppress
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from accounts.front import DEMO_ACCOUNTS, LEARNER, PASSWORD
from accounts.services.enrolment import Newcomer, NotEnrolled, create_verified_user
from config.problems import IdTaken
from learning.services import starters
from reminders.models import EVENT, STUDY
from reminders.services.events import create_event
from reminders.services.reminders import NoSuchEvent, create_reminder

STARTER, DECK_ID = "spanish-a1-travel", "01JD0DEM0DECK0000000000001"
EVENT_ID = "01JD0DEM0EVENT000000000001"
EVENT_REMINDER_ID, STUDY_REMINDER_ID = "01JD0DEM0REM1NDER000000001", "01JD0DEM0REM1NDER000000002"
CLUB = "Europe/Madrid"
THURSDAY = 3


class Command(BaseCommand):
    """`manage.py load_demo`: existing data stays as it is."""

    help = "Load the content; make a demo learner with things to study, a staff member, an admin."
    requires_system_checks: list[str] = []

    def handle(self, **_: Any) -> None:
        if settings.STAGE != "local":
            raise CommandError("the demo accounts' password is public: they are for local runs")
        call_command("load_content", stdout=self.stderr)
        learner_ids = {}
        for account in DEMO_ACCOUNTS:
            person = Newcomer(account.email, PASSWORD, account.first_name, account.last_name)
            try:
                enrolled = create_verified_user(person, groups=account.groups, now=now())
            except NotEnrolled as error:
                raise CommandError(str(error)) from error
            learner_ids[account] = enrolled.learner_id
            self.stdout.write(f"Demo {account.role:8} {account.email:24} {PASSWORD}")
        _give_deck(learner_ids[LEARNER])
        _give_reminders(learner_ids[LEARNER], now())


def _give_deck(learner_id: str) -> None:
    """Copies the starter deck once; a learner who deleted the copy gets no other."""
    try:
        starters.copy_starter_deck(
            learner_id=learner_id, starter_id=STARTER, deck_id=DECK_ID, now=now()
        )
    except IdTaken:
        return


def _give_reminders(learner_id: str, at: datetime) -> None:
    """Creates a weekly event with a reminder and a daily study reminder, once."""
    today = at.astimezone(ZoneInfo(CLUB)).date()
    first_on = today + timedelta(days=(THURSDAY - today.weekday()) % 7)
    starts_at = datetime.combine(first_on, time(19), ZoneInfo(CLUB))
    with suppress(IdTaken):
        fields = {
            "id": EVENT_ID,
            "title": "Tertulia en español",
            "location": "Café Central",
            "starts_at": starts_at,
            "ends_at": starts_at + timedelta(minutes=90),
            "timezone": CLUB,
            "rrule": "FREQ=WEEKLY;BYDAY=TH",
        }
        create_event(learner_id=learner_id, fields=fields, now=at)
    with suppress(IdTaken, NoSuchEvent):
        fields = {
            "id": EVENT_REMINDER_ID,
            "about": EVENT,
            "event_id": EVENT_ID,
            "offset_minutes": [1440, 60],
        }
        create_reminder(learner_id=learner_id, fields=fields, now=at)
    with suppress(IdTaken):
        fields = {
            "id": STUDY_REMINDER_ID,
            "about": STUDY,
            "weekdays": list(range(7)),
            "local_time": "18:00",
        }
        create_reminder(learner_id=learner_id, fields=fields, now=at)
