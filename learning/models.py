"""The items of learning, all in the learner's partition `LEARNER#<sub>`.

`docs/access-patterns.md` lists every pattern with its key and cost.
"""

import functools
import operator
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

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
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from accounts.models import learner_key
from config.table import Item, Page, Raw, Update, key_instant
from learning.fsrs import DEFAULT_WEIGHTS
from learning.scheduling import (
    Baseline,
    Entry,
    Memory,
    Rating,
    Reschedule,
    Reset,
    Review,
    Settings,
    State,
    Void,
)

TOMBSTONE_S = 180 * 24 * 3600
FRONT_KEY_LENGTH = 80


class Tombstone(Item, discriminator="tombstone"):
    """What is left of a deleted thing for half a year, so that its id is not made again."""

    @classmethod
    def of(cls, item: Item, now: datetime) -> "Tombstone":
        return cls(item.pk, item.sk, expires_at=int(now.timestamp()) + TOMBSTONE_S)


class Deck(Item, discriminator="deck"):
    """A set of cards: `DECK#<id>`. Limits and retention of None leave the learner's own.

    `closing` is set while the deck is being deleted: no card may enter any more.
    """

    PREFIX = "DECK#"

    id = UnicodeAttribute()
    name = UnicodeAttribute()
    description = UnicodeAttribute(default="")
    native_language = UnicodeAttribute(null=True)
    target_language = UnicodeAttribute(null=True)
    new_cards_per_day = NumberAttribute(null=True)
    reviews_per_day = NumberAttribute(null=True)
    desired_retention = NumberAttribute(null=True)
    made_from = UnicodeAttribute()
    closing = BooleanAttribute(null=True)
    created_at = UTCDateTimeAttribute()
    updated_at = UTCDateTimeAttribute()
    version = VersionAttribute()

    @classmethod
    def key(cls, learner_id: str, deck_id: str) -> tuple[str, str]:
        return learner_key(learner_id), f"{cls.PREFIX}{deck_id}"

    @classmethod
    def of(cls, learner_id: str, deck_id: str) -> "Deck | None":
        """One consistent read."""
        return cls.find(*cls.key(learner_id, deck_id))

    @classmethod
    def all_of(cls, learner_id: str, *, limit: int, start: Raw | None) -> "Page[Item]":
        """The learner's decks and the tombstones of deleted ones, by id."""
        return Item.page(
            learner_key(learner_id), cls.sk.startswith(cls.PREFIX), limit=limit, start=start
        )


def search_key(front: str) -> str:
    """How a front is sorted and searched: without case, accents apart, its first 80 characters."""
    return unicodedata.normalize("NFKC", front).casefold()[:FRONT_KEY_LENGTH]


class Card(Item, discriminator="card"):
    """One study item: `CARD#<id>`; the only card of a basic note is its note as well.

    lsi1 (queue): `<L|R|N|S>#<instant>`: (re)learning and review cards by due, new ones by
    creation, suspended ones apart. lsi2: the same behind `<deck id>#`. lsi3: `F#<front>`.
    """

    PREFIX = "CARD#"

    id = UnicodeAttribute()
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
    made_from = UnicodeAttribute()
    suspended = BooleanAttribute(default=False)
    leech = BooleanAttribute(default=False)
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
    created_at = UTCDateTimeAttribute()
    updated_at = UTCDateTimeAttribute()
    version = VersionAttribute()

    @classmethod
    def key(cls, learner_id: str, card_id: str) -> tuple[str, str]:
        return learner_key(learner_id), f"{cls.PREFIX}{card_id}"

    @classmethod
    def of(cls, learner_id: str, card_id: str) -> "Card | None":
        """One consistent read."""
        return cls.find(*cls.key(learner_id, card_id))

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

    def remember(self, memory: Memory) -> None:
        """Takes over a scheduling state and the place in the queue that follows from it."""
        self.state = memory.state.value
        self.step = memory.step
        self.stability, self.difficulty = memory.stability, memory.difficulty
        self.due_at = memory.due_at
        self.last_review_at = memory.last_review_at
        self.introduced_at = memory.introduced_at
        self.reps, self.lapses = memory.reps, memory.lapses
        self.place()

    def place(self) -> None:
        """Sets the index keys from deck, front, state and due instant."""
        self.lsi1 = f"{self._queue()}#{key_instant(self.due_at)}"
        self.lsi2 = f"{self.deck_id}#{self.lsi1}"
        self.lsi3 = f"F#{search_key(self.front)}"

    def _queue(self) -> str:
        if self.suspended:
            return "S"
        return {State.NEW: "N", State.REVIEW: "R"}.get(State(self.state), "L")

    @classmethod
    def queue(
        cls,
        learner_id: str,
        letter: str,
        *,
        before: datetime | None,
        deck_id: str | None,
        limit: int,
    ) -> "list[Card]":
        """The first cards of one queue (L, R or N), of one deck or all, due before an instant."""
        prefix = f"{deck_id}#{letter}#" if deck_id else f"{letter}#"
        attribute = cls.lsi2 if deck_id else cls.lsi1
        condition = (
            attribute.between(prefix, prefix + key_instant(before))
            if before
            else attribute.startswith(prefix)
        )
        index = "lsi2" if deck_id else "lsi1"
        return cls.page(learner_key(learner_id), condition, index=index, limit=limit).items

    @classmethod
    def in_deck(cls, learner_id: str, deck_id: str, *, limit: int) -> "list[Card]":
        """Some cards of a deck, suspended ones too: one query."""
        condition = cls.lsi2.startswith(f"{deck_id}#")
        return cls.page(learner_key(learner_id), condition, index="lsi2", limit=limit).items

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
    ) -> "Page[Item]":
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
        return Item.page(
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


class LogEntry(Item, discriminator="entry"):
    """One line of the study log, inputs only: `REVIEW#<id>`.

    lsi4: `<card id>#<instant>#<id>`, the order in which a card's entries are folded.
    lsi5: `REVIEW#<instant>#<id>`, the learner's whole log by time.
    `studied_on` is the learner's own day, frozen; `settings_version` the settings then in force,
    `desired_retention` the deck's where it had its own.
    """

    PREFIX = "REVIEW#"

    id = UnicodeAttribute()
    card_id = UnicodeAttribute()
    deck_id = UnicodeAttribute()
    entry = UnicodeAttribute()
    at = UTCDateTimeAttribute()
    studied_on = UnicodeAttribute()
    rating = NumberAttribute(null=True)
    duration_ms = NumberAttribute(null=True)
    settings_version = NumberAttribute(null=True)
    desired_retention = NumberAttribute(null=True)
    due_at = UTCDateTimeAttribute(null=True)
    memory = JSONAttribute(null=True)
    target_id = UnicodeAttribute(null=True)

    @classmethod
    def key(cls, learner_id: str, entry_id: str) -> tuple[str, str]:
        return learner_key(learner_id), f"{cls.PREFIX}{entry_id}"

    @classmethod
    def from_entry(
        cls,
        learner_id: str,
        card_id: str,
        deck_id: str,
        entry: Entry,
        *,
        studied_on: date,
        **more: Any,
    ) -> "LogEntry":
        """The item of an entry; `more` are attributes the rules do not use (`duration_ms`)."""
        pk, sk = cls.key(learner_id, entry.id)
        at = key_instant(entry.at)
        item = cls(
            pk,
            sk,
            id=entry.id,
            card_id=card_id,
            deck_id=deck_id,
            entry=entry.kind,
            at=entry.at,
            studied_on=studied_on.isoformat(),
            lsi4=f"{card_id}#{at}#{entry.id}",
            lsi5=f"{cls.PREFIX}{at}#{entry.id}",
            **more,
        )
        match entry:
            case Review():
                item.rating = int(entry.rating)
                item.settings_version = entry.settings_version
                item.desired_retention = entry.desired_retention
            case Reschedule():
                item.due_at = entry.due_at
            case Baseline():
                item.memory = _memory_to_json(entry.memory)
            case Void():
                item.target_id = entry.target_id
        return item

    def order(self) -> str:
        """The place in the log, as text that sorts."""
        return f"{key_instant(self.at)}#{self.id}"

    @property
    def day(self) -> date:
        return date.fromisoformat(self.studied_on)

    def to_entry(self) -> Entry:
        """The entry as the rules know it."""
        match self.entry:
            case "review":
                return Review(
                    id=self.id,
                    at=self.at,
                    rating=Rating(int(self.rating or 0)),
                    settings_version=int(self.settings_version or 0),
                    desired_retention=self.desired_retention,
                    studied_on=self.day,
                )
            case "reset":
                return Reset(id=self.id, at=self.at)
            case "reschedule":
                return Reschedule(id=self.id, at=self.at, due_at=self.due_at or self.at)
            case "baseline":
                return Baseline(id=self.id, at=self.at, memory=_memory_from_json(self.memory))
            case _:
                return Void(id=self.id, at=self.at, target_id=self.target_id or "")

    @classmethod
    def of_card(cls, learner_id: str, card_id: str) -> "list[LogEntry]":
        """A card's whole log in order; one query for each megabyte (some 3,000 entries)."""
        return cls.every(learner_key(learner_id), cls.lsi4.startswith(f"{card_id}#"), index="lsi4")

    @classmethod
    def newest(
        cls, learner_id: str, *, card_id: str | None, limit: int, start: Raw | None
    ) -> "Page[LogEntry]":
        """One page of the log of a card or of all, newest first."""
        condition = (
            cls.lsi4.startswith(f"{card_id}#") if card_id else cls.lsi5.startswith(cls.PREFIX)
        )
        return cls.page(
            learner_key(learner_id),
            condition,
            index="lsi4" if card_id else "lsi5",
            limit=limit,
            start=start,
            descending=True,
        )


def _memory_to_json(memory: Memory) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name in Memory.__slots__
        if (value := getattr(memory, name)) is not None
    }


def _memory_from_json(stored: Any) -> Memory:
    instants = {name for name in stored if name.endswith("_at")}
    values: dict[str, Any] = {
        name: datetime.fromisoformat(value) if name in instants else value
        for name, value in stored.items()
    }
    return Memory(**values | {"state": State(values["state"])})


class Day(Item, discriminator="day"):
    """What was studied on one of the learner's own days: `DAY#<date>`.

    Each counter is a number at the top level of the item, so that a blind ADD makes or changes
    it; `<counter>:<deck id>` is the same of one deck. `introduced`: first reviews of a card;
    `reviewed`: reviews of cards in review state, of which `lapsed` were forgotten.
    """

    PREFIX = "DAY#"

    @classmethod
    def key(cls, learner_id: str, on: date) -> tuple[str, str]:
        return learner_key(learner_id), f"{cls.PREFIX}{on.isoformat()}"

    def counted(self, counter: str, deck_id: str | None = None) -> int:
        """A counter's value, of all decks or one."""
        name = f"{counter}:{deck_id}" if deck_id else counter
        return int(self.raw.get(name, {}).get("N", 0))

    @property
    def on(self) -> date:
        return date.fromisoformat(self.sk.removeprefix(self.PREFIX))

    @classmethod
    def addition(cls, learner_id: str, on: date, counts: Mapping[str, int]) -> Update:
        """The write that adds to the day's counters."""
        actions: list[Action] = [cls.kind.set(cls)]
        actions += [Path([name]).add(count) for name, count in sorted(counts.items())]
        return Update(cls(*cls.key(learner_id, on)), actions)

    @classmethod
    def all_of(cls, learner_id: str) -> "list[Day]":
        """Every day the learner studied, newest first: one query for some 5,000 of them."""
        return cls.every(learner_key(learner_id), cls.sk.startswith(cls.PREFIX), descending=True)


class Scheduler(Item, discriminator="scheduler"):
    """The learner's settings for study: `SCHEDULER` is the newest version, `SCHEDULER#<n>` each.

    Log entries name the version they were made under, so versions never change nor go.
    Without an item the defaults are in force, as version 0. `decks` has the limits and the
    retention of those decks that have their own: {deck id: {name: value}}.
    """

    SK = "SCHEDULER"

    weights = JSONAttribute(null=True)
    desired_retention = NumberAttribute(default=0.9)
    learning_steps_s = JSONAttribute(default=lambda: [60, 600])
    relearning_steps_s = JSONAttribute(default=lambda: [600])
    maximum_interval_days = NumberAttribute(default=36_500)
    fuzz = BooleanAttribute(default=True)
    easy_days = JSONAttribute(default=lambda: [1.0] * 7)
    day_starts_at_hour = NumberAttribute(default=4)
    new_cards_per_day = NumberAttribute(default=20)
    reviews_per_day = NumberAttribute(default=200)
    decks = JSONAttribute(default=dict)
    number = NumberAttribute(default=0)
    version = VersionAttribute()

    @classmethod
    def key(cls, learner_id: str, number: int | None = None) -> tuple[str, str]:
        suffix = "" if number is None else f"#{number:06}"
        return learner_key(learner_id), f"{cls.SK}{suffix}"

    def settings(self) -> Settings:
        """The settings as the rules know them."""
        return Settings(
            weights=tuple(self.weights) if self.weights else DEFAULT_WEIGHTS,
            desired_retention=self.desired_retention,
            learning_steps_s=tuple(self.learning_steps_s),
            relearning_steps_s=tuple(self.relearning_steps_s),
            maximum_interval_days=int(self.maximum_interval_days),
            fuzz=self.fuzz,
            easy_days=tuple(self.easy_days),
        )

    def as_version(self, learner_id: str) -> "Scheduler":
        """The item that keeps these settings for the log entries made under them."""
        values = {
            name: getattr(self, name)
            for name in self.get_attributes()
            if name not in ("pk", "sk", "kind", "version", "decks")
        }
        return Scheduler(*self.key(learner_id, int(self.number)), **values)
