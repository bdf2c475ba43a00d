"""Sessions of browsers: begun by a sign-in, carried by a cookie, ended by either side.

The cookie is an opaque text that we sealed: no other leads to a read of the table. It lasts for a
working day. A session that nobody uses ends sooner: when its access token has been void for IDLE.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from pynamodb.attributes import UnicodeAttribute
from ulid import ULID

from accounts.authentication import STAFF
from accounts.cognito.client import InvalidRefreshToken
from accounts.cognito.sessions import Tokens
from accounts.models import OfLearner, learner_key
from accounts.services import sessions
from accounts.services.sessions import SignedIn
from config.client_info import ClientInfo
from config.crypto import InvalidSeal, seal, unseal
from config.problems import PermissionDenied
from config.store.items import ConditionFailed
from config.store.transactions import Delete, transact


class BrowserSession(OfLearner, discriminator="browser_session"):
    """A member of staff at work in a browser: `LEARNER#<sub>` / `BROWSER#<ulid>`.

    In the learner's partition, so that it leaves with them. `tokens` is sealed text; it changes
    each time the access token is renewed.
    """

    PREFIX = "BROWSER#"

    tokens = UnicodeAttribute()

    @classmethod
    def new(cls, learner_id: str, *, now: datetime, until: datetime) -> Self:
        return cls(
            learner_key(learner_id),
            f"{cls.PREFIX}{ULID.from_datetime(now)}",
            expires_at=int(until.timestamp()),
        )

    @classmethod
    def of(cls, learner_id: str, session_id: str, *, now: datetime) -> Self | None:
        """One consistent read; a lapsed session is none."""
        session = cls.get_or_none(learner_key(learner_id), f"{cls.PREFIX}{session_id}")
        return session if session and session.expires_at > now.timestamp() else None

    @property
    def id(self) -> str:
        return self.sk.partition("#")[2]

    def renew(self, tokens: str) -> None:
        """Replaces the tokens. Raises ConditionFailed when they were replaced since, or ended."""
        self.update_attributes(
            BrowserSession.tokens.set(tokens), condition=BrowserSession.tokens == self.tokens
        )

    def end(self) -> None:
        """Removes the session, if it is still there."""
        transact(Delete(self))


COOKIE, TOKENS = "browser cookie", "browser tokens"
LASTS = timedelta(hours=12)
IDLE = timedelta(hours=1)
MARGIN = timedelta(seconds=30)  # a token is renewed so long before it ends


class StaffOnly(PermissionDenied):
    code, title = "STAFF_ONLY", "These pages are for staff"


class SessionOver(Exception):
    """There is no session, or it has ended."""


@dataclass(frozen=True)
class _StoredTokens:
    """The tokens that the item holds sealed."""

    access_token: str
    refresh_token: str
    void_at: datetime

    @classmethod
    def opened(cls, item: BrowserSession, now: datetime) -> "_StoredTokens":
        try:
            values = unseal(TOKENS, item.tokens, now=now)
        except InvalidSeal as error:
            raise SessionOver from error
        if values["session"] != item.id:
            raise SessionOver
        void_at = datetime.fromtimestamp(values["void_at"], now.tzinfo)
        return cls(values["access"], values["refresh"], void_at)


def _sealed(item: BrowserSession, tokens: Tokens, refresh_token: str, now: datetime) -> str:
    values: dict[str, Any] = {
        "session": item.id,
        "access": tokens.access_token,
        "refresh": refresh_token,
        "void_at": now.timestamp() + tokens.expires_in_s,
    }
    return seal(TOKENS, values, until=now + LASTS)


def begin(signed_in: SignedIn, *, now: datetime) -> str:
    """Begins a session after a sign-in; returns the cookie.

    Raises StaffOnly; then the tokens are void.
    """
    refresh_token = signed_in.tokens.refresh_token or ""  # every sign-in yields one
    if STAFF.isdisjoint(signed_in.full_profile.groups):
        sessions.sign_out(refresh_token=refresh_token, now=now)
        raise StaffOnly
    item = BrowserSession.new(signed_in.full_profile.account.learner_id, now=now, until=now + LASTS)
    item.tokens = _sealed(item, signed_in.tokens, refresh_token, now)
    item.create()
    return seal(COOKIE, {"learner": item.learner_id, "id": item.id}, until=now + LASTS)


def _find(cookie: str, now: datetime) -> BrowserSession:
    try:
        values = unseal(COOKIE, cookie, now=now)
    except InvalidSeal as error:
        raise SessionOver from error
    session = BrowserSession.of(values["learner"], values["id"], now=now)
    if session is None:
        raise SessionOver
    return session


def resume(cookie: str, *, source: ClientInfo, now: datetime) -> str:
    """The session's access token, renewed if need be. Raises SessionOver."""
    item = _find(cookie, now)
    kept = _StoredTokens.opened(item, now)
    if now < kept.void_at - MARGIN:
        return kept.access_token
    if now > kept.void_at + IDLE:
        _end(item, kept, now)
        raise SessionOver
    return _renew(item, kept, cookie, source, now)


def _renew(
    item: BrowserSession, kept: _StoredTokens, cookie: str, source: ClientInfo, now: datetime
) -> str:
    """Renews the access token. Of two tabs at once the one that writes first decides for both."""
    try:
        fresh = sessions.refresh(refresh_token=kept.refresh_token, source=source, now=now)
        item.renew(_sealed(item, fresh, fresh.refresh_token or kept.refresh_token, now))
    except (InvalidRefreshToken, ConditionFailed) as error:
        current = _find(cookie, now)
        if current.tokens == item.tokens:
            current.end()
            raise SessionOver from error
        return _StoredTokens.opened(current, now).access_token
    return fresh.access_token


def end(cookie: str, *, now: datetime) -> None:
    """Ends the session of a cookie, if there is one."""
    try:
        item = _find(cookie, now)
        _end(item, _StoredTokens.opened(item, now), now)
    except SessionOver:
        return


def _end(item: BrowserSession, kept: _StoredTokens, now: datetime) -> None:
    item.end()
    sessions.sign_out(refresh_token=kept.refresh_token, now=now)
