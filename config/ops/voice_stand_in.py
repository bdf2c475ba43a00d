"""Amazon Polly, Translate and Transcribe for local runs and tests: their HTTP APIs on 127.0.0.1.

Polly answers silence as long as the text, Translate a small word list and else the text in
brackets, Transcribe the words of `HEARD`, written into the bucket as AWS writes them. Shapes: AWS,
"SynthesizeSpeech", "TranslateText" and the "Amazon Transcribe API".
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from config import aws
from config.ops.model_stand_in import listening

FRAME = b"\xff\xfb\x90\x64" + bytes(413)  # 26 ms of silence, MPEG-1 Layer III
FRAMES_A_CHARACTER = 3
WORDS = {
    ("pt", "en"): {"casa": "house", "mesa": "table", "café": "coffee", "pão": "bread"},
    ("en", "pt"): {"house": "casa", "table": "mesa", "coffee": "café", "bread": "pão"},
    ("es", "en"): {"casa": "house", "mesa": "table", "gato": "cat"},
    ("de", "en"): {"Haus": "house", "Tisch": "table", "Katze": "cat"},
}
HEARD = {"pt": "Queria um café, por favor.", "en": "I would like a coffee, please."}

Json = dict[str, Any]


class Refusal(Exception):
    """An error as AWS answers it."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


@dataclass
class StandIn:
    """What was asked, as (operation, body). `refuses`: the answer to all that is asked."""

    url: str = ""
    requests: list[tuple[str, Json]] = field(default_factory=list)
    refuses: Refusal | None = None
    jobs: dict[str, Json] = field(default_factory=dict)


@contextmanager
def serving() -> Iterator[StandIn]:
    """Serves the three APIs on a free port while the block runs."""
    stand_in = StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            operation = "SynthesizeSpeech" if self.path == "/v1/speech" else target
            try:
                self._answer(*_answered(stand_in, operation, json.loads(body or b"{}")))
            except Refusal as refusal:
                body = json.dumps({"__type": refusal.code, "message": "by a stand-in"}).encode()
                headers = {"x-amzn-ErrorType": refusal.code}
                self._answer(body, "application/json", headers, refusal.status)

        def _answer(
            self, data: bytes, content_type: str, headers: dict[str, str], status: int = 200
        ) -> None:
            self.send_response(status)
            named = {"Content-Type": content_type, "Content-Length": str(len(data)), **headers}
            for name, value in named.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Says nothing: a request holds what learners have written."""

    with listening(Handler) as stand_in.url:
        yield stand_in


def _answered(stand_in: StandIn, operation: str, body: Json) -> tuple[bytes, str, dict[str, str]]:
    stand_in.requests.append((operation, body))
    if stand_in.refuses:
        raise stand_in.refuses
    if operation == "SynthesizeSpeech":
        if len(body["Text"]) > 3000:
            raise Refusal(400, "TextLengthExceededException")
        audio = FRAME * FRAMES_A_CHARACTER * len(body["Text"])
        return audio, "audio/mpeg", {"x-amzn-RequestCharacters": str(len(body["Text"]))}
    answers = {
        "TranslateText": _translated,
        "StartTranscriptionJob": _started,
        "GetTranscriptionJob": _job,
        "DeleteTranscriptionJob": _deleted,
    }
    if operation not in answers:
        raise Refusal(400, "UnknownOperationException")
    answer = json.dumps(answers[operation](stand_in, body), ensure_ascii=False).encode()
    return answer, "application/x-amz-json-1.1", {}


def _translated(_: StandIn, body: Json) -> Json:
    source, target = body["SourceLanguageCode"], body["TargetLanguageCode"]
    pair = source.partition("-")[0], target.partition("-")[0]
    text = WORDS.get(pair, {}).get(body["Text"], f"[{body['Text']}]")
    return {
        "TranslatedText": text,
        "SourceLanguageCode": source,
        "TargetLanguageCode": target,
    }


def _started(stand_in: StandIn, body: Json) -> Json:
    """Writes the transcript at once; AWS takes some seconds."""
    name = body["TranscriptionJobName"]
    if name in stand_in.jobs:
        raise Refusal(400, "ConflictException")
    heard = HEARD.get(body["LanguageCode"].partition("-")[0], "…")
    transcript = {"jobName": name, "results": {"transcripts": [{"transcript": heard}]}}
    aws.client("s3").put_object(
        Bucket=body["OutputBucketName"],
        Key=body["OutputKey"],
        Body=json.dumps(transcript).encode(),
    )
    job = {"TranscriptionJobName": name, "TranscriptionJobStatus": "COMPLETED"}
    stand_in.jobs[name] = job
    return {"TranscriptionJob": job | {"TranscriptionJobStatus": "IN_PROGRESS"}}


def _job(stand_in: StandIn, body: Json) -> Json:
    job = stand_in.jobs.get(body["TranscriptionJobName"])
    if job is None:
        raise Refusal(400, "NotFoundException")
    return {"TranscriptionJob": job}


def _deleted(stand_in: StandIn, body: Json) -> Json:
    stand_in.jobs.pop(body["TranscriptionJobName"], None)
    return {}
