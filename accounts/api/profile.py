"""/profile"""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers import (
    LEVELS,
    Language,
    Name,
    NotificationsShape,
    OnlyPassword,
    ProfileShape,
    profile_body,
)
from accounts.authentication import caller
from accounts.cognito.client import InvalidCredentials
from accounts.services import deletion, profile
from accounts.services.profile import Person
from accounts.services.sessions import FreshSignInNeeded
from config.client_info import source_of
from config.clock import now
from config.operations import operation
from config.pagination import list_of, page_response, start_of
from config.problems import Conflict, NotFound
from config.serializers import HttpsUrl, Integer, Query, Serializer, Text, Zone, valid
from config.viewsets import expected_version, versioned

NOTHING_SAID = {
    "study_mails": True,
    "event_mails": True,
    "quiet_hours": None,
}


class ProfileUpdate(Serializer):
    """What a learner may write. With PUT, what is left out gets its default."""

    samples = {"currentLevel": "A2", "targetLevel": "B1", "timezone": "Europe/Lisbon"}

    first_name = Name()
    last_name = Name()
    display_name = Name(max_length=50, allow_null=True, default=None)
    avatar_url = HttpsUrl(allow_null=True, default=None)
    native_language = Language(allow_null=True, default=None)
    target_language = Language(allow_null=True, default=None)
    current_level = serializers.ChoiceField(LEVELS, allow_null=True, default=None)
    target_level = serializers.ChoiceField(LEVELS, allow_null=True, default=None)
    timezone = Zone(default="UTC")
    daily_goal = Integer(min_value=1, max_value=1000, default=20, help_text="Cards per day")
    notifications = NotificationsShape(default=dict)

    @property
    def attributes(self) -> dict[str, Any]:
        """What to set on the item."""
        values = dict(self.validated_data)
        if not self.partial:
            values["notifications"] = NOTHING_SAID | values["notifications"]
        nested: dict[str, Any] = values.pop("notifications", {})
        return values | nested


class ExportQuery(Query):
    cursor = Text(max_length=2048, required=False, help_text="From `next`, as it is")


class ExportedShape(Serializer):
    """One stored item. `data` has its attributes under the names they are stored by."""

    kind = serializers.CharField()
    key = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]

    class Meta:
        ref_name = "Exported"


def _answer(person: Person) -> Response:
    return versioned(Response(profile_body(person)), int(person.profile.version))


class ProfileView(APIView):
    @operation("getUserProfile", answers={200: ProfileShape}, raises=[NotFound])
    def get(self, request: Request) -> Response:
        """Tell all about the caller."""
        learner = caller(request)
        found = profile.person(learner.id, groups=learner.groups, now=now())
        if found is None:
            raise NotFound
        return _answer(found)

    @operation(
        "updateUserProfile",
        request=ProfileUpdate,
        answers={200: ProfileShape},
        raises=[Conflict, NotFound],
        if_match=True,
    )
    def put(self, request: Request) -> Response:
        """Replace the profile: what is left out gets its default."""
        return self._change(request, partial=False)

    @operation(
        "patchUserProfile",
        request=ProfileUpdate,
        answers={200: ProfileShape},
        raises=[Conflict, NotFound],
        if_match=True,
    )
    def patch(self, request: Request) -> Response:
        """Change some of the profile."""
        return self._change(request, partial=True)

    @operation(
        "deleteUser",
        request=OnlyPassword,
        answers={204: None, 202: None},
        raises=[InvalidCredentials, FreshSignInNeeded],
    )
    def delete(self, request: Request) -> Response:
        """Remove the caller's account and all that is theirs.

        202 when there was too much for one request: the rest follows within minutes.
        """
        password = valid(OnlyPassword, request.data).get("password")
        whole = deletion.leave(caller(request), password, source=source_of(request.META), now=now())
        return Response(status=204 if whole else 202)

    def _change(self, request: Request, *, partial: bool) -> Response:
        shape = ProfileUpdate(data=request.data, partial=partial)
        shape.is_valid(raise_exception=True)
        learner = caller(request)
        changed = profile.change(
            learner.id,
            groups=learner.groups,
            values=shape.attributes,
            expected_version=expected_version(request),
            now=now(),
        )
        return _answer(changed)


class ExportView(APIView):
    @operation("exportUser", query=ExportQuery, answers={200: list_of(ExportedShape)})
    def get(self, request: Request) -> Response:
        """Take along all that is stored of the caller, but for secrets.

        One answer has up to three megabytes; `next` leads to the rest.
        """
        query = ExportQuery(request.query_params).values()
        page = deletion.export(
            caller(request).id,
            start=start_of(request, query.get("cursor")),
            source=source_of(request.META),
            now=now(),
        )
        return page_response(request, page, ExportedShape)
