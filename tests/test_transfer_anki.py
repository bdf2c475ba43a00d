"""Anki itself as the judge: its packages come in whole, and it reads ours with nothing changed.

Anki (AGPL) lives in an environment of its own, `.uv/anki`, and runs as another process.
"""

import csv
import io
import json
import random
import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from learning.cloze import cloze_faces
from learning.transfer import Note, RowError, read
from learning.transfer.anki.writer import write_apkg
from learning.transfer.markup import text_of_html
from learning.transfer.model import CardState
from tests.test_cloze import NESTED
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.server

PYTHON = Path(__file__).parent.parent / ".uv" / "anki" / "bin" / "python"
ORACLE = Path(__file__).with_name("anki_oracle.py")
FORMATS = ("first", "second", "latest")
STATES = ("new", "learning", "review", "relearning")


@dataclass(frozen=True)
class Made:
    """Packages that Anki made in a time zone, and Anki's list of their content."""

    folder: Path
    zone: str
    minutes_west: int
    notes: dict[str, dict[str, Any]]
    media: dict[str, str]

    def package(self, format: str) -> list[Note]:
        with (self.folder / f"{format}.apkg").open("rb") as file:
            return [row for row in read(file) if isinstance(row, Note)]


def anki(zone: str, command: str, folder: Path, *packages: Path | str) -> dict[str, Any]:
    if not PYTHON.exists():
        pytest.fail("Anki is not installed: run `make test` once, it fetches it")
    answer = subprocess.run(
        [PYTHON, ORACLE, command, folder, *packages],
        env={"TZ": zone, "PATH": ""},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert answer.returncode == 0, answer.stderr
    document: dict[str, Any] = json.loads(answer.stdout)
    return document


@pytest.fixture(scope="module", params=[("UTC", 0), ("Etc/GMT-13", -780), ("Etc/GMT+8", 480)])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    zone, minutes_west = request.param
    folder = tmp_path_factory.mktemp("made")
    document = anki(zone, "make", folder)
    notes = {note["guid"]: note for note in document["notes"]}
    return Made(folder, zone, minutes_west, notes, document["media"])


def exported(notes: list[Note], made: Made, path: Path) -> Path:
    with path.open("wb") as target:
        write_apkg(notes, target, exported_at=datetime.now(UTC), minutes_west=made.minutes_west)
    return path


def at(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


@pytest.mark.parametrize("format", FORMATS)
def test_a_package_of_anki_comes_in_whole(made: Made, format: str) -> None:
    found = {note.id: note for note in made.package(format)}
    assert found.keys() == made.notes.keys()
    for guid, theirs in made.notes.items():
        ours = found[guid]
        fields = [text_of_html(text) for text in theirs["fields"].values()]
        assert [ours.front, ours.notes if ours.type == "cloze" else ours.back] == [
            text for text, _ in fields
        ]
        assert {item.name for item in ours.media} == {m.name for _, media in fields for m in media}
        assert sorted(ours.tags) == theirs["tags"]
        assert len(ours.cards) == len(theirs["cards"])
        for card, row in zip(ours.cards, theirs["cards"], strict=True):
            assert_same_card(card, row, ours.deck)


def assert_same_card(card: CardState, row: dict[str, Any], deck: str) -> None:
    assert (card.ordinal, card.deck or deck) == (row["ord"], row["deck"])
    assert (card.state, card.suspended, card.buried) == (
        STATES[row["type"]],
        row["suspended"],
        row["buried"],
    )
    assert card.position == (row["due"] if card.state == "new" else None)
    assert card.due_at == (None if card.state == "new" else at(row["due"]))
    assert (card.interval_days, card.reps, card.lapses) == (row["ivl"], row["reps"], row["lapses"])
    assert round((card.ease_factor or 0) * 1000) == row["factor"]
    if row["memory"]["s"]:
        assert (card.stability, card.difficulty, card.last_review_at) == (
            row["memory"]["s"],
            row["memory"]["d"],
            at(row["memory"]["lrt"]),
        )
        assert not card.estimated
    else:
        assert card.estimated == (row["ivl"] > 0)
    assert [
        (int(entry.id), entry.rating or 0, entry.interval_s, entry.duration_ms)
        for entry in card.reviews
    ] == [
        (id_, ease, ivl * 86_400 if ivl > 0 else -ivl, time)
        for id_, ease, ivl, _, _, time, _ in row["log"]
    ]


def test_what_anki_keeps_that_we_do_not_is_said(made: Made) -> None:
    with (made.folder / "latest.apkg").open("rb") as file:
        reported = [row for row in read(file) if isinstance(row, RowError)]
    assert [(row.row, row.code, row.fatal) for row in reported] == [(0, "media_found", False)]
    assert reported[0].message.startswith("Of 3 ")


@pytest.mark.parametrize("format", FORMATS)
def test_anki_reads_our_export_with_the_same_cards_and_log(
    made: Made, format: str, tmp_path: Path
) -> None:
    ours = exported(made.package(format), made, tmp_path / "ours.apkg")
    answer = anki(made.zone, "read", tmp_path, ours)
    assert answer["fine"], answer["problems"]
    assert answer["imports"] == [
        {"new": len(made.notes), "updated": 0, "duplicate": 0, "conflicting": 0}
    ]
    found = {note["guid"]: note for note in answer["notes"]}
    assert found.keys() == made.notes.keys()
    for guid, theirs in made.notes.items():
        assert found[guid]["cards"] == theirs["cards"]
        assert found[guid]["tags"] == theirs["tags"]
        before, after = (
            [text_of_html(text) for text in note["fields"].values() if text]
            for note in (theirs, found[guid])
        )
        assert before == after


def test_a_second_import_into_anki_adds_nothing_and_updates_what_is_newer(
    made: Made, tmp_path: Path
) -> None:
    notes = made.package("latest")
    first = exported(notes, made, tmp_path / "1.apkg")
    later = datetime.now(UTC) + timedelta(minutes=1)
    edited = [replace(notes[0], back="changed", modified_at=later), *notes[1:]]
    second = exported(edited, made, tmp_path / "2.apkg")
    answer = anki(made.zone, "read", tmp_path, first, first, second)
    size = len(notes)
    assert answer["imports"] == [
        {"new": size, "updated": 0, "duplicate": 0, "conflicting": 0},
        {"new": 0, "updated": 0, "duplicate": size, "conflicting": 0},
        {"new": 0, "updated": 1, "duplicate": size - 1, "conflicting": 0},
    ]
    assert len(answer["notes"]) == size
    assert "changed" in [note["fields"].get("Back") for note in answer["notes"]]


def cloze_text(chance: random.Random, depth: int = 0) -> str:
    """Text of words and clozes, some inside others, some with hints or several numbers."""
    parts = []
    for _ in range(chance.randint(1, 3)):
        if depth < 4 and chance.random() < 0.6:
            numbers = ",".join(str(chance.randint(1, 5)) for _ in range(chance.randint(1, 2)))
            hint = chance.choice(("", "", "::hint"))
            parts.append(f"{{{{c{numbers}::{cloze_text(chance, depth + 1)}{hint}}}}}")
        else:
            parts.append(chance.choice(("mar", "a: b", "x}y", "e{", "sol ")))
    return " ".join(parts)


def test_clozes_make_the_cards_that_anki_makes(tmp_path: Path) -> None:
    chance = random.Random(2156)  # noqa: S311 - the same texts each time
    texts = {text for _ in range(150) if "{{c" in (text := cloze_text(chance))} | set(NESTED)
    found = anki("UTC", "cloze", tmp_path, *sorted(texts))
    for text in sorted(texts):
        ours = [
            [face.ordinal, face.front.replace("…", "..."), face.back] for face in cloze_faces(text)
        ]
        assert ours == found[text], text


def text_file(chance: random.Random, number: int) -> str:
    """A file as people have them: any separator, quoted cells, comments, blank lines, tags."""
    separator, name = chance.choice(
        [(",", "Comma"), (";", "semicolon"), ("\t", "tab"), ("|", "Pipe")]
    )
    pad = separator * 2 if separator != "\t" and chance.random() < 0.5 else ""
    lines = [f"#separator:{name}{pad}", f"#html:false{pad}", f"#tags column:3{pad}"]
    for n in range(chance.randint(3, 8)):
        if chance.random() < 0.2:
            lines.append(chance.choice(["# of week 3", "#", ""]))
        words = (
            "casa",
            "o # mar",
            "um, dois",
            "a; b",
            "a | b",
            '"sim"',
            "tab\tem",
            "novo\nverso",
            "3 < 4",
        )
        front, back = (f"{side}{number}-{n} {chance.choice(words)}" for side in "fb")
        tags = chance.choice(["", "a", "a b::c"])
        cells = [front, back, tags][: 3 if tags else chance.choice([2, 3])]
        buffer = io.StringIO()
        quoting = chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        csv.writer(buffer, delimiter=separator, quoting=quoting, lineterminator="\n").writerow(
            cells
        )
        lines.append(buffer.getvalue().removesuffix("\n"))
    return "\n".join(lines) + "\n"


def test_text_files_give_the_notes_that_anki_reads(tmp_path: Path) -> None:
    chance = random.Random(1639)  # noqa: S311 - the same files each time
    paths = []
    for number in range(60):
        paths.append(tmp_path / f"{number}.csv")
        paths[-1].write_text(text_file(chance, number), encoding="utf-8", newline="")
    found = anki("UTC", "csv", tmp_path, *paths)
    for path in paths:
        with path.open("rb") as file:
            notes = [row for row in read(file, path.name) if isinstance(row, Note)]
        ours = [[note.front, note.back, sorted(note.tags)] for note in notes]
        assert ours == [[*sides, sorted(tags)] for *sides, tags in found[path.name]], (
            path.read_text()
        )
