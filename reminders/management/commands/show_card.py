"""Prints the state of a card and the log that led there."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.store.items import UNREADABLE
from learning.models.cards import STANDING, Card
from learning.models.log import LogEntry
from reminders.management.commands.show_learner import entry_line, learner_named


class Command(BaseCommand):
    """`manage.py show_card LEARNER CARD`: also of a card that was deleted; its log stays."""

    help = "Print a card's schedule and its log as text, without what it says."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("learner", help="id or e-mail address")
        parser.add_argument("card", help="id")

    def handle(self, *, learner: str, card: str, **_: Any) -> None:
        learner_id = learner_named(learner)
        try:
            stored, log = Card.of(learner_id, card), LogEntry.of_card(learner_id, card)
        except UNREADABLE as error:
            raise CommandError("Something cannot be read: run `manage.py check_learner`") from error
        if stored is None and not log:
            raise CommandError(f"{learner} has no card {card}")
        for row in log:
            self.stdout.write(f"{row.id} {entry_line(row)}")
        if stored is None:
            self.stdout.write("The card is deleted.")
            return
        self.stdout.write(f"{stored.sk} of the deck {stored.deck_id}, {stored.entries} entries")
        for name in STANDING:
            if (value := getattr(stored, name)) is not None:
                self.stdout.write(f"  {name} {value}")
        if stored.entries != len(log):
            self.stdout.write("Its log has another number: run `manage.py check_learner`.")
