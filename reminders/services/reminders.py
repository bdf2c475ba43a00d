"""Creates, changes and snoozes reminders; each write also sets when the sweep checks them next."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from accounts.models import Head, Profile, learner_key
from accounts.services.changes import commit
from config.problems import (
    Conflict,
    FieldError,
    NotFound,
    ValidationFailed,
    check_version,
)
from config.store.connection import retried
from config.store.items import ConditionFailed, batch_get
from config.store.transactions import Check, Put
from learning.models.base import Tombstone, find_existing, split_id
from reminders import timing
from reminders.models import DISMISSED, EVENT, ONCE, SKIPPED, STUDY, Delivery, Event, Reminder
from reminders.rrule import RecurrenceError
from reminders.services.events import MAX_REMINDERS_PER_EVENT

log = logging.getLogger("parley.reminders")

MAX_REMINDERS = 100
"""Reminders of a learner that are not over."""


class TooManyReminders(Conflict):
    code, title = (
        "TOO_MANY_REMINDERS",
        f"You have {MAX_REMINDERS} reminders, or {MAX_REMINDERS_PER_EVENT} of an event",
    )


class NoSuchEvent(Conflict):
    code, title = "UNKNOWN_EVENT", "You have no event with this id"

    @classmethod
    def here(cls) -> "NoSuchEvent":
        return cls(errors=[FieldError("eventId", "unknown_event", "You have no such event.")])


class NothingDue(Conflict):
    code, title = "NOTHING_DUE", "The reminder has nothing ahead that this could be done to"


# The fields that each kind requires (name → wire name); it refuses those of the other kinds.
NEEDED = {
    EVENT: {"event_id": "eventId", "offset_minutes": "offsetMinutes"},
    ONCE: {"at": "at", "title": "title"},
    STUDY: {"weekdays": "weekdays", "local_time": "localTime"},
}
TIMING = frozenset({"about", "event_id", "offset_minutes", "at", "weekdays", "local_time"})
WIRE_NAMES = {name: wire for names in NEEDED.values() for name, wire in names.items()}


def create_reminder(*, learner_id: str, fields: Mapping[str, Any], now: datetime) -> Reminder:
    """Creates a reminder; the same id and fields again give the same reminder.

    Raises IdTaken, ValidationFailed, NoSuchEvent, TooManyReminders.
    """
    reminder_id, rest, request_digest = split_id(fields)
    return _create(learner_id, reminder_id, rest, request_digest, now)


@retried(ConditionFailed)
def _create(
    learner_id: str, reminder_id: str, rest: Mapping[str, Any], request_digest: str, now: datetime
) -> Reminder:
    reminder = Reminder(
        *Reminder.key(learner_id, reminder_id),
        id=reminder_id,
        request_digest=request_digest,
        done_at=now,
        created_at=now,
        updated_at=now,
    )
    try:
        _assign(reminder, rest)
        _check_timing(reminder, now)
    except ValidationFailed:
        if made := find_existing(reminder):  # its time may have passed since it was created
            return made
        raise
    if made := find_existing(reminder):
        return made
    _require_room(learner_id)
    _place_and_write(reminder, lambda _: reminder.progress)
    return reminder


def _require_room(learner_id: str) -> None:
    """Raises TooManyReminders. One-offs that are over take no room."""
    live = [reminder for reminder in Reminder.every(learner_id) if not reminder.is_over]
    if len(live) >= MAX_REMINDERS:
        raise TooManyReminders


def update_reminder(
    *,
    learner_id: str,
    reminder_id: str,
    changes: Mapping[str, Any],
    expected_version: int | None,
    now: datetime,
) -> Reminder:
    """Changes a reminder; a new timing starts from now and forgets the snoozes.

    Raises NotFound, PreconditionFailed, ValidationFailed, NoSuchEvent, TooManyReminders.
    """

    def change(reminder: Reminder) -> None:
        check_version(expected_version, int(reminder.version))
        before = {name: getattr(reminder, name) for name in TIMING | {"paused"}}
        was_over = reminder.is_over
        # Only what was dismissed ahead has to be compared with the old timing.
        old_rule = rule_of(reminder) if reminder.done_at > now else None
        _assign(reminder, changes)
        timed = any(getattr(reminder, name) != before[name] for name in TIMING)
        if timed:
            _check_timing(reminder, now)
            if was_over:
                _require_room(learner_id)
        resumed = before["paused"] and not reminder.paused
        restarted = timed or (resumed and reminder.done_at < now)

        def progress_by(rule: timing.Reminder | None) -> timing.Progress:
            progress = reminder.progress
            if restarted:
                progress = timing.promise_anew(old_rule, rule, progress, now=now)
                return replace(progress, done_at=now, snoozes=())
            return progress

        reminder.version += 1
        reminder.updated_at = now
        reminder.interrupted = bool(reminder.interrupted or restarted)
        _place_and_write(reminder, progress_by)

    return _changed(learner_id, reminder_id, change)


def delete_reminder(
    *, learner_id: str, reminder_id: str, expected_version: int | None, now: datetime
) -> None:
    """Removes a reminder; its deliveries stay on record. Raises NotFound, PreconditionFailed."""

    def remove(reminder: Reminder) -> None:
        check_version(expected_version, int(reminder.version))
        write = Put(Tombstone.of(reminder, now), Reminder.fence == reminder.fence)
        commit(Head.of(learner_id), write)

    _changed(learner_id, reminder_id, remove)


def snooze(
    *, learner_id: str, reminder_id: str, until: datetime, occurrence: str | None, now: datetime
) -> Reminder:
    """Snoozes one occurrence: the next one or, by its key, one that was mailed already.

    Raises NotFound, NothingDue, ValidationFailed.
    """

    def put_off(reminder: Reminder) -> None:
        rule = rule_of(reminder)
        due = _next(reminder, rule)
        if occurrence and (due is None or due.occurrence != occurrence):
            mailed = Delivery.of_occurrence(reminder, occurrence)
            due = mailed[-1].due if mailed else None
        if due is None:
            raise NothingDue
        try:
            progress = timing.snooze(reminder.progress, due, until=until, now=now)
        except timing.SnoozeInvalidError as error:
            raise ValidationFailed.of(error.field, error.code, str(error)) from error
        reminder.advance(progress, rule)
        commit(Head.of(learner_id), reminder.write())

    return _changed(learner_id, reminder_id, put_off)


def dismiss(*, learner_id: str, reminder_id: str, now: datetime) -> Reminder:
    """Drops the next mail of a reminder; later ones still come. Raises NotFound, NothingDue."""

    def drop(reminder: Reminder) -> None:
        rule = rule_of(reminder)
        due = _next(reminder, rule)
        if due is None:
            raise NothingDue
        reminder.advance(timing.advance(reminder.progress, due), rule)
        commit(Head.of(learner_id), reminder.write())
        record = Delivery.of(reminder, due, SKIPPED, now=now)
        record.reason = DISMISSED
        try:
            record.create()
        except ConditionFailed:
            log.info("dismissed what was being sent")

    return _changed(learner_id, reminder_id, drop)


def follow_zone(*, learner_id: str) -> int:
    """Moves study reminders to the zone of the profile; returns how many there are."""
    study = [reminder for reminder in Reminder.every(learner_id) if reminder.about == STUDY]

    def move(reminder: Reminder) -> None:
        reminder.advance(reminder.progress, rule_of(reminder))
        commit(Head.of(learner_id), reminder.write())

    for reminder in study:
        try:
            _changed(learner_id, reminder.id, move)
        except NotFound:
            continue
    return len(study)


@retried(ConditionFailed)
def _changed(learner_id: str, reminder_id: str, change: Callable[[Reminder], None]) -> Reminder:
    """Applies a change to the stored reminder, again if somebody else wrote meanwhile."""
    reminder = Reminder.of(learner_id, reminder_id)
    if reminder is None:
        raise NotFound
    change(reminder)
    return reminder


def _assign(reminder: Reminder, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        setattr(reminder, name, value)
    if reminder.about != EVENT:
        reminder.lsi4 = None
    for name, wire in WIRE_NAMES.items():
        given = bool(getattr(reminder, name))
        if name in NEEDED[reminder.about] and not given:
            raise ValidationFailed.of(wire, "required", f"A reminder of this kind has {wire}.")
        if name not in NEEDED[reminder.about] and given and name != "title":
            raise ValidationFailed.of(wire, "contradiction", "It is for another kind of reminder.")


def _check_timing(reminder: Reminder, now: datetime) -> None:
    if reminder.about == ONCE and reminder.at <= now:
        raise ValidationFailed.of("at", "in_past", "Give an instant that lies ahead.")


def _place_and_write(
    reminder: Reminder, progress_by: Callable[[timing.Reminder | None], timing.Progress]
) -> None:
    """Writes a reminder with its place in the due index, provided that its event exists.

    `progress_by` gives its progress under its new rule.

    Raises ConditionFailed, NoSuchEvent, TooManyReminders, ValidationFailed.
    """
    head = Head.of(reminder.learner_id)
    event, checks = None, []
    if reminder.about == EVENT:
        event = Event.of(reminder.learner_id, str(reminder.event_id))
        if event is None:
            raise NoSuchEvent.here()
        checks = [Check(event.pk, event.sk, Event.kind == Event)]
        others = Reminder.of_event(reminder.learner_id, event.id)
        if len([other for other in others if other.id != reminder.id]) >= MAX_REMINDERS_PER_EVENT:
            raise TooManyReminders
        reminder.lsi4 = f"{Reminder.OF}{event.id}#{reminder.id}"
    rule = reminder.rule(zone=_zone(reminder), event=event)
    try:
        if rule:
            timing.validate(rule)
    except (timing.ReminderError, RecurrenceError) as error:
        field = WIRE_NAMES.get(error.field, error.field)
        raise ValidationFailed.of(field, error.code, str(error)) from error
    reminder.advance(progress_by(rule), rule)
    commit(head, reminder.write(), *checks)


def rule_of(reminder: Reminder) -> timing.Reminder | None:
    """The timing rule of a reminder: one read, of its event or of the profile's zone."""
    event = None
    if reminder.about == EVENT:
        event = Event.of(reminder.learner_id, str(reminder.event_id))
    return reminder.rule(zone=_zone(reminder), event=event)


def _zone(reminder: Reminder) -> str:
    """The zone of the profile, which is read for study reminders alone."""
    if reminder.about != STUDY:
        return "UTC"
    key = learner_key(reminder.learner_id), Profile.SK
    profile = batch_get(key).get(key)
    return profile.timezone if isinstance(profile, Profile) else "UTC"


def _next(reminder: Reminder, rule: timing.Reminder | None) -> timing.Due | None:
    return timing.next_due(rule, reminder.progress) if rule and not reminder.paused else None
