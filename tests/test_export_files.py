"""Files that are too large for a request or an answer go by way of S3."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from ulid import ULID

from config.ops import cloudformation
from config.ops.management.commands import runserver
from config.stack import Stack, stack
from learning.services import file_uploads
from tests.callers import Caller, make_learner
from tests.test_export import NOTES
from tests.test_import import as_json, figures, report
from tests.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.server


@pytest.fixture
def rita(embedded_aws: Stack) -> Caller:
    return make_learner(f"rita-{ULID()}".lower())


def test_a_large_file_is_uploaded_then_imported(rita: Caller) -> None:
    data = as_json(*NOTES)
    upload: dict[str, Any] = rita.makes("/flashcards/uploads", {"sizeBytes": len(data)})
    assert upload["expiresAt"] > datetime.now(UTC).isoformat()
    body = {"uploadKey": upload["uploadKey"]}
    missing = rita.post("/flashcards/uploads/import", body)
    assert (missing.status_code, missing.json()["code"]) == (409, "UNKNOWN_UPLOAD")
    assert requests.put(upload["url"], data=data, timeout=PATIENCE_S).status_code == 200
    answer = rita.post("/flashcards/uploads/import", body | {"filename": "notes.json"})
    assert answer.status_code == 200, answer.content
    assert figures(answer.json()) == (4, 0, 0, 0)
    stranger = make_learner(f"sofia-{ULID()}".lower())
    assert stranger.post("/flashcards/uploads/import", body).json()["code"] == "UNKNOWN_UPLOAD"


def test_a_large_export_is_fetched_from_where_303_leads(
    rita: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(rita, as_json(*NOTES))
    monkeypatch.setattr(file_uploads, "ANSWER_BYTES", 100)
    answer = rita.get("/flashcards/export?format=json")
    assert (answer.status_code, answer.content) == (303, b"")
    file = requests.get(answer["Location"], timeout=PATIENCE_S)
    assert file.headers["Content-Disposition"].startswith('attachment; filename="parley-')
    assert file.headers["Content-Type"] == "application/json"
    assert len(json.loads(file.content)["notes"]) == 4


def test_a_file_is_sent_once_and_what_comes_of_it_is_fetched(rita: Caller) -> None:
    """Over the embedded AWS's own queues, as local runs do it."""
    data = as_json(*NOTES)
    made: dict[str, Any] = rita.makes("/flashcards/uploads", {"sizeBytes": len(data)})
    assert requests.put(made["url"], data=data, timeout=PATIENCE_S).status_code == 200
    begun = rita.post("/imports", {"uploadKey": made["uploadKey"], "filename": "notes.json"})
    assert begun.status_code == 202, begun.content
    taken = _until_over(rita, f"/imports/{begun.json()['id']}")
    assert (taken["state"], taken["report"]["imported"]) == ("done", 4)
    begun = rita.post("/exports", {"format": "json"})
    given = _until_over(rita, f"/exports/{begun.json()['id']}")
    assert (given["state"], given["done"]) == ("done", 4)
    file = requests.get(given["url"], timeout=PATIENCE_S)
    assert file.headers["Content-Disposition"].startswith('attachment; filename="parley-')
    assert len(file.content) == given["sizeBytes"]
    assert len(json.loads(file.content)["notes"]) == 4


def _until_over(caller: Caller, path: str) -> Any:
    """What a job comes to, once all messages that are waiting have been brought."""
    client = cloudformation.local_client("sqs", str(stack().endpoint_url))
    queue_url = stack().work_queue_url

    def is_over() -> bool:
        received = client.receive_message(
            QueueUrl=queue_url, AttributeNames=["ApproximateReceiveCount"]
        )
        for message in received.get("Messages", []):
            runserver.bring(message, client, queue_url)
        return caller.get(path).json()["state"] in ("done", "failed")

    eventually(is_over)
    return caller.get(path).json()
