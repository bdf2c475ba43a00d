"""/users"""

from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import staff_member
from accounts.models import Account
from accounts.serializers.activity import DeedShape
from accounts.serializers.users import UserQuery, UserShape, UserSummary, UserUpdate, user_body
from accounts.services import staff
from accounts.services.staff import AddressNotProved, CannotChangeYourself
from accounts.views.activity import activity_of
from config.clock import now
from config.operations import operation
from config.pages import ListQuery, list_of, page_response, start_of
from config.permissions import IsAdmin, StaffReadAdminsWrite
from config.problems import NotFound, PermissionDenied
from config.viewsets import Resource


class Users(Resource):
    """Learners' accounts, for staff."""

    permission_classes = (StaffReadAdminsWrite,)

    @operation(
        "listUsers",
        query=UserQuery,
        answers={200: list_of(UserSummary)},
        raises=[PermissionDenied],
    )
    def list(self, request: Request) -> Response:
        """List accounts by address, for staff."""
        query = self.query(UserQuery)
        page = Account.listed(
            query["email"].lower(),
            limit=query["limit"],
            start=start_of(request, query.get("cursor")),
        )
        return page_response(request, page, UserSummary)

    @operation("getUser", answers={200: UserShape}, raises=[PermissionDenied, NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read an account, for staff."""
        return Response(user_body(staff.user(id)))

    @operation(
        "updateUser",
        request=UserUpdate,
        answers={200: UserShape},
        raises=[PermissionDenied, NotFound, CannotChangeYourself, AddressNotProved],
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Disable or enable an account, or change its groups, for admins."""
        values = self.body(UserUpdate, partial=True)
        changed = staff.change(
            id,
            by=staff_member(request),
            disabled=values.get("disabled"),
            groups=values.get("groups"),
            now=now(),
        )
        return Response(user_body(changed))

    @operation(
        "resetUserMfa",
        answers={200: UserShape},
        raises=[PermissionDenied, NotFound, CannotChangeYourself],
    )
    @action(detail=True, methods=["post"], url_path="reset-mfa")
    def reset_mfa(self, request: Request, id: str) -> Response:
        """Turn off the second step of a learner who has lost it, for admins."""
        return Response(user_body(staff.reset_mfa(id, by=staff_member(request), now=now())))

    @operation(
        "listUserActivity",
        query=ListQuery,
        answers={200: list_of(DeedShape)},
        raises=[PermissionDenied, NotFound],
    )
    @action(detail=True, permission_classes=(IsAdmin,))
    def activity(self, request: Request, id: str) -> Response:
        """List what happened to an account, and what its owner did as staff, for admins."""
        return activity_of(f"users/{id}", request)
