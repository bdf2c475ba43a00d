"""The common part of every endpoint: problems, request ids, headers, media types, logs."""

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from rest_framework import serializers

from config.http import Renderer, RequestMiddleware
from config.serializers import Serializer, _readers
from tests.callers import Caller

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ANONYMOUS = Client()


def test_an_unknown_path_is_a_problem_document() -> None:
    answer = ANONYMOUS.get("/no/such/path")
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:parley:problem:NOT_FOUND",
        "title": "There is nothing here",
        "status": 404,
        "detail": "There is nothing here",
        "code": "NOT_FOUND",
        "instance": "/no/such/path",
        "requestId": answer["X-Request-Id"],
    }


@pytest.mark.parametrize("path", ["/decks/", "/decks/x", "/flashcards/due/", "/health/"])
def test_paths_have_no_trailing_slash_and_ids_have_their_form(path: str) -> None:
    assert ANONYMOUS.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/docs", "/schema"])
@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/vnd.oai.openapi"])
def test_a_problem_is_a_document_where_the_answer_would_be_a_page(path: str, accept: str) -> None:
    answer = ANONYMOUS.post(path, headers={"Accept": accept})
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code
    assert answer.status_code in (405, 406)


@pytest.mark.parametrize("path", ["/decks", "/flashcards", "/flashcards/due", "/scheduler"])
def test_without_a_token_the_answer_is_401_and_names_the_scheme(path: str) -> None:
    answer = ANONYMOUS.get(path)
    assert (answer.status_code, answer.json()["code"]) == (401, "NOT_AUTHENTICATED")
    assert answer["WWW-Authenticate"] == 'Bearer realm="parley"'
    assert "Authorization: Bearer" in answer.json()["detail"]


def test_a_method_that_a_path_does_not_take_is_405_with_those_it_takes(maria: Caller) -> None:
    answer = maria.delete("/decks")
    assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert {"GET", "POST"} <= set(answer["Allow"].split(", "))


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "nonsense",
        b"\xff\xfe{}",
        "[" * 100_000,
        '{"name": NaN}',
        '{"name": ' + "9" * 5000 + "}",
    ],
)
def test_a_body_that_is_not_json_is_malformed(maria: Caller, body: Any) -> None:
    answer = maria.post("/decks", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED_REQUEST")


def test_what_is_not_json_is_said_with_its_place(maria: Caller) -> None:
    answer = maria.post("/decks", '{"name": "Verbos",\n "description" "x"}')
    assert answer.json()["detail"] == "The body is not JSON from line 2, column 16 on"


@pytest.mark.parametrize("body", ['{"name": "a", "name": "a"}', '{"x": [{"name": 1, "name": 2}]}'])
def test_a_name_that_stands_twice_is_refused(maria: Caller, body: str) -> None:
    answer = maria.post("/decks", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert answer.json()["errors"][0] == {
        "field": "name",
        "code": "duplicate_name",
        "message": "This name stands twice.",
    }


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/decks", r'{"\ud800": 1, "name": "x"}', 400),
        ("/decks", r'{"name": "\udfff"}', 400),
        ("/reviews", r'{"reviews": [{"id": "\ud800"}]}', 200),
    ],
)
def test_half_a_surrogate_pair_is_named_back_as_it_was_sent(
    maria: Caller, path: str, body: str, status: int
) -> None:
    answer = maria.post(path, body)
    assert answer.status_code == status
    said = answer.json().get("errors") or answer.json()["results"][0]["problem"]["errors"]
    assert said
    if "\\ud800" in body:
        assert r"\ud800" in answer.content.decode()


@pytest.mark.parametrize("body", ["[]", '"name"', "5", "null", "[{}]"])
def test_a_body_that_is_not_an_object_is_not_valid(maria: Caller, body: str) -> None:
    answer = maria.post("/decks", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert answer.json()["errors"]


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data"])
def test_only_json_is_read(maria: Caller, kind: str) -> None:
    answer = maria.client.generic(
        "POST", "/decks", "name=x", kind, headers={"Authorization": f"Bearer {maria.token}"}
    )
    assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert "Content-Type: application/json" in answer.json()["detail"]


def test_an_unknown_charset_does_no_harm(maria: Caller) -> None:
    answer = maria.client.generic(
        "POST",
        "/decks",
        b'{"name": "x"}',
        "application/json; charset=klingon",
        headers={"Authorization": f"Bearer {maria.token}"},
    )
    assert answer.status_code in (201, 400)


LARGEST = settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def test_a_body_above_the_limit_is_too_large(maria: Caller) -> None:
    answer = maria.post("/decks", b" " * (LARGEST + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_the_largest_body_fits_into_an_event_of_lambdas() -> None:
    """AWS would refuse a larger one without a word of ours; API Gateway takes 10,240 of headers."""
    body = 4 * -(-LARGEST // 3)
    headers = 2 * 10_240 + 10_000
    assert body + headers <= 6 * 1024 * 1024


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("application/json; version=1", 200),
        ("application/json; version=2", 406),
        ("application/xml", 406),
        ("text/html,*/*;q=0.8", 200),
    ],
)
def test_we_answer_json_version_1(accept: str, status: int) -> None:
    answer = ANONYMOUS.get("/health", headers={"Accept": accept})
    assert answer.status_code == status
    if status == 406:
        assert answer.json()["code"] == "NOT_ACCEPTABLE"


def test_every_answer_has_security_headers_and_its_own_request_id() -> None:
    answers = [ANONYMOUS.get(path) for path in ("/health", "/nowhere", "/decks", "/health")]
    answers += [
        ANONYMOUS.get("/health", headers={"Host": "elsewhere.example"}),
        ANONYMOUS.options(
            "/decks",
            headers={"Origin": "http://localhost:5173", "Access-Control-Request-Method": "GET"},
        ),
    ]
    assert [answer.status_code for answer in answers[-2:]] == [400, 200]
    for answer in answers:
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["X-Frame-Options"] == "DENY"
        assert "origin" in answer["Vary"]
        assert answer["Referrer-Policy"] == "same-origin"
        assert answer["Cache-Control"] == "no-store"
        assert answer["Content-Security-Policy"].startswith("default-src 'none'")
    assert len({answer["X-Request-Id"] for answer in answers}) == len(answers)


def test_the_request_id_is_the_gateways_where_there_is_one() -> None:
    context = {"requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"}
    answer = ANONYMOUS.get("/health", **{"apig_wsgi.request_context": context})  # type: ignore[arg-type]
    assert answer["X-Request-Id"] == context["requestId"]


def test_a_clients_own_request_id_is_not_taken_over() -> None:
    answer = ANONYMOUS.get("/health", headers={"X-Request-Id": "forged"})
    assert answer["X-Request-Id"] != "forged"


@pytest.mark.parametrize(
    ("sent", "trace"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE),
        (f"01-{TRACE}-00f067aa0ba902b7-01-more", TRACE),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", None),
        ("forged", None),
    ],
)
def test_the_log_names_the_trace_of_a_client(
    sent: str, trace: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "parley.http"):
        ANONYMOUS.get("/health", headers={"traceparent": sent})
    [record] = [record for record in caplog.records if record.message == "request"]
    assert record.__dict__["fields"].get("trace") == trace


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:5173", True),
        ("http://127.0.0.1:8081", True),
        ("http://localhost.evil.example:5173", False),
        ("https://evil.example", False),
    ],
)
def test_only_named_origins_may_read_our_answers(origin: str, allowed: bool) -> None:
    preflight = ANONYMOUS.options(
        "/decks",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization,if-match,traceparent,baggage",
        },
    )
    assert preflight.get("Access-Control-Allow-Origin") == (origin if allowed else None)
    assert "Access-Control-Allow-Credentials" not in preflight
    if allowed:
        assert "PATCH" in preflight["Access-Control-Allow-Methods"]
        named = set(preflight["Access-Control-Allow-Headers"].split(", "))
        assert named >= {"authorization", "baggage", "content-type", "if-match", "traceparent"}
        assert "x-request-id" not in named  # it would not be taken
    answer = ANONYMOUS.get("/health", headers={"Origin": origin})
    assert answer.get("Access-Control-Allow-Origin") == (origin if allowed else None)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/decks", b" " * (LARGEST + 1), 413),
        ("/decks", b"{", 401),
        ("/auth/login", b"{", 400),
        ("/nowhere", b"{}", 404),
        ("/health", b"{}", 405),
    ],
)
def test_a_browser_may_read_problems_and_what_to_do_about_them(
    path: str, body: bytes, status: int
) -> None:
    origin = "http://localhost:5173"
    answer = ANONYMOUS.post(path, body, "application/json", headers={"Origin": origin})
    assert answer.status_code == status
    assert answer["Access-Control-Allow-Origin"] == origin
    exposed = set(answer["Access-Control-Expose-Headers"].split(", "))
    assert {"etag", "location", "retry-after", "x-request-id"} <= exposed


def test_a_request_leaves_one_line_in_the_log_without_its_secrets(
    maria: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "parley.http"):
        answer = maria.post("/decks", {"name": "Segredo"})
    (record,) = caplog.records
    fields = record.__dict__["fields"]
    assert fields["method"] == "POST"
    assert fields["status"] == 201
    assert fields["calls"] == 3  # the account's state, the head, and the deck with it
    line = json.dumps([fields, record.getMessage()])
    assert maria.token not in line
    assert "Segredo" not in line
    assert answer["X-Request-Id"]


def test_a_failure_outside_a_view_is_a_problem_too() -> None:
    def failing(request: object) -> Any:
        raise RuntimeError("secret detail")

    from django.core.handlers.exception import convert_exception_to_response
    from django.test import RequestFactory

    middleware = RequestMiddleware(convert_exception_to_response(failing))
    answer = middleware(RequestFactory().get("/decks"))
    assert answer.status_code == 500
    body = json.loads(answer.content)
    assert body["code"] == "INTERNAL_ERROR"
    assert "secret" not in answer.content.decode()


@pytest.mark.parametrize("path", ["/docs", "/health", "/decks"])
def test_a_wrong_host_is_refused_as_a_problem(path: str) -> None:
    answer = ANONYMOUS.get(path, headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED_REQUEST")
    assert answer["Referrer-Policy"] == "same-origin"


def test_the_reference_loads_nothing_from_elsewhere() -> None:
    answer = ANONYMOUS.get("/docs")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "//cdn" not in page
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert "<script>" not in page
    for asset in [part.split('"')[0] for part in page.split('src="')[1:]]:
        if asset.startswith("/static/"):
            with closing(ANONYMOUS.get(asset)) as script:
                assert script.status_code == 200


def test_what_fails_outside_a_view_is_logged_with_its_cause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ValueError("no room left")

    monkeypatch.setattr(Renderer, "render", fail)
    with caplog.at_level(logging.ERROR, "parley.http"):
        answer = Client(raise_request_exception=False).get("/decks")
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")
    [record] = [each for each in caplog.records if each.message == "unhandled"]
    assert record.exc_info is not None
    assert "no room left" in str(record.exc_info[1])


@pytest.fixture
def readers_anew() -> Iterator[None]:
    """Readers that were made before or within a test do not outlive it."""
    _readers.cache_clear()
    yield
    _readers.cache_clear()


def test_what_is_shown_is_what_drf_would_show(
    maria: Caller, readers_anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown_by_us: dict[str, int] = {}
    ours = Serializer.to_representation

    def both(self: Serializer, instance: Any) -> Any:
        shown = ours(self, instance)
        assert dict(shown) == dict(serializers.Serializer.to_representation(self, instance))
        shown_by_us[type(self).__name__] = len(shown)
        return shown

    monkeypatch.setattr(Serializer, "to_representation", both)
    deck = maria.makes("/decks", {"name": "Português"})
    card = maria.makes("/flashcards", {"deckId": deck["id"], "front": "casa", "back": "house"})
    maria.makes("/flashcards", {"deckId": deck["id"], "front": "livro", "back": "book"})
    review = {"id": card["id"], "rating": "good", "reviewedAt": card["createdAt"]}
    maria.makes(f"/flashcards/{card['id']}/reviews", review)
    event = {"title": "Aula", "startsAt": "2027-01-04T18:00:00Z", "timezone": "Europe/Lisbon"}
    maria.post("/events", event)
    for path in ("flashcards", "flashcards/due", "notes", "profile", "scheduler", "statistics",
                 "events", "reminders", "scenarios", "reviews"):  # fmt: skip
        assert maria.get(f"/{path}").status_code in (200, 405), path
    assert {"CardSerializer", "DueCardSerializer", "AnswersSerializer"} <= shown_by_us.keys()
