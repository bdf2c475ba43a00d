"""The scripted partner: recognition, branches, hints, corrections and scores."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.practice import dialogue
from learning.practice.dialogue import DialogueEndedError, Partner, ScriptError
from learning.practice.matching import Text, pattern
from learning.practice.script import as_pattern

BAKERY: dict[str, Any] = {
    "id": "bakery",
    "order": 1,
    "title": "At the bakery",
    "context": "food",
    "description": "Buy bread and pay for it.",
    "level": "A1",
    "language": "en",
    "roles": [
        {"id": "customer", "name": "Customer", "brief": "You want bread."},
        {"id": "baker", "name": "Baker", "brief": "You sell bread."},
    ],
    "parts": [
        {
            "role": "customer",
            "start": "hello",
            "farewell": "We are closing now.",
            "goals": [
                {
                    "id": "bread",
                    "text": "Ask for bread",
                    "phrases": ["can/could i have ... bread/rolls"],
                    "unless": ["no bread"],
                },
                {"id": "pay", "text": "Pay", "phrases": ["by card", "here you are"]},
                {"id": "greet", "text": "Say hello", "phrases": ["good morning/day"]},
            ],
            "answers": [
                {"goal": "bread", "say": "Bread, of course."},
                {"goal": "pay", "say": "Thank you."},
                {"goal": "greet", "say": "Hello!"},
                {"phrases": ["are they/you fresh", "is it fresh"], "say": "From this morning."},
            ],
            "nodes": [
                {
                    "id": "hello",
                    "line": "Good morning!",
                    "branches": [
                        {
                            "example": "Good morning. Can I have some bread, please?",
                            "goal": "bread",
                            "say": "Certainly.",
                            "to": "pay",
                        },
                        {
                            "example": "What do you have?",
                            "phrases": ["what do you have"],
                            "say": "Bread and rolls.",
                            "to": "hello",
                        },
                        {"example": "Just looking.", "phrases": ["looking"], "to": "bread"},
                    ],
                    "fallback": {
                        "lines": ["Would you like bread?", "Say: Can I have …?"],
                        "then": "Here is a loaf.",
                        "to": "pay",
                    },
                    "hints": ["Say what you want.", "Begin with 'Can I have …'"],
                },
                {
                    "id": "bread",
                    "line": "The bread is fresh. Would you like some?",
                    "skip": "bread",
                    "branches": [
                        {
                            "example": "Yes, please.",
                            "phrases": ["yes"],
                            "goal": "bread",
                            "to": "pay",
                        }
                    ],
                    "fallback": {"lines": ["Yes or no?"], "to": "pay"},
                    "hints": ["Yes or no?"],
                },
                {
                    "id": "pay",
                    "line": "Two pounds, please.",
                    "branches": [{"example": "Here you are.", "goal": "pay", "to": "bye"}],
                    "fallback": {"lines": ["That is £2."], "to": "bye"},
                    "hints": ["Give the money."],
                },
                {"id": "bye", "line": "Goodbye!"},
            ],
        }
    ],
    "phrases": [
        {"text": "Can I have …, please?", "meaning": "a polite request"},
        {"text": "Here you are.", "meaning": "said when giving"},
    ],
    "mistakes": [
        {"phrases": ["i want a/some"], "right": "I'd like {1}", "why": "It is more polite."},
        {"phrases": ["breads"], "right": "bread", "why": "Bread is not counted."},
    ],
    "notes": "For the first week.",
}
SCRIPT = dialogue.parse(BAKERY)


def walk(*answers: str) -> tuple[list[str], dialogue.State]:
    line, state = dialogue.opening(SCRIPT, "customer")
    lines = [line]
    for answer in answers:
        line, state, _, _ = dialogue.reply(SCRIPT, state, answer)
        lines.append(line)
    return lines, state


def broken(path: str, value: object) -> dict[str, Any]:
    """The bakery with the value at `path` (dots and numbers) replaced; None removes it."""
    raw = deepcopy(BAKERY)
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    at: Any = raw
    for step in parents:
        at = at[step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return raw


# Recognition


@pytest.mark.parametrize(
    ("wanted", "language", "said"),
    [
        ("id like", "en", "I’D LIKE that"),
        ("id like", "en", "well, i'd... like it"),
        ("dont know", "en", "I don't know"),
        ("cuanto cuesta", "es", "¿CUÁNTO cuesta?"),
        ("manana", "es", "Hasta man\u0303ana"),
        ("une addition", "fr", "une addition"),
        ("addition", "fr", "L'addition, s'il vous plaît"),
        ("grüße", "de", "GRUESSE"),
        ("fur mich", "de", "fuer mich"),
        ("# euro/euros", "es", "son 12 euros"),
        ("reserv*", "es", "una reserva"),
        ("it/to_go please", "en", "to go, please"),
        ("can i have ... tea", "en", "Can I have a very big cup of tea?"),
    ],
)
def test_pattern_is_found_whatever_case_accents_and_punctuation(
    wanted: str, language: str, said: str
) -> None:
    assert pattern(wanted, language).find(Text.of(said, language))


APOSTROPHES = "'’‘ʼ´`′"


@pytest.mark.parametrize("said", APOSTROPHES)
@pytest.mark.parametrize("wanted", APOSTROPHES)
@pytest.mark.parametrize(
    ("phrase", "language", "whole"),
    [
        ("don't know", "en", "I don't know."),
        ("d'accord", "fr", "C'est d'accord !"),
        ("м'ята", "uk", "Це м'ята."),
    ],
)
def test_an_apostrophe_of_any_keyboard_is_that_of_any_other(
    wanted: str, said: str, phrase: str, language: str, whole: str
) -> None:
    written = as_pattern(phrase.replace("'", wanted))
    found = pattern(written, language).find(Text.of(whole.replace("'", said), language))
    assert found is not None
    assert found.said == phrase.replace("'", said)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("tea", "a steak and a teapot"),
        ("can i", "Can it be? American I am"),
        ("can i", "can we or I"),
        ("reserv*", "unreserved"),
        ("#", "number one"),
        ("can i have ... tea", "can I have one two three four five six tea"),
        ("tea", ""),
    ],
)
def test_pattern_is_not_found_inside_other_words_or_too_far_apart(wanted: str, said: str) -> None:
    assert pattern(wanted, "en").find(Text.of(said, "en")) is None


def test_match_says_what_was_written() -> None:
    found = pattern("i have # years/months", "en").find(Text.of("Hm, I HAVE  20 years!", "en"))
    assert found is not None
    assert found.said == "I HAVE  20 years"
    assert found.parts == ("20", "years")


@given(st.text(), st.sampled_from(["en", "es", "fr", "de"]))
def test_words_of_any_text_lie_where_they_were_written(written: str, language: str) -> None:
    text = Text.of(written, language)
    assert len(text.words) == len(text.spans)
    assert list(text.spans) == sorted(text.spans)
    for word, (start, end) in zip(text.words, text.spans, strict=True):
        assert text.original[start:end]
        assert Text.of(text.original[start:end], language).words == (word,)


# Dialogue


def test_ideal_dialogue_reaches_all_goals_and_ends() -> None:
    lines, state = walk("Can I have two rolls?", "Here you are!")
    assert lines == ["Good morning!", "Certainly. Two pounds, please.", "Goodbye!"]
    assert state["goals"] == ["bread", "pay"]
    assert state["ended"]


def test_state_survives_json() -> None:
    _, state = walk("Can I have some bread?")
    again = json.loads(json.dumps(state))
    assert again == state
    assert dialogue.reply(SCRIPT, again, "by card").state["ended"]


def test_reply_leaves_the_given_state_alone() -> None:
    _, state = dialogue.opening(SCRIPT, "customer")
    before = deepcopy(state)
    dialogue.reply(SCRIPT, state, "Can I have some bread?")
    assert state == before


def test_question_is_answered_without_repeating_the_line() -> None:
    lines, state = walk("What do you have?")
    assert lines[-1] == "Bread and rolls."
    assert state["node"] == "hello"


def test_longer_recognition_wins_over_an_earlier_branch() -> None:
    assert walk("I'm looking. What do you have?")[0][-1] == "Bread and rolls."


def test_unless_withdraws_a_goal() -> None:
    assert walk("Can I have no bread today?")[1]["goals"] == []


def test_who_is_not_understood_is_helped_then_led_on() -> None:
    lines, state = walk("hm", "hm", "hm", "hm", "hm")
    assert lines == [
        "Good morning!",
        "Would you like bread?",
        "Say: Can I have …?",
        "Here is a loaf. Two pounds, please.",
        "That is £2.",
        "Goodbye!",
    ]
    assert (state["ended"], state["missed"], state["goals"]) == (True, 5, [])


def test_goal_counts_even_where_the_partner_asked_for_something_else() -> None:
    _, state = dialogue.opening(SCRIPT, "customer")
    answer = dialogue.reply(SCRIPT, state, "I can pay by card")
    assert answer.goals == ("pay",)
    assert answer.state["node"] == "hello"


def test_an_answer_that_holds_anywhere_comes_back_to_the_question() -> None:
    lines, state = walk("Can I pay by card?", "Are they fresh?", "hm", "Is it fresh?")
    assert lines == [
        "Good morning!",
        "Thank you.",
        "From this morning.",
        "Would you like bread?",
        "From this morning.",
    ]
    assert (state["node"], state["tries"], state["missed"]) == ("hello", 1, 1)


def test_a_goal_is_answered_again_only_when_the_learner_asks() -> None:
    lines, state = walk(
        "I pay by card.", "I pay by card.", "Can I pay by card?", "by card: good day"
    )
    assert lines[1:] == ["Thank you.", "Would you like bread?", "Thank you.", "Hello!"]
    assert (state["tries"], state["missed"]) == (1, 1)


def test_a_word_of_many_languages_says_nothing_in_a_sentence_of_another_one() -> None:
    script = dialogue.parse(broken("parts.0.nodes.2.branches.0.also", ["no", "ok"]))
    _, state = dialogue.opening(script, "customer")
    state = dialogue.reply(script, state, "Can I have bread?").state
    assert dialogue.reply(script, state, "No entiendo, lo siento.").state["missed"] == 1
    for answer in ("No.", "No, absolutely impossible", "No, I would not, really", "ok 1 2 3 4"):
        assert dialogue.reply(script, state, answer).state["missed"] == 0, answer


def test_a_goal_beside_a_branch_is_answered_before_it_goes_on() -> None:
    lines, state = walk("Can I have bread, and can I pay by card?")
    assert lines[-1] == "Thank you. Certainly. Two pounds, please."
    assert state["goals"] == ["bread", "pay"]


def test_a_longer_answer_that_holds_anywhere_wins_over_a_branch() -> None:
    lines, state = walk("Can I have bread?", "Here you are.")
    assert lines[-1] == "Goodbye!"
    lines, state = walk("I was looking, but are they fresh?")
    assert (lines[-1], state["node"]) == ("From this morning.", "hello")


def test_only_the_question_of_a_line_is_asked_again() -> None:
    raw = broken("parts.0.nodes.0.line", "Good morning! What would you like? We have rolls.")
    script = dialogue.parse(raw)
    _, state = dialogue.opening(script, "customer")
    assert dialogue.reply(script, state, "by card").line == "Thank you. What would you like?"


def test_what_happens_is_not_told_again_with_the_question() -> None:
    raw = broken("parts.0.nodes.0.line", "(A bell rings!) Good morning! (Really?) Bread, yes?")
    script = dialogue.parse(raw)
    _, state = dialogue.opening(script, "customer")
    assert dialogue.reply(script, state, "by card").line == "Thank you. Bread, yes?"


def test_node_whose_goal_is_reached_is_passed_over() -> None:
    lines, _ = walk("No bread? Then I am looking.")
    assert lines[-1] == "The bread is fresh. Would you like some?"
    lines, state = walk("I'm looking around and looking: looking, could I have bread")
    assert state["node"] == "pay"
    assert lines[-1].endswith("Two pounds, please.")


def test_what_leads_on_is_no_proof_of_the_goal() -> None:
    script = dialogue.parse(broken("parts.0.nodes.2.branches.0.also", ["no"]))
    _, state = dialogue.opening(script, "customer")
    state = dialogue.reply(script, state, "Can I have bread?").state
    answer = dialogue.reply(script, state, "No!")
    assert answer.state["ended"]
    assert answer.state["missed"] == 0
    assert answer.goals == ()


def test_goal_is_new_only_once() -> None:
    raw = broken("parts.0.nodes.0.branches.0.to", "bread")
    del raw["parts"][0]["nodes"][1]["skip"]
    script = dialogue.parse(raw)
    _, state = dialogue.opening(script, "customer")
    first = dialogue.reply(script, state, "Can I have bread?")
    assert first.goals == ("bread",)
    assert dialogue.reply(script, first.state, "Yes").goals == ()


def test_side_questions_cannot_go_on_for_ever() -> None:
    lines, state = walk(*["What do you have?"] * dialogue.TURN_LIMIT)
    assert lines[-1] == "We are closing now."
    assert state["ended"]


def test_reply_after_the_end_is_refused() -> None:
    _, state = walk("Can I have bread?", "by card")
    with pytest.raises(DialogueEndedError):
        dialogue.reply(SCRIPT, state, "And a roll?")
    with pytest.raises(DialogueEndedError):
        dialogue.hint(SCRIPT, state, 1)


def test_role_without_dialogue_is_refused() -> None:
    with pytest.raises(ValueError, match="'baker'"):
        dialogue.opening(SCRIPT, "baker")


def test_hints_go_from_light_to_the_model_answer() -> None:
    _, state = dialogue.opening(SCRIPT, "customer")
    hints = [dialogue.hint(SCRIPT, state, n) for n in (1, 2, 3, 9)]
    model = "Good morning. Can I have some bread, please?"
    assert hints == ["Say what you want.", "Begin with 'Can I have …'", model, model]
    with pytest.raises(ValueError, match="from 1"):
        dialogue.hint(SCRIPT, state, 0)


def test_module_is_a_partner() -> None:
    partner: Partner = dialogue
    assert partner.opening(SCRIPT, "customer")[0] == "Good morning!"


@given(st.lists(st.text() | st.sampled_from(["yes", "looking", "What do you have?"]), min_size=30))
def test_dialogue_always_ends_whatever_is_said(answers: list[str]) -> None:
    _, state = dialogue.opening(SCRIPT, "customer")
    for answer in answers:
        if state["ended"]:
            break
        reply = dialogue.reply(SCRIPT, state, answer)
        assert reply.line
        state = reply.state
    assert state["ended"]
    assert state["turn"] <= dialogue.TURN_LIMIT


# Corrections


def test_correction_is_a_cloze_of_the_sentence_put_right() -> None:
    said = "Hello! I want some breads, please. Thanks."
    first, second = dialogue.corrections(SCRIPT, said)
    assert (first.said, first.better) == ("I want some", "I'd like some")
    assert first.sentence == second.sentence == "I'd like some bread, please."
    assert first.cloze == "{{c1::I'd like some}} bread, please."
    assert second.cloze == "I'd like some {{c1::bread}}, please."
    assert second.why == "Bread is not counted."


def test_learners_braces_do_not_become_cloze_marks() -> None:
    (correction,) = dialogue.corrections(SCRIPT, "{{c2::Oh}} breads {")
    assert correction.cloze == "((c2::Oh)) {{c1::bread}} ("


def test_right_words_are_not_corrected() -> None:
    assert dialogue.corrections(SCRIPT, "I'd like some bread") == ()


# Scores

IDEAL = ["Can I have some bread, please?", "Here you are."]


def values(*turns: str) -> dict[str, Any]:
    scores = dialogue.score(SCRIPT, "customer", turns)
    return {name: getattr(scores, name).value for name in vars(scores)}


def test_nothing_said_scores_nothing() -> None:
    nothing = dict.fromkeys(("vocabulary", "grammar", "fluency", "task"))
    assert values() == {**nothing, "goals": 0}


def test_gibberish_scores_nothing() -> None:
    assert values("qwerty uiop", "asdf") == {
        "vocabulary": None,
        "grammar": None,
        "fluency": 0,
        "task": 0,
        "goals": 0,
    }


def test_more_goals_score_higher() -> None:
    assert [values(*IDEAL[:n])["goals"] for n in range(3)] == [0, 33, 67]


def test_more_useful_phrases_score_higher() -> None:
    assert values("bread", "bread", "bread", "by card")["vocabulary"] < values(*IDEAL)["vocabulary"]


def test_a_mistake_lowers_grammar_alone() -> None:
    right = values("Could I have some bread please", "Here you are.")
    wrong = values("Could I have some breads, I mean bread please", "Here you are.")
    assert (right["grammar"], wrong["grammar"]) == (100, 50)
    assert wrong["goals"] == right["goals"]


def test_being_understood_and_saying_more_score_higher_for_fluency() -> None:
    lost = values("hm", *IDEAL)["fluency"]
    short = values("looking", "yes", "by card")["fluency"]
    full = values(*IDEAL)["fluency"]
    assert lost < full
    assert short < full


def test_every_point_lost_or_won_names_its_turn() -> None:
    scores = dialogue.score(SCRIPT, "customer", ["hm", "I want some breads", *IDEAL])
    assert [(e.turn, e.what) for e in scores.goals.evidence] == [(2, "Ask for bread"), (3, "Pay")]
    assert [(e.turn, e.what) for e in scores.task.evidence] == [
        (2, "Ask for bread: “Can I have some bread, please?”"),
        (3, "Pay: “Here you are.”"),
        (3, "Say hello: not reached"),
    ]
    assert [(e.turn, e.what) for e in scores.vocabulary.evidence] == [
        (1, "some"),
        (2, "“Can I have some bread, please”"),
        (2, "Can, have, bread, please"),
        (3, "“Here you are”"),
        (3, "Here, you, are"),
    ]
    assert [(e.turn, e.what) for e in scores.grammar.evidence] == [
        (1, "I want some → I'd like some"),
        (1, "breads → bread"),
        (2, "“Can I have some bread, please?”"),
        (3, "“Here you are.”"),
    ]
    assert [e.turn for e in scores.fluency.evidence] == [0, 1, 2, 3]
    assert (0, "“hm”: not understood") in [(e.turn, e.what) for e in scores.fluency.evidence]


def test_turns_after_the_end_count_for_nothing() -> None:
    assert values(*IDEAL, "breads breads") == values(*IDEAL)


# The format


@pytest.mark.parametrize(
    ("path", "value", "at", "why"),
    [
        ("title", None, "title", "is missing"),
        ("title", " ", "title", "no text"),
        ("colour", "red", "colour", "no such field"),
        ("order", -1, "order", "out of range"),
        ("order", True, "order", "whole number"),
        ("level", "D1", "level", "one of A1"),
        ("id", "At the bakery", "id", "Does not match"),
        ("roles", [], "roles", "2 to 2"),
        ("parts.0.goals.2", None, "parts.0.goals", "3 to 5"),
        ("parts.0.answers.1", None, "parts.0.goals.1", "without an answer"),
        ("parts.0.answers.0.goal", "tea", "parts.0.answers.0.goal", "no goal"),
        ("parts.0.answers.3.phrases", [], "parts.0.answers.3", "needs"),
        ("parts.0.answers.0.unless", ["rolls"], "parts.0.answers.0.unless", "beside the goal"),
        ("roles.1.id", "customer", "roles", "must differ"),
        ("parts.0.role", "guest", "parts.0", "no role 'guest'"),
        ("parts.0.start", "nowhere", "parts.0.start", "no node"),
        ("parts.0.goals.1.id", "bread", "parts.0.goals.1", "is taken"),
        ("partners", ["model", "model"], "partners.1", "is taken"),
        ("parts.0.goals.0.phrases", [], "parts.0.goals.0.phrases", "must have a pattern"),
        ("parts.0.goals.0.phrases", ["..."], "parts.0.goals.0.phrases.0", "begins and ends"),
        (
            "parts.0.goals.0.phrases",
            ["a ... b ... c ... d"],
            "parts.0.goals.0.phrases.0",
            "at most 2 gaps",
        ),
        ("parts.0.goals.0.phrases", ["a/"], "parts.0.goals.0.phrases.0", "not a word"),
        ("parts.0.nodes.3.id", "pay", "parts.0.nodes.3", "is taken"),
        ("parts.0.nodes.2.branches.0.to", "x", "parts.0.nodes.2.branches.0.to", "no node"),
        ("parts.0.nodes.2.fallback.to", "x", "parts.0.nodes.2.fallback.to", "no node"),
        ("parts.0.nodes.2.fallback.to", "hello", "parts.0.nodes.0.fallback.to", "end"),
        ("parts.0.nodes.2.fallback", None, "parts.0.nodes.2.fallback", "is missing"),
        ("parts.0.nodes.1.skip", "x", "parts.0.nodes.1.skip", "no goal"),
        ("parts.0.nodes.0.branches.2.to", "pay", "parts.0.nodes.1", "nothing leads"),
        ("parts.0.nodes.0.branches.1.say", None, "parts.0.nodes.0.branches.1.say", "say"),
        ("parts.0.nodes.0.branches.1.goal", "x", "parts.0.nodes.0.branches.1.goal", "no goal"),
        ("parts.0.nodes.0.branches.1.phrases", None, "parts.0.nodes.0.branches.1", "needs"),
        ("parts.0.nodes.0.branches.1.example", "Hm", "parts.0.nodes.0.branches.1.example", "no"),
        (
            "parts.0.nodes.0.branches.1.example",
            "What do you have? Breads?",
            "parts.0.nodes.0.branches.1.example",
            "counts as a mistake",
        ),
        ("parts.0.nodes.0.branches.0.to", "hello", "parts.0", "do not reach pay"),
        ("mistakes.0.right", "I'd like {2}", "mistakes.0.right", "stands for nothing"),
        ("mistakes.0.phrases", [], "mistakes.0.phrases", "must have a pattern"),
        ("phrases.0.text", "…", "phrases.0.text", "begins and ends"),
    ],
)
def test_script_that_breaks_a_rule_is_refused_by_its_path(
    path: str, value: object, at: str, why: str
) -> None:
    with pytest.raises(ScriptError) as refused:
        dialogue.parse(broken(path, value))
    assert refused.value.path == at
    assert why in refused.value.why


@pytest.mark.parametrize("raw", [None, [], "bakery", 3, {}])
def test_what_is_no_script_is_refused(raw: object) -> None:
    with pytest.raises(ScriptError):
        dialogue.parse(raw)
