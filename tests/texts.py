"""The texts for people that are to be translated: of problems, of fields and of mails."""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from django.utils.translation.template import templatize

from config.ops.management.commands.list_errors import problems
from config.problems import all_problems
from config.stack import BASE_DIR

APPS = ("config", "accounts", "learning", "reminders")
CALLS = {"_", "gettext", "gettext_lazy", "ngettext", "Filled"}
# The place of a message among the arguments of what refuses something, its name among keywords.
MESSAGES = {
    "CalendarInvalidError": 0,
    "ClozeError": 1,
    "ErrorDetail": 0,
    "Evidence": 1,
    "FieldError": 2,
    "NotWav": 0,
    "PatternField": 1,
    "RecurrenceError": 0,
    "RegexValidator": 1,
    "Remark": 1,
    "ReminderError": 0,
    "RowError": 3,
    "SearchError": 1,
    "ShapeError": 2,
    "ValidationError": 0,
    "_Refused": 1,
    "of": 2,
}
KEYWORDS = {"detail", "message"}
# Not for learners: of local runs, of the writers of scenarios, of the model's own answers.
ENGLISH = {"LocalModelFailed", "ScriptError", "Refused"}
IN_TEMPLATES = re.compile(r"""\b(?:n?gettext|_)\(\s*u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")


@cache
def all_texts() -> set[str]:
    """Each text once, as gettext knows it."""
    titles = {problem.title for problem in (*problems().values(), *all_problems())}
    marked = {text for tree in _trees().values() for text in _marked(tree)}
    told = {part.value for _, part in _parts(_trees()) if isinstance(part, ast.Constant)}
    return titles | marked | told | set(_of_mails())


def fixed_in_english(trees: dict[Path, ast.Module] | None = None) -> list[str]:
    """The messages with values put in before they can be translated, each with its place."""
    return sorted(
        {
            f"{place}: {ast.unparse(part)}"
            for place, part in _parts(_trees() if trees is None else trees)
            if not isinstance(part, ast.Constant)
        }
    )


@cache
def _trees() -> dict[Path, ast.Module]:
    paths = [path for app in APPS for path in sorted((BASE_DIR / app).rglob("*.py"))]
    own = {"browse", "ops", "management"}  # pages and commands for staff stay in English
    return {path: ast.parse(path.read_text()) for path in paths if not own & set(path.parts)}


def _marked(tree: ast.Module) -> Iterator[str]:
    for call in _calls(tree):
        text = call.args[0] if call.args and _name(call) in CALLS else None
        if isinstance(text, ast.Constant) and isinstance(text.value, str):
            yield text.value


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def _parts(trees: dict[Path, ast.Module]) -> Iterator[tuple[str, ast.expr]]:
    """The expressions where a message is expected: texts, or calls that put one together."""
    places = _places()
    for path, tree in trees.items():
        common, made = _assigned(tree.body), _made_by_itself(tree)
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for scope in (*functions, tree):
            names = {**common, **(_assigned(ast.walk(scope)) if scope is not tree else {})}
            for call in _calls(scope):
                for message in _messages(call, places.get(made.get(call) or _name(call))):
                    where = f"{path.name}:{message.lineno}"
                    yield from ((where, part) for part in _resolved(message, names))


@cache
def _places() -> dict[str, int]:
    """The places of messages by the names of all that refuses, subclasses included."""
    bases: dict[str, set[str]] = {}
    for tree in _trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = {getattr(base, "id", "") for base in node.bases}
    places = MESSAGES | {problem.__name__: 0 for problem in all_problems()}
    while more := {
        name: places[base]
        for name, above in bases.items()
        for base in above & places.keys()
        if name not in places
    }:
        places |= more
    return {name: place for name, place in places.items() if name not in ENGLISH}


def _assigned(nodes: Iterable[ast.AST]) -> dict[str, list[ast.expr]]:
    """The values that names are given, by the name."""
    values: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values.setdefault(node.targets[0].id, []).append(node.value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            values.setdefault(node.target.id, []).append(node.value)
    return values


def _made_by_itself(tree: ast.Module) -> dict[ast.Call, str]:
    """The calls by which a class makes its instances: `cls(…)` its own, `super().__init__(…)` its
    base's."""
    return {
        call: node.name if name == "cls" else ast.unparse(node.bases[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for call in _calls(node)
        if (name := ast.unparse(call.func)) == "cls" or (name == "super().__init__" and node.bases)
    }


def _messages(call: ast.Call, place: int | None) -> Iterator[ast.expr]:
    if place is None:
        return
    yield from call.args[place : place + 1]
    yield from (keyword.value for keyword in call.keywords if keyword.arg in KEYWORDS)


def _resolved(node: ast.expr, names: dict[str, list[ast.expr]]) -> Iterator[ast.expr]:
    """The texts of an expression, and those of its parts that put texts together."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str) and " " in node.value:
            yield node
    elif isinstance(node, ast.JoinedStr) or _puts_together(node):
        yield node
    elif isinstance(node, ast.Name):
        rest = {name: values for name, values in names.items() if name != node.id}
        for value in names.get(node.id, []):
            yield from _resolved(value, rest)
    elif isinstance(node, ast.Call):
        for part in node.args if _name(node) == "fromkeys" else []:
            yield from _resolved(part, names)
    elif isinstance(node, ast.IfExp | ast.BoolOp | ast.Dict | ast.List):
        for part in ast.iter_child_nodes(node):
            if isinstance(part, ast.expr) and part is not getattr(node, "test", None):
                yield from _resolved(part, names)


def _puts_together(node: ast.expr) -> bool:
    """Whether it is `text % values`, `text + text` or `text.format(values)`, not by gettext."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add):
        return isinstance(node.left, ast.Constant | ast.JoinedStr) or _puts_together(node.left)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr == "format" and isinstance(node.func.value, ast.Constant)
    return False


def _of_mails() -> Iterator[str]:
    for path in _templates():
        for text in IN_TEMPLATES.findall(templatize(path.read_text())):
            yield ast.literal_eval(text)


def _templates() -> list[Path]:
    return sorted(path for app in APPS for path in (BASE_DIR / app).glob("templates/**/mail/*.txt"))
