"""Making sure that the learner is there, and not just someone who has their token."""

from datetime import datetime

from accounts import cognito
from accounts.bearer import Learner
from accounts.cognito import InvalidCredentials, Tokens
from accounts.models import Account
from accounts.services.sessions import guess
from config.client_info import Source
from config.problems import PermissionDenied, ValidationFailed

FRESH_S = 5 * 60


class FreshSignInNeeded(PermissionDenied):
    """For learners who have no password: a sign-in of the last five minutes stands for it."""

    code, title = "FRESH_SIGN_IN_NEEDED", "Sign in again, then repeat this within five minutes"


def prove(learner: Learner, password: str | None, *, source: Source, now: datetime) -> Account:
    """The account of the learner, who has just given their password.

    Raises InvalidCredentials, TooManyRequests, FreshSignInNeeded.
    """
    account = Account.of(learner.id)
    if account is None:
        raise InvalidCredentials
    if account.federated_name:
        if now.timestamp() - learner.authenticated_at > FRESH_S:
            raise FreshSignInNeeded
        return account
    if password is None:
        raise ValidationFailed.of("password", "required", "Give your password.")
    found = guess(account.email, password, source=source, now=now)
    if isinstance(found, Tokens) and found.refresh_token is not None:
        cognito.revoke(found.refresh_token)  # nobody will use this session
    return account
