"""The texts of reminder mails, and the links that stop them.

All texts, with those in `templates/reminders/mail/`, can be translated: gettext finds them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError
from django.conf import settings
from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from config import mail
from config.crypto import InvalidSeal, seal, unseal
from config.problems import ServiceUnavailable
from reminders.models import EVENT, STUDY, Event, Reminder
from reminders.recurrence import Occurrence, occurrence_named
from reminders.rrule import DAY

TEMPLATE = "reminders/mail/reminder.txt"
MANY = 100  # the study queue counts no further
UNSUBSCRIBE = "unsubscribe"
# Long enough for anyone who opens the mail late; later mails carry newer links.
LINK_WORKS = timedelta(days=400)


@dataclass(frozen=True)
class MailItem:
    """One reminder in a mail: `lines` stand below `title`; `subject` is used if it is alone."""

    about: str
    subject: str
    title: str
    lines: tuple[str, ...] = ()


def study_item(due_cards: int) -> MailItem:
    """A digest of the cards to study; MANY means that many or more."""
    if due_cards >= MANY:
        text = _("%(number)d or more cards are due") % {"number": due_cards}
    else:
        text = ngettext("%(number)d card is due", "%(number)d cards are due", due_cards)
        text %= {"number": due_cards}
    return MailItem(STUDY, text, text, (_("A few minutes now keep them from being forgotten."),))


def one_off_item(reminder: Reminder) -> MailItem:
    """A one-off reminder as the learner wrote it."""
    return MailItem(reminder.about, reminder.title, reminder.title, _lines(reminder.note))


def event_item(reminder: Reminder, event: Event, key: str, *, zone: ZoneInfo) -> MailItem:
    """One occurrence of an event, in the reader's zone."""
    occurrence = occurrence_named(event.recurrence, key)
    when = day = ""
    if occurrence:
        when, day = _when(occurrence, zone), _day(_local(occurrence, zone))
        elsewhere = _elsewhere(occurrence, event.timezone, zone)
        when = f"{when}{elsewhere}"
    subject = f"{event.title}: {day}" if day else event.title
    where = _("Where: %(place)s") % {"place": event.location} if event.location else ""
    return MailItem(
        EVENT, subject, event.title, _lines(when, where, reminder.note, event.description)
    )


def _lines(*texts: str) -> tuple[str, ...]:
    return tuple(text for text in texts if text)


def _local(occurrence: Occurrence, zone: ZoneInfo) -> date | datetime:
    """The start on the reader's clock; an all-day event keeps its date everywhere."""
    if isinstance(occurrence.starts, datetime):
        return occurrence.starts_at.astimezone(zone)
    return occurrence.starts


def _when(occurrence: Occurrence, zone: ZoneInfo) -> str:
    starts = _local(occurrence, zone)
    if not isinstance(starts, datetime):
        last = starts + (occurrence.ends_at - occurrence.starts_at + DAY / 2) // DAY * DAY - DAY
        return _day(starts) if last == starts else _span(_day(starts), _day(last))
    ends = occurrence.ends_at.astimezone(zone)
    text = _day(starts)
    if ends > starts:
        same_day = ends.date() == starts.date()
        text = f"{text}–{ends:%H:%M}" if same_day else _span(text, _day(ends))
    return f"{text} ({zone.key})"


def _span(first: str, last: str) -> str:
    return _("%(first)s to %(last)s") % {"first": first, "last": last}


def _day(at: date | datetime) -> str:
    text = date_format(at, "l j F Y")
    return f"{text}, {at:%H:%M}" if isinstance(at, datetime) else text


def _elsewhere(occurrence: Occurrence, name: str, zone: ZoneInfo) -> str:
    """The time in the event's own zone, if the clock differs there."""
    if not isinstance(occurrence.starts, datetime):
        return ""
    there = occurrence.starts_at.astimezone(ZoneInfo(name))
    here = occurrence.starts_at.astimezone(zone)
    if there.utcoffset() == here.utcoffset():
        return ""
    return _("; %(time)s in %(zone)s") % {"time": _day(there), "zone": name}


# --- Sending ------------------------------------------------------------------------------------


def send(
    entries: Sequence[MailItem],
    *,
    to: str,
    name: str,
    learner_id: str,
    mail_id: str,
    now: datetime,
) -> str:
    """Sends one mail about one or more reminders and returns SES's message id.

    SES's events about the mail carry `learner` and `mail_id`. Raises ServiceUnavailable;
    `certainly_unsent` tells whether the mail may have gone out.
    """
    kinds = {"study" if entry.about == STUDY else "events" for entry in entries}
    kind = kinds.pop() if len(kinds) == 1 else "all"
    url = f"{settings.PUBLIC_URL}/unsubscribe/{unsubscribe_token(learner_id, kind, now=now)}"
    several = _("%(number)d reminders") % {"number": len(entries)}
    context = {
        "subject": entries[0].subject if len(entries) == 1 else several,
        "name": name,
        "entries": entries,
        "kind": KINDS[kind],
        "unsubscribe_url": url,
    }
    return mail.send(
        TEMPLATE,
        context,
        to=to,
        headers={
            "List-Unsubscribe": f"<{url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",  # RFC 8058
        },
        tags={"mail": "reminder", "learner": learner_id, "mail_id": mail_id},
    )


def certainly_unsent(error: ServiceUnavailable) -> bool:
    """Whether SES certainly did not take the mail, rather than took it and failed to answer."""
    answered = ClientError, EndpointConnectionError, ConnectTimeoutError
    return isinstance(error.__cause__, answered)


# --- Unsubscribing ------------------------------------------------------------------------------

# The kind of mail that a link stops → its name for readers.
KINDS = {
    "study": gettext_lazy("study reminders"),
    "events": gettext_lazy("reminders of events and tasks"),
    "all": gettext_lazy("reminders"),
}


def unsubscribe_token(learner_id: str, kind: str, *, now: datetime) -> str:
    """A token that lets its holder stop this kind of mail to this learner, and nothing else."""
    return seal(UNSUBSCRIBE, {"learner": learner_id, "kind": kind}, until=now + LINK_WORKS)


def subscription_of(token: str, *, now: datetime) -> tuple[str, str] | None:
    """The learner and the kind of mail of a token; None if the token is invalid."""
    try:
        values = unseal(UNSUBSCRIBE, token, now=now)
    except InvalidSeal:
        return None
    return str(values["learner"]), str(values["kind"])
