"""A stand-in for a model, and learners who speak with it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils.timezone import now

from config import aws
from config.ops import model_stand_in
from config.ops.model_stand_in import MODEL, Json, StandIn, good_answer, tool_call
from learning.practice import dialogue
from learning.practice.script import Script
from learning.services import scenarios
from tests.callers import Caller
from tests.transcripts import PACK, scripts

COFFEE = "coffee-to-take-away"


@pytest.fixture(scope="module")
def served() -> Iterator[StandIn]:
    with model_stand_in.serving() as stand_in:
        yield stand_in


@pytest.fixture
def model(served: StandIn, table: None, settings: Any, monkeypatch: Any) -> Iterator[StandIn]:
    """The stage's model: a stand-in that answers well, until a test hands it another player."""
    served.player, served.requests = good_answer, []
    monkeypatch.setenv("PARLEY_BEDROCK_URL", served.url)
    settings.PARTNER, settings.PARTNER_MODEL = "bedrock", MODEL
    aws._client.cache_clear()
    yield served
    aws._client.cache_clear()


def agreed(learner: Caller) -> None:
    """The learner lets what they write go to a model."""
    assert learner.patch("/profile/consents", {"modelText": True}).status_code == 200


def text_answer(text: str, stop: str = "end_turn") -> Json:
    """A model's answer in words, without the tool."""
    message = {"role": "assistant", "content": [{"text": text}]}
    return {"output": {"message": message}, "stopReason": stop}


def coffee() -> Script:
    """The scenario of most tests."""
    return next(script for script in scripts() if script.id == COFFEE)


# What a scenario for a model alone must have.
UNSCRIPTED: Json = {
    "title": "A coffee to take away",
    "context": "food",
    "level": "A1",
    "language": "en",
    "description": "You are at a café. Order a drink, say what size, and pay.",
    "partners": ["model"],
    "roles": [
        {"id": "customer", "name": "Customer", "brief": "You want a large coffee."},
        {"id": "barista", "name": "Barista", "brief": "A coffee costs three pounds."},
    ],
    "parts": [
        {
            "role": "customer",
            "start": "line-1",
            "goals": [
                {"id": "drink", "text": "Order a drink"},
                {"id": "size", "text": "Say what size you want"},
                {"id": "pay", "text": "Pay", "example": "Here you are."},
            ],
            "nodes": [{"id": "line-1", "line": "Good morning! What can I get you?"}],
        }
    ],
    "phrases": [{"text": "Can I have …, please?", "meaning": "how to ask for something"}],
    "mistakes": [],
}


def unscripted() -> Script:
    """A scenario in which a model alone can be the partner."""
    return dialogue.parse({**UNSCRIPTED, "id": "unscripted"})


def published(*names: str) -> None:
    """Publishes scenarios of our pack."""
    pack = [json.loads((PACK / f"{name}.json").read_text("utf-8")) for name in names]
    scenarios.load_scenarios(pack, now=now())


def begun(learner: Caller, scenario_id: str = COFFEE, **fields: Any) -> str:
    """The path of a session with the model, by a learner who has agreed."""
    published(scenario_id)
    agreed(learner)
    wanted = {"scenarioId": scenario_id, "partner": "model", **fields}
    return f"/sessions/{learner.makes('/sessions', wanted)['id']}"


def plays(learner: Caller, path: str, texts: list[str]) -> list[Any]:
    """What is answered to each text, until the partner takes leave."""
    answers: list[Any] = []
    for text in texts:
        answers.append(learner.makes(f"{path}/turns", {"text": text}))
        if answers[-1]["session"]["ended"]:
            break
    return answers


def altered(**changes: Any) -> Any:
    """A player whose good answer has some fields changed."""

    def player(request: Json) -> Json:
        answer = good_answer(request)
        [block] = answer["output"]["message"]["content"]
        return tool_call(request, block["toolUse"]["input"] | changes)

    return player
