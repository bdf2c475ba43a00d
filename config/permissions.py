"""Who may call a view."""

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

STAFF = frozenset({"staff", "admin"})


def is_staff(request: Request) -> bool:
    """Whether the caller is in one of the groups of our own people."""
    return not STAFF.isdisjoint(getattr(request.user, "groups", ()))


class IsStaff(BasePermission):
    """Staff may read and write."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return is_staff(request)


class IsAdmin(BasePermission):
    """Admins alone."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return "admin" in getattr(request.user, "groups", ())


class StaffReadAdminsWrite(BasePermission):
    """Staff may read; admins may write."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method in SAFE_METHODS:
            return is_staff(request)
        return "admin" in getattr(request.user, "groups", ())


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
