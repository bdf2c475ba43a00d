"""Estimates the monthly cost of Parley on AWS."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from config.ops import costs

SCALES = (100, 10_000, 1_000_000)


class Command(BaseCommand):
    """`manage.py estimate_cost` prints the tables of docs/cost.md."""

    help = "Estimate a month's bill from measured units and dated prices."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--learners", type=int, nargs="+", default=SCALES)

    def handle(self, *, learners: list[int], **_: Any) -> None:
        at = costs.prices()
        self.stdout.write("| a million of | USD |\n|---|---:|")
        for operation in costs.OPERATIONS:
            usd = costs.price_of(costs.units_of(operation), at) * 1e6
            self.stdout.write(f"| {operation.name} | {usd:,.2f} |")
        months = [costs.month(count, at) for count in learners]
        heads = " | ".join(f"{count:,}" for count in learners)
        self.stdout.write(f"\n| USD a month | {heads} |\n|---|{'---:|' * len(learners)}")
        for name in sorted(months[-1], key=lambda name: -months[-1][name]):
            self._row(name, [costs[name] for costs in months])
        self._row("**all**", [sum(costs.values()) for costs in months])
        totals = zip(months, learners, strict=True)
        self._row("for a learner", [sum(costs.values()) / count for costs, count in totals], 4)

    def _row(self, name: str, amounts: list[float], places: int = 2) -> None:
        cells = " | ".join(f"{amount:,.{places}f}" for amount in amounts)
        self.stdout.write(f"| {name} | {cells} |")
