"""Our JSON document gives back exactly the notes, cards and log that were written."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.transfer import (
    CardState,
    FileRefused,
    FileTooLarge,
    FileTooNew,
    FormatUnknown,
    Limits,
    Media,
    Note,
    Review,
    RowError,
    detect,
    read,
    write_json,
)
from learning.transfer.model import MAX_DAYS, Row, clean_text

NOW = datetime(2026, 3, 1, 7, 30, tzinfo=UTC)


def rows(document: Any, *, limits: Limits | None = None) -> list[Row]:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return list(read(io.BytesIO(data), "notes.json", format="json", limits=limits or Limits()))


TEXT = st.text(max_size=20).map(clean_text)
FULL = TEXT.filter(bool)
INSTANTS = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
SECONDS = st.integers(0, MAX_DAYS * 86_400)
REVIEWS = st.builds(
    Review,
    id=FULL, at=INSTANTS, kind=st.sampled_from(["review", "practice", "reset", "reschedule"]),
    rating=st.none() | st.integers(1, 4), duration_ms=st.integers(0, 60_000), interval_s=SECONDS,
    previous_interval_s=SECONDS, ease_factor=st.none() | st.floats(0, 10),
    phase=st.sampled_from(["learning", "review", "relearning", "early"]),
)  # fmt: skip
CARDS = st.builds(
    CardState,
    ordinal=st.integers(0, 998), deck=TEXT,
    state=st.sampled_from(["new", "learning", "review", "relearning"]), suspended=st.booleans(),
    buried=st.booleans(), due_at=st.none() | INSTANTS, position=st.none() | st.integers(0, 2**31),
    interval_days=st.integers(0, MAX_DAYS), stability=st.none() | st.floats(0, MAX_DAYS),
    difficulty=st.none() | st.floats(1, 10), estimated=st.booleans(),
    ease_factor=st.none() | st.floats(0, 10), reps=st.integers(0, 999), lapses=st.integers(0, 99),
    last_review_at=st.none() | INSTANTS, reviews=st.lists(REVIEWS, max_size=3).map(tuple),
)  # fmt: skip
MEDIA = st.builds(
    Media, st.sampled_from(["audio", "image"]), FULL, st.sampled_from(["front", "back"])
)
NOTES = st.builds(
    Note,
    id=TEXT, type=st.sampled_from(["basic", "reversed"]), front=FULL, back=FULL, phonetic=TEXT,
    example=TEXT, notes=TEXT, tags=st.lists(TEXT, max_size=3).map(tuple), deck=TEXT,
    media=st.lists(MEDIA, max_size=2).map(tuple), cards=st.lists(CARDS, max_size=3).map(tuple),
    created_at=st.none() | INSTANTS, modified_at=st.none() | INSTANTS,
)  # fmt: skip


@given(st.lists(NOTES, max_size=3))
def test_json_is_lossless(notes: list[Note]) -> None:
    assert rows(b"".join(write_json(notes, NOW))) == notes


def test_a_side_text_that_is_too_long_costs_no_history() -> None:
    card = CardState(0, state="review", due_at=NOW, interval_days=3, reps=1)
    note = Note(id="n1", front="la casa", back="the house", phonetic="x" * 2001, cards=(card,))
    error, kept = rows(b"".join(write_json([note], NOW)))
    assert isinstance(error, RowError)
    assert (error.field, error.code, error.fatal) == ("phonetic", "text_dropped", False)
    assert kept == replace(note, phonetic="")


def test_the_document_reads_like_this() -> None:
    note = Note(
        id="n1",
        front="la casa",
        back="the house",
        cards=(CardState(0, state="review", due_at=NOW, interval_days=3),),
    )
    document = json.loads(b"".join(write_json([note], NOW)))
    assert document == {
        "format": "parley-notes",
        "version": 1,
        "exportedAt": "2026-03-01T07:30:00Z",
        "notes": [
            {
                "id": "n1",
                "front": "la casa",
                "back": "the house",
                "cards": [
                    {
                        "ordinal": 0,
                        "state": "review",
                        "dueAt": "2026-03-01T07:30:00Z",
                        "intervalDays": 3,
                    }
                ],
            }
        ],
    }


def test_writing_takes_one_note_at_a_time() -> None:
    taken = []

    def notes() -> Any:
        for number in range(3):
            taken.append(number)
            yield Note(front=str(number), back="x")

    pieces = write_json(notes(), NOW)
    next(pieces)
    assert taken == []
    next(pieces)
    assert taken == [0]


def test_a_document_of_ours_may_be_larger_than_memory_allows_for_others() -> None:
    notes = [Note(id=str(n), front="ir", back="to go") for n in range(100)]
    written = b"".join(write_json(notes, NOW))
    limits = Limits(text_bytes=500)
    assert rows(written, limits=limits) == notes
    with pytest.raises(FileTooLarge):
        rows(json.dumps(json.loads(written)).encode(), limits=limits)
    with pytest.raises(FileTooLarge):
        rows(written, limits=Limits(notes=99))


def test_a_broken_line_of_a_document_of_ours_costs_one_note() -> None:
    notes = [Note(id=str(n), front="ir", back="to go") for n in range(3)]
    lines = b"".join(write_json(notes, NOW)).split(b"\n")
    broken = rows(b"\n".join([lines[0], lines[1], lines[2][:-5], lines[3], lines[4]]))
    assert broken == [
        notes[0],
        RowError(2, "", "not_json", "The line is not well-formed JSON."),
        notes[2],
    ]


def test_a_document_of_ours_that_was_cut_short_says_so() -> None:
    written = b"".join(write_json([Note(id="1", front="ir", back="to go")], NOW))
    found = rows(written.removesuffix(b"]}\n"))
    assert [row.code for row in found if isinstance(row, RowError)] == ["cut_short"]


def test_a_bare_list_of_notes_is_read() -> None:
    assert rows([{"front": "ir", "back": "to go", "tags": ["a1"]}]) == [
        Note(front="ir", back="to go", tags=("a1",))
    ]


def test_a_reversed_note_without_a_back_comes_in_as_its_first_card() -> None:
    cards = [{"ordinal": 0, "reps": 3}, {"ordinal": 1, "reps": 2}]
    dropped, note = rows([{"front": "ir", "type": "reversed", "cards": cards}])
    assert isinstance(dropped, RowError)
    assert (dropped.row, dropped.code, dropped.fatal) == (1, "cards_dropped", False)
    assert isinstance(note, Note)
    assert (note.type, [(card.ordinal, card.reps) for card in note.cards]) == ("basic", [(0, 3)])


@pytest.mark.parametrize(
    ("note", "field", "code"),
    [
        ("ir", "", "wrong_type"),
        ({"front": 1, "back": "x"}, "front", "wrong_type"),
        ({"back": "x", "type": "reversed"}, "front", "required"),
        ({"front": "x", "back": "y", "color": "red"}, "color", "unknown_field"),
        ({"front": "x", "back": "y", "type": "quiz"}, "type", "not_a_choice"),
        ({"front": "x", "back": "y", "tags": "a"}, "tags", "wrong_type"),
        ({"front": "x", "type": "cloze"}, "front", "no_cloze"),
        ({"front": "{{c1::x}}", "type": "cloze", "back": "y"}, "back", "unexpected"),
        ({"front": "x", "back": "y", "cards": [{}]}, "cards.0.ordinal", "required"),
        (
            {"front": "x", "back": "y", "cards": [{"ordinal": True}]},
            "cards.0.ordinal",
            "wrong_type",
        ),
        (
            {"front": "x", "back": "y", "cards": [{"ordinal": -1}]},
            "cards.0.ordinal",
            "out_of_range",
        ),
        (
            {"front": "x", "back": "y", "cards": [{"ordinal": 0, "stability": 10**400}]},
            "cards.0.stability",
            "out_of_range",
        ),
        (
            {"front": "x", "back": "y", "createdAt": "2026-13-01T00:00:00Z"},
            "createdAt",
            "wrong_type",
        ),
        (
            {"front": "x", "back": "y", "createdAt": "2026-03-01T00:00:00"},
            "createdAt",
            "wrong_type",
        ),
    ],
)
def test_what_is_wrong_with_a_note_is_named(note: Any, field: str, code: str) -> None:
    good = {"front": "ir", "back": "to go"}
    first, error, last = rows([good, note, good])
    assert first == last == Note(front="ir", back="to go")
    assert isinstance(error, RowError)
    assert (error.row, error.field, error.code) == (2, field, code)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[1,", b'"x"', b"[NaN]", b"\xff\xfe[", b"[" * 100_000, b'{"notes": 3}',
        b'{"format": "other", "notes": []}', b'{"version": "1", "notes": []}',
        b"[" + b"9" * 5000 + b"]",
    ],
)  # fmt: skip
def test_documents_that_are_not_ours_are_refused(data: bytes) -> None:
    with pytest.raises(FileRefused):
        rows(data)


def test_a_newer_version_is_refused_as_such() -> None:
    with pytest.raises(FileTooNew):
        rows({"format": "parley-notes", "version": 2, "notes": []})


def test_limits_hold() -> None:
    notes = [{"front": "x", "back": "y"}] * 3
    with pytest.raises(FileTooLarge):
        rows(notes, limits=Limits(notes=2))
    with pytest.raises(FileTooLarge):
        rows(notes, limits=Limits(text_bytes=20))


@given(st.binary(max_size=200))
def test_any_bytes_give_rows_or_a_refusal(data: bytes) -> None:
    try:
        found = rows(data)
    except FileRefused:
        return
    assert all(isinstance(row, Note | RowError) for row in found)


@given(st.data())
def test_mutated_documents_give_rows_or_a_refusal(data: st.DataObject) -> None:
    document = bytearray(b"".join(write_json([data.draw(NOTES)], NOW)))
    for _ in range(3):
        document[data.draw(st.integers(0, len(document) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = rows(bytes(document))
    except FileRefused:
        return
    assert all(isinstance(row, Note | RowError) for row in found)


@pytest.mark.parametrize(
    ("head", "name", "format"),
    [
        (b"PK\x03\x04....", "x.csv", "apkg"),
        (b'\xef\xbb\xbf {"notes": []}', "", "json"),
        (b'[{"front": 1}]', "x.txt", "json"),
        (b"[]", "", "json"),
        (b"{{c1::casa}};x", "words.csv", "csv"),
        (b"[sound:x.mp3],casa", "", "csv"),
        (b"", "", "csv"),
        (b"front,back", "x.apkg", "csv"),
    ],
)
def test_the_format_is_told_by_content(head: bytes, name: str, format: str) -> None:
    assert detect(head, name) == format


def test_other_binary_files_are_no_import() -> None:
    with pytest.raises(FormatUnknown):
        detect(b"SQLite format 3\x00....")
