"""Health checks: `/health` needs nothing else; `/health/ready` asks the table and the pool."""

import time
from threading import Lock

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.operations import operation
from config.problems import Filled, ServiceUnavailable
from config.serializers import Serializer
from config.stack import stack


class HealthSerializer(Serializer):
    status = serializers.ChoiceField(["ok"])


class HealthView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @operation("getHealth", answers={200: HealthSerializer}, public=True)
    def get(self, request: Request) -> Response:
        """Tell that the service runs.

        For load balancers: it asks nothing else. See `/health/ready` for what it stands on.
        """
        return Response({"status": "ok"})


class ReadyView(APIView):
    authentication_classes = ()
    permission_classes = ()

    # Everybody may ask, but AWS describes the pool only a few times a second.
    KEPT_S = 10.0
    _lock = Lock()
    _asked_at = float("-inf")
    _problem: ServiceUnavailable | None = None

    @operation(
        "getReadiness", answers={200: HealthSerializer}, raises=[ServiceUnavailable], public=True
    )
    def get(self, request: Request) -> Response:
        """Tell whether the table and the user pool can be reached. The answer may be 10 s old.

        503 names what does not answer.
        """
        if problem := self._state():
            raise problem
        return Response({"status": "ok"})

    @classmethod
    def _state(cls) -> ServiceUnavailable | None:
        with cls._lock:
            if time.monotonic() - cls._asked_at > cls.KEPT_S:
                try:
                    check()
                    cls._problem = None
                except ServiceUnavailable as problem:
                    cls._problem = problem
                cls._asked_at = time.monotonic()
            return cls._problem


def check() -> None:
    """Asks the table and the user pool. Raises ServiceUnavailable naming the one that fails."""
    from botocore.exceptions import ClientError  # slow to load: liveness must not need it

    from config import aws

    where = stack()
    for name, service, question, arguments in (
        ("table", "dynamodb", "describe_table", {"TableName": where.table_name}),
        ("user pool", "cognito-idp", "describe_user_pool", {"UserPoolId": where.user_pool_id}),
    ):
        try:
            aws.call(service, question, **arguments)
        except (ClientError, ServiceUnavailable) as error:
            raise ServiceUnavailable(Filled("The {name} does not answer", name=name)) from error
