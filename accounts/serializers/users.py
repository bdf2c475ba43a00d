"""Wire shapes of accounts as staff see them."""

from typing import Any

from rest_framework import serializers

from accounts.services.staff import User
from accounts.tokens import ROLES
from config.pagination import ListQuery
from config.serializers import Boolean, Serializer, Text


class UserQuery(ListQuery):
    email = Text(
        max_length=128, required=False, default="", help_text="Beginning of the address, any case"
    )


class UserSummary(Serializer):
    """An account as staff see it in the list."""

    id = serializers.CharField(source="learner_id")
    email = serializers.CharField()
    email_verified = serializers.BooleanField()
    mfa_enabled = serializers.BooleanField()
    disabled = serializers.BooleanField()
    created_at = serializers.DateTimeField()

    class Meta:
        ref_name = "UserSummary"


class UserShape(UserSummary):
    """An account as staff see it."""

    first_name = serializers.CharField()
    last_name = serializers.CharField()
    groups = serializers.ListField(child=serializers.ChoiceField(sorted(ROLES)))

    class Meta:
        ref_name = "User"


class UserUpdate(Serializer):
    """What admins may change."""

    disabled = Boolean(required=False)
    groups = serializers.ListField(
        child=serializers.ChoiceField(sorted(ROLES)), required=False, max_length=len(ROLES)
    )


def user_body(found: User) -> dict[str, Any]:
    """A user on the wire."""
    summary = UserSummary(found.account).data
    return {
        **summary,
        "firstName": found.profile.first_name,
        "lastName": found.profile.last_name,
        "groups": sorted(found.groups),
    }
