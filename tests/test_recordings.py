"""/recordings: what a learner says, uploaded, counted, understood, confirmed, and gone."""

# ruff: noqa: F811 - bucket, s3 and voice are fixtures
import struct
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
import time_machine
from django.utils.timezone import now

from config.ops.voice_stand_in import HEARD, StandIn
from learning.media_types import NotWav, recording
from learning.models.budgets import Budget
from learning.services.media import NotUploaded
from tests.callers import Caller
from tests.queues import MemoryQueues
from tests.test_media import bucket, kept, put, s3  # noqa: F401
from tests.voice_helpers import asked, voice, voice_served  # noqa: F401


def form(rate_hz: int, a_second: int | None = None) -> bytes:
    """A WAV file's description of its sound."""
    said = rate_hz * 2 if a_second is None else a_second
    return b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate_hz, said, 2, 16)


def recorded(
    seconds: float = 2, rate_hz: int = 8_000, *, said: int | None = None, before: bytes = b""
) -> bytes:
    """A WAV file; `said` is the size that its header tells."""
    sound = bytes(int(seconds * rate_hz) * 2)
    chunks = before + form(rate_hz) + b"data"
    chunks += struct.pack("<I", len(sound) if said is None else said) + sound
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def agreed(caller: Caller) -> None:
    """The learner lets what they say go to a model."""
    assert caller.patch("/profile/consents", {"modelVoice": True}).status_code == 200


def uploaded(caller: Caller, s3: Any, data: bytes) -> str:
    agreed(caller)
    body = {"sizeBytes": len(data), "sha256": sha256(data).hexdigest()}
    answer = caller.post("/recordings", body)
    assert answer.status_code == 201, answer.content
    put(s3, answer.json()["upload"]["url"], data)
    return str(answer.json()["id"])


def understood(caller: Caller, id: str, language: str = "pt") -> Any:
    return caller.post(f"/recordings/{id}/understand", {"language": language})


def test_a_recording_becomes_a_text_to_confirm_and_is_removed(
    maria: Caller, voice: StandIn, bucket: Any
) -> None:
    id = uploaded(maria, bucket, recorded(2.4))
    answer = understood(maria, id)
    assert answer.status_code == 202, answer.content
    assert answer["Location"].endswith(f"/recordings/{id}")
    found = answer.json()
    assert (found["state"], found["text"], found["seconds"]) == ("running", None, 3)
    found = maria.get(f"/recordings/{id}").json()
    assert (found["state"], found["text"]) == ("done", HEARD["pt"])
    assert kept(bucket) == []
    [request] = asked(voice, "StartTranscriptionJob")
    assert (request["LanguageCode"], request["MediaFormat"]) == ("pt-PT", "wav")
    assert len(asked(voice, "DeleteTranscriptionJob")) == 1
    assert Budget.of_day(maria.id, now()).used() == {"speech_seconds": 15}, "as AWS bills it"
    assert maria.get(f"/recordings/{id}").json() == found
    assert len(asked(voice, "GetTranscriptionJob")) == 1
    assert maria.delete(f"/recordings/{id}").status_code == 204
    assert maria.get(f"/recordings/{id}").status_code == 404


def test_nothing_that_is_said_goes_anywhere_without_a_consent_of_its_own(
    maria: Caller, voice: StandIn, bucket: Any
) -> None:
    maria.patch("/profile/consents", {"modelText": True})
    answer = maria.post("/recordings", {"sizeBytes": 100, "sha256": "0" * 64})
    assert (answer.status_code, answer.json()["code"]) == (403, "CONSENT_NEEDED")
    assert "modelVoice" in answer.json()["detail"]
    id = uploaded(maria, bucket, recorded())
    maria.patch("/profile/consents", {"modelVoice": False})
    assert understood(maria, id).json()["code"] == "CONSENT_NEEDED"
    assert voice.requests == []
    assert Budget.of_day(maria.id, now()).used() == {}


def test_understood_again_it_is_the_same_and_costs_once(
    maria: Caller, voice: StandIn, bucket: Any
) -> None:
    id = uploaded(maria, bucket, recorded())
    for _ in range(3):
        assert understood(maria, id).status_code == 202
    assert len(asked(voice, "StartTranscriptionJob")) == 1
    assert Budget.of_day(maria.id, now()).used() == {"speech_seconds": 15}


def test_a_recording_that_nobody_asks_for_is_removed_too(
    maria: Caller, voice: StandIn, bucket: Any, queues: MemoryQueues
) -> None:
    id = uploaded(maria, bucket, recorded())
    understood(maria, id)
    voice.jobs[f"parley-local-{id}"]["TranscriptionJobStatus"] = "IN_PROGRESS"
    assert maria.get(f"/recordings/{id}").json()["state"] == "running"
    assert len(kept(bucket)) == 2
    with time_machine.travel(now() + timedelta(minutes=16)):
        queues.run_on()
    assert maria.get(f"/recordings/{id}").json()["state"] == "failed"
    assert kept(bucket) == []


REFUSED = {
    "longer than 30 s": recorded(31),
    "a header that says less than there is": recorded(31, said=100),
    "a header that says more than there is": recorded(1, said=1_000_000),
    "a minute at one rate, half of it at another": recorded(30, 16_000, before=form(8_000)),
    "a rate that its bytes a second deny": recorded().replace(form(8_000), form(8_000, 96_000)),
    "no sound": recorded(0),
    "no WAV": b"OggS" * 100,
    "two channels": recorded().replace(b"\x01\x00\x01\x00", b"\x01\x00\x02\x00", 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_recording_of_thirty_seconds_is_refused_and_removed(
    maria: Caller, voice: StandIn, bucket: Any, name: str
) -> None:
    id = uploaded(maria, bucket, REFUSED[name])
    answer = understood(maria, id)
    assert (answer.status_code, answer.json()["code"]) == (400, "RECORDING_REFUSED")
    assert kept(bucket) == []
    assert voice.requests == []
    assert Budget.of_day(maria.id, now()).used() == {}


def test_a_recording_without_room_for_a_word_is_told_so(
    maria: Caller, voice: StandIn, bucket: Any
) -> None:
    answer = understood(maria, uploaded(maria, bucket, recorded(0.05)))
    assert (answer.status_code, answer.json()["code"]) == (400, "RECORDING_REFUSED")
    assert "short" in answer.json()["detail"]


def test_seconds_are_counted_before_anything_is_asked(
    maria: Caller, voice: StandIn, bucket: Any, settings: Any
) -> None:
    settings.BUDGETS = settings.BUDGETS | {"speech_seconds": (20, 100)}
    assert understood(maria, uploaded(maria, bucket, recorded(16.5))).status_code == 202
    answer = understood(maria, uploaded(maria, bucket, recorded(2)))
    assert (answer.status_code, answer.json()["code"]) == (429, "BUDGET_USED_UP")


def test_what_another_learner_has_uploaded_is_not_there(
    maria: Caller, joao: Caller, voice: StandIn, bucket: Any
) -> None:
    id = uploaded(maria, bucket, recorded())
    agreed(joao)
    assert understood(joao, id).json()["code"] == NotUploaded.code


def test_a_language_that_is_not_understood_is_404(
    maria: Caller, voice: StandIn, bucket: Any
) -> None:
    answer = understood(maria, uploaded(maria, bucket, recorded()), "la")
    assert (answer.status_code, answer.json()["code"]) == (404, "NO_VOICE")
    assert answer.json()["errors"][0]["field"] == "language"


def test_a_request_that_died_before_it_asked_is_made_good_by_the_next(
    maria: Caller, voice: StandIn, bucket: Any
) -> None:
    id = uploaded(maria, bucket, recorded())
    understood(maria, id)
    voice.jobs.clear()
    assert maria.get(f"/recordings/{id}").json()["state"] == "running"
    assert maria.get(f"/recordings/{id}").json()["text"] == HEARD["pt"]


def test_what_transcribe_does_not_understand_has_failed(
    maria: Caller, voice: StandIn, bucket: Any
) -> None:
    id = uploaded(maria, bucket, recorded())
    understood(maria, id)
    voice.jobs[f"parley-local-{id}"]["TranscriptionJobStatus"] = "FAILED"
    found = maria.get(f"/recordings/{id}").json()
    assert (found["state"], found["text"]) == ("failed", None)
    assert kept(bucket) == []


@pytest.mark.parametrize("at", range(0, 60, 3))
def test_a_damaged_header_is_no_wav_or_a_length(at: int) -> None:
    data = recorded(1)
    for value in (0, 255):
        broken = data[:at] + bytes([value]) + data[at + 1 :]
        try:
            assert recording(broken).seconds >= 0
        except NotWav:
            continue
