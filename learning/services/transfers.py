"""Imports and exports that work by themselves: started, looked at, cancelled; and their runs."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from accounts.models import learner_key
from config.clock import now
from config.problems import Conflict, IdTaken, NotFound
from config.store import jobs
from config.store.items import batch_put
from config.store.jobs import Job, JobLost, Place
from learning import transfer
from learning.models.cards import Deck
from learning.models.transfers import ImportRow
from learning.services import file_uploads
from learning.services.cards import NoSuchDeck
from learning.services.idempotency import split_id
from learning.services.imports import LIMITS, Check, Import, Report
from learning.transfer import DeckSource, Rows

IMPORT, EXPORT = "import", "export"
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


def _start(
    learner_id: str, what: str, fields: Mapping[str, Any], prepared: Callable[[], dict[str, Any]]
) -> Job:
    job_id, rest, digest = split_id(fields)
    owner = learner_key(learner_id)
    job = Job.of(owner, what, job_id)
    if job is None:
        given = {**rest, **prepared(), "digest": digest}
        latest = Job.newest(owner, what, limit=LOOKED_AT, start=None).items
        if sum(not other.has_ended for other in latest) >= MOST_AT_ONCE:
            raise TooManyJobs
        job = jobs.start(owner, what, id=job_id, given=given)
    if job.given["digest"] != digest:
        raise IdTaken
    return job


def read_job(*, learner_id: str, what: str, id: str) -> Job:
    """One of the learner's jobs. Raises NotFound."""
    job = Job.of(learner_key(learner_id), what, id)
    if job is None:
        raise NotFound
    return job


def cancel_job(*, learner_id: str, what: str, id: str, now: datetime) -> None:
    """Stops a job, if it has not ended; what it has done stays. Raises NotFound."""
    job = read_job(learner_id=learner_id, what=what, id=id)
    try:
        job.cancel(at=now)
    except JobLost:
        return


def run_import(job: Job, *, check_deck: Check, check_note: Check) -> Iterator[Place]:
    """Takes an upload in; its result is the report's figures.

    All that is written says the instant at which the import was started, so that a run which goes
    on after a dead one can count what that one has done. Raises what reading the file raises.
    """
    given, learner_id = job.given, job.owner_id
    options = transfer.TextOptions(
        **{name: given.get(name) for name in ("separator", "encoding", "header", "html")},
        columns=tuple(given["columns"]) if given.get("columns") else None,
    )
    source: dict[str, Any] = {
        "filename": given.get("filename", ""),
        "format": given.get("format"),
        "limits": LIMITS,
        "options": options,
    }
    upload = {"upload_key": given["upload_key"], "etag": given["etag"]}
    with file_uploads.open_upload(learner_id=learner_id, **upload) as file:
        if job.cursor is None:  # all is read once before anything is written
            total = _count(transfer.read(file, **source))
            yield Place(0, 0, total)
        else:
            total = int(job.total)
        run = Import(
            learner_id,
            given.get("deck_id"),
            False,
            job.created_at,
            check_deck,
            check_note,
            restore_deleted=bool(given.get("restore_deleted")),
            report=Report(**job.result or {}, most_errors=None),
        )
        for seen in run.steps(transfer.read(file, **source), int(job.cursor or 0)):
            _keep_remarks(job, run.report)
            yield Place(seen, seen, total, run.report.figures())
        _keep_remarks(job, run.report)
        yield Place(None, total, total, run.report.figures())


def _count(rows: Rows) -> int:
    """How many notes and remarks there are. Raises what reading them raises."""
    return sum(not isinstance(row, DeckSource) for row in rows)


def _keep_remarks(job: Job, report: Report) -> None:
    rows = (ImportRow.new(job.owner_id, job.id, error, now=now()) for error in report.errors)
    batch_put(list({row.sk: row for row in rows}.values()))
    report.errors.clear()
