"""Mails that were given up, for staff."""

from functools import partial

from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import IsStaff, staff_member
from config.operations import operation
from config.problems import NotFound, PermissionDenied
from config.serializers import IdField
from config.viewsets import ListQuerySerializer, Resource, get_or_404, page_of
from reminders.api.serializers import DeliverySerializer
from reminders.models import DEAD, RETRIED, Delivery
from reminders.services import dead_letters
from reminders.services.events import aside


class FailedDeliverySerializer(DeliverySerializer):
    id = serializers.CharField()
    learner_id = serializers.CharField()
    reminder_id = IdField()


class FailedDeliveryViewSet(Resource):
    lookup_value_regex = r"[0-9A-Za-z.+-]{1,160}"
    permission_classes = (IsStaff,)

    @operation(
        "listFailedDeliveries",
        answers={200: page_of(FailedDeliverySerializer)},
        query=ListQuerySerializer,
        raises=[PermissionDenied],
    )
    def list(self, request: Request) -> Response:
        """List the mails that were given up, the latest first, for staff.

        Mails that were tried eight times, or that were refused for good. Mend the cause, then retry
        each.
        """
        failed = partial(Delivery.failed, on_unreadable=aside(now()))
        return self.paginated(failed, serializer_class=FailedDeliverySerializer)

    @operation(
        "getFailedDelivery",
        answers={200: FailedDeliverySerializer},
        raises=[PermissionDenied, NotFound],
    )
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a mail that was given up, for staff; also once it was retried.

        Has the `reason`, and the reminder it belongs to.
        """
        delivery = get_or_404(Delivery.by_id(id))
        if delivery.state not in (DEAD, RETRIED):
            raise NotFound
        return Response(FailedDeliverySerializer(delivery).data)

    @operation(
        "retryDelivery",
        answers={200: FailedDeliverySerializer},
        raises=[PermissionDenied, NotFound, dead_letters.NotDead, dead_letters.CannotRetry],
    )
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, id: str) -> Response:
        """Have a mail that was given up sent with the next sweep, for staff.

        It is mailed within a minute or two. `NOT_DEAD`: it was retried or mailed already.
        `CANNOT_RETRY` says why in `detail`.
        """
        revived = dead_letters.retry(delivery_id=id, by=staff_member(request), now=now())
        return Response(FailedDeliverySerializer(revived).data)
