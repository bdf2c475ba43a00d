"""The walks of docs/CONTRIBUTING.md, followed line by line in a copy of the tree."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path
from textwrap import dedent

import pytest

from config.stack import BASE_DIR

DOCUMENT = (BASE_DIR / "docs" / "CONTRIBUTING.md").read_text()
STEP = re.compile(r"^\d+\. (.*?)(?=^\d+\. |\Z)", re.MULTILINE | re.DOTALL)
DIFF = re.compile(r"^ +```diff\n(.*?)^ +```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`([\w./-]+\.(?:py|md|yaml|toml))`")


def walk(title: str) -> str:
    """The text of one walk."""
    return DOCUMENT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def steps(title: str) -> list[tuple[str, list[str]]]:
    """Each step's file, and its changes as diffs."""
    found = [match[1] for match in STEP.finditer(walk(title))]
    return [
        (FILE.findall(step)[0], [dedent(diff) for diff in DIFF.findall(step)]) for step in found
    ]


def apply(diff: str, path: Path) -> None:
    """Makes one change. Lines with a plus are new; the others must be there, once."""
    lines = diff.splitlines()
    text = path.read_text() if path.exists() else ""
    after = "".join(f"{line[1:]}\n" for line in lines)
    before = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
    if before:
        assert text.count(before) == 1, f"{path.name} has no longer:\n{before}"
        text = text.replace(before, after)
    else:
        text = f"{text}\n\n{after}" if text else after
    path.write_text(text)


def follow(title: str, tree: Path) -> list[str]:
    """Follows a walk in a copy of the tree. Returns the files that it touches."""
    listed = ["git", "ls-files", "-z"]
    names = subprocess.run(listed, cwd=BASE_DIR, capture_output=True, text=True, check=True).stdout
    for source in filter(None, names.split("\0")):
        # What Python has compiled of it comes too: the copy would be compiled for seconds.
        for name in (source, cache_from_source(source)):
            if (BASE_DIR / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(BASE_DIR / name, tree / name)
    for name, diffs in steps(title):
        for diff in diffs:
            apply(diff, tree / name)
    return [name for name, _ in steps(title)]


def run(tree: Path, *command: str) -> None:
    environment = {**os.environ, "PARLEY_HOME": str(tree / ".parley"), "PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tree,
        env={name: value for name, value in environment.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "most", "tests"),
    [
        ("A field of a deck", 5, ["tests/test_decks.py", "-k", "has_a_colour"]),
        ("An endpoint", 7, ["tests/test_languages.py", "tests/test_openapi.py"]),
    ],
)
def test_a_walk_that_is_followed_line_by_line_works(
    title: str, most: int, tests: list[str], tmp_path: Path
) -> None:
    files = follow(title, tmp_path)
    assert len(set(files)) == len(files) <= most
    document = tmp_path / "docs" / "openapi.yaml"
    before = document.read_text()
    schema = ["spectacular", "--validate", "--fail-on-warn", "--file", str(document)]
    run(tmp_path, "manage.py", *schema)
    assert document.read_text() != before
    run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    sources = [name for name in files if name.endswith(".py")]
    run(tmp_path, "-m", "ruff", "format", "--check", *sources)


def test_every_file_of_a_walk_exists_or_is_called_new() -> None:
    for sentence in re.split(r"(?<=[.;:])\s", DOCUMENT):
        for name in FILE.findall(sentence):
            assert (BASE_DIR / name).exists() or f"a new file `{name}`" in sentence, name


def test_a_kind_of_reminder_is_where_its_walk_says() -> None:
    """Each name in the step of a file is a word of that file."""
    for step in STEP.findall(walk("A kind of reminder")):
        files = FILE.findall(step)
        texts = "".join((BASE_DIR / name).read_text() for name in files)
        for name in set(re.findall(r"`([A-Za-z_.]+)`", step)) - set(files) - {"now"}:
            for word in name.split("."):
                assert re.search(rf"\b{word}\b", texts), (files, name)


def test_every_command_of_the_document_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (BASE_DIR / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", DOCUMENT)) <= targets
