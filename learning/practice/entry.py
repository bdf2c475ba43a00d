"""What counts of a model's entry for a word: it is read as if an enemy had written it.

Beside `learning.practice.verdict`, since turns are judged far more often. An entry is written onto
cards, and that of a bare word is shown to everybody who looks it up.
"""

import re
import unicodedata
from dataclasses import replace
from typing import Any

from learning.practice.languages import FREQUENT, OTHER_LETTERS, speaks
from learning.practice.prompt import Entry
from learning.practice.verdict import Refused, refuse_copies
from learning.shapes import ShapeError, decode, shape_of

# The International Phonetic Alphabet, decomposed.
SOUNDS = re.compile(
    "[a-z\u00e6\u00f0\u00f8\u0127\u014b\u0153\u0250-\u036f\u03b2\u03b8\u03c7\u1d00-\u1dbf\u203f"
    " .()|]+"
)
# No meaning of anything: addresses, markup, and what a card takes for a medium or a cloze.
NO_WORDS = re.compile(r"://|\bwww\.|\w@\w|[<>{}\[\]\\`]")
# Between letters of Persian and Hindi, and before the marks of French.
UNSEEN = {0x200C: "", 0x200D: "", 0xA0: " ", 0x202F: " "}


def accept_entry(
    raw: object, *, text: str, context: str, source: str, target: str, secret: str, told: str
) -> Entry:
    """What counts of the entry for `text`. Raises Refused.

    Without a proper translation there is none; whatever else does not hold is left out. `told` is
    our part of the request, of which nothing may be repeated.
    """
    entry = _decoded(raw)
    refuse_copies(entry, secret, told)
    if not _is_proper(entry.translation, target, at_most=_room(text)):
        raise Refused(f'translation is not a short text in the language "{target}"')
    holds = {
        "context_translation": bool(context)
        and _is_proper(entry.context_translation, target, at_most=_room(context)),
        "ipa": _is_said(entry.ipa, text),
        "example": _is_proper(entry.example, source) and _plain(text) in _plain(entry.example),
    }
    left_out: dict[str, Any] = dict.fromkeys(name for name, does in holds.items() if not does)
    return replace(entry, **left_out)


def _decoded(raw: object) -> Entry:
    """The entry, without what may be left out and is not of its shape. Raises Refused."""
    try:
        entry: Entry = decode(Entry, raw, {})
    except ShapeError as error:
        field = shape_of(Entry).get(error.path)
        if not isinstance(raw, dict) or field is None or field.required:
            raise Refused(str(error)) from None
        return _decoded({name: value for name, value in raw.items() if name != error.path})
    return entry


def _room(text: str) -> int:
    """How long a translation of a text may be."""
    return 60 + 3 * len(text)


def _is_proper(written: str | None, language: str, *, at_most: int = 200) -> bool:
    """Whether it is plain text of one line in a language.

    Of a language of whose words and letters we know nothing, any passes.
    """
    if written is None or len(written) > at_most or NO_WORDS.search(written):
        return False
    base = language.partition("-")[0].lower()
    is_known = base in FREQUENT or base in OTHER_LETTERS
    return written.translate(UNSEEN).isprintable() and (not is_known or speaks(written, base))


def _is_said(ipa: str | None, text: str) -> bool:
    """Whether it is how so many words are said."""
    said = unicodedata.normalize("NFD", ipa or "")
    return bool(SOUNDS.fullmatch(said)) and len(said.split()) <= len(text.split())


def _plain(text: str | None) -> str:
    return unicodedata.normalize("NFC", text or "").casefold()
