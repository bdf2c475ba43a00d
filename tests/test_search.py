"""GET /flashcards?q=, and the grammar of searches."""

import re
import unicodedata
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.utils.timezone import now
from hypothesis import given
from hypothesis import strategies as st

from learning.models.cards import front_key, front_start
from learning.search_syntax import MAX_TERMS, Search, SearchError, Term, TextPattern, parse
from learning.services import search as service
from tests.callers import Caller
from tests.growth import assert_linear
from tests.ruler import counted
from tests.test_flashcards import card_of, deck_of, fronts
from tests.test_notes import note_of
from tests.test_reviews import review, set_long_ago


def search(caller: Caller, text: str) -> list[str]:
    return sorted(fronts(caller, f"q={quote(text)}"))


# --- The grammar -------------------------------------------------------------------------------


def test_terms_and_words_are_told_apart() -> None:
    found = parse('-tag:"muito longe" la  prop:lapses>=3 casa is:due')
    assert found == Search(
        terms=(
            Term("tag", "muito longe", 5, negated=True),
            Term("prop", "3", 28, "lapses", ">="),
            Term("is", "due", 46),
        ),
        front="la casa",
    )


def test_quoted_words_are_no_terms() -> None:
    assert parse('"tag:x  y"') == Search((), "tag:x  y")


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("is:dew", 3),
        ("casa is:", 8),
        ("colour:red", 0),
        ("tag:a deck:", 11),
        ('tag:"open', 4),
        ('ca"sa', 2),
        ('"a"b', 3),
        ("prop:lapses", 5),
        ("prop:colour=3", 5),
        ("prop:lapses>many", 12),
        ("prop:lapses>-1", 12),
        ("-", 0),
        ("casa\\", 4),
        ("tag:*a*b*c*d*e*", 4),
        (" ".join(["tag:a"] * (MAX_TERMS + 1)), 6 * MAX_TERMS),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text: str, position: int) -> None:
    with pytest.raises(SearchError) as error:
        parse(text)
    assert error.value.position == position


@given(st.text(alphabet='ab:"- >=3tagispro', max_size=30))
def test_any_text_is_read_or_refused_at_a_place_in_it(text: str) -> None:
    position = 0
    try:
        parse(text)
    except SearchError as error:
        position = error.position
    assert 0 <= position <= len(text)


@pytest.mark.parametrize(
    ("typed", "finds", "passes_over"),
    [
        ("cafe", ["cafe", "café", "CAFÉ", "cafe\u0301"], ["caff\u00e8", "cafés"]),
        ("café", ["café", "CAFE\u0301"], ["cafe", "cafè"]),
        ("ma", ["ma", "má", "mả"], ["mab"]),
        ("má", ["má"], ["ma", "mà", "mả", "mạ"]),  # five words of Vietnamese
        ("d", ["d"], ["đ"]),
        ("か", ["か"], ["が"]),
        ("strasse", ["Straße"], []),
        ("a*e", ["ae", "abe", "árvore"], ["aeb"]),
        ("a_e", ["abe", "aée"], ["ae", "abbe"]),
        (r"a\*e", ["a*e"], ["abe"]),
        (r"a\_e", ["a_e"], ["abe"]),
        (r"a\"e", ['a"e'], ["ae"]),
        ("*aa", ["aaa", "baa"], ["aab"]),
        ("l'eau", ["l'eau", "l’eau", "lʼeau"], ["leau", 'l"eau']),
        ("l’eau", ["l'eau", "l’eau", "lʼeau"], ["leau", "l’eaux"]),
        ('"oi"', ['"oi"', "“oi”", "«oi»", "„oi“"], ["oi", "'oi'"]),
        ("“oi”", ['"oi"', "“oi”", "«oi»", "„oi“"], ["oi"]),
        ("a.c", ["a.c"], ["abc"]),
    ],
)
def test_a_text_is_found_as_it_is_typed(
    typed: str, finds: list[str], passes_over: list[str]
) -> None:
    pattern = TextPattern.of(typed)
    assert [text for text in finds if not pattern.matches(text)] == []
    assert [text for text in passes_over if pattern.matches(text)] == []


def test_a_pattern_is_sought_in_a_time_that_grows_as_the_text_does() -> None:
    pattern = TextPattern.of("*a*a*a*a*b")
    assert_linear(pattern.matches, lambda n: "a" * n, 2_000)


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_text_typed_as_it_is_is_found(text: str, more: str) -> None:
    typed = re.sub(r"([\\*_])", r"\\\1", text)
    assert TextPattern.of(typed).matches(text)
    if not unicodedata.combining((more or "x")[0]):
        assert front_key(text + more).startswith(front_start(TextPattern.of(typed).start)[:60])


# --- Over HTTP ---------------------------------------------------------------------------------


@pytest.fixture
def cards(maria: Caller) -> dict[str, str]:
    """Cards by their fronts, one of each state."""
    set_long_ago(maria, {"fuzz": False, "leechThreshold": 1})
    deck_id, travel = deck_of(maria), deck_of(maria, name="Viagem a pé")
    made = {
        front: card_of(maria, deck, front, tags=tags)
        for front, deck, tags in (
            ("casa", deck_id, ["lar"]),
            ("cama", deck_id, ["lar", "A1"]),
            ("mesa", deck_id, []),
            ("mala", travel, ["A1"]),
            ("mapa", travel, []),
        )
    }
    then = now() - timedelta(days=60)
    review(maria, made["cama"], "again", now())
    review(maria, made["mesa"], "easy", then)
    review(maria, made["mala"], "easy", then)
    review(maria, made["mala"], "again", then + timedelta(days=20))
    maria.post(f"/flashcards/{made['mapa']}/suspend")
    return made


FOUND = [
    ("ca", "cama casa"),
    ("CA tag:lar", "cama casa"),
    ("tag:lar -tag:A1", "casa"),
    ("is:new", "casa mapa"),
    ("is:new -is:suspended", "casa"),
    ("is:learning", "cama mala"),
    ("is:review", "mala mesa"),
    ("is:due", "mala mesa"),
    ("is:due deck:Português", "mesa"),
    ("is:suspended", "mapa"),
    ("is:leech", "mala"),
    ("-is:leech is:due", "mesa"),
    ('deck:"viagem A PÉ"', "mala mapa"),
    ("-deck:Português", "mala mapa"),
    ("prop:lapses>0", "mala"),
    ("prop:reps=1", "cama mesa"),
    ("prop:stability>=8", "mesa"),
    ("-prop:reps<1 ma", "mala"),
    ("zebra", ""),
]


def test_a_search_finds_what_it_says(maria: Caller, cards: dict[str, str]) -> None:
    for text, found in FOUND:
        assert search(maria, text) == found.split(), text


@pytest.mark.parametrize("text", ["ma", "má", "a\u0301b\u0327", "한글", "がく"])
def test_an_underscore_stands_for_one_letter_with_all_its_marks(text: str) -> None:
    fitting = [typed for typed in ("_", "__", "___", "____") if TextPattern.of(typed).matches(text)]
    assert fitting == ["__"]


@pytest.fixture
def words(maria: Caller) -> None:
    """Cards in decks of similar names, below one another, with tags of several forms."""
    decks = {
        name: deck_of(maria, name=name) for name in ("français", "Français", "Line", "Line::Verbs")
    }
    for front, deck, tags in (
        ("café", "français", ["Comida"]),
        ("cafe", "Français", ["comida::doce"]),
        ("casa", "Line", ["lugar"]),
        ("caça", "Line::Verbs", ["lugar::fora", "le\u0301xico"]),
        ('di "oi"', "Line", []),
    ):
        card_of(maria, decks[deck], front, tags=tags)


WORDS = [
    ("cafe", "cafe café"),
    ("café", "café"),
    ("cafe\u0301", "café"),
    ("caca", "caça"),
    ('"" casa', "casa"),
    ("-ca", 'di "oi"'),
    ("front:cafe", "cafe café"),
    ("front:*as*", "casa"),
    ("-front:ca*", 'di "oi"'),
    ("front:ca", ""),
    ("tag:* di", 'di "oi"'),
    ("deck:zebra*", ""),
    ("c_sa", "casa"),
    ("front:____", "cafe café casa caça"),
    ("front:_____", ""),
    ("*sa", "casa"),
    (r'"di \"oi"', 'di "oi"'),
    ("di “oi”", 'di "oi"'),
    ("front:di*«oi*", 'di "oi"'),
    ("deck:Français", "cafe"),
    ("deck:français", "café"),
    ("deck:FRANCAIS", "cafe café"),
    ("deck:fran*", "cafe café"),
    ("deck:Line", 'casa caça di "oi"'),
    ("deck:line::verbs", "caça"),
    ("deck:Line::*", "caça"),
    ("-deck:Line", "cafe café"),
    ("tag:comida", "cafe café"),
    ("tag:COMIDA::*", "cafe"),
    ("tag:léxico", "caça"),
    ("tag:lexico", "caça"),
    ("tag:lugar -tag:lugar::*", "casa"),
    ("tag:none", 'di "oi"'),
    ("-tag:none deck:Line", "casa caça"),
]


def test_a_search_is_what_users_of_anki_expect(maria: Caller, words: None) -> None:
    for text, found in WORDS:
        assert " ".join(search(maria, text)) == found, text


def test_what_was_typed_without_accents_comes_first(maria: Caller, words: None) -> None:
    assert fronts(maria, "q=cafe") == ["cafe", "café"]
    assert fronts(maria, "front=cafe") == ["cafe", "café"]
    assert fronts(maria, f"front={quote('café')}") == ["café"]


def test_a_buried_card_is_not_due_and_can_be_sought(maria: Caller, cards: dict[str, str]) -> None:
    maria.post(f"/flashcards/{cards['mesa']}/bury")
    assert search(maria, "is:due") == ["mala"]
    assert search(maria, "is:buried") == ["mesa"]


def test_a_deck_is_named_by_its_id_as_well(maria: Caller, cards: dict[str, str]) -> None:
    deck_id = maria.get(f"/flashcards/{cards['mala']}").json()["deckId"]
    assert search(maria, f"deck:{deck_id}") == ["mala", "mapa"]


def test_pages_of_a_search_are_bounded_and_lead_on(
    maria: Caller, cards: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "READ", 2)  # looks at two cards for each page
    maria.delete(f"/flashcards/{cards['casa']}")
    assert search(maria, "-tag:nothing") == ["cama", "mala", "mapa", "mesa"]
    assert search(maria, "is:leech") == ["mala"]
    assert sorted(fronts(maria, "limit=1&q=tag:A1")) == ["cama", "mala"]
    assert sorted(fronts(maria, "limit=1&q=ma")) == ["mala", "mapa"]


def test_a_page_is_one_query_and_one_more_to_find_a_deck(
    maria: Caller, cards: dict[str, str]
) -> None:
    for text, calls in (("tag:A1 is:due", 2), ("deck:Português", 2)):
        with counted() as spent:
            maria.get(f"/flashcards?q={quote(text)}")
        assert [call for call in spent.calls if call == "Query"] == ["Query"] * calls, text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("is:dew", "At character 4: Give one of due, "),
        ("tag:a deck:Nenhum", "At character 12: You have no such deck."),
    ],
)
def test_a_search_that_cannot_be_read_says_where(maria: Caller, text: str, message: str) -> None:
    answer = maria.get(f"/flashcards?q={quote(text)}")
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("q", "search_syntax")
    assert error["message"].startswith(message)


def test_a_search_stands_alone(maria: Caller) -> None:
    answer = maria.get("/flashcards?q=casa&tag=lar&leech=true")
    errors: list[Any] = answer.json()["errors"]
    assert [(each["field"], each["code"]) for each in errors] == [
        ("leech", "not_with_q"),
        ("tag", "not_with_q"),
    ]


def test_another_learners_decks_cannot_be_named(maria: Caller, joao: Caller) -> None:
    deck_id = deck_of(joao, name="Segredo")
    note_of(joao, deck_id)
    for name in ("Segredo", deck_id):
        assert maria.get(f"/flashcards?q=deck:{name}").status_code == 400
