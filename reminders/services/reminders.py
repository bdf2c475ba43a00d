"""Creates, changes and snoozes reminders; each write also sets when the sweep checks them next."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pynamodb.expressions.condition import Condition

from accounts.models import Head, Profile, learner_key
from accounts.services.changes import commit
from config.problems import (
    Conflict,
    FieldError,
    Filled,
    NotFound,
    ValidationFailed,
    check_version,
)
from config.store.connection import retried
from config.store.items import UNREADABLE, ConditionFailed, Item, Raw, batch_get
from config.store.transactions import Put, Write
from learning.models.base import Tombstone, find_existing, split_id
from learning.models.cards import Deck
from learning.services.cards import NoSuchDeck
from learning.services.scenarios import UnknownScenario, read_scenario
from reminders import timing
from reminders.models import (
    DISMISSED,
    EVENT,
    ONCE,
    REPORT,
    SKIPPED,
    STREAK,
    STUDY,
    Delivery,
    Event,
    Reminder,
    quiet_hours_of,
)
from reminders.rrule import RecurrenceError
from reminders.services.events import (
    MAX_REMINDERS_PER_EVENT,
    TooManyReminders,
    aside,
    require_room_for_reminders,
)

log = logging.getLogger("parley.reminders")


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
    REPORT: {"weekdays": "weekdays", "local_time": "localTime"},
    STREAK: {"weekdays": "weekdays", "local_time": "localTime"},
}
# The fields that a kind may have besides; any may have a title.
ALLOWED = {STUDY: {"deck_id": "deckId", "scenario_id": "scenarioId"}}
TIMING = frozenset({"about", "event_id", "offset_minutes", "at", "weekdays", "local_time"})
WIRE_NAMES = {
    name: wire for names in (*NEEDED.values(), *ALLOWED.values()) for name, wire in names.items()
}


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
    _name_after_its_subject(reminder)
    require_room_for_reminders(learner_id, now)
    _place_and_write(reminder, lambda _: reminder.progress, now)
    return reminder


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
        old_event = str(reminder.event_id or "")
        took_room = reminder.takes_room
        # Only dues dismissed in advance have to be compared with the old timing.
        old_rule = timetable_of(reminder).rule if reminder.done_at > now else None
        _assign(reminder, changes)
        if {"deck_id", "scenario_id"} & changes.keys():
            _name_after_its_subject(reminder)
        timed = any(getattr(reminder, name) != before[name] for name in TIMING)
        if timed:
            _check_timing(reminder, now)
            if not took_room:
                require_room_for_reminders(learner_id, now)
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
        _place_and_write(reminder, progress_by, now, old_event=old_event)

    return _changed(learner_id, reminder_id, change)


@retried(ConditionFailed)
def delete_reminder(
    *, learner_id: str, reminder_id: str, expected_version: int | None, now: datetime
) -> None:
    """Removes a reminder, also one that cannot be read; its deliveries stay on record.

    One that cannot be read has no version to be compared. Raises NotFound, PreconditionFailed.
    """
    key = Reminder.key(learner_id, reminder_id)
    unreadable: list[Raw] = []
    stored = batch_get(key, Head.key(learner_id), on_unreadable=unreadable.append)
    reminder = stored.get(key)
    is_there: Condition = Item.pk.exists()
    alarms: list[Write] = []
    if isinstance(reminder, Reminder):
        check_version(expected_version, int(reminder.version))
        is_there = Reminder.fence == reminder.fence
        alarms = _alarms_writes(learner_id, str(reminder.event_id or ""), now)
    elif not unreadable:
        raise NotFound
    tombstone = Tombstone.of(Item(*key), now)
    commit(Head.among(learner_id, stored), Put(tombstone, is_there), *alarms)


def snooze(
    *, learner_id: str, reminder_id: str, until: datetime, occurrence: str | None, now: datetime
) -> Reminder:
    """Snoozes one occurrence: the next one or, by its key, one that was mailed already.

    Raises NotFound, NothingDue, ValidationFailed.
    """

    def put_off(reminder: Reminder) -> None:
        timetable = timetable_of(reminder)
        due = _next(reminder, timetable)
        if occurrence and (due is None or due.occurrence != occurrence):
            mailed = Delivery.of_occurrence(reminder, occurrence)
            due = mailed[-1].due if mailed else None
        rule = timetable.rule
        if due is None or rule is None or reminder.paused:
            raise NothingDue
        if not timing.takes_place(rule, due.occurrence):
            raise NothingDue
        try:
            progress = timing.snooze(reminder.progress, due, until=until, now=now)
        except timing.SnoozeInvalidError as error:
            raise ValidationFailed.of(error.field, error.code, str(error)) from error
        timetable.advance(reminder, progress, now=now)
        commit(Head.of(learner_id), reminder.write())

    return _changed(learner_id, reminder_id, put_off)


def finish(*, learner_id: str, reminder_id: str, occurrence: str, now: datetime) -> Reminder:
    """Drops all further mails about one occurrence. Raises NotFound."""

    def settle(reminder: Reminder) -> None:
        timetable = timetable_of(reminder)
        if timetable.rule:
            progress = timing.finish(timetable.rule, reminder.progress, occurrence)
            timetable.advance(reminder, progress, now=now)
            commit(Head.of(learner_id), reminder.write())

    return _changed(learner_id, reminder_id, settle)


def dismiss(*, learner_id: str, reminder_id: str, now: datetime) -> Reminder:
    """Drops the next mail of a reminder; later ones still come. Raises NotFound, NothingDue."""

    def drop(reminder: Reminder) -> None:
        timetable = timetable_of(reminder)
        due = _next(reminder, timetable)
        if due is None:
            raise NothingDue
        timetable.advance(reminder, timing.advance(reminder.progress, due), now=now)
        commit(Head.of(learner_id), reminder.write())
        record = Delivery.of(reminder, due, SKIPPED, now=now)
        record.reason = DISMISSED
        try:
            record.create()
        except ConditionFailed:
            log.info("dismissed what was being sent")

    return _changed(learner_id, reminder_id, drop)


AT_ONCE = 25
"""Reminders that are written together."""


def follow_profile(*, learner_id: str, now: datetime) -> int:
    """Moves reminders to the zone and quiet hours of the profile; returns how many there are."""
    keys = [
        (reminder.pk, reminder.sk)
        for reminder in Reminder.every(learner_id, on_unreadable=aside(now))
        if not (reminder.is_over or reminder.dead)
    ]
    for first in range(0, len(keys), AT_ONCE):
        _follow(learner_id, keys[first : first + AT_ONCE], now)
    return len(keys)


@retried(ConditionFailed)
def _follow(learner_id: str, keys: Sequence[tuple[str, str]], now: datetime) -> None:
    stored = batch_get(*keys, Head.key(learner_id), (learner_key(learner_id), Profile.SK))
    reminders = [item for item in stored.values() if isinstance(item, Reminder)]
    unreadable: list[Raw] = []
    events = batch_get(
        *{Event.key(learner_id, str(each.event_id)) for each in reminders if each.event_id},
        on_unreadable=unreadable.append,
    )
    lost = {raw["sk"]["S"] for raw in unreadable}
    writes = []
    for reminder in reminders:
        if f"{Event.PREFIX}{reminder.event_id}" in lost:
            continue  # the sweep tells staff of it when it is due
        before = reminder.next_at, reminder.gsi1sk
        try:
            timetable = _timetable(reminder, {**stored, **events})
            timetable.advance(reminder, reminder.progress, now=now)
        except UNREADABLE:
            log.exception("a reminder cannot follow its learner")
            continue
        if (reminder.next_at, reminder.gsi1sk) != before:
            writes.append(reminder.write())
    if writes:
        commit(Head.among(learner_id, stored), *writes)


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
        is_given = bool(getattr(reminder, name))
        if name in NEEDED[reminder.about] and not is_given:
            raise ValidationFailed.of(
                wire, "required", Filled("A reminder of this kind has {field}.", field=wire)
            )
        allowed = {"title", *NEEDED[reminder.about], *ALLOWED.get(reminder.about, ())}
        if name not in allowed and is_given:
            raise ValidationFailed.of(wire, "contradiction", "It is for another kind of reminder.")
    if reminder.deck_id and reminder.scenario_id:
        raise ValidationFailed.of("scenarioId", "contradiction", "It is about a deck already.")


def _name_after_its_subject(reminder: Reminder) -> None:
    """Gives a reminder the name of its deck or scenario, unless it has a title.

    Raises NoSuchDeck, UnknownScenario.
    """
    name = ""
    if reminder.deck_id:
        deck = Deck.of(reminder.learner_id, reminder.deck_id)
        if deck is None:
            raise NoSuchDeck.at("deckId")
        name = deck.name
    if reminder.scenario_id:
        try:
            name = read_scenario(reminder.scenario_id, for_staff=False).scenario.title
        except NotFound as error:
            raise UnknownScenario.at("scenarioId") from error
    reminder.title = reminder.title or name[:200]


def _check_timing(reminder: Reminder, now: datetime) -> None:
    if reminder.about == ONCE and reminder.at <= now:
        raise ValidationFailed.of("at", "in_past", "Give an instant that lies ahead.")


def _place_and_write(
    reminder: Reminder,
    progress_by: Callable[[timing.Reminder | None], timing.Progress],
    now: datetime,
    *,
    old_event: str = "",
) -> None:
    """Writes a reminder with its place in the due index, provided that its event exists.

    `progress_by` gives its progress under its new rule.

    Raises ConditionFailed, NoSuchEvent, TooManyReminders, ValidationFailed.
    """
    stored = batch_get(*_keys_of_timetable(reminder), Head.key(reminder.learner_id))
    alarms: list[Write] = []
    if reminder.about == EVENT:
        event = stored.get(Event.key(reminder.learner_id, str(reminder.event_id)))
        if not isinstance(event, Event):
            raise NoSuchEvent.here()
        alarms.append(Event.alarms_write(reminder.learner_id, event.id, now=now))
        others = Reminder.of_event(reminder.learner_id, event.id, on_unreadable=aside(now))
        if len([other for other in others if other.id != reminder.id]) >= MAX_REMINDERS_PER_EVENT:
            raise TooManyReminders
        reminder.lsi4 = f"{Reminder.OF}{event.id}#{reminder.id}"
    timetable = _timetable(reminder, stored)
    try:
        if timetable.rule:
            timing.validate(timetable.rule)
    except (timing.ReminderError, RecurrenceError) as error:
        field = WIRE_NAMES.get(error.field, error.field)
        raise ValidationFailed.of(field, error.code, str(error)) from error
    timetable.advance(reminder, progress_by(timetable.rule), now=now)
    if old_event != reminder.event_id:
        alarms += _alarms_writes(reminder.learner_id, old_event, now)
    commit(Head.among(reminder.learner_id, stored), reminder.write(), *alarms)


def _alarms_writes(learner_id: str, event_id: str, now: datetime) -> list[Write]:
    """The write that notes on an event, if there is one, that it has one reminder less."""
    key = Event.key(learner_id, event_id)
    if event_id and isinstance(batch_get(key, on_unreadable=lambda _: None).get(key), Event):
        return [Event.alarms_write(learner_id, event_id, now=now)]
    return []


@dataclass(frozen=True)
class Timetable:
    """When a reminder is due (None if its event was deleted), and when not to mail."""

    rule: timing.Reminder | None
    quiet: timing.QuietHours | None

    def advance(self, reminder: Reminder, progress: timing.Progress, *, now: datetime) -> None:
        """Gives a reminder a progress, and lets it wait for what is due next."""
        reminder.advance(progress, self.rule, quiet=self.quiet, now=now)


def timetable_of(reminder: Reminder) -> Timetable:
    """The timetable of a reminder: one read, of the profile and its event."""
    return _timetable(reminder, batch_get(*_keys_of_timetable(reminder)))


def _keys_of_timetable(reminder: Reminder) -> list[tuple[str, str]]:
    keys = [(learner_key(reminder.learner_id), Profile.SK)]
    if reminder.event_id:
        keys.append(Event.key(reminder.learner_id, str(reminder.event_id)))
    return keys


def _timetable(reminder: Reminder, stored: Mapping[tuple[str, str], Item]) -> Timetable:
    profile = stored.get((learner_key(reminder.learner_id), Profile.SK))
    event = stored.get(Event.key(reminder.learner_id, str(reminder.event_id)))
    known = profile if isinstance(profile, Profile) else None
    rule = reminder.rule(
        zone=known.timezone if known else "UTC", event=event if isinstance(event, Event) else None
    )
    return Timetable(rule, quiet_hours_of(known) if known else None)


def _next(reminder: Reminder, timetable: Timetable) -> timing.Due | None:
    if timetable.rule is None or reminder.paused:
        return None
    return timing.next_due(timetable.rule, reminder.progress)
