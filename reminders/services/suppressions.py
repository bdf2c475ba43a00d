"""Stops mail to learners after a bounce, a complaint or a click on the unsubscribe link.

A learner whose address works again has a link mailed to it, which lifts the suppression. First
the address is taken off SES's own list, which would bounce that mail too.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from accounts.models import Account, Address, Head, Profile, learner_key
from accounts.models.limits import hit
from accounts.services.changes import commit
from config import mail
from config.client_info import ClientInfo
from config.problems import Conflict
from config.store.connection import retried
from config.store.items import ConditionFailed, batch_get
from config.store.transactions import Put
from learning.models.base import EPOCH
from reminders import emails
from reminders.models import Delivery, Suppression

log = logging.getLogger("parley.reminders")

FULL, COMPLAINT = "mailbox_full", "complaint"
FULL_AFTER, FULL_WITHIN = 5, timedelta(days=14)
"""So many mails that came back from a full mailbox, none that arrived between them, suppress."""
HEARD_WITHIN = timedelta(days=1)

ID = re.compile(r"[0-9A-Za-z-]{26,36}")


def handle_event(event: Mapping[str, Any], *, now: datetime) -> int:
    """Suppresses an address after a permanent bounce, a complaint, or bounces of a mailbox that
    stays full; returns how many are new.

    An event counts only if it names a mail that we sent to this address, by our own id, which
    nobody else can know. Events about other mails, such as codes, are ignored. Raises KeyError,
    TypeError or ValueError for a message that is not an event of SES.
    (AWS: "Contents of event data that Amazon SES publishes to Amazon SNS".)
    """
    reason = _reason(event)
    sent = event["mail"]
    if reason is None or "mail_id" not in sent["tags"]:
        return 0
    [learner_id], [mail_id] = sent["tags"]["learner"], sent["tags"]["mail_id"]
    if not all(ID.fullmatch(item) for item in (learner_id, mail_id)):
        return 0
    message_id = str(sent["messageId"])
    deliveries = Delivery.of_mail(learner_id, mail_id)
    # Of a mail that was handed over twice only the second message id is on record.
    known = any(item.repeated or item.message_id in (None, message_id) for item in deliveries)
    account = Account.of(learner_id)
    addressed = {str(address).lower() for address in sent["destination"]}
    if not known or account is None or account.email.lower() not in addressed:
        log.warning("an event about no mail of ours")
        return 0
    proved_at = _proved_at(learner_id)
    if reason != COMPLAINT and all((d.sent_at or d.updated_at) < proved_at for d in deliveries):
        return 0
    if reason == FULL and not _stays_full(learner_id, deliveries, proved_at, now):
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


class NotSuppressed(Conflict):
    code, title = "NOT_SUPPRESSED", "Your address takes mails"


def request_lift(*, learner_id: str, source: ClientInfo, now: datetime) -> None:
    """Mails a link to a learner's suppressed address: whoever follows it owns the address.

    Raises NotSuppressed, TooManyRequests, ServiceUnavailable.
    """
    key, profile_key = (learner_key(learner_id), Account.SK), (learner_key(learner_id), Profile.SK)
    suppression_key = learner_key(learner_id), Suppression.SK
    stored = batch_get(key, profile_key, suppression_key)
    account, profile = stored.get(key), stored.get(profile_key)
    suppression = stored.get(suppression_key)
    if (
        not isinstance(account, Account)
        or not isinstance(profile, Profile)
        or not isinstance(suppression, Suppression)
        or not suppression.bars(account.email)
    ):
        raise NotSuppressed
    hit("mail_source", source.network, now=now)
    hit("email_change", learner_id, now=now)
    mail.accept_again(suppression.email)
    emails.send_lift_link(suppression, name=profile.first_name, now=now)


def lift(*, learner_id: str, at: datetime, now: datetime) -> bool:
    """Lifts the suppression of an instant. Returns whether mails come again; may be repeated."""
    suppression = Suppression.of(learner_id)
    if suppression is None or suppression.at != at:
        return False
    with suppress(ConditionFailed):  # it is lifted already
        suppression.lift(now)
    return True


def unsuppress(*, email: str, now: datetime) -> bool:
    """Lifts the suppression of an address, here and at SES; False if there is none here."""
    email = email.strip().lower()
    address = Address.of(email)
    if address is None or address.learner_id is None:
        return False
    suppression = Suppression.of(address.learner_id)
    if suppression is None or not suppression.bars(email):
        return False
    mail.accept_again(email)
    return lift(learner_id=address.learner_id, at=suppression.at, now=now)


def _reason(event: Mapping[str, Any]) -> str | None:
    """The reason to suppress, or None: a full mailbox or a sleeping server may work tomorrow."""
    kind = event.get("eventType") or event.get("notificationType")
    if kind == "Bounce" and event["bounce"]["bounceType"] == "Permanent":
        return "bounce"
    if kind == "Bounce" and event["bounce"].get("bounceSubType") == "MailboxFull":
        return FULL
    is_praise = kind == "Complaint" and (
        event["complaint"].get("complaintFeedbackType") == "not-spam"
    )
    # RFC 5965: not-spam says that somebody has moved it out of the spam folder.
    return COMPLAINT if kind == "Complaint" and not is_praise else None


def _proved_at(learner_id: str) -> datetime:
    """When a suppression was last lifted by a proof that the address works, or else long ago."""
    suppression = Suppression.of(learner_id)
    return (suppression.lifted_at if suppression else None) or EPOCH


def _stays_full(
    learner_id: str, bounced: Sequence[Delivery], proved_at: datetime, now: datetime
) -> bool:
    """Notes a bounce of a full mailbox. Returns whether the last few mails all came back like that.

    SES tells of each bounce within a day: a mail without news by then has arrived.
    """
    for delivery in bounced:
        with suppress(ConditionFailed):  # it has run out, or its learner has left
            delivery.mark_bounced(now)
    mails: dict[str, Delivery] = {}
    for delivery in Delivery.mailed_since(learner_id, max(now - FULL_WITHIN, proved_at)):
        if delivery.bounced_at or delivery.sent_at < now - HEARD_WITHIN:
            mails[str(delivery.mail_id)] = delivery
    latest = sorted(mails.values(), key=lambda delivery: delivery.sent_at)[-FULL_AFTER:]
    return len(latest) == FULL_AFTER and all(delivery.bounced_at for delivery in latest)


# The kind of mail that a link stops → the preferences that it turns off.
PREFERENCES: dict[str, tuple[str, ...]] = {
    "study": ("study_mails",),
    "events": ("event_mails",),
    "reports": ("report_mails",),
    "streaks": ("streak_mails",),
}
PREFERENCES["all"] = tuple(name for names in PREFERENCES.values() for name in names)


@retried(ConditionFailed)
def unsubscribe(*, learner_id: str, kind: str) -> None:
    """Turns off the preferences for a kind of mail, or for several, joined by `+`.

    Repeating it, or a deleted account, is fine.
    """
    key = learner_key(learner_id), Profile.SK
    stored = batch_get(key, Head.key(learner_id))
    profile = stored.get(key)
    if not isinstance(profile, Profile):
        return
    names = [name for each in kind.split("+") for name in PREFERENCES[each]]
    if any(getattr(profile, name) for name in names):
        for name in names:
            setattr(profile, name, False)
        commit(Head.among(learner_id, stored), Put(profile, Profile.pk.exists()))
