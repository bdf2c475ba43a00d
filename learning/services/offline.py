"""What a device has made, changed and deleted while it was offline, each for itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from config.problems import IdTaken, NotFound, PreconditionFailed, Problem
from config.store.items import Item
from learning.models.cards import Card, Deck, Note
from learning.services import cards, deck_deletion, notes

Kind = Literal["deck", "note", "card"]
Action = Literal["create", "update", "delete"]
Status = Literal["applied", "duplicate", "conflict", "rejected"]


@dataclass(frozen=True, kw_only=True)
class OfflineChange:
    """One change. `base` is the version it was made upon, None for any; a card is a basic note's.

    `fields` are those of the thing, validated; of a deck's deletion `delete_cards` and `move_to`.
    """

    kind: Kind
    action: Action
    id: str
    base: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What became of a change: `conflict` where the thing is at another version, which is `item`.

    A `duplicate` was made before, or has nothing new.
    """

    status: Status
    item: Item | None = None
    problem: Problem | None = None


def apply_changes(
    *, learner_id: str, changes: Sequence[OfflineChange], now: datetime
) -> list[Result]:
    """Makes changes in the order given, each or none; sending them again changes nothing more.

    One read and one transaction for each. Raises ServiceUnavailable: what was made by then stays.
    """
    return [_apply(learner_id, change, now) for change in changes]


def _apply(learner_id: str, change: OfflineChange, now: datetime) -> Result:
    act = {"create": _create, "update": _update, "delete": _delete}[change.action]
    try:
        return act(learner_id, change, now)
    except (PreconditionFailed, IdTaken) as problem:
        return _conflict(learner_id, change, problem)
    except NotFound as problem:
        gone = change.action == "delete"  # by the same request before, or by another device
        return Result("duplicate") if gone else Result("rejected", problem=problem)
    except Problem as problem:
        if problem.status >= 500:
            raise
        return Result("rejected", problem=problem)


def _conflict(learner_id: str, change: OfflineChange, problem: Problem) -> Result:
    stored = _stored(learner_id, change)
    if stored is None:
        return Result("rejected", problem=problem)
    if change.action == "update" and all(
        getattr(stored, name) == value for name, value in change.fields.items()
    ):
        return Result("duplicate", stored)
    return Result("conflict", stored, problem)


def _stored(learner_id: str, change: OfflineChange) -> Item | None:
    if change.kind == "deck":
        return Deck.of(learner_id, change.id)
    if change.kind == "card":
        return Card.with_text(learner_id, change.id)
    return Note.of(learner_id, change.id)


def _create(learner_id: str, change: OfflineChange, now: datetime) -> Result:
    makers: dict[Kind, Callable[..., Any]] = {
        "deck": cards.create_deck,
        "card": cards.create_card,
        "note": notes.create_note,
    }
    fields = {"id": change.id, **change.fields}
    made = makers[change.kind](learner_id=learner_id, fields=fields, now=now)
    item: Any = made[0] if isinstance(made, tuple) else made
    made_at = item.written_at if isinstance(item, Card) else item.created_at
    return Result("applied" if made_at == now else "duplicate", item)


def _update(learner_id: str, change: OfflineChange, now: datetime) -> Result:
    how: dict[str, Any] = {
        "learner_id": learner_id,
        "changes": change.fields,
        "expected_version": change.base,
        "now": now,
    }
    if change.kind == "deck":
        return Result("applied", cards.update_deck(deck_id=change.id, **how))
    if change.kind == "card":
        return Result("applied", notes.update_card(card_id=change.id, **how))
    return Result("applied", notes.update_note(note_id=change.id, **how)[0])


def _delete(learner_id: str, change: OfflineChange, now: datetime) -> Result:
    how: dict[str, Any] = {
        "learner_id": learner_id,
        "expected_version": change.base,
        "now": now,
    }
    if change.kind == "deck":
        fields = {"delete_cards": False, "move_to": None, **change.fields}
        deck_deletion.delete_deck(deck_id=change.id, **how, **fields)
    elif change.kind == "card":
        notes.delete_card(card_id=change.id, **how)
    else:
        notes.delete_note(note_id=change.id, **how)
    return Result("applied")
