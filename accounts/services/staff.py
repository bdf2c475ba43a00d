"""What our own people do with learners' accounts.

Each change and each look is in both audit trails, their own and the learner's. Staff find one
person by the whole address or by the id; only admins see lists. Nobody sees what a learner has
made or studied.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime

from django.utils import timezone

from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.cognito.client import NoSuchUser
from accounts.models import Account, Activity, Address, Profile, audit, learner_key
from accounts.models.account import account_cache
from accounts.models.audit import StaffMember
from accounts.services import mfa
from accounts.services.removal import remove
from accounts.services.sessions import reauthenticate
from accounts.tokens import Learner
from config.client_info import ClientInfo
from config.problems import Conflict, NotFound, ValidationFailed
from config.records import dataclass
from config.store.items import ConditionFailed, Page, Raw, batch_get
from config.store.transactions import Write, transact

MISSING = "MISSING"


class CannotChangeYourself(Conflict):
    code, title = "CANNOT_CHANGE_YOURSELF", "Ask another admin to do this to your account"


class AddressNotProved(Conflict):
    code, title = "ADDRESS_NOT_PROVED", "Nobody has proved the e-mail address of this account yet"


@dataclass(frozen=True)
class User:
    """A learner as staff see them; `groups` are the pool's, not those of an older token.

    `status` is the pool's word, or MISSING: then nobody can sign in.
    """

    account: Account
    profile: Profile
    groups: frozenset[str]
    status: str


def read_user(learner_id: str) -> User:
    """One learner: a round trip to the table, two to the pool. Raises NotFound."""
    pk = learner_key(learner_id)
    items = batch_get((pk, Account.SK), (pk, Profile.SK))
    account, profile = items.get((pk, Account.SK)), items.get((pk, Profile.SK))
    if not isinstance(account, Account) or not isinstance(profile, Profile):
        raise NotFound
    user = cognito_users.find_user(account.user_name)
    groups = cognito_users.groups_of(account.user_name) if user else frozenset[str]()
    return User(account, profile, groups, user.status if user else MISSING)


def view_user(learner_id: str, *, by: StaffMember, now: datetime) -> User:
    """One learner as `read_user`; the look is in both trails. Raises NotFound."""
    user = read_user(learner_id)
    transact(*audit.staff_action(by, "user_viewed", f"users/{learner_id}", now=now))
    return user


def list_users(
    *,
    email: str,
    by: StaffMember,
    is_admin: bool,
    limit: int,
    start: Raw | None = None,
    now: datetime,
) -> Page[Account]:
    """The account with an address; for admins, where there is none, those that begin so.

    The look is in the trails. Raises ValidationFailed for less than an address.
    """
    email = email.lower()
    if not is_admin and not email:
        return Page([], None)  # what a page shows before anybody is looked for
    if not is_admin and "@" not in email:
        message = "Give the whole address: only admins see lists."
        raise ValidationFailed.of("email", "whole_address", message)
    address = Address.of(email) if "@" in email else None
    account = Account.of(address.learner_id) if address and address.learner_id else None
    if account is not None and not account.is_leaving:
        target = f"users/{account.learner_id}"
        transact(*audit.staff_action(by, "user_viewed", target, now=now))
        return Page([account], None)
    transact(*audit.staff_action(by, "users_listed", "users", now=now))
    return Account.by_email(email, limit=limit, start=start) if is_admin else Page([], None)


def view_activity(
    learner_id: str, *, by: StaffMember, limit: int, start: Raw | None = None, now: datetime
) -> Page[Activity]:
    """What happened to an account, the latest first; the look is in both trails."""
    target = f"users/{learner_id}"
    page = Activity.newest(target, limit=limit, start=start)
    transact(*audit.staff_action(by, "activity_viewed", target, now=now))
    return page


def update_user(
    learner_id: str,
    *,
    by: StaffMember,
    disabled: bool | None,
    groups: Collection[str] | None,
    now: datetime,
) -> User:
    """Shuts or opens an account, gives it other groups.

    Raises NotFound, CannotChangeYourself; NoSuchUser, with nothing changed, where the pool has no
    user to open or to give a group; AddressNotProved, with nothing changed, where a group
    would be added: whoever signed up may not be the owner of the address.
    """
    if learner_id == by.id:
        raise CannotChangeYourself
    user = read_user(learner_id)
    if user.status == MISSING and (groups or disabled is False):
        raise NoSuchUser
    if groups and not frozenset(groups) <= user.groups and not user.account.email_verified:
        raise AddressNotProved("The owner of the address has to verify it first.")
    target = f"users/{learner_id}"
    try:
        if disabled is not None:
            action: audit.Action = "disabled" if disabled else "enabled"
            changes = disabled != user.account.disabled
            lines = audit.staff_action(by, action, target, now=now) if changes else ()
            _set_disabled(user.account, disabled, lines)
        if groups is not None:
            if frozenset(groups) != user.groups:
                lines = audit.staff_action(by, "groups_changed", target, now=now)
                transact(user.account.void_tokens_write(timezone.now()), *lines)
            _set_groups(user, frozenset(groups))
    except ConditionFailed as error:
        raise NotFound from error
    account_cache.forget(learner_id)
    return read_user(learner_id)


def _set_disabled(account: Account, disabled: bool, lines: Sequence[Write]) -> None:
    """Shut in the table before the pool, opened after it: never half open.

    It writes also where the table says so already: a request that was cut off, or overtaken by
    another admin's, has left the pool as it was. All refresh tokens end before the user is opened,
    since a shutting that was cut off before the pool has ended none. Tokens from before stay void.
    """
    if not disabled:
        cognito_sessions.sign_out_everywhere(account.user_name)
        cognito_users.set_enabled(account.user_name, enabled=True)
    # of this moment: a token may just have been renewed
    transact(account.set_disabled_write(disabled, timezone.now()), *lines)
    if disabled:
        with suppress(NoSuchUser):
            cognito_users.set_enabled(account.user_name, enabled=False)


def _set_groups(user: User, wanted: frozenset[str]) -> None:
    """Sets the groups, and voids the access tokens, which carry them, so that a loss counts too.

    Tokens are voided before as well, for a request that is cut off here; and even where the pool
    has these groups already, since a request that was cut off may not have come so far.
    """
    for group in sorted(wanted - user.groups):
        cognito_users.add_to_group(user.account.user_name, group)
    for group in sorted(user.groups - wanted):
        cognito_users.remove_from_group(user.account.user_name, group)
    user.account.void_tokens(timezone.now())  # of this moment: a token may just have been renewed


def reset_mfa(learner_id: str, *, by: StaffMember, now: datetime) -> User:
    """Turns off the second step of a learner who has lost it, and tells them.

    Raises NotFound, CannotChangeYourself.
    """
    if learner_id == by.id:
        raise CannotChangeYourself
    mfa.reset(read_user(learner_id).account, by=by, now=now)
    return read_user(learner_id)


def delete_user(
    learner_id: str, password: str | None, *, by: Learner, source: ClientInfo, now: datetime
) -> bool:
    """Removes an account as its owner would, once the admin has given their own password.

    True when all is gone; False when the rest is left to the sweep. The bar and the lines of the
    trails are one write: from there on the steps are those of `removal`. The same request again
    goes on with an account that is leaving. The learner is told by mail.

    Raises CannotChangeYourself, NotFound, InvalidCredentials, FreshSignInNeeded, TooManyRequests.
    """
    if learner_id == by.id:
        raise CannotChangeYourself
    reauthenticate(by, password, source=source, now=now)
    account = Account.of(learner_id)
    if account is None or account.gsi1pk == Account.GONE:
        raise NotFound
    if not account.is_leaving:
        staff = StaffMember(by.id, source)
        lines = audit.staff_action(staff, "account_deleted", f"users/{learner_id}", now=now)
        try:
            transact(account.mark_for_deletion_by_staff_write(now), *lines)
        except ConditionFailed as error:  # its owner is leaving at this moment
            raise NotFound from error
        account.deleted_by_staff = True
        account_cache.forget(learner_id)
    return remove(account, now=now)
