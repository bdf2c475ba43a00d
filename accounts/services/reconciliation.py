"""Compares the pool with the table, repairs what is certain, and reports the rest; deletes nobody.

A round goes through these phases, a page at a time. After each page the round is stored with its
place, so whoever goes on with it begins there: another run of the same night, or the next night.

1. `accounts`: each account of the table with its user and its address. 2. `users`: each user of the
pool who has no account. 3. `groups`: each member of our staff. 4. `repairs`: each disagreement that
was found is looked at once more and repaired, if that is certain. Above MOST disagreements a store
has probably been restored: then nothing is repaired.

What is certain follows from two rules: the person is the pool's `sub`, and an address belongs to
the account that has proved it.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Literal

from accounts.cognito import users as cognito_users
from accounts.cognito.client import NoSuchUser, UserAlreadyExists
from accounts.cognito.users import (
    EXTERNAL_PROVIDER,
    FORCE_CHANGE_PASSWORD,
    UNCONFIRMED,
    PlaceLost,
    PoolUser,
)
from accounts.models import Account, Activity, Address, Reconciliation, learner_key
from accounts.models.account import account_cache
from accounts.services.sessions import adopt
from accounts.services.unfinished import complete
from accounts.tokens import ROLES
from config import telemetry
from config.client_info import SYSTEM
from config.problems import ValidationFailed
from config.store.items import ConditionFailed, batch_get
from config.store.transactions import Put, transact

log = logging.getLogger("parley.accounts")

Kind = Literal[
    "unfinished",
    "address_free",
    "proved_in_pool",
    "unproved_in_pool",
    "other_unproved_address_in_pool",
    "open_in_pool",
    "shut_in_pool",
    "user_without_account",
    "user_missing",
    "user_unconfirmed",
    "other_address_in_pool",
    "address_of_another",
    "enrolment_cut_off",
    "staff_not_proved",
    "unproved_account_confirmed",
]

MOST = 20
PAGE = 50
IN_FLIGHT = timedelta(hours=1)  # anything younger may be a journey under way


# --- Comparing ------------------------------------------------------------------------------------


def disagreement(
    account: Account, user: PoolUser | None, address: Address | None, *, now: datetime
) -> Kind | None:
    """The first disagreement of the stores about an account; None if they agree."""
    if account.enrolling:
        return "enrolment_cut_off" if account.created_at < now - IN_FLIGHT else None
    if user is None or user.sub != account.learner_id:
        return "user_missing" if account.email_verified else None
    if _is_unfinished(account, user, now):
        return "unfinished"
    return (
        _about_the_claim(account, address, now)
        or _about_the_proof(account, user)
        or _about_the_state(account, user)
    )


def _is_unfinished(account: Account, user: PoolUser, now: datetime) -> bool:
    """Whether a journey was cut off that the next contact would complete."""
    begun_at = int(account.linking.partition("#")[0]) if account.linking else None
    is_proved = bool(account.proofs) and user.status != UNCONFIRMED and user.email_verified
    return (
        bool(account.moving_to or account.unlinking)
        or bool(account.cut_off_password_changes(now.timestamp()))
        or (begun_at is not None and now.timestamp() - begun_at > account.CUT_OFF_AFTER_S)
        or (is_proved and not account.email_verified)
    )


def _about_the_claim(account: Account, address: Address | None, now: datetime) -> Kind | None:
    if address is None or address.is_free(now):
        return "address_free" if account.email_verified else None
    is_own = not address.learner_id or address.learner_id == account.learner_id
    return None if is_own else "address_of_another"


def _about_the_proof(account: Account, user: PoolUser) -> Kind | None:
    if account.federated_name:  # Google's claims are no address of the pool's user
        return None
    if not account.email_verified:
        if user.status == UNCONFIRMED:
            return None
        if user.email_verified:
            return "proved_in_pool" if user.email == account.email else None
        return "unproved_account_confirmed" if account.sign_up_secret else None
    if user.status == UNCONFIRMED:
        return "user_unconfirmed"
    if user.email == account.email:
        return None if user.email_verified else "unproved_in_pool"
    return "other_address_in_pool" if user.email_verified else "other_unproved_address_in_pool"


def _about_the_state(account: Account, user: PoolUser) -> Kind | None:
    if account.disabled == (not user.enabled):
        return None
    return "open_in_pool" if account.disabled else "shut_in_pool"


def _about_a_stranger(user: PoolUser, address: Address | None, now: datetime) -> Kind | None:
    """The fault of a user without an account.

    None for those who wait for a first sign-in, or whom `removal.delete_left_over` will delete.
    """
    is_young = user.created_at is not None and user.created_at > now - IN_FLIGHT
    if is_young or user.status in (FORCE_CHANGE_PASSWORD, EXTERNAL_PROVIDER, UNCONFIRMED):
        return None
    is_free = address is None or address.is_free(now)
    return "user_without_account" if is_free else "address_of_another"


def _look(learner_id: str, now: datetime) -> Kind | None:
    """What the stores disagree on about a person at this moment."""
    account = Account.of(learner_id)
    if account is None:
        user = cognito_users.find_user(learner_id)
        if user is None:
            return None
        return _about_a_stranger(user, Address.of(user.email) if user.email else None, now)
    if account.gsi1pk != "LEARNERS":  # the sweep's
        return None
    user = cognito_users.find_user(account.user_name)
    return disagreement(account, user, Address.of(account.email), now=now)


# --- Repairing ------------------------------------------------------------------------------------


def _finish(account: Account, now: datetime) -> None:
    complete(account, now=now)


def _claim(account: Account, now: datetime) -> None:
    """Gives the address to the account that has proved it, if it is free still."""
    reservation = Address.reservation(account.email, owner=account.learner_id, now=now)
    reservation.take()
    transact(reservation.assign_write(account.learner_id))


def _take_over_proof(account: Account, now: datetime) -> None:
    """Believes an operator who has confirmed the user and verified the address in the console."""
    line = Activity.new(account.learner_id, "email_verified", SYSTEM, now=now)
    transact(account.prove_write(), Put(line))


def _vouch(account: Account, _now: datetime) -> None:
    cognito_users.vouch_for_email(account.user_name)


def _give_address(account: Account, _now: datetime) -> None:
    cognito_users.set_email(account.user_name, account.email)


def _shut(account: Account, _now: datetime) -> None:
    """Shuts the user, unless an admin opens the account at this moment."""
    cognito_users.set_enabled(account.user_name, enabled=False)
    if not (Account.of(account.learner_id) or account).disabled:
        cognito_users.set_enabled(account.user_name, enabled=True)


def _follow_shut(account: Account, now: datetime) -> None:
    """Shuts the account as an operator has shut its user in the console."""
    line = Activity.new(account.learner_id, "disabled", SYSTEM, now=now, actor="console")
    transact(account.set_disabled_write(True, now), Put(line))


REPAIRS: dict[str, Callable[[Account, datetime], None]] = {
    "unfinished": _finish,
    "address_free": _claim,
    "proved_in_pool": _take_over_proof,
    "unproved_in_pool": _vouch,
    "other_unproved_address_in_pool": _give_address,
    "open_in_pool": _shut,
    "shut_in_pool": _follow_shut,
}
ADOPTED: Kind = "user_without_account"


def repair(learner_id: str, *, now: datetime) -> Kind | None:
    """Makes the certain repairs of a person. Returns the fault that is left.

    Raises ServiceUnavailable.
    """
    tried: set[str] = set()
    while (kind := _look(learner_id, now)) and kind not in tried:
        tried.add(kind)
        with suppress(ConditionFailed, NoSuchUser, UserAlreadyExists, ValidationFailed):
            account = Account.of(learner_id)
            if kind == ADOPTED:
                adopt(learner_id, source=SYSTEM, now=now)
            elif account is not None and kind in REPAIRS:
                REPAIRS[kind](account, now)
        account_cache.forget(learner_id)
    return kind


# --- The round ------------------------------------------------------------------------------------


def reconcile(*, goes_on: bool, now: datetime, within_s: float) -> bool:
    """Goes on with the round, or begins one; False when time ran out before its end.

    `goes_on`: begins none. Raises ConditionFailed where another run is at it.
    """
    until = time.monotonic() + within_s
    current = Reconciliation.latest()
    if current.phase == Reconciliation.DONE:
        if goes_on:
            return True
        current.begin("accounts", now)
    while True:
        PHASES[current.phase](current, now)
        is_done = current.phase == Reconciliation.DONE
        if is_done:
            _tell(current, now)
        current.put()
        if is_done or time.monotonic() > until:
            return is_done


def _compare_accounts(current: Reconciliation, now: datetime) -> None:
    page = Account.by_email("", limit=PAGE, start=current.place)
    keys = [(Address.at(account.email).pk, Address.SK) for account in page.items]
    addresses = batch_get(*keys)
    for account in page.items:
        user = cognito_users.find_user(account.user_name)
        address = addresses.get((f"EMAIL#{account.email}", Address.SK))
        held = address if isinstance(address, Address) else None
        if kind := disagreement(account, user, held, now=now):
            current.add(account.learner_id, kind)
    _turn_page(current, len(page.items), page.next_key, then="users")


def _compare_users(current: Reconciliation, now: datetime) -> None:
    try:
        users, place = cognito_users.list_users(limit=PAGE, start=current.place)
    except PlaceLost:
        if current.place is None:
            raise
        current.place = None
        return
    known = batch_get(*((learner_key(user.sub), Account.SK) for user in users))
    for user in users:
        if (learner_key(user.sub), Account.SK) not in known:
            address = Address.of(user.email) if user.email else None
            if kind := _about_a_stranger(user, address, now):
                current.add(user.sub, kind)
    _turn_page(current, len(users), place, then="groups")


def _compare_groups(current: Reconciliation, _now: datetime) -> None:
    members = {
        user.sub: user for group in sorted(ROLES) for user in cognito_users.members_of(group)
    }
    for sub, user in members.items():
        account = Account.of(sub)
        is_proved = account.email_verified if account else user.email_verified
        if not is_proved:
            current.add(sub, "staff_not_proved")
    current.move_on("repairs")


def _turn_page(current: Reconciliation, compared: int, place: object, *, then: str) -> None:
    current.compared += compared
    if place is None:
        current.move_on(then)
    else:
        current.place = place


def _repair_next(current: Reconciliation, now: datetime) -> None:
    number = int(current.place or 0)
    if current.total > MOST or number >= len(current.found):
        current.move_on(Reconciliation.DONE)
        return
    entry = current.found[number]
    if entry["kind"] != "staff_not_proved":
        left = repair(entry["learner_id"], now=now)
        entry |= {"repaired": left is None, "kind": left or entry["kind"]}
    current.found, current.place = [*current.found], number + 1


PHASES: dict[str, Callable[[Reconciliation, datetime], None]] = {
    "accounts": _compare_accounts,
    "users": _compare_users,
    "groups": _compare_groups,
    "repairs": _repair_next,
}


def _tell(current: Reconciliation, now: datetime) -> None:
    """Makes the report of the round, with a line in the log and a value of the metric."""
    repaired = sum(entry["repaired"] for entry in current.found)
    left = int(current.total) - repaired
    current.report = {
        "begun_at": current.begun_at.isoformat(),
        "finished_at": now.isoformat(),
        "compared": int(current.compared),
        "total": int(current.total),
        "only_reported": current.total > MOST,
        "results": current.found,
    }
    telemetry.emit("Disagreements", left)
    if left:
        kinds = Counter(entry["kind"] for entry in current.found if not entry["repaired"])
        fields = {"left": left, "repaired": repaired, "kinds": dict(kinds)}
        log.error("pool and table disagree", extra={"fields": fields})
