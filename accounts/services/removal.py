"""Removing accounts, step by step; each step may be repeated.

1. The account is barred for good: from here on nobody can come in.
2. The deletion is remembered outside the table: a backup that is restored would bring the learner
back. 3. All sessions end in the pool. 4. All items but the account's own are deleted, and
all objects in the buckets. 5. The pool's user is deleted. 6. A learner who has proved the address
is told by mail. Cut off here: another mail tells it again. 7. In one write the addresses are free
and the account is a mark that says "gone".

Cut off anywhere after 1, a sweep goes on, five minutes later at most; a sign-up with the address
goes on after a minute.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.cognito.users import UNCONFIRMED, PoolUser
from accounts.emails import tell_of_deletion
from accounts.models import Account, Address, learner_key
from accounts.models.account import account_cache
from accounts.services.unfinished import complete_proof
from config import aws, objects
from config.problems import ServiceUnavailable
from config.stack import stack
from config.store.items import ConditionFailed, batch_get, delete_partition
from config.store.transactions import Update, Write, transact

log = logging.getLogger("parley.accounts")

# API Gateway waits 29 s; what is not removed by then is left to `resume_deletions`.
WITHIN_S = 20
# Tokens may work on in other processes for ACCOUNT_STATE_CACHE_S: their writes are swept later.
SWEEP_AFTER = timedelta(minutes=2)
UNVERIFIED_FOR = timedelta(days=7)


def make_way(account: Account, *, reservation: Address, now: datetime) -> None:
    """Removes an account whose address nobody has proved; the address becomes `reservation`.

    Also completes a deletion that was cut off. No sign-up gets the address in between. Raises
    ConditionFailed when the address was proved or freed at this moment; ServiceUnavailable.
    """
    if not account.is_leaving:
        account.mark_for_deletion(now, if_unverified=True)
    account_cache.forget(account.learner_id)
    if not _empty(account):
        raise ServiceUnavailable("The account has more than can be removed at once: try again")
    freed = account.addresses - {reservation.email}
    _strike(account, [reservation.taken_from(account.learner_id), *_free(account, freed)], now)


def remove(account: Account, *, now: datetime, tell: bool = True) -> bool:
    """Removes an account that is barred; False when the rest is left to `resume_deletions`.

    `tell`: whether a mail tells its owner, if the address was proved.
    """
    if not _empty(account):
        return False
    if tell and account.email_verified:
        tell_of_deletion(account.email, account.deleted_as, now=now)
    try:
        _strike(account, _free(account, account.addresses), now)
    except ConditionFailed:
        log.warning("someone else has finished this")
    return True


def _empty(account: Account) -> bool:
    """Removes all but the account item and the address; False when time ran out before."""
    _remember(account.learner_id)
    cognito_sessions.sign_out_everywhere(account.user_name)
    if not delete_partition(account.pk, keep={Account.SK}, within_s=WITHIN_S):
        return False
    objects.delete_all_of(account.learner_id)
    cognito_users.delete_user(account.user_name)
    return True


def _free(account: Account, emails: Iterable[str]) -> list[Write]:
    return [Address.at(email).release_write(account.learner_id) for email in sorted(emails)]


def _strike(account: Account, addresses: Iterable[Write], now: datetime) -> None:
    """Completes a deletion: the addresses go, the account becomes a mark that says "gone"."""
    transact(*addresses, Update(account, account.anonymised(now), Account.pk.exists()))


def delete_unverified(accounts: Iterable[Account], *, now: datetime) -> int:
    """Bars accounts for good whose address nobody has proved in a week; returns how many.

    Only sign-ups that nobody has confirmed are meant: users whom the console let in stay.
    `resume_deletions` does the rest.
    """
    done = 0
    for account in accounts:
        if account.email_verified or account.created_at >= now - UNVERIFIED_FOR:
            continue
        complete_proof(account, now=now)
        if is_unproved(account):
            with suppress(ConditionFailed):  # it was verified at this moment, or is gone
                account.mark_for_deletion(now, if_unverified=True)
                done += 1
    return done


def is_unproved(account: Account) -> bool:
    """Whether the account is a sign-up of ours that nobody has confirmed."""
    if account.email_verified:
        return False
    user = cognito_users.find_user(account.user_name)
    return user is None or user.status == UNCONFIRMED


def is_left_over(user: PoolUser) -> bool:
    """Whether a sign-up was cut off after the pool had made the user: nobody can confirm them."""
    return user.status == UNCONFIRMED and Account.of(user.sub) is None


def delete_left_over(users: Iterable[PoolUser], *, now: datetime) -> int:
    """Deletes users whom a sign-up left behind more than a week ago; returns how many."""
    done = 0
    for user in users:
        is_old = user.created_at is not None and user.created_at < now - UNVERIFIED_FOR
        if is_old and is_left_over(user):
            cognito_users.delete_user(user.sub)
            done += 1
    return done


def resume_deletions(*, now: datetime) -> int:
    """Completes deletions that were cut off, and sweeps after the others; returns how many.

    Run every few minutes; harmless at any time.
    """
    done = 0
    for account in Account.pending_deletion():
        done += remove(account, now=now)
    for account in Account.deleted_before(before=now - SWEEP_AFTER):
        done += delete_partition(account.pk, within_s=WITHIN_S)
        objects.delete_all_of(account.learner_id)
    return done


DEPARTED = "departed/"  # where the bucket remembers deletions, for longer than backups go back


def _remember(learner_id: str) -> None:
    """Remembers a deletion outside the table; only the learner's id is kept."""
    key = f"{DEPARTED}{learner_id}"
    aws.call("s3", "put_object", Bucket=stack().transfer_bucket, Key=key, Body=b"")


def reapply_deletions(*, now: datetime) -> int:
    """Deletes learners again whom a restored table has brought back; returns how many.

    A learner's id never comes back by itself: whoever was deleted once and is in the table was
    restored. Harmless at any time. Cut off: the next run goes on; what has begun is the sweep's.
    """
    done = 0
    for learner_ids in _departed():
        keys = [(learner_key(learner_id), Account.SK) for learner_id in learner_ids]
        for account in batch_get(*keys).values():
            if isinstance(account, Account) and account.gsi1pk == "LEARNERS":
                with suppress(ConditionFailed):  # gone at this moment
                    account.mark_for_deletion(now)
                    account_cache.forget(account.learner_id)
                    done += remove(account, now=now, tell=False)
    return done


def _departed() -> Iterator[list[str]]:
    """The ids of all whose deletion the bucket remembers, up to a thousand at a time."""
    more = {"Bucket": stack().transfer_bucket, "Prefix": DEPARTED}
    while True:
        page = aws.call("s3", "list_objects_v2", **more)
        yield [entry["Key"].removeprefix(DEPARTED) for entry in page.get("Contents", ())]
        if not page.get("IsTruncated"):
            return
        more["ContinuationToken"] = page["NextContinuationToken"]
