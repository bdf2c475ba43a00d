"""Reminders, and what became of their mails."""

from typing import Any

from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pagination import ListQuery, list_of, page_response, start_of
from config.problems import IdTaken, NotFound
from config.store.items import Page
from config.viewsets import Resource, expected_version, found, versioned
from reminders.api.serializers import (
    DeliveryShape,
    NewReminderShape,
    ReminderQuery,
    ReminderShape,
    SnoozeShape,
)
from reminders.models import Delivery, Reminder
from reminders.services import reminders
from reminders.services.reminders import NoSuchEvent, NothingDue, TooManyReminders


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
