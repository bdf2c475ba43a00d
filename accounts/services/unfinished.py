"""What was cut off between the pool and the table, completed at the next contact.

A journey over both stores notes on the account what it is about to do, then does it, then drops
the note. Whoever meets the account next (a sign-in, a renewal of tokens, the same request again)
completes what the note says; each step may be done twice.

**A password that is replaced** (`password_change`):

1. The change is noted. Cut off here: nothing has changed, but nobody knows; as below.
2. The pool takes the new password. It refuses: the note is dropped and nothing is void. Cut off
   here: once the note is half a minute old, no token of the account is good; the next sign-in or
   renewal goes on with 3.
3. The refresh tokens end in the pool.
4. The learner is told by mail. Cut off between 3 and 5: another mail tells it again.
5. In one write the access tokens are void, the note is dropped, the trail has its line.

**An address that is proved by the sign-up's code** (`prove_address`):

1. The attempt is noted, with whether it came with the secret that the sign-up answered. Cut off
   here: nothing has changed.
2. The pool confirms the user. It refuses: the note is dropped. Cut off here: whoever meets the
   account next asks the pool and goes on with 3.
3. Where any attempt came without the secret, whoever has proved the address may not be the one who
   chose the password: it becomes one that nobody knows, and what was begun with it ends.
4. In one write the address is proved, secret and notes are dropped, the trail has its line.

**An address that is to be another** (`complete_move`), once its code is proved:

1. In one write the new address belongs to the learner too, and the account notes it. Cut off here:
   both addresses sign in; the next contact goes on with 2.
2. The pool's user, if there is one still, gets the new address. It refuses: in one write note and
   new address are dropped.
3. The old address is told by mail. Cut off between 3 and 4: another mail tells it again.
4. In one write the account has the new address, the old one is free, the trail has its line.

**A Google account that is linked** (`google.link`, `complete_link`):

1. The account notes it. 2. Google's own user goes from the pool, which links only whom it does not
know yet. 3. The pool links. Cut off before: the same request again goes on. 4. The learner is told
by mail. 5. In one write the note is dropped and the trail has its line. Cut off after 3: the next
contact asks the pool and goes on with 4.

**A Google account that is unlinked** (`google.unlink`, `complete_unlink`):

1. The account notes it: Google lets nobody in any more, and no token of the account is good. Cut
off here or later: the next sign-in or renewal goes on. 2. The pool unlinks. The profile that the
pool made for a learner who came from Google cannot be unlinked there: of these, and where the pool
refuses, the table's word counts, as every sign-in passes here. 3. The refresh tokens end in the
pool: some may be Google's. 4. The learner is told by mail. Cut off between 4 and 5: another mail
tells it again. 5. In one write the access tokens are void, the note is dropped, the trail has its
line.
"""

import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from django.utils import timezone
from ulid import ULID

from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.cognito.client import (
    REFUSALS,
    AlreadyConfirmed,
    InvalidCode,
    NoSuchUser,
    UserAlreadyExists,
)
from accounts.cognito.users import EXTERNAL_PROVIDER, UNCONFIRMED
from accounts.emails import notify
from accounts.models import Account, Activity, Address, EmailChange, Mfa, audit
from accounts.models.account import account_cache
from config.client_info import SYSTEM, ClientInfo
from config.problems import NotFound, ValidationFailed
from config.store.items import ConditionFailed
from config.store.transactions import Delete, Put, Write, transact


def account_at(email: str, *, now: datetime) -> Account | None:
    """The account that an address belongs to, once what was cut off there is completed."""
    address = Address.of(email)
    account = Account.of(address.learner_id) if address and address.learner_id else None
    if account is None or account.is_leaving:
        return account
    complete(account, now=now)
    return account


def complete(account: Account, *, now: datetime) -> None:
    """Completes all that was cut off with an account. Raises ServiceUnavailable."""
    complete_proof(account, now=now)
    with suppress(UserAlreadyExists, ValidationFailed):  # then the account has the address it had
        complete_move(account, SYSTEM, now=now)
    complete_link(account, SYSTEM, now=now)
    complete_unlink(account, SYSTEM, now=now)
    complete_password_change(account, now=now)


def user_name_at(email: str, *, now: datetime) -> str:
    """The pool's user name of the owner of an address."""
    return user_name_of(account_at(email, now=now), email)


def user_name_of(account: Account | None, email: str) -> str:
    """The pool's name of an account: the address for none, or for one without a password."""
    return account.user_name if account is not None and account.has_password else email


def prove_address(
    account: Account, *, code: str, with_secret: bool, source: ClientInfo, now: datetime
) -> None:
    """Proves an address by the sign-up's code. Raises InvalidCode."""
    how = account.BY_SECRET if with_secret else account.BY_CODE
    try:
        note = account.begin_proof(how, str(ULID()))
    except ConditionFailed as error:
        raise InvalidCode from error
    try:
        cognito_users.confirm_sign_up(username=account.learner_id, code=code)
    except AlreadyConfirmed:  # by another, whose note says whose the password is: ours does not
        with suppress(ConditionFailed):
            account.withdraw_proof(note)
        if current := Account.of(account.learner_id):
            complete_proof(current, now=now)
        raise
    except REFUSALS:
        with suppress(ConditionFailed):
            account.withdraw_proof(note)
        raise
    _proved(account, source, now, keep_password=with_secret)


def complete_proof(account: Account, *, now: datetime) -> bool:
    """Completes a proof of the address that was cut off after the pool had confirmed the user.

    Returns whether that has taken the password.
    """
    if account.email_verified or not account.proofs:
        return False
    user = cognito_users.find_user(account.learner_id)
    if user is None or user.status == UNCONFIRMED or not user.email_verified:
        return False
    # Read anew: whoever has made the pool confirm the user had noted it before.
    current = Account.of(account.learner_id)
    if current is None or current.email_verified or not current.proofs:
        if current is not None:
            account.email_verified = current.email_verified
            account.tokens_valid_after = current.tokens_valid_after
        return False
    keep_password = current.is_proved_by_secret()
    _proved(account, SYSTEM, now, keep_password=keep_password)
    return not keep_password


def _proved(account: Account, source: ClientInfo, now: datetime, *, keep_password: bool) -> None:
    if not keep_password:
        cognito_users.set_password(account.learner_id, secrets.token_urlsafe(32))
        cognito_users.set_mfa(account.learner_id, enabled=False)
        cognito_sessions.sign_out_everywhere(account.learner_id)
        transact(Delete(Mfa.at(account.learner_id)))
    void_before = 0 if keep_password else int(timezone.now().timestamp()) + 1
    with suppress(ConditionFailed):  # the account is gone, or another has completed this
        transact(
            account.prove_write(void_before=void_before),
            Put(Activity.new(account.learner_id, "email_verified", source, now=now)),
        )
    account.email_verified = True
    account_cache.forget(account.learner_id)


def complete_move(account: Account, source: ClientInfo, *, now: datetime) -> None:
    """Gives pool and table the new address of a learner, if they have proved one.

    Raises UserAlreadyExists if the pool has given it to a user without an account,
    ValidationFailed if the pool takes no such address.
    """
    if not account.moving_to:
        return
    old, new, learner_id = account.email, account.moving_to, account.learner_id
    try:
        if account.has_password:
            with suppress(NoSuchUser):  # deleted in the console, or the pool is lost
                cognito_users.set_email(account.user_name, new)
    except (UserAlreadyExists, ValidationFailed):
        writes: list[Write] = [account.withdraw_move_write(new)]
        if new != old:
            writes.append(Address.at(new).release_write(learner_id))
        with suppress(ConditionFailed):
            transact(*writes)
        account.moving_to = None
        raise
    if new != old:
        notify(old, "email_changed", source, now=now)
    writes = [
        account.end_move_write(new),
        Delete(EmailChange.at(learner_id)),
        Put(Activity.new(learner_id, "email_changed", source, now=now)),
    ]
    if new != old:
        writes.append(Address.at(old).release_write(learner_id))
    with suppress(ConditionFailed):  # another request was faster, or the account is gone
        transact(*writes)
    account.email, account.moving_to, account.email_verified = new, None, True
    account_cache.forget(learner_id)


def complete_link(account: Account, source: ClientInfo, *, now: datetime) -> None:
    """Tells the learner of a Google account that was linked, if they have not been told."""
    if not account.linking:
        return
    begun_at, _, google_id = account.linking.partition("#")
    user = cognito_users.find_user(account.user_name)
    writes: list[Write] = [account.end_link_write(None)]
    if user is not None and google_id in user.google_ids:
        notify(account.email, "google_linked", source, now=now)
        line = Activity.new(account.learner_id, "google_linked", source, now=now)
        writes = [account.end_link_write(google_id), Put(line)]
    elif now.timestamp() - int(begun_at) < account.CUT_OFF_AFTER_S:
        return  # another request may be at it
    with suppress(ConditionFailed):
        transact(*writes)
    account.linking = None


def complete_unlink(account: Account, source: ClientInfo, *, now: datetime) -> bool:
    """Shuts an account to Google and ends all of its sessions; False if that was not noted."""
    if not account.unlinking:
        return False
    shut_here = bool(account.federated_name) or not _unlink_in_pool(account)
    cognito_sessions.sign_out_everywhere(account.user_name)
    notify(account.email, "google_unlinked", source, now=now)
    at = timezone.now()  # a token may just have been renewed
    with suppress(ConditionFailed):  # another request was faster, or the account is gone
        transact(
            account.end_unlink_write(at, shut_here=shut_here),
            Put(Activity.new(account.learner_id, "google_unlinked", source, now=now)),
        )
    account.unlinking, account.google_ids = None, None
    account.google_off = account.google_off or shut_here
    account.tokens_valid_after = int(at.timestamp()) + 1
    account_cache.forget(account.learner_id)
    return True


def _unlink_in_pool(account: Account) -> bool:
    """Unlinks all Google accounts; False where the pool refuses."""
    user = cognito_users.find_user(account.user_name)
    is_done = True
    for google_id in sorted(user.google_ids if user else ()):
        try:
            with suppress(NoSuchUser):
                cognito_users.unlink_google(google_id)
        except ValidationFailed:
            is_done = False
    return is_done


@contextmanager
def password_change(
    account: Account, action: audit.Action, source: ClientInfo, *, now: datetime
) -> Iterator[None]:
    """What is done inside replaces the account's password; then all of its sessions end.

    Raises NotFound when the account is gone.
    """
    try:
        note = account.begin_password_change(str(ULID()), now)
    except ConditionFailed as error:
        raise NotFound from error
    account_cache.forget(account.learner_id)
    try:
        yield
    except REFUSALS:
        with suppress(ConditionFailed):
            account.withdraw_password_change(note)
        raise
    _end_sessions(account, {note}, action, "password_changed", source, now)


def complete_password_change(account: Account, *, now: datetime) -> bool:
    """Ends the sessions of an account whose change of password was cut off; False if none was."""
    notes = account.cut_off_password_changes(now.timestamp())
    if notes:
        cut_off: audit.Action = "password_change_cut_off"
        _end_sessions(account, notes, cut_off, cut_off, SYSTEM, now)
    return bool(notes)


def _end_sessions(
    account: Account,
    notes: Collection[str],
    action: audit.Action,
    notice: str,
    source: ClientInfo,
    now: datetime,
) -> None:
    cognito_sessions.sign_out_everywhere(account.user_name)
    notify(account.email, notice, source, now=now)
    first = not account.has_password and _has_password_in_pool(account)
    at = timezone.now()  # a token may just have been renewed
    with suppress(ConditionFailed):  # the account is gone
        transact(
            account.end_password_changes_write(notes, at, first=first),
            Put(Activity.new(account.learner_id, action, source, now=now)),
        )
    account.password_set = account.password_set or first
    account.tokens_valid_after = int(at.timestamp()) + 1
    account_cache.forget(account.learner_id)


def _has_password_in_pool(account: Account) -> bool:
    user = cognito_users.find_user(account.user_name)
    return user is not None and user.status != EXTERNAL_PROVIDER
