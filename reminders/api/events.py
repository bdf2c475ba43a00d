"""Events, and when they take place."""

from datetime import date, datetime, timedelta
from typing import Any

from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pagination import ListQuery, list_of, page_response, start_of
from config.problems import IdTaken, NotFound
from config.serializers import Boolean, Id, Instant, Integer, Serializer, Text, Zone
from config.viewsets import Resource, expected_version, found, versioned
from reminders.api.serializers import OccurrenceKey, _optional
from reminders.models import Event
from reminders.recurrence import (
    MAX_EXCEPTIONS,
    instant_of,
    zone_named,
)
from reminders.rrule import DAY, MAX_RULE_LENGTH
from reminders.services import events


class SpanShape(Serializer):
    """From `startsAt` to `endsAt`, or the whole days from `startsOn` to `endsOn`."""

    starts_at = _optional(Instant, help_text="Start; null for an all-day event")
    ends_at = _optional(Instant, help_text="End, by default the start")
    starts_on = _optional(serializers.DateField, help_text="First day of an all-day event")
    ends_on = _optional(serializers.DateField, help_text="Its last day, by default the first")


class MovedShape(SpanShape):
    """One occurrence that takes place at another time. Without an end it lasts as the others do."""

    occurrence = OccurrenceKey()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Which one, also in a PATCH, where nothing is required of its own accord."""
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


class EventShape(SpanShape):
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

    id = Id(read_only=True)
    title = Text(max_length=200)
    description = Text(max_length=2000, default="", allow_blank=True)
    location = Text(max_length=200, default="", allow_blank=True)
    timezone = Zone(
        default=None, help_text="Whose clock a rule repeats on; where left out, the profile's"
    )
    rrule = _optional(
        Text,
        max_length=MAX_RULE_LENGTH,
        help_text="RFC 5545 recurrence, e.g. FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10",
    )
    skipped = serializers.ListField(
        child=OccurrenceKey(),
        default=list,
        max_length=MAX_EXCEPTIONS,
        help_text="Occurrences that do not take place",
    )
    moved = serializers.ListField(child=MovedShape(), default=list, max_length=MAX_EXCEPTIONS)
    created_at = Instant(read_only=True)
    updated_at = Instant(read_only=True)
    version = Integer(read_only=True, help_text="For If-Match")

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


class NewEventShape(EventShape):
    id = Id(required=False, help_text="Made by the client, so that sending again is safe")


class WindowQuery(ListQuery):
    after = Instant(required=False, help_text="From when on, by default from now")
    before = Instant(required=False, help_text="Until when: by default 31 days, at most 366")


class ShowingShape(Serializer):
    """An event as it takes place once."""

    event_id = Id(source="event.id")
    occurrence = OccurrenceKey(source="occurrence.key")
    title = Text(source="event.title", max_length=200)
    location = Text(source="event.location", max_length=200, allow_blank=True)
    timezone = Zone(source="event.timezone")
    starts_at = Instant(source="occurrence.starts_at")
    ends_at = Instant(source="occurrence.ends_at")
    all_day = Boolean(source="event.recurrence.all_day")


def _answer(event: Event, code: int = status.HTTP_200_OK) -> Response:
    return versioned(Response(EventShape(event).data, code), int(event.version))


class Events(Resource):
    @operation("listEvents", answers={200: list_of(EventShape)}, query=ListQuery)
    def list(self, request: Request) -> Response:
        """List the events, each once."""
        query = self.query(ListQuery)
        start = start_of(request, query.get("cursor"))
        page = Event.all_of(self.learner_id, limit=query["limit"], start=start)
        return page_response(request, page, EventShape)

    @operation(
        "listOccurrences",
        answers={200: list_of(ShowingShape)},
        query=WindowQuery,
    )
    @action(detail=False)
    def occurrences(self, request: Request) -> Response:
        """List what takes place in a window, in order of start, each event as often as it does."""
        query = self.query(WindowQuery)
        page = events.window(
            learner_id=self.learner_id,
            after=query.get("after"),
            before=query.get("before"),
            limit=query["limit"],
            start=start_of(request, query.get("cursor")),
            now=now(),
        )
        return page_response(request, page, ShowingShape)

    @operation(
        "createEvent",
        request=NewEventShape,
        answers={201: EventShape},
        raises=[IdTaken, events.TooManyEvents],
    )
    def create(self, request: Request) -> Response:
        """Make an event."""
        fields = self.body(NewEventShape)
        event = events.create_event(learner_id=self.learner_id, fields=fields, now=now())
        return _answer(event, status.HTTP_201_CREATED)

    @operation("getEvent", answers={200: EventShape}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read an event."""
        return _answer(found(Event.of(self.learner_id, id)))

    @operation(
        "replaceEvent",
        request=EventShape,
        answers={200: EventShape},
        raises=[NotFound],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace an event; what is left out becomes its default. Its reminders follow."""
        return self._change(request, id, self.body(EventShape))

    @operation(
        "updateEvent",
        request=EventShape,
        answers={200: EventShape},
        raises=[NotFound],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what is given of an event. Its reminders follow.

        With another start it lasts as long as before; exceptions stay as far as their occurrences.
        """
        return self._change(request, id, self.body(EventShape, partial=True))

    def _change(self, request: Request, id: str, changes: dict[str, Any]) -> Response:
        event = events.update_event(
            learner_id=self.learner_id,
            event_id=id,
            changes=changes,
            expected_version=expected_version(request),
            now=now(),
        )
        return _answer(event)

    @operation("deleteEvent", answers={204: None}, raises=[NotFound], if_match=True)
    def destroy(self, request: Request, id: str) -> Response:
        """Delete an event and its reminders."""
        events.delete_event(
            learner_id=self.learner_id,
            event_id=id,
            expected_version=expected_version(request),
            now=now(),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)
