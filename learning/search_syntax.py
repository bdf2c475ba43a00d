r"""The search of cards: `tag:verbs is:due -deck:Travel prop:lapses>3 "la ca"`.

Terms are joined by blanks and all must hold; `-` before one turns it round. Quotes keep blanks
together. In texts `*` stands for any characters and `_` for one; a character behind `\` means just
itself. What is no term is how the front begins. Pure rules: text in, a Search out.

Texts are compared whatever the case. A letter typed without an accent finds it with any, one with
an accent only just that (asymmetric search, UTS #10, section 8): `ma` finds `má`, `mã` does not.
An apostrophe finds any other, and a quote any other quote.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Literal

from config.problems import Filled
from config.records import dataclass

IS = ("due", "new", "learning", "review", "suspended", "leech", "buried")
PROPERTIES = ("lapses", "reps", "stability", "difficulty")
OPERATORS = (">=", "<=", "!=", "=", ">", "<")
MAX_TERMS = 10

TOKEN = re.compile(
    r'(?P<minus>-?)(?:(?P<field>[a-z]+):)?(?P<value>"(?:[^"\\]|\\.)*+"|(?:[^\s"\\]|\\.)*+)',
    re.DOTALL,
)
PROPERTY = re.compile(rf"(?P<name>[a-z]+)(?P<operator>{'|'.join(OPERATORS)})(?P<number>.*)")
NUMBER = re.compile(r"\d{1,6}(?:\.\d{1,6})?", re.ASCII)


class SearchError(ValueError):
    """A search that cannot be read; `position` is the place, counted in characters from 0."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True)
class Term:
    """One condition. `name` and `operator` belong to `prop`; `negated` turns it round.

    The value of `front`, `deck` and `tag` is a text as it was typed: a TextPattern. `front` is the
    whole front, or with the name `start` how it begins.
    """

    field: Literal["front", "deck", "tag", "is", "prop"]
    value: str
    position: int
    name: str = ""
    operator: str = ""
    negated: bool = False


@dataclass(frozen=True)
class Search:
    """All terms must hold, and the front begin with `front`, which is a text as it was typed."""

    terms: tuple[Term, ...]
    front: str = ""


def parse(text: str) -> Search:
    """Reads a search. Raises SearchError at the first character that cannot be understood."""
    terms: list[Term] = []
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token = TOKEN.match(text, at)
        assert token is not None  # noqa: S101  (it matches the empty text, too)
        at = _term(text, token, terms, words)
        if len(terms) > MAX_TERMS:
            raise SearchError(
                token.start(), Filled("A search has at most {most} terms.", most=MAX_TERMS)
            )
    return Search(tuple(terms), " ".join(words))


def _term(text: str, token: re.Match[str], terms: list[Term], words: list[str]) -> int:
    """Takes one token in; answers where it ends."""
    start, end = token.start("value"), token.end()
    if end < len(text) and not text[end].isspace():
        raise SearchError(end, _unfinished(text, end))
    field, value = token["field"], token["value"]
    value = value[1:-1] if value.startswith('"') else value
    negated = bool(token["minus"])
    if field in (None, "front", "deck", "tag"):
        _check_text(value, start)
    if field is None:
        if not value:
            if negated:
                raise SearchError(token.start(), "A minus stands before a term, and there is none.")
        elif negated:
            terms.append(Term("front", value, start, "start", negated=True))
        else:
            words.append(value)
    elif field == "prop":
        terms.append(_property(value, start, negated=negated))
    elif field in ("front", "deck", "tag", "is"):
        if not value:
            raise SearchError(start, Filled("{field}: needs a value.", field=field))
        if field == "is" and value not in IS:
            raise SearchError(start, Filled("Give one of {choices}.", choices=", ".join(IS)))
        terms.append(Term(field, value, start, negated=negated))  # type: ignore[arg-type]
    else:
        raise SearchError(
            token.start("field"), "Give front:, deck:, tag:, is: or prop:, or quote the word."
        )
    return end


def _unfinished(text: str, at: int) -> str:
    if text[at] == '"':
        return Filled("A quote is open.")
    if text[at] == "\\":
        return Filled("There is nothing behind the backslash.")
    return Filled("A blank is missing.")


def _check_text(value: str, start: int) -> None:
    try:
        TextPattern.of(value)
    except ValueError as error:
        raise SearchError(start, str(error)) from None


def _property(value: str, start: int, *, negated: bool) -> Term:
    match = PROPERTY.fullmatch(value)
    if match is None:
        raise SearchError(start, "Compare a property, as in prop:lapses>3.")
    if match["name"] not in PROPERTIES:
        raise SearchError(start, Filled("Give one of {choices}.", choices=", ".join(PROPERTIES)))
    if not NUMBER.fullmatch(match["number"]):
        raise SearchError(start + match.start("number"), "Compare with a number.")
    return Term("prop", match["number"], start, match["name"], match["operator"], negated=negated)


# --- Texts as they are searched -------------------------------------------------------------------


# Accents and vowel points, which people leave out when they type. Other marks make other letters:
# the dakuten of Japanese, the vowels of Devanagari or Thai.
_MARKS = (
    "\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_MARK = re.compile(f"[{_MARKS}]")
_PIECE = re.compile(
    rf"\\(?P<escaped>.)|(?P<wildcard>[*_])|(?P<letter>.)(?P<marks>[{_MARKS}]*)", re.S
)
# A letter with its marks, a kana with its voice mark, a syllable of Hangul: each is taken apart.
_ONE = (
    "(?>[\u1100-\u115f][\u1160-\u11a7][\u11a8-\u11ff]?+"
    rf"|(?![{_MARKS}\u3099\u309a]).[{_MARKS}\u3099\u309a]*+)"
)
# Apostrophes, and quotes: keyboards differ, so each finds any of its kind.
_ALIKE = {sign: f"[{signs}]" for signs in ("'’‘ʼ′", '"“”„«»') for sign in signs}
MAX_WILDCARDS = 5


def decomposed(text: str) -> str:
    """Text without case, each accent a character of its own."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKD", plain)


def base_letters(text: str) -> str:
    """Text without case and accents."""
    return _MARK.sub("", decomposed(text))


@dataclass(frozen=True)
class TextPattern:
    """A text to find: `*` any characters, `_` one, `\\` before either means itself.

    `start` are the base letters that whatever is found begins with. `is_plain` says that whatever
    begins with them begins with the pattern.
    """

    pieces: tuple[re.Pattern[str], ...]
    ending: re.Pattern[str]
    start: str
    is_plain: bool
    wildcards: int

    @classmethod
    def of(cls, typed: str) -> "TextPattern":
        """Raises ValueError for more than MAX_WILDCARDS."""
        return _pattern(typed)

    @classmethod
    def literal(cls, text: str) -> "TextPattern":
        """A text without wildcards."""
        return _pattern(re.sub(r"([\\*_])", r"\\\1", text))

    def matches(self, text: str, *, whole: bool = True) -> bool:
        """Tells whether a text is the typed one, or unless `whole` begins with it. Linear time."""
        text, at = decomposed(text), 0
        for i, piece in enumerate(self.pieces):
            last = whole and i == len(self.pieces) - 1
            find = self.ending if last else piece
            match = find.search(text, at) if i else find.match(text)
            if match is None:
                return False
            at = match.end()
        return True


@lru_cache(maxsize=512)
def _pattern(typed: str) -> TextPattern:
    pieces, start, plain, wildcards, fixed = [""], "", True, 0, True
    text = unicodedata.normalize("NFKD", typed)
    for piece in _PIECE.finditer(text):
        if sign := piece["wildcard"]:
            wildcards += 1
            plain = fixed = False
            if sign == "*":
                pieces.append("")
            else:
                pieces[-1] += _ONE
            continue
        letter, marks = decomposed(piece["escaped"] or piece["letter"]), piece["marks"] or ""
        accents = f"{marks}(?![{_MARKS}])" if marks else f"[{_MARKS}]*+"
        pieces[-1] += _ALIKE.get(letter, re.escape(letter)) + accents
        if letter in _ALIKE:
            plain = fixed = False
        if fixed:
            start += letter
            plain = plain and not marks
    if wildcards > MAX_WILDCARDS:
        raise ValueError(Filled("A text has at most {most} wildcards.", most=MAX_WILDCARDS))
    compiled = tuple(re.compile(piece, re.DOTALL) for piece in pieces)
    ending = re.compile(rf"(?:{pieces[-1]})\Z", re.DOTALL)
    return TextPattern(compiled, ending, start, plain, wildcards)
