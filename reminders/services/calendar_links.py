"""The secret address of a learner's calendar.

It is apart from the feed: whoever rotates an address should not wait until icalendar is loaded.
"""

import base64
import secrets
from datetime import datetime
from uuid import UUID

from accounts.models import learner_key
from config.crypto import fingerprint
from reminders.models import CalendarLink

PURPOSE = "calendar"
SECRET_BYTES = 24
ID_BYTES = 16


def rotate(*, learner_id: str, now: datetime) -> str:
    """Creates a new address and returns its secret part; the old address is void."""
    secret = secrets.token_bytes(SECRET_BYTES)
    link = CalendarLink(
        learner_key(learner_id),
        CalendarLink.SK,
        proof=fingerprint(PURPOSE, secret.hex()),
        made_at=now,
    )
    link.put()
    return base64.urlsafe_b64encode(UUID(learner_id).bytes + secret).rstrip(b"=").decode()


def revoke(*, learner_id: str) -> None:
    """Voids the address."""
    CalendarLink(learner_key(learner_id), CalendarLink.SK).delete()
