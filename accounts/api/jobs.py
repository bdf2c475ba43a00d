"""/jobs: long work that was given up, for staff."""

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import IsStaff
from config.operations import operation
from config.problems import PermissionDenied
from config.serializers import InstantField, IntegerField, ItemProblemSerializer, Serializer
from config.store.jobs import Job
from config.viewsets import ListQuerySerializer, Resource, page_of


class FailedJobSerializer(Serializer):
    """Work that failed five times. It goes on at its last place once its message comes again."""

    samples = {"kind": "import", "done": 240, "total": 1639}

    id = serializers.CharField()
    kind = serializers.CharField(source="what")
    owner = serializers.CharField(source="pk", help_text="`LEARNER#` and an id, or `SERVICE`")
    done = IntegerField()
    total = IntegerField(allow_null=True)
    problem = ItemProblemSerializer()
    created_at = InstantField()
    updated_at = InstantField()


class FailedJobViewSet(Resource):
    permission_classes = (IsStaff,)

    @operation(
        "listFailedJobs",
        answers={200: page_of(FailedJobSerializer)},
        query=ListQuerySerializer,
        raises=[PermissionDenied],
    )
    def list(self, request: Request) -> Response:
        """List the long work that was given up, the latest first, for staff.

        Once its cause is mended, let the queue of undone work start again.
        """
        return self.paginated(Job.failed, serializer_class=FailedJobSerializer)
