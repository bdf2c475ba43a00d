"""GET /flashcards/export, POST /flashcards/uploads."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ulid import ULID

from config import aws
from learning.transfer import CardState, Media, Note, Review, read
from tests.callers import Caller
from tests.test_flashcards import card_of, deck_of
from tests.test_import import NOW, apkg, as_json, cards_of, figures, report, studied

NOTES = (
    Note("a", front="ir", back="to go", deck="Verbs", tags=("a1",), cards=(studied(),)),
    Note("b", "reversed", "el gato", "the cat", deck="Nouns", example="Un gato.",
         cards=(CardState(0, position=5), CardState(1, position=6, suspended=True))),
    Note("c", "cloze", "{{c1::Madrid}}, {{c2::Lima}}", deck="Nouns", notes="capitals",
         cards=(CardState(0, position=1), studied(1, days=2))),
    Note("d", deck="Nouns", media=(Media("image", "casa.png"), Media("audio", "x.mp3", "back")),
         cards=(CardState(0, position=9),)),
)  # fmt: skip


def exported(caller: Caller, query: str) -> bytes:
    answer = caller.get(f"/flashcards/export?{query}")
    assert answer.status_code == 200, answer.content
    return bytes(answer.content)


def notes_in(data: bytes) -> dict[str, Note]:
    rows = [row for row in read(io.BytesIO(data)) if isinstance(row, Note)]
    return {note.id: note for note in rows}


def told(note: Note) -> Note:
    """A note without the parts that our store need not keep: the ids of its log, and its time."""
    cards = tuple(
        replace(card, reviews=tuple(replace(each, id="") for each in card.reviews))
        for card in note.cards
    )
    return replace(note, cards=cards, created_at=None, modified_at=None)


def test_json_gives_back_what_came_in(maria: Caller) -> None:
    assert figures(report(maria, as_json(*NOTES))) == (4, 0, 0, 0)
    found = notes_in(exported(maria, "format=json"))
    assert {key: told(note) for key, note in found.items()} == {n.id: told(n) for n in NOTES}


def test_a_package_gives_back_what_came_in(maria: Caller) -> None:
    data = apkg(*NOTES)
    report(maria, data, "a.apkg")
    before, after = notes_in(data), notes_in(exported(maria, "format=apkg"))
    assert before.keys() == after.keys()
    for key, note in after.items():
        # An Anki card is due on a day: maria's begins at four in Lisbon.
        assert [abs((c.due_at or NOW) - (d.due_at or NOW)) < timedelta(days=1) for c, d in
                zip(note.cards, before[key].cards, strict=True)]  # fmt: skip
        assert told(_undated(note)) == told(_undated(before[key]))


def _undated(note: Note) -> Note:
    return replace(note, cards=tuple(replace(card, due_at=None) for card in note.cards))


def test_csv_has_what_was_written(maria: Caller) -> None:
    report(maria, as_json(*NOTES))
    answer = maria.get("/flashcards/export?format=csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    name = f"parley-{datetime.now(UTC):%Y-%m-%d}.csv"
    assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
    lines = answer.content.decode("utf-8-sig").splitlines()
    assert lines[0] == "id,type,deck,front,back,phonetic,example,notes,tags"
    assert "a,basic,Verbs,ir,to go,,,,a1" in lines
    assert len(lines) == 5


def test_what_was_made_and_studied_here_is_exported(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria))
    first, second = NOW - timedelta(days=2), NOW - timedelta(days=1)
    ids = [str(ULID()) for _ in range(3)]
    for id_, at, rating in zip(ids, (first, second, NOW), ("easy", "good", "again"), strict=True):
        review = {"id": id_, "rating": rating, "reviewedAt": at.isoformat(), "durationMs": 900}
        made = maria.makes(f"/flashcards/{card_id}/reviews", review)["card"]
    maria.makes(f"/flashcards/{card_id}/undo", {"id": str(ULID())})
    (note,) = notes_in(exported(maria, "format=json")).values()
    assert (note.id, note.front, note.deck) == (card_id, "casa", "Português")
    (card,) = note.cards
    assert (card.state, card.reps, card.lapses) == ("review", 2, made["lapses"] - 1)
    assert [(r.id, r.at, r.rating, r.duration_ms, r.phase) for r in card.reviews] == [
        (ids[0], first, 4, 900, "learning"),
        (ids[1], second, 3, 900, "review"),
    ]
    stored = maria.get(f"/flashcards/{card_id}").json()
    assert card.reviews[1].interval_s == stored["intervalDays"] * 86_400


@pytest.mark.parametrize("format", ["json", "apkg"])
def test_an_export_comes_back_without_a_change(maria: Caller, format: str) -> None:
    report(maria, as_json(*NOTES))
    card_id = card_of(maria, deck_of(maria))
    review = {"id": str(ULID()), "rating": "good", "reviewedAt": NOW.isoformat()}
    maria.makes(f"/flashcards/{card_id}/reviews", review)
    before, log = cards_of(maria), maria.get("/reviews").json()
    data = exported(maria, f"format={format}")
    assert figures(report(maria, data, f"x.{format}")) == (0, 0, 5, 0)
    assert (cards_of(maria), maria.get("/reviews").json()) == (before, log)


def test_one_deck_alone(maria: Caller, joao: Caller) -> None:
    report(maria, as_json(*NOTES))
    decks = {deck["name"]: deck["id"] for deck in maria.get("/decks").json()["results"]}
    found = notes_in(exported(maria, f"format=json&deckId={decks['Nouns']}"))
    assert found.keys() == {"b", "c", "d"}
    answer = joao.get(f"/flashcards/export?format=json&deckId={decks['Nouns']}")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert notes_in(exported(joao, "format=json")) == {}


@pytest.mark.parametrize("accept", ["text/csv", "*/*", "application/json", "application/zip"])
def test_any_media_type_may_be_asked_for(maria: Caller, accept: str) -> None:
    answer = maria.get("/flashcards/export?format=csv", Accept=accept)
    assert answer.status_code == 200
    wrong = maria.get("/flashcards/export?format=doc", Accept=accept)
    assert (wrong.status_code, wrong["Content-Type"]) == (400, "application/problem+json")


def test_a_log_is_exported_with_its_own_card_beside_others_of_like_ids(maria: Caller) -> None:
    text = " ".join(f"{{{{c{n}::w{n}}}}}" for n in range(1, 13))
    cards = tuple(
        CardState(
            n, state="review", due_at=NOW, interval_days=n + 1, stability=5.0, difficulty=5.0,
            reps=1, last_review_at=NOW - timedelta(days=n + 1),
            reviews=(Review(str(n), NOW - timedelta(days=n + 1), rating=3),),
        )
        for n in range(12)
    )  # fmt: skip
    report(maria, as_json(Note("g", "cloze", text, deck="D", cards=cards)))
    (note,) = notes_in(exported(maria, "format=json")).values()
    assert sorted((c.ordinal, c.reviews[0].at) for c in note.cards) == [
        (n, NOW - timedelta(days=n + 1)) for n in range(12)
    ]


def test_an_upload_is_offered_for_its_size_alone(maria: Caller) -> None:
    refused = maria.post("/flashcards/uploads", {"sizeBytes": 300 * 2**20})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "max_value")
    assert maria.post("/flashcards/uploads", {"sizeBytes": 0}).status_code == 400
    upload = maria.makes("/flashcards/uploads", {"sizeBytes": 12_345})
    assert "SignedHeaders=content-length%3Bhost" in upload["url"]
    assert f"/uploads/{maria.id}/{upload['uploadKey']}" in upload["url"]
    assert aws.client("s3").meta.region_name in upload["url"].partition("?")[0]
