"""Authentication, permissions and throttling: DRF's policies of every view.

The caller is the learner of the access token in `Authorization: Bearer …` (RFC 6750).
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.timezone import now
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.tokens import InvalidToken, Learner, bearer, verify_access_token
from config.client_info import client_info_of
from config.problems import BEARER, PermissionDenied, TooManyRequests
from config.records import dataclass
from config.telemetry import Call

if TYPE_CHECKING:
    from accounts.models import Account
    from accounts.models.audit import StaffMember


def caller(request: Request) -> Learner:
    """The learner of a request whose view wants one. Raises InvalidToken."""
    user: object = request.user
    if not isinstance(user, Learner):
        raise InvalidToken
    return user


def staff_member(request: Request) -> "StaffMember":
    """The caller as a member of staff, for a view that lets in nobody else."""
    from accounts.models.audit import StaffMember

    return StaffMember(caller(request).id, client_info_of(request.META))


def allowed_without_second_step(view: Any) -> bool:
    """Whether staff may use a view before they have set up the second step that they need."""
    return bool(getattr(view, "allowed_without_second_step", False))


def raw_token(request: Request) -> str:
    """The access token of the request."""
    return str(request.auth)


class SecondStepRequired(PermissionDenied):
    """Not raised for views marked `allowed_without_second_step`, which lead to a second step."""

    code, title = "SECOND_STEP_REQUIRED", "Staff need a second step here: set it up first"


def authenticate(token: str) -> Learner:
    """The learner of an access token.

    Raises InvalidToken, also when the account bars the token; TooManyRequests when its day is used
    up; ServiceUnavailable.
    """
    from accounts.models.account import account_cache  # DRF loads this with any view, /health too

    learner = verify_access_token(token)
    account = account_cache.of(learner.id)
    if account is None or _is_refused(account, learner):
        raise InvalidToken
    if wait_s := account.barred_for_s(time.time()):
        raise TooManyRequests("This account has used all that one day allows", retry_after_s=wait_s)
    if not settings.STAFF_SECOND_STEP or not learner.groups or account.mfa_enabled:
        return learner
    account_cache.forget(learner.id)  # it may just have been turned on, in another process
    account = account_cache.of(learner.id)
    return replace(learner, lacks_second_step=account is None or not account.mfa_enabled)


def _is_refused(account: "Account", learner: Learner) -> bool:
    return (
        account.disabled
        or bool(account.unlinking)
        or bool(account.cut_off_password_changes(time.time()))
        or learner.issued_at < account.tokens_valid_after
        or account.is_session_ended(learner.session)
    )


class BearerAuthentication(BaseAuthentication):
    """DRF's hook. No header: anonymous. Anything but one valid access token: 401.

    Raises SecondStepRequired for staff who have to set up their second step first.
    """

    def authenticate(self, request: Request) -> tuple[Learner, str] | None:
        header = request.META.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        token = bearer(header)
        learner = authenticate(token)
        request._request.charge = partial(_charge, learner.id)  # type: ignore[attr-defined]
        view = (request.parser_context or {}).get("view")
        if learner.lacks_second_step and not allowed_without_second_step(view):
            raise SecondStepRequired
        return learner, token

    def authenticate_header(self, request: Request) -> str:
        return BEARER


def _charge(learner_id: str, calls: Iterable[Call], took_s: float, sent_bytes: int) -> None:
    """Adds what a request has cost to the learner's day."""
    from accounts.models.limits import cost_of, day_meter

    day_meter.add(learner_id, cost_of(calls, took_s, sent_bytes), now=now())


# --- Permissions ----------------------------------------------------------------------------------

STAFF = frozenset({"staff", "admin"})


def is_staff(request: Request) -> bool:
    """Whether the caller is one of our own people."""
    return not STAFF.isdisjoint(getattr(request.user, "groups", ()))


def is_admin(request: Request) -> bool:
    """Whether the caller may change accounts."""
    return "admin" in getattr(request.user, "groups", ())


class IsStaff(BasePermission):
    """Staff may read and write."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return is_staff(request)


class IsAdmin(BasePermission):
    """Admins alone."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return is_admin(request)


class StaffReadAdminsWrite(BasePermission):
    """Staff may read; admins may write."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method in SAFE_METHODS:
            return is_staff(request)
        return is_admin(request)


class IsLearner(BasePermission):
    """Anyone with a valid access token."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return request.user is not None


class ReadOrStaff(BasePermission):
    """Anyone may read, with a token or without; staff may write."""

    def has_permission(self, request: Request, view: Any) -> bool:
        # A method that the view does not have is 405 to everyone.
        return request.method in SAFE_METHODS or view.action is None or is_staff(request)


class ReadOrLearner(BasePermission):
    """Anyone may read, with a token or without; learners may write."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return request.method in SAFE_METHODS or view.action is None or request.user is not None


# --- Throttling -----------------------------------------------------------------------------------


@dataclass
class Buckets:
    """A bucket of tokens for each caller: `burst` at most, refilled by `per_s` each second.

    Kept by each process for itself, approximate and free: it protects the process from a client
    that runs wild. What must hold over all processes is counted in the table
    (`accounts.models.limits`); floods are for API Gateway and WAF.
    """

    per_s: float
    burst: int
    clock: Callable[[], float] = time.monotonic
    most: int = 10_000
    _known: dict[str, tuple[float, float]] = field(default_factory=dict)

    def wait_s(self, caller: str) -> float:
        """Takes a token; 0, or the seconds until there is one."""
        now = self.clock()
        left, seen_at = self._known.get(caller, (float(self.burst), now))
        left = min(self.burst, left + (now - seen_at) * self.per_s)
        if left < 1:
            return (1 - left) / self.per_s
        if len(self._known) >= self.most:
            self._known.clear()
        self._known[caller] = (left - 1, now)
        return 0.0


buckets = Buckets(settings.THROTTLE_PER_S, settings.THROTTLE_BURST)


class Throttle(BaseThrottle):
    """DRF's hook: by learner, else by source."""

    _wait_s = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        learner = getattr(request.user, "id", None)
        self._wait_s = buckets.wait_s(learner or client_info_of(request.META).network)
        return self._wait_s == 0

    def wait(self) -> float:
        return math.ceil(self._wait_s)
