"""`manage.py list_errors`: makes the table of `docs/errors.md` anew."""

import importlib
import pkgutil
from typing import Any

from django.core.management.base import BaseCommand

from config.problems import Problem, all_problems
from config.stack import BASE_DIR
from config.wording import ADVICE

PARTS = ("config", "accounts", "learning", "reminders")


def problems() -> dict[str, type[Problem]]:
    """All problems by their code. A subclass with the same code is the same problem."""
    for part in PARTS:
        package = importlib.import_module(part)
        for module in pkgutil.walk_packages(package.__path__, f"{part}."):
            if not module.name.startswith("config.ops"):
                importlib.import_module(module.name)
    by_code: dict[str, type[Problem]] = {}
    for problem in all_problems():
        by_code.setdefault(problem.code, problem)
    return dict(sorted(by_code.items()))


PAGE = BASE_DIR / "docs" / "errors.md"
HEAD = "|---|---|---|---|\n"


class Command(BaseCommand):
    help = "Writes every error code, and what to do about it, into docs/errors.md."

    def handle(self, *args: Any, **options: Any) -> None:
        rows = [
            f"| `{code}` | {problem.status} | {problem.title} | {ADVICE.get(code, '')} |\n"
            for code, problem in problems().items()
        ]
        text = PAGE.read_text()
        PAGE.write_text("".join([text[: text.index(HEAD)], HEAD, *rows]))
