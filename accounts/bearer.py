"""Authenticates a learner by an access token, unless their account bars it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.conf import settings

from accounts.models import Account
from accounts.tokens import Claims, InvalidToken
from accounts.verification import verify_access_token


@dataclass(frozen=True)
class Learner:
    """The caller. `id` is Cognito's `sub`; instants are epoch seconds.

    `session` is what all tokens of the sign-in share. `lacks_second_step`: they are staff, who need
    one here, and can do nothing but set it up.
    """

    id: str
    groups: frozenset[str]
    issued_at: int
    authenticated_at: int
    session: str = ""
    lacks_second_step: bool = False


@dataclass
class AccountCache:
    """The accounts met lately, each kept for ACCOUNT_STATE_CACHE_S seconds in this process."""

    read: Callable[[str], Account | None] = Account.of
    clock: Callable[[], float] = time.monotonic
    most: int = 10_000
    _known: dict[str, tuple[float, Account | None]] = field(default_factory=dict)

    def of(self, learner_id: str) -> Account | None:
        """The account, at most ACCOUNT_STATE_CACHE_S old; None where there is none (any more)."""
        now = self.clock()
        until, account = self._known.get(learner_id, (0.0, None))
        if until <= now:
            account = self.read(learner_id)
            if len(self._known) >= self.most:
                self._known.clear()
            self._known[learner_id] = (now + settings.ACCOUNT_STATE_CACHE_S, account)
        return account

    def forget(self, learner_id: str | None = None) -> None:
        """Makes the next request read the account again (all accounts without an id)."""
        if learner_id is None:
            self._known.clear()
        else:
            self._known.pop(learner_id, None)


account_cache = AccountCache()


def authenticate(token: str) -> Learner:
    """The learner of an access token.

    Raises InvalidToken, also when the account bars the token; ServiceUnavailable.
    """
    claims = verify_access_token(token)
    account = account_cache.of(claims.sub)
    if account is None or _is_refused(account, claims):
        raise InvalidToken
    return Learner(
        claims.sub,
        claims.groups,
        claims.issued_at,
        claims.authenticated_at,
        claims.session,
        _lacks_second_step(account, claims),
    )


def _is_refused(account: Account, claims: Claims) -> bool:
    return (
        account.disabled
        or bool(account.unlinking)
        or bool(account.cut_off_password_changes(time.time()))
        or claims.issued_at < account.tokens_valid_after
        or account.is_session_ended(claims.session)
    )


def _lacks_second_step(account: Account, claims: Claims) -> bool:
    if not settings.STAFF_SECOND_STEP or not claims.groups or account.mfa_enabled:
        return False
    account_cache.forget(claims.sub)  # it may just have been turned on, in another process
    account_now = account_cache.of(claims.sub)
    return account_now is None or not account_now.mfa_enabled
