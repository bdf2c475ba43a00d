"""Wire shapes: named in snake_case here, camelCase in JSON, strict about types and names.

DRF forgives much (`5` for `"5"`, `"yes"` for `true`, fields it does not know); a client's mistake
would then be stored or dropped in silence. Queries and the parts of a multipart body are text, so
the checks of types apply to JSON alone.
"""

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple

from django.core.validators import RegexValidator
from django.utils.translation import get_language
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.fields import SkipField
from rest_framework.utils import html

from config.formats import (
    LANGUAGE_TAG,
    LOCAL_TIME,
    RFC3339,
    ULID_OR_UUID,
    VISIBLE,
    UnknownZoneError,
    is_language,
    wire_name,
    zone_named,
)
from config.http import in_readers_language, told
from config.problems import Filled, as_told

UNKNOWN = "There is no such field."


class _WireNames(serializers.SerializerMetaclass):
    """Renames the declared fields once, when the class is made: no cost per request."""

    @classmethod
    def _get_declared_fields(cls, bases: Any, attrs: dict[str, Any]) -> Any:
        for name, value in list(attrs.items()):
            if isinstance(value, serializers.Field):
                wire = wire_name(name)
                if wire != name:
                    del attrs[name]
                    attrs[wire] = value
                    if value.source is None:
                        value.source = value._kwargs["source"] = name  # type: ignore[attr-defined]
            elif name.startswith(("validate_", "get_")):
                verb, _, field = name.partition("_")
                attrs[f"{verb}_{wire_name(field)}"] = value
        return super()._get_declared_fields(bases, attrs)


class Serializer(serializers.Serializer[Any], metaclass=_WireNames):
    """The base of every serializer.

    `samples` are examples for the document, by wire name; a class of fields may have a `sample`.
    The document shows a shape of its own for each value of the field `kind` in `variants`, which
    has the fields that this kind of request needs, or in `data_of`, which has what an answer of
    this kind has as its `data`. Besides what it needs a kind may have what all have, and `besides`.
    """

    samples: ClassVar[Mapping[str, Any]] = {}
    variants: ClassVar[Mapping[str, Collection[str]]] = {}
    besides: ClassVar[Mapping[str, Collection[str]]] = {}
    data_of: ClassVar[Mapping[str, type["Serializer"]]] = {}
    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid": "Give a JSON object.",
        "null": "Give a JSON object.",
    }

    def to_representation(self, instance: Any) -> Any:
        """Shows an object as DRF does, by fields that are made once for all objects of the class.

        DRF copies all fields for each object, which takes longer than all the rest of showing it.
        """
        readers = _readers(type(self))
        if readers is None:
            return super().to_representation(instance)
        named = isinstance(instance, Mapping)
        shown = {}
        for name, source, get, field, render, method in readers:
            if method is not None:
                shown[name] = getattr(self, method)(instance)
                continue
            try:
                value = instance[source] if named else get(instance)
                if callable(value):
                    value = field.get_attribute(instance)
            except (AttributeError, KeyError):  # of a dotted path, or left out: DRF knows
                try:
                    value = field.get_attribute(instance)
                except SkipField:
                    continue
            shown[name] = None if value is None else render(value)
        return shown

    def to_internal_value(self, data: Any) -> Any:
        unknown = {}
        if isinstance(data, Mapping):
            names = [name for name in data if name not in self.fields]
            unknown = {name: [ErrorDetail(UNKNOWN, "unknown_field")] for name in names}
        try:
            values = super().to_internal_value(data)
        except ValidationError as error:
            raise ValidationError({**error.detail, **unknown}) from error  # type: ignore[dict-item]
        if unknown:
            raise ValidationError(unknown)
        return values


class _Reader(NamedTuple):
    """How a field is shown: its name, where its value is, and what becomes of the value.

    `method`: the name of the serializer's method that does it all.
    """

    name: str
    source: str
    get: Callable[[Any], Any]
    field: Any
    render: Callable[[Any], Any]
    method: str | None


@cache
def _readers(serializer_class: type[Serializer]) -> tuple[_Reader, ...] | None:
    """The readers of a class's fields; None where one of them needs the object's serializer."""
    readers = []
    field: Any
    for field in serializer_class().fields.values():
        if field.write_only:
            continue
        shown_by = getattr(field, "child", field)
        if isinstance(shown_by, serializers.BaseSerializer) and not _is_plain(shown_by):
            return None
        source = field.source
        get = _itself if source == "*" else attrgetter(source)
        method = getattr(field, "method_name", None)
        readers.append(
            _Reader(field.field_name, source, get, field, field.to_representation, method)
        )
    return tuple(readers)


def _itself(instance: Any) -> Any:
    return instance


def _is_plain(nested: serializers.BaseSerializer[Any]) -> bool:
    """Whether a nested serializer shows its objects without a context."""
    if (
        not isinstance(nested, Serializer)
        or type(nested).to_representation is not Serializer.to_representation
    ):
        return False
    readers = _readers(type(nested))
    return readers is not None and not any(reader.method for reader in readers)


def validated_body(
    serializer_class: type[Serializer], data: Any, *, partial: bool = False
) -> dict[str, Any]:
    """A request's body as the serializer's values, named as in Python. Raises ValidationError."""
    if type(data) is dict:  # of JSON
        checker = _checker(serializer_class, partial, get_language())
        return dict(checker.run_validation(data))
    serializer = serializer_class(data=data, partial=partial)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


@cache
def _checker(
    serializer_class: type[Serializer], partial: bool, _language: str | None
) -> Serializer:
    """The serializer of all bodies in JSON: DRF copies its fields, which takes as long as to check.

    All threads share it, so that no serializer may keep anything of what it checks. DRF's fields
    keep some messages in the language in which they were needed first.
    """
    return serializer_class(partial=partial)


class QuerySerializer(Serializer):
    """The parameters after `?`, which are text; the last one of a name counts."""

    def __init__(self, parameters: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(data=dict((parameters or {}).items()), **kwargs)

    def values(self) -> dict[str, Any]:
        """The validated parameters. Raises ValidationError."""
        self.is_valid(raise_exception=True)
        return dict(self.validated_data)


def _as_text(field: serializers.Field[Any, Any, Any, Any]) -> bool:
    """Whether the field was sent as text: in a query, or beside a file."""
    root = field.root
    return isinstance(root, QuerySerializer) or html.is_html_input(
        getattr(root, "initial_data", None)
    )


class TextField(serializers.CharField):
    """Text of at least one visible character (unless blank is allowed), kept as it was written."""

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        kwargs.setdefault("trim_whitespace", False)
        super().__init__(max_length=max_length, **kwargs)
        if not self.allow_blank:
            self.validators.append(RegexValidator(VISIBLE, self.error_messages["blank"], "blank"))

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class PatternField(TextField):
    """Text that matches a regular expression as a whole."""

    def __init__(self, pattern: str, message: str, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, allow_blank=True, **kwargs)
        self.allow_blank = False
        # `$` alone would let a newline follow.
        self.validators.append(RegexValidator(rf"^(?:{pattern})$(?!\n)", message, "invalid"))


class IdField(PatternField):
    """A ULID (upper case) or a UUID (lower case), as a client may make it."""

    sample = "4f0c6f6e-3f3b-4b53-8a0a-6a1f5d0f9e11"

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 36)
        super().__init__(
            ULID_OR_UUID, "Give a UUID in lower case or a ULID in upper case.", **kwargs
        )


class IntegerField(serializers.IntegerField):
    """A whole number, which in JSON may be written `3.0`; `"3"` is text."""

    def to_internal_value(self, data: Any) -> int:
        if not _as_text(self):
            if isinstance(data, float) and data.is_integer():
                data = int(data)
            if isinstance(data, bool) or not isinstance(data, int):
                self.fail("invalid")
        return int(super().to_internal_value(data))


class NumberField(serializers.FloatField):
    """A finite number."""

    def to_internal_value(self, data: Any) -> float:
        if not _as_text(self) and (isinstance(data, bool) or not isinstance(data, int | float)):
            self.fail("invalid")
        return super().to_internal_value(data)


class BooleanField(serializers.BooleanField):
    """`true` or `false`."""

    def to_internal_value(self, data: Any) -> bool:
        if not _as_text(self) and not isinstance(data, bool):
            self.fail("invalid", input=data)
        return bool(super().to_internal_value(data))


class InstantField(serializers.DateTimeField):
    """An instant with its offset (RFC 3339), to the microsecond; answered in UTC.

    `years` are the first and the last that are taken, in UTC: far enough from the ends of
    Python's calendar for every zone and every sum of a rule.
    """

    years = (1900, 2399)

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str) or not RFC3339.fullmatch(value):
            self.fail("invalid", format="YYYY-MM-DDThh:mm:ss[.uuuuuu](Z|±hh:mm)")
        try:
            at = super().to_internal_value(value.upper())
        except OverflowError:  # before year 1 or after 9999, in UTC
            raise _out_of_range(self.years) from None
        if not self.years[0] <= at.year <= self.years[1]:
            raise _out_of_range(self.years)
        return at

    def to_representation(self, value: Any) -> Any:
        """Writes an instant in UTC, without DRF's questions after formats and zones."""
        if not isinstance(value, datetime):
            return super().to_representation(value)
        at = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return f"{at.isoformat()[:-6]}Z"


class SecondField(InstantField):
    """An instant to the second; fractions, as browsers write them, are dropped."""

    def to_internal_value(self, value: Any) -> datetime:
        return super().to_internal_value(value).replace(microsecond=0)


class DateField(serializers.DateField):
    """A date within the same years as instants."""

    def to_internal_value(self, value: Any) -> date:
        day = super().to_internal_value(value)
        if not InstantField.years[0] <= day.year <= InstantField.years[1]:
            raise _out_of_range(InstantField.years)
        return day


def _out_of_range(years: tuple[int, int]) -> ValidationError:
    message = Filled("Give a time in the years {first} to {last}.", first=years[0], last=years[1])
    return ValidationError(told(message), "out_of_range")


@extend_schema_field({"type": "string", "format": "iana-time-zone", "example": "Europe/Lisbon"})
class ZoneField(TextField):
    """An IANA time zone's name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=64, allow_blank=True, **kwargs)
        self.allow_blank = False  # without Text's pattern, which says less than the format

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        try:
            zone_named(name)
        except UnknownZoneError:
            message = "Give an IANA time zone, e.g. Europe/Lisbon."
            raise ValidationError(message, "unknown_zone") from None
        return name


@extend_schema_field({"type": "string", "format": "language-tag"})
class LanguageField(PatternField):
    """The tag (BCP 47) of a language that there is, e.g. `es` or `pt-BR`."""

    sample = "pt-BR"

    def __init__(self, **kwargs: Any) -> None:
        message = "Give a language tag, e.g. es or pt-BR."
        plain: dict[str, Any] = {"pattern": LANGUAGE_TAG, "message": message, "max_length": 35}
        super().__init__(**plain | kwargs)
        self.validators.append(_check_language)


def _check_language(tag: str) -> None:
    """Raises ValidationError for a tag that no language has."""
    if re.fullmatch(LANGUAGE_TAG, tag) and not is_language(tag):
        raise ValidationError("There is no such language.", "unknown_language")


class LocalTimeField(PatternField):
    """A time of day, `22:00`."""

    sample = "22:00"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(LOCAL_TIME, "Give a time as HH:MM.", max_length=5, **kwargs)


# An exact one (RFC 3986, with a name for a host), so that the schema says all of it.
_PATH = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*"
_REST = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*"
HTTPS = (
    r"https://(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
    rf"(?::[0-9]{{1,5}})?(?:/{_PATH})?(?:\?{_REST})?(?:#{_REST})?"
)


class HttpsUrlField(PatternField):
    """An https address."""

    sample = "https://media.example.org/casa"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(HTTPS, "Give an https address.", max_length=2048, **kwargs)


class MessageField(serializers.CharField):
    """A text for people, in the language of the request."""

    def to_representation(self, value: Any) -> str:
        return told(value)


def optional(field: type[serializers.Field[Any, Any, Any, Any]], **kwargs: Any) -> Any:
    """A field that is null where it is left out."""
    return field(default=None, allow_null=True, **kwargs)


class FieldErrorSerializer(Serializer):
    field = serializers.CharField(help_text="Wire name, dotted inside lists and objects")
    code = serializers.CharField()
    message = serializers.CharField()


class ItemProblemSerializer(Serializer):
    """Why one item was rejected, as the problem document of a request with it alone."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]

    def to_representation(self, instance: Any) -> Any:
        return in_readers_language(super().to_representation(as_told(instance)))


class ProblemSerializer(ItemProblemSerializer):
    """RFC 9457 problem details. `code` is stable; `detail` is for people."""

    instance = serializers.CharField()
    request_id = serializers.CharField()
