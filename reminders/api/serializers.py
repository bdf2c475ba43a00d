"""Wire shapes of events, reminders and their deliveries."""

from datetime import date, datetime, timedelta
from typing import Any

from rest_framework import serializers

from config.pagination import ListQuery
from config.serializers import Boolean, Id, Instant, Integer, Pattern, Serializer, Text, Zone
from reminders.models import EVENT, ONCE, STATES, STUDY, Event
from reminders.recurrence import (
    MAX_EXCEPTIONS,
    instant_of,
    zone_named,
)
from reminders.rrule import DAY, MAX_RULE_LENGTH
from reminders.timing import MAX_OFFSET_MINUTES, MAX_OFFSETS

KINDS = [EVENT, ONCE, STUDY]


class OccurrenceKey(Pattern):
    """Which occurrence: its original start on the wall, or its date for an all-day event."""

    sample = "20270104T190000"

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 17)
        super().__init__(
            "[0-9]{8}(?:T[0-9]{6}Z?)?", "Give an occurrence, e.g. 20270314T023000.", **kwargs
        )


class LocalTime(Pattern):
    """A time of day, `07:30`."""

    sample = "18:30"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            "(?:[01][0-9]|2[0-3]):[0-5][0-9]", "Give a time as HH:MM.", max_length=5, **kwargs
        )


def _optional(field: type[serializers.Field[Any, Any, Any, Any]], **kwargs: Any) -> Any:
    return field(default=None, allow_null=True, **kwargs)


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


class ReminderShape(Serializer):
    """What is mailed, and when.

    `event`: so many minutes before each occurrence of `eventId`. `once`: at an instant. `study`:
    how many cards are due, at a time of the learner's own clock, unless none is or the day's goal
    is met.
    """

    samples = {
        "kind": "study",
        "title": "",
        "note": "",
        "eventId": None,
        "offsetMinutes": [],
        "at": None,
        "weekdays": [0, 2, 4],
        "localTime": "18:30",
        "paused": False,
    }

    id = Id(read_only=True)
    kind = serializers.ChoiceField(KINDS, source="about")
    title = Text(max_length=200, default="", allow_blank=True, help_text="Needed by `once`")
    note = Text(max_length=1000, default="", allow_blank=True)
    event_id = _optional(Id, help_text="Of `event`")
    offset_minutes = serializers.ListField(
        child=Integer(min_value=0, max_value=MAX_OFFSET_MINUTES),
        default=list,
        max_length=MAX_OFFSETS,
        help_text="Of `event`: minutes before each occurrence (before 09:00 of an all-day one)",
    )
    at = _optional(Instant, help_text="Of `once`")
    weekdays = serializers.ListField(
        child=Integer(min_value=0, max_value=6),
        default=list,
        max_length=7,
        help_text="Of `study`: 0 is Monday",
    )
    local_time = _optional(LocalTime, help_text="Of `study`: time of day in the profile's zone")
    paused = Boolean(default=False)
    next_at = Instant(read_only=True, allow_null=True, help_text="When the next mail is due")
    created_at = Instant(read_only=True)
    updated_at = Instant(read_only=True)
    version = Integer(read_only=True, help_text="For If-Match")


class NewReminderShape(ReminderShape):
    id = Id(required=False, help_text="Made by the client, so that sending again is safe")


class ReminderQuery(ListQuery):
    event_id = Id(required=False, help_text="Those of one event: five at most, on one page")


class SnoozeShape(Serializer):
    until = Instant(help_text="Within the next 30 days")
    occurrence = OccurrenceKey(
        required=False, help_text="One that was mailed already; by default the next"
    )


class DeliveryShape(Serializer):
    """What became of one mail. `unconfirmed`: SES may have sent it, and we do not send it again."""

    occurrence = serializers.CharField(help_text="Empty where a reminder failed as a whole")
    due_at = Instant()
    state = serializers.ChoiceField(STATES)
    reason = serializers.CharField(help_text="Why it was skipped or has failed, else empty")
    attempts = Integer(help_text="Failures so far")
    sent_at = Instant(allow_null=True)
    updated_at = Instant()


class FailedDeliveryShape(DeliveryShape):
    id = serializers.CharField()
    learner_id = serializers.CharField()
    reminder_id = Id()


class CalendarShape(Serializer):
    url = serializers.URLField(
        help_text="Of the feed, for a calendar's subscription; whoever has it can read the feed"
    )
