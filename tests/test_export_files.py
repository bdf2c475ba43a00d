"""Files that are too large for a request or an answer go by way of S3."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from ulid import ULID

from config.stack import Stack
from learning.services import file_uploads
from tests.callers import Caller, make_learner
from tests.test_export import NOTES
from tests.test_import import as_json, figures, report
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.server


@pytest.fixture
def rita(embedded_aws: Stack) -> Caller:
    return make_learner(f"rita-{ULID()}".lower())


def test_a_large_file_is_uploaded_then_imported(rita: Caller) -> None:
    data = as_json(*NOTES)
    upload: dict[str, Any] = rita.makes("/flashcards/uploads", {"sizeBytes": len(data)})
    assert upload["expiresAt"] > datetime.now(UTC).isoformat()
    body = {"uploadKey": upload["uploadKey"]}
    missing = rita.post("/flashcards/import", body)
    assert (missing.status_code, missing.json()["code"]) == (409, "UNKNOWN_UPLOAD")
    assert requests.put(upload["url"], data=data, timeout=PATIENCE_S).status_code == 200
    answer = rita.post("/flashcards/import", body | {"filename": "notes.json"})
    assert answer.status_code == 200, answer.content
    assert figures(answer.json()) == (4, 0, 0, 0)
    stranger = make_learner(f"sofia-{ULID()}".lower())
    assert stranger.post("/flashcards/import", body).json()["code"] == "UNKNOWN_UPLOAD"


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
