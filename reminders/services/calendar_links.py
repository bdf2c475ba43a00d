"""The secret address of a learner's calendar; apart from the feed, whose library loads slowly."""

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
    """Makes a new address, of which this is the secret part; the one before is void."""
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
    """Makes the address void."""
    CalendarLink(learner_key(learner_id), CalendarLink.SK).delete()
