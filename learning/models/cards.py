"""Decks and their cards, in the learner's partition `LEARNER#<sub>`."""

import contextlib
import functools
import operator
import unicodedata
from datetime import datetime
from typing import Any, Literal

from pynamodb.attributes import (
    BooleanAttribute,
    JSONAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)
from pynamodb.expressions.condition import Condition

from accounts.models import learner_key
from config.store.connection import connection
from config.store.items import ConditionFailed, Item, Page, Raw, key_instant
from learning.days import MATURE_DAYS
from learning.models.base import LearnerItem
from learning.scheduling import (
    Memory,
    State,
)

FRONT_KEY_LENGTH = 80


class Deck(LearnerItem, discriminator="deck"):
    """A set of cards: `DECK#<id>`. Limits and retention of None leave the learner's own.

    `closing` is set while the deck is being deleted: no card may enter any more. It is no part of
    the version, as nobody sees it.
    """

    PREFIX = "DECK#"

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
        """Lets no card enter any more; False where the deck is not what was read."""
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
    """What a learner wrote to be asked in several ways: `NOTE#<id>`, type reversed or cloze.

    Its cards are `CARD#<id>.<ordinal>`. A basic note is its only card and has no item here.
    `origin`: what an import knows of it besides (see `learning.services.imports`).
    """

    PREFIX = "NOTE#"

    type = UnicodeAttribute()
    deck_id = UnicodeAttribute()
    front = UnicodeAttribute()
    back = UnicodeAttribute(default="")
    phonetic = UnicodeAttribute(null=True)
    example = UnicodeAttribute(null=True)
    notes = UnicodeAttribute(null=True)
    tags: ListAttribute[UnicodeAttribute] = ListAttribute(of=UnicodeAttribute, default=list)
    audio_url = UnicodeAttribute(null=True)
    image_url = UnicodeAttribute(null=True)
    source_session_id = UnicodeAttribute(null=True)
    source_turn = NumberAttribute(null=True)
    origin = JSONAttribute(null=True)
    version = VersionAttribute()


def search_key(front: str) -> str:
    """How a front is sorted and searched: without case, accents apart, its first 80 characters."""
    return unicodedata.normalize("NFKC", front).casefold()[:FRONT_KEY_LENGTH]


class Card(LearnerItem, discriminator="card"):
    """One study item: `CARD#<id>`; the only card of a basic note is its note as well.

    lsi1 (queue): `<L|R|N#0|N#1|S>#<instant>`: (re)learning and review cards by due, new ones by
    creation, then new ones put off, suspended ones apart; a buried card stands where its burial
    ends. lsi2: the same behind `<deck id>#`. lsi3: `F#<front>`.

    `suspended_by` is `learner` or `leech`, `buried_by` `learner` or `sibling`.
    `forgiven_leech_level` is the leech level the learner has forgiven. `early_void`: the log has a
    void whose target has not come in. `uncounted_days`: what days are still to gain by this card,
    {date: {counter: count}}. `counted_in_totals`: the totals it is counted in, parted by blanks.
    `origin`: what an import knows of it besides (see `learning.services.imports`).
    """

    PREFIX = "CARD#"
    type = "basic"  # as a note: only the cards of basic notes are one

    note_id = UnicodeAttribute()
    ordinal = NumberAttribute(default=0)
    deck_id = UnicodeAttribute()
    front = UnicodeAttribute()
    back = UnicodeAttribute()
    phonetic = UnicodeAttribute(null=True)
    example = UnicodeAttribute(null=True)
    notes = UnicodeAttribute(null=True)
    tags: ListAttribute[UnicodeAttribute] = ListAttribute(of=UnicodeAttribute, default=list)
    audio_url = UnicodeAttribute(null=True)
    image_url = UnicodeAttribute(null=True)
    source_session_id = UnicodeAttribute(null=True)
    source_turn = NumberAttribute(null=True)
    origin = JSONAttribute(null=True)
    suspended = BooleanAttribute(default=False)
    suspended_by = UnicodeAttribute(null=True)
    leech = BooleanAttribute(default=False)
    forgiven_leech_level = NumberAttribute(attr_name="pardoned", null=True)
    buried_until = UTCDateTimeAttribute(null=True)
    buried_by = UnicodeAttribute(null=True)
    early_void = BooleanAttribute(null=True)
    uncounted_days = JSONAttribute(attr_name="owed", null=True)
    counted_in_totals = UnicodeAttribute(attr_name="tallied", default="")
    state = UnicodeAttribute(default=State.NEW.value)
    step = NumberAttribute(null=True)
    stability = NumberAttribute(null=True)
    difficulty = NumberAttribute(null=True)
    due_at = UTCDateTimeAttribute()
    last_review_at = UTCDateTimeAttribute(null=True)
    introduced_at = UTCDateTimeAttribute(null=True)
    reps = NumberAttribute(default=0)
    lapses = NumberAttribute(default=0)
    last_entry = UnicodeAttribute(default="")
    version = VersionAttribute()

    @property
    def memory(self) -> Memory:
        """The scheduling state."""
        return Memory(
            state=State(self.state),
            step=None if self.step is None else int(self.step),
            stability=self.stability,
            difficulty=self.difficulty,
            due_at=self.due_at,
            last_review_at=self.last_review_at,
            introduced_at=self.introduced_at,
            reps=int(self.reps),
            lapses=int(self.lapses),
        )

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

    def set_index_keys(self) -> None:
        """Sets the index keys from deck, front, state, due instant and burial."""
        queue, at = self._queue(), max(self.due_at, self.buried_until or self.due_at)
        if queue == "N":
            waits = at > self.updated_at
            queue, at = f"N#{waits:d}", at if waits else self.due_at
        self.lsi1 = f"{queue}#{key_instant(at)}"
        self.lsi2 = f"{self.deck_id}#{self.lsi1}"
        self.lsi3 = f"F#{search_key(self.front)}"

    def _queue(self) -> str:
        if self.suspended:
            return "S"
        return {State.NEW: "N", State.REVIEW: "R"}.get(State(self.state), "L")

    def suspend(self, by: Literal["learner", "leech"]) -> None:
        """Keeps the card out of the queue until it is unsuspended."""
        self.suspended, self.suspended_by = True, by
        self.set_index_keys()

    def unsuspend(self, *, forgiven_leech_level: float | None) -> None:
        """Lets the card come again; as a leech only when it goes beyond the pardoned level."""
        self.suspended, self.suspended_by, self.forgiven_leech_level = (
            False,
            None,
            forgiven_leech_level,
        )
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
            state = "mature" if self.memory.interval_days >= MATURE_DAYS else "young"
        marks = [name for name in ("suspended", "leech") if getattr(self, name)]
        return " ".join(["cards", state, *marks])

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
    def in_deck(cls, learner_id: str, deck_id: str, *, limit: int) -> "list[Card]":
        """Some cards of a deck, suspended ones too: one query."""
        condition = cls.lsi2.startswith(f"{deck_id}#")
        return cls.query_page(learner_key(learner_id), condition, index="lsi2", limit=limit).items

    @classmethod
    def search(
        cls,
        learner_id: str,
        condition: Condition,
        *,
        index: str | None,
        matching: Condition | None,
        limit: int,
        read: int,
        start: Raw | None,
    ) -> "Page[Card]":
        """Up to `limit` cards that match, of the next `read` of an index: one query."""
        answer = connection().query(
            learner_key(learner_id),
            range_key_condition=condition,
            filter_condition=cls._cards_only(matching),
            index_name=index,
            limit=read,
            exclusive_start_key=start,
            consistent_read=True,
        )
        raws, last = answer["Items"], answer.get("LastEvaluatedKey")
        if len(raws) > limit:
            raws = raws[:limit]
            last = {key: raws[-1][key] for key in ("pk", "sk", index) if key}
        return Page([cls.from_raw(raw) for raw in raws], last)

    @classmethod
    def _cards_only(cls, matching: Condition | None) -> Condition:
        """Tombstones lie among the cards by id."""
        cards: Condition = cls.kind == cls
        return cards if matching is None else cards & matching

    @classmethod
    def due_before(cls, learner_id: str, *, before: datetime, limit: int) -> "Page[Card]":
        """The first review cards that are due before an instant: one query."""
        condition = cls.lsi1.between("R#", f"R#{key_instant(before - datetime.resolution)}")
        return cls.query_page(learner_key(learner_id), condition, index="lsi1", limit=limit)

    @classmethod
    def page_of_deck(
        cls, learner_id: str, deck_id: str, *, limit: int, start: Raw | None
    ) -> "Page[Card]":
        """One page of a deck's cards, suspended ones too, by queue."""
        condition = cls.lsi2.startswith(f"{deck_id}#")
        return cls.query_page(
            learner_key(learner_id), condition, index="lsi2", limit=limit, start=start
        )

    @classmethod
    def all_of(
        cls,
        learner_id: str,
        *,
        deck_id: str | None = None,
        state: str | None = None,
        front: str | None = None,
        tag: str | None = None,
        suspended: bool | None = None,
        leech: bool | None = None,
        limit: int,
        start: Raw | None,
    ) -> "Page[Card]":
        """One page of the learner's cards: by front, by deck and queue, by queue, else by id.

        What the chosen index does not order is filtered inside the page.
        """
        letter = "S" if suspended else {"new": "N", "review": "R"}.get(state or "", "")
        letter = letter or ("L" if state else "")
        equal = {"state": state, "suspended": suspended, "leech": leech, "deck_id": deck_id}
        matching = cls._matching(tag, **equal)
        index, condition = None, cls.sk.startswith(cls.PREFIX)
        if front is not None:
            index, condition = "lsi3", cls.lsi3.startswith(f"F#{search_key(front)}")
        elif deck_id:
            prefix = f"{deck_id}#{letter}#" if letter else f"{deck_id}#"
            index, condition = "lsi2", cls.lsi2.startswith(prefix)
        elif letter:
            index, condition = "lsi1", cls.lsi1.startswith(f"{letter}#")
        return cls.query_page(
            learner_key(learner_id),
            condition,
            index=index,
            limit=limit,
            start=start,
            matching=matching,
        )

    @classmethod
    def _matching(cls, tag: str | None, **equal: Any) -> Condition | None:
        """The conjunction of what was asked for; None where nothing was."""
        attributes = cls.get_attributes()
        conditions: list[Condition] = [
            attributes[name] == value for name, value in equal.items() if value is not None
        ]
        if tag is not None:
            conditions.append(cls.tags.contains(tag))
        return functools.reduce(operator.and_, conditions) if conditions else None
