"""Computes how long a minute's reminders take, and their cost: the tables of docs/scaling.md.

usage: python -m tests.benchmarks.sweep_arithmetic

The inputs are measured by `python -m tests.benchmarks.sweep` and tests/test_scaling.py, priced by
config/ops/prices.json, or are AWS's limits; what is assumed of AWS is marked.
"""

from config.ops.management.commands.estimate_cost import MEMORY_GB, prices
from reminders.models import SHARDS

# Measured for each mail: the units of a reminder of an event, which is the dearest, with a share of
# the query that shares a shard out; processor time of a digest of cards, which takes most of it.
WRITE_UNITS, READ_UNITS = 24.0, 4.6
CPU_S = 0.0116
# Measured for each page besides.
PAGE_CPU_S = 0.045
# A mail moves its reminder in the due index twice, out of a place and into one.
INDEX_WRITE_UNITS = 4
# AWS's limits: a partition's units of a second, an account's write units for one table by default.
PARTITION_UNITS, TABLE_UNITS = 1000, 40_000
# Of a processor, what Lambda gives for 1 GB: 1,769 MB are one whole.
PROCESSOR = 1024 / 1769
# Assumed: SES's answer and four of DynamoDB's, with 16 threads that wait for them.
WAITING_S, THREADS = 0.1, 16
# Assumed for each page: the queue, the query, the first claims and the last mails.
PAGE_WAITING_S = 0.15
PAGE = 100
SES_RATES = 14, 100, 500, 1_200, 2_000
DUE = 10_000, 100_000, 1_000_000
RUNS = 1, 4, 8, 16, 20, 26, 38


def run_rate() -> float:
    """Mails a second of one run, page by page, limited by its processor or by its threads."""
    taken_s = CPU_S / PROCESSOR
    mails_s = min(1 / taken_s, THREADS / (taken_s + WAITING_S))
    return PAGE / (PAGE / mails_s + PAGE_CPU_S / PROCESSOR + PAGE_WAITING_S)


def rate(runs: int) -> float:
    """Mails a second of so many runs at once, within DynamoDB's limits."""
    by_partition = SHARDS * PARTITION_UNITS / INDEX_WRITE_UNITS
    return min(runs * run_rate(), by_partition, TABLE_UNITS / WRITE_UNITS)


def usd(due: int, lambda_s: float) -> tuple[float, float]:
    """AWS's price, without the mails and for the mails."""
    at = prices()
    table = due * (WRITE_UNITS * at["write_unit"] + READ_UNITS * at["read_unit"])
    function = lambda_s * MEMORY_GB * at["gb_s"] + due / PAGE * at["invocation"]
    return table + function, due * at["mail"]


def span(seconds: float) -> str:
    """So that it can be read."""
    return f"{seconds:,.0f} s" if seconds < 600 else f"{seconds / 60:,.0f} min"


def main() -> None:
    print("| due at once | runs at once | mails a second | drained in ", end="")
    print("| index writes a second and shard | Lambda seconds | USD | and for SES |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for due in DUE:
        for runs in RUNS:
            mails_s = rate(runs)
            drained_s = due / mails_s
            own, mails = usd(due, drained_s * runs)
            print(
                f"| {due:,} | {runs} | {mails_s:,.0f} | {span(drained_s)} "
                f"| {mails_s * INDEX_WRITE_UNITS / SHARDS:,.0f} | {drained_s * runs:,.0f} "
                f"| {own:,.2f} | {mails:,.2f} |"
            )
    print()
    print("| SES takes a second | " + " | ".join(f"{due:,} due" for due in DUE) + " |")
    print("|---:|" + "---:|" * len(DUE))
    for taken in SES_RATES:
        print(f"| {taken:,} | " + " | ".join(span(due / taken) for due in DUE) + " |")


if __name__ == "__main__":
    main()
