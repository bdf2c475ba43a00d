"""The sweep: finds the reminders that are due, claims them and has them mailed.

A claim moves a reminder's place in the due index to the end of its lease, provided that the place
is still the one it saw. Of any number of sweepers one succeeds; if that one dies, the reminder
comes up again by itself.
"""

import logging
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field
from datetime import datetime
from functools import partial
from itertools import chain, islice
from threading import Event

from config import telemetry
from config.problems import ServiceUnavailable
from config.records import dataclass
from config.store.items import ConditionFailed, Raw
from reminders.models import DEAD, SHARDS, Reminder
from reminders.services.dead_letters import QUARANTINED, quarantine
from reminders.services.recipient import Reading, read_owners
from reminders.services.sending import LEASE, Overloaded, TimeBudget, mail_dues

log = logging.getLogger("parley.reminders")

PAGE = 100
AT_ONCE = 25
"""Learners whose reminders one thread claims, and whose items it reads in one round trip."""


@dataclass
class SweepResult:
    """The outcome of a sweep: `counts` by the state of the deliveries.

    `unfinished` shards have more due reminders. `lag_s` is how long the oldest due reminder had
    waited, in the shards that could be read.
    """

    counts: Counter[str] = field(default_factory=Counter)
    unfinished: set[int] = field(default_factory=set)
    lag_s: float = 0.0
    is_overloaded: bool = False

    @property
    def is_incomplete(self) -> bool:
        """Whether something due was left because SES, the table or the time had no room for it."""
        waits = self.counts["late"] or self.counts["busy"]
        return bool(self.is_overloaded or self.unfinished or waits)

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
    span: tuple[str, str] | None = None,
) -> SweepResult:
    """Mails the due reminders of some shards, at most `pages` of each, or those of a span of one.

    Begins nothing more after `within_s` seconds and reports the shards that are unfinished.
    """
    budget, full, result = TimeBudget(now, within_s), Event(), SweepResult()
    with ThreadPoolExecutor(threads) as pool:
        for shard in shards:
            due_pages = _pages(shard, budget, span, result)
            try:
                finished = _sweep_shard(islice(due_pages, pages), budget, full, pool, result)
            except ServiceUnavailable:
                log.warning("the table is busy: shard %d waits", shard, exc_info=True)
                result.counts["busy"] += 1
                finished = False
            except Exception:
                log.exception("shard %d waits for the next minute", shard)
                result.counts["busy"] += 1
                finished = True
            if not finished:
                result.unfinished.add(shard)
    result.is_overloaded = full.is_set()
    if given_up := result.counts[DEAD] + result.counts[QUARANTINED]:
        telemetry.emit("RemindersGivenUp", given_up)
    log.info("swept", extra={"fields": {**result.counts, "unfinished": sorted(result.unfinished)}})
    return result


def _pages(
    shard: int, budget: TimeBudget, span: tuple[str, str] | None, result: SweepResult
) -> Iterator[tuple[list[Reminder], bool]]:
    """The pages of a shard's due reminders, each with whether it is the last.

    Each begins where the one before ended, because the index lags behind the table and may still
    show what is done. What cannot be read is set aside.
    """
    start: Raw | None = None
    while not budget.is_over:
        unreadable: list[Raw] = []
        page = Reminder.due(
            shard,
            by=budget.now(),
            limit=PAGE,
            start=start,
            span=span,
            on_unreadable=unreadable.append,
        )
        result.record_lag(page.items, budget.now())
        result.counts += _quarantine(unreadable, budget.now())
        start = page.next_key
        yield page.items, start is None
        if start is None:
            return


def _quarantine(unreadable: Sequence[Raw], now: datetime) -> Counter[str]:
    return Counter(
        quarantine(raw["pk"]["S"], raw["sk"]["S"], seen_at=raw["gsi1sk"]["S"], now=now)
        for raw in unreadable
    )


def _sweep_shard(
    pages: Iterable[tuple[list[Reminder], bool]],
    budget: TimeBudget,
    full: Event,
    pool: ThreadPoolExecutor,
    result: SweepResult,
) -> bool:
    """Mails the pages of a shard; returns whether the shard is finished for now.

    `full` is set once SES takes no more: the rest then waits for the next minute.
    """
    before = result.counts.copy()
    for page, is_last in pages:
        groups = _by_learner(page)
        random.shuffle(groups)  # sweepers that see the same page begin at different ends of it
        mailed = []
        for claimed in pool.map(partial(_claim, budget=budget, full=full), _in_hands(groups)):
            result.counts += claimed.counts
            mail = partial(_mail, claimed, budget=budget, full=full)
            mailed.append(pool.map(mail, claimed.groups))
        result.counts += sum(chain.from_iterable(mailed), Counter[str]())
        if is_last:
            waiting = result.counts - before
            return full.is_set() or not (waiting["late"] or waiting["busy"])
        if full.is_set():
            break
    return full.is_set()


def _by_learner(reminders: Sequence[Reminder]) -> list[list[Reminder]]:
    groups: dict[str, list[Reminder]] = {}
    for reminder in reminders:
        groups.setdefault(reminder.pk, []).append(reminder)
    return list(groups.values())


def _in_hands(groups: Sequence[list[Reminder]]) -> Iterator[Sequence[list[Reminder]]]:
    for first in range(0, len(groups), AT_ONCE):
        yield groups[first : first + AT_ONCE]


@dataclass
class Claimed:
    """Claimed reminders, learner by learner, with what was read of their owners."""

    until: datetime
    groups: list[list[Reminder]] = field(default_factory=list)
    reading: Reading | None = None
    counts: Counter[str] = field(default_factory=Counter)


def _claim(groups: Sequence[list[Reminder]], *, budget: TimeBudget, full: Event) -> Claimed:
    """Claims the reminders of some learners, each by itself, and reads their owners together.

    An error here leaves other learners alone: the claims run out.
    """
    claimed = Claimed(budget.now() + LEASE)
    if budget.is_over or full.is_set():
        claimed.counts["late"] = sum(map(len, groups))
        return claimed
    for group in groups:
        try:
            won = [reminder for reminder in group if _is_won(reminder, claimed.until)]
        except ServiceUnavailable:
            log.warning("the table is busy: a learner waits", exc_info=True)
            claimed.counts["busy"] += len(group)
        except Exception:
            log.exception("a learner's reminders wait")
        else:
            claimed.groups += [won] if won else []
    reminders = list(chain.from_iterable(claimed.groups))
    claimed.counts["claimed"] = len(reminders)
    try:
        claimed.reading = read_owners(reminders, now=budget.now()) if reminders else None
    except ServiceUnavailable:
        log.warning("the table is busy: some learners wait", exc_info=True)
        claimed.counts["busy"] += len(reminders)
        claimed.groups = []
    return claimed


def _is_won(reminder: Reminder, until: datetime) -> bool:
    try:
        reminder.claim(until=until)
    except ConditionFailed:
        return False
    return True


def _mail(
    claimed: Claimed, group: Sequence[Reminder], *, budget: TimeBudget, full: Event
) -> Counter[str]:
    """Mails the dues that one learner's claimed reminders owe; an error leaves others alone."""
    if claimed.reading is None or full.is_set():
        return Counter(late=len(group))
    try:
        return mail_dues(group, claimed.reading, until=claimed.until, budget=budget)
    except Overloaded:
        full.set()
    except ServiceUnavailable:
        log.warning("the table is busy: a learner waits", exc_info=True)
        return Counter(busy=len(group))
    except Exception:
        log.exception("a learner's reminders wait")
    return Counter()
