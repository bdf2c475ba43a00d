"""/changes: the changes since a device's last visit, and those that it made offline.

Each thing is shown as its own resource shows it, so this is the one that imports the others.
"""

from dataclasses import astuple
from functools import cache
from typing import Any, cast

from django.core import signing
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.profile import ProfileUpdateSerializer
from accounts.api.serializers import NotificationsSerializer
from config.http import as_problem
from config.operations import operation
from config.problems import Problem, ValidationFailed
from config.serializers import (
    IdField,
    IntegerField,
    ItemProblemSerializer,
    QuerySerializer,
    Serializer,
    TextField,
)
from config.viewsets import Resource
from learning.api.decks import DeckDeletionSerializer, NewDeckSerializer
from learning.api.flashcards import NewCardSerializer
from learning.api.notes import NewNoteSerializer
from learning.api.reviews import sent_id
from learning.api.scheduler import SchedulerSerializer
from learning.api.serializers import (
    CardIdField,
    CardSerializer,
    DeckSerializer,
    NoteSerializer,
    OneByOneField,
    ReviewSerializer,
)
from learning.api.sessions import ScoresSerializer, SessionSerializer, TurnSerializer, turn_fields
from learning.models.practice import Turn
from learning.services.changes import (
    Changes,
    ChangesGone,
    Cursor,
    OfflineChange,
    Result,
    Told,
    apply_changes,
    changes_since,
    first_changes,
)
from reminders.api.events import EventSerializer
from reminders.api.reminders import ReminderSerializer
from reminders.services.events import aside

SCHEDULE = frozenset(
    {
        *("id", "note_id", "ordinal", "deck_id", "state", "step", "stability", "difficulty"),
        *("due_at", "interval_days", "last_review_at", "reps", "lapses"),
        *("suspended", "suspended_by", "leech", "buried_until"),
    }
)


class ScheduledCardSerializer(CardSerializer):
    """A card without what its note says. Of one that came with a review the deck is not told."""

    deck_id = IdField(allow_null=True)

    def get_fields(self) -> Any:
        named = super().get_fields()
        return {wire: field for wire, field in named.items() if _source(wire, field) in SCHEDULE}


def _source(wire: str, field: Any) -> str:
    source = field.source or wire
    return "interval_days" if source == "memory.interval_days" else str(source)


class ToldProfileSerializer(ProfileUpdateSerializer):
    notifications = NotificationsSerializer(source="*")
    version = IntegerField()

    class Meta:
        ref_name = "ToldProfile"


class ToldSessionSerializer(SessionSerializer):
    scores = ScoresSerializer(allow_null=True)
    version = IntegerField()


class ToldTurnSerializer(TurnSerializer):
    session_id = IdField()

    def to_representation(self, turn: Turn) -> Any:
        session_id = turn.sk.split("#")[1]
        return super().to_representation(turn_fields(session_id, turn) | {"session_id": session_id})


SYNCED_SERIALIZERS: dict[str, type[Serializer]] = {
    "deck": DeckSerializer,
    "note": NoteSerializer,
    "card": ScheduledCardSerializer,
    "review": ReviewSerializer,
    "scheduler": SchedulerSerializer,
    "profile": ToldProfileSerializer,
    "session": ToldSessionSerializer,
    "turn": ToldTurnSerializer,
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


class ChangesQuerySerializer(QuerySerializer):
    since = TextField(
        max_length=2048, required=False, help_text="The `cursor` of the answer before"
    )
    limit = IntegerField(
        min_value=1,
        max_value=2500,
        default=500,
        help_text="Changes in one answer; fewer come where they are long",
    )


class ChangeSerializer(Serializer):
    """One thing as it now is. `key` is what it is known by: its id, of a review that of its card
    and its own, of a turn that of its session and its number. Of what is gone there is no `data`,
    and what goes by itself has `expiresAt`."""

    samples = {"deleted": False, "expiresAt": None}
    data_of = SYNCED_SERIALIZERS

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
        return _shower(self.get_kind(told)).to_representation(told.item)


@cache
def _shower(kind: str) -> Serializer:
    """What shows the things of a kind, made once: an answer has thousands."""
    return SYNCED_SERIALIZERS[kind]()


class ChangesSerializer(Serializer):
    """What has changed, each thing as it now is. Ask again with `cursor`, at once with `more`."""

    results = ChangeSerializer(many=True, source="told")
    cursor = serializers.CharField()
    more = serializers.BooleanField()


class OfflineChangeSerializer(Serializer):
    """`data` has the fields of the new thing, or those that change.

    Of a deck's deletion it has `moveTo` or `cards`, for the deck's cards.
    """

    samples = {"kind": "card", "verb": "update", "version": 3, "data": {"back": "home"}}

    kind = serializers.ChoiceField(["deck", "note", "card"])
    verb = serializers.ChoiceField(["create", "update", "delete"])
    id = CardIdField(help_text="Made by the client")
    version = IntegerField(
        min_value=1, required=False, help_text="That the change was made upon; by default any"
    )
    data = serializers.DictField(default=dict)  # type: ignore[assignment]


class OfflineSerializer(Serializer):
    changes = OneByOneField(child=OfflineChangeSerializer(), min_length=1, max_length=100)


class OfflineResultSerializer(Serializer):
    id = serializers.CharField(allow_null=True, help_text="As it was sent")
    status = serializers.ChoiceField(["applied", "duplicate", "conflict", "rejected"])
    item = serializers.DictField(allow_null=True, help_text="The thing as it is stored now")
    problem = ItemProblemSerializer(allow_null=True)


class OfflineOutcomeSerializer(Serializer):
    """What became of each change, in the order sent."""

    results = OfflineResultSerializer(many=True)


NEW_SERIALIZERS: dict[str, type[Serializer]] = {
    "deck": NewDeckSerializer,
    "note": NewNoteSerializer,
    "card": NewCardSerializer,
}
STORED_SERIALIZERS: dict[str, type[Serializer]] = {
    "deck": DeckSerializer,
    "note": NoteSerializer,
    "card": CardSerializer,
}


class ChangeViewSet(Resource):
    @operation(
        "listChanges",
        query=ChangesQuerySerializer,
        answers={200: ChangesSerializer},
        raises=[ChangesGone],
        if_none_match=True,
    )
    def list(self, request: Request) -> Response:
        """List what has changed since a cursor; without one, everything there is.

        Keep `cursor` and send it as `since` the next time; while `more` is true ask again at once.
        A change may come twice, and a thing always comes as it is now: store it under its `kind`
        and `key`, over what was there; with `deleted` remove it. 410 `CHANGES_GONE`: the cursor is
        too old, or of before a restore: forget what came and begin without one. A reminder's
        `nextAt` is as of the learner's last change; mails that go out since are not told.
        """
        query = self.validated_query(ChangesQuerySerializer)
        how: dict[str, Any] = {
            "learner_id": self.learner_id,
            "limit": query["limit"],
            "on_unreadable": aside(now()),
        }
        cursor = self._cursor(query.get("since"))
        if cursor is None or cursor.prefix is not None:
            changes = first_changes(cursor=cursor, now=now(), **how)
        else:
            changes = changes_since(cursor=cursor, now=now(), **how)
        return Response(self._shown(changes))

    def _shown(self, changes: Changes) -> Any:
        cursor = self._signer().sign_object(list(astuple(changes.cursor)))
        body = {"told": changes.told, "cursor": cursor, "more": changes.more}
        return ChangesSerializer(body).data

    def _cursor(self, since: str | None) -> Cursor | None:
        if since is None:
            return None
        try:
            return Cursor(*self._signer().unsign_object(since))
        except (signing.BadSignature, ValueError, TypeError) as error:
            message = "This cursor is not one of yours."
            raise ValidationFailed.of("since", "invalid_cursor", message) from error

    def _signer(self) -> signing.Signer:
        """Signs for one learner: a cursor is of no use to another."""
        return signing.Signer(salt=repr(("changes", self.learner_id)))

    @operation(
        "submitChanges",
        request=OfflineSerializer,
        answers={200: OfflineOutcomeSerializer},
    )
    def create(self, request: Request) -> Response:
        """Send in what was made, changed and deleted offline, up to 100 changes in their order.

        What was studied goes to `POST /reviews`. `results` has one entry for each change, in order:
        `applied`; `duplicate`, when it was sent before; `conflict`, when the thing was changed
        elsewhere since `version`, with the thing as it is now in `item`; `rejected`, with the
        reason in `problem`. One that fails does not hold up the others. Make ids on the device,
        then all of it may be sent again after a lost answer.
        """
        sent = self.validated_body(OfflineSerializer)["changes"]
        checked = [each if isinstance(each, Problem) else _checked(each) for each in sent]
        wanted = [each for each in checked if isinstance(each, OfflineChange)]
        results = iter(apply_changes(learner_id=self.learner_id, changes=wanted, now=now()))
        raws = cast("dict[str, Any]", request.data)["changes"]
        shown = [
            _result(raw, each, Result("rejected", problem=each))
            if isinstance(each, Problem)
            else _result(raw, each, next(results))
            for raw, each in zip(raws, checked, strict=True)
        ]
        return Response(OfflineOutcomeSerializer({"results": shown}).data)


def _checked(sent: dict[str, Any]) -> OfflineChange | Problem:
    """The change with its fields validated, or what is wrong with them."""
    kind, action, own_id = sent["kind"], sent["verb"], sent["id"]
    try:
        fields = _fields(
            kind, action, sent["data"] | ({"id": own_id} if action == "create" else {})
        )
    except ValidationError as error:
        return as_problem(error)
    if action == "create":
        fields.pop("id")
    if action == "delete" and kind == "deck":
        fields = {"delete_cards": "cards" in fields, "move_to": fields.get("move_to")}
    return OfflineChange(
        kind=kind, action=action, id=own_id, base=sent.get("version"), fields=fields
    )


def _fields(kind: str, action: str, data: dict[str, Any]) -> dict[str, Any]:
    if action == "delete":
        return DeckDeletionSerializer(data).values() if kind == "deck" else {}
    serializer_class = (NEW_SERIALIZERS if action == "create" else STORED_SERIALIZERS)[kind]
    serializer = serializer_class(data=data, partial=action == "update")
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _result(raw: Any, change: OfflineChange | Problem, result: Result) -> dict[str, Any]:
    item = None
    if result.item is not None and isinstance(change, OfflineChange):
        item = STORED_SERIALIZERS[change.kind](result.item).data
    return {
        "id": sent_id(raw),
        "status": result.status,
        "item": item,
        "problem": result.problem and result.problem.body(),
    }
