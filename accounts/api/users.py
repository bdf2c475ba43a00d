"""/users"""

from functools import partial
from typing import Any, get_args

from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import EmailField, OnlyPasswordSerializer, StaffActionSerializer
from accounts.authentication import (
    IsAdmin,
    IsStaff,
    StaffReadAdminsWrite,
    caller,
    is_admin,
    staff_member,
)
from accounts.cognito.client import InvalidCredentials, NoSuchUser
from accounts.models import Reconciliation
from accounts.services import invitations, reconciliation, staff
from accounts.services.sessions import FreshSignInNeeded
from accounts.services.staff import AddressNotProved, CannotChangeYourself, User
from accounts.tokens import ROLES
from config.client_info import client_info_of
from config.operations import operation
from config.problems import NotFound, PermissionDenied
from config.serializers import BooleanField, Serializer, TextField
from config.viewsets import ListQuerySerializer, Resource, page_of


class UserQuerySerializer(ListQuerySerializer):
    email = TextField(
        max_length=128,
        required=False,
        default="",
        help_text="The whole address, any case; for admins its beginning will do",
    )


class UserSummarySerializer(Serializer):
    """An account as staff see it in the list."""

    id = serializers.CharField(source="learner_id")
    email = serializers.CharField()
    email_verified = serializers.BooleanField()
    mfa_enabled = serializers.BooleanField()
    disabled = serializers.BooleanField()
    created_at = serializers.DateTimeField()

    class Meta:
        ref_name = "UserSummary"


class UserSerializer(UserSummarySerializer):
    """An account as staff see it."""

    first_name = serializers.CharField()
    last_name = serializers.CharField()
    groups = serializers.ListField(child=serializers.ChoiceField(sorted(ROLES)))
    status = serializers.CharField(
        help_text="Cognito's word, e.g. CONFIRMED, UNCONFIRMED, FORCE_CHANGE_PASSWORD, "
        "RESET_REQUIRED or EXTERNAL_PROVIDER; MISSING where the pool has no such user"
    )

    class Meta:
        ref_name = "User"


class UserUpdateSerializer(Serializer):
    """What admins may change."""

    disabled = BooleanField(required=False)
    groups = serializers.ListField(
        child=serializers.ChoiceField(sorted(ROLES)), required=False, max_length=len(ROLES)
    )


class InvitationsSerializer(Serializer):
    """Whom to invite."""

    emails = serializers.ListField(child=EmailField(), min_length=1, max_length=20)

    class Meta:
        ref_name = "Invitations"


class InvitedSerializer(Serializer):
    """What came of one invitation."""

    email = serializers.CharField()
    outcome = serializers.ChoiceField(
        get_args(invitations.Outcome),
        help_text="`registered`: the owner can sign in already; `waiting`: mailed to, or being "
        "signed up, within the last minute, so that nothing was done",
    )

    class Meta:
        ref_name = "Invited"


class InvitedListSerializer(Serializer):
    """What came of each address."""

    results = InvitedSerializer(many=True)

    class Meta:
        ref_name = "InvitedList"


class DisagreementSerializer(Serializer):
    """What user pool and table disagree on about one person."""

    user_id = serializers.CharField(source="learner_id")
    kind = serializers.ChoiceField(get_args(reconciliation.Kind))
    repaired = serializers.BooleanField()

    class Meta:
        ref_name = "Disagreement"


class ReportSerializer(Serializer):
    """The last comparison. `total` counts all disagreements, of which the first 100 are listed."""

    begun_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    compared = serializers.IntegerField(help_text="Accounts and users that were looked at")
    total = serializers.IntegerField()
    only_reported = serializers.BooleanField(
        help_text="There were so many that a store was probably restored: nothing was repaired"
    )
    results = DisagreementSerializer(many=True)

    class Meta:
        ref_name = "DisagreementReport"


NO_REPORT: dict[str, Any] = {
    "begun_at": None,
    "finished_at": None,
    "compared": 0,
    "total": 0,
    "only_reported": False,
    "results": [],
}


def user_body(user: User) -> dict[str, Any]:
    """A user on the wire."""
    summary = UserSummarySerializer(user.account).data
    return {
        **summary,
        "firstName": user.profile.first_name,
        "lastName": user.profile.last_name,
        "status": user.status,
        "groups": sorted(user.groups),
    }


class UserViewSet(Resource):
    """Learners' accounts, for staff."""

    permission_classes = (StaffReadAdminsWrite,)

    @operation(
        "listUsers",
        query=UserQuerySerializer,
        answers={200: page_of(UserSummarySerializer)},
        raises=[PermissionDenied],
    )
    def list(self, request: Request) -> Response:
        """Find an account by its address, for staff.

        Staff give the whole address, admins may give its beginning. Each look is in the audit
        trails, also of the account that is found.
        """
        find = partial(
            staff.list_users, by=staff_member(request), is_admin=is_admin(request), now=now()
        )
        return self.paginated(
            find, serializer_class=UserSummarySerializer, query=UserQuerySerializer
        )

    @operation("getUser", answers={200: UserSerializer}, raises=[PermissionDenied, NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read an account, for staff. The look is in the audit trails.

        With its `status` in the user pool, its groups and its second step.
        """
        return Response(user_body(staff.view_user(id, by=staff_member(request), now=now())))

    @operation(
        "updateUser",
        request=UserUpdateSerializer,
        answers={200: UserSerializer},
        raises=[PermissionDenied, NotFound, CannotChangeYourself, AddressNotProved, NoSuchUser],
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Disable or enable an account, or change its groups, for admins.

        Answers the account as it is now. `CANNOT_CHANGE_YOURSELF`: ask another admin.
        `ADDRESS_NOT_PROVED`: groups are for those who have verified their address. `USER_MISSING`:
        see `/users/disagreements`.
        """
        values = self.validated_body(UserUpdateSerializer, partial=True)
        changed = staff.update_user(
            id,
            by=staff_member(request),
            disabled=values.get("disabled"),
            groups=values.get("groups"),
            now=now(),
        )
        return Response(user_body(changed))

    @operation(
        "removeUser",
        request=OnlyPasswordSerializer,
        answers={204: None, 202: None},
        raises=[
            PermissionDenied,
            NotFound,
            CannotChangeYourself,
            InvalidCredentials,
            FreshSignInNeeded,
        ],
    )
    def destroy(self, request: Request, id: str) -> Response:
        """Remove an account and all that is in it, for admins, who give their own password.

        The learner is told by mail. 202 when there was too much for one request: the rest follows
        within minutes.
        """
        whole = staff.delete_user(
            id,
            self.validated_body(OnlyPasswordSerializer).get("password"),
            by=caller(request),
            source=client_info_of(request.META),
            now=now(),
        )
        return Response(status=204 if whole else 202)

    @operation(
        "inviteUsers",
        request=InvitationsSerializer,
        answers={200: InvitedListSerializer},
        raises=[PermissionDenied],
    )
    @action(detail=False, methods=["post"], url_path="invitations", permission_classes=(IsStaff,))
    def invite(self, request: Request) -> Response:
        """Invite people by mail, for staff.

        Each is mailed a temporary password, by which they sign in (`newPasswordRequired`): the
        address is proved then, and no limit on sign-ups of a network is in their way. Sent again
        after a minute, it mails another password to those who have not come in yet.
        """
        emails = self.validated_body(InvitationsSerializer)["emails"]
        invited = invitations.invite(emails, by=staff_member(request), now=now())
        return Response(InvitedListSerializer({"results": invited}).data)

    @operation("listDisagreements", answers={200: ReportSerializer}, raises=[PermissionDenied])
    @action(detail=False, permission_classes=(IsAdmin,))
    def disagreements(self, request: Request) -> Response:
        """List what the last nightly comparison of user pool and table has found, for admins.

        Accounts that only one of the two has, or that differ; `repaired` says what was put right by
        itself.
        """
        return Response(ReportSerializer(Reconciliation.latest().report or NO_REPORT).data)

    @operation(
        "resetUserMfa",
        answers={200: UserSerializer},
        raises=[PermissionDenied, NotFound, CannotChangeYourself, NoSuchUser],
    )
    @action(detail=True, methods=["post"], url_path="reset-mfa")
    def reset_mfa(self, request: Request, id: str) -> Response:
        """Turn off the second step of a learner who has lost it, for admins.

        Answers the account. The learner is told by mail, and signs in with the password alone.
        """
        return Response(user_body(staff.reset_mfa(id, by=staff_member(request), now=now())))

    @operation(
        "listUserActivity",
        query=ListQuerySerializer,
        answers={200: page_of(StaffActionSerializer)},
        raises=[PermissionDenied, NotFound],
    )
    @action(detail=True, permission_classes=(IsAdmin,))
    def activity(self, request: Request, id: str) -> Response:
        """List the events of an account and the actions of its owner as staff, for admins.

        Sign-ins, changes and what staff did, each with its instant.
        """
        view = partial(staff.view_activity, by=staff_member(request), now=now())
        return self.paginated(view, id, serializer_class=StaffActionSerializer)
