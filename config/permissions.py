"""Who may call a view."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class IsLearner(BasePermission):
    """Anyone with a valid access token."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return request.user is not None
