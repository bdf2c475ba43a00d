"""Computes how long a minute's reminders take, and their cost: the tables of docs/scaling.md.

usage: python -m tests.benchmarks.sweep_arithmetic

The inputs are measured by `python -m tests.benchmarks.sweep` and tests/test_scaling.py, priced by
config/ops/prices.json, or are AWS's limits; what is assumed of AWS is marked.
"""

from config.ops.management.commands.estimate_cost import MEMORY_GB, prices

# Measured for each mail: the units of a reminder of an event, which is the dearest.
WRITE_UNITS, READ_UNITS = 24.0, 4.5
CPU_S = 0.0184
# A mail moves its reminder in the due index twice, out of a place and into one.
INDEX_WRITE_UNITS = 4
# AWS's limits: a partition's units of a second, an account's write units for one table by default.
PARTITION_UNITS, TABLE_UNITS = 1000, 40_000
# Of a processor, what Lambda gives for 1 GB: 1,769 MB are one whole.
PROCESSOR = 1024 / 1769
# Assumed: SES's answer and four of DynamoDB's, with 16 threads that wait for them.
WAITING_S, THREADS = 0.1, 16
SES_RATES = 14, 100, 500, 2000
DUE = 10_000, 100_000, 1_000_000
SHARDS = 1, 2, 4, 8, 16, 32, 64


def sweeper_rate() -> float:
    """Mails a second of one sweeper, limited by its processor or by its threads."""
    taken_s = CPU_S / PROCESSOR
    return min(1 / taken_s, THREADS / (taken_s + WAITING_S))


def rate(shards: int) -> float:
    """Mails a second of one sweeper for each shard, within DynamoDB's limits."""
    by_partition = shards * PARTITION_UNITS / INDEX_WRITE_UNITS
    return min(shards * sweeper_rate(), by_partition, TABLE_UNITS / WRITE_UNITS)


def usd(due: int, lambda_s: float, shards: int) -> tuple[float, float]:
    """AWS's price, without the mails and for the mails."""
    at = prices()
    table = due * (WRITE_UNITS * at["write_unit"] + READ_UNITS * at["read_unit"])
    function = lambda_s * MEMORY_GB * at["gb_s"] + shards * at["invocation"]
    return table + function, due * at["mail"]


def span(seconds: float) -> str:
    """So that it can be read."""
    return f"{seconds:,.0f} s" if seconds < 600 else f"{seconds / 60:,.0f} min"


def main() -> None:
    print(
        "| due at once | shards | mails a second | drained in | index writes a second and shard ",
        end="",
    )
    print("| Lambda seconds | USD | and for SES |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for due in DUE:
        for shards in SHARDS:
            each = rate(shards)
            drained_s = due / each
            lambda_s = drained_s * shards
            own, mails = usd(due, lambda_s, shards)
            print(
                f"| {due:,} | {shards} | {each:,.0f} | {span(drained_s)} "
                f"| {each * INDEX_WRITE_UNITS / shards:,.0f} | {lambda_s:,.0f} "
                f"| {own:,.2f} | {mails:,.2f} |"
            )
    print()
    print("| SES takes a second | " + " | ".join(f"{due:,} due" for due in DUE) + " |")
    print("|---:|" + "---:|" * len(DUE))
    for taken in SES_RATES:
        print(f"| {taken:,} | " + " | ".join(span(due / taken) for due in DUE) + " |")


if __name__ == "__main__":
    main()
