"""The API's views a second time, drawn as pages: DRF's browsable API with our own templates.

DRF's own pages need scripts and styles inside the page, which our policy forbids, and jQuery.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import URLPattern, reverse
from rest_framework.parsers import FormParser
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from accounts.browse.forms import (
    FormError,
    Initial,
    Input,
    NoForm,
    body,
    form_errors,
    in_words,
    inputs,
    label_of,
    prose,
    sendable,
    skeleton,
)
from accounts.browse.guard import (
    FORM,
    IF_MATCH,
    QUERY,
    BrowserAuthentication,
    require_staff_session,
)
from accounts.browse.routes import Route, find, is_page, routes
from config.formats import RFC3339
from config.http import Parser
from config.serializers import Serializer

LABELS = ("name", "title", "front", "email", "action")  # what a row is known by
IDS = ("id", "userId")
COLUMNS = 6
WIDTH = 60  # characters in a cell
DEPTH = 3  # of things inside things; what is deeper stands in the JSON alone
FORMS_ELSEWHERE = {("scenarios",): "writing", ("scenarios", "{id}"): "writing-edit"}
PEOPLE = frozenset({"learnerId", "userId", "actor"})
PLURALS = {"cardId": "flashcards"}


# --- Actions: for each method a form, and a text field for JSON -----------------------------------

MULTIPART = "multipart/form-data"
CONTENT = "_content"  # the name of the text field with JSON
PAIR = {"put", "patch"}

Errors = tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class Action:
    """One method of a route, as a page offers it.

    `inputs` is None where HTML has no form for the body, `json` where there is no body. `buttons`
    are the methods that take the JSON, each with its label. `file` is the name of the input for a
    file, if there is one. `opened`: the form is shown open.
    """

    method: str
    button: str
    title: str
    description: str
    query: list[Input]
    inputs: list[Input] | None
    json: str | None
    as_json: bool
    buttons: list[tuple[str, str]]
    file: str
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
        button="Show",
        title="Narrow",
        description="",
        query=[],
        inputs=[input_ for input_ in shown if input_.name != "cursor"],
        json=None,
        as_json=False,
        buttons=[],
        file="",
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
    shape, of_file = route.serializer_class(method), route.serializer_class(method, MULTIPART)
    sent = answer.request.META[FORM] if failed else None
    in_json = sent is not None and CONTENT in sent
    present = sendable(shape, answer.data) if shape and method in PAIR else None
    errors = _placed(metadata.query, answer.errors) if failed else ()
    query = inputs(metadata.query, Initial(sent, errors=errors), QUERY) if metadata.query else []
    filled = Initial(None if in_json else sent, present, errors)
    written = of_file or shape
    shown = _inputs(written, filled) if written else []
    title, description = route.heading(method)
    return Action(
        method=method.upper(),
        button=_button(route, "patch" if method == "put" and "patch" in route.handlers else method),
        title=prose(title),
        description=prose(description),
        query=query,
        inputs=shown,
        json=_text(shape, present, sent if in_json else None),
        as_json=in_json or shown is None,
        buttons=[
            (each.upper(), f"{_button(route, each)} by JSON")
            for each in route.handlers
            if each in _together(method)
        ],
        file=next((each.name for each in shown or () if each.widget == "file"), ""),
        faults=form_errors([*query, *(shown or ())], errors),
        if_match=_if_match(answer, sent) if metadata.if_match else None,
        opened=failed or "get" not in route.handlers,
        problem=answer.data if failed else None,
    )


def _button(route: Route, method: str) -> str:
    """What a button does: `createDeck` → `Create deck`."""
    return label_of(route.operation(method).id)


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


# --- Pages ----------------------------------------------------------------------------------------


class Form(FormParser):
    """A form of ours: its fields, or the JSON in its one text field."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        sent = super().parse(stream, media_type, parser_context)
        if CONTENT in sent:
            content = io.BytesIO(str(sent[CONTENT]).encode())
            return Parser().parse(content, "application/json", parser_context)
        route: Route = parser_context["view"].route
        serializer_class = route.serializer_class(parser_context["request"].method.lower())
        return body(serializer_class, sent) if serializer_class else {}


@dataclass(frozen=True)
class Link:
    name: str
    href: str
    title: str = ""


@dataclass(frozen=True)
class Fact:
    """A member of an answer: a text, perhaps with a page of its own, or the facts inside."""

    label: str
    text: str = ""
    href: str = ""
    inside: tuple[tuple["Fact", ...], ...] = ()


@dataclass(frozen=True)
class Table:
    """The results of a list: a label with the page of each, then its cells under their headings."""

    headings: list[str]
    rows: list[list[Fact]]


class Page(BrowsableAPIRenderer):
    """The renderer of every page below `/browse/`."""

    template = "browse/page.html"

    def get_context(
        self, data: Any, accepted_media_type: Any, renderer_context: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        context = dict(renderer_context or {})
        response, request = context["response"], context["request"]
        route: Route = context["view"].route
        is_problem = response.status_code >= 400 and isinstance(data, dict) and "code" in data
        answer = Answer(route, request, data, is_problem, response.get("ETag"))
        title, description = route.heading(next(iter(route.handlers)))
        narrow, forms = (
            narrowing(answer),
            sorted(actions(answer), key=lambda action: not action.problem),
        )
        shows_problem = any(action.problem for action in (narrow, *forms) if action)
        return {
            "request": request,
            "name": _name(None if is_problem else data, request.path),
            "title": prose(title),
            # what has no GET says it beside its one form
            "description": prose(description) if "get" in route.handlers else "",
            "crumbs": list(_above(route, request.path)),
            "status": response.status_code,
            "phrase": HTTPStatus(response.status_code).phrase,
            "problem": data if is_problem and not shows_problem else None,
            "table": _table(answer),
            "facts": [] if is_problem or not _is_thing(data) else list(_facts(data)),
            "next": data.get("next") if isinstance(data, dict) else None,
            "pictures": list(_pictures(data)),
            "json": None if data is None or is_problem else as_json(data),
            "filter": narrow,
            "offers": forms,
            "further": [*_forms_elsewhere(answer), *_below(answer), *_after_success(answer)],
        }


def _above(route: Route, path: str) -> Iterator[Link]:
    words, size = path.split("/"), len(route.words)
    for steps in range(1, size):
        if find(route.words[:steps]):
            yield Link(in_words(words[steps - size - 1]), "/".join(words[: steps - size]))


def _forms_elsewhere(answer: Answer) -> Iterator[Link]:
    """An app's own pages that do the same in another way."""
    if page := FORMS_ELSEWHERE.get(answer.route.words):
        ids = [answer.data["id"]] if "{id}" in answer.route.words and not answer.is_problem else []
        if len(ids) == answer.route.words.count("{id}"):
            yield Link("Write in a form", reverse(page, args=ids), "Without JSON")


def _below(answer: Answer) -> Iterator[Link]:
    for route in answer.route.below():
        usable = [method for method in route.handlers if route.allows(answer.request, method)]
        if usable:
            word = route.words[-1]
            title = route.heading(usable[0])[0]
            yield Link(in_words(word), f"{answer.request.path}/{word}", title)


def _after_success(answer: Answer) -> Iterator[Link]:
    """The pages that go on from what a form has just made."""
    if answer.is_problem or answer.method not in answer.route.handlers:
        return
    wanted = answer.route.operation(answer.method).leads_to
    for route in routes():
        for method in route.handlers:
            if route.operation(method).id in wanted and route.allows(answer.request, method):
                title = route.heading(method)[0]
                yield Link(title, f"{reverse('browse-start')}/{'/'.join(route.words)}", title)


def _table(answer: Answer) -> Table | None:
    results = answer.data.get("results") if isinstance(answer.data, dict) else None
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        return None
    label = next((name for name in (*LABELS, *IDS) if any(r.get(name) for r in results)), "")
    told = (n for result in results for n in result if not isinstance(result[n], list | dict))
    hidden = {label, "version", *(IDS if answer.route.item else ())}
    names = [name for name in dict.fromkeys(told) if name not in hidden]
    names = sorted(names, key=lambda name: name not in PEOPLE)[:COLUMNS]
    base = f"{answer.request.path}/" if answer.route.item else ""
    rows = []
    for result in results:
        text = str(result.get(label) or _id_of(result))
        href = base + _id_of(result) if base else _page_of(result, label, text)
        rows.append([Fact("", _short(text), href), *(_fact(result, n, short=True) for n in names)])
    return Table([label_of(label or "id"), *map(label_of, names)], rows)


def _id_of(result: Mapping[str, Any]) -> str:
    return next((str(result[name]) for name in IDS if name in result), "")


def _facts(data: Mapping[str, Any], depth: int = 0) -> Iterator[Fact]:
    for name, value in data.items():
        dicts = [value] if isinstance(value, dict) else value if isinstance(value, list) else []
        if dicts and all(isinstance(each, dict) for each in dicts):
            inside = tuple(tuple(_facts(each, depth + 1)) for each in dicts)
            yield (
                Fact(label_of(name), inside=inside) if depth < DEPTH else Fact(label_of(name), "…")
            )
        elif not str(value).startswith("data:"):
            yield _fact(data, name)


def _fact(data: Mapping[str, Any], name: str, *, short: bool = False) -> Fact:
    value = data.get(name)
    if isinstance(value, list):
        return Fact(label_of(name), ", ".join(map(str, value)) or "—")
    text = _short(value) if short else _long(value)
    return Fact(label_of(name), text, _page_of(data, name, str(value)) if value else "")


def _page_of(data: Mapping[str, Any], name: str, value: str) -> str:
    """The page that a value leads to: `deckId`, a person's id, an address in the API.

    What belongs to another learner has no page here: only their account has.
    """
    if name == "target":
        words = value.split("/")
    elif name in PEOPLE:
        words = ["users", value]
    elif name.endswith("Id") and not PEOPLE.intersection(data):
        words = [PLURALS.get(name, f"{name.removesuffix('Id')}s"), value]
    else:
        return ""
    if not is_page(words):
        return ""
    return f"{reverse('browse-start')}/{'/'.join(map(quote, words))}"


def _name(data: Any, path: str) -> str:
    """The heading of a page: the label of the item shown, else the last word of the address."""
    label = next((data[name] for name in LABELS if data.get(name)), "") if _is_thing(data) else ""
    return _short(label or in_words(path.rpartition("/")[2]))


def _is_thing(data: Any) -> bool:
    return isinstance(data, dict) and "results" not in data


def _long(value: Any) -> str:
    match value:
        case None | "":
            return "—"
        case bool():
            return "yes" if value else "no"
    text = str(value)
    return f"{text[:10]} {text[11:16]}" if RFC3339.fullmatch(text) else text


def _short(value: Any) -> str:
    text = _long(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _pictures(data: Any) -> Iterator[str]:
    """Pictures that came as data: a QR code."""
    for value in data.values() if isinstance(data, dict) else ():
        if isinstance(value, str) and value.startswith("data:image/png;base64,"):
            yield value


DONE = "#done"  # the page shows what stands at this mark only when it is led to there


class _PageView:
    """Mixin that draws the answers of an API view as pages."""

    authentication_classes = (BrowserAuthentication,)
    renderer_classes = (Page,)
    route: Route

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Reduces a form with a file to what a client of the API would send: no empty fields."""
        if request.content_type == MULTIPART and request.method == "POST":
            sent, fields = request.META[FORM], QueryDict(mutable=True)
            for name, values in sent.lists():
                if not name.startswith("_") and name != "csrfmiddlewaretoken" and any(values):
                    fields.setlist(name, [value for value in values if value])
            request._post = fields  # type: ignore[attr-defined]  # where DRF takes it from
        initialized: Request = super().initialize_request(request, *args, **kwargs)  # type: ignore[misc]
        return initialized

    def http_method_not_allowed(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A route that only takes forms shows them."""
        if request.method == "GET":
            return Response()
        refused: Response = super().http_method_not_allowed(request, *args, **kwargs)  # type: ignore[misc]
        return refused

    def finalize_response(self, request: Request, response: Any, *args: Any, **kw: Any) -> Any:
        if target := _after(self.route, request, response):
            response = HttpResponseRedirect(target, status=303)
        elif isinstance(response, Response):
            response.content_type = None  # whatever the view has named, this is a page
        return super().finalize_response(request, response, *args, **kw)  # type: ignore[misc]


def _after(route: Route, request: Request, response: HttpResponse) -> str | None:
    """The address to go to after a form has succeeded: reloading it sends nothing again."""
    match response.status_code:
        case 204:
            return _address_above(route, request.path) + DONE
        case 200 if request.method in ("PUT", "PATCH"):
            return request.path + DONE
        case 201 if route.item and isinstance(created := getattr(response, "data", None), dict):
            return f"{request.path}/{created['id']}{DONE}" if "id" in created else None
    return None


def _address_above(route: Route, path: str) -> str:
    """The address of the nearest page above this one: the start page if there is no other."""
    size = len(route.words)
    steps = next((steps for steps in range(size - 1, 0, -1) if find(route.words[:steps])), 0)
    return "/".join(path.split("/")[: steps - size])


def _page(route: Route) -> Callable[..., HttpResponse]:
    parsers = (Form, *route.view.parser_classes)
    members = {"route": route, "parser_classes": parsers}
    cls: Any = type(f"Browsable{route.view.__name__}", (_PageView, route.view), members)
    api: Any = route.pattern.callback
    actions = getattr(api, "actions", None)
    return require_staff_session(cls.as_view(*([actions] if actions else []), **api.initkwargs))


def page_urls() -> list[URLPattern]:
    """The pages of all routes."""
    return [URLPattern(route.pattern.pattern, _page(route)) for route in routes()]
