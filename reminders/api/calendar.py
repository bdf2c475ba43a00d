"""The learner's calendar: its secret address, and the feed behind it."""

from django.utils.timezone import now
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from config.operations import operation
from config.problems import NotFound
from config.serializers import BooleanField, InstantField, QuerySerializer, Serializer
from config.viewsets import PublicView, View
from reminders.models import CalendarLink
from reminders.services import calendar_links


class CalendarSerializer(Serializer):
    url = serializers.URLField(
        help_text="Of the feed, for a calendar's subscription; whoever has it can read the feed"
    )


CALENDAR = "text/calendar"


class CalendarQuerySerializer(QuerySerializer):
    alarms = BooleanField(
        default=True, help_text="`false` leaves the alarms out, for who is mailed already"
    )


class CalendarFeedView(PublicView):
    @operation(
        "getCalendar",
        query=CalendarQuerySerializer,
        answers={(200, CALENDAR): str, 304: None},
        raises=[NotFound],
        public=True,
    )
    def get(self, request: Request, token: str) -> Response:
        """Read the learner's events and study plan (RFC 5545), for a calendar's subscription.

        An iCalendar file. Apps ask again by themselves, with `If-None-Match`. 404: the address was
        replaced or removed.
        """
        # icalendar: no other request shall wait until it is loaded.
        from reminders.ical import etag
        from reminders.services.calendar_feed import read_calendar

        alarms = self.validated_query(CalendarQuerySerializer)["alarms"]
        body = read_calendar(token, alarms=alarms, now=now())
        if body is None:
            raise NotFound
        tag = etag(body)
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        known = {tag.strip().removeprefix("W/") for tag in _if_none_match(request).split(",")}
        if not known.isdisjoint({tag, "*"}):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers=headers)
        return Response(body, headers=headers, content_type=f"{CALENDAR}; charset=utf-8")


def _if_none_match(request: Request) -> str:
    return str(request.headers.get("If-None-Match", ""))


class CalendarLinkSerializer(Serializer):
    made_at = InstantField(
        allow_null=True, help_text="When the address was made, and shown; null if there is none"
    )


class CalendarAddressView(View):
    @operation("getCalendarLink", answers={200: CalendarLinkSerializer})
    def get(self, request: Request) -> Response:
        """Read whether the calendar has an address, and since when.

        The address itself is shown only where it is made: by POST here, or by `/calendar/rotate`.
        """
        link = CalendarLink.of(caller(request).id)
        return Response(CalendarLinkSerializer({"made_at": link and link.made_at}).data)

    @operation(
        "createCalendarLink", answers={201: CalendarSerializer}, raises=[calendar_links.LinkExists]
    )
    def post(self, request: Request) -> Response:
        """Make the first address of the calendar. It is shown only here.

        Give the answer's address to a calendar app; whoever has it reads the events, without
        signing in. `CALENDAR_LINK_EXISTS`: it was made before; make a new one by
        `/calendar/rotate`.
        """
        token = calendar_links.create(learner_id=caller(request).id, now=now())
        return Response({"url": _url(request, token)}, status.HTTP_201_CREATED)

    @operation("deleteCalendar", answers={204: None})
    def delete(self, request: Request) -> Response:
        """Make the calendar's address void.

        204, also where there is none. Apps that subscribe to it are answered 404 from then on.
        """
        calendar_links.revoke(learner_id=caller(request).id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class CalendarRotationView(View):
    @operation("rotateCalendar", answers={200: CalendarSerializer})
    def post(self, request: Request) -> Response:
        """Make a new address of the calendar; the one before is void. It is shown only here.

        For an address that others have got to know. Apps have to be given the new one.
        """
        token = calendar_links.rotate(learner_id=caller(request).id, now=now())
        return Response({"url": _url(request, token)})


def _url(request: Request, token: str) -> str:
    return request.build_absolute_uri(f"{request.META['SCRIPT_NAME']}/calendar/{token}.ics")
