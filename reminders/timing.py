"""When a reminder is due, held, missed, snoozed, retried or given up.

The sweep asks in this order: `catch_up` selects the overdue that are worth a mail, `release_at`
says whether quiet hours hold it, `retry_at` says when to try again, and `look_ahead` gives the
place in the due index afterwards. Nothing here knows the table or the clock.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from itertools import count, islice, takewhile
from typing import Literal

from config.problems import Filled
from reminders.recurrence import (
    Occurrence,
    Recurrence,
    instant_of,
    is_left_out,
    key_of,
    occurrence_named,
    upcoming,
    zone_named,
)
from reminders.rrule import DAY, LAST_YEAR

MAX_OFFSETS = 5
MAX_OFFSET_MINUTES = 28 * 24 * 60
ALL_DAY_FROM = time(9)
"""The time from which offsets of an all-day event count back: a mail at midnight helps no one."""
ONE_OFF_GRACE = timedelta(hours=6)
EVENT_GRACE = timedelta(hours=1)
STUDY_GRACE = timedelta(days=1)
LOOK_BACK = timedelta(days=30)
"""Whatever fell due earlier than this before the end of an outage is missed without a record. It is
longer than the longest offset, so none of it can still be worth a mail."""
MAX_SNOOZE = timedelta(days=30)
MAX_SNOOZES = 20
EARLY = timedelta(minutes=10)
"""How long before quiet hours begin the sweep has to mail what cannot wait for their end."""
QUIET_REACH = DAY + 2 * EARLY + timedelta(hours=2)
"""No mail is moved further by quiet hours, which last less than a day of 25 hours."""
MAX_LOOKED_AT = 400
"""Dues looked at for one that quiet hours let pass: those of a daily reminder in a year."""
MAX_AHEAD = 500
"""Settled dues ahead, dismissed one by one, that an edit keeps so."""
MAX_ATTEMPTS = 8
FIRST_RETRY = timedelta(minutes=1)
"""Doubled with each attempt, so the eighth comes about an hour and a half after the first."""


class ReminderError(ValueError):
    """A reminder we do not accept; its message may be shown. `code` is stable."""

    code = "reminder_invalid"
    field = "reminder"


class OffsetsInvalidError(ReminderError):
    """Not one to five different numbers of minutes, up to four weeks."""

    code = "offsets_invalid"
    field = "offset_minutes"


class WeekdaysInvalidError(ReminderError):
    """Not a set of weekdays from 0, Monday, to 6."""

    code = "weekdays_invalid"
    field = "weekdays"


class SnoozeInvalidError(ReminderError):
    """In the past, more than thirty days ahead, or one snooze too many."""

    code = "snooze_invalid"
    field = "until"


@dataclass(frozen=True, slots=True)
class EventReminder:
    """So many minutes before each occurrence of an event."""

    recurrence: Recurrence
    offset_minutes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OneOff:
    """Once, at an instant."""

    at: datetime


@dataclass(frozen=True, slots=True)
class StudyReminder:
    """On weekdays (0: Monday) at a wall time of the zone; one digest for each local date."""

    weekdays: frozenset[int]
    at: time
    zone: str


Reminder = EventReminder | OneOff | StudyReminder


@dataclass(frozen=True, slots=True)
class Due:
    """One mail that a reminder owes.

    `key` names it wherever it is moved to; `occurrence` is what it is about: the key of the event's
    occurrence, the local date of a digest, the instant of a one-off. It is worth sending until
    `stale_at`, quiet hours aside, and not after `over_at`, when an event has ended.
    """

    at: datetime
    key: str
    occurrence: str
    stale_at: datetime
    snoozed: bool = False
    over_at: datetime | None = None

    @property
    def order(self) -> tuple[datetime, str]:
        return self.at, self.key

    @property
    def promise(self) -> str:
        """The due at its instant, for which one mail goes out. Moved, it is another promise."""
        return f"{self.key}{promised_at(self.at)}"


@dataclass(frozen=True, slots=True)
class Snooze:
    """The occurrence comes up again at this instant."""

    occurrence: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reminder has come: settled up to the due (`done_at`, `done_key`).

    A new reminder starts at the instant of its creation, with no key. `settled` has the promises
    after that which are settled too: an edit has set `done_at` back.
    """

    done_at: datetime
    done_key: str = ""
    snoozes: tuple[Snooze, ...] = ()
    settled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class QuietHours:
    """No mail from `starts` to `ends` on the zone's clock, over midnight if `ends` is earlier.

    A mail that they would hold until its event is over is skipped, or mailed `early`: before they
    begin.
    """

    starts: time
    ends: time
    zone: str
    early: bool = False


@dataclass(frozen=True, slots=True)
class Preferences:
    """Preferences for all reminders of a learner; `daily_cap` is the most mails of a local day."""

    quiet: QuietHours | None = None
    daily_cap: int = 50


# --- Validating ---------------------------------------------------------------------------------


def validate(reminder: Reminder) -> None:
    """Raises the ReminderError or, for a zone, the RecurrenceError that refuses the reminder.

    The recurrence of an event is validated with the event.
    """
    if isinstance(reminder, EventReminder):
        offsets = reminder.offset_minutes
        if not 1 <= len(offsets) <= MAX_OFFSETS or len(set(offsets)) != len(offsets):
            raise OffsetsInvalidError(
                Filled("Give one to {most} different offsets.", most=MAX_OFFSETS)
            )
        if not all(0 <= minutes <= MAX_OFFSET_MINUTES for minutes in offsets):
            raise OffsetsInvalidError("An offset lies between 0 minutes and four weeks.")
    elif isinstance(reminder, StudyReminder):
        zone_named(reminder.zone)
        if not reminder.weekdays or not reminder.weekdays <= set(range(7)):
            raise WeekdaysInvalidError("Give one or more weekdays.")


# --- Falling due --------------------------------------------------------------------------------


def next_due(reminder: Reminder, progress: Progress) -> Due | None:
    """The earliest mail the reminder still owes, a snoozed one included; None if it is done."""
    regular = next(_regular(reminder, progress), None)
    owed = [*_snoozed(reminder, progress), *([regular] if regular else [])]
    return min(owed, key=_order, default=None)


@dataclass(frozen=True, slots=True)
class Ahead:
    """When the sweep has to look at a reminder, and when its next mail goes out, if any does."""

    check_at: datetime
    mail_at: datetime | None


def look_ahead(
    reminder: Reminder, progress: Progress, *, quiet: QuietHours | None, now: datetime
) -> Ahead | None:
    """What comes next of a reminder, given the quiet hours; None if it is done.

    A reminder that quiet hours always swallow has no mail ahead.
    """
    checks: list[datetime] = []
    mails: list[datetime] = []
    owed = heapq.merge(
        _regular(reminder, progress), sorted(_snoozed(reminder, progress), key=_order), key=_order
    )
    for due in islice(owed, MAX_LOOKED_AT):
        if mails and due.at - QUIET_REACH > min(mails):
            break
        mail_at = mailed_at(due, quiet, now=now)
        checks.append(min(due.at, mail_at or due.at))
        mails += [mail_at] if mail_at else []
    return Ahead(min(checks), min(mails, default=None)) if checks else None


def mailed_at(due: Due, quiet: QuietHours | None, *, now: datetime) -> datetime | None:
    """When a due is mailed, given the quiet hours; None if they leave no time for it."""
    if not _is_swallowed(due, quiet):
        return release_at(due.at, quiet)
    span = _early_span(due, quiet)
    return max(span[0], min(now, due.at)) if span and now < span[1] else None


def _is_swallowed(due: Due, quiet: QuietHours | None) -> bool:
    """Whether quiet hours would hold a due until its event is over."""
    return bool(due.over_at and release_at(due.at, quiet) > max(due.at, due.over_at))


def _early_span(due: Due, quiet: QuietHours | None) -> tuple[datetime, datetime] | None:
    """The span in which a swallowed due can be mailed early; None if it is to be skipped."""
    if quiet is None or not quiet.early:
        return None
    zone = zone_named(quiet.zone)
    local = due.at.astimezone(zone)
    began_on = local.date() if local.time() >= quiet.starts else local.date() - DAY
    begins_at = instant_of(datetime.combine(began_on, quiet.starts), zone)
    opens_at = begins_at - EARLY
    return (opens_at, begins_at) if release_at(opens_at, quiet) == opens_at else None


def advance(progress: Progress, due: Due) -> Progress:
    """The progress once the due is settled, whether sent, dropped or dismissed."""
    if due.snoozed:
        left = tuple(each for each in progress.snoozes if each.occurrence != due.occurrence)
        return replace(progress, snoozes=left)
    if due.order <= (progress.done_at, progress.done_key):
        return progress
    ahead = frozenset(each for each in progress.settled if _promised_by(each) > due.at)
    return replace(progress, done_at=due.at, done_key=due.key, settled=ahead)


def promise_anew(
    before: Reminder | None, after: Reminder | None, progress: Progress, *, now: datetime
) -> Progress:
    """The progress after an edit of when a reminder is due.

    Everything ahead is owed, except for settled promises that the edit has not moved.
    """
    was_settled = set(progress.settled)
    last = max([progress.done_at, *map(_promised_by, progress.settled)])
    if before:
        cursor = progress.done_at, progress.done_key
        ahead = _between(before, now, progress.done_at)
        was_settled |= {due.promise for due in ahead if due.order <= cursor}
    still_promised = _between(after, now, last) if after and was_settled else ()
    done_key = progress.done_key if progress.done_at <= now else ""
    if isinstance(after, StudyReminder):  # no other local date than one ahead is owed again
        done_key = min(progress.done_key, _last_passed(after, now))
    return replace(
        progress,
        done_at=min(progress.done_at, now),
        done_key=done_key,
        settled=frozenset(due.promise for due in still_promised if due.promise in was_settled),
    )


def _between(reminder: Reminder, now: datetime, last: datetime) -> Iterator[Due]:
    """The dues of (now, last], as many as an edit looks at."""
    ahead = (due for due in _regular(reminder, Progress(now)) if due.at > now)
    return islice(takewhile(lambda due: due.at <= last, ahead), MAX_AHEAD)


def _last_passed(reminder: StudyReminder, now: datetime) -> str:
    """The key of the last local date on which the time of the digest has passed."""
    zone = zone_named(reminder.zone)
    today = now.astimezone(zone).date()
    has_passed = instant_of(datetime.combine(today, reminder.at), zone) <= now
    return key_of(today if has_passed else today - DAY)


def snooze(progress: Progress, due: Due, *, until: datetime, now: datetime) -> Progress:
    """The progress with one occurrence put off; the others come when they would have.

    `due` is the reminder's next one, which then does not come first, or one that was sent already.
    Raises SnoozeInvalidError.
    """
    if not now < until <= now + MAX_SNOOZE:
        raise SnoozeInvalidError(Filled("Snooze into the next {days} days.", days=MAX_SNOOZE.days))
    settled = advance(progress, due)
    others = [each for each in settled.snoozes if each.occurrence != due.occurrence]
    if len(others) >= MAX_SNOOZES:
        raise SnoozeInvalidError(
            Filled("At most {most} occurrences are snoozed at a time.", most=MAX_SNOOZES)
        )
    return replace(settled, snoozes=(*others, Snooze(due.occurrence, until)))


def takes_place(reminder: Reminder, occurrence: str) -> bool:
    """Whether an occurrence still takes place, and may be mailed: an event may skip some."""
    if not isinstance(reminder, EventReminder):
        return True
    return occurrence_named(reminder.recurrence, occurrence) is not None


def finish(reminder: Reminder, progress: Progress, occurrence: str) -> Progress:
    """The progress with all settled that is still owed for one occurrence."""
    progress = replace(
        progress,
        snoozes=tuple(each for each in progress.snoozes if each.occurrence != occurrence),
    )
    if not isinstance(reminder, EventReminder):
        return progress
    taking_place = occurrence_named(reminder.recurrence, occurrence)
    if taking_place is None:
        return progress
    announced_at = _announced_at(reminder.recurrence, taking_place)
    dues = [
        Due(
            announced_at - timedelta(minutes=minutes),
            f"{occurrence}-{minutes}",
            occurrence,
            announced_at,
        )
        for minutes in reminder.offset_minutes
    ]
    ahead = frozenset(due.promise for due in dues if due.at >= progress.done_at)
    return replace(progress, settled=progress.settled | ahead)


def _regular(reminder: Reminder, progress: Progress) -> Iterator[Due]:
    """The dues after the progress, in order."""
    if isinstance(reminder, EventReminder):
        dues = _of_event(reminder, progress.done_at)
    elif isinstance(reminder, StudyReminder):
        dues = _of_study(reminder, progress)
    else:
        key = _instant_key(reminder.at)
        dues = iter([Due(reminder.at, key, key, reminder.at + ONE_OFF_GRACE)])
    cursor = progress.done_at, progress.done_key
    return (due for due in dues if due.order > cursor and due.promise not in progress.settled)


def _of_event(reminder: EventReminder, since: datetime) -> Iterator[Due]:
    per_offset = [
        _before_each(reminder.recurrence, minutes, since) for minutes in reminder.offset_minutes
    ]
    return heapq.merge(*per_offset, key=_order)


def _before_each(recurrence: Recurrence, minutes: int, since: datetime) -> Iterator[Due]:
    offset = timedelta(minutes=minutes)
    # All-day events are announced up to ten hours after they start.
    for occurrence in upcoming(recurrence, since + offset - DAY):
        announced_at = _announced_at(recurrence, occurrence)
        at = announced_at - offset
        stale_at = max(at + EVENT_GRACE, announced_at)
        over_at = max(occurrence.ends_at, announced_at)
        yield Due(at, f"{occurrence.key}-{minutes}", occurrence.key, stale_at, over_at=over_at)


def _announced_at(recurrence: Recurrence, occurrence: Occurrence) -> datetime:
    if isinstance(occurrence.starts, datetime):
        return occurrence.starts_at
    wall = datetime.combine(occurrence.starts, ALL_DAY_FROM)
    return instant_of(wall, zone_named(recurrence.zone))


def _of_study(reminder: StudyReminder, progress: Progress) -> Iterator[Due]:
    zone = zone_named(reminder.zone)
    yesterday = progress.done_at.astimezone(zone).date() - DAY
    for n in count():
        day = yesterday + n * DAY
        if day.year > LAST_YEAR:
            return
        # A learner who flew west has had this date's digest already.
        is_new = not progress.done_key or key_of(day) > progress.done_key
        if day.weekday() in reminder.weekdays and is_new and not is_left_out(day, zone):
            at = instant_of(datetime.combine(day, reminder.at), zone)
            yield Due(at, key_of(day), key_of(day), at + STUDY_GRACE)


def _snoozed(reminder: Reminder, progress: Progress) -> Iterator[Due]:
    for each in progress.snoozes:
        stale_at, over_at = each.until + ONE_OFF_GRACE, None
        if isinstance(reminder, EventReminder):
            occurrence = occurrence_named(reminder.recurrence, each.occurrence)
            if occurrence is None:  # skipped, or edited away, since
                continue
            stale_at = max(each.until + EVENT_GRACE, occurrence.starts_at)
            over_at = max(each.until, occurrence.ends_at)
        key = f"{each.occurrence}+{_instant_key(each.until)}"
        yield Due(each.until, key, each.occurrence, stale_at, snoozed=True, over_at=over_at)


def _instant_key(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def promised_at(instant: datetime) -> str:
    """The end of a promise, after the key of its due."""
    return f"-{_instant_key(instant)}"


def _promised_by(promise: str) -> datetime:
    """The end of the second of a promise."""
    return datetime.fromisoformat(promise.rpartition("-")[2]) + timedelta(seconds=1)


def _order(due: Due) -> tuple[datetime, str]:
    return due.order


# --- After an outage ----------------------------------------------------------------------------

Reason = Literal["missed", "superseded", "quiet_hours"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A due that gets no mail, and why."""

    due: Due
    reason: Reason


@dataclass(frozen=True, slots=True)
class CatchUp:
    """What is overdue, sorted out, and the progress once all of it is settled."""

    send: tuple[Due, ...]
    dropped: tuple[Dropped, ...]
    progress: Progress


def catch_up(
    reminder: Reminder, progress: Progress, *, quiet: QuietHours | None, now: datetime
) -> CatchUp:
    """Sorts the overdue into those to send and those to drop; usually there is one to send.

    After an outage only the latest reminder of each occurrence and the latest digest are still
    worth a mail, and none past its grace; nor is one that quiet hours hold until its event is
    over, unless it can go out before they begin. It looks back no further than LOOK_BACK.
    """
    if not isinstance(reminder, OneOff):
        progress = replace(progress, done_at=max(progress.done_at, now - LOOK_BACK))
    until = now + QUIET_REACH if quiet and quiet.early else now
    regular = takewhile(lambda due: due.at <= until, _regular(reminder, progress))
    snoozed = (due for due in _snoozed(reminder, progress) if due.at <= until)
    near = sorted([*regular, *snoozed], key=_order)
    overdue = [due for due in near if due.at <= now or _is_mailed_early(due, quiet, now)]
    latest = {_subject(reminder, due): due for due in overdue}
    send, dropped = [], []
    for due in overdue:
        progress = advance(progress, due) if due.at <= now else _settle_early(progress, due)
        if latest[_subject(reminder, due)] is not due:
            dropped.append(Dropped(due, "superseded"))
        elif due.at <= now and _is_swallowed(due, quiet):
            dropped.append(Dropped(due, "quiet_hours"))
        elif now > _deadline(due, quiet):
            dropped.append(Dropped(due, "missed"))
        else:
            send.append(due)
    # Snoozes of deleted occurrences were not among the overdue; they go too.
    ahead = tuple(each for each in progress.snoozes if each.until > now)
    return CatchUp(tuple(send), tuple(dropped), replace(progress, snoozes=ahead))


def _is_mailed_early(due: Due, quiet: QuietHours | None, now: datetime) -> bool:
    span = _early_span(due, quiet) if _is_swallowed(due, quiet) else None
    return bool(span and span[0] <= now < span[1])


def _settle_early(progress: Progress, due: Due) -> Progress:
    """The progress once a due is settled before its instant; others may still come before it."""
    if due.snoozed:
        return advance(progress, due)
    return replace(progress, settled=progress.settled | {due.promise})


def _subject(reminder: Reminder, due: Due) -> str:
    return "study" if isinstance(reminder, StudyReminder) else due.occurrence


def _deadline(due: Due, quiet: QuietHours | None) -> datetime:
    """When the due counts as missed; quiet hours that hold it extend this past their end."""
    held = [at for at in (due.at, due.stale_at) if release_at(at, quiet) > at]
    return max([due.stale_at, *(release_at(at, quiet) + EVENT_GRACE for at in held)])


# --- Sending ------------------------------------------------------------------------------------


def release_at(instant: datetime, quiet: QuietHours | None) -> datetime:
    """The end of the quiet hours that the instant lies in; outside them the instant itself."""
    if quiet is None:
        return instant
    zone = zone_named(quiet.zone)
    local = instant.astimezone(zone)
    clock, over_midnight = local.time(), quiet.ends < quiet.starts
    if over_midnight and clock >= quiet.starts:
        return _end(local.date() + DAY, quiet, instant)
    if clock < quiet.ends and (over_midnight or clock >= quiet.starts):
        return _end(local.date(), quiet, instant)
    return instant


def _end(day: date, quiet: QuietHours, instant: datetime) -> datetime:
    wall = datetime.combine(day, quiet.ends)
    ends_at = instant_of(wall, zone_named(quiet.zone))
    if ends_at >= instant:
        return ends_at
    # The clock shows the end twice, and the instant lies between the two.
    return wall.replace(tzinfo=zone_named(quiet.zone), fold=1).astimezone(ends_at.tzinfo)


def retry_at(now: datetime, *, attempt: int, key: str) -> datetime | None:
    """When to try again after the attempt-th (from 1) failed; None when the delivery is dead.

    The wait doubles, and half of it is jitter that depends on the key and the attempt alone, so
    that what failed together does not come back together and a repeated run decides the same.
    """
    if attempt >= MAX_ATTEMPTS:
        return None
    wait = FIRST_RETRY * (1 << (attempt - 1))
    share = int.from_bytes(sha256(f"{key}:{attempt}".encode()).digest()[:4]) / 2**32
    return now + wait / 2 + wait / 2 * share
