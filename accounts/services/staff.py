"""What our own people do with learners' accounts. Each change is in both audit trails."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts import audit, cognito
from accounts.admission import states
from accounts.audit import StaffMember
from accounts.models import Account, Profile, learner_key
from accounts.services import mfa
from config import clock
from config.problems import Conflict, NotFound
from config.store.transactions import Write, transact
from config.table import ConditionFailed, fetch


class CannotChangeYourself(Conflict):
    code, title = "CANNOT_CHANGE_YOURSELF", "Ask another admin to do this to your account"


class AddressNotProved(Conflict):
    code, title = "ADDRESS_NOT_PROVED", "Nobody has proved the e-mail address of this account yet"


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
    by: StaffMember,
    disabled: bool | None,
    groups: Collection[str] | None,
    now: datetime,
) -> User:
    """Shuts or opens an account, gives it other groups.

    Raises NotFound, CannotChangeYourself; AddressNotProved, with nothing changed, where a group
    would be added: whoever signed up may not be whom the address belongs to.
    """
    if learner_id == by.id:
        raise CannotChangeYourself
    found = user(learner_id)
    if groups and not frozenset(groups) <= found.groups and not found.account.email_verified:
        raise AddressNotProved("The owner of the address has to verify it first.")
    target = f"users/{learner_id}"
    try:
        if disabled is not None:
            action: audit.Action = "disabled" if disabled else "enabled"
            changes = disabled != found.account.disabled
            lines = audit.deed(by, action, target, now=now) if changes else ()
            _set_disabled(found.account, disabled, lines)
        if groups is not None:
            if frozenset(groups) != found.groups:
                transact(*audit.deed(by, "groups_changed", target, now=now))
            _set_groups(found, frozenset(groups))
    except ConditionFailed as error:
        raise NotFound from error
    states.forget(learner_id)
    return user(learner_id)


def _set_disabled(account: Account, disabled: bool, lines: Sequence[Write]) -> None:
    """Shut in the table before the pool, opened after it: never half open.

    Also where the table says so already: a request that was cut off, or overtaken by another
    admin's, has left the pool as it was.
    """
    if not disabled:
        cognito.set_enabled(account.user_name, enabled=True)
    transact(account.setting_disabled(disabled), *lines)
    if disabled:
        cognito.set_enabled(account.user_name, enabled=False)


def _set_groups(found: User, wanted: frozenset[str]) -> None:
    """The groups are in access tokens: those made before are void, so that a loss counts too.

    Also where the pool has these groups already: a request that was cut off did not come so far.
    """
    for group in sorted(wanted - found.groups):
        cognito.add_to_group(found.account.user_name, group)
    for group in sorted(found.groups - wanted):
        cognito.remove_from_group(found.account.user_name, group)
    found.account.void_tokens(clock.now())  # of this moment: a token may just have been renewed


def reset_mfa(learner_id: str, *, by: StaffMember, now: datetime) -> User:
    """Turns off the second step of a learner who has lost it, and tells them.

    Raises NotFound, CannotChangeYourself.
    """
    if learner_id == by.id:
        raise CannotChangeYourself
    mfa.reset(user(learner_id).account, by=by, now=now)
    return user(learner_id)
