"""/auth/activity, and the trails that staff read"""

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import caller
from accounts.models import Activity
from accounts.serializers.activity import ActivityShape, DeedShape
from config.operations import operation
from config.pagination import ListQuery, list_of, page_response, start_of


class ActivityView(APIView):
    @operation("listActivity", query=ListQuery, answers={200: list_of(ActivityShape)})
    def get(self, request: Request) -> Response:
        """List what happened to the caller's account, the newest first.

        For staff also what they did as such, with its `target`.
        """
        return activity_of(f"users/{caller(request).id}", request, ActivityShape)


def activity_of(target: str, request: Request, shape: type[ActivityShape] = DeedShape) -> Response:
    """A page of the trail of a learner, `users/<id>`, or of what staff write, `scenarios/<id>`."""
    query = ListQuery(request.query_params).values()
    start = start_of(request, query.get("cursor"))
    page = Activity.newest(target, limit=query["limit"], start=start)
    return page_response(request, page, shape)
