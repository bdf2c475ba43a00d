"""Recognise what a learner wrote, whatever its case, accents, punctuation or apostrophes.

A pattern is words to be found next to each other, whole words only:

    can/could i have     any of the words between slashes (`to_go` is two words in one)
    reserv*              a word that begins so
    #                    a number in digits
    ...                  up to five words of anything, twice at most

Languages written without spaces between words are not covered.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from config.records import dataclass

GAP = "..."
MAX_GAPS = 2  # each multiplies the ways to try a match by six
_GAP_REGEX = r"((?:\S+ ){0,5}?)"
_WORD = re.compile(r"[^\W_]+")
_ENGLISH_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_STRAIGHT = str.maketrans(dict.fromkeys("’‘ʼ´`′", "'") | dict.fromkeys("“”„«»″", '"'))
_UMLAUT_SPELT_OUT = re.compile(r"([aou])e")


def fold(word: str, language: str) -> str:
    """The word as it is compared: lower case, no accents; German `ue` and `ü` are alike."""
    plain = unicodedata.normalize("NFKD", word.casefold())
    letters = "".join(c for c in plain if c.isalnum())
    return _UMLAUT_SPELT_OUT.sub(r"\1", letters) if language == "de" else letters


def straight(text: str) -> str:
    """The text with the apostrophes and quotes of a typewriter, letter for letter."""
    return text.translate(_STRAIGHT)


@dataclass(frozen=True)
class Text:
    """What was written, and its words, each with its place in `original` (composed form);
    `folded` is the words with a space after each."""

    original: str
    folded: str
    words: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, written: str, language: str) -> Text:
        """English keeps a contraction as one word ("dont" is "don't"); French "l'eau" is two."""
        original = unicodedata.normalize("NFC", written)
        words, spans = [], []
        word_regex = _ENGLISH_WORD if language == "en" else _WORD
        for match in word_regex.finditer(straight(original)):
            if word := fold(match[0], language):
                words.append(word)
                spans.append(match.span())
        folded = "".join(f"{word} " for word in words)
        return cls(original, folded, tuple(words), tuple(spans))

    def slice(self, first: int, count: int) -> str:
        """`count` words from word `first` on, as they were written."""
        if count == 0:
            return ""
        return self.original[self.spans[first][0] : self.spans[first + count - 1][1]]


@dataclass(frozen=True)
class Match:
    """Where a pattern was found: `start`/`end` in the original text, how many words it spans,
    and the `parts` that its alternatives, prefixes, numbers and gaps stood for, as written."""

    start: int
    end: int
    words: int
    said: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Pattern:
    source: str
    regex: re.Pattern[str]

    def find_all(self, text: Text) -> list[Match]:
        return [self._match(text, match) for match in self.regex.finditer(text.folded)]

    def find(self, text: Text) -> Match | None:
        match = self.regex.search(text.folded)
        return self._match(text, match) if match else None

    @staticmethod
    def _match(text: Text, match: re.Match[str]) -> Match:
        def words(group: int) -> tuple[int, int]:
            return text.folded.count(" ", 0, match.start(group)), len(match[group].split())

        first, count = words(0)
        return Match(
            start=text.spans[first][0],
            end=text.spans[first + count - 1][1],
            words=count,
            said=text.slice(first, count),
            parts=tuple(text.slice(*words(i + 1)) for i in range(match.re.groups)),
        )


@lru_cache(maxsize=8192)
def pattern(source: str, language: str) -> Pattern:
    """Compile a pattern. Raises ValueError when it has no words, begins or ends with a gap, or
    has more than MAX_GAPS."""
    written = source.split()
    if not written or GAP in (written[0], written[-1]):
        raise ValueError("a pattern begins and ends with a word")
    if written.count(GAP) > MAX_GAPS:
        raise ValueError(f"a pattern has at most {MAX_GAPS} gaps")
    return Pattern(source, re.compile(r"(?<!\S)" + "".join(_regex(w, language) for w in written)))


def _regex(item: str, language: str) -> str:
    if item == GAP:
        return _GAP_REGEX
    choices = [_choice(choice, language) for choice in item.split("/")]
    if len(choices) == 1 and item[-1] not in "*#":
        return f"{choices[0]} "
    return f"({'|'.join(choices)}) "


def _choice(choice: str, language: str) -> str:
    if choice == "#":
        return r"\d+"
    words = Text.of(choice.replace("_", " "), language).words
    if not words:
        raise ValueError(f"'{choice}' is not a word")
    return " ".join(words) + (r"\S*" if choice.endswith("*") else "")
