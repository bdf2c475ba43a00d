"""Budgets of what costs by the unit, as a model's tokens do: a learner's day, the stage's month.

`reserve` counts before the call that costs, so that calls at the same moment cannot pass together;
`Reservation.settle` corrects the count once the call has told what it used. What is never settled,
because the process ended, stays counted. Each count is one conditional update of one item; that of
the stage's month takes a thousand of them a second, which is far above what a model takes.
The limits of each thing are `settings.BUDGETS`. Days and months are UTC's.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, Self

from django.conf import settings
from pynamodb.attributes import NumberAttribute
from pynamodb.expressions.condition import Condition

from accounts.models import learner_key
from config.problems import Problem
from config.records import dataclass
from config.store.items import ConditionFailed, Item

log = logging.getLogger("parley.budgets")

Scope = Literal["learner", "stage"]
Units = Mapping[str, int]
"""So many units of each thing."""


class BudgetSpent(Exception):
    """There are too few units of `thing` left until an instant, in the learner's day or the stage's
    month."""

    def __init__(self, thing: str, scope: Scope, until: datetime) -> None:
        super().__init__(f"{thing} of the {scope}")
        self.thing, self.scope, self.until = thing, scope, until


class Budget(Item, discriminator="budget"):
    """The units of each thing that one period has used, with those reserved for calls under way.

    `LEARNER#<sub>` / `BUDGET#<date>` is a learner's day, `BUDGETS` / `BUDGET#<month>` the stage's
    month. Each thing has an attribute of its own name.
    """

    PREFIX = "BUDGET#"
    STAGE = "BUDGETS"
    DAY_KEPT, MONTH_KEPT = timedelta(days=2), timedelta(days=400)

    @classmethod
    def of_day(cls, learner_id: str, now: datetime) -> Self:
        """A handle on the learner's day, without reading."""
        return cls(learner_key(learner_id), f"{cls.PREFIX}{now.astimezone(UTC):%Y-%m-%d}")

    @classmethod
    def of_month(cls, now: datetime) -> Self:
        """A handle on the stage's month, without reading."""
        return cls(cls.STAGE, f"{cls.PREFIX}{now.astimezone(UTC):%Y-%m}")

    def used(self) -> dict[str, int]:
        """The units of each thing that are counted by now: one consistent read."""
        stored = self.get_or_none(self.pk, self.sk)
        raw = stored.raw if stored else {}
        return {thing: int(raw[thing]["N"]) for thing in settings.BUDGETS if thing in raw}

    def add(self, units: Units, limits: Units, expires_at: datetime) -> None:
        """Adds units of each thing, if none of them exceeds its limit. Raises ConditionFailed."""
        actions = [_counter(thing).add(amount) for thing, amount in units.items()]
        room: Condition | None = None
        for thing, amount in units.items():
            fits = _counter(thing) <= limits[thing] - amount
            if amount <= limits[thing]:
                fits |= _counter(thing).does_not_exist()
            room = fits if room is None else room & fits
        self.update_attributes(
            *actions,
            Budget.expires_at.set(int(expires_at.timestamp())),
            Budget.kind.set(Budget),
            condition=room,
        )

    def correct(self, units: Units) -> None:
        """Adds units, which may be fewer than none, unless the item is gone by now."""
        actions = [_counter(thing).add(amount) for thing, amount in units.items() if amount]
        try:
            if actions:
                self.update_attributes(*actions, condition=Budget.pk.exists())
        except ConditionFailed:
            return


def _counter(thing: str) -> NumberAttribute:
    return NumberAttribute(attr_name=thing)


@dataclass(frozen=True)
class Reservation:
    """Units that are counted for one call, in both budgets."""

    day: Budget
    month: Budget
    units: Units

    def settle(self, used: Units) -> None:
        """Replaces the reserved units by those that the call has used.

        What is missing of `used` was used as reserved. A failure is only logged: the call is over,
        and what was reserved stays counted.
        """
        unused = {thing: used.get(thing, amount) - amount for thing, amount in self.units.items()}
        for budget in (self.day, self.month):
            try:
                budget.correct(unused)
            except Problem:
                log.exception("what a call has used was not settled")

    def release(self) -> None:
        """Counts nothing: the call was not made."""
        self.settle(dict.fromkeys(self.units, 0))


def reserve(learner_id: str, units: Units, *, now: datetime) -> Reservation:
    """Counts units for a call that is about to be made: two writes. Raises BudgetSpent."""
    day, month = Budget.of_day(learner_id, now), Budget.of_month(now)
    of_learner = {thing: settings.BUDGETS[thing][0] for thing in units}
    of_stage = {thing: settings.BUDGETS[thing][1] for thing in units}
    day_ends, month_ends = _next_day(now), _next_month(now)
    try:
        day.add(units, of_learner, day_ends + Budget.DAY_KEPT)
    except ConditionFailed:
        raise _spent(day, units, of_learner, "learner", day_ends) from None
    try:
        month.add(units, of_stage, month_ends + Budget.MONTH_KEPT)
    except ConditionFailed:
        day.correct({thing: -amount for thing, amount in units.items()})
        raise _spent(month, units, of_stage, "stage", month_ends) from None
    return Reservation(day, month, dict(units))


def _spent(
    budget: Budget, units: Units, limits: Units, scope: Scope, until: datetime
) -> BudgetSpent:
    """The thing of which there is too little; the first, if one was settled this moment."""
    used = budget.used()
    short = [thing for thing in units if used.get(thing, 0) + units[thing] > limits[thing]]
    return BudgetSpent(next(iter(short or units)), scope, until)


def _next_day(now: datetime) -> datetime:
    date = now.astimezone(UTC).date() + timedelta(days=1)
    return datetime(date.year, date.month, date.day, tzinfo=UTC)


def _next_month(now: datetime) -> datetime:
    first = now.astimezone(UTC).date().replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return datetime(following.year, following.month, 1, tzinfo=UTC)
