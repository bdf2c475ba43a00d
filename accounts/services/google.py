"""Entering with a Google account, through the pool's hosted UI: code flow with PKCE.

The client makes a verifier and sends its hash ahead. The code that comes back is of use only with
the verifier, and only through us, since we have the app client's secret. The nonce is made from the
client's hash by our key, so that no state has to be kept: the id token must carry the nonce of the
very sign-in that the verifier belongs to.
"""

import base64
import hashlib
from collections.abc import Collection
from datetime import datetime
from urllib.parse import urlencode

from accounts.cognito import client as cognito_client
from accounts.cognito import sessions as cognito_sessions
from accounts.cognito import users as cognito_users
from accounts.cognito.client import InvalidCode, InvalidCredentials, UserAlreadyExists
from accounts.cognito.sessions import Tokens
from accounts.cognito.users import GOOGLE
from accounts.models import Account, Activity, Address, Head, Profile
from accounts.services.addresses import clear_left_over, reserve
from accounts.services.sessions import SignedIn, complete_sign_in, reauthenticate
from accounts.services.unfinished import complete_link, complete_unlink
from accounts.tokens import Identity, InvalidToken, Learner, key_set, verify_identity
from config.client_info import SYSTEM, ClientInfo
from config.crypto import fingerprint, fingerprints
from config.problems import (
    Conflict,
    NotFound,
    PermissionDenied,
    Problem,
    ServiceUnavailable,
)
from config.records import dataclass
from config.stack import stack
from config.store.items import ConditionFailed
from config.store.transactions import Put, transact

NONCE = "google nonce"
SCOPES = "openid email profile"


class GoogleNotOffered(NotFound):
    code, title = "GOOGLE_NOT_OFFERED", "Google sign-in is not set up here"


class RedirectNotAllowed(PermissionDenied):
    code, title = "REDIRECT_NOT_ALLOWED", "The redirect address is not registered exactly so"


class GoogleEmailNotVerified(PermissionDenied):
    code, title = "GOOGLE_EMAIL_NOT_VERIFIED", "Google does not vouch for the e-mail address"


class AccountExists(Conflict):
    code, title = "ACCOUNT_EXISTS", "Sign in with your password, then link the Google account"


class GoogleTaken(Conflict):
    code, title = "GOOGLE_TAKEN", "This Google account belongs to another learner"


class GoogleNotLinked(PermissionDenied):
    code, title = (
        "GOOGLE_NOT_LINKED",
        "This Google account was unlinked: sign in with your password",
    )


class OnlyWayIn(Conflict):
    code, title = "ONLY_WAY_IN", "Google is the only way into this account: set a password first"


@dataclass(frozen=True)
class _GoogleSignIn:
    tokens: Tokens
    identity: Identity


def challenge_of(code_verifier: str) -> str:
    """RFC 7636, S256."""
    digest = hashlib.sha256(code_verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def nonce_of(code_challenge: str) -> str:
    """The nonce of the sign-in with this challenge."""
    return fingerprint(NONCE, code_challenge)


def authorize_url(*, redirect_uri: str, state: str, code_challenge: str) -> str:
    """The address to send the browser to. Raises GoogleNotOffered, RedirectNotAllowed."""
    _check_offer(redirect_uri)
    query = {
        "response_type": "code",
        "identity_provider": GOOGLE,
        "client_id": stack().client_id,
        "redirect_uri": redirect_uri,
        "scope": SCOPES,
        "state": state,
        "nonce": nonce_of(code_challenge),
        "code_challenge": code_challenge,
        "code_challenge_method": "S256",
    }
    return f"{stack().hosted_ui}/oauth2/authorize?{urlencode(query)}"


def _check_offer(redirect_uri: str) -> None:
    client = cognito_client.app_client()
    if GOOGLE not in client.providers:
        raise GoogleNotOffered
    if redirect_uri not in client.callback_urls:
        raise RedirectNotAllowed


def _exchange_code(
    *, code: str, redirect_uri: str, code_verifier: str, now: datetime
) -> _GoogleSignIn:
    _check_offer(redirect_uri)
    tokens = cognito_sessions.exchange_code(
        code=code, redirect_uri=redirect_uri, code_verifier=code_verifier
    )
    nonces: Collection[str] = set(fingerprints(NONCE, challenge_of(code_verifier)))
    try:
        identity = verify_identity(
            tokens.id_token,
            key_set(),
            issuer=stack().issuer,
            client_id=stack().client_id,
            nonces=nonces,
            now=now.timestamp(),
        )
    except InvalidToken as error:
        raise InvalidCode from error
    return _GoogleSignIn(tokens, identity)


def complete_google_sign_in(
    *, code: str, redirect_uri: str, code_verifier: str, source: ClientInfo, now: datetime
) -> SignedIn:
    """Signs in by a code of the hosted UI; a new Google account becomes a new learner.

    Raises GoogleNotOffered, RedirectNotAllowed, InvalidCode, GoogleEmailNotVerified, AccountExists
    where the address belongs to a learner with a password, GoogleNotLinked where the learner has
    shut Google out, InvalidCredentials.
    """
    entry = _exchange_code(
        code=code, redirect_uri=redirect_uri, code_verifier=code_verifier, now=now
    )
    account = Account.of(entry.identity.sub)
    if account is None:
        _register_or_undo(entry.identity, source, now)
    else:
        _require_link(account, entry, now)
    return complete_sign_in(entry.tokens, source=source, now=now)


def _require_link(account: Account, entry: _GoogleSignIn, now: datetime) -> None:
    """Raises GoogleNotLinked where the learner has shut Google out, whatever the pool says."""
    google_id = entry.identity.google_id
    cut_off = complete_unlink(account, SYSTEM, now=now)
    if cut_off or account.google_off or not _is_linked(account, google_id):
        if entry.tokens.refresh_token is not None:
            cognito_sessions.revoke(entry.tokens.refresh_token)
        raise GoogleNotLinked


def _is_linked(account: Account, google_id: str | None) -> bool:
    """Whether this Google account enters here; notes a link that only the pool knows."""
    if google_id is None or account.federated_name or google_id in (account.google_ids or ()):
        return True
    user = cognito_users.find_user(account.user_name)
    if user is None or google_id not in user.google_ids:
        return False
    try:
        account.note_google(google_id)
    except ConditionFailed:  # unlinked, or leaving, at this moment
        return False
    return True


def _register_or_undo(identity: Identity, source: ClientInfo, now: datetime) -> None:
    """Makes the learner, or removes the user that Cognito has just made for Google's.

    Of two first sign-ins at once (a second tab) one makes the learner, and the other is let in or
    has to try again: its user is the learner's, and stays.
    """
    if identity.google_id is None:
        raise InvalidCredentials
    try:
        _register(identity, source, now)
    except (GoogleEmailNotVerified, AccountExists) as error:
        address = Address.of(identity.email) if isinstance(error, AccountExists) else None
        if address and address.learner_id == identity.sub:
            return
        if address and address.learner_id is None:
            raise ServiceUnavailable("This address is being signed up: try again") from error
        cognito_users.delete_user(identity.username)
        raise


def _register(identity: Identity, source: ClientInfo, now: datetime) -> None:
    if not identity.email or not identity.email_verified:
        raise GoogleEmailNotVerified
    try:
        address = reserve(identity.email, now=now)
    except UserAlreadyExists as error:
        raise AccountExists from error
    clear_left_over(identity.email)
    account = Account.new(identity.sub, email=identity.email, now=now)
    account.email_verified, account.federated_name = True, identity.username
    first_name = identity.first_name or identity.email.partition("@")[0]
    profile = Profile.new(
        identity.sub, first_name=first_name[:100], last_name=identity.last_name[:100], now=now
    )
    try:
        transact(
            address.assign_write(identity.sub),
            Put(account, Account.pk.does_not_exist()),
            Put(profile, Profile.pk.does_not_exist()),
            Put(Head.first_of(identity.sub)),
            Put(Activity.new(identity.sub, "signed_up", source, now=now)),
        )
    except ConditionFailed as error:
        raise ServiceUnavailable("The sign-up took too long: try again") from error
    except Problem:
        address.release()
        raise


def link(
    learner: Learner,
    *,
    code: str,
    redirect_uri: str,
    code_verifier: str,
    password: str | None,
    source: ClientInfo,
    now: datetime,
) -> None:
    """Lets a Google account enter as the learner, who gives their password.

    Raises GoogleNotOffered, RedirectNotAllowed, InvalidCode, GoogleTaken, InvalidCredentials,
    FreshSignInNeeded, TooManyRequests.
    """
    account = reauthenticate(learner, password, source=source, now=now)
    entry = _exchange_code(
        code=code, redirect_uri=redirect_uri, code_verifier=code_verifier, now=now
    )
    identity = entry.identity
    if identity.google_id is None:
        raise InvalidCode
    is_own = identity.sub == learner.id
    if is_own and not account.google_off:
        return
    if not is_own and (account.federated_name or Account.of(identity.sub) is not None):
        raise GoogleTaken
    try:
        account.begin_link(identity.google_id, now)
    except ConditionFailed as error:
        raise InvalidCredentials from error
    if not is_own:
        cognito_users.delete_user(identity.username)  # Cognito links only who it does not know yet
        cognito_users.link_google(account.user_name, identity.google_id)
    complete_link(account, source, now=now)


def unlink(learner: Learner, *, password: str | None, source: ClientInfo, now: datetime) -> None:
    """Lets no Google account enter as the learner any more, and ends all sessions.

    The steps stand at `unfinished.complete_unlink`. Harmless where nothing is linked. Raises
    OnlyWayIn for a learner without a password, InvalidCredentials, TooManyRequests.
    """
    account = Account.of(learner.id)
    if account is not None and not account.has_password:
        raise OnlyWayIn
    account = reauthenticate(learner, password, source=source, now=now)
    user = cognito_users.find_user(account.user_name)
    linked_in_pool = user is not None and user.google_ids and not account.federated_name
    if "google" not in account.sign_in_methods and not linked_in_pool:
        return
    try:
        account.begin_unlink()
    except ConditionFailed as error:
        raise ServiceUnavailable("A Google account is being linked: try in a minute") from error
    account.unlinking = True
    complete_unlink(account, source, now=now)
