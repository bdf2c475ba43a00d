"""Cloze texts: `{{c1::answer::hint}}` hides an answer; each number makes a card of its own.

Pure rules: text comes in, text goes out. The syntax is Anki's (`rslib/src/cloze.rs`): a cloze may
stand inside another, and `{{c1,2::answer}}` makes two cards. An opening without an end is text.
"""

import re
from collections.abc import Iterator
from dataclasses import field

from config.formats import is_visible
from config.problems import Filled
from config.records import dataclass

MAX_CARDS = 40  # of one note: all of them are changed in one transaction
MAX_DEPTH = 10  # as in Anki
_MARK = re.compile(r"\{\{c([0-9]{1,3}(?:,[0-9]{1,3})*+)::|\}\}")


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


@dataclass
class _Cloze:
    """An answer, with the clozes inside it."""

    ordinals: frozenset[int] = frozenset()
    parts: "list[str | _Cloze]" = field(default_factory=list)
    hint: str = ""

    def close(self) -> None:
        """Takes the hint out of the answer: what follows `::` in its own text."""
        for i, part in enumerate(self.parts):
            if isinstance(part, str) and "::" in part:
                self.parts[i], _, self.hint = part.partition("::")

    def text(self, asked: int | None = None) -> str:
        """The text, with the answers of one card hidden behind their hints."""
        return "".join(
            part
            if isinstance(part, str)
            else (f"[{part.hint or '…'}]" if asked in part.ordinals else part.text(asked))
            for part in self.parts
        )

    def inner(self) -> "Iterator[_Cloze]":
        for part in self.parts:
            if isinstance(part, _Cloze):
                yield part
                yield from part.inner()


def cloze_faces(text: str, extra: str = "") -> list[Face]:
    """The cards of a cloze text by ordinal (`c1` is 0): the answer hidden, then shown.

    `extra` follows the answer. Raises ClozeError when there is no cloze, one without an answer, one
    too deep inside others, or more than MAX_CARDS.
    """
    whole = _parse(text)
    clozes = list(whole.inner())
    ordinals = _ordinals(clozes)
    if not ordinals:
        raise ClozeError("no_cloze", "Mark what is to be asked for: {{c1::answer}}.")
    if not all(is_visible(cloze.text()) for cloze in clozes):
        raise ClozeError("empty_cloze", "A cloze has no answer.")
    if len(ordinals) > MAX_CARDS:
        raise ClozeError(
            "too_many_clozes", Filled("A note makes at most {most} cards.", most=MAX_CARDS)
        )
    answer = whole.text()
    back = f"{answer}\n\n{extra}" if extra.strip() else answer
    return [Face(ordinal, whole.text(ordinal), back) for ordinal in ordinals]


def cloze_ordinals(text: str) -> tuple[int, ...]:
    """The ordinals of a cloze text's cards: `{{c2::…}}` gives card 1; none where it is no cloze."""
    try:
        return tuple(_ordinals(_parse(text).inner()))
    except ClozeError:
        return ()


def _ordinals(clozes: "Iterator[_Cloze] | list[_Cloze]") -> list[int]:
    return sorted({ordinal for cloze in clozes for ordinal in cloze.ordinals})


def _parse(text: str) -> _Cloze:
    """The whole text as the parts of one cloze without a number."""
    marks = _paired(text)
    open_clozes = [_Cloze()]
    at = 0
    for mark in marks:
        open_clozes[-1].parts.append(text[at : mark.start()])
        at = mark.end()
        if mark[1]:
            numbers = {int(number) for number in mark[1].split(",")}
            cloze = _Cloze(frozenset(number - 1 for number in numbers - {0}))
            open_clozes[-1].parts.append(cloze)
            open_clozes.append(cloze)
            if len(open_clozes) > MAX_DEPTH + 1:
                message = Filled(
                    "More than {most} clozes stand inside one another.", most=MAX_DEPTH
                )
                raise ClozeError("nested_cloze", message)
        else:
            open_clozes.pop().close()
    open_clozes[0].parts.append(text[at:])
    return open_clozes[0]


def _paired(text: str) -> list[re.Match[str]]:
    """The openings that are closed and their ends, in order; all other marks are text."""
    waiting: list[re.Match[str]] = []
    paired: list[re.Match[str]] = []
    for mark in _MARK.finditer(text):
        if mark[1]:
            waiting.append(mark)
        elif waiting:
            paired += waiting.pop(), mark
    return sorted(paired, key=re.Match.start)


def reversed_faces(front: str, back: str) -> list[Face]:
    """Front to back and back to front."""
    return [Face(0, front, back), Face(1, back, front)]
