"""docs/aws-differences.md: each difference is held by a test that exists."""

import re

from config.stack import BASE_DIR

DOCUMENT = (BASE_DIR / "docs" / "aws-differences.md").read_text()
TESTS = "".join(path.read_text() for path in (BASE_DIR / "tests").glob("test_*.py"))
ROWS = [line for line in DOCUMENT.splitlines() if line.count("|") == 6][2:]


def test_every_difference_is_held_by_a_test_that_exists() -> None:
    assert len(ROWS) > 10
    for row in ROWS:
        held = row.split("|")[5]
        names = re.findall(r"`(test_\w+)`", held)
        files = re.findall(r"`(tests/\w+\.py)`", held)
        assert names or files, row
        for name in names:
            assert f"def {name}(" in TESTS, name
        for name in files:
            assert (BASE_DIR / name).exists(), name


def test_every_difference_names_its_source() -> None:
    for row in ROWS:
        assert row.split("|")[4].strip(), row
