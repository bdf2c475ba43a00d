"""The second step: set up, asked for at sign-in, replaced by a backup code, turned off.

Cognito enforces it. We keep the secret (encrypted) for one purpose: when a learner without their
phone gives a backup code, we answer Cognito's challenge in their place.
"""

import base64
import io
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.cognito.client import (
    InvalidCode,
    InvalidCredentials,
    InvalidMfaCode,
    MfaCodeUsed,
    MfaSessionExpired,
)
from accounts.cognito.sessions import Challenge, Tokens
from accounts.emails import notify
from accounts.models import Account, Activity, Address, Attempts, LimitReached, Mfa, audit
from accounts.models.account import account_cache
from accounts.models.audit import StaffMember
from accounts.models.limits import hit, hit_counters
from accounts.services.sessions import SignedIn, complete_sign_in
from config import aws
from config.client_info import SYSTEM, ClientInfo
from config.crypto import InvalidSeal, fingerprint, fingerprints, seal, unseal
from config.problems import Conflict, NotFound, Problem, ServiceUnavailable
from config.records import dataclass
from config.store.items import ConditionFailed
from config.store.transactions import Delete, Put, Update, transact

if TYPE_CHECKING:
    from pyotp import TOTP

SESSION = "mfa session"
SESSION_LASTS = timedelta(minutes=3)  # as long as Cognito's own
STEP_S = 30  # a code of the app (RFC 6238)
CODES = "backup code"
BACKUP_CODES = 10
# RFC 4648's base32 in lower case: no 0, 1 or 8 to take for O, I or B.
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


class MfaAlreadyEnabled(Conflict):
    code, title = "MFA_ALREADY_ENABLED", "Two-step sign-in is on already"


class MfaNotEnabled(Conflict):
    code, title = "MFA_NOT_ENABLED", "Two-step sign-in is not on"


@dataclass(frozen=True)
class Setup:
    """What an authenticator app needs: the secret as text, as a URI, as a PNG (data URI)."""

    secret: str
    otpauth_uri: str
    qr_code: str


def set_up(account: Account, access_token: str, *, now: datetime) -> Setup:
    """Makes a fresh secret for a learner who has given the password.

    With an access token alone, a thief could shut the owner out. The secret may be asked for again
    until `enable` has verified one.

    Raises MfaAlreadyEnabled, PasswordSignInNeeded, TooManyRequests.
    """
    learner_id = account.learner_id
    if account.mfa_enabled:
        raise MfaAlreadyEnabled
    hit("mfa_setup", learner_id, now=now)
    secret = cognito_users.new_totp_secret(access_token)
    Mfa.at(learner_id).prepare(aws.kms_encrypt(secret, owner=learner_id))
    uri = _totp(secret).provisioning_uri(name=account.email, issuer_name="Parley")
    return Setup(secret, uri, _qr_code(uri))


def _account(learner_id: str) -> Account:
    account = Account.of(learner_id)
    if account is None:
        raise NotFound
    return account


def _totp(secret: str) -> "TOTP":
    from pyotp import TOTP

    return TOTP(secret)


def _new_backup_codes() -> list[str]:
    """Ten codes of fifty random bits, e.g. `k4xqn-2mzt7`."""
    return [
        "-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(2))
        for _ in range(BACKUP_CODES)
    ]


def _qr_code(text: str) -> str:
    import segno

    image = io.BytesIO()
    segno.make(text, error="m").save(image, kind="png", scale=6, border=4)
    return f"data:image/png;base64,{base64.b64encode(image.getvalue()).decode()}"


def enable(
    learner_id: str, access_token: str, code: str, *, source: ClientInfo, now: datetime
) -> list[str]:
    """Turns the second step on by the app's first code; returns the backup codes.

    The secret that is verified is the secret that is kept, however many are being set up at once:

    1. The code fits the secret that we have. 2. Secret and backup codes are kept; as the account
    does not say so yet, nobody asks for them. 3. The pool verifies the code with the secret it has.
    4. The account says that the second step is on, if the secret of 2 is still the one. Cut off
    after 3: the pool asks for a code at the next sign-in, and the account follows
    (`sessions.complete_sign_in`), with the secret of 2.

    Raises MfaAlreadyEnabled, MfaNotEnabled before `set_up`, InvalidCode, PasswordSignInNeeded,
    TooManyRequests.
    """
    account, stored = _account(learner_id), Mfa.of(learner_id)
    if account.mfa_enabled:
        raise MfaAlreadyEnabled
    if stored is None or stored.pending is None:
        raise MfaNotEnabled("Ask for a secret first")
    hit("mfa_account", learner_id, now=now)
    secret = aws.kms_decrypt(stored.pending, owner=learner_id)
    if not _totp(secret).verify(code, for_time=now, valid_window=1):
        raise InvalidCode
    kept, codes = stored.pending, _new_backup_codes()
    try:
        stored.try_pending(kept, {fingerprint(CODES, code) for code in codes})
    except ConditionFailed as error:
        raise InvalidCode from error
    cognito_users.verify_totp_secret(access_token, code)
    cognito_users.set_mfa(account.user_name, enabled=True)
    write = Update(Mfa.at(learner_id), [Mfa.pending.remove()], Mfa.secret == kept)
    try:
        _set_enabled(account, write, "mfa_enabled", source, now, on=True)
    except ConditionFailed as error:  # at this moment, by another request
        raise MfaAlreadyEnabled from error
    return codes


def _set_enabled(
    account: Account,
    write: Update | Delete,
    action: audit.Action,
    source: ClientInfo,
    now: datetime,
    *,
    on: bool,
    by: StaffMember | None = None,
) -> None:
    """Writes that the second step is on or off, and tells the learner."""
    if by is not None:
        lines = audit.staff_action(by, action, f"users/{account.learner_id}", now=now)
    else:
        lines = [Put(Activity.new(account.learner_id, action, source, now=now))]
    transact(write, Update(account, [Account.mfa_enabled.set(on)], Account.pk.exists()), *lines)
    account_cache.forget(account.learner_id)
    notify(account.email, action, source, now=now)


def disable(account: Account, *, source: ClientInfo, now: datetime) -> None:
    """Turns the second step off; the learner has proved who they are. Harmless when it is off."""
    cognito_users.set_mfa(account.user_name, enabled=False)
    stored = Mfa.at(account.learner_id)
    _set_enabled(account, Delete(stored), "mfa_disabled", source, now, on=False)


def reset(account: Account, *, by: StaffMember, now: datetime) -> None:
    """Turns the second step off for a learner who has lost it, and tells them."""
    cognito_users.set_mfa(account.user_name, enabled=False)
    stored = Mfa.at(account.learner_id)
    _set_enabled(account, Delete(stored), "mfa_reset", SYSTEM, now, on=False, by=by)


def renew_backup_codes(account: Account, *, source: ClientInfo, now: datetime) -> list[str]:
    """New backup codes; the old ones are void. Raises MfaNotEnabled."""
    codes = _new_backup_codes()
    try:
        Mfa.at(account.learner_id).renew_codes({fingerprint(CODES, code) for code in codes})
    except ConditionFailed as error:
        raise MfaNotEnabled from error
    audit.record(account.learner_id, "backup_codes_renewed", source, now=now)
    notify(account.email, "backup_codes_renewed", source, now=now)
    return codes


def session_token(challenge: Challenge, email: str | None, *, now: datetime) -> str:
    """The challenge as a text that only we can read: proof that the password was right."""
    address = Address.of(email) if email else None
    learner_id = (address and address.learner_id) or cognito_users.find_sub(challenge.username)
    if learner_id is None:
        raise InvalidCredentials
    values = {
        "id": secrets.token_hex(8),
        "learner": learner_id,
        "username": challenge.username,
        "session": challenge.session,
        "begun_at": challenge.begun_at,
    }
    return seal(SESSION, values, until=now + SESSION_LASTS)


def complete_mfa(session_token: str, code: str, *, source: ClientInfo, now: datetime) -> SignedIn:
    """Completes a sign-in by a code of the app or a backup code.

    Raises InvalidMfaCode, MfaSessionExpired, InvalidCredentials; TooManyRequests after too many
    wrong codes in this sign-in or in all of the account's.
    """
    try:
        sealed = unseal(SESSION, session_token, now=now)
    except InvalidSeal as error:
        raise MfaSessionExpired from error
    learner_id = sealed["learner"]
    attempts = Attempts.at("mfa", learner_id)
    session = f"session_{sealed['id']}"
    hit_counters(attempts, {session: "mfa_session", "all": "mfa_account"}, now=now)
    challenge = Challenge(sealed["username"], sealed["session"], sealed.get("begun_at", 0.0))
    with ExitStack() as spending:  # a backup code is spent where the whole sign-in succeeds
        try:
            if code.isdigit():
                tokens = _answer_by_app(learner_id, challenge, code, now)
            else:
                secret = spending.enter_context(_backup_code(learner_id, code, source, now))
                tokens = _answer_with_own_code(challenge, secret, now)
        except InvalidMfaCode:
            audit.record(learner_id, "mfa_failed", source, now=now)
            raise
        except ServiceUnavailable:
            attempts.refund(session, "all")
            raise
        attempts.refund("all", forget=session)
        return complete_sign_in(
            tokens, source=source, now=now, by_mfa=True, begun_at=challenge.begun_at
        )


def _answer_by_app(learner_id: str, challenge: Challenge, code: str, now: datetime) -> Tokens:
    """Completes by a code of the app, once: we let no code be tried twice, nor does Cognito."""
    used = Attempts.at("totp", f"{learner_id} {code}")
    try:
        used.count_up({"all": 1}, now=now, within_s=3 * STEP_S, renew=False)
    except LimitReached as error:
        raise MfaCodeUsed from error
    try:
        return cognito_sessions.answer_totp(challenge, code)
    except ServiceUnavailable:
        used.refund("all")
        raise


@contextmanager
def _backup_code(learner_id: str, code: str, source: ClientInfo, now: datetime) -> Iterator[str]:
    """Lends the app's secret for one backup code, which is spent if the block succeeds.

    Of two uses at once one has the code. Raises InvalidMfaCode.
    """
    stored = Mfa.of(learner_id)
    if stored is None or stored.secret is None:
        raise InvalidMfaCode
    reserved = _reserve(stored, code)
    try:
        yield aws.kms_decrypt(stored.secret, owner=learner_id)
    except Problem:
        with suppress(ConditionFailed):
            stored.release(reserved)
        raise
    with suppress(ConditionFailed):
        stored.consume(reserved)
    audit.record(learner_id, "backup_code_used", source, now=now)
    notify(_account(learner_id).email, "backup_code_used", source, now=now)


def _reserve(stored: Mfa, code: str) -> str:
    for known in fingerprints(CODES, code):
        if known in (stored.unused or ()):
            try:
                stored.reserve(known)
            except ConditionFailed as error:
                raise InvalidMfaCode from error
            return known
    raise InvalidMfaCode


def _answer_with_own_code(challenge: Challenge, secret: str, now: datetime) -> Tokens:
    """Answers by a code of ours: a neighbouring step's, if the app has used up the present one."""
    for step in (0, -1, 1):
        code = _totp(secret).at(now, counter_offset=step)
        with suppress(MfaCodeUsed):
            return cognito_sessions.answer_totp(challenge, code)
    raise ServiceUnavailable("Try again in half a minute", retry_after_s=STEP_S)
