"""Pages of a list, each with the address of the next one."""

from functools import cache
from typing import Any

from django.core import signing
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from config.problems import ValidationFailed
from config.serializers import IntegerField, QuerySerializer, Serializer, TextField
from config.store.items import Page, Raw


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


def paginated_response(
    request: Request, page: Page[Any], serializer_class: type[Serializer], **context: Any
) -> Response:
    """`{"results": […], "next": …}`; `next` is null on the last page."""
    following = None
    if page.next_key:
        cursor = _signer(request).sign_object({k: v["S"] for k, v in page.next_key.items()})
        following = replace_query_param(request.build_absolute_uri(), "cursor", cursor)
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
