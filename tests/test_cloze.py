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


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no cloze", "no_cloze"),
        ("{{c0::a}}", "no_cloze"),
        ("{{c1:a}}", "no_cloze"),
        ("{{c1::}}", "empty_cloze"),
        ("{{c1:: ::hint}}", "empty_cloze"),
        ("{{c1::\u200b}}", "empty_cloze"),
        ("{{c1::a {{c2::b}} c}}", "nested_cloze"),
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
    ],
    ids=lambda make_text: f"{make_text(3)[:20]}…",
)
def test_a_text_is_read_in_a_time_that_grows_as_it_does(make_text: Callable[[int], str]) -> None:
    def faces(text: str) -> None:
        with suppress(ClozeError):
            cloze_faces(text)

    assert_linear(faces, make_text, 500)
