"""Pictures and sounds of a learner: uploaded or imported, shown on cards, removed with them.

The id of a medium is made of the bytes that were sent, so each is kept once, whatever its names. A
text shows one as `[media:<id>]`. What no card shows any more is removed by a sweep, a quarter of an
hour after a card was changed or deleted (`learning.services.media_on_cards`).

What a crash leaves: an object without an item, which the sweep finds and removes after a day.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.conf import settings
from pynamodb.expressions.condition import Condition
from ulid import ULID

from accounts.models import learner_key
from accounts.models.limits import hit
from config import objects
from config.objects import NoSuchObject, SignedPut
from config.problems import Conflict, Filled, NotFound
from config.records import dataclass
from config.store.connection import chunks, connection, retried
from config.store.items import ConditionFailed
from config.store.transactions import Delete, Update, transact
from learning.media_types import (
    EXTENSIONS,
    MOST_BYTES,
    Inspected,
    MediumRefused,
    MediumTooLarge,
    inspect,
)
from learning.models.cards import Note
from learning.models.media import PENDING, READY, MediaShelf, Medium
from learning.services.media_on_cards import FIELDS, HELD, shown_by
from learning.transfer.history import name_based
from learning.transfer.model import TEXT_FIELDS

UPLOAD_LIFE = timedelta(days=1)
READ_AT_ONCE = 8
ORPHAN_AFTER = timedelta(days=1)


class NotUploaded(Conflict):
    code, title = "MEDIUM_NOT_UPLOADED", "The picture or sound has not been uploaded yet"


class ShelfFull(Conflict):
    code, title = "MEDIA_FULL", "There is no room for more pictures and sounds: delete some"


@dataclass(frozen=True)
class Offer:
    """A medium, and where to PUT it as long as it is not there yet."""

    medium: Medium
    upload: SignedPut | None


def medium_id(digest: str) -> str:
    """The id of the bytes with this SHA-256."""
    return name_based("media", digest)


# From the learner's device


def begin_upload(*, learner_id: str, fields: Mapping[str, Any], now: datetime) -> Offer:
    """Says where to upload bytes, unless the learner has them; their name is kept either way.

    Raises ShelfFull, TooManyRequests.
    """
    digest, name = fields["sha256"], fields.get("name", "")
    medium = Medium.of(learner_id, medium_id(digest))
    if medium is not None and medium.is_ready:
        with suppress(ConditionFailed):  # removed at this moment: it is uploaded again
            medium.add_name(name)
            medium.keep_until(now + UPLOAD_LIFE)
            return Offer(medium, None)
    hit("media_upload", learner_id, now=now)
    shelf = MediaShelf.get_or_none(learner_key(learner_id), MediaShelf.SK)
    room = settings.MEDIA_BYTES - (int(shelf.bytes) if shelf else 0)
    if room < fields["size_bytes"] or (shelf and shelf.files >= settings.MEDIA_FILES):
        raise ShelfFull
    pending = medium
    medium = _new(learner_id, digest, name, fields["content_type"], fields["size_bytes"], now)
    if pending is not None:  # another device may be about to send the same
        medium.object = pending.object
    medium.expires_at = int((now + UPLOAD_LIFE).timestamp())
    try:
        medium.put(Medium.pk.does_not_exist() | (Medium.state == PENDING))
    except ConditionFailed:  # the other device was quicker
        return Offer(read(learner_id=learner_id, id=medium.id), None)
    upload = objects.sign_put(
        _incoming(medium),
        size_bytes=fields["size_bytes"],
        content_type=medium.content_type,
        sha256=base64.b64encode(bytes.fromhex(digest)).decode(),
        now=now,
    )
    return Offer(medium, upload)


def _new(
    learner_id: str, digest: str, name: str, content_type: str, size_bytes: int, now: datetime
) -> Medium:
    id = medium_id(digest)
    return Medium(
        *Medium.key(learner_id, id),
        id=id,
        sha256=digest,
        content_type=content_type,
        size_bytes=size_bytes,
        names=[name] if name else [],
        object=f"media/{learner_id}/{id}/{ULID()}",
        created_at=now,
        kept_until=now + UPLOAD_LIFE,
    )


def _incoming(medium: Medium) -> str:
    return f"incoming/{medium.object.removeprefix('media/')}"


def complete_upload(*, learner_id: str, id: str, now: datetime) -> Medium:
    """Looks at an upload, and keeps it without what it tells besides the picture.

    Refused, nothing of it is left. Raises NotFound, NotUploaded, MediumRefused, ShelfFull.
    """
    medium = read(learner_id=learner_id, id=id)
    if medium.is_ready:
        return medium
    incoming = _incoming(medium)
    own_upload = (Medium.state == PENDING) & (Medium.object == medium.object)
    try:
        data = objects.get(incoming, most_bytes=MOST_BYTES)
    except NoSuchObject:
        if (stored := Medium.of(learner_id, id)) and stored.is_ready:  # completed at this moment
            return stored
        raise NotUploaded from None
    try:
        if sha256(data).hexdigest() != medium.sha256:
            raise MediumRefused("These are other bytes than were promised")
        inspected = inspect(data)
        if inspected.content_type != medium.content_type:
            raise MediumRefused(
                Filled("The file is {type}: say so, and send it again", type=inspected.content_type)
            )
        medium.kept_until = now + UPLOAD_LIFE
        kept = _keep(medium, inspected, own_upload)
    except (MediumRefused, ShelfFull):
        with suppress(ConditionFailed):
            transact(Delete(medium, own_upload))
        objects.delete([incoming])
        raise
    objects.delete([incoming])
    return kept


def _keep(medium: Medium, inspected: Inspected, condition: Condition) -> Medium:
    """Puts a medium onto the shelf, or answers the same one that came a moment before.

    Raises ShelfFull; NotFound where it was deleted at this moment.
    """
    medium.state, medium.expires_at = READY, None
    medium.size_bytes = len(inspected.data)
    medium.width, medium.height = inspected.width, inspected.height
    objects.put(medium.object, inspected.data, content_type=inspected.content_type)
    writes = MediaShelf.add_writes(
        medium,
        most_files=settings.MEDIA_FILES,
        most_bytes=settings.MEDIA_BYTES,
        condition=condition,
    )
    try:
        transact(*writes)
    except ConditionFailed as error:
        stored = Medium.get_or_none(medium.pk, medium.sk)
        if stored is None or stored.object != medium.object or not stored.is_ready:
            objects.delete([medium.object])
        if stored is not None and stored.is_ready:
            return stored
        full = any(isinstance(write, Update) for write in error.lost)
        raise (ShelfFull if full else NotFound) from error
    return medium


def read(*, learner_id: str, id: str) -> Medium:
    """One of the learner's media. Raises NotFound."""
    medium = Medium.of(learner_id, id)
    if medium is None:
        raise NotFound
    return medium


def delete(*, learner_id: str, id: str) -> None:
    """Removes a medium at once; cards keep its id, by which it may come back. Raises NotFound."""
    _remove(learner_id, id)


@retried(ConditionFailed)
def _remove(learner_id: str, id: str) -> None:
    medium = read(learner_id=learner_id, id=id)
    transact(*MediaShelf.remove_writes(medium))
    objects.delete([medium.object, _incoming(medium)])


def url_of(medium: Medium) -> str | None:
    """A signed address that gives the bytes out; None until they are looked at."""
    if not medium.is_ready:
        return None
    return objects.sign_get(
        medium.object, content_type=medium.content_type, size_bytes=int(medium.size_bytes)
    )


# From files


def store(*, learner_id: str, data: bytes, name: str, now: datetime) -> Medium:
    """Keeps the bytes of a file under one more name. Raises MediumRefused, ShelfFull."""
    if len(data) > MOST_BYTES:
        raise MediumTooLarge
    return _store(learner_id, data, name, now)


@retried(ConditionFailed)
def _store(learner_id: str, data: bytes, name: str, now: datetime) -> Medium:
    digest = sha256(data).hexdigest()
    medium = Medium.of(learner_id, medium_id(digest))
    if medium is None or not medium.is_ready:
        inspected = inspect(data)
        size = len(inspected.data)
        medium = _new(learner_id, digest, name, inspected.content_type, size, now)
        medium.kept_until = now + HELD
        is_free = Medium.pk.does_not_exist() | (Medium.state == PENDING)
        medium = _keep(medium, inspected, is_free)
    medium.add_name(name)
    medium.hold_until(now + HELD)
    return medium


def filename(medium: Medium) -> str:
    """The name of its file: the first that it came under, or one of ours."""
    names = [str(name) for name in medium.names]
    return names[0] if names else f"parley-{medium.id[:8]}.{EXTENSIONS[medium.content_type]}"


def read_all(media: Iterable[Medium | None]) -> Iterator[bytes | None]:
    """The bytes of media in their order, some read at once; None for one that is gone."""
    with ThreadPoolExecutor(READ_AT_ONCE) as readers:
        for chunk in chunks(list(media), READ_AT_ONCE):
            yield from readers.map(_bytes_of, chunk)


def _bytes_of(medium: Medium | None) -> bytes | None:
    try:
        return objects.get(medium.object, most_bytes=MOST_BYTES) if medium else None
    except NoSuchObject:
        return None


# No longer on cards


def sweep(*, learner_id: str, now: datetime) -> int:
    """Removes the media that no card shows, and objects that nobody knows of; returns how many.

    Reads all notes of the learner. Harmless at any time.
    """
    try:
        MediaShelf.begin_sweep(learner_id)
    except ConditionFailed:  # there is none, or the learner has left
        return 0
    media = all_media(learner_id)
    old = [medium for medium in media if medium.kept_until < now]
    shown = _shown(learner_id) if old else set()
    removed = []
    for medium in old:
        if medium.id not in shown:
            with suppress(ConditionFailed):  # wanted at this moment
                transact(*MediaShelf.remove_writes(medium))
                removed.append(medium)
    objects.delete([medium.object for medium in removed])
    known = {medium.object for medium in media}
    lost = [
        entry["Key"]
        for entry in objects.listed(objects.MEDIA, f"media/{learner_id}/")
        if entry["Key"] not in known and entry["LastModified"] < now - ORPHAN_AFTER
    ]
    objects.delete(lost)
    return len(removed) + len(lost)


def all_media(learner_id: str) -> list[Medium]:
    """All of the learner's media, by id: a query for each megabyte of items."""
    return Medium.query_all(learner_key(learner_id), Medium.sk.startswith(Medium.PREFIX))


def _shown(learner_id: str) -> set[str]:
    """The ids of all media that the learner's notes show: a query for each megabyte of notes."""
    shown: set[str] = set()
    start = None
    while True:
        answer = connection().query(
            learner_key(learner_id),
            range_key_condition=Note.sk.startswith(Note.PREFIX),
            exclusive_start_key=start,
            consistent_read=True,
        )
        for raw in answer["Items"]:
            texts = {name: raw.get(name, {}).get("S") for name in (*FIELDS, *TEXT_FIELDS)}
            shown |= shown_by(texts).keys()
        if (start := answer.get("LastEvaluatedKey")) is None:
            return shown
