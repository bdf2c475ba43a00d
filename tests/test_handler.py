"""Lambda's entry: events of API Gateway in, its answers out; all other events are Zappa's."""

import base64
import gzip
import json
import re
import sys
from types import SimpleNamespace
from typing import Any
from urllib.parse import urljoin

import pytest
from django.urls import set_script_prefix

from config import lambda_handler
from tests.callers import Caller
from tests.gateway import GATEWAY_HOST, OWN_HOST, event, path_of

HOSTS = pytest.mark.parametrize("host", [GATEWAY_HOST, OWN_HOST])


@pytest.fixture(autouse=True)
def hosts(settings: Any) -> None:
    settings.ALLOWED_HOSTS = [".amazonaws.com", OWN_HOST, "testserver"]
    set_script_prefix("/")
    assert settings.STATIC_URL == "/static/"  # read, and kept, before there is a request


def send(method: str, path: str, **options: Any) -> Any:
    return lambda_handler.lambda_handler(event(method, path, **options), None)


def header(answer: Any, name: str) -> str:
    [value] = answer["multiValueHeaders"][name]
    return str(value)


def as_maria(maria: Caller, method: str, path: str, **options: Any) -> Any:
    answer = send(method, path, headers={"Authorization": f"Bearer {maria.token}"}, **options)
    return answer, json.loads(answer["body"])


@HOSTS
def test_a_request_is_answered(host: str) -> None:
    answer = send("GET", "/health", host=host)
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {"status": "ok"}
    assert answer["isBase64Encoded"] is False


@HOSTS
def test_the_address_of_the_next_page_leads_there(maria: Caller, host: str) -> None:
    made = []
    for name in ("Verbos irregulares", "Na padaria", "Férias"):
        answer, deck = as_maria(maria, "POST", "/decks", body={"name": name}, host=host)
        assert answer["statusCode"] == 201
        made.append(deck["id"])
    _, first = as_maria(maria, "GET", "/decks?limit=2", host=host)
    _, second = as_maria(maria, "GET", path_of(first["next"], host=host), host=host)
    assert {deck["id"] for deck in first["results"] + second["results"]} == set(made)
    assert second["next"] is None


def test_letters_of_any_script_survive_in_the_query(maria: Caller) -> None:
    deck = maria.makes("/decks", {"name": "Na padaria"})
    maria.makes("/flashcards", {"deckId": deck["id"], "front": "água", "back": "water"})
    _, found = as_maria(maria, "GET", "/flashcards?front=%C3%A1gu")
    assert [card["front"] for card in found["results"]] == ["água"]


@pytest.mark.parametrize("path", ["/caf%C3%A9", "/café"])
def test_letters_of_any_script_survive_in_the_path(path: str) -> None:
    answer = send("GET", path)
    assert answer["statusCode"] == 404
    assert json.loads(answer["body"])["instance"] == "/dev/café"


@pytest.mark.slow
@HOSTS
def test_the_reference_finds_its_scripts_and_the_schema(host: str) -> None:
    answer = send("GET", "/docs", host=host, headers={"Accept": "text/html"})
    assert answer["statusCode"] == 200
    base = "" if host == OWN_HOST else "/dev"
    links = re.findall(r'(?:src|href)="([^"]+)"', answer["body"])
    assert {"./", "schema"} < set(links)
    for link in links:
        whole = urljoin(f"{base}/docs", link)
        assert whole.startswith(f"{base}/"), link
        found = send("GET", whole.removeprefix(base), host=host, headers={"Accept": "*/*"})
        assert found["statusCode"] == 200, link


def test_text_is_sent_as_text_and_what_is_zipped_as_base64() -> None:
    script = send("GET", "/static/docs/docs.css")
    assert script["isBase64Encoded"] is False
    zipped = send("GET", "/static/docs/rapidoc-9.3.8.js", headers={"Accept-Encoding": "gzip"})
    assert (zipped["isBase64Encoded"], header(zipped, "Content-Encoding")) == (True, "gzip")
    assert b"RapiDoc" in gzip.decompress(base64.b64decode(zipped["body"]))


def test_the_source_is_the_gateways_word_and_no_header(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("204 No Content", [])
        return []

    monkeypatch.setattr(lambda_handler, "application", application)
    send("GET", "/health", headers={"X-Forwarded-For": "192.0.2.1, 203.0.113.7"})
    assert seen[0]["REMOTE_ADDR"] == "203.0.113.7"
    assert seen[0]["apig_wsgi.request_context"]["identity"]["sourceIp"] == "203.0.113.7"


def test_the_answer_has_the_request_id_of_the_gateway() -> None:
    answer = send("GET", "/health")
    assert header(answer, "X-Request-Id") == "7b0f3c6e-58f1-4c39-9d0e-0a6a2f1b9c11"


def test_only_the_first_request_of_a_process_is_a_cold_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lambda_handler, "_start", {"cold": True})
    with caplog.at_level("INFO", logger="parley.http"):
        send("GET", "/health")
        send("GET", "/health")
    assert [record.__dict__["fields"]["coldStart"] for record in caplog.records] == [True, False]


def test_what_is_no_request_goes_to_zappa(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setitem(
        sys.modules,
        "zappa.handler",
        SimpleNamespace(lambda_handler=lambda event, context: seen.append(event) or "done"),
    )
    rule = "arn:aws:events:eu-central-1:111122223333:rule/parley-dev-reminders.tasks.sweep"
    scheduled = {"detail-type": "Scheduled Event", "resources": [rule]}
    assert lambda_handler.lambda_handler(scheduled, None) == "done"
    assert seen == [scheduled]


def message(text: str) -> Any:
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"TopicArn": "arn", "Message": text}}]}


def test_a_message_reaches_its_task_whatever_package_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that was made before any stage does not know the topic's name."""
    monkeypatch.setitem(sys.modules, "zappa.handler", None)
    taken: list[Any] = []
    monkeypatch.setattr(
        "reminders.tasks.handle_event", lambda said, **_: taken.append(said["eventType"]) or 1
    )
    assert lambda_handler.lambda_handler(message('{"eventType": "Bounce"}'), None) == 1
    assert taken == ["Bounce"]


def test_a_message_cannot_name_the_code_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr("os.abort", lambda: ran.append("abort"))
    assert lambda_handler.lambda_handler(message('{"command": "os.abort"}'), None) == 0
    assert ran == []


def test_raw_python_is_refused() -> None:
    with pytest.raises(lambda_handler.CommandRefused):
        lambda_handler.lambda_handler({"raw_command": "print(1)"}, None)
