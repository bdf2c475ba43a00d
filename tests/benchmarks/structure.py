"""How many files there are, and how many of them a request passes.

usage: python -m tests.benchmarks.structure [--details]     (the files behind the figures)

The first table counts the files of the four packages: those that are not empty, those of at most 40
lines (the names that Django fixes aside), the modules that a single other module imports, and the
lines of code without blanks, comments and docstrings. The second one runs requests against the
embedded AWS and counts the files of ours in which a function ran, by `sys.setprofile`, once
everything is loaded. Each figure stands beside the most it may be; one that is higher ends this
with 1, and so does a figure that `docs/architecture.md` tells otherwise.
"""

import ast
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("config", "accounts", "learning", "reminders")
FIXED_NAMES = {
    "apps.py",
    "urls.py",
    "tasks.py",
    "signals.py",
    "settings.py",
    "wsgi.py",
    "__init__.py",
}
SETTINGS = ("config/settings.py", "zappa_settings.json")  # they name entry points
SMALL = 40  # lines
MOST = {
    "files that are not empty": 200,
    f"… of at most {SMALL} lines": 12,
    "modules with one importer": 16,
    "lines of code": 19_500,
    "GET /decks/{id}": 18,
    "GET /flashcards/due": 22,
    "POST /flashcards/{id}/reviews": 24,
    "POST /auth/login": 19,
    "a mail": 15,
}
WITH_TOKEN = ("GET /decks/{id}", "GET /flashcards/due", "POST /flashcards/{id}/reviews")


def tracked_files() -> dict[str, Path]:
    """The path of each module of the four packages that is not empty, by its dotted name."""
    listed = subprocess.run(
        ["git", "ls-files", *(f"{package}/*.py" for package in PACKAGES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return {
        name.removesuffix(".py").replace("/", ".").removesuffix(".__init__"): ROOT / name
        for name in listed
        if (ROOT / name).read_text().strip()
    }


def lines_of_code(source: str) -> int:
    """The number of lines that hold code: not only blanks, comments or docstrings."""
    ignored = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
        tokenize.ENCODING,
    }
    starts_statement = {tokenize.INDENT, tokenize.NEWLINE, tokenize.DEDENT, tokenize.ENCODING}
    lines: set[int] = set()
    previous = tokenize.ENCODING
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        is_docstring = token.type == tokenize.STRING and previous in starts_statement
        if token.type not in ignored and not is_docstring:
            lines.update(range(token.start[0], token.end[0] + 1))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            previous = token.type
    return len(lines)


def imports_of(source: str) -> set[str]:
    """The dotted names that a module imports, anywhere in it, or gives as text, as routes do."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return names


def single_importers(modules: dict[str, Path]) -> dict[str, str]:
    """Modules with a single importer, and that importer, where a reader would not expect it.

    Expected are: a resource (`api/`, and views that `urls` import); the service of one resource;
    items, which `models/__init__` imports to register them; commands and Django's fixed names; and
    entry points, which settings name.
    """
    settings = "".join((ROOT / name).read_text() for name in SETTINGS)
    importers: dict[str, set[str]] = {name: set() for name in modules}
    for name, path in modules.items():
        for imported in imports_of(path.read_text()) & modules.keys() - {name}:
            importers[imported].add(name)
    single = {name: next(iter(by)) for name, by in importers.items() if len(by) == 1}
    return {
        name: importer
        for name, importer in single.items()
        if ".api." not in name
        and not importer.endswith(".urls")
        and not re.search(rf"\"{re.escape(name)}\.", settings)
        and not (".services." in name and ".api." in importer)
        and not (".models." in name and importer.endswith(".models"))
        and ".management.commands." not in name
        and modules[name].name not in FIXED_NAMES
    }


def static_figures() -> tuple[dict[str, int], list[str]]:
    """The figures of the first table, and the names behind those that list something."""
    modules = tracked_files()
    sources = {name: path.read_text() for name, path in modules.items()}
    small = [
        name
        for name, path in modules.items()
        if path.name not in FIXED_NAMES
        and "commands" not in path.parts
        and sources[name].count("\n") <= SMALL
    ]
    single = single_importers(modules)
    figures = {
        "files that are not empty": len(modules),
        f"… of at most {SMALL} lines": len(small),
        "modules with one importer": len(single),
        "lines of code": sum(map(lines_of_code, sources.values())),
    }
    details = [f"at most {SMALL} lines: {name}" for name in small]
    details += [f"one importer: {name} (by {importer})" for name, importer in single.items()]
    return figures, details


@dataclass
class Passage:
    """The files and functions of ours that ran."""

    functions: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def files(self) -> list[str]:
        return sorted({file for file, _ in self.functions})


@contextmanager
def watched() -> Iterator[Passage]:
    """Notes each call of a function in one of the four packages, in this thread and new ones."""
    passage = Passage()
    roots = tuple(f"{ROOT / package}/" for package in PACKAGES)

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(roots):
            file = str(Path(frame.f_code.co_filename).relative_to(ROOT))
            passage.functions[file, frame.f_code.co_qualname] += 1

    sys.setprofile(note)
    threading.setprofile(note)
    try:
        yield passage
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def passages() -> Iterator[tuple[str, Passage]]:
    """The files that each request passes: the second of two alike, with all caches full."""
    from django.conf import settings

    from tests.accounts_helpers import api, log_in, sign_up

    settings.ALLOWED_HOSTS = ["testserver", *settings.ALLOWED_HOSTS]
    ana = sign_up("ana")
    deck = api.post("/decks", {"name": "Português"}, token=ana.token).json()
    cards = []
    for front, back in (("casa", "house"), ("mesa", "table")):
        body = {"deckId": deck["id"], "front": front, "back": back}
        cards.append(api.post("/flashcards", body, token=ana.token).json()["id"])

    def review() -> Any:
        body = {"id": str(uuid4()), "rating": "good", "reviewedAt": _in(seconds=0)}
        return api.post(f"/flashcards/{cards[0]}/reviews", body, token=ana.token)

    turn_mfa_on(ana.token)
    yield "GET /decks/{id}", second(lambda: api.get(f"/decks/{deck['id']}", token=ana.token))
    yield "GET /flashcards/due", second(lambda: api.get("/flashcards/due", token=ana.token))
    yield "POST /flashcards/{id}/reviews", second(review)
    yield "POST /auth/login", second(lambda: log_in(ana.email))
    yield "a mail", second_mail(ana.token)


def turn_mfa_on(token: str) -> None:
    """Sets up the second step, so that a login asks for its code."""
    import pyotp

    from tests.accounts_helpers import PASSWORD, api

    secret = api.post("/auth/mfa/setup", {"password": PASSWORD}, token=token).json()["secret"]
    code = pyotp.TOTP(secret).now()
    expect(api.post("/auth/mfa/verify-setup", {"code": code}, token=token))


def second(request: Callable[[], Any]) -> Passage:
    """The files that the second of two requests passes; both must succeed."""
    expect(request())
    with watched() as passage:
        answer = request()
    expect(answer)
    return passage


def second_mail(token: str) -> Passage:
    """The files that a sweep passes to mail one reminder, after another one."""
    from time_machine import travel

    from reminders.services.sweep import sweep
    from tests.accounts_helpers import api

    for minutes in (10, 20):
        body = {"kind": "once", "title": "Ligar à Inês", "at": _in(minutes=minutes)}
        expect(api.post("/reminders", body, token=token))
    for minutes in (10, 20):
        at = datetime.now(UTC) + timedelta(minutes=minutes, seconds=1)
        with travel(at, tick=True), watched() as passage:
            result = sweep(now=at, within_s=60, threads=1)
    if result.counts["mails"] != 1:
        sys.exit(f"no mail was sent: {dict(result.counts)}")
    return passage


def _in(**delta: int) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


def expect(answer: Any) -> None:
    """Ends the command when a request failed."""
    if answer.status_code >= 300:
        sys.exit(f"{answer.status_code}: {answer.content.decode()}")


def passed_files() -> Iterator[tuple[str, Passage]]:
    """The passages, in an embedded AWS of its own."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "config.settings", "PARLEY_LOG_LEVEL": "WARNING"}
    import django

    from config import stack
    from config.ops import cloudformation, local_aws
    from tests.servers import using

    django.setup()
    with tempfile.TemporaryDirectory() as folder, local_aws.running(Path(folder)) as url:
        cloudformation.apply_locally(Path(folder), url)
        outputs = json.loads((Path(folder) / "stack.json").read_text())
        with using(stack.Stack(**outputs), home=Path(folder)):
            yield from passages()


def show(figures: dict[str, int]) -> bool:
    """Prints figures beside their bounds; says whether all hold."""
    for name, figure in figures.items():
        print(
            f"{name:32} {figure:6}   at most {MOST[name]:6}{'' if figure <= MOST[name] else '  !'}"
        )
    return all(figure <= MOST[name] for name, figure in figures.items())


def documented() -> dict[str, list[str]]:
    """The files of each request, and those shared with others, as `docs/architecture.md` tells."""
    table = (ROOT / "docs" / "architecture.md").read_text()
    row = r"^\| ((?:GET|POST|a reminder).*?) \| (\d+) \| (\d*) ?\|"
    rows = re.findall(row, table, re.MULTILINE)
    return {name.replace("a reminder's mail", "a mail"): figures for name, *figures in rows}


def to_document(routes: dict[str, Passage]) -> dict[str, list[str]]:
    """The figures for `documented`: each request's files, and those that all with a token pass.

    What the requests share within learning is their own.
    """
    common = set.intersection(*(set(routes[name].files) for name in WITH_TOKEN))
    shared = [name for name in common if not name.startswith("learning/")]
    return {
        name: [str(len(passage.files)), str(len(shared)) if name in WITH_TOKEN else ""]
        for name, passage in routes.items()
    }


def main() -> None:
    figures, details = static_figures()
    holds = show(figures)
    routes = dict(passed_files())
    holds &= show({name: len(passage.files) for name, passage in routes.items()})
    if documented() != to_document(routes):
        print(f"docs/architecture.md tells {documented()}, but it is {to_document(routes)}")
        holds = False
    if "--details" in sys.argv:
        print("\n".join(details))
        for name, passage in routes.items():
            print(f"{name}: {', '.join(passage.files)}")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
