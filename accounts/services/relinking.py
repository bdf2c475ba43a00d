"""After the pool was lost: learners are linked to users of a new pool by their proved addresses.

Cognito has no backup. A pool that is made anew gives everybody another `sub`, and it is by the
`sub` that we find all that is a learner's. For each account whose address was proved and whose user
is not in the pool:

1. The pool makes a user with the address, verified, whose password nobody knows; the Google
   accounts that entered are linked. Where the address was proved anew in the new pool, its account
   is the one to go on with, provided that nothing has been made in it; a claim makes way.
2. All items but those of sign-ins are copied to the user's partition, without their places in
   the global index, so that nothing is due twice. A copy that was cut off goes on at its last item.
3. In one write the new account is there, with the head, and the addresses are its own.
4. Places in the global index are handed over one by one, each in one write.
5. The learner is told by mail. The old partition goes, its account last.

Each step may be repeated; cut off anywhere, the next run goes on. The second step is off: its
secret was the pool's. Groups were the pool's too: `create_staff` gives them again.
"""

import secrets
import time
from datetime import datetime
from typing import Literal

from accounts.cognito import users as cognito_users
from accounts.cognito.client import UserAlreadyExists
from accounts.cognito.users import UNCONFIRMED
from accounts.emails import tell_of_renewal
from accounts.models import Account, Activity, Address, Head, Profile, learner_key
from accounts.services import removal
from accounts.services.addresses import clear_left_over, reserve
from config.client_info import SYSTEM
from config.records import dataclass
from config.stack import stack
from config.store.connection import put_raws, read_raws
from config.store.items import (
    ConditionFailed,
    Item,
    Raw,
    batch_get,
    delete_partition,
    raw_partition_page,
)
from config.store.transactions import Delete, Put, Update, Write, transact

Outcome = Literal["linked", "in_order", "begun_anew", "cut_off"]

# Items of sign-ins in the lost pool, and items that the new account gets of its own.
LEFT_BEHIND = frozenset(
    {"account", "browser_session", "email_change", "head", "login_session", "mfa"}
)
# The items of an account in which nothing was made yet.
UNTOUCHED = LEFT_BEHIND | {"activity", "profile"}
PAGE = 50


@dataclass(frozen=True)
class Relinked:
    """The outcome of one run; people have to decide about the learners in `begun_anew`, by id."""

    linked: int
    begun_anew: tuple[str, ...]
    is_whole: bool


def relink_all(*, now: datetime, within_s: float) -> Relinked:
    """Links all learners whose users are lost, as far as the time allows; the next run goes on."""
    until = time.monotonic() + within_s
    outcomes: list[tuple[str, Outcome]] = []
    start: Raw | None = None
    while True:
        page = Account.by_email("", limit=PAGE, start=start)
        for account in page.items:
            outcomes.append((account.learner_id, relink(account, now=now, until=until)))
        start = page.next_key
        is_late = time.monotonic() > until or "cut_off" in dict(outcomes).values()
        if start is None or is_late:
            begun_anew = tuple(id for id, outcome in outcomes if outcome == "begun_anew")
            linked = sum(outcome == "linked" for _, outcome in outcomes)
            return Relinked(linked, begun_anew, start is None and not is_late)


def relink(account: Account, *, now: datetime, until: float) -> Outcome:
    """Links one learner to a user of the pool, as this module says.

    `in_order`: the user is there, or nobody has proved the address. `begun_anew`: the owner of the
    address has another account by now, and has made something in it: people have to decide.
    """
    if not account.email_verified or _has_user(account):
        return "in_order"
    if time.monotonic() > until:
        return "cut_off"
    mark = _mark(account.learner_id)
    address = Address.of(account.email)
    successor = Account.of(address.learner_id) if address and address.learner_id else None
    if successor is not None and successor.learner_id == account.learner_id:
        successor = None
    if successor is not None and removal.is_unproved(successor):
        try:  # a claim that nobody has proved gives no right
            reserve(account.email, now=now).release()
        except UserAlreadyExists:
            return "begun_anew"
        successor = None
    is_switched = successor is not None and successor.relinked_from == mark
    if successor is not None and not is_switched and not _is_untouched(successor):
        return "begun_anew"
    new_id = successor.learner_id if successor else _make_user(account)
    if not is_switched:
        start = None if successor else _last_copied(account.learner_id, new_id)
        if not _copy(account.learner_id, new_id, start, until):
            return "cut_off"
        try:
            transact(*_switch(account, successor, new_id, now))
        except ConditionFailed:
            return "begun_anew"
    _hand_over_places(account.learner_id, new_id)
    tell_of_renewal(account.email)
    if not delete_partition(account.pk, keep={Account.SK}, within_s=until - time.monotonic()):
        return "cut_off"
    transact(Delete(Account.at(account.learner_id)))
    return "linked"


def _mark(old_id: str) -> str:
    return f"{stack().user_pool_id}#{old_id}"


def _has_user(account: Account) -> bool:
    """Whether the pool has the account's own user. It is not asked about users linked in it."""
    if account.relinked_from and account.relinked_from.startswith(_mark("")):
        return True
    user = cognito_users.find_user(account.user_name)
    return user is not None and user.sub == account.learner_id


def _make_user(account: Account) -> str:
    """The `sub` of a user with the account's address, whose password nobody knows."""
    clear_left_over(account.email)
    user = cognito_users.find_user(account.email)
    sub = user.sub if user else _create_user(account)
    cognito_users.set_password(sub, secrets.token_urlsafe(32))
    if account.federated_name:  # Cognito links no Google account that has a user of its own
        stray = cognito_users.find_user(account.federated_name)
        if stray is not None and Account.of(stray.sub) is None and stray.sub != sub:
            cognito_users.delete_user(account.federated_name)
    for google_id in sorted(_google_ids(account) - (user.google_ids if user else frozenset())):
        cognito_users.link_google(sub, google_id)
    return sub


def _create_user(account: Account) -> str:
    profile = Profile.of(account.learner_id)
    return cognito_users.create_user(
        email=account.email,
        first_name=profile.first_name if profile else "",
        last_name=profile.last_name if profile else "",
    )


def _google_ids(account: Account) -> frozenset[str]:
    """The Google accounts that entered as the learner."""
    if account.google_off or account.unlinking:
        return frozenset()
    own = {account.federated_name.partition("_")[2]} if account.federated_name else set()
    return frozenset(own | set(account.google_ids or ()))


def _is_untouched(account: Account) -> bool:
    """Whether the owner of the address has signed up anew, and made nothing yet."""
    user = cognito_users.find_user(account.user_name)
    if not account.email_verified or user is None or user.status == UNCONFIRMED:
        return False
    page = raw_partition_page(account.pk)
    return page.next_key is None and all(raw["kind"]["S"] in UNTOUCHED for raw in page.items)


def _last_copied(old_id: str, new_id: str) -> Raw | None:
    """The place in the old partition after which a copy that was cut off goes on."""
    copied = Item.query_page(learner_key(new_id), limit=1, descending=True).items
    return {"pk": {"S": learner_key(old_id)}, "sk": {"S": copied[0].sk}} if copied else None


def _copy(old_id: str, new_id: str, start: Raw | None, until: float) -> bool:
    """Copies what is a learner's, in the order of its keys; False when time ran out before."""
    while time.monotonic() < until:
        page = raw_partition_page(learner_key(old_id), start=start)
        put_raws([_moved(raw, new_id) for raw in page.items if _is_taken_along(raw)])
        start = page.next_key
        if start is None:
            return True
    return False


def _is_taken_along(raw: Raw) -> bool:
    return raw["kind"]["S"] not in LEFT_BEHIND


def _moved(raw: Raw, new_id: str) -> Raw:
    """An item in another partition, without its place in the global index."""
    kept = {name: value for name, value in raw.items() if name not in ("gsi1pk", "gsi1sk")}
    return kept | {"pk": {"S": learner_key(new_id)}}


def _switch(account: Account, successor: Account | None, new_id: str, now: datetime) -> list[Write]:
    """The writes by which the learner is the new user."""
    old_id = account.learner_id
    line = Activity.new(new_id, "relinked", SYSTEM, now=now, actor="manage.py")
    writes: list[Write] = [Put(line)]
    key = (learner_key(old_id), Head.SK)
    head = batch_get(key).get(key)
    if isinstance(head, Head):
        moved = Head.from_raw(_moved(head.raw, new_id))
        writes.append(Put(moved, Head.pk.does_not_exist() | (Head.n == 0)))
    if successor is not None:
        marked = Account.relinked_from.set(_mark(old_id))
        writes.append(Update(successor, [marked], Account.gsi1pk == "LEARNERS"))
        others = account.addresses - {account.email}
        return writes + [Address.at(email).release_write(old_id) for email in sorted(others)]
    writes.append(Put(_account(account, new_id, now), Account.pk.does_not_exist()))
    is_ours = Address.pk.does_not_exist() | (Address.learner_id == old_id)
    for email in sorted(account.addresses):
        held = Address(f"EMAIL#{email}", Address.SK, owner=new_id, lease_until=0, learner_id=new_id)
        writes.append(Put(held, is_ours))
    return writes


def _account(old: Account, new_id: str, now: datetime) -> Account:
    """The account of the new user. What was issued or begun in the lost pool is void."""
    new = Account.new(new_id, email=old.email, now=now)
    new.email_verified, new.disabled, new.created_at = True, old.disabled, old.created_at
    new.moving_to, new.relinked_from = old.moving_to, _mark(old.learner_id)
    new.google_ids = set(_google_ids(old)) or None
    new.tokens_valid_after, new.sessions_ended_at = int(now.timestamp()) + 1, now
    return new


def _hand_over_places(old_id: str, new_id: str) -> None:
    start: Raw | None = None
    while True:
        page = raw_partition_page(learner_key(old_id), start=start)
        for raw in page.items:
            if "gsi1pk" in raw and _is_taken_along(raw):
                _hand_over_place(raw, new_id)
        start = page.next_key
        if start is None:
            return


def _hand_over_place(raw: Raw, new_id: str) -> None:
    """Gives an item's place in the global index to its copy. An old copy is made anew.

    A sweep that takes the item at this moment is waited for: its outcome is copied.
    """
    while True:
        put_raws([_moved(raw, new_id)])
        sort_key, place = raw["sk"]["S"], (raw["gsi1pk"]["S"], raw["gsi1sk"]["S"])
        old, new = Item(raw["pk"]["S"], sort_key), Item(learner_key(new_id), sort_key)
        try:
            transact(
                Update(old, [Item.gsi1pk.remove(), Item.gsi1sk.remove()], Item.gsi1sk == place[1]),
                Update(new, [Item.gsi1pk.set(place[0]), Item.gsi1sk.set(place[1])]),
            )
        except ConditionFailed:
            [raw] = read_raws([(raw["pk"]["S"], sort_key)])
            if "gsi1pk" not in raw:
                put_raws([_moved(raw, new_id)])
                return
        else:
            return
