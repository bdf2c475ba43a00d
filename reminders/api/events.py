"""Events, and when they take place."""

from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from django.utils.timezone import now
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from config.http import told
from config.operations import operation
from config.problems import Filled, IdTaken, NotFound
from config.serializers import (
    BooleanField,
    DateField,
    IdField,
    InstantField,
    IntegerField,
    MessageField,
    SecondField,
    Serializer,
    TextField,
    ZoneField,
    optional,
)
from config.viewsets import (
    ListQuerySerializer,
    decode_cursor,
    get_or_404,
    if_match_version,
    page_of,
    paginated_response,
)
from reminders.api.serializers import OccurrenceKeyField, PlanViewSet
from reminders.models import Event
from reminders.recurrence import (
    MAX_EXCEPTIONS,
    instant_of,
    zone_named,
)
from reminders.rrule import DAY, MAX_RULE_LENGTH
from reminders.services import event_imports, events

MAX_CALENDAR = 1_000_000


class SpanSerializer(Serializer):
    """From `startsAt` to `endsAt`, or the whole days from `startsOn` to `endsOn`."""

    starts_at = optional(SecondField, help_text="Start; null for an all-day event")
    ends_at = optional(SecondField, help_text="End, by default the start")
    starts_on = optional(DateField, help_text="First day of an all-day event")
    ends_on = optional(DateField, help_text="Its last day, by default the first")


class MovedSerializer(SpanSerializer):
    """One occurrence that takes place at another time. Without an end it lasts as the others do."""

    occurrence = OccurrenceKeyField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Requires the occurrence in a PATCH too, in which no field is required by itself."""
        if "occurrence" not in attrs:
            raise serializers.ValidationError({"occurrence": "Say which."}, "required")
        return attrs


def _span(starts: date | datetime, duration: timedelta | None, zone: str) -> dict[str, Any]:
    if isinstance(starts, datetime):
        starts_at = instant_of(starts, zone_named(zone))
        ends_at = None if duration is None else starts_at + duration
        return {"starts_at": starts_at, "ends_at": ends_at, "starts_on": None, "ends_on": None}
    ends_on = None if duration is None else starts + duration - DAY
    return {"starts_at": None, "ends_at": None, "starts_on": starts, "ends_on": ends_on}


class EventSerializer(SpanSerializer):
    """Something that takes place at a time of `timezone`, once or by a rule."""

    samples = {
        "title": "Conversation class",
        "location": "Rua do Almada 3",
        "startsAt": "2027-01-04T19:00:00Z",
        "endsAt": "2027-01-04T20:30:00Z",
        "startsOn": None,
        "endsOn": None,
        "timezone": "Europe/Lisbon",
        "rrule": "FREQ=WEEKLY;BYDAY=MO;COUNT=10",
        "skipped": ["20270111T190000"],
        "moved": [
            {
                "occurrence": "20270118T190000",
                "startsAt": "2027-01-19T19:00:00Z",
                "endsAt": None,
                "startsOn": None,
                "endsOn": None,
            }
        ],
    }

    id = IdField(read_only=True)
    title = TextField(max_length=200)
    description = TextField(max_length=2000, default="", allow_blank=True)
    location = TextField(max_length=200, default="", allow_blank=True)
    timezone = ZoneField(
        default=None, help_text="Whose clock a rule repeats on; where left out, the profile's"
    )
    rrule = optional(
        TextField,
        max_length=MAX_RULE_LENGTH,
        help_text="RFC 5545 recurrence, e.g. FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10",
    )
    skipped = serializers.ListField(
        child=OccurrenceKeyField(),
        default=list,
        max_length=MAX_EXCEPTIONS,
        help_text="Occurrences that do not take place",
    )
    moved = serializers.ListField(child=MovedSerializer(), default=list, max_length=MAX_EXCEPTIONS)
    created_at = InstantField(read_only=True)
    updated_at = InstantField(read_only=True)
    version = IntegerField(read_only=True, help_text="For If-Match")

    def to_representation(self, instance: Event) -> dict[str, Any]:
        recurrence = instance.recurrence
        zone = recurrence.zone
        moved = [
            {"occurrence": move.key, **_span(move.starts, move.duration, zone)}
            for move in recurrence.moved
        ]
        values = {
            **{name: getattr(instance, name) for name in ("id", "title", "description")},
            **{name: getattr(instance, name) for name in ("location", "timezone", "rrule")},
            **{name: getattr(instance, name) for name in ("created_at", "updated_at", "version")},
            **_span(recurrence.starts, recurrence.duration, zone),
            "skipped": list(instance.skipped),
            "moved": moved,
        }
        return dict(super().to_representation(values))


class NewEventSerializer(EventSerializer):
    id = IdField(required=False, help_text="Made by the client, so that sending again is safe")


class FollowingSerializer(EventSerializer):
    """What changes of an occurrence and those that follow it."""

    samples = {
        "occurrence": "20270125T190000",
        "location": "Rua das Flores 12",
    }

    id = IdField(required=False, help_text="Of the new event, made by the client")
    title = TextField(max_length=200, required=False)
    occurrence = OccurrenceKeyField(help_text="The first that changes; not the first of all")

    class Meta:
        ref_name = "Following"

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Requires the occurrence, though all else is as in a PATCH."""
        if "occurrence" not in attrs:
            raise serializers.ValidationError({"occurrence": "Say which."}, "required")
        return attrs


class WindowQuerySerializer(ListQuerySerializer):
    after = InstantField(required=False, help_text="From when on, by default from now")
    before = InstantField(required=False, help_text="Until when: by default 31 days, at most 366")


class EventOccurrenceSerializer(Serializer):
    """An event as it takes place once."""

    event_id = IdField(source="event.id")
    occurrence = OccurrenceKeyField(source="occurrence.key")
    title = TextField(source="event.title", max_length=200)
    location = TextField(source="event.location", max_length=200, allow_blank=True)
    timezone = ZoneField(source="event.timezone")
    starts_at = InstantField(source="occurrence.starts_at")
    ends_at = InstantField(source="occurrence.ends_at")
    starts_on = optional(serializers.DateField, help_text="First day; null for a timed event")
    ends_on = optional(serializers.DateField, help_text="Last day; null for a timed event")
    all_day = BooleanField(source="event.recurrence.all_day")


class ImportCalendarFileSerializer(Serializer):
    """A calendar as a file: iCalendar (RFC 5545) in UTF-8."""

    dry_run = BooleanField(default=False, help_text="Tell what would be done, and do nothing")
    with_reminders = BooleanField(default=True, help_text="Make reminders of the alarms")
    file = serializers.FileField(allow_empty_file=True)

    class Meta:
        ref_name = "CalendarFile"

    def validate_file(self, file: Any) -> str:
        content = file.read(4 * MAX_CALENDAR + 1)
        try:
            text: str = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise serializers.ValidationError("The file is not in UTF-8.", "encoding") from error
        if len(text) > MAX_CALENDAR:
            message = Filled("A calendar has at most {most} characters.", most=MAX_CALENDAR)
            raise serializers.ValidationError(told(message), "max_length")
        return text


class RemarkSerializer(Serializer):
    """Something that was not taken over, or why an event was left out."""

    samples = {"code": "alarm_not_kept", "message": "An event has at most 5 alarms."}

    code = serializers.CharField()
    message = MessageField()

    class Meta:
        ref_name = "CalendarRemark"


class ImportedEventSerializer(Serializer):
    uid = serializers.CharField(help_text="As the calendar has it")
    title = serializers.CharField()
    status = serializers.ChoiceField(event_imports.STATUSES)
    event_id = serializers.CharField(allow_null=True, help_text="Of yours; null where left out")
    offset_minutes = serializers.ListField(
        child=serializers.IntegerField(), help_text="Of its alarms, as in a reminder"
    )
    remarks = RemarkSerializer(many=True)


class CalendarReportSerializer(Serializer):
    """What became of a calendar's events. Those that are over are counted only."""

    imported = serializers.IntegerField(source="counts.imported")
    updated = serializers.IntegerField(source="counts.updated")
    unchanged = serializers.IntegerField(source="counts.unchanged")
    left_out = serializers.IntegerField(source="counts.left_out")
    over = serializers.IntegerField()
    others = serializers.DictField(
        child=serializers.IntegerField(), help_text="Tasks, journals and the like, by kind"
    )
    events = ImportedEventSerializer(
        many=True, source="outcomes", help_text=f"The first {event_imports.MAX_SHOWN}"
    )


class EventViewSet(PlanViewSet):
    serializer_class = EventSerializer
    create_serializer_class = NewEventSerializer

    @operation("listEvents", answers={200: page_of(EventSerializer)}, query=ListQuerySerializer)
    def list(self, request: Request) -> Response:
        """List the events, each once.

        A series is one event with its `rrule`. For the days on which it takes place ask
        `/events/occurrences`.
        """
        read = partial(Event.all_of, on_unreadable=events.aside(now()))
        return self.paginated(read, self.learner_id, serializer_class=EventSerializer)

    @operation(
        "listOccurrences",
        answers={200: page_of(EventOccurrenceSerializer)},
        query=WindowQuerySerializer,
    )
    @action(detail=False)
    def occurrences(self, request: Request) -> Response:
        """List what takes place in a window, in order of start, each event as often as it does.

        What began before the window and reaches into it is there too.
        """
        query = self.validated_query(WindowQuerySerializer)
        page = events.occurrences_between(
            learner_id=self.learner_id,
            after=query.get("after"),
            before=query.get("before"),
            limit=query["limit"],
            start=decode_cursor(request, query.get("cursor")),
            now=now(),
        )
        return paginated_response(request, page, EventOccurrenceSerializer)

    @operation(
        "createEvent",
        request=NewEventSerializer,
        answers={201: EventSerializer},
        raises=[IdTaken, events.TooManyEvents],
    )
    def create(self, request: Request) -> Response:
        """Make an event.

        With `startsAt` and `endsAt`, or for whole days `startsOn` and `endsOn`; `rrule` (RFC 5545)
        makes it a series, at the same time of day in its own `timezone`. `errors` says what is
        wrong with a rule (`rrule_invalid`, `rrule_unsupported`). `TOO_MANY_EVENTS`: delete some, or
        wait for their end.
        """
        return self.create_item(events.create_event)

    @operation(
        "importEvents",
        request={"multipart/form-data": ImportCalendarFileSerializer},
        answers={200: CalendarReportSerializer},
    )
    @action(detail=False, methods=["post"], url_path="import", parser_classes=[MultiPartParser])
    def import_calendar(self, request: Request) -> Response:
        """Take over the events of another calendar, and its alarms as reminders.

        Sent again, each event is there once, and follows the calendar where that has changed. What
        events here cannot say is told. Addresses in the calendar are not fetched.
        """
        body = self.validated_body(ImportCalendarFileSerializer)
        report = event_imports.import_events(
            learner_id=self.learner_id,
            text=body["file"],
            dry_run=body["dry_run"],
            with_reminders=body["with_reminders"],
            now=now(),
        )
        return Response(CalendarReportSerializer(report).data)

    @operation(
        "getEvent",
        answers={200: EventSerializer},
        raises=[NotFound, events.StoredUnreadable],
    )
    def retrieve(self, request: Request, id: str) -> Response:
        """Read an event.

        `STORED_UNREADABLE`: it is damaged; our staff see that, and it may be deleted.
        """
        return self.answer(get_or_404(Event.of(self.learner_id, id)))

    @operation(
        "replaceEvent",
        request=EventSerializer,
        answers={200: EventSerializer},
        raises=[NotFound, events.TooManyEvents, events.StoredUnreadable],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace an event. A field that is left out gets its default. Its reminders follow.

        Answers the event as it is now.
        """
        return self.update_item(events.update_event, event_id=id)

    @operation(
        "updateEvent",
        request=EventSerializer,
        answers={200: EventSerializer},
        raises=[NotFound, events.TooManyEvents, events.StoredUnreadable],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change the given fields of an event. Its reminders follow.

        With another start it lasts as long as before; exceptions stay as far as their occurrences.
        """
        return self.update_item(events.update_event, event_id=id, partial=True)

    @operation(
        "changeFollowing",
        request=FollowingSerializer,
        answers={201: EventSerializer},
        raises=[
            NotFound,
            IdTaken,
            events.TooManyEvents,
            events.TooManyReminders,
            events.ReminderDue,
            events.StoredUnreadable,
        ],
        if_match=True,
    )
    @action(detail=True, methods=["post"])
    def following(self, request: Request, id: str) -> Response:
        """Change an occurrence and all that follow: they become an event of their own.

        What is left out stays as it is; the series ends before. Reminders go with both.
        """
        fields = self.validated_body(FollowingSerializer, partial=True)
        return self.apply(
            events.split_event,
            status.HTTP_201_CREATED,
            event_id=id,
            occurrence=fields.pop("occurrence"),
            fields=fields,
            expected_version=if_match_version(request),
        )

    @operation("deleteEvent", answers={204: None}, raises=[NotFound], if_match=True)
    def destroy(self, request: Request, id: str) -> Response:
        """Delete an event and its reminders.

        204. To leave out one occurrence of a series, add it to `skipped` instead.
        """
        return self.delete_item(events.delete_event, event_id=id)
