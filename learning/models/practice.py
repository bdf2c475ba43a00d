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

from accounts.models import OfLearner, Synced, learner_key
from config.store.items import Page, Raw, key_instant
from learning.models.base import LearnerItem
from learning.practice.script import MODEL

ACTIVE, COMPLETED, ABANDONED = STATUSES = ("active", "completed", "abandoned")
FALLBACKS = (
    *("budget", "busy", "consent", "invalid", "late"),
    *("refused", "retired", "timeout", "unavailable"),
)
"""Why the script answered in place of a model."""


class Session(LearnerItem, discriminator="practice_session"):
    """One time through a scenario: `SESSION#<id>`.

    The scenario's revision is pinned with its digest. `state` is where the dialogue stands, for
    the partner alone to read; `reached` has the turn of each goal, {goal: number}; `turn_ids` the
    turns in order, so that one sent again is known. `hints_here` counts the hints for the line
    that waits for an answer. lsi4: `SESSION#<begun>#<id>`, the learner's sessions by time.
    `model` and `prompt_version` are those that the session began with, where a model is the
    partner; `hints` is its help with its last line, `scored_by` whoever gave the scores,
    and `scoring_fallback` why it was the script where a model had played.
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
    model = UnicodeAttribute(null=True)
    prompt_version = NumberAttribute(null=True)
    hints = JSONAttribute(null=True)
    scored_by = UnicodeAttribute(null=True)
    scoring_fallback = UnicodeAttribute(null=True)
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
        if state["node"] != self.state["node"] or turn.answered_by == MODEL:
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

    `goals` are those that it reached; `corrections` those of `learning.practice.dialogue`, and
    `new_words` those of `learning.practice.prompt`, as JSON. `answered_by` is empty for the script;
    `fallback` is why it answered in place of a model. `reported_at`: when the learner showed the
    turn to staff.
    """

    PREFIX = "TURN#"

    id = UnicodeAttribute()
    number = NumberAttribute()
    text = UnicodeAttribute()
    reply = UnicodeAttribute()
    goals: ListAttribute[UnicodeAttribute] = ListAttribute(of=UnicodeAttribute, default=list)
    corrections = JSONAttribute(default=list)
    new_words = JSONAttribute(null=True)
    answered_by = UnicodeAttribute(null=True)
    fallback = UnicodeAttribute(null=True)
    reported_at = UTCDateTimeAttribute(null=True)
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


class Asked(OfLearner, discriminator="asked"):
    """That a model is being asked, once for each session: `ASKED#<session>`.

    `turn_id` is what for. After `until`, an epoch second, the process that asked has ended without
    a trace, and it may be asked again.
    """

    PREFIX = "ASKED#"
    WITHIN_S = 40  # no request lasts longer

    turn_id = UnicodeAttribute()
    until = NumberAttribute()

    @classmethod
    def key(cls, learner_id: str, session_id: str) -> tuple[str, str]:
        return learner_key(learner_id), f"{cls.PREFIX}{session_id}"

    @classmethod
    def claim(cls, learner_id: str, session_id: str, turn_id: str, now: datetime) -> "Asked":
        """Notes that the model is asked for a turn: one write. Raises ConditionFailed."""
        now_s = int(now.timestamp())
        asked = cls(
            *cls.key(learner_id, session_id),
            turn_id=turn_id,
            until=now_s + cls.WITHIN_S,
            expires_at=now_s + 86_400,
        )
        asked.put(cls.pk.does_not_exist() | (cls.until < now_s))
        return asked

    def is_waiting(self, now: datetime) -> bool:
        """Whether the model's answer is still to come."""
        return bool(self.until >= int(now.timestamp()))

    def mine(self) -> Condition:
        """That nobody else has asked since."""
        unchanged: Condition = (Asked.turn_id == self.turn_id) & (Asked.until == self.until)
        return unchanged


class Report(OfLearner, discriminator="report"):
    """A turn that a learner has shown to staff, for 90 days: `REPORT#<session>#<0001>`.

    What was said stays in the turn alone. gsi1: `REPORTS` / `<instant>#<learner>#<session>#<turn>`.
    """

    PREFIX = "REPORT#"
    ALL = "REPORTS"
    KEPT_S = 90 * 86_400

    session_id = UnicodeAttribute()
    number = NumberAttribute()
    reason = UnicodeAttribute(default="")
    at = UTCDateTimeAttribute()

    @classmethod
    def key(cls, learner_id: str, session_id: str, number: int) -> tuple[str, str]:
        return learner_key(learner_id), f"{cls.PREFIX}{session_id}#{number:04}"

    def has_lapsed(self, now: datetime) -> bool:
        """Whether its 90 days are over; DynamoDB removes it some time later."""
        return int(self.expires_at) <= now.timestamp()

    @property
    def id(self) -> str:
        """Where the report is, for staff: `<learner>.<session>.<turn>`."""
        return f"{self.learner_id}.{self.session_id}.{int(self.number)}"

    @classmethod
    def by_id(cls, report_id: str) -> "Report | None":
        """One consistent read; None for an id that names nothing."""
        parts = report_id.split(".")
        if len(parts) != 3 or not parts[2].isdecimal():
            return None
        return cls.get_or_none(*cls.key(parts[0], parts[1], int(parts[2])))

    def set_index_keys(self) -> None:
        """Sets the index keys from the instant of the report."""
        self.gsi1pk, self.gsi1sk = self.ALL, f"{key_instant(self.at)}#{self.id}"

    @classmethod
    def newest(cls, *, limit: int, start: Raw | None) -> "Page[Report]":
        """One page of all reports, the latest first."""
        return cls.query_page(cls.ALL, index="gsi1", limit=limit, start=start, descending=True)
