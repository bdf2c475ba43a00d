"""The calendar feed behind a learner's secret address."""

import base64
import binascii
import hmac
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from accounts.models import Account, Profile, learner_key
from config.crypto import fingerprints
from config.store.items import UNREADABLE, batch_get
from reminders.ical import UNSHOWABLE, FeedEvent, feed, study_event
from reminders.models import EVENT, ONCE, STUDY, CalendarLink, Event, Reminder
from reminders.recurrence import Move, Recurrence, ZoneUnknownError, wall_of, zone_named
from reminders.services.calendar_links import ID_BYTES, PURPOSE
from reminders.services.events import MAX_READ, aside
from reminders.timing import StudyReminder

log = logging.getLogger("parley.reminders")

PAST = timedelta(days=90)
MAX_PAST_EVENTS = 100
"""Of those that ended in the time above the feed has the latest: whoever knows the address can ask
for it at any time, so that its size must have a bound. Events that are not over all stand in it."""
MAX_MOVED = 500
"""Moved occurrences that the feed shows where they are: those nearest to today, of all events."""
MAX_DESCRIPTIONS = 1_000_000
"""Bytes of descriptions in the feed, which has to pass Lambda whatever the learner writes; those of
the events that are over go first."""
NAME = "Parley"
SEQUENCE_BEGAN = datetime(2020, 1, 1, tzinfo=UTC)


def read_calendar(token: str, *, alarms: bool = True, now: datetime) -> bytes | None:
    """The feed of an address; None if the address is void: one read, three queries."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        learner_id, secret = str(UUID(bytes=raw[:ID_BYTES])), raw[ID_BYTES:].hex()
    except (ValueError, binascii.Error):
        return None
    pk = learner_key(learner_id)
    stored = batch_get((pk, CalendarLink.SK), (pk, Account.SK), (pk, Profile.SK))
    link, account, profile = (
        stored.get((pk, item.SK)) for item in (CalendarLink, Account, Profile)
    )
    if not isinstance(link, CalendarLink) or not isinstance(profile, Profile):
        return None
    if not any(hmac.compare_digest(link.proof, item) for item in fingerprints(PURPOSE, secret)):
        return None
    if not isinstance(account, Account) or account.disabled:
        return None
    events = Event.not_over(learner_id, at=now, most=MAX_READ, on_unreadable=aside(now))
    just_before = now - timedelta.resolution  # both spans include their ends
    events += Event.over(
        learner_id,
        after=now - PAST,
        before=just_before,
        limit=MAX_PAST_EVENTS,
        on_unreadable=aside(now),
    )
    reminders = _shown(Reminder.every(learner_id, on_unreadable=aside(now)), since=now - PAST)
    entries = _bounded(_entries(events, reminders, profile), now.date())
    if not alarms:
        entries = [replace(entry, offset_minutes=()) for entry in entries]
    return feed(name=NAME, events=entries, now=now)


def _shown(reminders: list[Reminder], *, since: datetime) -> list[Reminder]:
    """The reminders that are not over, and the latest of those that are."""
    over = [reminder for reminder in reminders if reminder.is_over and reminder.at > since]
    over.sort(key=lambda reminder: reminder.at, reverse=True)
    return [reminder for reminder in reminders if not reminder.is_over] + over[:MAX_PAST_EVENTS]


def _entries(events: list[Event], reminders: list[Reminder], profile: Profile) -> list[FeedEvent]:
    zone = profile.timezone if _is_known(profile.timezone) else "UTC"
    live = [reminder for reminder in reminders if not reminder.paused]
    offsets: dict[str, set[int]] = {}
    for reminder in live:
        if reminder.about == EVENT:
            offsets.setdefault(str(reminder.event_id), set()).update(
                map(int, reminder.offset_minutes)
            )
    entries = [
        partial(_reminder_entry, reminder, zone, profile.zone_set_at)
        for reminder in live
        if reminder.about in (ONCE, STUDY)
    ]
    entries += [partial(_entry, event, offsets.get(event.id, set())) for event in events]
    return list(_showable(entries))


def _showable(entries: Iterable[Callable[[], FeedEvent]]) -> Iterator[FeedEvent]:
    for entry in entries:
        try:
            yield entry()
        except (*UNSHOWABLE, *UNREADABLE):
            log.exception("an item is left out of a feed")


def _bounded(entries: list[FeedEvent], today: date) -> list[FeedEvent]:
    """The entries with no more moved occurrences and descriptions than the feed has room for."""
    moves = [move for entry in entries for move in entry.recurrence.moved]
    too_far = sorted(_days_away(move, today) for move in moves)[MAX_MOVED : MAX_MOVED + 1]
    room, bounded = MAX_DESCRIPTIONS, []
    for entry in entries:
        if too_far:
            near = [m for m in entry.recurrence.moved if _days_away(m, today) < too_far[0]]
            entry = replace(entry, recurrence=replace(entry.recurrence, moved=tuple(near)))
        size = len(entry.description.encode()) * (1 + len(entry.recurrence.moved))
        entry = entry if size <= room else replace(entry, description="")
        room -= size if entry.description else 0
        bounded.append(entry)
    return bounded


def _days_away(move: Move, today: date) -> int:
    """The days from today to a moved occurrence: to its new place or its old one, the nearer."""
    walls = (move.starts, wall_of(move.key))
    days = (wall.date() if isinstance(wall, datetime) else wall for wall in walls)
    return min(abs((day - today).days) for day in days)


def _is_known(zone: str) -> bool:
    try:
        zone_named(zone)
    except ZoneUnknownError:
        return False
    return True


def _entry(event: Event, offset_minutes: set[int]) -> FeedEvent:
    return FeedEvent(
        event.id,
        event.title,
        event.recurrence,
        event.shown_at,
        _sequence(int(event.version), event.shown_at),
        event.description,
        event.location,
        tuple(sorted(offset_minutes)),
    )


def _sequence(version: int, shown_at: datetime) -> int:
    """A SEQUENCE that grows with each version, and with what a calendar shows beside them."""
    return version + (shown_at - SEQUENCE_BEGAN) // timedelta(seconds=1)


def _reminder_entry(reminder: Reminder, zone: str, zone_set_at: datetime | None) -> FeedEvent:
    rule = reminder.rule(zone=zone, event=None)
    shown_at = max(reminder.updated_at, zone_set_at or reminder.updated_at)
    sequence = _sequence(int(reminder.version), shown_at)
    changed: dict[str, Any] = {"updated_at": shown_at, "version": sequence}
    if isinstance(rule, StudyReminder):
        starts_on = reminder.created_at.astimezone(ZoneInfo(zone)).date()
        title = "Study with Parley" + (f": {reminder.title}" if reminder.title else "")
        return study_event(rule, id=reminder.id, title=title, starts_on=starts_on, **changed)
    wall = reminder.at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, microsecond=0)
    return FeedEvent(
        reminder.id,
        reminder.title,
        Recurrence(wall, zone, timedelta(0)),
        description=reminder.note,
        offset_minutes=(0,),
        is_busy=False,
        **changed,
    )
