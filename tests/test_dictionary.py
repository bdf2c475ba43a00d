"""POST /dictionary: words looked up, kept as cards, and no word of one learner for another."""

# ruff: noqa: F811 - bucket, s3 and voice are fixtures
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.utils.timezone import now

from config.ops.voice_stand_in import Refusal, StandIn
from learning.models.budgets import Budget
from learning.models.dictionary import Translation
from tests.callers import Caller
from tests.memory_table import MemoryTable
from tests.test_flashcards import card_of, deck_of
from tests.test_media import bucket, s3  # noqa: F401
from tests.voice_helpers import asked, voice, voice_served  # noqa: F401

MESA = {"text": "mesa", "from": "pt", "to": "en"}
SENTENCE = "Uma mesa para dois."


def looked_up(caller: Caller, **body: Any) -> Any:
    answer = caller.post("/dictionary", MESA | body)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_bare_word_is_asked_once_for_everybody(
    maria: Caller, joao: Caller, voice: StandIn
) -> None:
    first = looked_up(maria)
    assert (first["translation"], first["contextTranslation"]) == ("table", None)
    assert looked_up(joao)["translation"] == "table"
    assert asked(voice, "TranslateText") == [
        {"Text": "mesa", "SourceLanguageCode": "pt", "TargetLanguageCode": "en"}
    ]
    assert Budget.of_day(joao.id, now()).used() == {}
    with time_machine.travel(now() + timedelta(days=91)):
        assert Translation.at("mesa", "pt", "en").found(now()) is None


@pytest.mark.parametrize(
    "text", ["o meu NIF 123", "A Maria deixou o João ontem", "rosa@parley.example", "912345678"]
)
def test_what_is_no_bare_word_is_kept_nowhere(
    maria: Caller, joao: Caller, voice: StandIn, memory_table: MemoryTable, text: str
) -> None:
    for learner in (maria, joao):
        looked_up(learner, text=text)
    assert len(asked(voice, "TranslateText")) == 2
    assert text not in str(memory_table.__dict__)


def test_a_context_is_translated_for_its_learner_and_kept_nowhere(
    maria: Caller, joao: Caller, voice: StandIn, memory_table: MemoryTable
) -> None:
    found = looked_up(maria, context=SENTENCE)
    assert (found["translation"], found["contextTranslation"]) == ("table", f"[{SENTENCE}]")
    assert "para dois" not in str(memory_table.__dict__)
    looked_up(joao, context=SENTENCE)
    assert [body["Text"] for body in asked(voice, "TranslateText")].count(SENTENCE) == 2


def test_a_word_is_looked_up_and_kept_as_a_card_in_one_call(maria: Caller, voice: StandIn) -> None:
    deck = deck_of(maria)
    save = {"deckId": deck, "id": str(uuid4())}
    found = looked_up(maria, context=SENTENCE, save=save)
    [card] = found["cards"]
    assert (card["front"], card["back"], card["example"]) == ("mesa", "table", SENTENCE)
    assert found["duplicates"] == []
    again = looked_up(maria, context=SENTENCE, save=save)
    assert [each["id"] for each in again["cards"]] == [card["id"]]
    assert len(asked(voice, "TranslateText")) == 2
    other = looked_up(maria)
    assert [each["id"] for each in other["duplicates"]] == [card["id"]]


def test_a_cloze_of_the_sentence_on_request(maria: Caller, voice: StandIn) -> None:
    save = {"deckId": deck_of(maria), "type": "cloze"}
    [card] = looked_up(maria, context=SENTENCE, save=save)["cards"]
    note = maria.get(f"/notes/{card['noteId']}").json()
    assert (note["front"], note["back"]) == ("Uma {{c1::mesa}} para dois.", f"[{SENTENCE}]")
    answer = maria.post("/dictionary", MESA | {"context": "Nada aqui", "save": save})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "not_in_context")


def test_cards_with_the_same_front_are_pointed_out_whatever_case_and_accents(
    maria: Caller, joao: Caller, voice: StandIn
) -> None:
    own = card_of(maria, deck_of(maria), "Café")
    card_of(maria, deck_of(maria), "cafeteira")
    card_of(joao, deck_of(joao), "café")
    duplicates = looked_up(maria, text="café")["duplicates"]
    assert [card["id"] for card in duplicates] == [own]


def test_nothing_is_asked_for_a_card_that_could_not_be_made(maria: Caller, voice: StandIn) -> None:
    save = {"deckId": str(uuid4()), "type": "cloze"}
    assert maria.post("/dictionary", MESA | {"save": save}).status_code == 400
    assert voice.requests == []


def test_languages_that_translate_does_not_pair_are_404(maria: Caller, voice: StandIn) -> None:
    voice.refuses = Refusal(400, "UnsupportedLanguagePairException")
    answer = maria.post("/dictionary", MESA | {"from": "xx"})
    assert (answer.status_code, answer.json()["code"]) == (404, "NO_TRANSLATION")
    assert Budget.of_day(maria.id, now()).used() == {"dictionary_characters": 0}


def test_a_spent_budget_refuses_before_anything_is_asked(
    maria: Caller, voice: StandIn, settings: Any
) -> None:
    settings.BUDGETS = settings.BUDGETS | {"dictionary_characters": (3, 100)}
    answer = maria.post("/dictionary", MESA)
    assert (answer.status_code, answer.json()["code"]) == (429, "BUDGET_USED_UP")
    assert voice.requests == []


def test_a_tag_becomes_the_code_that_translate_knows(maria: Caller, voice: StandIn) -> None:
    for tag in ("pt-PT", "pt-BR", "sr-Latn-RS"):
        looked_up(maria, **{"from": tag, "text": f"mesa {tag[:2]}"})
    codes = [body["SourceLanguageCode"] for body in asked(voice, "TranslateText")]
    assert codes == ["pt-PT", "pt", "sr"]


def test_a_stage_without_a_dictionary_says_so(maria: Caller, table: None) -> None:
    answer = maria.post("/dictionary", MESA)
    assert (answer.status_code, answer.json()["code"]) == (404, "DICTIONARY_OFF")
