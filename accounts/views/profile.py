"""/profile"""

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import caller
from accounts.serializers import ProfileShape, ProfileUpdate, profile_body
from accounts.services import profiles
from accounts.services.profiles import Person
from config.clock import now
from config.operations import operation
from config.preconditions import expected_version, versioned
from config.problems import Conflict, NotFound


def _answer(person: Person) -> Response:
    return versioned(Response(profile_body(person)), int(person.profile.version))


class ProfileView(APIView):
    @operation("getUserProfile", answers={200: ProfileShape}, raises=[NotFound])
    def get(self, request: Request) -> Response:
        """Tell all about the caller."""
        learner = caller(request)
        found = profiles.person(learner.id, groups=learner.groups, now=now())
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

    def _change(self, request: Request, *, partial: bool) -> Response:
        shape = ProfileUpdate(data=request.data, partial=partial)
        shape.is_valid(raise_exception=True)
        learner = caller(request)
        changed = profiles.change(
            learner.id,
            groups=learner.groups,
            values=shape.attributes,
            expected_version=expected_version(request),
            now=now(),
        )
        return _answer(changed)
