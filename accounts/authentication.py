"""Authenticates requests by the access token in `Authorization: Bearer …` (RFC 6750)."""

from typing import TYPE_CHECKING

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.tokens import InvalidToken, bearer
from config.client_info import client_info_of

if TYPE_CHECKING:
    from accounts.audit import StaffMember
    from accounts.bearer import Learner


def caller(request: Request) -> "Learner":
    """The learner of a request whose view wants one. Raises InvalidToken."""
    from accounts.bearer import Learner

    user: object = request.user
    if not isinstance(user, Learner):
        raise InvalidToken
    return user


def staff_member(request: Request) -> "StaffMember":
    """The caller as one of our people, for a view that lets in no others."""
    from accounts.audit import StaffMember

    return StaffMember(caller(request).id, client_info_of(request.META))


def raw_token(request: Request) -> str:
    """The access token that `caller` came by."""
    return str(request.auth)


class BearerAuthentication(BaseAuthentication):
    """DRF's hook. No header: anonymous. Anything but one valid access token: 401."""

    def authenticate(self, request: Request) -> "tuple[Learner, str] | None":
        header = request.META.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        token = bearer(header)
        from accounts.bearer import authenticate  # DRF loads this class with any view, /health too

        return authenticate(token), token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="parley"'
