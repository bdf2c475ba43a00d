"""Anki's note types, each with its own fields and templates, laid onto our three.

Which field asks and which answers is told by the templates, not by the names, so that a note type
of a learner's own making comes through too.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from learning.cloze import cloze_ordinals
from learning.transfer.dialect import COLUMN_OF
from learning.transfer.markup import text_of_html
from learning.transfer.model import TEXT_FIELDS, Media, NoteType, clean_text

IMAGE_OCCLUSION = 6  # of `originalStockKind`
_MARK = re.compile(r"\{\{([#^/]?)([^{}]{1,500})\}\}")
_HIDDEN_ON_QUESTION = {"type", "hint"}
_SIDE_SLOTS = {"phonetic", "example", "notes"}


@dataclass(frozen=True, slots=True)
class Template:
    """The two sides of a card, in Anki's template language."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class NoteKind:
    """A note type as the package defines it."""

    name: str
    cloze: bool
    fields: tuple[str, ...]
    templates: tuple[Template, ...]
    stock_kind: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """The place of each field of a note type.

    `first` is the template whose card is the note's first, `reverse` the one that asks for the
    front.

    A slot is one of our text fields, "" for a field that only switches cards on; `labelled` fields
    are on no card, so that their name goes before their text.
    """

    cloze: bool
    slots: tuple[str, ...]
    labelled: frozenset[int]
    names: tuple[str, ...]
    reverse: int | None
    first: int = 0


def plan(kind: NoteKind, number: int = 0) -> Plan:
    """How notes of this type become ours, by one of its templates."""
    first = kind.templates[number] if kind.templates else Template("", "")
    asked = _shown(first.question, kind, question=True) or list(range(min(1, len(kind.fields))))
    answered = [i for i in _shown(first.answer, kind) if i not in asked]
    if kind.cloze:
        asked = _shown(first.question, kind, only="cloze") or asked
        answered = [i for i in _shown(first.answer, kind) if i not in asked]
    reverse = None if kind.cloze else _reverse(kind, number, asked[:1])
    slots = _slots(kind, asked, answered, reverse)
    on_cards = {i for t in kind.templates for i in _shown(t.question + t.answer, kind)}
    labelled = frozenset(i for i, slot in slots.items() if slot == "notes" and i not in on_cards)
    labelled -= {i for i in labelled if _named(kind.fields[i]) == "notes"}
    order = tuple(slots[i] for i in range(len(kind.fields)))
    return Plan(kind.cloze, order, labelled, kind.fields, reverse, number)


def plans(kind: NoteKind) -> Iterator[Plan]:
    """How notes of this type become ours: by the first template, else by the others.

    A note may lack all that a template asks: then it has no card of that one.
    """
    yield plan(kind)
    for number in range(1, 1 if kind.cloze else len(kind.templates)):
        yield plan(kind, number)


def _slots(
    kind: NoteKind, asked: Sequence[int], answered: Sequence[int], reverse: int | None
) -> dict[int, str]:
    """Every field's slot, in the order of the fields."""
    slots: dict[int, str] = {}
    if not kind.cloze:
        slots[_back(kind, asked, answered, reverse)] = "back"
    slots |= dict.fromkeys(asked[:1], "front")
    switches = _switches(kind)
    for i, name in enumerate(kind.fields):
        side = _named(name)
        if i in slots:
            continue
        if kind.cloze and i in asked:
            slots[i] = "front"
        elif side in _SIDE_SLOTS:
            slots[i] = side
        elif i in asked:
            slots[i] = "front"
        elif i in answered and not kind.cloze:
            slots[i] = "back"
        else:
            slots[i] = "" if i in switches else "notes"
    return slots


def _back(
    kind: NoteKind, asked: Sequence[int], answered: Sequence[int], reverse: int | None
) -> int:
    """The field that answers: what the reversed card asks, or the first shown only behind."""
    if reverse is not None:
        return _shown(kind.templates[reverse].question, kind, question=True)[0]
    plainly = [i for i in answered if _named(kind.fields[i]) not in _SIDE_SLOTS]
    others = [i for i in range(len(kind.fields)) if i not in asked]
    return next(iter([*plainly, *answered, *others]), -1)


def _reverse(kind: NoteKind, first: int, front: Sequence[int]) -> int | None:
    for number, template in enumerate(kind.templates):
        if number == first:
            continue
        asked = _shown(template.question, kind, question=True)
        answered = _shown(template.answer, kind)
        if asked and not set(front) & set(asked) and set(front) & set(answered):
            return number
    return None


def _shown(
    template: str, kind: NoteKind, *, question: bool = False, only: str | None = None
) -> list[int]:
    """The fields that a template shows, in its order; filters such as `type:` decide."""
    fields = []
    for mark, inside in _MARK.findall(template):
        *filters, name = (part.strip() for part in inside.split(":"))
        hidden = question and _HIDDEN_ON_QUESTION & set(filters)
        if mark or hidden or name not in kind.fields or (only and only not in filters):
            continue
        fields.append(kind.fields.index(name))
    return list(dict.fromkeys(fields))


def _switches(kind: NoteKind) -> set[int]:
    """Fields that templates only test, never show."""
    sides = "".join(t.question + t.answer for t in kind.templates)
    tested = {name.strip() for mark, name in _MARK.findall(sides) if mark}
    shown = set(_shown(sides, kind))
    return {i for i, name in enumerate(kind.fields) if name in tested and i not in shown}


def _named(name: str) -> str:
    return COLUMN_OF.get(re.sub(r"[\W_]", "", name).lower(), "")


def texts(plan: Plan, values: Sequence[str]) -> tuple[dict[str, str], tuple[Media, ...]]:
    """A note's HTML fields as our text fields, and the media they name."""
    parts: dict[str, list[str]] = {name: [] for name in TEXT_FIELDS}
    media: list[Media] = []
    for number, (slot, value) in enumerate(zip(plan.slots, values, strict=False)):
        if not slot:
            continue
        text, field_media = text_of_html(value, slot)
        media += [item for item in field_media if item not in media]
        if text:
            label = f"{plan.names[number]}: " if number in plan.labelled else ""
            parts[slot].append(label + text)
    return {name: clean_text("\n".join(field_media)) for name, field_media in parts.items()}, tuple(
        media
    )


def ordinals(plan: Plan, front: str, present: Sequence[int]) -> tuple[NoteType, Mapping[int, int]]:
    """Our type of a note whose cards have these ordinals, and our ordinal for those we keep."""
    if plan.cloze:
        shown = cloze_ordinals(front)
        return "cloze", {number: number for number in present if number in shown}
    if plan.reverse is not None and plan.reverse in present:
        return "reversed", {
            number: i for i, number in enumerate((plan.first, plan.reverse)) if number in present
        }
    return "basic", {plan.first: 0} if plan.first in present else {}
