"""Decks, the notes in them and the cards they make, in the learner's partition `LEARNER#<sub>`.

A note holds what was written, a card its schedule: an edit and a review never meet.
"""

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Literal

from pynamodb.attributes import (
    BooleanAttribute,
    JSONAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
    VersionAttribute,
)
from pynamodb.expressions.condition import Condition

from accounts.models import learner_key
from config.store.connection import connection, read_raws
from config.store.items import ConditionFailed, Item, Page, Raw, batch_get, key_instant
from learning.cloze import Face, cloze_faces, reversed_faces
from learning.days import MATURE_DAYS
from learning.models.base import InstantAttribute, Kept, LearnerItem, instant, micros
from learning.scheduling import Memory, State, interval_days
from learning.search_syntax import base_letters, decomposed

FRONT_KEY_LENGTH = 80
TORN_READS = 3


class Deck(LearnerItem, discriminator="deck"):
    """A set of cards: `DECK#<id>`. Limits and retention of None leave the learner's own.

    `closing` is set while the deck is being deleted: no card may enter any more. It is no part of
    the version, as nobody sees it.
    """

    PREFIX = "DECK#"
    TECHNICAL = frozenset({"closing", "copied_from"})

    name = UnicodeAttribute()
    description = UnicodeAttribute(default="")
    native_language = UnicodeAttribute(null=True)
    target_language = UnicodeAttribute(null=True)
    new_cards_per_day = NumberAttribute(null=True)
    reviews_per_day = NumberAttribute(null=True)
    desired_retention = NumberAttribute(null=True)
    closing = BooleanAttribute(null=True)
    copied_from = UnicodeAttribute(null=True)
    version = VersionAttribute()

    def block_new_cards(self) -> bool:
        """Lets no more cards enter. False if the deck has changed since it was read."""
        self.closing = True
        try:
            self.update_silently(Deck.closing.set(True), condition=Deck.version == self.version)
        except ConditionFailed:
            return False
        return True

    def allow_new_cards(self) -> None:
        """Lets cards enter again, if the deck was closed and is still there."""
        if self.closing:
            with contextlib.suppress(ConditionFailed):
                self.update_silently(Deck.closing.remove(), condition=Deck.kind == Deck)


class DeckCopy(Item, discriminator="copy"):
    """How far the copy of a deck has come: `COPY#<id of the new deck>`, for a day."""

    PREFIX = "COPY#"
    KEPT_S = 24 * 3600

    up_to = JSONAttribute(null=True)
    done = BooleanAttribute(default=False)

    @classmethod
    def of(cls, learner_id: str, deck_id: str, now: datetime) -> "DeckCopy":
        """One consistent read; a copy that nothing is known of begins."""
        key = learner_key(learner_id), f"{cls.PREFIX}{deck_id}"
        return cls.get_or_none(*key) or cls(*key, expires_at=int(now.timestamp()) + cls.KEPT_S)


class Note(LearnerItem, discriminator="note"):
    """What a learner wrote to be asked, in one way or in several: `NOTE#<id>`.

    A basic note makes the card `CARD#<id>`; a reversed or cloze one the cards
    `CARD#<id>.<ordinal>`, and is listed by lsi5, `NOTE#<id>`. `origin`: what an import knows of it
    besides (see `learning.services.imports`).
    """

    PREFIX = "NOTE#"
    TECHNICAL = frozenset({"type", "origin"})

    type = UnicodeAttribute(default="basic")
    deck_id = UnicodeAttribute()
    front = UnicodeAttribute()
    back = UnicodeAttribute(default="")
    phonetic = UnicodeAttribute(null=True)
    example = UnicodeAttribute(null=True)
    notes = UnicodeAttribute(null=True)
    tags: ListAttribute[UnicodeAttribute] = ListAttribute(of=UnicodeAttribute, default=list)
    audio_url = UnicodeAttribute(null=True)
    image_url = UnicodeAttribute(null=True)
    audio_id = UnicodeAttribute(null=True)
    image_id = UnicodeAttribute(null=True)
    source_session_id = UnicodeAttribute(null=True)
    source_turn = NumberAttribute(null=True)
    origin = JSONAttribute(null=True)
    version = VersionAttribute()

    def serialize(self, null_check: bool = True) -> Raw:
        self.set_index_keys()
        return super().serialize(null_check)

    def set_index_keys(self) -> None:
        self.lsi5 = None if self.type == "basic" else f"{self.PREFIX}{self.id}"

    def faces(self) -> list[Face]:
        """What its cards ask and answer. Raises ClozeError."""
        match self.type:
            case "basic":
                return [Face(0, self.front, self.back)]
            case "reversed":
                return reversed_faces(self.front, self.back)
            case _:
                return cloze_faces(self.front, self.back)

    def card_id(self, ordinal: int) -> str:
        return self.id if self.type == "basic" else f"{self.id}.{ordinal}"

    @classmethod
    def of_many(cls, learner_id: str, note_ids: Iterable[str]) -> "dict[str, Note]":
        """The notes that exist among ids."""
        keys = {cls.key(learner_id, note_id) for note_id in note_ids}
        notes = (cls.from_raw(raw) for raw in read_raws(sorted(keys)) if raw["kind"]["S"] == "note")
        return {note.id: note for note in notes}

    @classmethod
    def several_of(cls, learner_id: str, *, limit: int, start: Raw | None) -> "Page[Note]":
        """One page of the notes with several cards, by id: one query, and one read of them."""
        answer = connection().query(
            learner_key(learner_id),
            range_key_condition=cls.lsi5.startswith(cls.PREFIX),
            index_name="lsi5",
            limit=limit + 1,
            exclusive_start_key=start,
            consistent_read=True,
        )
        raws, last = answer["Items"][:limit], answer.get("LastEvaluatedKey")
        if len(answer["Items"]) > limit:
            last = {name: raws[-1][name] for name in ("pk", "sk", "lsi5")}
        ids = [raw["sk"]["S"].removeprefix(cls.PREFIX) for raw in raws]
        notes = cls.of_many(learner_id, ids)
        return Page([notes[each] for each in ids if each in notes], last)


OF_NOTE = Note.get_attributes()


def front_start(front: str) -> str:
    """How the sort key begins of fronts that begin so: without case and accents."""
    return f"F#{base_letters(front)[:FRONT_KEY_LENGTH]}"


def front_key(front: str) -> str:
    """Where a front is sorted: by its base letters, of equals without accents first."""
    start = front_start(front)
    accents = decomposed(front)[:FRONT_KEY_LENGTH]
    return start if start == f"F#{accents}" else f"{start}\0{accents}"


# What of a card lies in `m`, by its names there. Queues, lists and searches get by with it and two
# indexes hold it, so it has nothing else.
STANDING = {
    "state": "s",
    "step": "t",
    "stability": "S",
    "difficulty": "D",
    "due_at": "d",
    "last_review_at": "l",
    "reps": "r",
    "lapses": "f",
    "suspended_by": "x",
    "leech": "L",
    "buried_until": "b",
    "buried_by": "y",
    "updated_at": "u",
}
INSTANTS = frozenset(name for name in STANDING if name.endswith(("_at", "_until")))
DEFAULTS = {"state": "new", "reps": 0, "lapses": 0, "leech": False}
NAMES = {short: name for name, short in STANDING.items()}
MEMORY = tuple(field.name for field in fields(Memory))


class Card(Kept, discriminator="card"):
    """One study item: `CARD#<id>` of a basic note, `CARD#<note>.<ordinal>` of another one.

    What it says is its note's, under the note's names (`card.front`), where the note was read with
    it. `m` has all of its schedule (see STANDING). lsi1 (queue): `<L|R|N#0|N#1|S>#<instant>`:
    (re)learning and review cards by due, new ones by creation, then new ones put off, suspended
    ones apart; a buried card stands where its burial ends. lsi2: the same behind `<deck id>#`.
    lsi3: `front_key`. Indexes hold but `m` and the deck: a card from there cannot be written.

    `entries` is how many its log has: who reads fewer must read again. `suspended_by` is `learner`
    or `leech`, `buried_by` `learner` or `sibling`. `forgiven_leech_level` is the leech level the
    learner has forgiven. `early_void`: the log has a void whose target has not come in.
    `uncounted_days`: what days are still to gain by this card, {date: {counter: count}}.
    `counted_in_totals`: the totals it is counted in, parted by blanks. `origin`: what an import
    knows of it besides (see `learning.services.imports`). `version` is its note's: it counts edits.
    """

    PREFIX = "CARD#"

    deck_id = UnicodeAttribute(attr_name="d")
    m = UnicodeAttribute(null=True)
    created_at = InstantAttribute(attr_name="c")
    introduced_at = InstantAttribute(attr_name="i", null=True)
    entries = NumberAttribute(attr_name="e", default=0)
    origin = JSONAttribute(attr_name="o", null=True)
    forgiven_leech_level = NumberAttribute(attr_name="p", null=True)
    early_void = BooleanAttribute(attr_name="w", null=True)
    uncounted_days = JSONAttribute(attr_name="owed", null=True)
    counted_in_totals = UnicodeAttribute(attr_name="t", default="")
    last_entry = UnicodeAttribute(attr_name="l", default="")
    revision = VersionAttribute(attr_name="r")

    state: str
    step: float | None
    stability: float | None
    difficulty: float | None
    due_at: datetime
    last_review_at: datetime | None
    reps: int
    lapses: int
    suspended_by: str | None
    leech: bool
    buried_until: datetime | None
    buried_by: str | None
    updated_at: datetime
    note: Note | None = None
    _unknown: dict[str, Any] = {}
    _memory: tuple[Any, Memory] | None = None

    def __init__(self, *args: Any, **values: Any) -> None:
        """`values` may be a basic note's besides the card's own; ids follow from the key."""
        if values == {"_user_instantiated": False}:  # being read: `open` does the rest
            super().__init__(**values)
            return
        for name in STANDING:
            setattr(self, name, values.pop(name, DEFAULTS.get(name)))
        for name in ("id", "note_id", "ordinal"):
            values.pop(name, None)
        own, of_note = self.get_attributes(), Note.get_attributes()
        content = {n: values.pop(n) for n in [*values] if n in of_note and n not in own}
        super().__init__(*args, **values)
        if content:
            note = Note(
                *Note.key(self.learner_id, self.note_id),
                id=self.note_id,
                deck_id=self.deck_id,
                created_at=self.created_at,
                updated_at=self.updated_at,
                **content,
            )
            self.follow(note)

    def __getattr__(self, name: str) -> Any:
        if name in OF_NOTE and self.note is not None:  # what its note says
            return self.note.attribute_values.get(name)
        raise AttributeError(name)

    def serialize(self, null_check: bool = True) -> Raw:
        self.m = json.dumps(self.standing, separators=(",", ":"))
        return super().serialize(null_check)

    def open(self) -> None:
        if self.lsi2 and not self.deck_id:  # lsi2 has it in its key
            self.deck_id = self.lsi2.partition("#")[0]
        standing, self._unknown = dict.fromkeys(STANDING) | DEFAULTS, {}
        for short, value in json.loads(self.m or "{}").items():
            if name := NAMES.get(short):
                standing[name] = instant(value) if name in INSTANTS else value
            else:
                self._unknown[short] = value
        vars(self).update(standing)

    @property
    def standing(self) -> dict[str, Any]:
        """Its schedule as `m` has it; what it does not know of `m` stays."""
        held = dict(self._unknown)
        for name, short in STANDING.items():
            value = getattr(self, name)
            if value is not None and value != DEFAULTS.get(name):
                held[short] = micros(value) if name in INSTANTS else value
        return held

    def told_standing(self) -> dict[str, Any]:
        """What devices are told of its schedule with a line of its log; when, they know."""
        return {name: value for name, value in self.standing.items() if name != "u"}

    @classmethod
    def as_told(cls, learner_id: str, card_id: str, standing: dict[str, Any]) -> "Card":
        """A card of which its schedule alone is known."""
        card = cls(*cls.key(learner_id, card_id), m=json.dumps(standing))
        card.open()
        return card

    @property
    def id(self) -> str:
        return self.sk.removeprefix(self.PREFIX)

    @property
    def note_id(self) -> str:
        return self.id.partition(".")[0]

    @property
    def ordinal(self) -> int:
        return int(self.id.partition(".")[2] or 0)

    @property
    def suspended(self) -> bool:
        return self.suspended_by is not None

    @property
    def front(self) -> str:
        return self._face.front

    @property
    def back(self) -> str:
        return self._face.back

    @property
    def _face(self) -> Face | Note:
        assert self.note is not None, "the card was read without its note"  # noqa: S101
        if self.note.type == "basic":
            return self.note
        faces = {face.ordinal: face for face in self.note.faces()}
        return faces.get(self.ordinal, Face(self.ordinal, self.note.front, self.note.back))

    @property
    def version(self) -> int:
        return int(self.note.version) if self.note else 0

    @property
    def changed_at(self) -> datetime:
        """When it or what it says was changed last."""
        return max(self.updated_at, self.note.updated_at) if self.note else self.updated_at

    @property
    def written_at(self) -> datetime | None:
        """When its note was made."""
        return self.note.created_at if self.note else None

    @property
    def memory(self) -> Memory:
        """The scheduling state, made anew only when what it is made of has changed."""
        made_of = {name: getattr(self, name) for name in MEMORY}
        if self._memory is None or self._memory[0] != made_of:
            self._memory = (
                made_of,
                Memory(
                    **made_of
                    | {
                        "state": State(self.state),
                        "step": None if self.step is None else int(self.step),
                        "reps": int(self.reps),
                        "lapses": int(self.lapses),
                    }
                ),
            )
        return self._memory[1]

    @property
    def interval_days(self) -> int:
        """As its memory's, which need not be made for it."""
        return interval_days(self.due_at, self.last_review_at)

    def set_memory(self, memory: Memory) -> None:
        """Takes over a scheduling state and the place in the queue that follows from it."""
        self.state = memory.state.value
        self.step = memory.step
        self.stability, self.difficulty = memory.stability, memory.difficulty
        self.due_at = memory.due_at
        self.last_review_at = memory.last_review_at
        self.introduced_at = memory.introduced_at
        self.reps, self.lapses = memory.reps, memory.lapses
        self.set_index_keys()

    def follow(self, note: Note) -> bool:
        """Takes over its note's content, deck and place by front. Returns whether anything changed.

        In the note's own transactions alone: whoever reads both may have read either before the
        other was changed.
        """
        before = self.deck_id, self.lsi2, self.lsi3
        self.note, self.deck_id = note, note.deck_id
        self.lsi3 = front_key(self.front)
        self.set_index_keys()
        return before != (self.deck_id, self.lsi2, self.lsi3)

    def set_index_keys(self) -> None:
        """Sets the index keys from deck, state, due instant and burial."""
        queue, at = self._queue(), max(self.due_at, self.buried_until or self.due_at)
        if queue == "N":
            waits = at > self.updated_at
            queue, at = f"N#{waits:d}", at if waits else self.due_at
        self.lsi1 = f"{queue}#{key_instant(at)}"
        self.lsi2 = f"{self.deck_id}#{self.lsi1}"

    def _queue(self) -> str:
        if self.suspended:
            return "S"
        return {State.NEW: "N", State.REVIEW: "R"}.get(State(self.state), "L")

    def suspend(self, by: Literal["learner", "leech"]) -> None:
        """Keeps the card out of the queue until it is unsuspended."""
        self.suspended_by = by
        self.set_index_keys()

    def unsuspend(self, *, forgiven_leech_level: float | None) -> None:
        """Lets the card come again; as a leech only when it goes beyond the pardoned level."""
        self.suspended_by, self.forgiven_leech_level = None, forgiven_leech_level
        self.set_index_keys()

    def mark_leech(self, level: int, *, suspend: bool) -> None:
        """Marks a leech by its level (0: none), and suspends it where that is wanted.

        Follows from the lapses alone, so that undoing a lapse undoes what it led to.
        """
        self.leech = level > 0
        if suspend and level > (self.forgiven_leech_level or 0) and not self.suspended:
            self.suspend("leech")
        elif self.suspended_by == "leech" and level <= (self.forgiven_leech_level or 0):
            self.unsuspend(forgiven_leech_level=self.forgiven_leech_level)

    def bury(self, until: datetime, by: Literal["learner", "sibling"]) -> None:
        """Keeps the card out of the queue for a while."""
        self.buried_until, self.buried_by = until, by
        self.set_index_keys()

    def is_buried(self, now: datetime) -> bool:
        """Whether the card is put off still."""
        return self.buried_until is not None and self.buried_until > now

    def unbury(self) -> None:
        self.buried_until = self.buried_by = None
        self.set_index_keys()

    @property
    def has_siblings(self) -> bool:
        """Whether its note may have other cards: `<note id>.<ordinal>`."""
        return "." in self.id

    @property
    def totals(self) -> str:
        """The learner's totals that this card belongs to, parted by blanks."""
        state = self.state
        if state == State.REVIEW.value:
            state = "mature" if self.interval_days >= MATURE_DAYS else "young"
        marks = [name for name in ("suspended", "leech") if getattr(self, name)]
        return " ".join(["cards", state, *marks])

    # Reads

    @classmethod
    def with_text(cls, learner_id: str, card_id: str) -> "Card | None":
        """A card with its note: one consistent read of both.

        A read of two items may see a card whose note is just being written, or has just gone: then
        it is done again, and a card without a note is none.
        """
        keys = cls.keys(learner_id, card_id)
        for _ in range(TORN_READS):
            card = cls.among(learner_id, card_id, batch_get(*keys))
            if card is None or card.note is not None:
                return card
        return None

    @classmethod
    def keys(cls, learner_id: str, card_id: str) -> list[tuple[str, str]]:
        """What to fetch before `among`."""
        note_id = card_id.partition(".")[0]
        return [cls.key(learner_id, card_id), Note.key(learner_id, note_id)]

    @classmethod
    def among(cls, learner_id: str, card_id: str, stored: Any) -> "Card | None":
        """A card with its note, of what was fetched."""
        card, note = (stored.get(key) for key in cls.keys(learner_id, card_id))
        if not isinstance(card, Card):
            return None
        card.note = note if isinstance(note, Note) else None
        return card

    @classmethod
    def of_note(cls, learner_id: str, note_id: str) -> "list[Card]":
        """The cards of a reversed or cloze note in order of their ids: one query."""
        condition = cls.sk.startswith(f"{cls.PREFIX}{note_id}.")
        return cls.query_all(learner_key(learner_id), condition)

    @classmethod
    def queue(
        cls,
        learner_id: str,
        letter: str,
        *,
        before: datetime,
        deck_id: str | None,
        limit: int,
    ) -> "list[Card]":
        """The first cards of one queue (L, R or N), of one deck or all, due before an instant.

        Of new cards it is all but those put off until then or later.
        """
        prefix = f"{deck_id}#{letter}#" if deck_id else f"{letter}#"
        attribute = cls.lsi2 if deck_id else cls.lsi1
        # BETWEEN takes its upper end in; the instant itself is the next day's.
        last = key_instant(before - datetime.resolution)
        condition = attribute.between(
            prefix, f"{prefix}1#{last}" if letter == "N" else prefix + last
        )
        index = "lsi2" if deck_id else "lsi1"
        return cls.query_page(learner_key(learner_id), condition, index=index, limit=limit).items

    @classmethod
    def in_deck(
        cls, learner_id: str, deck_id: str, *, limit: int, start: Raw | None = None
    ) -> "Page[Card]":
        """Some cards of a deck, suspended ones too, by queue: one query."""
        condition = cls.lsi2.startswith(f"{deck_id}#")
        return cls.query_page(
            learner_key(learner_id), condition, index="lsi2", limit=limit, start=start
        )

    @classmethod
    def candidates(
        cls,
        learner_id: str,
        condition: Condition,
        *,
        index: str | None,
        limit: int,
        start: Raw | None,
    ) -> "tuple[list[tuple[Card, Raw]], Raw | None]":
        """The next cards of an index, up to `limit`, each with its place, and where to go on.

        One query, and of fronts one read for every hundred.
        """
        answer = connection().query(
            learner_key(learner_id),
            range_key_condition=condition,
            index_name=index,
            limit=limit,
            exclusive_start_key=start,
            consistent_read=True,
        )
        raws = answer["Items"]
        places = [{name: raw[name] for name in ("pk", "sk", index) if name} for raw in raws]
        if index == "lsi3":
            stored = read_raws((raw["pk"]["S"], raw["sk"]["S"]) for raw in raws)
            known = {raw["sk"]["S"]: raw for raw in stored}
            raws = [known.get(raw["sk"]["S"], {}) for raw in raws]
        pairs = [
            (cls.from_raw(raw), place)
            for raw, place in zip(raws, places, strict=True)
            if raw.get("kind", {}).get("S") == "card"  # tombstones lie among the cards by id
        ]
        return pairs, answer.get("LastEvaluatedKey")

    @classmethod
    def due_before(cls, learner_id: str, *, before: datetime, limit: int) -> "Page[Card]":
        """The first review cards that are due before an instant: one query."""
        condition = cls.lsi1.between("R#", f"R#{key_instant(before - datetime.resolution)}")
        return cls.query_page(learner_key(learner_id), condition, index="lsi1", limit=limit)

    @classmethod
    def join(cls, learner_id: str, cards: "Sequence[Card]") -> "list[Card]":
        """The cards with their notes: a read for every hundred; without those that are gone."""
        notes = Note.of_many(learner_id, {card.note_id for card in cards})
        for card in cards:
            card.note = notes.get(card.note_id)
        return [card for card in cards if card.note is not None]

    @classmethod
    def join_in_order(cls, learner_id: str, cards: "Sequence[Card]") -> "list[Card]":
        """As `join`, for cards in order of their ids: their notes lie in the same order."""
        if not cards:
            return []
        ends = (f"{Note.PREFIX}{cards[0].note_id}", f"{Note.PREFIX}{cards[-1].note_id}")
        condition = Note.sk.between(*ends)
        notes = {note.id: note for note in Note.query_all(learner_key(learner_id), condition)}
        for card in cards:
            card.note = notes.get(card.note_id)
        return [card for card in cards if card.note is not None]
