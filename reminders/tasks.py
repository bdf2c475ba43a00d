"""The entry points that Zappa calls by the clock, or for an event of SES.

Zappa repeats a call that raises TypeError, and EventBridge and SNS deliver at least once: so each
entry point takes exactly `(event, context)`, catches its own errors, and may run twice.
"""

import json
import logging
import os
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError
from django.utils.timezone import now
from ulid import ULID

from config import aws, telemetry
from config.problems import ServiceUnavailable
from reminders.models import SHARDS, ShardLease
from reminders.services.suppressions import handle_event
from reminders.services.sweep import SweepResult, sweep

log = logging.getLogger("parley.reminders")

THREADS = 16
SPARE_S = 8.0
"""Time that a run reserves for what it has begun last. What is cut off all the same comes up again
after its lease."""
WITHIN_S = 45.0
"""How long a run takes where nothing limits it: it is over before the next minute begins."""
LEASE = timedelta(minutes=2)
"""How long a run has its shard: longer than it lasts, and the wait until it is started. If it dies,
the minutes go on meanwhile, a page each."""
MAX_GENERATIONS = 10
"""How many runs of one shard may follow each other; the next minute goes on anyway."""


def send_due(_event: Any, context: Any) -> dict[str, Any]:
    """Mails the due reminders, each minute; returns the counts.

    It takes one page of each shard; a shard with more goes on at once in a run of its own, unless
    one from an earlier minute still does.
    """
    deployed = _function_name() is not None
    done = _run(range(SHARDS), context, pages=1 if deployed else None)
    if done is None:
        return {}
    if not done.counts["busy"]:  # else the lag is unknown; the alarm treats missing data as late
        telemetry.emit("SweepLag", done.lag_s, unit="Seconds")
    for shard in done.unfinished if deployed else ():
        if holder := _take(shard):
            _continue_async(shard, holder, generation=1)
    return {**done.counts, "unfinished": sorted(done.unfinished)}


def send_due_of_shard(event: Any, context: Any) -> dict[str, Any]:
    """Continues one shard (`event["shard"]`) until it is finished or the time is up.

    `event["holder"]` has the shard's lease, which this run takes over: called twice, one goes on.
    """
    shard, generation = int(event["shard"]), int(event["generation"])
    holder = _take(shard, after=str(event["holder"]))
    if holder is None:
        return {"unfinished": [shard]}
    done = _run([shard], context, pages=None) or SweepResult()
    if done.unfinished and generation < MAX_GENERATIONS:
        _continue_async(shard, holder, generation=generation + 1)
    else:
        ShardLease.give_back(shard, holder=holder)
    return {**done.counts, "unfinished": sorted(done.unfinished)}


def handle_ses_event(event: Any, _context: Any) -> int:
    """Handles events of SES that SNS delivers; returns how many addresses were suppressed."""
    suppressed = 0
    for record in event.get("Records", []):
        try:
            suppressed += handle_event(dict(json.loads(record["Sns"]["Message"])), now=now())
        except (KeyError, TypeError, ValueError):
            log.warning("not an event of SES")
    return suppressed


def _run(shards: Any, context: Any, *, pages: int | None) -> SweepResult | None:
    """Runs a sweep; None if it failed."""
    remaining_ms = getattr(context, "get_remaining_time_in_millis", None)
    within_s = remaining_ms() / 1000 - SPARE_S if remaining_ms else WITHIN_S
    try:
        return sweep(now=now(), within_s=within_s, threads=THREADS, shards=shards, pages=pages)
    except Exception:
        log.exception("a sweep failed; the next minute tries again")
        return None


def _function_name() -> str | None:
    """The name of our Lambda function; None outside of Lambda."""
    return os.environ.get("AWS_LAMBDA_FUNCTION_NAME")


def _take(shard: int, *, after: str | None = None) -> str | None:
    """The name of a new run that has the shard's lease now; None if another run has it."""
    holder, at = str(ULID()), now()
    try:
        taken = ShardLease.take(shard, holder=holder, until=at + LEASE, now=at, after=after)
    except ServiceUnavailable:
        log.warning("the table is busy: shard %d waits for the next minute", shard, exc_info=True)
        return None
    return holder if taken else None


def _continue_async(shard: int, holder: str, *, generation: int) -> None:
    """Starts another run for one shard, whose lease `holder` has."""
    try:
        aws.invoke_async(
            "reminders.tasks.send_due_of_shard", shard=shard, holder=holder, generation=generation
        )
    except (ClientError, ServiceUnavailable):
        log.exception("a shard cannot continue now; the next minute does")
        ShardLease.give_back(shard, holder=holder)
