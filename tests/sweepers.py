"""Sweepers in processes of their own. Some are killed at a chosen moment.

`run_sweepers(plan)` starts `python -m tests.sweepers`, from which the sweepers part. A plan is
{"ses": the address that stands in for SES's, "threads": of each sweeper, "waves": [{"at": when,
"sweepers": [null or [moment, number]]}]}. Each wave's sweepers begin at once; the next wave comes
when all are over. One with a moment gets SIGKILL when it reaches it for the number-th time:
`claimed`, `read` (the recipients are), `begun` (recorded, not yet sent), `sent` (SES's answer is
there) or `recorded` (and so is the answer). The table is that of the environment. The answer has,
for each wave and sweeper, {"code": the exit code, and unless it was killed "calls", "units",
"seconds" and "cpu_s"}.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from itertools import count
from multiprocessing import Barrier
from threading import local
from typing import Any

import django

from config.aws_json import AwsJson
from config.https import Answer
from config.ops.model_stand_in import listening
from config.stack import BASE_DIR
from tests.waiting import PATIENCE_S
from tests.wire import Headers, operation_of, table_client, units_of

CALLS = {"UpdateItem": "claimed", "BatchGetItem": "read"}  # of the table
EVENTS = {  # of botocore
    "begun": "before-send.sesv2.SendEmail",
    "sent": "after-call.sesv2.SendEmail",
}
MOMENTS = ("claimed", "read", "begun", "sent", "recorded")
OUTBOUND = "/v2/email/outbound-emails"


@dataclass
class PostOffice:
    """Replaces SES. The mails that it accepted, by learner and subject, count as sent."""

    url: str = ""
    accepted: Counter[tuple[str, str]] = field(default_factory=Counter)


@contextmanager
def open_post_office() -> Iterator[PostOffice]:
    """A post office that answers over HTTP, on a free port."""
    office = PostOffice()

    class Desk(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def do_POST(self) -> None:
            mail = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            tags = {each["Name"]: each["Value"] for each in mail["EmailTags"]}
            text = mail["Content"]["Simple"]["Body"]["Text"]["Data"]
            office.accepted[tags["learner"], text] += 1
            answer = json.dumps({"MessageId": tags["mail_id"]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    with listening(Desk) as url:
        office.url = f"{url}{OUTBOUND}"
        yield office


def run_sweepers(plan: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Carries a plan out; see above."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.sweepers"],
        input=json.dumps(plan),
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reports: list[list[dict[str, Any]]] = json.loads(done.stdout)
    return reports


# --- In the processes ---------------------------------------------------------------------------


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    clients()  # loaded and made once, before the processes part; nothing is connected yet
    plan = json.load(sys.stdin)
    reports = []
    for wave in plan["waves"]:
        gate = Barrier(len(wave["sweepers"]))
        made = [start(plan, wave["at"], dies, gate) for dies in wave["sweepers"]]
        reports.append([ended(pid, reader) for pid, reader in made])
    json.dump(reports, sys.stdout)


def start(plan: dict[str, Any], at: str, dies: list[Any] | None, gate: Any) -> tuple[int, int]:
    """Starts a sweeper. Returns its process id and the descriptor of its report."""
    reader, writer = os.pipe()
    if pid := os.fork():
        os.close(writer)
        return pid, reader
    code = 1
    try:
        os.write(writer, json.dumps(run(plan, at, dies, gate)).encode())
        code = 0
    finally:
        os._exit(code)


def ended(pid: int, reader: int) -> dict[str, Any]:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with os.fdopen(reader) as file:
        return {"code": code, **json.loads(file.read() or "{}")}


def clients() -> tuple[Any, AwsJson]:
    """SES's and the table's."""
    import reminders.services.sweep  # noqa: F401
    from config import aws

    return aws.client("sesv2"), table_client()


def run(plan: dict[str, Any], at: str, dies: list[Any] | None, gate: Any) -> dict[str, Any]:
    from reminders.services.sweep import sweep

    calls, units, this_thread = count(), Counter[str](), local()

    def redirect(request: Any, **_: Any) -> None:
        request.url = plan["ses"]

    mails, table = clients()
    mails.meta.events.register_last("before-send.sesv2.SendEmail", redirect)
    moment, number = dies or ("", 0)
    kill = killer(number)
    if moment in EVENTS:
        mails.meta.events.register_first(EVENTS[moment], kill)

    def note_answer(**_: Any) -> None:
        this_thread.is_answered = True

    mails.meta.events.register_last(EVENTS["sent"], note_answer)
    send = table.send

    def measured(body: bytes, headers: Headers) -> Answer:
        next(calls)
        answer, operation = send(body, headers), operation_of(headers)
        units[operation] += units_of(answer)
        reached = CALLS.get(operation)
        if operation == "TransactWriteItems" and getattr(this_thread, "is_answered", False):
            reached, this_thread.is_answered = "recorded", False
        # One that is refused is a claim that another sweeper has got.
        if reached == moment and answer.status == 200:
            kill()
        return answer

    vars(table)["send"] = measured
    gate.wait()
    began_s, cpu_s = time.monotonic(), time.process_time()
    sweep(now=datetime.fromisoformat(at), within_s=PATIENCE_S, threads=plan["threads"])
    return {
        "calls": next(calls),
        "units": units,
        "seconds": time.monotonic() - began_s,
        "cpu_s": time.process_time() - cpu_s,
    }


def killer(number: int) -> Callable[..., None]:
    """Kills this process with all its threads at the given number of calls."""
    reached = count(1)

    def kill(**_: Any) -> None:
        if next(reached) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


if __name__ == "__main__":
    main()
