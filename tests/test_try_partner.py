"""`manage.py try_partner`: a scenario played to its end, to be read by people."""

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from config import aws
from config.ops.model_stand_in import StandIn
from tests.model_helpers import COFFEE, text_answer


@pytest.fixture(autouse=True)
def fresh_client(table: None) -> Any:
    aws._client.cache_clear()
    yield
    aws._client.cache_clear()


def tried(*arguments: str) -> str:
    output = io.StringIO()
    call_command("try_partner", *arguments, stdout=output)
    return output.getvalue()


def test_the_script_plays_for_nothing() -> None:
    said = tried(COFFEE, "--partner", "scripted")
    assert "> Good morning! Can I have a coffee, please?   [drink]" in said
    assert "4 of 4 goals" in said
    assert "tokens" not in said


def test_without_a_model_the_stand_in_plays_and_its_tokens_are_priced() -> None:
    said = tried(COFFEE)
    assert "4 of 4 goals" in said
    assert "tokens read" in said
    assert "USD" in said


def test_a_model_can_play_the_learner_too() -> None:
    said = tried(COFFEE, "--learner", "model", "--partner", "scripted", "--role", "barista")
    assert said.count("\n> ") > 3


def test_a_model_that_fails_is_seen_to_fail(model: StandIn) -> None:
    model.player = lambda _: text_answer("I would rather not.")
    said = tried(COFFEE)
    assert "- (invalid) Sorry" in said
    assert "0 of 4 goals" in said


def test_a_local_model_that_is_not_there_is_said(settings: Any) -> None:
    settings.LOCAL_MODEL_URL, settings.PARTNER_MODEL = "http://127.0.0.1:9/v1", "qwen3:4b"
    with pytest.raises(CommandError, match="cannot be reached"):
        tried(COFFEE)


@pytest.mark.parametrize("arguments", [["no-such"], [COFFEE, "--role", "captain"]])
def test_what_is_not_there_is_said(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match=r"pack|role"):
        tried(*arguments)
