"""The learner's settings for study."""

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
from learning.scheduling import (
    Settings,
)


class Scheduler(Synced, discriminator="scheduler"):
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
    leech_threshold = NumberAttribute(default=8)
    leech_action = UnicodeAttribute(default="tag")
    bury_siblings = BooleanAttribute(default=True)
    day_starts_at_hour = NumberAttribute(default=DAY_STARTS_AT_HOUR)
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
            leech_threshold=int(self.leech_threshold),
        )

    def as_version(self, learner_id: str) -> "Scheduler":
        """The item that keeps these settings for the log entries made under them."""
        values = {
            name: getattr(self, name)
            for name in self.get_attributes()
            if name not in ("pk", "sk", "kind", "n", "version", "decks")
        }
        return Scheduler(*self.key(learner_id, int(self.number)), **values)


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
