"""Anki packages: ours read back as written, Anki's older shapes, and files made to do harm."""

# ruff: noqa: S608  the SQL is ours and goes to throw-away files
import io
import json
import sqlite3
import struct
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from learning.transfer import (
    CardState,
    FileRefused,
    FileTooLarge,
    FileTooNew,
    FileUnsafe,
    FormatUnknown,
    Limits,
    Media,
    MediaSource,
    Note,
    Review,
    RowError,
    read,
)
from learning.transfer.anki.schedule import Days, ReviewRow, memory_of_sm2, review
from learning.transfer.anki.writer import _data, write_apkg
from learning.transfer.model import Row

NOW = datetime(2026, 3, 1, 7, 30, tzinfo=UTC)
DAYS = Days.of(int(datetime(2013, 1, 1, 4, tzinfo=UTC).timestamp()), 0, 4)
CASA = Note(id="n1", front="la casa", back="the house", deck="Spanish")


def packed(notes: list[Note], **options: Any) -> bytes:
    target = io.BytesIO()
    write_apkg(notes, target, exported_at=NOW, **options)
    return target.getvalue()


def rows(data: bytes, *, limits: Limits | None = None) -> list[Row]:
    return list(read(io.BytesIO(data), "x.apkg", limits=limits or Limits()))


def note(data: bytes) -> Note:
    [found] = [row for row in rows(data) if isinstance(row, Note)]
    return found


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(content: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return target.getvalue()


def changed(data: bytes, *statements: str) -> bytes:
    """The package with its collection changed by SQL."""
    content = members(data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "c.db")
        path.write_bytes(content["collection.anki21"])
        connection = sqlite3.connect(path)
        for statement in statements:
            connection.executescript(statement)
        connection.commit()
        connection.close()
        content["collection.anki21"] = path.read_bytes()
    return zipped(content)


def query(data: bytes, sql: str) -> list[tuple[Any, ...]]:
    """What stands in a package of ours."""
    connection = sqlite3.connect(":memory:")
    connection.deserialize(members(data)["collection.anki21"])
    return connection.execute(sql).fetchall()


def latest(data: bytes) -> bytes:
    """The package in the current format: Zstandard, and a list of media in protobuf."""
    compress = zstandard.ZstdCompressor().compress
    return zipped(
        {
            "meta": b"\x08\x03",
            "collection.anki21b": compress(members(data)["collection.anki21"]),
            "media": compress(b"\x0a\x07\x0a\x05a.mp3"),
            "0": compress(b"a sound"),
        },
        zipfile.ZIP_STORED,
    )


# --- what we write, we read --------------------------------------------------------------------

WORDS = st.text("aß漢é<>&\"'{}=+-:;/ \n", max_size=25).map(lambda text: " ".join(text.split()))
NAMES = st.text("abcñ09_", min_size=1, max_size=8)
DECKS = st.lists(NAMES, min_size=1, max_size=3).map("::".join)
PAST = st.integers(1_100_000_000, 1_700_000_000)
MEMORY = st.tuples(st.integers(1, 10**8), st.integers(1000, 10_000))
INTERVALS = st.integers(0, 86_399) | st.integers(1, 99).map(lambda days: days * 86_400)
TAGS = st.lists(NAMES, max_size=3, unique=True).map(tuple)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@st.composite
def card_states(draw: st.DrawFn, ordinal: int, clock: Callable[[], datetime]) -> CardState:
    aside = draw(st.sampled_from([{}, {"suspended": True}, {"buried": True}]))
    counts = {"reps": draw(st.integers(0, 99)), "lapses": draw(st.integers(0, 9))}
    state = draw(st.sampled_from(["new", "learning", "review", "relearning"]))
    if state == "new":
        return CardState(ordinal, position=draw(st.integers(0, 999)), **aside, **counts)
    interval = draw(st.integers(1, 36_500)) if state == "review" else 0
    ease = draw(st.integers(1300, 4000)) / 1000
    day = DAYS.start(draw(st.integers(1, 9000)))
    due_at = day if state == "review" or draw(st.booleans()) else at(draw(PAST))
    stability = difficulty = None
    estimated = interval > 0 and draw(st.booleans())
    if estimated:
        stability, difficulty = memory_of_sm2(ease, interval)
    elif interval or draw(st.booleans()):
        s, d = draw(MEMORY)
        stability, difficulty = min(s / 10_000, 36_500.0), d / 1000
    return CardState(
        ordinal, state=state, due_at=due_at, interval_days=interval, ease_factor=ease,
        stability=stability, difficulty=difficulty, estimated=estimated,
        last_review_at=at(draw(PAST)), reviews=draw(reviews(clock)), **aside, **counts,
    )  # fmt: skip


@st.composite
def reviews(draw: st.DrawFn, clock: Callable[[], datetime]) -> tuple[Review, ...]:
    entries = []
    for _ in range(draw(st.integers(0, 3))):
        moment = clock()
        kind = draw(st.sampled_from(["review", "practice", "reset", "reschedule"]))
        phase = draw(st.sampled_from(["learning", "review", "relearning", "early"]))
        entries.append(
            Review(
                id=str(round(moment.timestamp() * 1000)),
                at=moment,
                kind=kind,
                rating=draw(st.integers(1, 4)) if kind in ("review", "practice") else None,
                duration_ms=draw(st.integers(0, 60_000)),
                interval_s=draw(INTERVALS),
                previous_interval_s=draw(INTERVALS),
                phase={"practice": "early", "review": phase}.get(kind, "review"),
                ease_factor=None
                if kind in ("practice", "reset")
                else draw(st.integers(1000, 5000)) / 1000,
            )
        )
    return tuple(entries)


@st.composite
def collections(draw: st.DrawFn) -> list[Note]:
    now = [at(1_200_000_000)]

    def clock() -> datetime:
        now[0] += timedelta(milliseconds=137)
        return now[0]

    notes = []
    for number in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["basic", "reversed", "cloze"]))
        front, back = draw(WORDS.filter(bool)), draw(WORDS.filter(bool))
        if kind == "cloze":
            front, back = f"{{{{c2::{draw(NAMES)}}}}} {{{{c1::x::y}}}} {draw(NAMES)}", ""
        fields = ["front", "example"] if kind == "cloze" else ["front", "back", "example"]
        cards = [draw(card_states(i, clock)) for i in range(1 if kind == "basic" else 2)]
        deck = draw(DECKS)
        if len(cards) > 1 and (other := draw(DECKS)) != deck:
            cards[1] = replace(cards[1], deck=other)
        notes.append(
            Note(
                id=f"{number}{draw(NAMES)}", type=kind, front=front, back=back,
                phonetic=draw(WORDS), example=draw(WORDS), notes=draw(WORDS), tags=draw(TAGS),
                deck=deck, cards=tuple(cards), created_at=clock(), modified_at=at(draw(PAST)),
                media=tuple(
                    Media(draw(st.sampled_from(["audio", "image"])), draw(NAMES), field)
                    for field in fields if draw(st.booleans())
                ),
            )
        )  # fmt: skip
    return notes


@given(collections())
def test_a_package_of_ours_reads_back_equal(notes: list[Note]) -> None:
    assert rows(packed(notes)) == notes


def test_the_current_format_reads_the_same_as_the_second() -> None:
    data = packed([CASA])
    warning, media, found = rows(latest(data))
    assert [found] == rows(data)
    assert isinstance(warning, RowError)
    assert isinstance(media, MediaSource)
    assert [*media.names] == ["a.mp3"]
    assert (warning.row, warning.code, warning.fatal) == (0, "media_found", False)


def test_a_note_without_cards_gets_all_of_them_new() -> None:
    cloze = Note(type="cloze", front="{{c3::a}} {{c1::b}}", deck="Spanish")
    assert [card.ordinal for card in note(packed([cloze])).cards] == [0, 2]
    assert len(note(packed([replace(CASA, type="reversed")])).cards) == 2
    [card] = note(packed([CASA])).cards
    assert (card.state, card.due_at) == ("new", None)


def test_two_exports_of_a_note_have_the_same_ids() -> None:
    fixed = replace(CASA, created_at=NOW - timedelta(days=9))
    found = []
    for _ in range(2):
        with tempfile.NamedTemporaryFile() as file:
            file.write(members(packed([fixed]))["collection.anki21"])
            file.flush()
            connection = sqlite3.connect(file.name)
            found.append(
                connection.execute(
                    "SELECT n.id, guid, mid, c.id, did FROM notes n, cards c"
                ).fetchall()
            )
            connection.close()
    assert found[0] == found[1]
    assert found[0][0][1] == "n1"


def test_decks_that_differ_in_case_alone_become_one() -> None:
    other = replace(CASA, id="n2", deck="spanish")
    assert [row.deck for row in rows(packed([CASA, other])) if isinstance(row, Note)] == [
        "Spanish",
        "Spanish",
    ]


def test_a_review_is_due_on_the_learners_own_day() -> None:
    """04:00 in Auckland (13 h before UTC) begins the day that the instant falls in."""
    due_at = datetime(2026, 3, 9, 20, 0, tzinfo=UTC)  # 09:00 on the 10th in Auckland
    card = CardState(0, state="review", due_at=due_at, interval_days=3)
    data = packed([replace(CASA, cards=(card,))], minutes_west=-780, day_starts_at_hour=4)
    assert note(data).cards[0].due_at == datetime(2026, 3, 9, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "created", "due_on"),
    [
        ("Europe/Paris", "2026-07-01T04:00", "2026-12-10"),  # made in summer, due in winter
        ("Europe/Paris", "2026-01-15T04:00", "2026-07-10"),
        ("America/New_York", "2026-07-01T04:00", "2026-12-10"),
        ("Australia/Sydney", "2026-12-20T04:00", "2027-07-01"),
        ("Asia/Tokyo", "2026-07-01T04:00", "2026-12-10"),
        ("America/Sao_Paulo", "2026-07-01T00:30", "2026-12-10"),  # before the hour of the day
    ],
)
@pytest.mark.parametrize("told", [True, False], ids=["with its offset", "without an offset"])
def test_a_day_of_anki_is_a_date_on_both_sides_of_a_clock_change(
    zone: str, created: str, due_on: str, told: bool
) -> None:
    made = datetime.fromisoformat(created).replace(tzinfo=ZoneInfo(zone))
    if not told:
        made = made.replace(hour=4, minute=0)  # as old collections were
    offset = made.utcoffset()
    assert offset is not None
    minutes_west = -round(offset.total_seconds() / 60) if told else None
    days = Days.of(int(made.timestamp()), minutes_west, 4)
    due = date.fromisoformat(due_on)
    number = (due - made.date()).days  # as Anki counts it, by dates
    assert days.on(number) == due
    assert days.number(due) == number


# --- what Anki writes --------------------------------------------------------------------------


def with_card(columns: str, *more: str) -> CardState:
    card = CardState(0, state="review", due_at=DAYS.start(100), interval_days=10)
    data = packed([replace(CASA, cards=(card,))])
    return note(changed(data, f"UPDATE cards SET {columns}", *more)).cards[0]


def test_sm2_cards_get_the_memory_that_fsrs_gives_them() -> None:
    import fsrs_rs_python

    model = fsrs_rs_python.FSRS(fsrs_rs_python.DEFAULT_PARAMETERS)
    for ease, interval in [(2.5, 10), (1.3, 1), (1.3, 400), (3.1, 36_500), (2.0, 45)]:
        expected = model.memory_state_from_sm2(ease, float(interval), 0.9)
        card = with_card(f"type=2, queue=2, factor={ease * 1000}, ivl={interval}")
        assert card.estimated
        assert card.stability == pytest.approx(expected.stability, rel=1e-4)
        assert card.difficulty == pytest.approx(expected.difficulty, rel=1e-4)


@pytest.mark.parametrize(
    "data", ["", "x", "[]", '{"s": "1"}', '{"s": 0, "d": 5}', '{"s": 3}', '{"s": 3, "d": 11}']
)
def test_fsrs_data_that_is_no_memory_is_estimated_again(data: str) -> None:
    assert with_card(f"data='{data}', factor=2500").estimated


def test_fsrs_data_is_taken_as_it_is() -> None:
    card = with_card('data=\'{"s": 3.5, "d": 7.25, "dr": 0.9, "lrt": 1700000000}\'')
    assert (card.stability, card.difficulty, card.estimated) == (3.5, 7.25, False)
    assert card.last_review_at == at(1_700_000_000)


def test_what_anki_keeps_of_a_card_for_itself_is_kept() -> None:
    data = '{"pos": 7, "s": 3.5, "d": 7.25, "dr": 0.85, "decay": 0.5, "cd": "{\\"v\\":1}"}'
    card = with_card(f"data='{data}', flags=11")
    assert (card.desired_retention, card.decay, card.original_position) == (0.85, 0.5, 7)
    assert (card.flag, card.custom_data) == (3, '{"v":1}')
    assert json.loads(_data(card)).items() >= json.loads(data).items()


@pytest.mark.parametrize("held", ["suspended", "buried"])
def test_a_held_card_in_learning_is_due_at_an_instant(held: str) -> None:
    """Of such cards Anki does not move a number of days to the collection they come into."""
    card = CardState(0, state="learning", due_at=DAYS.start(100), due_on=DAYS.on(100))
    data = packed([replace(CASA, cards=(replace(card, **{held: True}),))])  # type: ignore[arg-type]
    [(kind, due)] = query(data, "SELECT type, due FROM cards")
    assert (kind, at(due)) == (1, card.due_at)


def test_days_that_are_told_in_seconds_go_out_in_seconds() -> None:
    lines = [(-86_400, -600), (1, -86_400), (3, -259_200)]
    reviews = tuple(
        review(ReviewRow(n + 1, 3, ivl, last, 2500, 0, 0)) for n, (ivl, last) in enumerate(lines)
    )
    card = CardState(0, state="review", due_at=DAYS.start(9), reviews=reviews)  # type: ignore[arg-type]
    data = packed([replace(CASA, cards=(card,))])
    assert query(data, "SELECT ivl, lastIvl FROM revlog ORDER BY id") == lines
    assert note(data).cards[0].reviews == reviews


def test_a_collection_without_its_makers_offset_counts_days_where_it_was_last_open() -> None:
    """Made at 18:00 UTC by who lives in London; by the hour alone it would be of the Pacific."""
    london = {"schedVer": 2, "rollover": 4, "localOffset": 0}
    first = {"schedVer": 1, "rollover": 4, "localOffset": 0}
    card = CardState(0, state="review", due_at=DAYS.start(100), interval_days=10)
    data = packed([replace(CASA, cards=(card,))])
    days = []
    for config in (london, first):
        made = f"UPDATE col SET crt = 1629568800, conf = '{json.dumps(config)}'"  # 2021-08-21 18:00
        days.append(note(changed(data, made, "UPDATE cards SET due = 10")).cards[0].due_on)
    assert days == [date(2021, 8, 31), date(2021, 9, 1)]


@pytest.mark.parametrize("data", ['{"pos": -1, "cd": 7}', '{"dr": 2, "s": 3, "d": 5, "decay": 9}'])
def test_what_anki_never_writes_of_a_card_is_left_out(data: str) -> None:
    card = with_card(f"data='{data}'")
    assert (card.desired_retention, card.decay, card.original_position) == (None, None, None)
    assert (card.flag, card.custom_data) == (0, None)


@pytest.mark.parametrize(
    ("columns", "state", "due_at"),
    [
        ("type=1, queue=1, due=1700000000", "learning", at(1_700_000_000)),
        ("type=1, queue=3, due=12", "learning", DAYS.start(12)),
        ("type=3, queue=1, due=1700000000", "relearning", at(1_700_000_000)),
        ("type=2, queue=2, due=12", "review", DAYS.start(12)),
        ("type=2, queue=1, due=1700000000", "relearning", at(1_700_000_000)),
        ("type=2, queue=2, due=-100000, odue=12, odid=1", "review", DAYS.start(12)),
        ("type=1, queue=1, due=1700000000, odue=5, odid=1", "learning", at(1_700_000_000)),
        ("type=2, queue=2, due=999999999", "review", None),
        ("type=2, queue=2, due='soon'", "review", DAYS.start(0)),
    ],
)
def test_due_numbers_become_instants(columns: str, state: str, due_at: datetime) -> None:
    card = with_card(columns)
    assert (card.state, card.due_at) == (state, due_at)


@pytest.mark.parametrize(
    ("queue", "suspended", "buried"), [(-1, True, False), (-2, False, True), (-3, False, True)]
)
def test_cards_set_aside_keep_their_due_day(queue: int, suspended: bool, buried: bool) -> None:
    card = with_card(f"queue={queue}")
    assert (card.suspended, card.buried) == (suspended, buried)
    assert card.due_at == DAYS.start(100)


def test_a_card_in_a_filtered_deck_goes_home() -> None:
    data = packed([CASA, replace(CASA, id="n2", deck="Cram")])
    home = "(SELECT did FROM cards ORDER BY id LIMIT 1)"
    cram = "(SELECT did FROM cards ORDER BY id DESC LIMIT 1)"
    data = changed(data, f"UPDATE cards SET odid={home}, did={cram} WHERE did={home}")
    first, _ = rows(data)
    assert isinstance(first, Note)
    assert first.deck == "Spanish"


@pytest.mark.parametrize(
    ("ease", "ivl", "factor", "kind", "expected"),
    [
        (3, 10, 2500, 1, ("review", 3, 864_000, "review")),
        (1, -600, 2500, 2, ("review", 1, 600, "relearning")),
        (4, 3, 0, 0, ("review", 4, 259_200, "learning")),
        (2, 5, 0, 3, ("practice", 2, 432_000, "early")),
        (2, 5, 900, 3, ("review", 2, 432_000, "early")),
        (0, 0, 0, 4, ("reset", None, 0, "review")),
        (0, 7, 2500, 4, ("reschedule", None, 604_800, "review")),
        (0, 7, 500, 5, ("reschedule", None, 604_800, "review")),
    ],
)
def test_log_entries_become_reviews(
    ease: int, ivl: int, factor: int, kind: int, expected: tuple[Any, ...]
) -> None:
    values = f"(1700000000123, (SELECT id FROM cards), 0, {ease}, {ivl}, 0, {factor}, 4000, {kind})"
    [entry] = with_card("reps=1", f"INSERT INTO revlog VALUES {values}").reviews
    assert (entry.kind, entry.rating, entry.interval_s, entry.phase) == expected
    assert (entry.id, entry.duration_ms) == ("1700000000123", 4000)
    assert entry.at == at(1_700_000_000) + timedelta(milliseconds=123)


def test_the_three_learning_buttons_of_ankis_first_scheduler_are_ours_of_today() -> None:
    log = (
        "INSERT INTO revlog SELECT 1700000000000 + n, c.id, 0, n, 1, 0, 2500, 1, 0"
        " FROM cards c, (SELECT 1 n UNION SELECT 2 UNION SELECT 3)"
    )
    card = with_card("reps=1", log, """UPDATE col SET conf = '{"schedVer": 1}'""")
    assert [entry.rating for entry in card.reviews] == [1, 3, 4]


def test_without_a_kept_offset_days_begin_when_the_collection_did() -> None:
    card = with_card("due=1", "UPDATE col SET conf = '{}', crt = 1400000000")
    assert card.due_at == at(1_400_086_400)


def test_impossible_log_entries_are_passed_over() -> None:
    log = "INSERT INTO revlog VALUES ({}, (SELECT id FROM cards), 0, {}, 1, 0, 0, 0, 1)"
    card = with_card("reps=1", log.format(-5, 3), log.format(1_700_000_000_000, 9))
    assert card.reviews == ()


def models(kind: dict[str, Any]) -> str:
    document = json.dumps({"7": kind}).replace("'", "''")
    return f"UPDATE col SET models = '{document}'; UPDATE notes SET mid = 7"


def kind_of(fields: list[str], *templates: tuple[str, str], cloze: bool = False) -> dict[str, Any]:
    return {
        "name": "mine",
        "type": int(cloze),
        "flds": [{"name": name, "ord": i} for i, name in enumerate(fields)],
        "tmpls": [{"qfmt": q, "afmt": a, "ord": i} for i, (q, a) in enumerate(templates)],
    }


def converted(
    kind: dict[str, Any], values: list[str], ordinals: tuple[int, ...] = (0,)
) -> list[Row]:
    cloze = Note(
        type="cloze", front="".join(f"{{{{c{i + 1}::x}}}}" for i in ordinals), deck="Spanish"
    )
    fields = "' || char(31) || '".join(value.replace("'", "''") for value in values)
    return rows(changed(packed([cloze]), models(kind), f"UPDATE notes SET flds = '{fields}'"))


FORWARD = ("{{Word}}", "{{FrontSide}}<hr>{{Meaning}}")
GAP = ("{{cloze:Text}}", "{{cloze:Text}}{{Back Extra}}")
BACKWARD = ("{{Meaning}}", "{{FrontSide}}<hr>{{Word}}")


@pytest.mark.parametrize(
    ("kind", "values", "ordinals", "expected"),
    [
        (
            kind_of(["Meaning", "Word"], FORWARD),
            ["house", "casa"],
            (0,),
            Note(front="casa", back="house"),
        ),
        (
            kind_of(["Word", "Meaning"], FORWARD, BACKWARD),
            ["casa", "house"],
            (0, 1),
            Note(type="reversed", front="casa", back="house"),
        ),
        (
            kind_of(["Word", "Meaning"], FORWARD, BACKWARD),
            ["casa", "house"],
            (0,),
            Note(front="casa", back="house"),
        ),
        (
            kind_of(
                ["Word", "Meaning", "Add Reverse"],
                FORWARD,
                ("{{#Add Reverse}}{{Meaning}}{{/Add Reverse}}", BACKWARD[1]),
            ),
            ["casa", "house", "y"],
            (0, 1),
            Note(type="reversed", front="casa", back="house"),
        ),
        (
            kind_of(["Word", "Meaning"], ("{{Word}} {{type:Meaning}}", "{{type:Meaning}}")),
            ["casa", "house"],
            (0,),
            Note(front="casa", back="house"),
        ),
        (
            kind_of(
                ["Word", "IPA", "Meaning", "Plural", "Example", "Frequency", "Extra"],
                ("{{Word}}", "{{IPA}} {{Meaning}} {{Plural}} {{Example}} {{Extra}}"),
            ),
            ["casa", "ˈkasa", "house", "casas", "Mi casa.", "210", "feminine"],
            (0,),
            Note(
                front="casa", phonetic="ˈkasa", back="house\ncasas", example="Mi casa.",
                notes="Frequency: 210\nfeminine",
            ),
        ),
        (
            kind_of(["Text", "Back Extra"], GAP, cloze=True),
            ["{{c1::Madrid}} is<br>big", "<i>Spain</i>"],
            (0,),
            Note(type="cloze", front="{{c1::Madrid}} is\nbig", notes="Spain"),
        ),
        (kind_of(["Only", "Other"]), ["casa", "house"], (0,), Note(front="casa", back="house")),
    ],
)  # fmt: skip
def test_note_types_are_laid_onto_ours_by_their_templates(
    kind: dict[str, Any], values: list[str], ordinals: tuple[int, ...], expected: Note
) -> None:
    [found] = converted(kind, values, ordinals)
    assert isinstance(found, Note)
    names = ("type", "front", "back", "phonetic", "example", "notes")
    assert [getattr(found, n) for n in names] == [getattr(expected, n) for n in names]
    assert [card.ordinal for card in found.cards] == list(range(len(ordinals)))


SPANISH = ("{{Picture}}", "{{FrontSide}}{{Spanish}}")
ENGLISH = ("{{#English}}{{English}}{{/English}}", "{{FrontSide}}{{Portuguese}}")


def test_a_note_that_lacks_what_the_first_template_asks_goes_by_its_own_cards() -> None:
    kind = kind_of(["Picture", "Spanish", "English", "Portuguese"], SPANISH, ENGLISH)
    [found] = converted(kind, ["", "", "people", "pessoas"], (1,))
    assert isinstance(found, Note)
    assert (found.front, found.back, found.type) == ("people", "pessoas", "basic")
    assert [card.ordinal for card in found.cards] == [0]


def test_a_note_that_no_template_asks_of_is_reported() -> None:
    kind = kind_of(["Picture", "Spanish", "English", "Portuguese"], SPANISH, ENGLISH)
    [error] = converted(kind, ["", "", "", "pessoas"], (0,))
    assert isinstance(error, RowError)
    assert (error.field, error.code) == ("front", "required")


def test_cards_of_further_templates_are_reported() -> None:
    kind = kind_of(["Word", "Meaning"], FORWARD, ("{{Word}}?", "{{Meaning}}"), BACKWARD)
    error, found = converted(kind, ["casa", "house"], (0, 1, 2))
    assert isinstance(error, RowError)
    assert (error.row, error.field, error.code, error.fatal) == (1, "cards", "cards_dropped", False)
    assert isinstance(found, Note)
    assert (found.type, [card.ordinal for card in found.cards]) == ("reversed", [0, 1])


@pytest.mark.parametrize(
    ("values", "ordinals", "kept"),
    [
        (["casa", ""], (0, 1), [0]),  # the second is what Anki calls an empty card
        (["", "house"], (0, 1), [0]),
        (["casa", ""], (1,), []),
        (["casa", ""], (0,), [0]),
    ],
)
def test_a_reversed_note_with_one_side_comes_in_as_the_card_that_asks_for_it(
    values: list[str], ordinals: tuple[int, ...], kept: list[int]
) -> None:
    """Anki makes no card whose question would be empty, and keeps one that became so."""
    kind = kind_of(["Word", "Meaning"], FORWARD, BACKWARD)
    *told, found = converted(kind, values, ordinals)
    assert isinstance(found, Note)
    assert (found.type, found.front, found.back) == ("basic", "".join(values), "")
    assert [card.ordinal for card in found.cards] == kept
    errors = [error for error in told if isinstance(error, RowError)]
    codes = [(error.row, error.code, error.fatal) for error in errors]
    assert codes == ([] if len(ordinals) == len(kept) else [(1, "cards_dropped", False)])


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ("UPDATE notes SET mid = 99", "type", "no_note_type"),
        ("UPDATE notes SET flds = char(31) || 'x'", "front", "required"),
        ("UPDATE notes SET flds = printf('%.*c', 200000, 'x')", "front", "too_long"),
        (models(kind_of(["A", "B"]) | {"originalStockKind": 6}), "type", "unsupported"),
    ],
)
def test_notes_that_cannot_be_taken_over_are_named(change: str, field: str, code: str) -> None:
    [error] = rows(changed(packed([CASA]), change))
    assert isinstance(error, RowError)
    assert (error.row, error.field, error.code, error.fatal) == (1, field, code, True)


def test_media_without_text_is_a_side_of_its_own() -> None:
    data = changed(packed([CASA]), "UPDATE notes SET flds = '<img src=a.jpg>' || char(31) || 'x'")
    assert note(data).media == (Media("image", "a.jpg", "front"),)


# --- the collection that Anki keeps today: tables instead of JSON ------------------------------


def message(**values: Any) -> bytes:
    """A protobuf message; fields are given as f1=…, text or number."""
    out = b""
    for name, value in values.items():
        number = int(name[1:])
        if isinstance(value, str):
            raw = value.encode()
            out += bytes([number << 3 | 2, len(raw)]) + raw
        else:
            out += bytes([number << 3, value])
    return out


def schema_18(data: bytes) -> bytes:
    side, other = (message(f1=q, f2=a).hex() for q, a in (FORWARD, BACKWARD))
    return changed(
        data,
        "UPDATE col SET ver=18, conf='', models='', decks='', dconf='', tags=''",
        "CREATE TABLE config (KEY text PRIMARY KEY, usn, mtime_secs, val blob) without rowid",
        "INSERT INTO config VALUES ('rollover', 0, 0, '2'), ('schedVer', 0, 0, '2'),"
        " ('creationOffset', 0, 0, '-60')",
        "CREATE TABLE decks (id integer PRIMARY KEY, name text, common blob, kind blob)",
        "INSERT INTO decks SELECT did, 'Spanish' || char(31) || 'A1', x'', x'' FROM cards",
        "CREATE TABLE notetypes (id integer PRIMARY KEY, name text, config blob)",
        "INSERT INTO notetypes VALUES (7, 'mine', x'0800')",
        "CREATE TABLE fields (ntid integer, ord integer, name text, config blob)",
        "INSERT INTO fields VALUES (7, 1, 'Meaning', x''), (7, 0, 'Word', x'')",
        "CREATE TABLE templates (ntid integer, ord integer, name text, config blob)",
        f"INSERT INTO templates VALUES (7, 0, 'a', x'{side}'), (7, 1, 'b', x'{other}')",
        "UPDATE notes SET mid = 7",
    )


def test_definitions_are_read_from_tables_since_schema_15() -> None:
    card = CardState(0, state="review", due_at=DAYS.start(10), interval_days=1)
    found = note(schema_18(packed([replace(CASA, cards=(card,))])))
    assert (found.front, found.back, found.deck) == ("la casa", "the house", "Spanish::A1")
    # created 2013-01-01 05:00 at UTC+1, days from 02:00 there
    assert found.cards[0].due_at == datetime(2013, 1, 11, 1, 0, tzinfo=UTC)


def test_names_in_ankis_own_collation_can_be_read() -> None:
    index = "PRAGMA writable_schema=1; UPDATE sqlite_master SET sql = replace(sql, 'name text',"
    data = changed(
        schema_18(packed([CASA])), f"{index} 'name text COLLATE unicase') WHERE name='fields'"
    )
    assert note(data).front == "la casa"


# --- files made to do harm ---------------------------------------------------------------------


def refused(data: bytes, problem: type[FileRefused], *, limits: Limits | None = None) -> None:
    with pytest.raises(FileRefused) as caught:
        rows(data, limits=limits)
    assert type(caught.value) is problem


def replaced(name: str, content: bytes, data: bytes | None = None) -> bytes:
    return zipped(members(data or packed([CASA])) | {name: content})


def test_archives_without_a_collection_are_unknown() -> None:
    refused(zipped({"xl/workbook.xml": b"<workbook/>"}), FormatUnknown)
    refused(zipped({"deck.apkg": packed([CASA])}), FormatUnknown)
    refused(zipped({}), FormatUnknown)


def test_a_package_of_a_future_version_is_too_new() -> None:
    refused(replaced("meta", b"\x08\x04"), FileTooNew)
    refused(changed(packed([CASA]), "UPDATE col SET ver = 19"), FileTooNew)


def test_a_bomb_is_stopped_by_what_it_weighs() -> None:
    bomb = b"\x00" * (32 * 2**20)
    refused(replaced("collection.anki21", bomb), FileUnsafe)
    content = members(latest(packed([CASA]))) | {
        "collection.anki21b": zstandard.ZstdCompressor().compress(bomb)
    }
    refused(zipped(content, zipfile.ZIP_STORED), FileTooLarge)


def test_a_bomb_that_lies_about_its_size_is_stopped_too() -> None:
    data = bytearray(replaced("collection.anki21", b"\x00" * (32 * 2**20)))
    at_ = data.rfind(b"PK\x01\x02", 0, data.rfind(b"collection.anki21"))
    struct.pack_into("<L", data, at_ + 24, 100)
    with pytest.raises(FileRefused):
        rows(bytes(data))


def test_unpacked_bytes_are_limited() -> None:
    data = packed([CASA])
    refused(data, FileTooLarge, limits=Limits(unpacked_bytes=10_000))
    refused(latest(data), FileTooLarge, limits=Limits(unpacked_bytes=10_000))


def test_members_are_limited_before_they_are_listed() -> None:
    many = {str(number): b"" for number in range(30)}
    refused(zipped(members(packed([CASA])) | many), FileTooLarge, limits=Limits(members=20))


def test_archives_in_the_64_bit_format_are_too_large() -> None:
    data = packed([CASA])
    end = data.rfind(b"PK\x05\x06")
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, 0, 1)
    refused(data[:end] + locator + data[end:], FileTooLarge)


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "a/../../b", "C:evil", "..\\evil", "\\\\host\\x"]
)
def test_names_that_lead_elsewhere_are_unsafe(name: str) -> None:
    refused(replaced(name, b"x"), FileUnsafe)


def test_two_members_of_one_name_are_unsafe() -> None:
    target = io.BytesIO(packed([CASA]))
    with zipfile.ZipFile(target, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("meta", b"\x08\x02")
    refused(target.getvalue(), FileUnsafe)


def test_an_encrypted_archive_is_unsafe() -> None:
    data = bytearray(packed([CASA]))
    at_ = data.find(b"PK\x01\x02")
    data[at_ + 8] |= 1
    refused(bytes(data), FileUnsafe)


@pytest.mark.parametrize(
    "content",
    [b"", b"not a database", b"SQLite format 3\x00" + b"\xff" * 5000, packed([CASA])],
    ids=["nothing", "text", "a damaged one", "a package"],
)
def test_a_collection_that_is_no_database_is_refused(content: bytes) -> None:
    refused(replaced("collection.anki21", content), FileRefused)


def test_a_damaged_media_list_is_refused() -> None:
    refused(replaced("media", b"{"), FileRefused)
    broken = zstandard.ZstdCompressor().compress(b"\x0b\xff")
    refused(zipped(members(latest(packed([CASA]))) | {"media": broken}), FileRefused)


SWAP = "ALTER TABLE notes RENAME TO real;"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (f"{SWAP} CREATE VIEW notes AS SELECT * FROM real", FileUnsafe),
        ("CREATE TRIGGER t AFTER INSERT ON notes BEGIN SELECT 1; END", FileUnsafe),
        ("CREATE VIRTUAL TABLE f USING fts5(x)", FileUnsafe),
        ("ALTER TABLE notes ADD COLUMN x GENERATED ALWAYS AS (hex(zeroblob(9)))", FileUnsafe),
        ("DROP TABLE revlog", FileRefused),
        ("ALTER TABLE cards DROP COLUMN odid", FileRefused),
        ("DELETE FROM col", FileRefused),
        ("UPDATE col SET models = '[]'", FileRefused),
        ("UPDATE col SET models = '{\"1\": {}}'", FileRefused),
        ("UPDATE col SET decks = 'x'", FileRefused),
        ("UPDATE col SET decks = printf('%.*c', 100000, '[')", FileRefused),
    ],
)
def test_a_schema_that_is_not_ankis_is_refused(change: str, problem: type[FileRefused]) -> None:
    refused(changed(packed([CASA]), change), problem)


def test_a_collection_with_a_damaged_page_is_refused_before_the_first_note() -> None:
    notes = [replace(CASA, id=str(i), front=f"{i} " * 300) for i in range(100)]
    content = members(packed(notes))
    database = bytearray(content["collection.anki21"])
    for start in range(len(database) // 2, len(database) - 100, 4096):
        database[start : start + 100] = b"\xff" * 100
    content["collection.anki21"] = bytes(database)
    found = read(io.BytesIO(zipped(content)), "x.apkg")
    with pytest.raises(FileRefused):
        next(found)


def test_counts_are_limited_before_the_first_note() -> None:
    entry = Review(id="1", at=NOW - timedelta(days=1), rating=3)
    card = CardState(0, state="review", due_at=NOW, interval_days=1, reviews=(entry, entry))
    data = packed([replace(CASA, cards=(card,)), replace(CASA, id="n2")])
    for limits in (Limits(notes=1), Limits(reviews=1)):
        with pytest.raises(FileTooLarge):
            next(read(io.BytesIO(data), limits=limits))


SAMPLE = packed(
    [
        replace(CASA, cards=(CardState(0, state="review", due_at=NOW, interval_days=4),)),
        Note(id="n2", type="cloze", front="{{c1::a}}", deck="Spanish", tags=("x",)),
    ]
)


def survive(data: bytes) -> None:
    try:
        for row in read(io.BytesIO(data), format="apkg"):
            assert isinstance(row, Note | RowError | MediaSource)
            for name in row.names if isinstance(row, MediaSource) else ():
                with suppress(FileRefused):
                    row.read(name)
    except FileRefused:
        return


BYTES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8)


def mutate(data: bytes, changes: list[tuple[float, int]]) -> bytes:
    out = bytearray(data)
    for place, value in changes:
        out[int(place * len(out))] = value
    return bytes(out)


@given(BYTES, st.floats(0, 1))
def test_a_mutated_or_cut_archive_gives_rows_or_a_refusal(
    changes: list[tuple[float, int]], keep: float
) -> None:
    survive(mutate(SAMPLE, changes))
    survive(mutate(latest(SAMPLE), changes))
    survive(SAMPLE[: int(keep * len(SAMPLE))])


@given(BYTES)
def test_a_mutated_collection_gives_rows_or_a_refusal(changes: list[tuple[float, int]]) -> None:
    content = members(SAMPLE)
    content["collection.anki21"] = mutate(content["collection.anki21"], changes)
    survive(zipped(content))


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_mutated_lists_give_rows_or_a_refusal(meta: bytes, media: bytes) -> None:
    survive(zipped(members(SAMPLE) | {"media": media}))
    survive(zipped(members(latest(SAMPLE)) | {"media": zstandard.compress(media)}))
    survive(zipped(members(SAMPLE) | {"meta": meta}))
