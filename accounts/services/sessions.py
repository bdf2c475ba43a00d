"""Signing in and out: a password becomes tokens, tokens are renewed, tokens end.

What matters most also asks whether it is still the learner who calls (`reauthenticate`).
"""

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from accounts import audit
from accounts.bearer import Learner, account_cache
from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.cognito.client import InvalidCredentials, InvalidRefreshToken, RefreshTokenReused
from accounts.cognito.sessions import Challenge, NewPasswordRequired, Tokens
from accounts.emails import notify
from accounts.limits import LoginAttempt
from accounts.models import Account, Activity, Address, IssuedToken, Mfa
from accounts.services.adoption import adopt
from accounts.services.profile import FullProfile, read_profile
from accounts.services.unfinished import (
    complete,
    complete_link,
    complete_password_change,
    complete_proof,
    user_name_at,
)
from accounts.tokens import Claims, unverified_claims
from config import clock
from config.client_info import ClientInfo
from config.problems import NotFound, PermissionDenied, ServiceUnavailable, ValidationFailed
from config.store.items import ConditionFailed
from config.store.transactions import Delete, Put, transact


@dataclass(frozen=True)
class SignedIn:
    """Fresh tokens and whose they are."""

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
        username = username or user_name_at(email, now=now)
        result = cognito_sessions.sign_in(username=username, password=password)
    except InvalidCredentials:
        _record_failure(attempt, email, source, now)
        raise
    except ServiceUnavailable:
        attempt.undo()
        raise
    attempt.succeeded()
    return result


def _record_failure(attempt: LoginAttempt, email: str, source: ClientInfo, now: datetime) -> None:
    if attempt.locks:
        cognito_users.mirror_failures(email, attempt.failures)
    address = Address.of(email)
    if address is not None and address.learner_id is not None:
        action: audit.Action = "locked_out" if attempt.locks else "sign_in_failed"
        audit.record(address.learner_id, action, source, now=now)


def complete_sign_in(
    tokens: Tokens, *, source: ClientInfo, now: datetime, by_mfa: bool | None = None
) -> SignedIn:
    """Lets in whom the new tokens are for. Raises InvalidCredentials when the account bars them.

    `by_mfa`: whether Cognito asked for a second step; None when another provider let them in.
    """
    claims = unverified_claims(tokens.access_token)  # straight from the pool
    learner = read_profile(claims.sub, groups=claims.groups, now=now)
    if learner is None and adopt(claims.sub, source=source, now=now):
        learner = read_profile(claims.sub, groups=claims.groups, now=now)
    if learner is None or learner.account.disabled:
        raise InvalidCredentials
    if complete_password_change(learner.account, now=now):
        raise ServiceUnavailable("A change of the password was cut off: sign in again")
    complete_link(learner.account, source, now=now)
    if complete_proof(learner.account, now=now):  # by somebody else, at this moment
        raise InvalidCredentials
    if by_mfa not in (None, learner.account.mfa_enabled):
        _sync_mfa(learner.account, on=bool(by_mfa), source=source, now=now)
    tokens = _refreshed_if_void(tokens, claims, learner.account)
    writes = [Put(Activity.new(claims.sub, "signed_in", source, now=now))]
    if tokens.refresh_token is not None:
        writes.append(Put(_issued(tokens.refresh_token, claims, now)))
    transact(*writes)
    return SignedIn(tokens, learner)


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


def _refreshed_if_void(tokens: Tokens, claims: Claims, account: Account) -> Tokens:
    """The tokens; younger ones when these fall into the second in which all before were voided."""
    if claims.issued_at >= account.tokens_valid_after:
        return tokens
    time.sleep(min(max(account.tokens_valid_after - time.time(), 0), 1))
    if tokens.refresh_token is None:
        raise InvalidCredentials
    younger = cognito_sessions.refresh(tokens.refresh_token)
    return replace(younger, refresh_token=younger.refresh_token or tokens.refresh_token)


def refresh(*, refresh_token: str, source: ClientInfo, now: datetime) -> Tokens:
    """New access and id tokens, and a new refresh token when the pool rotates them.

    A rotated token that comes again may have been stolen: all of its learner's sessions end
    (RFC 9700, 4.14.2). Raises InvalidRefreshToken.
    """
    try:
        tokens = cognito_sessions.refresh(refresh_token)
    except RefreshTokenReused:
        _end_stolen(refresh_token, source, now)
        raise
    claims = unverified_claims(tokens.access_token)
    account = Account.of(claims.sub)
    if account is not None and (account.disabled or complete_password_change(account, now=now)):
        raise InvalidRefreshToken
    if tokens.refresh_token is not None:
        _issued(tokens.refresh_token, claims, now).put()
    return tokens


def _issued(refresh_token: str, claims: Claims, now: datetime) -> IssuedToken:
    return IssuedToken.new(refresh_token, claims.sub, claims.session, now=now)


def _end_stolen(refresh_token: str, source: ClientInfo, now: datetime) -> None:
    issued = IssuedToken.of(refresh_token)
    account = Account.of(issued.learner_id) if issued else None
    if account is not None:
        end_sessions(account.learner_id)
        audit.record(account.learner_id, "refresh_token_reused", source, now=now)
        notify(account.email, "refresh_token_reused", source, now=now)


def sign_out(*, refresh_token: str, now: datetime) -> None:
    """Ends one session, within a minute its access tokens too (OWASP ASVS 5, 7.4.1).

    A token that is void already is no mistake.
    """
    cognito_sessions.revoke(refresh_token)
    issued = IssuedToken.of(refresh_token)
    account = Account.of(issued.learner_id) if issued else None
    if issued is None or account is None or not issued.session:
        return
    with suppress(ConditionFailed):  # ended at this moment by another request, or gone
        transact(
            Delete(issued, IssuedToken.pk.exists()), account.end_session_write(issued.session, now)
        )
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
    account.void_tokens(clock.now())  # of this moment: a token may just have been renewed
    account_cache.forget(learner_id)


FRESH_S = 5 * 60


class FreshSignInNeeded(PermissionDenied):
    """For learners who have no password: a sign-in of the last five minutes stands for it."""

    code, title = "FRESH_SIGN_IN_NEEDED", "Sign in again, then repeat this within five minutes"


def reauthenticate(
    learner: Learner, password: str | None, *, source: ClientInfo, now: datetime
) -> Account:
    """The account of the learner, who has just given their password.

    Raises InvalidCredentials, TooManyRequests, FreshSignInNeeded.
    """
    account = Account.of(learner.id)
    if account is None:
        raise InvalidCredentials
    complete(account, now=now)
    if account.federated_name:
        if now.timestamp() - learner.authenticated_at > FRESH_S:
            raise FreshSignInNeeded
        return account
    if password is None:
        raise ValidationFailed.of("password", "required", "Give your password.")
    result = check_password(
        account.email, password, source=source, now=now, username=account.learner_id
    )
    if isinstance(result, Tokens) and result.refresh_token is not None:
        cognito_sessions.revoke(result.refresh_token)  # nobody will use this session
    return account
