"""The OpenAPI document, from what each view's method says of itself (`config.operations`)."""

from collections.abc import Mapping
from typing import Any

import uritemplate
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.fields import empty

from config.operations import Operation
from config.problems import Problem
from config.serializers import ULID_OR_UUID, Serializer

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    pattern='^(?:"[0-9]{1,15}"|[0-9]{1,15})$',
    description='The version last seen, in quotes, e.g. `"3"`: 412 when it has changed since.',
)


def _id(pattern: str) -> OpenApiParameter:
    return OpenApiParameter("id", str, OpenApiParameter.PATH, pattern=f"^({pattern})$")


def _link(operation_id: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """OpenAPI 3.1, "Link Object": what of an answer goes into the next request."""
    body = {field: f"$response.body#/{answered}" for field, answered in fields.items()}
    return {"operationId": operation_id, "requestBody": body}


class FieldErrorShape(Serializer):
    field = serializers.CharField(help_text="Wire name, dotted inside lists and objects")
    code = serializers.CharField()
    message = serializers.CharField()


class ProblemShape(Serializer):
    """RFC 9457 problem details. `code` is stable; `detail` is for people."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    code = serializers.CharField()
    request_id = serializers.CharField()
    errors = FieldErrorShape(many=True, required=False)  # type: ignore[assignment]


class Schema(AutoSchema):
    """Reads the operation of the view's method; its description is the method's docstring."""

    verb: str | None = None  # the method, while `method` pretends to be another

    @property
    def operation(self) -> Operation:
        name = getattr(self.view, "action", None) or (self.verb or self.method).lower()
        said: Operation = getattr(self.view, name).operation
        return said

    def get_operation_id(self) -> str:
        return self.operation.id

    def get_tags(self) -> list[str]:
        return [self.path.strip("/").split("/")[0]]

    def get_summary(self) -> str:
        return self.get_description().partition("\n")[0].rstrip(".")

    def _get_serializer_name(self, serializer: Any, direction: Any, *args: Any, **kw: Any) -> str:
        name: str = super()._get_serializer_name(serializer, direction, *args, **kw)
        return name.replace("Shape", "")

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        described = super().get_operation(*args, **kwargs)
        if described is not None and (leads_to := self.operation.leads_to):
            links = {name: _link(name, fields) for name, fields in leads_to.items()}
            for status, answer in described["responses"].items():
                if status.startswith("2"):
                    answer["links"] = links
        return described

    def get_request_serializer(self) -> Any:
        return self.operation.request

    def _get_request_body(self, direction: Any = "request") -> Any:
        """DELETE may have a body too (RFC 9110, 9.3.5), where an operation says so."""
        if self.method != "DELETE" or self.operation.request is None:
            return super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        self.verb, self.method = "DELETE", "POST"
        try:
            return super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        finally:
            self.verb, self.method = None, "DELETE"

    def get_override_parameters(self) -> list[Any]:
        said = self.operation
        pattern = getattr(self.view, "lookup_value_regex", ULID_OR_UUID)
        ids = [_id(pattern) for name in uritemplate.variables(self.path) if name == "id"]
        return [
            *ids,
            *([said.query] if said.query else []),
            *([IF_MATCH] if said.if_match else []),
        ]

    def get_auth(self) -> list[Any]:
        return [] if self.operation.public else super().get_auth()

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        schema = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        if direction == "response":  # what may be left out of a request is in every answer
            given = {
                name for name, field in serializer.fields.items() if field.default is not empty
            }
            named = given & schema["properties"].keys()
            schema["required"] = sorted(named.union(schema.get("required", [])))
        return schema

    def _is_list_view(self, serializer: Any = None) -> bool:
        return False  # a list's answer is an object with its results (`config.pages`)

    def get_filter_backends(self) -> list[Any]:
        return []

    def get_response_serializers(self) -> Any:
        by_status: dict[int, list[type[Problem]]] = {}
        for kind in self.operation.problems:
            by_status.setdefault(kind.status, []).append(kind)
        described = {
            (status, "application/problem+json"): OpenApiResponse(
                ProblemShape, description="; ".join(f"`{kind.code}` {kind.title}" for kind in kinds)
            )
            for status, kinds in sorted(by_status.items())
        }
        return {**self.operation.answers, **described}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.authentication.BearerAuthentication"
    name = "accessToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def finish(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Says what the serializers enforce: a request has no fields but those named."""
    for name, schema in result["components"]["schemas"].items():
        if name.endswith("Request") and schema.get("type") == "object":
            schema["additionalProperties"] = False
    return result
