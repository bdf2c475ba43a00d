"""Over HTTP and with Anki as the judge: its packages come in whole, and go out as they came."""

# ruff: noqa: F811 - made_by_anki is a fixture
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ulid import ULID

from learning.models.cards import Card
from learning.models.log import LogEntry
from learning.scheduling import Settings, fold
from tests.callers import Caller, make_learner
from tests.test_import import cards_of, figures, report
from tests.test_transfer_anki import FORMATS, Made, anki
from tests.test_transfer_anki import made as made_by_anki  # noqa: F401

pytestmark = pytest.mark.server


def exported(caller: Caller, path: Path) -> Path:
    answer = caller.get("/flashcards/export?format=apkg")
    assert answer.status_code == 200, answer.content
    path.write_bytes(answer.content)
    return path


def read_by_anki(made: Made, folder: Path, *packages: Path) -> dict[str, Any]:
    answer = anki(made.zone, "read", folder, *packages)
    assert answer["fine"], answer["problems"]
    return answer


def fields_of(note: dict[str, Any]) -> Sequence[str]:
    return [text for text in note["fields"].values() if text]


@pytest.mark.parametrize("format", FORMATS)
def test_a_package_of_anki_goes_through_us_unchanged(
    made_by_anki: Made,
    format: str,
    table: None,
    tmp_path: Path,
) -> None:
    clara = make_learner("clara", timezone=made_by_anki.zone)
    package = (made_by_anki.folder / f"{format}.apkg").read_bytes()
    first = report(clara, package, "anki.apkg")
    assert figures(first) == (len(made_by_anki.notes), 0, 0, 0)
    assert [error["fatal"] for error in first["errors"]] == [False]  # media stay behind
    assert len(cards_of(clara)) == sum(len(note["cards"]) for note in made_by_anki.notes.values())
    assert_folds(clara)
    answer = read_by_anki(made_by_anki, tmp_path, exported(clara, tmp_path / "ours.apkg"))
    assert answer["imports"] == [
        {"new": len(made_by_anki.notes), "updated": 0, "duplicate": 0, "conflicting": 0}
    ]
    found = {note["guid"]: note for note in answer["notes"]}
    assert found.keys() == made_by_anki.notes.keys()
    for guid, theirs in made_by_anki.notes.items():
        assert found[guid]["cards"] == theirs["cards"]
        assert found[guid]["tags"] == theirs["tags"]
        assert len(fields_of(found[guid])) == len(fields_of(theirs))
    again = report(clara, package, "anki.apkg")
    assert figures(again) == (0, 0, len(made_by_anki.notes), 0)


def assert_folds(caller: Caller) -> None:
    """Each card agrees with its log."""
    for card in Card.all_of(caller.id, limit=100, start=None).items:
        log = [row.to_entry() for row in LogEntry.of_card(caller.id, card.id)]
        state = fold(log, created_at=card.created_at, settings={0: Settings()}, seed=card.id)
        assert card.memory == state


def test_anki_takes_over_what_was_studied_with_us(
    made_by_anki: Made,
    table: None,
    tmp_path: Path,
) -> None:
    clara = make_learner("clara", timezone=made_by_anki.zone)
    report(clara, (made_by_anki.folder / "latest.apkg").read_bytes(), "anki.apkg")
    card = next(card for card in cards_of(clara) if card["front"] == "le chat")
    review = {
        "id": str(ULID()),
        "rating": "good",
        "reviewedAt": datetime.now(UTC).isoformat(),
        "durationMs": 2500,
    }
    studied = clara.makes(f"/flashcards/{card['id']}/reviews", review)["card"]
    after = exported(clara, tmp_path / "after.apkg")
    found = read_by_anki(made_by_anki, tmp_path, after)["notes"]
    (theirs,) = next(n for n in found if n["fields"].get("Front") == "le chat")["cards"]
    assert (theirs["reps"], theirs["ivl"]) == (studied["reps"], studied["intervalDays"])
    assert theirs["log"][-1][1:3] == [3, studied["intervalDays"]]
    assert theirs["log"][-1][5] == 2500
    assert len(theirs["log"]) == 8
