"""Reminders, and what became of their mails."""

from typing import Any

from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pagination import ListQuery, list_of, page_response, start_of
from config.problems import IdTaken, NotFound
from config.serializers import Boolean, Id, Instant, Integer, Pattern, Serializer, Text
from config.store.items import Page
from config.viewsets import Resource, expected_version, found, versioned
from reminders.api.serializers import DeliveryShape, OccurrenceKey, _optional
from reminders.models import EVENT, ONCE, STUDY, Delivery, Reminder
from reminders.services import reminders
from reminders.services.reminders import NoSuchEvent, NothingDue, TooManyReminders
from reminders.timing import MAX_OFFSET_MINUTES, MAX_OFFSETS

KINDS = [EVENT, ONCE, STUDY]


class LocalTime(Pattern):
    """A time of day, `07:30`."""

    sample = "18:30"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            "(?:[01][0-9]|2[0-3]):[0-5][0-9]", "Give a time as HH:MM.", max_length=5, **kwargs
        )


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


def _answer(reminder: Reminder, code: int = status.HTTP_200_OK) -> Response:
    return versioned(Response(ReminderShape(reminder).data, code), int(reminder.version))


class Reminders(Resource):
    @operation("listReminders", answers={200: list_of(ReminderShape)}, query=ReminderQuery)
    def list(self, request: Request) -> Response:
        """List the reminders, of one event or all."""
        query = self.query(ReminderQuery)
        start = start_of(request, query.get("cursor"))
        if event_id := query.get("event_id"):
            page = Page(Reminder.of_event(self.learner_id, event_id), None)
        else:
            page = Reminder.all_of(self.learner_id, limit=query["limit"], start=start)
        return page_response(request, page, ReminderShape)

    @operation(
        "createReminder",
        request=NewReminderShape,
        answers={201: ReminderShape},
        raises=[IdTaken, NoSuchEvent, TooManyReminders],
    )
    def create(self, request: Request) -> Response:
        """Make a reminder. Mails go to the learner's own verified address alone."""
        fields = self.body(NewReminderShape)
        made = reminders.create_reminder(learner_id=self.learner_id, fields=fields, now=now())
        return _answer(made, status.HTTP_201_CREATED)

    @operation("getReminder", answers={200: ReminderShape}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a reminder."""
        return _answer(found(Reminder.of(self.learner_id, id)))

    @operation(
        "replaceReminder",
        request=ReminderShape,
        answers={200: ReminderShape},
        raises=[NotFound, NoSuchEvent, TooManyReminders],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace a reminder; what is left out becomes its default."""
        return self._change(request, id, self.body(ReminderShape))

    @operation(
        "updateReminder",
        request=ReminderShape,
        answers={200: ReminderShape},
        raises=[NotFound, NoSuchEvent, TooManyReminders],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what is given of a reminder. With another timing it starts anew."""
        return self._change(request, id, self.body(ReminderShape, partial=True))

    def _change(self, request: Request, id: str, changes: dict[str, Any]) -> Response:
        changed = reminders.update_reminder(
            learner_id=self.learner_id,
            reminder_id=id,
            changes=changes,
            expected_version=expected_version(request),
            now=now(),
        )
        return _answer(changed)

    @operation("deleteReminder", answers={204: None}, raises=[NotFound], if_match=True)
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a reminder."""
        reminders.delete_reminder(
            learner_id=self.learner_id,
            reminder_id=id,
            expected_version=expected_version(request),
            now=now(),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)

    @operation(
        "snoozeReminder",
        request=SnoozeShape,
        answers={200: ReminderShape},
        raises=[NotFound, NothingDue],
    )
    @action(detail=True, methods=["post"])
    def snooze(self, request: Request, id: str) -> Response:
        """Put one occurrence off; the others come when they would have."""
        fields = self.body(SnoozeShape)
        changed = reminders.snooze(
            learner_id=self.learner_id,
            reminder_id=id,
            until=fields["until"],
            occurrence=fields.get("occurrence"),
            now=now(),
        )
        return _answer(changed)

    @operation("dismissReminder", answers={200: ReminderShape}, raises=[NotFound, NothingDue])
    @action(detail=True, methods=["post"])
    def dismiss(self, request: Request, id: str) -> Response:
        """Drop the next mail; those after it come."""
        return _answer(reminders.dismiss(learner_id=self.learner_id, reminder_id=id, now=now()))

    @operation(
        "listDeliveries",
        answers={200: list_of(DeliveryShape)},
        query=ListQuery,
        raises=[NotFound],
    )
    @action(detail=True)
    def deliveries(self, request: Request, id: str) -> Response:
        """Tell what became of a reminder's mails in the last half year, the latest first."""
        query = self.query(ListQuery)
        start = start_of(request, query.get("cursor"))
        found(Reminder.of(self.learner_id, id))
        page = Delivery.of_reminder(self.learner_id, id, limit=query["limit"], start=start)
        return page_response(request, page, DeliveryShape)
