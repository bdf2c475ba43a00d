"""What has changed since a device was here last, and what the device has changed meanwhile."""

from dataclasses import astuple
from typing import Any, cast

from django.core import signing
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.http import as_problem
from config.operations import operation
from config.problems import Problem, ValidationFailed
from config.serializers import Serializer
from config.viewsets import Resource
from learning.api.decks import DeckDeletionSerializer
from learning.api.reviews import sent_id
from learning.services.changes import Changes as Found
from learning.services.changes import ChangesGone, Cursor, changes_since, first_changes
from learning.services.offline import OfflineChange, Result, apply_changes
from reminders import changes as shapes


class Changes(Resource):
    @operation(
        "listChanges",
        query=shapes.ChangesQuery,
        answers={200: shapes.ChangesShape},
        raises=[ChangesGone],
    )
    def list(self, request: Request) -> Response:
        """List what has changed since a cursor; without one, everything there is.

        Each change is told at least once, and a thing as it now is: the last word wins. A cursor
        that is too old, or of before a restore, is 410: forget what came and ask without one. What
        the sweep does is told of no reminder: its `nextAt` is as of the learner's last change.
        """
        query = self.validated_query(shapes.ChangesQuery)
        how: dict[str, Any] = {"learner_id": self.learner_id, "limit": query["limit"]}
        cursor = self._cursor(query.get("since"))
        if cursor is None or cursor.prefix is not None:
            found = first_changes(cursor=cursor, now=now(), **how)
        else:
            found = changes_since(cursor=cursor, now=now(), **how)
        return Response(self._shown(found))

    def _shown(self, found: Found) -> Any:
        cursor = self._signer().sign_object(list(astuple(found.cursor)))
        body = {"told": found.told, "cursor": cursor, "more": found.more}
        return shapes.ChangesShape(body).data

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
        request=shapes.OfflineShape,
        answers={200: shapes.OfflineOutcomeShape},
    )
    def create(self, request: Request) -> Response:
        """Send in what was made, changed and deleted offline, up to 100 changes in their order.

        Each is applied, known already, in conflict with a later change (with the thing as it is),
        or rejected with its own problem; the others are not held up by it. Safe to send again.
        """
        sent = self.validated_body(shapes.OfflineShape)["changes"]
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
        return Response(shapes.OfflineOutcomeShape({"results": shown}).data)


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
    shape: type[Serializer] = shapes.MADE[kind] if action == "create" else shapes.STORED[kind]
    found = shape(data=data, partial=action == "update")
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)


def _result(raw: Any, change: OfflineChange | Problem, result: Result) -> dict[str, Any]:
    item = None
    if result.item is not None and isinstance(change, OfflineChange):
        item = shapes.STORED[change.kind](result.item).data
    return {
        "id": sent_id(raw),
        "status": result.status,
        "item": item,
        "problem": result.problem and result.problem.body(),
    }
