"""The languages that there are, by IANA's registry, wherever one is given."""

from typing import Any

import pytest
from django.conf.locale import LANG_INFO

from config.formats import is_language
from learning.services.recordings import LANGUAGES as HEARD
from learning.voices import VOICES
from tests.contract import contract


@pytest.mark.parametrize(
    "tag",
    ["es", "PT-br", "yue", "zh-Hant-TW", "zh-yue", "es-419", "de-1996", "sl-rozaj-1994", "iw"],
)
def test_a_tag_of_registered_subtags_is_a_language(tag: str) -> None:
    assert is_language(tag)


@pytest.mark.parametrize(
    "tag",
    [
        *("zz", "xx", "zzz", "qaa", "zz-BR", "e", "english"),
        *("pt-ZZ", "pt-XX", "pt-zzz", "pt-Abcd", "pt-999", "pt-brazil", "pt-1234", "pt-BR-BR"),
        *("", "pt-", "pt_BR", "pt-BR\n", "\u212al", "pt-x-rio"),
    ],
)
def test_any_other_is_none(tag: str) -> None:
    assert not is_language(tag)


def test_the_languages_that_others_know_are_registered() -> None:
    assert [tag for tag in (*LANG_INFO, *VOICES, *HEARD) if not is_language(tag)] == []


def test_each_language_that_a_client_gives_is_one_that_there_is() -> None:
    shapes = contract()["components"]["schemas"]
    given: dict[str, Any] = {
        f"{name}.{field}": shape.get("format")
        for name, schema in shapes.items()
        for field, shape in schema.get("properties", {}).items()
        if name.endswith("Request") and field.lower().endswith("language")
    }
    given |= {
        f"LookUpRequest.{each}": shapes["LookUpRequest"]["properties"][each].get("format")
        for each in ("from", "to")
    }
    assert len(given) > 10
    assert {name for name, form in given.items() if form != "language-tag"} == set()
