"""Over HTTP and with Anki as the judge: its packages come in whole, and go out as they came."""

# ruff: noqa: F811 - made_by_anki and bucket are fixtures
import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from ulid import ULID

from learning.models.cards import Card
from learning.models.log import LogEntry
from learning.scheduling import Settings, fold
from tests.callers import Caller, make_learner
from tests.test_flashcards import card_of, deck_of
from tests.test_import import cards_of, figures, report
from tests.test_media import bucket, s3  # noqa: F401  (fixtures)
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
    bucket: Any,
    tmp_path: Path,
) -> None:
    clara = make_learner("clara", timezone=made_by_anki.zone)
    package = (made_by_anki.folder / f"{format}.apkg").read_bytes()
    first = report(clara, package, "anki.apkg")
    assert figures(first) == (len(made_by_anki.notes), 0, 0, 0)
    assert [error["fatal"] for error in first["errors"]] == [False]  # that there are media
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
    assert answer["media"] == made_by_anki.media  # every file under every name, bit by bit
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
    bucket: Any,
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


@pytest.mark.parametrize("seed", [15, 1639])
def test_notes_of_many_types_go_through_us_with_the_cards_that_we_have(
    table: None, tmp_path: Path, seed: int
) -> None:
    """Each card that comes in goes out as it was; each that does not is reported."""
    clara = make_learner("clara")
    package = tmp_path / "mixed.apkg"
    theirs = cards_by_place(anki("UTC", "mix", tmp_path, package, str(seed)))
    body = report(clara, package.read_bytes(), package.name)
    lost = {error["row"] for error in body["errors"]}
    told = {(error["field"], error["code"]) for error in body["errors"]}
    assert told <= {("cards", "cards_dropped"), ("front", "required")}  # Anki shows that one blank
    out, other = exported(clara, tmp_path / "ours.apkg"), tmp_path / "other"
    other.mkdir()
    ours = cards_by_place(anki("UTC", "read", other, out))
    kept = {place: card | {"ord": None} for place, card in theirs.items()}
    assert ours
    for (guid, _), card in ours.items():
        assert card | {"ord": None} in [kept[place] for place in kept if place[0] == guid]
    before, after = (Counter(guid for guid, _ in cards) for cards in (theirs, ours))
    assert len(lost) == sum(after[guid] < count for guid, count in before.items())


def cards_by_place(document: dict[str, Any]) -> dict[tuple[str, int], dict[str, Any]]:
    return {
        (note["guid"], card["ord"]): card for note in document["notes"] for card in note["cards"]
    }


FRONTS = (
    *("casa", "Casa nova", "casal", "mesa", "a*b", "a_b", "axb", "a:b", "um dois", "-x", "x"),
    *("žř", "źř", "žřk", "řŕ", "ŷž ŵ", "ŷžķ"),  # of no letter that is typed without its accent
)
DECKS = ("Line", "Line::Verbs", "Line::Verbs::Ir", "Linear", "Other", "O_her", "Two words")
TAGS = ("verbo", "verbo::ir", "verbal", "Casa", "Casa::sala", "a*b", "a_b", "axb")


def typed(chance: random.Random, words: Sequence[str]) -> str:
    """One of the words as somebody may type it: in part, with wildcards or with escapes."""
    word = chance.choice(words)
    if word.isascii():  # Anki knows the case of no other letters
        word = chance.choice([str, str.upper, str.lower])(word)
    escaped = re.sub(r"([*_:\\])", r"\\\1", word)
    begun = escaped if "\\" in escaped else escaped[: chance.randint(1, len(escaped))]
    return chance.choice([escaped, word.replace("\\", ""), f"{begun}*", f"*{begun}*", "_" * 3])


def search(chance: random.Random) -> str:
    """A search of one to three terms, some turned round, some quoted."""
    terms = []
    for _ in range(chance.randint(1, 3)):
        field, words = chance.choice([("front", FRONTS), ("deck", DECKS), ("tag", TAGS)])
        value = chance.choice(["none", "*"]) if field == "tag" and chance.random() < 0.1 else ""
        value = value or typed(chance, words)
        quoted = f'"{value}"' if " " in value or chance.random() < 0.2 else value
        terms.append(f"{chance.choice(['', '', '-'])}{field}:{quoted}")
    return " ".join(terms)


def test_searches_find_what_anki_finds(table: None, tmp_path: Path) -> None:
    chance = random.Random(2156)  # noqa: S311 - the same searches each time
    made = [
        (f"{front}", chance.choice(DECKS), chance.sample(TAGS, chance.randint(0, 2)))
        for front in FRONTS
    ]
    searches = sorted({search(chance) for _ in range(250)})
    found = anki("UTC", "find", tmp_path, json.dumps(made), *searches)
    clara = make_learner("clara")
    decks = {name: deck_of(clara, name=name) for name in DECKS}
    for front, deck, tags in made:
        card_of(clara, decks[deck], front, tags=tags)
    differing = []
    for text in searches:
        answer = clara.get(f"/flashcards?{urlencode({'q': text, 'limit': 100})}")
        ours = sorted(card["front"] for card in answer.json().get("results", []))
        if answer.status_code != 200 or ours != found[text]:
            differing.append((text, ours, found[text]))
    assert not differing, "\n".join(map(str, differing))


# Ours → Anki's.
STATES = {"is:due": "is:due", "is:new": "is:new", "is:learning": "is:learn",
          "is:review": "is:review", "is:suspended": "is:suspended", "is:buried": "is:buried",
          "prop:stability": "prop:s"}  # fmt: skip


def of_states(chance: random.Random) -> tuple[str, str]:
    """A search of one to three terms about schedules, as we write it and as Anki does."""
    ours = []
    for _ in range(chance.randint(1, 3)):
        operator = chance.choice(["=", "!=", "<", "<=", ">", ">="])
        name, most = chance.choice([("lapses", 4), ("reps", 12), ("stability", 100)])
        numbered = f"prop:{name}{operator}{chance.randint(0, most)}"
        term = chance.choice([*list(STATES)[:6], numbered, numbered, "front:*o"])
        ours.append(f"{chance.choice(['', '', '-'])}{term}")
    theirs = [re.sub("is:[a-z]+|prop:stability", lambda m: STATES[m[0]], term) for term in ours]
    return " ".join(ours), " ".join(theirs)


def test_searches_of_schedules_find_what_anki_finds(table: None, tmp_path: Path) -> None:
    chance = random.Random(2156)  # noqa: S311 - the same searches each time
    pairs = sorted({of_states(chance) for _ in range(200)})
    fronts = [
        f"{word}{number}{end}" for number in range(12) for word, end in (("cão", "o"), ("pé", ""))
    ]
    package = tmp_path / "states.apkg"
    found = anki(
        "UTC", "states", tmp_path, package, json.dumps(fronts), *{theirs for _, theirs in pairs}
    )
    clara = make_learner("clara")
    assert figures(report(clara, package.read_bytes(), package.name))[0] == len(fronts)
    differing = []
    for text, theirs in pairs:
        answer = clara.get(f"/flashcards?{urlencode({'q': text, 'limit': 100})}")
        ours = sorted(card["front"] for card in answer.json().get("results", []))
        if answer.status_code != 200 or ours != found[theirs]:
            differing.append((text, ours, found[theirs]))
    assert not differing, "\n".join(map(str, differing))
