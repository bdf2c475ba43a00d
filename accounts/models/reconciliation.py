"""How far the comparison of pool and table has come, and what the last one found."""

from datetime import datetime
from typing import Self

from pynamodb.attributes import (
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)

from config.store.items import Item


class Reconciliation(Item, discriminator="reconciliation"):
    """The one round that compares pool and table: `RECONCILIATION` / `ROUND`.

    `phase` names the present phase and `place` how far it has come, empty at its beginning. `found`
    are the disagreements so far, LISTED at most, each {learner_id, kind, repaired}; `total` counts
    all of them, `compared` the accounts and users that were looked at. `report` is what the last
    whole round found. Whoever goes on with the round writes it under the revision that was read.
    """

    PK, SK = "RECONCILIATION", "ROUND"
    LISTED = 100
    DONE = "done"

    phase = UnicodeAttribute(default=DONE)
    place = JSONAttribute(null=True)
    begun_at = UTCDateTimeAttribute(null=True)
    compared = NumberAttribute(default=0)
    total = NumberAttribute(default=0)
    found = JSONAttribute(default=list)
    report = JSONAttribute(null=True)
    revision = VersionAttribute()

    @classmethod
    def latest(cls) -> Self:
        """One consistent read; a new one where there was none yet."""
        return cls.get_or_none(cls.PK, cls.SK) or cls(cls.PK, cls.SK)

    def begin(self, phase: str, now: datetime) -> None:
        """Begins another round."""
        self.phase, self.place, self.begun_at = phase, None, now
        self.compared, self.total, self.found = 0, 0, []

    def move_on(self, phase: str) -> None:
        """Goes to the beginning of a phase."""
        self.phase, self.place = phase, None

    def add(self, learner_id: str, kind: str) -> None:
        """Adds a disagreement, unless it is listed already."""
        if any((it["learner_id"], it["kind"]) == (learner_id, kind) for it in self.found):
            return
        self.total += 1
        if len(self.found) < self.LISTED:
            entry = {"learner_id": learner_id, "kind": kind, "repaired": False}
            self.found = [*self.found, entry]
