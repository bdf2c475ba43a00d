"""HTML fields become plain text; nothing of the markup survives but its line breaks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.transfer.markup import html_of_text, text_of_html
from learning.transfer.model import Media, plain
from tests.growth import assert_linear


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("casa", "casa"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("uno<div>dos</div><div>tres</div>", "uno\ndos\ntres"),
        ("<div>uno</div><div><br></div><div>dos</div>", "uno\n\ndos"),
        ("uno<br><div>dos<br></div>tres<br><br><br>cuatro", "uno\ndos\ntres\n\ncuatro"),
        ("uno\n  dos\tt", "uno dos t"),
        ("<b>el</b> <i style='color:red'>gato</i>", "el gato"),
        ("ni&ntilde;o &amp; ni&#241;a&nbsp;!", "niño & niña !"),
        ("<ul><li>uno</li><li>dos</li></ul>", "- uno\n- dos"),
        ("<ruby>漢字<rt>かんじ</rt></ruby>", "漢字(かんじ)"),
        ("x<script>alert('<b>')</script>y", "xy"),
        ("x<SCRIPT >alert(1)</ScRiPt >y", "xy"),
        ("x<style>p{}</style>y<!-- no -->z", "xyz"),
        ("x<script>never closed", "x"),
        ("x<!-- never closed", "x"),
        ('<a href="javascript:alert(1)" onclick="x>y">link</a>', "link"),
        ("x<img src=x onerror=alert(1)", "x"),
        ("3 < 4 and 5 > 4", "3 < 4 and 5 > 4"),
        ("&lt;b&gt; is a tag", "<b> is a tag"),
        ("{{c1::<b>Paris</b>::city}}", "{{c1::Paris::city}}"),
        ("a<p\n>b", "a\nb"),
    ],
)
def test_html_becomes_this_text(source: str, text: str) -> None:
    assert text_of_html(source) == (text, [])


def test_sounds_and_pictures_are_taken_out_as_references() -> None:
    source = 'perro [sound:perro.mp3]<img class="a" src="perro &amp; co.jpg">'
    text, media = text_of_html(source, "back")
    assert text == "perro"
    assert media == [Media("audio", "perro.mp3", "back"), Media("image", "perro & co.jpg", "back")]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/b.png", "C:\\x.png", "data:image/png,AAAA", "..", "http://x/y"]
)
def test_references_that_are_neither_a_file_name_nor_https_are_dropped(name: str) -> None:
    assert text_of_html(f'<img src="{name}">[sound:{name}]') == ("", [])


def test_https_pictures_are_kept() -> None:
    address = "https://example.org/gato.jpg"
    assert text_of_html(f"<img src={address}>")[1] == [Media("image", address)]


@given(st.text().map(plain).filter(lambda text: "[sound:" not in text))
def test_text_survives_html_but_for_runs_of_blanks(text: str) -> None:
    def even(value: str) -> str:
        return " ".join(value.split())

    assert even(text_of_html(html_of_text(text))[0]) == even(text)


@given(st.text(alphabet="<>/!-'\"= abscriptimgsrc\n;", max_size=200))
def test_no_tag_survives(source: str) -> None:
    text, _ = text_of_html(source)
    assert "<script>" not in text.lower()
    assert "<img>" not in text.lower()


@pytest.mark.parametrize(
    "piece", ["<", "<a ", '<a "', "<!--", "<script>", "&", "[sound:", "<img src=", " \n"]
)
def test_a_hostile_field_costs_a_time_that_grows_as_it_does(piece: str) -> None:
    assert_linear(text_of_html, lambda n: piece * (n // len(piece)), 10_000)


def pictures(number: int) -> str:
    """A field that names each of its pictures twice."""
    return "".join(f"<img src={name}.png>" for name in range(number)) * 2


def test_thousands_of_pictures_cost_a_time_that_grows_as_their_number_does() -> None:
    assert len(text_of_html(pictures(20_000))[1]) == 20_000
    assert_linear(text_of_html, pictures, 5_000)
