"""What was studied: the log of entries and the counters of days."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from pynamodb.attributes import (
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from accounts.models import learner_key
from config.store.items import Item, Page, Raw, Update, key_instant
from learning.scheduling import (
    Baseline,
    Entry,
    Memory,
    Rating,
    Reschedule,
    Reset,
    Review,
    State,
    Void,
)


class LogEntry(Item, discriminator="entry"):
    """One line of the study log, inputs only: `REVIEW#<id>`.

    lsi4: `<card id>#<instant>#<id>`, the order in which a card's entries are folded.
    lsi5: `REVIEW#<instant>#<id>`, the learner's whole log by time.
    `studied_on` is the learner's own day, frozen; `settings_version` the settings then in force,
    `desired_retention` the deck's where it had its own. `origin`: of an imported entry, the line
    it was made from.
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
    origin = JSONAttribute(null=True)

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

    def sort_key(self) -> str:
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
        return cls.query_all(
            learner_key(learner_id), cls.lsi4.startswith(f"{card_id}#"), index="lsi4"
        )

    @classmethod
    def oldest(cls, learner_id: str, *, limit: int, start: Raw | None) -> "Page[LogEntry]":
        """One page of the learner's whole log, in order of time."""
        condition = cls.lsi5.startswith(cls.PREFIX)
        return cls.query_page(
            learner_key(learner_id), condition, index="lsi5", limit=limit, start=start
        )

    @classmethod
    def by_card(cls, learner_id: str, *, limit: int, start: Raw | None) -> "Page[LogEntry]":
        """One page of the learner's whole log, card after card, each in order."""
        return cls.query_page(
            learner_key(learner_id), cls.lsi4 > "0", index="lsi4", limit=limit, start=start
        )

    @classmethod
    def newest(
        cls, learner_id: str, *, card_id: str | None, limit: int, start: Raw | None
    ) -> "Page[LogEntry]":
        """One page of the log of a card or of all, newest first."""
        condition = (
            cls.lsi4.startswith(f"{card_id}#") if card_id else cls.lsi5.startswith(cls.PREFIX)
        )
        return cls.query_page(
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
    it; `<counter>:<deck id>` is the same of one deck. `reviews`: all answers, also by rating;
    `introduced`: first reviews of a card; `reviewed`: reviews of cards in review state, of which
    `lapsed` were forgotten and `expected_permille` the sum of what was likely to be remembered.
    """

    PREFIX = "DAY#"

    @classmethod
    def key(cls, learner_id: str, on: date) -> tuple[str, str]:
        return learner_key(learner_id), f"{cls.PREFIX}{on.isoformat()}"

    def count_of(self, counter: str, deck_id: str | None = None) -> int:
        """A counter's value, of all decks or one."""
        name = f"{counter}:{deck_id}" if deck_id else counter
        return int(self.raw.get(name, {}).get("N", 0))

    @property
    def on(self) -> date:
        return date.fromisoformat(self.sk.removeprefix(self.PREFIX))

    @classmethod
    def add_write(
        cls, learner_id: str, on: date, counts: Mapping[str, int], condition: Condition | None
    ) -> Update:
        """The write that adds to the day's counters."""
        actions: list[Action] = [cls.kind.set(cls)]
        actions += [Path([name]).add(count) for name, count in sorted(counts.items())]
        return Update(cls(*cls.key(learner_id, on)), actions, condition)

    @classmethod
    def between(cls, learner_id: str, first: date, last: date) -> "list[Day]":
        """The days of a span on which the learner studied, oldest first: one query for a year."""
        ends = (f"{cls.PREFIX}{on.isoformat()}" for on in (first, last))
        return cls.query_all(learner_key(learner_id), cls.sk.between(*ends))

    @classmethod
    def all_of(cls, learner_id: str) -> "list[Day]":
        """Every day the learner studied, newest first: one query for some 5,000 of them."""
        return cls.query_all(
            learner_key(learner_id), cls.sk.startswith(cls.PREFIX), descending=True
        )
