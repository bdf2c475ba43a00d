"""Brings our scenarios and starter decks into the table."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from config.clock import now
from learning.services import scenarios, starters

CONTENT = Path(__file__).parents[2] / "content"


class Command(BaseCommand):
    """`manage.py load_content`: repeated, it changes nothing; what staff have edited stays."""

    help = "Publish the scenarios of our pack and offer our starter decks."
    requires_system_checks: list[str] = []

    def handle(self, **_: Any) -> None:
        for scenario_id, outcome in scenarios.load(_files("scenarios"), now=now()).items():
            if outcome != "unchanged":
                self.stdout.write(f"scenario {scenario_id}: {outcome}")
        for starter_id in starters.load(_files("decks")):
            self.stdout.write(f"starter deck {starter_id}: loaded")


def _files(kind: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted((CONTENT / kind).glob("*.json"))]
