"""The practice partner: the port, and the scripted partner behind it.

The scripted partner is this module itself. It speaks the lines of a `Script`, chooses its
branches by what the learner said, and judges only what text can show. It is deterministic and
needs no network: the same answers to the same script always give the same dialogue and scores.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from textwrap import shorten
from typing import NamedTuple, Protocol, TypedDict

from config.problems import Filled
from config.records import dataclass
from learning.practice.matching import Match, Text
from learning.practice.script import (
    Branch,
    Mistake,
    Node,
    Part,
    Script,
    ScriptError,
    branch_words,
    chosen_branch,
    in_another_language,
    read,
)

__all__ = [
    "DialogueEndedError",
    "Partner",
    "Reply",
    "Scores",
    "Script",
    "ScriptError",
    "State",
    "hint",
    "opening",
    "parse",
    "rehearsal",
    "reply",
    "score",
]

TURN_LIMIT = 30
"""Answers after which the partner takes leave, whatever was said."""

WORDS_PER_TURN = {"A1": 4, "A2": 6, "B1": 8, "B2": 11, "C1": 14, "C2": 16}
"""How long an answer of a fluent learner of that level is, on average (our own estimate)."""

SAY_AGAIN = {
    "en": "Sorry, I didn't catch that. Could you say it again, please?",
    "de": "Entschuldigung, das habe ich nicht verstanden. Können Sie das bitte wiederholen?",
    "fr": "Pardon, je n'ai pas compris. Vous pouvez répéter, s'il vous plaît ?",
    "es": "Perdone, no le he entendido. ¿Puede repetirlo, por favor?",
    "it": "Mi scusi, non ho capito. Può ripetere, per favore?",
    "pt": "Desculpe, não percebi. Pode repetir, por favor?",
    "nl": "Sorry, dat heb ik niet verstaan. Kunt u dat herhalen?",
    "pl": "Przepraszam, nie zrozumiałem. Czy może pan powtórzyć?",
    "sv": "Förlåt, jag hörde inte. Kan du säga det igen?",
}

_SENTENCE_ENDS = ".!?…\n"


class DialogueEndedError(ValueError):
    """The dialogue is over; there is nothing left to answer."""


class State(TypedDict):
    """Where a dialogue stands; plain JSON, a few hundred bytes."""

    role: str
    node: str
    tries: int  # answers at this node that were not understood
    turn: int  # answers so far
    missed: int  # answers so far that were not understood
    goals: list[str]  # reached, in order
    ended: bool


@dataclass(frozen=True)
class Correction:
    """A mistake in an answer: `said` → `better`, the whole `sentence` put right, and the same
    sentence as a `cloze` note with the corrected words hidden."""

    said: str
    better: str
    sentence: str
    cloze: str
    why: str


class Reply(NamedTuple):
    """The partner's line, the state of the dialogue, and the goals that this answer reached."""

    line: str
    state: State
    goals: tuple[str, ...]
    corrections: tuple[Correction, ...]


@dataclass(frozen=True)
class Evidence:
    """A reason for a score; `turn` is the place of the answer in the list, from 0.

    `what` is told in words of ours where it is Filled, which can be translated.
    """

    turn: int
    what: str


@dataclass(frozen=True)
class Score:
    """0 to 100, with its reasons. None where nothing was said that shows it."""

    value: int | None
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Scores:
    """Goals are counted. Pronunciation is not scored: text does not show it."""

    vocabulary: Score
    grammar: Score
    fluency: Score
    task: Score
    goals: Score


class Partner(Protocol):
    """The player of the other role. A module can be one, as this one is."""

    def opening(self, script: Script, role: str) -> tuple[str, State]: ...
    def reply(self, script: Script, state: State, learner_text: str) -> Reply: ...
    def hint(self, script: Script, state: State, n: int) -> str: ...
    def score(self, script: Script, role: str, turns: Sequence[str]) -> Scores: ...


def parse(raw: object) -> Script:
    """A script, checked whole: fields, patterns, nodes, and a rehearsal of every part by its
    model answers, which must reach all goals and the end. Raises ScriptError (a ValueError)."""
    script = read(raw)
    for i, part in enumerate(script.parts):
        if not part.is_scripted:
            continue
        _, state = _rehearse(script, part.role)
        missing = [goal.id for goal in part.goals if goal.id not in state["goals"]]
        if missing:
            raise ScriptError(f"parts.{i}", f"model answers do not reach {', '.join(missing)}")
        if part.node(state["node"]).branches:
            raise ScriptError(f"parts.{i}", "model answers do not come to an end")
    return script


def rehearsal(script: Script, role: str) -> list[str]:
    """The model answers of the ideal dialogue: at each node, the example of its first branch.

    Where none is written they are the goals' examples.
    """
    part = script.part(role)
    if not part.is_scripted:
        return [goal.example for goal in part.goals if goal.example]
    return _rehearse(script, role)[0]


def _rehearse(script: Script, role: str) -> tuple[list[str], State]:
    answers: list[str] = []
    _, state = opening(script, role)
    while not state["ended"]:
        answers.append(script.part(role).node(state["node"]).branches[0].example)
        state = reply(script, state, answers[-1]).state
    return answers, state


def opening(script: Script, role: str) -> tuple[str, State]:
    """The partner's first line to a learner who takes `role`.

    Raises ValueError when the script has no dialogue for that role.
    """
    part = script.part(role)
    node = part.node(part.start)
    return node.line, State(
        role=role,
        node=node.id,
        tries=0,
        turn=0,
        missed=0,
        goals=[],
        ended=part.is_scripted and not node.branches,
    )


def reply(script: Script, state: State, learner_text: str) -> Reply:
    """Answer the learner. Raises DialogueEndedError when the dialogue was over already.

    What fits no branch here may have an answer that holds anywhere: the partner gives it and comes
    back to the question. An answer that is not understood gets the node's helping lines in turn;
    when they are used up the partner moves on. After TURN_LIMIT answers the partner takes leave.
    """
    part = script.part(state["role"])
    node = part.node(state["node"])
    if state["ended"] or (part.is_scripted and node.fallback is None):
        raise DialogueEndedError("the dialogue has ended")
    text = Text.of(learner_text, script.language)
    if is_foreign(script, learner_text):
        text = Text.of("", script.language)
    if not part.is_scripted:
        return _unscripted_reply(script, part, state, text, learner_text)
    goals = {goal.id: goal for goal in part.goals}
    branch = chosen_branch(node, goals, text)
    heard = {goal.id for goal in part.goals if goal.cues.find(text)}
    if branch and branch.goal and branch.cues.find(text):
        heard.add(branch.goal)
    new = tuple(g for g in goals if g in heard and g not in state["goals"])
    reached = [*state["goals"], *new]
    answer = _answer_anywhere(script, part, text, branch, new)
    if answer and branch and answer.instead:
        branch = None
    line, to, tries = _next(node, branch, answer, state["tries"])
    if to != node.id or (answer and not branch):
        entered = _enter(part, to, reached)
        if entered.id != node.id:
            node, tries = entered, 0
            line = f"{line} {node.line}".strip()
        else:
            line = f"{line} {_question(node.line)}".strip()
    turn = state["turn"] + 1
    ended = not node.branches
    if turn >= TURN_LIMIT and not ended:
        line, ended = farewell(script, part.role), True
    after = State(
        role=part.role,
        node=node.id,
        tries=tries,
        turn=turn,
        missed=state["missed"] + (branch is None and answer is None),
        goals=reached,
        ended=ended,
    )
    return Reply(line, after, new, corrections(script, learner_text))


def _unscripted_reply(
    script: Script, part: Part, state: State, text: Text, learner_text: str
) -> Reply:
    """The reply that a script cannot give: it asks the learner to say it once more."""
    reached = [goal.id for goal in part.goals if goal.cues.find(text)]
    new = tuple(goal for goal in reached if goal not in state["goals"])
    turn = state["turn"] + 1
    ended = turn >= TURN_LIMIT
    after: State = {
        **state,
        "turn": turn,
        "missed": state["missed"] + 1,
        "goals": [*state["goals"], *new],
        "ended": ended,
    }
    line = farewell(script, part.role) if ended else say_again(script.language)
    return Reply(line, after, new, corrections(script, learner_text))


def farewell(script: Script, role: str) -> str:
    """What the partner says to take leave."""
    return script.part(role).farewell_in(script.language)


def beside(before: State, after: State) -> State:
    """Where the script stands beside a partner that keeps to none.

    It moves on by what it has understood, but never to its end: it may have to go on.
    """
    if after["ended"] or after["missed"] != before["missed"]:
        return {**after, "node": before["node"], "tries": before["tries"], "ended": False}
    return after


def say_again(language: str) -> str:
    """A polite line for when a partner cannot answer."""
    return SAY_AGAIN.get(language, SAY_AGAIN["en"])


def is_foreign(script: Script, learner_text: str) -> bool:
    """Whether a text is in another language than the script's, so that nothing of it counts."""
    return in_another_language(script, Text.of(learner_text, script.language))


class _Answer(NamedTuple):
    """The line of answers that hold anywhere; `instead` of the branch or before it."""

    line: str
    instead: bool


def _answer_anywhere(
    script: Script, part: Part, text: Text, branch: Branch | None, new: Sequence[str]
) -> _Answer | None:
    """The answers to goals and phrases that the branch does not answer.

    Without a branch a goal that was reached before is answered again only when the learner asks,
    and nothing new was said. Beside a branch these are new goals that its example does not reach,
    for its line answers the others; phrases only count when they are longer than the words by
    which the branch was recognised.
    """
    goals = {goal.id: goal for goal in part.goals}
    matches = [(answer, match) for answer in part.answers if (match := answer.find(text, goals))]
    if branch is None:
        asked = "?" in text.original
        lines = (
            [answer.say for answer, _ in matches if answer.goal in new]
            or [answer.say for answer, _ in matches if answer.goal and asked]
            or [answer.say for answer, _ in matches if not answer.goal][:1]
        )
        return _Answer(" ".join(lines), instead=True) if lines else None
    longest = max((match.words for answer, match in matches if not answer.goal), default=0)
    if longest > branch_words(branch, goals, text):
        line = next(answer.say for answer, m in matches if not answer.goal and m.words == longest)
        return _Answer(line, instead=True)
    example = Text.of(branch.example, script.language)
    lines = [
        answer.say
        for answer, _ in matches
        if answer.goal
        and answer.goal in new
        and answer.goal != branch.goal
        and not goals[answer.goal].cues.find(example)
    ]
    return _Answer(" ".join(lines), instead=False) if lines else None


def _next(
    node: Node, branch: Branch | None, answer: _Answer | None, tries: int
) -> tuple[str, str, int]:
    """The partner's line, the node that follows, and how many tries were made there."""
    if branch:
        return f"{answer.line} {branch.say}".strip() if answer else branch.say, branch.to, tries
    if answer:
        return answer.line, node.id, tries
    assert node.fallback is not None  # noqa: S101 - only an end has none
    if tries < len(node.fallback.lines):
        return node.fallback.lines[tries], node.id, tries + 1
    return node.fallback.then, node.fallback.to, tries


def _question(line: str) -> str:
    """The question of a line, to come back to; "" when it asks none. What happens, told in
    parentheses, is not said again."""
    spoken = re.sub(r"\([^)]*\)", "", line)
    sentences = re.findall(r"[^.!?…]+[.!?…]*\s*", spoken)
    asked = [sentence.strip() for sentence in sentences if "?" in sentence]
    return asked[-1] if asked else ""


def _enter(part: Part, name: str, reached: Sequence[str]) -> Node:
    """The node itself, or the one after it when what it asks for has been said already."""
    node, passed = part.node(name), {name}
    while node.skip in reached and node.branches and node.branches[0].to not in passed:
        node = part.node(node.branches[0].to)
        passed.add(node.id)
    return node


def hint(script: Script, state: State, n: int) -> str:
    """The n-th hint (from 1) for the partner's last line: lighter ones first, then a model
    answer. Raises DialogueEndedError, or ValueError when n < 1."""
    if n < 1:
        raise ValueError("hints are counted from 1")
    part = script.part(state["role"])
    node = part.node(state["node"])
    if state["ended"] or (part.is_scripted and not node.branches):
        raise DialogueEndedError("the dialogue has ended")
    if not part.is_scripted:
        open_goals = [goal for goal in part.goals if goal.id not in state["goals"]]
        goal = (open_goals or part.goals)[0]
        return goal.example if n > 1 and goal.example else goal.text
    if n <= len(node.hints):
        return node.hints[n - 1]
    useful = (b for b in node.branches if b.goal and b.goal not in state["goals"])
    return next(useful, node.branches[0]).example


# Corrections


def corrections(script: Script, learner_text: str) -> tuple[Correction, ...]:
    """The typical mistakes of the script that this text makes, from left to right."""
    text = Text.of(learner_text, script.language)
    return put_right(text.original, mistakes(script, text))


def put_right(original: str, found: Sequence[tuple[Match, Mistake]]) -> tuple[Correction, ...]:
    """The corrections of mistakes that were found in a text, from left to right."""
    return tuple(_correction(original, found, i) for i in range(len(found)))


def mistakes(script: Script, text: Text) -> list[tuple[Match, Mistake]]:
    """Matches that do not overlap; of two that begin together, the longer one."""
    matches = [
        (match, mistake)
        for mistake in script.mistakes
        if mistake.cues.find(text)
        for wrong in mistake.cues.phrases
        for match in wrong.find_all(text)
    ]
    kept: list[tuple[Match, Mistake]] = []
    for match, mistake in sorted(matches, key=lambda m: (m[0].start, -m[0].end)):
        if not kept or match.start >= kept[-1][0].end:
            kept.append((match, mistake))
    return kept


def _correction(original: str, found: Sequence[tuple[Match, Mistake]], i: int) -> Correction:
    """Every mistake of the sentence is put right in its cloze, and the i-th one hidden."""
    match, mistake = found[i]
    start, end = _sentence(original, match)
    sentence = cloze = ""
    at = start
    for other, its in found:
        if start <= other.start and other.end <= end:
            before, better = original[at : other.start], _better(other, its)
            hidden = f"{{{{c1::{better}}}}}" if other is match else better
            sentence += before + better
            cloze += _plain(before) + hidden
            at = other.end
    rest = original[at:end]
    return Correction(
        said=match.said,
        better=_better(match, mistake),
        sentence=(sentence + rest).strip(),
        cloze=(cloze + _plain(rest)).strip(),
        why=mistake.why,
    )


def _sentence(original: str, match: Match) -> tuple[int, int]:
    start = max(original.rfind(mark, 0, match.start) for mark in _SENTENCE_ENDS) + 1
    ends = [at for mark in _SENTENCE_ENDS if (at := original.find(mark, match.end)) >= 0]
    return start, min(ends, default=len(original) - 1) + 1


def _better(match: Match, mistake: Mistake) -> str:
    better = mistake.right
    for number, part in enumerate(match.parts, start=1):
        better = better.replace(f"{{{number}}}", part)
    better = " ".join(_plain(better).split())
    return better[:1].upper() + better[1:] if match.said[:1].isupper() else better


def _plain(text: str) -> str:
    """Braces would be read as cloze marks."""
    return text.replace("{", "(").replace("}", ")")


# Scores


class _Turn(NamedTuple):
    text: Text
    understood: bool
    goals: tuple[str, ...]
    corrections: tuple[Correction, ...]


def score(script: Script, role: str, turns: Sequence[str], *, free: bool = False) -> Scores:
    """Judge a dialogue by the learner's answers, in order; answers after its end count for
    nothing. How each score is made stands in docs/scenarios.md.

    `free`: the partner kept to no script. Then each answer in its language counts as understood.
    """
    part = script.part(role)
    played = _freely_played(script, part, turns) if free else _replay(script, role, turns)
    reached = {goal: i for i, turn in enumerate(played) for goal in turn.goals}
    said = [turn.text.original for turn in played]
    return Scores(
        vocabulary=_vocabulary(script, part, played),
        grammar=_grammar(script, part, played),
        fluency=_fluency(script, played),
        task=task_score(part, reached, said),
        goals=goals_score(part, reached),
    )


def _replay(script: Script, role: str, turns: Sequence[str]) -> list[_Turn]:
    played: list[_Turn] = []
    _, state = opening(script, role)
    for learner_text in turns:
        if state["ended"]:
            break
        answer = reply(script, state, learner_text)
        understood = answer.state["missed"] == state["missed"]
        text = Text.of(learner_text, script.language)
        played.append(_Turn(text, understood, answer.goals, answer.corrections))
        state = answer.state
    return played


def _freely_played(script: Script, part: Part, turns: Sequence[str]) -> list[_Turn]:
    played: list[_Turn] = []
    left = {goal.id: goal for goal in part.goals}
    for learner_text in turns:
        text = Text.of(learner_text, script.language)
        understood = not in_another_language(script, text)
        new = tuple(g for g, goal in left.items() if understood and goal.cues.find(text))
        left = {g: goal for g, goal in left.items() if g not in new}
        played.append(_Turn(text, understood, new, corrections(script, learner_text)))
    return played


def goals_score(part: Part, reached: Mapping[str, int]) -> Score:
    """The goals reached, of all; `reached` has the place of the answer for each."""
    evidence = [Evidence(reached[goal.id], goal.text) for goal in part.goals if goal.id in reached]
    value = round(100 * len(evidence) / len(part.goals))
    return Score(value, tuple(sorted(evidence, key=lambda each: each.turn)))


def task_score(part: Part, reached: Mapping[str, int], said: Sequence[str]) -> Score:
    """The same with the words that reached each goal; what is not reached, by the last answer."""
    evidence = [
        Evidence(
            reached[goal.id],
            Filled("{goal}: “{said}”", goal=goal.text, said=_beginning(said[reached[goal.id]])),
        )
        if goal.id in reached
        else Evidence(len(said) - 1, Filled("{goal}: not reached", goal=goal.text))
        for goal in part.goals
        if said
    ]
    in_order = sorted(evidence, key=lambda each: each.turn)
    return _score(len(reached), len(part.goals), in_order)


def _vocabulary(script: Script, part: Part, played: list[_Turn]) -> Score:
    """Half for useful phrases (a third of the role's is full marks), half for words of the scenario
    (half as many as the ideal dialogue has is full marks). Phrases that no model answer of the role
    uses are the other role's."""
    examples = [Text.of(example, script.language) for example in _examples(part)]
    mine = (p for p in script.phrases if any(p.cues.find(example) for example in examples))
    useful = [*mine] if part.is_scripted else [*script.phrases]
    used = _first_uses(played, [phrase.cues.find for phrase in useful])
    words = _first_words(played, _lexicon(script, part))
    ideal = _words(rehearsal(script, part.role), script.language)
    for_phrases = min(1.0, len(used) / max(1, math.ceil(len(useful) / 3)))
    for_words = min(1.0, len(words) / max(1, math.ceil(len(ideal) / 2)))
    by_turn: dict[int, list[str]] = {}
    for turn, word in words.values():
        by_turn.setdefault(turn, []).append(word)
    evidence = [*used, *(Evidence(turn, ", ".join(listed)) for turn, listed in by_turn.items())]
    in_order = sorted(evidence, key=lambda each: each.turn)
    points, of = (for_phrases + for_words, 2) if useful else (for_words, 1)
    return _score(points, of, in_order)


def _first_uses(
    played: list[_Turn], phrases: Iterable[Callable[[Text], Match | None]]
) -> list[Evidence]:
    """The answer in which each phrase is first used, with the words that do."""
    uses = []
    for find in phrases:
        found = ((i, match) for i, turn in enumerate(played) if (match := find(turn.text)))
        if first := next(found, None):
            uses.append(Evidence(first[0], _quoted(first[1].said)))
    return uses


def _first_words(played: list[_Turn], lexicon: set[str]) -> dict[str, tuple[int, str]]:
    """The answer in which each word of a lexicon is first used, and how it is written there."""
    uses: dict[str, tuple[int, str]] = {}
    for i, turn in enumerate(played):
        for word, (start, end) in zip(turn.text.words, turn.text.spans, strict=True):
            if word in lexicon:
                uses.setdefault(word, (i, turn.text.original[start:end]))
    return uses


def _grammar(script: Script, part: Part, played: list[_Turn]) -> Score:
    """The share of answers free of the script's mistakes, among those that use any of its
    words: gibberish shows nothing about grammar."""
    lexicon = _lexicon(script, part)
    judged = {
        i: [f"{wrong.said} → {wrong.better}" for wrong in turn.corrections]
        for i, turn in enumerate(played)
        if turn.corrections or lexicon.intersection(turn.text.words)
    }
    evidence = [
        Evidence(i, what)
        for i, wrong in judged.items()
        for what in wrong or [_quoted(played[i].text.original)]
    ]
    return _score(sum(not wrong for wrong in judged.values()), len(judged), evidence)


def _fluency(script: Script, played: list[_Turn]) -> Score:
    """An answer that the partner understood counts 60, and up to 40 for its length."""
    expected = WORDS_PER_TURN[script.level]
    points, evidence = 0.0, []
    for i, turn in enumerate(played):
        said, word_count = _beginning(turn.text.original), len(turn.text.words)
        what = Filled("“{said}”: not understood", said=said)
        if turn.understood:
            points += 0.6 + 0.4 * min(1.0, word_count / expected)
            usual = {"usual": expected, "level": script.level}
            what = (
                Filled("“{said}”: one word; {usual} are usual at {level}", said=said, **usual)
                if word_count == 1
                else Filled(
                    "“{said}”: {count} words; {usual} are usual at {level}",
                    said=said,
                    count=word_count,
                    **usual,
                )
            )
        evidence.append(Evidence(i, what))
    return _score(points, len(played), evidence)


def _quoted(said: str) -> str:
    return f"“{_beginning(said)}”"


def _beginning(said: str) -> str:
    return shorten(said, 80, placeholder=" …")


def _lexicon(script: Script, part: Part) -> set[str]:
    phrases = [phrase.text for phrase in script.phrases]
    return _words([*_examples(part), *phrases], script.language)


def _examples(part: Part) -> list[str]:
    branches = [branch.example for node in part.nodes for branch in node.branches]
    return [*branches, *(goal.example for goal in part.goals if goal.example)]


def _words(texts: Iterable[str], language: str) -> set[str]:
    """The distinct words of three letters or more."""
    return {word for text in texts for word in Text.of(text, language).words if len(word) > 2}


def _score(points: float, of: int, evidence: Sequence[Evidence]) -> Score:
    return Score(round(100 * points / of) if evidence else None, tuple(evidence))
