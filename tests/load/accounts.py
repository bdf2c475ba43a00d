"""How much of our own work a login, a registration and a refresh are.

usage: python -m tests.load.accounts [--requests 480] [--clients 4] [--seconds 120]

Starts an embedded AWS of its own and the service, both on 127.0.0.1, and sends logins,
registrations and refreshes in the proportion 100 : 10 : 50. The service runs in this process, so
that the processor time of each request can be read from its thread: waiting for the identity
provider and the table, and their own work, are not in it. Ends after so many requests or seconds,
whichever comes first.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

MIX = {"login": 100, "registration": 10, "refresh": 50}
LEARNERS = 12
PASSWORD = "corvo-azul-7"


@dataclass(frozen=True)
class Sample:
    """One request: its status, its time on the clock, our processor time."""

    status: int
    took_s: float
    cpu_s: float


@contextmanager
def service() -> Iterator[None]:
    """The embedded AWS, provisioned, and Django in this process."""
    with tempfile.TemporaryDirectory(prefix="parley-load-") as folder:
        os.environ |= {
            "PARLEY_HOME": folder,
            "PARLEY_LOG_LEVEL": "WARNING",
            "PARLEY_THROTTLE": "1000000/1000000",
            "PARLEY_LIMITS": "login_source=1000000/900 sign_up_source=1000000/3600 "
            "mail_source=1000000/3600 login_account=1000000/900 login=1000000/900",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        from config.ops import cloudformation, local_aws

        home = Path(folder)
        with local_aws.running(home, progress=lambda line: print(line, file=sys.stderr)) as url:
            assert url.startswith("http://127.0.0.1:"), "the load stays on this machine"
            cloudformation.apply_locally(home, url)
            import django

            django.setup()
            yield


def post(path: str, body: dict[str, str]) -> tuple[Any, Sample]:
    """One request through the whole of Django, in this thread."""
    from django.test import Client

    client = Client(SERVER_NAME="127.0.0.1")
    began, cpu = time.perf_counter(), time.thread_time()
    answer = client.post(path, json.dumps(body), content_type="application/json")
    took_s, cpu_s = time.perf_counter() - began, time.thread_time() - cpu
    return answer, Sample(answer.status_code, took_s, cpu_s)


def register(number: int) -> tuple[Any, Sample]:
    return post(
        "/auth/signup",
        {
            "email": f"learner{number}.{uuid4().hex[:8]}@example.org",
            "password": PASSWORD,
            "firstName": "Maria",
            "lastName": "Sousa",
        },
    )


def prepare(number: int) -> dict[str, str]:
    """A learner who can log in and refresh."""
    from tests.accounts_helpers import mailed_code

    made, _ = register(number)
    assert made.status_code == 201, made.content
    email, token = made.json()["email"], made.json()["verificationToken"]
    post(
        "/auth/verify-email",
        {"email": email, "code": mailed_code(email), "verificationToken": token},
    )
    answer, _ = post("/auth/login", {"email": email, "password": PASSWORD})
    return {"email": email, "refreshToken": answer.json()["refreshToken"]}


def journeys(learners: list[dict[str, str]]) -> dict[str, Callable[[int], Sample]]:
    """The function for each kind of request. The number makes a request differ from the others."""

    def login(number: int) -> Sample:
        email = learners[number % len(learners)]["email"]
        return post("/auth/login", {"email": email, "password": PASSWORD})[1]

    def refresh(number: int) -> Sample:
        token = learners[number % len(learners)]["refreshToken"]
        return post("/auth/refresh", {"refreshToken": token})[1]

    return {
        "login": login,
        "registration": lambda number: register(1000 + number)[1],
        "refresh": refresh,
    }


def plan(requests: int) -> list[str]:
    """The mix in a random order that is the same each time."""
    kinds = [kind for kind, share in MIX.items() for _ in range(share)]
    order = [kinds[number % len(kinds)] for number in range(requests)]
    random.Random(7).shuffle(order)  # noqa: S311
    return order


def run(order: list[str], clients: int, seconds: float) -> tuple[dict[str, list[Sample]], float]:
    learners = [prepare(number) for number in range(LEARNERS)]
    doing = journeys(learners)
    for kind in MIX:  # what is loaded with the first request is not part of the others
        doing[kind](100_000)
    samples: dict[str, list[Sample]] = defaultdict(list)
    lock, began = threading.Lock(), time.perf_counter()

    def one(number: int) -> None:
        if time.perf_counter() - began > seconds:
            return
        kind = order[number]
        sample = doing[kind](number)
        with lock:
            samples[kind].append(sample)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(len(order))))
    return samples, time.perf_counter() - began


def report(samples: dict[str, list[Sample]], took_s: float) -> None:
    total = sum(map(len, samples.values()))
    print(f"{total} requests in {took_s:.1f} s, {total / took_s:.1f} a second\n")
    print("| request | number | failed | our CPU, median | our CPU, 95 % | on the clock, median |")
    print("|---|---:|---:|---:|---:|---:|")
    for kind in MIX:
        found = samples[kind]
        if len(found) < 2:
            continue
        cpu = sorted(sample.cpu_s * 1000 for sample in found)
        clock = statistics.median(sample.took_s * 1000 for sample in found)
        failed = sum(sample.status >= 400 for sample in found)
        late = cpu[int(0.95 * (len(cpu) - 1))]
        print(
            f"| {kind} | {len(found)} | {failed} | {statistics.median(cpu):.1f} ms "
            f"| {late:.1f} ms | {clock:.0f} ms |"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=480)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=120)
    given = parser.parse_args()
    with service():
        samples, took_s = run(
            plan(min(given.requests, 10_000)), min(given.clients, 32), min(given.seconds, 600)
        )
        report(samples, took_s)
    return int(any(s.status >= 400 for found in samples.values() for s in found))


if __name__ == "__main__":
    sys.exit(main())
