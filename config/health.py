"""Is the service there (no dependency), and can it work (its table and its pool answer)?"""

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.operations import operation
from config.problems import ServiceUnavailable
from config.serializers import Serializer


class HealthShape(Serializer):
    status = serializers.ChoiceField(["ok"])


class Health(APIView):
    authentication_classes = ()
    permission_classes = ()

    @operation("getHealth", answers={200: HealthShape}, public=True)
    def get(self, request: Request) -> Response:
        """Tell that the service runs."""
        return Response({"status": "ok"})


class Ready(APIView):
    authentication_classes = ()
    permission_classes = ()

    @operation("getReadiness", answers={200: HealthShape}, raises=[ServiceUnavailable], public=True)
    def get(self, request: Request) -> Response:
        """Tell whether the table and the user pool can be reached."""
        from config.readiness import check  # loads the AWS clients, which liveness must not need

        check()
        return Response({"status": "ok"})
