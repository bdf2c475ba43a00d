"""The secret address of a learner's calendar.

It is apart from the feed, so that rotating an address does not wait until icalendar is loaded.
"""

import base64
import secrets
from datetime import datetime
from uuid import UUID

from accounts.models import learner_key
from config.crypto import fingerprint
from config.problems import Conflict
from config.store.items import ConditionFailed
from reminders.models import CalendarLink

PURPOSE = "calendar"
SECRET_BYTES = 24
ID_BYTES = 16


def rotate(*, learner_id: str, now: datetime) -> str:
    """Creates a new address and returns its secret part; the old address is void."""
    link, secret = _new_link(learner_id, now)
    link.put()
    return secret


class LinkExists(Conflict):
    code, title = "CALENDAR_LINK_EXISTS", "The calendar has an address already"


def create(*, learner_id: str, now: datetime) -> str:
    """Creates the first address and returns its secret part. Raises LinkExists."""
    link, secret = _new_link(learner_id, now)
    try:
        link.create()
    except ConditionFailed:
        raise LinkExists from None
    return secret


def _new_link(learner_id: str, now: datetime) -> tuple[CalendarLink, str]:
    """A link that is not stored yet, and the secret part of its address."""
    secret = secrets.token_bytes(SECRET_BYTES)
    link = CalendarLink(
        learner_key(learner_id),
        CalendarLink.SK,
        proof=fingerprint(PURPOSE, secret.hex()),
        made_at=now,
    )
    token = base64.urlsafe_b64encode(UUID(learner_id).bytes + secret).rstrip(b"=").decode()
    return link, token


def revoke(*, learner_id: str) -> None:
    """Voids the address."""
    CalendarLink(learner_key(learner_id), CalendarLink.SK).delete()
