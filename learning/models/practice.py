"""Practice sessions and their turns, in the learner's partition `LEARNER#<sub>`."""

from datetime import datetime
from typing import Any

from pynamodb.attributes import (
    JSONAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)
from pynamodb.expressions.condition import Condition

from accounts.models import Synced, learner_key
from config.store.items import Page, Raw, key_instant
from learning.models.base import LearnerItem

ACTIVE, COMPLETED, ABANDONED = STATUSES = ("active", "completed", "abandoned")


class Session(LearnerItem, discriminator="practice_session"):
    """One time through a scenario: `SESSION#<id>`.

    The scenario's revision is pinned with its digest. `state` is where the dialogue stands, for
    the partner alone to read; `reached` has the turn of each goal, {goal: number}; `turn_ids` the
    turns in order, so that one sent again is known. `hints_here` counts the hints for the line
    that waits for an answer. lsi4: `SESSION#<begun>#<id>`, the learner's sessions by time.
    """

    PREFIX = "SESSION#"

    status = UnicodeAttribute(default=ACTIVE)
    scenario_id = UnicodeAttribute()
    revision = NumberAttribute()
    script_digest = UnicodeAttribute()
    title = UnicodeAttribute()
    language = UnicodeAttribute()
    level = UnicodeAttribute()
    role = UnicodeAttribute()
    goal = UnicodeAttribute(null=True)
    partner = UnicodeAttribute()
    opening = UnicodeAttribute()
    state = JSONAttribute()
    reached = JSONAttribute(default=dict)
    turn_ids = JSONAttribute(default=list)
    hints_used = NumberAttribute(default=0)
    hints_here = NumberAttribute(default=0)
    scores = JSONAttribute(null=True)
    finished_at = UTCDateTimeAttribute(null=True)
    version = VersionAttribute()

    @property
    def turn_count(self) -> int:
        return len(self.turn_ids)

    @property
    def ended(self) -> bool:
        """Whether the partner has taken leave."""
        return bool(self.state["ended"])

    def set_index_keys(self) -> None:
        """Sets the index key from the instant of creation."""
        self.lsi4 = f"{self.PREFIX}{key_instant(self.created_at)}#{self.id}"

    def record_turn(self, turn: "Turn", state: dict[str, Any]) -> None:
        """Takes over what a turn has led to."""
        if state["node"] != self.state["node"]:
            self.hints_here = 0
        self.state = state
        self.turn_ids = [*self.turn_ids, turn.id]
        self.reached = {**self.reached, **dict.fromkeys(turn.goals, int(turn.number))}
        self.updated_at = turn.created_at

    def finish(self, status: str, now: datetime) -> None:
        """Closes the session to any more turns."""
        self.status = status
        self.finished_at = self.updated_at = now

    @classmethod
    def newest(
        cls,
        learner_id: str,
        *,
        status: str | None = None,
        scenario_id: str | None = None,
        limit: int,
        start: Raw | None,
    ) -> "Page[Session]":
        """One page of the learner's sessions, newest first; filters work inside the page."""
        matching: Condition | None = None
        if status is not None:
            matching = cls.status == status
        if scenario_id is not None:
            wanted = cls.scenario_id == scenario_id
            matching = wanted if matching is None else matching & wanted
        return cls.query_page(
            learner_key(learner_id),
            cls.lsi4.startswith(cls.PREFIX),
            index="lsi4",
            limit=limit,
            start=start,
            descending=True,
            matching=matching,
        )


class Turn(Synced, discriminator="turn"):
    """A learner's line and the partner's answer: `TURN#<session>#<0001>`.

    `goals` are those that it reached; `corrections` those of `learning.practice.dialogue`, as JSON.
    """

    PREFIX = "TURN#"

    id = UnicodeAttribute()
    number = NumberAttribute()
    text = UnicodeAttribute()
    reply = UnicodeAttribute()
    goals: ListAttribute[UnicodeAttribute] = ListAttribute(of=UnicodeAttribute, default=list)
    corrections = JSONAttribute(default=list)
    created_at = UTCDateTimeAttribute()

    @classmethod
    def key(cls, learner_id: str, session_id: str, number: int) -> tuple[str, str]:
        return learner_key(learner_id), f"{cls.PREFIX}{session_id}#{number:04}"

    @classmethod
    def all_of(cls, learner_id: str, session_id: str) -> "list[Turn]":
        """A session's turns in order: one query, for they are few."""
        return cls.query_all(
            learner_key(learner_id), cls.sk.startswith(f"{cls.PREFIX}{session_id}#")
        )
