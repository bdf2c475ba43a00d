"""Log lines: JSON for machines, words for developers."""

import json
import logging
import logging.config
import os
import subprocess
import sys
from typing import Any

import pytest
from django.test import Client

from config.ops.log_lines import TerminalFilter, TerminalFormatter
from config.stack import BASE_DIR
from config.telemetry import JsonFormatter
from tests.callers import Caller

TOKEN = "c2VjcmV0" * 7


class Terminal:
    def isatty(self) -> bool:
        return True


def record_of(caplog: pytest.LogCaptureFixture, path: str) -> logging.LogRecord:
    """The record of a request by nobody."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "parley.http"):
        Client().get(path)
    [record] = [each for each in caplog.records if each.message == "request"]
    return record


def handler_of(stage: str) -> dict[str, Any]:
    """How the root logger of a stage formats, by the settings of a new process."""
    code = (
        "import json; from config.settings import LOGGING as l;"
        "print(json.dumps(l['handlers'][l['root']['handlers'][0]]))"
    )
    stage_environment = {"PARLEY_STAGE": stage, "PARLEY_SECRET_KEY": "x" * 64}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=BASE_DIR,
        env=os.environ | stage_environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_stages_write_json_and_local_runs_words() -> None:
    assert handler_of("prod")["formatter"] == handler_of("dev")["formatter"] == "json"
    assert handler_of("prod").get("filters", []) == []
    assert handler_of("local")["formatter"] == "terminal"


@pytest.mark.parametrize(
    "path",
    [
        f"/calendar/{TOKEN}.ics",
        f"/calendar/{TOKEN}",
        f"/unsubscribe/{TOKEN}",
        "/calendar/c2Vjcg.ics",
        f"/decks?cursor={TOKEN}",
        f"/browse/login/google/done?code={TOKEN}",
    ],
)
def test_no_line_holds_the_tokens_of_an_address(
    caplog: pytest.LogCaptureFixture, path: str
) -> None:
    record = record_of(caplog, path)
    for formatter in (JsonFormatter(), TerminalFormatter()):
        line = formatter.format(record)
        assert TOKEN not in line
        assert "c2Vjcg" not in line


def test_a_path_in_a_line_cannot_steer_the_terminal(caplog: pytest.LogCaptureFixture) -> None:
    line = TerminalFormatter().format(record_of(caplog, "/decks/%1b%5b2J%0aGET"))
    assert line.isprintable()
    assert "GET /decks/�[2J�GET 404" in line


def test_a_learners_line_tells_them_apart_and_says_no_more(
    maria: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "parley.http"):
        maria.get("/decks")
    line = TerminalFormatter().format(caplog.records[-1])
    assert " GET /decks 200 " in line
    assert " learner " in line
    assert maria.id not in line


def test_colours_are_for_terminals_whose_user_wants_them(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of(caplog, "/nowhere")
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[33m404\x1b[0m" in TerminalFormatter().format(record)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in TerminalFormatter().format(record)


def test_a_failure_is_shown_with_its_traceback_and_fields() -> None:
    try:
        raise ValueError("no room left")
    except ValueError:
        record = logging.makeLogRecord(
            {
                "name": "parley.reminders",
                "levelno": logging.ERROR,
                "levelname": "ERROR",
                "msg": "a reminder failed",
                "exc_info": sys.exc_info(),
                "fields": {"shard": 3},
            }
        )
    first, *traceback = TerminalFormatter().format(record).splitlines()
    assert " ERROR parley.reminders: a reminder failed shard=3" in first
    assert traceback[0].startswith("Traceback")
    assert traceback[-1] == "ValueError: no room left"


@pytest.mark.parametrize(
    ("name", "message", "arguments", "is_shown"),
    [
        ("parley.metrics", "metric", (), False),
        ("django.server", '"%s" %s %s', ("GET /calendar/secret.ics HTTP/1.1", "404", "9"), False),
        ("django.server", "You're accessing the development server over HTTPS", (), True),
        ("django.utils.autoreload", "Watching for file changes with %s", ("StatReloader",), False),
        ("django.utils.autoreload", "%s changed, reloading.", ("config/http.py",), True),
        ("parley.vault", "refused", (), True),
    ],
)
def test_a_terminal_is_spared_what_says_nothing(
    name: str, message: str, arguments: tuple[str, ...], is_shown: bool
) -> None:
    record = logging.LogRecord(name, logging.WARNING, "", 0, message, arguments, None)
    assert TerminalFilter().filter(record) is is_shown
