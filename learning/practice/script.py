"""The format of a scripted scenario, and the checks it must pass (docs/scenarios.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from config.formats import CEFR_LEVELS
from learning.practice.matching import GAP, Match, Pattern, Text, pattern

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_PLACEHOLDER = re.compile(r"\{(\d+)\}")

T = TypeVar("T")


class ScriptError(ValueError):
    """A script breaks a rule; `path` names the field (`parts[0].nodes[2].to`), `why` the rule."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


@dataclass(frozen=True, slots=True)
class Cues:
    """What makes us recognise an intent: any of `phrases` (the longest found), and none of
    `unless`."""

    phrases: tuple[Pattern, ...] = ()
    unless: tuple[Pattern, ...] = ()

    def find(self, text: Text) -> Match | None:
        if any(p.find(text) for p in self.unless):
            return None
        matches = [match for p in self.phrases if (match := p.find(text))]
        return max(matches, key=lambda match: match.words, default=None)


@dataclass(frozen=True, slots=True)
class Role:
    id: str
    name: str
    brief: str


@dataclass(frozen=True, slots=True)
class Goal:
    id: str
    text: str
    cues: Cues


@dataclass(frozen=True, slots=True)
class Branch:
    """One thing a learner may mean here: recognised by its cues, by those of its goal, or by
    `also`, which lead here without showing that the goal was reached."""

    example: str
    goal: str | None
    cues: Cues
    also: Cues
    say: str
    to: str


@dataclass(frozen=True, slots=True)
class Fallback:
    """What helps when nothing was recognised: `lines` in turn, then `then` and on to `to`."""

    lines: tuple[str, ...]
    then: str
    to: str


@dataclass(frozen=True, slots=True)
class Node:
    """A line of the partner's. Without branches the dialogue ends here. A node whose
    `skip` goal is reached already is passed over, along its first branch."""

    id: str
    line: str
    branches: tuple[Branch, ...]
    fallback: Fallback | None
    hints: tuple[str, ...]
    skip: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """The dialogue of a learner who takes `role`."""

    role: str
    start: str
    farewell: str
    goals: tuple[Goal, ...]
    nodes: Mapping[str, Node]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A useful phrase: the two sides of a flashcard, and how we see that it was used."""

    text: str
    meaning: str
    cues: Cues


@dataclass(frozen=True, slots=True)
class Mistake:
    """A typical mistake; `{1}` in `right` is what the first variable of the pattern stood for."""

    cues: Cues
    right: str
    why: str


@dataclass(frozen=True, slots=True)
class Script:
    id: str
    order: int
    title: str
    context: str
    description: str
    level: str
    language: str
    roles: tuple[Role, Role]
    parts: tuple[Part, ...]
    phrases: tuple[Phrase, ...]
    mistakes: tuple[Mistake, ...]
    notes: str

    def part(self, role: str) -> Part:
        """Raises ValueError when no dialogue is written for a learner in that role."""
        for part in self.parts:
            if part.role == role:
                return part
        raise ValueError(f"no dialogue is written for the role '{role}'")


def read(raw: object) -> Script:
    """Check a script field by field and node by node. Raises ScriptError."""
    fields = _Field("script", raw, "").fields(
        "id order title context description level language roles parts phrases mistakes notes"
    )
    language = fields["language"].text(3, _LANGUAGE)
    roles = _roles(fields["roles"])
    script = Script(
        id=fields["id"].slug(),
        order=fields["order"].integer(),
        title=fields["title"].text(80),
        context=fields["context"].slug(),
        description=fields["description"].text(600),
        level=fields["level"].one_of(CEFR_LEVELS),
        language=language,
        roles=roles,
        parts=tuple(_part(f, language) for f in fields["parts"].items(1, 2)),
        phrases=tuple(_phrase(f, language) for f in fields["phrases"].items(0, 40)),
        mistakes=tuple(_mistake(f, language) for f in fields["mistakes"].items(0, 40)),
        notes=fields["notes"].text(2000),
    )
    for i, (part, field) in enumerate(zip(script.parts, fields["parts"].items(1, 2), strict=True)):
        if part.role not in (role.id for role in roles):
            field.fail(f"no role '{part.role}'")
        if part.role in (other.role for other in script.parts[:i]):
            field.fail(f"a second part for '{part.role}'")
        _check(script, part, field.path)
    return script


# Fields


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    value: Any
    path: str

    def fail(self, why: str) -> NoReturn:
        raise ScriptError(self.path or self.name, why)

    def fields(self, required: str, optional: str = "") -> dict[str, _Field]:
        if not isinstance(self.value, dict):
            self.fail("must be an object")
        for name in self.value:
            if name not in required.split() + optional.split():
                self._child(name).fail("unknown field")
        for name in required.split():
            if name not in self.value:
                self._child(name).fail("is missing")
        return {name: self._child(name) for name in self.value}

    def _child(self, name: str) -> _Field:
        value = self.value.get(name)
        return _Field(name, value, f"{self.path}.{name}" if self.path else str(name))

    def items(self, least: int, most: int) -> list[_Field]:
        if not isinstance(self.value, list):
            self.fail("must be a list")
        if not least <= len(self.value) <= most:
            self.fail(f"must have {least} to {most} items")
        return [_Field(self.name, v, f"{self.path}[{i}]") for i, v in enumerate(self.value)]

    def text(self, most: int, shape: re.Pattern[str] | None = None) -> str:
        if not isinstance(self.value, str) or not self.value.strip():
            self.fail("must be a text")
        if len(self.value) > most:
            self.fail(f"must have at most {most} characters")
        if shape and not shape.fullmatch(self.value):
            self.fail(f"must look like {shape.pattern}")
        return self.value

    def slug(self) -> str:
        return self.text(60, _SLUG)

    def one_of(self, choices: tuple[str, ...]) -> str:
        if self.value not in choices:
            self.fail(f"must be one of {', '.join(choices)}")
        return str(self.value)

    def integer(self) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool) or self.value < 0:
            self.fail("must be a whole number, 0 or more")
        return self.value

    def pattern(self, language: str) -> Pattern:
        try:
            return pattern(self.text(200), language)
        except ScriptError:
            raise
        except ValueError as error:
            raise ScriptError(self.path, str(error)) from None

    def patterns(self, language: str) -> tuple[Pattern, ...]:
        return tuple(item.pattern(language) for item in self.items(0, 40))


def _optional(fields: dict[str, _Field], name: str, take: Callable[[_Field], T], default: T) -> T:
    return take(fields[name]) if name in fields else default


def _texts(field: _Field, least: int, most: int) -> tuple[str, ...]:
    return tuple(item.text(400) for item in field.items(least, most))


def _cues(fields: dict[str, _Field], language: str, phrases: str = "phrases") -> Cues:
    none: tuple[Pattern, ...] = ()
    return Cues(
        phrases=_optional(fields, phrases, lambda f: f.patterns(language), none),
        unless=_optional(fields, "unless", lambda f: f.patterns(language), none),
    )


def _roles(field: _Field) -> tuple[Role, Role]:
    roles = []
    for item in field.items(2, 2):
        fields = item.fields("id name brief")
        roles.append(
            Role(fields["id"].slug(), fields["name"].text(60), fields["brief"].text(400)),
        )
    if roles[0].id == roles[1].id:
        field.fail("the two roles must differ")
    return roles[0], roles[1]


def _phrase(field: _Field, language: str) -> Phrase:
    fields = field.fields("text meaning", "phrases")
    text = fields["text"].text(200)
    cues = _cues(fields, language)
    if not cues.phrases:
        cues = Cues((_Field("text", _as_pattern(text), fields["text"].path).pattern(language),))
    return Phrase(text, fields["meaning"].text(400), cues)


def _as_pattern(phrase: str) -> str:
    """A phrase as its own pattern: "Can I have …, please?" → "Can I have ... please"."""
    words = re.sub(r"[^\w\s'’…]", " ", phrase.replace(GAP, "…")).replace("…", f" {GAP} ").split()
    while words and words[0] == GAP:
        words.pop(0)
    while words and words[-1] == GAP:
        words.pop()
    return " ".join(words)


def _mistake(field: _Field, language: str) -> Mistake:
    fields = field.fields("phrases right why", "unless")
    mistake = Mistake(_cues(fields, language), fields["right"].text(200), fields["why"].text(400))
    if not mistake.cues.phrases:
        fields["phrases"].fail("must have a pattern")
    for number in _PLACEHOLDER.findall(mistake.right):
        if any(not 1 <= int(number) <= p.regex.groups for p in mistake.cues.phrases):
            fields["right"].fail(f"{{{number}}} stands for nothing in one of the patterns")
    return mistake


def _part(field: _Field, language: str) -> Part:
    fields = field.fields("role start farewell goals nodes")
    goals = tuple(_goal(item, language) for item in fields["goals"].items(1, 8))
    nodes = tuple(_node(item, language) for item in fields["nodes"].items(1, 60))
    _distinct(fields["goals"], [goal.id for goal in goals])
    _distinct(fields["nodes"], [node.id for node in nodes])
    return Part(
        role=fields["role"].slug(),
        start=fields["start"].slug(),
        farewell=fields["farewell"].text(400),
        goals=goals,
        nodes={node.id: node for node in nodes},
    )


def _distinct(field: _Field, ids: list[str]) -> None:
    for i, name in enumerate(ids):
        if name in ids[:i]:
            field.items(0, len(ids))[i].fail(f"'{name}' is taken")


def _goal(field: _Field, language: str) -> Goal:
    fields = field.fields("id text phrases", "unless")
    if not fields["phrases"].patterns(language):
        fields["phrases"].fail("must have a pattern")
    return Goal(fields["id"].slug(), fields["text"].text(200), _cues(fields, language))


def _node(field: _Field, language: str) -> Node:
    ends = isinstance(field.value, dict) and "branches" not in field.value
    fields = (
        field.fields("id line") if ends else field.fields("id line branches fallback hints", "skip")
    )
    return Node(
        id=fields["id"].slug(),
        line=fields["line"].text(600),
        branches=()
        if ends
        else tuple(_branch(item, language) for item in fields["branches"].items(1, 12)),
        fallback=None if ends else _fallback(fields["fallback"]),
        hints=() if ends else _texts(fields["hints"], 1, 5),
        skip=_optional(fields, "skip", _Field.slug, None),
    )


def _branch(field: _Field, language: str) -> Branch:
    fields = field.fields("example to", "goal phrases also unless say")
    if "goal" not in fields and "phrases" not in fields:
        field.fail("needs phrases or a goal to be recognised by")
    return Branch(
        example=fields["example"].text(400),
        goal=_optional(fields, "goal", _Field.slug, None),
        cues=_cues(fields, language),
        also=_cues(fields, language, "also"),
        say=_optional(fields, "say", lambda f: f.text(400), ""),
        to=fields["to"].slug(),
    )


def _fallback(field: _Field) -> Fallback:
    fields = field.fields("lines to", "then")
    return Fallback(
        lines=_texts(fields["lines"], 1, 4),
        then=_optional(fields, "then", lambda f: f.text(400), ""),
        to=fields["to"].slug(),
    )


# The dialogue as a whole


def _check(script: Script, part: Part, path: str) -> None:
    goals = {goal.id: goal for goal in part.goals}
    if part.start not in part.nodes:
        raise ScriptError(f"{path}.start", f"no node '{part.start}'")
    for i, node in enumerate(part.nodes.values()):
        at = f"{path}.nodes[{i}]"
        for name, to in _exits(node):
            if to not in part.nodes:
                raise ScriptError(f"{at}.{name}.to", f"no node '{to}'")
        if node.skip and node.skip not in goals:
            raise ScriptError(f"{at}.skip", f"no goal '{node.skip}'")
        _check_branches(script, goals, node, at)
    _check_reachable(part, path)
    _check_fallbacks_end(part, path)


def _exits(node: Node) -> Iterable[tuple[str, str]]:
    for i, branch in enumerate(node.branches):
        yield f"branches[{i}]", branch.to
    if node.fallback:
        yield "fallback", node.fallback.to


def _check_branches(script: Script, goals: dict[str, Goal], node: Node, at: str) -> None:
    for i, branch in enumerate(node.branches):
        if branch.goal and branch.goal not in goals:
            raise ScriptError(f"{at}.branches[{i}].goal", f"no goal '{branch.goal}'")
    for i, branch in enumerate(node.branches):
        path = f"{at}.branches[{i}]"
        if branch.to == node.id and not branch.say:
            raise ScriptError(f"{path}.say", "an answer that stays at its node must say something")
        text = Text.of(branch.example, script.language)
        if (other := chosen_branch(node, goals, text)) is not branch:
            where = f"into the branch '{other.example}'" if other else "nowhere"
            raise ScriptError(f"{path}.example", f"leads {where}, not into its own branch")
        for mistake in script.mistakes:
            if match := mistake.cues.find(text):
                raise ScriptError(f"{path}.example", f"'{match.said}' counts as a mistake")


def chosen_branch(node: Node, goals: Mapping[str, Goal], text: Text) -> Branch | None:
    """The branch this answer takes: the one recognised by most words, be it by its own cues or
    its goal's; of equals the one with more words of its own, then the first."""

    def words(cues: Cues) -> int:
        return match.words if (match := cues.find(text)) else 0

    def strength(branch: Branch) -> tuple[int, int]:
        own = max(words(branch.cues), words(branch.also))
        return max(own, words(goals[branch.goal].cues) if branch.goal else 0), own

    best = max(node.branches, key=strength, default=None)
    return best if best and strength(best)[0] else None


def _check_reachable(part: Part, path: str) -> None:
    seen: set[str] = set()
    waiting = [part.start]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [to for _, to in _exits(part.nodes[name])]
    for i, name in enumerate(part.nodes):
        if name not in seen:
            raise ScriptError(f"{path}.nodes[{i}]", f"nothing leads to '{name}'")


def _check_fallbacks_end(part: Part, path: str) -> None:
    """Whoever is never understood must still come to an end."""
    for i, node in enumerate(part.nodes.values()):
        seen = {node.id}
        while node.fallback:
            node = part.nodes[node.fallback.to]
            if node.id in seen:
                raise ScriptError(f"{path}.nodes[{i}].fallback.to", "never comes to an end")
            seen.add(node.id)
