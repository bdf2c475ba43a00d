"""Exports a learner's data, and deletes an account at its owner's wish."""

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from accounts.cognito import users as cognito_users
from accounts.cognito.client import InvalidCredentials
from accounts.models import Account, audit, learner_key
from accounts.models.account import account_cache
from accounts.services.removal import remove
from accounts.services.sessions import reauthenticate
from accounts.tokens import Learner
from config.client_info import ClientInfo
from config.problems import Conflict
from config.store.items import (
    Page,
    Raw,
    json_value,
    raw_partition_page,
    unpack,
)

log = logging.getLogger("parley.accounts")

SECRET_KINDS = frozenset({"mfa", "email_change", "browser_session", "calendar_link"})
PACKED = frozenset({"head", "journal"})
TECHNICAL = frozenset(
    {"pk", "sk", "kind", "v", "n", "lsi1", "lsi2", "lsi3", "lsi4", "lsi5", "gsi1pk", "gsi1sk"}
)


class LastAdmin(Conflict):
    code, title = "LAST_ADMIN", "You are the only admin: make somebody else one first"


def export(learner_id: str, *, start: Raw | None, source: ClientInfo, now: datetime) -> Page[Any]:
    """A page of all that is stored of a learner: {kind, key, data}, without secrets."""
    page = raw_partition_page(learner_key(learner_id), start=start)
    if start is None:
        audit.record(learner_id, "exported", source, now=now)
    return Page(list(_exported(page.items)), page.next_key)


def _exported(items: list[Raw]) -> Iterator[dict[str, Any]]:
    for item in items:
        kind = item["kind"]["S"]
        if kind not in SECRET_KINDS:
            names = [
                n for n in item if n not in TECHNICAL and (kind in PACKED or "B" not in item[n])
            ]
            data = {name: _shown(item[name]) for name in sorted(names)}
            yield {"kind": kind, "key": item["sk"]["S"], "data": data}


def _shown(attribute: dict[str, Any]) -> Any:
    """A stored attribute as a value of JSON, unpacked where it was packed."""
    return unpack(attribute["B"]) if "B" in attribute else json_value(attribute)


def delete_account(
    learner: Learner, password: str | None, *, source: ClientInfo, now: datetime
) -> bool:
    """Removes a learner and all that is theirs.

    True when all is gone; False when the rest is left to `resume_deletions`. After the first step
    nobody can come in any more, and each step may be repeated. Raises
    InvalidCredentials, FreshSignInNeeded, TooManyRequests; LastAdmin for the only admin who
    can sign in.
    """
    try:
        account = reauthenticate(learner, password, source=source, now=now)
    except InvalidCredentials:
        account = _account_without_user(learner)
    if "admin" in learner.groups and not _has_other_admins(learner):
        raise LastAdmin
    account.mark_for_deletion(now)
    account_cache.forget(learner.id)
    return remove(account, now=now)


def _has_other_admins(learner: Learner) -> bool:
    admins = cognito_users.members_of("admin")
    return any(admin.enabled and admin.sub != learner.id for admin in admins)


def _account_without_user(learner: Learner) -> Account:
    """The account of a user who was deleted in the console: no password could be right.

    Nobody can sign in any more, so the token that is left will do. Raises InvalidCredentials.
    """
    account = Account.of(learner.id)
    if account is None or cognito_users.find_user(account.user_name) is not None:
        raise InvalidCredentials
    return account
