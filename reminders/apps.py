from typing import Any

from accounts import apps


class RemindersConfig(apps.ItemsConfig):
    name = "reminders"

    def ready(self) -> None:
        from accounts.signals import zone_changed

        zone_changed.connect(_follow)


def _follow(learner_id: str, **_: Any) -> None:
    """Moves the reminders that go by the profile's clock."""
    from reminders.services.reminders import follow_zone

    follow_zone(learner_id=learner_id)
