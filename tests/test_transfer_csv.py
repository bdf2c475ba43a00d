"""Word lists of every make become notes, and our own CSV comes back as it was written."""

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.transfer import FileRefused, FileTooLarge, Limits, Note, RowError, read, write_csv
from learning.transfer.model import Row, plain
from tests.growth import assert_linear

CASA = Note(front="la casa", back="the house")
GATO = Note(front="el gato", back="the cat")


def rows(data: str | bytes, *, limits: Limits | None = None, encoding: str = "utf-8") -> list[Row]:
    raw = data.encode(encoding) if isinstance(data, str) else data
    return list(read(io.BytesIO(raw), "words.csv", limits=limits or Limits()))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "header",
    ["", "Term{0}Definition\n", "front{0}back\r\n", "Word{0}Translation\n", "Spanish{0}English\n"],
)
def test_separator_and_header_are_found_out(separator: str, header: str) -> None:
    body = "la casa{0}the house\nel gato{0}the cat\n"
    assert rows((header + body).format(separator)) == [CASA, GATO]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]
)
def test_encoding_is_found_out(encoding: str) -> None:
    assert rows("el niño;the boy\nla señora;the lady", encoding=encoding) == [
        Note(front="el niño", back="the boy"),
        Note(front="la señora", back="the lady"),
    ]


def test_every_column_is_read() -> None:
    data = (
        "Guid,Note Type,Deck,Question,Answer,IPA,Example,Extra,Tags\n"
        "g1,Basic (and reversed card),Spanish::Verbs,ir,to go,iɾ,"
        '"Voy, ya.","irregular\nvery","verb a1"\n'
    )
    assert rows(data) == [
        Note(
            id="g1", type="reversed", deck="Spanish::Verbs", front="ir", back="to go",
            phonetic="iɾ", example="Voy, ya.", notes="irregular\nvery", tags=("verb", "a1"),
        )
    ]  # fmt: skip


def test_a_cloze_is_known_by_its_text() -> None:
    assert rows("front;notes\n{{c1::Madrid}} es la capital;Spain") == [
        Note(type="cloze", front="{{c1::Madrid}} es la capital", notes="Spain")
    ]


def test_unnamed_columns_beyond_the_second_become_notes() -> None:
    assert rows("ir;to go;irregular;A1\nser;to be;;") == [
        Note(front="ir", back="to go", notes="irregular\nA1"),
        Note(front="ser", back="to be"),
    ]


def test_an_unknown_column_is_reported_and_the_note_stands() -> None:
    assert rows("front,back,created\nir,to go,2020") == [
        RowError(1, "created", "UNKNOWN_COLUMN", "The column is not read.", fatal=False),
        Note(front="ir", back="to go"),
    ]


def test_anki_plain_text_export_is_read_with_its_directives() -> None:
    data = (
        "#separator:tab\n#html:true\n#guid column:1\n#notetype column:2\n#deck column:3\n"
        "#tags column:6\n"
        "o!a\tBasic\tSpanish\t<b>casa</b>&nbsp;[sound:casa.mp3]\thouse<br>home\tnoun a1\n"
        'p"b\tCloze\tSpanish\t"{{c1::el}} ""gato"""\textra\tnoun\n'
    )
    first, second = rows(data)
    assert isinstance(first, Note)
    assert (first.id, first.front, first.back) == ("o!a", "casa", "house\nhome")
    assert (first.tags, first.deck) == (("noun", "a1"), "Spanish")
    assert [item.name for item in first.media] == ["casa.mp3"]
    assert second == Note(
        id='p"b', type="cloze", deck="Spanish", front='{{c1::el}} "gato"', notes="extra",
        tags=("noun",),
    )  # fmt: skip


def test_file_wide_deck_tags_and_columns_of_anki_apply_to_each_note() -> None:
    data = "#separator:Semicolon\n#deck:Spanish\n#tags:imported a1\n#columns:Back;Front\nhouse;casa"
    assert rows(data) == [Note(front="casa", back="house", deck="Spanish", tags=("imported", "a1"))]


def test_a_separator_line_of_excel_is_obeyed() -> None:
    assert rows("sep=|\nla casa|the house") == [CASA]


def test_rows_that_are_no_notes_are_named_by_row_and_field() -> None:
    found = rows("front,back\nla casa,the house\n,orphan\n\nlonely,\nel gato,the cat")
    assert found == [
        CASA,
        RowError(3, "front", "REQUIRED", "There is no front."),
        RowError(5, "back", "REQUIRED", "There is no back."),
        GATO,
    ]


@pytest.mark.parametrize(
    ("cell", "tags"),
    [
        ("a b", ("a", "b")),
        ("phrasal verb, a1", ("phrasal verb", "a1")),
        ("x;y;x", ("x", "y")),
        (" ", ()),
    ],
)
def test_tags_are_split_by_blanks_or_commas(cell: str, tags: tuple[str, ...]) -> None:
    [note] = rows(f'front|back|tags\nir|to go|"{cell}"')
    assert isinstance(note, Note)
    assert note.tags == tags


@pytest.mark.parametrize(
    "data", [b"\x00\x01\x02\x03" * 99, b"a,b\n\x81\x8d\x8f", b'a,"' + b"x" * 200_000]
)
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(FileRefused):
        rows(data)


def test_limits_hold() -> None:
    with pytest.raises(FileTooLarge):
        rows("a,b\n" * 4, limits=Limits(notes=3))
    with pytest.raises(FileTooLarge):
        rows("a,b\n" * 4, limits=Limits(text_bytes=10))
    with pytest.raises(FileTooLarge):
        rows("a,b\n" * 4, limits=Limits(file_bytes=10))
    [error] = rows("front,back\n" + "x" * 30 + ",y", limits=Limits(front_chars=20))
    assert isinstance(error, RowError)
    assert (error.row, error.field, error.code) == (2, "front", "TOO_LONG")
    [error] = rows("front,back,tags\nx,y,a b c", limits=Limits(tags=2))
    assert isinstance(error, RowError)
    assert (error.field, error.code) == ("tags", "TOO_MANY")
    [error] = rows("front,back,tags\nx,y,abcde", limits=Limits(tag_chars=4))
    assert isinstance(error, RowError)
    assert (error.field, error.code) == ("tags", "TOO_LONG")


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "'=1", "''+"])
def test_a_formula_is_defused_in_the_file_and_whole_after_reading(cell: str) -> None:
    data = b"".join(write_csv([Note(front=cell, back="x")]))
    written = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))[1][3]
    assert written == f"'{cell}"
    assert rows(data) == [Note(front=cell, back="x")]


TEXT = st.text(max_size=30).map(plain)
FULL = TEXT.filter(bool)
TAG = st.text(alphabet="abñ_:-=+@' ", min_size=1, max_size=8).map(plain).filter(bool)
NOTES = st.builds(
    Note,
    id=TEXT, type=st.sampled_from(["basic", "reversed"]), front=FULL, back=FULL, phonetic=TEXT,
    example=TEXT, notes=TEXT, deck=TEXT, tags=st.lists(TAG, max_size=4, unique=True).map(tuple),
)  # fmt: skip
CLOZES = NOTES.map(
    lambda note: replace(note, type="cloze", back="", front=f"{{{{c1::x}}}}{note.front}")
)


@given(st.lists(st.one_of(NOTES, CLOZES), max_size=6))
def test_notes_survive_csv(notes: list[Note]) -> None:
    assert rows(b"".join(write_csv(notes))) == notes


@given(st.binary(max_size=300))
def test_any_bytes_give_rows_or_a_refusal(data: bytes) -> None:
    try:
        found = list(read(io.BytesIO(data), format="csv"))
    except FileRefused:
        return
    assert all(isinstance(row, Note | RowError) for row in found)


@pytest.mark.parametrize("separator", [",", ";", "a;b,c\td|"])
def test_a_row_of_a_million_columns_is_refused_in_a_time_that_grows_as_it_does(
    separator: str,
) -> None:
    def refuse(data: str) -> None:
        with pytest.raises(FileRefused):
            rows(data)

    assert_linear(refuse, lambda n: separator * n, 50_000)


def many_notes(columns: int) -> str:
    labels = ",".join(["front", "back", *["notes"] * columns])
    return f"#columns:{labels}\na,b\na,b" + ",c" * columns


def test_many_columns_of_notes_are_one_text() -> None:
    (note,) = rows(many_notes(20_000))[1:]
    assert isinstance(note, RowError)
    assert note.field == "notes"
    assert_linear(rows, many_notes, 5_000)
