"""Other people's decks imported and exported again, and compared by Anki itself.

    python -m tests.benchmarks.decks FILE…     packages (.apkg, .colpkg) or collections (.anki2)

Prints for each what Anki sees in it, and what in the package that we make of it; fails where a card
that came in has another schedule, log, deck or tags than before.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.callers import Caller

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

ROOT = Path(__file__).parent.parent
PYTHON, ORACLE = ROOT.parent / ".uv" / "anki" / "bin" / "python", ROOT / "anki_oracle.py"
Cards = dict[tuple[str, int], dict[str, Any]]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--zone", default="UTC", help="where the decks' author lives")
    arguments = parser.parse_args()
    with learners():
        return int(sum(compare(file, arguments.zone) for file in arguments.files) > 0)


@contextmanager
def learners() -> Iterator[None]:
    """Our service in process, with an empty table."""
    import logging

    import django
    from django.test.utils import setup_test_environment
    from moto import mock_aws

    django.setup()
    setup_test_environment()
    logging.disable()
    from config.stack import Stack
    from tests.memory_table import MemoryTable
    from tests.servers import using
    from tests.wire import table_client

    names = {name: f"{name}-of-decks" for name in Stack.__dataclass_fields__}
    found = Stack(**names | {"region": "eu-west-1", "endpoint_url": None})
    with mock_aws(), using(found), MemoryTable(found.table_name).answering(table_client()):
        yield


def compare(file: Path, zone: str) -> int:
    """Prints the comparison; how many cards are otherwise than before."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before"), Path(folder, "after")
        before.mkdir()
        after.mkdir()
        package = file if file.suffix != ".anki2" else Path(folder, "packed.colpkg")
        theirs = anki(zone, "show", before, file)
        if package is not file:
            (Path(folder, "pack")).mkdir()
            anki(zone, "pack", Path(folder, "pack"), file, package)
        caller, problems = imported(package, zone)
        ours = Path(folder, "ours.apkg")
        ours.write_bytes(caller.get("/flashcards/export?format=apkg").content)
        again = anki(zone, "show", after, ours)
    print(f"\n{file.name} ({file.stat().st_size:,} bytes)")
    for name, count in figures(theirs).items():
        print(f"  {name:22}{count:>8,}{figures(again)[name]:>8,}")
    print(f"  reported: {dict(problems) or 'nothing'}")
    return differences(cards_of(theirs), cards_of(again))


def imported(package: Path, zone: str) -> tuple["Caller", Counter[str]]:
    """A learner who has imported the whole package, and the number of reports of each code."""
    from tests.callers import make_learner
    from tests.test_import import report

    caller, problems, offset = make_learner("rita", timezone=zone), Counter[str](), 0
    while offset is not None:
        body = report(caller, package.read_bytes(), package.name, offset=offset)
        problems.update(f"{error['field']} {error['code']}" for error in body["errors"])
        offset = body["nextOffset"]
    return caller, problems


def anki(zone: str, command: str, folder: Path, *paths: Path) -> dict[str, Any]:
    answer = subprocess.run(
        [PYTHON, ORACLE, command, folder, *paths],
        env={"TZ": zone, "PATH": ""},
        capture_output=True,
        text=True,
    )
    if answer.returncode:
        raise SystemExit(answer.stderr)
    document: dict[str, Any] = json.loads(answer.stdout)
    return document


def cards_of(document: dict[str, Any]) -> Cards:
    return {
        (note["guid"], card["ord"]): card | {"tags": note["tags"]}
        for note in document["notes"]
        for card in note["cards"]
    }


def figures(document: dict[str, Any]) -> dict[str, int]:
    cards = cards_of(document).values()
    due = {card["due_on"] for card in cards if card["type"] == 2}
    return {
        "notes": len(document["notes"]),
        "cards": len(cards),
        "reviews": sum(len(card["log"]) for card in cards),
        "cards in review": sum(card["type"] == 2 for card in cards),
        "due days": len(due),
        "suspended, buried": sum(card["suspended"] or card["buried"] for card in cards),
        "tags": len({tag for card in cards for tag in card["tags"]}),
        "decks with cards": len({card["deck"] for card in cards}),
    }


def differences(theirs: Cards, ours: Cards) -> int:
    """Says what is otherwise of the cards that both have; how many such cards."""
    different = Counter[str]()
    count, examples = 0, dict[str, str]()
    for key in theirs.keys() & ours.keys():
        names = [n for n in theirs[key] if n != "due" and theirs[key][n] != ours[key][n]]
        different.update(names)
        count += bool(names)
        for name in names:
            examples.setdefault(name, f"{key}: {theirs[key][name]} → {ours[key][name]}")
    print(f"  cards otherwise: {count} {dict(different) or ''}")
    for name, example in examples.items():
        print(f"    {name} of {example}")
    return count


if __name__ == "__main__":
    sys.exit(main())
