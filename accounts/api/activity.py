"""/auth/activity"""

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import ActivitySerializer
from accounts.models import Activity
from config.operations import operation
from config.viewsets import ListQuerySerializer, View, page_of


class ActivityView(View):
    @operation(
        "listActivity", query=ListQuerySerializer, answers={200: page_of(ActivitySerializer)}
    )
    def get(self, request: Request) -> Response:
        """List what happened to the caller's account, the newest first.

        For staff also what they did as such, with its `target`.
        """
        return self.paginated(
            Activity.newest, f"users/{self.learner_id}", serializer_class=ActivitySerializer
        )
