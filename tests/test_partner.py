"""Sessions whose partner is a model, over HTTP: what it says, what it costs, when it fails."""

from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now
from ulid import ULID

from config.ops.model_stand_in import StandIn
from learning.models.budgets import Budget
from tests.callers import Caller, make_learner
from tests.model_helpers import COFFEE, agreed, altered, begun, plays, published
from tests.test_sessions import model_answers, of_pack, problem, wrong_fields


def test_a_consent_is_given_withdrawn_and_in_the_trail(maria: Caller) -> None:
    assert maria.get("/profile/consents").json() == {"modelText": None, "modelVoice": None}
    given = maria.patch("/profile/consents", {"modelText": True}).json()
    assert given["modelText"]
    assert given["modelVoice"] is None
    assert maria.patch("/profile/consents", {"modelText": True}).json() == given
    maria.put("/profile", {"firstName": "Maria", "lastName": "Silva"})
    assert maria.get("/profile/consents").json() == given, "a profile written anew takes none away"
    withdrawn = maria.patch("/profile/consents", {"modelText": False, "modelVoice": True}).json()
    assert withdrawn["modelText"] is None
    assert withdrawn["modelVoice"]
    actions = [line["action"] for line in maria.get("/auth/activity").json()["results"]]
    assert sorted(actions) == [
        "model_consent_given",
        "model_consent_given",
        "model_consent_withdrawn",
    ]
    assert wrong_fields(maria.patch("/profile/consents", {"modelText": "yes"})) == ["modelText"]


def test_a_model_plays_a_scenario_to_its_goals(model: StandIn, maria: Caller) -> None:
    path = begun(maria)
    session = maria.get(path).json()
    assert session["partner"] == "model"
    assert "machine" in session["notice"]
    said = plays(maria, path, model_answers(COFFEE, "customer"))
    assert {each["turn"]["answeredBy"] for each in said} == {"model"}
    assert {each["turn"]["fallback"] for each in said} == {None}
    assert said[-1]["session"]["ended"]
    done = maria.post(f"{path}/complete").json()
    assert done["scores"]["goals"]["value"] == 100
    assert done["scoredBy"] == "model"
    assert len(model.requests) == len(said) + 1
    assert {request["modelId"] for request in model.requests} == {"parley.stand-in-v1:0"}


@pytest.mark.parametrize("role", ["customer", "barista"])
def test_both_roles_can_be_played_with_a_model(model: StandIn, maria: Caller, role: str) -> None:
    path = begun(maria, role=role)
    plays(maria, path, model_answers(COFFEE, role))
    done = maria.post(f"{path}/complete").json()
    assert done["scores"]["goals"]["value"] == 100
    assert done["learnerRole"]["id"] == role


def test_without_asking_for_it_no_model_is_the_partner(
    model: StandIn,
    maria: Caller,
) -> None:
    agreed(maria)
    published(COFFEE)
    session = maria.makes("/sessions", {"scenarioId": COFFEE})
    assert session["partner"] == "scripted"
    turn = maria.makes(f"/sessions/{session['id']}/turns", {"text": "A coffee, please."})["turn"]
    assert turn["answeredBy"] == "scripted"
    assert model.requests == []


def test_without_consent_no_session_with_a_model_begins(
    model: StandIn,
    maria: Caller,
) -> None:
    published(COFFEE)
    answer = maria.post("/sessions", {"scenarioId": COFFEE, "partner": "model"})
    assert problem(answer) == (403, "CONSENT_NEEDED")
    assert "/profile/consents" in answer.json()["detail"]


def test_a_withdrawn_consent_counts_from_the_next_turn_on(model: StandIn, maria: Caller) -> None:
    path = begun(maria)
    maria.patch("/profile/consents", {"modelText": False})
    turn = maria.makes(f"{path}/turns", {"text": "A coffee, please."})["turn"]
    assert (turn["answeredBy"], turn["fallback"]) == ("scripted", "consent")
    maria.post(f"{path}/complete")
    assert model.requests == []


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        ({"PARTNER": "scripted"}, "dev"),
        ({"PARTNER_MODEL": ""}, "dev"),
        ({"PARTNER_GUARDRAIL": ""}, "prod"),
    ],
)
def test_a_stage_offers_a_model_only_where_it_is_set_up(
    model: StandIn,
    settings: Any,
    maria: Caller,
    change: dict[str, str],
    stage: str,
) -> None:
    published(COFFEE)
    assert Client().get(f"/scenarios/{COFFEE}").json()["partners"] == ["scripted", "model"]
    settings.STAGE = stage
    for name, value in change.items():
        setattr(settings, name, value)
    assert Client().get(f"/scenarios/{COFFEE}").json()["partners"] == ["scripted"]
    answer = maria.post("/sessions", {"scenarioId": COFFEE, "partner": "model"})
    assert problem(answer) == (409, "PARTNER_NOT_OFFERED")
    assert answer.json()["errors"][0]["message"] == "Take one of: scripted."


def test_a_scenario_says_which_partners_it_allows(
    model: StandIn,
    maria: Caller,
) -> None:
    published(COFFEE)
    staff = make_learner("stefan", groups=("staff",))
    for partners, refused in ((["model"], "scripted"), (["scripted"], "model")):
        changed = staff.patch(f"/scenarios/{COFFEE}", {"partners": partners})
        assert changed.status_code == 200, changed.content
        staff.post(f"/scenarios/{COFFEE}/publish")
        answer = maria.post("/sessions", {"scenarioId": COFFEE, "partner": refused})
        assert problem(answer) == (409, "PARTNER_NOT_OFFERED")
    wrong = staff.patch(f"/scenarios/{COFFEE}", {"partners": ["parrot"]})
    assert wrong_fields(wrong) == ["partners.0"]


def test_a_turn_sent_again_is_neither_asked_nor_paid_for_again(
    model: StandIn,
    maria: Caller,
) -> None:
    path, body = begun(maria), {"id": str(ULID()), "text": "A coffee, please."}
    first = maria.makes(f"{path}/turns", body)
    spent = Budget.of_month(now()).used()
    assert maria.makes(f"{path}/turns", body)["turn"] == first["turn"]
    assert len(model.requests) == 1
    assert Budget.of_month(now()).used() == spent
    assert spent["partner_turns"] == 1


def test_hints_are_the_models_from_light_to_explicit(model: StandIn, maria: Caller) -> None:
    path = begun(maria)
    first = of_pack(COFFEE)["parts"][0]["nodes"][0]["hints"][0]
    assert maria.post(f"{path}/hint").json()["hint"] == first, "the first line is the script's"
    model.player = altered(hints=["Think of a size.", "A large one, please."])
    maria.makes(f"{path}/turns", {"text": "A coffee, please."})
    given = [maria.post(f"{path}/hint").json()["hint"] for _ in range(3)]
    assert given == ["Think of a size.", "A large one, please.", "A large one, please."]
