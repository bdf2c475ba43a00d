"""What was studied: the log of entries and the counters of days."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import date, datetime
from typing import Any

from pynamodb.attributes import JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from accounts.models import Head, Journal, learner_key
from config.store.items import ConditionFailed, Item, Page, Raw, batch_get, json_value, key_instant
from config.store.transactions import Put, Update
from learning.models.base import InstantAttribute, Kept
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

MEMORY = tuple(field.name for field in fields(Memory))


class TornRead(ConditionFailed):
    """A read saw a part of what a transaction has written: it is to be done again."""


class LogEntry(Item, discriminator="entry"):
    """One line of the study log, inputs only: `LOG#<card id>#<id>`, written once, in no index.

    The key makes an id unique to its card, for ever. A card's entries are folded in order of
    (instant, id). `studied_on` is the learner's own day, frozen; `settings_version` the settings
    then in force, `desired_retention` the deck's where it had its own. `origin`: of an imported
    entry, the line it was made from.
    """

    PREFIX = "LOG#"

    deck_id = UnicodeAttribute(attr_name="d")
    entry = UnicodeAttribute(attr_name="t")
    at = InstantAttribute(attr_name="a")
    studied_on = UnicodeAttribute(attr_name="y")
    rating = NumberAttribute(attr_name="r", null=True)
    duration_ms = NumberAttribute(attr_name="ms", null=True)
    settings_version = NumberAttribute(attr_name="s", null=True)
    desired_retention = NumberAttribute(attr_name="q", null=True)
    due_at = InstantAttribute(attr_name="u", null=True)
    memory = JSONAttribute(attr_name="b", null=True)
    target_id = UnicodeAttribute(attr_name="x", null=True)
    origin = JSONAttribute(attr_name="o", null=True)

    @classmethod
    def key(cls, learner_id: str, card_id: str, entry_id: str) -> tuple[str, str]:
        return learner_key(learner_id), f"{cls.PREFIX}{card_id}#{entry_id}"

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
        item = cls(
            *cls.key(learner_id, card_id, entry.id),
            deck_id=deck_id,
            entry=entry.kind,
            at=entry.at,
            studied_on=studied_on.isoformat(),
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

    @property
    def card_id(self) -> str:
        return self.sk.split("#")[1]

    @property
    def id(self) -> str:
        return self.sk.split("#", 2)[2]

    def sort_key(self) -> str:
        """The place in the log, as text that sorts."""
        return f"{key_instant(self.at)}#{self.id}"

    @property
    def day(self) -> date:
        return date.fromisoformat(self.studied_on)

    def told(self) -> dict[str, Any]:
        """What devices are told of it: all but its key, and the deck, which is its card's."""
        technical = ("pk", "sk", "kind", "v", "d")
        stored = self.serialize(null_check=False)  # one that was told has no deck
        return {k: json_value(value) for k, value in stored.items() if k not in technical}

    @classmethod
    def as_told(cls, learner_id: str, sk: str, told: Mapping[str, Any]) -> "LogEntry":
        """The entry of which `told` speaks."""
        kinds = {each.attr_name: each.attr_type for each in cls.get_attributes().values()}
        raw: Raw = {name: {kinds[name]: str(told[name])} for name in told.keys() & kinds.keys()}
        keys = {"pk": {"S": learner_key(learner_id)}, "sk": {"S": sk}, "kind": {"S": "entry"}}
        return cls.from_raw(raw | keys)

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
    def of_card(cls, learner_id: str, card_id: str, *, at_least: float = 0) -> "list[LogEntry]":
        """A card's whole log in order; one query for each megabyte (some 4,000 entries).

        Raises TornRead where it has fewer than the card says there are.
        """
        prefix = cls.sk.startswith(f"{cls.PREFIX}{card_id}#")
        rows = cls.query_all(learner_key(learner_id), prefix)
        if len(rows) < at_least:
            raise TornRead
        return sorted(rows, key=cls.sort_key)

    @classmethod
    def by_card(cls, learner_id: str, *, limit: int, start: Raw | None) -> "Page[LogEntry]":
        """One page of the learner's whole log, card after card, each by the ids of entries."""
        condition = cls.sk.startswith(cls.PREFIX)
        return cls.query_page(learner_key(learner_id), condition, limit=limit, start=start)


def _memory_to_json(memory: Memory) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name in MEMORY
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
    """What was studied on one of the learner's own days: `DAY#<date>`; the newest is in the head.

    Each counter is a number at the top level of the item, so that a blind ADD makes or changes
    it; `<counter>:<deck id>` is the same of one deck. `reviews`: all answers, also by rating;
    `introduced`: first reviews of a card; `reviewed`: reviews of cards in review state, of which
    `lapsed` were forgotten and `expected_permille` the sum of what was likely to be remembered.
    """

    PREFIX = "DAY#"
    TECHNICAL = frozenset({"pk", "sk", "kind", "v"})

    @classmethod
    def key(cls, learner_id: str, on: date) -> tuple[str, str]:
        return learner_key(learner_id), f"{cls.PREFIX}{on.isoformat()}"

    @classmethod
    def holding(cls, learner_id: str, on: date, counts: Mapping[str, int]) -> "Day":
        """A day with its counters."""
        day = cls(*cls.key(learner_id, on))
        day.raw = {name: {"N": str(count)} for name, count in counts.items() if count}
        return day

    @classmethod
    def of_head(cls, head: Head) -> "Day | None":
        """The newest day, as the head has it."""
        if not head.day:
            return None
        return cls.holding(head.learner_id, date.fromisoformat(head.day), head.counts)

    @classmethod
    def from_raw(cls, raw: Raw) -> "Day":
        day = super().from_raw(raw)
        day.raw = {name: value for name, value in raw.items() if name not in cls.TECHNICAL}
        return day

    def count_of(self, counter: str, deck_id: str | None = None) -> int:
        """A counter's value, of all decks or one."""
        name = f"{counter}:{deck_id}" if deck_id else counter
        return int(self.raw.get(name, {}).get("N", 0))

    @property
    def on(self) -> date:
        return date.fromisoformat(self.sk.removeprefix(self.PREFIX))

    def as_past(self) -> Put:
        """The write that leaves the day an item of its own, when the head begins another one.

        Without a condition: the head's number guards it.
        """
        return Put(self)

    @classmethod
    def add_write(
        cls, learner_id: str, on: date, counts: Mapping[str, int], condition: Condition | None
    ) -> Update:
        """The write that adds to the counters of a day before the head's."""
        actions: list[Action] = [cls.kind.set(cls)]
        actions += [Path([name]).add(count) for name, count in sorted(counts.items())]
        return Update(cls(*cls.key(learner_id, on)), actions, condition)

    @classmethod
    def between(cls, head: Head, first: date, last: date) -> "list[Day]":
        """The days of a span on which the learner studied, oldest first: one query for a year.

        The head must have been read before.
        """
        ends = (f"{cls.PREFIX}{on.isoformat()}" for on in (first, last))
        days = cls.query_all(head.pk, cls.sk.between(*ends))
        return [day for day in cls._with_newest(head, days) if first <= day.on <= last]

    @classmethod
    def all_of(cls, learner_id: str, head: Head | None = None) -> "list[Day]":
        """Every day the learner studied, newest first: one query for some 5,000 of them."""
        head = head or Head.of(learner_id)
        days = cls.query_all(learner_key(learner_id), cls.sk.startswith(cls.PREFIX))
        return cls._with_newest(head, days)[::-1]

    @classmethod
    def _with_newest(cls, head: Head, stored: "Iterable[Day]") -> "list[Day]":
        """The days of the past and the head's, which supersedes a row of the same day."""
        newest = cls.of_head(head)
        days = {day.on: day for day in stored}
        if newest is not None:
            days[newest.on] = newest
        return [days[on] for on in sorted(days)]


def require_visible(head: Head, kind: type[Kept]) -> None:
    """Raises TornRead as long as an item of a kind that the youngest changes tell of is not there.

    A query may miss an item that a transaction is just writing, though its conditions were judged
    before. What the head tells of, and the newest journal, takes in all that can be on its way:
    one query, and one read.
    """
    newest = Journal.before(head.learner_id, int(head.n) + 1, limit=1).items
    changes = [*(newest[0].changes if newest else ()), *head.changes]
    told = {c[1]: c for c in changes if len(c) > 1 and c[1].startswith(kind.PREFIX)}
    wanted = {sk: change[0] for sk, change in told.items() if len(change) == 2}
    unreadable: list[Raw] = []
    keys = [(head.pk, sk) for sk in wanted]
    stored = batch_get(*keys, on_unreadable=unreadable.append) if wanted else {}
    for raw in unreadable:  # nobody waits for what will not be readable soon
        del wanted[raw["sk"]["S"]]
    if any((getattr(stored.get((head.pk, sk)), "n", 0) or 0) < n for sk, n in wanted.items()):
        raise TornRead
