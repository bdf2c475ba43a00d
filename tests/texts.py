"""The texts for people that are to be translated: of problems, of fields and of mails."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation.template import templatize

from config.ops.management.commands.list_errors import problems
from config.stack import BASE_DIR

APPS = ("config", "accounts", "learning", "reminders")
CALLS = {"_", "gettext", "gettext_lazy", "ngettext"}
# The place of a message among the arguments of what refuses a field.
MESSAGES = {"ValidationError": 0, "PatternField": 1, "of": 2}
IN_TEMPLATES = re.compile(r"""\b(?:n?gettext|_)\(\s*u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")


def all_texts() -> set[str]:
    """Each text once, as gettext knows it."""
    titles = {problem.title for problem in problems().values()}
    return titles | set(_of_code()) | set(_of_mails())


def _of_code() -> Iterator[str]:
    for app in APPS:
        for path in sorted((BASE_DIR / app).rglob("*.py")):
            if "browse" in path.parts or "ops" in path.parts or "management" in path.parts:
                continue  # pages and commands for staff stay in English
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    yield from _of_call(node)


def _of_call(call: ast.Call) -> Iterator[str]:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if name in CALLS:
        places = range(1)
    elif name in MESSAGES:
        places = range(MESSAGES[name], MESSAGES[name] + 1)
    else:
        return
    for argument in [call.args[place] for place in places if place < len(call.args)]:
        text = argument.value if isinstance(argument, ast.Constant) else None
        if isinstance(text, str) and (name in CALLS or " " in text):
            yield text


def _of_mails() -> Iterator[str]:
    for path in _templates():
        for text in IN_TEMPLATES.findall(templatize(path.read_text())):
            yield ast.literal_eval(text)


def _templates() -> list[Path]:
    return sorted(path for app in APPS for path in (BASE_DIR / app).glob("templates/**/mail/*.txt"))
