"""Makes the accounts that a local run offers to look around with."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.services.enrolment import enrol
from config.clock import now
from config.table import fetch
from learning.models.cards import Card, Deck
from learning.services.cards import create_card, create_deck

PASSWORD = "parley-demo-1"  # noqa: S105  (local runs only, and printed at their start)
LEARNER, STAFF = "learner@parley.example", "staff@parley.example"

DECK = {
    "id": "01JD0DEM0DECK0000000000001",
    "name": "First words",
    "description": "A few words to try a review with.",
    "native_language": "en",
    "target_language": "es",
}
WORDS = [
    ("01JD0DEM0CARD0000000000001", "la casa", "house"),
    ("01JD0DEM0CARD0000000000002", "el agua", "water"),
    ("01JD0DEM0CARD0000000000003", "la calle", "street"),
    ("01JD0DEM0CARD0000000000004", "el tiempo", "time; weather"),
    ("01JD0DEM0CARD0000000000005", "quisiera", "I would like"),
    ("01JD0DEM0CARD0000000000006", "la cuenta", "bill"),
]


class Command(BaseCommand):
    """`manage.py load_demo`: what is there already stays as it is."""

    help = "Make a demo learner with a deck, and a demo member of the staff (local runs only)."
    requires_system_checks: list[str] = []

    def handle(self, **_: Any) -> None:
        if settings.STAGE != "local":
            raise CommandError("the demo accounts' password is public: they are for local runs")
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
        _first_words(learner_id)
        self.stdout.write(f"Demo learner  {LEARNER}  {PASSWORD}")
        self.stdout.write(f"Demo staff    {STAFF}  {PASSWORD}")


def _first_words(learner_id: str) -> None:
    """Makes the deck once. Even deleted cards are still known by their ids for a while."""
    keys = [Card.key(learner_id, card_id) for card_id, _, _ in WORDS]
    present = fetch(Deck.key(learner_id, DECK["id"]), *keys)
    if not present:
        create_deck(learner_id=learner_id, fields=DECK, now=now())
    if present and not isinstance(present.get(Deck.key(learner_id, DECK["id"])), Deck):
        return
    for card_id, front, back in WORDS:
        if Card.key(learner_id, card_id) not in present:
            fields = {"id": card_id, "deck_id": DECK["id"], "front": front, "back": back}
            create_card(learner_id=learner_id, fields=fields, now=now())
