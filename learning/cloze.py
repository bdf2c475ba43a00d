"""Cloze texts: `{{c1::answer::hint}}` hides an answer; each number makes a card of its own.

Pure rules: text comes in, text goes out. The syntax is Anki's, without clozes inside clozes.
"""

import re
from dataclasses import dataclass

from config.formats import is_visible

MAX_CARDS = 40  # of one note: all of them are changed in one transaction
# Each part ends at the first `::` or `}}`, so that nothing is read twice: time is as the length.
CLOZE = re.compile(
    r"\{\{c([1-9][0-9]{0,2})::((?:(?!::|\}\}).)*+)(?:::((?:(?!\}\}).)*+))?\}\}", re.DOTALL
)
OPENING = re.compile(r"\{\{c[0-9]*:")


class ClozeError(ValueError):
    """A text of which no cards can be made; `code` says why for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Face:
    """The two sides of one card."""

    ordinal: int
    front: str
    back: str


def cloze_faces(text: str, extra: str = "") -> list[Face]:
    """The cards of a cloze text by ordinal (`c1` is 0): the answer hidden, then shown.

    `extra` follows the answer. Raises ClozeError where there is no cloze, one inside another or
    without an answer, or more than MAX_CARDS.
    """
    body, closed, rest = text.rpartition("}}")  # however many seem to begin in the rest
    body += closed
    answers = list(CLOZE.finditer(body))
    if not answers:
        raise ClozeError("no_cloze", "Mark what is to be asked for: {{c1::answer}}.")
    if any(OPENING.search(answer[0], 2) for answer in answers):
        raise ClozeError("nested_cloze", "One cloze stands inside another.")
    if not all(is_visible(answer[2]) for answer in answers):
        raise ClozeError("empty_cloze", "A cloze has no answer.")
    ordinals = sorted({int(answer[1]) - 1 for answer in answers})
    if len(ordinals) > MAX_CARDS:
        raise ClozeError("too_many_clozes", f"A note makes at most {MAX_CARDS} cards.")
    whole = CLOZE.sub(lambda answer: answer[2], body) + rest
    back = f"{whole}\n\n{extra}" if extra.strip() else whole
    return [Face(ordinal, _asking(body, ordinal) + rest, back) for ordinal in ordinals]


def _asking(text: str, ordinal: int) -> str:
    """The text with the answers of one card hidden behind their hints, the others shown."""

    def side(answer: re.Match[str]) -> str:
        return f"[{answer[3] or '…'}]" if int(answer[1]) - 1 == ordinal else answer[2]

    return CLOZE.sub(side, text)


def reversed_faces(front: str, back: str) -> list[Face]:
    """Front to back and back to front."""
    return [Face(0, front, back), Face(1, back, front)]
