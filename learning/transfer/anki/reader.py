"""Anki packages (`.apkg`, also `.colpkg`) to notes, in all three formats that Anki has written."""

from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from config.problems import Filled
from learning.transfer.anki.collection import AnkiNote, Collection, open_collection
from learning.transfer.anki.notetypes import IMAGE_OCCLUSION, Plan, ordinals, plans, texts
from learning.transfer.anki.package import unpack
from learning.transfer.anki.schedule import card_state, instant, review
from learning.transfer.model import (
    LIMITS,
    CardState,
    Limits,
    Media,
    MediaSource,
    Note,
    Row,
    RowError,
    Rows,
    checked,
    clean_text,
)


def read_apkg(file: BinaryIO, limits: Limits = LIMITS) -> Rows:
    """The notes of a package with decks, schedule and log; rows count its notes from 1.

    Raises FileRefused or a subclass before the first note.
    """
    with unpack(file, limits) as package, open_collection(package.collection, limits) as collection:
        if names := package.media.members.keys():
            message = Filled(
                "Of {count} media files those come in that the notes show.", count=len(names)
            )
            yield RowError(0, "media", "media_found", message, fatal=False)
            yield MediaSource(names, package.media.read)
        ways = {id_: list(plans(kind)) for id_, kind in collection.kinds.items()}
        for row, source in enumerate(collection.notes(), 1):
            yield from _rows(source, row, collection, ways, limits)


def _rows(
    source: AnkiNote, row: int, collection: Collection, ways: dict[int, list[Plan]], limits: Limits
) -> Iterator[Row]:
    kind = collection.kinds.get(source.kind_id)
    if kind is None:
        yield RowError(row, "type", "no_note_type", "The package does not define its note type.")
        return
    if kind.stock_kind == IMAGE_OCCLUSION:
        yield RowError(row, "type", "unsupported", "Image occlusion needs its picture.")
        return
    if any(len(value) > limits.html_chars for value in source.values):
        message = Filled("A field has more than {most} characters of HTML.", most=limits.html_chars)
        yield RowError(row, "front", "too_long", message)
        return
    note, dropped = _note(source, ways[source.kind_id], collection)
    results = list(checked(note, row, limits, needs_back=False))
    if dropped and isinstance(results[-1], Note):
        message = Filled(
            "{count} cards have no counterpart among our types of notes.", count=dropped
        )
        yield RowError(row, "cards", "cards_dropped", message, fatal=False)
    yield from results


def _laid_out(
    source: AnkiNote, ways: list[Plan], present: list[int]
) -> tuple[Plan, dict[str, str], tuple[Media, ...]]:
    """The texts and media of a note by the first template that asks something and has a card."""
    for plan in ways:
        values, media = texts(plan, source.values)
        asks = values["front"] or any(item.field == "front" for item in media)
        if asks and (not present or {plan.first, plan.reverse}.intersection(present)):
            return plan, values, media
    return ways[0], *texts(ways[0], source.values)


def _note(source: AnkiNote, ways: list[Plan], collection: Collection) -> tuple[Note, int]:
    """The note, and how many of its cards it had to leave behind."""
    present = sorted({card.ordinal for card in source.cards})
    plan, values, media = _laid_out(source, ways, present)
    note_type, kept = ordinals(plan, values["front"], present)
    decks: dict[int, str] = {}
    states: dict[int, CardState] = {}
    for card in source.cards:
        ordinal = kept.get(card.ordinal)
        if ordinal is None or ordinal in states:
            continue
        decks[ordinal] = clean_text(card.deck)
        entries = [
            entry
            for item in card.reviews
            if (entry := review(item, old_scheduler=collection.old_scheduler))
        ]
        states[ordinal] = card_state(card.row, ordinal, collection.days, entries)
    home = decks[min(decks)] if decks else ""
    note = Note(
        **values,  # type: ignore[arg-type]
        id=clean_text(source.guid),
        type=note_type,
        media=media,
        tags=tuple(dict.fromkeys(clean_text(tag) for tag in source.tags.split())),
        deck=home,
        cards=tuple(
            replace(states[i], deck="" if decks[i] == home else decks[i]) for i in sorted(states)
        ),
        created_at=instant(source.id / 1000),
        modified_at=instant(source.modified_s),
    )
    return note, len(source.cards) - len(states)
