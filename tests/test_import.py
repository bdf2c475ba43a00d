"""POST /flashcards/import."""

import ast
import io
import json
import sqlite3
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.test import Client
from ulid import ULID

from accounts.models import Head, learner_key
from config.https import Answer
from config.stack import BASE_DIR
from config.store import connection
from learning.models.cards import Card
from learning.models.log import Day, LogEntry
from learning.scheduling import Memory, Settings, fold
from learning.services import imports
from learning.transfer import CardState, Media, Note, Review, write_csv, write_json
from learning.transfer.anki.writer import write_apkg
from tests.callers import Caller, access_token, make_learner
from tests.test_flashcards import card_of, deck_of
from tests.wire import Headers, Send, operation_of, refusal, sending

CASES = Path(__file__).with_name("cases")
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


def send(caller: Caller, data: bytes, name: str = "words.csv", **fields: Any) -> Any:
    """The answer to an import of a file."""
    file = io.BytesIO(data)
    file.name = name
    return caller.client.post(
        "/flashcards/import",
        {"file": file, **fields},
        headers={"Authorization": f"Bearer {caller.token}"},
    )


def report(caller: Caller, data: bytes, name: str = "words.csv", **fields: Any) -> dict[str, Any]:
    answer = send(caller, data, name, **fields)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def figures(body: dict[str, Any]) -> tuple[int, ...]:
    """Imported, updated, skipped, failed."""
    return body["imported"], body["updated"], body["skipped"], body["failed"]


def cards_of(caller: Caller) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = caller.get("/flashcards?limit=100").json()["results"]
    return found


def progress_of(caller: Caller) -> Head:
    found = Head.get_or_none(learner_key(caller.id), Head.SK)
    assert found is not None
    return found


def apkg(*notes: Note) -> bytes:
    target = io.BytesIO()
    write_apkg(notes, target, exported_at=NOW)
    return target.getvalue()


def as_json(*notes: Note) -> bytes:
    return b"".join(write_json(notes, NOW))


def studied(ordinal: int = 0, *, days: int = 3, stability: float = 31.5) -> CardState:
    """A card that was learned and reviewed on each of some days, the last one yesterday."""
    first = NOW - days * DAY
    reviews = [Review("1", first, rating=3, duration_ms=4000, interval_s=600, phase="learning")]
    reviews += [
        Review(str(n + 2), first + n * DAY, rating=3, duration_ms=1500, interval_s=n * 86_400)
        for n in range(1, days)
    ]
    return CardState(
        ordinal,
        state="review",
        due_at=NOW + 30 * DAY,
        interval_days=31,
        stability=stability,
        difficulty=5.25,
        reps=days,
        lapses=1,
        last_review_at=reviews[-1].at,
        reviews=tuple(reviews),
    )


WORDS = (
    "front;back;tags;deck\nla casa;the house;hogar;Spanish\nel perro;the dog;;Spanish::Animals\n"
)


def test_a_csv_becomes_cards_in_decks_of_its_names(maria: Caller) -> None:
    body = report(maria, WORDS.encode())
    assert figures(body) == (2, 0, 0, 0)
    assert (body["errors"], body["nextOffset"]) == ([], None)
    decks = {deck["id"]: deck["name"] for deck in maria.get("/decks").json()["results"]}
    found = {card["front"]: card for card in cards_of(maria)}
    assert {front: decks[card["deckId"]] for front, card in found.items()} == {
        "la casa": "Spanish",
        "el perro": "Spanish::Animals",
    }
    assert found["la casa"]["tags"] == ["hogar"]
    queue = maria.get("/flashcards/due").json()
    assert [each["card"]["front"] for each in queue["results"]] == ["la casa", "el perro"]


def test_importing_again_adds_nothing(maria: Caller) -> None:
    for data in (WORDS.encode(), as_json(Note("g1", front="a", back="b", deck="D"))):
        first = report(maria, data)
        before = cards_of(maria)
        again = report(maria, data)
        assert figures(again) == (0, 0, first["imported"], 0)
        assert cards_of(maria) == before
    assert len(maria.get("/decks").json()["results"]) == 3


def test_a_deck_of_the_same_name_is_used_whatever_its_case(maria: Caller) -> None:
    deck_id = deck_of(maria, name="SPANISH")
    report(maria, WORDS.encode())
    assert len(maria.get(f"/flashcards?deckId={deck_id}").json()["results"]) == 1


def test_notes_without_a_deck_need_deck_id(maria: Caller) -> None:
    data = b"uno,one\ndos,two\n"
    body = report(maria, data)
    assert figures(body) == (0, 0, 0, 2)
    assert [(e["row"], e["field"], e["code"]) for e in body["errors"]] == [
        (1, "deck", "required"),
        (2, "deck", "required"),
    ]
    deck_id = deck_of(maria)
    assert figures(report(maria, data, deckId=deck_id)) == (2, 0, 0, 0)
    assert {card["deckId"] for card in cards_of(maria)} == {deck_id}
    other = deck_of(maria)
    assert figures(report(maria, data, deckId=other)) == (2, 0, 0, 0)


def test_a_dry_run_tells_and_writes_nothing(maria: Caller) -> None:
    assert figures(report(maria, WORDS.encode(), dryRun="true")) == (2, 0, 0, 0)
    assert cards_of(maria) == []
    assert maria.get("/decks").json()["results"] == []
    notes = [Note("g1", front="a", back="b", deck="D"), Note("g2", front="c", back="d", deck="D")]
    report(maria, as_json(notes[0]))
    changed = Note("g1", front="a", back="bb", deck="D")
    assert figures(report(maria, as_json(changed, notes[1]), dryRun="true")) == (1, 1, 0, 0)
    assert [card["back"] for card in cards_of(maria)] == ["b"]


def test_a_dry_run_shows_how_a_text_is_read(maria: Caller) -> None:
    body = report(maria, WORDS.encode(), dryRun="true")
    assert body["preview"] == {
        "encoding": "utf-8",
        "encodingGuessed": False,
        "separator": "semicolon",
        "html": False,
        "header": ["front", "back", "tags", "deck"],
        "columns": ["front", "back", "tags", "deck"],
        "notes": [
            {
                "row": 2, "type": "basic", "front": "la casa", "back": "the house",
                "phonetic": "", "example": "", "notes": "", "tags": ["hogar"], "deck": "Spanish",
            },
            {
                "row": 3, "type": "basic", "front": "el perro", "back": "the dog",
                "phonetic": "", "example": "", "notes": "", "tags": [], "deck": "Spanish::Animals",
            },
        ],
    }  # fmt: skip
    assert (
        report(maria, as_json(Note(front="a", back="b", deck="D")), dryRun="true")["preview"]
        is None
    )


def test_how_a_text_is_read_may_be_told(maria: Caller) -> None:
    text = "front:<b>casa</b>:x:house:noun".encode("utf-16-le")
    told = {
        "separator": "colon", "encoding": "utf-16-le", "header": "false",
        "columns": "-,front,-,back,tags", "html": "true",
    }  # fmt: skip
    assert figures(report(maria, text, deckId=deck_of(maria), **told)) == (1, 0, 0, 0)
    (card,) = cards_of(maria)
    assert (card["front"], card["back"], card["tags"]) == ("casa", "house", ["noun"])


def test_a_guessed_encoding_has_to_be_confirmed(maria: Caller) -> None:
    data, deck = (CASES / "cp1251.csv").read_bytes(), deck_of(maria)
    answer = send(maria, data, deckId=deck)
    assert (answer.status_code, answer.json()["code"]) == (400, "FILE_ENCODING_UNCERTAIN")
    assert [error["field"] for error in answer.json()["errors"]] == ["encoding"]
    assert cards_of(maria) == []
    shown = report(maria, data, deckId=deck, dryRun="true")["preview"]
    assert (shown["encoding"], shown["encodingGuessed"]) == ("cp1251", True)
    assert shown["notes"][0]["front"] == "кошка"
    assert figures(report(maria, data, deckId=deck, encoding="cp1251")) == (3, 0, 0, 0)
    assert {card["front"] for card in cards_of(maria)} == {"кошка", "собака", "подсолнух"}


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("separator", "letter", "invalid_choice"),
        ("encoding", "rot13", "invalid_choice"),
        ("header", "maybe", "invalid"),
        ("columns", "front,side", "unknown_column"),
        ("columns", "back,tags", "no_front"),
        ("html", "2", "invalid"),
    ],
)
def test_what_is_told_of_a_text_is_checked(maria: Caller, name: str, value: str, code: str) -> None:
    answer = send(maria, WORDS.encode(), **{name: value})
    assert answer.status_code == 400
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(name, code)]


def test_one_word_in_two_forms_of_unicode_is_one_note(maria: Caller) -> None:
    data = (CASES / "nfc-nfd.csv").read_bytes()
    assert figures(report(maria, data, deckId=deck_of(maria))) == (1, 0, 1, 0)


def test_each_faulty_row_is_told_and_the_others_come_in(maria: Caller) -> None:
    text = "front,back,type\nuno,one,\n,two,\ntres,three,\n{{c1::}},,cloze\n"
    body = report(maria, text.encode(), deckId=deck_of(maria))
    assert figures(body) == (2, 0, 0, 2)
    assert [(e["row"], e["field"], e["code"], e["fatal"]) for e in body["errors"]] == [
        (3, "front", "required", True),
        (5, "front", "empty_cloze", True),
    ]


def test_of_many_errors_the_first_hundred_are_told(maria: Caller) -> None:
    body = report(maria, b"front,back\n" + b",x\n" * 150, deckId=deck_of(maria))
    assert (body["failed"], len(body["errors"])) == (150, 100)


def test_html_of_a_package_never_reaches_a_card(maria: Caller) -> None:
    row = '<b>uno</b><script>alert(1)</script>\t<img src="x" onerror=y>one\n'
    text = f"#separator:tab\n#html:true\n{row}"
    report(maria, text.encode(), deckId=deck_of(maria))
    (card,) = cards_of(maria)
    assert (card["front"], card["back"]) == ("uno", "one")


def test_schedule_and_history_of_a_package_come_in(joao: Caller) -> None:
    data = apkg(Note("guid-1", front="ir", back="to go", deck="Verbs", cards=(studied(),)))
    assert figures(report(joao, data, "verbs.apkg")) == (1, 0, 0, 0)
    (card,) = cards_of(joao)
    assert (card["state"], card["stability"], card["difficulty"]) == ("review", 31.5, 5.25)
    assert (card["reps"], card["lapses"]) == (3, 1)
    assert datetime.fromisoformat(card["dueAt"]) > NOW + 28 * DAY
    assert joao.get("/reviews").json()["results"] == []  # of all cards: what was studied here
    log = joao.get(f"/reviews?cardId={card['id']}").json()["results"]
    assert [(row["kind"], row["rating"]) for row in log] == [
        ("baseline", None), ("review", "good"), ("review", "good"), ("review", "good"),
    ]  # fmt: skip
    progress = progress_of(joao)
    assert (int(progress.streak_days), int(progress.cards_learned)) == (3, 1)
    days = Day.all_of(joao.id)
    assert [day.count_of("reviews") for day in days] == [1, 1, 1]
    assert sum(day.count_of("duration_ms") for day in days) == 7000


@pytest.mark.parametrize(
    ("zone", "due"),
    [
        ("Europe/Paris", ["2026-12-10T04:00:00+01:00", "2027-07-10T04:00:00+02:00"]),
        ("America/New_York", ["2026-12-10T04:00:00-05:00", "2027-07-10T04:00:00-04:00"]),
        ("Asia/Tokyo", ["2026-12-10T04:00:00+09:00", "2027-07-10T04:00:00+09:00"]),
    ],
)
def test_a_day_of_anki_is_that_date_for_every_learner(
    table: None, zone: str, due: list[str]
) -> None:
    """The collection was made in summer; its cards are due on dates of winter and of summer."""
    data = (CASES / "dst-collection-of-summer.apkg").read_bytes()
    with time_machine.travel(datetime(2026, 11, 25, 12, tzinfo=UTC)):
        camille = make_learner("camille", timezone=zone)
        deck = deck_of(camille)
        assert figures(report(camille, data, "summer.apkg", deckId=deck)) == (2, 0, 0, 0)
        cards = {card["front"]: card for card in cards_of(camille)}
        found = [datetime.fromisoformat(cards[f"front{n}"]["dueAt"]) for n in (0, 1)]
        assert found == [datetime.fromisoformat(at) for at in due]
        exported = camille.get("/flashcards/export?format=apkg").content
    with zipfile.ZipFile(io.BytesIO(exported)) as archive:
        collection = archive.read("collection.anki21")
    assert due_dates(collection) == [at[:10] for at in due]


def due_dates(collection: bytes) -> list[str]:
    """The dates on which cards are due, as Anki counts its days."""
    database = sqlite3.connect(":memory:")
    database.deserialize(collection)
    created, conf = database.execute("SELECT crt, conf FROM col").fetchone()
    offset = timedelta(minutes=-json.loads(conf)["creationOffset"])
    created_on = (datetime.fromtimestamp(created, UTC) + offset).date()
    numbers = database.execute("SELECT due FROM cards ORDER BY due").fetchall()
    return [str(created_on + timedelta(days=number)) for (number,) in numbers]


def test_an_imported_card_is_the_fold_of_its_log(maria: Caller) -> None:
    new = CardState(1, position=7)
    note = Note("g", "reversed", "ir", "to go", deck="Verbs", cards=(studied(days=5), new))
    learning = CardState(0, state="learning", due_at=NOW + timedelta(minutes=5), reps=1)
    report(maria, as_json(note, Note("h", front="a", back="b", deck="V", cards=(learning,))))
    stored = Card.all_of(maria.id, limit=10, start=None).items
    assert sorted(card.state for card in stored) == ["learning", "new", "review"]
    for card in stored:
        log = [row.to_entry() for row in LogEntry.of_card(maria.id, card.id)]
        state = fold(log, created_at=card.created_at, settings={0: Settings()}, seed=card.id)
        assert card.memory == state
        assert bool(log) == (card.state != "new")
    assert Memory.new(NOW).due_at == NOW


def test_reviews_after_an_import_converge_whatever_their_order(maria: Caller, joao: Caller) -> None:
    data = apkg(Note("g", front="ir", back="to go", deck="V", cards=(studied(),)))
    ids = [str(ULID()) for _ in range(3)]
    at = [NOW - 2 * DAY, NOW - timedelta(hours=2), NOW - timedelta(hours=1)]
    reviews = [
        {"id": id_, "rating": rating, "reviewedAt": when.isoformat()}
        for id_, rating, when in zip(ids, ("again", "hard", "good"), at, strict=True)
    ]
    states = []
    for caller, order in ((maria, (0, 1, 2)), (joao, (2, 0, 1))):
        report(caller, data, "v.apkg")
        (card,) = cards_of(caller)
        for n in order:
            caller.makes(f"/flashcards/{card['id']}/reviews", reviews[n])
        (card,) = cards_of(caller)
        names = ("state", "stability", "difficulty", "dueAt", "reps", "lapses", "intervalDays")
        states.append([card[name] for name in names])
        days = Day.all_of(caller.id)
        assert sum(day.count_of("reviews") for day in days) == 6
    assert states[0] == states[1]


def test_an_import_is_not_undone(maria: Caller) -> None:
    report(maria, as_json(Note("g", front="a", back="b", deck="D", cards=(studied(),))))
    (card,) = cards_of(maria)
    path = f"/flashcards/{card['id']}"
    assert maria.post(f"{path}/undo", {"id": str(ULID())}).json()["code"] == "NOTHING_TO_UNDO"
    review = {"id": str(ULID()), "rating": "good", "reviewedAt": NOW.isoformat()}
    maria.makes(f"{path}/reviews", review)
    assert maria.makes(f"{path}/undo", {"id": str(ULID())})["card"]["reps"] == card["reps"]
    assert maria.post(f"{path}/undo", {"id": str(ULID())}).json()["code"] == "NOTHING_TO_UNDO"


def test_what_was_studied_elsewhere_since_is_added(maria: Caller) -> None:
    before = studied(days=3)
    last = Review("9", NOW - timedelta(hours=3), rating=2, interval_s=40 * 86_400)
    after = CardState(
        0, state="review", due_at=NOW + 40 * DAY, interval_days=40, stability=44.0,
        difficulty=6.0, reps=4, lapses=1, last_review_at=last.at,
        reviews=(*before.reviews, last),
    )  # fmt: skip
    note = Note("g", front="a", back="b", deck="D", cards=(before,))
    report(maria, as_json(note))
    later = Note("g", front="a", back="b", deck="D", cards=(after,))
    assert figures(report(maria, as_json(later))) == (0, 1, 0, 0)
    (card,) = cards_of(maria)
    assert (card["stability"], card["reps"]) == (44.0, 4)
    assert sum(day.count_of("reviews") for day in Day.all_of(maria.id)) == 4
    assert figures(report(maria, as_json(later))) == (0, 0, 1, 0)
    assert figures(report(maria, as_json(note))) == (0, 0, 1, 0)
    assert cards_of(maria)[0]["stability"] == 44.0


def test_settings_may_change_while_a_log_is_added_to(
    maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = Note("g", front="a", back="b", deck="D", cards=(studied(days=3),))
    with time_machine.travel(NOW - 1.5 * DAY, tick=False):
        then = Caller(maria.id, access_token(maria.id))
        assert figures(report(then, as_json(note))) == (1, 0, 0, 0)  # but for its last review
    append = imports.append_entries

    def change_settings_first(**arguments: Any) -> int:
        maria.patch("/scheduler", {"desiredRetention": 0.8})
        return append(**arguments)

    monkeypatch.setattr(imports, "append_entries", change_settings_first)
    again = replace(note, cards=(replace(studied(days=3), stability=30.5),))
    assert figures(report(maria, as_json(again))) == (0, 1, 0, 0)
    (card,) = cards_of(maria)
    assert card["stability"] == 30.5


def test_rows_that_are_left_out_are_told_before_what_others_lose(maria: Caller) -> None:
    tag = "t" * 201
    lines = [f"f{n};b{n};{tag}" for n in range(120)]
    data = "\n".join(["front;back;tags", *lines, ";nothing;a", *lines]).encode()
    body = report(maria, data, deckId=deck_of(maria), dryRun="true")
    assert (body["failed"], len(body["errors"])) == (1, 100)
    assert [error["row"] for error in body["errors"] if error["fatal"]] == [122]


def test_a_learners_own_text_gives_way_only_to_a_newer_file(maria: Caller) -> None:
    note = Note("g", front="a", back="b", deck="D", modified_at=NOW - DAY)
    report(maria, as_json(note))
    (card,) = cards_of(maria)
    maria.patch(f"/flashcards/{card['id']}", {"back": "mine"})
    older = Note("g", front="a", back="theirs", deck="D", modified_at=NOW - DAY / 2)
    assert figures(report(maria, as_json(older))) == (0, 0, 1, 0)
    newer = Note("g", front="a", back="theirs", deck="D", modified_at=NOW + DAY)
    assert figures(report(maria, as_json(newer))) == (0, 1, 0, 0)
    assert [card["back"] for card in cards_of(maria)] == ["theirs"]


def test_a_deleted_note_stays_deleted(maria: Caller) -> None:
    data = as_json(Note("g", front="a", back="b", deck="D"))
    report(maria, data)
    (card,) = cards_of(maria)
    maria.delete(f"/flashcards/{card['id']}")
    body = report(maria, data)
    assert figures(body) == (0, 0, 1, 0)
    assert [(e["code"], e["fatal"]) for e in body["errors"]] == [("deleted", False)]
    assert cards_of(maria) == []


def test_deleted_notes_are_brought_back_when_that_is_said(maria: Caller) -> None:
    data = as_json(Note("g", front="a", back="b", deck="D"))
    report(maria, data)
    for _ in range(2):
        maria.delete(f"/flashcards/{cards_of(maria)[0]['id']}")
        assert figures(report(maria, data, restoreDeleted="true", dryRun="true")) == (1, 0, 0, 0)
        assert cards_of(maria) == []
        assert figures(report(maria, data, restoreDeleted="true")) == (1, 0, 0, 0)
        assert figures(report(maria, data, restoreDeleted="true")) == (0, 0, 1, 0)
        assert [card["front"] for card in cards_of(maria)] == ["a"]
    changed = as_json(Note("g", front="a", back="c", deck="D"))
    assert figures(report(maria, changed)) == (0, 1, 0, 0)  # without a word, as it lives
    assert [card["back"] for card in cards_of(maria)] == ["c"]


def test_no_deck_is_made_for_notes_that_do_not_come_in(maria: Caller) -> None:
    data = as_json(Note("g", front="a", back="b", deck="D"))
    report(maria, data)
    maria.delete(f"/flashcards/{cards_of(maria)[0]['id']}")
    maria.delete(f"/decks/{maria.get('/decks').json()['results'][0]['id']}")
    assert figures(report(maria, data)) == (0, 0, 1, 0)
    assert maria.get("/decks").json()["results"] == []


def test_labels_and_texts_of_real_decks_come_in(maria: Caller) -> None:
    note = Note(
        "g", front="a", back="b" * 20_000, deck="::".join(["Medicina"] * 40),
        tags=tuple(f"Curso::{n:03}::{'x' * 140}" for n in range(60)), notes="n" * 20_000,
    )  # fmt: skip
    body = report(maria, apkg(note), "a.apkg")
    assert (figures(body), body["errors"]) == ((1, 0, 0, 0), [])
    (card,) = cards_of(maria)
    assert (len(card["back"]), len(card["tags"])) == (20_000, 60)
    assert maria.get("/decks").json()["results"][0]["name"] == note.deck


def test_a_note_without_a_back_comes_in_from_a_package(maria: Caller) -> None:
    body = report(maria, apkg(Note("g", front="a", deck="D", cards=(studied(),))), "a.apkg")
    assert figures(body) == (1, 0, 0, 0)
    (card,) = cards_of(maria)
    assert (card["front"], card["back"], card["reps"]) == ("a", "", 3)


def test_many_large_notes_come_in(maria: Caller) -> None:
    """More than DynamoDB takes in one transaction."""
    notes = [
        Note(f"g{n}", front=f"a{n}", back="本" * 20_000, notes="ん" * 20_000, deck="D")
        for n in range(40)
    ]
    assert figures(report(maria, apkg(*notes), "a.apkg")) == (40, 0, 0, 0)


def test_a_cloze_note_has_a_card_for_each_number(maria: Caller) -> None:
    note = Note("g", "cloze", "{{c1::Madrid}} and {{c3::Lima}}", deck="D", notes="capitals")
    report(maria, as_json(note))
    cards = cards_of(maria)
    assert [(card["ordinal"], card["front"]) for card in cards] == [
        (0, "[…] and Lima"),
        (2, "Madrid and […]"),
    ]
    found = maria.get(f"/notes/{cards[0]['noteId']}").json()
    assert (found["type"], found["front"], found["notes"]) == (note.type, note.front, "capitals")
    assert figures(report(maria, as_json(note))) == (0, 0, 1, 0)


def test_suspended_and_buried_cards_stay_so(maria: Caller) -> None:
    states = (CardState(0, suspended=True), CardState(1, buried=True))
    report(maria, as_json(Note("g", "reversed", "a", "b", deck="D", cards=states)))
    first, second = cards_of(maria)
    assert (first["suspended"], second["suspended"]) == (True, False)
    assert datetime.fromisoformat(second["buriedUntil"]) > NOW
    assert maria.get("/flashcards/due").json()["results"] == []


def test_media_of_https_addresses_are_shown_others_kept_by_name(maria: Caller) -> None:
    media = (
        Media("image", "https://example.org/casa.png", "front"),
        Media("audio", "casa.mp3", "back"),
    )
    report(maria, as_json(Note("g", front="casa", deck="D", media=media)))
    (card,) = cards_of(maria)
    assert (card["imageUrl"], card["audioUrl"]) == ("https://example.org/casa.png", None)
    assert card["back"] == "[casa.mp3]"


def test_more_days_than_a_transaction_takes_are_all_counted(joao: Caller) -> None:
    data = as_json(Note("g", front="a", back="b", deck="D", cards=(studied(days=250),)))
    assert figures(report(joao, data)) == (1, 0, 0, 0)
    assert sum(day.count_of("reviews") for day in Day.all_of(joao.id)) == 250
    stored = Card.of(joao.id, cards_of(joao)[0]["id"])
    assert stored is not None
    assert stored.uncounted_days is None
    assert int(progress_of(joao).streak_days) == 250


def test_an_import_that_takes_too_long_goes_on_where_it_stopped(
    maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = [Note(f"g{n}", front=f"f{n}", back="b", deck="D") for n in range(50)]
    monkeypatch.setattr(imports, "WITHIN_S", -1.0)
    data, offset, calls, made = as_json(*notes), 0, 0, 0
    while offset is not None:
        body = report(maria, data, offset=offset)
        made, calls, offset = made + body["imported"], calls + 1, body["nextOffset"]
    assert (made, calls) == (50, 3)
    assert len(cards_of(maria)) == 50


@pytest.mark.parametrize(("lets_in", "told"), [(1, (20, 0, 0, 0)), (2, (38, 0, 1, 1))])
def test_an_import_into_a_busy_table_tells_where_to_go_on(
    maria: Caller, monkeypatch: pytest.MonkeyPatch, lets_in: int, told: tuple[int, ...]
) -> None:
    """A partition takes 1,000 write units a second; what came in before is no failure."""
    monkeypatch.setattr(connection, "pause", lambda *_: None)
    monkeypatch.setattr(connection, "WITHIN_S", 0.1)
    deck = deck_of(maria)
    notes = [Note(f"g{n}", front=f"f{n}", back="b") for n in range(50)]
    for n in (30, 45):  # no room for it as a front
        notes[n] = replace(notes[n], type="reversed", back="b" * 10_001)
    notes[31] = notes[46] = notes[0]
    writes: list[str] = []

    def through(send: Send) -> Send:
        def busy(body: bytes, headers: Headers) -> Answer:
            if operation_of(headers) == "TransactWriteItems":
                writes.append("")
                if len(writes) > lets_in:
                    return refusal("ProvisionedThroughputExceededException")
            return send(body, headers)

        return busy

    with sending(through):
        first = report(maria, as_json(*notes), deckId=deck)
    assert first["nextOffset"] == 20 * lets_in
    second = report(maria, as_json(*notes), deckId=deck, offset=first["nextOffset"])
    assert second["nextOffset"] is None
    assert figures(first) == told
    assert [a + b for a, b in zip(figures(first), figures(second), strict=True)] == [46, 0, 2, 2]
    assert len(first["errors"]) + len(second["errors"]) == 2
    assert len(cards_of(maria)) == 46


def test_an_import_that_could_not_begin_is_refused(
    maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "pause", lambda *_: None)
    monkeypatch.setattr(connection, "WITHIN_S", 0.1)
    deck = deck_of(maria)
    with sending(lambda _: lambda *__: refusal("ProvisionedThroughputExceededException")):
        answer = send(maria, as_json(Note("g", front="a", back="b")), "x.json", deckId=deck)
    assert answer.status_code == 503
    assert cards_of(maria) == []


def test_a_new_learners_totals_are_right_after_an_import(joao: Caller) -> None:
    notes = [Note(f"g{n}", front=f"f{n}", back="b", deck="D") for n in range(45)]
    report(joao, as_json(*notes, Note("s", front="s", back="s", deck="D", cards=(studied(),))))
    raw = progress_of(joao).raw
    totals = {name: int(raw[name]["N"]) for name in ("cards", "new", "mature")}
    assert totals == {"cards": 46, "new": 45, "mature": 1}


@pytest.mark.parametrize(
    ("data", "fields", "status", "code"),
    [
        (b"%PDF-1.7 \x00", {}, 400, "FILE_FORMAT_UNKNOWN"),
        (b"PK\x03\x04 no zip", {}, 400, "FILE_UNREADABLE"),
        (b"{ no json", {"format": "json"}, 400, "FILE_UNREADABLE"),
        (b"a,b", {"format": "xlsx"}, 400, "VALIDATION_ERROR"),
        (b"a,b", {"deckId": "no"}, 400, "VALIDATION_ERROR"),
        (b"a,b", {"deckId": ""}, 400, "VALIDATION_ERROR"),
        (b"a,b", {"deckID": str(ULID())}, 400, "VALIDATION_ERROR"),
        (b"a,b", {"deckId": str(ULID())}, 409, "UNKNOWN_DECK"),
        (b"x" * 6 * 2**20, {}, 413, "PAYLOAD_TOO_LARGE"),
    ],
)
def test_what_cannot_be_imported_says_why(
    maria: Caller, data: bytes, fields: dict[str, str], status: int, code: str
) -> None:
    answer = send(maria, data, **fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_too_many_notes_are_413(maria: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "LIMITS", imports.LIMITS.__class__(notes=3))
    answer = send(maria, b"a,b\n" * 4, deckId=deck_of(maria), dryRun="true")
    assert (answer.status_code, answer.json()["code"]) == (413, "FILE_TOO_LARGE")


@pytest.mark.slow
def test_a_zip_bomb_is_refused(maria: Caller) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("collection.anki2", bytes(300 * 2**20))
    answer = send(maria, target.getvalue(), "bomb.apkg")
    assert answer.status_code in (400, 413)
    assert answer.json()["code"] in ("FILE_UNSAFE", "FILE_TOO_LARGE")


def test_a_request_without_a_file_is_400(maria: Caller) -> None:
    answer = maria.client.post(
        "/flashcards/import", {"dryRun": "true"}, headers={"Authorization": f"Bearer {maria.token}"}
    )
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "file")
    assert maria.post("/flashcards/import", {"file": "a,b"}).status_code == 415


def test_two_imports_at_once_make_each_note_once(maria: Caller) -> None:
    """The second finds the notes that the first writes between its read and its write."""
    notes = [Note(f"g{n}", front=f"f{n}", back="b", deck="D", cards=(studied(),)) for n in range(3)]
    deck_of(maria, name="D")
    run = imports.Import(maria.id, None, False, NOW)
    write, raced = run._write_notes, []

    def late(new: Any, study: Any) -> list[str]:
        if not raced:
            raced.append(report(maria, as_json(*notes)))
        return write(new, study)

    run._write_notes = late  # type: ignore[method-assign]
    run.import_chunk(notes)
    assert figures(raced[0]) == (3, 0, 0, 0)
    assert (run.report.imported, run.report.skipped) == (0, 3)
    assert sum(day.count_of("reviews") for day in Day.all_of(maria.id)) == 9


def test_another_learners_notes_and_decks_are_out_of_reach(maria: Caller, joao: Caller) -> None:
    deck_id = deck_of(maria)
    card_id = card_of(maria, deck_id)
    answer = send(joao, b"a,b", deckId=deck_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "UNKNOWN_DECK")
    report(joao, as_json(Note(card_id, front="mine", back="now", deck="D")))
    assert maria.get(f"/flashcards/{card_id}").json()["front"] == "casa"
    assert joao.get(f"/flashcards/{card_id}").json()["front"] == "mine"


def test_without_a_token_nothing_is_imported(table: None) -> None:
    answer = Client().post("/flashcards/import", {"file": io.BytesIO(b"a,b")})
    assert answer.status_code == 401


def test_our_own_json_comes_back_as_it_was_for_another_learner(maria: Caller, joao: Caller) -> None:
    note = Note("g", front="a", back="b", deck="D", cards=(studied(),))
    report(maria, as_json(note))
    mine = maria.get("/flashcards/export?format=json")
    assert figures(report(joao, mine.content)) == (1, 0, 0, 0)
    theirs = joao.get("/flashcards/export?format=json")
    first, second = (json.loads(answer.content)["notes"] for answer in (mine, theirs))
    for one in (*first, *second):
        for card in one["cards"]:
            for review in card["reviews"]:
                del review["id"]
    assert first == second


def test_csv_written_by_us_comes_in(maria: Caller) -> None:
    notes = [Note("g", front="=1+1", back="two", deck="D", tags=("a b", "c"))]
    report(maria, b"".join(write_csv(notes)))
    (card,) = cards_of(maria)
    assert (card["front"], card["tags"]) == ("=1+1", ["a b", "c"])


def test_a_report_says_its_codes_in_the_case_of_field_errors() -> None:
    place = {"RowError": 2, "ShapeError": 1}  # of the code among the arguments
    codes = {
        call.args[place[call.func.id]].value
        for path in (BASE_DIR / "learning").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in place
        and isinstance(call.args[place[call.func.id]], ast.Constant)
    }
    assert codes > {"required", "more_cells", "wrong_type", "deleted"}
    assert {code for code in codes if code != code.lower()} == set()
