"""Mails that were given up, for staff."""

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import staff_member
from config.clock import now
from config.operations import operation
from config.pagination import ListQuery, list_of, page_response, start_of
from config.permissions import IsStaff
from config.problems import NotFound, PermissionDenied
from config.serializers import Id
from config.viewsets import Resource, found
from reminders.api.serializers import DeliveryShape
from reminders.models import DEAD, RETRIED, Delivery
from reminders.services import dead_letters


class FailedDeliveryShape(DeliveryShape):
    id = serializers.CharField()
    learner_id = serializers.CharField()
    reminder_id = Id()


class FailedDeliveries(Resource):
    lookup_value_regex = r"[0-9A-Za-z.+-]{1,160}"
    permission_classes = (IsStaff,)

    @operation(
        "listFailedDeliveries",
        answers={200: list_of(FailedDeliveryShape)},
        query=ListQuery,
        raises=[PermissionDenied],
    )
    def list(self, request: Request) -> Response:
        """List the mails that were given up, the latest first, for staff."""
        query = self.query(ListQuery)
        start = start_of(request, query.get("cursor"))
        page = Delivery.failed(limit=query["limit"], start=start)
        return page_response(request, page, FailedDeliveryShape)

    @operation(
        "getFailedDelivery",
        answers={200: FailedDeliveryShape},
        raises=[PermissionDenied, NotFound],
    )
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a mail that was given up, for staff; also once it was retried."""
        delivery = found(Delivery.named(id))
        if delivery.state not in (DEAD, RETRIED):
            raise NotFound
        return Response(FailedDeliveryShape(delivery).data)

    @operation(
        "retryDelivery",
        answers={200: FailedDeliveryShape},
        raises=[PermissionDenied, NotFound, dead_letters.NotDead, dead_letters.CannotRetry],
    )
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, id: str) -> Response:
        """Have a mail that was given up sent with the next sweep, for staff."""
        revived = dead_letters.retry(delivery_id=id, by=staff_member(request), now=now())
        return Response(FailedDeliveryShape(revived).data)
