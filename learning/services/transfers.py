"""Imports and exports that work by themselves: started, looked at, cancelled; and their runs."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from io import BytesIO
from itertools import islice
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from django.utils.timezone import now

from accounts.models import learner_key
from config.problems import Conflict, IdTaken, NotFound
from config.store import jobs
from config.store.items import batch_put
from config.store.jobs import Job, JobLost, Place
from config.store.transactions import Delete, transact
from learning import transfer
from learning.models.base import split_id
from learning.models.cards import Deck
from learning.models.transfers import ImportRow
from learning.services import file_uploads, media
from learning.services.cards import NoSuchDeck
from learning.services.exports import Export
from learning.services.imports import LIMITS, Check, Import, Report
from learning.transfer import DeckSource, MediaSource, Note, Rows

if TYPE_CHECKING:
    from learning.transfer.anki.writer import PackedFiles

IMPORT, EXPORT = "import", "export"
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "apkg": "application/zip",
}
PART_NOTES = 500
PART_FILES, PART_BYTES = 500, 32 * 2**20
FILES_KEPT = timedelta(hours=23)  # of the day that the bucket keeps them
MOST_AT_ONCE = 3
LOOKED_AT = 20  # of the latest ones, for those that are still open


class TooManyJobs(Conflict):
    code, title = "TOO_MANY_JOBS", "So many of these are still at work: wait for one, or cancel it"


def start_import(*, learner_id: str, fields: Mapping[str, Any]) -> Job:
    """Starts an import of an upload. Sent again with the same id and fields, it is the same one.

    Raises IdTaken, NoSuchUpload, NoSuchDeck and TooManyJobs.
    """

    def prepared() -> dict[str, Any]:
        deck = Deck.of(learner_id, fields["deck_id"]) if fields.get("deck_id") else None
        if fields.get("deck_id") and (deck is None or deck.closing):
            raise NoSuchDeck.at("deckId")
        upload_key = fields["upload_key"]
        return {"etag": file_uploads.entity_tag(learner_id=learner_id, upload_key=upload_key)}

    return _start(learner_id, IMPORT, fields, prepared)


def start_export(*, learner_id: str, fields: Mapping[str, Any]) -> Job:
    """Starts an export. Sent again with the same id and fields, it is the same one.

    Raises IdTaken, NoSuchDeck and TooManyJobs.
    """

    def prepared() -> dict[str, Any]:
        if fields.get("deck_id") and Deck.of(learner_id, fields["deck_id"]) is None:
            raise NoSuchDeck.at("deckId")
        return {}

    return _start(learner_id, EXPORT, fields, prepared)


def _start(
    learner_id: str, what: str, fields: Mapping[str, Any], prepared: Callable[[], dict[str, Any]]
) -> Job:
    job_id, rest, digest = split_id(fields)
    owner = learner_key(learner_id)
    job = Job.of(owner, what, job_id)
    if job is None:
        arguments = {**rest, **prepared(), "digest": digest}
        latest = Job.newest(owner, what, limit=LOOKED_AT, start=None).items
        if sum(not other.has_ended for other in latest) >= MOST_AT_ONCE:
            raise TooManyJobs
        job = jobs.start(owner, what, id=job_id, arguments=arguments)
    if job.arguments["digest"] != digest:
        raise IdTaken
    return job


def read_job(*, learner_id: str, what: str, id: str) -> Job:
    """One of the learner's jobs. Raises NotFound."""
    job = Job.of(learner_key(learner_id), what, id)
    if job is None:
        raise NotFound
    return job


def cancel_job(*, learner_id: str, what: str, id: str, now: datetime) -> Job:
    """Stops a job, if it has not ended; what it has done stays. Raises NotFound."""
    job = read_job(learner_id=learner_id, what=what, id=id)
    try:
        job.cancel(at=now)
    except JobLost:
        return read_job(learner_id=learner_id, what=what, id=id)
    return job


def delete_job(*, learner_id: str, what: str, id: str) -> None:
    """Stops a job, and forgets it. Raises NotFound."""
    transact(Delete(read_job(learner_id=learner_id, what=what, id=id)))


def run_import(job: Job, *, check_deck: Check, check_note: Check) -> Iterator[Place]:
    """Takes an upload in; its result is the report's figures.

    All that is written says the instant at which the import was started, so that a run which goes
    on after a dead one can count what that one has done. Raises what reading the file raises.
    """
    arguments, learner_id = job.arguments, job.owner_id
    options = transfer.TextOptions(
        **{name: arguments.get(name) for name in ("separator", "encoding", "header", "html")},
        columns=tuple(arguments["columns"]) if arguments.get("columns") else None,
    )
    source: dict[str, Any] = {
        "filename": arguments.get("filename", ""),
        "format": arguments.get("format"),
        "limits": LIMITS,
        "options": options,
    }
    upload = {"upload_key": arguments["upload_key"], "etag": arguments["etag"]}
    with file_uploads.open_upload(learner_id=learner_id, **upload) as file:
        if job.cursor is None:  # all is read once before anything is written
            total = _count(transfer.read(file, **source))
            yield Place(0, 0, total)
        else:
            total = int(job.total)
        run = Import(
            learner_id,
            arguments.get("deck_id"),
            False,
            job.created_at,
            check_deck,
            check_note,
            restore_deleted=bool(arguments.get("restore_deleted")),
            report=Report(**job.result or {}, most_errors=None),
        )
        for seen in run.steps(transfer.read(file, **source), int(job.cursor or 0)):
            _keep_remarks(job, run.report)
            yield Place(seen, seen, total, run.report.figures())
        _keep_remarks(job, run.report)
        yield Place(None, total, total, run.report.figures())


def _count(rows: Rows) -> int:
    """How many notes and remarks there are. Raises what reading them raises."""
    return sum(not isinstance(row, DeckSource | MediaSource) for row in rows)


def _keep_remarks(job: Job, report: Report) -> None:
    rows = (ImportRow.new(job.owner_id, job.id, error, now=now()) for error in report.errors)
    batch_put(list({row.sk: row for row in rows}.values()))
    report.errors.clear()


def run_export(job: Job) -> Iterator[Place]:
    """Writes a file of the learner's notes; its result is the file's size.

    First the notes are read and kept in parts, which a later run need not read again, then the
    media of a package likewise. The last part of the work makes the file of them.
    """
    arguments = job.arguments
    run = Export(job.owner_id, arguments.get("deck_id"), job.created_at, arguments["format"])
    parts, after, done, *read = job.cursor or (0, "", 0)
    notes = run.notes(after=after) if after is not None else iter(())
    while part := list(islice(notes, PART_NOTES)):
        _keep(job, f"{parts:05}", transfer.pack_notes(note for _, note in part))
        parts, after, done = parts + 1, part[-1][0], done + len(part)
        yield Place((parts, after, done), done)
    if after is not None:
        yield Place((parts, None, done), done, done)
    if arguments["format"] == "apkg":
        yield from _read_media(job, run, parts, done, read[0] if read else 0)
    with TemporaryFile() as file:
        run.write(_kept_notes(job, parts), file, lambda packed: _kept_files(job, packed))
        size_bytes = file.tell()
        file_uploads.keep(learner_id=job.owner_id, name=job.id, file=file)
    yield Place(None, done, done, {"size_bytes": size_bytes})


def _read_media(job: Job, run: Export, parts: int, done: int, read: int) -> Iterator[Place]:
    """Reads the files of a package's media, and keeps them in parts."""
    if not read:
        from learning.transfer.anki.writer import PackedFiles  # slow to load

        packed = PackedFiles()
        for note in _kept_notes(job, parts):
            packed.named(note)
        if not packed.files:
            return
        groups = list(_groups(run, packed.files))
        _keep(job, "files", json.dumps(groups).encode())
    groups = json.loads(_kept(job, "files"))
    for number, group in enumerate(groups[read:], read + 1):
        files = list(media.read_all(run.media.get(id) for id in group))
        sizes = [None if data is None else len(data) for data in files]
        head = json.dumps(sizes).encode() + b"\n"
        _keep(job, f"files/{number:05}", head + b"".join(filter(None, files)))
        yield Place((parts, None, done, number), done, done)


def _groups(run: Export, files: Iterable[tuple[str, str]]) -> Iterator[list[str]]:
    """The ids of a package's files, as many together as are read in a few seconds."""
    group, size = list[str](), 0
    for id, _ in files:
        medium = run.media.get(id)
        size += int(medium.size_bytes) if medium else 0
        if group and (size > PART_BYTES or len(group) == PART_FILES):
            yield group
            group, size = [], int(medium.size_bytes) if medium else 0
        group.append(id)
    if group:
        yield group


def _kept_files(job: Job, packed: "PackedFiles") -> Iterator[bytes | None]:
    """The files of a package's media, as `_read_media` has kept them."""
    groups = json.loads(_kept(job, "files")) if packed.files else []
    for number in range(1, len(groups) + 1):
        head, _, rest = _kept(job, f"files/{number:05}").partition(b"\n")
        for size in json.loads(head):
            yield None if size is None else rest[:size]
            rest = rest[size or 0 :]


def _keep(job: Job, name: str, data: bytes) -> None:
    file_uploads.keep(learner_id=job.owner_id, name=f"{job.id}/{name}", file=BytesIO(data))


def _kept(job: Job, name: str) -> bytes:
    return file_uploads.kept(learner_id=job.owner_id, name=f"{job.id}/{name}")


def _kept_notes(job: Job, parts: int) -> Iterator[Note]:
    for number in range(parts):
        yield from transfer.unpack_notes(_kept(job, f"{number:05}"))


def export_url(job: Job, *, now: datetime) -> str | None:
    """A signed address of the file, as long as it is kept."""
    if job.state != jobs.DONE or job.updated_at < now - FILES_KEPT:
        return None
    filename, media_type = exported_as(job.arguments["format"], job.created_at)
    return file_uploads.sign(
        learner_id=job.owner_id, name=job.id, filename=filename, media_type=media_type
    )


def exported_as(format: str, at: datetime) -> tuple[str, str]:
    """The name of an exported file, and its media type."""
    return f"parley-{at:%Y-%m-%d}.{format}", MEDIA_TYPES[format]
