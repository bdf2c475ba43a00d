"""Errors and mails in the reader's language: whole catalogues, and codes that stay."""

import ast
import gettext
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import Client
from django.utils.translation import get_language, override

from config import http
from config.mail import in_language_of
from config.problems import FieldError, Filled
from config.serializers import ItemProblemSerializer
from config.stack import BASE_DIR
from learning.api.imports import RowErrorSerializer
from learning.models.transfers import ImportRow
from learning.services.practice import ConsentNeeded
from learning.services.statistics import Week
from learning.transfer import FileTooLarge, RowError
from reminders.emails import report_item, streak_item
from tests.callers import Caller
from tests.test_flashcards import card_of, deck_of
from tests.texts import all_texts, fixed_in_english

LANGUAGES = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|(?<!\{)\{\w+\}|%%")
MESSAGE = re.compile(r'^(msgid|msgid_plural|msgstr|msgstr\[\d\]) "(.*)"$', re.MULTILINE)


def folder(language: str) -> Path:
    return BASE_DIR / "config/locale" / language / "LC_MESSAGES"


def compiled(language: str) -> dict[Any, str]:
    with (folder(language) / "django.mo").open("rb") as file:
        catalogue: dict[Any, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    return catalogue


def translation(catalogue: dict[Any, str], text: str) -> str:
    return catalogue.get(text) or catalogue.get((text, 0)) or ""


# The forms of address that a language's texts do not use: they say du, tú and vous.
OTHER_ADDRESS = {
    "de": r"\b(Ihnen|Ihre[nmrs]?)\b",
    "es": r"\b[Uu]sted",
    "fr": r"\b([Tt]u|[Tt]on|[Tt]a|[Tt]es|toi)\b|\b[Tt]’",
}


@pytest.mark.parametrize("language", OTHER_ADDRESS)
def test_a_language_addresses_its_readers_in_one_way(language: str) -> None:
    texts = compiled(language).values()
    assert [text for text in texts if re.search(OTHER_ADDRESS[language], text)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_has_a_translation_with_the_same_places_for_values(language: str) -> None:
    catalogue = compiled(language)
    texts = all_texts()
    assert len(texts) > 200
    missing = sorted(text for text in texts if not translation(catalogue, text))
    assert missing == [], "docs/CONTRIBUTING.md: a text for people"
    for key, told in catalogue.items():
        text = key[0] if isinstance(key, tuple) else key
        if text:
            places = set(PLACEHOLDER.findall(told))
            assert places - {"{input}"} == set(PLACEHOLDER.findall(text)) - {"{input}"}, told


def test_values_are_put_into_a_text_after_it_is_translated() -> None:
    assert fixed_in_english() == [], "docs/CONTRIBUTING.md: a text for people"


@pytest.mark.parametrize(
    "told",
    [
        'raise NotFound(f"no {name} here")',
        'raise ValidationFailed.of("q", "bad", "no %s here" % name)',
        'raise ClozeError("bad", "no {} here".format(name))',
        'raise ValidationError({"q": ["no " + name + " here"]})',
        'message = f"no {name} here"\nRowError(1, "q", "bad", message)',
        'raise DeckNotEmpty("plain" if done else f"no {name} here")',
        'class NotFound:\n    def of(cls, name): return cls(f"no {name} here")',
        'class A(NotFound):\n    def __init__(self): super().__init__(f"no {name} here")',
    ],
)
def test_a_text_that_is_put_together_in_english_is_found(told: str) -> None:
    assert len(fixed_in_english({Path("a.py"): ast.parse(told)})) == 1
    assert not fixed_in_english({Path("a.py"): ast.parse('NotFound(Filled("no {a}", a=1))')})


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("de", "Bei Zeichen 4: Gib eines davon an: due, "),
        ("es", "En el carácter 4: Indica uno de estos: due, "),
        ("fr", "Au caractère 4 : Donnez l’un de ceux-ci : due, "),
        ("vi", "Tại ký tự 4: Hãy chọn một trong: due, "),
        ("en", "At character 4: Give one of due, "),
    ],
)
def test_a_message_with_values_is_told_in_the_readers_language(
    maria: Caller, language: str, message: str
) -> None:
    body = maria.get("/flashcards?q=is:lost", Accept_Language=language).json()
    assert (body["code"], body["errors"][0]["code"]) == ("VALIDATION_ERROR", "search_syntax")
    assert body["detail"] == body["errors"][0]["message"]
    assert body["detail"].startswith(message)


def test_a_stored_remark_is_told_in_the_language_of_whoever_reads_it() -> None:
    error = RowError(7, "front", "too_long", Filled("More than {most} characters.", most=10_000))
    row = ImportRow.new("maria", "01M8C3QJ170FQT56AARHZH1RT9", error, now=datetime.now(UTC))
    stored = ImportRow.from_raw_data(row.serialize())
    for language, message in (("de", "Mehr als 10000 Zeichen."), ("ja", error.message)):
        with override(language):
            assert RowErrorSerializer(stored).data["message"] == message


def test_a_problem_of_long_work_is_told_in_the_language_of_whoever_reads_it() -> None:
    detail = Filled("A file may have {most} notes at most.", most=100_000)
    error = FieldError("file", "too_many", Filled("More than {most} cards.", most=25))
    stored = json.loads(json.dumps(FileTooLarge(detail, errors=[error]).stored()))
    with override("fr"):
        shown = ItemProblemSerializer(stored).data
        assert shown["detail"] == "Un fichier peut avoir au plus 100000 notes."
        assert shown["errors"][0]["message"] == "Plus de 25 cartes."
    assert ItemProblemSerializer(stored).data["detail"] == str(detail)


def test_a_weak_password_is_refused_in_the_readers_language(table: None) -> None:
    person = {"email": "ana@example.org", "firstName": "Ana", "lastName": "Prado"}
    refused = Client().post(
        "/auth/signup",
        {**person, "password": "password1"},
        content_type="application/json",
        headers={"Accept-Language": "de"},
    )
    assert refused.json()["detail"] == "Dieses Passwort gehört zu den häufigsten."


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_is_compiled_from_its_source(language: str) -> None:
    source = (folder(language) / "django.po").read_text()
    lines = [(word, re.sub(r"\\(.)", r"\1", text)) for word, text in MESSAGE.findall(source)]
    told = {text for word, text in lines if word.startswith("msgstr") and text}
    catalogue = {key: text for key, text in compiled(language).items() if key != ""}
    assert set(catalogue.values()) == told


def test_a_problem_is_told_in_the_readers_language_and_its_code_is_not(maria: Caller) -> None:
    refused = maria.post("/decks", {"name": ""}, Accept_Language="de-AT,de;q=0.9,en;q=0.5")
    body = refused.json()
    assert (refused["Content-Language"], body["code"]) == ("de", "VALIDATION_ERROR")
    assert body["title"] == body["detail"] == "Die Anfrage hat ungültige Felder"
    (error,) = body["errors"]
    assert (error["code"], error["message"]) == ("blank", "Dieses Feld darf nicht leer sein.")


def test_who_asks_next_is_told_in_their_own_language_what_is_too_long(maria: Caller) -> None:
    told = {}
    for language in ("de", "fr", "en"):
        refused = maria.post("/decks", {"name": "x" * 5_000}, Accept_Language=language)
        told[language] = refused.json()["errors"][0]["message"]
    assert "höchstens" in told["de"]
    assert "caractères" in told["fr"]
    assert "characters" in told["en"]


@pytest.mark.parametrize(
    ("asked", "title"),
    [
        ("es-MX", "Hace falta un token de acceso válido"),
        ("fr", "Un jeton d’accès valable est nécessaire"),
        ("vi", "Cần có mã truy cập hợp lệ"),
        ("ja, *;q=0.1", "A valid access token is needed"),
        ("", "A valid access token is needed"),
    ],
)
def test_a_language_that_we_have_not_falls_back_to_english(
    table: None, asked: str, title: str
) -> None:
    answer = Client().get("/decks", headers={"Accept-Language": asked})
    assert (answer.json()["title"], answer.json()["code"]) == (title, "NOT_AUTHENTICATED")


def test_what_a_field_or_a_problem_says_of_itself_is_told_in_the_readers_language(
    maria: Caller,
) -> None:
    wrong = maria.get("/scenarios?language=E1", Accept_Language="fr").json()
    assert wrong["errors"][0]["message"] == "Donnez une langue en deux ou trois lettres, p. ex. es."
    with override("de"):
        detail = http.told(ConsentNeeded.to("modelVoice").detail)
    assert detail == 'Stimme erst zu: PATCH /profile/consents mit {"modelVoice": true}'


def test_a_rejected_item_is_told_in_the_readers_language(maria: Caller) -> None:
    card_of(maria, deck_of(maria))
    entry = {"id": str(uuid4()), "cardId": str(uuid4()), "reviewedAt": "2026-01-01T00:00:00Z"}
    sent = {"reviews": [{**entry, "kind": "review", "rating": "good"}]}
    (result,) = maria.post("/reviews", sent, Accept_Language="fr").json()["results"]
    assert result["problem"]["code"] == "NOT_FOUND"
    assert result["problem"]["title"] == "Il n’y a rien ici"


def test_one_request_leaves_the_next_its_own_language(maria: Caller) -> None:
    maria.get("/decks", Accept_Language="de")
    assert get_language() == "en"
    assert maria.get("/decks/x").json()["title"] == "There is nothing here"


def test_mails_are_in_their_readers_language() -> None:
    with in_language_of("de-CH"):
        assert streak_item(5).title == "Deine Serie von 5 Tagen endet heute Abend"
        assert report_item(Week(1, 1, 1, None, 0, ())).lines == ("1 Karte an 1 Tag, 1 Minute",)
    with in_language_of("vi"):
        assert streak_item(5).title == "Chuỗi 5 ngày của bạn kết thúc tối nay"
    for tag in (None, "ja", "not a tag"):
        with in_language_of(tag):
            assert streak_item(1).title == "Your streak of 1 day ends tonight"
