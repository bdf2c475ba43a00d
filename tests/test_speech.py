"""POST /speech: texts read aloud by Polly, each once, and nobody's for anybody else."""

# ruff: noqa: F811 - bucket, s3 and voice are fixtures
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.utils.timezone import now

from config.ops.voice_stand_in import FRAME, Refusal, StandIn
from learning import voices
from learning.models.budgets import Budget
from tests.callers import Caller
from tests.model_helpers import COFFEE
from tests.test_flashcards import card_of, deck_of
from tests.test_media import bucket, bytes_at, kept, s3  # noqa: F401
from tests.test_ownership import session_of
from tests.voice_helpers import asked, voice, voice_served  # noqa: F401


def said(caller: Caller, **body: Any) -> Any:
    answer = caller.post("/speech", body)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_text_is_read_aloud_once(maria: Caller, voice: StandIn, bucket: Any) -> None:
    first = said(maria, text="  Olá,\n Maria!", language="pt-PT")
    assert (first["text"], first["voice"], first["cached"]) == ("Olá, Maria!", "Ines", False)
    assert bytes_at(bucket, first["url"]).startswith(FRAME)
    assert said(maria, text="Olá, Maria!", language="pt-PT")["cached"] is True
    [request] = asked(voice, "SynthesizeSpeech")
    assert request == {
        "Text": "Olá, Maria!",
        "TextType": "text",
        "OutputFormat": "mp3",
        "VoiceId": "Ines",
        "Engine": "neural",
        "LanguageCode": "pt-PT",
    }
    assert Budget.of_day(maria.id, now()).used() == {"speech_characters": 11}


def test_what_two_learners_write_alike_is_kept_for_each_alone(
    maria: Caller, joao: Caller, voice: StandIn, bucket: Any
) -> None:
    for learner in (maria, joao):
        assert said(learner, text="O meu segredo", language="pt")["cached"] is False
    owners = {key.split("/")[1] for key in kept(bucket)}
    assert owners == {maria.id, joao.id}


def test_a_line_of_the_packs_script_is_shared(
    maria: Caller, joao: Caller, voice: StandIn, bucket: Any
) -> None:
    first = said(maria, sessionId=session_of(maria))
    assert first["cached"] is False
    assert said(joao, sessionId=session_of(joao))["cached"] is True
    assert [key.split("/")[1] for key in kept(bucket)] == ["pack"]
    assert COFFEE


def test_an_answer_that_repeats_a_learners_words_is_not_shared(
    maria: Caller, voice: StandIn, bucket: Any
) -> None:
    from learning.models.practice import Session

    id = session_of(maria)
    session = Session.of(maria.id, id)
    assert session is not None
    session.opening = "Olá, Maria Silva! O que deseja?"
    session.put()
    said(maria, sessionId=id)
    assert [key.split("/")[1] for key in kept(bucket)] == [maria.id]


def test_a_side_of_a_card_is_read_in_its_decks_language(
    maria: Caller, voice: StandIn, bucket: Any
) -> None:
    deck = deck_of(maria, nativeLanguage="en-GB", targetLanguage="de")
    card = card_of(maria, deck, "das Haus", back="the house", example="Das Haus ist blau.")
    voices_ = [said(maria, cardId=card, side=side) for side in ("front", "back", "example")]
    assert [each["voice"] for each in voices_] == ["Vicki", "Amy", "Vicki"]
    plain = card_of(maria, deck_of(maria, targetLanguage=None), "casa")
    answer = maria.post("/speech", {"cardId": plain})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "language")
    assert said(maria, cardId=plain, language="pt-BR")["voice"] == "Camila"


def test_the_back_of_a_cloze_is_its_sentence_in_the_language_that_is_learned(
    maria: Caller, voice: StandIn, bucket: Any
) -> None:
    deck = deck_of(maria, nativeLanguage="en", targetLanguage="pt")
    cloze = {"type": "cloze", "front": "Uma {{c1::mesa::furniture}} para {{c2::dois}}"}
    note = maria.makes("/notes", cloze | {"deckId": deck, "back": "A table for two"})
    for card in note["cards"]:
        back = said(maria, cardId=card["id"], side="back")
        assert (back["text"], back["voice"]) == ("Uma mesa para dois", "Ines")
    assert asked(voice, "SynthesizeSpeech")[0]["LanguageCode"] == "pt-PT"


def test_a_partners_line_is_read_in_another_language_on_request(
    maria: Caller, voice: StandIn, bucket: Any
) -> None:
    session = session_of(maria)
    assert said(maria, sessionId=session)["language"] == "en-GB"
    assert said(maria, sessionId=session, language="en-US")["language"] == "en-US"
    answer = maria.post("/speech", {"sessionId": session, "language": "vi"})
    assert (answer.status_code, answer.json()["code"]) == (404, "NO_VOICE")


def test_a_side_that_is_empty_or_too_long_is_told_by_its_name(
    maria: Caller, voice: StandIn
) -> None:
    deck = deck_of(maria, targetLanguage="pt")
    card = card_of(maria, deck, "casa " * 300)
    for side, code in (("example", "blank"), ("front", "max_length")):
        [error] = maria.post("/speech", {"cardId": card, "side": side}).json()["errors"]
        assert (error["field"], error["code"]) == ("side", code)
    assert voice.requests == []


def test_another_learners_card_is_404(maria: Caller, joao: Caller, voice: StandIn) -> None:
    card = card_of(maria, deck_of(maria, targetLanguage="pt"))
    assert joao.post("/speech", {"cardId": card}).json()["code"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"text": "Xin chào", "language": "vi"}, "NO_VOICE", "language"),
        ({"text": "olá", "language": "pt", "voice": "Amy"}, "NO_VOICE", "voice"),
        ({"text": "olá"}, "VALIDATION_ERROR", "language"),
        ({"text": "x" * 1001, "language": "pt"}, "VALIDATION_ERROR", "text"),
        ({}, "VALIDATION_ERROR", "text"),
        (
            {"text": "[media:0b7a4b8e-5a40-4a43-8f0a-1d0c2c9f6a10]", "language": "pt"},
            "VALIDATION_ERROR",
            "text",
        ),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_field_and_costs_nothing(
    maria: Caller, voice: StandIn, body: Any, code: str, field: str
) -> None:
    answer = maria.post("/speech", body)
    assert (answer.status_code, answer.json()["code"]) == (
        404 if code == "NO_VOICE" else 400,
        code,
    )
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert voice.requests == []
    assert Budget.of_day(maria.id, now()).used() == {}


def test_a_stage_without_a_voice_says_so(maria: Caller, table: None) -> None:
    for path, body in (
        ("/speech", {"text": "olá", "language": "pt"}),
        ("/recordings", {"sizeBytes": 100, "sha256": "0" * 64}),
    ):
        answer = maria.post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (404, "SPEECH_OFF")


def test_budgets_hold_under_fifty_requests_at_once(
    maria: Caller, voice: StandIn, settings: Any
) -> None:
    settings.BUDGETS = settings.BUDGETS | {"speech_characters": (50, 1_000)}

    def ask(number: int) -> int:
        body = {"text": f"palavra {number:02}", "language": "pt"}
        status: int = Caller(maria.id, maria.token).post("/speech", body).status_code
        return status

    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(ask, range(50)))
    assert sorted(answers) == [200] * 5 + [429] * 45
    assert len(asked(voice, "SynthesizeSpeech")) == 5
    assert Budget.of_day(maria.id, now()).used() == {"speech_characters": 50}


def test_a_spent_budget_says_until_when(maria: Caller, voice: StandIn, settings: Any) -> None:
    settings.BUDGETS = settings.BUDGETS | {"speech_characters": (3, 1_000)}
    answer = maria.post("/speech", {"text": "olá!", "language": "pt"})
    assert (answer.status_code, answer.json()["code"]) == (429, "BUDGET_USED_UP")
    assert 0 < int(answer["Retry-After"]) <= 86_400


def test_what_polly_refuses_costs_nothing_and_is_not_kept(
    maria: Caller, voice: StandIn, bucket: Any
) -> None:
    voice.refuses = Refusal(400, "LanguageNotSupportedException")
    answer = maria.post("/speech", {"text": "olá", "language": "pt"})
    assert (answer.status_code, answer.json()["code"]) == (502, "UPSTREAM_FAILED")
    assert kept(bucket) == []
    assert Budget.of_day(maria.id, now()).used() == {"speech_characters": 0}


def test_every_voice_is_one_that_polly_has_for_its_language() -> None:
    import botocore.session

    model = botocore.session.get_session().get_service_model("polly")
    ids = set(model.shape_for("VoiceId").enum)
    codes = set(model.shape_for("LanguageCode").enum)
    assert set(voices.NAMES) <= ids
    assert set(voices.VOICES) <= codes
    for tag, names in voices.VOICES.items():
        found = voices.voice_for(tag)
        assert found is not None
        assert (found.id, found.language) == (names[0], tag)
    assert voices.voice_for("vi") is None
