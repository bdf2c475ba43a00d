"""What a card has been through elsewhere, as entries of our log; and our log as others keep theirs.

An imported card has the other program's whole log, and behind it a baseline with the state that
the program left the card in: whatever comes in later, the fold of these is what the card is.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid5

from config.formats import ULID_OR_UUID
from learning.fsrs import DIFFICULTY_RANGE, STABILITY_RANGE, Weights, clip, first_memory
from learning.scheduling import (
    Baseline,
    Change,
    Entry,
    Memory,
    Rating,
    Reschedule,
    Reset,
    State,
)
from learning.scheduling import Review as Answer
from learning.transfer.model import CardState, Note, Review

OURS = re.compile(ULID_OR_UUID)
MAX_REVIEWS = 1_000  # of one card: its log is read whole whenever a late review comes in
SAME_ENTRY = timedelta(milliseconds=10)  # Anki counts milliseconds, and moves entries apart by one
AFTER = timedelta(milliseconds=1)
EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2199, 12, 31, tzinfo=UTC)

_NAMESPACE = UUID("5d0b9e2f-7b1c-5a86-9d50-1f0e6c1f4a37")


def name_based(*parts: str) -> str:
    """An id that the same parts always give."""
    return str(uuid5(_NAMESPACE, "\x1f".join(parts)))


def id_of(note: Note, deck: str) -> str:
    """The id that a note has with us, the same at every import.

    Of notes that come without an id it follows from the deck, the type and both sides.
    """
    if OURS.fullmatch(note.id):
        return note.id
    if note.id:
        return name_based("note", note.id)
    return name_based("text", deck, note.type, note.front, note.back)


def entries_of(
    card_id: str,
    state: CardState,
    *,
    created_at: datetime,
    now: datetime,
    weights: Weights,
    settings_version: int,
) -> list[tuple[Entry, Review | None]]:
    """A card's log in order, each entry with the review that it was made of, then its baseline.

    A new card without a log has none. Entries of the future are left out, and all but the newest
    1,000.
    """
    wanted = [review for review in state.reviews if EARLIEST <= review.at <= now]
    logged: list[tuple[Entry, Review | None]] = []
    for review in sorted(wanted, key=lambda line: line.at)[-MAX_REVIEWS:]:
        if entry := _entry(card_id, review, settings_version):
            logged.append((entry, review))
    logged.sort(key=lambda pair: pair[0].order)
    if state.state == "new" and not logged:
        return []
    memory = _memory(state, logged, created_at=created_at, now=now, weights=weights)
    ends = [pair[0].at for pair in logged[-1:]]
    if memory.last_review_at:
        ends.append(memory.last_review_at)
    at = max(ends) + AFTER
    name = name_based("baseline", card_id, at.isoformat(), repr(replace(memory, due_at=at)))
    return [*logged, (Baseline(id=name, at=at, memory=memory), None)]


def _entry(card_id: str, review: Review, settings_version: int) -> Entry | None:
    """The entry of a line of another log; None for an answer without a button."""
    name = name_based("entry", card_id, review.id, review.at.isoformat(), str(review.rating))
    if review.kind == "reset":
        return Reset(id=name, at=review.at)
    if review.kind == "reschedule":
        due_at = min(review.at + timedelta(seconds=review.interval_s), LATEST)
        return Reschedule(id=name, at=review.at, due_at=due_at)
    if review.rating is None:
        return None
    rating = Rating(review.rating)
    return Answer(id=name, at=review.at, rating=rating, settings_version=settings_version)


def _memory(
    state: CardState,
    logged: Sequence[tuple[Entry, Review | None]],
    *,
    created_at: datetime,
    now: datetime,
    weights: Weights,
) -> Memory:
    """The state as our rules know it; what it lacks follows from the log or a first answer."""
    if state.state == "new":
        return Memory(due_at=created_at, reps=state.reps, lapses=state.lapses)
    answers = [entry.at for entry, _ in logged if isinstance(entry, Answer)]
    guessed = (state.due_at or now) - timedelta(days=state.interval_days)
    guessed = min([guessed, now, *(entry.at for entry, _ in logged[-1:])])
    last = min(max(state.last_review_at or max([guessed, *answers]), EARLIEST), now)
    due_at = state.due_at or last + timedelta(days=state.interval_days)
    stability, difficulty = first_memory(Rating.GOOD, weights)
    return Memory(
        due_at=min(max(due_at, EARLIEST), LATEST),
        state=State(state.state),
        step=None if state.state == "review" else 0,
        stability=clip(state.stability or stability, STABILITY_RANGE),
        difficulty=clip(state.difficulty or difficulty, DIFFICULTY_RANGE),
        last_review_at=last,
        introduced_at=min([*answers[:1], last]),
        reps=state.reps,
        lapses=state.lapses,
    )


def is_known(entry: Entry, log: Mapping[tuple[str, int | None], list[datetime]]) -> bool:
    """Whether a log (instants by kind and rating) has an entry already, under whatever id."""
    return any(abs(at - entry.at) < SAME_ENTRY for at in log.get(_mark(entry), ()))


def marks_of(entries: Iterable[Entry]) -> dict[tuple[str, int | None], list[datetime]]:
    """A log as `is_known` wants it."""
    marks: dict[tuple[str, int | None], list[datetime]] = {}
    for entry in entries:
        marks.setdefault(_mark(entry), []).append(entry.at)
    return marks


def _mark(entry: Entry) -> tuple[str, int | None]:
    return entry.kind, int(entry.rating) if isinstance(entry, Answer) else None


# The other way


def review_of(
    change: Change, before: Memory, after: Memory, *, duration_ms: int, made_of: Any
) -> Review | None:
    """A line of a log as others keep it; `made_of` is the line it was imported as, if it was."""
    if isinstance(change, Baseline):
        return None
    if made_of:
        return Review(id=change.id, at=change.at, **made_of)
    kind: Literal["review", "reset", "reschedule"] = "review"
    if not isinstance(change, Answer):
        kind = "reset" if isinstance(change, Reset) else "reschedule"
    return Review(
        id=change.id,
        at=change.at,
        kind=kind,
        rating=int(change.rating) if isinstance(change, Answer) else None,
        duration_ms=duration_ms,
        interval_s=0 if kind == "reset" else _wait_s(after.due_at, change.at),
        previous_interval_s=_wait_s(before.due_at, before.last_review_at or before.due_at),
        phase=_PHASES[before.state],
    )


_PHASES: dict[State, Literal["learning", "review", "relearning"]] = {
    State.NEW: "learning",
    State.LEARNING: "learning",
    State.REVIEW: "review",
    State.RELEARNING: "relearning",
}


def _wait_s(due_at: datetime, at: datetime) -> int:
    return max(0, round((due_at - at).total_seconds()))


def origin_of(review: Review | None) -> dict[str, Any] | None:
    """What is kept of an imported line beside the entry it became."""
    if review is None:
        return None
    return {
        name: value
        for name, default in _KEPT.items()
        if (value := getattr(review, name)) != default
    }


_KEPT = {
    "kind": "review",
    "rating": None,
    "duration_ms": 0,
    "interval_s": 0,
    "previous_interval_s": 0,
    "days_in_s": False,
    "previous_days_in_s": False,
    "phase": "review",
    "ease_factor": None,
}
