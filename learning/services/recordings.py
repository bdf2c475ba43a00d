"""What a learner says, as text: recorded, uploaded, understood by Amazon Transcribe, confirmed.

A recording is private and short-lived: it is removed as soon as its text is there, or at the latest
after a quarter of an hour. Its seconds are counted before Transcribe is called. The text is shown
to the learner, who sends it as a turn, or says it again. No queue stands between: whoever waits
asks, and each question asks Transcribe.
"""

import base64
import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from botocore.exceptions import ClientError
from django.conf import settings
from ulid import ULID

from accounts.models import Profile, learner_key
from accounts.models.limits import hit
from config import objects
from config.aws import call, error_code
from config.objects import NoSuchObject, SignedPut
from config.problems import Filled, NotFound, Problem, ServiceUnavailable, UpstreamFailed
from config.stack import stack
from config.store.items import ConditionFailed
from config.store.transactions import Delete, transact
from config.work import enqueue
from learning.media_types import NotWav, recording
from learning.models.recordings import RUNNING, Recording
from learning.services.media import NotUploaded
from learning.services.practice import ConsentNeeded
from learning.services.speech import NoVoice, require_voice, reserved

log = logging.getLogger("parley.speech")

MOST_BYTES, MOST_SECONDS = 3_000_000, 30
LEAST_SECONDS = 0.1
LEAST_BILLED_S = 15  # of each request (Amazon Transcribe: "Pricing")
CONTENT_TYPE = "audio/wav"
LEFT_AFTER = timedelta(minutes=15)
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
        raise NoVoice.at("language", "Recordings of this language are not understood")
    return code


def begin(*, learner_id: str, fields: Mapping[str, Any], now: datetime) -> tuple[str, SignedPut]:
    """An id, and where to PUT a recording. Raises SpeechOff, ConsentNeeded, TooManyRequests."""
    _require_consent(learner_id)
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


def _require_consent(learner_id: str) -> None:
    """Raises SpeechOff; ConsentNeeded for whoever lets nothing that they say go to a model."""
    require_voice()
    profile = Profile.get_or_none(learner_key(learner_id), Profile.SK)
    if profile is None or profile.model_voice_at is None:
        raise ConsentNeeded.to("modelVoice")


def _key(learner_id: str, id: str) -> str:
    return f"incoming/{learner_id}/recordings/{id}"


def understand(*, learner_id: str, id: str, language: str, now: datetime) -> Recording:
    """Begins to understand an uploaded recording; begun again, it is the same one.

    Raises SpeechOff, ConsentNeeded, NoVoice, NotUploaded, RecordingRefused, BudgetUsedUp,
    UpstreamFailed.
    """
    _require_consent(learner_id)
    code = language_of(language)
    if Recording.of(learner_id, id):
        return read(learner_id=learner_id, id=id, now=now)
    seconds = _seconds_of(_key(learner_id, id))
    units = {"speech_seconds": max(seconds, LEAST_BILLED_S)}
    counted = reserved(learner_id, units, now=now)
    recording_ = Recording(
        *Recording.key(learner_id, id),
        id=id,
        language=code,
        seconds=seconds,
        created_at=now,
        expires_at=int((now + Recording.KEPT).timestamp()),
    )
    try:
        recording_.create()
    except ConditionFailed:  # begun twice at this moment
        counted.release()
        return read(learner_id=learner_id, id=id, now=now)
    # Whoever never asks for the text leaves nothing behind either.
    message = {"learnerId": learner_id, "id": id}
    enqueue("recording_end", message, delay_s=LEFT_AFTER.total_seconds())
    _start(recording_)
    return recording_


def _seconds_of(key: str) -> int:
    """The length of an upload, which is removed if it is refused. Raises NotUploaded, too."""
    try:
        data = objects.get(key, most_bytes=MOST_BYTES)
    except NoSuchObject:
        raise NotUploaded from None
    try:
        return _seconds(data)
    except RecordingRefused:
        objects.delete([key])
        raise


def _seconds(data: bytes) -> int:
    """Its length in whole seconds. Raises RecordingRefused."""
    if len(data) > MOST_BYTES:
        raise RecordingRefused(Filled("More than {most} bytes", most=MOST_BYTES))
    try:
        seconds = recording(data).seconds
    except NotWav as error:
        raise RecordingRefused(str(error)) from None
    if seconds < LEAST_SECONDS:
        raise RecordingRefused("The recording is too short to have a word")
    if seconds > MOST_SECONDS:
        raise RecordingRefused(Filled("A recording may last {most} s at most", most=MOST_SECONDS))
    return ceil(seconds)


def read(*, learner_id: str, id: str, now: datetime) -> Recording:
    """How far a recording is understood: asks Transcribe, as long as that is at work.

    Each step may be repeated: Transcribe's job has one name. Raises NotFound, UpstreamFailed.
    """
    found = Recording.of(learner_id, id)
    if found is None:
        raise NotFound
    if found.state != RUNNING:
        return found
    state = _state(found)
    if state not in ("COMPLETED", "FAILED") and now < found.created_at + LEFT_AFTER:
        return found
    text = _text(f"{_key(learner_id, id)}.json") if state == "COMPLETED" else None
    try:
        found.end(text)
    except ConditionFailed:  # another request was quicker, or the recording is gone
        return read(learner_id=learner_id, id=id, now=now)
    _remove(found)
    return found


def forget(*, learner_id: str, id: str) -> None:
    """Removes a recording and its text. Raises NotFound."""
    found = Recording.of(learner_id, id)
    if found is None:
        raise NotFound
    transact(Delete(found))
    _remove(found)


def _name(found: Recording) -> str:
    return f"parley-{settings.STAGE}-{found.id}"


def _start(found: Recording) -> None:
    """Asks Transcribe; asked again, it is the same job. Raises UpstreamFailed."""
    bucket, key = stack().media_bucket, _key(found.pk.partition("#")[2], str(found.id))
    try:
        call(
            "transcribe",
            "start_transcription_job",
            TranscriptionJobName=_name(found),
            LanguageCode=str(found.language),
            MediaFormat="wav",
            Media={"MediaFileUri": f"s3://{bucket}/{key}"},
            OutputBucketName=bucket,
            OutputKey=f"{key}.json",
        )
    except ClientError as error:
        if error_code(error) != "ConflictException":  # a request that was cut off has asked
            raise UpstreamFailed from error


def _state(found: Recording) -> str:
    """The state of Transcribe's job for a recording. Starts the job if there is none."""
    try:
        answer = call("transcribe", "get_transcription_job", TranscriptionJobName=_name(found))
    except ClientError as error:
        if error_code(error) not in ("BadRequestException", "NotFoundException"):
            raise UpstreamFailed from error
        _start(found)
        return "QUEUED"
    return str(answer["TranscriptionJob"]["TranscriptionJobStatus"])


def _text(key: str) -> str | None:
    try:
        document = json.loads(objects.get(key, most_bytes=MOST_BYTES))
    except (NoSuchObject, ValueError):
        return None
    spoken = document.get("results", {}).get("transcripts", [])
    return " ".join(str(each.get("transcript", "")) for each in spoken).strip() or None


def _remove(found: Recording) -> None:
    """Removes the recording, the text's file and Transcribe's job."""
    key = _key(found.pk.partition("#")[2], str(found.id))
    objects.delete([key, f"{key}.json"])
    try:
        call("transcribe", "delete_transcription_job", TranscriptionJobName=_name(found))
    except (ClientError, ServiceUnavailable):
        log.warning("a job of Transcribe stays for its 90 days", exc_info=True)
