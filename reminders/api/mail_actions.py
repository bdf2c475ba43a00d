"""Answering a mail: that a thing is done, or is to come up again later."""

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
from config.viewsets import PublicView
from reminders.emails import Answerable, answerable_of
from reminders.models import Reminder
from reminders.services import reminders

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
        """Show a page that asks; programs that look at links in mails change nothing."""
        return _page(_answerable(token), "")

    @operation(
        "answerMail",
        request={"application/x-www-form-urlencoded": MailActionSerializer},
        answers={(200, PAGE): str, (404, PAGE): str},
        public=True,
    )
    def post(self, request: Request, token: str) -> Response:
        """Have no more mails about what a mail told of, or one more later."""
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
        reminders.snooze(**who, occurrence=answerable.occurrence, until=at + LATER[action], now=at)
    except (reminders.NothingDue, ValidationFailed):
        return _("It cannot be put off any more.")
    except NotFound:
        return _("You have deleted this reminder.")
    return _("It comes up again later.")


def _page(answerable: Answerable | None, outcome: str) -> Response:
    reminder = Reminder.of(answerable.learner_id, answerable.reminder_id) if answerable else None
    title = reminders.title_of(reminder) if reminder else ""
    paused = _("It is paused: nothing is mailed until you go on with it.")
    later = [
        ("hour", _("In an hour"), "other"),
        ("evening", _("In four hours"), "other"),
        ("tomorrow", _("Tomorrow"), "other"),
    ]
    is_paused = bool(reminder and reminder.paused)
    context = {
        "valid": reminder is not None or bool(outcome),
        "title": title or _("Your reminder"),
        "outcome": outcome,
        "paused": paused if is_paused else "",
        "buttons": [(DONE, _("Done"), ""), *([] if is_paused else later)],
        "gone": _("This link does not work any more"),
        "gone_why": _("The reminder was deleted, or the mail is older than a month."),
    }
    code = status.HTTP_200_OK if context["valid"] else status.HTTP_404_NOT_FOUND
    page = render_to_string("reminders/mail_action.html", context)
    return Response(page, code, content_type=f"{PAGE}; charset=utf-8")
