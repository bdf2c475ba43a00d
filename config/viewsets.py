"""The base of the views: what comes in validated, the caller by id, versions by `If-Match`."""

import re
from inspect import getattr_static
from typing import Any, TypeVar, cast

from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from config.formats import ULID_OR_UUID
from config.http import PassThroughRenderer
from config.problems import NotFound, ValidationFailed
from config.serializers import QuerySerializer, Serializer

T = TypeVar("T")


class Resource(ViewSet):
    """A view set whose items have ids as clients may make them."""

    lookup_field = "id"
    lookup_value_regex = ULID_OR_UUID

    @classmethod
    def get_extra_actions(cls) -> list[Any]:
        """DRF's list of the @action methods, without asking every attribute for its value.

        That would make `schema` load drf-spectacular, which only the pages of the API need.
        """
        attributes = (getattr_static(cls, name) for name in dir(cls))
        return [method for method in attributes if hasattr(method, "mapping")]

    @property
    def learner_id(self) -> str:
        """The caller's id (Cognito's `sub`)."""
        return str(cast("Any", self.request.user).id)

    def validated_body(
        self, serializer_class: type[Serializer], *, partial: bool = False
    ) -> dict[str, Any]:
        """The validated body, named as in Python. Raises ValidationError."""
        serializer = serializer_class(data=self.request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def validated_query(self, serializer_class: type[QuerySerializer]) -> dict[str, Any]:
        """The validated query parameters. Raises ValidationError."""
        return serializer_class(self.request.query_params).values()


def get_or_404(item: T | None) -> T:
    """The item, else NotFound: another learner's is in another partition, so never at hand."""
    if item is None:
        raise NotFound
    return item


ENTITY_TAG = re.compile(r'("?)(\d{1,15})\1', re.ASCII)  # proxies drop the quotes at times


def if_match_version(request: Request) -> int | None:
    """The version that `If-Match` demands; None where any will do (no header, or `*`).

    Raises ValidationFailed for a header that is not one of our entity tags.
    """
    header = request.headers.get("If-Match", "*").strip()
    if header == "*":
        return None
    if not (match := ENTITY_TAG.fullmatch(header)):
        raise ValidationFailed.of("If-Match", "invalid", 'Give one version in quotes, e.g. "3".')
    return int(match[2])


def with_etag(response: Response, version: int) -> Response:
    """The answer with the item's version as its entity tag."""
    response["ETag"] = f'"{version}"'
    return response


class PublicView(APIView):
    """A view without a caller that answers in one format, whatever is asked for."""

    authentication_classes = ()
    permission_classes = ()
    renderer_classes = (PassThroughRenderer,)

    def perform_content_negotiation(
        self, request: Request, force: bool = False
    ) -> tuple[BaseRenderer, str]:
        return PassThroughRenderer(), PassThroughRenderer.media_type
