"""The OpenAPI document, made from the `@operation` of each view's method (`config.operations`).

People and generators of clients read it. So each error answer lists exactly the codes that may
come, each shape has examples, and no member that may be left out is required.
"""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import chain
from typing import Any

import uritemplate
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter
from rest_framework.fields import empty

from config.examples import add_examples
from config.formats import ULID_OR_UUID
from config.operations import Operation
from config.problems import PROBLEM_JSON, IdTaken, NotFound, Problem, ValidationFailed
from config.serializers import ProblemSerializer, Serializer
from config.wording import ADVICE, FIELDS

GUIDE = """\
Flashcards scheduled by memory science, role-play practice, reminders.

**Sign in.** `POST /auth/signup`, then `/auth/verify-email` with the mailed code and the sign-up's
`verificationToken` (without it the password has to be set anew), then `/auth/login`. A learner with
a second step gets a `sessionToken` there instead of tokens: send it with the code to
`/auth/mfa/verify`. Send the `accessToken` as `Authorization: Bearer …`; it lives for `expiresIn`
seconds. On 401 with the code `NOT_AUTHENTICATED`, and on no other, call `/auth/refresh` and repeat
the request. If the answer has a new `refreshToken`, keep that: the old one works for another
minute, for requests that refresh at the same moment; later it counts as stolen. On
`INVALID_REFRESH_TOKEN` the learner has to sign in again. Some stages want a second step of all
staff. There staff without one get 403 `SECOND_STEP_REQUIRED` from everything but `/auth/mfa/setup`
and what it needs.

**Study.** `POST /decks`, then `POST /flashcards`. `GET /flashcards/due` lists the cards to study
now, each with what every answer would do; `POST /flashcards/{id}/reviews` takes the answer. For a
role play: `GET /scenarios`, `POST /sessions`, then `/sessions/{id}/turns` until the session has
`ended`, then `/sessions/{id}/complete`.

**Offline.** A device keeps a copy of everything: it reads `GET /changes` once without a cursor, and
later with the `cursor` of its last answer as `since`. While it is offline it queues what the
learner does, and it sends the queue before it reads again: reviews, resets and undos to
`POST /reviews`; things that were made, changed or deleted to `POST /changes`; up to 100 in a
request. Both requests may be sent again as they are.

**Errors** are problem documents (RFC 9457). Decide by `code`, which is stable; for a code that is
new to you, decide by the status. `errors` names each wrong field by its path in your JSON, with
dots for lists and objects (`tags.1`, `moved.0.startsAt`). Quote `requestId` when you ask us. Texts
for people are in the language of `Accept-Language` (`en`, `de`, `es`, `fr`, `vi`); codes are never
translated.

**Lists** come in pages, with `results`, and the address of the next page in `next`, or null. Call
that address as it is, or take its `cursor` and leave the rest of the query as it was. A filtered
page may be short, or even empty, and still have a next one.

**Sending again.** Whatever you make with an `id` of your own (a UUID in lower case or a ULID in
upper case) may be sent again after a lost answer: the same request gets the same answer, another
request with the same id gets 409 `ID_TAKEN`. Reviews may also come late and out of order. On 429
and 5xx wait for `Retry-After` seconds, then send the same request again.

**Lost updates.** Whatever can be edited has a `version`, and an `ETag` that begins with it. Send
either as `If-Match`: the change is refused (412) if another device was first.

**Reading again.** Decks, the profile, the scheduler, scenarios, statistics and changes have an
`ETag` of their content. Send it as `If-None-Match`: 304 without a body says that nothing has
changed. Only the reader's own cache may keep these answers, and it asks each time whether they are
still good (`private, no-cache`); browsers do so by themselves.

**Shapes.** Times are instants in UTC (`2026-11-21T09:00:00Z`; you may send any offset), fields
named `…On` are dates, zones are IANA's names. Every answer has all its fields, null where there is
nothing. PUT gives fields that you leave out their defaults, PATCH leaves them as they are. Both
pass over read-only fields, so you may send back what you have read. Names that we do not know are
refused.

**Compatibility.** `Accept: application/json; version=1` asks for version 1, as does a request
without a version. Within a version we may add operations, optional fields of requests, fields of
answers, and values to lists of values in answers: pass over what you do not know. Headers
`Deprecation` and `Sunset` announce half a year ahead what will be removed.
"""

TAGS = {
    "auth": "Sign-up, sign-in, tokens, the second step, passwords, addresses",
    "profile": "The learner's own page, its export and its end",
    "decks": "Sets of cards with limits of their own",
    "changes": "What has changed since a device was here last, and what it changed offline",
    "flashcards": "What is studied: cards, the queue, reviews one by one, files in and out",
    "exports": "Files given out, however large",
    "imports": "Files taken in, however large",
    "notes": "What several cards are made of: reversed and cloze",
    "media": "Pictures and sounds for cards",
    "speech": "Texts read aloud",
    "recordings": "What a learner says, understood as text",
    "dictionary": "Words looked up, and kept as cards",
    "reviews": "The study log, and what was studied offline",
    "scheduler": "How cards are scheduled, and weights fitted to the learner",
    "statistics": "How study goes",
    "starter-decks": "Ready-made decks to copy",
    "scenarios": "Role plays; staff write them",
    "sessions": "Role plays as they are played",
    "events": "What takes place, once or by a rule",
    "reminders": "What is mailed, and when",
    "calendar": "The feed for calendar programs",
    "mail-actions": "Done and later, from a mail; no sign-in",
    "mail-suppression": "An address that takes no mail, and mails to it again",
    "unsubscribe": "The link in each mail; no sign-in",
    "reports": "Turns of role plays that learners have reported, for staff",
    "users": "Accounts, for staff",
    "jobs": "Long work that was given up, for staff",
    "deliveries": "Mails that were given up, for staff",
    "health": "For monitors; no sign-in",
}

GROUPS = {
    "Account": ["auth", "profile"],
    "Study": [
        *("decks", "flashcards", "notes", "media", "dictionary", "imports", "exports", "reviews"),
        "changes",
        *("scheduler", "statistics", "starter-decks"),
    ],
    "Practice": ["scenarios", "sessions", "speech", "recordings"],
    "Plan": ["events", "reminders", "calendar", "mail-actions", "mail-suppression", "unsubscribe"],
    "Staff and operation": ["users", "reports", "deliveries", "jobs", "health"],
}

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    pattern='^(?:"[0-9]{1,15}(?:-[0-9a-f]{16})?"|[0-9]{1,15})$',
    description='The version last seen, in quotes, e.g. `"3"`, or the `ETag` that came with it: '
    "412 when it has changed since.",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of the answer that is there already: 304 when nothing has changed.",
)

LOCATION = {"Location": {"schema": {"type": "string", "format": "uri"}}}
WAIT = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}
SCHEME = {"WWW-Authenticate": {"schema": {"type": "string"}}}
HEADERS = {
    **dict.fromkeys((202, 302, 303), LOCATION),
    **dict.fromkeys((429, 502, 503, 504), WAIT),
    401: SCHEME,
}
ENTITY_TAG = {
    "description": "For If-Match, where there is a version, and for If-None-Match",
    "schema": {"type": "string"},
}


def _id(pattern: str) -> OpenApiParameter:
    return OpenApiParameter("id", str, OpenApiParameter.PATH, pattern=f"^({pattern})$")


def meaning_of(kind: type[Problem]) -> str:
    """The meaning of a code, and the advice for it."""
    return ". ".join(filter(None, (kind.title, ADVICE.get(kind.code))))


def _link(operation_id: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """OpenAPI 3.1, "Link Object": which fields of an answer go into the next request."""
    body = {field: f"$response.body#/{answered}" for field, answered in fields.items()}
    return {"operationId": operation_id, **({"requestBody": body} if body else {})}


class Schema(AutoSchema):
    """Reads the operation of the view's method; its description is the method's docstring."""

    verb: str | None = None  # the method, while `method` pretends to be another

    @property
    def operation(self) -> Operation:
        name = getattr(self.view, "action", None) or (self.verb or self.method).lower()
        metadata: Operation = getattr(self.view, name).operation
        return metadata

    def get_operation_id(self) -> str:
        return self.operation.id

    def get_tags(self) -> list[str]:
        return [self.path.strip("/").split("/")[0]]

    def get_summary(self) -> str:
        return super().get_description().partition("\n\n")[0].replace("\n", " ").rstrip(".")

    def get_description(self) -> str:  # type: ignore[override]
        own = super().get_description().partition("\n\n")[2]
        return "\n\n".join(filter(None, (own, " ".join(self._conventions()))))

    def _conventions(self) -> Iterator[str]:
        """Which rules of the guide hold here, as a reader of this operation alone wants to know."""
        metadata = self.operation
        if metadata.public and not self.view.permission_classes:
            yield "For anyone, without a token."
        else:
            yield inspect.getdoc(self.view.permission_classes[0]) or ""
        if metadata.query and "cursor" in metadata.query().fields:
            yield "Comes in pages: ask for `next` until it is null."
        if metadata.if_match:
            yield (
                "With `If-Match`, the `version` or `ETag` that was read, it is refused (412) if "
                "another device was first: read again, then decide."
            )
        if metadata.deprecated:
            yield f"Call `{metadata.deprecated.instead}` instead."
        if metadata.if_none_match:
            yield "Send the last `ETag` as `If-None-Match`: 304 when nothing has changed."
        if IdTaken in metadata.problems:
            yield (
                "With an `id` of your own it may be sent again after a lost answer; 409 `ID_TAKEN` "
                "says that the id stands for something else."
            )

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        described = super().get_operation(*args, **kwargs)
        if described is not None and self.operation.public:
            described["security"] = []  # said, so that nobody takes it for forgotten
        if described is not None and (deprecated := self.operation.deprecated):
            described |= {"deprecated": True, "x-sunset": deprecated.sunset.isoformat()}
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

    def _get_request_for_media_type(self, serializer: Any, direction: Any = "request") -> Any:
        schema, needed = super()._get_request_for_media_type(serializer, direction)  # type: ignore[no-untyped-call]
        return schema, needed or bool(getattr(serializer, "variants", {}))  # each needs its kind

    def get_override_parameters(self) -> list[Any]:
        metadata = self.operation
        pattern = getattr(self.view, "lookup_value_regex", ULID_OR_UUID)
        ids = [_id(pattern) for name in uritemplate.variables(self.path) if name == "id"]
        return [
            *ids,
            *([metadata.query] if metadata.query else []),
            *([IF_MATCH] if metadata.if_match else []),
            *([IF_NONE_MATCH] if metadata.if_none_match else []),
        ]

    def get_auth(self) -> list[Any]:
        return [] if self.operation.public else super().get_auth()

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        schema = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        if schema.get("description") == inspect.getdoc(Serializer):
            del schema["description"]
        for name in serializer.samples.keys() & schema["properties"].keys():
            schema["properties"][name]["examples"] = [serializer.samples[name]]
        for name, said in schema["properties"].items():
            if name in FIELDS and "description" not in said and "$ref" not in said:
                said["description"] = FIELDS[name]
        if direction == "response":  # what may be left out of a request is in every answer
            with_default = {
                name for name, field in serializer.fields.items() if field.default is not empty
            }
            named = with_default & schema["properties"].keys()
            schema["required"] = sorted(named.union(schema.get("required", [])))
        return schema

    def _map_serializer(self, serializer: Any, direction: Any, *args: Any) -> Any:
        schema = super()._map_serializer(serializer, direction, *args)  # type: ignore[no-untyped-call]
        shape = {"request": _request_of_kind, "response": self._answer_of_kind}[direction]
        kinds = getattr(serializer, {"request": "variants", "response": "data_of"}[direction], {})
        if not kinds:
            return schema
        name = self._get_serializer_name(serializer, direction)
        stem, suffix = name.removesuffix("Request"), name[len(name.removesuffix("Request")) :]
        mapping = {}
        for kind in kinds:
            own = schema | shape(schema, serializer, kind)
            own["properties"] |= {"kind": {"type": "string", "const": kind}}
            del own["description"]
            component = f"{stem}{kind.title()}{suffix}"
            mapping[kind] = self._component("schemas", component, own)["$ref"]
        return {
            "description": schema["description"],
            "oneOf": [{"$ref": each} for each in mapping.values()],
            "discriminator": {"propertyName": "kind", "mapping": mapping},
        }

    def _answer_of_kind(self, schema: Any, serializer: Serializer, kind: str) -> Any:
        """What an answer of one kind has other than all: what its `data` is, if it is not null."""
        data = self.resolve_serializer(serializer.data_of[kind], "response").ref
        return {"properties": schema["properties"] | {"data": {"oneOf": [data, {"type": "null"}]}}}

    def _map_serializer_field(self, field: Any, *args: Any, **kwargs: Any) -> Any:
        schema = super()._map_serializer_field(field, *args, **kwargs)  # type: ignore[no-untyped-call]
        if sample := getattr(field, "sample", None):
            schema = {**schema, "examples": [sample]}
        return schema

    def _is_list_view(self, serializer: Any = None) -> bool:
        return False  # a list's answer is an object with its results (`config.viewsets`)

    def get_filter_backends(self) -> list[Any]:
        return []

    def get_response_serializers(self) -> Any:
        return self.operation.answers

    def _get_response_bodies(self, direction: Any = "response") -> Any:
        bodies = super()._get_response_bodies(direction)
        for status, body in bodies.items():
            body["description"] = HTTPStatus(int(status)).phrase
            if headers := HEADERS.get(int(status)):
                body["headers"] = headers
        if self.operation.if_none_match:
            bodies["200"]["headers"] = {"ETag": ENTITY_TAG}
            bodies["304"] = {"description": "Not Modified", "headers": {"ETag": ENTITY_TAG}}
        by_status: dict[int, list[type[Problem]]] = {}
        kinds = list(self.operation.problems)
        if "{id}" in self.path and NotFound not in kinds:
            kinds.append(NotFound)  # at least for an id that has not the form of one
        for kind in kinds:
            by_status.setdefault(kind.status, []).append(kind)
        for code, alike in sorted(by_status.items()):
            answer = self._answer(code, alike)
            if page := bodies.get(str(code)):  # for people, of the same status
                page["content"].update(answer["content"])
            else:
                bodies[str(code)] = self._shared(answer, alike)
        return bodies

    def _answer(self, status: int, kinds: Sequence[type[Problem]]) -> dict[str, Any]:
        """The problem documents of one status, told apart by the codes that may come here."""
        by_code = {kind.code: kind for kind in reversed(kinds)}
        references = {code: self._problem_schema(code) for code in sorted(by_code)}
        schema: dict[str, Any] = {"oneOf": [{"$ref": each} for each in references.values()]}
        if len(references) == 1:
            (schema,) = schema["oneOf"]
        else:
            schema["discriminator"] = {"propertyName": "code", "mapping": references}
        examples = {kind.__name__: self._problem_example(kind) for kind in kinds}
        answer: dict[str, Any] = {
            "description": "\n\n".join(f"`{kind.code}` {meaning_of(kind)}." for kind in kinds),
            "content": {PROBLEM_JSON: {"schema": schema, "examples": examples}},
        }
        if headers := HEADERS.get(status):
            answer["headers"] = headers
        return answer

    def _problem_schema(self, code: str) -> str:
        """The name of a code's problem document: one for all operations, so that clients have few.

        It is written out, for generators cannot merge a constant with a text (`allOf`).
        """
        shape = self._map_basic_serializer(ProblemSerializer(), "response")
        shape["properties"]["code"] = {"type": "string", "const": code}
        name = f"{code.title().replace('_', '')}Problem"
        return self._component("schemas", name, shape)["$ref"]

    def _problem_example(self, kind: type[Problem]) -> dict[str, str]:
        return self._component("examples", kind.__name__, {"value": _example(kind)})

    def _shared(self, answer: dict[str, Any], kinds: Sequence[type[Problem]]) -> dict[str, Any]:
        """A reference to the answer as a component; the answer itself where it is one of a kind."""
        if len(kinds) > 2:
            return answer
        return self._component("responses", "Or".join(kind.__name__ for kind in kinds), answer)

    def _component(self, room: str, name: str, content: dict[str, Any]) -> dict[str, str]:
        """A reference to a part of the document that many operations name."""
        part = ResolvedComponent(name, room, content, name)  # type: ignore[no-untyped-call]
        self.registry.register_on_missing(part)
        return dict(part.ref)


def _request_of_kind(schema: Any, serializer: Serializer, kind: str) -> Any:
    """What a request of one kind has other than all: its own fields, and which of them it needs."""
    needed, besides = serializer.variants[kind], serializer.besides
    named = set(chain(*serializer.variants.values(), *besides.values()))
    others = named - {*needed, *besides.get(kind, ())}
    properties = {key: each for key, each in schema["properties"].items() if key not in others}
    for name in needed:
        if isinstance(types := properties[name].get("type"), list):  # or null, in other kinds
            properties[name] = properties[name] | {"type": types[0]}
    # The default kind may be left out, but clients tell the shapes apart by it.
    return {"properties": properties, "required": sorted({*schema["required"], *needed, "kind"})}


def _example(kind: type[Problem]) -> dict[str, Any]:
    example = {
        "type": f"urn:parley:problem:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.title,
        "code": kind.code,
        "instance": "/decks",
        "requestId": "01M7XVB2S6W6PEBKZSJ6B0Y3PX",
    }
    if kind.code == ValidationFailed.code:
        message = "This field may not be blank."
        example["errors"] = [{"field": "tags.1", "code": "blank", "message": message}]
    return example


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.authentication.BearerAuthentication"
    name = "accessToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def finish(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Adds the parts of the whole document, and the rules that serializers enforce silently."""
    result["info"] |= {
        "description": GUIDE,
        "contact": {"name": "Whoever runs this stage"},
        "license": {"name": "MIT", "identifier": "MIT"},
    }
    result["servers"] = [{"url": ".", "description": "Where this document is"}]
    result["tags"] = [{"name": name, "description": property_} for name, property_ in TAGS.items()]
    result["x-tagGroups"] = [{"name": name, "tags": tags} for name, tags in GROUPS.items()]
    shapes = result["components"]["schemas"]
    for name, schema in shapes.items():
        is_request = name.endswith("Request") and schema.get("type") == "object"
        if is_request:
            schema["additionalProperties"] = False
        for property_ in schema.get("properties", {}).values():
            _without_default(property_, explained=is_request and not name.startswith("Patched"))
    for operations in result["paths"].values():
        for operation in operations.values():
            _with_entity_tags(operation["responses"], shapes)
            for parameter in operation.get("parameters", []):
                _parameter_of_its_kind(parameter["schema"])
    add_examples(result)
    return result


def _parameter_of_its_kind(schema: dict[str, Any]) -> None:
    """Leaves out what validators of text say beside a choice, and a default that is no value."""
    if "enum" in schema:
        schema.pop("minLength", None)
    if schema.get("default") == "":
        del schema["default"]


def _without_default(schema: dict[str, Any], *, explained: bool) -> None:
    """Generators take a field with a default for one that is always there, in requests too."""
    if "default" not in schema:
        return
    default = schema.pop("default")
    if explained and default not in (None, ""):
        before = f"{schema['description']}; by default" if "description" in schema else "By default"
        schema["description"] = f"{before} `{json.dumps(default)}`"


def _with_entity_tags(responses: dict[str, Any], schemas: dict[str, Any]) -> None:
    for status in responses.keys() & {"200", "201"}:
        schema = responses[status].get("content", {}).get("application/json", {}).get("schema", {})
        schema_ = schemas.get(schema.get("$ref", "").rpartition("/")[2], {})
        if "version" in schema_.get("properties", {}):
            responses[status].setdefault("headers", {})["ETag"] = ENTITY_TAG
