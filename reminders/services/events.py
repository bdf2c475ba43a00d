"""Creates, changes and deletes events with their reminders, and lists their occurrences."""

import heapq
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, cast
from uuid import NAMESPACE_URL, uuid5

from pynamodb.expressions.condition import Condition

from accounts.models import Head, Profile, learner_key
from accounts.services.changes import commit
from config import telemetry
from config.problems import Conflict, Filled, NotFound, ValidationFailed, check_version
from config.store.connection import retried
from config.store.items import (
    UNREADABLE,
    ConditionFailed,
    Item,
    OnUnreadable,
    Page,
    Raw,
    batch_get,
)
from config.store.transactions import Put
from learning.models.base import Tombstone, same_as, split_id
from learning.models.log import require_visible
from reminders import recurrence as recurrences
from reminders import timing
from reminders.models import Delivery, Event, Reminder, quiet_hours_of
from reminders.recurrence import (
    Move,
    Occurrence,
    Recurrence,
    instant_of,
    zone_named,
)
from reminders.rrule import DAY, RecurrenceError

log = logging.getLogger("parley.reminders")

MAX_EVENTS = 100
"""Events of a learner that are not over. A window expands each, in 4 ms at worst
(`python -m tests.benchmarks.hostile_events`)."""
MAX_REMINDERS = 100
"""Reminders of a learner that have not had their last mail."""
MAX_REMINDERS_PER_EVENT = 5
"""Reminders of one event: they are written together with it."""
MAX_READ = 2_000
"""Events that a window looks through: all that were not over when it begins."""
WINDOW = timedelta(days=31)
MAX_WINDOW = timedelta(days=366)


UNREADABLE_EVENT = "event_unreadable"


class StoredUnreadable(Conflict):
    code, title = "STORED_UNREADABLE", "It cannot be read: our staff see that; you may delete it"


def set_aside(pk: str, sk: str, *, now: datetime) -> bool:
    """Shows staff a stored event or reminder that cannot be read, and counts it, once.

    False for anything else, which is only logged.
    """
    log.error("an item cannot be read", extra={"fields": {"pk": pk, "sk": sk}})
    prefix, hash_sign, own_id = sk.partition("#")
    if f"{prefix}{hash_sign}" not in (Event.PREFIX, Reminder.PREFIX):
        return False
    reason = UNREADABLE_EVENT if f"{prefix}#" == Event.PREFIX else "unreadable"
    with suppress(ConditionFailed):  # told of already
        Delivery.letter(pk, own_id, "unreadable", reason, now=now).create()
        telemetry.emit("RemindersGivenUp")
    return True


def aside(now: datetime) -> OnUnreadable:
    """The handler by which a read sets unreadable items aside and leaves them out."""

    def leave_out(raw: Raw) -> None:
        set_aside(raw["pk"]["S"], raw["sk"]["S"], now=now)

    return leave_out


class TooManyEvents(Conflict):
    code, title = "TOO_MANY_EVENTS", f"You have {MAX_EVENTS} events that are not over yet"


class TooManyReminders(Conflict):
    code, title = (
        "TOO_MANY_REMINDERS",
        f"You have {MAX_REMINDERS} reminders, or {MAX_REMINDERS_PER_EVENT} of an event",
    )


# Attribute of Recurrence → the field of a request that sets it: for a timed, for an all-day event.
FIELDS = {
    "rule": ("rrule", "rrule"),
    "zone": ("timezone", "timezone"),
    "starts": ("startsAt", "startsOn"),
    "duration": ("endsAt", "endsOn"),
    "skipped": ("skipped", "skipped"),
}
WHEN = frozenset({"starts_at", "ends_at", "starts_on", "ends_on", "timezone", "rrule"})
EXCEPTIONS = frozenset({"skipped", "moved"})


def create_event(*, learner_id: str, fields: Mapping[str, Any], now: datetime) -> Event:
    """Creates an event; the same id and fields again give the same event.

    Raises IdTaken, ValidationFailed for a time that is impossible, TooManyEvents.
    """
    event_id, rest, request_digest = split_id(fields)
    return _create(learner_id, event_id, rest, request_digest, now)


@retried(ConditionFailed)
def _create(
    learner_id: str, event_id: str, fields: Mapping[str, Any], request_digest: str, now: datetime
) -> Event:
    rest = dict(fields)
    stored = batch_get(Event.key(learner_id, event_id), Head.key(learner_id))
    key = Event.key(learner_id, event_id)
    present: Event | None = same_as(stored.get(key), Event, request_digest)
    if present:
        return present
    _require_room(learner_id, now)
    if rest.get("timezone") is None:
        profile = Profile.of(learner_id)
        rest["timezone"] = profile.timezone if profile else "UTC"
    event = draft_event(learner_id, event_id, rest, request_digest, now=now)
    commit(Head.among(learner_id, stored), Put(event, Event.pk.does_not_exist()))
    return event


def draft_event(
    learner_id: str, event_id: str, fields: Mapping[str, Any], request_digest: str, *, now: datetime
) -> Event:
    """A new event that is not stored yet. Raises ValidationFailed."""
    event = Event(
        *Event.key(learner_id, event_id),
        id=event_id,
        request_digest=request_digest,
        created_at=now,
        updated_at=now,
    )
    _assign(event, fields, before=None)
    return event


@retried(ConditionFailed)
def update_event(
    *,
    learner_id: str,
    event_id: str,
    changes: Mapping[str, Any],
    expected_version: int | None,
    now: datetime,
) -> Event:
    """Changes an event and when its reminders are due: one read, one query, one transaction.

    Exceptions outside the changes stay if their occurrences do. Raises NotFound,
    PreconditionFailed, ValidationFailed; TooManyEvents for one that was over and no longer is.
    """
    event, head, quiet = _found(learner_id, event_id)
    check_version(expected_version, int(event.version))
    before, was_over = event.recurrence, is_over(event, now)
    _assign(event, changes, before=before)
    if was_over and not is_over(event, now):
        _require_room(learner_id, now)
    event.updated_at = now
    reminders = _reminders_of(event, head, aside(now))
    following = [each for each in reminders if _follows(each, event, before, quiet, now)]
    commit(head, Put(event), *(reminder.write() for reminder in following))
    return event


def is_over(event: Event, now: datetime) -> bool:
    """Whether an event is over for good."""
    return event.over_at is not None and event.over_at < now


def _require_room(learner_id: str, now: datetime) -> None:
    present = Event.not_over(learner_id, at=now, most=MAX_EVENTS, on_unreadable=aside(now))
    if len(present) >= MAX_EVENTS:
        raise TooManyEvents


def room_for_reminders(learner_id: str, now: datetime) -> int:
    """The number of reminders a learner may still make; those with their last mail do not count."""
    reminders = Reminder.every(learner_id, on_unreadable=aside(now))
    return MAX_REMINDERS - sum(reminder.takes_room for reminder in reminders)


def require_room_for_reminders(learner_id: str, now: datetime, *, more: int = 1) -> None:
    """Raises TooManyReminders."""
    if more and room_for_reminders(learner_id, now) < more:
        raise TooManyReminders


def _follow(
    reminder: Reminder,
    event: Event,
    before: Recurrence,
    quiet: timing.QuietHours | None,
    now: datetime,
) -> None:
    """Moves a reminder to what its changed event makes due next."""
    progress, rule = reminder.progress, reminder.rule(zone=event.timezone, event=event)
    if isinstance(rule, timing.EventReminder) and rule.recurrence != before:
        old_rule = replace(rule, recurrence=before)
        progress = timing.promise_anew(old_rule, rule, progress, now=now)
        reminder.interrupted = True  # so that the sweeper looks for records of these promises
    reminder.advance(progress, rule, quiet=quiet, now=now)


def _follows(
    reminder: Reminder,
    event: Event,
    before: Recurrence,
    quiet: timing.QuietHours | None,
    now: datetime,
) -> bool:
    """Moves a reminder along. An unreadable one stays as it is, and the answer is False."""
    try:
        _follow(reminder, event, before, quiet, now)
    except UNREADABLE:
        set_aside(reminder.pk, reminder.sk, now=now)
        return False
    return True


class ReminderDue(Conflict):
    code, title = "REMINDER_DUE", "A reminder of this event is being mailed: ask again in a minute"


def split_event(
    *,
    learner_id: str,
    event_id: str,
    occurrence: str,
    fields: Mapping[str, Any],
    expected_version: int | None,
    now: datetime,
) -> Event:
    """Changes an occurrence of a series and those that follow: they become an event of their own.

    It has the reminders of the series too. The same id and fields again give the same event.
    Raises NotFound, PreconditionFailed, ValidationFailed, IdTaken, TooManyEvents, TooManyReminders,
    ReminderDue.
    """
    new_id, changes, request_digest = split_id({**fields, "of": f"{event_id} {occurrence}"})
    del changes["of"]
    return _split(
        learner_id, event_id, new_id, occurrence, changes, request_digest, expected_version, now
    )


@retried(ConditionFailed)
def _split(
    learner_id: str,
    event_id: str,
    new_id: str,
    occurrence: str,
    changes: Mapping[str, Any],
    request_digest: str,
    expected_version: int | None,
    now: datetime,
) -> Event:
    present = batch_get(Event.key(learner_id, new_id)).get(Event.key(learner_id, new_id))
    if made := same_as(present, Event, request_digest):
        return cast("Event", made)
    event, head, quiet = _found(learner_id, event_id)
    check_version(expected_version, int(event.version))
    whole = event.recurrence
    parts = recurrences.split_at(whole, occurrence)
    if parts is None:
        message = "Name an occurrence of the series after its first."
        raise ValidationFailed.of("occurrence", "occurrence_unknown", message)
    _require_room(learner_id, now)
    rest = Event(
        *Event.key(learner_id, new_id),
        id=new_id,
        request_digest=request_digest,
        title=event.title,
        description=event.description,
        location=event.location,
        created_at=now,
        updated_at=now,
    )
    _set_recurrence(rest, parts[1])
    _assign(rest, changes, before=rest.recurrence)
    _set_recurrence(event, parts[0])
    event.updated_at = now
    reminders = _reminders_of(event, head, aside(now))
    if any(reminder.is_in_hand(now) for reminder in reminders):
        raise ReminderDue
    taken = sum(reminder.takes_room for reminder in reminders)
    copies = [_copy_for(reminder, rest) for reminder in reminders]
    copies = [each for each in copies if _follows(each, rest, whole, quiet, now)]
    following = [each for each in reminders if _follows(each, event, whole, quiet, now)]
    more = sum(each.takes_room for each in (*reminders, *copies)) - taken
    require_room_for_reminders(learner_id, now, more=max(0, more))
    commit(
        head,
        Put(event),
        Put(rest, Event.pk.does_not_exist()),
        *(reminder.write() for reminder in (*following, *copies)),
    )
    return rest


def _set_recurrence(event: Event, recurrence: Recurrence) -> None:
    measured = recurrences.measured(recurrence)
    event.set_recurrence(measured)


def _copy_for(reminder: Reminder, event: Event) -> Reminder:
    """A reminder of another event like this one, with what was settled ahead of the occurrences."""
    own_id = str(uuid5(NAMESPACE_URL, f"{event.id}#{reminder.id}"))
    return Reminder(
        *Reminder.key(reminder.learner_id, own_id),
        id=own_id,
        request_digest="",
        about=reminder.about,
        title=reminder.title,
        note=reminder.note,
        event_id=event.id,
        offset_minutes=list(reminder.offset_minutes),
        paused=reminder.paused,
        snoozes=list(reminder.snoozes),
        settled=list(reminder.settled) if reminder.settled else None,
        done_at=reminder.done_at,
        done_key=reminder.done_key,
        lsi4=f"{Reminder.OF}{event.id}#{own_id}",
        created_at=event.created_at,
        updated_at=event.created_at,
    )


@retried(ConditionFailed)
def delete_event(
    *, learner_id: str, event_id: str, expected_version: int | None, now: datetime
) -> None:
    """Removes an event and its reminders, also those that cannot be read.

    An event that cannot be read has no version to be compared. Raises NotFound and
    PreconditionFailed.
    """
    key = Event.key(learner_id, event_id)
    unreadable: list[Raw] = []
    stored = batch_get(key, Head.key(learner_id), on_unreadable=unreadable.append)
    event, head = stored.get(key), Head.among(learner_id, stored)
    is_there: Condition = Item.pk.exists()
    if isinstance(event, Event):
        check_version(expected_version, int(event.version))
        is_there = Event.version == event.version
    elif not unreadable:
        raise NotFound
    require_visible(head, Reminder)
    reminders = Reminder.of_event(learner_id, event_id, on_unreadable=unreadable.append)
    lost = [Item(raw["pk"]["S"], raw["sk"]["S"]) for raw in unreadable if raw["sk"]["S"] != key[1]]
    commit(
        head,
        Put(Tombstone.of(Item(*key), now), is_there),
        *(
            Put(Tombstone.of(reminder, now), Reminder.fence == reminder.fence)
            for reminder in reminders
        ),
        *(Put(Tombstone.of(item, now), Item.pk.exists()) for item in lost),
    )


def _found(learner_id: str, event_id: str) -> tuple[Event, Head, timing.QuietHours | None]:
    """An event, the learner's head and their quiet hours: one read. Raises NotFound."""
    key, profile_key = Event.key(learner_id, event_id), (learner_key(learner_id), Profile.SK)
    stored = batch_get(key, Head.key(learner_id), profile_key)
    event, profile = stored.get(key), stored.get(profile_key)
    if not isinstance(event, Event):
        raise NotFound
    quiet = quiet_hours_of(profile) if isinstance(profile, Profile) else None
    return event, Head.among(learner_id, stored), quiet


def _reminders_of(event: Event, head: Head, on_unreadable: OnUnreadable) -> list[Reminder]:
    """An event's reminders. Raises TornRead if one is just being added."""
    require_visible(head, Reminder)
    return Reminder.of_event(event.learner_id, event.id, on_unreadable=on_unreadable)


@dataclass(frozen=True)
class EventOccurrence:
    """An event as it takes place once."""

    event: Event
    occurrence: Occurrence

    @property
    def order(self) -> tuple[datetime, str, str]:
        return self.occurrence.starts_at, self.event.id, self.occurrence.key

    @property
    def starts_on(self) -> date | None:
        """The first day of an all-day event."""
        starts = self.occurrence.starts
        return None if isinstance(starts, datetime) else starts

    @property
    def ends_on(self) -> date | None:
        """The last day of an all-day event."""
        if self.starts_on is None:
            return None
        zone = zone_named(self.event.timezone)
        return self.occurrence.ends_at.astimezone(zone).date() - DAY


def occurrences_between(
    *,
    learner_id: str,
    after: datetime | None,
    before: datetime | None,
    limit: int,
    start: Raw | None,
    now: datetime,
) -> Page[Any]:
    """Lists the occurrences that overlap [after, before), in order of start: one query,
    for each megabyte.

    The default is the 31 days from now. Raises ValidationFailed for an empty window, one of more
    than 366 days, and one so long ago that more than MAX_READ events were not over.
    """
    after = after or now
    if before and not timedelta(0) < before - after <= MAX_WINDOW:
        message = Filled(
            "Give an instant after the beginning, at most {days} days.", days=MAX_WINDOW.days
        )
        raise ValidationFailed.of("before", "window_invalid", message)
    before = before or after + WINDOW
    seen = (
        (datetime.fromisoformat(start["at"]["S"]), start["event"]["S"], start["key"]["S"])
        if start
        else None
    )
    if seen:  # whatever follows ends later than the last one began
        after = max(after, seen[0])
    events = Event.not_over(learner_id, at=after, most=MAX_READ, on_unreadable=aside(now))
    if len(events) > MAX_READ:
        message = Filled(
            "More than {most} events have ended since then: give a later instant.", most=MAX_READ
        )
        raise ValidationFailed.of("after", "too_many_events", message)
    per_event = [_occurrences_of(event, after=after, before=before, now=now) for event in events]
    merged = heapq.merge(*per_event, key=lambda occurrence: occurrence.order)
    occurrences = list(
        islice(
            (occurrence for occurrence in merged if not seen or occurrence.order > seen), limit + 1
        )
    )
    following = None
    if len(occurrences) > limit:
        at, event_id, key = occurrences[limit - 1].order
        following = {"at": {"S": at.isoformat()}, "event": {"S": event_id}, "key": {"S": key}}
    return Page[Any](occurrences[:limit], following)


def _occurrences_of(
    event: Event, *, after: datetime, before: datetime, now: datetime
) -> Iterator[EventOccurrence]:
    try:
        if _may_begin(event, before):
            for each in recurrences.overlapping(event.recurrence, after=after, before=before):
                yield EventOccurrence(event, each)
    except UNREADABLE:
        log.exception("an event cannot be expanded")
        set_aside(event.pk, event.sk, now=now)


def _may_begin(event: Event, before: datetime) -> bool:
    """Whether any occurrence can start before an instant, judged by the dates alone."""
    recurrence = event.recurrence
    dates = [recurrence.first_on, *(_day(move.starts) for move in recurrence.moved)]
    return min(dates) <= before.date() + DAY


def _day(wall: date | datetime) -> date:
    return wall.date() if isinstance(wall, datetime) else wall


# --- From fields to a recurrence ----------------------------------------------------------------


def _assign(event: Event, fields: Mapping[str, Any], *, before: Recurrence | None) -> None:
    for name, value in fields.items():
        if name not in WHEN | EXCEPTIONS:
            setattr(event, name, value)
    if before and not (WHEN | EXCEPTIONS) & fields.keys():
        return
    all_day = bool(fields.get("starts_on"))
    try:
        recurrence = _recurrence(fields, before)
        all_day = recurrence.all_day
        recurrence = recurrences.measured(recurrence)
        if before and not EXCEPTIONS & fields.keys():
            recurrence = recurrences.without_orphans(recurrence)
        recurrences.validate_exceptions(recurrence)
    except RecurrenceError as error:
        raise ValidationFailed.of(_field(error.field, all_day), error.code, str(error)) from error
    event.set_recurrence(recurrence)


def _field(attribute: str, all_day: bool) -> str:
    """`moved.2.starts` → `moved.2.startsAt`."""
    head, dot, last = attribute.rpartition(".")
    return f"{head}{dot}{FIELDS[last][all_day] if last in FIELDS else last}"


def _recurrence(fields: Mapping[str, Any], before: Recurrence | None) -> Recurrence:
    name = fields.get("timezone") or (before.zone if before else "UTC")
    starts, duration = _span(fields, name, before)
    if starts is None:
        raise ValidationFailed.of("startsAt", "required", "Give startsAt or startsOn.")
    moved = before.moved if before else ()
    if "moved" in fields:
        moved = tuple(_move(n, move, name) for n, move in enumerate(fields["moved"]))
    skipped = fields.get("skipped", before.skipped if before else ())
    rule = fields.get("rrule", before.rule if before else None)
    return Recurrence(
        starts=starts,
        zone=name,
        duration=duration or (timedelta(0) if isinstance(starts, datetime) else DAY),
        rule=rule.upper() if rule else None,
        skipped=frozenset(skipped),
        moved=moved,
    )


def _move(number: int, fields: Mapping[str, Any], zone: str) -> Move:
    try:
        starts, duration = _span(fields, zone, None)
        if starts is None:
            raise ValidationFailed.of("startsAt", "required", "Give startsAt or startsOn.")
    except ValidationFailed as problem:
        (error,) = problem.errors
        field = f"moved.{number}.{error.field}"
        raise ValidationFailed.of(field, error.code, error.message) from problem
    except RecurrenceError as error:
        error.field = f"moved.{number}.{error.field}"
        raise
    return Move(fields["occurrence"], starts, duration)


def _span(
    fields: Mapping[str, Any], zone: str, before: Recurrence | None
) -> tuple[date | datetime | None, timedelta | None]:
    """Start and duration, each None if neither the fields nor the old event have it."""
    starts_at, starts_on = fields.get("starts_at"), fields.get("starts_on")
    ends_at, ends_on = fields.get("ends_at"), fields.get("ends_on")
    starts: date | datetime | None = before.starts if before else None
    duration = before.duration if before else None
    if starts_at and starts_on:
        raise ValidationFailed.of("startsOn", "contradiction", "An all-day event has no startsAt.")
    if starts_at:
        starts = _wall_of(starts_at, zone)
    elif starts_on:
        starts = starts_on
    if before and isinstance(starts, datetime) != isinstance(before.starts, datetime):
        duration = None
    if isinstance(starts, datetime):
        if ends_on:
            raise ValidationFailed.of("endsOn", "contradiction", "This event ends at an instant.")
        if ends_at:
            duration = ends_at - instant_of(starts, zone_named(zone))
    elif starts:
        if ends_at:
            raise ValidationFailed.of("endsAt", "contradiction", "This event lasts whole days.")
        if ends_on:
            duration = ends_on - starts + DAY
    return starts, duration


def _wall_of(instant: datetime, zone: str) -> datetime:
    """The wall time of an instant; where the clock shows it twice, the first one is required.

    A rule repeats wall times, and a wall time that comes twice means its first.
    """
    wall = instant.astimezone(zone_named(zone)).replace(tzinfo=None)
    if instant_of(wall, zone_named(zone)) != instant:
        raise ValidationFailed.of(
            "startsAt", "ambiguous_time", "The clock shows this time twice: give the first."
        )
    return wall
