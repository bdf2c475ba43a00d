"""The functions that Zappa calls by the clock or for an event of SES, and work on a backlog.

Zappa repeats a call that raises TypeError, and EventBridge and SNS deliver at least once: so each
entry point takes exactly `(event, context)`, catches its own errors, and may run twice.
"""

import json
import logging
import os
import random
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
SHARING_SPARE = timedelta(minutes=1)
"""How much longer than its run a shard's lease lasts while that shares the shard out: if it dies,
a minute soon after does it again."""
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
        _ask_to_share_out(shard)
    return {**done.counts, "unfinished": sorted(done.unfinished)}


def share_out(message: Message) -> None:
    """Asks for a run for each page of a shard's due reminders; `holder` has the shard's lease.

    Of two calls one goes on. If it fails, the shard is free for the next minute; if it dies, for a
    minute soon after. Raises ServiceUnavailable, ClientError.
    """
    shard, before = int(message.payload["shard"]), str(message.payload["holder"])
    if message.is_given_up:
        _give_back(shard, before)
        return
    holder, began_at = str(ULID()), now()
    sharing_ends_at = began_at + SHARING_SPARE + timedelta(seconds=message.seconds_left)
    if not ShardLease.take(shard, holder=holder, until=sharing_ends_at, now=began_at, after=before):
        return
    try:
        _ask_for_pages(message, shard, holder, until=began_at + LEASE)
    except Exception:
        _give_back(shard, holder)
        raise


def _ask_for_pages(message: Message, shard: int, holder: str, *, until: datetime) -> None:
    """Asks for the runs of a shard's pages, and for one that goes on once the time is over."""
    by, start = message.payload["by"], message.payload.get("start")
    while True:
        spans, start = Reminder.due_spans(
            shard, by=datetime.fromisoformat(by), page=PAGE, start=start
        )
        lease = {"shard": shard, "until": until.isoformat()}
        enqueue_all("due_page", [{**lease, "first": first, "last": last} for first, last in spans])
        if start is None or message.seconds_left <= 0:
            break
    if not ShardLease.take(shard, holder=holder, until=until, now=now(), after=holder):
        return
    if start is None:
        enqueue("due_end", {"shard": shard, "holder": holder})
    else:
        enqueue("due_shard", {"shard": shard, "holder": holder, "by": by, "start": start})


def send_due_of_page(message: Message) -> None:
    """Mails what is due in a page of a shard, if it has not been mailed since.

    Reminders for which SES or the table had no room are taken up again a little later. Once the
    lease is over it does nothing: the next minute shares out again what is left.
    """
    if message.is_given_up:  # the minutes go on with what is left
        return
    payload = message.payload
    if "until" in payload and now() > datetime.fromisoformat(payload["until"]):
        return
    done = sweep(
        now=now(),
        within_s=message.seconds_left,
        threads=THREADS,
        shards=[int(payload["shard"])],
        span=(payload["first"], payload["last"]),
    )
    again = int(payload.get("again", 0)) + 1
    if done.is_incomplete and again <= MOST_AGAIN:
        pause_s = random.uniform(*AGAIN_S)  # noqa: S311
        enqueue("due_page", {**payload, "again": again}, delay_s=pause_s)


def end_sharing(message: Message) -> None:
    """Lets the next minute share out the shard again.

    Most of the pages are done by then. Reminders that some have put off may be shared out a second
    time, and are mailed once all the same.
    """
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


def _ask_to_share_out(shard: int) -> None:
    """Asks for the run that shares a shard out, unless one has the shard's lease already."""
    holder, at = str(ULID()), now()
    try:
        if ShardLease.take(shard, holder=holder, until=at + LEASE, now=at):
            enqueue("due_shard", {"shard": shard, "holder": holder, "by": at.isoformat()})
    except (ClientError, ServiceUnavailable):
        log.exception("shard %d cannot be shared out now; the next minute does", shard)
        _give_back(shard, holder)


def _give_back(shard: int, holder: str) -> None:
    """Lets another run have the shard: at once, or if the table is busy, once the lease is over."""
    try:
        ShardLease.give_back(shard, holder=holder)
    except ServiceUnavailable:
        log.warning("the lease of shard %d runs out by itself", shard, exc_info=True)
