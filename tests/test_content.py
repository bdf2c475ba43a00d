"""The pack: every scenario can be played to its end, every deck can be studied."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from functools import cache
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.formats import CEFR_LEVELS
from learning.practice import dialogue
from learning.practice.dialogue import Script
from learning.practice.matching import GAP, Text
from learning.practice.script import Cues, Part, chosen_branch
from tests.examples import tried
from tests.transcripts import ANOTHER_LANGUAGE, GOLDEN, OFF_TOPIC, transcript

CONTENT = Path(__file__).parent.parent / "learning" / "content"
SCENARIOS = sorted((CONTENT / "scenarios").glob("*.json"))
DECKS = sorted((CONTENT / "decks").glob("*.json"))

every_scenario = pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
every_deck = pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)


@cache
def script(path: Path) -> Script:
    return dialogue.parse(json.loads(path.read_text(encoding="utf-8")))


def sample(source: str) -> str:
    """Words that a pattern must recognise."""
    words = (word.split("/")[0] for word in source.split() if word != GAP)
    return " ".join(word.replace("#", "7").rstrip("*").replace("_", " ") for word in words)


def disguised(text: str) -> str:
    """The same words in capitals, without accents, with other punctuation."""
    plain = unicodedata.normalize("NFKD", text)
    return (
        "".join(c for c in plain if not unicodedata.combining(c)).upper().replace(" ", ", ") + "!"
    )


def play(found: Script, part: Part, answers: list[str]) -> dialogue.State:
    _, state = dialogue.opening(found, part.role)
    for answer in answers:
        state = dialogue.reply(found, state, answer).state
    return state


def cues_of(found: Script) -> list[Cues]:
    branches = [b.cues for p in found.parts for n in p.nodes for b in n.branches]
    goals = [goal.cues for part in found.parts for goal in part.goals]
    return [*branches, *goals, *(p.cues for p in found.phrases)]


@every_scenario
def test_scenario_is_named_as_its_file(path: Path) -> None:
    assert script(path).id == path.stem


@every_scenario
def test_scenario_is_rich_enough_to_teach_with(path: Path) -> None:
    scenario = script(path)
    assert len(scenario.phrases) >= 6
    assert len(scenario.mistakes) >= 3
    assert len(scenario.notes) >= 80
    for part in scenario.parts:
        assert len(part.nodes) >= 6
        assert sum(len(node.branches) >= 2 for node in part.nodes) >= 2
        assert all(len(n.hints) >= 2 for n in part.nodes if n.branches)


@every_scenario
def test_model_answers_reach_every_goal_and_the_end(path: Path) -> None:
    scenario = script(path)
    for part in scenario.parts:
        state = play(scenario, part, dialogue.rehearsal(scenario, part.role))
        assert set(state["goals"]) == {goal.id for goal in part.goals}
        assert state["ended"]
        assert state["missed"] == 0


@every_scenario
def test_model_answers_score_well_and_without_correction(path: Path) -> None:
    scenario = script(path)
    for part in scenario.parts:
        scores = dialogue.score(scenario, part.role, dialogue.rehearsal(scenario, part.role))
        assert scores.goals.value == scores.grammar.value == 100
        assert scores.fluency.value >= 75
        assert scores.vocabulary.value >= 75


@every_scenario
def test_model_answers_are_recognised_without_accents_in_capitals(path: Path) -> None:
    scenario = script(path)
    for part in scenario.parts:
        answers = [disguised(text) for text in dialogue.rehearsal(scenario, part.role)]
        state = play(scenario, part, answers)
        assert state["ended"]
        assert state["missed"] == 0


@every_scenario
def test_every_branch_is_taken_by_its_example(path: Path) -> None:
    scenario = script(path)
    for part in scenario.parts:
        _, start = dialogue.opening(scenario, part.role)
        for node in part.nodes:
            for branch in node.branches:
                state = dialogue.State(**{**start, "node": node.id})
                answer = dialogue.reply(scenario, state, branch.example)
                assert answer.state["missed"] == 0
                assert answer.line.startswith(branch.say)
                assert branch.goal is None or branch.goal in answer.goals


@every_scenario
def test_every_goal_is_reached_by_each_of_its_phrases(path: Path) -> None:
    scenario = script(path)
    for part in scenario.parts:
        _, state = dialogue.opening(scenario, part.role)
        for goal in part.goals:
            for phrase in goal.cues.phrases:
                assert goal.id in dialogue.reply(scenario, state, sample(phrase.source)).goals, (
                    phrase
                )


@every_scenario
def test_no_phrase_is_recognised_inside_other_words(path: Path) -> None:
    for cues in cues_of(script(path)):
        for phrase in cues.phrases:
            hidden = " ".join(f"xx{word}xx" for word in sample(phrase.source).split())
            assert phrase.find(Text.of(hidden, script(path).language)) is None, phrase


CONTRACTED = ("d", "ll", "m", "nt", "re", "s", "ve")


@every_scenario
def test_no_choice_between_words_takes_in_the_word_before_it(path: Path) -> None:
    """`i have/ive` finds "I ive"; `i_have/ive` is what was meant."""
    phrases = [phrase for cues in cues_of(script(path)) for phrase in (*cues.phrases, *cues.unless)]
    for source in {phrase.source for phrase in phrases}:
        for before, choice in pairwise(source.split()):
            words = choice.split("/") if "/" in choice and "/" not in before else []
            contracted = {f"{before}{ending}" for ending in CONTRACTED}
            assert not contracted & {*words}, source
            assert before not in (word.split("_")[0] for word in words), source


@pytest.mark.parametrize("path", [*SCENARIOS, *DECKS], ids=lambda path: path.stem)
def test_texts_are_free_of_stray_spaces(path: Path) -> None:
    texts = re.findall(r'"((?:[^"\\]|\\.)*)"', path.read_text(encoding="utf-8"))
    assert [text for text in texts if text != " ".join(text.split())] == []


@every_scenario
def test_every_mistake_is_found_and_put_right(path: Path) -> None:
    scenario = script(path)
    for mistake in scenario.mistakes:
        for wrong in mistake.cues.phrases:
            phrase = sample(wrong.source)
            corrections = dialogue.corrections(scenario, phrase)
            assert corrections, wrong
            again = corrections[0].sentence
            assert mistake.cues.find(Text.of(again, scenario.language)) is None, again


@every_scenario
@tried(15)
@given(data=st.data())
def test_whatever_is_said_the_dialogue_ends(path: Path, data: st.DataObject) -> None:
    scenario = script(path)
    part = data.draw(st.sampled_from(scenario.parts))
    known = [b.example for node in part.nodes for b in node.branches]
    _, state = dialogue.opening(scenario, part.role)
    turns: list[str] = []
    while not state["ended"]:
        turns.append(data.draw(st.sampled_from(known) | st.text(max_size=80)))
        reply = dialogue.reply(scenario, state, turns[-1])
        assert reply.line
        state = reply.state
    assert len(turns) <= dialogue.TURN_LIMIT
    scores = dialogue.score(scenario, part.role, turns)
    for score in (scores.vocabulary, scores.grammar, scores.fluency, scores.goals):
        assert score.value is None or 0 <= score.value <= 100
        assert score.evidence or not score.value
        assert all(0 <= evidence.turn < len(turns) for evidence in score.evidence)


@every_scenario
def test_silence_comes_to_an_end_with_a_different_line_each_time(path: Path) -> None:
    scenario = script(path)
    for part in scenario.parts:
        line, state = dialogue.opening(scenario, part.role)
        lines = [line]
        while not state["ended"]:
            line, state, _, _ = dialogue.reply(scenario, state, "")
            lines.append(line)
        assert len(lines) == len(set(lines))
        assert state["turn"] < dialogue.TURN_LIMIT


@every_scenario
def test_learners_are_answered_as_before_whether_or_not_they_keep_to_the_script(path: Path) -> None:
    """`python -m tests.transcripts` writes these; read what has changed as a learner would."""
    golden = (GOLDEN / f"{path.stem}.md").read_text(encoding="utf-8")
    assert golden == f"# {script(path).title}\n\n{transcript(script(path))}"


@every_scenario
def test_every_goal_is_answered_wherever_it_is_said(path: Path) -> None:
    scenario = script(path)
    for part in scenario.parts:
        _, start = dialogue.opening(scenario, part.role)
        goals = {goal.id: goal for goal in part.goals}
        for node in part.nodes:
            if not node.branches:
                continue
            state = dialogue.State(**{**start, "node": node.id})
            for phrase in (sample(p.source) for goal in part.goals for p in goal.phrases):
                reply = dialogue.reply(scenario, state, phrase)
                branch = chosen_branch(node, goals, Text.of(phrase, scenario.language))
                example = Text.of(branch.example if branch else "", scenario.language)
                assert reply.goals, (node.id, phrase)
                for answer in part.answers:
                    if answer.goal in reply.goals and not goals[answer.goal].cues.find(example):
                        by_branch = branch and branch.goal == answer.goal
                        say = branch.say if branch and by_branch else answer.say
                        assert say in reply.line, (node.id, phrase)


@every_scenario
def test_learners_who_speak_another_language_are_never_understood(path: Path) -> None:
    for part in script(path).parts:
        state = play_on(script(path), part, ANOTHER_LANGUAGE)
        assert state["missed"] == state["turn"]


@every_scenario
def test_learners_who_stray_from_the_topic_reach_no_goal(path: Path) -> None:
    for part in script(path).parts:
        assert play_on(script(path), part, OFF_TOPIC)["goals"] == []


def said_at(name: str, role: str, node: str, text: str) -> dialogue.Reply:
    scenario = script(CONTENT / "scenarios" / f"{name}.json")
    _, state = dialogue.opening(scenario, role)
    return dialogue.reply(scenario, dialogue.State(**{**state, "node": node}), text)


@pytest.mark.parametrize(
    ("name", "role", "node", "said", "goal"),
    [
        ("expert-witness", "expert", "oath", "They showed corrosion.", "correct"),
        ("reklamation-internet", "kunde", "begruessung", "Ich brauche das Internet.", "problem"),
        ("reklamation-internet", "kunde", "wann", "Ich arbeite.", "folgen"),
        ("arzttermin", "patient", "wunsch", "Welcher Termin?", "termin"),
        ("arzttermin", "patient", "problem", "Ich bin arm.", "beschwerden"),
        ("asking-the-way", "visitor", "route", "Which bank?", "check"),
        ("asking-the-way", "visitor", "route", "Left?", "check"),
        ("au-restaurant", "client", "noix", "J'aime les noix.", "allergie"),
        ("weekend-plans", "caller", "ring", "Let's meet at two.", "suggest"),
        ("weekend-plans", "friend", "ring", "See you on Saturday.", "free"),
        ("giving-difficult-feedback", "team-lead", "start", "Sorry, I'm late.", "specific"),
        ("at-the-pharmacy", "customer", "counter", "I've had hay fever tablets.", "symptoms"),
        ("at-the-pharmacy", "customer", "advice", "When should I take them?", "important"),
        ("new-neighbour", "newcomer", "name", "I'm a nurse.", "name"),
        ("telling-a-client-about-a-delay", "project-lead", "pick-up", "On the first!", "plan"),
        ("returning-a-jumper", "customer", "refund", "No, thanks.", "thank"),
        ("treaty-wording", "delegate", "price", "Who will pay?", "trade"),
        ("spokesperson-data-leak", "spokesperson", "human", "Trust us.", "compassion"),
    ],
)
def test_a_loose_word_is_no_proof_of_a_goal(
    name: str, role: str, node: str, said: str, goal: str
) -> None:
    assert goal not in said_at(name, role, node, said).goals


@pytest.mark.parametrize(
    ("name", "role", "node", "said", "line"),
    [
        ("expert-witness", "expert", "oath", "No.", "You did not? The record will tell."),
        ("expert-witness", "expert", "oath", "Yes.", "Then you did say so."),
        ("treaty-wording", "ambassador", "leave", "No.", "Then have a coffee first"),
        ("treaty-wording", "ambassador", "leave", "After you.", "Nor I."),
        ("coches-fuera-del-centro", "vecino", "votar", "Sí, siempre que", "Una condición"),
        ("un-voisin-bruyant", "voisin-du-dessous", "porte", "Comment allez-vous ?", "Très bien"),
        ("coffee-to-take-away", "customer", "sugar", "Sugar, please.", "Here is your sugar."),
        ("coffee-to-take-away", "customer", "sugar", "Just milk, please.", "Here is your milk."),
        ("asking-the-way", "visitor", "cafe", "How far is it?", "It's ten minutes on foot."),
        ("new-neighbour", "newcomer", "from", "Where is the supermarket?", "The supermarket is"),
        ("arzttermin", "patient", "seit", "Was muss ich mitbringen?", "Nur Ihre Versicherten"),
        ("weekend-plans", "friend", "music", "Can you bring some fruit?", "Fruit, all right."),
        ("at-the-pharmacy", "customer", "cause", "I haven't got a temperature.", "No temperature"),
        (
            "lost-bag",
            "passenger",
            "found",
            "I left my backpack on the bus.",
            "Oh dear, you've lost",
        ),
        ("new-neighbour", "newcomer", "goodbye", "No.", "What a pity! Another time."),
        ("new-neighbour", "neighbour", "hello", "I'm Grace. What's your name?", "I'm Leyla."),
        ("reklamation-internet", "kunde", "bestaetigung", "Nein.", "Kein Problem, dann"),
        ("reklamation-internet", "berater", "geld", "Was kann ich für Sie tun?", "Es geht um"),
        ("returning-a-jumper", "customer", "refund", "Great, thank you.", "You're welcome."),
    ],
)
def test_an_answer_gets_the_line_that_fits_it(
    name: str, role: str, node: str, said: str, line: str
) -> None:
    assert said_at(name, role, node, said).line.startswith(line)


# Questions that ask for more than the goal that a good answer reaches.
ASKS_MORE = {
    "ambiguous-ending": {"concede"},
    "au-restaurant": {"repas", "dessert"},
    "coches-fuera-del-centro": {"tiendas"},
    "el-mercado": {"algo-mas"},
    "expert-witness": {"records"},
    "giving-difficult-feedback": {"start"},
    "new-neighbour": {"sons"},
    "questions-after-a-talk": {"confounders"},
    "reklamation-internet": {"wann"},
    "spokesperson-data-leak": {"what-known"},
    "telling-a-client-about-a-delay": {"impact"},
    "viewing-a-flat": {"living-room"},
    "weekend-plans": {"weather"},
}


@every_scenario
def test_what_was_said_out_of_order_is_not_asked_again(path: Path) -> None:
    scenario = script(path)
    for part in scenario.parts:
        _, state = dialogue.opening(scenario, part.role)
        for answer in reversed(dialogue.rehearsal(scenario, part.role)):
            if state["ended"]:
                break
            state = dialogue.reply(scenario, state, answer).state
            node = part.node(state["node"])
            if node.branches and "?" in node.line and node.id not in ASKS_MORE.get(path.stem, ()):
                assert node.branches[0].goal not in state["goals"], node.id


def play_on(found: Script, part: Part, answers: dict[str, tuple[str, ...]]) -> dialogue.State:
    """Plays to the end with the same few answers."""
    _, state = dialogue.opening(found, part.role)
    for answer in cycle(answers[found.language]):
        if state["ended"]:
            return state
        state = dialogue.reply(found, state, answer).state
    raise AssertionError


def test_pack_covers_every_level_and_several_languages() -> None:
    found = [script(path) for path in SCENARIOS]
    levels = Counter(one.level for one in found)
    assert len(found) >= 24
    assert all(levels[level] >= 4 for level in CEFR_LEVELS)
    assert {"en", "es", "fr", "de"} <= {one.language for one in found}


@every_scenario
def test_both_roles_can_be_played(path: Path) -> None:
    scenario = script(path)
    assert {part.role for part in scenario.parts} == {role.id for role in scenario.roles}


def test_scenarios_are_distinct_and_ordered_by_level() -> None:
    found = [script(path) for path in SCENARIOS]
    for key in ("id", "order", "title", "description"):
        values = [getattr(one, key) for one in found]
        assert len(values) == len(set(values)), key
    in_order = sorted(found, key=lambda one: one.order)
    assert [one.level for one in in_order] == sorted(one.level for one in found)


# Decks


@cache
def deck(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_there_are_three_starter_decks() -> None:
    assert len(DECKS) >= 3
    assert len({deck(path)["language"] for path in DECKS}) >= 3


@every_deck
def test_deck_is_named_as_its_file_and_described(path: Path) -> None:
    found = deck(path)
    assert set(found) == {"id", "name", "description", "level", "language", "translation", "cards"}
    assert found["id"] == path.stem
    assert found["level"] in CEFR_LEVELS
    assert found["name"]
    assert found["description"]


@every_deck
def test_deck_has_forty_distinct_cards(path: Path) -> None:
    fronts = [card["front"].casefold() for card in deck(path)["cards"]]
    assert len(fronts) >= 40
    assert len(fronts) == len(set(fronts))


@every_deck
def test_every_card_is_complete(path: Path) -> None:
    for card in deck(path)["cards"]:
        assert set(card) == {"front", "back", "phonetic", "example", "notes", "tags"}, card
        assert all(card[name].strip() == card[name] for name in card if name != "tags"), card
        assert all((card["front"], card["back"], card["example"])), card
        assert re.fullmatch(r"/[^/\sA-Z][^/A-Z]*/", card["phonetic"]), card["phonetic"]
        assert card["tags"]
        assert all(re.fullmatch(r"[a-z0-9-]+", tag) for tag in card["tags"]), card
