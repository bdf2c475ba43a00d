"""Imports events from other calendars: each once, however often the text is sent."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from accounts.models import Profile
from config.problems import Filled, IdTaken, NotFound, ValidationFailed
from config.store.items import Item, batch_get
from learning.models.base import digest
from reminders.ical_reader import CalendarInvalidError, ReadEvent, Remark, read_calendar_text
from reminders.models import EVENT, Event, Reminder
from reminders.services.events import (
    MAX_EVENTS,
    TooManyEvents,
    TooManyReminders,
    aside,
    create_event,
    draft_event,
    is_over,
    room_for_reminders,
    update_event,
)
from reminders.services.reminders import create_reminder, update_reminder

IMPORTED, UPDATED, UNCHANGED, LEFT_OUT = "imported", "updated", "unchanged", "left_out"
STATUSES = [IMPORTED, UPDATED, UNCHANGED, LEFT_OUT]
MAX_SHOWN = 300
TIME_S = 18.0
"""A request may take 29 s; what there was no time for comes in when the text is sent again."""
LATE = Remark("no_time_left", "There was no time left for it: send the calendar again.")
DELETED = Remark("deleted", "You have deleted it since it was imported.")
OUR_UID = "@parley"
PAUSED = Remark("alarms_gone", "It has no alarms any more: their reminder is paused.")
FULL = Remark(
    "too_many_events", Filled("You have {most} events that are not over yet.", most=MAX_EVENTS)
)


@dataclass(frozen=True)
class Outcome:
    """The outcome for one event of the text; `event_id` is that of our event."""

    uid: str
    title: str
    status: str
    event_id: str | None = None
    offset_minutes: tuple[int, ...] = ()
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class ImportReport:
    """The outcome for a calendar; `over` counts events that took place before now."""

    counts: dict[str, int]
    over: int
    outcomes: list[Outcome]
    others: dict[str, int]


def import_events(
    *, learner_id: str, text: str, dry_run: bool, with_reminders: bool, now: datetime
) -> ImportReport:
    """Takes over the events of a calendar that are not over, and alarms as reminders.

    Raises ValidationFailed for a text that is no calendar. `dry_run` writes nothing.
    """
    began_s = time.monotonic()
    profile = Profile.of(learner_id)
    try:
        read = read_calendar_text(text, zone=profile.timezone if profile else "UTC", now=now)
    except CalendarInvalidError as error:
        raise ValidationFailed.of("file", "calendar_invalid", str(error)) from error
    outcomes: list[Outcome] = []
    drafts: list[tuple[ReadEvent, Event]] = []
    over = 0

    def is_late() -> bool:
        return time.monotonic() - began_s > TIME_S

    for entry in read.events:
        drafted = LATE if is_late() else _drafted(learner_id, entry, now)
        if isinstance(drafted, Remark):
            outcomes.append(_left_out(entry, drafted))
        elif is_over(drafted, now):
            over += 1
        else:
            drafts.append((entry, drafted))
    stored = _stored(learner_id, drafts, now)
    present = Event.not_over(learner_id, at=now, most=MAX_EVENTS, on_unreadable=aside(now))
    room = MAX_EVENTS - len(present)
    room_for_alarms = room_for_reminders(learner_id, now) if with_reminders else 0
    for entry, event in drafts:
        outcome = _planned(entry, event, stored, room)
        room -= outcome.status == IMPORTED
        if not dry_run:
            outcome = (
                _left_out(entry, LATE) if is_late() else _stored_as(outcome, entry, event, now)
            )
        alarms = _alarms(outcome, event, stored) if with_reminders else None
        if alarms:
            outcome = _reminded(outcome, alarms, room_for_alarms, dry_run=dry_run, now=now)
            room_for_alarms -= alarms.is_new
        outcomes.append(outcome)
    counts = {status: sum(each.status == status for each in outcomes) for status in STATUSES}
    return ImportReport(counts, over, outcomes[:MAX_SHOWN], read.others)


def _drafted(learner_id: str, entry: ReadEvent, now: datetime) -> Event | Remark:
    """The event of an entry, not stored yet, or why there is none."""
    if entry.refused:
        return entry.refused
    own_id = str(uuid5(NAMESPACE_URL, f"ical:{entry.uid}#{entry.part}"))
    request_digest = digest({**entry.fields, "id": own_id})
    try:
        return draft_event(learner_id, own_id, entry.fields, request_digest, now=now)
    except ValidationFailed as problem:
        error = problem.errors[0]
        return Remark(error.code, Filled("{field}: {why}", field=error.field, why=error.message))


def _stored(
    learner_id: str, drafts: Iterable[tuple[ReadEvent, Event]], now: datetime
) -> dict[tuple[str, str], Item]:
    """The stored events of the drafts, their alarms, and our own events that came back."""
    keys = {(event.pk, event.sk) for _, event in drafts}
    keys |= {Reminder.key(learner_id, _alarms_id(event)) for _, event in drafts}
    keys |= {key for entry, _ in drafts if (key := _own_key(learner_id, entry))}
    return batch_get(*keys, on_unreadable=aside(now)) if keys else {}


def _own_key(learner_id: str, entry: ReadEvent) -> tuple[str, str] | None:
    """The key of an event or reminder of ours that the learner exported to another calendar."""
    if not entry.uid.endswith(OUR_UID):
        return None
    return Event.key(learner_id, entry.uid.removesuffix(OUR_UID)[:40])


def _planned(
    entry: ReadEvent, event: Event, stored: dict[tuple[str, str], Item], room: int
) -> Outcome:
    """The plan for an entry."""
    own = stored.get(_own_key(event.learner_id, entry) or ("", ""))
    if isinstance(own, Event):
        return _outcome(entry, UNCHANGED, own.id)
    present = stored.get((event.pk, event.sk))
    if present is None:
        return _outcome(entry, IMPORTED, event.id) if room > 0 else _left_out(entry, FULL)
    if not isinstance(present, Event):
        return _left_out(entry, DELETED)
    same = present.request_digest == event.request_digest
    return _outcome(entry, UNCHANGED if same else UPDATED, event.id)


def _outcome(entry: ReadEvent, status: str, event_id: str) -> Outcome:
    title = str(entry.fields["title"])
    return Outcome(entry.uid, title, status, event_id, entry.offset_minutes, entry.remarks)


def _left_out(entry: ReadEvent, reason: Remark) -> Outcome:
    title = str(entry.fields.get("title", ""))
    return Outcome(entry.uid, title, LEFT_OUT, remarks=(reason, *entry.remarks))


def _stored_as(outcome: Outcome, entry: ReadEvent, event: Event, now: datetime) -> Outcome:
    """Makes or changes an event as planned."""
    try:
        if outcome.status == IMPORTED:
            fields = {**entry.fields, "id": event.id}
            create_event(learner_id=event.learner_id, fields=fields, now=now)
        elif outcome.status == UPDATED:
            changes = {**entry.fields, "request_digest": event.request_digest}
            update_event(
                learner_id=event.learner_id,
                event_id=event.id,
                changes=changes,
                expected_version=None,
                now=now,
            )
    except TooManyEvents:
        return _left_out(entry, FULL)
    except (IdTaken, NotFound):
        return _left_out(entry, DELETED)
    return outcome


@dataclass(frozen=True)
class Alarms:
    """The reminder that an event's alarms ask for: a new one, or a change since the last time.

    `changes` is empty for a new one. A reminder whose alarms are gone is paused until some return.
    """

    learner_id: str
    fields: dict[str, Any]
    changes: dict[str, Any]

    @property
    def is_new(self) -> bool:
        return not self.changes


def _alarms(
    outcome: Outcome, event: Event, stored: Mapping[tuple[str, str], Item]
) -> Alarms | None:
    """The alarms of an event of the text, unless they are unchanged or the learner deleted them.

    The learner's own changes to them stay as long as the text says the same.
    """
    if outcome.event_id != event.id:
        return None
    present = stored.get(Reminder.key(event.learner_id, _alarms_id(event)))
    fields = _alarms_fields(event, outcome.offset_minutes)
    if present is None:
        return Alarms(event.learner_id, fields, {}) if outcome.offset_minutes else None
    if not isinstance(present, Reminder) or present.request_digest == digest(fields):
        return None
    changes: dict[str, Any] = {"request_digest": digest(fields)}
    if not outcome.offset_minutes:
        changes["paused"] = True
    else:
        changes["offset_minutes"] = list(outcome.offset_minutes)
        if present.request_digest == digest(_alarms_fields(event, ())):
            changes["paused"] = False
    return Alarms(event.learner_id, fields, changes)


def _alarms_fields(event: Event, offset_minutes: Sequence[int]) -> dict[str, Any]:
    return {
        "id": _alarms_id(event),
        "about": EVENT,
        "event_id": event.id,
        "offset_minutes": list(offset_minutes),
    }


def _alarms_id(event: Event) -> str:
    return str(uuid5(NAMESPACE_URL, f"alarms:{event.id}"))


def _reminded(
    outcome: Outcome, alarms: Alarms, room: int, *, dry_run: bool, now: datetime
) -> Outcome:
    """Makes or changes the reminder of an event; tells it if there is no room for one more."""
    try:
        if alarms.is_new and room <= 0:
            raise TooManyReminders
        if not dry_run:
            _store_alarms(alarms, now)
    except TooManyReminders as problem:
        remark = Remark("alarm_not_kept", problem.title)
        return replace(outcome, remarks=(*outcome.remarks, remark))
    except (IdTaken, NotFound):  # the learner has deleted it meanwhile
        return outcome
    if alarms.changes.get("paused"):
        outcome = replace(outcome, remarks=(*outcome.remarks, PAUSED))
    return replace(outcome, status=UPDATED) if outcome.status == UNCHANGED else outcome


def _store_alarms(alarms: Alarms, now: datetime) -> None:
    if alarms.is_new:
        create_reminder(learner_id=alarms.learner_id, fields=alarms.fields, now=now)
        return
    update_reminder(
        learner_id=alarms.learner_id,
        reminder_id=alarms.fields["id"],
        changes=alarms.changes,
        expected_version=None,
        now=now,
    )
