"""The items of reminders; `docs/access-patterns.md` has every pattern with its key and cost.

All kinds are imported here: a read of several kinds at once must know each.
"""

from accounts.models import Suppression
from reminders.models.events import CalendarLink, Event
from reminders.models.reminders import (
    DEAD,
    DIGESTS,
    DISMISSED,
    EVENT,
    ONCE,
    REPORT,
    RETRIED,
    RETRYING,
    SENDING,
    SENT,
    SHARDS,
    SKIPPED,
    STATES,
    STREAK,
    STUDY,
    UNCONFIRMED,
    Delivery,
    MailDay,
    Reminder,
    ShardLease,
    quiet_hours_of,
    shard_of,
)

__all__ = [
    "DEAD",
    "DIGESTS",
    "DISMISSED",
    "EVENT",
    "ONCE",
    "REPORT",
    "RETRIED",
    "RETRYING",
    "SENDING",
    "SENT",
    "SHARDS",
    "SKIPPED",
    "STATES",
    "STREAK",
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
