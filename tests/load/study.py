"""How many requests of study a local run answers, beside the commit before the table was rebuilt.

usage: python -m tests.load.study [--beside COMMIT] [--rounds 3] [--seconds 8] [--clients 8]

Both are `manage.py runserver`, each with an embedded AWS of its own and the libraries of its own
lock file. Each client is a learner with a deck, who reviews cards and asks for the due queue, a
card and the profile. The two are asked in turn, so that what else the machine does meets both. A
figure is the median of the ratios within each round.
"""

import argparse
import http.client
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

ROOT = Path(__file__).resolve().parents[2]
BEFORE = "a156422"
CARDS = 20
PLAN = ("review", "card", "review", "due", "card", "review", "profile", "review", "due", "card")
PASSWORD = "corvo-azul-7"
READY_S = 300


@dataclass
class Client:
    """A learner with cards, and a connection that stays open."""

    port: int
    email: str
    token: str = ""
    cards: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON. Raises RuntimeError for any problem."""
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        with self.connection.getresponse() as answer:
            content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return json.loads(content)

    def begin(self, code: str, verification: str | None) -> None:
        """Proves the address, signs in, and makes a deck of cards."""
        proof = {"email": self.email, "code": code}
        self.ask("POST", "/auth/verify-email",
                 proof | ({"verificationToken": verification} if verification else {}))  # fmt: skip
        signed_in = self.ask("POST", "/auth/login", {"email": self.email, "password": PASSWORD})
        self.token = signed_in["accessToken"]
        deck = self.ask("POST", "/decks", {"name": "Português"})["id"]
        new = [{"deckId": deck, "front": f"casa {n}", "back": "house"} for n in range(CARDS)]
        self.cards = [self.ask("POST", "/flashcards", card)["id"] for card in new]

    def study(self, until: float) -> int:
        """Asks one thing after another until an instant. Returns how many were answered."""
        next_card = cycle(self.cards)
        for answered, what in enumerate(cycle(PLAN)):
            if time.monotonic() > until:
                return answered
            if what == "review":
                body = {"id": str(uuid4()), "rating": "good", "durationMs": 4200,
                        "reviewedAt": datetime.now(UTC).isoformat()}  # fmt: skip
                self.ask("POST", f"/flashcards/{next(next_card)}/reviews", body)
            elif what == "card":
                self.ask("GET", f"/flashcards/{next(next_card)}")
            else:
                self.ask("GET", {"due": "/flashcards/due", "profile": "/profile"}[what])
        raise AssertionError


@contextmanager
def running(folder: Path, python: Path, home: Path) -> Iterator[int]:
    """`manage.py runserver` in a folder. Yields its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, **environment_of(home, port)}
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [python, "manage.py", "runserver"], cwd=folder, env=environment, stdout=log, stderr=log
        )
        try:
            until = time.monotonic() + READY_S
            while "Parley is ready" not in (home / "log").read_text():
                if server.poll() is not None or time.monotonic() > until:
                    sys.exit(f"{folder} did not start:\n{(home / 'log').read_text()[-2000:]}")
                time.sleep(0.2)
            yield port
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)


def environment_of(home: Path, port: int) -> dict[str, str]:
    return {
        "PORT": str(port),
        "PARLEY_HOME": str(home),
        "PARLEY_LOG_LEVEL": "WARNING",
        "PARLEY_THROTTLE": "1000000/1000000",
        "PARLEY_LIMITS": "sign_up_source=1000000/3600 mail_source=1000000/3600",
    }


def learners(folder: Path, python: Path, home: Path, port: int, number: int) -> list[Client]:
    """So many clients who have signed up, proved their addresses and have cards."""
    clients = [Client(port, f"learner{n}@example.org") for n in range(number)]
    tokens = []
    for client in clients:
        names = {"firstName": "Maria", "lastName": "Sousa", "password": PASSWORD}
        made = client.ask("POST", "/auth/signup", {"email": client.email} | names)
        tokens.append(made.get("verificationToken"))
    shown = subprocess.run(
        [python, "manage.py", "outbox"],
        cwd=folder,
        env={**os.environ, **environment_of(home, port)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    codes = {}
    for mail in shown.split("-" * 72):
        address, code = re.search(r"^To: +(\S+)$", mail, re.M), re.search(r"\b\d{6}\b", mail)
        if address and code:
            codes[address[1]] = code[0]
    for client, token in zip(clients, tokens, strict=True):
        client.begin(codes[client.email], token)
    return clients


def checkout(commit: str, into: Path) -> tuple[Path, Path]:
    """The files of a commit, and a Python with the libraries of its lock file."""
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        sys.exit(f"the commit {commit} is not in this clone: fetch the whole history")
    subprocess.run(["tar", "-x", "-C", into], input=archive.stdout, check=True)
    (into / ".uv").symlink_to((ROOT / ".uv").resolve())  # the same embedded AWS
    uv, python = ROOT / ".uv" / "bin" / "uv", ROOT / ".uv" / "bin" / "python"
    sync = [uv, "sync", "--quiet", "--locked", "--no-dev", "--python", python]
    own = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run(sync, cwd=into, env=own, check=True)
    return into, into / ".venv" / "bin" / "python"


def rate(clients: list[Client], seconds: float) -> float:
    """Requests a second of all clients together."""
    began = time.monotonic()
    with ThreadPoolExecutor(len(clients)) as pool:
        answered = sum(pool.map(lambda client: client.study(began + seconds), clients))
    return answered / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--beside", default=BEFORE, help="a commit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--clients", type=int, default=8)
    given = parser.parse_args()
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(3)]
        sides = (checkout(given.beside, folders[0]), (ROOT, Path(sys.executable)))
        asked = []
        for (folder, python), home in zip(sides, folders[1:], strict=True):
            port = stack.enter_context(running(folder, python, home))
            asked.append(learners(folder, python, home, port, given.clients))
        for clients in asked:  # what is loaded with the first request is not part of the others
            rate(clients, 1)
        rounds = []
        for number in range(given.rounds):
            order = (0, 1) if number % 2 else (1, 0)
            found = {side: rate(asked[side], given.seconds) for side in order}
            rounds.append((found[0], found[1]))
    before, now = (statistics.median(values) for values in zip(*rounds, strict=True))
    ratio = statistics.median(new / old for old, new in rounds)
    print(f"| {given.clients} clients, requests a second | {given.beside} | now | ratio |")
    print("|---|---:|---:|---:|")
    print(f"| reads and reviews, 6 : 4 | {before:.0f} | {now:.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
