"""Serializers of what devices synchronise: of every kind of thing, so the highest app has them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.profile import ProfileUpdateSerializer
from accounts.api.serializers import NotificationsSerializer
from config.serializers import IdField, IntegerField, QuerySerializer, Serializer, TextField
from learning.api.decks import NewDeckSerializer
from learning.api.flashcards import NewCardSerializer
from learning.api.notes import NewNoteSerializer, NoteSerializer
from learning.api.scheduler import SchedulerSerializer
from learning.api.serializers import (
    CardIdField,
    CardSerializer,
    DeckSerializer,
    ItemProblemSerializer,
    OneByOneField,
    ReviewSerializer,
)
from learning.api.sessions import SessionSerializer, TurnSerializer
from learning.models.practice import Turn
from learning.services.changes import Told
from reminders.api.events import EventSerializer
from reminders.api.reminders import ReminderSerializer

SCHEDULE = frozenset(
    {
        *("id", "note_id", "ordinal", "deck_id", "state", "step", "stability", "difficulty"),
        *("due_at", "interval_days", "last_review_at", "reps", "lapses"),
        *("suspended", "suspended_by", "leech", "buried_until"),
    }
)


class ScheduledCardShape(CardSerializer):
    """A card without what its note says. Of one that came with a review the deck is not told."""

    deck_id = IdField(allow_null=True)

    def get_fields(self) -> Any:
        named = super().get_fields()
        return {wire: shape for wire, shape in named.items() if _source(wire, shape) in SCHEDULE}


def _source(wire: str, shape: Any) -> str:
    source = shape.source or wire
    return "interval_days" if source == "memory.interval_days" else str(source)


class ToldProfileShape(ProfileUpdateSerializer):
    notifications = NotificationsSerializer(source="*")
    version = IntegerField()

    class Meta:
        ref_name = "ToldProfile"


class ToldSessionShape(SessionSerializer):
    scores = serializers.JSONField(allow_null=True)
    version = IntegerField()


class ToldTurnShape(TurnSerializer):
    session_id = serializers.SerializerMethodField()

    def get_session_id(self, turn: Turn) -> str:
        return turn.sk.split("#")[1]


SHAPES: dict[str, type[Serializer]] = {
    "deck": DeckSerializer,
    "note": NoteSerializer,
    "card": ScheduledCardShape,
    "review": ReviewSerializer,
    "scheduler": SchedulerSerializer,
    "profile": ToldProfileShape,
    "session": ToldSessionShape,
    "turn": ToldTurnShape,
    "event": EventSerializer,
    "reminder": ReminderSerializer,
}
KINDS = {  # how a key begins → what the thing is called on the wire
    "DECK": "deck",
    "NOTE": "note",
    "CARD": "card",
    "LOG": "review",
    "SCHEDULER": "scheduler",
    "PROFILE": "profile",
    "SESSION": "session",
    "TURN": "turn",
    "EVENT": "event",
    "REMINDER": "reminder",
}


class ChangesQuery(QuerySerializer):
    since = TextField(
        max_length=2048, required=False, help_text="The `cursor` of the answer before"
    )
    limit = IntegerField(
        min_value=1, max_value=1000, default=500, help_text="Changes in one answer"
    )


class ChangeShape(Serializer):
    """One thing as it now is. `key` is what it is known by: its id, of a review that of its card
    and its own, of a turn that of its session and its number. Of what is gone there is no `data`,
    and what goes by itself has `expiresAt`."""

    kind = serializers.SerializerMethodField()
    key = serializers.SerializerMethodField()
    deleted = serializers.SerializerMethodField()
    expires_at = serializers.SerializerMethodField()
    data = serializers.SerializerMethodField()  # type: ignore[assignment]

    @extend_schema_field(serializers.ChoiceField(sorted(set(KINDS.values()))))
    def get_kind(self, told: Told) -> str:
        return KINDS[told.sk.partition("#")[0]]

    def get_key(self, told: Told) -> str:
        return told.sk.partition("#")[2]

    def get_deleted(self, told: Told) -> bool:
        return told.item is None

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_expires_at(self, told: Told) -> int | None:
        if told.item is None or told.item.expires_at is None:
            return None
        return int(told.item.expires_at)

    @extend_schema_field(serializers.DictField(allow_null=True))
    def get_data(self, told: Told) -> Any:
        if told.item is None:
            return None
        return SHAPES[KINDS[told.sk.partition("#")[0]]](told.item).data


class ChangesShape(Serializer):
    """What has changed, each thing as it now is. Ask again with `cursor`, at once with `more`."""

    results = ChangeShape(many=True, source="told")
    cursor = serializers.CharField()
    more = serializers.BooleanField()


class OfflineChangeShape(Serializer):
    """`data` is the thing as it is made or what changes of it; of a deck's deletion, what becomes
    of its cards: `moveTo` or `cards`."""

    samples = {"kind": "card", "verb": "update", "version": 3, "data": {"back": "home"}}

    kind = serializers.ChoiceField(["deck", "note", "card"])
    verb = serializers.ChoiceField(["create", "update", "delete"])
    id = CardIdField(help_text="Made by the client")
    version = IntegerField(
        min_value=1, required=False, help_text="That the change was made upon; by default any"
    )
    data = serializers.DictField(default=dict)  # type: ignore[assignment]


class OfflineShape(Serializer):
    changes = OneByOneField(child=OfflineChangeShape(), min_length=1, max_length=100)


class OfflineResultShape(Serializer):
    id = serializers.CharField(allow_null=True, help_text="As it was sent")
    status = serializers.ChoiceField(["applied", "duplicate", "conflict", "rejected"])
    item = serializers.DictField(allow_null=True, help_text="The thing as it is stored now")
    problem = ItemProblemSerializer(allow_null=True)


class OfflineOutcomeShape(Serializer):
    """What became of each change, in the order sent."""

    results = OfflineResultShape(many=True)


MADE: dict[str, type[Serializer]] = {
    "deck": NewDeckSerializer,
    "note": NewNoteSerializer,
    "card": NewCardSerializer,
}
STORED: dict[str, type[Serializer]] = {
    "deck": DeckSerializer,
    "note": NoteSerializer,
    "card": CardSerializer,
}
