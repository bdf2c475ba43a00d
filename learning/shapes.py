"""Documents with the shape of dataclasses, read strictly by the annotations of their fields.

The names are those of the fields in camelCase; a field with a default may be left out. Bounds are
stated once, in the annotation: `Annotated[str, Text(200)]`, `Annotated[tuple[Goal, ...],
Items(1, 8)]`, `Annotated[int, Range(0, 999)]`. A string there is the field's help text.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from config.formats import RFC3339, is_visible, wire_name
from config.problems import Filled
from config.records import dataclass

_KINDS = {
    str: Filled("Not a text."),
    bool: Filled("Not true or false."),
    int: Filled("Not a whole number."),
    float: Filled("Not a number."),
    datetime: Filled("Not an instant like 2026-03-01T07:30:00Z."),
}

Leaves = Mapping[Any, Callable[[str], Any]]
"""How a text becomes a value of a type; the function raises ValueError to refuse it."""


class ShapeError(ValueError):
    """A document is not of the shape; `path` names the place (`goals.0.text`)."""

    def __init__(self, path: str, code: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path, self.code, self.message = path, code, message


@dataclass(frozen=True)
class Text:
    """Text with something to see, of at most `most` characters, that matches `pattern` whole."""

    most: int
    pattern: str = ""

    def check(self, value: Any, path: str) -> None:
        if not is_visible(value):
            raise ShapeError(path, "required", "There is no text.")
        if len(value) > self.most:
            raise ShapeError(
                path, "too_long", Filled("More than {most} characters.", most=self.most)
            )
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise ShapeError(
                path, "not_matching", Filled("Does not match {pattern}.", pattern=self.pattern)
            )


@dataclass(frozen=True)
class Choice:
    """One of some texts."""

    options: tuple[str, ...]

    def check(self, value: Any, path: str) -> None:
        if value not in self.options:
            raise ShapeError(
                path,
                "not_a_choice",
                Filled("Not one of {choices}.", choices=", ".join(self.options)),
            )


@dataclass(frozen=True)
class Items:
    """A list of `least` to `most` items."""

    least: int
    most: int

    def check(self, value: Any, path: str) -> None:
        if not self.least <= len(value) <= self.most:
            raise ShapeError(
                path,
                "wrong_length",
                Filled("Not {least} to {most} items.", least=self.least, most=self.most),
            )


@dataclass(frozen=True)
class Range:
    """A number from `least` to `most`."""

    least: float
    most: float

    def check(self, value: Any, path: str) -> None:
        if not self.least <= value <= self.most:
            raise _out_of_range(path)


Bound = Text | Choice | Items | Range


@dataclass(frozen=True)
class FieldShape:
    """A field of a dataclass: its type without `| None`, its bounds, and what it is for."""

    name: str
    kind: Any
    bound: Bound | None
    help: str
    required: bool
    nullable: bool


@cache
def shape_of(kind: type) -> dict[str, FieldShape]:
    """The fields of a dataclass by their names in a document; those not compared are no part."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        wire_name(field.name): _field_shape(field, hints[field.name])
        for field in fields(kind)
        if field.compare
    }


def _field_shape(field: Field[Any], hint: Any) -> FieldShape:
    nullable = get_origin(hint) in (Union, UnionType)
    plain, bound, help_text = unwrap(get_args(hint)[0] if nullable else hint)
    return FieldShape(field.name, plain, bound, help_text, field.default is MISSING, nullable)


def unwrap(hint: Any) -> tuple[Any, Bound | None, str]:
    """An annotation's type, bound and help text."""
    if get_origin(hint) is not Annotated:
        return hint, None, ""
    kind, *extras = get_args(hint)
    bound = next((extra for extra in extras if not isinstance(extra, str)), None)
    return kind, bound, next((extra for extra in extras if isinstance(extra, str)), "")


def decode(kind: Any, value: Any, leaves: Leaves, path: str = "") -> Any:
    """`value`, as JSON is read, as the annotation `kind` says. Raises ShapeError."""
    plain, bound, _ = unwrap(kind)
    if isinstance(bound, Items) and isinstance(value, list):
        bound.check(value, path)
    if isinstance(bound, Text | Choice) and isinstance(value, str):
        bound.check(value, path)
    decoded = _decode(plain, value, leaves, path)
    if isinstance(bound, Range):
        bound.check(decoded, path)
    return decoded


def _decode(kind: Any, value: Any, leaves: Leaves, path: str) -> Any:
    if isinstance(kind, type) and is_dataclass(kind) and kind not in leaves:
        return _decode_fields(kind, value, leaves, path)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ShapeError(path, "wrong_type", "Not a list.")
        item = get_args(kind)[0]
        return tuple(decode(item, each, leaves, join(path, i)) for i, each in enumerate(value))
    if get_origin(kind) is Literal:
        if not isinstance(value, str) or value not in get_args(kind):
            raise ShapeError(
                path,
                "not_a_choice",
                Filled("Not one of {choices}.", choices=", ".join(get_args(kind))),
            )
        return value
    return _decode_plain(kind, value, leaves, path)


def _decode_fields(kind: type, value: Any, leaves: Leaves, path: str) -> Any:
    if not isinstance(value, dict):
        raise ShapeError(path, "wrong_type", "Not an object.")
    shape = shape_of(kind)
    if unknown := sorted(value.keys() - shape.keys()):
        name = "".join(filter(str.isprintable, unknown[0]))[:50]
        raise ShapeError(join(path, name), "unknown_field", "There is no such field.")
    decoded = {}
    for key, field in shape.items():
        if key in value:
            decoded[field.name] = _decode_field(field, value[key], leaves, join(path, key))
        elif field.required:
            raise ShapeError(join(path, key), "required", "The field is missing.")
    return kind(**decoded)


def _decode_field(field: FieldShape, value: Any, leaves: Leaves, path: str) -> Any:
    if value is None and field.nullable:
        return None
    kind = Annotated[field.kind, field.bound] if field.bound else field.kind
    return decode(kind, value, leaves, path)


def _decode_plain(kind: Any, value: Any, leaves: Leaves, path: str) -> Any:
    if kind in leaves and isinstance(value, str):
        return _leaf(leaves[kind], value, path)
    if kind in (str, bool) and isinstance(value, kind):
        return value
    if kind in (int, float) and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) < 2**53:
            return kind(value)
        raise _out_of_range(path)
    if get_origin(kind) is dict and isinstance(value, dict):
        return value  # checked by its reader
    if kind is float and isinstance(value, float) and math.isfinite(value):
        return value
    if kind is datetime and isinstance(value, str) and RFC3339.fullmatch(value):
        return _moment(value, path)
    message = "Not an object." if get_origin(kind) is dict else _KINDS.get(kind, "Not a text.")
    raise ShapeError(path, "wrong_type", message)


def _leaf(convert: Callable[[str], Any], value: str, path: str) -> Any:
    try:
        return convert(value)
    except ValueError as error:
        raise ShapeError(path, "invalid", str(error)) from None


def _moment(value: str, path: str) -> datetime:
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ShapeError(path, "wrong_type", _KINDS[datetime]) from None


def join(path: str, name: str | int) -> str:
    """The path of a field or item below `path`."""
    return f"{path}.{name}" if path else str(name)


def _out_of_range(path: str) -> ShapeError:
    return ShapeError(path, "out_of_range", "The number is out of range.")
