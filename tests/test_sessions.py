"""/sessions: a whole practice session, and its faults."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils.timezone import now
from ulid import ULID

from learning.practice import dialogue
from learning.services import scenarios
from tests.callers import Caller, make_learner
from tests.test_flashcards import deck_of

PACK = Path(__file__).parent.parent / "learning" / "content" / "scenarios"
COFFEE = "coffee-to-take-away"


def of_pack(name: str) -> dict[str, Any]:
    scenario: dict[str, Any] = json.loads((PACK / f"{name}.json").read_text())
    return scenario


def model_answers(name: str, role: str) -> list[str]:
    """The answers of a learner who does everything right."""
    return dialogue.rehearsal(dialogue.parse(of_pack(name)), role)


@pytest.fixture
def coffee(table: None) -> str:
    """A published scenario's id."""
    scenarios.load_scenarios([of_pack(COFFEE)], now=now())
    return COFFEE


@pytest.fixture
def session(coffee: str, maria: Caller) -> str:
    """The path of a session that Maria has begun."""
    return f"/sessions/{maria.makes('/sessions', {'scenarioId': coffee})['id']}"


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def wrong_fields(answer: Any) -> list[str]:
    assert problem(answer) == (400, "VALIDATION_ERROR")
    return [error["field"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("name", [COFFEE, "en-el-hotel", "reklamation-internet"])
def test_a_whole_session_ends_with_scores_and_a_card_that_is_due(
    table: None, maria: Caller, name: str
) -> None:
    scenarios.load_scenarios([of_pack(name)], now=now())
    offered = Client().get(f"/scenarios/{name}").json()
    begun = maria.makes("/sessions", {"scenarioId": name, "goal": "To be understood"})
    path, role = f"/sessions/{begun['id']}", begun["learnerRole"]["id"]
    assert begun["opening"]
    assert [goal["reachedAtTurn"] for goal in begun["goals"]] == [None] * len(begun["goals"])
    said = [maria.makes(f"{path}/turns", {"text": text}) for text in model_answers(name, role)]
    assert [each["session"]["ended"] for each in said] == [False] * (len(said) - 1) + [True]

    done = maria.post(f"{path}/complete")
    assert done.status_code == 200, done.content
    body = done.json()
    assert (body["status"], body["turnCount"]) == ("completed", len(said))
    assert [turn["number"] for turn in body["turns"]] == list(range(1, len(said) + 1))
    assert body["scores"]["goals"]["value"] == 100
    reached = {goal["text"]: goal["reachedAtTurn"] for goal in body["goals"]}
    assert reached == {each["what"]: each["turn"] for each in body["scores"]["goals"]["evidence"]}
    assert body["scores"].keys() == {"vocabulary", "grammar", "fluency", "task", "goals"}
    assert all(0 < score["value"] <= 100 for score in body["scores"].values())
    for score in body["scores"].values():
        assert {each["turn"] for each in score["evidence"]} <= {*range(1, len(said) + 1)}
        assert score["evidence"]
    assert maria.get(path).json() == body
    assert Client().get(f"/scenarios/{name}").json()["sessions"] == offered["sessions"] + 1

    phrase = body["turns"][0]["reply"].split()[0]
    fields = {"deckId": deck_of(maria), "turn": 1, "front": phrase, "back": "its meaning"}
    card = maria.makes(f"{path}/flashcards", fields)
    assert (card["sourceSessionId"], card["sourceTurn"]) == (begun["id"], 1)
    due = maria.get("/flashcards/due").json()["results"]
    assert [each["card"]["id"] for each in due] == [card["id"]]


def test_a_session_takes_the_role_level_and_goal_that_were_asked_for(
    coffee: str, maria: Caller
) -> None:
    wanted = {"scenarioId": coffee, "role": "customer", "level": "B1", "goal": "Speak more"}
    begun = maria.makes("/sessions", wanted)
    assert {name: begun[name] for name in wanted} == wanted
    assert (begun["learnerRole"]["id"], begun["partnerRole"]["id"]) == ("customer", "barista")
    plain = maria.makes("/sessions", {"scenarioId": coffee})
    assert (plain["role"], plain["level"], plain["goal"]) == ("customer", "A1", None)


def test_the_level_of_the_session_is_the_one_to_be_judged_by(coffee: str, maria: Caller) -> None:
    fluency = []
    for level in ("A1", "C2"):
        begun = maria.makes("/sessions", {"scenarioId": coffee, "level": level})
        path = f"/sessions/{begun['id']}"
        maria.makes(f"{path}/turns", {"text": "Can I have a coffee, please?"})
        scores = maria.post(f"{path}/complete").json()["scores"]
        fluency.append(scores["fluency"])
    assert fluency[0]["value"] == 100 > fluency[1]["value"]
    assert fluency[1]["evidence"] == [
        {"turn": 1, "what": "“Can I have a coffee, please?”: 6 words; 16 are usual at C2"}
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scenarioId": None}, "scenarioId"),
        ({"scenarioId": "Not A Slug"}, "scenarioId"),
        ({"role": 1}, "role"),
        ({"level": "D1"}, "level"),
        ({"goal": "x" * 201}, "goal"),
        ({"goal": " "}, "goal"),
        ({"id": "mine"}, "id"),
        ({"revision": 1}, "revision"),
    ],
)
def test_a_session_that_cannot_begin_is_400(
    coffee: str, maria: Caller, change: dict[str, Any], field: str
) -> None:
    assert wrong_fields(maria.post("/sessions", {"scenarioId": coffee} | change)) == [field]
    assert maria.get("/sessions").json()["results"] == []


def test_a_session_in_an_unknown_role_is_409(table: None, maria: Caller) -> None:
    script = of_pack(COFFEE)
    script["parts"] = script["parts"][:1]  # the barista is only the partner's
    scenarios.load_scenarios([script], now=now())
    for role in ("barista", "captain"):
        answer = maria.post("/sessions", {"scenarioId": COFFEE, "role": role})
        assert problem(answer) == (409, "UNKNOWN_ROLE")
        assert answer.json()["errors"][0]["message"] == "Take one of: customer."


def test_both_roles_of_a_scenario_can_be_played(coffee: str, maria: Caller) -> None:
    for role in ("customer", "barista"):
        begun = maria.makes("/sessions", {"scenarioId": coffee, "role": role})
        for text in model_answers(COFFEE, role):
            maria.makes(f"/sessions/{begun['id']}/turns", {"text": text})
        done = maria.post(f"/sessions/{begun['id']}/complete").json()
        assert (done["learnerRole"]["id"], done["scores"]["goals"]["value"]) == (role, 100)


@pytest.mark.parametrize("state", ["unknown", "draft", "archived"])
def test_only_a_published_scenario_is_played(table: None, maria: Caller, state: str) -> None:
    staff = make_learner("stefan", groups=("staff",))
    if state != "unknown":
        staff.makes("/scenarios", of_pack(COFFEE))
    if state == "archived":
        staff.post(f"/scenarios/{COFFEE}/archive")
    answer = maria.post("/sessions", {"scenarioId": COFFEE})
    assert problem(answer) == (409, "UNKNOWN_SCENARIO")
    assert [error["field"] for error in answer.json()["errors"]] == ["scenarioId"]


def test_begun_again_with_the_same_id_it_is_the_same_session(coffee: str, maria: Caller) -> None:
    body = {"id": str(uuid4()), "scenarioId": coffee}
    begun = maria.makes("/sessions", body)
    assert maria.makes("/sessions", body) == begun
    path = f"/sessions/{begun['id']}"
    maria.makes(f"{path}/turns", {"text": "A coffee, please."})
    assert maria.makes("/sessions", body) == maria.get(path).json()
    assert problem(maria.post("/sessions", body | {"goal": "Other"})) == (409, "ID_TAKEN")
    assert Client().get(f"/scenarios/{coffee}").json()["sessions"] == 1


def test_a_session_keeps_the_revision_it_began_with(
    coffee: str, session: str, maria: Caller
) -> None:
    staff = make_learner("stefan", groups=("staff",))
    roles = of_pack(COFFEE)["roles"]
    roles[0]["name"] = "Guest"
    staff.patch(f"/scenarios/{coffee}", {"title": "Tea", "roles": roles})
    staff.post(f"/scenarios/{coffee}/publish")
    staff.post(f"/scenarios/{coffee}/archive")
    old = maria.get(session).json()
    assert (old["title"], old["revision"], old["learnerRole"]["name"]) == (
        "Coffee to take away",
        1,
        "Customer",
    )
    assert maria.post(f"{session}/turns", {"text": "Hello!"}).status_code == 201


def test_the_changes_tell_a_turn_as_its_session_does(session: str, maria: Caller) -> None:
    turn = maria.makes(f"{session}/turns", {"text": "I want a coffee, please."})["turn"]
    changes = maria.get("/changes").json()["results"]
    [told] = [change["data"] for change in changes if change["kind"] == "turn"]
    assert told == turn | {"sessionId": session.split("/")[-1]}


def test_a_turn_tells_what_it_reached_and_what_to_put_right(session: str, maria: Caller) -> None:
    said = maria.makes(f"{session}/turns", {"text": "I want a coffee, please."})
    turn = said["turn"]
    assert (turn["number"], turn["goals"]) == (1, ["drink"])
    assert turn["reply"].startswith("Of course.")
    [correction] = turn["corrections"]
    assert (correction["said"], correction["better"]) == ("I want a", "I'd like a")
    assert correction["sentence"] == "I'd like a coffee, please."
    assert correction["note"] == {
        "type": "cloze",
        "front": "{{c1::I'd like a}} coffee, please.",
        "notes": correction["why"],
        "sourceSessionId": session.rpartition("/")[2],
        "sourceTurn": 1,
    }
    read = maria.get(session).json()
    assert read["turns"] == [turn]
    assert {goal["id"]: goal["reachedAtTurn"] for goal in read["goals"]} == {
        "drink": 1,
        "size": None,
        "price": None,
        "pay": None,
    }


def test_a_correction_becomes_a_cloze_card_that_is_due(session: str, maria: Caller) -> None:
    turn = maria.makes(f"{session}/turns", {"text": "I want a coffee, please."})["turn"]
    [correction] = turn["corrections"]
    note = maria.makes("/notes", correction["note"] | {"deckId": deck_of(maria)})
    [card] = [each["card"] for each in maria.get("/flashcards/due").json()["results"]]
    assert (card["noteId"], card["notes"]) == (note["id"], correction["why"])
    assert (card["sourceSessionId"], card["sourceTurn"]) == (session.rpartition("/")[2], 1)
    assert "coffee, please." in card["front"]
    assert "I'd like a" not in card["front"]


def test_a_turn_sent_again_is_said_once(session: str, maria: Caller) -> None:
    body = {"id": str(ULID()), "text": "A coffee, please."}
    first = maria.makes(f"{session}/turns", body)
    maria.makes(f"{session}/turns", {"text": "A large one, please."})
    again = maria.makes(f"{session}/turns", body)
    assert again["turn"] == first["turn"]
    assert again["session"]["turnCount"] == 2
    assert problem(maria.post(f"{session}/turns", body | {"text": "Tea."})) == (409, "ID_TAKEN")
    maria.post(f"{session}/complete")
    assert maria.makes(f"{session}/turns", body)["turn"] == first["turn"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": "   "}, "text"),
        ({"text": "x" * 1001}, "text"),
        ({"text": 5}, "text"),
        ({"text": "Hello", "id": "1"}, "id"),
        ({"text": "Hello", "number": 3}, "number"),
    ],
)
def test_a_turn_that_says_nothing_is_400(
    session: str, maria: Caller, body: dict[str, Any], field: str
) -> None:
    assert wrong_fields(maria.post(f"{session}/turns", body)) == [field]


def test_hints_grow_and_are_counted(session: str, maria: Caller) -> None:
    hints = of_pack(COFFEE)["parts"][0]["nodes"][0]["hints"]
    model = model_answers(COFFEE, "customer")[0]
    given = [maria.post(f"{session}/hint").json() for _ in range(4)]
    assert [each["hint"] for each in given] == [*hints, model, model]
    assert [each["hintsUsed"] for each in given] == [1, 2, 3, 4]
    maria.makes(f"{session}/turns", {"text": "Hello! How are you?"})  # stays at the same line
    assert maria.post(f"{session}/hint").json()["hint"] == model
    maria.makes(f"{session}/turns", {"text": model})
    following = of_pack(COFFEE)["parts"][0]["nodes"][1]["hints"][0]
    assert maria.post(f"{session}/hint").json() == {"hint": following, "hintsUsed": 6}
    assert maria.get(session).json()["hintsUsed"] == 6


def test_nothing_is_said_after_the_end(session: str, maria: Caller) -> None:
    for text in model_answers(COFFEE, "customer"):
        maria.makes(f"{session}/turns", {"text": text})
    for path in ("turns", "hint"):
        answer = maria.post(f"{session}/{path}", {"text": "One more thing."})
        assert problem(answer) == (409, "DIALOGUE_ENDED")
    maria.post(f"{session}/complete")
    for path in ("turns", "hint", "abandon"):
        answer = maria.post(f"{session}/{path}", {"text": "One more thing."})
        assert problem(answer) == (409, "SESSION_CLOSED")


def test_what_scores_rest_on_is_told_in_the_language_of_whoever_reads_it(
    session: str, maria: Caller
) -> None:
    for text in ("Coffee.", "A large coffee, please.", "Blah blah."):
        maria.makes(f"{session}/turns", {"text": text})
    maria.post(f"{session}/complete", Accept_Language="de")
    read = {language: maria.get(session, Accept_Language=language).json() for language in TOLD}
    for language, (notice, reached, missed, *fluency) in TOLD.items():
        detail = read[language]
        assert detail["notice"].startswith(notice)
        told = {
            name: [each["what"] for each in score["evidence"]]
            for name, score in detail["scores"].items()
        }
        assert told["fluency"] == fluency
        assert reached in told["task"]
        assert missed in told["task"]
        assert told["vocabulary"] == [
            each["what"] for each in read["en"]["scores"]["vocabulary"]["evidence"]
        ], "the learner's own words"


TOLD = {
    "en": (
        "You are speaking with a machine: its lines",
        "Order a drink politely: “Coffee.”",
        "Pay for your order: not reached",
        "“Coffee.”: one word; 4 are usual at A1",
        "“A large coffee, please.”: 4 words; 4 are usual at A1",
        "“Blah blah.”: not understood",
    ),
    "de": (
        "Du sprichst mit einer Maschine: ihre Sätze",
        "Order a drink politely: „Coffee.“",
        "Pay for your order: nicht erreicht",
        "„Coffee.“: ein Wort; üblich sind auf A1 4",
        "„A large coffee, please.“: 4 Wörter; üblich sind auf A1 4",
        "„Blah blah.“: nicht verstanden",
    ),
    "es": (
        "Hablas con una máquina: unas personas",
        "Order a drink politely: «Coffee.»",
        "Pay for your order: no se ha alcanzado",
        "«Coffee.»: una palabra; en A1 lo habitual son 4",
        "«A large coffee, please.»: 4 palabras; en A1 lo habitual son 4",
        "«Blah blah.»: no se ha entendido",
    ),
    "fr": (
        "Vous parlez avec une machine : ses répliques",
        "Order a drink politely : « Coffee. »",
        "Pay for your order : pas atteint",
        "« Coffee. » : un mot ; l’usage au niveau A1 est de 4",
        "« A large coffee, please. » : 4 mots ; l’usage au niveau A1 est de 4",
        "« Blah blah. » : pas compris",
    ),
    "vi": (
        "Bạn đang nói chuyện với một cỗ máy: lời thoại",
        "Order a drink politely: “Coffee.”",
        "Pay for your order: chưa đạt",
        "“Coffee.”: một từ; ở trình độ A1 thường là 4",
        "“A large coffee, please.”: 4 từ; ở trình độ A1 thường là 4",
        "“Blah blah.”: không hiểu được",
    ),
}


def test_completed_again_it_stays_as_it_is(session: str, maria: Caller) -> None:
    maria.makes(f"{session}/turns", {"text": "Blah blah."})
    done = maria.post(f"{session}/complete").json()
    assert maria.post(f"{session}/complete").json() == done
    assert done["scores"]["goals"] == {"value": 0, "evidence": []}
    lost = [{"turn": 1, "what": "“Blah blah.”: not understood"}]
    assert done["scores"]["fluency"] == {"value": 0, "evidence": lost}
    assert done["scores"]["grammar"] == {"value": None, "evidence": []}
    assert done["scores"]["task"]["value"] == 0
    assert {each["turn"] for each in done["scores"]["task"]["evidence"]} == {1}


def test_an_abandoned_session_has_no_scores_and_takes_no_more(session: str, maria: Caller) -> None:
    maria.makes(f"{session}/turns", {"text": "A coffee, please."})
    left = maria.post(f"{session}/abandon").json()
    assert left["status"] == "abandoned"
    assert maria.post(f"{session}/abandon").json() == left
    assert maria.get(session).json()["scores"] is None
    for path in ("turns", "hint", "complete"):
        answer = maria.post(f"{session}/{path}", {"text": "Wait!"})
        assert problem(answer) == (409, "SESSION_CLOSED")


def test_at_the_limit_of_turns_the_partner_takes_leave(
    settings: Any, session: str, maria: Caller
) -> None:
    settings.PRACTICE_TURN_LIMIT = 3
    said = [maria.makes(f"{session}/turns", {"text": "Hello! How are you?"}) for _ in range(3)]
    assert [each["session"]["ended"] for each in said] == [False, False, True]
    assert said[-1]["turn"]["reply"] == of_pack(COFFEE)["parts"][0]["farewell"]
    answer = maria.post(f"{session}/turns", {"text": "Hello?"})
    assert problem(answer) == (409, "DIALOGUE_ENDED")
    assert maria.post(f"{session}/complete").status_code == 200


def test_another_learners_session_is_404(session: str, maria: Caller, joao: Caller) -> None:
    maria.makes(f"{session}/turns", {"text": "A coffee, please."})
    phrase = {"deckId": deck_of(joao), "turn": 1, "front": "coffee", "back": "café"}
    for answer in (
        joao.get(session),
        joao.post(f"{session}/turns", {"text": "Me too."}),
        joao.post(f"{session}/hint"),
        joao.post(f"{session}/complete"),
        joao.post(f"{session}/abandon"),
        joao.post(f"{session}/flashcards", phrase),
    ):
        assert problem(answer) == (404, "NOT_FOUND")
    assert joao.get("/sessions").json()["results"] == []
    assert maria.get(session).json()["turnCount"] == 1


def test_without_a_token_it_is_401(session: str) -> None:
    for answer in (Client().get("/sessions"), Client().post(f"{session}/turns")):
        assert problem(answer) == (401, "NOT_AUTHENTICATED")


def test_sessions_are_listed_newest_first_in_pages_and_narrowed(coffee: str, maria: Caller) -> None:
    hotel = "en-el-hotel"
    scenarios.load_scenarios([of_pack(hotel)], now=now())
    begun = [
        maria.makes("/sessions", {"id": str(uuid4()), "scenarioId": name})["id"]
        for name in (COFFEE, hotel, COFFEE, hotel, COFFEE)
    ]
    maria.post(f"/sessions/{begun[0]}/abandon")
    maria.post(f"/sessions/{begun[4]}/complete")

    def listed(path: str) -> list[str]:
        found = []
        while path:
            body = maria.get(path).json()
            found += [each["id"] for each in body["results"]]
            path = body["next"]
        return found

    assert listed("/sessions?limit=2") == begun[::-1]
    assert listed("/sessions?status=active") == begun[3:0:-1]
    assert listed(f"/sessions?scenarioId={hotel}&limit=1") == [begun[3], begun[1]]
    assert listed(f"/sessions?scenarioId={COFFEE}&status=completed") == [begun[4]]
    assert wrong_fields(maria.get("/sessions?status=paused")) == ["status"]


def card_fields(maria: Caller, **changes: Any) -> dict[str, Any]:
    return {"deckId": deck_of(maria), "turn": 1, "front": "medium", "back": "médio"} | changes


def test_a_phrase_brings_its_line_along(session: str, maria: Caller) -> None:
    maria.makes(f"{session}/turns", {"text": "I want a coffee, please."})
    useful = of_pack(COFFEE)["phrases"]
    card = maria.makes(f"{session}/flashcards", card_fields(maria, front="MEDIUM"))
    assert "medium" in card["example"]
    put_right = maria.makes(f"{session}/flashcards", card_fields(maria, front="I'd like a coffee"))
    assert put_right["example"] == "I'd like a coffee, please."
    opening = maria.makes(f"{session}/flashcards", card_fields(maria, front="Good morning"))
    assert opening["example"] == "Good morning! What can I get you?"
    phrase = next(each for each in useful if "…" not in each["text"])
    maria.makes(f"{session}/turns", {"text": f"{phrase['text']} Really."})
    fields = card_fields(maria, turn=2, front=phrase["text"])
    del fields["back"]
    assert maria.makes(f"{session}/flashcards", fields)["back"] == phrase["meaning"]


def test_a_phrase_saved_again_is_the_same_card(session: str, maria: Caller) -> None:
    maria.makes(f"{session}/turns", {"text": "A coffee, please."})
    fields = card_fields(maria, id=str(ULID()))
    card = maria.makes(f"{session}/flashcards", fields)
    assert maria.makes(f"{session}/flashcards", fields) == card
    other = maria.post(f"{session}/flashcards", fields | {"back": "mittel"})
    assert problem(other) == (409, "ID_TAKEN")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"turn": 0}, "turn"),
        ({"front": ""}, "front"),
        ({"back": None}, "back"),
        ({"deckId": "mine"}, "deckId"),
        ({"notes": "x" * 5001}, "notes"),
    ],
)
def test_a_phrase_that_cannot_be_saved_is_400(
    session: str, maria: Caller, change: dict[str, Any], field: str
) -> None:
    maria.makes(f"{session}/turns", {"text": "A coffee, please."})
    answer = maria.post(f"{session}/flashcards", card_fields(maria, **change))
    assert wrong_fields(answer) == [field]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"turn": 2}, "UNKNOWN_TURN"),
        ({"front": "a glass of wine"}, "PHRASE_NOT_IN_TURN"),
        ({"front": "\u0301"}, "PHRASE_NOT_IN_TURN"),
        ({"deckId": str(uuid4())}, "UNKNOWN_DECK"),
    ],
)
def test_a_phrase_or_a_deck_that_is_not_there_is_409(
    session: str, maria: Caller, change: dict[str, Any], code: str
) -> None:
    maria.makes(f"{session}/turns", {"text": "A coffee, please."})
    answer = maria.post(f"{session}/flashcards", card_fields(maria, **change))
    assert problem(answer) == (409, code)
    assert [error["field"] for error in answer.json()["errors"]] == list(change)


def test_a_phrase_without_a_meaning_is_409(session: str, maria: Caller) -> None:
    maria.makes(f"{session}/turns", {"text": "A coffee, please."})
    fields = card_fields(maria)
    del fields["back"]
    answer = maria.post(f"{session}/flashcards", fields)
    assert problem(answer) == (409, "MEANING_NEEDED")
    assert [error["field"] for error in answer.json()["errors"]] == ["back"]
