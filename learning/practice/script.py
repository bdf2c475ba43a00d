"""The format of a scripted scenario, and the checks it must pass (docs/scenarios.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Annotated

from config.formats import CEFR_LEVELS
from config.records import dataclass
from learning.practice.matching import GAP, Match, Pattern, Text, pattern, straight
from learning.shapes import Choice, Items, Range, ShapeError, decode
from learning.shapes import Text as Chars

SCRIPTED, MODEL = PARTNERS = ("scripted", "model")
"""Who can play the partner: the scenario's own script, or a model that knows it."""

PARTS_OF_SPEECH = (
    "noun", "verb", "adjective", "adverb", "pronoun", "determiner", "preposition", "conjunction",
    "numeral", "interjection", "phrase",
)  # fmt: skip

FAREWELL = {
    "en": "Thank you. Goodbye!",
    "de": "Vielen Dank. Auf Wiedersehen!",
    "fr": "Merci. Au revoir !",
    "es": "Gracias. ¡Hasta luego!",
    "it": "Grazie. Arrivederci!",
    "pt": "Obrigado. Até logo!",
    "nl": "Bedankt. Tot ziens!",
    "pl": "Dziękuję. Do widzenia!",
    "sv": "Tack. Hej då!",
}

SLUG = r"[a-z0-9]+(?:-[a-z0-9]+)*"
LANGUAGE = r"[a-z]{2,3}"
_PLACEHOLDER = re.compile(r"\{(\d+)\}")

Slug = Annotated[str, Chars(60, SLUG)]
Language = Annotated[str, Chars(3, LANGUAGE)]
Line = Annotated[str, Chars(400)]
Patterns = Annotated[tuple[Annotated[Pattern, Chars(200)], ...], Items(0, 40)]


class ScriptError(ValueError):
    """A script breaks a rule; `path` names the field (`parts.0.nodes.2.to`), `why` the rule."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


@dataclass(frozen=True)
class Cues:
    """The patterns of an intent: any of `phrases` (the longest one found), and none of
    `unless`."""

    phrases: tuple[Pattern, ...] = ()
    unless: tuple[Pattern, ...] = ()

    def find(self, text: Text) -> Match | None:
        if any(p.find(text) for p in self.unless):
            return None
        matches = [match for p in self.phrases if (match := p.find(text))]
        return max(matches, key=lambda match: match.words, default=None)


@dataclass(frozen=True)
class Role:
    """A person in the scenario: `brief` tells its player what this person wants and knows."""

    id: Slug
    name: Annotated[str, Chars(60)]
    brief: Line


@dataclass(frozen=True)
class Goal:
    """Reached by an answer that has any of `phrases` and none of `unless`.

    Without phrases a model alone can tell, by the `example` if there is one (docs/scenarios.md).
    """

    id: Slug
    text: Annotated[str, Chars(200)]
    phrases: Patterns = ()
    unless: Patterns = ()
    example: Annotated[Line, "What a learner may say, where no dialogue is written"] = ""

    @property
    def cues(self) -> Cues:
        return Cues(self.phrases, self.unless)


@dataclass(frozen=True)
class Branch:
    """One thing that a learner may mean, recognised by its phrases or by those of its goal;
    `also` leads here without reaching the goal."""

    example: Line
    to: Slug
    goal: Slug | None = None
    phrases: Patterns = ()
    also: Patterns = ()
    unless: Patterns = ()
    say: Line = ""

    @property
    def cues(self) -> Cues:
        return Cues(self.phrases, self.unless)

    @property
    def other_cues(self) -> Cues:
        """The cues that lead here and prove nothing."""
        return Cues(self.also, self.unless)


@dataclass(frozen=True)
class StandingAnswer:
    """An answer that holds anywhere in the dialogue: what the partner says to a goal, or to
    phrases, wherever they come up, before going back to the question."""

    say: Line
    goal: Slug | None = None
    phrases: Patterns = ()
    unless: Patterns = ()

    def find(self, text: Text, goals: Mapping[str, Goal]) -> Match | None:
        if any(p.find(text) for p in self.unless):
            return None
        if self.goal and (match := goals[self.goal].cues.find(text)):
            return match
        return Cues(self.phrases).find(text)


@dataclass(frozen=True)
class Fallback:
    """The help when nothing was recognised: `lines` in turn, then `then` and on to `to`."""

    lines: Annotated[tuple[Line, ...], Items(1, 4)]
    to: Slug
    then: Line = ""


@dataclass(frozen=True)
class Node:
    """A line of the partner's. Without branches the dialogue ends here. A node whose `skip` goal
    is reached already is passed over, along its first branch."""

    id: Slug
    line: Annotated[str, Chars(600)]
    branches: Annotated[tuple[Branch, ...], Items(1, 12)] = ()
    fallback: Fallback | None = None
    hints: Annotated[tuple[Line, ...], Items(1, 5)] = ()
    skip: Annotated[Slug, "A goal that makes this line superfluous once reached"] | None = None


@dataclass(frozen=True)
class Part:
    """The dialogue of a learner who takes `role`.

    Where a model alone plays, it may be lines without branches: the opening, and those that lead
    to the goals that they `skip`.
    """

    role: Slug
    start: Slug
    goals: Annotated[tuple[Goal, ...], Items(3, 5)]
    nodes: Annotated[tuple[Node, ...], Items(1, 60)]
    answers: Annotated[tuple[StandingAnswer, ...], Items(0, 20)] = ()
    farewell: Line = ""

    @property
    def is_scripted(self) -> bool:
        """Whether there is a dialogue that the script can play."""
        return any(node.branches for node in self.nodes)

    def farewell_in(self, language: str) -> str:
        """What the partner says to take leave, if nothing else is written."""
        return self.farewell or FAREWELL.get(language, FAREWELL["en"])

    def node(self, name: str) -> Node:
        """Raises KeyError when there is no such node."""
        return {node.id: node for node in self.nodes}[name]


@dataclass(frozen=True)
class Phrase:
    """A useful phrase: the two sides of a flashcard, and the patterns that show its use."""

    text: Annotated[str, Chars(200)]
    meaning: Line
    phrases: Patterns = ()
    unless: Patterns = ()

    @property
    def cues(self) -> Cues:
        return Cues(self.phrases, self.unless)


@dataclass(frozen=True)
class Mistake:
    """A typical mistake; `{1}` in `right` is what the first variable of the pattern stood for."""

    phrases: Patterns
    right: Annotated[str, Chars(200)]
    why: Line
    unless: Patterns = ()

    @property
    def cues(self) -> Cues:
        return Cues(self.phrases, self.unless)


@dataclass(frozen=True)
class NewWord:
    """A word of the dialogue that the learner may not know."""

    term: Annotated[str, Chars(60), "As it stands in your reply or in the learner's words"]
    meaning: Annotated[str, Chars(200), "In the learner's native language"]
    example: Annotated[str, Chars(300), "A sentence with it"]


@dataclass(frozen=True, kw_only=True)
class Script:
    """A scenario as its authors write it: texts, roles, and the dialogue of one role or both."""

    id: Slug
    order: Annotated[int, Range(0, 999_999)] = 0
    title: Annotated[str, Chars(80)]
    context: Annotated[Slug, "Where it takes place, e.g. food, travel, work"]
    description: Annotated[str, Chars(600)]
    level: Annotated[str, Choice(CEFR_LEVELS)]
    language: Language
    roles: Annotated[tuple[Role, ...], Items(2, 2)]
    parts: Annotated[tuple[Part, ...], Items(1, 2)]
    phrases: Annotated[tuple[Phrase, ...], Items(0, 40)]
    mistakes: Annotated[tuple[Mistake, ...], Items(0, 40)]
    notes: Annotated[str, Chars(2000)] = ""
    partners: Annotated[
        tuple[Annotated[str, Choice(PARTNERS)], ...], Items(1, 2), "Who may play the partner"
    ] = PARTNERS

    def part(self, role: str) -> Part:
        """Raises ValueError when no dialogue is written for a learner in that role."""
        for part in self.parts:
            if part.role == role:
                return part
        raise ValueError(f"no dialogue is written for the role '{role}'")


def read(raw: object) -> Script:
    """Check a script field by field and node by node. Raises ScriptError."""
    language = raw.get("language") if isinstance(raw, dict) else None
    leaves = {Pattern: partial(pattern, language=language if isinstance(language, str) else "")}
    try:
        script: Script = decode(Script, raw, leaves)
        phrases = tuple(_with_cues(phrase, i, script) for i, phrase in enumerate(script.phrases))
    except ShapeError as error:
        raise ScriptError(error.path or "script", error.message) from None
    _check_roles(script)
    _check_distinct(list(script.partners), "partners")
    for i, mistake in enumerate(script.mistakes):
        _check_mistake(mistake, f"mistakes.{i}")
    for i, part in enumerate(script.parts):
        _check(script, part, f"parts.{i}")
    return replace(script, phrases=phrases)


def _with_cues(phrase: Phrase, i: int, script: Script) -> Phrase:
    """A phrase without patterns is recognised by its own words."""
    if phrase.phrases:
        return phrase
    try:
        return replace(phrase, phrases=(pattern(as_pattern(phrase.text), script.language),))
    except ValueError as error:
        raise ScriptError(f"phrases.{i}.text", str(error)) from None


def as_pattern(phrase: str) -> str:
    """A phrase as its own pattern: "Can I have …, please?" → "Can I have ... please"."""
    plain = straight(phrase.replace(GAP, "…"))
    words = re.sub(r"[^\w\s'…]", " ", plain).replace("…", f" {GAP} ").split()
    while words and words[0] == GAP:
        words.pop(0)
    while words and words[-1] == GAP:
        words.pop()
    return " ".join(words)


# The dialogue as a whole


def _check_roles(script: Script) -> None:
    roles = [role.id for role in script.roles]
    if roles[0] == roles[1]:
        raise ScriptError("roles", "the two roles must differ")
    played = [part.role for part in script.parts]
    for i, role in enumerate(played):
        if role not in roles:
            raise ScriptError(f"parts.{i}", f"no role '{role}'")
        if role in played[:i]:
            raise ScriptError(f"parts.{i}", f"a second part for '{role}'")


def _check_mistake(mistake: Mistake, path: str) -> None:
    if not mistake.phrases:
        raise ScriptError(f"{path}.phrases", "must have a pattern")
    for number in _PLACEHOLDER.findall(mistake.right):
        if any(not 1 <= int(number) <= p.regex.groups for p in mistake.phrases):
            why = f"{{{number}}} stands for nothing in one of the patterns"
            raise ScriptError(f"{path}.right", why)


def _check(script: Script, part: Part, path: str) -> None:
    goals = {goal.id: goal for goal in part.goals}
    _check_distinct([goal.id for goal in part.goals], f"{path}.goals")
    _check_distinct([node.id for node in part.nodes], f"{path}.nodes")
    names = {node.id for node in part.nodes}
    if part.start not in names:
        raise ScriptError(f"{path}.start", f"no node '{part.start}'")
    if script.partners == (MODEL,) and not part.is_scripted:
        _check_known_goals(part, goals, path)
        return
    if not part.farewell:
        raise ScriptError(f"{path}.farewell", "is missing")
    for i, goal in enumerate(part.goals):
        if not goal.phrases:
            raise ScriptError(f"{path}.goals.{i}.phrases", "must have a pattern")
        if goal.example:
            raise ScriptError(f"{path}.goals.{i}.example", "belongs into a branch of the dialogue")
    for i, node in enumerate(part.nodes):
        at = f"{path}.nodes.{i}"
        _check_end(node, at)
        for name, to in _exits(node):
            if to not in names:
                raise ScriptError(f"{at}.{name}.to", f"no node '{to}'")
        if node.skip and node.skip not in goals:
            raise ScriptError(f"{at}.skip", f"no goal '{node.skip}'")
        _check_branches(script, goals, node, at)
    _check_answers(part, goals, path)
    _check_reachable(part, path)
    _check_fallbacks_end(part, path)


def _check_answers(part: Part, goals: dict[str, Goal], path: str) -> None:
    """A goal may be said anywhere, so each has an answer that holds anywhere."""
    _check_known_goals(part, goals, path)
    for i, answer in enumerate(part.answers):
        if not answer.goal and not answer.phrases:
            why = "needs phrases or a goal to be recognised by"
            raise ScriptError(f"{path}.answers.{i}", why)
        if answer.goal and not set(answer.unless) <= set(goals[answer.goal].unless):
            why = f"leaves '{answer.goal}' without an answer: write it beside the goal"
            raise ScriptError(f"{path}.answers.{i}.unless", why)
    for i, goal in enumerate(part.goals):
        if goal.id not in (answer.goal for answer in part.answers):
            why = f"'{goal.id}' can be reached without an answer to it"
            raise ScriptError(f"{path}.goals.{i}", why)


def _check_known_goals(part: Part, goals: Mapping[str, Goal], path: str) -> None:
    for i, answer in enumerate(part.answers):
        if answer.goal and answer.goal not in goals:
            raise ScriptError(f"{path}.answers.{i}.goal", f"no goal '{answer.goal}'")


def _check_distinct(ids: list[str], path: str) -> None:
    for i, name in enumerate(ids):
        if name in ids[:i]:
            raise ScriptError(f"{path}.{i}", f"'{name}' is taken")


def _check_end(node: Node, path: str) -> None:
    """Help belongs to a node with branches, and every such node has it."""
    for name, value in (("fallback", node.fallback), ("hints", node.hints)):
        if node.branches and not value:
            raise ScriptError(f"{path}.{name}", "is missing")
        if value and not node.branches:
            raise ScriptError(f"{path}.{name}", "an end needs no help")


def _exits(node: Node) -> Iterable[tuple[str, str]]:
    for i, branch in enumerate(node.branches):
        yield f"branches.{i}", branch.to
    if node.fallback:
        yield "fallback", node.fallback.to


def _check_branches(script: Script, goals: dict[str, Goal], node: Node, at: str) -> None:
    for i, branch in enumerate(node.branches):
        if branch.goal and branch.goal not in goals:
            raise ScriptError(f"{at}.branches.{i}.goal", f"no goal '{branch.goal}'")
        if not branch.goal and not branch.phrases:
            why = "needs phrases or a goal to be recognised by"
            raise ScriptError(f"{at}.branches.{i}", why)
    for i, branch in enumerate(node.branches):
        path = f"{at}.branches.{i}"
        if branch.to == node.id and not branch.say:
            raise ScriptError(f"{path}.say", "an answer that stays at its node must say something")
        text = Text.of(branch.example, script.language)
        if (other := chosen_branch(node, goals, text)) is not branch:
            where = f"into the branch '{other.example}'" if other else "nowhere"
            raise ScriptError(f"{path}.example", f"leads {where}, not into its own branch")
        for mistake in script.mistakes:
            if match := mistake.cues.find(text):
                raise ScriptError(f"{path}.example", f"'{match.said}' counts as a mistake")


def in_another_language(script: Script, text: Text) -> bool:
    """Whether more than three different words have at most one in common with the script: "no" is
    a word of many languages, and no answer by itself in a sentence of another one. Where little
    is written, frequent words tell."""
    if not all(part.is_scripted for part in script.parts):
        from learning.practice.languages import explains, words_of  # no other scenario loads it

        known = words_of(_written(script), script.language)
        return not explains(text.original, script.language, known)
    unknown = {word for word in text.words if not word.isdigit()}
    most_unknown = len(unknown) - 2
    if len(unknown) <= 3:
        return False
    for written in _written(script):
        unknown -= _words(written, script.language)
        if len(unknown) <= most_unknown:
            return False
    return True


@lru_cache(maxsize=4096)  # the texts of some scripts, which are asked about at every turn
def _words(written: str, language: str) -> frozenset[str]:
    return frozenset(Text.of(written, language).words)


def _written(script: Script) -> Iterable[str]:
    """All that is said in a script, and the words of its patterns."""
    patterns: list[Pattern] = []
    for part in script.parts:
        for node in part.nodes:
            yield node.line
            yield from (branch.example for branch in node.branches)
            patterns += (p for b in node.branches for p in (*b.phrases, *b.also))
        patterns += (p for goal in part.goals for p in goal.phrases)
        patterns += (p for answer in part.answers for p in answer.phrases)
    for phrase in script.phrases:
        yield phrase.text
        patterns += phrase.phrases
    yield from (re.sub("[/_]", " ", p.source) for p in patterns)


@lru_cache(maxsize=64)
def words_of_the_scene(script: Script) -> frozenset[str]:
    """The words by which a sentence shows that it belongs into the scene.

    Those of the situation are not among them: order, say and ask are what authors tell learners to
    do, and what somebody would tell a model to do.
    """
    from learning.practice.languages import content_words

    texts = [script.title, *(text for role in script.roles for text in (role.name, role.brief))]
    texts += [phrase.text for phrase in script.phrases]
    for part in script.parts:
        texts += [node.line for node in part.nodes] + [answer.say for answer in part.answers]
        texts += [goal.example for goal in part.goals]
    return frozenset(content_words("\n".join(texts), script.language))


def chosen_branch(node: Node, goals: Mapping[str, Goal], text: Text) -> Branch | None:
    """The branch this answer takes: the one recognised by most words, be it by its own cues or
    its goal's; of equals the one with more words of its own, then the first."""
    best = max(node.branches, key=lambda branch: _strength(branch, goals, text), default=None)
    return best if best and branch_words(best, goals, text) else None


def branch_words(branch: Branch, goals: Mapping[str, Goal], text: Text) -> int:
    """How many words of the text a branch is recognised by."""
    return _strength(branch, goals, text)[0]


def _strength(branch: Branch, goals: Mapping[str, Goal], text: Text) -> tuple[int, int]:
    def words(cues: Cues) -> int:
        return match.words if (match := cues.find(text)) else 0

    own = max(words(branch.cues), words(branch.other_cues))
    return max(own, words(goals[branch.goal].cues) if branch.goal else 0), own


def _check_reachable(part: Part, path: str) -> None:
    seen: set[str] = set()
    waiting = [part.start]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [to for _, to in _exits(part.node(name))]
    for i, node in enumerate(part.nodes):
        if node.id not in seen:
            raise ScriptError(f"{path}.nodes.{i}", f"nothing leads to '{node.id}'")


def _check_fallbacks_end(part: Part, path: str) -> None:
    """Whoever is never understood must still come to an end."""
    for i, node in enumerate(part.nodes):
        seen = {node.id}
        while node.fallback:
            node = part.node(node.fallback.to)
            if node.id in seen:
                raise ScriptError(f"{path}.nodes.{i}.fallback.to", "never comes to an end")
            seen.add(node.id)
