"""One learner's claimed reminders: what they owe goes into mails, what fails is tried again."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from config.problems import ServiceUnavailable
from config.store.transactions import transact
from config.table import ConditionFailed
from reminders import plan
from reminders.models import SKIPPED, Reminder
from reminders.services import owing
from reminders.services.handover import Mail, NoWord, Overloaded
from reminders.services.owing import Owed
from reminders.services.reader import Reader, reader_of
from reminders.services.watch import Watch

log = logging.getLogger("parley.reminders")

MOST_IN_ONE = 40
"""Dues in one mail: they are recorded in one transaction, of at most 100 writes."""


def mail_dues(claimed: Sequence[Reminder], *, until: datetime, watch: Watch) -> Counter[str]:
    """Settles what one learner's reminders owe that are claimed until an instant.

    Returns how their deliveries ended. A reminder that cannot be dealt with is tried again later,
    and in the end is dead; none other waits for it. Raises Overloaded; ServiceUnavailable where
    the table is.
    """
    counts: Counter[str] = Counter()
    with _apart(claimed, counts, watch):
        reader = reader_of(claimed, now=watch.now())
        if reader is None:
            for reminder in claimed:
                _retire(reminder)
            return counts
        owed: list[Owed] = []
        for reminder in claimed:
            with _apart([reminder], counts, watch):
                owed += _owed(reminder, reader, counts, watch.now())
        for dues in _mails(owed, reader):
            with _apart([task.reminder for task, _ in dues], counts, watch):
                counts += Mail(dues, reader, until=until, watch=watch).send()
    return counts


@contextmanager
def _apart(claimed: Sequence[Reminder], counts: Counter[str], watch: Watch) -> Iterator[None]:
    """Lets what goes wrong with some reminders be no other's trouble."""
    try:
        yield
    except (Overloaded, ServiceUnavailable):
        raise
    except ConditionFailed:
        log.info("overtaken: what is left comes up again after its lease")
    except NoWord:
        log.warning("no word of a mail: it is looked at again after its lease", exc_info=True)
    except Exception as error:
        log.exception("a reminder failed")
        for reminder in claimed:
            counts[owing.fail(reminder, type(error).__name__, now=watch.now())] += 1


def _owed(reminder: Reminder, reader: Reader, counts: Counter[str], now: datetime) -> list[Owed]:
    """What a reminder is to mail now; settles it where that is nothing."""
    task = owing.task_of(reminder, reader, now=now)
    if task is None:
        _retire(reminder)
        return []
    held_until = plan.release_at(now, reader.preferences.quiet)
    if task.left and held_until > now:
        counts["held"] += 1
        reminder.interrupted = bool(task.stored)
        reminder.look_at(held_until)
        transact(reminder.write())
        return []
    if refusal := reader.refusal(reminder.about):
        for due in list(task.left):
            task.record(due, SKIPPED, refusal, now=now)
    counts[SKIPPED] += len(task.records)
    if task.left:
        task.write_records()
    else:
        task.settle()
    return [(task, due) for due in task.left]


def _retire(reminder: Reminder) -> None:
    """Stops looking at a reminder whose event or owner is no more."""
    reminder.next_at = None
    reminder.look_at(None)
    transact(reminder.write())


def _mails(owed: Sequence[Owed], reader: Reader) -> list[list[Owed]]:
    """What goes into one mail: what falls due at once, or was held until the same moment."""
    task_of = {id(due): task for task, due in owed}
    mails = []
    for batch in plan.batches([due for _, due in owed], reader.preferences.quiet):
        dues = [(task_of[id(due)], due) for due in batch.dues]
        mails += [dues[n : n + MOST_IN_ONE] for n in range(0, len(dues), MOST_IN_ONE)]
    return mails
