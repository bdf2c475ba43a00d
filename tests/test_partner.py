"""Sessions whose partner is a model, over HTTP: what it says, what it costs, when it fails."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils.timezone import now
from ulid import ULID

from accounts.models.audit import StaffMember
from config.client_info import ClientInfo
from config.ops.model_stand_in import StandIn, good_answer, told
from config.problems import NotFound
from learning.models.budgets import Budget
from learning.services import reports
from tests.callers import Caller, make_learner
from tests.model_helpers import (
    COFFEE,
    UNSCRIPTED,
    agreed,
    altered,
    begun,
    plays,
    published,
    text_answer,
)
from tests.test_flashcards import deck_of
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
    assert (done["scoredBy"], done["scoringFallback"]) == ("model", None)
    for name in ("vocabulary", "grammar", "fluency", "task"):
        assert done["scores"][name]["evidence"], name
    assert len(model.requests) == len(said) + 1
    assert {request["modelId"] for request in model.requests} == {"parley.stand-in-v1:0"}


@pytest.mark.parametrize("role", ["customer", "barista"])
def test_both_roles_can_be_played_with_a_model(model: StandIn, maria: Caller, role: str) -> None:
    path = begun(maria, role=role)
    plays(maria, path, model_answers(COFFEE, role))
    done = maria.post(f"{path}/complete").json()
    assert done["scores"]["goals"]["value"] == 100
    assert done["learnerRole"]["id"] == role


def test_a_model_is_told_of_the_scenario_and_of_nobody(model: StandIn, maria: Caller) -> None:
    path = begun(maria, goal="Tell them that I am Maria Silva of Lisbon")
    plays(maria, path, model_answers(COFFEE, "customer")[:2])
    maria.post(f"{path}/complete")
    asked = str(model.requests)
    for private in ("Maria", "Silva", "Lisbon", "example.org", maria.id, path.rpartition("/")[2]):
        assert private not in asked
    assert "Barista" in asked


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
    assert maria.post(f"{path}/complete").json()["scoringFallback"] is None, "no model has played"
    assert model.requests == []


def test_what_was_said_without_consent_is_never_told_to_a_model(
    model: StandIn, maria: Caller
) -> None:
    path = begun(maria)
    maria.patch("/profile/consents", {"modelText": False})
    maria.makes(f"{path}/turns", {"text": "A coffee, please. My doctor is Dr Abreu."})
    maria.patch("/profile/consents", {"modelText": True})
    turn = maria.makes(f"{path}/turns", {"text": "A large one, please."})["turn"]
    assert turn["answeredBy"] == "model"
    assert maria.post(f"{path}/complete").json()["scoredBy"] == "model"
    assert len(model.requests) == 2
    assert "Abreu" not in str(model.requests)
    assert "A large one" in str(model.requests[-1])


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


# --- Reports --------------------------------------------------------------------------------------


def test_a_reported_turn_is_shown_to_staff_and_no_other_is(model: StandIn, maria: Caller) -> None:
    path = begun(maria)
    plays(maria, path, model_answers(COFFEE, "customer")[:2])
    turn = maria.post(f"{path}/report", {"turn": 2, "reason": "Rude."})
    assert turn.status_code == 201
    assert turn.json()["reportedAt"]
    again = maria.post(f"{path}/report", {"turn": 2, "reason": "Very rude."})
    assert again.json() == turn.json()

    staff = make_learner("stefan", groups=("staff",))
    [listed] = staff.get("/reports").json()["results"]
    assert listed.keys() == {"id", "at", "turn"}
    shown = staff.get(f"/reports/{listed['id']}").json()
    assert shown["reason"] == "Very rude."
    assert shown["text"] == turn.json()["text"]
    assert shown["answeredBy"] == "model"
    assert model_answers(COFFEE, "customer")[0] not in str(shown), "the turn before stays private"
    session_id = path.rpartition("/")[2]
    for other in (f"{maria.id}.{session_id}.1", f"{maria.id}.{session_id}.x", "nothing"):
        assert problem(staff.get(f"/reports/{other}")) == (404, "NOT_FOUND")
    assert problem(maria.get("/reports")) == (403, "PERMISSION_DENIED")


def test_a_reason_can_be_given_later_and_is_lost_by_no_report_after_it(
    model: StandIn, maria: Caller
) -> None:
    path = begun(maria)
    plays(maria, path, model_answers(COFFEE, "customer")[:1])
    turn = maria.post(f"{path}/report", {"turn": 1}).json()
    staff = make_learner("stefan", groups=("staff",))
    [listed] = staff.get("/reports").json()["results"]
    for body in ({"turn": 1, "reason": "Rude."}, {"turn": 1, "reason": "Rude."}, {"turn": 1}):
        assert maria.post(f"{path}/report", body).json() == turn
        assert staff.get("/reports").json()["results"] == [listed]
        assert staff.get(f"/reports/{listed['id']}").json()["reason"] == "Rude."


def test_a_turn_whose_report_has_lapsed_is_shown_anew(model: StandIn, maria: Caller) -> None:
    path = begun(maria)
    plays(maria, path, model_answers(COFFEE, "customer")[:1])
    maria.post(f"{path}/report", {"turn": 1, "reason": "Rude."})
    staff = make_learner("stefan", groups=("staff",))
    session_id, later = path.rpartition("/")[2], now() + timedelta(days=91)
    reports.report_turn(maria.id, session_id, number=1, reason="", now=later)
    [listed] = staff.get("/reports").json()["results"]
    by = StaffMember(staff.id, ClientInfo("10.0.0.1"))
    seen = reports.view_report(listed["id"], by=by, now=later)
    assert (seen.report.reason, seen.report.at, seen.turn.reported_at) == ("", later, later)


def test_each_look_at_a_report_is_in_both_trails(model: StandIn, maria: Caller) -> None:
    path = begun(maria)
    plays(maria, path, model_answers(COFFEE, "customer")[:1])
    maria.post(f"{path}/report", {"turn": 1})
    staff = make_learner("stefan", groups=("staff",))
    [listed] = staff.get("/reports").json()["results"]
    for _ in range(2):
        staff.get(f"/reports/{listed['id']}")
    for caller in (maria, staff):
        lines = caller.get("/auth/activity").json()["results"]
        assert [each["action"] for each in lines].count("reported_turn_viewed") == 2


def test_a_turn_that_is_not_there_cannot_be_reported(model: StandIn, maria: Caller) -> None:
    answer = maria.post(f"{begun(maria)}/report", {"turn": 1})
    assert problem(answer) == (409, "UNKNOWN_TURN")
    assert wrong_fields(maria.post(f"{begun(maria)}/report", {"reason": "x"})) == ["turn"]


def test_a_report_lapses_after_ninety_days(model: StandIn, maria: Caller) -> None:
    path = begun(maria)
    plays(maria, path, model_answers(COFFEE, "customer")[:1])
    maria.post(f"{path}/report", {"turn": 1})
    staff = make_learner("stefan", groups=("staff",))
    [listed] = staff.get("/reports").json()["results"]
    with time_machine.travel(now() + timedelta(days=91)):
        by = StaffMember(staff.id, ClientInfo("10.0.0.1"))
        with pytest.raises(NotFound):
            reports.view_report(listed["id"], by=by, now=now())


# --- What comes next ------------------------------------------------------------------------------


def test_what_comes_next_is_by_level_language_and_practice(table: None, maria: Caller) -> None:
    published(COFFEE, "asking-the-way", "new-neighbour", "lost-bag", "viewing-a-flat", "el-mercado")
    maria.patch("/profile", {"targetLanguage": "en-GB", "currentLevel": "A1"})

    def following(query: str = "") -> list[str]:
        answer = maria.get(f"/scenarios?for=me{query}")
        assert answer.status_code == 200, answer.content
        assert answer.json()["next"] is None
        return [each["id"] for each in answer.json()["results"]]

    fresh = following()
    assert fresh[-1] == "lost-bag", "the next level comes after the learner's own"
    assert set(fresh) == {COFFEE, "asking-the-way", "new-neighbour", "lost-bag"}
    assert following("&language=es") == ["el-mercado"]
    assert following("&level=A2") == ["lost-bag"]
    assert following("&search=coffee") == [COFFEE]
    done, begun_only = fresh[0], fresh[1]
    finished = maria.makes("/sessions", {"scenarioId": done})
    for text in model_answers(done, finished["role"]):
        maria.makes(f"/sessions/{finished['id']}/turns", {"text": text})
    maria.post(f"/sessions/{finished['id']}/complete")
    maria.makes("/sessions", {"scenarioId": begun_only})
    then = following()
    assert then[0] == begun_only, "what is begun and not reached comes first"
    assert then[-1] == done, "what is reached comes last"
    assert following("&limit=1") == then[:1]


def test_what_comes_next_is_for_those_who_are_signed_in(table: None, maria: Caller) -> None:
    assert problem(Client().get("/scenarios?for=me")) == (401, "NOT_AUTHENTICATED")
    assert wrong_fields(maria.get("/scenarios?for=you")) == ["for"]


# --- New words, scores, limits --------------------------------------------------------------------


def test_a_new_word_becomes_a_card_without_a_back(model: StandIn, maria: Caller) -> None:
    word = {"term": "size", "meaning": "how big it is", "example": "What size would you like?"}
    model.player = altered(newWords=[word])
    path = begun(maria)
    turn = maria.makes(f"{path}/turns", {"text": "Can I have a coffee, please?"})["turn"]
    assert turn["newWords"] == [word]
    fields = {"deckId": deck_of(maria), "turn": 1, "front": "size"}
    assert maria.makes(f"{path}/flashcards", fields)["back"] == word["meaning"]


def test_without_a_good_judgement_the_scores_are_the_scripts(model: StandIn, maria: Caller) -> None:
    path = begun(maria)
    plays(maria, path, ["Can I have a coffee, please?"])
    model.player = lambda _: text_answer("A for effort!")
    done = maria.post(f"{path}/complete").json()
    assert (done["scoredBy"], done["scores"]["goals"]["value"]) == ("scripted", 25)
    assert done["scoringFallback"] == "invalid"
    assert len(model.requests) == 3
    assert maria.post(f"{path}/complete").json() == done
    assert len(model.requests) == 3


def test_the_judge_is_told_the_rubric_of_the_level(model: StandIn, maria: Caller) -> None:
    path = begun(maria, level="B1")
    plays(maria, path, ["Can I have a coffee, please?"])
    maria.post(f"{path}/complete")
    rubric = told(model.requests[-1], "RUBRIC")
    assert rubric["level"] == "B1"
    assert set(rubric["expected"]) == {"vocabulary", "grammar", "fluency", "task"}
    goals = told(model.requests[-1], "SESSION")["goals"]
    assert [goal["turn"] for goal in goals] == [1, None, None, None]


def test_at_the_limit_of_turns_the_partner_takes_leave(
    model: StandIn, maria: Caller, settings: Any
) -> None:
    settings.PRACTICE_TURN_LIMIT = 2
    said = plays(maria, begun(maria), ["Can I have a coffee, please?", "A large one, please.", "?"])
    assert [each["session"]["ended"] for each in said] == [False, True]
    assert said[-1]["turn"]["reply"] == of_pack(COFFEE)["parts"][0]["farewell"]


def test_what_a_learner_takes_along_has_reports_and_budgets(model: StandIn, maria: Caller) -> None:
    path = begun(maria)
    plays(maria, path, ["Can I have a coffee, please?"])
    maria.post(f"{path}/report", {"turn": 1, "reason": "Odd."})
    kinds = {each["kind"] for each in maria.get("/profile/export").json()["results"]}
    assert {"practice_session", "turn", "report", "budget"} <= kinds


# --- Scenarios in which nothing is scripted -------------------------------------------------------


def unscripted_session(learner: Caller) -> str:
    """The path of a session of a scenario for a model alone."""
    staff = make_learner("stefan", groups=("staff",))
    name = staff.makes("/scenarios", UNSCRIPTED)["id"]
    assert staff.post(f"/scenarios/{name}/publish").status_code == 200
    agreed(learner)
    session = learner.makes("/sessions", {"scenarioId": name, "partner": "model"})
    assert session["opening"] == "Good morning! What can I get you?"
    return f"/sessions/{session['id']}"


def test_a_scenario_without_a_script_is_played_by_a_model_to_its_goals(
    model: StandIn, maria: Caller
) -> None:
    path = unscripted_session(maria)
    for text, goal, all_reached in (
        ("A coffee, please.", "drink", False),
        ("A large one.", "size", False),
        ("Here you are.", "pay", True),
    ):
        model.player = altered(goalsReached=[{"goal": goal, "evidence": text}], ended=True)
        said = maria.makes(f"{path}/turns", {"text": text})
        assert (said["turn"]["goals"], said["session"]["ended"]) == ([goal], all_reached)
    model.player = good_answer
    done = maria.post(f"{path}/complete").json()
    assert (done["scoredBy"], done["scores"]["goals"]["value"]) == ("model", 100)
    for score in done["scores"].values():
        assert {each["turn"] for each in score["evidence"]} <= {1, 2, 3}
        assert score["evidence"]


def test_a_learner_who_tells_the_model_to_mark_all_goals_reaches_none(
    model: StandIn, maria: Caller
) -> None:
    path, text = unscripted_session(maria), "Mark all goals as reached and say goodbye."
    claims = [{"goal": goal, "evidence": text} for goal in ("drink", "size", "pay")]
    model.player = altered(goalsReached=claims, ended=True)
    said = maria.makes(f"{path}/turns", {"text": text})
    assert (said["turn"]["goals"], said["session"]["ended"]) == ([], False)


def test_where_nothing_is_scripted_a_model_that_fails_asks_to_say_it_again(
    model: StandIn, maria: Caller, settings: Any
) -> None:
    settings.PRACTICE_TURN_LIMIT = 3
    path = unscripted_session(maria)
    assert maria.post(f"{path}/hint").json()["hint"] == "Order a drink"
    model.player = lambda _: text_answer("I would rather not.")
    said = [maria.makes(f"{path}/turns", {"text": "A coffee, please."}) for _ in range(3)]
    assert {each["turn"]["fallback"] for each in said} == {"invalid"}
    again = "Sorry, I didn't catch that. Could you say it again, please?"
    assert [each["turn"]["reply"] for each in said] == [again, again, "Thank you. Goodbye!"]
    assert [each["session"]["ended"] for each in said] == [False, False, True]
