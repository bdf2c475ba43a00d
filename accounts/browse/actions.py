"""The actions that a page offers: for each method a form, and a text field for JSON."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder

from accounts.browse.forms import (
    FormError,
    Initial,
    Input,
    NoForm,
    form_errors,
    inputs,
    prose,
    sendable,
    skeleton,
)
from accounts.browse.guard import FORM, IF_MATCH, QUERY
from accounts.browse.routes import Route
from config.serializers import Serializer

CONTENT = "_content"  # the name of the text field with JSON
PAIR = {"put", "patch"}

Errors = tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class Action:
    """One method of a route, as a page offers it.

    `inputs` is None where HTML has no form for the body, `json` where there is no body. `methods`
    are those that take the JSON. `opened`: the form is shown open.
    """

    method: str
    title: str
    description: str
    query: list[Input]
    inputs: list[Input] | None
    json: str | None
    as_json: bool
    methods: list[str]
    faults: list[FormError]
    if_match: str | None
    opened: bool
    problem: Mapping[str, Any] | None


def as_json(data: Any) -> str:
    """Indented JSON."""
    return json.dumps(data, cls=JSONEncoder, ensure_ascii=False, indent=2)


@dataclass(frozen=True)
class Answer:
    """The answer that the page shows: `data` and its version are the initial values of forms."""

    route: Route
    request: Request
    data: Any
    is_problem: bool
    etag: str | None

    @property
    def errors(self) -> Errors:
        return tuple(self.data.get("errors", ())) if self.is_problem else ()

    @property
    def method(self) -> str:
        return str(self.request.method).lower()


def narrowing(answer: Answer) -> Action | None:
    """The form that filters a list."""
    query = answer.route.operation("get").query if "get" in answer.route.handlers else None
    if query is None:
        return None
    sent = answer.request.query_params or None
    errors = answer.errors if answer.method == "get" else ()
    shown = inputs(query, Initial(sent, errors=errors))
    return Action(
        method="GET",
        title="Narrow",
        description="",
        query=[],
        inputs=[input_ for input_ in shown if input_.name != "cursor"],
        json=None,
        as_json=False,
        methods=[],
        faults=form_errors(shown, errors),
        if_match=None,
        opened=sent is not None,
        problem=answer.data if errors else None,
    )


def actions(answer: Answer) -> Iterator[Action]:
    """The actions that the caller may take on this page."""
    methods = [method for method in answer.route.handlers if method != "get"]
    if PAIR.issubset(methods):
        methods.remove("patch")  # it is offered beside PUT
    for method in methods:
        failed = answer.is_problem and answer.method in _together(method)
        # A page that shows a problem does not know the thing that PUT would replace.
        lost = answer.is_problem and not failed and method in PAIR
        if answer.route.allows(answer.request, method) and not lost:
            yield _action(answer, method, failed)


def _together(method: str) -> set[str]:
    return PAIR if method in PAIR else {method}


def _action(answer: Answer, method: str, failed: bool) -> Action:
    route, metadata = answer.route, answer.route.operation(method)
    shape = route.serializer_class(method)
    sent = answer.request.META[FORM] if failed else None
    in_json = sent is not None and CONTENT in sent
    present = sendable(shape, answer.data) if shape and method in PAIR else None
    errors = _placed(metadata.query, answer.errors) if failed else ()
    query = inputs(metadata.query, Initial(sent, errors=errors), QUERY) if metadata.query else []
    shown = _inputs(shape, Initial(None if in_json else sent, present, errors)) if shape else []
    title, description = route.heading(method)
    return Action(
        method=method.upper(),
        title=prose(title),
        description=prose(description),
        query=query,
        inputs=shown,
        json=_text(shape, present, sent if in_json else None),
        as_json=in_json or shown is None,
        methods=[method_.upper() for method_ in route.handlers if method_ in _together(method)],
        faults=form_errors([*query, *(shown or ())], errors),
        if_match=_if_match(answer, sent) if metadata.if_match else None,
        opened=failed or "get" not in route.handlers,
        problem=answer.data if failed else None,
    )


def _placed(query: Any, errors: Errors) -> Errors:
    """The errors, those of query parameters under the names that these have in a form."""
    names = query().fields if query else {}
    return tuple(
        {**error, "field": f"{QUERY}{error['field']}"} if error["field"] in names else error
        for error in errors
    )


def _inputs(serializer_class: type[Serializer], filled: Initial) -> list[Input] | None:
    try:
        return inputs(serializer_class, filled)
    except NoForm:
        return None


def _text(serializer_class: type[Serializer] | None, present: Any, sent: Any) -> str | None:
    if sent is not None:
        return str(sent[CONTENT])
    if serializer_class is None:
        return None
    return as_json(skeleton(serializer_class) if present is None else present)


def _if_match(answer: Answer, sent: Any) -> str | None:
    return answer.etag if sent is None else sent.get(IF_MATCH)
