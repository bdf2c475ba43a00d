"""POST /dictionary: words looked up, kept as cards, and no word of one learner for another."""

# ruff: noqa: F811 - bucket, model, s3 and voice are fixtures
import json
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.utils.timezone import now

from config.formats import wire_name
from config.ops import model_stand_in
from config.ops.management.commands import estimate_cost as costs
from config.ops.model_stand_in import Fails, Json, Player, good_answer, tool_call
from config.ops.voice_stand_in import Refusal, StandIn
from learning.models.budgets import Budget
from learning.models.dictionary import Translation
from learning.practice import prompt
from learning.practice.entry import accept_entry
from learning.practice.verdict import Refused
from tests.callers import Caller
from tests.memory_table import MemoryTable
from tests.model_helpers import agreed, altered, model, served, text_answer  # noqa: F401
from tests.test_flashcards import card_of, deck_of
from tests.test_media import bucket, s3  # noqa: F401
from tests.voice_helpers import asked, voice, voice_served  # noqa: F401
from tests.waiting import PATIENCE_S

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


@pytest.mark.parametrize(
    ("language", "text", "context", "front"),
    [
        ("ja", "日本語", "私は日本語を話す", "私は{{c1::日本語}}を話す"),
        ("ko", "책", "책을 읽어요", "{{c1::책}}을 읽어요"),
        ("zh-TW", "咖啡", "我要咖啡。", "我要{{c1::咖啡}}。"),
    ],
)
def test_a_cloze_of_a_language_without_spaces(
    maria: Caller, voice: StandIn, language: str, text: str, context: str, front: str
) -> None:
    save = {"deckId": deck_of(maria), "type": "cloze"}
    body = {"from": language, "text": text, "context": context, "save": save}
    [card] = looked_up(maria, **body)["cards"]
    assert maria.get(f"/notes/{card['noteId']}").json()["front"] == front


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("a::b", "um a::b"),
        ("b}", "um b}"),
        ("mesa", "{{c1::Uma}} mesa"),
        ("mesa", "Uma {{c2::mesa}}"),
    ],
)
def test_no_cloze_is_made_that_would_lose_a_part_of_the_sentence(
    maria: Caller, voice: StandIn, text: str, context: str
) -> None:
    save = {"deckId": deck_of(maria), "type": "cloze"}
    answer = maria.post("/dictionary", MESA | {"text": text, "context": context, "save": save})
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["field"], error["code"]) == (400, "context", "cloze_marks")
    assert voice.requests == []


def test_a_picture_in_a_text_is_not_looked_up(maria: Caller, voice: StandIn) -> None:
    picture = "[media:0b7a4b8e-5a40-4a43-8f0a-1d0c2c9f6a10]"
    save = {"deckId": deck_of(maria)}
    [card] = looked_up(maria, text=f"mesa {picture}", context=f"{picture} {SENTENCE}", save=save)[
        "cards"
    ]
    assert (card["front"], card["example"]) == ("mesa", SENTENCE)
    assert "media" not in str(asked(voice, "TranslateText"))
    [error] = maria.post("/dictionary", MESA | {"text": picture}).json()["errors"]
    assert (error["field"], error["code"]) == ("text", "blank")


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
    answer = maria.post("/dictionary", MESA | {"save": save | {"type": "basic"}})
    assert (answer.status_code, answer.json()["code"]) == (409, "UNKNOWN_DECK")
    assert answer.json()["errors"][0]["field"] == "save.deckId"
    assert voice.requests == []


def test_languages_that_translate_does_not_pair_are_404(maria: Caller, voice: StandIn) -> None:
    voice.refuses = Refusal(400, "UnsupportedLanguagePairException")
    answer = maria.post("/dictionary", MESA | {"from": "eo"})
    assert (answer.status_code, answer.json()["code"]) == (404, "NO_TRANSLATION")
    assert answer.json()["errors"][0]["field"] == "to"
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


# --- By the partner's model -----------------------------------------------------------------------

Model = model_stand_in.StandIn


def test_the_model_tells_of_a_word_what_a_card_keeps(
    maria: Caller, voice: StandIn, model: Model
) -> None:
    agreed(maria)
    deck = deck_of(maria)
    found = looked_up(maria, save={"deckId": deck})
    assert (found["answeredBy"], found["translation"]) == ("model", "table")
    assert (found["partOfSpeech"], found["ipa"]) == ("noun", "ˈme.zɐ")
    [card] = found["cards"]
    assert (card["phonetic"], card["example"]) == ("ˈme.zɐ", "A mesa é de madeira.")
    save = {"deckId": deck, "id": str(uuid4())}
    [card] = looked_up(maria, context=SENTENCE, save=save)["cards"]
    assert (card["phonetic"], card["example"]) == ("ˈme.zɐ", SENTENCE), "one's own sentence"
    again = looked_up(maria, context=SENTENCE, save=save)
    assert (again["ipa"], again["example"], again["answeredBy"]) == ("ˈme.zɐ", SENTENCE, None)
    [cloze] = looked_up(maria, context=SENTENCE, save={"deckId": deck, "type": "cloze"})["cards"]
    note = maria.get(f"/notes/{cloze['noteId']}").json()
    assert (note["back"], note["phonetic"]) == ("something table something something.", "ˈme.zɐ")
    assert voice.requests == []


def test_the_model_is_asked_as_for_a_turn_within_its_budgets(
    maria: Caller, voice: StandIn, model: Model, settings: Any
) -> None:
    agreed(maria)
    looked_up(maria, context=SENTENCE)
    [request] = model.requests
    told = {"text": "mesa", "from": "pt", "to": "en", "context": SENTENCE}
    assert model_stand_in.heard(request) == told
    assert maria.id not in str(request)
    assert len(json.dumps(request, ensure_ascii=False).encode()) / 4 < costs.ENTRY_READ
    used = Budget.of_day(maria.id, now()).used()
    assert used["partner_turns"] == 1
    assert 0 < used["partner_tokens"] < 3_000
    settings.BUDGETS = settings.BUDGETS | {"partner_turns": (1, 100)}
    assert looked_up(maria, text="casa")["answeredBy"] == "translate"
    assert len(model.requests) == 1


def test_without_consent_nothing_goes_to_a_model(
    maria: Caller, voice: StandIn, model: Model
) -> None:
    found = looked_up(maria, context=SENTENCE)
    assert (found["answeredBy"], found["ipa"]) == ("translate", None)
    agreed(maria)
    maria.patch("/profile/consents", {"modelText": False})
    looked_up(maria, text="casa")
    assert model.requests == []


def test_of_a_models_entries_only_bare_words_are_shared(
    maria: Caller, joao: Caller, voice: StandIn, model: Model, memory_table: MemoryTable
) -> None:
    for learner in (maria, joao):
        agreed(learner)
        assert looked_up(learner)["example"] == "A mesa é de madeira."
        looked_up(learner, context=SENTENCE)
        looked_up(learner, text="o meu NIF 123")
    assert len(model.requests) == 1 + 2 + 2
    assert not any(text in str(memory_table.__dict__) for text in ("para dois", "NIF"))


def test_an_entry_in_somebodys_context_is_nobody_elses(
    maria: Caller, joao: Caller, voice: StandIn, model: Model
) -> None:
    """Whoever has a model say nonsense by a context hears it alone."""
    agreed(maria)
    model.player = altered(translation="call this number")
    assert looked_up(maria, context=SENTENCE)["translation"] == "call this number"
    model.player = good_answer
    agreed(joao)
    assert looked_up(joao)["translation"] == "table"
    joao.patch("/profile/consents", {"modelText": False})
    assert looked_up(joao)["answeredBy"] == "translate", "what a model says is not Translate's"


def test_a_region_has_entries_of_its_own(maria: Caller, voice: StandIn, model: Model) -> None:
    agreed(maria)
    for tag in ("pt-PT", "pt-BR", "pt-BR"):
        looked_up(maria, **{"from": tag})
    assert [model_stand_in.heard(each)["from"] for each in model.requests] == ["pt-PT", "pt-BR"]


def fails(*arguments: Any) -> Player:
    def player(_: Json) -> Json:
        raise Fails(*arguments)

    return player


def tells_its_secret(request: Json) -> Json:
    secret = model_stand_in.told(request, "SESSION")["secret"]
    return tool_call(request, {"translation": "table", "example": f"A mesa {secret}."})


# What the model answers, and how often it is asked before Translate is.
BROKEN: dict[str, tuple[Player, int]] = {
    "no translation": (lambda request: tool_call(request, {"ipa": "ˈme.zɐ"}), 2),
    "text without a tool": (lambda _: text_answer("table"), 2),
    "its secret": (tells_its_secret, 1),
    "a refusal": (lambda _: text_answer("No.", "content_filtered"), 1),
    "too many requests": (fails(429, "ThrottlingException"), 1),
    "a server's error": (fails(500, "InternalServerException"), 1),
    "a connection cut": (fails(None), 1),
}


@pytest.mark.parametrize("what", BROKEN)
def test_whenever_a_model_gives_no_entry_translate_answers(
    maria: Caller, voice: StandIn, model: Model, what: str
) -> None:
    agreed(maria)
    model.player, times = BROKEN[what]
    found = looked_up(maria)
    assert (found["translation"], found["answeredBy"]) == ("table", "translate")
    assert len(model.requests) == times
    model.player = good_answer
    assert looked_up(maria)["answeredBy"] == "model", "a bad answer was not kept"


def accepted(raw: object, *, context: str = "") -> prompt.Entry:
    """What counts of an entry for the word of most tests."""
    return accept_entry(
        raw,
        text="mesa",
        context=context,
        source="pt-PT",
        target="en",
        secret="0f1e2d3c4b",
        told=prompt.LOOKING_UP,
    )


GOOD = {
    "translation": "table",
    "partOfSpeech": "noun",
    "ipa": "ˈme.zɐ",
    "example": "A mesa é de madeira.",
}
REFUSED: dict[str, object] = {
    "a translation of another kind": {"translation": ["table"]},
    "nothing to see": {"translation": "\u200b "},
    "another language": {"translation": "der Tisch und das ist nicht alles"},
    "other letters": {"translation": "стол"},
    "too long": {"translation": "table " * 20},
    "two lines": {"translation": "table\nignore this"},
    "an address": {"translation": "table, see www.example.org"},
    "markup": {"translation": "<b>table</b>"},
    "a medium": {"translation": "[media:0b7a4b8e-5a40-4a43-8f0a-1d0c2c9f6a10]"},
    "a cloze": {"translation": "{{c1::table}}"},
    "a field too many": {"translation": "table", "mood": "sunny"},
    "a list": ["table"],
    "a text": '{"trans',
    "nothing": None,
    "its rules": {"translation": " ".join(prompt.LOOKING_UP.split()[:14])},
    "its secret in a name": {"translation": "table", "0f1e2d3c4b": ""},
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_entry_without_a_proper_translation_is_refused(what: str) -> None:
    with pytest.raises(Refused):
        accepted(REFUSED[what])


# What of an entry does not hold, and is left out.
LEFT_OUT: dict[str, tuple[str, object]] = {
    "an unknown part of speech": ("part_of_speech", "gerund"),
    "sounds that are words": ("ipa", "please call this number"),
    "sounds with digits": ("ipa", "me5zɐ"),
    "an example in another language": ("example", "The mesa is what you have and it is not that."),
    "an example without the word": ("example", "A cadeira é de madeira."),
    "an example with an address": ("example", "A mesa em https://example.org"),
    "an example turned round": ("example", "A mesa \u202etxt.exe"),
    "an example too long": ("example", "A mesa é azul. " * 20),
    "a number as example": ("example", 7),
    "a context that was not asked for": ("context_translation", "A table."),
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_what_does_not_hold_of_an_entry_is_left_out(what: str) -> None:
    assert accepted(GOOD) == prompt.Entry("table", None, "noun", "ˈme.zɐ", "A mesa é de madeira.")
    field, value = LEFT_OUT[what]
    assert accepted({**GOOD, wire_name(field): value}) == replace(accepted(GOOD), **{field: None})


def test_an_entry_with_marks_of_other_languages_is_taken() -> None:
    said = {"translation": "میز\u200cها", "ipa": "pɐ̃w̃"}
    entry = accept_entry(
        said, text="pão", context="", source="pt", target="fa", secret="0f1e", told=""
    )
    assert (entry.translation, entry.ipa) == tuple(said.values())


def test_a_model_that_is_slow_is_not_waited_for(
    maria: Caller, voice: StandIn, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from config import aws

    monkeypatch.setitem(aws.READ_TIMEOUT_OF, "bedrock-runtime", 0.05)
    aws._client.cache_clear()
    agreed(maria)
    release = threading.Event()

    def slow(request: Json) -> Json:
        release.wait(PATIENCE_S)
        raise Fails(None)

    model.player = slow
    try:
        assert looked_up(maria)["answeredBy"] == "translate"
    finally:
        release.set()


def test_a_stage_with_a_model_alone_looks_words_up_too(
    maria: Caller, model: Model, settings: Any
) -> None:
    answer = maria.post("/dictionary", MESA)
    assert (answer.status_code, answer.json()["code"]) == (403, "CONSENT_NEEDED")
    agreed(maria)
    assert looked_up(maria)["answeredBy"] == "model"
    model.player = fails(500, "InternalServerException")
    answer = maria.post("/dictionary", MESA | {"text": "casa"})
    assert (answer.status_code, answer.json()["code"]) == (502, "UPSTREAM_FAILED")
    settings.BUDGETS = settings.BUDGETS | {"partner_turns": (1, 100)}
    answer = maria.post("/dictionary", MESA | {"text": "casa"})
    assert (answer.status_code, answer.json()["code"]) == (429, "BUDGET_USED_UP")
    assert int(answer["Retry-After"]) > 0


def test_what_a_guardrail_refuses_is_not_shown(
    maria: Caller, voice: StandIn, model: Model, settings: Any
) -> None:
    settings.PARTNER_GUARDRAIL = "abc123:1"
    model.blocked = "madeira"
    try:
        agreed(maria)
        assert looked_up(maria)["answeredBy"] == "translate"
        assert "guardContent" in model.requests[0]["messages"][0]["content"][0]
    finally:
        model.blocked = ""
