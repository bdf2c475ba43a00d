"""The calendar feed behind a learner's secret address."""

import base64
import binascii
import hmac
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from accounts.models import Account, Profile, learner_key
from config.crypto import fingerprints
from config.store.items import batch_get
from reminders.ical import UNSHOWABLE, FeedEvent, feed, study_event
from reminders.models import EVENT, CalendarLink, Event, Reminder
from reminders.recurrence import Recurrence, ZoneUnknownError, zone_named
from reminders.services.calendar_links import ID_BYTES, PURPOSE
from reminders.services.reminders import MAX_REMINDERS
from reminders.timing import StudyReminder

log = logging.getLogger("parley.reminders")

PAST = timedelta(days=90)
MAX_PAST_EVENTS = 400
"""Of those that ended in the time above the feed has the latest: whoever knows the address can ask
for it at any time, so that its size must have a bound. Events that are not over all stand in it."""
NAME = "Parley"


def read_calendar(token: str, *, now: datetime) -> bytes | None:
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
    events = Event.not_over(learner_id, at=now)
    just_before = now - timedelta.resolution  # both spans include their ends
    events += Event.over(learner_id, after=now - PAST, before=just_before, limit=MAX_PAST_EVENTS)
    reminders = Reminder.all_of(learner_id, limit=MAX_REMINDERS, start=None).items
    return feed(name=NAME, events=_entries(events, reminders, profile.timezone), now=now)


def _entries(events: list[Event], reminders: list[Reminder], zone: str) -> list[FeedEvent]:
    zone = zone if _is_known(zone) else "UTC"
    live = [reminder for reminder in reminders if not reminder.paused]
    offsets: dict[str, set[int]] = {}
    for reminder in live:
        if reminder.about == EVENT:
            offsets.setdefault(str(reminder.event_id), set()).update(
                map(int, reminder.offset_minutes)
            )
    entries = [partial(_entry, event, offsets.get(event.id, set())) for event in events]
    entries += [
        partial(_reminder_entry, reminder, zone) for reminder in live if reminder.about != EVENT
    ]
    return list(_showable(entries))


def _showable(entries: Iterable[Callable[[], FeedEvent]]) -> Iterator[FeedEvent]:
    for entry in entries:
        try:
            yield entry()
        except UNSHOWABLE:
            log.exception("an item is left out of a feed")


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
        event.updated_at,
        int(event.version),
        event.description,
        event.location,
        tuple(sorted(offset_minutes)),
    )


def _reminder_entry(reminder: Reminder, zone: str) -> FeedEvent:
    rule = reminder.rule(zone=zone, event=None)
    changed: dict[str, Any] = {"updated_at": reminder.updated_at, "version": int(reminder.version)}
    if isinstance(rule, StudyReminder):
        starts_on = reminder.created_at.astimezone(ZoneInfo(zone)).date()
        title = "Study with Parley"
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
