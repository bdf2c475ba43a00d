"""Stopping a kind of mail by the link in it."""

from accounts.models import Head, Profile, learner_key
from accounts.services.changes import commit
from config.store.retrying import retried
from config.store.transactions import Put
from config.table import ConditionFailed, fetch

# What a link stops → the preferences of the profile.
PREFERENCES = {
    "study": ("study_mails",),
    "events": ("event_mails",),
    "all": ("study_mails", "event_mails"),
}


@retried(ConditionFailed)
def unsubscribe(*, learner_id: str, kind: str) -> None:
    """Turns the preferences for a kind of mail off; done already, or gone, is fine as well."""
    key = learner_key(learner_id), Profile.SK
    stored = fetch(key, Head.key(learner_id))
    profile = stored.get(key)
    if not isinstance(profile, Profile):
        return
    if any(getattr(profile, name) for name in PREFERENCES[kind]):
        for name in PREFERENCES[kind]:
            setattr(profile, name, False)
        commit(Head.among(learner_id, stored), Put(profile, Profile.pk.exists()))
