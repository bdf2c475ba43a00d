"""Signing in by a code that is mailed, without the password, and never past a second step.

Cognito mails and checks the code (USER_AUTH with EMAIL_OTP). We look for a second step in both
stores: before a code is mailed, and once more after a right code, before anybody has the tokens.
The steps:

1. Cognito mails a code. Cut off here: nobody can use it; ask for another.
2. The sign-in waits in the table, sealed, under the hash of the token that the client has. An
   address without an account gets the same answer.
3. Cognito takes the code. Cut off here or later: ask for another; nobody has the tokens.
4. The account is looked at, then the waiting sign-in is removed: by one of two at once.
"""

import secrets
import time
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings

from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.cognito.client import InvalidCode, InvalidCredentials, MfaSessionExpired
from accounts.cognito.sessions import CodeNotMailed, Tokens
from accounts.emails import notify
from accounts.models import Account, SignInCode, audit
from accounts.models.limits import hit, hit_address
from accounts.services.sessions import SignedIn, complete_sign_in, wait_until_valid
from accounts.services.unfinished import account_at
from config.client_info import ClientInfo
from config.crypto import InvalidSeal, seal, unseal
from config.problems import NotFound, Problem, ServiceUnavailable
from config.store.items import ConditionFailed

PURPOSE = "mailed code"
LASTS = timedelta(minutes=10)  # as long as Cognito's session (AuthSessionValidity)


class MailedCodeNotOffered(NotFound):
    code, title = "MAILED_CODE_NOT_OFFERED", "Sign-in by a mailed code is not set up here"


def request_code(*, email: str, source: ClientInfo, now: datetime) -> str:
    """Mails a code that signs in once; returns the token that belongs to it.

    Alike for every address. Raises MailedCodeNotOffered, TooManyRequests.
    """
    _require_offer()
    hit("mail_source", source.network, now=now)
    hit_address("sign_in_code", email, source, now=now)
    account = account_at(email, now=now)
    wait_until_valid(account)
    sign_in: dict[str, Any] = {"email": email, "begun_at": time.time()}
    if account is not None and _may_enter_by_code(account, source, now):
        sign_in |= _mail_code(account)
    else:  # asked in vain, so that it takes as long as for others
        with suppress(CodeNotMailed, ServiceUnavailable):
            cognito_sessions.mail_code(str(uuid4()))
    token, until = secrets.token_urlsafe(24), now + LASTS
    SignInCode.new(token, seal(PURPOSE, sign_in, until=until), until=until).put()
    return token


def _require_offer() -> None:
    if not settings.MAILED_CODE_SIGN_IN:
        raise MailedCodeNotOffered


def _mail_code(account: Account) -> dict[str, str]:
    try:
        session = cognito_sessions.mail_code(account.user_name)
    except CodeNotMailed:
        return {}
    return {"learner": account.learner_id, "session": session}


def _may_enter_by_code(account: Account, source: ClientInfo, now: datetime) -> bool:
    """Whether a code is mailed. If not, the owner of the address is told why, and nobody else."""
    if not account.email_verified or account.disabled:
        return False
    if not account.has_password:
        notify(account.email, "sign_in_code_google", source, now=now)
        return False
    if _has_second_step(account):
        notify(account.email, "sign_in_code_second_step", source, now=now)
        return False
    return True


def _has_second_step(account: Account) -> bool:
    """Whether either store knows a second step: one may have been turned on past the other."""
    if account.mfa_enabled:
        return True
    user = cognito_users.find_user(account.user_name)
    return user is not None and user.has_second_step


def sign_in_by_code(
    *, session_token: str, code: str, source: ClientInfo, now: datetime
) -> SignedIn:
    """Completes a sign-in by the mailed code.

    Raises InvalidCode: alike for a wrong code, an old one, an address without an account, and an
    account that has a second step by now; MailedCodeNotOffered, TooManyRequests.
    """
    _require_offer()
    hit("mail_source", source.network, now=now)
    hit("sign_in_code_guess", session_token, now=now)
    waiting = SignInCode.of(session_token)
    if waiting is None:
        raise InvalidCode
    sign_in = _opened(waiting, now)
    tokens = _answer(sign_in, code, source, now)
    try:
        _require_entry(sign_in, now)
        waiting.use()
        return complete_sign_in(tokens, source=source, now=now, begun_at=sign_in["begun_at"])
    except (ConditionFailed, Problem) as error:
        if tokens.refresh_token is not None:
            cognito_sessions.revoke(tokens.refresh_token)
        if isinstance(error, ConditionFailed | InvalidCredentials | MfaSessionExpired):
            raise InvalidCode from error
        raise


def _opened(waiting: SignInCode, now: datetime) -> dict[str, Any]:
    try:
        return unseal(PURPOSE, waiting.sign_in, now=now)
    except InvalidSeal as error:
        raise InvalidCode from error


def _answer(sign_in: dict[str, Any], code: str, source: ClientInfo, now: datetime) -> Tokens:
    learner_id = sign_in.get("learner")
    user_name, session = str(uuid4()), secrets.token_urlsafe(48)  # of nobody, as slow as others
    if learner_id is not None:
        account = Account.of(learner_id)
        user_name = account.user_name if account else user_name
        session = sign_in["session"]
    try:
        return cognito_sessions.answer_mailed_code(username=user_name, session=session, code=code)
    except InvalidCode:
        if learner_id is not None:
            audit.record(learner_id, "sign_in_failed", source, now=now)
        raise


def _require_entry(sign_in: dict[str, Any], now: datetime) -> None:
    """Raises InvalidCode where the address is another's by now, or a second step was turned on."""
    account = account_at(sign_in["email"], now=now)
    if account is None or account.learner_id != sign_in.get("learner") or _has_second_step(account):
        raise InvalidCode
