"""/profile"""

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import caller
from accounts.cognito import InvalidCredentials
from accounts.serializers.profile import (
    ExportedShape,
    ExportQuery,
    ProfileShape,
    ProfileUpdate,
    profile_body,
)
from accounts.serializers.shared import OnlyPassword
from accounts.services import deletion, profile
from accounts.services.profile import Person
from accounts.services.proof import FreshSignInNeeded
from config.client_info import source_of
from config.clock import now
from config.operations import operation
from config.pagination import list_of, page_response, start_of
from config.problems import Conflict, NotFound
from config.serializers import valid
from config.viewsets import expected_version, versioned


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
