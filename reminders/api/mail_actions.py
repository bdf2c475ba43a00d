"""Answering a mail: that a thing is done, or is to come up again later."""

from dataclasses import dataclass
from datetime import timedelta

from django.template.loader import render_to_string
from django.utils.timezone import now
from django.utils.translation import gettext as _
from rest_framework import serializers, status
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.problems import NotFound, ValidationFailed
from config.serializers import Serializer
from config.store.items import UnreadableItem
from config.viewsets import PublicView
from reminders.emails import Answerable, answerable_of
from reminders.models import Reminder
from reminders.services import reminders
from reminders.services.events import set_aside
from reminders.services.recipient import Outlook, outlook_of

PAGE = "text/html"
TOKEN_LENGTH = 1000
DONE = "done"
LATER = {"hour": timedelta(hours=1), "evening": timedelta(hours=4), "tomorrow": timedelta(days=1)}
ACTIONS = [DONE, *LATER]


class MailActionSerializer(Serializer):
    """What the page's buttons send."""

    answer = serializers.ChoiceField(ACTIONS)


class MailActionView(PublicView):
    parser_classes = (FormParser,)

    @operation(
        "showMailAction",
        answers={(200, PAGE): str, (404, PAGE): str},
        public=True,
    )
    def get(self, request: Request, token: str) -> Response:
        """Show a page that asks; programs that look at links in mails change nothing.

        HTML, for the browser of whoever got the mail. The button sends the POST.
        """
        return _page(_answerable(token), "")

    @operation(
        "answerMail",
        request={"application/x-www-form-urlencoded": MailActionSerializer},
        answers={(200, PAGE): str, (404, PAGE): str},
        public=True,
    )
    def post(self, request: Request, token: str) -> Response:
        """Stop the mails about one thing, or ask for one more later.

        HTML that says what was done. Safe to repeat.
        """
        action = self.validated_body(MailActionSerializer)["answer"]
        answerable = _answerable(token)
        return _page(answerable, _act(answerable, action) if answerable else "")


def _answerable(token: str) -> Answerable | None:
    return answerable_of(token[:TOKEN_LENGTH], now=now())


def _act(answerable: Answerable, action: str) -> str:
    """Does a button's action. Returns a sentence about the outcome."""
    at = now()
    who = {"learner_id": answerable.learner_id, "reminder_id": answerable.reminder_id}
    try:
        if action == DONE:
            reminders.finish(**who, occurrence=answerable.occurrence, now=at)
            return _("Done. You are mailed no more about it.")
        if (shown := _shown(answerable)) and shown.outlook.refusal:
            return _("It is not put off.")
        reminders.snooze(**who, occurrence=answerable.occurrence, until=at + LATER[action], now=at)
    except (reminders.NothingDue, ValidationFailed):
        return _("It cannot be put off any more.")
    except NotFound:
        return _("You have deleted this reminder.")
    except UnreadableItem as error:
        set_aside(error.pk, error.sk, now=at)
        return _("This cannot be done at present.")
    return _("It comes up again later.")


@dataclass(frozen=True)
class Shown:
    """The reminder of a page, with its outlook."""

    reminder: Reminder
    outlook: Outlook


def _shown(answerable: Answerable) -> Shown | None:
    """What a page shows; None if it was deleted. Raises UnreadableItem."""
    reminder = Reminder.of(answerable.learner_id, answerable.reminder_id)
    return Shown(reminder, outlook_of(reminder, now=now())) if reminder else None


def _page(answerable: Answerable | None, outcome: str) -> Response:
    try:
        shown = _shown(answerable) if answerable else None
    except UnreadableItem as error:
        set_aside(error.pk, error.sk, now=now())
        shown = None
    note = _note(shown) if shown else ""
    later = [
        ("hour", _("In an hour"), "other"),
        ("evening", _("In four hours"), "other"),
        ("tomorrow", _("Tomorrow"), "other"),
    ]
    context = {
        "valid": shown is not None or bool(outcome),
        "title": (shown.outlook.title if shown else "") or _("Your reminder"),
        "outcome": outcome,
        "note": note,
        "buttons": [(DONE, _("Done"), ""), *([] if note else later)],
        "gone": _("This link does not work any more"),
        "gone_why": _("The reminder was deleted, or the mail is older than a month."),
    }
    code = status.HTTP_200_OK if context["valid"] else status.HTTP_404_NOT_FOUND
    page = render_to_string("reminders/mail_action.html", context)
    return Response(page, code, content_type=f"{PAGE}; charset=utf-8")


def _note(shown: Shown) -> str:
    """Why nothing would be mailed later, or empty."""
    if shown.reminder.paused:
        return _("It is paused: nothing is mailed until you go on with it.")
    if shown.outlook.refusal == "unsubscribed":
        return _("You have turned these mails off: nothing is mailed until you turn them on.")
    if shown.outlook.refusal == "suppressed":
        return _("Your address takes no mails: your profile in Parley says why.")
    return _("Nothing is mailed to you at present.") if shown.outlook.refusal else ""
