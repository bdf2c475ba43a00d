"""Reminders, and what became of their mails."""

from typing import Any

from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.problems import IdTaken, NotFound
from config.serializers import (
    BooleanField,
    IdField,
    InstantField,
    IntegerField,
    LocalTimeField,
    Serializer,
    TextField,
    optional,
)
from config.store.items import Page
from config.viewsets import ListQuerySerializer, get_or_404, page_of
from learning.services.cards import NoSuchDeck
from learning.services.scenarios import UnknownScenario
from reminders.api.serializers import DeliverySerializer, OccurrenceKeyField, PlanViewSet
from reminders.models import EVENT, ONCE, REPORT, STREAK, STUDY, Delivery, Reminder
from reminders.services import reminders
from reminders.services.events import StoredUnreadable, TooManyReminders, aside
from reminders.services.reminders import ALLOWED, NEEDED, NoSuchEvent, NothingDue
from reminders.timing import MAX_OFFSET_MINUTES, MAX_OFFSETS

UNKNOWN = [NoSuchEvent, NoSuchDeck, UnknownScenario]
KINDS = [EVENT, ONCE, STUDY, REPORT, STREAK]


class ReminderSerializer(Serializer):
    """What is mailed, and when.

    `event`: so many minutes before each occurrence of `eventId`. `once`: at an instant. `study`:
    how many cards are due, at a time of the learner's own clock, unless none is or the day's goal
    is met; with `deckId` those of one deck, with `scenarioId` an invitation to practise. `report`:
    how the last seven days went, unless nothing was studied. `streak`: that the streak ends today,
    unless the learner has studied or has none. The last three come less often, and in the end no
    more, to those who no longer study.
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
        "deckId": None,
        "scenarioId": None,
        "paused": False,
    }

    id = IdField(read_only=True)
    kind = serializers.ChoiceField(KINDS, source="about")
    title = TextField(max_length=200, default="", allow_blank=True, help_text="Needed by `once`")
    note = TextField(max_length=1000, default="", allow_blank=True)
    event_id = optional(IdField, help_text="Of `event`")
    offset_minutes = serializers.ListField(
        child=IntegerField(min_value=0, max_value=MAX_OFFSET_MINUTES),
        default=list,
        max_length=MAX_OFFSETS,
        help_text="Of `event`: minutes before each occurrence (before 09:00 of an all-day one)",
    )
    at = optional(InstantField, help_text="Of `once`")
    weekdays = serializers.ListField(
        child=IntegerField(min_value=0, max_value=6),
        default=list,
        max_length=7,
        help_text="Of `study`, `report` and `streak`: 0 is Monday",
    )
    local_time = optional(
        LocalTimeField, help_text="Of the same: time of day in the profile's zone"
    )
    deck_id = optional(IdField, help_text="Of `study`: about one deck alone")
    scenario_id = optional(
        TextField, max_length=64, help_text="Of `study`: about practising one scenario"
    )
    paused = BooleanField(default=False)
    next_at = InstantField(read_only=True, allow_null=True, help_text="When the next mail is due")
    created_at = InstantField(read_only=True)
    updated_at = InstantField(read_only=True)
    version = IntegerField(read_only=True, help_text="For If-Match")


class NewReminderSerializer(ReminderSerializer):
    samples = ReminderSerializer.samples | {
        "title": "Ligar à Inês",
        "eventId": IdField.sample,
        "offsetMinutes": [60],
        "at": "2030-01-01T09:00:00Z",
    }
    variants = {kind: list(NEEDED[kind].values()) for kind in (STUDY, EVENT, ONCE, REPORT, STREAK)}
    besides = {kind: ["title", *ALLOWED.get(kind, {}).values()] for kind in KINDS}

    id = IdField(required=False, help_text="Made by the client, so that sending again is safe")


class ReminderQuerySerializer(ListQuerySerializer):
    event_id = IdField(required=False, help_text="Those of one event: five at most, on one page")


class SnoozeSerializer(Serializer):
    until = InstantField(help_text="Within the next 30 days")
    occurrence = OccurrenceKeyField(
        required=False, help_text="One that was mailed already; by default the next"
    )


class ReminderViewSet(PlanViewSet):
    serializer_class = ReminderSerializer
    create_serializer_class = NewReminderSerializer

    @operation(
        "listReminders", answers={200: page_of(ReminderSerializer)}, query=ReminderQuerySerializer
    )
    def list(self, request: Request) -> Response:
        """List the reminders, of one event or all.

        With `nextAt`, the instant of the next mail, or null when none is to come.
        """
        return self.paginated(
            _matching,
            self.learner_id,
            serializer_class=ReminderSerializer,
            query=ReminderQuerySerializer,
        )

    @operation(
        "createReminder",
        request=NewReminderSerializer,
        answers={201: ReminderSerializer},
        raises=[IdTaken, *UNKNOWN, TooManyReminders, StoredUnreadable],
    )
    def create(self, request: Request) -> Response:
        """Make a reminder. Mails go to the learner's own verified address alone.

        `kind` decides which other fields there are: `once` has an instant (`at`), `event` an
        `eventId` and `offsetMinutes`, `study` a `localTime` and `weekdays`. `errors` names a field
        that is missing, or of another kind. `TOO_MANY_REMINDERS`: delete some.
        """
        return self.create_item(reminders.create_reminder)

    @operation(
        "getReminder", answers={200: ReminderSerializer}, raises=[NotFound, StoredUnreadable]
    )
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a reminder.

        `STORED_UNREADABLE`: it is damaged; our staff see that, and it may be deleted.
        """
        return self.answer(get_or_404(Reminder.of(self.learner_id, id)))

    @operation(
        "replaceReminder",
        request=ReminderSerializer,
        answers={200: ReminderSerializer},
        raises=[NotFound, *UNKNOWN, TooManyReminders, StoredUnreadable],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace a reminder. A field that is left out gets its default.

        Answers the reminder with its new `nextAt`.
        """
        return self.update_item(reminders.update_reminder, reminder_id=id)

    @operation(
        "updateReminder",
        request=ReminderSerializer,
        answers={200: ReminderSerializer},
        raises=[NotFound, *UNKNOWN, TooManyReminders, StoredUnreadable],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change the given fields of a reminder. With another timing it starts anew.

        Answers the reminder with its new `nextAt`.
        """
        return self.update_item(reminders.update_reminder, reminder_id=id, partial=True)

    @operation("deleteReminder", answers={204: None}, raises=[NotFound], if_match=True)
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a reminder.

        204. A mail that is on its way already may still come.
        """
        return self.delete_item(reminders.delete_reminder, reminder_id=id)

    @operation(
        "snoozeReminder",
        request=SnoozeSerializer,
        answers={200: ReminderSerializer},
        raises=[NotFound, NothingDue, StoredUnreadable],
    )
    @action(detail=True, methods=["post"])
    def snooze(self, request: Request, id: str) -> Response:
        """Put one occurrence off; the others come when they would have.

        Answers the reminder with its new `nextAt`. `NOTHING_DUE`: there is no occurrence to put
        off.
        """
        fields = self.validated_body(SnoozeSerializer)
        return self.apply(
            reminders.snooze,
            reminder_id=id,
            until=fields["until"],
            occurrence=fields.get("occurrence"),
        )

    @operation(
        "dismissReminder",
        answers={200: ReminderSerializer},
        raises=[NotFound, NothingDue, StoredUnreadable],
    )
    @action(detail=True, methods=["post"])
    def dismiss(self, request: Request, id: str) -> Response:
        """Skip the next mail; those after it come.

        Answers the reminder with its new `nextAt`. `NOTHING_DUE`: no mail is to come.
        """
        return self.apply(reminders.dismiss, reminder_id=id)

    @operation(
        "listDeliveries",
        answers={200: page_of(DeliverySerializer)},
        query=ListQuerySerializer,
        raises=[NotFound, StoredUnreadable],
    )
    @action(detail=True)
    def deliveries(self, request: Request, id: str) -> Response:
        """Tell what became of a reminder's mails in the last half year, the latest first.

        Each with its instant, its `state` and, where it was not sent, the `reason`.
        """
        return self.paginated(
            _deliveries_of, self.learner_id, id, serializer_class=DeliverySerializer
        )


def _matching(learner_id: str, *, event_id: str | None = None, **page: Any) -> Page[Reminder]:
    if event_id is None:
        return Reminder.all_of(learner_id, on_unreadable=aside(now()), **page)
    return Page(Reminder.of_event(learner_id, event_id, on_unreadable=aside(now())), None)


def _deliveries_of(learner_id: str, reminder_id: str, **page: Any) -> Page[Delivery]:
    get_or_404(Reminder.of(learner_id, reminder_id))
    return Delivery.of_reminder(learner_id, reminder_id, on_unreadable=aside(now()), **page)
