"""Signing in and out: checks passwords, renews tokens and ends sessions.

Sensitive changes ask for the password once more (`reauthenticate`).
"""

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from django.utils import timezone

from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.cognito.client import (
    InvalidCredentials,
    InvalidRefreshToken,
    MfaSessionExpired,
    RefreshTokenReused,
    UserAlreadyExists,
)
from accounts.cognito.sessions import Challenge, NewPasswordRequired, Tokens
from accounts.emails import notify
from accounts.models import (
    Account,
    Activity,
    Address,
    Head,
    IssuedToken,
    KnownNetwork,
    Mfa,
    Profile,
    Session,
    audit,
)
from accounts.models.account import account_cache
from accounts.models.limits import LoginAttempt, hit
from accounts.services.addresses import reserve
from accounts.services.profile import FullProfile, read_profile
from accounts.services.unfinished import (
    account_at,
    complete,
    complete_link,
    complete_password_change,
    complete_proof,
    complete_unlink,
    user_name_of,
)
from accounts.tokens import Learner, owner_of
from config.client_info import SYSTEM, ClientInfo
from config.problems import (
    NotFound,
    PermissionDenied,
    Problem,
    ServiceUnavailable,
    ValidationFailed,
)
from config.records import dataclass
from config.store.items import ConditionFailed, Page, Raw
from config.store.transactions import Delete, Put, Write, transact

log = logging.getLogger("parley.accounts")


@dataclass(frozen=True)
class SignedIn:
    """Fresh tokens and the learner's profile."""

    tokens: Tokens
    full_profile: FullProfile


def sign_in(
    *, email: str, password: str, source: ClientInfo, now: datetime
) -> SignedIn | Challenge | NewPasswordRequired:
    """Checks address and password.

    Raises InvalidCredentials, EmailNotVerified, PasswordResetRequired; TooManyRequests after too
    many failures, whatever the password.
    """
    result = check_password(email, password, source=source, now=now)
    if not isinstance(result, Tokens):
        return result
    return complete_sign_in(result, source=source, now=now, by_mfa=False)


def check_password(
    email: str, password: str, *, source: ClientInfo, now: datetime, username: str | None = None
) -> Tokens | Challenge | NewPasswordRequired:
    """Whether this is the password, within the limits on guessing. Raises as `sign_in`.

    `username` is what the pool calls the account, where one is meant.
    """
    attempt = LoginAttempt.begin(email, source, now=now)
    try:
        account = None
        if username is None:
            account = account_at(email, now=now)
            wait_until_valid(account)
            username = user_name_of(account, email)
        result = cognito_sessions.sign_in(username=username, password=password)
        if account is not None and not account.has_password:  # whatever the pool makes of it
            raise InvalidCredentials
    except InvalidCredentials:
        attempt.failed()
        _record_failure(attempt, email, username, source, now)
        raise
    except Problem:  # it is not known to be wrong: the address is not verified, say
        attempt.undo()
        raise
    attempt.succeeded()
    return result


def _record_failure(
    attempt: LoginAttempt, email: str, username: str | None, source: ClientInfo, now: datetime
) -> None:
    if attempt.locks:
        cognito_users.mirror_failures(username or email, attempt.failures)
    address = Address.of(email)
    if address is not None and address.learner_id is not None:
        action: audit.Action = "locked_out" if attempt.locks else "sign_in_failed"
        audit.record(address.learner_id, action, source, now=now)


def complete_sign_in(
    tokens: Tokens,
    *,
    source: ClientInfo,
    now: datetime,
    by_mfa: bool | None = None,
    begun_at: float | None = None,
) -> SignedIn:
    """Completes the sign-in of the tokens' owner. Raises InvalidCredentials if the account bars it.

    `by_mfa`: whether Cognito asked for a second step; None when another provider let them in.
    `begun_at`: the epoch second of the password, where the second step came later. Raises
    MfaSessionExpired when sessions were ended in between: the password may be an old one.
    """
    owner = owner_of(tokens.access_token)  # straight from the pool
    learner = read_profile(owner.id, groups=owner.groups, now=now)
    if learner is None and adopt(owner.id, source=source, now=now):
        learner = read_profile(owner.id, groups=owner.groups, now=now)
    if learner is None or learner.account.disabled:
        raise InvalidCredentials
    if _has_completed_change(learner.account, now):
        raise ServiceUnavailable("A change of the account was cut off: sign in again")
    complete_link(learner.account, source, now=now)
    if complete_proof(learner.account, now=now):  # by somebody else, at this moment
        raise InvalidCredentials
    if begun_at is not None and begun_at < learner.account.tokens_valid_after:
        if tokens.refresh_token is not None:
            cognito_sessions.revoke(tokens.refresh_token)
        raise MfaSessionExpired
    if by_mfa not in (None, learner.account.mfa_enabled):
        _sync_mfa(learner.account, on=bool(by_mfa), source=source, now=now)
    tokens = _refreshed_if_void(tokens, tokens.refresh_token, learner.account)
    writes = [
        Put(Activity.new(owner.id, "signed_in", source, now=now)),
        Put(KnownNetwork.new(learner.account.email, source.network, now=now)),
    ]
    is_known = _is_known_device(learner.account, source, now)
    try:
        transact(
            *writes, *_use_writes(tokens, owner, source, now), *learner.account.seen_writes(now)
        )
    except ConditionFailed as error:  # the account is leaving, or the session was ended
        raise InvalidCredentials from error
    if not is_known:
        notify(learner.account.email, "new_device", source, now=now)
    return SignedIn(tokens, learner)


def _has_completed_change(account: Account, now: datetime) -> bool:
    """Completes a change that ends all sessions, if one was cut off. Returns whether one was."""
    unlinked = complete_unlink(account, SYSTEM, now=now)
    return complete_password_change(account, now=now) or unlinked


HISTORY = 50  # the sessions that a new one is compared with


def _is_known_device(account: Account, source: ClientInfo, now: datetime) -> bool:
    """Whether a session of the last month came from the same kind of device and network.

    The first sign-in of all is known too, since it follows the sign-up. In an account that is older
    than sessions are kept, an empty list means that all have lapsed.
    """
    history = Session.history(account.learner_id, limit=HISTORY)
    if not history:
        return now - account.created_at < timedelta(seconds=Session.KEPT_S)
    here = (source.device, source.network)
    return here in {(s.source.device, s.source.network) for s in history}


def _sync_mfa(account: Account, *, on: bool, source: ClientInfo, now: datetime) -> None:
    """Follows a change that did not pass through us, and tells the learner of it.

    A holder of an access token may ask Cognito directly to turn the second step on or off; or
    our own setting up was cut off after Cognito.
    """
    account.update_attributes(Account.mfa_enabled.set(on), condition=Account.pk.exists())
    if on:
        Mfa.at(account.learner_id).promote()
    else:
        transact(Delete(Mfa.at(account.learner_id)))
    audit.record(account.learner_id, "mfa_changed_elsewhere", source, now=now)
    notify(account.email, "mfa_changed_elsewhere", source, now=now)


def adopt(sub: str, *, source: ClientInfo, now: datetime) -> bool:
    """Makes the account and profile of a user of the console, at the first sign-in.

    False if that is impossible.

    The address counts as proved where the pool says so. It is reserved first; account, profile and
    address are written at once. Cut off before: the next sign-in goes on, after a minute at most.
    Raises ServiceUnavailable.
    """
    user = cognito_users.find_user(sub)
    if user is None or not user.email or Account.of(sub) is not None:
        return False
    try:
        address = reserve(user.email, now=now)
    except UserAlreadyExists:
        log.warning("the address of a user without an account is another account's")
        return False
    account = Account.new(sub, email=user.email, now=now)
    account.email_verified = user.email_verified
    first_name = user.first_name or user.email.partition("@")[0]
    profile = Profile.new(sub, first_name=first_name[:100], last_name=user.last_name[:100], now=now)
    try:
        transact(
            address.assign_write(sub),
            Put(account, Account.pk.does_not_exist()),
            Put(profile, Profile.pk.does_not_exist()),
            Put(Head.first_of(sub)),
            Put(Activity.new(sub, "signed_up", source, now=now)),
        )
    except ConditionFailed as error:
        address.release()
        raise ServiceUnavailable("The first sign-in took too long: try again") from error
    except Problem:
        address.release()
        raise
    return True


def _refreshed_if_void(tokens: Tokens, refresh_token: str | None, account: Account) -> Tokens:
    """The tokens, or younger ones if these are of the second up to which all were voided."""
    if owner_of(tokens.access_token).issued_at >= account.tokens_valid_after:
        return tokens
    if refresh_token is None:
        raise InvalidCredentials
    wait_until_valid(account)
    younger = cognito_sessions.refresh(refresh_token)
    return replace(younger, refresh_token=younger.refresh_token or tokens.refresh_token)


def wait_until_valid(account: Account | None) -> None:
    """Waits for the end of the second up to which all tokens were voided."""
    if account is not None:
        time.sleep(min(max(account.tokens_valid_after - time.time(), 0), 1))


def refresh(*, refresh_token: str, source: ClientInfo, now: datetime) -> Tokens:
    """New access and id tokens, and a new refresh token when the pool rotates them.

    A rotated token that comes again may have been stolen: its session ends (RFC 9700, 4.14.2). The
    others stay, since an answer that a phone never got looks the same. Tokens that we never issued
    are counted. Raises InvalidRefreshToken, TooManyRequests.
    """
    if IssuedToken.of(refresh_token) is None:
        hit("refresh_source", source.network, now=now)
    try:
        tokens = cognito_sessions.refresh(refresh_token)
    except RefreshTokenReused:
        _end_stolen(refresh_token, source, now)
        raise
    owner = owner_of(tokens.access_token)
    account = Account.of(owner.id)
    if account is not None:
        if account.disabled or _has_completed_change(account, now):
            raise InvalidRefreshToken
        tokens = _refreshed_if_void(tokens, tokens.refresh_token or refresh_token, account)
    writes = list(_use_writes(tokens, owner, source, now))
    if account is not None:
        writes += account.seen_writes(now)
    try:
        if writes:
            transact(*writes)
    except ConditionFailed as error:  # the session was ended, which the pool does not know
        cognito_sessions.revoke(tokens.refresh_token or refresh_token)
        raise InvalidRefreshToken from error
    return tokens


def _use_writes(
    tokens: Tokens, owner: Learner, source: ClientInfo, now: datetime
) -> Iterator[Write]:
    """The writes that note the owner of the tokens, and the use of their session."""
    if tokens.refresh_token is not None:
        yield Put(IssuedToken.new(tokens.refresh_token, owner.id, owner.session, now=now))
    if owner.session:
        yield Session.at(owner.id, owner.session).use_write(source, now)


def _end_stolen(refresh_token: str, source: ClientInfo, now: datetime) -> None:
    issued = IssuedToken.of(refresh_token)
    account = Account.of(issued.learner_id) if issued else None
    if issued is not None and account is not None:
        _end_session(account, issued.session, now)
        audit.record(account.learner_id, "refresh_token_reused", source, now=now)
        notify(account.email, "refresh_token_reused", source, now=now)


def sign_out(*, refresh_token: str, now: datetime) -> None:
    """Ends one session, within a minute its access tokens too (OWASP ASVS 5, 7.4.1).

    A token that is void already is no error. The table comes first: cut off before the pool, the
    session has ended all the same.
    """
    issued = IssuedToken.of(refresh_token)
    account = Account.of(issued.learner_id) if issued else None
    if issued is not None and account is not None and issued.session:
        with suppress(ConditionFailed):  # ended at this moment by another request, or gone
            _end_session(account, issued.session, now, Delete(issued, IssuedToken.pk.exists()))
    cognito_sessions.revoke(refresh_token)


def _end_session(account: Account, session: str, now: datetime, *writes: Write) -> None:
    """Voids the tokens of one session. Raises ConditionFailed for an account that is gone."""
    ended = Session.at(account.learner_id, session).end_write(now)
    transact(*writes, account.end_session_write(session, now), ended)
    account.drop_expired_sessions(now)
    account_cache.forget(account.learner_id)


def sign_out_everywhere(learner_id: str, *, source: ClientInfo, now: datetime) -> None:
    """Ends all sessions: refresh tokens at once, access tokens within a minute everywhere."""
    end_sessions(learner_id)
    audit.record(learner_id, "signed_out_everywhere", source, now=now)


def end_sessions(learner_id: str) -> None:
    """Voids all tokens of a learner. Raises NotFound for a learner who is gone."""
    account = Account.of(learner_id)
    if account is None:
        raise NotFound
    cognito_sessions.sign_out_everywhere(account.user_name)
    account.void_sessions(timezone.now())  # of this moment: a token may just have been renewed
    account_cache.forget(learner_id)


def open_sessions(learner_id: str, *, limit: int, start: Raw | None = None) -> Page[Session]:
    """The sessions of a learner that have not ended, the last used first."""
    account = Account.of(learner_id)
    if account is None:
        raise NotFound
    begun_after = account.sessions_ended_at or account.created_at
    return Session.newest(learner_id, limit=limit, start=start, begun_after=begun_after)


def end_session(learner_id: str, session_id: str, *, source: ClientInfo, now: datetime) -> None:
    """Ends one session of a learner's, within a minute its access tokens too. Raises NotFound."""
    account, session = Account.of(learner_id), Session.of(learner_id, session_id)
    if account is None or session is None or session.has_ended:
        raise NotFound
    try:
        _end_session(account, session_id, now)
    except ConditionFailed as error:
        raise NotFound from error
    audit.record(learner_id, "session_ended", source, now=now)


FRESH_S = 5 * 60


class FreshSignInNeeded(PermissionDenied):
    """For learners who have no password: a sign-in of the last five minutes stands for it."""

    code, title = "FRESH_SIGN_IN_NEEDED", "Sign in again, then repeat this within five minutes"


def reauthenticate(
    learner: Learner,
    password: str | None,
    *,
    source: ClientInfo,
    now: datetime,
    field: str = "password",
) -> Account:
    """The account of the learner, who has just given their password.

    Raises InvalidCredentials, TooManyRequests, FreshSignInNeeded.
    """
    account = Account.of(learner.id)
    if account is None:
        raise InvalidCredentials
    complete(account, now=now)
    if not account.has_password:
        if now.timestamp() - learner.authenticated_at > FRESH_S:
            raise FreshSignInNeeded
        return account
    if password is None:
        raise ValidationFailed.of(field, "required", "Give your password.")
    result = check_password(
        account.email, password, source=source, now=now, username=account.user_name
    )
    if isinstance(result, Tokens) and result.refresh_token is not None:
        cognito_sessions.revoke(result.refresh_token)  # nobody will use this session
    return account
