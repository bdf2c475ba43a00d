"""The address that takes no mail: lifting that, by a link that is mailed to it."""

from django.template.loader import render_to_string
from django.utils.timezone import now
from django.utils.translation import gettext as _
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from config.client_info import client_info_of
from config.operations import operation
from config.viewsets import PublicView, View
from reminders.emails import lift_of
from reminders.services import suppressions

PAGE = "text/html"
TOKEN_LENGTH = 1000


class MailSuppressionView(View):
    @operation("requestMailsAgain", answers={204: None}, raises=[suppressions.NotSuppressed])
    def post(self, request: Request) -> Response:
        """Mail a link that has the caller's address take mails again.

        For an address that bounced or complained (`mailSuppression` of the profile). Whoever
        follows the link has the address, and reminders are mailed to it again. `NOT_SUPPRESSED`:
        it takes mails already.
        """
        suppressions.request_lift(
            learner_id=caller(request).id, source=client_info_of(request.META), now=now()
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class LiftView(PublicView):
    @operation("showLiftPage", answers={(200, PAGE): str, (404, PAGE): str}, public=True)
    def get(self, request: Request, token: str) -> Response:
        """Show a page that asks; programs that look at links in mails lift nothing.

        HTML, for the browser of whoever got the mail. The button sends the POST.
        """
        return _page(_("Does this address work again?"), button=_("Mail me again"), token=token)

    @operation("liftSuppression", answers={(200, PAGE): str, (404, PAGE): str}, public=True)
    def post(self, request: Request, token: str) -> Response:
        """Have reminders mailed to the address again.

        HTML that says what was done. Safe to repeat.
        """
        lift = lift_of(token[:TOKEN_LENGTH], now=now())
        is_lifted = lift and suppressions.lift(learner_id=lift[0], at=lift[1], now=now())
        return _page(_("Your reminders are mailed again"), token=token if is_lifted else "")


def _page(title: str, *, token: str, button: str = "") -> Response:
    is_valid = lift_of(token[:TOKEN_LENGTH], now=now()) is not None
    gone = _("It works for a day: ask for another in your profile.")
    context = {
        "name": _("Mails from Parley"),
        "title": title if is_valid else _("This link does not work any more"),
        "why": _("Parley had stopped mailing reminders to this address.") if is_valid else gone,
        "button": button if is_valid else "",
    }
    page = render_to_string("reminders/link_page.html", context)
    code = status.HTTP_200_OK if is_valid else status.HTTP_404_NOT_FOUND
    return Response(page, code, content_type=f"{PAGE}; charset=utf-8")
