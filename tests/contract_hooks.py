"""Tells schemathesis about our formats what the OpenAPI document cannot."""

from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

import schemathesis
from hypothesis import strategies as st

# Reviews are refused that come from the future; nobody studied before there were computers.
instants = st.datetimes(
    min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - as Hypothesis wants them
    max_value=datetime(2025, 12, 31),  # noqa: DTZ001
).map(lambda at: at.isoformat() + "Z")
words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=12)

DEMO = {"email": "learner@parley.example", "password": "parley-demo-1"}

ZONES = sorted(name for name in available_timezones() if name not in ("Factory", "localtime"))
LANGUAGES = ["ar", "de", "es", "pt", "yue", "zu", "es-419", "pt-BR", "zh-Hant-TW", "sl-rozaj-1994"]

schemathesis.openapi.format("date-time", instants)
schemathesis.openapi.format("iana-time-zone", st.sampled_from(ZONES))
schemathesis.openapi.format("language-tag", st.sampled_from(LANGUAGES))
schemathesis.openapi.format("uri", words.map(lambda word: f"https://{word}.example.org/{word}"))
schemathesis.openapi.format("password", st.tuples(words, words).map("-9-".join))


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: Any) -> None:
    """Leaves out how long a time zone's name and a language's tag may be: none has 1 or 64 letters,
    and to find that out takes longer than all else. What is no name is refused, however long."""
    named = ("iana-time-zone", "language-tag")
    if isinstance(raw_schema, dict) and raw_schema.get("format") in named:
        raw_schema.pop("minLength", None)
        raw_schema.pop("maxLength", None)
    for each in raw_schema.values() if isinstance(raw_schema, dict) else raw_schema:
        if isinstance(each, dict | list):
            before_load_schema(context, each)


@schemathesis.hook
def before_init_operation(context: Any, operation: Any) -> None:
    """Leaves cursors out: only one that we have signed for the very list is valid."""
    cursors = {"cursor", "since"}
    operation.query.items = [each for each in operation.query.items if each.name not in cursors]


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Signs in as somebody there is, and imports an empty list in place of any file.

    What a file must hold, and who has which password, a schema cannot say.
    """
    positive = case.meta.generation.mode.is_positive
    if positive and case.path == "/auth/login":
        case.body = DEMO
    if positive and case.path == "/flashcards/import" and "file" in (case.body or ()):
        format = {"format": "json"} if "format" in case.body else {}
        case.body = case.body | format | {"file": "[]"}
