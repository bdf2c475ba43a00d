"""The bases of the views: validated input, the caller's id, pages, versions by `If-Match`."""

import re
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Any, ClassVar, TypeVar, cast

from django.core import signing
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.timezone import now
from rest_framework import serializers, status
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

from config.formats import ULID_OR_UUID
from config.http import PassThroughRenderer, Renderer
from config.problems import NotFound, ValidationFailed
from config.serializers import IntegerField, QuerySerializer, Serializer, TextField, validated_body
from config.store.items import Page, Raw

T = TypeVar("T")


# --- Pages of a list, each with the address of the next one ---------------------------------------


class ListQuerySerializer(QuerySerializer):
    """The parameters of every list."""

    limit = IntegerField(min_value=1, max_value=100, default=50, help_text="Results per page")
    cursor = TextField(max_length=2048, required=False, help_text="From `next`, as it is")


def _signer(request: Request) -> signing.Signer:
    """Signs for one learner and one query: a cursor is of no use anywhere else."""
    query = sorted(
        (name, value)
        for name, value in request.query_params.items()
        if name not in ("cursor", "limit")
    )
    owner = getattr(request.user, "id", "")
    return signing.Signer(salt=repr(("cursor", owner, request.path_info, query)))


def decode_cursor(request: Request, cursor: str | None) -> Raw | None:
    """Decodes where a page begins. Raises ValidationFailed for a cursor of another list."""
    if cursor is None:
        return None
    try:
        keys = _signer(request).unsign_object(cursor)
    except (signing.BadSignature, ValueError) as error:
        raise ValidationFailed.of(
            "cursor", "invalid_cursor", "This cursor does not belong to this list."
        ) from error
    return {name: {"S": value} for name, value in keys.items()}


def next_address(request: Request, start: Raw | None) -> str | None:
    """The address of the page that begins there; None where there is none."""
    if start is None:
        return None
    cursor = _signer(request).sign_object({name: value["S"] for name, value in start.items()})
    return replace_query_param(request.build_absolute_uri(), "cursor", cursor)


def paginated_response(
    request: Request, page: Page[Any], serializer_class: type[Serializer], **context: Any
) -> Response:
    """`{"results": […], "next": …}`; `next` is null on the last page."""
    following = next_address(request, page.next_key)
    results = serializer_class(page.items, many=True, context={"request": request, **context}).data
    return Response({"results": results, "next": following})


@cache  # one component of the schema, however many routes answer it
def page_of(serializer_class: type[Serializer]) -> type[Serializer]:
    """The serializer of a list's answer, for the schema."""
    name = f"{serializer_class.__name__.removesuffix('Serializer')}ListSerializer"
    fields = {
        "results": serializer_class(many=True),
        "next": serializers.URLField(allow_null=True, help_text="Address of the next page"),
    }
    return type(name, (Serializer,), fields)


# --- Views ----------------------------------------------------------------------------------------


class View(APIView):
    """The base of the views: the caller by id, validated input, pages of results."""

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Any:
        answer = super().finalize_response(request, response, *args, **kwargs)
        described = getattr(getattr(self, self._method_name(request), None), "operation", None)
        if described and described.deprecated:
            for name, value in described.deprecated.headers().items():
                answer[name] = value
        if described and described.if_none_match and answer.status_code == 200:
            _revalidate(request, answer, getattr(request.user, "id", ""))
        return answer

    def _method_name(self, request: Request) -> str:
        return getattr(self, "action", None) or str(request.method).lower()

    @property
    def learner_id(self) -> str:
        """The caller's id (Cognito's `sub`)."""
        return str(cast("Any", self.request.user).id)

    def validated_body(
        self, serializer_class: type[Serializer], *, partial: bool = False
    ) -> dict[str, Any]:
        """The validated body, named as in Python. Raises ValidationError."""
        return validated_body(serializer_class, self.request.data, partial=partial)

    def validated_query(self, serializer_class: type[QuerySerializer]) -> dict[str, Any]:
        """The validated query parameters. Raises ValidationError."""
        return serializer_class(self.request.query_params).values()

    def paginated(
        self,
        read: Callable[..., Page[Any]],
        *key: str,
        serializer_class: type[Serializer],
        query: type[QuerySerializer] = ListQuerySerializer,
    ) -> Response:
        """The page that the query asks for: `read(*key, start=…, limit=…)` and its filters."""
        filters = self.validated_query(query)
        start = decode_cursor(self.request, filters.pop("cursor", None))
        return paginated_response(
            self.request, read(*key, **filters, start=start), serializer_class
        )


class AnonymousView(View):
    """A view for callers without a token."""

    authentication_classes = ()
    permission_classes = ()


class Resource(ViewSetMixin, View):
    """A view set whose items have ids as clients may make them."""

    lookup_field = "id"
    lookup_value_regex = ULID_OR_UUID

    @classmethod
    def get_extra_actions(cls) -> list[Any]:
        """DRF's list of the @action methods, without asking every attribute for its value.

        That would make `schema` load drf-spectacular, which only the pages of the API need.
        """
        attributes = {
            name: each for kind in reversed(cls.__mro__) for name, each in vars(kind).items()
        }
        return [
            attributes[name] for name in sorted(attributes) if hasattr(attributes[name], "mapping")
        ]


class ItemViewSet(Resource):
    """The parts of a view set of items that are made, edited and deleted.

    A resource writes those of `list`, `create`, `retrieve`, `update`, `partial_update` and
    `destroy` that it has, each with its `@operation`: a method that stood here would be a route of
    every resource. Services take what is handed on here as keywords, and `now`.
    """

    serializer_class: ClassVar[type[Serializer]]
    """Shows an item, and reads what replaces or changes it."""
    create_serializer_class: ClassVar[type[Serializer]]
    """Reads a new item, whose `id` the client may have made: sent again it is made once."""

    @property
    def caller(self) -> dict[str, Any]:
        """The keywords that name the caller to services."""
        return {"learner_id": self.learner_id}

    def answer(self, item: Any, code: int = status.HTTP_200_OK) -> Response:
        """An item with its version as the entity tag."""
        return with_etag(Response(self.serializer_class(item).data, code), int(item.version))

    def apply(
        self, service: Callable[..., Any], code: int = status.HTTP_200_OK, **arguments: Any
    ) -> Response:
        """The item that a service answers with."""
        return self.answer(service(**self.caller, **arguments, now=now()), code)

    def create_item(self, service: Callable[..., Any]) -> Response:
        """201 with the item that a service makes of the body."""
        fields = self.validated_body(self.create_serializer_class)
        return self.apply(service, status.HTTP_201_CREATED, fields=fields)

    def update_item(
        self, service: Callable[..., Any], *, partial: bool = False, **key: Any
    ) -> Response:
        """The item after a service has changed it, at the version that `If-Match` demands."""
        changes = self.validated_body(self.serializer_class, partial=partial)
        version = if_match_version(self.request)
        return self.apply(service, **key, changes=changes, expected_version=version)

    def delete_item(self, service: Callable[..., None], **arguments: Any) -> Response:
        """204 once a service has deleted the item, at the version that `If-Match` demands."""
        version = if_match_version(self.request)
        service(**self.caller, **arguments, expected_version=version, now=now())
        return Response(status=status.HTTP_204_NO_CONTENT)


def get_or_404(item: T | None) -> T:
    """The item. Raises NotFound for None, as reads by the caller's key find another's item."""
    if item is None:
        raise NotFound
    return item


def accepted(request: Request, data: Any, path: str) -> Response:
    """202 with work that goes on by itself, and the address that tells how far it has come."""
    response = Response(data, status.HTTP_202_ACCEPTED)
    response["Location"] = request.build_absolute_uri(path)
    return response


# A version, also as the beginning of a content's tag; proxies drop the quotes at times.
ENTITY_TAG = re.compile(r'("?)(\d{1,15})(?:-[0-9a-f]{16})?\1', re.ASCII)


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


def _revalidate(request: Request, response: Response, reader: str) -> None:
    """Lets only its reader keep a JSON answer, whom a 304 tells that it is still the same.

    Nobody else who signs in with the same browser gets it: the browser asks us each time, with
    their token, and the tag depends on the content and its reader.
    """
    if response.status_code != status.HTTP_200_OK or not isinstance(
        response.accepted_renderer, Renderer
    ):
        return
    response["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ["Authorization", "Accept", "Accept-Language"])

    def answered(rendered: Response) -> Any:
        digest = sha256(b"\0".join((reader.encode(), rendered.content))).hexdigest()[:16]
        version = rendered.get("ETag", "").strip('"')
        rendered["ETag"] = f'"{version}-{digest}"' if version else f'"{digest}"'
        return get_conditional_response(
            cast("Any", request), etag=rendered["ETag"], response=rendered
        )

    response.add_post_render_callback(answered)


class PublicView(AnonymousView):
    """A view without a caller that answers in one format, whatever is asked for."""

    renderer_classes = (PassThroughRenderer,)

    def perform_content_negotiation(
        self, request: Request, force: bool = False
    ) -> tuple[BaseRenderer, str]:
        return PassThroughRenderer(), PassThroughRenderer.media_type
