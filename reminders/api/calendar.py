"""The address of the learner's calendar."""

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import caller
from config.clock import now
from config.operations import operation
from reminders.api.serializers import CalendarShape
from reminders.services import calendar_links


class CalendarAddress(APIView):
    @operation("deleteCalendar", answers={204: None})
    def delete(self, request: Request) -> Response:
        """Make the calendar's address void."""
        calendar_links.revoke(learner_id=caller(request).id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class CalendarRotation(APIView):
    @operation("rotateCalendar", answers={200: CalendarShape})
    def post(self, request: Request) -> Response:
        """Make a new address of the calendar; the one before is void. It is shown only here."""
        token = calendar_links.rotate(learner_id=caller(request).id, now=now())
        url = request.build_absolute_uri(f"{request.META['SCRIPT_NAME']}/calendar/{token}.ics")
        return Response({"url": url})
