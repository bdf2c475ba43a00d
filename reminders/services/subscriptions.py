"""Stopping a kind of mail by the link in it."""

from accounts.models import Profile
from config.problems import ServiceUnavailable
from config.store.items import ConditionFailed

TRIES = 8
# What a link stops → the preferences of the profile.
PREFERENCES = {
    "study": ("study_mails",),
    "events": ("event_mails",),
    "all": ("study_mails", "event_mails"),
}


def unsubscribe(*, learner_id: str, kind: str) -> None:
    """Turns the preferences for a kind of mail off; done already, or gone, is fine as well."""
    for _ in range(TRIES):
        profile = Profile.of(learner_id)
        if profile is None or not any(getattr(profile, name) for name in PREFERENCES[kind]):
            return
        for name in PREFERENCES[kind]:
            setattr(profile, name, False)
        try:
            profile.put(Profile.pk.exists())
        except ConditionFailed:
            continue
        return
    raise ServiceUnavailable
