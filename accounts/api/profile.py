"""/profile"""

from typing import Any

from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import (
    NameField,
    NotificationsSerializer,
    OnlyPasswordSerializer,
    ProfileSerializer,
    profile_body,
)
from accounts.authentication import caller
from accounts.cognito.client import InvalidCredentials
from accounts.models import Profile
from accounts.services import deletion, profile
from accounts.services.profile import FullProfile
from accounts.services.sessions import FreshSignInNeeded
from config.client_info import client_info_of
from config.formats import CEFR_LEVELS
from config.operations import operation
from config.problems import Conflict, NotFound
from config.serializers import (
    BooleanField,
    HttpsUrlField,
    InstantField,
    IntegerField,
    LanguageField,
    QuerySerializer,
    Serializer,
    TextField,
    ZoneField,
)
from config.viewsets import (
    View,
    decode_cursor,
    get_or_404,
    if_match_version,
    page_of,
    paginated_response,
    with_etag,
)

NOTHING_SAID = {
    "study_mails": True,
    "event_mails": True,
    "report_mails": True,
    "streak_mails": True,
    "quiet_hours": None,
    "early_mails": False,
}


class ProfileUpdateSerializer(Serializer):
    """What a learner may write. With PUT, what is left out gets its default."""

    samples = {"currentLevel": "A2", "targetLevel": "B1", "timezone": "Europe/Lisbon"}

    first_name = NameField()
    last_name = NameField()
    display_name = NameField(max_length=50, allow_null=True, default=None)
    avatar_url = HttpsUrlField(allow_null=True, default=None)
    native_language = LanguageField(allow_null=True, default=None)
    target_language = LanguageField(allow_null=True, default=None)
    current_level = serializers.ChoiceField(CEFR_LEVELS, allow_null=True, default=None)
    target_level = serializers.ChoiceField(CEFR_LEVELS, allow_null=True, default=None)
    timezone = ZoneField(default="UTC")
    daily_goal = IntegerField(min_value=1, max_value=1000, default=20, help_text="Cards per day")
    notifications = NotificationsSerializer(default=dict)

    @property
    def attributes(self) -> dict[str, Any]:
        """What to set on the item."""
        values = dict(self.validated_data)
        if not self.partial:
            values["notifications"] = NOTHING_SAID | values["notifications"]
        nested: dict[str, Any] = values.pop("notifications", {})
        return values | nested


class ExportQuerySerializer(QuerySerializer):
    cursor = TextField(max_length=2048, required=False, help_text="From `next`, as it is")


class ExportedSerializer(Serializer):
    """One stored item. `data` has its attributes under the names they are stored by."""

    kind = serializers.CharField()
    key = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]

    class Meta:
        ref_name = "Exported"


def _profile_response(full_profile: FullProfile) -> Response:
    return with_etag(Response(profile_body(full_profile)), int(full_profile.profile.version))


class ProfileView(View):
    @operation(
        "getUserProfile", answers={200: ProfileSerializer}, raises=[NotFound], if_none_match=True
    )
    def get(self, request: Request) -> Response:
        """Read the caller's profile.

        Name, languages, levels, goals, notifications, streak and `version`.
        """
        learner = caller(request)
        full_profile = profile.read_profile(learner.id, groups=learner.groups, now=now())
        if full_profile is None:
            raise NotFound
        return _profile_response(full_profile)

    @operation(
        "updateUserProfile",
        request=ProfileUpdateSerializer,
        answers={200: ProfileSerializer},
        raises=[Conflict, NotFound],
        if_match=True,
    )
    def put(self, request: Request) -> Response:
        """Replace the profile: what is left out gets its default.

        Answers the profile as it is now. `CONFLICT`: another device changed it at the same moment;
        read it and try again.
        """
        return self._change(request, partial=False)

    @operation(
        "patchUserProfile",
        request=ProfileUpdateSerializer,
        answers={200: ProfileSerializer},
        raises=[Conflict, NotFound],
        if_match=True,
    )
    def patch(self, request: Request) -> Response:
        """Change some of the profile.

        Answers the profile as it is now. `CONFLICT`: another device changed it at the same moment;
        read it and try again.
        """
        return self._change(request, partial=True)

    @operation(
        "deleteUser",
        request=OnlyPasswordSerializer,
        answers={204: None, 202: None},
        raises=[InvalidCredentials, FreshSignInNeeded, deletion.LastAdmin],
    )
    def delete(self, request: Request) -> Response:
        """Remove the caller's account and all that is theirs.

        202 when there was too much for one request: the rest follows within minutes.
        """
        password = self.validated_body(OnlyPasswordSerializer).get("password")
        whole = deletion.delete_account(
            caller(request), password, source=client_info_of(request.META), now=now()
        )
        return Response(status=204 if whole else 202)

    def _change(self, request: Request, *, partial: bool) -> Response:
        serializer = ProfileUpdateSerializer(data=request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        learner = caller(request)
        changed = profile.update_profile(
            learner.id,
            groups=learner.groups,
            values=serializer.attributes,
            expected_version=if_match_version(request),
            now=now(),
        )
        return _profile_response(changed)


class ConsentsSerializer(Serializer):
    """What a learner lets go to a model, each since when."""

    model_text = InstantField(source="model_text_at", allow_null=True, help_text="What they write")
    model_voice = InstantField(source="model_voice_at", allow_null=True, help_text="What they say")


class ConsentsUpdateSerializer(Serializer):
    """Give a consent (`true`) or withdraw it (`false`)."""

    samples = {"modelText": True}

    model_text = BooleanField(source="model_text_at", required=False)
    model_voice = BooleanField(source="model_voice_at", required=False)


class ConsentsView(View):
    @operation("getConsents", answers={200: ConsentsSerializer}, raises=[NotFound])
    def get(self, request: Request) -> Response:
        """Show which of the caller's words, written or spoken, may go to a model.

        Null where there is none. Ask before the first conversation with a model, and before the
        first recording.
        """
        stored = get_or_404(Profile.of(caller(request).id))
        return Response(ConsentsSerializer(stored).data)

    @operation(
        "updateConsents",
        request=ConsentsUpdateSerializer,
        answers={200: ConsentsSerializer},
        raises=[NotFound],
    )
    def patch(self, request: Request) -> Response:
        """Give or withdraw consents.

        Answers since when each is given. A withdrawn consent counts from the next turn on: the
        scenario's script answers instead.
        """
        consents = self.validated_body(ConsentsUpdateSerializer)
        changed = profile.set_consents(
            caller(request).id, consents, source=client_info_of(request.META), now=now()
        )
        return Response(ConsentsSerializer(changed).data)


class ExportView(View):
    @operation(
        "exportUser", query=ExportQuerySerializer, answers={200: page_of(ExportedSerializer)}
    )
    def get(self, request: Request) -> Response:
        """Export all that is stored of the caller, but for secrets.

        One answer has up to three megabytes; `next` leads to the rest.
        """
        query = self.validated_query(ExportQuerySerializer)
        page = deletion.export(
            caller(request).id,
            start=decode_cursor(request, query.get("cursor")),
            source=client_info_of(request.META),
            now=now(),
        )
        return paginated_response(request, page, ExportedSerializer)
