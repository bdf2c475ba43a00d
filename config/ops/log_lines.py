"""Log lines of local runs, for a developer to read in passing."""

import logging
import os
import sys
from datetime import datetime
from typing import Any

from config.ops.steps import rewrites_lines
from config.telemetry import request_id

DIM, RED, GREEN, YELLOW, CYAN = (f"\x1b[{code}m" for code in (2, 31, 32, 33, 36))
PLAIN = "\x1b[0m"
STATUS_COLOURS = {2: GREEN, 3: CYAN, 4: YELLOW, 5: RED}
LEVEL_COLOURS = {"WARNING": YELLOW, "ERROR": RED, "CRITICAL": RED}


class TerminalFormatter(logging.Formatter):
    """Formats a record as a line of words. On a terminal it has colour, unless NO_COLOR is set.

    13:32:05 POST /decks 201 34 ms learner 1f0c3a5e
    13:32:09 WARNING parley.reminders: the table is busy shard=3
    """

    def __init__(self) -> None:
        super().__init__()
        self.coloured = rewrites_lines(sys.stderr) and not os.environ.get("NO_COLOR")

    def format(self, record: logging.LogRecord) -> str:
        at = self._in(DIM, datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S"))
        fields = getattr(record, "fields", {})
        path = getattr(record, "path", None)
        words = self._event(record, fields) if path is None else self._request(path, fields)
        lines = [f"{at} {words}"]
        if record.exc_info:
            lines.append(self.formatException(record.exc_info))
        return "\n".join(lines)

    def _request(self, path: str, fields: dict[str, Any]) -> str:
        status = self._in(STATUS_COLOURS.get(fields["status"] // 100, ""), str(fields["status"]))
        learner = f"learner {fields['learner'][:8]}" if fields["learner"] else ""
        failed = f"request {request_id.get()}" if fields["status"] >= 400 else ""
        details = self._in(DIM, " ".join(filter(None, [f"{fields['ms']:.0f} ms", learner, failed])))
        return f"{fields['method']} {path} {status} {details}"

    def _event(self, record: logging.LogRecord, fields: dict[str, Any]) -> str:
        level = ""
        if record.levelno != logging.INFO:
            level = self._in(LEVEL_COLOURS.get(record.levelname, ""), record.levelname) + " "
        details = [f"{name}={value}" for name, value in fields.items()]
        if request_id.get():
            details.append(f"request {request_id.get()}")
        message = f"{level}{record.name}: {record.getMessage()}"
        return " ".join([message, self._in(DIM, " ".join(details))]).rstrip()

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if self.coloured and colour and text else text


class TerminalFilter(logging.Filter):
    """Leaves out lines that tell a developer nothing.

    Those are metrics, the lines of Django's server, and the news that files are watched. The
    server's lines repeat ours, and show whole addresses with the secrets in them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return not (
            record.name == "parley.metrics"
            or (record.name == "django.server" and record.args)
            or (record.name == "django.utils.autoreload" and "Watching" in str(record.msg))
        )
