"""Sweepers as processes of their own, some of which are killed at a chosen moment.

usage: python -m tests.sweepers < PLAN

PLAN is JSON: {"ses": the address that stands in for SES's, "threads": of each sweeper, "waves":
[{"at": when, "sweepers": [null or [moment, number]]}]}. Each wave's sweepers begin at once; the
next wave comes when all are over. One with a moment gets SIGKILL when it reaches it for the
number-th time: `claimed`, `begun` (recorded, not yet sent) or `sent` (SES's answer is there). The
table is that of the environment. Prints the exit codes of each wave.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from itertools import count
from multiprocessing import Barrier
from typing import Any

import django

MOMENTS = {
    "claimed": "after-call.dynamodb.UpdateItem",
    "begun": "before-send.sesv2.SendEmail",
    "sent": "after-call.sesv2.SendEmail",
}


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    clients()  # loaded and made once, before the processes part; nothing is connected yet
    plan = json.load(sys.stdin)
    ended = []
    for wave in plan["waves"]:
        gate = Barrier(len(wave["sweepers"]))
        made = [start(plan, wave["at"], dies, gate) for dies in wave["sweepers"]]
        ended.append([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in made])
    json.dump(ended, sys.stdout)


def start(plan: dict[str, Any], at: str, dies: list[Any] | None, gate: Any) -> int:
    """The process id of a sweeper."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        run(plan, at, dies, gate)
        code = 0
    finally:
        os._exit(code)


def clients() -> dict[str, Any]:
    import reminders.services.sweep  # noqa: F401
    from config import aws
    from config.connection import connection

    return {"sesv2": aws.client("sesv2"), "dynamodb": connection().connection.client}


def run(plan: dict[str, Any], at: str, dies: list[Any] | None, gate: Any) -> None:
    from reminders.services.sweep import sweep

    def redirect(request: Any, **_: Any) -> None:
        request.url = plan["ses"]

    events = {service: client.meta.events for service, client in clients().items()}
    events["sesv2"].register_last("before-send.sesv2.SendEmail", redirect)
    if dies:
        moment, number = dies
        name = MOMENTS[moment]
        events[name.split(".")[1]].register_first(name, killer(number))
    gate.wait()
    sweep(now=datetime.fromisoformat(at), within_s=30, threads=plan["threads"])


def killer(number: int) -> Callable[..., None]:
    """Ends this process, all its threads wherever they are, when called so many times."""
    calls = count(1)

    def kill(**arguments: Any) -> None:
        response = arguments.get("http_response")
        if response is not None and response.status_code != 200:
            return  # a claim that another sweeper has got
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


if __name__ == "__main__":
    main()
