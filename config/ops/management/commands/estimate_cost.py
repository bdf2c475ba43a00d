"""Estimates the monthly cost of Parley on AWS.

Units that the tests measure, times dated prices, times learners' requests.
"""

import json
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from django.conf import settings
from django.core.management.base import BaseCommand

from config import objects
from config.stack import BASE_DIR
from config.telemetry import Name

PRICES = BASE_DIR / "config" / "ops" / "prices.json"
SCALES = (100, 10_000, 1_000_000)
YEARS = (1, 3)


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
    Operation("POST /flashcards/{id}/reviews", STUDY_DAYS * REVIEWS_A_DAY, 6, 14.5, 2),
    Operation("POST /flashcards", STUDY_DAYS * NEW_CARDS_A_DAY, 4, 16, 2),
    Operation("GET /flashcards/due", STUDY_DAYS * 3, 39, 0, 5),
    Operation("GET /profile", STUDY_DAYS * 2, 4, 0, 1),
    Operation("POST /auth/refresh", STUDY_DAYS * 2, 0, 2, 2),
    Operation("POST /auth/login", 2, 2, 6, 4),
)
# A study reminder's mail, from its place in the due index to its record, with a look at a full
# study queue. No request causes it.
MAIL = Operation("a reminder by mail", STUDY_DAYS, 36, 22, 9)
# A thousand cards a year with their index entries, and the reviews of so many years. Measured by
# `python -m tests.benchmarks.capacity stored`; the journal is kept for 400 days.
STORED_GB = {1: 0.0057, 2: 0.0104, 3: 0.0151}
IMPORTS_A_MONTH, IMPORT_WRITES, IMPORT_S = 1 / 24, 16 * 1_000, 60.0  # a deck of a thousand notes
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
    ("GET /media, 100 files of 25 kB, each fetched once", 13, 0, 0.1, 2_600_000),
)
# One sweep a minute, with half a unit for each of eight shards.
SWEEPS_A_MONTH, SWEEP_S, SWEEP_READS = 43_800, 0.1, 4
# API Gateway keeps the authorizer's answer for a minute of study.
GATE_A_MONTH, GATE_S = STUDY_DAYS * 10, 0.005
# Two rounds a night over the accounts (0.05 units each). Every four weeks a fit reads a year's log.
ROUND_READS, FITS_A_MONTH, FIT_READS, FIT_S = 60 * 0.05, 30 / 28, 600, 2.0

# X-Ray, which is off, would keep a trace of each second's first event, and of a twentieth of the
# others (AWS: Lambda's sampling, which cannot be changed).
SECONDS_A_MONTH, SAMPLED = 2_628_000, 0.05
# Each of two queues is asked 15 times a minute whether there is work.
POLLS_A_MONTH = 2 * 15 * SWEEPS_A_MONTH
ALARMS = 18  # of a stage
METRICS = len(get_args(Name))  # of which an idle stage writes SweepLag alone
ROTATION_DAYS = 1_095  # of the template: docs/adr/0013-key-rotation.md
# What AWS gives any account for good.
FREE = {"alarm": 10, "metric": 10, "queue_request": 1e6, "invocation": 1e6, "gb_s": 400_000,
        "stored_gb": 25, "log_gb": 5}  # fmt: skip
FREE_USERS = 10_000  # of Cognito's, for good too (prices.json, `active_user`)
# By AWS's own rule a review is this, where DynamoDB Local counts 14.5 (docs/access-patterns.md).
AWS_REVIEW_WRITES = 10.5


def key_versions(year: int, rotation_days: int = ROTATION_DAYS) -> int:
    """The versions of the key that are paid for in a year: at most two rotations are."""
    return 1 + min(2, (year - 1) * 365 // rotation_days)


# A session with a model as partner: turns, tokens read and written in each, and those for scores.
# The requests of the pack's scenarios are no longer (tests/test_verdict.py), at four bytes a token.
TURNS, TURN_READ, TURN_WRITTEN, SCORES_READ, SCORES_WRITTEN = 10, 2_300, 160, 1_900, 250
# Its guardrail looks at the learner's words and at the answer, and at the dialogue before scores.
GUARDED_TEXTS = TURNS * 2 + 3


# A learner's month of voice, words and pictures: cards that are new to the voice, words
# looked up in a sentence, recordings of eight seconds, and a deck with media.
SPOKEN, SPOKEN_CHARACTERS = 200, 25
LOOKED_UP, LOOKED_UP_CHARACTERS = 40, 50
# … by a model instead: the request of tests/test_dictionary.py, at four bytes a token.
ENTRY_READ, ENTRY_WRITTEN = 600, 60
RECORDED, RECORDED_S = 30, 15
MEDIA_FILES, MEDIA_GB, MEDIA_READ_GB = 500, 0.05, 0.05


def voice_and_media() -> dict[str, dict[str, float]]:
    """What a learner's month uses of each kind, by the names of the prices."""
    return {
        f"{SPOKEN} cards read aloud": {"spoken_character": SPOKEN * SPOKEN_CHARACTERS},
        f"{LOOKED_UP} words looked up with a sentence": {
            "translated_character": LOOKED_UP * LOOKED_UP_CHARACTERS
        },
        f"{LOOKED_UP} words looked up by a model": {
            "model_input": LOOKED_UP * ENTRY_READ,
            "model_output": LOOKED_UP * ENTRY_WRITTEN,
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


def used_in_month(learners: int, year: int = 1) -> dict[str, float]:
    """The units that so many active learners use in a month of one of their first three years."""
    used: dict[str, float] = defaultdict(float)
    for operation in OPERATIONS:
        for name, amount in units_of(operation).items():
            used[name] += amount * operation.a_month * learners
    for name, amount in {**units_of(MAIL), "request": 0}.items():
        used[name] += amount * MAIL.a_month * learners
    used["active_user"] += learners
    used["mail"] += MAIL.a_month * learners
    used["stored_gb"] = used["recovery_gb"] = STORED_GB[year] * learners
    used["invocation"] += SWEEPS_A_MONTH + (GATE_A_MONTH + FITS_A_MONTH) * learners
    used["read_unit"] += SWEEPS_A_MONTH * SWEEP_READS
    used["read_unit"] += (ROUND_READS + FITS_A_MONTH * FIT_READS) * learners
    used["write_unit"] += IMPORTS_A_MONTH * IMPORT_WRITES * learners
    used["gb_s"] += SWEEPS_A_MONTH * SWEEP_S * MEMORY_GB
    seconds = GATE_A_MONTH * GATE_S + FITS_A_MONTH * FIT_S + IMPORTS_A_MONTH * IMPORT_S
    used["gb_s"] += seconds * MEMORY_GB * learners
    used["log_gb"] += SWEEPS_A_MONTH * LOG_BYTES / 1e9
    used["queue_request"] = POLLS_A_MONTH
    used["alarm"] = ALARMS
    used["metric"] = METRICS if learners else 1
    used["key_version"] = key_versions(year)
    return dict(used)


def traces(invocations: float) -> float:
    """The traces that X-Ray would keep of so many invocations a month."""
    of_a_second = min(invocations, SECONDS_A_MONTH)
    return of_a_second + SAMPLED * (invocations - of_a_second)


def month(learners: int, at: Mapping[str, float], year: int = 1) -> dict[str, float]:
    """USD a month for so many active learners, by kind of unit. Free tiers are left out."""
    return {name: amount * at[name] for name, amount in used_in_month(learners, year).items()}


def beyond_free(learners: int, at: Mapping[str, float], year: int) -> float:
    """USD a month for so many learners, beyond what AWS gives any account for good."""
    used = used_in_month(learners, year)
    return sum(max(0, amount - FREE.get(name, 0)) * at[name] for name, amount in used.items())


def down_to_the_bill(at: Mapping[str, float], year: int) -> dict[str, float]:
    """USD a month and learner, from all that the table counts down to what AWS would ask for."""
    used = used_in_month(SWITCHED, year)
    counted = sum(month(SWITCHED, at, year).values())
    free = beyond_free(SWITCHED, at, year)
    paid = free - used["mail"] * (at["mail"] - at["mail_a_la_carte"])
    uncounted = (OPERATIONS[0].writes - AWS_REVIEW_WRITES) * OPERATIONS[0].a_month * SWITCHED
    by_rule = paid - uncounted * at["write_unit"]
    return {
        COUNTED: counted / SWITCHED,
        "without what AWS gives any account for good, but for Cognito's users": free / SWITCHED,
        "and with mails à la carte": paid / SWITCHED,
        "and with a review by AWS's own counting": by_rule / SWITCHED,
        BILLED: (by_rule - FREE_USERS * at["active_user"]) / SWITCHED,
    }


SWITCHED = 10_000  # learners, of the table of switches
COUNTED, BILLED = "all, by DynamoDB Local's counting", "and without Cognito's 10,000 free users"


def switches(at: Mapping[str, float]) -> list[tuple[str, float, str]]:
    """Each switch, its change of the bill in USD a month, and what is lost by it."""
    used = used_in_month(SWITCHED)
    reviews = OPERATIONS[0]
    uncounted = (reviews.writes - AWS_REVIEW_WRITES) * reviews.a_month * SWITCHED
    # Auto-scaling keeps 70 % busy; the hours of an evening take three times the mean.
    capacity = {
        kind: used[f"{kind}_unit"] / SECONDS_A_MONTH * 3 / 0.7 for kind in ("read", "write")
    }
    hours = SECONDS_A_MONTH / 3600
    on_demand = used["read_unit"] * at["read_unit"] + used["write_unit"] * at["write_unit"]
    provisioned = hours * (
        capacity["read"] * at["read_hour"] + capacity["write"] * at["write_hour"]
    )
    starts = 0.001 * used["invocation"]
    snapshots = 5 * MEMORY_GB * SECONDS_A_MONTH * at["snapshot_gb_s"]
    return [
        ("AWS's own counting of a review, 10.5 units", -uncounted * at["write_unit"],
         "nothing: DynamoDB Local's 14.5 are an upper bound"),
        ("Cognito Lite, free users left out on both sides",
         SWITCHED * (at["lite_user"] - at["active_user"]),
         "rotation of refresh tokens, sign-in by mailed code, passkeys"),
        ("HTTP API", used["request"] * (at["http_request"] - at["request"]),
         "the firewall, the authorizer by Zappa, limits of a stage's requests"),
        ("provisioned capacity, at its evening's peak", provisioned - on_demand,
         "room for peaks: beyond it 503 until auto-scaling follows, in minutes"),
        ("SnapStart, five versions kept", snapshots + starts * MEMORY_GB * at["restored_gb"],
         "gives starts without loading, of which each thousand requests has one"),
        ("mails à la carte", used["mail"] * (at["mail_a_la_carte"] - at["mail"]),
         "SES's dashboards of delivery"),
        ("X-Ray on", traces(used["invocation"]) * at["trace"],
         "gives traces of Lambda's own phases; the log has each request's time, calls and units"),
        ("no point-in-time recovery", -used["recovery_gb"] * at["recovery_gb"],
         "the table as it was at any second of 35 days"),
        ("the key rotated each year, in year three", 2 * at["key_version"],
         "gives a new version of the key each year"),
    ]  # fmt: skip


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
        months = [(count, month(count, at, year)) for count in learners for year in YEARS]
        heads = " | ".join(f"{count:,}, year {year}" for count in learners for year in YEARS)
        self.stdout.write(f"\n| USD a month | {heads} |\n|---|{'---:|' * len(months)}")
        largest = months[-1][1]
        for name in sorted(largest, key=lambda name: -largest[name]):
            self._row(name, [usd[name] for _, usd in months])
        self._row("**all**", [sum(usd.values()) for _, usd in months])
        self._row("for a learner", [sum(usd.values()) / count for count, usd in months], 4)
        years = " | ".join(f"year {year}" for year in STORED_GB)
        self.stdout.write(f"\n| a stage that nobody uses, USD a month | {years} |")
        self.stdout.write(f"|---|{'---:|' * len(STORED_GB)}")
        self._row("without AWS's free amounts", [sum(month(0, at, y).values()) for y in STORED_GB])
        self._row("with those of any account", [beyond_free(0, at, y) for y in STORED_GB])
        self.stdout.write(f"\n| USD a month and learner, of {SWITCHED:,} | year 1 | year 3 |")
        self.stdout.write("|---|---:|---:|")
        for name, usd in down_to_the_bill(at, 1).items():
            self._row(name, [usd, down_to_the_bill(at, 3)[name]], 4)
        self.stdout.write(f"\n| switch | USD a month, {SWITCHED:,} learners | what is lost |")
        self.stdout.write("|---|---:|---|")
        for name, usd, lost in switches(at):
            self.stdout.write(f"| {name} | {usd:+,.2f} | {lost} |")
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
        """Prints the cost of a model as partner, and the most that the budgets allow."""
        used, at = session_with_model(), prices()
        read, written = used["model_input"], used["model_output"]
        price = price_of(used, at)
        self.stdout.write("\n| a model as partner | tokens | USD |\n|---|---:|---:|")
        session = f"a session of {TURNS} turns, with its scores"
        self.stdout.write(f"| {session} | {read:,} read, {written:,} written | {price:.5f} |")
        price = price_of({"guarded_text": GUARDED_TEXTS}, at)
        texts = f"{GUARDED_TEXTS} texts of 1,000 characters"
        self.stdout.write(f"| its guardrail, with content filters alone | {texts} | {price:.5f} |")
        for name, most in zip(
            ("a learner's day at most", "a stage's month at most"),
            settings.BUDGETS["partner_tokens"],
            strict=True,
        ):
            dearest = most * max(at["model_input"], at["model_output"])
            self.stdout.write(f"| {name} | {most:,} | {dearest:,.2f} |")

    def _voice(self) -> None:
        """Prints a learner's month of voice, words and media, and the budgets' limits."""
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
        gigabytes = objects.URL_LIFE.total_seconds() / 8
        misused = "a file's address in many hands: its 15 minutes at a gigabit a second"
        self.stdout.write(f"| {misused} | {gigabytes * at['transfer_gb']:,.2f} |")

    def _row(self, name: str, amounts: list[float], places: int = 2) -> None:
        cells = " | ".join(f"{amount:,.{places}f}" for amount in amounts)
        self.stdout.write(f"| {name} | {cells} |")
