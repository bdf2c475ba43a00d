"""The items of reminders; `docs/access-patterns.md` has every pattern with its key and cost.

All kinds are imported here: a read of several kinds at once must know each.
"""

from reminders.models.deliveries import (
    DEAD,
    DISMISSED,
    RETRIED,
    RETRYING,
    SENDING,
    SENT,
    SKIPPED,
    STATES,
    UNCONFIRMED,
    Delivery,
    MailDay,
    Suppression,
)
from reminders.models.events import CalendarLink, Event
from reminders.models.reminders import (
    EVENT,
    ONCE,
    SHARDS,
    STUDY,
    Reminder,
    ShardLease,
    quiet_hours_of,
    shard_of,
)

__all__ = [
    "DEAD",
    "DISMISSED",
    "EVENT",
    "ONCE",
    "RETRIED",
    "RETRYING",
    "SENDING",
    "SENT",
    "SHARDS",
    "SKIPPED",
    "STATES",
    "STUDY",
    "UNCONFIRMED",
    "CalendarLink",
    "Delivery",
    "Event",
    "MailDay",
    "Reminder",
    "ShardLease",
    "Suppression",
    "quiet_hours_of",
    "shard_of",
]
