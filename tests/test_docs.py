"""The documents agree with the code."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.ops.management.commands.list_errors import problems
from config.stack import BASE_DIR
from config.store.items import Item
from config.wording import ADVICE
from tests.contract import contract, made_contract

ROW = re.compile(r"^\| `([A-Z_]+)` \| (\d{3}) \|", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def test_every_error_code_is_documented_and_every_documented_one_exists() -> None:
    documented = dict(ROW.findall((BASE_DIR / "docs/errors.md").read_text()))
    assert documented == {code: str(problem.status) for code, problem in problems().items()}, (
        "`make schema` makes docs/errors.md anew"
    )


def test_what_to_do_is_said_of_codes_that_there_are() -> None:
    assert ADVICE.keys() <= problems().keys()


def test_every_operation_has_an_id_a_summary_and_its_errors() -> None:
    for path, verbs in contract()["paths"].items():
        for verb, said in verbs.items():
            where = f"{verb} {path}"
            assert re.fullmatch("[a-z][A-Za-z]+", said["operationId"]), where
            assert said["summary"], where
            assert "`" not in said["summary"], where
            assert "\n\n" in said["description"], f"{where}: only what holds for others too"
            assert {"406", "429", "503"} <= said["responses"].keys(), where
            if "requestBody" in said:
                assert {"400", "413", "415"} <= said["responses"].keys(), where


def kinds(base: type[Item] = Item) -> Iterator[type[Item]]:
    """Every kind of item there is, once each app's routes are loaded."""
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def kind_of(item: type[Item]) -> str | None:
    """The stored kind of an item class. A base of several kinds has none."""
    name: str | None = item.get_attributes()["kind"].get_discriminator(item)
    return name


def test_every_kind_of_item_is_documented_with_its_key_and_every_documented_one_exists() -> None:
    made_contract()  # loads all routes
    document = (BASE_DIR / "docs/access-patterns.md").read_text()
    rows = [line for line in document.splitlines() if re.match(r"\| `[a-z_]+`", line)]
    documented = {line.split("`")[1]: line for line in rows}
    existing = {kind_of(each): each for each in kinds() if kind_of(each)}
    assert documented.keys() == existing.keys()
    for name, kind in existing.items():
        key = getattr(kind, "SK", getattr(kind, "PREFIX", ""))
        assert f"`{key}" in documented[name], name


PAGES = [
    page
    for page in (BASE_DIR / "README.md", *sorted((BASE_DIR / "docs").rglob("*.md")))
    if "node_modules" not in page.parts
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_our_pages_lead_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text()):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors_of(target), f"{path}#{anchor}"


def anchors_of(page: Path) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    titles = (re.sub(r"[^\w -]", "", title.lower()) for title in HEADING.findall(page.read_text()))
    return {title.replace(" ", "-") for title in titles}
