"""What Zappa calls by the clock or for an event of SES, and the work on a backlog.

Zappa repeats a call that raises TypeError, and EventBridge and SNS deliver at least once: so each
entry point takes exactly `(event, context)`, catches its own errors, and may run twice.
"""

import json
import logging
import os
import random
import time
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from django.utils.timezone import now
from ulid import ULID

from config import telemetry
from config.problems import ServiceUnavailable
from config.work import Message, enqueue, enqueue_all
from reminders.models import SHARDS, Reminder, ShardLease
from reminders.services.suppressions import handle_event
from reminders.services.sweep import PAGE, SweepResult, sweep

log = logging.getLogger("parley.reminders")

THREADS = 16
SPARE_S = 8.0
"""Time that a run reserves for what it has begun last. What is cut off all the same comes up again
after its lease."""
WITHIN_S = 45.0
"""How long a run takes where nothing limits it: it is over before the next minute begins."""
LEASE = timedelta(minutes=20)
"""How long a shard's backlog may take: so long the minutes share out no other one of it. The
message that stands behind those of the pages gives it back before."""
AGAIN_S = 20, 60
"""After so long a page is taken up again that SES or the table had no room for."""
MOST_AGAIN = 30


def send_due(_event: Any, context: Any) -> dict[str, Any]:
    """Mails the due reminders, each minute; returns the counts.

    It takes one page of each shard; a shard with more is shared out to runs of the queue, unless
    that of an earlier minute is still under way.
    """
    deployed = _function_name() is not None
    done = _run(range(SHARDS), context, pages=1 if deployed else None)
    if done is None:
        return {}
    if not done.counts["busy"]:  # else the lag is unknown; the alarm treats missing data as late
        telemetry.emit("SweepLag", done.lag_s, unit="Seconds")
    for shard in done.unfinished if deployed else ():
        if holder := _take(shard):
            _ask(shard, "due_shard", {"holder": holder, "by": now().isoformat()})
    return {**done.counts, "unfinished": sorted(done.unfinished)}


def share_out(message: Message) -> None:
    """Asks for a run for each page of a shard's due reminders; `holder` has the shard's lease.

    Called twice, one goes on. A run that dies leaves the rest to a minute after the lease.
    """
    shard, by = int(message.payload["shard"]), datetime.fromisoformat(message.payload["by"])
    holder = _take(shard, after=str(message.payload["holder"]))
    if holder is None or message.is_given_up:
        return
    start = message.payload.get("start")
    while True:
        spans, start = Reminder.due_spans(shard, by=by, page=PAGE, start=start)
        pages = [{"shard": shard, "first": first, "last": last} for first, last in spans]
        enqueue_all("due_page", pages)
        if start is None:
            enqueue("due_end", {"shard": shard, "holder": holder})
            return
        if time.monotonic() > message.until:
            rest = {"shard": shard, "holder": holder, "by": by.isoformat(), "start": start}
            enqueue("due_shard", rest)
            return


def send_due_of_page(message: Message) -> None:
    """Mails what is due in a page of a shard, if it has not been mailed since.

    What SES or the table had no room for is taken up again a little later.
    """
    if message.is_given_up:  # the minutes go on with what is left
        return
    payload = message.payload
    done = sweep(
        now=now(),
        within_s=message.until - time.monotonic(),
        threads=THREADS,
        shards=[int(payload["shard"])],
        span=(payload["first"], payload["last"]),
    )
    again = int(payload.get("again", 0)) + 1
    if done.is_incomplete and again <= MOST_AGAIN:
        pause_s = random.uniform(*AGAIN_S)  # noqa: S311
        enqueue("due_page", {**payload, "again": again}, delay_s=pause_s)


def end_sharing(message: Message) -> None:
    """Lets the next minute share out the shard again: the pages before this message are done."""
    payload = message.payload
    ShardLease.give_back(int(payload["shard"]), holder=str(payload["holder"]))


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


def _ask(shard: int, kind: str, payload: dict[str, Any]) -> None:
    """Asks for the run that shares a shard out, whose lease the payload's holder has."""
    try:
        enqueue(kind, {"shard": shard, **payload})
    except (ClientError, ServiceUnavailable):
        log.exception("a shard cannot be shared out now; the next minute does")
        ShardLease.give_back(shard, holder=payload["holder"])
