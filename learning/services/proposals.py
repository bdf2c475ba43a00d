"""After a session: what was put right and what was new, as notes that the learner may take over.

A proposal's id is made of session, turn and text, and becomes the note's: what was taken over once
is not taken over twice, by whatever device, and is told as such.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from config.problems import IdTaken, NotFound, Problem
from config.records import dataclass
from config.store.items import Item, batch_get
from learning.models.base import Tombstone
from learning.models.cards import Card, Note
from learning.models.practice import Session, Turn
from learning.search_syntax import base_letters
from learning.services.cards import cards_of
from learning.services.notes import create_note
from learning.services.practice import script_for
from learning.transfer.history import name_based

MOST = 50
CORRECTION, NEW_WORD = REASONS = ("correction", "newWord")
CREATED, DUPLICATE, REJECTED = OUTCOMES = ("created", "duplicate", "rejected")


@dataclass(frozen=True)
class Proposal:
    """A note to take over. `taken`: the learner has done so, or has deleted it since."""

    id: str
    reason: str
    turn: int
    type: str
    front: str
    back: str
    example: str | None
    notes: str | None
    taken: bool = False


@dataclass(frozen=True)
class Accepted:
    """What became of a proposal: its cards, or why it was refused."""

    id: str
    status: str
    cards: Sequence[Card] = ()
    problem: Problem | None = None


def proposed(*, learner_id: str, session_id: str) -> list[Proposal]:
    """What a session leaves to learn: two reads and a query. Raises NotFound."""
    session = Session.of(learner_id, session_id)
    if session is None:
        raise NotFound
    turns = Turn.all_of(learner_id, session_id)
    found: dict[str, Proposal] = {}
    for proposal in _all(session, turns):
        found.setdefault(base_letters(proposal.front), proposal)
    proposals = list(found.values())[:MOST]
    stored = _stored(learner_id, proposals)
    return [
        Proposal(**{**vars(each), "taken": True}) if each.id in stored else each
        for each in proposals
    ]


def _all(session: Session, turns: Sequence[Turn]) -> Iterator[Proposal]:
    phrases = script_for(session).phrases
    for turn in turns:
        number = int(turn.number)
        for item in turn.corrections:
            yield Proposal(
                _id(session, number, item["cloze"]),
                CORRECTION,
                number,
                "cloze",
                front=item["cloze"],
                back="",
                example=None,
                notes=item["why"] or None,
            )
        lines = [turn.reply] if number > 1 else [session.opening, turn.reply]
        words = [(word["term"], word["meaning"]) for word in turn.new_words or ()]
        words += [(phrase.text, phrase.meaning) for phrase in phrases]
        for text, meaning in words:
            line = next((each for each in lines if base_letters(text) in base_letters(each)), None)
            if line is not None:
                id = _id(session, number, text)
                yield Proposal(id, NEW_WORD, number, "basic", text, meaning, line, None)


def _id(session: Session, turn: int, front: str) -> str:
    return name_based("proposal", str(session.id), str(turn), front)


def _stored(learner_id: str, proposals: Sequence[Proposal]) -> dict[str, Item]:
    """What stands in the places of their notes, tombstones too."""
    keys = {Note.key(learner_id, each.id): each.id for each in proposals}
    return {keys[key]: item for key, item in batch_get(*keys).items()}


def accept(
    *,
    learner_id: str,
    session_id: str,
    deck_id: str,
    ids: Sequence[str] | None,
    now: datetime,
) -> list[Accepted]:
    """Takes some of a session's proposals over into a deck, or all; each or not, in their order.

    One that was deleted stays deleted. Raises NotFound; NoSuchDeck is each one's own.
    """
    proposals = {each.id: each for each in proposed(learner_id=learner_id, session_id=session_id)}
    stored = _stored(learner_id, list(proposals.values()))
    results = []
    for id in dict.fromkeys(proposals if ids is None else ids):
        proposal, item = proposals.get(id), stored.get(id)
        if proposal is None:
            results.append(
                Accepted(id, REJECTED, problem=NotFound("The session does not propose this"))
            )
        elif isinstance(item, Note):
            results.append(Accepted(id, DUPLICATE, cards_of(item)))
        elif isinstance(item, Tombstone):
            results.append(Accepted(id, REJECTED, problem=IdTaken("You have deleted it")))
        else:
            results.append(_made(learner_id, session_id, proposal, deck_id, now))
    return results


def _made(
    learner_id: str, session_id: str, proposal: Proposal, deck_id: str, now: datetime
) -> Accepted:
    fields: dict[str, Any] = {
        "id": proposal.id,
        "deck_id": deck_id,
        "type": proposal.type,
        "front": proposal.front,
        "back": proposal.back,
        "example": proposal.example,
        "notes": proposal.notes,
        "source_session_id": session_id,
        "source_turn": proposal.turn,
    }
    try:
        _, cards = create_note(learner_id=learner_id, fields=fields, now=now)
    except Problem as problem:
        if problem.status >= 500:
            raise
        return Accepted(proposal.id, REJECTED, problem=problem)
    return Accepted(proposal.id, CREATED, cards)
