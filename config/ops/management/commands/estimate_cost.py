"""Estimates the monthly cost of Parley on AWS.

Units that the tests measure, times dated prices, times learners' requests.
"""

import json
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from config.stack import BASE_DIR

PRICES = BASE_DIR / "config" / "ops" / "prices.json"
SCALES = (100, 10_000, 1_000_000)


@dataclass(frozen=True)
class Operation:
    """One request: its DynamoDB units, its round trips to AWS, and its number a month.

    The number is that of one active learner. The units are those of `docs/access-patterns.md`;
    tests/test_cost.py measures some of them again.
    """

    name: str
    a_month: float
    reads: float
    writes: float
    round_trips: int


# An active learner studies on twenty days a month: thirty reviews and two new cards on each.
STUDY_DAYS, REVIEWS_A_DAY, NEW_CARDS_A_DAY = 20, 30, 2
OPERATIONS = (
    Operation("POST /flashcards/{id}/reviews", STUDY_DAYS * REVIEWS_A_DAY, 6, 15, 2),
    Operation("POST /flashcards", STUDY_DAYS * NEW_CARDS_A_DAY, 4, 16, 2),
    Operation("GET /flashcards/due", STUDY_DAYS * 3, 39, 0, 5),
    Operation("GET /profile", STUDY_DAYS * 2, 4, 0, 1),
    Operation("POST /auth/refresh", STUDY_DAYS * 2, 0, 2, 2),
    Operation("POST /auth/login", 2, 2, 6, 4),
)
# A study reminder's mail, from its place in the due index to its record, with a look at a full
# study queue. No request causes it.
MAIL = Operation("a reminder by mail", STUDY_DAYS, 36, 22, 9)
STORED_GB = 0.006  # a thousand cards with their index entries, a year of reviews
LOG_BYTES = 420  # our log line of a request, and Lambda's own report
MEMORY_GB = 1.0
# Estimates, not measured on AWS: our own part of a request at 0.58 of a processor, and one call.
OWN_S, ROUND_TRIP_S = 0.012, 0.008
# What a learner's account can ask for that costs most: units read and written, seconds, bytes sent.
# Those of exports, fits and searches are estimates by the size of what is read, rather too high.
DEAREST = (
    ("GET /flashcards/export, 4.4 MB", 1_500, 0, 3.0, 4_400_000),
    ("POST /scheduler/optimize, 100,000 entries", 5_000, 10, 60.0, 500),
    ("POST /reviews, 100 of them", 400, 830, 1.0, 100_000),
    ("GET /flashcards?q=, 500 cards looked at", 64, 0, 0.2, 100_000),
    ("GET /statistics, 1,000 cards due", 88, 0, 0.1, 10_000),
    ("GET /profile", 4, 0, 0.02, 1_000),
)
# One sweep a minute, with half a unit for each of eight shards.
SWEEPS_A_MONTH, SWEEP_S, SWEEP_READS = 43_800, 0.1, 4
# API Gateway keeps the authorizer's answer for a minute of study.
GATE_A_MONTH, GATE_S = STUDY_DAYS * 10, 0.005
# Two rounds a night over the accounts (0.05 units each). Every four weeks a fit reads a year's log.
ROUND_READS, FITS_A_MONTH, FIT_READS, FIT_S = 60 * 0.05, 30 / 28, 600, 2.0


# A session with a model as partner: turns, tokens read and written in each, and those for scores.
# The requests of the pack's scenarios are no longer (tests/test_verdict.py), at four bytes a token.
TURNS, TURN_READ, TURN_WRITTEN, SCORES_READ, SCORES_WRITTEN = 10, 2_300, 160, 1_900, 250


# A learner's month of voice, words and pictures: cards that are new to the voice, words
# looked up in a sentence, recordings of eight seconds, and a deck with media.
SPOKEN, SPOKEN_CHARACTERS = 200, 25
LOOKED_UP, LOOKED_UP_CHARACTERS = 40, 50
RECORDED, RECORDED_S = 30, 15
MEDIA_FILES, MEDIA_GB, MEDIA_READ_GB = 500, 0.05, 0.05


def voice_and_media() -> dict[str, dict[str, float]]:
    """What a learner's month uses of each kind, by the names of the prices."""
    return {
        f"{SPOKEN} cards read aloud": {"spoken_character": SPOKEN * SPOKEN_CHARACTERS},
        f"{LOOKED_UP} words looked up with a sentence": {
            "translated_character": LOOKED_UP * LOOKED_UP_CHARACTERS
        },
        f"{RECORDED} recordings": {"heard_second": RECORDED * RECORDED_S},
        f"{MEDIA_FILES} pictures and sounds, imported and shown once": {
            "media_put": MEDIA_FILES,
            "media_gb": MEDIA_GB,
            "transfer_gb": MEDIA_READ_GB,
        },
    }


def session_with_model() -> dict[str, int]:
    """The tokens of a session whose partner is a model."""
    return {
        "model_input": TURNS * TURN_READ + SCORES_READ,
        "model_output": TURNS * TURN_WRITTEN + SCORES_WRITTEN,
    }


def prices() -> dict[str, float]:
    """USD for one unit of each kind."""
    listed = json.loads(PRICES.read_text())["prices"]
    return {name: price["usd"] / price["per"] for name, price in listed.items()}


def units_of(operation: Operation) -> dict[str, float]:
    """The units that one such request uses, by the names of the prices."""
    seconds = OWN_S + operation.round_trips * ROUND_TRIP_S
    return {
        "request": 1,
        "invocation": 1,
        "gb_s": seconds * MEMORY_GB,
        "read_unit": operation.reads,
        "write_unit": operation.writes,
        "log_gb": LOG_BYTES / 1e9,
    }


def price_of(units: Mapping[str, float], at: Mapping[str, float]) -> float:
    """The price of these units in USD."""
    return sum(amount * at[name] for name, amount in units.items())


def month(learners: int, at: Mapping[str, float]) -> dict[str, float]:
    """USD a month for so many active learners, by kind of unit. Free tiers are left out."""
    used: dict[str, float] = defaultdict(float)
    for operation in OPERATIONS:
        for name, amount in units_of(operation).items():
            used[name] += amount * operation.a_month * learners
    for name, amount in {**units_of(MAIL), "request": 0}.items():
        used[name] += amount * MAIL.a_month * learners
    used["active_user"] += learners
    used["mail"] += MAIL.a_month * learners
    used["stored_gb"] += STORED_GB * learners
    used["invocation"] += SWEEPS_A_MONTH + (GATE_A_MONTH + FITS_A_MONTH) * learners
    used["read_unit"] += SWEEPS_A_MONTH * SWEEP_READS
    used["read_unit"] += (ROUND_READS + FITS_A_MONTH * FIT_READS) * learners
    used["gb_s"] += SWEEPS_A_MONTH * SWEEP_S * MEMORY_GB
    used["gb_s"] += (GATE_A_MONTH * GATE_S + FITS_A_MONTH * FIT_S) * MEMORY_GB * learners
    return {name: amount * at[name] for name, amount in used.items()}


class Command(BaseCommand):
    """`manage.py estimate_cost` prints the tables of docs/cost.md."""

    help = "Estimate a month's bill from measured units and dated prices."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--learners", type=int, nargs="+", default=SCALES)

    def handle(self, *, learners: list[int], **_: Any) -> None:
        at = prices()
        self.stdout.write("| a million of | USD |\n|---|---:|")
        for operation in OPERATIONS:
            price = price_of(units_of(operation), at) * 1e6
            self.stdout.write(f"| {operation.name} | {price:,.2f} |")
        months = [month(count, at) for count in learners]
        heads = " | ".join(f"{count:,}" for count in learners)
        self.stdout.write(f"\n| USD a month | {heads} |\n|---|{'---:|' * len(learners)}")
        for name in sorted(months[-1], key=lambda name: -months[-1][name]):
            self._row(name, [usd[name] for usd in months])
        self._row("**all**", [sum(usd.values()) for usd in months])
        totals = zip(months, learners, strict=True)
        self._row("for a learner", [sum(usd.values()) / count for usd, count in totals], 4)
        self._dearest()
        self._model()
        self._voice()

    def _dearest(self) -> None:
        """What a learner's day may hold of the requests that cost most."""
        self.stdout.write("\n| the dearest | USD for a thousand | a day at most |\n|---|---:|---:|")
        for name, reads, writes, seconds, sent in DEAREST:
            used = {
                **units_of(Operation(name, 1, reads, writes, 0)),
                "gb_s": seconds * MEMORY_GB,
                "transfer_gb": sent / 1e9,
            }
            usd = price_of(used, prices())
            most = settings.LIMITS["fit"][0] if "optimize" in name else settings.DAY_USD / usd
            self.stdout.write(f"| {name} | {usd * 1e3:,.3f} | {int(most):,} |")

    def _model(self) -> None:
        """What a model as partner costs, and what the budgets allow at most."""
        used, at = session_with_model(), prices()
        read, written = used["model_input"], used["model_output"]
        price = price_of(used, at)
        self.stdout.write("\n| a model as partner | tokens | USD |\n|---|---:|---:|")
        session = f"a session of {TURNS} turns, with its scores"
        self.stdout.write(f"| {session} | {read:,} read, {written:,} written | {price:.5f} |")
        for name, most in zip(
            ("a learner's day at most", "a stage's month at most"),
            settings.BUDGETS["partner_tokens"],
            strict=True,
        ):
            dearest = most * max(at["model_input"], at["model_output"])
            self.stdout.write(f"| {name} | {most:,} | {dearest:,.2f} |")

    def _voice(self) -> None:
        """What a learner's month of voice, words and media costs, and what the budgets allow."""
        at = prices()
        self.stdout.write("\n| voice, words and media | USD |\n|---|---:|")
        for name, used in voice_and_media().items():
            self.stdout.write(f"| {name}, a month | {price_of(used, at):.3f} |")
        things = {
            "speech_characters": "spoken_character",
            "speech_seconds": "heard_second",
            "dictionary_characters": "translated_character",
        }
        for place, name in enumerate(("a learner's day at most", "a stage's month at most")):
            dearest = sum(
                settings.BUDGETS[thing][place] * at[unit] for thing, unit in things.items()
            )
            self.stdout.write(f"| {name} | {dearest:,.2f} |")

    def _row(self, name: str, amounts: list[float], places: int = 2) -> None:
        cells = " | ".join(f"{amount:,.{places}f}" for amount in amounts)
        self.stdout.write(f"| {name} | {cells} |")
