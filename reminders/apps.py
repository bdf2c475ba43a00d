from typing import Any

from accounts import apps


class RemindersConfig(apps.ItemsConfig):
    name = "reminders"

    def ready(self) -> None:
        from accounts.signals import mail_hours_changed

        mail_hours_changed.connect(_follow)


def _follow(learner_id: str, **_: Any) -> None:
    """Moves the reminders to the profile's clock and quiet hours."""
    from django.utils.timezone import now

    from reminders.services.reminders import follow_profile

    follow_profile(learner_id=learner_id, now=now())
