"""Texts as they are searched: whatever the case, accents as they were typed.

A letter typed without an accent finds it with any, one with an accent only just that (asymmetric
search, UTS #10, section 8): `ma` finds `má`, `mã` does not. Pure rules.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

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
    pieces, start, plain, wildcards = [""], "", True, 0
    text = unicodedata.normalize("NFKD", typed)
    for piece in _PIECE.finditer(text):
        if sign := piece["wildcard"]:
            wildcards += 1
            plain = False
            if sign == "*":
                pieces.append("")
            else:
                pieces[-1] += f".[{_MARKS}]*"
            continue
        letter, marks = decomposed(piece["escaped"] or piece["letter"]), piece["marks"] or ""
        accents = f"{marks}(?![{_MARKS}])" if marks else f"[{_MARKS}]*+"
        pieces[-1] += re.escape(letter) + accents
        if wildcards == 0:
            start += letter
            plain = plain and not marks
    if wildcards > MAX_WILDCARDS:
        raise ValueError(f"A text has at most {MAX_WILDCARDS} wildcards.")
    compiled = tuple(re.compile(piece, re.DOTALL) for piece in pieces)
    ending = re.compile(rf"(?:{pieces[-1]})\Z", re.DOTALL)
    return TextPattern(compiled, ending, start, plain)
