"""What our own people do with learners' accounts. Each change is in the learner's audit trail."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from accounts import audit, cognito
from accounts.admission import Learner, states
from accounts.models import Account, Profile, learner_key
from accounts.services import mfa
from config.problems import Conflict, NotFound
from config.sources import OFFICE, Source
from config.table import ConditionFailed, fetch


class CannotChangeYourself(Conflict):
    code, title = "CANNOT_CHANGE_YOURSELF", "Ask another admin to do this to your account"


@dataclass(frozen=True)
class User:
    """A learner as staff see them; `groups` are the pool's, not those of an older token."""

    account: Account
    profile: Profile
    groups: frozenset[str]


def user(learner_id: str) -> User:
    """One learner: a round trip to the table, one to the pool. Raises NotFound."""
    pk = learner_key(learner_id)
    found = fetch((pk, Account.SK), (pk, Profile.SK))
    account, profile = found.get((pk, Account.SK)), found.get((pk, Profile.SK))
    if not isinstance(account, Account) or not isinstance(profile, Profile):
        raise NotFound
    return User(account, profile, cognito.groups_of(account.user_name))


def change(
    learner_id: str,
    *,
    by: Learner,
    disabled: bool | None,
    groups: Collection[str] | None,
    source: Source,
    now: datetime,
) -> User:
    """Shuts or opens an account, gives it other groups. Raises NotFound, CannotChangeYourself."""
    if learner_id == by.id:
        raise CannotChangeYourself
    found = user(learner_id)
    if disabled is not None and disabled != found.account.disabled:
        _set_disabled(found.account, disabled)
        action: audit.Action = "disabled" if disabled else "enabled"
        audit.record(learner_id, action, source, now=now, actor=by.id)
    if groups is not None and frozenset(groups) != found.groups:
        _set_groups(found, frozenset(groups), now)
        audit.record(learner_id, "groups_changed", source, now=now, actor=by.id)
    states.forget(learner_id)
    return user(learner_id)


def _set_disabled(account: Account, disabled: bool) -> None:
    """Shut in the table before the pool, opened after it: never half open."""
    if not disabled:
        cognito.set_enabled(account.user_name, enabled=True)
    try:
        account.set_disabled(disabled)
    except ConditionFailed as error:
        raise NotFound from error
    if disabled:
        cognito.set_enabled(account.user_name, enabled=False)


def _set_groups(found: User, wanted: frozenset[str], now: datetime) -> None:
    """The groups are in access tokens: those made before are void, so that a loss counts too."""
    for group in sorted(wanted - found.groups):
        cognito.add_to_group(found.account.user_name, group)
    for group in sorted(found.groups - wanted):
        cognito.remove_from_group(found.account.user_name, group)
    found.account.void_tokens(now)


def reset_mfa(learner_id: str, *, by: Learner, now: datetime) -> User:
    """Turns off the second step of a learner who has lost it, and tells them.

    Raises NotFound, CannotChangeYourself.
    """
    if learner_id == by.id:
        raise CannotChangeYourself
    mfa.disable(user(learner_id).account, source=OFFICE, now=now, actor=by.id)
    return user(learner_id)
