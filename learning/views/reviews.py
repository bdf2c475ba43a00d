"""The study log."""

from typing import Any, cast

from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pages import list_of, page_response, start_of
from config.problems import Problem
from config.viewsets import Resource
from learning.scheduling import Rating
from learning.serializers import study as shapes
from learning.serializers.batches import sent_id
from learning.services.changes import entries_by_arrival
from learning.services.review import Outcome, Submission, log_of_card, submit


class Reviews(Resource):
    @operation("listReviews", answers={200: list_of(shapes.ReviewShape)}, query=shapes.ReviewQuery)
    def list(self, request: Request) -> Response:
        """List the study log, newest first: of one card by the instants of its entries.

        Of all cards it goes by arrival, 400 days back; what came with an import is listed with its
        card alone.
        """
        query = self.query(shapes.ReviewQuery)
        start = start_of(request, query.get("cursor"))
        if card_id := query.get("card_id"):
            page = log_of_card(
                learner_id=self.learner_id, card_id=card_id, limit=query["limit"], start=start
            )
        else:
            page = entries_by_arrival(
                learner_id=self.learner_id, limit=query["limit"], start=start, now=now()
            )
        return page_response(request, page, shapes.ReviewShape)

    @operation("submitReviews", request=shapes.BatchShape, answers={200: shapes.BatchOutcomeShape})
    def create(self, request: Request) -> Response:
        """Send in what was studied offline, up to 100 entries of any cards.

        Each entry is applied, known already, or rejected with its own problem; the others are not
        held up by it. The order of sending does not matter: a card is what its log in order of
        time makes of it. Safe to send again as a whole, also after an error.
        """
        sent = self.body(shapes.BatchShape)["reviews"]
        submissions = [_submission(each) for each in sent if not isinstance(each, Problem)]
        outcomes = submit(learner_id=self.learner_id, submissions=submissions, now=now())
        known, raws = iter(outcomes), cast("dict[str, Any]", request.data)["reviews"]
        results = [
            _result(raw, Outcome("rejected", problem=each))
            if isinstance(each, Problem)
            else _result(raw, next(known))
            for raw, each in zip(raws, sent, strict=True)
        ]
        cards = {each.card.id: each.card for each in outcomes if each.card}
        body = {"results": results, "cards": list(cards.values())}
        return Response(shapes.BatchOutcomeShape(body).data)


def _submission(fields: dict[str, Any]) -> Submission:
    rating = fields.pop("rating", None)
    return Submission(**fields, rating=Rating.from_wire(rating) if rating else None)


def _result(raw: Any, outcome: Outcome) -> dict[str, Any]:
    return {
        "id": sent_id(raw),
        "status": outcome.status,
        "problem": outcome.problem and outcome.problem.body(),
    }
