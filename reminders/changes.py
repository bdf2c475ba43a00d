"""Wire shapes of what devices synchronise: of every kind of thing, so the highest app has them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.serializers.profile import NotificationsShape, ProfileUpdate
from config.serializers import Id, Integer, Query, Serializer, Text
from learning.models.practice import Turn
from learning.serializers.batches import ItemProblemShape, OneByOne
from learning.serializers.cards import CardId, CardShape, DeckShape, NewCardShape, NewDeckShape
from learning.serializers.notes import NewNoteShape, NoteShape
from learning.serializers.practice import SessionShape, TurnShape
from learning.serializers.study import ReviewShape, SchedulerShape
from learning.services.changes import Told
from reminders.serializers import EventShape, ReminderShape

SCHEDULE = frozenset(
    {
        *("id", "note_id", "ordinal", "deck_id", "state", "step", "stability", "difficulty"),
        *("due_at", "interval_days", "last_review_at", "reps", "lapses"),
        *("suspended", "suspended_by", "leech", "buried_until"),
    }
)


class ScheduledCardShape(CardShape):
    """A card without what its note says. Of one that came with a review the deck is not told."""

    deck_id = Id(allow_null=True)

    def get_fields(self) -> Any:
        named = super().get_fields()
        return {wire: shape for wire, shape in named.items() if _source(wire, shape) in SCHEDULE}


def _source(wire: str, shape: Any) -> str:
    source = shape.source or wire
    return "interval_days" if source == "memory.interval_days" else str(source)


class ToldProfileShape(ProfileUpdate):
    notifications = NotificationsShape(source="*")
    version = Integer()

    class Meta:
        ref_name = "ToldProfile"


class ToldSessionShape(SessionShape):
    scores = serializers.JSONField(allow_null=True)
    version = Integer()


class ToldTurnShape(TurnShape):
    session_id = serializers.SerializerMethodField()

    def get_session_id(self, turn: Turn) -> str:
        return turn.sk.split("#")[1]


SHAPES: dict[str, type[Serializer]] = {
    "deck": DeckShape,
    "note": NoteShape,
    "card": ScheduledCardShape,
    "review": ReviewShape,
    "scheduler": SchedulerShape,
    "profile": ToldProfileShape,
    "session": ToldSessionShape,
    "turn": ToldTurnShape,
    "event": EventShape,
    "reminder": ReminderShape,
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


class ChangesQuery(Query):
    since = Text(max_length=2048, required=False, help_text="The `cursor` of the answer before")
    limit = Integer(min_value=1, max_value=1000, default=500, help_text="Changes in one answer")


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
    id = CardId(help_text="Made by the client")
    version = Integer(
        min_value=1, required=False, help_text="That the change was made upon; by default any"
    )
    data = serializers.DictField(default=dict)  # type: ignore[assignment]


class OfflineShape(Serializer):
    changes = OneByOne(child=OfflineChangeShape(), min_length=1, max_length=100)


class OfflineResultShape(Serializer):
    id = serializers.CharField(allow_null=True, help_text="As it was sent")
    status = serializers.ChoiceField(["applied", "duplicate", "conflict", "rejected"])
    item = serializers.DictField(allow_null=True, help_text="The thing as it is stored now")
    problem = ItemProblemShape(allow_null=True)


class OfflineOutcomeShape(Serializer):
    """What became of each change, in the order sent."""

    results = OfflineResultShape(many=True)


MADE: dict[str, type[Serializer]] = {
    "deck": NewDeckShape,
    "note": NewNoteShape,
    "card": NewCardShape,
}
STORED: dict[str, type[Serializer]] = {"deck": DeckShape, "note": NoteShape, "card": CardShape}
