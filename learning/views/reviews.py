"""The study log."""

from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.pages import list_of, page_response, start_of
from config.viewsets import Resource
from learning.models.log import LogEntry
from learning.serializers import study as shapes


class Reviews(Resource):
    @operation("listReviews", answers={200: list_of(shapes.ReviewShape)}, query=shapes.ReviewQuery)
    def list(self, request: Request) -> Response:
        """List the study log, of one card or of all, newest first."""
        query = self.query(shapes.ReviewQuery)
        page = LogEntry.newest(
            self.learner_id,
            card_id=query.get("card_id"),
            limit=query["limit"],
            start=start_of(request, query.get("cursor")),
        )
        return page_response(request, page, shapes.ReviewShape)
