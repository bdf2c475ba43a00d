"""`docs/security.md` names a test for each protection: the tests are there."""

import re

from config.stack import BASE_DIR

TESTS = BASE_DIR / "tests"
DOCUMENT = (BASE_DIR / "docs" / "security.md").read_text()


def test_every_test_that_the_document_names_exists() -> None:
    sources = {path.name: path.read_text() for path in TESTS.glob("test_*.py")}
    named = set(re.findall(r"\btest_\w+(?:\.py)?", DOCUMENT))
    assert len(named) > 20
    missing = {
        name
        for name in named
        if name not in sources and not any(f"def {name}(" in source for source in sources.values())
    }
    assert missing == set()


def test_the_number_of_attacks_is_the_one_it_tells() -> None:
    from tests.test_tokens import ATTACKS

    assert f"({len(ATTACKS)} attacks)" in DOCUMENT
