"""The sweep: finds what is due, claims it, has it mailed, again where that failed.

A claim moves a reminder's place in the due index to the end of its lease, provided that the place
is still the one seen: of any number of sweepers one gets it, and if that one dies the reminder
comes up again by itself.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import repeat

from config.table import ConditionFailed
from reminders.models import SHARDS, Reminder
from reminders.services.mailing import LEASE, Overloaded, mail_dues

log = logging.getLogger("parley.reminders")

PAGE = 100


@dataclass
class Tally:
    """What a sweep did: `counts` by the state that deliveries came to.

    `unfinished` shards have more that is due.
    """

    counts: Counter[str] = field(default_factory=Counter)
    unfinished: set[int] = field(default_factory=set)

    def add(self, other: "Tally") -> None:
        self.counts += other.counts
        self.unfinished |= other.unfinished


def sweep(
    *,
    now: datetime,
    within_s: float,
    threads: int,
    shards: Iterable[int] = range(SHARDS),
    pages: int | None = None,
) -> Tally:
    """Mails what is due by now in some shards; at most so many pages of each.

    Ends by itself within about `within_s` seconds, and says in which shards there is more.
    """
    started = time.monotonic()
    done = Tally()
    with ThreadPoolExecutor(threads) as pool:
        for shard in shards:
            done.add(_sweep_shard(shard, now, started, within_s, pool, pages))
    log.info("swept", extra={"fields": {**done.counts, "unfinished": sorted(done.unfinished)}})
    return done


def _sweep_shard(
    shard: int,
    now: datetime,
    started: float,
    within_s: float,
    pool: ThreadPoolExecutor,
    pages: int | None,
) -> Tally:
    done = Tally()
    while pages is None or pages > 0:
        passed_s = time.monotonic() - started
        if passed_s > within_s:
            break
        at = now + timedelta(seconds=passed_s)
        page = Reminder.due(shard, by=at, limit=PAGE)
        groups = _by_learner(page.items)
        # Sweepers that see the same page begin at different ends of it.
        random.shuffle(groups)
        counts = sum(pool.map(_attend, groups, repeat(at)), Counter[str]())
        done.counts += counts
        if not page.next_key or not counts["claimed"] or counts["overloaded"]:
            # The rest is in other hands, or has to wait for the next minute.
            return done
        pages = pages and pages - 1
    done.unfinished.add(shard)
    return done


def _by_learner(reminders: Sequence[Reminder]) -> list[list[Reminder]]:
    groups: dict[str, list[Reminder]] = {}
    for reminder in reminders:
        groups.setdefault(reminder.pk, []).append(reminder)
    return list(groups.values())


def _attend(seen: Sequence[Reminder], now: datetime) -> Counter[str]:
    """Claims what can be claimed of one learner's reminders, and mails what they owe."""
    claimed = []
    for reminder in seen:
        try:
            reminder.claim(until=now + LEASE)
        except ConditionFailed:
            continue
        claimed.append(reminder)
    if not claimed:
        return Counter()
    try:
        return Counter(claimed=len(claimed)) + mail_dues(claimed, now=now)
    except Overloaded:
        return Counter(claimed=len(claimed), overloaded=1)
