"""The sweep: finds the reminders that are due, claims them and has them mailed.

A claim moves a reminder's place in the due index to the end of its lease, provided that the place
is still the one it saw. Of any number of sweepers one succeeds; if that one dies, the reminder
comes up again by itself.
"""

import logging
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, repeat
from threading import Event

from config import telemetry
from config.problems import ServiceUnavailable
from config.store.items import ConditionFailed, Raw
from reminders.models import DEAD, SHARDS, Reminder
from reminders.services.dead_letters import QUARANTINED, quarantine
from reminders.services.sending import LEASE, Overloaded, TimeBudget, mail_dues

log = logging.getLogger("parley.reminders")

PAGE = 100


@dataclass
class SweepResult:
    """The outcome of a sweep: `counts` by the state of the deliveries.

    `unfinished` shards have more due reminders. `lag_s` is how long the oldest due reminder had
    waited, in the shards that could be read.
    """

    counts: Counter[str] = field(default_factory=Counter)
    unfinished: set[int] = field(default_factory=set)
    lag_s: float = 0.0

    def record_lag(self, seen: Sequence[Reminder], at: datetime) -> None:
        """Notes the lag of a page of due reminders, the longest waiting first."""
        for first in seen[:1]:
            try:
                self.lag_s = max(self.lag_s, (at - first.due_at).total_seconds())
            except ValueError:
                log.warning("a place in the due index names no instant")


def sweep(
    *,
    now: datetime,
    within_s: float,
    threads: int,
    shards: Iterable[int] = range(SHARDS),
    pages: int | None = None,
) -> SweepResult:
    """Mails the due reminders of some shards, at most `pages` of each.

    Begins nothing more after `within_s` seconds and reports the shards that are unfinished.
    """
    budget, full, result = TimeBudget(now, within_s), Event(), SweepResult()
    with ThreadPoolExecutor(threads) as pool:
        for shard in shards:
            try:
                counts, finished = _sweep_shard(shard, budget, full, pool, pages, result)
            except ServiceUnavailable:
                log.warning("the table is busy: shard %d waits", shard, exc_info=True)
                counts, finished = Counter(busy=1), False
            except Exception:
                log.exception("shard %d waits for the next minute", shard)
                counts, finished = Counter(busy=1), True
            result.counts += counts
            if not finished:
                result.unfinished.add(shard)
    if given_up := result.counts[DEAD] + result.counts[QUARANTINED]:
        telemetry.emit("RemindersGivenUp", given_up)
    log.info("swept", extra={"fields": {**result.counts, "unfinished": sorted(result.unfinished)}})
    return result


def _sweep_shard(
    shard: int,
    budget: TimeBudget,
    full: Event,
    pool: ThreadPoolExecutor,
    pages: int | None,
    result: SweepResult,
) -> tuple[Counter[str], bool]:
    """Mails one shard; returns the counts and whether the shard is finished for now.

    `full` is set once SES takes no more: the rest then waits for the next minute. Each page begins
    where the last one ended, because the index lags behind the table and may still show what is
    done.
    """
    counts: Counter[str] = Counter()
    start: Raw | None = None
    for _ in count() if pages is None else range(pages):
        if budget.is_over or full.is_set():
            break
        unreadable: list[Raw] = []
        page = Reminder.due(
            shard, by=budget.now(), limit=PAGE, start=start, on_unreadable=unreadable.append
        )
        result.record_lag(page.items, budget.now())
        counts += _quarantine(unreadable, budget.now())
        groups = _by_learner(page.items)
        random.shuffle(groups)  # sweepers that see the same page begin at different ends of it
        counts += sum(
            pool.map(_process_learner, groups, repeat(budget), repeat(full)), Counter[str]()
        )
        start = page.next_key
        if not start:
            return counts, full.is_set() or not (counts["late"] or counts["busy"])
    return counts, full.is_set()


def _quarantine(unreadable: Sequence[Raw], now: datetime) -> Counter[str]:
    return Counter(
        quarantine(raw["pk"]["S"], raw["sk"]["S"], seen_at=raw["gsi1sk"]["S"], now=now)
        for raw in unreadable
    )


def _by_learner(reminders: Sequence[Reminder]) -> list[list[Reminder]]:
    groups: dict[str, list[Reminder]] = {}
    for reminder in reminders:
        groups.setdefault(reminder.pk, []).append(reminder)
    return list(groups.values())


def _process_learner(seen: Sequence[Reminder], budget: TimeBudget, full: Event) -> Counter[str]:
    """Claims one learner's reminders and mails the dues that they owe.

    An error here leaves other learners alone: the claims run out.
    """
    if budget.is_over or full.is_set():
        return Counter(late=len(seen))
    counts: Counter[str] = Counter()
    until = budget.now() + LEASE
    try:
        claimed = [reminder for reminder in seen if _claim(reminder, until)]
        counts["claimed"] = len(claimed)
        if claimed:
            counts += mail_dues(claimed, until=until, budget=budget)
    except Overloaded:
        full.set()
    except ServiceUnavailable:
        log.warning("the table is busy: a learner waits", exc_info=True)
        counts["busy"] = len(seen)
    except Exception:
        log.exception("a learner's reminders wait")
    return counts


def _claim(reminder: Reminder, until: datetime) -> bool:
    try:
        reminder.claim(until=until)
    except ConditionFailed:
        return False
    return True
