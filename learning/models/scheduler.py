"""The learner's settings for study."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from pynamodb.attributes import (
    BooleanAttribute,
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)

from accounts.models import Synced, learner_key
from accounts.study_day import DAY_STARTS_AT_HOUR
from config.store.items import Item
from learning.fsrs import DEFAULT_WEIGHTS
from learning.models.base import InstantAttribute, instant, micros
from learning.scheduling import Settings

VERSIONS_READ = 20  # at once, of those before the newest
FORMER_RETENTIONS = 5  # kept of each deck

# The same settings, of 38 numbers, are checked once for all reviews under them.
_settings = lru_cache(maxsize=100)(Settings)


class Scheduler(Synced, discriminator="scheduler"):
    """The learner's settings for study: `SCHEDULER` is the newest version, `SCHEDULER#<n>` each.

    Log entries name the version that was in force at their instant, so versions never change nor
    go. Without an item the defaults are in force, as version 0. `since`: when a version came into
    force. `decks` has the limits and the retention of those decks that have their own, {deck id:
    {name: value}}, and as `former` what a deck's retention was before: [until when, value], newest
    first.
    """

    SK = "SCHEDULER"

    weights = JSONAttribute(null=True)
    desired_retention = NumberAttribute(default=0.9)
    learning_steps_s = JSONAttribute(default=lambda: [60, 600])
    relearning_steps_s = JSONAttribute(default=lambda: [600])
    maximum_interval_days = NumberAttribute(default=36_500)
    fuzz = BooleanAttribute(default=True)
    easy_days = JSONAttribute(default=lambda: [1.0] * 7)
    leech_threshold = NumberAttribute(default=8)
    leech_action = UnicodeAttribute(default="tag")
    bury_siblings = BooleanAttribute(default=True)
    day_starts_at_hour = NumberAttribute(default=DAY_STARTS_AT_HOUR)
    new_cards_per_day = NumberAttribute(default=20)
    reviews_per_day = NumberAttribute(default=200)
    decks = JSONAttribute(default=dict)
    number = NumberAttribute(default=0)
    since = InstantAttribute(null=True)
    version = VersionAttribute()

    @classmethod
    def key(cls, learner_id: str, number: int | None = None) -> tuple[str, str]:
        suffix = "" if number is None else f"#{number:06}"
        return learner_key(learner_id), f"{cls.SK}{suffix}"

    def settings(self) -> Settings:
        """The settings as the rules know them."""
        return _settings(
            weights=tuple(self.weights) if self.weights else DEFAULT_WEIGHTS,
            desired_retention=self.desired_retention,
            learning_steps_s=tuple(self.learning_steps_s),
            relearning_steps_s=tuple(self.relearning_steps_s),
            maximum_interval_days=int(self.maximum_interval_days),
            fuzz=self.fuzz,
            easy_days=tuple(self.easy_days),
            leech_threshold=int(self.leech_threshold),
        )

    def deck_option(self, deck_id: str, name: str) -> Any:
        """A deck's own value of an option, None where the learner's is in force."""
        return self.decks.get(deck_id, {}).get(name)

    def retention_at(self, deck_id: str, at: datetime) -> float | None:
        """A deck's own retention at an instant, None where the learner's was in force.

        What a deck was made with holds for reviews of before, too: the device that made it may
        have been offline.
        """
        retention: float | None = self.deck_option(deck_id, "desired_retention")
        for until, former in self.decks.get(deck_id, {}).get("former", ()):
            if at >= instant(until):
                break
            retention = former
        return retention

    def set_deck_options(
        self, deck_id: str, options: Mapping[str, Any], *, since: datetime | None
    ) -> None:
        """Takes over what a deck has of its own since an instant; None for a deck that is new."""
        own, retention = self.decks.get(deck_id, {}), "desired_retention"
        former = own.get("former", [])
        if since is not None and own.get(retention) != options.get(retention):
            former = [[micros(since), own.get(retention)], *former][:FORMER_RETENTIONS]
        self.forget_deck(deck_id)
        if kept := {**options, **({"former": former} if former else {})}:
            self.decks = {**self.decks, deck_id: kept}

    def forget_deck(self, deck_id: str) -> None:
        """Drops what a deck had of its own."""
        self.decks = {key: own for key, own in self.decks.items() if key != deck_id}

    def as_version(self) -> "Scheduler":
        """The item that keeps these settings for the log entries made under them."""
        values = {
            name: getattr(self, name)
            for name in self.get_attributes()
            if name not in ("pk", "sk", "kind", "n", "version", "decks")
        }
        return Scheduler(self.pk, f"{self.SK}#{self.number:06}", **values)

    def in_force_at(self, at: datetime) -> bool:
        """Whether this version was made by then."""
        return self.since is None or self.since <= at

    def former(self, at: datetime) -> "list[Scheduler]":
        """The versions before this one, newest first, back to the one in force at an instant.

        One query for each twenty.
        """
        versions: list[Scheduler] = []
        condition = type(self).sk.between(f"{self.SK}#", f"{self.SK}#{self.number - 1:06}")
        start = None
        while True:
            page = type(self).query_page(
                self.pk, condition, limit=VERSIONS_READ, start=start, descending=True
            )
            for version in page.items:
                versions.append(version)
                if version.in_force_at(at):
                    return versions
            if not (start := page.next_key):
                return versions


class Optimization(Item, discriminator="optimization"):
    """The last fit of a learner's weights: `OPTIMIZATION`.

    `status` is never, running, adopted, kept (the fit was no better), too_few or failed. Losses
    are on the answers held out, before with the former weights and after with the fitted ones.
    """

    SK = "OPTIMIZATION"

    status = UnicodeAttribute(default="never")
    started_at = UTCDateTimeAttribute(null=True)
    finished_at = UTCDateTimeAttribute(null=True)
    trained_on = NumberAttribute(null=True)
    held_out = NumberAttribute(null=True)
    loss_before = NumberAttribute(null=True)
    loss_after = NumberAttribute(null=True)
    settings_version = NumberAttribute(null=True)
    version = VersionAttribute()
