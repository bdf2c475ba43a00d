"""Brings our scenarios and starter decks into the table."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.timezone import now

from learning.services import scenarios, starters

CONTENT = Path(__file__).parents[2] / "content"


class Command(BaseCommand):
    """`manage.py load_content`: repeated, it changes nothing; what staff have edited stays."""

    help = "Publish the scenarios of our pack and offer our starter decks."
    requires_system_checks: list[str] = []

    def handle(self, **_: Any) -> None:
        outcomes = scenarios.load_scenarios(_files("scenarios"), now=now())
        starter_ids = starters.load_starter_decks(_files("decks"))
        for scenario_id, outcome in outcomes.items():
            if outcome != "unchanged":
                self.stdout.write(f"scenario {scenario_id}: {outcome}")
        for starter_id in starter_ids:
            self.stdout.write(f"starter deck {starter_id}: loaded")
        loaded = sum(outcome in ("added", "updated") for outcome in outcomes.values())
        changed = f"{loaded} scenarios and {len(starter_ids)} starter decks loaded"
        self.stdout.write(changed if loaded or starter_ids else "nothing to change")


def _files(kind: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted((CONTENT / kind).glob("*.json"))]
