"""Draws how the service grows, for docs/performance.md: an SVG of three panels."""

import math
from collections.abc import Mapping, Sequence

from config.ops.management.commands.estimate_cost import month, prices
from tests.benchmarks.sweep_arithmetic import rate

WIDTH, HEIGHT, MARGIN = 290, 220, 46
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
LEARNERS = (100, 1_000, 10_000, 100_000, 1_000_000)
DUE, RUNS = (1_000, 10_000, 100_000, 1_000_000), (4, 26)


def picture(sizes: Sequence[int], requests: Mapping[str, Sequence[float]]) -> str:
    """Milliseconds by cards, dollars by learners, minutes by due reminders."""
    at = prices()
    usd = {
        f"year {year}": [sum(month(count, at, year).values()) / count for count in LEARNERS]
        for year in (1, 3)
    }
    minutes = {f"{runs} runs at once": [due / rate(runs) / 60 for due in DUE] for runs in RUNS}
    panels = (
        ("processor ms of a request, by cards", sizes, requests),
        ("USD a month and learner, by learners", LEARNERS, usd),
        ("minutes until all are mailed, by reminders due at once", DUE, minutes),
    )
    drawn = "".join(_panel(number, *panel) for number, panel in enumerate(panels))
    whole = (WIDTH + 2 * MARGIN) * len(panels), HEIGHT + 3 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole[0]} {whole[1]}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
        f"{drawn}</svg>\n"
    )


def _panel(
    number: int, title: str, sizes: Sequence[int], lines: Mapping[str, Sequence[float]]
) -> str:
    left, top = number * (WIDTH + 2 * MARGIN) + MARGIN, MARGIN
    most = max(max(values) for values in lines.values())
    low, high = math.log10(sizes[0]), math.log10(sizes[-1])

    def x(size: int) -> float:
        return left + (math.log10(size) - low) / (high - low) * WIDTH

    def y(value: float) -> float:
        return top + HEIGHT - value / most * HEIGHT

    parts = [f'<text x="{left}" y="{top - 18}" font-weight="bold">{title}</text>']
    for size in sizes:
        parts.append(f'<text x="{x(size):.0f}" y="{top + HEIGHT + 16}" text-anchor="middle">'
                     f"{size:,}</text>")  # fmt: skip
    for part in range(5):
        value = most * part / 4
        parts.append(
            f'<line x1="{left}" x2="{left + WIDTH}" y1="{y(value):.0f}" y2="{y(value):.0f}" '
            f'stroke="#ddd"/><text x="{left - 5}" y="{y(value) + 4:.0f}" text-anchor="end">'
            f"{value:.3g}</text>"
        )
    for (name, values), colour, row in zip(lines.items(), COLOURS, range(len(lines)), strict=False):
        points = " ".join(f"{x(s):.0f},{y(v):.0f}" for s, v in zip(sizes, values, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" '
                     f'stroke-width="2"/>')  # fmt: skip
        parts.append(f'<text x="{left + row * WIDTH / len(lines):.0f}" y="{top + HEIGHT + 40}" '
                     f'fill="{colour}">{name}</text>')  # fmt: skip
    return "".join(parts)
