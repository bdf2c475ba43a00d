"""The order of all changes to a learner's things, and the counts that go with them."""

import secrets
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Self

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition

from accounts.models.account import OfLearner, learner_key
from accounts.study_day import DAY_STARTS_AT_HOUR
from config.store.items import Item, PackedAttribute, Page, Raw, item_size

TOTALS = ("cards", "new", "learning", "relearning", "young", "mature", "suspended", "leech")
NO_LINE = "none"  # of a learner whose head has not been written yet
FULL = 1_000  # bytes: above a kilobyte the head costs twice as much with every change
JOURNAL_DAYS = 400


class Head(OfLearner, discriminator="head"):
    """The item that every change of a learner's things passes: `LEARNER#<sub>` / `HEAD`.

    `n` is the number of the newest change. Whoever writes anything of the learner's raises it in
    the same transaction, on the condition that it is still the one they read. So changes have one
    order without gaps. `changes` are those from number `first` on, the others are in journals (see
    `learning.services.changes` for what a change is). `line` is a random name of this order: after
    a restore there is another one, and numbers of the old line mean nothing.

    `day` is the newest of the learner's own days with an entry and `counts` its counters, as in
    `learning.models.log.Day`; earlier days have items of their own. `studied_on` is the newest day
    with a review (YYYY-MM-DD), `streak_days` counts the days without a gap up to it, and
    `days_studied` all days with a review. `day_starts_at_hour` is when those days begin on the
    learner's clock, `settings` how often the scheduler's item was written. TOTALS are of the
    learner's cards.
    """

    SK = "HEAD"

    n = NumberAttribute(default=0)
    line = UnicodeAttribute(default=NO_LINE)
    first = NumberAttribute(attr_name="f", default=1)
    changes = PackedAttribute(attr_name="j", default=list)
    day = UnicodeAttribute(default="")
    counts = PackedAttribute(attr_name="c", default=dict)
    cards_learned = NumberAttribute(attr_name="cl", default=0)
    streak_days = NumberAttribute(attr_name="sd", default=0)
    studied_on = UnicodeAttribute(attr_name="so", default="")
    days_studied = NumberAttribute(attr_name="ds", default=0)
    day_starts_at_hour = NumberAttribute(attr_name="h", default=DAY_STARTS_AT_HOUR)
    settings = NumberAttribute(attr_name="sv", null=True)
    cards = NumberAttribute(default=0)
    new = NumberAttribute(default=0)
    learning = NumberAttribute(default=0)
    relearning = NumberAttribute(default=0)
    young = NumberAttribute(default=0)
    mature = NumberAttribute(default=0)
    suspended = NumberAttribute(default=0)
    leech = NumberAttribute(default=0)

    @classmethod
    def key(cls, learner_id: str) -> tuple[str, str]:
        return learner_key(learner_id), cls.SK

    @classmethod
    def first_of(cls, learner_id: str) -> Self:
        """A new learner's."""
        return cls(*cls.key(learner_id), line=secrets.token_hex(4))

    @classmethod
    def among(cls, learner_id: str, stored: Mapping[tuple[str, str], Item]) -> Self:
        """The learner's head among the items read, or a first one that is yet to be written."""
        head = stored.get(cls.key(learner_id))
        return head if isinstance(head, cls) else cls(*cls.key(learner_id))

    @classmethod
    def of(cls, learner_id: str) -> Self:
        """One consistent read."""
        return cls.get_or_none(*cls.key(learner_id)) or cls(*cls.key(learner_id))

    def streak(self, today: date) -> int:
        """The streak that stands on a day: it is lost when the day before had no study."""
        if not self.studied_on:
            return 0
        kept = date.fromisoformat(self.studied_on) >= today - timedelta(days=1)
        return int(self.streak_days) if kept else 0

    def add(self, totals: Mapping[str, int]) -> None:
        """Adds to the totals of the learner's cards."""
        for name, count in totals.items():
            setattr(self, name, int(getattr(self, name)) + count)

    def unchanged(self) -> Condition:
        """The condition that nobody has written since this copy was read."""
        return Head.n == self.n if self.raw else Head.pk.does_not_exist()

    def add_changes(self, changes: Iterable[list[Any]]) -> None:
        """Adds changes, numbered from `n` on."""
        if self.line == NO_LINE:
            self.line = secrets.token_hex(4)
        for change in changes:
            self.n += 1
            self.changes = [*self.changes, [int(self.n), *change]]

    def hand_over(self, now: datetime) -> "Journal | None":
        """The journal that takes the changes over, if they have made the head too large."""
        if item_size(self.serialize()) <= FULL or not self.changes:
            return None
        journal = Journal(
            self.pk,
            f"{Journal.PREFIX}{int(self.first):012}",
            last=self.n,
            changes=self.changes,
            expires_at=int((now + timedelta(days=JOURNAL_DAYS)).timestamp()),
        )
        self.first, self.changes = self.n + 1, []
        return journal


class Journal(Item, discriminator="journal"):
    """Changes for which the head had no more room: `J#<first number, 12 digits>`, up to `last`.

    Kept for 400 days; one that has expired counts as gone, whether DynamoDB has removed it or not.
    """

    PREFIX = "J#"

    last = NumberAttribute(attr_name="z")
    changes = PackedAttribute(attr_name="j")

    @property
    def first(self) -> int:
        return int(self.sk.removeprefix(self.PREFIX))

    @classmethod
    def before(
        cls, learner_id: str, number: int, *, limit: int, start: Raw | None = None
    ) -> "Page[Journal]":
        """Journals that begin before a number, the newest first: one query."""
        ends = (cls.PREFIX, f"{cls.PREFIX}{max(number - 1, 0):012}")
        return cls.query_page(
            learner_key(learner_id),
            cls.sk.between(*ends),
            limit=limit,
            start=start,
            descending=True,
        )

    @classmethod
    def since(cls, learner_id: str, number: int, *, limit: int) -> "Page[Journal]":
        """Journals that begin at a number or later, the oldest first: one query."""
        ends = (f"{cls.PREFIX}{number:012}", f"{cls.PREFIX}~")
        return cls.query_page(learner_key(learner_id), cls.sk.between(*ends), limit=limit)
