"""The cards of a cloze text, and their two sides."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from learning.cloze import MAX_CARDS, ClozeError, Face, cloze_faces
from tests.growth import assert_linear

TEXT = "{{c1::Lisboa::a city}} lies on the {{c2::Tejo}}."


def test_each_number_makes_a_card_with_its_answer_hidden() -> None:
    whole = "Lisboa lies on the Tejo."
    assert cloze_faces(TEXT) == [
        Face(0, "[a city] lies on the Tejo.", whole),
        Face(1, "Lisboa lies on the […].", whole),
    ]


def test_one_number_may_hide_several_answers() -> None:
    (face,) = cloze_faces("{{c3::ne}} marche {{c3::pas}}", "negation")
    assert face == Face(2, "[…] marche […]", "ne marche pas\n\nnegation")


def test_an_answer_may_span_lines_and_hold_braces_and_colons() -> None:
    (face,) = cloze_faces("{{c1::a\n{b}: c}}")
    assert (face.front, face.back) == ("[…]", "a\n{b}: c")


# As Anki 26.9 shows them (its dots are three characters): tests/test_transfer_anki.py asks it.
NESTED = {
    "{{c1::a {{c2::b}} c}}": [(0, "[…]", "a b c"), (1, "a […] c", "a b c")],
    "{{c1,2::x}} {{c3::y}}": [(0, "[…] y", "x y"), (1, "[…] y", "x y"), (2, "x […]", "x y")],
    "{{c1::a {{c2::b::hh}} c::h1}}": [(0, "[h1]", "a b c"), (1, "a [hh] c", "a b c")],
    "{{c1::{{c1::a}}}}": [(0, "[…]", "a")],
    "{{c1::{{c2::x}}}}": [(0, "[…]", "x"), (1, "[…]", "x")],
    "{{c2,1,1::x}}": [(0, "[…]", "x"), (1, "[…]", "x")],
    "{{c0::z}} {{c1::a}}": [(0, "z […]", "z a")],
    "{{c01::a}}": [(0, "[…]", "a")],
    "}} {{c1::a}} }}": [(0, "}} […] }}", "}} a }}")],
    "{{c1::a::b::c}}": [(0, "[b::c]", "a")],
    "{{{c1::a}}}": [(0, "{[…]}", "{a}")],
}


@pytest.mark.parametrize("text", NESTED)
def test_clozes_stand_inside_one_another_as_in_anki(text: str) -> None:
    assert cloze_faces(text) == [Face(*face) for face in NESTED[text]]


def test_an_opening_without_its_end_is_text() -> None:
    (face,) = cloze_faces("x {{c1::a}} {{c2::b")
    assert face == Face(0, "x […] {{c2::b", "x a {{c2::b")
    (face,) = cloze_faces("{{c2::x {{c1::a}}")
    assert face == Face(0, "{{c2::x […]", "{{c2::x a")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no cloze", "no_cloze"),
        ("{{c0::a}}", "no_cloze"),
        ("{{c1:a}}", "no_cloze"),
        ("{{c1::}}", "empty_cloze"),
        ("{{c1:: ::hint}}", "empty_cloze"),
        ("{{c1::\u200b}}", "empty_cloze"),
        ("{{c1::" * 11 + "a" + "}}" * 11, "nested_cloze"),
        (" ".join(f"{{{{c{n}::a}}}}" for n in range(1, MAX_CARDS + 2)), "too_many_clozes"),
    ],
)
def test_a_text_without_cards_says_why(text: str, code: str) -> None:
    with pytest.raises(ClozeError) as error:
        cloze_faces(text)
    assert error.value.code == code


@pytest.mark.parametrize(
    "make_text",
    [
        lambda n: "{{c1::" * n,
        lambda n: "{{c1::a::" * n,
        lambda n: "{{c1::" * n + "}}",
        lambda n: "{{c1::a}}" + "{{c1::" * n,
        lambda n: "{{c1::a" + "::" * n,
        lambda n: "{{c1::a}}" * n,
        lambda n: "{{c1::a" * n + "}}" * n,
        lambda n: ("{{c1::a" * 9 + "}}" * 9) * (n // 9),
    ],
    ids=lambda make_text: f"{make_text(3)[:20]}…",
)
def test_a_text_is_read_in_a_time_that_grows_as_it_does(make_text: Callable[[int], str]) -> None:
    def faces(text: str) -> None:
        with suppress(ClozeError):
            cloze_faces(text)

    assert_linear(faces, make_text, 500)
