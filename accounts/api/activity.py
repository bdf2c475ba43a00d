"""/auth/activity"""

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers import ActivitySerializer, activity_of
from accounts.authentication import caller
from config.operations import operation
from config.pagination import ListQuerySerializer, page_of


class ActivityView(APIView):
    @operation(
        "listActivity", query=ListQuerySerializer, answers={200: page_of(ActivitySerializer)}
    )
    def get(self, request: Request) -> Response:
        """List what happened to the caller's account, the newest first.

        For staff also what they did as such, with its `target`.
        """
        return activity_of(f"users/{caller(request).id}", request, ActivitySerializer)
