"""What notes show of a learner's pictures and sounds, for whoever writes or deletes notes.

Apart from `learning.services.media`, which study need not load. Whoever writes a card first lets
its media stay for longer than the write takes (`hold`), so no sweep removes what is being used.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from config.formats import wire_name
from config.problems import Conflict, FieldError
from config.store.items import ConditionFailed
from config.work import enqueue
from learning.models.media import MediaShelf, Medium
from learning.transfer.model import TEXT_FIELDS, media_ids

FIELDS = {"audio_id": "audio", "image_id": "image"}  # each with the kind that it shows
SWEEP_AFTER = timedelta(minutes=15)
HELD = timedelta(minutes=10)  # longer than any write, shorter than until a sweep


class UnknownMedium(Conflict):
    code, title = "UNKNOWN_MEDIUM", "You have no picture or sound with this id"

    @classmethod
    def at(cls, field: str) -> "UnknownMedium":
        message = "You have no picture or sound with this id."
        return cls(errors=[FieldError(field, "unknown_medium", message)])

    @classmethod
    def of_kind(cls, kind: str, field: str) -> "UnknownMedium":
        """It is there, but of the other kind."""
        message = "It is a picture." if kind == "audio" else "It is a sound."
        return cls(message, errors=[FieldError(field, "wrong_kind", message)])


def shown_by(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """The ids of media that a note's fields show, each with the fields that do, texts last."""
    ids = defaultdict[str, list[str]](list)
    for name in FIELDS:
        if id := values.get(name):
            ids[id].append(name)
    for name in TEXT_FIELDS:
        for id in dict.fromkeys(media_ids(values.get(name) or "")):
            ids[id].append(name)
    return dict(ids)


def fits(field: str, medium: Medium) -> bool:
    """Whether a field shows media of this kind; texts show both."""
    return field not in FIELDS or medium.content_type.startswith(f"{FIELDS[field]}/")


def hold(
    learner_id: str,
    values: Mapping[str, Any],
    *,
    now: datetime,
    besides: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> None:
    """Makes sure that what a note shows is there, and stays until the note is written.

    `besides` what the stored note shows already; a text may show that, too. A read where there is
    any. Raises UnknownMedium.
    """
    wanted = [
        (id, field)
        for id, fields in shown_by(values).items()
        for field in fields
        if id not in besides or (field in FIELDS and field not in besides[id])
    ]
    if not wanted:
        return
    media = Medium.ready_among(learner_id, dict(wanted))
    for id, field in wanted:
        if id in media and not fits(field, media[id]):
            raise UnknownMedium.of_kind(FIELDS[field], wire_name(field))
    for id, field in dict(wanted).items():
        try:
            media[id].hold_until(now + HELD)
        except (KeyError, ConditionFailed):
            raise UnknownMedium.at(wire_name(field)) from None


def sweep_later(learner_id: str, *, now: datetime) -> None:
    """Asks for a sweep, since a card shows some medium no more; one is enough for many cards."""
    with suppress(ConditionFailed):  # it is under way already
        MediaShelf.ask_for_sweep(learner_id, now + SWEEP_AFTER * 2, now=now)
        enqueue("media_sweep", {"learnerId": learner_id}, delay_s=SWEEP_AFTER.total_seconds())
