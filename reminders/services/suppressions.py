"""Whom we mail no more: by SES's word on a mail, or by the link in it."""

import logging
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from accounts.models import Account, Address, Head, Profile, learner_key
from accounts.services.changes import commit
from config.store.items import ConditionFailed, batch_get
from config.store.retrying import retried
from config.store.transactions import Put
from reminders.models import Delivery, Suppression

log = logging.getLogger("parley.reminders")

ID = re.compile(r"[0-9A-Za-z-]{26,36}")


def handle_event(event: Mapping[str, Any], *, now: datetime) -> int:
    """Suppresses the address that bounced for good or complained; 1 if it was not already.

    An event counts only if it is about a mail that we have sent to this address, by our own id,
    which nobody else can know. Those about other mails, codes say, count for nothing. Raises
    KeyError, TypeError or ValueError for what is no event of SES's.
    (AWS: "Contents of event data that Amazon SES publishes to Amazon SNS".)
    """
    reason = _reason(event)
    mail = event["mail"]
    if reason is None or "mail_id" not in mail["tags"]:
        return 0
    [learner_id], [mail_id] = mail["tags"]["learner"], mail["tags"]["mail_id"]
    if not all(ID.fullmatch(item) for item in (learner_id, mail_id)):
        return 0
    message_id = str(mail["messageId"])
    deliveries = Delivery.of_mail(learner_id, mail_id)
    known = any(item.message_id in (None, message_id) for item in deliveries)
    account = Account.of(learner_id)
    addressed = {str(address).lower() for address in mail["destination"]}
    if not known or account is None or account.email.lower() not in addressed:
        log.warning("an event about no mail of ours")
        return 0
    suppression = Suppression(
        learner_key(learner_id),
        Suppression.SK,
        email=account.email,
        reason=reason,
        at=now,
        message_id=message_id,
    )
    try:
        suppression.put_once()
    except ConditionFailed:
        return 0
    return 1


def unsuppress(*, email: str) -> bool:
    """Has an address mailed again; whether it was not. It says nothing of SES's own list."""
    email = email.strip().lower()
    address = Address.of(email)
    if address is None or address.learner_id is None:
        return False
    suppression = Suppression.get_or_none(learner_key(address.learner_id), Suppression.SK)
    if not isinstance(suppression, Suppression) or suppression.email != email:
        return False
    suppression.delete()
    return True


def _reason(event: Mapping[str, Any]) -> str | None:
    """Why to suppress, or None: a full mailbox or a sleeping server may be fine tomorrow."""
    kind = event.get("eventType") or event.get("notificationType")
    if kind == "Bounce" and event["bounce"]["bounceType"] == "Permanent":
        return "bounce"
    return "complaint" if kind == "Complaint" else None


# What a link stops → the preferences of the profile.
PREFERENCES = {
    "study": ("study_mails",),
    "events": ("event_mails",),
    "all": ("study_mails", "event_mails"),
}


@retried(ConditionFailed)
def unsubscribe(*, learner_id: str, kind: str) -> None:
    """Turns the preferences for a kind of mail off; done already, or gone, is fine as well."""
    key = learner_key(learner_id), Profile.SK
    stored = batch_get(key, Head.key(learner_id))
    profile = stored.get(key)
    if not isinstance(profile, Profile):
        return
    if any(getattr(profile, name) for name in PREFERENCES[kind]):
        for name in PREFERENCES[kind]:
            setattr(profile, name, False)
        commit(Head.among(learner_id, stored), Put(profile, Profile.pk.exists()))
