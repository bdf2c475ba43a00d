"""What a learner says, as text: recorded, uploaded, understood by Amazon Transcribe, confirmed.

A recording is private and short-lived: it is removed as soon as its text is there, or at the latest
after a day. Its seconds are counted before Transcribe is called. The text is shown to the learner,
who sends it as a turn, or says it again.
"""

import base64
import json
import logging
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from math import ceil
from typing import Any

from botocore.exceptions import ClientError
from django.conf import settings
from ulid import ULID

from accounts.models import learner_key
from accounts.models.limits import hit
from config import objects
from config.aws import Throttled, call, error_code
from config.objects import NoSuchObject, SignedPut
from config.problems import NotFound, Problem, UpstreamFailed
from config.stack import stack
from config.store import jobs
from config.store.jobs import Job, Place
from config.store.transactions import Delete, transact
from learning.services.media import NotUploaded
from learning.services.speech import NoVoice, require_voice, reserved
from learning.wav import NotWav, recording

log = logging.getLogger("parley.speech")

MOST_BYTES, MOST_SECONDS = 3_000_000, 30
LEAST_BILLED_S = 15  # of each request (Amazon Transcribe: "Pricing")
CONTENT_TYPE = "audio/wav"
TRANSCRIPTION = "transcription"
POLL_S = 1.0
# Amazon Transcribe: "Supported languages", batch (read in November 2026).
LANGUAGES = {
    "de": "de-DE", "en": "en-US", "es": "es-ES", "fr": "fr-FR", "it": "it-IT", "ja": "ja-JP",
    "ko": "ko-KR", "nl": "nl-NL", "pl": "pl-PL", "pt": "pt-PT", "ro": "ro-RO", "ru": "ru-RU",
    "sv": "sv-SE", "vi": "vi-VN",
}  # fmt: skip
REGIONAL = frozenset({"en-GB", "pt-BR", *LANGUAGES.values()})


class RecordingRefused(Problem):
    status, code, title = 400, "RECORDING_REFUSED", "The recording is not as we take them"


def language_of(tag: str) -> str:
    """Transcribe's code of a language. Raises NoVoice."""
    code = tag if tag in REGIONAL else LANGUAGES.get(tag.partition("-")[0].lower())
    if code is None:
        raise NoVoice("Recordings of this language are not understood")
    return code


def begin(*, learner_id: str, fields: Mapping[str, Any], now: datetime) -> tuple[str, SignedPut]:
    """An id, and where to PUT a recording. Raises SpeechOff, TooManyRequests."""
    require_voice()
    hit("media_upload", learner_id, now=now)
    id = str(ULID())
    digest = base64.b64encode(bytes.fromhex(fields["sha256"])).decode()
    upload = objects.sign_put(
        _key(learner_id, id),
        size_bytes=fields["size_bytes"],
        content_type=CONTENT_TYPE,
        sha256=digest,
        now=now,
    )
    return id, upload


def _key(learner_id: str, id: str) -> str:
    return f"incoming/{learner_id}/recordings/{id}"


def understand(*, learner_id: str, id: str, language: str, now: datetime) -> Job:
    """Begins to understand an uploaded recording; begun again, it is the same job.

    Raises SpeechOff, NoVoice, NotUploaded, RecordingRefused, BudgetUsedUp.
    """
    require_voice()
    code = language_of(language)
    owner, key = learner_key(learner_id), _key(learner_id, id)
    if job := Job.of(owner, TRANSCRIPTION, id):
        return job
    try:
        data = objects.get(key, most_bytes=MOST_BYTES)
    except NoSuchObject:
        raise NotUploaded from None
    try:
        seconds = _seconds(data)
    except RecordingRefused:
        objects.delete([key])
        raise
    # Whoever begins twice at once is counted twice, and never too little.
    reserved(learner_id, {"speech_seconds": max(seconds, LEAST_BILLED_S)}, now=now)
    return jobs.start(owner, TRANSCRIPTION, id=id, arguments={"language": code, "seconds": seconds})


def _seconds(data: bytes) -> int:
    """Its length in whole seconds. Raises RecordingRefused."""
    if len(data) > MOST_BYTES:
        raise RecordingRefused(f"More than {MOST_BYTES} bytes")
    try:
        seconds = recording(data).seconds
    except NotWav as error:
        raise RecordingRefused(str(error)) from None
    if not 0.1 <= seconds <= MOST_SECONDS:
        raise RecordingRefused(f"A recording may last {MOST_SECONDS} s at most")
    return ceil(seconds)


def read(*, learner_id: str, id: str) -> Job:
    """How far a recording is understood. Raises NotFound."""
    job = Job.of(learner_key(learner_id), TRANSCRIPTION, id)
    if job is None:
        raise NotFound
    return job


def forget(*, learner_id: str, id: str) -> None:
    """Removes a recording and its text. Raises NotFound."""
    transact(Delete(read(learner_id=learner_id, id=id)))
    objects.delete([_key(learner_id, id), f"{_key(learner_id, id)}.json"])


def run_transcription(job: Job) -> Iterator[Place]:
    """Asks Transcribe, waits for the text, and removes the recording; the result is the text.

    Each step may be repeated: AWS's job has one name, and what it made is read again.
    """
    key, name = _key(job.owner_id, job.id), f"parley-{settings.STAGE}-{job.id}"
    if job.cursor is None:
        _start(name, key, str(job.arguments["language"]))
        yield Place("started", 0, 1)
    while (state := _state(name)) in ("QUEUED", "IN_PROGRESS"):
        time.sleep(POLL_S)
        yield Place("started", 0, 1)
    text = _text(f"{key}.json") if state == "COMPLETED" else None
    objects.delete([key, f"{key}.json"])
    _delete(name)
    if text is None:
        raise RecordingRefused("It was not understood")
    yield Place(None, 1, 1, {"text": text})


def _start(name: str, key: str, language: str) -> None:
    bucket = stack().media_bucket
    try:
        call(
            "transcribe",
            "start_transcription_job",
            TranscriptionJobName=name,
            LanguageCode=language,
            MediaFormat="wav",
            Media={"MediaFileUri": f"s3://{bucket}/{key}"},
            OutputBucketName=bucket,
            OutputKey=f"{key}.json",
        )
    except ClientError as error:
        if error_code(error) != "ConflictException":  # a run before has asked
            raise UpstreamFailed from error


def _state(name: str) -> str:
    answer = call("transcribe", "get_transcription_job", TranscriptionJobName=name)
    return str(answer["TranscriptionJob"]["TranscriptionJobStatus"])


def _text(key: str) -> str | None:
    try:
        document = json.loads(objects.get(key, most_bytes=MOST_BYTES))
    except (NoSuchObject, ValueError):
        return None
    spoken = document.get("results", {}).get("transcripts", [])
    return " ".join(str(each.get("transcript", "")) for each in spoken).strip() or None


def _delete(name: str) -> None:
    try:
        call("transcribe", "delete_transcription_job", TranscriptionJobName=name)
    except (ClientError, Throttled):
        log.warning("a job of Transcribe stays for its 90 days", exc_info=True)
