"""Word lists of every make become notes, and our own CSV comes back as it was written."""

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.transfer import FileRefused, FileTooLarge, Limits, Note, RowError, read, write_csv
from learning.transfer.delimited import TextPreview, preview_csv
from learning.transfer.dialect import EncodingUncertain, TextOptions
from learning.transfer.model import Row, clean_text
from tests.growth import assert_linear

CASA = Note(front="la casa", back="the house")
GATO = Note(front="el gato", back="the cat")


CASES = Path(__file__).with_name("cases")


def case(name: str, **told: Any) -> tuple[list[tuple[str, ...]], list[tuple[int, str, bool]]]:
    """The notes of a file by front, back, notes and tags, and what else is said of its rows."""
    with (CASES / name).open("rb") as file:
        found = list(read(file, name, options=TextOptions(**told)))
    return (
        [(row.front, row.back, row.notes, *row.tags) for row in found if isinstance(row, Note)],
        [(row.row, row.code, row.fatal) for row in found if isinstance(row, RowError)],
    )


def preview(name: str, **told: Any) -> TextPreview:
    with (CASES / name).open("rb") as file:
        return preview_csv(file, options=TextOptions(**told))


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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
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
        RowError(1, "created", "unknown_column", "The column is not read.", fatal=False),
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
        RowError(3, "front", "required", "There is no front."),
        RowError(5, "back", "required", "There is no back."),
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
    assert (error.row, error.field, error.code) == (2, "front", "too_long")


def test_a_note_comes_in_without_the_labels_that_are_too_many_or_too_long() -> None:
    error, note = rows("front,back,tags\nx,y,a b c", limits=Limits(tags=2))
    assert isinstance(error, RowError)
    assert (error.field, error.code, error.fatal) == ("tags", "tags_dropped", False)
    assert note == Note(front="x", back="y", tags=("a", "b"))
    error, note = rows("front,back,tags\nx,y,abcde f", limits=Limits(tag_chars=4))
    assert isinstance(error, RowError)
    assert (error.code, error.message) == (
        "tags_dropped", "1 tags are too long or too many, such as abcde.",
    )  # fmt: skip
    assert note == Note(front="x", back="y", tags=("f",))
    error, note = rows("front,back,deck\nx,y,A::Bc::Def", limits=Limits(deck_chars=6))
    assert isinstance(error, RowError)
    assert (error.field, error.code, error.fatal) == ("deck", "deck_cut", False)
    assert note == Note(front="x", back="y", deck="A::Bc")


def test_a_tag_of_many_levels_is_read() -> None:
    notes, errors = case("long-tag.txt")
    assert [note[:2] for note in notes] == [("onde?", "where?")]
    assert len(notes[0][3]) == 121
    assert errors == []


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "'=1", "''+"])
def test_a_formula_is_defused_in_the_file_and_whole_after_reading(cell: str) -> None:
    data = b"".join(write_csv([Note(front=cell, back="x")]))
    written = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))[1][3]
    assert written == f"'{cell}"
    assert rows(data) == [Note(front=cell, back="x")]


@pytest.mark.parametrize(
    "head",
    [
        "#separator:Comma,,\n#deck:Lisboa,,\n#tags column:3,,\n",
        '"#separator:Comma",,\n"#deck:Lisboa",,\n"#tags column:3",,\n',
        "#separator:Comma \n#deck:Lisboa \t\n#tags column:3 \n",
        "\n#separator:comma\n#deck:Lisboa\n#tags column:3\n",
        "#separator:,,,\n#deck:Lisboa,,\n#tags column:3,,\n",
    ],
)
def test_lines_that_describe_the_file_are_read_as_a_spreadsheet_leaves_them(head: str) -> None:
    assert rows(head + "vir,to come,verbo") == [
        Note(front="vir", back="to come", deck="Lisboa", tags=("verbo",))
    ]


def test_padded_headers_are_obeyed() -> None:
    assert case("padded-headers.csv") == (
        [
            ("Vocês vêm?", "Are you coming?", "", "verbos::vir"),
            ("Eu vim", "I came", "", "verbos::vir"),
        ],
        [],
    )
    assert preview("padded-headers.csv").notes[0].deck == "Lisboa"


def test_no_cell_of_a_wider_row_is_lost() -> None:
    notes, errors = case("wider-rows.csv")
    assert notes == [
        ("mar", "sea", ""),
        ("praia", "beach", "only in summer"),
        ("areia", "sand", "fine\nand white"),
    ]
    assert [(row, code) for row, code, _ in errors][-1:] == [(3, "more_cells")]


def test_cells_beyond_a_narrow_header_are_reported() -> None:
    assert case("header-narrower.csv") == (
        [("vento", "wind", "")], [(2, "more_cells", False)]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "note", "lost"),
    [
        ("front,back,,tags\nmar,sea,hot,x", Note(front="mar", back="sea", tags=("x",)), "hot"),
        (",front,back\n0,mar,sea", Note(front="mar", back="sea"), "0"),
        (
            "#separator:Comma\n#columns:Front,Back\n#tags column:5\nmar,sea,summer,,x",
            Note(front="mar", back="sea", tags=("x",)), "summer",
        ),
        ("front,back\nmar,sea,a,,b", Note(front="mar", back="sea"), "a | b"),
    ],
)  # fmt: skip
def test_a_cell_without_a_column_is_reported(data: str, note: Note, lost: str) -> None:
    message = f"Cells without a column; they are not read: {lost}"
    row = data.count("\n") + 1
    assert rows(data) == [note, RowError(row, "", "more_cells", message, fatal=False)]


def test_a_column_without_a_label_is_not_the_front() -> None:
    found = rows(",English word,meaning\n1,sea,mar\n2,sand,areia")
    assert [row for row in found if isinstance(row, Note)] == [
        Note(front="sea", back="mar"),
        Note(front="sand", back="areia"),
    ]


@pytest.mark.parametrize("field", ["phonetic", "example", "notes"])
def test_a_note_comes_in_without_a_side_text_that_is_too_long(field: str) -> None:
    limits = Limits(phonetic_chars=4, example_chars=4, notes_chars=4)
    error, note = rows(f"front,back,{field}\nmar,sea,12345", limits=limits)
    message = "More than 4 characters; the note comes in without."
    assert error == RowError(2, field, "text_dropped", message, fatal=False)
    assert note == Note(front="mar", back="sea")


def test_a_title_above_the_header_is_reported_and_makes_no_card() -> None:
    assert case("title-line.csv") == ([("onda", "wave", "", "mar")], [(1, "title", False)])


def test_a_comment_is_no_card_and_each_bad_row_is_named() -> None:
    notes, errors = case("comment-line.txt")
    assert [note[0] for note in notes] == ["海", "浜", "砂", "sea", "浜", "多い"]
    assert notes[-1] == ("多い", "too many", "columns")
    assert errors == [
        (1, "comment", False), (7, "more_cells", False), (8, "required", True),
        (9, "required", True), (10, "required", True),
    ]  # fmt: skip


def test_a_line_with_a_number_sign_inside_a_quoted_cell_is_no_comment() -> None:
    assert rows('front,back\n"a\n#b",c\n"#d",e') == [
        Note(front="a\n#b", back="c"),
        Note(front="#d", back="e"),
    ]


def test_the_header_of_another_tool_makes_no_card() -> None:
    notes, errors = case("other-tools-header.csv")
    assert [note[:2] for note in notes] == [("hus", "house, <i>home</i>"), ("løbe", "to run")]
    assert [code for _, code, _ in errors] == ["unknown_column"] * 3
    shown = preview("other-tools-header.csv")
    assert shown.columns == ("id", "-", "front", "phonetic", "-", "back", "-", "tags")
    assert [note.id for note in shown.notes] == ["q}}a`<Zt0X", "k#1|-vB~"]


def test_columns_and_html_are_as_they_are_told() -> None:
    columns = ("-", "-", "front", "phonetic", "notes", "back", "-", "tags")
    notes, errors = case("other-tools-header.csv", columns=columns, html=True)
    assert notes == [
        ("hus", "house, home", "close", "noun", "neuter"), ("løbe", "to run", "mid", "verb"),
    ]  # fmt: skip
    assert errors == []


def test_a_header_with_another_name_for_the_front_is_one() -> None:
    assert rows("Lemma,Translation,Audio\nhus,house,x.mp3") == [
        RowError(1, "Audio", "unknown_column", "The column is not read.", fatal=False),
        Note(front="hus", back="house"),
    ]
    assert rows("Spanish,English,Tags\nla casa,the house,") == [CASA]


def test_separator_and_header_are_as_they_are_told() -> None:
    told = TextOptions(separator="colon", header=True)
    found = list(read(io.BytesIO(b"a:b\nla casa:the house"), format="csv", options=told))
    assert found[-1] == CASA
    bare = TextOptions(header=False)
    found = list(read(io.BytesIO(b"front,back"), format="csv", options=bare))
    assert found == [Note(front="front", back="back")]


@pytest.mark.parametrize(
    ("name", "encoding", "first"),
    [("cp1251.csv", "cp1251", "кошка"), ("shift-jis.csv", "cp932", "ねこ")],
)
def test_an_old_encoding_is_guessed_for_a_preview_and_read_once_it_is_told(
    name: str, encoding: str, first: str
) -> None:
    with pytest.raises(EncodingUncertain) as refused:
        case(name)
    assert encoding in refused.value.detail
    shown = preview(name)
    assert (shown.encoding, shown.encoding_guessed, shown.notes[0].front) == (encoding, True, first)
    assert case(name, encoding=encoding)[0][0][0] == first
    assert not preview(name, encoding=encoding).encoding_guessed


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("el niño;the boy\nla señora;the lady", "cp1252"),
        ("你好,hello\n谢谢,thanks\n", "gb18030"),
        ("안녕,hello\n감사합니다,thanks", "cp949"),
    ],
)
def test_no_old_encoding_is_taken_without_a_word(text: str, encoding: str) -> None:
    with pytest.raises(EncodingUncertain):
        rows(text, encoding=encoding)
    shown = preview_csv(io.BytesIO(text.encode(encoding)))
    assert (shown.encoding, shown.encoding_guessed) == (encoding, True)


def test_a_text_that_is_not_in_the_encoding_told_is_refused() -> None:
    with pytest.raises(FileRefused) as refused:
        case("cp1251.csv", encoding="utf-8")
    assert [error.field for error in refused.value.errors] == ["encoding"]


def test_a_word_has_one_form_whoever_typed_it() -> None:
    notes, _ = case("nfc-nfd.csv")
    assert notes[0] == notes[1] == ("avó", "grandmother", "")


TEXT = st.text(max_size=30).map(clean_text)
FULL = TEXT.filter(bool)
TAG = st.text(alphabet="abñ_:-=+@' ", min_size=1, max_size=8).map(clean_text).filter(bool)
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
    error, note = rows(many_notes(20_000))[1:]
    assert isinstance(error, RowError)
    assert (error.field, error.code) == ("notes", "text_dropped")
    assert note == Note(front="a", back="b")
    assert_linear(rows, many_notes, 5_000)
