"""HTML forms of wire shapes: what a person fills in, with what was wrong beside it.

What is sent becomes the body that a client of the API would send (`body`), so one validation holds
for both. A shape with a part that HTML has no inputs for (a list of objects, say) has no form: it
is written as JSON, which is offered for every body.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from rest_framework import serializers
from rest_framework.fields import empty

from config.serializers import Query, Serializer

LONG = 200  # characters; more than that are written in several lines
SPARE = 3  # empty inputs after the values of a list

Sent = Mapping[str, Any]


class NoForm(Exception):
    """HTML has no input for a part of this shape."""


@dataclass(frozen=True)
class Choice:
    value: str
    label: str
    chosen: bool


@dataclass(frozen=True)
class Input:
    """One input, or a group of them (`parts`). `widget` is the name of a template's block."""

    name: str
    label: str
    widget: str
    values: list[str] = field(default_factory=list)
    help: str = ""
    required: bool = False
    autocomplete: str = "off"
    choices: list[Choice] = field(default_factory=list)
    parts: list["Input"] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.name.replace(".", "-")

    @property
    def value(self) -> str:
        return self.values[0] if self.values else ""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a field, in a list at the head of the form; `id` is its input's."""

    id: str
    label: str
    message: str


@dataclass(frozen=True)
class Filled:
    """What the inputs of a form begin with: what was sent, else what is, else the defaults."""

    sent: Any = None  # a QueryDict
    present: Sent | None = None
    errors: tuple[Mapping[str, str], ...] = ()

    def values(self, name: str, path: str, each: Any) -> list[str]:
        if self.sent is not None:
            return list(self.sent.getlist(path))
        value = each.initial if each.default is empty else each.default
        if self.present is not None:
            value = self.present.get(name, value)
        if value is None or callable(value):
            return []
        if isinstance(value, bool):
            return [json.dumps(value)]
        return [str(one) for one in value] if isinstance(value, list) else [str(value)]

    def messages(self, path: str, *, whole: bool = True) -> list[str]:
        return [
            error["message"]
            for error in self.errors
            if error["field"] == path or (whole and error["field"].startswith(f"{path}."))
        ]

    def inside(self, name: str) -> "Filled":
        present = (self.present or {}).get(name)
        return Filled(self.sent, present if isinstance(present, dict) else None, self.errors)


def prose(said: str) -> SafeString:
    """What is said of a route or a field, for HTML: its `code` is code."""
    pieces = enumerate(said.split("`"))
    return format_html_join(
        "", "{}", ((format_html("<code>{}</code>", each) if n % 2 else each,) for n, each in pieces)
    )


def label_of(name: str) -> str:
    """`newCardsPerDay` → `New cards per day`."""
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in name)
    return words[:1].upper() + words[1:]


def inputs(
    shape: type[serializers.Serializer[Any]], filled: Filled, prefix: str = ""
) -> list[Input]:
    """The inputs of a shape. Raises NoForm."""
    return list(_inputs(shape(), filled, prefix))


def _inputs(shape: Any, filled: Filled, prefix: str) -> Iterator[Input]:
    for name, each in shape.fields.items():
        if not each.read_only:
            yield _input(name, each, filled, f"{prefix}{name}", isinstance(shape, Query))


def _input(name: str, each: Any, filled: Filled, path: str, in_query: bool) -> Input:
    if isinstance(each, serializers.Serializer):
        parts = list(_inputs(each, filled.inside(name), f"{path}."))
        errors = filled.messages(path, whole=False)
        return Input(path, label_of(name), "group", parts=parts, errors=errors)
    widget = _widget(each, in_query)
    values = filled.values(name, path, each)
    if widget == "list":
        values = [*filter(None, values), *[""] * SPARE]
    return Input(
        path,
        label_of(name),
        widget,
        values=values,
        help=prose(_help(each)),
        required=bool(each.required),
        choices=list(_choices(each, values)) if widget.startswith("choice") else [],
        errors=filled.messages(path),
    )


def _widget(each: Any, in_query: bool) -> str:
    match each:
        case serializers.BooleanField():
            return "choice" if in_query or each.allow_null else "flag"
        case serializers.ListField(child=serializers.ChoiceField()):
            return "choices"
        case serializers.ListField(
            child=serializers.CharField() | serializers.IntegerField() | serializers.FloatField()
        ):
            return "list"
        case serializers.ChoiceField():
            return "choice"
        case serializers.IntegerField() | serializers.FloatField():
            return "number"
        case serializers.CharField(style={"input_type": "password"}):
            return "password"
        case serializers.CharField():
            return "text" if (each.max_length or 0) <= LONG else "long"
        case serializers.DateTimeField():
            return "text"
    raise NoForm


def _choices(each: Any, values: list[str]) -> Iterator[Choice]:
    several = isinstance(each, serializers.ListField)
    if not several and (not each.required or each.allow_null):
        yield Choice("", "—", not any(values))
    known = getattr(each.child if several else each, "choices", {"true": "yes", "false": "no"})
    for value, label in known.items():
        yield Choice(str(value), str(label), str(value) in (values if several else values[-1:]))


def _help(each: Any) -> str:
    said = [str(each.help_text).rstrip(".") if each.help_text else ""]
    least, most = getattr(each, "min_value", None), getattr(each, "max_value", None)
    if least is not None and most is not None:
        said.append(f"{least} to {most}")
    if isinstance(each, serializers.DateTimeField):
        said.append("as 2026-03-29T09:30:00Z")
    if _widget(each, False) == "list":
        said.append("one in each field")
    return "; ".join(filter(None, said))


def body(shape: type[serializers.Serializer[Any]], sent: Any, prefix: str = "") -> dict[str, Any]:
    """What a form has sent, as JSON would say it. Raises NoForm."""
    found: dict[str, Any] = {}
    for name, each in shape().fields.items():
        if each.read_only:
            continue
        path = f"{prefix}{name}"
        if isinstance(each, serializers.Serializer):
            nothing = each.allow_null and not _has_any(sent, f"{path}.")
            found[name] = None if nothing else body(type(each), sent, f"{path}.")
        elif (value := _said(each, sent.getlist(path))) is not empty:
            found[name] = value
    return found


def _has_any(sent: Any, prefix: str) -> bool:
    return any(any(texts) for name, texts in sent.lists() if name.startswith(prefix))


def _said(each: Any, texts: list[str]) -> Any:
    """The value of one field; what is no number stays text, for the validation to refuse."""
    widget = _widget(each, False)
    if widget in ("list", "choices"):
        return [_said(each.child, [text]) for text in texts if text]
    if widget == "flag":
        return "true" in texts
    text = texts[-1].replace("\r\n", "\n") if texts else ""
    if text == "":
        return _left_empty(each)
    if widget == "number" or isinstance(each, serializers.BooleanField):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _left_empty(each: Any) -> Any:
    if each.allow_null:
        return None
    return "" if each.required or getattr(each, "allow_blank", False) else empty


def faults(shown: Iterable[Input], errors: Iterable[Mapping[str, str]]) -> list[Fault]:
    """The errors in the order they were found, each with the input to put it right in."""
    by_name = dict(_flat(shown))
    return [_fault(by_name, error) for error in errors]


def _flat(shown: Iterable[Input]) -> Iterator[tuple[str, Input]]:
    for each in shown:
        yield each.name, each
        yield from _flat(each.parts)


def _fault(by_name: Mapping[str, Input], error: Mapping[str, str]) -> Fault:
    path = error["field"]
    while path and path not in by_name:
        path = path.rpartition(".")[0]
    if not path:
        named = not error["field"].startswith("(")
        return Fault("", error["field"] if named else "", error["message"])
    return Fault(by_name[path].id, by_name[path].label, error["message"])


def sendable(shape: type[Serializer], answer: Any) -> dict[str, Any] | None:
    """The part of an answer that could be sent back as a body of this shape, if there is one.

    It is the answer without what is only for reading, or a thing inside the answer: the draft of
    a scenario stands under `script`.
    """
    if not isinstance(answer, dict):
        return None
    writable = [name for name, each in shape().fields.items() if not each.read_only]
    for candidate in (answer, *(each for each in answer.values() if isinstance(each, dict))):
        body = {name: candidate[name] for name in writable if name in candidate}
        if body and shape(data=body).is_valid():
            return body
    return None


def skeleton(shape: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """A body to begin with: every required field, empty."""
    return {
        name: _nothing(each)
        for name, each in shape().fields.items()
        if each.required and not each.read_only
    }


def _nothing(each: Any) -> Any:
    match each:
        case serializers.Serializer():
            return skeleton(type(each))
        case serializers.ListField(child=serializers.Serializer() as child):
            return [skeleton(type(child))]
        case serializers.ListField():
            return []
        case serializers.BooleanField():
            return False
        case serializers.IntegerField() | serializers.FloatField():
            return 0
        case serializers.ChoiceField():
            return next(iter(each.choices))
    return ""
