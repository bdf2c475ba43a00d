"""The texts of reminder mails, the addresses in them, and what the holder of one may do.

The sentences are marked for translation (gettext); the templates have none but these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError
from django.conf import settings
from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from config import mail
from config.crypto import InvalidSeal, seal, unseal
from config.problems import ServiceUnavailable
from learning.services.statistics import Week
from reminders.models import EVENT, REPORT, STREAK, STUDY, Event, Reminder, Suppression
from reminders.recurrence import Occurrence, occurrence_named
from reminders.rrule import DAY

TEMPLATE = "reminders/mail/reminder.txt"
MANY = 100  # the study queue counts no further
UNSUBSCRIBE, ANSWER, LIFT = "unsubscribe", "answer", "lift"
# Long enough for anyone who opens the mail late; later mails carry newer links.
LINK_WORKS = timedelta(days=400)
ANSWER_WORKS = timedelta(days=30)
LIFT_WORKS = timedelta(days=1)


@dataclass(frozen=True)
class Link:
    """An address in a mail, and the text that stands for it."""

    text: str
    url: str


@dataclass(frozen=True)
class MailItem:
    """One reminder in a mail: `lines` stand below `title`; `subject` is used if it is alone."""

    about: str
    subject: str
    title: str
    lines: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()


def study_item(reminder: Reminder, due_cards: int) -> MailItem:
    """A digest of the cards to study; MANY means that many or more."""
    text = ngettext("%(count)d card is due", "%(count)d cards are due", due_cards)
    if due_cards >= MANY:
        text = _("%(count)d or more cards are due")
    text %= {"count": due_cards}
    path = "/study"
    if reminder.deck_id:
        text, path = f"{reminder.title}: {text}", f"/study?deck={reminder.deck_id}"
    why = _("A few minutes now keep them from being forgotten.")
    return MailItem(STUDY, text, text, (why,), _into_app(_("Study now"), path))


def scenario_item(reminder: Reminder) -> MailItem:
    """An invitation to practise a scenario."""
    title = _("Time to practise: %(title)s") % {"title": reminder.title}
    links = _into_app(_("Practise now"), f"/scenarios/{reminder.scenario_id}")
    return MailItem(STUDY, title, title, _lines(reminder.note), links)


def report_item(week: Week) -> MailItem:
    """How a learner's last seven days went."""
    title = _("Your week with Parley")
    studied = ngettext("%(count)d card", "%(count)d cards", week.reviews) % {"count": week.reviews}
    days = ngettext("on %(count)d day", "on %(count)d days", week.days) % {"count": week.days}
    minutes = ngettext("%(count)d minute", "%(count)d minutes", week.minutes)
    lines = [f"{studied} {days}, {minutes % {'count': week.minutes}}"]
    if week.remembered is not None:
        percent = round(100 * week.remembered)
        lines.append(_("You remembered %(percent)d %% of what you knew.") % {"percent": percent})
    if week.streak_days > 1:
        lines.append(_("Days of study in a row: %(count)d") % {"count": week.streak_days})
    if week.hard:
        lines.append(_("Hard for you: %(cards)s") % {"cards": ", ".join(map(_short, week.hard))})
    subject = f"{title}: {studied}"
    return MailItem(REPORT, subject, title, tuple(lines), _into_app(_("See more"), "/statistics"))


def streak_item(days: int) -> MailItem:
    """The warning that a streak ends with this day."""
    title = ngettext(
        "Your streak of %(count)d day ends tonight",
        "Your streak of %(count)d days ends tonight",
        days,
    ) % {"count": days}
    return MailItem(
        STREAK, title, title, (_("One card keeps it."),), _into_app(_("Study now"), "/study")
    )


def one_off_item(reminder: Reminder, *, answer: str) -> MailItem:
    """A one-off reminder as the learner wrote it; `answer` is where it can be answered."""
    return MailItem(
        reminder.about,
        reminder.title,
        reminder.title,
        _lines(reminder.note),
        (Link(_("Done, or later"), answer),),
    )


def event_item(
    reminder: Reminder, event: Event, key: str, *, zone: ZoneInfo, answer: str
) -> MailItem:
    """One occurrence of an event, in the reader's zone; `answer` is where it can be answered."""
    occurrence = occurrence_named(event.recurrence, key)
    when = day = ""
    if occurrence:
        when, day = _when(occurrence, zone), _day(_local(occurrence, zone))
        elsewhere = _elsewhere(occurrence, event.timezone, zone)
        when = f"{when}{elsewhere}"
    subject = f"{event.title}: {day}" if day else event.title
    where = _("Where: %(place)s") % {"place": event.location} if event.location else ""
    return MailItem(
        EVENT,
        subject,
        event.title,
        _lines(when, where, reminder.note, event.description),
        (*_into_app(_("Open"), f"/events/{event.id}"), Link(_("Done, or later"), answer)),
    )


def _into_app(text: str, path: str) -> tuple[Link, ...]:
    """A link into the web app, if there is one."""
    return (Link(text, f"{settings.FRONTEND_URL}{path}"),) if settings.FRONTEND_URL else ()


def _short(text: str) -> str:
    """A card's front, as far as a line has room for it."""
    text = " ".join(text.split())
    return text if len(text) <= 40 else f"{text[:39]}…"


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
        return _day(starts) if last == starts else _span(starts, last)
    ends = occurrence.ends_at.astimezone(zone)
    text = _day(starts)
    if ends > starts:
        same_day = ends.date() == starts.date()
        text = f"{text}–{ends:%H:%M}" if same_day else _span(starts, ends)
    return f"{text} ({zone.key})"


def _span(first: date, last: date) -> str:
    return _("%(first)s to %(last)s") % {"first": _day(first), "last": _day(last)}


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
    return "; " + _("%(when)s in %(zone)s") % {"when": _day(there), "zone": name}


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
    kinds = sorted({GROUPS.get(entry.about, "events") for entry in entries})
    stops = [
        Link(
            _("Get no more %(kind)s") % {"kind": kind_name(kind)}, _stop_url(learner_id, kind, now)
        )
        for kind in kinds
    ]
    all_url = stops[0].url if len(stops) == 1 else _stop_url(learner_id, "+".join(kinds), now)
    several = _("%(count)d reminders") % {"count": len(entries)}
    context = {
        "subject": entries[0].subject if len(entries) == 1 else several,
        "hello": _("Hello %(name)s,") % {"name": name},
        "entries": entries,
        "why": _("You have asked Parley for this."),
        "stops": stops,
    }
    return mail.send(
        TEMPLATE,
        context,
        to=to,
        headers={
            "List-Unsubscribe": f"<{all_url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",  # RFC 8058
        },
        tags={"mail": "reminder", "learner": learner_id, "mail_id": mail_id},
    )


def certainly_unsent(error: ServiceUnavailable) -> bool:
    """Whether SES certainly did not take the mail, rather than took it and failed to answer."""
    answered = ClientError, EndpointConnectionError, ConnectTimeoutError
    return isinstance(error.__cause__, answered)


# --- Unsubscribing ------------------------------------------------------------------------------

# Kind of reminder → the kind of mail that a link stops; of all others `events`.
GROUPS = {STUDY: "study", REPORT: "reports", STREAK: "streaks"}


def kind_name(kind: str) -> str:
    """The readers' name of a kind of mail, or of several kinds joined by `+`."""
    names = {
        "study": _("study reminders"),
        "events": _("reminders of events and tasks"),
        "reports": _("weekly reports"),
        "streaks": _("reminders of your streak"),
        "all": _("reminders"),
    }
    return _(" and ").join(names[each] for each in kind.split("+"))


def _stop_url(learner_id: str, kind: str, now: datetime) -> str:
    return f"{settings.PUBLIC_URL}/unsubscribe/{unsubscribe_token(learner_id, kind, now=now)}"


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


# --- Answering ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answerable:
    """The occurrence that a mail told of. A holder of the mail may end it or put it off."""

    learner_id: str
    reminder_id: str
    occurrence: str


def answer_url(reminder: Reminder, occurrence: str, *, now: datetime) -> str:
    """The address of the page where one occurrence of a reminder can be answered."""
    values = {"learner": reminder.learner_id, "reminder": reminder.id, "occurrence": occurrence}
    token = seal(ANSWER, values, until=now + ANSWER_WORKS)
    return f"{settings.PUBLIC_URL}/mail-actions/{token}"


def answerable_of(token: str, *, now: datetime) -> Answerable | None:
    """What the holder of a token may answer; None if the token is invalid."""
    try:
        values = unseal(ANSWER, token, now=now)
    except InvalidSeal:
        return None
    names = ("learner", "reminder", "occurrence")
    return Answerable(*(str(values[name]) for name in names))


# --- Lifting a suppression ----------------------------------------------------------------------


def send_lift_link(suppression: Suppression, *, name: str, now: datetime) -> None:
    """Mails a suppressed address the link that lifts that. Raises ServiceUnavailable."""
    values = {"learner": suppression.learner_id, "at": suppression.at.isoformat()}
    url = f"{settings.PUBLIC_URL}/mail-suppression/{seal(LIFT, values, until=now + LIFT_WORKS)}"
    title = _("Does this address work again?")
    line = _("Follow the link within a day, and Parley mails your reminders to it again.")
    item = MailItem(LIFT, title, title, (line,), (Link(_("Mail me again"), url),))
    context = {
        "subject": title,
        "hello": _("Hello %(name)s,") % {"name": name},
        "entries": [item],
        "why": _("If you did not ask for it, ignore this mail."),
        "stops": [],
    }
    mail.send(TEMPLATE, context, to=suppression.email, tags={"mail": LIFT})


def lift_of(token: str, *, now: datetime) -> tuple[str, datetime] | None:
    """The learner of a token, and when they were suppressed; None if the token is invalid."""
    try:
        values = unseal(LIFT, token, now=now)
    except InvalidSeal:
        return None
    return str(values["learner"]), datetime.fromisoformat(values["at"])
