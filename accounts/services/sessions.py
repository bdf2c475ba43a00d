"""Signing in and out: a password becomes tokens, tokens are renewed, tokens end."""

from dataclasses import dataclass
from datetime import datetime

from accounts import cognito
from accounts.cognito import Challenge, InvalidCredentials, Tokens
from accounts.services.profiles import Person, person
from accounts.tokens import unverified
from config.table import ConditionFailed


@dataclass(frozen=True)
class SignedIn:
    """Fresh tokens and whose they are."""

    tokens: Tokens
    person: Person


def sign_in(*, email: str, password: str, now: datetime) -> SignedIn | Challenge:
    """Checks address and password.

    Raises InvalidCredentials, EmailNotVerified, PasswordResetRequired.
    """
    found = cognito.sign_in(username=email, password=password)
    if isinstance(found, Challenge):
        return found
    return welcome(found, now=now)


def welcome(tokens: Tokens, *, now: datetime) -> SignedIn:
    """Who the new tokens are for. Raises InvalidCredentials when their account bars them."""
    claims = unverified(tokens.access_token)  # straight from the pool
    learner = person(claims.sub, groups=claims.groups, now=now)
    if learner is None or learner.account.disabled:
        raise InvalidCredentials
    if not learner.account.email_verified:  # the pool lets in no one who is not
        try:
            learner.account.verify_email()
        except ConditionFailed as error:
            raise InvalidCredentials from error
    return SignedIn(tokens, learner)


def refresh(*, refresh_token: str) -> Tokens:
    """New access and id tokens, and a new refresh token when the pool rotates them.

    Raises InvalidRefreshToken.
    """
    return cognito.refresh(refresh_token)


def sign_out(*, refresh_token: str) -> None:
    """Ends one session. A token that is void already is no mistake."""
    cognito.revoke(refresh_token)
