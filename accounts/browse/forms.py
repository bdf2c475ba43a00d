"""HTML forms of serializers, with the errors of each field beside it.

A form becomes the body that a client of the API would send (`body`), so that both pass the same
validation. A serializer with a part for which HTML has no inputs (a list of objects, say) has no
form: its body is written as JSON, which is offered for every body.

DRF's HTMLFormRenderer has no inputs for lists and query parameters, and shows the errors of the
serializer that it validated; ours are those of a problem document that the API has answered.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from rest_framework import serializers
from rest_framework.fields import empty

from config.serializers import QuerySerializer, Serializer

LONG = 200  # characters; more than that are written in several lines
SPARE = 3  # empty inputs after the values of a list

Sent = Mapping[str, Any]


class NoForm(Exception):
    """HTML has no input for a part of this serializer."""


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
class FormError:
    """An error in the list at the head of the form; `id` is that of the field's input."""

    id: str
    label: str
    message: str


@dataclass(frozen=True)
class Initial:
    """Initial values of a form: those that were sent, else the present ones, else the defaults."""

    sent: Any = None  # a QueryDict
    present: Sent | None = None
    errors: tuple[Mapping[str, str], ...] = ()

    def values(self, name: str, path: str, form_field: Any) -> list[str]:
        if self.sent is not None:
            return list(self.sent.getlist(path))
        value = form_field.initial if form_field.default is empty else form_field.default
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

    def inside(self, name: str) -> "Initial":
        present = (self.present or {}).get(name)
        return Initial(self.sent, present if isinstance(present, dict) else None, self.errors)


def prose(text: str) -> SafeString:
    """A description as HTML, with its `code` marked up."""
    pieces = enumerate(text.split("`"))
    return format_html_join(
        "", "{}", ((format_html("<code>{}</code>", each) if n % 2 else each,) for n, each in pieces)
    )


# How words of names are said, where not as they are written.
SAID = {
    "csv": "CSV",
    "html": "HTML",
    "id": "ID",
    "ip": "IP",
    "mfa": "second step",
    "url": "address",
}


def label_of(name: str) -> str:
    """`newCardsPerDay` → `New cards per day`; of a name with dots, the last part."""
    name = name.rpartition(".")[2]
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in name).split(" ")
    said = " ".join(SAID.get(word, word) for word in words)
    return said[:1].upper() + said[1:]


def in_words(word: str) -> str:
    """A word of an address: `starter-decks` → `Starter decks`; an id stays as it is."""
    is_id = not word.islower() or any(letter.isdigit() for letter in word)
    return word if is_id else word.replace("-", " ").capitalize()


def inputs(
    serializer_class: type[serializers.Serializer[Any]], filled: Initial, prefix: str = ""
) -> list[Input]:
    """The inputs of a serializer. Raises NoForm."""
    return list(_inputs(serializer_class(), filled, prefix))


def _inputs(serializer: Any, filled: Initial, prefix: str) -> Iterator[Input]:
    for name, form_field in serializer.fields.items():
        if not form_field.read_only:
            yield _input(
                name, form_field, filled, f"{prefix}{name}", isinstance(serializer, QuerySerializer)
            )


def _input(name: str, form_field: Any, filled: Initial, path: str, in_query: bool) -> Input:
    if isinstance(form_field, serializers.Serializer):
        parts = list(_inputs(form_field, filled.inside(name), f"{path}."))
        errors = filled.messages(path, whole=False)
        return Input(path, label_of(name), "group", parts=parts, errors=errors)
    widget = _widget(form_field, in_query)
    values = filled.values(name, path, form_field)
    if widget == "list":
        values = [*filter(None, values), *[""] * SPARE]
    return Input(
        path,
        label_of(name),
        widget,
        values=values,
        help=prose(_help(form_field)),
        required=bool(form_field.required),
        choices=list(_choices(form_field, values)) if widget.startswith("choice") else [],
        errors=filled.messages(path),
    )


def _widget(form_field: Any, in_query: bool) -> str:
    match form_field:
        case serializers.BooleanField():
            return "choice" if in_query or form_field.allow_null else "flag"
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
            one_line = form_field.style.get("base_template") == "input.html"  # DRF's own hint
            return "text" if one_line or (form_field.max_length or 0) <= LONG else "long"
        case serializers.DateTimeField():
            return "text"
        case serializers.FileField():
            return "file"
    raise NoForm


def _choices(form_field: Any, values: list[str]) -> Iterator[Choice]:
    several = isinstance(form_field, serializers.ListField)
    if not several and (not form_field.required or form_field.allow_null):
        yield Choice("", "—", not any(values))
    known = getattr(
        form_field.child if several else form_field, "choices", {"true": "yes", "false": "no"}
    )
    for value, label in known.items():
        yield Choice(str(value), str(label), str(value) in (values if several else values[-1:]))


def _help(form_field: Any) -> str:
    parts = [str(form_field.help_text).rstrip(".") if form_field.help_text else ""]
    least, most = getattr(form_field, "min_value", None), getattr(form_field, "max_value", None)
    if least is not None and most is not None:
        parts.append(f"{least} to {most}")
    if isinstance(form_field, serializers.DateTimeField):
        parts.append("as 2026-03-29T09:30:00Z")
    if _widget(form_field, False) == "list":
        parts.append("one in each field")
    return "; ".join(filter(None, parts))


def body(
    serializer_class: type[serializers.Serializer[Any]], sent: Any, prefix: str = ""
) -> dict[str, Any]:
    """The body that a form has sent, with the types of JSON. Raises NoForm."""
    values: dict[str, Any] = {}
    for name, form_field in serializer_class().fields.items():
        if form_field.read_only:
            continue
        path = f"{prefix}{name}"
        if isinstance(form_field, serializers.Serializer):
            if not _may_be_left_out(form_field) or _is_filled_in(form_field, sent, f"{path}."):
                values[name] = body(type(form_field), sent, f"{path}.")
            elif form_field.allow_null:
                values[name] = None
        elif (value := _field_value(form_field, sent.getlist(path))) is not empty:
            values[name] = value
    return values


def _may_be_left_out(group: serializers.Serializer[Any]) -> bool:
    """Whether an empty group is left out. Otherwise it is sent, with its boxes cleared."""
    needed = any(field.required for field in group.fields.values() if not field.read_only)
    return group.allow_null or (needed and not group.required)


def _is_filled_in(group: serializers.Serializer[Any], sent: Any, prefix: str) -> bool:
    """Whether a group has a value that its page does not show at first."""
    return any(
        list(filter(None, sent.getlist(f"{prefix}{name}"))) != Initial().values(name, "", field)
        for name, field in group.fields.items()
        if sent.getlist(f"{prefix}{name}") not in ([], [""])
    )


def _field_value(form_field: Any, texts: list[str]) -> Any:
    """The value of one field. Text that is no number stays text, which the validation refuses."""
    widget = _widget(form_field, False)
    if widget in ("list", "choices"):
        items = [_field_value(form_field.child, [text]) for text in texts if text]
        left_out = not items and not form_field.required and form_field.min_length
        return empty if left_out else items
    if widget == "flag":
        return "true" in texts
    text = texts[-1].replace("\r\n", "\n") if texts else ""
    if text == "":
        return _left_empty(form_field)
    if widget == "number" or isinstance(form_field, serializers.BooleanField):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _left_empty(form_field: Any) -> Any:
    if form_field.allow_null:
        return None
    return "" if form_field.required or getattr(form_field, "allow_blank", False) else empty


def form_errors(shown: Iterable[Input], errors: Iterable[Mapping[str, str]]) -> list[FormError]:
    """The errors in the order they were found, each with the input to put it right in."""
    by_name = dict(_flat(shown))
    return [_form_error(by_name, error) for error in errors]


def _flat(shown: Iterable[Input]) -> Iterator[tuple[str, Input]]:
    for input_ in shown:
        yield input_.name, input_
        yield from _flat(input_.parts)


def _form_error(by_name: Mapping[str, Input], error: Mapping[str, str]) -> FormError:
    path = error["field"]
    while path and path not in by_name:
        path = path.rpartition(".")[0]
    if not path:
        named = not error["field"].startswith("(")
        return FormError("", error["field"] if named else "", error["message"])
    return FormError(by_name[path].id, by_name[path].label, error["message"])


def sendable(serializer_class: type[Serializer], answer: Any) -> dict[str, Any] | None:
    """The part of an answer that could be sent back as a body of this serializer, if there is one.

    It is the answer without its read-only members, or a thing inside the answer: the draft of a
    scenario stands under `script`.
    """
    if not isinstance(answer, dict):
        return None
    writable = [name for name, each in serializer_class().fields.items() if not each.read_only]
    for candidate in (answer, *(each for each in answer.values() if isinstance(each, dict))):
        body = {name: candidate[name] for name in writable if name in candidate}
        if body and serializer_class(data=body).is_valid():
            return body
    return None


def skeleton(serializer_class: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """A body to begin with: every required field, empty."""
    return {
        name: _nothing(form_field)
        for name, form_field in serializer_class().fields.items()
        if form_field.required and not form_field.read_only
    }


def _nothing(form_field: Any) -> Any:
    match form_field:
        case serializers.Serializer():
            return skeleton(type(form_field))
        case serializers.ListField(child=serializers.Serializer() as child):
            return [skeleton(type(child))]
        case serializers.ListField():
            return []
        case serializers.BooleanField():
            return False
        case serializers.IntegerField() | serializers.FloatField():
            return 0
        case serializers.ChoiceField():
            return next(iter(form_field.choices))
    return ""
